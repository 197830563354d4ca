//! What each class looks like: length over the textbook's, and bands.

use std::{
    collections::{BTreeMap, HashSet},
    error::Error,
    path::Path,
};

use domain::ChromosomeClass;
use imaging::{ChromosomeProfile, Crop, PROFILE_SAMPLES, standardise};
use karyotype::{MAX_SCREENED_BEND, measure::polarity, morphology};

use crate::{
    Outcome,
    output::{decimal, write_rust},
};

/// Every so many training cells are measured.
const CELL_STEP: usize = 8;

/// A box: left, top, right, bottom.
type Corners = [u32; 4];

/// What the cells say of one class.
#[derive(Default)]
struct OfClass {
    ratios: Vec<f32>,
    bands: Vec<[f32; PROFILE_SAMPLES]>,
}

/// Learns the profiles from boxes of training cells of cil, and writes them where that is asked for.
pub fn run(data: &Path, split: &Path, write: bool) -> Outcome {
    let folder = data.join("cil");
    let boxes = boxes(&folder)?;
    let mut classes: Vec<OfClass> = (0..ChromosomeClass::COUNT).map(|_| OfClass::default()).collect();
    for name in cells(&folder, split)?.iter().step_by(CELL_STEP) {
        let picture = image::open(folder.join("images").join(name))?.to_luma8();
        measure(&picture, &boxes[name], &mut classes);
    }
    let mut rows = Vec::new();
    for (class, of) in ChromosomeClass::all().zip(&mut classes) {
        let ratio = median(&mut of.ratios).ok_or("a class without chromosomes")?;
        let mut off: Vec<f32> = of.ratios.iter().map(|r| (r - ratio).abs()).collect();
        let spread = 1.4826 * median(&mut off).unwrap_or(0.0);
        let mut mean = [0.0_f32; PROFILE_SAMPLES];
        of.bands.iter().for_each(|own| mean.iter_mut().zip(own).for_each(|(m, b)| *m += b));
        standardise(&mut mean);
        println!("{class:>2} {} chromosomes, ratio {ratio:.3}, spread {spread:.3}", of.bands.len());
        let [ratio, spread] = [ratio, spread].map(|v| decimal(f64::from(v), 3));
        let bands = mean.map(|v| decimal(f64::from(v), 3)).join(", ");
        rows.push(format!("ClassProfile {{ ratio: {ratio}, spread: {spread}, bands: [{bands}] }}"));
    }
    if !write {
        return Ok(());
    }
    let body = format!(
        "use crate::structure_screen::ClassProfile;\n\npub(crate) const CLASS_PROFILES: [ClassProfile; {}] = [{}];\n",
        rows.len(),
        rows.join(",\n")
    );
    let what = "What each class looks like, in the order 1 to 22, X, Y.";
    write_rust("crates/karyotype/src/fitted/profiles.rs", what, "profiles DATA --write", &body)
}

/// Training cells that are normal and diploid by their boxes, with nothing drawn in.
fn cells(folder: &Path, split: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let train: HashSet<String> =
        rows(split)?.into_iter().filter(|r| &r[2] == "train").map(|r| r[0].to_owned()).collect();
    let normal = rows(&folder.join("cells.csv"))?
        .into_iter()
        .filter(|r| &r[5] == "normal" && r[10].is_empty() && matches!(&r[13], "" | "0"))
        .map(|r| r[0].to_owned());
    Ok(normal.filter(|name| train.contains(name)).collect())
}

fn boxes(folder: &Path) -> Result<BTreeMap<String, Vec<(ChromosomeClass, Corners)>>, Box<dyn Error>> {
    let mut boxes: BTreeMap<String, Vec<(ChromosomeClass, Corners)>> = BTreeMap::new();
    for row in rows(&folder.join("annotations.csv"))? {
        let mut corners = [0; 4];
        for (corner, text) in corners.iter_mut().zip(row.iter().skip(2)) {
            *corner = text.parse::<i32>()?.max(0).cast_unsigned();
        }
        boxes.entry(row[0].to_owned()).or_default().push((row[1].parse()?, corners));
    }
    Ok(boxes)
}

fn rows(path: &Path) -> Result<Vec<csv::StringRecord>, csv::Error> {
    csv::Reader::from_path(path)?.records().collect()
}

/// Adds the chromosomes of a cell that lie apart and straight; lengths are shares of what the cell's autosomes measure.
fn measure(picture: &image::GrayImage, boxes: &[(ChromosomeClass, Corners)], classes: &mut [OfClass]) {
    let profile = |[left, top, right, bottom]: &Corners| {
        let (width, height) = (right.min(&picture.width()) - left, bottom.min(&picture.height()) - top);
        let crop = image::imageops::crop_imm(picture, *left, *top, width, height).to_image();
        ChromosomeProfile::of(&Crop::new(width as usize, height as usize, crop.into_raw()))
    };
    let clear: Vec<(ChromosomeClass, ChromosomeProfile)> = boxes
        .iter()
        .filter_map(|(class, corners)| Some((*class, profile(corners)?)))
        .filter(|(_, profile)| profile.apart && profile.hole < 0.01 && profile.bend < MAX_SCREENED_BEND)
        .collect();
    let autosomes = || clear.iter().filter(|(class, _)| !class.is_sex());
    let measured: f32 = autosomes().map(|(_, profile)| profile.length).sum();
    let usual: f32 = autosomes().map(|(class, _)| morphology(*class).relative_length).sum();
    if usual < 30.0 {
        return;
    }
    for (class, profile) in clear {
        let of = &mut classes[class.index()];
        of.ratios.push(profile.length * usual / measured / morphology(class).relative_length);
        let upright = if polarity(&profile, class) < 0.0 { profile.flipped() } else { profile };
        of.bands.push(upright.bands);
    }
}

fn median(values: &mut [f32]) -> Option<f32> {
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied()
}
