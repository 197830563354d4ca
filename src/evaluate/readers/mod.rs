//! Readers of the published layouts. What is wrong with a single annotation is listed, never fatal.

pub(super) mod boxes;
pub(super) mod labelled;
pub(super) mod masks;
pub(super) mod mfish;
pub(super) mod singles;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use domain::{BoundingBox, ChromosomeClass};

use super::dataset::{DataError, Skipped, TruthBox};

/// Rows of cells.csv by their first column.
pub(super) type CellTable = HashMap<String, BTreeMap<String, String>>;

/// Reads `cells.csv` beside the data; empty where there is none.
pub(super) fn cell_table(folder: &Path) -> Result<CellTable, DataError> {
    let path = folder.join("cells.csv");
    if !path.is_file() {
        return Ok(CellTable::new());
    }
    let mut table = CellTable::new();
    for row in rows(&path)? {
        let key = row.iter().find(|(column, _)| column == "image" || column == "cell").map(|(_, value)| value.clone());
        if let Some(key) = key {
            table.insert(key, row.into_iter().collect());
        }
    }
    Ok(table)
}

/// The rows of a table with a header, as (column, value).
pub(super) fn rows(path: &Path) -> Result<Vec<Vec<(String, String)>>, DataError> {
    let wrong = |error: csv::Error| DataError::Table { path: path.to_owned(), reason: error.to_string() };
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_path(path).map_err(wrong)?;
    let columns = reader.headers().map_err(wrong)?.clone();
    let mut rows = Vec::new();
    for record in reader.records() {
        // A row that is no text at all is passed by like a row with too few fields.
        let Ok(record) = record else { continue };
        rows.push(columns.iter().zip(&record).map(|(c, v)| (c.to_owned(), v.to_owned())).collect());
    }
    Ok(rows)
}

/// The person a cell belongs to: `group`, else `patient`, else the cell itself.
pub(super) fn patient(cells: &CellTable, name: &str) -> String {
    let row = cells.get(name).or_else(|| {
        let stem = Path::new(name).file_stem()?.to_str()?;
        cells.get(stem)
    });
    row.and_then(|row| ["group", "patient"].iter().find_map(|key| row.get(*key).filter(|value| !value.is_empty())))
        .cloned()
        .unwrap_or_else(|| name.to_owned())
}

/// Gathers boxes, clips them to the image and lists what is wrong with them.
pub(super) struct BoxCollector<'a> {
    pub skipped: &'a mut Vec<Skipped>,
    /// False where the set names no chromosome classes at all: then boxes have none.
    pub classes: bool,
}

/// A box as a file gives it.
pub(super) struct RawBox {
    /// File and line, for the list of what was left out.
    pub item: String,
    pub class: String,
    /// Left, top, right, bottom.
    pub corners: [f64; 4],
}

impl BoxCollector<'_> {
    /// A usable box, or nothing and an entry in the list.
    pub fn take(&mut self, raw: &RawBox, size: Option<(usize, usize)>) -> Option<TruthBox> {
        let mut skip = |reason: String| {
            self.skipped.push(Skipped { item: raw.item.clone(), reason });
            None
        };
        let [left, top, right, bottom] = raw.corners;
        if raw.corners.iter().any(|v| !v.is_finite()) {
            return skip("a coordinate is no number: box left out".to_owned());
        }
        if right <= left || bottom <= top {
            return skip(format!("degenerate box [{left}, {top}, {right}, {bottom}]: left out"));
        }
        let class = match (self.classes, raw.class.parse::<ChromosomeClass>()) {
            (false, _) => None,
            (true, Ok(class)) => Some(class),
            (true, Err(error)) => return skip(format!("{error}: box left out")),
        };
        let bounds = BoundingBox::from_corners(left as f32, top as f32, right as f32, bottom as f32);
        let bounds = match size {
            Some((width, height)) => bounds.clipped(width as f32, height as f32),
            None => bounds,
        };
        if bounds.width < 1.0 || bounds.height < 1.0 {
            return skip(format!("box [{left}, {top}, {right}, {bottom}] lies outside the image: left out"));
        }
        Some(TruthBox { bounds, class })
    }
}

/// Width and height of an image, from its header alone.
pub(super) fn image_size(path: &Path) -> Option<(usize, usize)> {
    let reader = image::ImageReader::open(path).ok()?.with_guessed_format().ok()?;
    let (width, height) = reader.into_dimensions().ok()?;
    Some((width as usize, height as usize))
}

/// The image of that name in a folder, with any ending.
pub(super) fn image_named(folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    const ENDINGS: [&str; 9] = ["png", "webp", "jpg", "jpeg", "tif", "tiff", "bmp", "JPG", "JPEG"];
    let stem = Path::new(name).file_stem()?.to_str()?;
    for folder in folders {
        let exact = folder.join(name);
        if exact.is_file() && crate::camera::files::is_image_name(&exact) {
            return Some(exact);
        }
        for ending in ENDINGS {
            // The name itself may hold dots.
            for candidate in [folder.join(format!("{stem}.{ending}")), folder.join(format!("{name}.{ending}"))] {
                if candidate.is_file() {
                    return Some(candidate);
                }
            }
        }
    }
    None
}
