//! What an estimate computes, and how.

use super::{Assay, CellSurvival, Control, Fading, Level, Protraction, Remaining, Scoring};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How limits of the whole-body dose are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Inverted exact test ordered by likelihood ratio: the default.
    #[default]
    Likelihood,
    /// Exact Poisson limits against the band of the curve.
    Merkle,
    /// Errors carried by derivatives.
    Delta,
}

impl Method {
    /// The level used when none is asked for: 83 % twice for Merkle's method, 95 % for the others.
    pub fn usual_level(self) -> Level {
        if self == Self::Merkle { Level::P83 } else { Level::P95 }
    }
}

/// When a partial-body estimate is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PartialBodyWhen {
    /// When u > 1.96.
    #[default]
    Overdispersed,
    /// Whenever the counts allow it.
    Always,
}

/// What to compute, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Method for the whole-body limits.
    pub method: Method,
    /// Level of the yield's limits (and of the dose where the method has one level); none for the usual one.
    pub level: Option<Level>,
    /// Level of the curve's band in Merkle's method; none for the same as `level`.
    pub level_curve: Option<Level>,
    /// Protraction of the exposure.
    pub protraction: Protraction,
    /// Aberrations left at sampling.
    pub remaining: Remaining,
    /// How aberrations fade, where the dates of a person say how much time has passed.
    pub fading: Fading,
    /// Cell survival for partial-body estimates.
    pub survival: CellSurvival,
    /// When to give a partial-body estimate.
    pub partial_body: PartialBodyWhen,
    /// Unexposed people; none takes the background of the curve as known.
    pub control: Option<Control>,
    /// Two-sided error of the first kind of the decision threshold.
    pub alpha: f64,
    /// Error of the second kind of the detection limit.
    pub beta: f64,
    /// What was counted.
    pub assay: Assay,
    /// How it was scored, where known.
    pub scoring: Option<Scoring>,
    /// The cells were counted by QuickScan: complete by their look, without the count of centromeres.
    pub quickscan: bool,
    /// In Merkle's method: limits of an overdispersed count (u > 1.96) as the manual widens them (IAEA 2011, eq. 9).
    pub overdispersed_limits: bool,
    /// Compute as biodosetools 3.7 does, flaws included.
    pub as_biodosetools: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            method: Method::default(),
            level: None,
            level_curve: None,
            protraction: Protraction::ACUTE,
            remaining: Remaining::default(),
            fading: Fading::default(),
            survival: CellSurvival::default(),
            partial_body: PartialBodyWhen::default(),
            control: None,
            alpha: 0.05,
            beta: 0.1,
            assay: Assay::Dicentrics,
            scoring: None,
            quickscan: false,
            overdispersed_limits: false,
            as_biodosetools: false,
        }
    }
}
