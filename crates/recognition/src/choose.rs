//! The selection over the cell: which candidates are its chromosomes, and what they are called.

use domain::ChromosomeClass;
use karyotype::{Candidate as Rival, Evidence, KaryotypeSettings, Unselected, select};

use super::{Candidate, LogProbs, Recognised};

/// A candidate that is one of the cell's chromosomes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    /// Place in [`Recognised::candidates`].
    pub candidate: usize,
    /// Class by the selection; none where no network knows classes.
    pub class: Option<ChromosomeClass>,
    /// Probability of the class given the cell, or the objectness without classes.
    pub score: f32,
}

/// The evidence about one chromosome for the assignment over its cell. Whether it is one at all lies in the probability,
/// to which the classifier has contributed.
pub fn evidence(log_probs: &LogProbs, probability: f32) -> Evidence {
    const N: usize = ChromosomeClass::COUNT;
    let classes: [f32; N] = std::array::from_fn(|i| log_probs[i].exp());
    Evidence::from_probabilities(&classes, 0.0, probability)
}

impl Candidate {
    /// The evidence for the assignment over the cell; none where no network knows classes.
    pub fn evidence(&self) -> Option<Evidence> {
        self.log_probs.as_ref().map(|log_probs| evidence(log_probs, self.probability))
    }
}

/// Lowest probability of a box that still counts after the selection left it out.
const MIN_UNSELECTED_PROBABILITY: f32 = 0.002;

/// The boxes that the selection left out; any may still hold a chromosome.
pub fn unselected(recognised: &Recognised, chosen: &[Chosen], settings: &KaryotypeSettings) -> Unselected {
    let selected = |i: usize| chosen.iter().any(|c| c.candidate == i);
    let apart = |candidate: &Candidate| {
        let overlap = |c: &Chosen| f64::from(recognised.candidates[c.candidate].bounds.iou(&candidate.bounds));
        chosen.iter().all(|c| overlap(c) < settings.rival_iou)
    };
    let considered = recognised.candidates.iter().take(recognised.considered).enumerate();
    let others: Vec<&Candidate> = considered.filter(|(i, _)| !selected(*i)).map(|(_, candidate)| candidate).collect();
    Unselected {
        apart: others
            .iter()
            .filter(|c| c.probability >= MIN_UNSELECTED_PROBABILITY && apart(c))
            .filter_map(|c| c.evidence())
            .collect(),
        chromosomes: others.iter().map(|c| f64::from(c.probability)).sum(),
        leftover: None,
    }
}

/// The cell's chromosomes: chosen jointly with their classes where classes are known, else by the threshold alone.
pub fn choose(recognised: &Recognised, settings: &KaryotypeSettings) -> Vec<Chosen> {
    let rivals: Option<Vec<Rival>> = recognised
        .candidates
        .iter()
        .take(recognised.considered)
        .map(|c| c.evidence().map(|evidence| Rival { bounds: c.bounds, evidence }))
        .collect();
    match rivals {
        Some(rivals) => {
            let selection = select(&rivals, settings);
            let classes = selection.classes.iter().zip(&selection.scores);
            selection
                .chosen
                .iter()
                .zip(classes)
                .map(|(i, (class, score))| Chosen { candidate: *i, class: Some(*class), score: *score })
                .collect()
        }
        None => recognised
            .candidates
            .iter()
            .enumerate()
            .filter(|(_, candidate)| candidate.accepted)
            .map(|(i, candidate)| Chosen { candidate: i, class: None, score: candidate.objectness })
            .collect(),
    }
}
