//! How often the stated 95 % interval of the dose holds the true dose, and how wide it is against Merkle 83/83.
//!
//! Each repeat draws the true curve from the covariance of the default curve, then 500 cells from that curve; the
//! estimate knows the default curve alone. Whole body at 0 to 4 Gy, and 4 Gy to half of the body by Dolphin's method.

use dosimetry::{
    Bounded, CellSurvival, Curve, DEFAULT_CURVE, Gray, Level, Sample, YieldError, built_in, delta, dolphin, likelihood,
    merkle,
};
use nalgebra::{Matrix3, Vector3};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson, StandardNormal};
use std::collections::HashMap;

use crate::Outcome;

const CELLS: u64 = 500;
type Interval = (f64, f64, f64);
type Method<'c> = (&'static str, Box<dyn Fn(&Sample) -> Option<Interval> + 'c>);

/// Measures and prints a table.
pub fn run(repeats: u32) -> Outcome {
    let curve = built_in(DEFAULT_CURVE).expect("the default curve is built in");
    println!("{repeats} repeats, {CELLS} cells, curve {DEFAULT_CURVE}, seed 16");
    println!("| dose | F | method | coverage | 95 % of it | mean width Gy | against Merkle 83/83 | unbounded |");
    println!("|---|---|---|---|---|---|---|---|");
    for dose in [0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0] {
        report(dose, 1.0, &sampled(&curve, dose, 1.0, repeats, &whole_body(&curve)));
    }
    report(4.0, 0.5, &sampled(&curve, 4.0, 0.5, repeats, &partial_body(&curve)));
    Ok(())
}

fn interval(dose: Bounded<Gray>) -> Interval {
    let low = dose.low.map_or(0.0, Gray::value);
    (low, dose.value.value(), dose.high.map_or(f64::INFINITY, Gray::value))
}

fn whole_body(curve: &Curve) -> Vec<Method<'_>> {
    let levels = [("merkle 83/83", Level::P83), ("merkle 95/95", Level::P95)];
    let mut methods: Vec<Method> = levels
        .into_iter()
        .map(|(name, level)| -> Method {
            (name, Box::new(move |s| merkle(s, curve.acute(), level, level).ok().map(|w| interval(w.dose))))
        })
        .collect();
    methods.push((
        "delta 95",
        Box::new(|s| delta(s, curve.acute(), Level::P95, YieldError::Automatic).ok().map(|w| interval(w.dose))),
    ));
    methods.push((
        "likelihood 95 (default)",
        Box::new(|s| likelihood(s, curve.acute(), Level::P95).ok().map(|w| interval(w.dose))),
    ));
    methods
}

fn partial_body(curve: &Curve) -> Vec<Method<'_>> {
    vec![(
        "dolphin 95",
        Box::new(|s| dolphin(s, curve.acute(), CellSurvival::default(), Level::P95).ok().map(|p| interval(p.dose))),
    )]
}

struct Tally {
    name: &'static str,
    covered: u32,
    answered: u32,
    bounded: u32,
    width: f64,
}

/// Draws samples and counts, for each method, how often its interval holds `dose`. Samples with the same counts have
/// the same interval, so each is computed once.
fn sampled(curve: &Curve, dose: f64, fraction: f64, repeats: u32, methods: &[Method]) -> Vec<Tally> {
    let mut rng = ChaCha8Rng::seed_from_u64(16);
    let root = Matrix3::from_fn(|i, j| curve.covariance()[i][j]).cholesky().expect("a covariance").l();
    let estimate = Vector3::from(curve.coefficients());
    let survived = (-dose / 2.7f64).exp();
    let scored = fraction * survived / (1.0 - fraction + fraction * survived);
    let mut known: HashMap<Vec<u64>, Vec<Option<Interval>>> = HashMap::new();
    let mut tallies: Vec<Tally> =
        methods.iter().map(|(name, _)| Tally { name, covered: 0, answered: 0, bounded: 0, width: 0.0 }).collect();
    for _ in 0..repeats {
        let noise = Vector3::from_fn(|_, _| StandardNormal.sample(&mut rng));
        let truth = estimate + root * noise;
        let y = |d: f64| (truth[0] + truth[1] * d + truth[2] * d * d).max(0.0);
        let sample = if fraction == 1.0 {
            // A sum of Poisson counts is one: the total is all that whole-body methods look at.
            let mean = CELLS as f64 * y(dose);
            let x = if mean > 0.0 { Poisson::new(mean).expect("above 0").sample(&mut rng) as u64 } else { 0 };
            Sample::from_totals(CELLS, x)
        } else {
            // The unexposed part holds no dicentrics, as Dolphin's method assumes.
            let per_cell = Poisson::new(y(dose)).expect("above 0");
            let mut histogram = vec![0u64; 1];
            for _ in 0..CELLS {
                let irradiated = rng.random::<f64>() < scored;
                let k = if irradiated { per_cell.sample(&mut rng) as usize } else { 0 };
                if histogram.len() <= k {
                    histogram.resize(k + 1, 0);
                }
                histogram[k] += 1;
            }
            Sample::from_histogram(histogram)
        }
        .expect("500 cells");
        let key = sample.histogram().map_or_else(|| vec![sample.aberrations()], <[u64]>::to_vec);
        let found = known.entry(key).or_insert_with(|| methods.iter().map(|(_, m)| m(&sample)).collect());
        for (tally, interval) in tallies.iter_mut().zip(found) {
            let Some((low, _, high)) = *interval else { continue };
            tally.answered += 1;
            tally.covered += u32::from(low <= dose && dose <= high);
            if high.is_finite() {
                tally.bounded += 1;
                tally.width += high - low;
            }
        }
    }
    tallies
}

fn report(dose: f64, fraction: f64, tallies: &[Tally]) {
    let reference = tallies[0].width / f64::from(tallies[0].bounded.max(1));
    for t in tallies {
        let n = f64::from(t.answered.max(1));
        let p = f64::from(t.covered) / n;
        let half = 1.96 * (p * (1.0 - p) / n).sqrt();
        let width = t.width / f64::from(t.bounded.max(1));
        println!(
            "| {dose} | {fraction} | {} | {p:.4} | {:.4} to {:.4} | {width:.3} | {:.3} | {} |",
            t.name,
            (p - half).max(0.0),
            (p + half).min(1.0),
            width / reference,
            t.answered - t.bounded
        );
    }
}
