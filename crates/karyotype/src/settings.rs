//! Everything that the stage can be tuned by, in one place. The values are fitted to the weights of the networks
//! (`fitted`): once for candidates whose probabilities were judged one by one, once for those judged in the context of their cell.

use serde::Serialize;

use domain::{Sample, SexDisclosure};

use super::{
    evidence::Unselected,
    fitted::{settings::FITTED, settings_in_context::IN_CONTEXT},
};

/// Largest piece of dark material that no outline holds, in median chromosomes, at which the price of a miss is as written.
const USUAL_LEFTOVER: f64 = 0.4;
/// Larger pieces say no more.
const MOST_LEFTOVER: f64 = 1.5;

/// Chromosomes left unselected, in sum of probabilities, at which the price of a miss is as written.
const USUAL_UNSELECTED: f64 = 1.0;

/// Penalties in nats: minus the natural logarithm of how probable each deviation is, beside the usual.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Penalties {
    /// One chromosome of an autosome too many.
    pub gain: f64,
    /// One chromosome of an autosome too few.
    pub loss: f64,
    /// Each sex chromosome more or less than two.
    pub sex: f64,
    /// Three sets instead of two; four cost twice as much.
    pub ploidy: f64,
    /// A chromosome that is there but was not found, where boxes that hold one chromosome in sum were left out.
    pub miss: f64,
    /// How much cheaper `miss` becomes with each further chromosome left out.
    pub unselected: f64,
    /// How much cheaper `miss` becomes with each chromosome's worth of dark material in one piece that no outline holds.
    pub leftover: f64,
    /// Two boxes on one chromosome that do not overlap much.
    pub duplicate: f64,
    /// Two selected boxes that overlap wholly; less overlap costs in proportion.
    pub rivals: f64,
    /// While boxes are selected: one of an autosome too few, for whatever reason.
    pub missing: f64,
    /// While boxes are selected: one of an autosome too many, for whatever reason.
    pub extra: f64,
}

impl Penalties {
    /// The same for a cell of which so much was left out.
    pub(super) fn with_unselected(&self, unselected: &Unselected) -> Self {
        let material =
            unselected.leftover.map_or(0.0, |leftover| f64::from(leftover.largest).min(MOST_LEFTOVER) - USUAL_LEFTOVER);
        let miss = self.miss - self.unselected * (unselected.chromosomes - USUAL_UNSELECTED) - self.leftover * material;
        Self { miss: miss.clamp(1.5, 12.0), ..self.clone() }
    }
}

/// How cells are interpreted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KaryotypeSettings {
    /// Whether sex chromosomes are reported.
    #[serde(skip)]
    pub sex: SexDisclosure,
    /// Kind of sample: only a neoplasm may be haploid.
    #[serde(skip)]
    pub sample: Sample,
    /// Divides the classifier's evidence; above 1 for a classifier that is too sure of itself.
    pub class_temperature: f64,
    /// Divides differences between whole karyotypes, so that posteriors are calibrated.
    pub temperature: f64,
    /// Weight of length and centromere index beside the classifier, which has seen the same pixels; 0 to 1.
    pub morphology: f64,
    /// A finding is reported from this posterior on.
    pub finding_posterior: f64,
    /// A gain is reported from this posterior on: lower, since a chromosome that was found is there, while one that was not
    /// may only be hidden.
    pub gain_posterior: f64,
    /// A cell is called normal from this posterior of a normal karyotype on.
    pub normal_posterior: f64,
    /// IoU from which two boxes rival for one chromosome.
    pub rival_iou: f64,
    /// What deviations cost.
    pub penalties: Penalties,
}

impl Default for KaryotypeSettings {
    /// The fitted ones for candidates that were judged one by one.
    fn default() -> Self {
        FITTED
    }
}

/// The fitted settings of a laboratory, by how the candidates of a cell were judged. Prices of overlaps and of missing and further
/// chromosomes hold only for probabilities as they were fitted: those of a network that sees a cell's candidates together already
/// say which of two boxes on one chromosome is it.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedSettings {
    one_by_one: KaryotypeSettings,
    in_context: KaryotypeSettings,
}

impl FittedSettings {
    /// For such samples, with sex chromosomes shown or withheld.
    pub fn of(sex: SexDisclosure, sample: Sample) -> Self {
        Self {
            one_by_one: KaryotypeSettings { sex, sample, ..FITTED },
            in_context: KaryotypeSettings { sex, sample, ..IN_CONTEXT },
        }
    }

    /// The same settings for all cells: to measure settings that are being searched.
    pub fn everywhere(settings: KaryotypeSettings) -> Self {
        Self { one_by_one: settings.clone(), in_context: settings }
    }

    /// The settings for a cell whose candidates were judged in the context of the cell, or one by one.
    pub fn judged(&self, in_context: bool) -> &KaryotypeSettings {
        if in_context { &self.in_context } else { &self.one_by_one }
    }
}

impl Default for FittedSettings {
    /// Of constitutional samples, sex chromosomes shown.
    fn default() -> Self {
        Self { one_by_one: FITTED, in_context: IN_CONTEXT }
    }
}
