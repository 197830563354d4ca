//! Structural candidates by one chromosome's look: rings, isochromosomes, deletions, additions, fragments. Named with
//! what they rest on, for a person to look at; never a diagnosis.
//!
//! Only chromosomes with a good outline are judged, and where nothing draws outlines those that lie apart (about a third of a real
//! cell's). Thresholds are so strict that a normal real cell has a candidate in less than one case of ten
//! (docs/reference/karyotype.md).

use super::{
    fitted::profiles::CLASS_PROFILES,
    interpret::{is_withheld, report_candidates},
    iscn::Arm,
};
use domain::{Cell, Chromosome, ChromosomeClass, ChromosomeEvidence, Damage, Status};
use imaging::{ChromosomeProfile, PROFILE_SAMPLES, standardise};

/// A hole from this share of the chromosome's area on is a ring's.
const MIN_RING_HOLE: f32 = 0.05;
/// Deviations of length in units of its usual spread.
const MAX_SHORT_DEVIATION: f32 = -4.0;
const MIN_LONG_DEVIATION: f32 = 4.5;
/// A length is odd only together with bands that fit the class less than this (correlation).
const MAX_UNLIKE_FIT: f32 = 0.6;
/// An isochromosome fits one arm and its mirror image so well, and so much better than the class as it should be.
const MIN_MIRRORED_FIT: f32 = 0.75;
const MIN_MIRRORED_ADVANTAGE: f32 = 0.1;
/// An object without class that is shorter than this, in percent of the haploid autosome length (21 has 1.9).
const MAX_FRAGMENT_LENGTH: f32 = 1.2;
/// Surer than this of its class, or nothing is said of how it departs from it.
const MIN_CLASS_SCORE: f32 = 0.8;
/// Of an outline: a deletion is drawn more easily than it happens. Chosen on 83 normal validation cells, of which 2 have a
/// candidate with it and 6 where all sure outlines (0.88) are judged.
const MIN_OUTLINE_SCORE: f32 = 0.9;
/// More bent ones are measured less well.
pub const MAX_SCREENED_BEND: f32 = 0.12;

/// What a class looks like, learned on training cells of cil.
pub(crate) struct ClassProfile {
    /// Its relative length over the textbook's: median over cells.
    pub ratio: f32,
    /// Spread of the ratio over cells.
    pub spread: f32,
    /// Its bands, mean 0 and spread 1, from the short arm's end.
    pub bands: [f32; PROFILE_SAMPLES],
}

impl ClassProfile {
    /// One arm of the class and its mirror image: an isochromosome's bands.
    fn mirrored(&self, class: ChromosomeClass, arm: Arm) -> [f32; PROFILE_SAMPLES] {
        let constriction = super::morphology(class).centromere_index;
        let at = |place: f32| {
            let at = (place * PROFILE_SAMPLES as f32 - 0.5).clamp(0.0, (PROFILE_SAMPLES - 1) as f32);
            let (low, share) = (at as usize, at.fract());
            self.bands[low] * (1.0 - share) + self.bands[(low + 1).min(PROFILE_SAMPLES - 1)] * share
        };
        let mut bands: [f32; PROFILE_SAMPLES] = std::array::from_fn(|i| {
            // 0 at the centromere in the middle, 1 at both ends.
            let out = (2.0 * (i as f32 + 0.5) / PROFILE_SAMPLES as f32 - 1.0).abs();
            match arm {
                Arm::Long => at(constriction + (1.0 - constriction) * out),
                Arm::Short => at(constriction * (1.0 - out)),
            }
        });
        standardise(&mut bands);
        bands
    }
}

/// Looks at every chromosome of an interpreted, measured cell and marks candidates: `damage`, `evidence`, findings and the
/// reason; the verdict stays.
/// `shapes` go with `cell.chromosomes`. Marks of a person or of another stage stay.
pub fn screen_structure(cell: &mut Cell, shapes: &[Option<ChromosomeProfile>]) {
    // Where nothing was classified nothing is unlike its class.
    if cell.chromosomes.iter().all(|c| c.class.is_none()) {
        return;
    }
    for (chromosome, shape) in cell.chromosomes.iter_mut().zip(shapes) {
        let Some(shape) = shape else { continue };
        if chromosome.damage != Damage::None || is_withheld(chromosome) {
            continue;
        }
        if let Some((damage, text)) = candidate(chromosome, shape) {
            chromosome.damage = damage;
            chromosome.evidence = Some(ChromosomeEvidence::Candidate(text));
        }
    }
    report_candidates(cell);
}

fn candidate(chromosome: &Chromosome, shape: &ChromosomeProfile) -> Option<(Damage, String)> {
    // Where an outline was drawn it decides: what is not sure of it says nothing of the chromosome.
    let whole = chromosome.outline.as_ref().map_or(shape.apart, |outline| outline.score >= MIN_OUTLINE_SCORE);
    if !whole || matches!(chromosome.status, Status::Crossing) {
        return None;
    }
    if shape.hole >= MIN_RING_HOLE {
        return Some((Damage::Ring, format!("ring: it encloses a hole of {:.0} % of its area", 100.0 * shape.hole)));
    }
    if shape.bend > MAX_SCREENED_BEND || shape.hole > 0.01 {
        return None;
    }
    let length = chromosome.relative_length?;
    let Some(class) = chromosome.class.filter(|_| chromosome.score >= MIN_CLASS_SCORE) else {
        let small = length < MAX_FRAGMENT_LENGTH && chromosome.class.is_none() && chromosome.objectness > 0.5;
        return small.then(|| (Damage::Fragment, format!("fragment or marker: {length:.1} % long, like no class")));
    };
    let profile = CLASS_PROFILES.get(class.index())?;
    let usual = profile.ratio * super::morphology(class).relative_length;
    let off = (length / usual - 1.0) * profile.ratio / profile.spread;
    let fits = correlation(&shape.bands, &profile.bands).max(correlation(&shape.flipped().bands, &profile.bands));
    let bands = format!("its bands fit the class with {fits:.2}");
    for arm in [Arm::Long, Arm::Short] {
        let alike = correlation(&shape.bands, &profile.mirrored(class, arm));
        if alike > MIN_MIRRORED_FIT && alike > fits + MIN_MIRRORED_ADVANTAGE {
            let arm = arm.letter();
            let text = format!("isochromosome of {class}{arm}: two arms like {class}{arm} ({alike:.2}), {bands}");
            return Some((Damage::Other, text));
        }
    }
    let measured = format!("{length:.1} % long where {usual:.1} are usual, {bands}");
    if fits < MAX_UNLIKE_FIT && off < MAX_SHORT_DEVIATION {
        return Some((Damage::Other, format!("deletion of {class}: {measured}")));
    }
    (fits < MAX_UNLIKE_FIT && off > MIN_LONG_DEVIATION)
        .then(|| (Damage::Other, format!("additional material on {class}: {measured}")))
}

/// Correlation of two profiles that both have mean 0 and spread 1.
fn correlation(a: &[f32; PROFILE_SAMPLES], b: &[f32; PROFILE_SAMPLES]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>() / PROFILE_SAMPLES as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{measure, morphology, tests_support::cell_with};

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
        let mut shapes: Vec<Option<ChromosomeProfile>> =
            cell.chromosomes.iter().map(|c| Some(typical(c.class.unwrap()))).collect();
        for (i, shape) in shapes.iter_mut().enumerate() {
            change(i, shape.as_mut().unwrap());
        }
        measure::lengths(&mut cell, &shapes);
        screen_structure(&mut cell, &shapes);
        cell
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
                shape.bands = CLASS_PROFILES[seven.index()].mirrored(seven, Arm::Long);
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
        let ring = |score: f32| {
            let mut cell = looked_at(|_, _| {});
            let mut shape = typical(cell.chromosomes[0].class.unwrap());
            (shape.hole, shape.apart) = (0.3, score < 0.5);
            let rings = Vec::new();
            cell.chromosomes[0].outline = Some(domain::Outline { source: domain::FoundBy::Network, score, rings });
            screen_structure(&mut cell, &[Some(shape)]);
            cell.chromosomes[0].damage
        };
        assert_eq!((ring(0.95), ring(0.3)), (Damage::Ring, Damage::None));
    }

    #[test]
    fn what_touches_a_neighbour_is_not_judged() {
        let cell = looked_at(|i, shape| {
            shape.apart = i > 3;
            if i < 3 {
                (shape.hole, shape.length) = (0.4, shape.length * 0.3);
            }
        });
        assert!(cell.chromosomes.iter().all(|c| c.damage == Damage::None));
    }
}
