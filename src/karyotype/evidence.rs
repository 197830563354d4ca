//! What the assignment knows about one object, and the prices it weighs it with.

use crate::{
    cell::{BoundingBox, ChromosomeClass},
    config::{KaryotypeConfig, SexDisclosure},
};

use super::{
    flow::{LABELS, OTHER, Row},
    morphology::morphology,
};

/// What is known about one object of a cell before the cell is looked at as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Natural logarithm of the classifier's probability of each class, given that it is one whole chromosome.
    pub log_class: [f32; ChromosomeClass::COUNT],
    /// Natural logarithm of its probability that this is none: debris, a piece, a cluster. -7 where the
    /// classifier has no such output.
    pub log_other: f32,
    /// The detector's probability that this box holds one chromosome, 0 to 1.
    pub objectness: f32,
    /// Length in percent of the cell's haploid autosome length, where measured.
    pub relative_length: Option<f32>,
    /// Short arm over whole length, where measured.
    pub centromere_index: Option<f32>,
    /// Objects that share much of their area have the same number: one of them may be the other's double.
    pub overlap_group: Option<u32>,
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
            overlap_group: None,
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
pub struct LeftOut {
    /// Those that overlap none of the chosen: any may be a chromosome of its own.
    pub apart: Vec<Evidence>,
    /// Objectness of all of them together. The more there is, the likelier a chromosome is hidden among others.
    pub objectness: f64,
}

/// Objectness left out of a cell of which half miss a chromosome.
const USUAL_LEFT_OUT: f64 = 1.5;

/// Prices in nats: minus the natural logarithm of how probable each deviation is, beside the usual.
#[derive(Debug, Clone, PartialEq)]
pub struct Prices {
    /// One chromosome of an autosome too many.
    pub gain: f64,
    /// One chromosome of an autosome too few.
    pub loss: f64,
    /// Each sex chromosome more or less than two.
    pub sex: f64,
    /// Three sets instead of two; four cost twice as much.
    pub ploidy: f64,
    /// A chromosome that is there but was not found, where boxes of a total objectness of 1.5 were left out.
    pub miss: f64,
    /// How much cheaper `miss` becomes with each whole box left out beyond that.
    pub left_out: f64,
    /// Two boxes on one chromosome that do not overlap much.
    pub duplicate: f64,
    /// How much cheaper "no chromosome" becomes for an object that shares its area with others.
    pub overlap: f64,
    /// Two selected boxes that overlap wholly; less overlap costs in proportion.
    pub rivals: f64,
}

impl Default for Prices {
    fn default() -> Self {
        Self {
            gain: 3.95,
            loss: 4.3,
            sex: 4.0,
            ploidy: 6.0,
            miss: 4.98,
            left_out: 1.6,
            duplicate: 6.6,
            overlap: 3.0,
            rivals: 8.0,
        }
    }
}

impl Prices {
    /// The same for a cell of which so much was left out.
    pub(super) fn with_left_out(&self, left_out: &LeftOut) -> Self {
        let miss = self.miss - self.left_out * (left_out.objectness - USUAL_LEFT_OUT);
        Self { miss: miss.clamp(1.5, 12.0), ..self.clone() }
    }
}

/// How cells are interpreted.
#[derive(Debug, Clone, PartialEq)]
pub struct KaryotypeSettings {
    /// Whether sex chromosomes are told.
    pub sex: SexDisclosure,
    /// What deviations cost.
    pub prices: Prices,
    /// Divides the classifier's evidence; above 1 for a classifier that is too sure of itself.
    pub class_temperature: f64,
    /// Divides differences between whole karyotypes, so that posteriors are calibrated.
    pub temperature: f64,
    /// Weight of length and centromere index beside the classifier, which has seen the same pixels; 0 to 1.
    pub morphology: f64,
    /// A finding is told from this posterior on.
    pub finding_posterior: f32,
    /// A gain is told from this posterior on: lower, since a chromosome that was found is there, while one that was not
    /// may only be hidden.
    pub gain_posterior: f32,
    /// A cell is called normal from this posterior of a normal karyotype on.
    pub normal_posterior: f32,
    /// Slope and intercept that turn the detector's logit into the logit of a true probability.
    pub objectness: (f64, f64),
    /// IoU from which two boxes rival for one chromosome.
    pub rival_iou: f32,
}

impl KaryotypeSettings {
    /// As configured.
    pub fn from_config(config: &KaryotypeConfig) -> Self {
        Self { sex: config.sex, ..Self::default() }
    }
}

impl Default for KaryotypeSettings {
    fn default() -> Self {
        Self {
            sex: SexDisclosure::Shown,
            prices: Prices::default(),
            class_temperature: 1.05,
            temperature: 1.0,
            morphology: 0.0,
            finding_posterior: 0.75,
            gain_posterior: 0.5,
            normal_posterior: 0.95,
            objectness: (3.17, 2.96),
            rival_iou: 0.34,
        }
    }
}

/// Prices of the labels for one object.
pub(super) fn row(evidence: &Evidence, settings: &KaryotypeSettings) -> Row {
    let raw = f64::from(evidence.objectness).clamp(1e-4, 1.0 - 1e-4);
    let (slope, intercept) = settings.objectness;
    let real = 1.0 / (1.0 + (-(slope * (raw / (1.0 - raw)).ln() + intercept)).exp());
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
    if evidence.overlap_group.is_some() {
        row[OTHER] = (row[OTHER] - settings.prices.overlap).max(0.05);
    }
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
