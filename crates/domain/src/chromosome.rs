//! One chromosome of a cell: where it lies, what it is, what is damaged.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BoundingBox, Centromere, ChromosomeClass, ChromosomeEvidence, Outline, Point, ScoredPiece};

/// How a chromosome lies among its neighbours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Alone.
    Single,
    /// Touches a neighbour.
    Touching,
    /// Crosses a neighbour.
    Crossing,
    /// Not known.
    #[default]
    Unclear,
}

/// Damage seen on a chromosome. Candidates, never a diagnosis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// Nothing seen.
    #[default]
    None,
    /// A broken arm.
    Break,
    /// An unstained region narrower than the chromatid.
    Gap,
    /// Arms exchanged between chromosomes.
    Exchange,
    /// Two (or more) centromeres.
    Dicentric,
    /// A closed ring.
    Ring,
    /// A piece without centromere.
    Fragment,
    /// Something else, named in the evidence.
    Other,
}

/// A class and its probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScoredClass {
    /// The class.
    pub class: ChromosomeClass,
    /// Probability, 0 to 1.
    pub score: f32,
}

/// How a person has laid a chromosome into the karyogram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stance {
    /// Degrees by which it is turned clockwise, -180 to 180.
    pub angle: f32,
    /// Left and right are exchanged: it lay on the slide with its other side up.
    pub mirrored: bool,
}

/// One chromosome of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Chromosome {
    /// Place in the cell's list, from 0.
    pub index: u32,
    /// Where it lies in the frame.
    #[serde(rename = "box")]
    pub bounds: BoundingBox,
    /// The class the cell's assignment gave it; none where no classifier ran or it is no single chromosome.
    pub class: Option<ChromosomeClass>,
    /// Probability of the class, or of being a chromosome where no classifier ran; 0 to 1.
    pub score: f32,
    /// Probabilities of the most likely classes before assignment, best first.
    pub alternatives: Vec<ScoredClass>,
    /// How it lies among its neighbours.
    pub status: Status,
    /// Length along the medial axis in micrometres, where the pixel size is known.
    pub length_um: Option<f32>,
    /// Length as a share of the cell's haploid autosome length, in percent (chromosome 1 about 8.4).
    pub relative_length: Option<f32>,
    /// Short arm over whole length, 0 to 0.5.
    pub centromere_index: Option<f32>,
    /// Degrees to turn it clockwise so that the short arm points up, -180 to 180.
    pub upright_angle: Option<f32>,
    /// How a person has laid it; none where none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stance: Option<Stance>,
    /// Damage candidate.
    pub damage: Damage,
    /// Probability of the detector that this is a chromosome, 0 to 1.
    pub objectness: f32,
    /// What the damage or an unusual status rests on, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub evidence: Option<ChromosomeEvidence>,
    /// Its outline, where a network has drawn it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outline: Option<Outline>,
    /// Its middle line in pixels of the frame, from the tip of the short arm where the way up is known; empty where it has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub axis: Vec<Point>,
    /// Its centromeres, the surest first: none, one, or two and more of a dicentric. Empty also where nothing looked for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub centromeres: Vec<Centromere>,
    /// What it is in the dicentric assay; none in other assays, and where nobody has scored it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub piece: Option<ScoredPiece>,
}

/// Pixels around a chromosome that its picture shows.
const PICTURE_MARGIN: f32 = 2.0;

impl Chromosome {
    /// A chromosome of which only its place is known, and how sure the detector is of it (0 to 1).
    pub fn at(index: u32, bounds: BoundingBox, objectness: f32) -> Self {
        Self {
            index,
            bounds,
            class: None,
            score: objectness,
            alternatives: Vec::new(),
            status: Status::Unclear,
            length_um: None,
            relative_length: None,
            centromere_index: None,
            upright_angle: None,
            stance: None,
            damage: Damage::None,
            objectness,
            evidence: None,
            outline: None,
            axis: Vec::new(),
            centromeres: Vec::new(),
            piece: None,
        }
    }

    /// The whole pixels of a frame of `size` (width, height) that show it, `[left, top, right, bottom]`, the last two exclusive: its
    /// box, and its outline with a margin. From rounded places, so that it is the same of a record that was read again.
    pub fn picture_bounds(&self, size: [u32; 2]) -> [u32; 4] {
        let rounded = BoundingBox::from(<[f32; 4]>::from(self.bounds));
        let all = match self.outline.as_ref().and_then(Outline::bounds) {
            Some(b) => rounded.union(&BoundingBox::from_corners(
                b.x - PICTURE_MARGIN,
                b.y - PICTURE_MARGIN,
                b.right() + PICTURE_MARGIN,
                b.bottom() + PICTURE_MARGIN,
            )),
            None => rounded,
        };
        let [width, height] = size.map(|side| side as f32);
        let clipped = all.clipped(width, height);
        // A tenth may be a hair more than it is written as.
        let up = |v: f32| (v - 1e-3).ceil().max(0.0) as u32;
        [clipped.x.floor() as u32, clipped.y.floor() as u32, up(clipped.right()), up(clipped.bottom())]
    }
}
