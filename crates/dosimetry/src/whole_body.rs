//! Dose of a whole-body exposure with its limits, by the two methods every laboratory knows.

use super::curve::{MOST_GRAY, Response};
use super::{
    Bounded, Dispersion, DosimetryError, Gray, Level, Sample, Uncertainty, Yield, numeric, poisson_limits, yield_limits,
};

/// A yield and the dose that goes with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WholeBody {
    /// Yield with its limits.
    pub yield_: Bounded<Yield>,
    /// Dose with its limits; an upper limit that the curve does not bound is none.
    pub dose: Bounded<Gray>,
    /// Standard error of the dose, where the method gives one.
    pub dose_error: Option<Gray>,
}

/// Merkle's method (Merkle 1983; IAEA 2011, 9.7.3): exact Poisson limits of the yield at `level_yield`; the lower
/// one meets the upper band of the curve at `level_curve`, the upper one its lower band. With 83 % for both, two
/// independent errors together give about 95 %. Without errors of the curve there is no band: use 95 % then.
pub fn merkle(
    sample: &Sample,
    response: Response<'_>,
    level_yield: Level,
    level_curve: Level,
) -> Result<WholeBody, DosimetryError> {
    project(response, yield_limits(sample, level_yield), level_curve)
}

/// Merkle's method with both limits of the yield multiplied by `(limit/X)^sqrt(index)` when the dispersion index is 1
/// or more, as biodosetools 3.7 does. No published statement of this rule was found: for comparison only.
pub fn merkle_scaled_by_dispersion(
    sample: &Sample,
    response: Response<'_>,
    level_yield: Level,
    level_curve: Level,
) -> Result<WholeBody, DosimetryError> {
    project(response, scaled_yield_limits(sample, level_yield), level_curve)
}

pub(super) fn scaled_yield_limits(sample: &Sample, level: Level) -> Bounded<Yield> {
    let index = sample.dispersion().index.unwrap_or(0.0);
    if index < 1.0 {
        return yield_limits(sample, level);
    }
    let x = sample.aberrations() as f64;
    let (low, high) = poisson_limits(sample.aberrations(), level);
    let moved = |limit: f64| sample.yield_of(limit * (limit / x).powf(index.sqrt()));
    Bounded { value: sample.mean(), low: Some(moved(low)), high: Some(moved(high)) }
}

/// Carries limits of a yield to the dose through the band of the curve.
pub(super) fn project(
    response: Response<'_>,
    yield_: Bounded<Yield>,
    level_curve: Level,
) -> Result<WholeBody, DosimetryError> {
    let factor =
        if response.curve().uncertainty == Uncertainty::None { 0.0 } else { response.band_factor(level_curve) };
    let reach = |target: Option<Yield>, factor: f64| {
        let target = target?.value();
        numeric::first_reach(0.0, 1.0, MOST_GRAY, |d| response.band(d, factor) - target).map(Gray::clamped)
    };
    let value = response.dose_of(yield_.value)?;
    let dose = Bounded { value, low: reach(yield_.low, factor), high: reach(yield_.high, -factor) };
    Ok(WholeBody { yield_, dose, dose_error: None })
}

/// Where the error of the yield comes from in the delta method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum YieldError {
    /// `s^2/N` where the distribution is known and its dispersion index is at least 1, else Poisson.
    #[default]
    Automatic,
    /// `X/N^2`.
    Poisson,
}

/// The delta method (IAEA 2011, 9.7.3): errors of the coefficients and of the yield carried to the dose by its
/// derivatives. Symmetric, cut at 0. With no aberration it has no error: the upper limit is then none.
pub fn delta(
    sample: &Sample,
    response: Response<'_>,
    level: Level,
    yield_error: YieldError,
) -> Result<WholeBody, DosimetryError> {
    delta_of(sample.mean(), yield_variance(sample, yield_error), response, level)
}

/// Variance of the yield of a sample.
pub(super) fn yield_variance(sample: &Sample, error: YieldError) -> f64 {
    let n = sample.cells() as f64;
    let Dispersion { index, .. } = sample.dispersion();
    let seen = match (error, sample.variance(), index) {
        (YieldError::Automatic, Some(variance), Some(index)) if index >= 1.0 => variance / n,
        _ => sample.aberrations() as f64 / (n * n),
    };
    // F_G = F_P/factor, so its error is divided by the factor, not by its root.
    seen / sample.genome_factor().powi(2)
}

/// The delta method for a yield whose variance is known.
pub(super) fn delta_of(
    observed: Yield,
    variance: f64,
    response: Response<'_>,
    level: Level,
) -> Result<WholeBody, DosimetryError> {
    let z = numeric::normal_quantile(1.0 - level.tail());
    let around = |value: f64, error: f64| (value - z * error, value + z * error);
    let d = response.d(observed.value())?;
    let (y_low, y_high) = around(observed.value(), variance.sqrt());
    let slope = response.slope(d);
    let error = ((response.variance(d) + variance) / (slope * slope)).sqrt();
    let known = variance > 0.0 && error.is_finite() && slope > 0.0;
    let (low, high) = around(d, error);
    Ok(WholeBody {
        yield_: if variance > 0.0 {
            Bounded { value: observed, low: Some(Yield::of(y_low)), high: Some(Yield::of(y_high)) }
        } else {
            Bounded::unbounded(observed)
        },
        dose: Bounded {
            value: Gray::clamped(d),
            low: known.then(|| Gray::clamped(low)).or((d == 0.0).then_some(Gray::ZERO)),
            high: known.then(|| Gray::clamped(high)),
        },
        dose_error: known.then(|| Gray::clamped(error)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{About, Assay, Curve, built_in};

    #[test]
    fn nothing_seen_leaves_a_positive_upper_limit() {
        let curve = built_in("co60_barquinero1995").expect("curve");
        let sample = Sample::from_totals(50, 0).expect("counts");
        let found = merkle(&sample, curve.acute(), Level::P83, Level::P83).expect("dose").dose;
        assert_eq!((found.value, found.low), (Gray::ZERO, Some(Gray::ZERO)));
        assert!((found.high.expect("bounded").value() - 0.772_782_727).abs() < 1e-8);
        let without_error = delta(&sample, curve.acute(), Level::P95, YieldError::Automatic).expect("dose").dose;
        assert_eq!(without_error.high, None);
    }

    #[test]
    fn an_upper_limit_that_the_curve_does_not_bound_is_none() {
        // So unsure a beta that the lower band turns down.
        let v = [[1e-7, 0.0, 0.0], [0.0, 1e-5, 0.0], [0.0, 0.0, 1.6e-3]];
        let curve = Curve::new("loose", Assay::Dicentrics, [0.001, 0.02, 0.06], Some(v), None, About::default());
        let curve = curve.expect("curve");
        let sample = Sample::from_totals(100, 100).expect("counts");
        let dose = merkle(&sample, curve.acute(), Level::P83, Level::P83).expect("dose").dose;
        assert_eq!(dose.high, None);
        assert!(dose.low.is_some_and(|low| low < dose.value));
    }
}
