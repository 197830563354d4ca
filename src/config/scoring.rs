//! Keys of what is made of a cell: karyotype, dicentrics, dose.

use domain::{Sample, SexDisclosure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Interpretation of karyotypes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KaryotypeConfig {
    /// Whether sex chromosomes are reported.
    pub sex: SexDisclosure,
    /// What kind of sample the cases are.
    pub sample: Sample,
    /// Cells to score for a case; colonies where the sample is `in-situ`.
    #[schemars(range(min = 1, max = 10_000))]
    pub cells_per_case: u32,
}

impl Default for KaryotypeConfig {
    fn default() -> Self {
        Self { sex: SexDisclosure::Shown, sample: Sample::Constitutional, cells_per_case: 20 }
    }
}

/// Scoring of the dicentric assay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DicentricConfig {
    /// Lowest and highest sum of centromeres of a cell that counts as complete.
    pub accepted_centromeres: [u32; 2],
}

impl Default for DicentricConfig {
    fn default() -> Self {
        Self { accepted_centromeres: [46, 46] }
    }
}

/// Dose of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DoseConfig {
    /// Calibration curve: a name listed by `metaphased dose curves`, or a curve file.
    pub curve: String,
    /// How the dose and its interval are computed; unset: the recommended one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Duration of the exposure in hours; 0: acute.
    #[schemars(range(min = 0.0, max = 100_000.0))]
    pub irradiation_hours: f64,
    /// Alarm when the lower limit of the dose exceeds this many gray; unset: no alarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 20.0))]
    pub alarm_gy: Option<f64>,
    /// The alarm clears when the lower limit falls this far below the level.
    #[schemars(range(min = 0.0, max = 20.0))]
    pub alarm_hysteresis_gy: f64,
    /// Hold the alarm until a person has reviewed the dicentrics.
    pub alarm_needs_review: bool,
    /// Publish the subject data of a case (age, dates, earlier dose) in its `dose` message; otherwise they stay in the store.
    pub publish_subject: bool,
}

impl Default for DoseConfig {
    fn default() -> Self {
        Self {
            curve: "co60_barquinero1995".into(),
            method: None,
            irradiation_hours: 0.0,
            alarm_gy: None,
            alarm_hysteresis_gy: 0.1,
            alarm_needs_review: false,
            publish_subject: false,
        }
    }
}
