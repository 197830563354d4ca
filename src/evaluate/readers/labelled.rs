//! Pictures with one word each: crops of objects, windows of fields.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    super::dataset::{DataError, LabelledPicture, Skipped},
    rows,
};

/// Windows of the shared sets, read by eye from contact sheets: about eight chromosomes or more are a `metaphase`, no
/// chromosome is `none`, what lies between is `partial`.
const SHIPPED: &str = include_str!("../triage_windows.csv");

/// `objects.csv`: file, case, kind (`chromosome` or `cluster`).
pub fn objects(folder: &Path, skipped: &mut Vec<Skipped>) -> Result<Vec<LabelledPicture>, DataError> {
    let mut found = Vec::new();
    for (line, row) in rows(&folder.join("objects.csv"))?.into_iter().enumerate() {
        let row: BTreeMap<String, String> = row.into_iter().collect();
        let text = |key: &str| row.get(key).cloned().unwrap_or_default();
        let mut skip = |reason: String| skipped.push(Skipped { item: format!("objects.csv:{}", line + 2), reason });
        let label = match text("kind").as_str() {
            "chromosome" | "single" => "single",
            "cluster" => "cluster",
            other => {
                skip(format!("kind '{other}' is neither chromosome nor cluster: left out"));
                continue;
            }
        };
        let (name, group) = (text("file"), text("case"));
        let path = folder.join(&name);
        if path.is_file() {
            found.push(LabelledPicture { name, path, place: None, group, label: label.to_owned() });
        } else {
            skip(format!("{name} is missing: left out"));
        }
    }
    Ok(found)
}

/// `windows.csv`: file, x, y, width, height, label, group. Where the folder has none, the windows of the shared sets that
/// come with the program, as far as their files lie in the folder or in the one above it.
pub fn windows(folder: &Path, skipped: &mut Vec<Skipped>) -> Result<Vec<LabelledPicture>, DataError> {
    let own = folder.join("windows.csv");
    let is_own = own.is_file();
    let table = if is_own { rows(&own)? } else { shipped() };
    let mut found = Vec::new();
    for (line, row) in table.into_iter().enumerate() {
        let row: BTreeMap<String, String> = row.into_iter().collect();
        let text = |key: &str| row.get(key).cloned().unwrap_or_default();
        let mut skip = |reason: String| skipped.push(Skipped { item: format!("windows.csv:{}", line + 2), reason });
        let numbers: Option<Vec<usize>> =
            ["x", "y", "width", "height"].iter().map(|key| text(key).parse().ok()).collect();
        let place = numbers.and_then(|n| <[usize; 4]>::try_from(n).ok()).filter(|place| place[2] > 0 && place[3] > 0);
        let Some(place) = place else {
            skip("x, y, width and height are no rectangle: left out".to_owned());
            continue;
        };
        let file = text("file");
        match file_in(folder, &file) {
            Some(path) => {
                let name = format!("{file} {},{} {}x{}", place[0], place[1], place[2], place[3]);
                found.push(LabelledPicture {
                    name,
                    path,
                    place: Some(place),
                    group: text("group"),
                    label: text("label"),
                });
            }
            None if is_own => skip(format!("{file} is missing: left out")),
            None => {}
        }
    }
    Ok(found)
}

/// A file named from the folder, or from the one above it.
fn file_in(folder: &Path, file: &str) -> Option<PathBuf> {
    let below = folder.join(file);
    if below.is_file() {
        return Some(below);
    }
    let inside = Path::new(file).strip_prefix(folder.file_name()?).ok()?;
    Some(folder.join(inside)).filter(|path| path.is_file())
}

fn shipped() -> Vec<Vec<(String, String)>> {
    let mut lines = SHIPPED.lines().map(|line| line.split(','));
    let columns: Vec<&str> = lines.next().map(Iterator::collect).unwrap_or_default();
    lines.map(|line| columns.iter().zip(line).map(|(c, v)| ((*c).to_owned(), v.to_owned())).collect()).collect()
}
