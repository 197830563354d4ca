//! Structural candidates by one chromosome's look: rings, isochromosomes, deletions, additions, fragments. Named with
//! what they rest on, for a person to look at; never a diagnosis.
//!
//! Only chromosomes with a good outline are judged, and where nothing draws outlines those that lie apart (about a third of a real
//! cell's). Thresholds are so strict that a normal real cell has a candidate in less than one case of ten
//! (docs/reference/karyotype.md).

use super::{
    band_fit::{Account, Form, accounts},
    interpret::{is_withheld, report_candidates},
};
use domain::{Cell, Chromosome, ChromosomeClass, ChromosomeEvidence, Damage, Doubt, Status};
use imaging::{ChromosomeProfile, PROFILE_SAMPLES};

/// A hole from this share of the chromosome's area on is a ring's.
const MIN_RING_HOLE: f32 = 0.05;
/// An object without class that is shorter than this, in percent of the haploid autosome length (21 has 1.9).
const MAX_FRAGMENT_LENGTH: f32 = 1.2;
/// Surer than this of its class, or nothing is said of how it departs from it.
const MIN_CLASS_SCORE: f32 = 0.5;
/// Of an outline: a deletion is drawn more easily than it happens.
const MIN_OUTLINE_SCORE: f32 = 0.88;
/// More bent ones are measured less well.
pub const MAX_SCREENED_BEND: f32 = 0.12;
/// A chromosome wider than this somewhere, in units of its median width, is folded, and its line too short.
const MAX_BULGE: f32 = 1.35;
/// What fits its class as it should be so well and is as long looks like nothing else.
const USUAL_FIT: f32 = 0.8;
const USUAL_DEVIATION: f32 = 2.0;
/// What a change of another class than the assigned one costs, in nats: one of that class must be missing.
const OTHER_CLASS: f32 = 1.0;

/// What a change must show to become a candidate. Chosen on validation cells (docs/reference/karyotype.md).
struct Bar {
    form: Form,
    /// Least correlation with the bands that the change foretells.
    fit: f32,
    /// How much better the change explains the chromosome than its class does, in nats.
    nats: f32,
}

const BARS: [Bar; 3] = [
    Bar { form: Form::Deletion, fit: 0.6, nats: 19.0 },
    Bar { form: Form::Addition, fit: 0.7, nats: 7.5 },
    Bar { form: Form::Isochromosome, fit: 0.6, nats: 4.5 },
];
/// A shortened chromosome is shorter than usual, a lengthened one longer, by this many spreads.
const MIN_LENGTH_DEVIATION: f32 = 2.0;
/// An isochromosome's bands fit one arm twice better than the class by this much.
const MIN_MIRRORED_ADVANTAGE: f32 = 0.15;

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
/// `shapes` go with `cell.chromosomes`. Marks of a person or of another stage stay.
pub fn screen_structure(cell: &mut Cell, shapes: &[Option<ChromosomeProfile>]) {
    // Where nothing was classified nothing is unlike its class, and of half a cell lengths say little.
    let cut = cell.doubts.contains(&Doubt::CutByFrame);
    if cut || cell.chromosomes.iter().all(|c| c.class.is_none()) {
        return;
    }
    let missing: Vec<ChromosomeClass> = ChromosomeClass::all()
        .filter(|class| !class.is_sex() && cell.chromosomes.iter().filter(|c| c.class == Some(*class)).count() == 1)
        .collect();
    for (chromosome, shape) in cell.chromosomes.iter_mut().zip(shapes) {
        let Some(shape) = shape else { continue };
        if chromosome.damage != Damage::None || is_withheld(chromosome) {
            continue;
        }
        if let Some((damage, text)) = candidate(chromosome, shape, &missing) {
            chromosome.damage = damage;
            chromosome.evidence = Some(ChromosomeEvidence::Candidate(text));
        }
    }
    report_candidates(cell);
}

fn candidate(
    chromosome: &Chromosome,
    shape: &ChromosomeProfile,
    missing: &[ChromosomeClass],
) -> Option<(Damage, String)> {
    // Where an outline was drawn it decides: what is not sure of it says nothing of the chromosome.
    let whole = chromosome.outline.as_ref().map_or(shape.apart, |outline| outline.score >= MIN_OUTLINE_SCORE);
    if !whole || matches!(chromosome.status, Status::Crossing) {
        return None;
    }
    if shape.hole >= MIN_RING_HOLE {
        return Some((Damage::Ring, format!("ring: it encloses a hole of {:.0} % of its area", 100.0 * shape.hole)));
    }
    if shape.bend > MAX_SCREENED_BEND || shape.hole > 0.01 || bulge(shape) > MAX_BULGE {
        return None;
    }
    let length = chromosome.relative_length?;
    let Some(class) = chromosome.class.filter(|_| chromosome.score >= MIN_CLASS_SCORE) else {
        let small = length < MAX_FRAGMENT_LENGTH && chromosome.class.is_none() && chromosome.objectness > 0.5;
        return small.then(|| (Damage::Fragment, format!("fragment or marker: {length:.1} % long, like no class")));
    };
    changed(shape, length, class, missing)
}

/// The widest place in units of the median width, the ends left out.
fn bulge(shape: &ChromosomeProfile) -> f32 {
    let mut widths: Vec<f32> =
        shape.widths.windows(3).map(|w| w.iter().sum::<f32>() / 3.0).skip(2).take(PROFILE_SAMPLES - 6).collect();
    widths.sort_by(f32::total_cmp);
    widths.last().map_or(1.0, |widest| widest / widths[widths.len() / 2].max(1e-3))
}

/// The structural change that explains a chromosome far better than its class does.
fn changed(
    shape: &ChromosomeProfile,
    length: f32,
    class: ChromosomeClass,
    missing: &[ChromosomeClass],
) -> Option<(Damage, String)> {
    let whole = *accounts(&shape.bands, length, class, false).first()?;
    if whole.fit >= USUAL_FIT && whole.deviation.abs() < USUAL_DEVIATION {
        return None;
    }
    let mut all = accounts(&shape.bands, length, class, true);
    for other in missing.iter().filter(|other| **other != class) {
        let accounts = accounts(&shape.bands, length, *other, true);
        all.extend(accounts.into_iter().map(|a| Account { nats: a.nats - OTHER_CLASS, ..a }));
    }
    let (change, _) = all
        .into_iter()
        .filter_map(|a| {
            let bar = BARS.iter().find(|bar| bar.form == a.form)?;
            let better = a.nats - whole.nats;
            (a.fit >= bar.fit && better >= bar.nats && shows(&a, &whole)).then_some((a, better - bar.nats))
        })
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some((Damage::Other, described(&change, &whole, length)))
}

/// Whether a chromosome departs from its class as the change would have it.
fn shows(change: &Account, whole: &Account) -> bool {
    match change.form {
        Form::Whole => false,
        Form::Deletion => whole.deviation <= -MIN_LENGTH_DEVIATION,
        Form::Addition => whole.deviation >= MIN_LENGTH_DEVIATION,
        Form::Isochromosome => change.fit >= whole.fit + MIN_MIRRORED_ADVANTAGE,
    }
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
    use crate::{band_fit::at, fitted::profiles::CLASS_PROFILES, measure, morphology, tests_support::cell_with};
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
