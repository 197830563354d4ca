//! M-FISH cells: a DAPI plane and a class map; the pieces of the map become boxes.

use std::{fs, path::Path};

use crate::cell::{BoundingBox, ChromosomeClass};

use super::{
    super::dataset::{Field, Skipped, TruthBox},
    CellTable, patient,
};

/// Value of the map where chromosomes overlap.
const OVERLAP: u8 = 255;
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
    let mut truth = Vec::new();
    let mut seen = vec![0u8; map.len()];
    for start in 0..map.len() {
        let value = map[start];
        let Some(class) = usize::from(value).checked_sub(1).and_then(ChromosomeClass::from_index) else { continue };
        if seen[start] == value {
            continue;
        }
        let (mut left, mut top, mut right, mut bottom, mut own) = (width, height, 0, 0, 0);
        let mut open = vec![start];
        seen[start] = value;
        while let Some(at) = open.pop() {
            let (x, y) = (at % width, at / width);
            (left, top, right, bottom) = (left.min(x), top.min(y), right.max(x), bottom.max(y));
            own += usize::from(map[at] == value);
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
        if own >= SMALLEST_PIECE {
            let bounds = BoundingBox::from_corners(left as f32, top as f32, right as f32 + 1.0, bottom as f32 + 1.0);
            truth.push(TruthBox { bounds, class: Some(class) });
        }
    }
    truth
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
}
