//! Any text as a table of counts; what is read is estimated, and fitted where it has doses.
#![no_main]

use dosimetry::{CountTable, Curve, DEFAULT_CURVE, FitOptions, FitPoint, Settings, built_in, estimate, fit};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static CURVE: LazyLock<Curve> = LazyLock::new(|| built_in(DEFAULT_CURVE).expect("it is built in"));

fuzz_target!(|text: &str| {
    let Ok(table) = CountTable::read(text) else { return };
    assert!(!table.rows.is_empty());
    if let Ok(points) = table.with_doses() {
        let points: Vec<FitPoint> = points.into_iter().map(|(dose, sample)| FitPoint { dose, sample }).collect();
        if let Ok(found) = fit(&points, &FitOptions::default()) {
            assert!(found.coefficients.iter().chain(&found.errors).all(|v| v.is_finite()), "{found:?}");
        }
    }
    if let Ok(found) = estimate(&table.rows[0].sample, &CURVE, &Settings::default()) {
        let written = serde_json::to_string(&found).expect("an estimate is written");
        assert!(!written.is_empty());
    }
});
