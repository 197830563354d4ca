//! Curves that come with the program, and curve files.

use super::curve::About;
use super::{Assay, Curve, DosimetryError, Gray, Scoring};
use serde::{Deserialize, Serialize};

/// Published curves, each with its source and how far it was checked. Numbers are facts; no code or file of the
/// tools named there is used.
const CURVES: &str = include_str!("curves.csv");

/// The curve used when none is named: the low-LET example of IAEA EPR-Biodosimetry 2011 (Barquinero et al. 1995).
pub const DEFAULT_CURVE: &str = "co60_barquinero1995";

#[derive(Debug, Deserialize)]
struct Row {
    id: String,
    assay: String,
    radiation: String,
    dose_rate: String,
    dose_range_gy: String,
    c: Option<f64>,
    alpha: Option<f64>,
    beta: Option<f64>,
    se_c: Option<f64>,
    se_alpha: Option<f64>,
    se_beta: Option<f64>,
    cov_c_c: Option<f64>,
    cov_c_alpha: Option<f64>,
    cov_c_beta: Option<f64>,
    cov_alpha_alpha: Option<f64>,
    cov_alpha_beta: Option<f64>,
    cov_beta_beta: Option<f64>,
    fit: String,
    source: String,
    verified: String,
    note: String,
}

/// One line of the list of built-in curves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listed {
    /// Name to give to `--curve`.
    pub id: String,
    /// What it counts.
    pub assay: Assay,
    /// Radiation.
    pub radiation: String,
    /// c, alpha, beta; none where the source does not give it.
    pub coefficients: [Option<f64>; 3],
    /// `yes` (refitted from the counts), `fit ours`, `transcribed`.
    pub verified: String,
    /// Where it comes from.
    pub source: String,
    /// Why it gives no dose, where it gives none.
    pub refused: Option<String>,
}

fn rows() -> impl Iterator<Item = Row> {
    csv::Reader::from_reader(CURVES.as_bytes())
        .into_deserialize::<Row>()
        .map(|row| row.expect("the embedded table is read by a test"))
        .collect::<Vec<_>>()
        .into_iter()
}

/// The built-in curve of that name; incomplete ones are refused with what is missing.
pub fn built_in(id: &str) -> Result<Curve, DosimetryError> {
    let row = rows().find(|row| row.id == id).ok_or_else(|| DosimetryError::UnknownCurve(id.into()))?;
    row.into_curve()
}

/// All built-in curves, usable or not.
pub fn list() -> Vec<Listed> {
    rows()
        .map(|row| Listed {
            id: row.id.clone(),
            assay: Assay::parse(&row.assay).unwrap_or(Assay::NotStated),
            radiation: row.radiation.clone(),
            coefficients: [row.c, row.alpha, row.beta],
            verified: row.verified.clone(),
            source: row.source.clone(),
            refused: row.into_curve().err().map(|e| e.to_string()),
        })
        .collect()
}

impl Row {
    fn into_curve(self) -> Result<Curve, DosimetryError> {
        let missing: Vec<&str> = [("c", self.c), ("alpha", self.alpha), ("beta", self.beta)]
            .into_iter()
            .filter(|(_, v)| v.is_none())
            .map(|(name, _)| name)
            .collect();
        let (Some(c), Some(alpha), Some(beta)) = (self.c, self.alpha, self.beta) else {
            return Err(DosimetryError::IncompleteCurve { id: self.id, missing: missing.join(" and ") });
        };
        let variance = |cov: Option<f64>, se: Option<f64>| cov.or(se.map(|s| s * s)).unwrap_or(0.0);
        let (cc, aa, bb) = (
            variance(self.cov_c_c, self.se_c),
            variance(self.cov_alpha_alpha, self.se_alpha),
            variance(self.cov_beta_beta, self.se_beta),
        );
        let [ca, cb, ab] = [self.cov_c_alpha, self.cov_c_beta, self.cov_alpha_beta].map(|v| v.unwrap_or(0.0));
        let words = |text: String| (!text.is_empty()).then_some(text);
        let about = About {
            radiation: self.radiation,
            dose_rate: words(self.dose_rate),
            scoring: Some(Scoring::Manual),
            laboratory: None,
            source: self.source,
            fit: words(self.fit),
            note: words(self.note),
            built_in: true,
        };
        let assay = Assay::parse(&self.assay).unwrap_or(Assay::NotStated);
        let range = self.dose_range_gy.split_once('-').and_then(|(low, high)| {
            Some((Gray::new(low.trim().parse().ok()?).ok()?, Gray::new(high.trim().parse().ok()?).ok()?))
        });
        Curve::new(self.id, assay, [c, alpha, beta], Some([[cc, ca, cb], [ca, aa, ab], [cb, ab, bb]]), range, about)
    }
}

/// The unit of the coefficients in a curve file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Unit {
    #[default]
    #[serde(rename = "per cell")]
    PerCell,
    #[serde(rename = "per 100 cells")]
    PerHundredCells,
}

/// A curve as its TOML file says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CurveFile {
    schema: String,
    id: String,
    #[serde(default)]
    assay: Assay,
    #[serde(default)]
    unit: Unit,
    c: Option<f64>,
    alpha: Option<f64>,
    /// 0 or left out with `model = "l"`.
    beta: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dose_range_gy: Option<[f64; 2]>,
    #[serde(default)]
    about: About,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    errors: Option<Errors>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    covariance: Option<CovarianceFile>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Errors {
    c: f64,
    alpha: f64,
    #[serde(default)]
    beta: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CovarianceFile {
    c_c: f64,
    c_alpha: f64,
    #[serde(default)]
    c_beta: f64,
    alpha_alpha: f64,
    #[serde(default)]
    alpha_beta: f64,
    #[serde(default)]
    beta_beta: f64,
}

const SCHEMA: &str = "curve/1";

/// Reads a curve file (TOML, schema `curve/1`; docs/reference/dose.md shows one). `name` stands in messages.
pub fn read_curve(text: &str, name: &str) -> Result<Curve, DosimetryError> {
    let bad = |problem: String| DosimetryError::BadCurve { id: name.into(), problem };
    let file: CurveFile = toml_edit::de::from_str(text).map_err(|e| bad(e.to_string().trim_end().to_owned()))?;
    if file.schema != SCHEMA {
        return Err(bad(format!("schema is {:?}; this program reads {SCHEMA:?}", file.schema)));
    }
    if file.covariance.is_some() && file.errors.is_some() {
        return Err(bad("give [covariance] or [errors], not both".into()));
    }
    let (Some(c), Some(alpha)) = (file.c, file.alpha) else {
        let missing = if file.c.is_none() { "c" } else { "alpha" };
        return Err(DosimetryError::IncompleteCurve { id: file.id, missing: missing.into() });
    };
    let scale = match file.unit {
        Unit::PerCell => 1.0,
        Unit::PerHundredCells => 0.01,
    };
    let covariance = match (file.covariance, file.errors) {
        (Some(v), _) => Some([
            [v.c_c, v.c_alpha, v.c_beta],
            [v.c_alpha, v.alpha_alpha, v.alpha_beta],
            [v.c_beta, v.alpha_beta, v.beta_beta],
        ]),
        (None, Some(e)) => {
            if let Some(negative) = [e.c, e.alpha, e.beta].into_iter().find(|e| e.is_nan() || *e < 0.0) {
                return Err(bad(format!("a standard error is {negative}; give 0 or more")));
            }
            Some([[e.c * e.c, 0.0, 0.0], [0.0, e.alpha * e.alpha, 0.0], [0.0, 0.0, e.beta * e.beta]])
        }
        (None, None) => None,
    }
    .map(|rows| rows.map(|row| row.map(|v| v * scale * scale)));
    let range = match file.dose_range_gy {
        Some([low, high]) => Some((Gray::new(low)?, Gray::new(high)?)),
        None => None,
    };
    let coefficients = [c * scale, alpha * scale, file.beta.unwrap_or(0.0) * scale];
    Curve::new(file.id, file.assay, coefficients, covariance, range, file.about)
}

/// Writes a curve file that [`read_curve`] reads back unchanged.
pub fn write_curve(curve: &Curve) -> String {
    let [c, alpha, beta] = curve.coefficients();
    let v = curve.covariance();
    let file = CurveFile {
        schema: SCHEMA.into(),
        id: curve.id().into(),
        assay: curve.assay(),
        unit: Unit::PerCell,
        c: Some(c),
        alpha: Some(alpha),
        beta: Some(beta),
        dose_range_gy: curve.dose_range().map(|(low, high)| [low.value(), high.value()]),
        about: curve.about().clone(),
        errors: None,
        covariance: (curve.uncertainty() != super::Uncertainty::None).then(|| CovarianceFile {
            c_c: v[0][0],
            c_alpha: v[0][1],
            c_beta: v[0][2],
            alpha_alpha: v[1][1],
            alpha_beta: v[1][2],
            beta_beta: v[2][2],
        }),
    };
    toml_edit::ser::to_string_pretty(&file).expect("plain tables and numbers always serialise")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_curve_is_usable_or_refused_with_a_reason() {
        let all = list();
        assert_eq!(all.len(), 25);
        let refused: Vec<&str> = all.iter().filter(|c| c.refused.is_some()).map(|c| c.id.as_str()).collect();
        assert_eq!(
            refused,
            ["gamma_vietnam_lowrate", "xray_29kv_alpha", "trans_co60_alpha_lucas1995", "trans_co60_chronic_1999"]
        );
        let why = built_in("xray_29kv_alpha").expect_err("incomplete").to_string();
        assert!(why.contains("c and beta"), "{why}");
        assert!(matches!(built_in("co60"), Err(DosimetryError::UnknownCurve(_))));
        assert!(built_in(DEFAULT_CURVE).is_ok_and(|c| !c.warnings().is_empty()));
    }

    #[test]
    fn a_curve_file_is_read_back_as_it_was_written() {
        let curve = built_in(DEFAULT_CURVE).expect("curve");
        let back = read_curve(&write_curve(&curve), "x.toml").expect("read back");
        assert_eq!(back.coefficients(), curve.coefficients());
        assert_eq!(back.covariance(), curve.covariance());
        assert_eq!(back.dose_range(), curve.dose_range());
        assert!(!back.about().built_in);
    }

    #[test]
    fn a_curve_in_percent_is_refused_unless_it_says_so() {
        let text = "schema = \"curve/1\"\nid = \"vn\"\nc = 0.56\nalpha = 1.01\nbeta = 4.43\n";
        assert!(matches!(read_curve(text, "vn.toml"), Err(DosimetryError::CurveInPercent { .. })));
        let said = format!("unit = \"per 100 cells\"\n{text}");
        let curve = read_curve(&said, "vn.toml").expect("converted");
        assert!((curve.coefficients()[2] - 0.0443).abs() < 1e-12);
    }

    #[test]
    fn a_wrong_curve_file_says_where() {
        let error = read_curve("schema = \"curve/1\"\nid = \"x\"\nalpa = 1\n", "x.toml").expect_err("typo");
        assert!(error.to_string().contains("alpa"), "{error}");
    }
}
