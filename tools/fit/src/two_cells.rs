//! The log odds by which triage separates two cells that touch from one.
//!
//! Takes every sixth cell of the training patients, sets each beside the one before with its margin pushed in, and prints
//! the weights, the AUC and the share of pairs and of single cells beyond some levels.

use std::{error::Error, fs, path::Path};

use imaging::{GrayImage, Polarity, PrepareOptions, Preparer, Rect, crop};
use nalgebra::{DMatrix, DVector};
use recognition::{SpreadFeatures, Triage, TriageOptions};

use crate::{
    Outcome,
    regression::{auc, logistic},
};

const BACKGROUND: u8 = imaging::BACKGROUND;

/// Fits and prints.
pub fn run(folder: &Path, split: &Path) -> Outcome {
    let rows = read(folder, split)?;
    let weights = fit(&rows)?;
    let odds = |x: &[f64; 3]| x.iter().zip(&weights).map(|(x, w)| x * w).sum::<f64>();
    let of = |two: bool| rows.iter().filter(move |r| r.1 == two).map(|r| odds(&r.0)).collect::<Vec<_>>();
    let (one, two) = (of(false), of(true));
    println!("{:.2} + {:.2} length + {:.2} ln(counted)", weights[0], weights[1], weights[2]);
    println!("{} cells, {} pairs, AUC {:.4}", one.len(), two.len(), auc(&two, &one));
    for level in [0.0, 0.5, 1.0, 2.0] {
        let share = |of: &[f64]| of.iter().filter(|z| **z >= level).count() as f64 / of.len() as f64;
        println!("log odds >= {level}: {:.3} of the cells, {:.3} of the pairs", share(&one), share(&two));
    }
    Ok(())
}

/// Figures of a spread (1, length, ln of the objects counted), and whether it is two cells.
type Row = ([f64; 3], bool);

/// The training cells alone and in pairs.
fn read(folder: &Path, split: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
    let list = fs::read_to_string(split)?;
    let names = list.lines().filter_map(|l| l.split_once(',')).filter(|(_, rest)| rest.contains(",train,")).step_by(6);
    let options =
        TriageOptions { two_cells: f32::INFINITY, polarity: Polarity::DarkOnBright, ..TriageOptions::default() };
    let prepare = PrepareOptions { polarity: Polarity::DarkOnBright, ..PrepareOptions::default() };
    let (mut triage, mut preparer) = (Triage::default(), Preparer::default());
    let mut rows: Vec<Row> = Vec::new();
    let mut before: Option<(GrayImage, f32)> = None;
    for (turn, (name, _)) in names.enumerate() {
        let picture = image::open(folder.join("images").join(name))?.into_luma8();
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
    Ok(rows)
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

/// Logistic regression with a little ridge.
fn fit(rows: &[Row]) -> Result<[f64; 3], Box<dyn Error>> {
    let x = DMatrix::from_fn(rows.len(), 3, |row, i| rows[row].0[i]);
    let y = DVector::from_iterator(rows.len(), rows.iter().map(|r| f64::from(u8::from(r.1))));
    let weights = logistic(&x, &y, 1e-3, false).ok_or("the figures do not suffice for a fit")?;
    Ok([weights[0], weights[1], weights[2]])
}
