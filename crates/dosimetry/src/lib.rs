//! From counts of aberrations to absorbed dose. Pure.
//!
//! A [`Sample`] (cells and aberrations) meets a [`Curve`] (yield from dose, with the covariance of its
//! coefficients) and gives a dose with limits. Sources of the formulas stand at each function; docs/reference/dose.md
//! has them all in one place. Nothing here says what a dose means for a person's health.

pub mod compatibility;
mod count_table;
mod counted_by;
mod curve;
mod curve_file;
mod detection;
pub mod dicentric;
mod elapsed;
mod error;
mod estimate;
mod exposure;
mod fit;
mod interlab;
mod library;
mod likelihood;
mod limits;
mod mixed_field;
mod mixture;
mod numbers;
mod numeric;
mod partial_body;
mod poisson;
mod sample;
mod settings;
mod subject;
mod translocations;
mod units;
mod whole_body;

pub use count_table::{CountRow, CountTable, CountTableError};
pub use counted_by::{CountedBy, Mismatch};
pub use curve::{About, Curve, Protraction, Response, Uncertainty};
pub use curve_file::{CurveCovariance, CurveErrors, CurveFile, CurveUnit};
pub use detection::{Detection, ScorerNamed};
pub use elapsed::{Fading, FadingLaw, Remaining};
pub use error::DosimetryError;
pub use estimate::{CurveUsed, DoseLimits, Estimate, Input, LimitsFound, PartialBodyEstimate, PartialMethod, estimate};
pub use exposure::{ExposedCell, Exposure};
pub use fit::{Family, Fit, FitOptions, FitPoint, Model, design_warnings, fit};
pub use interlab::{Compared, Interlab, InterlabError, Laboratory, Reference, Signal, compare, robust_mean};
pub use library::{DEFAULT_CURVE, Listed, built_in, list};
pub use likelihood::likelihood;
pub use limits::{CharacteristicLimits, Control, characteristic_limits, ln_odds};
pub use mixed_field::{MixedField, mixed_field};
pub use mixture::{TwoDoses, YIELD_FLOOR, two_doses};
pub use numbers::{NumberError, decimal_number, whole_number};
pub use partial_body::{CellSurvival, PartialBody, Qdr, dolphin, qdr, zero_truncated_mean};
pub use poisson::{compare_with_control, poisson_limits, yield_limits};
pub use sample::{Dispersion, MAX_CELLS, Sample};
pub use settings::{Method, PartialBodyWhen, Settings};
pub use subject::{Subject, SubjectError};
pub use translocations::{
    GenomeSex, LUCAS, Person, expected_translocations, genome_factor, sigurdson_modifier, translocation_rate,
};
pub use units::{Assay, Bounded, Gray, Level, Scoring, Yield};
pub use whole_body::{
    WholeBody, YieldError, delta, merkle, merkle_of_overdispersed, merkle_scaled_by_dispersion,
    overdispersed_yield_limits,
};
