//! Triage at the scale of a search lens: real frames and windows without a metaphase, shrunk and set on empty fields.
//! Prints the AUC of tiles with and without a metaphase.

use std::{collections::BTreeMap, error::Error, path::Path};

use imaging::{BACKGROUND, GrayImage, Polarity, PrepareOptions, Preparer, Rect, crop, downscale};
use recognition::{Triage, TriageOptions};

use crate::Outcome;

const FIELD: (usize, usize) = (1360, 1024);
/// Empty pixels around a tile.
const GAP: usize = 24;

/// A shrunken picture and whether a metaphase is in it.
type Tile = (GrayImage, bool);

/// Measures and prints a table.
pub fn run(data: &Path) -> Outcome {
    println!("| shrunk by | tiles | AUC | sensitivity | specificity |\n|---|---|---|---|---|");
    for factor in [6, 8, 10, 12] {
        let mut scores = Vec::new();
        for tiles in tiles(data, factor)?.values() {
            score(tiles, factor, &mut scores)?;
        }
        let of =
            |truth: bool| scores.iter().filter(move |s: &&(f32, bool)| s.1 == truth).map(|s| s.0).collect::<Vec<_>>();
        let (with, without) = (of(true), of(false));
        let wins: f64 = with
            .iter()
            .flat_map(|a| without.iter().map(move |b| f64::from(u8::from(a > b)) + 0.5 * f64::from(u8::from(a == b))))
            .sum();
        let share = |scores: &[f32], right: bool| {
            scores.iter().filter(|s| (**s >= 0.5) == right).count() as f64 / scores.len() as f64
        };
        let auc = wins / (with.len() * without.len()) as f64;
        let (sensitivity, specificity) = (share(&with, true), share(&without, false));
        println!("| {factor} | {} ({}) | {auc:.4} | {sensitivity:.3} | {specificity:.3} |", scores.len(), with.len());
    }
    Ok(())
}

/// The tiles of every set: each frame of the windows once, and its windows labelled `none`.
fn tiles(data: &Path, factor: usize) -> Result<BTreeMap<String, Vec<Tile>>, Box<dyn Error>> {
    let mut sets: BTreeMap<String, Vec<Tile>> = BTreeMap::new();
    let mut frames: BTreeMap<String, GrayImage> = BTreeMap::new();
    let mut preparer = Preparer::default();
    for line in include_str!("../../../../src/evaluate/triage_windows.csv").lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [left, top, width, height] = [1, 2, 3, 4].map(|i| fields[i].parse::<usize>().unwrap_or(0));
        let set = fields[0].split('/').next().unwrap_or_default();
        // giemsa and dicentric have one stain and scale.
        let set = if set == "dicentric" { "giemsa" } else { set };
        let polarity = if set == "mfish" { Polarity::BrightOnDark } else { Polarity::DarkOnBright };
        let mut add = |grey: &GrayImage, truth: bool| -> Result<(), Box<dyn Error>> {
            let options = PrepareOptions { polarity, ..PrepareOptions::default() };
            // A window that is one flat grey has nothing to show.
            let Ok(prepared) = preparer.prepare(grey.view()?, &options) else { return Ok(()) };
            let mut small = GrayImage::default();
            downscale(prepared.plane.view()?, factor, &mut small);
            sets.entry(set.to_owned()).or_default().push((small, truth));
            Ok(())
        };
        if !frames.contains_key(fields[0]) {
            let picture = image::open(data.join(fields[0]))?.into_luma8();
            let (width, height) = (picture.width() as usize, picture.height() as usize);
            let grey = GrayImage { width, height, data: picture.into_raw() };
            add(&grey, true)?;
            frames.insert(fields[0].to_owned(), grey);
        }
        if fields[5] == "none" {
            let mut window = GrayImage::default();
            let place = Rect { left, top, right: left + width, bottom: top + height };
            crop(frames[fields[0]].view()?, place, &mut window);
            add(&window, false)?;
        }
    }
    Ok(sets)
}

/// Sets the tiles on fields and scores each by the best spread whose centre lies in it.
fn score(tiles: &[Tile], factor: usize, scores: &mut Vec<(f32, bool)>) -> Result<(), Box<dyn Error>> {
    let (width, height) = (1440 / factor + GAP, 1024 / factor + GAP);
    let (columns, rows) = (FIELD.0 / width, FIELD.1 / height);
    let options = TriageOptions { metaphase: 0.0, polarity: Polarity::DarkOnBright, ..TriageOptions::default() };
    let mut triage = Triage::default();
    let mut state = 3u32;
    for tiles in tiles.chunks(columns * rows) {
        let mut field = GrayImage { width: FIELD.0, height: FIELD.1, data: vec![BACKGROUND; FIELD.0 * FIELD.1] };
        let place = |k: usize| (k % columns * width, k / columns * height);
        for (k, (tile, _)) in tiles.iter().enumerate() {
            let (x, y) = place(k);
            let (left, top) = (x + width.saturating_sub(tile.width) / 2, y + height.saturating_sub(tile.height) / 2);
            for (row, line) in tile.data.chunks_exact(tile.width).enumerate().take(height) {
                let n = line.len().min(width);
                field.data[(top + row) * FIELD.0 + left..][..n].copy_from_slice(&line[..n]);
            }
        }
        for v in &mut field.data {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *v = v.saturating_add((state >> 30) as u8).saturating_sub(2);
        }
        let seen = triage.assess(field.view()?, &options);
        for (k, (_, truth)) in tiles.iter().enumerate() {
            let (x, y) = place(k);
            let inside = |b: &domain::BoundingBox| {
                let (cx, cy) = ((b.x + b.width / 2.0) as usize, (b.y + b.height / 2.0) as usize);
                (x..x + width).contains(&cx) && (y..y + height).contains(&cy)
            };
            let best =
                seen.spreads.iter().filter(|s| inside(&s.bounds)).map(|s| s.quality.metaphase).fold(0.0, f32::max);
            scores.push((best, *truth));
        }
    }
    Ok(())
}
