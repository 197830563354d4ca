//! Structural candidates by one chromosome's look: rings, isochromosomes, deletions, additions, fragments. Named with
//! what they rest on, for a person to look at; never a diagnosis.
//!
//! Only chromosomes with a good outline are judged; where nothing draws outlines, rings and fragments alone are looked for among those
//! that lie apart. What speaks for a change (bands, length, centromere, the homolog beside it) is weighed by a logistic function for each
//! kind of change, and so strictly that one normal real cell of twenty has a candidate (docs/reference/karyotype.md).

use super::{
    band_fit::{Account, Form, accounts, correlation},
    fitted::{profiles::CLASS_PROFILES, structure::CHANGE_WEIGHTS},
    interpret::{is_withheld, report_candidates},
    measure::Landmarks,
    morphology,
};
use domain::{Cell, Chromosome, ChromosomeClass, ChromosomeEvidence, Damage, Doubt, Status};
use imaging::{ChromosomeProfile, PROFILE_SAMPLES};

/// A hole from this share of the chromosome's area on is a ring's.
const MIN_RING_HOLE: f32 = 0.05;
/// A larger one makes bands and lengths doubtful.
const MAX_HOLE: f32 = 0.01;
/// An object without class that is shorter than this, in percent of the haploid autosome length (21 has 1.9).
const MAX_FRAGMENT_LENGTH: f32 = 1.2;
/// Surer than this of its class, or nothing is said of how it departs from it.
const MIN_CLASS_SCORE: f32 = 0.3;
/// Score from which an outline is sure enough for its chromosome to be judged, and for a cell's scale and the classes' profiles to rest on it.
pub const SURE_OUTLINE: f32 = 0.88;
/// The same for the homolog that a chromosome is compared with.
const HOMOLOG_SCORE: f32 = 0.85;
/// Fewer sure autosomes give a cell no scale.
const MIN_SCALED: usize = 10;
/// A centromere counts from this score on.
const MIN_CENTROMERE: f32 = 0.3;
/// What a change of another class than the assigned one costs, in nats: one of that class must be missing.
const OTHER_CLASS: f32 = 1.0;
/// Samples of the bands that homologs are compared by: the ends, whose edge is the same in all, are left out.
const COMPARED: std::ops::Range<usize> = 3..61;
/// What must speak for a change, as a logit. Chosen on validation cells (docs/reference/karyotype.md).
const LEAST_EVIDENCE: f32 = 1.2;
/// Numbers that speak for or against a change.
pub(crate) const SIGNS: usize = 18;

/// What a class looks like, learned on training cells of cil.
pub(crate) struct ClassProfile {
    /// Its relative length over the textbook's: median over cells.
    pub ratio: f32,
    /// Spread of the ratio over cells.
    pub spread: f32,
    /// Its bands, mean 0 and spread 1, from the short arm's end.
    pub bands: [f32; PROFILE_SAMPLES],
}

/// Looks at every chromosome of an interpreted, measured cell and marks candidates: `damage`, `evidence`, findings and the
/// reason; the verdict stays.
/// `shapes` and `landmarks` go with `cell.chromosomes`. Marks of a person or of another stage stay.
pub fn screen_structure(cell: &mut Cell, shapes: &[Option<ChromosomeProfile>], landmarks: &[Landmarks]) {
    // Where nothing was classified nothing is unlike its class, and of half a cell lengths say little.
    let cut = cell.doubts.contains(&Doubt::CutByFrame);
    if cut || cell.chromosomes.iter().all(|c| c.class.is_none()) {
        return;
    }
    let number = |class| cell.chromosomes.iter().filter(|c| c.class == Some(class)).count();
    let missing = ChromosomeClass::all().filter(|class| !class.is_sex() && number(*class) == 1).collect();
    let screen = Screen { cell, shapes, landmarks, missing, scale: scale(cell, shapes) };
    let found: Vec<_> = (0..cell.chromosomes.len()).filter_map(|i| Some((i, screen.candidate(i)?))).collect();
    for (i, (damage, text)) in found {
        cell.chromosomes[i].damage = damage;
        cell.chromosomes[i].evidence = Some(ChromosomeEvidence::Candidate(text));
    }
    report_candidates(cell);
}

/// Usual relative length of a class, in percent of the haploid autosome length.
fn usual_length(class: ChromosomeClass) -> Option<f32> {
    Some(CLASS_PROFILES.get(class.index())?.ratio * morphology(class).relative_length)
}

/// Whether a chromosome's outline has at least this score, crosses no other and encloses no hole.
fn is_clear(chromosome: &Chromosome, shape: &ChromosomeProfile, score: f32) -> bool {
    chromosome.outline.as_ref().is_some_and(|outline| outline.score >= score)
        && !matches!(chromosome.status, Status::Crossing)
        && shape.hole < MAX_HOLE
}

/// Pixels for a percent of the haploid autosome length: the median of the cell's sure autosomes; none where there are few.
fn scale(cell: &Cell, shapes: &[Option<ChromosomeProfile>]) -> Option<f32> {
    let ratio = |(c, shape): (&Chromosome, &Option<ChromosomeProfile>)| {
        let (shape, class) = (shape.as_ref()?, c.class.filter(|class| !class.is_sex())?);
        is_clear(c, shape, SURE_OUTLINE).then_some(shape.length / usual_length(class)?)
    };
    let mut ratios: Vec<f32> = cell.chromosomes.iter().zip(shapes).filter_map(ratio).collect();
    ratios.sort_by(f32::total_cmp);
    (ratios.len() >= MIN_SCALED).then(|| ratios[ratios.len() / 2])
}

/// A cell under the screen.
struct Screen<'a> {
    cell: &'a Cell,
    shapes: &'a [Option<ChromosomeProfile>],
    landmarks: &'a [Landmarks],
    /// Autosomes of which there is one.
    missing: Vec<ChromosomeClass>,
    scale: Option<f32>,
}

impl Screen<'_> {
    /// What chromosome `i` may be, and why.
    fn candidate(&self, i: usize) -> Option<(Damage, String)> {
        let (chromosome, shape) = (&self.cell.chromosomes[i], self.shapes.get(i)?.as_ref()?);
        if chromosome.damage != Damage::None || is_withheld(chromosome) || matches!(chromosome.status, Status::Crossing)
        {
            return None;
        }
        // Where an outline was drawn it decides: what is not sure of it says nothing of the chromosome.
        let whole = chromosome.outline.as_ref().map_or(shape.apart, |outline| outline.score >= SURE_OUTLINE);
        if whole && shape.hole >= MIN_RING_HOLE {
            return Some((
                Damage::Ring,
                format!("ring: it encloses a hole of {:.0} % of its area", 100.0 * shape.hole),
            ));
        }
        let Some(class) = chromosome.class else {
            let length = chromosome.relative_length.filter(|length| *length < MAX_FRAGMENT_LENGTH)?;
            let small = whole && shape.hole < MAX_HOLE && chromosome.objectness > 0.5;
            return small.then(|| (Damage::Fragment, format!("fragment or marker: {length:.1} % long, like no class")));
        };
        // What touches a neighbour may have a piece of it.
        let judged = is_clear(chromosome, shape, SURE_OUTLINE)
            && chromosome.status != Status::Touching
            && chromosome.score >= MIN_CLASS_SCORE;
        if judged { self.changed(i, shape, shape.length / self.scale?, class) } else { None }
    }

    /// The structural change that explains a chromosome far better than its class does.
    fn changed(
        &self,
        i: usize,
        shape: &ChromosomeProfile,
        length: f32,
        class: ChromosomeClass,
    ) -> Option<(Damage, String)> {
        let mut all = accounts(&shape.bands, length, class, true);
        let whole = *all.first()?;
        for other in self.missing.iter().filter(|other| **other != class) {
            let accounts = accounts(&shape.bands, length, *other, true);
            all.extend(accounts.into_iter().map(|a| Account { nats: a.nats - OTHER_CLASS, ..a }));
        }
        let forms = [Form::Deletion, Form::Addition, Form::Isochromosome];
        let best =
            |form: &Form| all.iter().filter(|a| a.form == *form).max_by(|a, b| a.nats.total_cmp(&b.nats)).copied();
        let (change, evidence) = forms
            .iter()
            .zip(&CHANGE_WEIGHTS)
            .filter_map(|(form, weights)| {
                let change = best(form)?;
                let (signs, constant) = (self.signs(i, shape, length, &change, &whole), weights[SIGNS]);
                Some((change, signs.iter().zip(weights).map(|(sign, w)| sign * w).sum::<f32>() + constant))
            })
            .max_by(|a, b| a.1.total_cmp(&b.1))?;
        (evidence >= LEAST_EVIDENCE).then(|| (Damage::Other, described(&change, &whole, length)))
    }

    /// What speaks for or against a change: in the order of the weights.
    fn signs(
        &self,
        i: usize,
        shape: &ChromosomeProfile,
        length: f32,
        change: &Account,
        whole: &Account,
    ) -> [f32; SIGNS] {
        let chromosome = &self.cell.chromosomes[i];
        let longer = match change.form {
            Form::Deletion => -1.0,
            Form::Addition => 1.0,
            Form::Whole | Form::Isochromosome => 0.0,
        };
        let of_other = change.class != whole.class;
        let [beside, ratio, alike, usual] =
            self.homolog(i, whole.class).filter(|_| !of_other).map_or([0.0; 4], |h| against(shape, h, whole.class));
        let (seen, off_whole, off_change) = self.centromere(i, shape).map_or((0.0, 0.0, 0.0), |share| {
            (1.0, (share - whole.centromere).abs(), (share - change.centromere).abs())
        });
        [
            (change.nats - whole.nats).clamp(-10.0, 40.0),
            change.fit,
            whole.fit,
            longer * whole.deviation.clamp(-8.0, 8.0),
            change.deviation.abs().min(6.0),
            f32::from(u8::from(of_other)),
            beside,
            longer * ratio,
            alike,
            usual,
            seen,
            off_whole,
            off_change,
            shape.bend,
            bulge(shape),
            (1.0011 - chromosome.score).max(1e-3).ln(),
            length.ln(),
            chromosome.centromeres.iter().skip(1).map(|c| c.score).fold(0.0, f32::max),
        ]
    }

    /// The first other chromosome of a class with a clear outline.
    fn homolog(&self, i: usize, class: ChromosomeClass) -> Option<&ChromosomeProfile> {
        let all = self.cell.chromosomes.iter().zip(self.shapes).enumerate();
        let mut others = all.filter_map(|(k, (c, shape))| Some((k, c, shape.as_ref()?)));
        others
            .find(|(k, c, shape)| *k != i && c.class == Some(class) && is_clear(c, shape, HOMOLOG_SCORE))
            .map(|(_, _, shape)| shape)
    }

    /// Where the only centromere that was seen lies, as a share of the length; none where there is none or several.
    fn centromere(&self, i: usize, shape: &ChromosomeProfile) -> Option<f32> {
        let corner = self.landmarks.get(i)?.corner;
        let mut seen = self.cell.chromosomes[i].centromeres.iter().filter(|c| c.score >= MIN_CENTROMERE);
        let (one, None) = (seen.next()?, seen.next()) else { return None };
        Some(shape.share_at([0, 1].map(|axis| one.at[axis] - corner[axis] as f32 - 0.5)))
    }
}

/// A chromosome beside its homolog: 1, logarithm of the ratio of lengths, likeness of bands, and the homolog's likeness to their class.
fn against(shape: &ChromosomeProfile, homolog: &ChromosomeProfile, class: ChromosomeClass) -> [f32; 4] {
    let mut turned = homolog.bands;
    turned.reverse();
    let likest = |bands: &[f32; PROFILE_SAMPLES]| {
        let bands = &bands[COMPARED];
        correlation(bands, &homolog.bands[COMPARED]).max(correlation(bands, &turned[COMPARED]))
    };
    let usual = CLASS_PROFILES.get(class.index()).map_or(0.0, |of| likest(&of.bands));
    [1.0, (shape.length / homolog.length).ln().clamp(-0.7, 0.7), likest(&shape.bands), usual]
}

/// The widest place in units of the median width, the ends left out.
fn bulge(shape: &ChromosomeProfile) -> f32 {
    let mut widths: Vec<f32> =
        shape.widths.windows(3).map(|w| w.iter().sum::<f32>() / 3.0).skip(2).take(PROFILE_SAMPLES - 6).collect();
    widths.sort_by(f32::total_cmp);
    widths.last().map_or(1.0, |widest| widest / widths[widths.len() / 2].max(1e-3))
}

fn described(change: &Account, whole: &Account, length: f32) -> String {
    let (class, arm) = (change.class, change.arm.letter());
    let what = match change.form {
        Form::Deletion => {
            format!("deletion of {class}{arm}: like {class} without {:.0} % of that arm", 100.0 * change.share)
        }
        Form::Addition => format!("additional material on {class}{arm}: like {class} in a part of its length"),
        _ => format!("isochromosome of {class}{arm}: two arms like {class}{arm}"),
    };
    let fit = format!("bands fit with {:.2}, those of a whole {} with {:.2}", change.fit, whole.class, whole.fit);
    format!("{what} ({fit}; {length:.1} % long where {:.1} are usual)", whole.usual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{band_fit::at, measure, tests_support::cell_with};
    use imaging::standardise;

    /// A chromosome as its class looks.
    fn typical(class: ChromosomeClass) -> ChromosomeProfile {
        let profile = &CLASS_PROFILES[class.index()];
        ChromosomeProfile {
            length: 20.0 * morphology(class).relative_length * profile.ratio,
            angle: 0.0,
            bands: profile.bands,
            widths: [1.0; PROFILE_SAMPLES],
            apart: true,
            hole: 0.0,
            bend: 0.02,
            path: [[0.0; 2]; PROFILE_SAMPLES],
            sure: false,
        }
    }

    fn looked_at(change: impl Fn(usize, &mut ChromosomeProfile)) -> Cell {
        let mut cell = cell_with(&[]);
        for chromosome in &mut cell.chromosomes {
            chromosome.outline = Some(outline(0.92));
        }
        let mut shapes: Vec<Option<ChromosomeProfile>> =
            cell.chromosomes.iter().map(|c| Some(typical(c.class.unwrap()))).collect();
        for (i, shape) in shapes.iter_mut().enumerate() {
            change(i, shape.as_mut().unwrap());
        }
        measure::lengths(&mut cell, &shapes);
        let landmarks = vec![Landmarks::default(); shapes.len()];
        screen_structure(&mut cell, &shapes, &landmarks);
        cell
    }

    fn outline(score: f32) -> domain::Outline {
        domain::Outline { source: domain::FoundBy::Network, score, rings: Vec::new() }
    }

    #[test]
    fn what_looks_like_its_class_is_no_candidate() {
        assert_eq!(CLASS_PROFILES.len(), 24);
        let cell = looked_at(|_, _| {});
        assert!(cell.chromosomes.iter().all(|c| c.damage == Damage::None), "{:?}", cell.chromosomes);
    }

    #[test]
    fn rings_isochromosomes_and_deletions_are_named_with_their_evidence() {
        let cell = looked_at(|i, shape| match i {
            0 => shape.hole = 0.3,
            // The long arm of a 7 twice.
            12 => {
                let seven = ChromosomeClass::autosome(7).unwrap();
                let (usual, centromere) = (shape.bands, morphology(seven).centromere_index);
                shape.bands = std::array::from_fn(|k| {
                    let out = (2.0 * (k as f32 + 0.5) / PROFILE_SAMPLES as f32 - 1.0).abs();
                    at(&usual, centromere + (1.0 - centromere) * out)
                });
                standardise(&mut shape.bands);
                shape.length *= 2.0 * (1.0 - centromere);
            }
            // Half of a 5 alone.
            8 => {
                shape.length *= 0.5;
                let all = shape.bands;
                shape.bands = std::array::from_fn(|k| all[k / 2]);
                standardise(&mut shape.bands);
            }
            _ => {}
        });
        let evidence = |i: usize| cell.chromosomes[i].evidence.as_ref().map(ToString::to_string).unwrap_or_default();
        assert_eq!(cell.chromosomes[0].damage, Damage::Ring);
        assert!(
            evidence(0).contains("ring") && evidence(8).contains("deletion of 5"),
            "{} {}",
            evidence(0),
            evidence(8)
        );
        assert!(evidence(12).contains("isochromosome of 7q"), "{}", evidence(12));
        let marked = cell.chromosomes.iter().filter(|c| c.damage != Damage::None).count();
        assert_eq!(marked, 3);
    }

    #[test]
    fn with_an_outline_what_is_sure_is_judged_and_nothing_else() {
        let ring = |drawn: Option<f32>, apart: bool| {
            let mut cell = looked_at(|_, _| {});
            let mut shape = typical(cell.chromosomes[0].class.unwrap());
            (shape.hole, shape.apart) = (0.3, apart);
            cell.chromosomes[0].outline = drawn.map(outline);
            screen_structure(&mut cell, &[Some(shape)], &[Landmarks::default()]);
            cell.chromosomes[0].damage
        };
        assert_eq!((ring(Some(0.95), false), ring(Some(0.3), true)), (Damage::Ring, Damage::None));
        assert_eq!(
            (ring(None, true), ring(None, false)),
            (Damage::Ring, Damage::None),
            "without outline: what lies apart"
        );
    }

    #[test]
    fn a_homolog_as_short_speaks_against_a_deletion() {
        let five = ChromosomeClass::autosome(5).unwrap();
        let whole = typical(five);
        let short = ChromosomeProfile { length: 0.6 * whole.length, ..whole.clone() };
        let [_, alone, ..] = against(&short, &whole, five);
        let [seen, both, alike, usual] = against(&short, &short, five);
        assert!(alone < -0.4 && both.abs() < 1e-6 && seen == 1.0);
        assert!(alike > 0.99 && usual > 0.99);
        // Of the weights: shorter than its homolog speaks for a deletion, longer for an addition.
        assert!(CHANGE_WEIGHTS[0][7] > 0.0 && CHANGE_WEIGHTS[1][7] > 0.0);
    }
}
