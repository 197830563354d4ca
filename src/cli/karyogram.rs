//! Karyograms and outlined fields as files, for `analyze` and `case export`.

use std::{fs, io, path::Path};

use super::{Exit, Failure};
use crate::interpretation::pictures;
use domain::{Cell, frame::Pixels};
use karyotype::karyogram::{Crop, Orientation, field_svg, png, svg};

/// Writes `NAME.svg` and `NAME.png` into `folder`, which is made where it is missing. Slashes of the name become underscores.
///
/// # Errors
/// When something cannot be written.
pub fn write_karyogram(
    folder: &Path,
    name: &str,
    cell: &Cell,
    crops: &[Option<Crop>],
    orientation: Orientation,
) -> Result<(), Failure> {
    let flat = flat(name);
    fs::create_dir_all(folder).map_err(cannot(folder))?;
    let path = folder.join(format!("{flat}.svg"));
    fs::write(&path, svg(cell, crops, orientation)).map_err(cannot(&path))?;
    let path = folder.join(format!("{flat}.png"));
    let picture = png(cell, crops, orientation, 2).map_err(|error| cannot(&path)(io::Error::other(error)))?;
    fs::write(&path, picture).map_err(cannot(&path))
}

/// Writes `NAME.svg` into `folder`: the field of a cell with its chromosomes outlined. A cell outside of its frame has none.
///
/// # Errors
/// When something cannot be written.
pub fn write_outlines(folder: &Path, name: &str, cell: &Cell, pixels: &Pixels) -> Result<(), Failure> {
    let Some((png, corner, size)) = pictures::cell_png(pixels, cell) else { return Ok(()) };
    fs::create_dir_all(folder).map_err(cannot(folder))?;
    let path = folder.join(format!("{}.svg", flat(name)));
    fs::write(&path, field_svg(cell, &png, corner, size)).map_err(cannot(&path))
}

/// A name as one file's.
fn flat(name: &str) -> String {
    name.chars().map(|c| if matches!(c, '/' | '\\') { '_' } else { c }).collect()
}

fn cannot(path: &Path) -> impl FnOnce(io::Error) -> Failure + use<> {
    let path = path.display().to_string();
    move |error| Failure::new(Exit::CannotCreate, format!("cannot write {path}: {error}"))
}
