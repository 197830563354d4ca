//! Fits the log odds by which triage tells two cells that touch from one.
//!
//! `cargo run --release --example fit_two_cells -- ../shared/data/cil models/training/splits/cil.csv` takes every sixth cell of
//! the training patients, sets each beside the one before with its margin pushed in, and prints the two weights, the AUC and the
//! share of pairs and of single cells beyond some levels.

use std::{env, error::Error, fs};

use imaging::{GrayImage, Polarity, PrepareOptions, Preparer, Rect, crop};
use recognition::{SpreadFeatures, Triage, TriageOptions};

const BACKGROUND: u8 = imaging::BACKGROUND;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(folder), Some(list)) = (arguments.next(), arguments.next()) else {
        return Err("usage: fit_two_cells CIL SPLIT.csv".into());
    };
    let list = fs::read_to_string(list)?;
    let names = list.lines().filter_map(|l| l.split_once(',')).filter(|(_, rest)| rest.contains(",train,")).step_by(6);
    let options =
        TriageOptions { two_cells: f32::INFINITY, polarity: Polarity::DarkOnBright, ..TriageOptions::default() };
    let prepare = PrepareOptions { polarity: Polarity::DarkOnBright, ..PrepareOptions::default() };
    let (mut triage, mut preparer) = (Triage::default(), Preparer::default());
    let mut rows: Vec<([f64; 3], bool)> = Vec::new();
    let mut before: Option<(GrayImage, f32)> = None;
    for (turn, (name, _)) in names.enumerate() {
        let picture = image::open(format!("{folder}/images/{name}"))?.into_luma8();
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let grey = GrayImage { width, height, data: picture.into_raw() };
        let Some(spread) = triage.assess(grey.view()?, &options).spreads.first().copied() else { continue };
        rows.push((row(&spread.features), false));
        let plane = preparer.prepare(grey.view()?, &prepare)?.plane.view()?;
        let b = spread.bounds;
        let place =
            Rect { left: b.x as usize, top: b.y as usize, right: b.right() as usize, bottom: b.bottom() as usize };
        let mut cell = GrayImage::default();
        crop(plane, place, &mut cell);
        let thickness = spread.features.thickness;
        if let Some((other, its)) = before.replace((cell, thickness)) {
            // The golden ratio spreads the turns evenly over 0 to 1.
            let share = (turn as f32 * 0.618_034).fract();
            let both =
                beside(&other, &before.as_ref().ok_or("just set")?.0, (thickness + its) * (1.0 + 1.2 * share), share);
            if let [spread] = &triage.assess(both.view()?, &options).spreads[..] {
                rows.push((row(&spread.features), true));
            }
        }
    }
    let weights = fit(&rows);
    let odds = |x: &[f64; 3]| x.iter().zip(&weights).map(|(x, w)| x * w).sum::<f64>();
    let of = |two: bool| rows.iter().filter(move |r| r.1 == two).map(|r| odds(&r.0)).collect::<Vec<_>>();
    let (one, two) = (of(false), of(true));
    let wins: usize = two.iter().map(|t| one.iter().filter(|o| t > o).count()).sum();
    println!("{:.2} + {:.2} length + {:.2} ln(counted)", weights[0], weights[1], weights[2]);
    println!("{} cells, {} pairs, AUC {:.4}", one.len(), two.len(), wins as f64 / (one.len() * two.len()) as f64);
    for level in [0.0, 0.5, 1.0, 2.0] {
        let share = |of: &[f64]| of.iter().filter(|z| **z >= level).count() as f64 / of.len() as f64;
        println!("log odds >= {level}: {:.3} of the cells, {:.3} of the pairs", share(&one), share(&two));
    }
    Ok(())
}

fn row(features: &SpreadFeatures) -> [f64; 3] {
    [1.0, f64::from(features.length), f64::from(features.counted.ln())]
}

/// Two cells on one plane, the second to the right of the first, `over` pixels of their margins on each other.
fn beside(one: &GrayImage, other: &GrayImage, over: f32, turn: f32) -> GrayImage {
    let down = (turn - 0.5) * 0.5 * one.height as f32;
    let (width, height) = (one.width + other.width + 40, one.height + other.height + 40);
    let mut both = GrayImage { width, height, data: vec![BACKGROUND; width * height] };
    let top = 20.0 + (-down).max(0.0);
    for (cell, left, top) in [(one, 20.0, top), (other, (20.0 + one.width as f32 - over).max(0.0), top + down)] {
        let (left, top) = (left as usize, top as usize);
        for (y, line) in cell.data.chunks_exact(cell.width).enumerate().take(height - top) {
            for (v, new) in both.data[(top + y) * width + left..].iter_mut().zip(&line[..cell.width.min(width - left)])
            {
                *v = (*v).min(*new);
            }
        }
    }
    both
}

/// Logistic regression by Newton's steps, a little ridge.
fn fit(rows: &[([f64; 3], bool)]) -> [f64; 3] {
    let mut weights = [0.0; 3];
    for _ in 0..100 {
        let mut step = nalgebra::Vector3::zeros();
        let mut curvature = nalgebra::Matrix3::from_diagonal_element(1e-3);
        for (x, two) in rows {
            let z: f64 = x.iter().zip(&weights).map(|(x, w)| x * w).sum();
            let p = 1.0 / (1.0 + (-z).exp());
            let x = nalgebra::Vector3::from(*x);
            step += x * (f64::from(u8::from(*two)) - p);
            curvature += x * x.transpose() * (p * (1.0 - p));
        }
        step -= 1e-3 * nalgebra::Vector3::from(weights);
        let Some(step) = curvature.lu().solve(&step) else { break };
        for (w, s) in weights.iter_mut().zip(&step) {
            *w += s;
        }
    }
    weights
}
