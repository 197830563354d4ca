//! What `simulate` writes, and the trainer's composed cells: pictures, `truth.jsonl` with a line a picture, masks in which a pixel holds the index
//! of its chromosome and 1, or 65535 where two lie on one another.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
};

use serde::Deserialize;

use super::{
    super::dataset::{DataError, Field, Skipped, TruthBox},
    CellTable,
};
use domain::{BoundingBox, ChromosomeClass, Point, Stain};

/// What a box of the networks leaves free around a chromosome in bright field, in median diagonals of tight boxes: their teachers' boxes
/// (cil) leave 5 pixels where that median is 92. Fluorescent ones are tight, as the class maps of M-FISH.
const MARGIN: f32 = 0.055;
/// Value of a mask where chromosomes overlap.
pub const OVERLAP: u16 = u16::MAX;

/// Whether a folder is laid out so.
pub fn is_here(folder: &Path) -> bool {
    folder.join("truth.jsonl").is_file() && folder.join("masks").is_dir()
}

/// A picture of truth.jsonl, as far as it is measured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TruePicture {
    /// File of the picture.
    pub image: String,
    /// File of its mask.
    pub mask: String,
    /// Its stain by name; g-band where it is not given.
    #[serde(default)]
    stain: Option<String>,
    /// Size of its pixels, where it is known.
    #[serde(default)]
    um_per_px: Option<f32>,
    /// Its cells.
    cells: Vec<TrueCell>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct TrueCell {
    /// Person, where the picture is made of real ones.
    #[serde(default)]
    group: Option<String>,
    chromosomes: Vec<TrueChromosome>,
}

/// A chromosome as it was drawn.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TrueChromosome {
    /// Its value in the mask, less 1.
    pub index: u16,
    /// Its box.
    #[serde(rename = "box")]
    pub bounds: BoundingBox,
    /// Its class, where it has one.
    #[serde(default)]
    class: Option<String>,
    /// Its middle line, without the rounded ends where its length is given; empty where it is not known.
    #[serde(default)]
    axis: Vec<Point>,
    /// Its length from tip to tip.
    #[serde(default)]
    length_um: Option<f32>,
    /// Its centromeres; none where they are not known.
    #[serde(default)]
    pub centromeres: Option<Vec<Point>>,
    /// Its ends are joined.
    #[serde(default)]
    pub ring: bool,
    /// The edge of the field cuts it.
    #[serde(default)]
    pub cut: bool,
}

impl TruePicture {
    /// The middle line of one of its chromosomes from tip to tip: drawn out at both ends by what its length has over it.
    pub fn axis_of(&self, chromosome: &TrueChromosome) -> Vec<Point> {
        let mut axis = chromosome.axis.clone();
        let n = axis.len();
        let (Some(length), Some(um), true) = (chromosome.length_um, self.um_per_px, n > 1) else { return axis };
        let steps = axis.windows(2).map(|p| (p[1][0] - p[0][0]).hypot(p[1][1] - p[0][1]));
        let more = (length / um - steps.sum::<f32>()).max(0.0) / 2.0;
        let beyond = |tip: Point, inner: Point| {
            let d = (tip[0] - inner[0]).hypot(tip[1] - inner[1]).max(1e-6);
            [0, 1].map(|k| tip[k] + (tip[k] - inner[k]) / d * more)
        };
        (axis[0], axis[n - 1]) = (beyond(axis[0], axis[1]), beyond(axis[n - 1], axis[n - 2]));
        axis
    }

    /// The boxes of all its chromosomes as a network draws them.
    pub fn framed(&self) -> Vec<BoundingBox> {
        let tight: Vec<BoundingBox> = self.chromosomes().map(|c| c.bounds).collect();
        let mut diagonals: Vec<f32> = tight.iter().map(|b| b.width.hypot(b.height)).collect();
        diagonals.sort_unstable_by(f32::total_cmp);
        let dark = self
            .stain
            .as_deref()
            .is_some_and(|name| Stain::ALL.iter().any(|stain| stain.name() == name && stain.is_fluorescence()));
        let free = if dark { 0.0 } else { MARGIN * diagonals.get(diagonals.len() / 2).copied().unwrap_or(0.0) };
        let grown =
            |b: BoundingBox| BoundingBox::from_corners(b.x - free, b.y - free, b.right() + free, b.bottom() + free);
        tight.into_iter().map(grown).collect()
    }

    /// The chromosomes of all its cells.
    pub fn chromosomes(&self) -> impl Iterator<Item = &TrueChromosome> {
        self.cells.iter().flat_map(|cell| &cell.chromosomes)
    }
}

/// The pictures of a folder. A line that cannot be read is listed.
///
/// # Errors
/// When `truth.jsonl` cannot be read at all.
pub fn pictures(folder: &Path, skipped: &mut Vec<Skipped>) -> Result<Vec<TruePicture>, DataError> {
    let path = folder.join("truth.jsonl");
    let wrong = |error: std::io::Error| DataError::Table { path: path.clone(), reason: error.to_string() };
    let mut found = Vec::new();
    for (number, line) in BufReader::new(fs::File::open(&path).map_err(wrong)?).lines().enumerate() {
        match serde_json::from_str(&line.map_err(wrong)?) {
            Ok(picture) => found.push(picture),
            Err(error) => {
                let item = format!("truth.jsonl:{}", number + 1);
                skipped.push(Skipped { item, reason: format!("{error}: left out") });
            }
        }
    }
    Ok(found)
}

/// The fields of a folder; stains go to the table of cells, where one of the set may be asked for.
pub fn read(folder: &Path, cells: &mut CellTable, skipped: &mut Vec<Skipped>) -> Result<Vec<Field>, DataError> {
    let mut fields = Vec::new();
    for picture in pictures(folder, skipped)? {
        let truth = picture.chromosomes().zip(picture.framed()).map(|(c, bounds)| TruthBox {
            bounds,
            class: c.class.as_deref().and_then(|class| class.parse::<ChromosomeClass>().ok()),
        });
        let group = picture.cells.iter().find_map(|cell| cell.group.clone());
        fields.push(Field {
            name: picture.image.clone(),
            path: folder.join(&picture.image),
            patient: group.unwrap_or_else(|| picture.image.clone()),
            truth: truth.collect(),
        });
        if let Some(stain) = picture.stain {
            cells.entry(picture.image).or_default().insert("stain".to_owned(), stain);
        }
    }
    Ok(fields)
}

/// A mask: its values, width and height.
///
/// # Errors
/// In words, when it is no picture of 16 bits a pixel.
pub fn labels(folder: &Path, picture: &TruePicture) -> Result<(Vec<u16>, usize, usize), String> {
    let mask = image::open(folder.join(&picture.mask)).map_err(|error| format!("{}: {error}", picture.mask))?;
    let image::DynamicImage::ImageLuma16(mask) = mask else {
        return Err(format!("{}: expected 16 bits a pixel in grey", picture.mask));
    };
    let (width, height) = (mask.width() as usize, mask.height() as usize);
    Ok((mask.into_raw(), width, height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_those_that_networks_draw() {
        let picture = |stain: &str| -> TruePicture {
            serde_json::from_str(&format!(
                r#"{{"image":"a.png","mask":"masks/a.png","stain":"{stain}","cells":[{{"chromosomes":[{{"index":0,"box":[10,20,60,80]}}]}}]}}"#
            ))
            .unwrap()
        };
        assert_eq!(picture("dapi").framed(), [BoundingBox::from_corners(10.0, 20.0, 70.0, 100.0)]);
        assert_eq!(picture("g-band").framed(), [BoundingBox::from_corners(4.5, 14.5, 75.5, 105.5)]);
    }

    #[test]
    fn a_middle_line_is_drawn_out_to_the_tips() {
        let picture: TruePicture = serde_json::from_str(
            r#"{"image":"a.png","mask":"masks/a.png","um_per_px":0.1,"cells":[{"chromosomes":[
                {"index":0,"box":[0,0,10,30],"axis":[[5,5],[5,20],[5,25]],"length_um":2.6,"centromeres":[[5,10]]},
                {"index":1,"box":[0,0,10,30],"axis":[[5,5],[5,25]]}]}]}"#,
        )
        .unwrap();
        let all: Vec<_> = picture.chromosomes().map(|c| picture.axis_of(c)).collect();
        let rounded: Vec<Point> = all[0].iter().map(|p| p.map(|v| (v * 100.0).round() / 100.0)).collect();
        assert_eq!(rounded, [[5.0, 2.0], [5.0, 20.0], [5.0, 28.0]]);
        assert_eq!(all[1], [[5.0, 5.0], [5.0, 25.0]]);
    }
}
