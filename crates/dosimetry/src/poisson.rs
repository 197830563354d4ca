//! Exact limits and tests of counts.

use super::numeric::chi_square_quantile;
use super::{Bounded, Level, Sample, Yield};
use statrs::function::gamma::ln_gamma;

/// Exact limits of a Poisson count (Garwood 1936): `chi2((1-L)/2, 2X)/2` and `chi2((1+L)/2, 2X+2)/2`.
pub fn poisson_limits(count: u64, level: Level) -> (f64, f64) {
    let x = count as f64;
    let low = if count == 0 { 0.0 } else { chi_square_quantile(level.tail(), 2.0 * x) / 2.0 };
    (low, chi_square_quantile(1.0 - level.tail(), 2.0 * x + 2.0) / 2.0)
}

/// Yield of a sample with its exact Poisson limits.
pub fn yield_limits(sample: &Sample, level: Level) -> Bounded<Yield> {
    let (low, high) = poisson_limits(sample.aberrations(), level);
    Bounded { value: sample.mean(), low: Some(sample.yield_of(low)), high: Some(sample.yield_of(high)) }
}

/// Two-sided exact test that sums every outcome no more likely than the observed one. The slack keeps ties
/// together as R's `binom.test` and `poisson.test` do.
const TIE: f64 = 1.0 + 1e-7;

/// p value of `case` against `control`, given their cells: conditional binomial, exact and two-sided
/// (ISO 19238, comparison with a control). 1 when nothing was seen in either.
pub fn compare_with_control(case: &Sample, control: &Sample) -> f64 {
    conditional_binomial(case.aberrations(), case.cells(), control.aberrations(), control.cells())
}

pub(crate) fn conditional_binomial(x1: u64, n1: u64, x0: u64, n0: u64) -> f64 {
    let total = x1 + x0;
    let p = n1 as f64 / (n1 as f64 + n0 as f64);
    if total == 0 {
        return 1.0;
    }
    let ln_p = |k: u64| {
        let (k, n) = (k as f64, total as f64);
        ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0) + k * p.ln() + (n - k) * (-p).ln_1p()
    };
    let mode = ((total as f64 + 1.0) * p).floor().min(total as f64) as u64;
    two_sided(ln_p, x1, mode, Some(total))
}

/// p value of a count of `x` where `expected` were to be: exact Poisson, two-sided. `expected` 0 gives 1 for
/// no count and 0 for any.
pub(crate) fn poisson_test(x: u64, expected: f64) -> f64 {
    if expected <= 0.0 {
        return if x == 0 { 1.0 } else { 0.0 };
    }
    let ln_p = |k: u64| k as f64 * expected.ln() - expected - ln_gamma(k as f64 + 1.0);
    two_sided(ln_p, x, expected.floor() as u64, None)
}

/// Sum of the probabilities of all outcomes of a unimodal distribution that are no likelier than `observed`.
fn two_sided(ln_p: impl Fn(u64) -> f64, observed: u64, mode: u64, last: Option<u64>) -> f64 {
    let bar = ln_p(observed) + TIE.ln();
    if ln_p(mode) <= bar {
        return 1.0;
    }
    let last = last.unwrap_or(u64::MAX);
    // The outcomes that count lie below one border and above another; the mode lies between.
    let border = |mut inside: u64, mut outside: u64| {
        while inside.abs_diff(outside) > 1 {
            let middle = inside.min(outside) + inside.abs_diff(outside) / 2;
            if ln_p(middle) <= bar { inside = middle } else { outside = middle }
        }
        inside
    };
    let mut sum = 0.0;
    let mut add = |k: u64| {
        let term = ln_p(k).exp();
        sum += term;
        term > 1e-18 * sum
    };
    if mode > 0 && ln_p(0) <= bar {
        let mut k = border(0, mode);
        while add(k) && k > 0 {
            k -= 1;
        }
    }
    let mut far = mode;
    let mut width = 1u64;
    while far < last && ln_p(far) > bar {
        far = far.saturating_add(width).min(last);
        width *= 2;
    }
    if ln_p(far) <= bar {
        let mut k = border(far, mode);
        while add(k) && k < last {
            k += 1;
        }
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirteen_against_one_in_a_thousand() {
        let case = Sample::from_totals(1000, 13).expect("case");
        let control = Sample::from_totals(1000, 1).expect("control");
        assert!((compare_with_control(&case, &control) - 0.001_831_054_687_5).abs() < 1e-12);
    }

    #[test]
    fn the_two_sided_sum_equals_a_plain_sum_over_all_outcomes() {
        for (n1, n0) in [(20u64, 1000u64), (500, 1000), (1000, 1000), (1000, 20)] {
            for total in 0..14u64 {
                let p = n1 as f64 / (n1 + n0) as f64;
                let choose = |n: u64, k: u64| (0..k).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64);
                let prob = |k: u64| choose(total, k) * p.powi(k as i32) * (1.0 - p).powi((total - k) as i32);
                for x1 in 0..=total {
                    let plain: f64 = (0..=total).map(prob).filter(|q| *q <= prob(x1) * TIE).sum();
                    let ours = conditional_binomial(x1, n1, total - x1, n0);
                    assert!((plain.min(1.0) - ours).abs() < 1e-10, "{x1}/{n1} {total} {n0}: {plain} {ours}");
                }
            }
        }
        for expected in [0.02f64, 0.4, 1.0, 2.0, 7.5] {
            let pmf = |k: u64| (1..=k).fold((-expected).exp(), |p, i| p * expected / i as f64);
            for x in 0..20 {
                let plain: f64 = (0..80).map(pmf).filter(|q| *q <= pmf(x) * TIE).sum();
                let ours = poisson_test(x, expected);
                assert!((plain.min(1.0) - ours).abs() < 1e-10, "{x} of {expected}: {plain} {ours}");
            }
        }
    }
}
