//! What the template of a dose needs besides the document itself.

use minijinja::{Value, context};
use serde::Serialize;

use crate::case::CaseDose;

/// Cells that are left out, under the code of the reason.
#[derive(Debug, Serialize)]
struct NotCounted {
    code: &'static str,
    number: u64,
}

/// A coefficient of the curve with its standard error.
#[derive(Debug, Serialize)]
struct Coefficient {
    code: &'static str,
    value: f64,
    error: Option<f64>,
}

/// Counted cells with as many dicentrics as its place says, beside what Poisson's law expects of the same mean.
#[derive(Debug, Serialize)]
struct Bar {
    cells: u64,
    expected: f64,
    width: f64,
}

/// Width of the longest bar.
const LONGEST: f64 = 300.0;

/// The parts that are worked out.
pub fn context(dose: &CaseDose) -> Value {
    let cells = &dose.cells;
    let not_counted: Vec<NotCounted> = [
        ("incomplete", cells.incomplete),
        ("second_division", cells.second_division),
        ("unscored", cells.not_scored),
        ("unclear", cells.unclear),
        ("not_selected", cells.not_selected),
        ("excluded", cells.excluded),
    ]
    .into_iter()
    .filter(|(_, number)| *number > 0)
    .map(|(code, number)| NotCounted { code, number })
    .collect();
    let coefficients: Vec<Coefficient> = dose
        .estimate
        .iter()
        .flat_map(|found| {
            let c = &found.curve;
            let error = |i: usize| c.covariance.map(|v| v[i][i].max(0.0).sqrt());
            let values = [("c", c.c), ("alpha", c.alpha), ("beta", c.beta)];
            values.into_iter().enumerate().map(move |(i, (code, value))| Coefficient { code, value, error: error(i) })
        })
        .collect();
    let notes: Vec<&String> = dose.flags.iter().chain(dose.estimate.iter().flat_map(|e| &e.warnings)).collect();
    context! { not_counted, coefficients, notes, unscored => dose.is_unscored(), distribution => distribution(dose) }
}

fn distribution(dose: &CaseDose) -> Vec<Bar> {
    let n: u64 = dose.counts.iter().sum();
    if n == 0 {
        return Vec::new();
    }
    let mean = dose.dicentrics as f64 / n as f64;
    let most = dose.counts.iter().copied().max().unwrap_or(1).max(1);
    let mut expected = n as f64 * (-mean).exp();
    let bar = |(k, &cells): (usize, &u64)| {
        let bar = Bar { cells, expected, width: (LONGEST * cells as f64 / most as f64 * 10.0).round() / 10.0 };
        expected *= mean / (k + 1) as f64;
        bar
    };
    dose.counts.iter().enumerate().map(bar).collect()
}
