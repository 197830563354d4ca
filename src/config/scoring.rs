//! Keys of what is made of a cell: karyotype, dicentrics, dose.

use domain::{Sample, SexDisclosure};
use dosimetry::FadingLaw;
use dosimetry::dicentric::{Filter, ScorerSettings, SelectionRule, USUAL_DOUBT, USUAL_STRICTNESS};
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
    /// Least score with which the machine calls a dicentric: higher finds fewer, and fewer false ones. A curve holds for one strictness.
    #[schemars(range(min = 0.01, max = 0.999))]
    pub strictness: f32,
    /// Score from which a piece that is not called is unclear, so that a person looks at it; as high as the strictness: no piece is.
    #[schemars(range(min = 0.01, max = 0.999))]
    pub doubt: f32,
    /// QuickScan: a cell counts when it looks complete (by `selection.pieces`; a person who scores it says so), instead of by its centromeres. It needs a curve that was made so.
    pub quickscan: bool,
    /// Which cells the machine's counts are made of; part of what a curve holds for.
    pub selection: SelectionConfig,
    /// What the machine leaves unclear for a person although it looks like a dicentric.
    pub filters: FilterConfig,
}

/// Selection of cells by how their pieces look; what it leaves out is counted apart, with the reason. Unset keys select nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SelectionConfig {
    /// Least and greatest number of pieces. With `quickscan` a cell of so many looks complete; unset there: [42, 50].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pieces: Option<[u32; 2]>,
    /// Greatest distance of the numbers of pieces in three groups of size from those of a whole cell; 5 leaves out half of the virtual cells.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub distance: Option<f32>,
    /// Of the cells of a case so many count, those of the least distance; ADCI takes the best 250.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub best: Option<u32>,
}

/// Filters against false dicentrics: a piece that one of them strikes is unclear until a person has looked at it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FilterConfig {
    /// A constriction without centromere lies between the two: two chromosomes end to end.
    pub touch: bool,
    /// Another chromosome lies across it.
    pub crossing: bool,
    /// It is bent as a folded chromosome is.
    pub fold: bool,
    /// Its chromatids have parted.
    pub parted: bool,
    /// A centromere at which one side alone is narrow: beside a spot of stain.
    pub spot: bool,
}

impl Default for FilterConfig {
    fn default() -> Self {
        Self { touch: true, crossing: true, fold: true, parted: true, spot: true }
    }
}

impl Default for DicentricConfig {
    fn default() -> Self {
        Self {
            accepted_centromeres: [46, 46],
            strictness: USUAL_STRICTNESS,
            doubt: USUAL_DOUBT,
            quickscan: false,
            selection: SelectionConfig::default(),
            filters: FilterConfig::default(),
        }
    }
}

impl DicentricConfig {
    /// How the machine calls dicentrics.
    pub fn scorer(&self) -> ScorerSettings {
        let FilterConfig { touch, crossing, fold, parted, spot } = self.filters;
        let on = |filter: &Filter| match filter {
            Filter::Touch => touch,
            Filter::Crossing => crossing,
            Filter::Fold => fold,
            Filter::Parted => parted,
            Filter::Spot => spot,
        };
        let SelectionConfig { pieces, distance, best } = self.selection;
        ScorerSettings {
            strictness: self.strictness,
            doubt: self.doubt,
            filters: Filter::ALL.into_iter().filter(on).collect(),
            quickscan: self.quickscan,
            selection: SelectionRule { pieces, distance, best },
        }
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
    /// How dicentrics are lost between exposure and sampling: with a half-life of 36 months, or by the delay (a plateau of 20 weeks, -43 % a year for four years, then -14 % a year).
    pub fading: FadingLaw,
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
    /// Counted cells before an alarm goes out, unless 30 dicentrics come first; until then the dose is preliminary.
    #[schemars(range(min = 1, max = 10_000))]
    pub alarm_min_cells: u32,
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
            fading: FadingLaw::HalfLife,
            irradiation_hours: 0.0,
            alarm_gy: None,
            alarm_hysteresis_gy: 0.1,
            alarm_min_cells: 50,
            alarm_needs_review: false,
            publish_subject: false,
        }
    }
}
