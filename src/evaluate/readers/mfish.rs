//! M-FISH cells: a DAPI plane and a class map; the pieces of the map become boxes.

use std::{fs, path::Path};

use domain::{BoundingBox, ChromosomeClass};
use imaging::Rect;

use super::{
    super::dataset::{Field, Skipped, TruthBox},
    CellTable, patient,
};

/// Value of the map where chromosomes overlap.
pub const OVERLAP: u8 = 255;
/// Smaller pieces are drawing noise.
const SMALLEST_PIECE: usize = 20;

/// `cells/<cell>_dapi.png` + `cells/<cell>_class.png`. Cells without a map are passed by; they are no mistake.
pub fn read(folder: &Path, cells: &CellTable, skipped: &mut Vec<Skipped>) -> Vec<Field> {
    let mut fields = Vec::new();
    let Ok(entries) = fs::read_dir(folder.join("cells")) else { return fields };
    let mut maps: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    maps.sort();
    for map_path in maps {
        let Some(name) = map_path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix("_class.png"))
        else {
            continue;
        };
        let path = map_path.with_file_name(format!("{name}_dapi.png"));
        let item = format!("cells/{name}_class.png");
        if !path.is_file() {
            skipped.push(Skipped { item, reason: "its DAPI plane is missing: left out".to_owned() });
            continue;
        }
        match image::open(&map_path) {
            Ok(map) => {
                let map = map.into_luma8();
                let truth = pieces(map.as_raw(), map.width() as usize, map.height() as usize);
                fields.push(Field { name: name.to_owned(), path, patient: patient(cells, name), truth });
            }
            Err(error) => skipped.push(Skipped { item, reason: format!("{error}: left out") }),
        }
    }
    fields
}

/// The connected pieces (eight neighbours) of every class, joined through overlap pixels.
fn pieces(map: &[u8], width: usize, height: usize) -> Vec<TruthBox> {
    found_pieces(map, width, height).into_iter().map(|piece| piece.truth).collect()
}

/// A piece and the pixels of its class in it.
struct Piece {
    truth: TruthBox,
    pixels: Vec<usize>,
}

fn found_pieces(map: &[u8], width: usize, height: usize) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut seen = vec![0u8; map.len()];
    for start in 0..map.len() {
        let value = map[start];
        let Some(class) = usize::from(value).checked_sub(1).and_then(ChromosomeClass::from_index) else { continue };
        if seen[start] == value {
            continue;
        }
        let (mut left, mut top, mut right, mut bottom, mut own) = (width, height, 0, 0, Vec::new());
        let mut open = vec![start];
        seen[start] = value;
        while let Some(at) = open.pop() {
            let (x, y) = (at % width, at / width);
            (left, top, right, bottom) = (left.min(x), top.min(y), right.max(x), bottom.max(y));
            if map[at] == value {
                own.push(at);
            }
            for ny in y.saturating_sub(1)..(y + 2).min(height) {
                for nx in x.saturating_sub(1)..(x + 2).min(width) {
                    let next = ny * width + nx;
                    // An overlap pixel may belong to several pieces, so `seen` keeps the last class that took it.
                    if seen[next] != value && (map[next] == value || map[next] == OVERLAP) {
                        seen[next] = value;
                        open.push(next);
                    }
                }
            }
        }
        if own.len() >= SMALLEST_PIECE {
            let bounds = BoundingBox::from_corners(left as f32, top as f32, right as f32 + 1.0, bottom as f32 + 1.0);
            found.push(Piece { truth: TruthBox { bounds, class: Some(class) }, pixels: own });
        }
    }
    found
}

/// The chromosomes of a class map by pixel: 0 ground, else place in the list and 1, [`u16::MAX`] where several lie; their labels and boxes; and
/// how many autosomes are one piece alone. Those are in the map but not in the list, for their two copies touch in all likelihood.
pub fn labelled(map: &[u8], width: usize, height: usize) -> (Vec<u16>, Vec<(u16, BoundingBox)>, usize) {
    let pieces = found_pieces(map, width, height);
    let mut labels: Vec<u16> = map.iter().map(|v| if *v == OVERLAP { u16::MAX } else { 0 }).collect();
    let mut boxes = Vec::new();
    let mut joined = 0;
    for (i, piece) in pieces.iter().enumerate() {
        let label = i as u16 + 1;
        piece.pixels.iter().for_each(|at| labels[*at] = label);
        let alone = pieces.iter().filter(|other| other.truth.class == piece.truth.class).count() == 1;
        if alone && piece.truth.class.is_some_and(|class| !class.is_sex()) {
            joined += 1;
        } else {
            boxes.push((label, piece.truth.bounds));
        }
    }
    (labels, boxes, joined)
}

/// A chromosome of a class map with its mask.
pub struct Lone {
    /// The smallest rectangle around it.
    pub bounds: Rect,
    /// `bounds.width() * bounds.height()` zeros and ones.
    pub mask: Vec<u8>,
}

/// How far a lone chromosome is from everything else, in pixels.
const CLEAR: usize = 3;

/// The chromosomes of a class map that lie alone: connected pieces of one class of at least 20 pixels, at least 3 pixels
/// from any other class, from pixels of overlap and from the border.
pub fn lone(map: &[u8], width: usize, height: usize) -> Vec<Lone> {
    let mut found = Vec::new();
    let mut seen = vec![false; map.len()];
    let mut open = Vec::new();
    let mut piece = Vec::new();
    for start in 0..map.len() {
        let value = map[start];
        if seen[start] || !(1..=24).contains(&value) {
            continue;
        }
        piece.clear();
        open.push(start);
        seen[start] = true;
        while let Some(at) = open.pop() {
            piece.push(at);
            let (x, y) = (at % width, at / width);
            for ny in y.saturating_sub(1)..(y + 2).min(height) {
                for nx in x.saturating_sub(1)..(x + 2).min(width) {
                    let next = ny * width + nx;
                    if !seen[next] && map[next] == value {
                        seen[next] = true;
                        open.push(next);
                    }
                }
            }
        }
        if piece.len() < SMALLEST_PIECE {
            continue;
        }
        let mut own = vec![0u8; map.len()];
        piece.iter().for_each(|&at| own[at] = 1);
        let alone = piece.iter().all(|&at| {
            let (x, y) = (at % width, at / width);
            let inside = x >= CLEAR && y >= CLEAR && x + CLEAR < width && y + CLEAR < height;
            // Nearer than `CLEAR`: squared distance below its square.
            inside
                && (y - CLEAR + 1..y + CLEAR).all(|ny| {
                    (x - CLEAR + 1..x + CLEAR).all(|nx| {
                        let near = nx.abs_diff(x).pow(2) + ny.abs_diff(y).pow(2) < CLEAR * CLEAR;
                        let other = map[ny * width + nx] != 0 && own[ny * width + nx] == 0;
                        !(near && other)
                    })
                })
        });
        if !alone {
            continue;
        }
        let columns = || piece.iter().map(|at| at % width);
        let rows = || piece.iter().map(|at| at / width);
        let bounds = Rect {
            left: columns().min().unwrap_or(0),
            top: rows().min().unwrap_or(0),
            right: columns().max().unwrap_or(0) + 1,
            bottom: rows().max().unwrap_or(0) + 1,
        };
        let mask = (bounds.top..bounds.bottom)
            .flat_map(|y| own[y * width + bounds.left..y * width + bounds.right].iter().copied())
            .collect();
        found.push(Lone { bounds, mask });
    }
    found
}

/// The class map of a cell whose DAPI plane is `dapi`, with its size.
pub fn map_of(dapi: &Path, name: &str) -> Option<(Vec<u8>, usize, usize)> {
    let map = image::open(dapi.with_file_name(format!("{name}_class.png"))).ok()?.into_luma8();
    let (width, height) = (map.width() as usize, map.height() as usize);
    Some((map.into_raw(), width, height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chromosome_that_another_crosses_is_one_piece() {
        // A row of class 1, cut by an overlap pixel from a column of class 2.
        let (w, h) = (31, 31);
        let mut map = vec![0u8; w * h];
        for i in 0..31 {
            map[15 * w + i] = 1;
            map[i * w + 15] = 2;
        }
        map[15 * w + 15] = OVERLAP;
        let truth = pieces(&map, w, h);
        assert_eq!(truth.len(), 2, "{truth:?}");
        let row = truth.iter().find(|t| t.class == ChromosomeClass::autosome(1)).unwrap();
        assert_eq!(row.bounds, BoundingBox { x: 0.0, y: 15.0, width: 31.0, height: 1.0 });
    }

    #[test]
    fn only_what_keeps_clear_of_all_else_lies_alone() {
        let (w, h) = (60, 30);
        let mut map = vec![0u8; w * h];
        let mut bar = |left: usize, value: u8| {
            for y in 8..20 {
                map[y * w + left..y * w + left + 5].fill(value);
            }
        };
        bar(1, 1); // at the border
        bar(12, 2);
        bar(18, 3); // its nearest pixel is two columns from the one before
        bar(40, 4);
        let alone = lone(&map, w, h);
        assert_eq!(alone.len(), 1);
        assert_eq!(alone[0].bounds, Rect { left: 40, top: 8, right: 45, bottom: 20 });
        assert!(alone[0].mask.iter().all(|m| *m == 1));
    }
}
