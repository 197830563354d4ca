//! What biodosetools 3.7 computes where this program does otherwise, so that results can be compared.
//!
//! The scaling of Merkle's limits by the dispersion index is in [`super::merkle_scaled_by_dispersion`] and errors
//! that shrink with a dispersion below 1 in [`super::Family::QuasiPoissonUnclamped`].

use super::curve::Response;
use super::partial_body::{DolphinState, exposed_yield, solve_dolphin};
use super::whole_body::{delta_of, yield_variance};
use super::{CellSurvival, DosimetryError, Level, PartialBody, Sample, TwoDoses, WholeBody, YieldError};

/// The delta method for painted translocations with the error divided by the root of the genome factor, which
/// understates it.
pub fn translocation_delta(sample: &Sample, response: Response<'_>, level: Level) -> Result<WholeBody, DosimetryError> {
    let variance = yield_variance(sample, YieldError::Automatic) * sample.genome_factor();
    delta_of(sample.mean(), variance, response, level)
}

/// Dolphin's method for painted translocations with f from the yield of the full genome, which shrinks it.
pub fn translocation_dolphin(
    sample: &Sample,
    response: Response<'_>,
    survival: CellSurvival,
    level: Level,
) -> Result<PartialBody, DosimetryError> {
    let without = sample.cells_without().ok_or_else(|| {
        DosimetryError::NotApplicable("a partial-body estimate needs the distribution over the cells".into())
    })?;
    let n = sample.cells() as f64;
    let y = exposed_yield(sample, without)? / sample.genome_factor();
    let f = (sample.aberrations() as f64 / (y * n)).min(1.0);
    solve_dolphin(DolphinState { n, y, f, scale: 1.0 }, response, survival, level)
}

/// The standard error of the shares of two doses as if the doses and the share of the scored cells were independent.
/// They are not: one mixture gives all three.
pub fn two_doses_fraction_error(found: &TwoDoses, survival: CellSurvival) -> Option<f64> {
    let [d1, d2] = found.doses.map(|d| d.value.value());
    let [e1, e2] = [found.dose_errors[0]?.value(), found.dose_errors[1]?.value()];
    let (w, gamma) = (found.scored_fraction, survival.gamma());
    let share = w / (w + (1.0 - w) * (gamma * (d2 - d1)).exp());
    let variance = gamma * gamma * (e1 * e1 + e2 * e2)
        + (found.scored_fraction_error? / (w * (1.0 - w))).powi(2)
        + (survival.gamma_error() * (d2 - d1)).powi(2);
    Some(share * (1.0 - share) * variance.sqrt())
}
