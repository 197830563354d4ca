//! One chromosome of a cell: where it lies, what it is, what is damaged.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BoundingBox, ChromosomeClass, ChromosomeEvidence};

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
    /// Damage candidate.
    pub damage: Damage,
    /// Probability of the detector that this is a chromosome, 0 to 1.
    pub objectness: f32,
    /// What the damage or an unusual status rests on, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub evidence: Option<ChromosomeEvidence>,
}

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
            damage: Damage::None,
            objectness,
            evidence: None,
        }
    }
}
