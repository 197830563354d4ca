//! The form of a curve file (schema `curve/1`; docs/reference/dose.md shows one), whatever syntax it is written in.

use super::{About, Assay, Curve, DosimetryError, Gray, Uncertainty};
use serde::{Deserialize, Serialize};

/// The unit of the coefficients in a curve file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CurveUnit {
    /// Aberrations per cell.
    #[default]
    #[serde(rename = "per cell")]
    PerCell,
    /// Aberrations per 100 cells.
    #[serde(rename = "per 100 cells")]
    PerHundredCells,
}

/// A curve as its file states it. [`CurveFile::into_curve`] checks it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurveFile {
    /// [`CurveFile::SCHEMA`].
    pub schema: String,
    /// Name of the curve.
    pub id: String,
    /// What it counts.
    #[serde(default)]
    pub assay: Assay,
    /// Unit of coefficients, errors and covariances.
    #[serde(default)]
    pub unit: CurveUnit,
    /// Background yield.
    pub c: Option<f64>,
    /// Linear coefficient, per Gy.
    pub alpha: Option<f64>,
    /// Quadratic coefficient, per Gy^2; 0 or left out with `model = "l"`.
    pub beta: Option<f64>,
    /// Calibrated doses in Gy, lowest and highest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dose_range_gy: Option<[f64; 2]>,
    /// Where it comes from.
    #[serde(default)]
    pub about: About,
    /// Standard errors; instead of `covariance`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<CurveErrors>,
    /// Covariance matrix; instead of `errors`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covariance: Option<CurveCovariance>,
}

/// Standard errors of the coefficients in a curve file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // named like the coefficients
pub struct CurveErrors {
    pub c: f64,
    pub alpha: f64,
    #[serde(default)]
    pub beta: f64,
}

/// Covariances of the coefficients in a curve file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // named like the coefficients
pub struct CurveCovariance {
    pub c_c: f64,
    pub c_alpha: f64,
    #[serde(default)]
    pub c_beta: f64,
    pub alpha_alpha: f64,
    #[serde(default)]
    pub alpha_beta: f64,
    #[serde(default)]
    pub beta_beta: f64,
}

impl CurveFile {
    /// Name and major version of the form.
    pub const SCHEMA: &'static str = "curve/1";

    /// The curve. `name` stands for the file in messages.
    ///
    /// # Errors
    /// When the schema is another one, a coefficient is missing, or the numbers make no curve.
    pub fn into_curve(self, name: &str) -> Result<Curve, DosimetryError> {
        let bad = |problem: String| DosimetryError::BadCurve { id: name.into(), problem };
        if self.schema != Self::SCHEMA {
            return Err(bad(format!("invalid schema '{}': expected '{}'", self.schema, Self::SCHEMA)));
        }
        if self.covariance.is_some() && self.errors.is_some() {
            return Err(bad("[covariance] and [errors] exclude each other: expected one of them".into()));
        }
        let (Some(c), Some(alpha)) = (self.c, self.alpha) else {
            let missing = if self.c.is_none() { "c" } else { "alpha" };
            return Err(DosimetryError::IncompleteCurve { id: self.id, missing: missing.into() });
        };
        let scale = match self.unit {
            CurveUnit::PerCell => 1.0,
            CurveUnit::PerHundredCells => 0.01,
        };
        let covariance = match (self.covariance, self.errors) {
            (Some(v), _) => Some([
                [v.c_c, v.c_alpha, v.c_beta],
                [v.c_alpha, v.alpha_alpha, v.alpha_beta],
                [v.c_beta, v.alpha_beta, v.beta_beta],
            ]),
            (None, Some(e)) => {
                if let Some(negative) = [e.c, e.alpha, e.beta].into_iter().find(|e| e.is_nan() || *e < 0.0) {
                    return Err(bad(format!("invalid standard error '{negative}': expected 0 or more")));
                }
                Some([[e.c * e.c, 0.0, 0.0], [0.0, e.alpha * e.alpha, 0.0], [0.0, 0.0, e.beta * e.beta]])
            }
            (None, None) => None,
        }
        .map(|rows| rows.map(|row| row.map(|v| v * scale * scale)));
        let range = match self.dose_range_gy {
            Some([low, high]) => Some((Gray::new(low)?, Gray::new(high)?)),
            None => None,
        };
        let coefficients = [c * scale, alpha * scale, self.beta.unwrap_or(0.0) * scale];
        Curve::new(self.id, self.assay, coefficients, covariance, range, self.about)
    }
}

impl From<&Curve> for CurveFile {
    /// A file from which the same curve is read back.
    fn from(curve: &Curve) -> Self {
        let [c, alpha, beta] = curve.coefficients();
        let v = curve.covariance();
        Self {
            schema: Self::SCHEMA.into(),
            id: curve.id().into(),
            assay: curve.assay(),
            unit: CurveUnit::PerCell,
            c: Some(c),
            alpha: Some(alpha),
            beta: Some(beta),
            dose_range_gy: curve.dose_range().map(|(low, high)| [low.value(), high.value()]),
            about: curve.about().clone(),
            errors: None,
            covariance: (curve.uncertainty() != Uncertainty::None).then(|| CurveCovariance {
                c_c: v[0][0],
                c_alpha: v[0][1],
                c_beta: v[0][2],
                alpha_alpha: v[1][1],
                alpha_beta: v[1][2],
                beta_beta: v[2][2],
            }),
        }
    }
}
