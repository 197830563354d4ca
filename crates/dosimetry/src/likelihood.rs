//! The default limits of a whole-body dose: an exact test of every dose, ordered by likelihood ratio.
//!
//! Merkle's 83/83 adds its two errors the same way whatever their sizes: where the count dominates it covers less than
//! 95 %, where the curve dominates more. Here the count of a dose D is taken as Poisson around a yield that itself
//! varies as the curve's covariance says (a negative binomial), and the limits hold every dose that the count does not
//! reject. Which counts are further from D than the one seen is decided by the likelihood ratio against the best dose of
//! 0 or more (Feldman and Cousins 1998), so that nothing is lost at the border of no dose.

use super::curve::{MOST_GRAY, Response};
use super::whole_body::WholeBody;
use super::{Bounded, DosimetryError, Gray, Level, Sample, yield_limits};
use statrs::function::gamma::{checked_gamma_lr, checked_gamma_ur, ln_gamma};

/// The covariance of a curve is itself an estimate from some ten dose points: Student's t with the eight degrees of
/// freedom of the default curve instead of the normal distribution would be 1.38 in the variance. This margin keeps
/// the coverage at or above the level where the curve dominates (docs/reference/dose.md has the table).
const CURVE_MARGIN: f64 = 1.25;

/// Limits at `level` by inverting the exact test (see the module). The yield gets its exact Poisson limits.
pub fn likelihood(sample: &Sample, response: Response<'_>, level: Level) -> Result<WholeBody, DosimetryError> {
    let test = Test::new(sample, response);
    let x = sample.aberrations();
    let alpha = 1.0 - level.value();
    let value = response.dose_of(sample.mean())?;
    let low = test.edge(x, value.value(), alpha, Side::Low).unwrap_or(0.0);
    let high = test.edge(x, value.value(), alpha, Side::High);
    Ok(WholeBody {
        yield_: yield_limits(sample, level),
        dose: Bounded { value, low: Some(Gray::clamped(low)), high: high.map(Gray::clamped) },
        dose_error: None,
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Low,
    High,
}

struct Test<'c> {
    response: Response<'c>,
    cells: f64,
    background: f64,
    /// What is expected without dose: the best that a count below it can have.
    at_zero: Expected,
}

/// Mean of the count at a dose, and the variance of that mean by the error of the curve.
#[derive(Clone, Copy)]
struct Expected {
    mean: f64,
    variance: f64,
}

impl Expected {
    /// Least over the true mean m of `2 [k ln(k/m) - k + m] + (m - mean)^2/variance`: its minimum solves a quadratic.
    fn deviance(self, k: f64) -> f64 {
        let Self { mean, variance } = self;
        let poisson = |m: f64| if k > 0.0 { 2.0 * (k * (k / m).ln() - k + m) } else { 2.0 * m };
        if variance <= 1e-12 * mean * mean {
            return poisson(mean.max(1e-12));
        }
        let half = (mean - variance) / 2.0;
        let root = (half * half + k * variance).sqrt();
        // Of the two forms of the root the one that does not subtract.
        let m = if half >= 0.0 { half + root } else { k * variance / (root - half) }.max(1e-12);
        poisson(m) + (m - mean) * (m - mean) / variance
    }

    fn counts(self) -> Counts {
        Counts::new(self.mean, self.variance)
    }
}

impl<'c> Test<'c> {
    fn new(sample: &Sample, response: Response<'c>) -> Self {
        let at_zero = Expected { mean: 0.0, variance: 0.0 };
        let mut test = Self { response, cells: sample.full_genome_cells(), background: sample.background(), at_zero };
        test.at_zero = test.expected(0.0);
        test
    }

    fn expected(&self, d: f64) -> Expected {
        Expected {
            mean: self.cells * self.response.y(d).max(0.0) + self.background,
            variance: CURVE_MARGIN * self.cells * self.cells * self.response.variance(d),
        }
    }

    /// Twice the log likelihood ratio of the best dose against the one `at` is of, for a count of `k`: the curve's
    /// yield may move from its estimate at the price of its own error, both there and where the best dose is 0.
    fn ratio(&self, k: f64, at: Expected) -> f64 {
        let best = if k <= self.at_zero.mean { self.at_zero.deviance(k) } else { 0.0 };
        (at.deviance(k) - best).max(0.0)
    }

    /// Probability at dose `d` of a count at least as far from it as `x`.
    fn p_value(&self, x: u64, d: f64) -> f64 {
        let at = self.expected(d);
        let seen = self.ratio(x as f64, at);
        if seen <= 1e-12 {
            return 1.0;
        }
        let slack = seen * (1.0 - 1e-9);
        let as_far = |k: u64| self.ratio(k as f64, at) >= slack;
        let halve = |mut far: u64, mut near: u64| {
            while far.abs_diff(near) > 1 {
                let middle = far.min(near) + far.abs_diff(near) / 2;
                if as_far(middle) { far = middle } else { near = middle }
            }
            far
        };
        let counts = at.counts();
        if (x as f64) < at.mean {
            // The first count above the mean that is as far; the other side is about as wide as this one.
            let mut near = at.mean.floor() as u64;
            let mut step = (near - x.min(near)).max(1);
            while !as_far(near + step) && step < 1 << 40 {
                near += step;
                step *= 2;
            }
            counts.lower(x) + counts.upper(halve(near + step, near))
        } else if as_far(0) {
            let near = (at.mean.ceil() as u64).min(x);
            counts.lower(halve(0, near)) + counts.upper(x)
        } else {
            counts.upper(x)
        }
    }

    /// The outermost dose on one side of the estimate that the count does not reject; none where the curve gives none.
    /// The p value has steps, so it is walked from outside in before the crossing is halved.
    fn edge(&self, x: u64, estimate: f64, alpha: f64, side: Side) -> Option<f64> {
        let rejected = |d: f64| self.p_value(x, d) < alpha;
        let outside = match side {
            Side::Low if estimate <= 0.0 || !rejected(0.0) => return Some(0.0),
            Side::Low => self.far_below(x, estimate, alpha),
            Side::High => self.far_above(x, estimate, alpha)?,
        };
        const STEPS: u32 = 24;
        let at = |i: u32| outside + (estimate - outside) * f64::from(i) / f64::from(STEPS);
        let first = (1..=STEPS).find(|&i| !rejected(at(i)))?;
        let (mut out, mut inside) = (at(first - 1), at(first));
        while (out - inside).abs() > 1e-7 * inside.max(1.0) {
            let middle = 0.5 * (out + inside);
            if rejected(middle) { out = middle } else { inside = middle }
        }
        Some(inside)
    }

    /// A dose so low that the count is far above it: the upper tail alone is a hundredth of `alpha`, or 0.
    fn far_below(&self, x: u64, estimate: f64, alpha: f64) -> f64 {
        let far = |d: f64| self.expected(d).counts().upper(x) < alpha / 100.0;
        if !far(0.0) {
            return 0.0;
        }
        let (mut outside, mut inside) = (0.0, estimate);
        for _ in 0..8 {
            let middle = 0.5 * (inside + outside);
            if far(middle) { outside = middle } else { inside = middle }
        }
        outside
    }

    /// A dose so high that the count is far below it: the lower tail alone is a hundredth of `alpha`.
    fn far_above(&self, x: u64, estimate: f64, alpha: f64) -> Option<f64> {
        let far = |d: f64| self.expected(d).counts().lower(x) < alpha / 100.0;
        let (mut inside, mut width) = (estimate, 0.25 + 0.1 * estimate);
        let mut outside = loop {
            let d = inside + width;
            if d > MOST_GRAY {
                return None;
            }
            if far(d) {
                break d;
            }
            inside = d;
            width *= 2.0;
        };
        // Near enough that the walk's steps are fine.
        for _ in 0..6 {
            let middle = 0.5 * (inside + outside);
            if far(middle) { outside = middle } else { inside = middle }
        }
        Some(outside)
    }
}

/// Counts whose mean varies like a gamma distribution: negative binomial, or Poisson where nothing varies.
struct Counts {
    mean: f64,
    /// Shape of the gamma distribution; none for Poisson.
    shape: Option<f64>,
    /// Shape of a gamma distribution with the variance of the counts, where their sums would be long: it is then right
    /// to a thousandth of a standard deviation.
    smooth: Option<f64>,
}

impl Counts {
    fn new(mean: f64, variance: f64) -> Self {
        let shape = mean * mean / variance;
        // A yield known to no better than twice itself is as good as unknown; the tails of less would never end.
        let shape = (shape.is_finite() && shape < 1e7).then_some(shape.max(0.25));
        let long = mean > 2000.0 || (mean > 200.0 && shape.is_some_and(|r| r < 25.0));
        let smooth = long.then(|| mean * mean / (mean + shape.map_or(0.0, |r| mean * mean / r)));
        Self { mean, shape, smooth }
    }

    fn pmf(&self, k: u64) -> f64 {
        let x = k as f64;
        if self.mean <= 0.0 {
            return if k == 0 { 1.0 } else { 0.0 };
        }
        let ln = match self.shape {
            None => x * self.mean.ln() - self.mean - ln_gamma(x + 1.0),
            Some(r) => {
                ln_gamma(x + r) - ln_gamma(r) - ln_gamma(x + 1.0) - r * (self.mean / r).ln_1p()
                    + x * (self.mean / (r + self.mean)).ln()
            }
        };
        ln.exp()
    }

    /// Probability of `k + 1` over that of `k`.
    fn step(&self, k: f64) -> f64 {
        match self.shape {
            None => self.mean / (k + 1.0),
            Some(r) => (k + r) / (k + 1.0) * self.mean / (r + self.mean),
        }
    }

    /// P(count <= k).
    fn lower(&self, k: u64) -> f64 {
        if let Some(shape) = self.smooth {
            return checked_gamma_lr(shape, shape * (k as f64 + 0.5) / self.mean).unwrap_or(1.0);
        }
        // The shorter or falling side is summed, so that no sum starts from a probability that underflows.
        if (k as f64) > self.mean {
            return 1.0 - self.upper(k + 1);
        }
        let mut term = self.pmf(k);
        let mut sum = term;
        for i in (0..k).rev() {
            term /= self.step(i as f64);
            sum += term;
            if term < 1e-17 * sum {
                break;
            }
        }
        sum.min(1.0)
    }

    /// P(count >= k).
    fn upper(&self, k: u64) -> f64 {
        if k == 0 {
            return 1.0;
        }
        if let Some(shape) = self.smooth {
            return checked_gamma_ur(shape, shape * (k as f64 - 0.5) / self.mean).unwrap_or(0.0);
        }
        if (k as f64) <= self.mean {
            return (1.0 - self.lower(k - 1)).max(0.0);
        }
        let mut term = self.pmf(k);
        let mut sum = term;
        let mut i = k as f64;
        while term > 1e-17 * sum {
            term *= self.step(i);
            sum += term;
            i += 1.0;
        }
        sum.min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{About, Assay, Curve, built_in};

    #[test]
    fn tails_of_the_counts_add_up() {
        for (mean, variance) in [(0.6, 0.0), (0.6, 0.05), (13.8, 0.9), (546.0, 400.0), (5e4, 1e6)] {
            let counts = Counts::new(mean, variance);
            for k in [0u64, 1, 5, 13, 540, 600, 49_000, 50_100] {
                let sum = counts.lower(k) + counts.upper(k + 1);
                assert!((sum - 1.0).abs() < 1e-9, "mean {mean}, variance {variance}, {k}: {sum}");
            }
        }
    }

    #[test]
    fn limits_hold_the_estimate_and_widen_with_the_level() {
        let curve = built_in("co60_barquinero1995").expect("curve");
        for (n, x) in [(50, 0), (50, 5), (500, 1), (500, 14), (500, 25), (500, 546), (20, 60)] {
            let sample = Sample::from_totals(n, x).expect("counts");
            let at = |level| likelihood(&sample, curve.acute(), Level::new(level).expect("level")).expect("dose").dose;
            let (narrow, wide) = (at(0.8), at(0.95));
            assert!(wide.low.expect("low") <= wide.value && wide.value <= wide.high.expect("high"), "{x}/{n}");
            assert!(wide.low <= narrow.low && wide.high >= narrow.high, "{x}/{n}: {narrow:?} {wide:?}");
        }
    }

    #[test]
    fn no_count_at_a_dose_is_rejected_more_often_than_stated() {
        // Coverage at fixed doses by summing over the counts, the curve taken as certain: exact by construction.
        let curve = Curve::new("sure", Assay::Dicentrics, [0.001, 0.02, 0.06], None, None, About::default());
        let curve = curve.expect("curve");
        for dose in [0.0, 0.05, 0.1, 0.3, 0.5, 1.0, 2.0] {
            let mean = 100.0 * curve.acute().y(dose);
            let counts = Counts::new(mean, 0.0);
            let covered: f64 = (0..200u64)
                .filter(|&x| counts.pmf(x) > 1e-7)
                .filter(|&x| {
                    let sample = Sample::from_totals(100, x).expect("counts");
                    let d = likelihood(&sample, curve.acute(), Level::P95).expect("dose").dose;
                    d.low.expect("low").value() <= dose + 1e-8 && d.high.is_none_or(|high| high.value() >= dose - 1e-8)
                })
                .map(|x| counts.pmf(x))
                .sum();
            assert!(covered >= 0.95 - 1e-9, "{dose} Gy: {covered}");
            assert!(covered <= 0.9995, "{dose} Gy: {covered} is more than it need be");
        }
    }
}
