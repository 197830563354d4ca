//! Two doses in one sample: a mixture of two Poisson distributions (Pujol et al. 2016).

use super::curve::Response;
use super::whole_body::delta_of;
use super::{Bounded, CellSurvival, DosimetryError, Gray, Level, Sample, Yield};
use nalgebra::{Matrix3, Vector3};

/// Two parts of the body with their yields, doses and shares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TwoDoses {
    /// Share of the scored cells in the first part.
    pub scored_fraction: f64,
    /// Its standard error.
    pub scored_fraction_error: Option<f64>,
    /// Yields, the higher first.
    pub yields: [Bounded<Yield>; 2],
    /// Doses.
    pub doses: [Bounded<Gray>; 2],
    /// Standard errors of the doses.
    pub dose_errors: [Option<Gray>; 2],
    /// Share of the cells in each part at the start, with selection by cell death put right.
    pub fractions: [f64; 2],
    /// Standard error of the shares, where the information matrix gives one.
    pub fraction_error: Option<f64>,
    /// True where the second yield sits on its floor: the second part is not distinguishable from unexposed cells,
    /// and errors of its dose mean nothing.
    pub second_at_floor: bool,
    /// Minus the log likelihood.
    pub negative_log_likelihood: f64,
}

/// Lowest yield the second part may take, as in biodosetools.
pub const YIELD_FLOOR: f64 = 0.01;

/// Fits `P(k) = w Pois(k; m1) + (1 - w) Pois(k; m2)` by maximum likelihood from several starts and carries both
/// yields to doses. `floor` is the lowest yield allowed (see [`YIELD_FLOOR`]).
pub fn two_doses(
    sample: &Sample,
    response: Response<'_>,
    survival: CellSurvival,
    floor: Yield,
    level: Level,
) -> Result<TwoDoses, DosimetryError> {
    let Some(histogram) = sample.histogram() else {
        return Err(DosimetryError::NotApplicable(
            "two doses need the distribution over the cells (--counts C0,C1,...), not totals".into(),
        ));
    };
    let classes = histogram.iter().filter(|c| **c > 0).count();
    if classes < 3 {
        return Err(DosimetryError::NotApplicable(
            "two doses need cells with at least three different numbers of aberrations".into(),
        ));
    }
    let floor = floor.value().max(1e-6);
    let problem = Mixture::new(histogram, floor);
    let best = problem
        .starts(sample.aberrations() as f64 / sample.cells() as f64)
        .into_iter()
        .map(|start| problem.maximise(start))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(point, _)| point);
    let Some([w, m1, m2]) = best.filter(|p| p.iter().all(|v| v.is_finite()) && p[0] > 1e-9 && p[0] < 1.0 - 1e-9) else {
        return Err(DosimetryError::NotApplicable("one dose explains the counts: there is no second part".into()));
    };
    let information = -problem.hessian([w, m1, m2]);
    let covariance = information.try_inverse().filter(|v| v[(1, 1)] > 0.0);
    let variance = |i: usize| covariance.map(|v| v[(i, i)]).filter(|v| *v > 0.0);

    let scale = sample.genome_factor();
    let part = |m: f64, variance: Option<f64>| {
        delta_of(Yield::of(m / scale), variance.unwrap_or(0.0) / (scale * scale), response, level)
    };
    let (first, second) = (part(m1, variance(1))?, part(m2, variance(2))?);
    let second_at_floor = m2 <= floor * (1.0 + 1e-6);
    let (d1, d2) = (first.dose.value.value(), second.dose.value.value());
    let gamma = survival.gamma();
    // A part that cannot be distinguished from unexposed cells lost none of them.
    let lost = if second_at_floor { 0.0 } else { d2 };
    let share = 1.0 / (1.0 + (1.0 - w) / w * (gamma * (lost - d1)).exp());

    // Delta method: ln(odds) = ln((1-w)/w) + gamma (D2 - D1), and dF = -F (1 - F) d ln(odds).
    let slope = |d: f64| response.slope(d) * scale;
    let fraction_error = covariance.and_then(|v| {
        let by_curve =
            (response.gradient(d1) / response.slope(d1) - response.gradient(d2) / response.slope(d2)) * gamma;
        let by_counts = Vector3::new(-1.0 / (w * (1.0 - w)), -gamma / slope(d1), gamma / slope(d2));
        let variance = (by_counts.transpose() * v * by_counts)[0]
            + (by_curve.transpose() * response.curve().covariance * by_curve)[0]
            + (survival.gamma_error() * (d2 - d1)).powi(2);
        let error = share * (1.0 - share) * variance.sqrt();
        error.is_finite().then_some(error)
    });
    Ok(TwoDoses {
        scored_fraction: w,
        scored_fraction_error: variance(0).map(f64::sqrt),
        yields: [first.yield_, second.yield_],
        doses: [first.dose, second.dose],
        dose_errors: [first.dose_error, second.dose_error],
        fractions: [share, 1.0 - share],
        fraction_error,
        second_at_floor,
        negative_log_likelihood: -problem.log_likelihood([w, m1, m2]),
    })
}

/// The likelihood of the counts.
struct Mixture {
    /// (k, cells, ln k!)
    classes: Vec<(f64, f64, f64)>,
    floor: f64,
}

type Point = [f64; 3];

impl Mixture {
    fn new(histogram: &[u64], floor: f64) -> Self {
        let classes = histogram
            .iter()
            .enumerate()
            .filter(|(_, c)| **c > 0)
            .map(|(k, &c)| (k as f64, c as f64, statrs::function::gamma::ln_gamma(k as f64 + 1.0)))
            .collect();
        Self { classes, floor }
    }

    fn starts(&self, mean: f64) -> Vec<Point> {
        let mean = mean.max(2.0 * self.floor);
        let mut starts = Vec::new();
        for w in [0.1, 0.3, 0.5, 0.8] {
            // The second part near the floor, or at a third of the mean; the first takes what is left.
            for low in [self.floor, mean / 3.0] {
                starts.push([w, ((mean - (1.0 - w) * low) / w).max(1.5 * low), low]);
            }
        }
        starts
    }

    fn terms(&self, [w, m1, m2]: Point) -> impl Iterator<Item = (f64, f64, f64, f64, f64)> + '_ {
        self.classes.iter().map(move |&(k, cells, ln_factorial)| {
            let p1 = (k * m1.ln() - m1 - ln_factorial).exp();
            let p2 = (k * m2.ln() - m2 - ln_factorial).exp();
            (k, cells, p1, p2, (w * p1 + (1.0 - w) * p2).max(1e-300))
        })
    }

    fn log_likelihood(&self, point: Point) -> f64 {
        self.terms(point).map(|(_, cells, _, _, f)| cells * f.ln()).sum()
    }

    fn em_step(&self, point: Point) -> Point {
        let (mut in_first, mut of_first, mut of_second, mut all) = (0.0, 0.0, 0.0, 0.0);
        for (k, cells, p1, _, f) in self.terms(point) {
            let share = point[0] * p1 / f;
            in_first += cells * share;
            of_first += cells * share * k;
            of_second += cells * (1.0 - share) * k;
            all += cells;
        }
        let m1 = (of_first / in_first.max(1e-300)).max(self.floor);
        let m2 = (of_second / (all - in_first).max(1e-300)).max(self.floor);
        [(in_first / all).clamp(1e-12, 1.0 - 1e-12), m1, m2]
    }

    fn gradient(&self, point: Point) -> Vector3<f64> {
        let [w, m1, m2] = point;
        self.terms(point).fold(Vector3::zeros(), |sum, (k, cells, p1, p2, f)| {
            sum + Vector3::new(p1 - p2, w * p1 * (k / m1 - 1.0), (1.0 - w) * p2 * (k / m2 - 1.0)) * (cells / f)
        })
    }

    fn hessian(&self, point: Point) -> Matrix3<f64> {
        let [w, m1, m2] = point;
        self.terms(point).fold(Matrix3::zeros(), |sum, (k, cells, p1, p2, f)| {
            let (a, b) = (k / m1 - 1.0, k / m2 - 1.0);
            let first = Vector3::new(p1 - p2, w * p1 * a, (1.0 - w) * p2 * b);
            let mut second = Matrix3::zeros();
            second[(0, 1)] = p1 * a;
            second[(1, 0)] = p1 * a;
            second[(0, 2)] = -p2 * b;
            second[(2, 0)] = -p2 * b;
            second[(1, 1)] = w * p1 * (a * a - k / (m1 * m1));
            second[(2, 2)] = (1.0 - w) * p2 * (b * b - k / (m2 * m2));
            sum + (second / f - first * first.transpose() / (f * f)) * cells
        })
    }

    /// Expectation and maximisation, with a Newton step wherever one climbs: the first never fails, the second ends it.
    fn maximise(&self, start: Point) -> (Point, f64) {
        let mut point = start;
        let mut at = self.log_likelihood(point);
        for round in 0..2000 {
            let next = self.em_step(point);
            let gained = self.log_likelihood(next);
            if !gained.is_finite() {
                break;
            }
            point = next;
            let slow = gained - at < 1e-13 * gained.abs();
            at = at.max(gained);
            if round % 8 == 7
                && let Some((better, value)) = self.newton(point, at)
            {
                point = better;
                at = value;
            } else if slow {
                break;
            }
        }
        if point[1] < point[2] {
            point = [1.0 - point[0], point[2], point[1]];
        }
        (point, at)
    }

    fn newton(&self, point: Point, at: f64) -> Option<(Point, f64)> {
        let (mut gradient, mut hessian) = (self.gradient(point), self.hessian(point));
        if point[2] <= self.floor && gradient[2] <= 0.0 {
            gradient[2] = 0.0;
            for i in 0..3 {
                hessian[(i, 2)] = 0.0;
                hessian[(2, i)] = 0.0;
            }
            hessian[(2, 2)] = -1.0;
        }
        let step = hessian.try_inverse()? * -gradient;
        let next = [point[0] + step[0], point[1] + step[1], point[2] + step[2]];
        let inside = (1e-9..1.0 - 1e-9).contains(&next[0]) && next[1] > self.floor && next[2] >= self.floor;
        let value = inside.then(|| self.log_likelihood(next))?;
        (value > at).then_some((next, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::built_in;

    fn estimate(counts: Vec<u64>) -> Result<TwoDoses, DosimetryError> {
        let curve = built_in("co60_barquinero1995").expect("curve");
        let sample = Sample::from_histogram(counts).expect("counts");
        two_doses(&sample, curve.acute(), CellSurvival::default(), Yield::of(YIELD_FLOOR), Level::P95)
    }

    #[test]
    fn a_second_part_on_the_floor_is_said_to_be_unexposed() {
        let found = estimate(vec![302, 28, 22, 8, 1, 0]).expect("estimate");
        assert!(found.second_at_floor);
        assert!((found.fractions[0] - 0.578_018_663).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn the_optimum_is_a_stationary_point() {
        let found = estimate(vec![160, 55, 19, 17, 9, 4]).expect("estimate");
        assert!((found.negative_log_likelihood - 312.789_382_745_9).abs() < 1e-8);
        let problem = Mixture::new(&[160, 55, 19, 17, 9, 4], YIELD_FLOOR);
        let point = [found.scored_fraction, found.yields[0].value.value(), found.yields[1].value.value()];
        assert!(problem.gradient(point).amax() < 1e-4);
    }

    #[test]
    fn counts_of_one_kind_are_refused() {
        assert!(estimate(vec![495, 5]).is_err());
        assert!(estimate(vec![0, 0, 0, 12]).is_err());
    }
}
