//! What is known about a field of the virtual slide, beside its pixels.

use serde::{Deserialize, Serialize};

use domain::{BoundingBox, ChromosomeClass, StagePosition, Status};

/// Truth of one field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldTruth {
    /// Width and height in pixels.
    pub size: [u32; 2],
    /// Where the middle of the field lies.
    pub stage_um: StagePosition,
    /// Pixel size in micrometres.
    pub um_per_px: f64,
    /// How far the field is out of focus in micrometres.
    pub defocus_um: f32,
    /// Metaphases of which at least one chromosome shows.
    pub cells: Vec<CellTruth>,
    /// Boxes of interphase nuclei.
    pub nuclei: Vec<BoundingBox>,
}

/// Truth of one metaphase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellTruth {
    /// Number of the cell on the slide, from 0.
    pub cell: u32,
    /// The part of the frame that its chromosomes fill.
    pub region: BoundingBox,
    /// Karyotype in ISCN; damage by radiation is in the chromosomes alone.
    pub karyotype: String,
    /// Chromosomes of the whole cell, fragments included.
    pub total: u32,
    /// True when all of them lie in the frame.
    pub complete: bool,
    /// Those that show.
    pub chromosomes: Vec<ChromosomeTruth>,
}

impl CellTruth {
    /// Chromosomes with two or more centromeres.
    pub fn dicentrics(&self) -> usize {
        self.chromosomes.iter().filter(|c| c.dicentric).count()
    }
}

/// Truth of one chromosome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChromosomeTruth {
    /// Its number in the cell, from 0; `labels` writes it.
    pub index: u32,
    /// Class; of a rearranged one, that of its centromere or of its longest segment.
    pub class: ChromosomeClass,
    /// What it is, when it is not the plain chromosome: `del(5)(p14)`, `ace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Tight box in pixels, cut at the frame's edge.
    #[serde(rename = "box")]
    pub bounds: BoundingBox,
    /// Points of the axis in pixels, from the short arm's end; they may lie outside the frame.
    pub axis: Vec<[f32; 2]>,
    /// Centromeres in pixels.
    pub centromeres: Vec<[f32; 2]>,
    /// Short arm over whole length by its own centromere, 0 to 0.5; none without exactly one.
    pub centromere_index: Option<f32>,
    /// Length along the axis in micrometres, the rounded ends included.
    pub length_um: f32,
    /// How it lies.
    pub status: Status,
    /// Numbers of the chromosomes that it touches or crosses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touches: Vec<u32>,
    /// Two or more centromeres.
    pub dicentric: bool,
    /// Its ends are joined.
    pub ring: bool,
    /// No centromere.
    pub fragment: bool,
    /// True when the frame's edge cuts it.
    pub cut: bool,
}
