//! Which candidates of a cell are its chromosomes.

use domain::{Cell, Chromosome, ChromosomeClass};
use karyotype::{Assignment, Evidence, KaryotypeSettings, Unselected, measure::ShortArm};
use recognition::{DrawnChromosome, Recognised, choose, unselected};

use super::chromosome;

/// The boxes that the joint selection takes for chromosomes, and what it leaves.
#[derive(Debug, Clone, Default)]
pub struct SelectedBoxes {
    /// The chromosomes, not yet interpreted.
    pub chromosomes: Vec<Chromosome>,
    /// Their classes by the selection alone, one each; none where no network knows classes.
    pub classes: Vec<Option<ChromosomeClass>>,
    /// Evidence for the assignment, one each; none where no network knows classes.
    pub evidence: Option<Vec<Evidence>>,
    /// What else may hold a chromosome.
    pub unselected: Unselected,
    /// Where the short arm of each is, where a network has drawn it.
    pub short_arms: Vec<Option<ShortArm>>,
}

impl SelectedBoxes {
    /// The selection over a recognised cell.
    pub fn of(recognised: &Recognised, settings: &KaryotypeSettings) -> Self {
        let chosen = choose(recognised, settings);
        let candidates: Vec<_> = chosen.iter().map(|c| &recognised.candidates[c.candidate]).collect();
        Self {
            chromosomes: candidates.iter().enumerate().map(|(i, candidate)| chromosome(i, candidate)).collect(),
            classes: chosen.iter().map(|c| c.class).collect(),
            evidence: candidates.iter().map(|candidate| candidate.evidence()).collect(),
            unselected: unselected(recognised, &chosen, settings),
            short_arms: candidates.iter().map(|c| c.drawn.as_ref().map(short_arm)).collect(),
        }
    }

    /// The assignment of the selected boxes; none where no network knows classes.
    pub fn assess(&self, settings: &KaryotypeSettings) -> Option<Assignment> {
        self.evidence.as_ref().map(|evidence| karyotype::assess(evidence, &self.unselected, settings))
    }

    /// Completes `cell` with these boxes and an assignment of them, without measures: what a search over thresholds
    /// needs many times.
    pub fn conclude(&self, cell: &mut Cell, assignment: &Assignment, settings: &KaryotypeSettings) {
        cell.chromosomes.clone_from(&self.chromosomes);
        karyotype::conclude(cell, self.evidence.as_deref().unwrap_or_default(), assignment, settings);
    }
}

/// Every object that the detector by itself takes for a chromosome.
pub(super) fn accepted(recognised: &Recognised) -> Vec<Chromosome> {
    recognised.accepted().enumerate().map(|(i, candidate)| chromosome(i, candidate)).collect()
}

/// Where the network of outlines sees the short arm.
pub fn short_arm(drawn: &DrawnChromosome) -> ShortArm {
    ShortArm { way: drawn.short_arm, centromere_weight: drawn.centromere_weight }
}
