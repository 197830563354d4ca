//! Several laboratories' estimates of one sample: robust mean and standard deviation, z-scores.

use domain::{ErrorKind, HasKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Scores from which a result is a warning signal, and from which it is an action signal (ISO 13528).
const WARNING: f64 = 2.0;
const ACTION: f64 = 3.0;
/// Laboratories below which the robust standard deviation is itself very unsure (ISO 13528 advises care with few participants).
const FEW: usize = 12;

/// What a laboratory reported of a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Laboratory {
    /// Its name.
    pub name: String,
    /// Dose in Gy, or yield per cell.
    pub value: f64,
}

/// The true value of a sample, where it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reference {
    /// In the unit of the results.
    pub value: f64,
    /// Its standard uncertainty.
    pub uncertainty: f64,
}

/// How a result is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// |z| up to 2.
    Satisfactory,
    /// |z| above 2 and below 3: look into it.
    Warning,
    /// |z| of 3 or more: something is to be done.
    Action,
}

impl Signal {
    /// That of a score.
    pub fn of(z: f64) -> Self {
        match z.abs() {
            z if z <= WARNING => Self::Satisfactory,
            z if z < ACTION => Self::Warning,
            _ => Self::Action,
        }
    }

    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Satisfactory => "satisfactory",
            Self::Warning => "warning",
            Self::Action => "action",
        }
    }
}

/// A result beside the value it is compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compared {
    /// The laboratory.
    pub laboratory: String,
    /// What it reported.
    pub value: f64,
    /// Less the assigned value.
    pub deviation: f64,
    /// Deviation in standard deviations.
    pub z: f64,
    /// How it is judged.
    pub signal: Signal,
}

/// A comparison of laboratories.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interlab {
    /// Value that the results are compared with: the reference, else the robust mean.
    pub assigned: f64,
    /// Its standard uncertainty.
    pub assigned_uncertainty: f64,
    /// Whether it is a reference.
    pub from_reference: bool,
    /// Robust mean of the results.
    pub robust_mean: f64,
    /// Robust standard deviation of the results.
    pub robust_sd: f64,
    /// Each result.
    pub laboratories: Vec<Compared>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Why laboratories are not compared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InterlabError {
    /// Too few.
    #[error("{0} laboratories reported this sample: a comparison needs two or more")]
    TooFew(usize),
    /// One has reported twice.
    #[error("laboratory '{0}' is there twice: expected one result of each")]
    Twice(String),
    /// A value that is none.
    #[error("invalid result '{value}' of laboratory '{laboratory}': expected a number, 0 or more")]
    Value {
        /// Whose.
        laboratory: String,
        /// As given.
        value: f64,
    },
    /// A reference that is none.
    #[error("invalid reference '{0}': expected a number, 0 or more")]
    Reference(f64),
    /// Most results are the same, so that there is no spread to compare with.
    #[error(
        "more than half of the results are the same: they have no robust standard deviation, and there are no z-scores"
    )]
    NoSpread,
}

impl HasKind for InterlabError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::BadData
    }
}

fn median(sorted: &[f64]) -> f64 {
    let n = sorted.len();
    if n % 2 == 1 { sorted[n / 2] } else { f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]) }
}

fn median_of(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    median(&values)
}

/// Algorithm A (ISO 13528, annex C): from the median and 1.483 times the median absolute deviation on, values beyond 1.5 standard
/// deviations are drawn in to that distance; the mean, and 1.134 times the standard deviation, of what comes out are taken again until
/// neither changes. None of no values, and where more than half are the same.
pub fn robust_mean(values: &[f64]) -> Option<(f64, f64)> {
    if values.is_empty() {
        return None;
    }
    let n = values.len() as f64;
    let mut mean = median_of(values.to_vec());
    let mut sd = 1.483 * median_of(values.iter().map(|v| (v - mean).abs()).collect());
    for _ in 0..1000 {
        if sd <= 0.0 {
            return None;
        }
        let (low, high) = (mean - 1.5 * sd, mean + 1.5 * sd);
        let drawn: Vec<f64> = values.iter().map(|v| v.clamp(low, high)).collect();
        let next = drawn.iter().sum::<f64>() / n;
        let squares: f64 = drawn.iter().map(|v| (v - next).powi(2)).sum();
        let next_sd = 1.134 * (squares / (n - 1.0)).sqrt();
        let still = (next - mean).abs().max((next_sd - sd).abs()) <= 1e-12 * next.abs().max(next_sd);
        (mean, sd) = (next, next_sd);
        if still {
            break;
        }
    }
    (sd > 0.0).then_some((mean, sd))
}

/// Compares the results of one sample. `z = (x - X)/sqrt(s*^2 + u^2)` with the assigned value X, the robust standard deviation s* of the
/// results and the standard uncertainty u of X: that of the reference, or `1.25 s*/sqrt(p)` of the robust mean of p results (ISO 13528;
/// Di Giorgio et al. 2011, as biodosetools has it).
///
/// # Errors
/// For fewer than two results, one laboratory twice, values that are none, and results without spread.
pub fn compare(results: &[Laboratory], reference: Option<Reference>) -> Result<Interlab, InterlabError> {
    if results.len() < 2 {
        return Err(InterlabError::TooFew(results.len()));
    }
    for (i, Laboratory { name, value }) in results.iter().enumerate() {
        if results[..i].iter().any(|other| other.name == *name) {
            return Err(InterlabError::Twice(name.clone()));
        }
        if !(value.is_finite() && *value >= 0.0) {
            return Err(InterlabError::Value { laboratory: name.clone(), value: *value });
        }
    }
    if let Some(wrong) = reference.map(|r| if r.value >= 0.0 { r.uncertainty } else { r.value })
        && !(wrong.is_finite() && wrong >= 0.0)
    {
        return Err(InterlabError::Reference(wrong));
    }
    let values: Vec<f64> = results.iter().map(|r| r.value).collect();
    let (robust_mean, robust_sd) = robust_mean(&values).ok_or(InterlabError::NoSpread)?;
    let own = Reference { value: robust_mean, uncertainty: 1.25 * robust_sd / (values.len() as f64).sqrt() };
    let assigned = reference.unwrap_or(own);
    let spread = robust_sd.hypot(assigned.uncertainty);
    let compared = results.iter().map(|Laboratory { name, value }| {
        let deviation = value - assigned.value;
        let z = deviation / spread;
        Compared { laboratory: name.clone(), value: *value, deviation, z, signal: Signal::of(z) }
    });
    let few = values.len() < FEW;
    let words = || {
        format!(
            "{} laboratories: fewer than {FEW}, so the robust standard deviation is itself unsure; with two or three a result can hardly \
             stand out",
            values.len()
        )
    };
    Ok(Interlab {
        assigned: assigned.value,
        assigned_uncertainty: assigned.uncertainty,
        from_reference: reference.is_some(),
        robust_mean,
        robust_sd,
        laboratories: compared.collect(),
        warnings: few.then(words).into_iter().collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(values: &[f64]) -> Vec<Laboratory> {
        values.iter().enumerate().map(|(i, value)| Laboratory { name: format!("A{i}"), value: *value }).collect()
    }

    fn scores(values: &[f64], reference: Option<f64>) -> Vec<f64> {
        let reference = reference.map(|value| Reference { value, uncertainty: 0.0 });
        compare(&results(values), reference).expect("scores").laboratories.iter().map(|l| l.z).collect()
    }

    #[test]
    fn scores_are_those_that_biodosetools_publishes() {
        // tests/testthat/test-interlab.R of biodosetools, algorithm A; its consistency factor is 1.1330 where the standard rounds to 1.134.
        let cases: [(&[f64], Option<f64>, [f64; 2]); 6] = [
            (&[2.5892, 2.6110], Some(2.56), [1.6777, 2.9254]),
            (&[3.1461, 3.0187], Some(3.41), [-2.5857, -3.8334]),
            (&[4.2594, 3.9892], Some(4.54), [-1.2959, -2.5437]),
            (&[0.700, 0.555], None, [0.4675, -0.4675]),
            (&[1.020, 0.735], None, [0.4675, -0.4675]),
            (&[1.840, 1.265], None, [0.4675, -0.4675]),
        ];
        for (values, reference, expected) in cases {
            // The doses of the first sample are printed to 1 % of their difference.
            let tolerance = if values[0] == 2.5892 { 6e-3 } else { 1.5e-3 };
            for (found, expected) in scores(values, reference).iter().zip(expected) {
                assert!((found / expected - 1.0).abs() < tolerance, "{values:?}: {found} {expected}");
            }
        }
    }

    #[test]
    fn one_outlier_moves_neither_mean_nor_spread_much_and_is_called() {
        let even = [1.90, 2.05, 2.10, 1.95, 2.00, 2.15, 1.85, 2.02, 1.98, 2.08, 1.93, 2.04];
        let (mean, sd) = robust_mean(&even).expect("values");
        let mut one_off = even;
        one_off[3] = 9.0;
        let (moved, wider) = robust_mean(&one_off).expect("values");
        assert!((moved - mean).abs() < 0.3 * sd && wider < 1.35 * sd, "{mean} {sd}, {moved} {wider}");
        let found = compare(&results(&one_off), None).expect("scores");
        let out: Vec<&str> =
            found.laboratories.iter().filter(|l| l.signal == Signal::Action).map(|l| &*l.laboratory).collect();
        assert_eq!((out, found.warnings.len()), (vec!["A3"], 0));
        assert_eq!(
            (Signal::of(-2.0), Signal::of(2.01), Signal::of(-3.0)),
            (Signal::Satisfactory, Signal::Warning, Signal::Action)
        );
    }

    #[test]
    fn the_algorithm_gives_what_an_independent_computation_gives() {
        // By another program, 200 rounds.
        let (mean, sd) = robust_mean(&[4.5, 4.9, 5.6, 4.2, 6.2, 5.2, 9.9]).expect("values");
        assert!((mean - 5.386_489_230).abs() < 1e-8 && (sd - 1.145_956_920).abs() < 1e-8, "{mean} {sd}");
    }

    #[test]
    fn results_that_cannot_be_compared_are_refused_with_the_reason() {
        let error = |values: &[f64], reference| compare(&results(values), reference).expect_err("refused").to_string();
        assert!(error(&[2.0], None).contains("two or more"));
        assert!(error(&[2.0, -1.0], None).contains("'-1'"));
        assert!(error(&[2.0, f64::NAN], None).contains("A1"));
        assert!(error(&[2.0, 2.0, 2.0, 3.0], None).contains("more than half"));
        assert!(error(&[2.0, 3.0], Some(Reference { value: -2.0, uncertainty: 0.1 })).contains("'-2'"));
        let mut twice = results(&[2.0, 3.0]);
        twice[1].name = "A0".into();
        assert_eq!(compare(&twice, None), Err(InterlabError::Twice("A0".into())));
    }
}
