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

/// Merkle's method with both limits of the yield multiplied by `(limit/X)^sqrt(index)` where u exceeds 1.96 (IAEA 2011, eq. 9). The
/// factor does not fade in: at the gate the upper limit jumps by some tenths of itself.
///
/// # Errors
/// As for [`merkle`].
pub fn merkle_of_overdispersed(
    sample: &Sample,
    response: Response<'_>,
    level_yield: Level,
    level_curve: Level,
) -> Result<WholeBody, DosimetryError> {
    project(response, overdispersed_yield_limits(sample, level_yield), level_curve)
}

/// Limits of the yield by the overdispersion rule of IAEA 2011, eq. 9: those of Poisson's law up to u = 1.96.
pub fn overdispersed_yield_limits(sample: &Sample, level: Level) -> Bounded<Yield> {
    if sample.dispersion().u.is_none_or(|u| u <= 1.96) {
        return yield_limits(sample, level);
    }
    scaled_yield_limits(sample, level)
}

/// A limit of a count of `x` moved away from it by the dispersion index.
fn scaled(limit: f64, x: f64, index: f64) -> f64 {
    limit * (limit / x).powf(index.sqrt())
}

pub(super) fn scaled_yield_limits(sample: &Sample, level: Level) -> Bounded<Yield> {
    let index = sample.dispersion().index.unwrap_or(0.0);
    if index < 1.0 {
        return yield_limits(sample, level);
    }
    let x = sample.aberrations() as f64;
    let (low, high) = poisson_limits(sample.aberrations(), level);
    let moved = |limit: f64| sample.yield_of(scaled(limit, x, index));
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
    fn overdispersed_limits_are_those_of_the_manual_and_begin_at_their_gate() {
        // IAEA 2011, p. 68: 25 dicentrics in 500 cells, limits of its table 16.77 and 36.03, index 1.19.
        assert!((scaled(16.77, 25.0, 1.19) / 500.0 - 0.0217).abs() < 5e-5);
        assert!((scaled(36.03, 25.0, 1.19) / 500.0 - 0.1074).abs() < 5e-5);
        let sample = |counts: Vec<u64>| Sample::from_histogram(counts).expect("counts");
        let manual = sample(vec![478, 19, 3]);
        let limits = overdispersed_yield_limits(&manual, Level::P95);
        let (index, u) = (manual.dispersion().index.expect("index"), manual.dispersion().u.expect("u"));
        assert!((index - 1.19).abs() < 0.005 && (u - 3.19).abs() < 0.25, "{index} {u}");
        let (low, high) = poisson_limits(25, Level::P95);
        assert_eq!(limits.low, Some(manual.yield_of(scaled(low, 25.0, index))));
        assert_eq!(limits.high, Some(manual.yield_of(scaled(high, 25.0, index))));
        // Just below the gate nothing is scaled; above it the upper limit jumps.
        let below = sample(vec![476, 23, 1]);
        assert!(below.dispersion().u.expect("u") < 1.96);
        assert_eq!(overdispersed_yield_limits(&below, Level::P95), yield_limits(&below, Level::P95));
        assert!(
            limits.high.expect("high").value() > 1.4 * yield_limits(&manual, Level::P95).high.expect("high").value()
        );
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
