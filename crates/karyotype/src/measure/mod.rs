//! What a chromosome's picture says beside its class: length, constriction, bands, which end is up.

mod polarity;

pub use polarity::{POLARITY_FEATURES, polarity, polarity_features};

use super::morphology;
use domain::{Cell, Chromosome, ChromosomeClass, Status};
use imaging::{ChromosomeProfile, Crop, PROFILE_SAMPLES};

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
    // What one percent is: over the classes that are known, measured length against usual length, by those that lie apart
    // where these are enough; else the mean.
    let scale = |wanted: &dyn Fn(&Chromosome, &ChromosomeProfile) -> bool| {
        let known = cell.chromosomes.iter().zip(profiles).filter_map(|(chromosome, profile)| {
            let (profile, class) = (profile.as_ref()?, chromosome.class.filter(|c| !c.is_sex())?);
            wanted(chromosome, profile).then(|| (profile.length, morphology(class).relative_length))
        });
        known.fold((0.0_f32, 0.0_f32), |(measured, usual), (m, u)| (measured + m, usual + u))
    };
    let (mut measured, mut usual) = scale(&|_, profile| profile.apart && profile.hole < 0.01);
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

/// With the classes known: the angle that brings the short arm up, the centromere index, and lengths again. A
/// chromosome without class keeps none.
pub fn orient(cell: &mut Cell, profiles: &[Option<ChromosomeProfile>]) {
    lengths(cell, profiles);
    for (chromosome, profile) in cell.chromosomes.iter_mut().zip(profiles) {
        let (Some(profile), Some(class)) = (profile, chromosome.class) else { continue };
        let upright = if polarity(profile, class) >= 0.0 { profile.clone() } else { profile.flipped() };
        chromosome.upright_angle = Some(upright.angle);
        chromosome.centromere_index = centromere_index(&upright, class);
    }
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
        orient(&mut cell, &profiles);
        let first = &cell.chromosomes[0];
        assert!((first.relative_length.unwrap() - 8.44).abs() < 0.05);
        assert!((first.length_um.unwrap() - 8.44).abs() < 0.05);
        cell.chromosomes.iter_mut().for_each(|c| c.class = None);
        lengths(&mut cell, &profiles);
        assert!((cell.chromosomes[0].relative_length.unwrap() - 8.44).abs() < 0.3);
    }
}
