//! What the assignment knows about one object.

use domain::{BoundingBox, ChromosomeClass, Leftover};

use super::{
    flow::{LABELS, OTHER, Row},
    morphology::morphology,
    settings::KaryotypeSettings,
};

/// What is known about one object of a cell before the cell is looked at as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Natural logarithm of the classifier's probability of each class, given that it is one whole chromosome.
    pub log_class: [f32; ChromosomeClass::COUNT],
    /// Natural logarithm of its probability that this is none: debris, a piece, a cluster. -7 where the
    /// classifier has no such output.
    pub log_other: f32,
    /// The detector's calibrated probability that this box holds one chromosome, 0 to 1.
    pub objectness: f32,
    /// Length in percent of the cell's haploid autosome length, where measured.
    pub relative_length: Option<f32>,
    /// Short arm over whole length, where measured.
    pub centromere_index: Option<f32>,
}

impl Evidence {
    /// From the classifier's probabilities over the classes (any sum: they are normalised) and the detector's.
    pub fn from_probabilities(classes: &[f32; ChromosomeClass::COUNT], other: f32, objectness: f32) -> Self {
        let sum: f32 = classes.iter().filter(|p| p.is_finite()).map(|p| p.max(0.0)).sum();
        let log = |p: f32| if sum > 0.0 && p.is_finite() { (p / sum).max(1e-9).ln() } else { -(24.0_f32.ln()) };
        Self {
            log_class: classes.map(log),
            log_other: if other.is_finite() { other.clamp(1e-4, 1.0).ln() } else { -7.0 },
            objectness: if objectness.is_finite() { objectness.clamp(0.0, 1.0) } else { 0.5 },
            relative_length: None,
            centromere_index: None,
        }
    }

    /// The most probable class of the object alone, and its probability.
    pub fn best(&self) -> (ChromosomeClass, f32) {
        let (class, log) =
            ChromosomeClass::all().zip(self.log_class).max_by(|a, b| a.1.total_cmp(&b.1)).expect("there are classes");
        (class, log.exp().clamp(0.0, 1.0))
    }
}

/// A box of the detector before selection, with its evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Where it lies.
    pub bounds: BoundingBox,
    /// What is known about it.
    pub evidence: Evidence,
}

/// What the selection left out: boxes that may still hold a chromosome of the cell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Unselected {
    /// Those that overlap none of the chosen: any may be a chromosome of its own.
    pub apart: Vec<Evidence>,
    /// How many chromosomes they hold in all likelihood: the sum of their probabilities. The more, the likelier one is
    /// hidden among others.
    pub chromosomes: f64,
    /// Dark material that no outline holds; none where nothing draws outlines.
    pub leftover: Option<Leftover>,
}

/// Penalties of the labels for one object.
pub(super) fn row(evidence: &Evidence, settings: &KaryotypeSettings) -> Row {
    let real = f64::from(evidence.objectness);
    let other = f64::from(evidence.log_other).exp().clamp(1e-6, 0.999);
    let chromosome = (real * (1.0 - other)).clamp(1e-6, 1.0 - 1e-6);
    let mut row = [0.0; LABELS];
    let logs = evidence.log_class.map(|l| f64::from(l).max(-20.0) / settings.class_temperature);
    let sum: f64 = logs.iter().map(|l| l.exp()).sum();
    for class in ChromosomeClass::all() {
        let mut cost = sum.ln() - logs[class.index()] - chromosome.ln();
        if settings.morphology > 0.0 {
            cost += settings.morphology * misfit(class, evidence);
        }
        row[class.index()] = cost;
    }
    row[OTHER] = -(1.0 - chromosome).ln();
    row
}

/// Half the squared deviation from the class's shape, in units of its spread; capped, so that a damaged
/// chromosome keeps its class.
fn misfit(class: ChromosomeClass, evidence: &Evidence) -> f64 {
    let shape = morphology(class);
    let term = |value: Option<f32>, mean: f32, sd: f32| {
        value.filter(|v| v.is_finite()).map_or(0.0, |v| f64::from(((v - mean) / sd).powi(2) / 2.0).min(6.0))
    };
    term(evidence.relative_length, shape.relative_length, shape.relative_length_sd)
        + term(evidence.centromere_index, shape.centromere_index, shape.centromere_index_sd)
}
