//! How long an estimate from counts and a fit of ten points take.

use dosimetry::{
    DEFAULT_CURVE, DosimetryError, FitOptions, FitPoint, Gray, Method, Sample, Settings, built_in, estimate, fit,
};
use std::time::{Duration, Instant};

use crate::Outcome;

const POINTS: [(f64, u64, u64); 10] = [
    (0.0, 5000, 8),
    (0.1, 5002, 14),
    (0.25, 2008, 22),
    (0.5, 2002, 55),
    (0.75, 1832, 100),
    (1.0, 1168, 109),
    (1.5, 562, 100),
    (2.0, 333, 103),
    (3.0, 193, 108),
    (4.0, 103, 103),
];

/// Measures and prints a table.
pub fn run() -> Outcome {
    let curve = built_in(DEFAULT_CURVE)?;
    println!("| what | median of 200 | 90 % within |\n|---|---|---|");
    for counts in [vec![500u64], vec![475, 24, 1], vec![302, 28, 22, 8, 1, 0], vec![160, 155, 99, 47, 29, 10]] {
        let sample = Sample::from_histogram(counts.clone())?;
        for method in [Method::Likelihood, Method::Merkle, Method::Delta] {
            let settings = Settings { method, ..Settings::default() };
            let (median, most) = measure(|| estimate(&sample, &curve, &settings).map(|e| e.dose_gy.value))?;
            println!("| estimate {counts:?}, {method:?} | {median:.3?} | {most:.3?} |");
        }
    }
    let points = POINTS
        .iter()
        .map(|&(dose, n, x)| Ok(FitPoint { dose: Gray::new(dose)?, sample: Sample::from_totals(n, x)? }))
        .collect::<Result<Vec<_>, DosimetryError>>()?;
    let (median, most) = measure(|| fit(&points, &FitOptions::default()).map(|f| f.coefficients[2]))?;
    println!("| fit of {} points | {median:.3?} | {most:.3?} |", points.len());
    Ok(())
}

/// Median and 90th percentile: other programs on the machine do not count.
fn measure(mut work: impl FnMut() -> Result<f64, DosimetryError>) -> Result<(Duration, Duration), DosimetryError> {
    let mut took = Vec::new();
    for _ in 0..200 {
        let started = Instant::now();
        std::hint::black_box(work()?);
        took.push(started.elapsed());
    }
    took.sort();
    Ok((took[100], took[180]))
}
