//! Curves that come with the program.

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
            ..About::default()
        };
        let assay = Assay::parse(&self.assay).unwrap_or(Assay::NotStated);
        let range = self.dose_range_gy.split_once('-').and_then(|(low, high)| {
            Some((Gray::new(low.trim().parse().ok()?).ok()?, Gray::new(high.trim().parse().ok()?).ok()?))
        });
        Curve::new(self.id, assay, [c, alpha, beta], Some([[cc, ca, cb], [ca, aa, ab], [cb, ab, bb]]), range, about)
    }
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
}
