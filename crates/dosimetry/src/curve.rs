//! The calibration curve `Y = c + alpha D + beta D^2` with the uncertainty of its coefficients.

use super::{Assay, DosimetryError, Gray, Remaining, Scoring, Yield, numeric};
use nalgebra::{Matrix3, SymmetricEigen, Vector3};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is known of the coefficients' errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Uncertainty {
    /// Nothing: limits come from the counts alone.
    None,
    /// Standard errors, no covariances: zeros stand in, which widens the limits (by 6 to 18 % in the cases tried).
    ErrorsOnly,
    /// The whole covariance matrix.
    Covariance,
}

/// A curve that can give a dose: complete, plausible, with a covariance that is one.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    pub(super) id: String,
    pub(super) assay: Assay,
    pub(super) coefficients: Vector3<f64>,
    pub(super) covariance: Matrix3<f64>,
    pub(super) uncertainty: Uncertainty,
    pub(super) linear: bool,
    pub(super) dose_range: Option<(f64, f64)>,
    pub(super) about: About,
}

/// Where a curve comes from; travels with every result.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Radiation, such as `60Co gamma`.
    #[serde(default)]
    pub radiation: String,
    /// Dose rate in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dose_rate: Option<String>,
    /// How the cells were scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scoring: Option<Scoring>,
    /// The scorer that counted, where a machine did: version, strictness, selection of cells and networks, in one line. The curve
    /// holds for cells that the same one counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scorer: Option<String>,
    /// Its cells were counted by QuickScan: complete by their look, without the count of 46 centromeres. The curve holds for such alone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub quickscan: bool,
    /// Laboratory that made the curve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub laboratory: Option<String>,
    /// Publication or file.
    #[serde(default)]
    pub source: String,
    /// Kind of fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<String>,
    /// How it was made from another curve, in words; stated with every dose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<String>,
    /// What to know before use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// True for the curves that come with the program: of other laboratories than the user's.
    #[serde(skip)]
    pub built_in: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Curve {
    /// Checks and joins the parts. `covariance` is of (c, alpha, beta), per cell and gray.
    pub fn new(
        id: impl Into<String>,
        assay: Assay,
        [c, alpha, beta]: [f64; 3],
        covariance: Option<[[f64; 3]; 3]>,
        dose_range: Option<(Gray, Gray)>,
        about: About,
    ) -> Result<Self, DosimetryError> {
        let id = id.into();
        let bad = |problem: String| DosimetryError::BadCurve { id: id.clone(), problem };
        if let Some((name, found)) =
            [("c", c), ("alpha", alpha), ("beta", beta)].into_iter().find(|(_, v)| !v.is_finite())
        {
            return Err(bad(format!("invalid {name} '{found}': expected a finite number")));
        }
        if alpha == 0.0 && beta == 0.0 {
            return Err(bad("alpha and beta are both 0, so the yield does not depend on the dose".into()));
        }
        if alpha < 0.0 {
            return Err(bad(format!(
                "invalid alpha '{alpha}': expected 0 or more, for a yield that falls with the dose gives no dose"
            )));
        }
        // Background dicentrics are 0.5 to 1 in 1000 cells, and no published slope reaches 1.5 per cell and Gy.
        // What a machine calls wrongly belongs to its background, which may be a hundred times that of people's counts.
        if matches!(assay, Assay::Dicentrics | Assay::DicentricsAndRings) {
            let most_c = if about.scorer.is_some() { 5.0 } else { 0.05 };
            let beyond = [("c", c, most_c), ("alpha", alpha, 1.5), ("beta", beta, 0.6)];
            if let Some(&(what, found, _)) = beyond.iter().find(|(_, found, most)| found > most) {
                return Err(DosimetryError::CurveInPercent { id, what, found });
            }
        }
        if let Some((low, high)) = dose_range
            && low.value() >= high.value()
        {
            return Err(bad(format!("invalid dose range '{low} to {high}': expected the lower dose first")));
        }
        let matrix = covariance.map_or_else(Matrix3::zeros, |v| Matrix3::from_fn(|i, j| v[i][j]));
        check_covariance(&matrix).map_err(bad)?;
        let off_diagonal = matrix[(0, 1)] != 0.0 || matrix[(0, 2)] != 0.0 || matrix[(1, 2)] != 0.0;
        let uncertainty = match (matrix.trace() > 0.0, off_diagonal) {
            (false, _) => Uncertainty::None,
            (true, false) => Uncertainty::ErrorsOnly,
            (true, true) => Uncertainty::Covariance,
        };
        Ok(Self {
            id,
            assay,
            coefficients: Vector3::new(c, alpha, beta),
            covariance: matrix,
            uncertainty,
            linear: beta == 0.0,
            dose_range: dose_range.map(|(low, high)| (low.value(), high.value())),
            about,
        })
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it counts.
    pub fn assay(&self) -> Assay {
        self.assay
    }

    /// c (per cell), alpha (per cell and Gy), beta (per cell and Gy^2).
    pub fn coefficients(&self) -> [f64; 3] {
        self.coefficients.into()
    }

    /// Covariance of the coefficients.
    pub fn covariance(&self) -> [[f64; 3]; 3] {
        std::array::from_fn(|i| std::array::from_fn(|j| self.covariance[(i, j)]))
    }

    /// What is known of their errors.
    pub fn uncertainty(&self) -> Uncertainty {
        self.uncertainty
    }

    /// Calibrated doses, lowest and highest, where known.
    pub fn dose_range(&self) -> Option<(Gray, Gray)> {
        self.dose_range.map(|(low, high)| (Gray::clamped(low), Gray::clamped(high)))
    }

    /// Where it comes from.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The same curve with another account of where it comes from.
    #[must_use]
    pub fn with_about(mut self, about: About) -> Self {
        self.about = about;
        self
    }

    /// The curve for an exposure protracted by the factor `g` (1 when acute), which acts on beta alone.
    pub fn at(&self, g: Protraction) -> Response<'_> {
        Response { curve: self, g: g.0, remaining: 1.0 }
    }

    /// The curve for acute exposure.
    pub fn acute(&self) -> Response<'_> {
        self.at(Protraction::ACUTE)
    }

    /// Coefficients that are not 0: degrees of freedom of the confidence band.
    pub(super) fn parameters(&self) -> usize {
        self.coefficients.iter().filter(|v| **v != 0.0).count()
    }

    /// What a person should know before trusting a dose from this curve.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.about.built_in {
            warnings.push(format!(
                "curve {} was made by another laboratory; doses by it can be off by more than the limits say: \
                 use a curve of your own",
                self.id
            ));
        }
        match self.uncertainty {
            Uncertainty::Covariance => {}
            Uncertainty::ErrorsOnly => warnings.push(format!(
                "curve {} has no covariances: zeros stand in for them and the limits come out too wide",
                self.id
            )),
            Uncertainty::None => {
                warnings.push(format!("curve {} has no errors: the limits hold the error of the counts alone", self.id))
            }
        }
        warnings.extend(self.about.correction.iter().cloned());
        if self.coefficients[0] < 0.0 || self.coefficients[2] < 0.0 {
            warnings.push(format!("curve {} has a negative coefficient: it holds inside its dose range only", self.id));
        }
        if self.coefficients[0] > 0.01
            && self.about.scorer.is_none()
            && matches!(self.assay, Assay::Dicentrics | Assay::DicentricsAndRings)
        {
            warnings.push(format!(
                "curve {} has a background of {} per cell, more than the usual 0.0005 to 0.001",
                self.id, self.coefficients[0]
            ));
        }
        if self.covariance[(1, 2)] > 0.0 {
            warnings.push(format!(
                "curve {} has a positive covariance of alpha and beta, which is nearly always a sign error",
                self.id
            ));
        }
        warnings
    }
}

fn check_covariance(v: &Matrix3<f64>) -> Result<(), String> {
    if v.iter().any(|x| !x.is_finite()) {
        return Err("its covariance holds a number that is not finite".into());
    }
    if (v - v.transpose()).amax() > 1e-9 * v.amax() {
        return Err("its covariance is not symmetric".into());
    }
    if let Some(i) = (0..3).find(|&i| v[(i, i)] < 0.0) {
        return Err(format!("the variance of coefficient {} is negative ({})", i + 1, v[(i, i)]));
    }
    // Correlations, so that the test does not depend on the scale of each coefficient. Rounded published
    // matrices may miss by a little.
    let scale = v.diagonal().map(|x| if x > 0.0 { x.sqrt() } else { 0.0 });
    let mut correlation = Matrix3::identity();
    for (i, j) in [(0, 1), (0, 2), (1, 2)] {
        let product = scale[i] * scale[j];
        if product == 0.0 {
            if v[(i, j)] != 0.0 {
                return Err("it has a covariance for a coefficient without a variance".into());
            }
            continue;
        }
        correlation[(i, j)] = v[(i, j)] / product;
        correlation[(j, i)] = correlation[(i, j)];
    }
    let least = SymmetricEigen::new(correlation).eigenvalues.min();
    if least < -1e-3 {
        return Err(format!(
            "its covariance is not positive semidefinite (a correlation matrix with eigenvalue {least:.3}): \
             check signs and order (c_c, c_alpha, c_beta, alpha_alpha, alpha_beta, beta_beta)"
        ));
    }
    Ok(())
}

/// The factor G on beta for an exposure that took time: 1 when acute, towards 0 when endless.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
pub struct Protraction(f64);

impl Protraction {
    /// All at once.
    pub const ACUTE: Self = Self(1.0);
    /// Mean time between a lesion and its repair: 2 h (Lloyd 1984).
    pub const REPAIR_HOURS: f64 = 2.0;

    /// `G(x) = 2/x^2 (x - 1 + exp(-x))` with `x = hours/repair_hours` (Lea and Catcheside 1942).
    pub fn lea_catcheside(hours: f64, repair_hours: f64) -> Result<Self, DosimetryError> {
        if !(hours.is_finite() && hours >= 0.0) {
            return Err(DosimetryError::Quantity { what: "hours of irradiation", found: hours, allowed: "0 or more" });
        }
        if !(repair_hours.is_finite() && repair_hours > 0.0) {
            return Err(DosimetryError::Quantity {
                what: "repair time in hours",
                found: repair_hours,
                allowed: "more than 0",
            });
        }
        let x = hours / repair_hours;
        // The closed form loses every digit near 0; 1e-3 leaves the series right to 1e-11.
        let g = if x < 1e-3 { 1.0 - x / 3.0 + x * x / 12.0 } else { 2.0 / (x * x) * (x + (-x).exp_m1()) };
        Ok(Self(g.clamp(0.0, 1.0)))
    }

    /// Short fractions of equal size, `interval_hours` apart: pairs i apart weigh `exp(-i dt/t0)` (two fractions
    /// give Lea and Catcheside's split dose).
    pub fn fractions(count: u32, interval_hours: f64, repair_hours: f64) -> Result<Self, DosimetryError> {
        if !(1..=10_000).contains(&count) {
            return Err(DosimetryError::Quantity {
                what: "number of fractions",
                found: f64::from(count),
                allowed: "1 to 10000",
            });
        }
        if !(interval_hours.is_finite() && interval_hours >= 0.0 && repair_hours.is_finite() && repair_hours > 0.0) {
            return Err(DosimetryError::Quantity {
                what: "interval between fractions in hours",
                found: interval_hours,
                allowed: "0 or more, with a repair time above 0",
            });
        }
        let n = f64::from(count);
        let pairs: f64 =
            (1..count).map(|i| 2.0 * (n - f64::from(i)) * (-f64::from(i) * interval_hours / repair_hours).exp()).sum();
        Ok(Self((n + pairs) / (n * n)))
    }

    /// A factor that was computed before; none outside 0 to 1.
    pub fn from_factor(g: f64) -> Option<Self> {
        (0.0..=1.0).contains(&g).then_some(Self(g))
    }

    /// The factor itself, 0 to 1.
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl Default for Protraction {
    fn default() -> Self {
        Self::ACUTE
    }
}

/// A curve at a protraction: yield from dose, dose from yield.
#[derive(Debug, Clone, Copy)]
pub struct Response<'c> {
    curve: &'c Curve,
    g: f64,
    remaining: f64,
}

/// Beyond this no curve is asked.
pub(super) const MOST_GRAY: f64 = 1e4;

impl Response<'_> {
    /// The same when only a share of the induced aberrations is left at sampling: the
    /// background stays, the rest shrinks.
    pub fn with_remaining(self, share: Remaining) -> Self {
        Self { remaining: share.value(), ..self }
    }

    /// The curve behind it.
    pub fn curve(&self) -> &Curve {
        self.curve
    }

    /// Expected yield at a dose.
    pub fn yield_at(&self, dose: Gray) -> Yield {
        Yield::of(self.y(dose.value()))
    }

    pub(super) fn y(&self, d: f64) -> f64 {
        let [c, alpha, beta] = self.curve.coefficients();
        c + self.remaining * (alpha * d + beta * self.g * d * d)
    }

    /// Slope of the curve at dose `d`.
    pub(super) fn slope(&self, d: f64) -> f64 {
        let [_, alpha, beta] = self.curve.coefficients();
        self.remaining * (alpha + 2.0 * beta * self.g * d)
    }

    /// Gradient of the yield by (c, alpha, beta).
    pub(super) fn gradient(&self, d: f64) -> Vector3<f64> {
        Vector3::new(1.0, self.remaining * d, self.remaining * self.g * d * d)
    }

    /// Variance of the curve's yield at dose `d`.
    pub(super) fn variance(&self, d: f64) -> f64 {
        let g = self.gradient(d);
        (g.transpose() * self.curve.covariance * g)[0].max(0.0)
    }

    /// Standard error of the curve at a dose.
    pub fn error_at(&self, dose: Gray) -> Yield {
        Yield::of(self.variance(dose.value()).sqrt())
    }

    /// The dose of a yield; 0 for a yield at or below the background. With a negative beta the smaller root;
    /// a yield above the vertex is an error.
    pub fn dose_of(&self, observed: Yield) -> Result<Gray, DosimetryError> {
        self.d(observed.value()).map(Gray::clamped)
    }

    pub(super) fn d(&self, y: f64) -> Result<f64, DosimetryError> {
        let [c, alpha, beta] = self.curve.coefficients();
        let beta = beta * self.g;
        let excess = (y - c) / self.remaining;
        if excess <= 0.0 {
            return Ok(0.0);
        }
        let discriminant = alpha * alpha + 4.0 * beta * excess;
        if discriminant < 0.0 {
            let vertex = -alpha / (2.0 * beta);
            return Err(DosimetryError::AboveVertex {
                id: self.curve.id.clone(),
                found: y,
                vertex: self.y(vertex),
                dose: vertex,
            });
        }
        // This form of the root keeps its digits as beta goes to 0 and takes the smaller root for beta < 0.
        let d = 2.0 * excess / (alpha + discriminant.sqrt());
        if d.is_finite() && d <= MOST_GRAY {
            Ok(d)
        } else {
            Err(DosimetryError::NotReached { id: self.curve.id.clone(), found: y })
        }
    }

    /// Band of the curve at a dose: yield -/+ `factor` standard errors.
    pub(super) fn band(&self, d: f64, factor: f64) -> f64 {
        self.y(d) + factor * self.variance(d).sqrt()
    }

    /// Factor of the simultaneous band: root of the chi-square quantile with as many degrees of freedom as
    /// coefficients (2.796 for three at 95 %). The limits of a straight line or parabola as a whole.
    pub fn band_factor(&self, level: super::Level) -> f64 {
        numeric::chi_square_quantile(level.value(), self.curve.parameters() as f64).sqrt()
    }

    /// Whether the curve was calibrated at this dose; true where the range is not known.
    pub fn calibrated_at(&self, dose: Gray) -> bool {
        self.curve.dose_range.is_none_or(|(low, high)| dose.value() <= high && (low <= 0.5 || dose.value() >= low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protraction_follows_lea_and_catcheside() {
        for (hours, g) in [(0.0, 1.0), (1e-7, 0.999_999_983_3), (0.5, 0.921_625_058_3), (24.0, 0.152_777_863_1)] {
            let found = Protraction::lea_catcheside(hours, 2.0).expect("G").value();
            assert!((found - g).abs() < 1e-9, "{hours} h: {found}");
        }
        let near = |h| Protraction::lea_catcheside(h, 1.0).expect("G").value();
        assert!((near(0.000_999_999) - near(0.001_000_001)).abs() < 1e-8);
        assert!(Protraction::lea_catcheside(-1.0, 2.0).is_err());
        assert!(Protraction::lea_catcheside(1.0, 0.0).is_err());
    }

    #[test]
    fn fractions_join_acute_and_continuous_exposure() {
        let g = |n, dt| Protraction::fractions(n, dt, 2.0).expect("G").value();
        assert_eq!(g(1, 5.0), 1.0);
        assert!((g(2, 0.0) - 1.0).abs() < 1e-12);
        assert!((g(2, 1e3) - 0.5).abs() < 1e-12);
        let continuous = Protraction::lea_catcheside(6.0, 2.0).expect("G").value();
        assert!((g(1000, 6.0 / 1000.0) - continuous).abs() < 1e-3);
    }

    #[test]
    fn curves_that_cannot_be_are_refused() {
        let make = |k, v| Curve::new("x", Assay::Dicentrics, k, v, None, About::default());
        assert!(matches!(make([0.128, 2.1, 6.3], None), Err(DosimetryError::CurveInPercent { .. })));
        assert!(make([0.001, f64::NAN, 0.0], None).is_err());
        assert!(make([0.001, 0.0, 0.0], None).is_err());
        let not_psd = [[1e-7, 1e-4, 0.0], [1e-4, 1e-5, 0.0], [0.0, 0.0, 1e-5]];
        assert!(matches!(make([0.001, 0.02, 0.06], Some(not_psd)), Err(DosimetryError::BadCurve { .. })));
        let lopsided = [[1e-7, 1e-7, 0.0], [0.0, 1e-5, 0.0], [0.0, 0.0, 1e-5]];
        assert!(make([0.001, 0.02, 0.06], Some(lopsided)).is_err());
    }

    #[test]
    fn a_curve_that_turns_down_refuses_yields_above_its_vertex() {
        let range = (Gray::clamped(6.0), Gray::clamped(22.0));
        let curve = Curve::new(
            "bent",
            Assay::DicentricsAndRings,
            [-2.269, 0.776, -0.007868],
            None,
            Some(range),
            About::default(),
        )
        .expect("curve");
        let response = curve.acute();
        let d = response.dose_of(Yield::of(5.0)).expect("dose").value();
        assert!((response.y(d) - 5.0).abs() < 1e-9 && d < 49.0);
        assert!(matches!(response.dose_of(Yield::of(40.0)), Err(DosimetryError::AboveVertex { .. })));
        assert!(!response.calibrated_at(Gray::clamped(2.0)));
    }
}
