//! Roots and quantiles, guarded so that odd input gives none instead of a panic or NaN.

use roots::{SimpleConvergency, find_root_brent};
use statrs::distribution::{ChiSquared, ContinuousCDF, Normal, StudentsT};

/// The root of `f` between `low` and `high`, where `f` changes sign (Brent's method, to 1e-13).
pub(crate) fn root_between(low: f64, high: f64, f: impl Fn(f64) -> f64) -> Option<f64> {
    let (at_low, at_high) = (f(low), f(high));
    if at_low == 0.0 {
        return Some(low);
    }
    if at_high == 0.0 {
        return Some(high);
    }
    if at_low.is_nan() || at_high.is_nan() || (at_low > 0.0) == (at_high > 0.0) {
        return None;
    }
    let mut convergency = SimpleConvergency { eps: 1e-13, max_iter: 200 };
    find_root_brent(low, high, &f, &mut convergency).ok().filter(|x| x.is_finite())
}

/// The smallest `x >= start` at which `f` reaches 0 from below, sought up to `limit`: intervals that double
/// from `step`, each looked at in 16 places, so that a turn-down later on cannot hide the first crossing.
pub(crate) fn first_reach(start: f64, step: f64, limit: f64, f: impl Fn(f64) -> f64) -> Option<f64> {
    if f(start) >= 0.0 {
        return Some(start);
    }
    let (mut low, mut width) = (start, step);
    while low < limit {
        for part in 1..=16 {
            let (a, b) = (low + width * f64::from(part - 1) / 16.0, low + width * f64::from(part) / 16.0);
            if f(b) >= 0.0 {
                return root_between(a, b, &f);
            }
        }
        low += width;
        width *= 2.0;
    }
    None
}

/// Quantile of the chi-square distribution; 0 for no degrees of freedom.
pub(crate) fn chi_square_quantile(p: f64, degrees: f64) -> f64 {
    if degrees <= 0.0 || p <= 0.0 {
        return 0.0;
    }
    // Above some hundred thousand degrees the series of the exact quantile is slow and Wilson and Hilferty
    // (1931) are right to eight digits.
    if degrees > 2e5 {
        let h = 2.0 / (9.0 * degrees);
        return degrees * (1.0 - h + normal_quantile(p) * h.sqrt()).powi(3);
    }
    ChiSquared::new(degrees).map_or(0.0, |d| d.inverse_cdf(p))
}

/// Upper tail of the chi-square distribution.
pub(crate) fn chi_square_upper(x: f64, degrees: f64) -> f64 {
    if x <= 0.0 || degrees <= 0.0 {
        return 1.0;
    }
    ChiSquared::new(degrees).map_or(1.0, |d| d.sf(x))
}

/// Quantile of the standard normal distribution.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p.clamp(1e-300, 1.0 - 1e-16))
}

/// Two-sided p value of a coefficient: normal, or Student's t where the dispersion was estimated.
pub(crate) fn two_sided_p(statistic: f64, degrees: Option<f64>) -> f64 {
    let upper = match degrees.and_then(|d| StudentsT::new(0.0, 1.0, d).ok()) {
        Some(t) => t.sf(statistic.abs()),
        None => Normal::standard().sf(statistic.abs()),
    };
    (2.0 * upper).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_crossing_is_found_even_where_the_function_turns_down_again() {
        let hump = |x: f64| 1.0 - (x - 3.0).powi(2) * 0.5;
        let x = first_reach(0.0, 1.0, 1e4, hump).expect("it rises above 0");
        assert!((x - (3.0 - 2f64.sqrt())).abs() < 1e-9, "{x}");
        assert_eq!(first_reach(0.0, 1.0, 1e4, |x| -1.0 - x), None);
    }

    #[test]
    fn the_quantile_joins_its_approximation_without_a_step() {
        let near = chi_square_quantile(0.975, 199_999.0);
        let far = chi_square_quantile(0.975, 200_001.0);
        assert!((far - near - 2.0).abs() < 0.01, "{near} {far}");
    }
}
