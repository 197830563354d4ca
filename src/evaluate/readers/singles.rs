//! Single chromosomes: sheets with an index, and folders of images.

use std::{collections::BTreeMap, fs, path::Path};

use crate::camera::files::is_image_name;
use domain::ChromosomeClass;

use super::{
    super::dataset::{DataError, SingleCell, SingleChromosome, Skipped},
    CellTable, patient, rows,
};

/// `index.csv` (sheet, cell, patient, class, x, y, width, height) and the sheets it names.
pub fn sheets(folder: &Path, cells: &CellTable, skipped: &mut Vec<Skipped>) -> Result<Vec<SingleCell>, DataError> {
    let mut by_cell: BTreeMap<String, SingleCell> = BTreeMap::new();
    let mut missing: BTreeMap<String, bool> = BTreeMap::new();
    for (line, row) in rows(&folder.join("index.csv"))?.into_iter().enumerate() {
        let row: BTreeMap<String, String> = row.into_iter().collect();
        let item = format!("index.csv:{}", line + 2);
        let text = |key: &str| row.get(key).cloned().unwrap_or_default();
        let class = match text("class").parse::<ChromosomeClass>() {
            Ok(class) => class,
            Err(error) => {
                skipped.push(Skipped { item, reason: format!("{error}: left out") });
                continue;
            }
        };
        let numbers: Option<Vec<usize>> =
            ["x", "y", "width", "height"].iter().map(|key| text(key).parse().ok()).collect();
        let Some([x, y, width, height]) = numbers.as_deref().and_then(|n| <[usize; 4]>::try_from(n).ok()) else {
            skipped.push(Skipped { item, reason: "place on the sheet is no four numbers: left out".to_owned() });
            continue;
        };
        if width == 0 || height == 0 {
            skipped.push(Skipped { item, reason: format!("degenerate place {width} x {height}: left out") });
            continue;
        }
        let sheet = text("sheet");
        let path = folder.join(&sheet);
        if !*missing.entry(sheet.clone()).or_insert_with(|| !path.is_file()) {
            let name = text("cell");
            let cell = by_cell.entry(name.clone()).or_insert_with(|| SingleCell {
                patient: Some(text("patient")).filter(|p| !p.is_empty()).unwrap_or_else(|| patient(cells, &name)),
                name,
                chromosomes: Vec::new(),
            });
            cell.chromosomes.push(SingleChromosome { path, place: Some([x, y, width, height]), class });
        } else {
            skipped.push(Skipped { item, reason: format!("sheet {sheet} is missing: left out") });
        }
    }
    Ok(by_cell.into_values().collect())
}

/// Folders of images of single chromosomes. Known names: `<cell> <class><copy>.bmp` (BioImLab; `2 1a.bmp` is cell 2,
/// chromosome 1, first copy), `clase<class>_<n>_<cell>.tiff` (Pki-3), else the folder's name is the class and the cell
/// is not known.
pub fn folders(folder: &Path, cells: &CellTable, skipped: &mut Vec<Skipped>) -> Vec<SingleCell> {
    let mut by_cell: BTreeMap<String, SingleCell> = BTreeMap::new();
    let mut inner: Vec<_> = fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
        .unwrap_or_default();
    inner.sort();
    for part in inner {
        let part_name = part.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut files: Vec<_> = fs::read_dir(&part)
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        files.sort();
        for path in files {
            if !is_image_name(&path) {
                continue;
            }
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let Some((class, cell)) = named(&part_name, &stem) else {
                let item = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
                skipped.push(Skipped {
                    item,
                    reason: "neither name nor folder gives a class 1-22, X, Y: left out".into(),
                });
                continue;
            };
            by_cell
                .entry(cell.clone())
                .or_insert_with(|| SingleCell { patient: patient(cells, &cell), name: cell, chromosomes: Vec::new() })
                .chromosomes
                .push(SingleChromosome { path, place: None, class });
        }
    }
    by_cell.into_values().collect()
}

/// Class and cell of a single chromosome, from its folder's and its own name.
fn named(folder: &str, stem: &str) -> Option<(ChromosomeClass, String)> {
    // 23 and 24 stand for X and Y in sets that number all classes.
    let class_of = |text: &str| match text {
        "23" => Some(ChromosomeClass::X),
        "24" => Some(ChromosomeClass::Y),
        _ => text.parse().ok(),
    };
    if let Some((cell, rest)) = stem.split_once(' ') {
        let digits = rest.trim_end_matches(|c: char| c.is_ascii_lowercase());
        if let Some(class) = class_of(digits) {
            return Some((class, cell.to_owned()));
        }
    }
    if let Some(rest) = stem.strip_prefix("clase") {
        let mut parts = rest.splitn(3, '_');
        if let (Some(class), Some(_), Some(cell)) = (parts.next().and_then(class_of), parts.next(), parts.next()) {
            return Some((class, cell.to_owned()));
        }
    }
    let bare = folder.trim_start_matches("clase").trim_start_matches("chr");
    class_of(bare).map(|class| (class, format!("{folder}/{stem}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_published_sets_give_class_and_cell() {
        let class = |text: &str| text.parse::<ChromosomeClass>().unwrap();
        assert_eq!(named("2", "2 1a"), Some((class("1"), "2".into())));
        assert_eq!(named("2", "2 23a"), Some((class("X"), "2".into())));
        assert_eq!(named("clase24", "clase24_0_97002023.12"), Some((class("Y"), "97002023.12".into())));
        assert_eq!(named("X", "whatever"), Some((class("X"), "X/whatever".into())));
        assert_eq!(named("junk", "whatever"), None);
    }
}
