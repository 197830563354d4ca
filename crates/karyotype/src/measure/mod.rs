//! What a chromosome's picture says beside its class: length, constriction, bands, which end is up.

mod polarity;

pub use polarity::{POLARITY_FEATURES, polarity, polarity_features};

use super::morphology;
use domain::{Cell, Chromosome, ChromosomeClass, Status, to_tenths};
use imaging::{ChromosomeProfile, Crop, PROFILE_SAMPLES, simplified};

/// Measures each crop; none where there is no picture or nothing that could be one chromosome.
pub fn profiles(crops: &[Option<Crop>]) -> Vec<Option<ChromosomeProfile>> {
    crops.iter().map(|crop| crop.as_ref().and_then(ChromosomeProfile::of)).collect()
}

/// Length, absolute where the pixel size is known, and in percent of the haploid autosome length. Before classes are
/// known the share rests on a cell of two sets; [`orient`] does it again with the classes.
///
/// `profiles` go with `cell.chromosomes`; pixels of the crops are pixels of the frame.
pub fn lengths(cell: &mut Cell, profiles: &[Option<ChromosomeProfile>]) {
    let um_per_px = cell.captured.um_per_px.filter(|um| um.is_finite() && *um > 0.0);
    // What one percent is: over the classes that are known, measured length against usual length, by those whose length is
    // their own where these are enough; else the mean.
    let scale = |wanted: &dyn Fn(&Chromosome, &ChromosomeProfile) -> bool| {
        let known = cell.chromosomes.iter().zip(profiles).filter_map(|(chromosome, profile)| {
            let (profile, class) = (profile.as_ref()?, chromosome.class.filter(|c| !c.is_sex())?);
            wanted(chromosome, profile).then(|| (profile.length, morphology(class).relative_length))
        });
        known.fold((0.0_f32, 0.0_f32), |(measured, usual), (m, u)| (measured + m, usual + u))
    };
    let (mut measured, mut usual) = scale(&|_, profile| profile.is_whole() && profile.hole < 0.01);
    if usual < 30.0 {
        (measured, usual) = scale(&|chromosome, _| chromosome.status != Status::Crossing);
    }
    if usual < 30.0 {
        let all: Vec<f32> = profiles.iter().flatten().map(|s| s.length).collect();
        measured = all.iter().sum();
        // The mean chromosome of a complete cell: two haploid sets of 100 % and the sex chromosomes, over 46.
        usual = all.len() as f32 * (200.0 + 2.0 * 4.5) / 46.0;
    }
    if measured <= 0.0 {
        return;
    }
    for (chromosome, profile) in cell.chromosomes.iter_mut().zip(profiles) {
        let Some(profile) = profile else { continue };
        chromosome.length_um = um_per_px.map(|um| profile.length * um as f32);
        chromosome.relative_length = Some(profile.length * usual / measured);
    }
}

/// Where a network sees a chromosome's short arm.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ShortArm {
    /// From the middle of the long arm's half to that of the short arm's, in pixels.
    pub way: [f32; 2],
    /// How much a single centromere's place says beside that.
    pub centromere_weight: f32,
}

/// What else is known of a chromosome for [`orient`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Landmarks {
    /// Left and top of the chromosome's crop in the frame.
    pub corner: [u32; 2],
    /// Where its short arm is; none where no network has looked.
    pub short_arm: Option<ShortArm>,
}

/// With the classes known: the angle that brings the short arm up, the centromere index, the middle line from the short arm's tip,
/// and lengths again. A chromosome without class keeps no angle.
///
/// `profiles` and `landmarks` go with `cell.chromosomes`. Where a network has looked for centromeres the index is that of the one it
/// found, and none where it found none or several; else it is the constriction's.
pub fn orient(cell: &mut Cell, profiles: &[Option<ChromosomeProfile>], landmarks: &[Landmarks]) {
    lengths(cell, profiles);
    for ((chromosome, profile), marks) in cell.chromosomes.iter_mut().zip(profiles).zip(landmarks) {
        let Some(profile) = profile else { continue };
        let in_crop = |p: [f32; 2]| [0, 1].map(|axis| p[axis] - marks.corner[axis] as f32 - 0.5);
        let single = match chromosome.centromeres[..] {
            [one] => Some((profile.share_at(in_crop(one.at)), one.score)),
            _ => None,
        };
        let way = WayUp::of(profile, chromosome.class, marks.short_arm, single);
        let upright = if way.logit() >= 0.0 { profile.clone() } else { profile.flipped() };
        if chromosome.outline.is_some() {
            chromosome.axis = middle_line(&upright, marks.corner);
        }
        let Some(class) = chromosome.class else { continue };
        chromosome.upright_angle = Some(upright.angle);
        chromosome.centromere_index = match marks.short_arm {
            Some(_) => single.map(|(share, _)| share.min(1.0 - share)),
            None => centromere_index(&upright, class),
        };
    }
}

/// What is known of the way up of a profile: for its first end above 0, for its last below.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct WayUp {
    /// Bands and widths against the class's: a logit; 0 without class.
    pub bands: f32,
    /// What a network has drawn: the half that it takes for the short arm's, -1 to 1, and the place of a single centromere, weighted by
    /// the model; 0 where none has looked.
    pub drawn: f32,
}

impl WayUp {
    /// Of a profile. `centromere`: a single one's share of the length from the first end, and its score.
    pub fn of(
        profile: &ChromosomeProfile,
        class: Option<ChromosomeClass>,
        short_arm: Option<ShortArm>,
        centromere: Option<(f32, f32)>,
    ) -> Self {
        let drawn = short_arm.map_or(0.0, |arm| {
            let placed = centromere.map_or(0.0, |(share, score)| arm.centromere_weight * score * (1.0 - 2.0 * share));
            profile.upness(arm.way) + placed
        });
        Self { bands: class.map_or(0.0, |class| polarity(profile, class)), drawn }
    }

    /// Logit of the probability that the first end is the short arm's.
    pub fn logit(&self) -> f32 {
        if self.drawn == 0.0 {
            return self.bands;
        }
        self.bands.clamp(-MOST_OF_BANDS, MOST_OF_BANDS) + DRAWN_WEIGHT * self.drawn
    }
}

/// Weight of what a network has drawn in the logit of the way up, and the most that bands count for beside it: those with the most right on
/// pki3's validation persons (`evaluate centromeres --out`).
const DRAWN_WEIGHT: f32 = 4.0;
const MOST_OF_BANDS: f32 = 6.0;

/// How far a middle line may lie from the path, in pixels.
const LINE_TOLERANCE: f32 = 0.3;

/// The path of a profile in pixels of the frame, without places that it does not need.
fn middle_line(profile: &ChromosomeProfile, corner: [u32; 2]) -> Vec<[f32; 2]> {
    let line = profile.path.map(|p| [0, 1].map(|axis| to_tenths(p[axis] + corner[axis] as f32 + 0.5)));
    simplified(&line, LINE_TOLERANCE)
}

/// The constriction nearest to where the class has its centromere; none where no constriction is seen within three spreads.
fn centromere_index(upright: &ChromosomeProfile, class: ChromosomeClass) -> Option<f32> {
    let usual = morphology(class);
    let mut best: Option<(f32, f32)> = None;
    for i in 4..PROFILE_SAMPLES - 4 {
        let w = |j: usize| upright.widths[j - 1] + upright.widths[j] + upright.widths[j + 1];
        let beside = (w(i - 3) + w(i + 3)) / 2.0;
        let depth = (beside - w(i)) / 3.0;
        if w(i) > w(i - 1) || w(i) > w(i + 1) || depth < 0.02 {
            continue;
        }
        let at = (i as f32 + 0.5) / PROFILE_SAMPLES as f32;
        let off = (at - usual.centromere_index) / (2.0 * usual.centromere_index_sd.max(0.03));
        let score = depth * 4.0 - off * off / 2.0;
        if off.abs() < 3.0 && best.is_none_or(|(s, _)| score > s) {
            best = Some((score, at));
        }
    }
    best.map(|(_, at)| at.min(0.5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::cell_with;

    #[test]
    fn relative_lengths_are_percent_of_the_haploid_set() {
        let mut cell = cell_with(&[]);
        let model = {
            let crop = Crop { width: 20, height: 60, pixels: vec![80; 1200], mask: vec![1; 1200], bright: false };
            ChromosomeProfile::of(&crop).unwrap()
        };
        let profiles: Vec<Option<ChromosomeProfile>> = cell
            .chromosomes
            .iter()
            .map(|c| {
                Some(ChromosomeProfile { length: 20.0 * morphology(c.class.unwrap()).relative_length, ..model.clone() })
            })
            .collect();
        cell.captured.um_per_px = Some(0.05);
        orient(&mut cell, &profiles, &[Landmarks::default(); 46]);
        let first = &cell.chromosomes[0];
        assert!((first.relative_length.unwrap() - 8.44).abs() < 0.05);
        assert!((first.length_um.unwrap() - 8.44).abs() < 0.05);
        assert!(first.axis.is_empty(), "nothing has drawn it");
        cell.chromosomes.iter_mut().for_each(|c| c.class = None);
        lengths(&mut cell, &profiles);
        assert!((cell.chromosomes[0].relative_length.unwrap() - 8.44).abs() < 0.3);
    }

    #[test]
    fn a_drawn_chromosome_stands_by_its_short_arm_and_its_index_is_that_of_its_centromere() {
        use domain::{Centromere, FoundBy, Outline};
        let crop = Crop { width: 20, height: 60, pixels: vec![80; 1200], mask: vec![1; 1200], bright: false };
        let profile = ChromosomeProfile::of(&crop).unwrap();
        let marks = |way: f32| Landmarks {
            corner: [100, 40],
            short_arm: Some(ShortArm { way: [0.0, way], centromere_weight: 0.0 }),
        };
        let spot = |y: f32| Centromere { at: [110.0, y], score: 0.8, source: FoundBy::Network };
        let look = |way: f32, centromeres: Vec<Centromere>| {
            let mut cell = cell_with(&[]);
            cell.chromosomes.truncate(1);
            let outline = Outline { source: FoundBy::Network, score: 0.95, rings: Vec::new() };
            (cell.chromosomes[0].outline, cell.chromosomes[0].centromeres) = (Some(outline), centromeres);
            orient(&mut cell, &[Some(profile.clone())], &[marks(way)]);
            cell.chromosomes.remove(0)
        };
        let upright = look(-30.0, vec![spot(64.0)]);
        assert!(upright.upright_angle.unwrap().abs() < 1.0);
        assert!((upright.centromere_index.unwrap() - 0.4).abs() < 0.02, "{:?}", upright.centromere_index);
        assert!(upright.axis[0][1] < 45.0 && upright.axis.len() < 6, "{:?}", upright.axis);
        let turned = look(30.0, vec![spot(76.0)]);
        assert!(turned.upright_angle.unwrap().abs() > 179.0 && turned.axis[0][1] > 95.0);
        assert!((turned.centromere_index.unwrap() - 0.4).abs() < 0.02);
        assert_eq!(look(-30.0, vec![]).centromere_index, None);
        assert_eq!(look(-30.0, vec![spot(55.0), spot(85.0)]).centromere_index, None);
    }
}
