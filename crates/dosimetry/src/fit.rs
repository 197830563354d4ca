//! Fitting a calibration curve to counts at known doses, by maximum likelihood with an identity link.

use super::curve::About;
use super::{Assay, Curve, DosimetryError, Gray, Sample, numeric};
use nalgebra::{DMatrix, DVector};
use serde::Serialize;
use statrs::function::gamma::ln_gamma;

/// Shape of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// `c + alpha D`: high LET.
    Linear,
    /// `c + alpha D + beta D^2`: low LET.
    #[default]
    LinearQuadratic,
}

/// Distribution of the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Poisson, whatever the residuals say.
    Poisson,
    /// Errors widened by the dispersion of the residuals when that is above 1; Poisson otherwise.
    #[default]
    QuasiPoisson,
    /// Errors multiplied by the dispersion even where that shrinks them, as R's `quasipoisson` does. For
    /// comparison with other programs only.
    QuasiPoissonUnclamped,
}

/// One dose of a calibration.
#[derive(Debug, Clone, PartialEq)]
pub struct FitPoint {
    /// Known dose.
    pub dose: Gray,
    /// Cells and aberrations scored at it.
    pub sample: Sample,
}

/// How to fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitOptions {
    /// Shape.
    pub model: Model,
    /// Distribution.
    pub family: Family,
    /// Keep c, alpha and beta at or above 0. A fit whose best coefficients are positive is the same either way.
    pub constrained: bool,
    /// Share of the genome in which translocations are seen (1 for dicentrics): cells are multiplied by it.
    pub genome_factor: f64,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self { model: Model::default(), family: Family::default(), constrained: true, genome_factor: 1.0 }
    }
}

/// A fitted curve and its goodness of fit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fit {
    /// c, alpha, beta (beta 0 for a linear curve).
    pub coefficients: [f64; 3],
    /// Standard errors.
    pub errors: [f64; 3],
    /// Covariance of (c, alpha, beta), the dispersion factor included.
    pub covariance: [[f64; 3]; 3],
    /// Two-sided p values of the coefficients; none for one held at 0.
    pub p_values: [Option<f64>; 3],
    /// Pearson's chi-square over its degrees of freedom; none without degrees of freedom.
    pub dispersion: Option<f64>,
    /// The factor that multiplied the covariance: 1 for a Poisson fit.
    pub variance_factor: f64,
    /// Pearson's chi-square of the residuals.
    pub chi_square: f64,
    /// Points less coefficients.
    pub degrees_of_freedom: usize,
    /// Probability of a chi-square as large by chance; none without degrees of freedom.
    pub goodness_p: Option<f64>,
    /// Poisson log likelihood.
    pub log_likelihood: f64,
    /// Coefficients that the constraint holds at 0.
    pub at_bound: [bool; 3],
    /// What a person should know.
    pub warnings: Vec<String>,
}

impl Fit {
    /// The fit as a curve.
    pub fn into_curve(
        self,
        id: impl Into<String>,
        assay: Assay,
        range: (Gray, Gray),
        about: About,
    ) -> Result<Curve, DosimetryError> {
        Curve::new(id, assay, self.coefficients, Some(self.covariance), Some(range), about)
    }
}

const STEPS: usize = 200;

/// Fits `X_i ~ Poisson(N_i (c + alpha D_i + beta D_i^2))` by Fisher scoring (iteratively reweighted least
/// squares). Points may come in any order; several points of one dose are allowed.
pub fn fit(points: &[FitPoint], options: &FitOptions) -> Result<Fit, DosimetryError> {
    let parameters = match options.model {
        Model::Linear => 2,
        Model::LinearQuadratic => 3,
    };
    let mut doses: Vec<f64> = points.iter().map(|p| p.dose.value()).collect();
    doses.sort_by(f64::total_cmp);
    doses.dedup();
    if doses.len() < parameters {
        return Err(DosimetryError::TooFewPoints { points: doses.len(), parameters });
    }
    if let Some(point) = doses.iter().position(|d| *d > 1000.0) {
        return Err(DosimetryError::BadPoint {
            point: point + 1,
            problem: format!("invalid dose '{} Gy': expected gray, not milligray", doses[point]),
        });
    }
    if !(options.genome_factor > 0.0 && options.genome_factor <= 1.0) {
        return Err(DosimetryError::Quantity {
            what: "genome factor",
            found: options.genome_factor,
            allowed: "above 0 and at most 1",
        });
    }
    if points.iter().all(|p| p.sample.aberrations() == 0) {
        return Err(DosimetryError::Singular);
    }
    let problem = Problem::new(points, options.genome_factor, parameters);

    let all = vec![true; parameters];
    let (b, free) = match problem.maximise(&all) {
        solution if !options.constrained => (solution?, all),
        Ok(b) if b.iter().all(|v| *v >= 0.0) => (b, all),
        solution => match problem.best_within_bounds(parameters) {
            Some(best) => best,
            None => (solution?, all),
        },
    };
    problem.report(&b, &free, options)
}

struct Problem {
    /// Rows `N_i (1, D_i, D_i^2)`.
    design: DMatrix<f64>,
    counts: DVector<f64>,
}

impl Problem {
    fn new(points: &[FitPoint], genome_factor: f64, parameters: usize) -> Self {
        let design = DMatrix::from_fn(points.len(), parameters, |i, j| {
            points[i].sample.cells() as f64 * genome_factor * points[i].dose.value().powi(j as i32)
        });
        let counts = DVector::from_fn(points.len(), |i, _| points[i].sample.aberrations() as f64);
        Self { design, counts }
    }

    fn means(&self, b: &DVector<f64>) -> DVector<f64> {
        &self.design * b
    }

    /// Log likelihood without the factorials; none where a mean is impossible.
    fn objective(&self, mu: &DVector<f64>) -> Option<f64> {
        mu.iter().zip(self.counts.iter()).try_fold(0.0, |sum, (&m, &x)| {
            if m > 0.0 {
                Some(sum + x * m.ln() - m)
            } else if m > -1e-12 && x == 0.0 {
                Some(sum)
            } else {
                None
            }
        })
    }

    fn columns(&self, free: &[bool]) -> DMatrix<f64> {
        let kept: Vec<usize> = (0..free.len()).filter(|&j| free[j]).collect();
        self.design.select_columns(&kept)
    }

    fn information(a: &DMatrix<f64>, weights: &DVector<f64>) -> DMatrix<f64> {
        let weighted = DMatrix::from_fn(a.nrows(), a.ncols(), |i, j| a[(i, j)] * weights[i]);
        a.transpose() * weighted
    }

    /// Solves `information * b = right`, scaled so that doses in other units make no difference.
    fn solve(information: &DMatrix<f64>, right: &DVector<f64>) -> Option<DVector<f64>> {
        let inverse = Self::inverse(information)?;
        Some(inverse * right)
    }

    fn inverse(information: &DMatrix<f64>) -> Option<DMatrix<f64>> {
        let scale: DVector<f64> = information.diagonal().map(|v| if v > 0.0 { 1.0 / v.sqrt() } else { 0.0 });
        if scale.iter().any(|s| *s == 0.0 || !s.is_finite()) {
            return None;
        }
        let n = information.nrows();
        let scaled = DMatrix::from_fn(n, n, |i, j| information[(i, j)] * scale[i] * scale[j]);
        let eigen = scaled.clone().symmetric_eigen();
        if eigen.eigenvalues.min() < 1e-12 {
            return None;
        }
        let inverse = scaled.cholesky()?.inverse();
        Some(DMatrix::from_fn(n, n, |i, j| inverse[(i, j)] * scale[i] * scale[j]))
    }

    /// The best coefficients with those not `free` at 0.
    fn maximise(&self, free: &[bool]) -> Result<DVector<f64>, DosimetryError> {
        let a = self.columns(free);
        // A point without aberrations would have an infinite weight; 0.1 keeps the start finite.
        let start = self.counts.map(|x| 1.0 / (x + 0.1));
        let right = a.transpose() * self.counts.component_mul(&start);
        let first = Self::solve(&Self::information(&a, &start), &right).ok_or(DosimetryError::Singular)?;
        let mut b = first;
        if self.objective(&(&a * &b)).is_none() {
            // Any positive start will do: all coefficients share the total count.
            b = DVector::from_fn(a.ncols(), |j, _| self.counts.sum() / a.column(j).sum() / a.ncols() as f64);
        }
        let mut at = self.objective(&(&a * &b)).ok_or(DosimetryError::Singular)?;
        for _ in 0..STEPS {
            let mu = &a * &b;
            let weights = mu.map(|m| 1.0 / m.max(1e-12));
            let right = a.transpose() * self.counts.component_mul(&weights);
            let target = Self::solve(&Self::information(&a, &weights), &right).ok_or(DosimetryError::Singular)?;
            let step = &target - &b;
            let mut share = 1.0;
            let next = loop {
                let candidate = &b + &step * share;
                match self.objective(&(&a * &candidate)) {
                    Some(value) if value >= at - 1e-12 * at.abs() => break Some((candidate, value)),
                    _ if share < 1e-10 => break None,
                    _ => share /= 2.0,
                }
            };
            let Some((candidate, value)) = next else { break };
            let change = (0..b.len()).map(|j| ((candidate[j] - b[j]) / candidate[j].abs().max(1e-12)).abs());
            let change = change.fold(0.0, f64::max);
            b = candidate;
            at = value;
            if share == 1.0 && change < 1e-12 {
                return Ok(self.expand(&b, free));
            }
        }
        // Rounding can keep the last digits moving: accept where the gradient has vanished.
        let mu = &a * &b;
        let residual = DVector::from_fn(mu.len(), |i, _| self.counts[i] / mu[i].max(1e-12) - 1.0);
        let gradient = a.transpose() * residual;
        let small = (0..b.len()).all(|j| gradient[j].abs() <= 1e-6 * a.column(j).sum());
        if small { Ok(self.expand(&b, free)) } else { Err(DosimetryError::NotConverged(STEPS)) }
    }

    fn expand(&self, b: &DVector<f64>, free: &[bool]) -> DVector<f64> {
        let mut kept = b.iter();
        DVector::from_iterator(
            free.len(),
            free.iter().map(|f| if *f { *kept.next().expect("one value a free coefficient") } else { 0.0 }),
        )
    }

    /// The best coefficients of 0 or more, and which of them are free: the best of the optima over each set of free coefficients. Those
    /// that the optimum does not hold at 0 are one of the sets, and with three coefficients there are six beside all of them.
    fn best_within_bounds(&self, parameters: usize) -> Option<(DVector<f64>, Vec<bool>)> {
        let some =
            (1..(1_u32 << parameters) - 1).map(|set| (0..parameters).map(|j| set >> j & 1 == 1).collect::<Vec<bool>>());
        some.filter_map(|free| Some((self.maximise(&free).ok()?, free)))
            .filter(|(b, _)| b.iter().all(|v| *v >= 0.0))
            .filter_map(|(b, free)| Some((self.objective(&self.means(&b))?, (b, free))))
            .max_by(|one, other| one.0.total_cmp(&other.0))
            .map(|(_, best)| best)
    }

    fn report(&self, b: &DVector<f64>, free: &[bool], options: &FitOptions) -> Result<Fit, DosimetryError> {
        let mu = self.means(b);
        let a = self.columns(free);
        let weights = mu.map(|m| 1.0 / m.max(1e-12));
        let block = Self::inverse(&Self::information(&a, &weights)).ok_or(DosimetryError::Singular)?;
        let degrees = mu.len() - a.ncols();
        let chi_square: f64 =
            mu.iter().zip(self.counts.iter()).map(|(&m, &x)| if m > 1e-12 { (x - m) * (x - m) / m } else { 0.0 }).sum();
        let dispersion = (degrees > 0).then(|| chi_square / degrees as f64);
        let factor = match (options.family, dispersion) {
            (Family::QuasiPoisson, Some(phi)) => phi.max(1.0),
            (Family::QuasiPoissonUnclamped, Some(phi)) => phi,
            _ => 1.0,
        };
        let mut covariance = [[0.0; 3]; 3];
        let kept: Vec<usize> = (0..free.len()).filter(|&j| free[j]).collect();
        for (i, &row) in kept.iter().enumerate() {
            for (j, &column) in kept.iter().enumerate() {
                covariance[row][column] = block[(i, j)] * factor;
            }
        }
        let coefficients: [f64; 3] = std::array::from_fn(|j| b.get(j).copied().unwrap_or(0.0));
        let errors: [f64; 3] = std::array::from_fn(|j| covariance[j][j].sqrt());
        let t_degrees = (factor != 1.0).then_some(degrees as f64);
        let p_values = std::array::from_fn(|j| {
            (errors[j] > 0.0).then(|| numeric::two_sided_p(coefficients[j] / errors[j], t_degrees))
        });
        let goodness_p = (degrees > 0).then(|| numeric::chi_square_upper(chi_square, degrees as f64));
        let log_likelihood =
            self.objective(&mu).unwrap_or(0.0) - self.counts.iter().map(|x| ln_gamma(x + 1.0)).sum::<f64>();
        let at_bound = std::array::from_fn(|j| free.get(j).is_some_and(|f| !f));
        let mut result = Fit {
            coefficients,
            errors,
            covariance,
            p_values,
            dispersion,
            variance_factor: factor,
            chi_square,
            degrees_of_freedom: degrees,
            goodness_p,
            log_likelihood,
            at_bound,
            warnings: Vec::new(),
        };
        result.warnings = self.warnings(&result);
        Ok(result)
    }

    fn warnings(&self, fit: &Fit) -> Vec<String> {
        let mut warnings = Vec::new();
        if fit.at_bound[2] {
            warnings.push("the best beta is negative: it is held at 0, so use the linear model".into());
        }
        if fit.at_bound[0] || fit.at_bound[1] {
            let which = if fit.at_bound[0] { "c" } else { "alpha" };
            warnings.push(format!("the best {which} is negative: it is held at 0 and counts as known"));
        }
        if fit.coefficients.iter().any(|v| *v < 0.0) {
            warnings.push("a coefficient is negative: the curve gives no dose below its range".into());
        }
        if fit.degrees_of_freedom == 0 {
            warnings.push("as many points as coefficients: the goodness of the fit is unknown".into());
        }
        if let Some(p) = fit.goodness_p
            && p < 0.05
        {
            warnings.push(format!(
                "the points scatter more than Poisson around the curve (chi-square {:.1} on {}, p = {p:.2e}){}",
                fit.chi_square,
                fit.degrees_of_freedom,
                if fit.variance_factor > 1.0 { "; errors are widened for it" } else { "" }
            ));
        }
        warnings
    }
}

/// What a calibration should have and this one lacks (IAEA 2011, 8.3): doses, zero dose, cells.
pub fn design_warnings(points: &[FitPoint], model: Model) -> Vec<String> {
    let mut warnings = Vec::new();
    let doses: Vec<f64> = points.iter().map(|p| p.dose.value()).collect();
    if !doses.is_sorted() {
        warnings.push("the doses were not in ascending order; the fit does not depend on it".into());
    }
    if !doses.contains(&0.0) {
        warnings.push("no point at 0 Gy: the background is extrapolated".into());
    }
    if doses.len() < 7 {
        warnings.push(format!("{} dose points; 7 or more are recommended", doses.len()));
    }
    let low = doses.iter().filter(|d| **d <= 1.0).count();
    if model == Model::LinearQuadratic && low < 5 {
        warnings.push(format!("{low} points at or below 1 Gy; 5, counting 0 Gy, are recommended"));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(rows: &[(f64, u64, u64)]) -> Vec<FitPoint> {
        rows.iter()
            .map(|&(dose, cells, x)| FitPoint {
                dose: Gray::clamped(dose),
                sample: Sample::from_totals(cells, x).expect("counts"),
            })
            .collect()
    }

    #[test]
    fn a_negative_beta_is_held_at_nought_and_said() {
        let data = points(&[(0.0, 2000, 2), (1.0, 500, 150), (2.0, 500, 280), (3.0, 300, 230), (4.0, 200, 190)]);
        let free = fit(&data, &FitOptions { constrained: false, ..Default::default() }).expect("free fit");
        assert!(free.coefficients[2] < 0.0);
        let held = fit(&data, &FitOptions::default()).expect("constrained fit");
        let linear = fit(&data, &FitOptions { model: Model::Linear, ..Default::default() }).expect("linear");
        assert_eq!(held.coefficients[2], 0.0);
        assert_eq!(held.at_bound, [false, false, true]);
        assert!((held.coefficients[1] - linear.coefficients[1]).abs() < 1e-10);
        assert_eq!(held.covariance[2], [0.0; 3]);
        assert!(held.warnings.iter().any(|w| w.contains("linear model")));
    }

    #[test]
    fn a_negative_background_is_held_at_nought() {
        let data = points(&[(0.0, 1000, 0), (0.5, 1000, 2), (1.0, 1000, 20), (2.0, 500, 45), (3.0, 300, 63)]);
        let held = fit(&data, &FitOptions::default()).expect("fit");
        assert!(held.coefficients.iter().all(|v| *v >= 0.0), "{held:?}");
        assert!(held.at_bound.iter().any(|b| *b));
    }

    #[test]
    fn points_that_cannot_tell_the_coefficients_apart_are_refused() {
        let same = points(&[(1.0, 500, 50), (1.0, 500, 55), (1.0, 400, 44), (1.0, 300, 33)]);
        assert!(matches!(fit(&same, &FitOptions::default()), Err(DosimetryError::TooFewPoints { points: 1, .. })));
        let none = points(&[(0.0, 500, 0), (1.0, 500, 0), (2.0, 500, 0)]);
        assert_eq!(fit(&none, &FitOptions::default()), Err(DosimetryError::Singular));
        let milligray = points(&[(0.0, 500, 0), (1000.0, 500, 40), (2000.0, 500, 100)]);
        assert!(matches!(fit(&milligray, &FitOptions::default()), Err(DosimetryError::BadPoint { .. })));
    }

    #[test]
    fn a_curve_without_dicentrics_at_low_doses_is_fitted() {
        // A scorer without false calls: the optimum lies where background and slope are 0.
        let points: Vec<FitPoint> = [
            (0.0, 103, 0),
            (0.1, 108, 0),
            (0.25, 118, 0),
            (0.5, 108, 1),
            (0.75, 105, 2),
            (1.0, 110, 6),
            (2.0, 113, 17),
            (3.0, 111, 42),
            (4.0, 93, 55),
            (5.0, 80, 95),
        ]
        .into_iter()
        .map(|(dose, cells, x)| FitPoint {
            dose: Gray::clamped(dose),
            sample: Sample::from_totals(cells, x).expect("counts"),
        })
        .collect();
        let found = fit(&points, &FitOptions::default()).expect("a curve");
        let [c, alpha, beta] = found.coefficients;
        assert!(c == 0.0 && (0.0..0.01).contains(&alpha) && (0.035..0.046).contains(&beta), "{found:?}");
        assert!(found.at_bound[0] && found.errors[2] > 0.0, "{found:?}");
    }

    #[test]
    fn a_fit_recovers_the_curve_it_was_drawn_from() {
        let y = |d: f64| 0.001 + 0.02 * d + 0.06 * d * d;
        let rows: Vec<(f64, u64, u64)> =
            [0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0].iter().map(|&d| (d, 100_000, (1e5 * y(d)).round() as u64)).collect();
        let found = fit(&points(&rows), &FitOptions::default()).expect("fit").coefficients;
        for (found, truth) in found.iter().zip([0.001, 0.02, 0.06]) {
            assert!((found - truth).abs() < 1e-4 * truth.max(0.01), "{found} {truth}");
        }
    }
}
