//! Karyograms as files, for `analyze` and `case export`.

use std::{fs, io, path::Path};

use super::{Exit, Failure};
use domain::Cell;
use karyotype::karyogram::{Crop, Orientation, png, svg};

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
    let flat: String = name.chars().map(|c| if matches!(c, '/' | '\\') { '_' } else { c }).collect();
    let cannot = |path: &Path| {
        let path = path.display().to_string();
        move |error: io::Error| Failure::new(Exit::CannotCreate, format!("cannot write {path}: {error}"))
    };
    fs::create_dir_all(folder).map_err(cannot(folder))?;
    let path = folder.join(format!("{flat}.svg"));
    fs::write(&path, svg(cell, crops, orientation)).map_err(cannot(&path))?;
    let path = folder.join(format!("{flat}.png"));
    let picture = png(cell, crops, orientation, 2).map_err(|error| cannot(&path)(io::Error::other(error)))?;
    fs::write(&path, picture).map_err(cannot(&path))
}
