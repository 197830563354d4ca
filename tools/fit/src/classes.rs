//! What each class looks like: length over the textbook's, and bands, of chromosomes as the daemon outlines them.

use std::{
    collections::{BTreeMap, HashSet},
    error::Error,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use domain::{BoundingBox, Cell, ChromosomeClass, Status};
use imaging::{ChromosomeProfile, Crop, PROFILE_SAMPLES, standardise};
use karyotype::{SURE_OUTLINE, measure::polarity, morphology};

use crate::{
    Outcome,
    output::{decimal, write_rust},
};

/// Overlap from which an annotated box is a chromosome's.
const SAME_BOX: f32 = 0.5;
/// Fewer autosomes than these say nothing of a cell's scale.
const MIN_AUTOSOMES: usize = 12;

/// What the cells say of one class.
#[derive(Default)]
struct OfClass {
    ratios: Vec<f32>,
    bands: Vec<[f32; PROFILE_SAMPLES]>,
}

/// Learns the profiles from what `analyze` wrote of training cells of cil, and writes them where that is asked for.
pub fn run(data: &Path, split: &Path, cells: &Path, write: bool) -> Outcome {
    let folder = data.join("cil");
    let (boxes, wanted) = (boxes(&folder)?, normal_cells(&folder, split)?);
    let mut classes: Vec<OfClass> = (0..ChromosomeClass::COUNT).map(|_| OfClass::default()).collect();
    for line in BufReader::new(File::open(cells)?).lines() {
        let cell: Cell = serde_json::from_str(&line?)?;
        let Some(name) = cell.captured.file.as_deref().filter(|name| wanted.contains(*name)) else { continue };
        let picture = image::open(folder.join("images").join(name))?.to_luma8();
        measure(&picture, &cell, boxes.get(name).map_or(&[], Vec::as_slice), &mut classes);
    }
    let mut rows = Vec::new();
    for (class, of) in ChromosomeClass::all().zip(&mut classes) {
        let ratio = median(&mut of.ratios).ok_or("a class without chromosomes")?;
        let mut off: Vec<f32> = of.ratios.iter().map(|r| (r - ratio).abs()).collect();
        let spread = 1.4826 * median(&mut off).unwrap_or(0.0);
        let mean = of.usual_bands();
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

impl OfClass {
    /// Mean bands, from the short arm's end: each turned as it is more like the others.
    fn usual_bands(&mut self) -> [f32; PROFILE_SAMPLES] {
        let mut mean = [0.0_f32; PROFILE_SAMPLES];
        for _ in 0..3 {
            let likeness = |own: &[f32; PROFILE_SAMPLES]| -> f32 {
                own.iter().zip(&mean).zip(mean.iter().rev()).map(|((own, m), turned)| own * (m - turned)).sum()
            };
            let upside_down: Vec<bool> = self.bands.iter().map(|own| likeness(own) < 0.0).collect();
            self.bands.iter_mut().zip(upside_down).filter(|(_, turn)| *turn).for_each(|(own, _)| own.reverse());
            mean = [0.0; PROFILE_SAMPLES];
            self.bands.iter().for_each(|own| mean.iter_mut().zip(own).for_each(|(m, b)| *m += b));
            standardise(&mut mean);
        }
        mean
    }
}

/// Training cells that are normal and diploid by their boxes, with nothing drawn in.
fn normal_cells(folder: &Path, split: &Path) -> Result<HashSet<String>, Box<dyn Error>> {
    let train: HashSet<String> =
        rows(split)?.into_iter().filter(|r| &r[2] == "train").map(|r| r[0].to_owned()).collect();
    let normal = rows(&folder.join("cells.csv"))?
        .into_iter()
        .filter(|r| &r[5] == "normal" && r[10].is_empty() && matches!(&r[13], "" | "0"))
        .map(|r| r[0].to_owned());
    Ok(normal.filter(|name| train.contains(name)).collect())
}

fn boxes(folder: &Path) -> Result<BTreeMap<String, Vec<(ChromosomeClass, BoundingBox)>>, Box<dyn Error>> {
    let mut boxes: BTreeMap<String, Vec<(ChromosomeClass, BoundingBox)>> = BTreeMap::new();
    for row in rows(&folder.join("annotations.csv"))? {
        let mut corners = [0.0; 4];
        for (corner, text) in corners.iter_mut().zip(row.iter().skip(2)) {
            *corner = text.parse()?;
        }
        let [left, top, right, bottom] = corners;
        let bounds = BoundingBox::from_corners(left, top, right, bottom);
        boxes.entry(row[0].to_owned()).or_default().push((row[1].parse()?, bounds));
    }
    Ok(boxes)
}

fn rows(path: &Path) -> Result<Vec<csv::StringRecord>, csv::Error> {
    csv::Reader::from_path(path)?.records().collect()
}

/// Adds the chromosomes of a cell whose outlines are sure; lengths are over the cell's own scale, the median of its autosomes.
fn measure(picture: &image::GrayImage, cell: &Cell, boxes: &[(ChromosomeClass, BoundingBox)], classes: &mut [OfClass]) {
    let profile = |chromosome: &domain::Chromosome| {
        let outline = chromosome.outline.as_ref().filter(|outline| outline.score >= SURE_OUTLINE)?;
        let [left, top, right, bottom] = chromosome.picture_bounds([picture.width(), picture.height()]);
        let crop = image::imageops::crop_imm(picture, left, top, right - left, bottom - top).to_image();
        let crop = Crop::new((right - left) as usize, (bottom - top) as usize, crop.into_raw());
        ChromosomeProfile::of(&crop.within(&outline.rings, left as usize, top as usize)).filter(|p| p.hole < 0.01)
    };
    let class_of = |bounds: &BoundingBox| {
        let best = boxes.iter().max_by(|a, b| a.1.iou(bounds).total_cmp(&b.1.iou(bounds)))?;
        (best.1.iou(bounds) >= SAME_BOX).then_some(best.0)
    };
    let sure = cell.chromosomes.iter().filter(|c| c.status != Status::Crossing);
    let clear: Vec<(ChromosomeClass, ChromosomeProfile)> =
        sure.filter_map(|c| Some((class_of(&c.bounds)?, profile(c)?))).collect();
    let ratio =
        |(class, profile): &(ChromosomeClass, ChromosomeProfile)| profile.length / morphology(*class).relative_length;
    let mut ratios: Vec<f32> = clear.iter().filter(|(class, _)| !class.is_sex()).map(ratio).collect();
    if ratios.len() < MIN_AUTOSOMES {
        return;
    }
    let Some(scale) = median(&mut ratios) else { return };
    for one in clear {
        let of = &mut classes[one.0.index()];
        of.ratios.push(ratio(&one) / scale);
        let upright = if polarity(&one.1, one.0) < 0.0 { one.1.flipped() } else { one.1 };
        of.bands.push(upright.bands);
    }
}

fn median(values: &mut [f32]) -> Option<f32> {
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied()
}
