//! Fields with boxes: csv, Pascal VOC, YOLO.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use domain::{BoundingBox, ChromosomeClass};

use super::{
    super::dataset::{DataError, Field, Skipped},
    BoxCollector, CellTable, RawBox, image_named, image_size, patient, rows,
};

/// `annotations.csv` + `images/`.
pub fn csv(folder: &Path, cells: &CellTable, skipped: &mut Vec<Skipped>) -> Result<Vec<Field>, DataError> {
    let table = folder.join("annotations.csv");
    let mut by_image: BTreeMap<String, Vec<RawBox>> = BTreeMap::new();
    for (line, row) in rows(&table)?.into_iter().enumerate() {
        let row: BTreeMap<String, String> = row.into_iter().collect();
        let item = format!("annotations.csv:{}", line + 2);
        let Some(image) = row.get("image").filter(|image| !image.is_empty()) else {
            skipped.push(Skipped { item, reason: "the row names no image: left out".to_owned() });
            continue;
        };
        let number = |key: &str| row.get(key).and_then(|v| v.parse().ok()).unwrap_or(f64::NAN);
        let corners = ["xmin", "ymin", "xmax", "ymax"].map(number);
        let class = row.get("class").cloned().unwrap_or_default();
        by_image.entry(image.clone()).or_default().push(RawBox { item, class, corners });
    }
    let folders = [folder.join("images")];
    Ok(fields(by_image.into_iter().map(|(image, boxes)| (image_named(&folders, &image), image, boxes)), cells, skipped))
}

/// Pascal VOC: XML files at the top or in folders below, images beside them or in a neighbouring folder.
pub fn voc(folder: &Path, cells: &CellTable, skipped: &mut Vec<Skipped>) -> Vec<Field> {
    #[derive(Deserialize)]
    struct Annotation {
        #[serde(default)]
        filename: String,
        #[serde(default)]
        object: Vec<Object>,
    }
    #[derive(Deserialize)]
    struct Object {
        #[serde(default)]
        name: String,
        bndbox: Option<Corners>,
    }
    #[derive(Deserialize)]
    struct Corners {
        xmin: String,
        ymin: String,
        xmax: String,
        ymax: String,
    }
    let mut found = Vec::new();
    for path in find_files(folder, "xml") {
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        let read = fs::read_to_string(&path)
            .map_err(|error| error.to_string())
            .and_then(|text| quick_xml::de::from_str::<Annotation>(&text).map_err(|error| error.to_string()));
        let annotation = match read {
            Ok(annotation) => annotation,
            Err(reason) => {
                skipped.push(Skipped { item: name, reason: format!("no Pascal VOC: {reason}; image left out") });
                continue;
            }
        };
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let places = neighbours(&path);
        // Some sets rename images and forget the XML, so the XML's own name counts too.
        let image = image_named(&places, &annotation.filename).or_else(|| image_named(&places, &stem));
        let boxes = annotation
            .object
            .into_iter()
            .enumerate()
            .map(|(i, object)| {
                let number = |text: &String| text.trim().parse().unwrap_or(f64::NAN);
                let corners =
                    object.bndbox.as_ref().map_or([f64::NAN; 4], |b| [&b.xmin, &b.ymin, &b.xmax, &b.ymax].map(number));
                RawBox { item: format!("{name} object {}", i + 1), class: object.name.trim().to_owned(), corners }
            })
            .collect();
        found.push((image, stem, boxes));
    }
    fields(found, cells, skipped)
}

/// Left, top, right and bottom in pixels of what follows the class on a line: a box, or a polygon's corners.
fn yolo_corners<'a>(parts: impl Iterator<Item = &'a str>, size: (f64, f64)) -> Result<[f64; 4], String> {
    let numbers: Vec<f64> = parts
        .map(|part| part.parse().map_err(|_| format!("'{part}' is no number: box left out")))
        .collect::<Result<_, _>>()?;
    let [left, top, right, bottom] = match numbers[..] {
        [cx, cy, w, h] => [cx - w / 2.0, cy - h / 2.0, cx + w / 2.0, cy + h / 2.0],
        _ if numbers.len() < 6 || !numbers.len().is_multiple_of(2) => {
            return Err(format!(
                "{} numbers after the class: expected 4 (a box), or the x and y of 3 or more corners: left out",
                numbers.len()
            ));
        }
        // Key points carry a word on their visibility, which is no place in the image.
        _ if numbers.iter().any(|v| !(0.0..=1.0).contains(v)) => {
            return Err("a corner lies outside the image: expected numbers from 0 to 1: left out".into());
        }
        _ => {
            let extremes = |from: usize| {
                let values = numbers.iter().skip(from).step_by(2);
                values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)))
            };
            let ((left, right), (top, bottom)) = (extremes(0), extremes(1));
            [left, top, right, bottom]
        }
    };
    Ok([left * size.0, top * size.1, right * size.0, bottom * size.1])
}

/// YOLO text: `class cx cy width height`, or `class x y x y x y ...` of a polygon, relative to the image.
pub fn yolo(folder: &Path, cells: &CellTable, skipped: &mut Vec<Skipped>) -> Vec<Field> {
    let names = yolo_names(folder);
    let found = yolo_rows(folder, &names, skipped);
    // Bare numbers are no chromosome classes unless a list of names says what they mean.
    let known = names.iter().any(|name| name.parse::<ChromosomeClass>().is_ok());
    collect(found.into_iter().map(|(image, stem, boxes)| (Some(image), stem, boxes)).collect(), cells, skipped, known)
}

/// The rows of a YOLO set by their image: its path, its name, its boxes with the words of their classes, as written or as the list of
/// names has them.
fn yolo_rows(folder: &Path, names: &[String], skipped: &mut Vec<Skipped>) -> Vec<(PathBuf, String, Vec<RawBox>)> {
    let mut found = Vec::new();
    for (text_path, image) in yolo_pairs(folder) {
        let name = text_path.strip_prefix(folder).unwrap_or(&text_path).display().to_string();
        let Some((width, height)) = image_size(&image) else {
            skipped
                .push(Skipped { item: image.display().to_string(), reason: "image cannot be read: left out".into() });
            continue;
        };
        let text = match fs::read_to_string(&text_path) {
            Ok(text) => text,
            Err(error) => {
                skipped.push(Skipped { item: name, reason: format!("{error}: image left out") });
                continue;
            }
        };
        let boxes = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .filter_map(|(i, line)| {
                let mut parts = line.split_whitespace();
                let class = parts.next().unwrap_or_default();
                let class = class.parse().ok().and_then(|n: usize| names.get(n).cloned()).unwrap_or(class.to_owned());
                let corners = match yolo_corners(parts, (width as f64, height as f64)) {
                    Ok(corners) => corners,
                    Err(reason) => {
                        skipped.push(Skipped { item: format!("{name}:{}", i + 1), reason });
                        return None;
                    }
                };
                Some(RawBox { item: format!("{name}:{}", i + 1), class, corners })
            })
            .collect();
        let stem = text_path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        found.push((image, stem, boxes));
    }
    found
}

/// The boxes of a YOLO set by their image, each with whether it holds a dicentric: one of the class that the set's list of names calls
/// so, or of class 1 where there is no such list. What cannot be read is left out, as [`yolo`] lists it.
pub fn yolo_dicentrics(folder: &Path) -> HashMap<PathBuf, Vec<(bool, BoundingBox)>> {
    let names = yolo_names(folder);
    let is_dicentric =
        |class: &str| if names.is_empty() { class == "1" } else { class.eq_ignore_ascii_case("dicentric") };
    let boxed = |raw: &RawBox| {
        let [left, top, right, bottom] = raw.corners.map(|v| v as f32);
        (is_dicentric(&raw.class), BoundingBox::from_corners(left, top, right, bottom))
    };
    let rows = yolo_rows(folder, &names, &mut Vec::new());
    rows.into_iter().map(|(image, _, boxes)| (image, boxes.iter().map(boxed).collect())).collect()
}

fn fields(
    found: impl IntoIterator<Item = (Option<PathBuf>, String, Vec<RawBox>)>,
    cells: &CellTable,
    skipped: &mut Vec<Skipped>,
) -> Vec<Field> {
    let found: Vec<_> = found.into_iter().collect();
    // A set whose boxes all carry names like "chromosome" has no classes; one odd name among classes is a mistake.
    let classes = found.iter().flat_map(|(_, _, boxes)| boxes).any(|b| b.class.parse::<ChromosomeClass>().is_ok());
    collect(found, cells, skipped, classes)
}

fn collect(
    found: Vec<(Option<PathBuf>, String, Vec<RawBox>)>,
    cells: &CellTable,
    skipped: &mut Vec<Skipped>,
    classes: bool,
) -> Vec<Field> {
    let mut fields = Vec::with_capacity(found.len());
    for (image, name, boxes) in found {
        let Some(path) = image else {
            skipped
                .push(Skipped { item: name, reason: format!("its image is missing: {} boxes left out", boxes.len()) });
            continue;
        };
        let listed = cells.get(&name).and_then(|row| {
            Some((row.get("width")?.parse::<usize>().ok()?, row.get("height")?.parse::<usize>().ok()?))
        });
        let Some(size) = listed.or_else(|| image_size(&path)) else {
            skipped.push(Skipped { item: name, reason: "its image cannot be read: left out".to_owned() });
            continue;
        };
        let mut collector = BoxCollector { skipped, classes };
        let truth = boxes.iter().filter_map(|raw| collector.take(raw, Some(size))).collect();
        let patient = patient(cells, &name);
        fields.push(Field { name, path, patient, truth });
    }
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    fields
}

/// Files of an ending in the folder and up to three levels below, sorted.
pub fn find_files(folder: &Path, ending: &str) -> impl Iterator<Item = PathBuf> + use<> {
    fn walk(folder: &Path, ending: &str, depth: usize, out: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                if depth > 0 {
                    walk(&path, ending, depth - 1, out);
                }
            } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case(ending)) {
                out.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, ending, 3, &mut found);
    found.sort();
    found.into_iter()
}

/// The folder of a file, its neighbours and the folders above it in which an image may lie.
fn neighbours(file: &Path) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = file.parent().map(Path::to_owned).into_iter().collect();
    if let Some(above) = file.parent().and_then(Path::parent) {
        let mut beside: Vec<PathBuf> = fs::read_dir(above)
            .map(|e| e.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect())
            .unwrap_or_default();
        beside.sort();
        places.extend(beside);
        places.push(above.to_owned());
    }
    places
}

/// What the classes of a YOLO set are called, where a list says so.
fn yolo_names(folder: &Path) -> Vec<String> {
    ["classes.txt", "labels/classes.txt", "obj.names"]
        .iter()
        .find_map(|name| fs::read_to_string(folder.join(name)).ok())
        .map(|text| text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect())
        .unwrap_or_default()
}

/// Text files of YOLO rows with their images: beside the text, or in a neighbouring folder.
pub fn yolo_pairs(folder: &Path) -> impl Iterator<Item = (PathBuf, PathBuf)> + use<> {
    find_files(folder, "txt").filter_map(|text| {
        let stem = text.file_stem()?.to_string_lossy().into_owned();
        let image = image_named(&neighbours(&text), &stem)?;
        Some((text, image))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_1_is_a_dicentric_only_where_no_list_names_the_classes() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
        image::GrayImage::new(40, 20).save(folder.path().join("a.png")).expect("a picture");
        write("a.txt", "0 0.5 0.5 0.2 0.2\n1 0.25 0.5 0.5 1\n");
        let found = || yolo_dicentrics(folder.path()).into_values().next().expect("rows");
        let kinds = || found().into_iter().map(|(dicentric, _)| dicentric).collect::<Vec<_>>();
        assert_eq!(kinds(), [false, true]);
        assert_eq!(found()[1].1, BoundingBox::from_corners(0.0, 0.0, 20.0, 20.0));
        // The classes of a karyotyped set: "1" is the chromosome.
        write("classes.txt", "X\n1\n");
        assert_eq!(kinds(), [false, false]);
        write("classes.txt", "Dicentric\nmonocentric\n");
        assert_eq!(kinds(), [true, false]);
        // A list that is too short names nothing, and class 1 means nothing then.
        write("classes.txt", "chromosome\n");
        assert_eq!(kinds(), [false, false]);
    }
}
