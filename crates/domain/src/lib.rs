//! The record of one cell: recognition fills it, interpretation completes it; store, MQTT and page show it.
//!
//! The same structs are the `cell` message of MQTT and HTTP (schema `cell/1`): fields may be added within a
//! major version, never renamed.

mod class;
mod error_kind;
mod evidence;
pub mod frame;
mod words;

pub use class::{ChromosomeClass, ParseClassError, Sex};
pub use error_kind::{ErrorKind, HasKind};
pub use evidence::ChromosomeEvidence;
pub use words::{Assay, Sample, SexDisclosure, Stain};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Said in every message: results are for research, no diagnosis.
pub const NOTICE: &str = "Research use only; not a diagnosis.";

/// Axis-parallel box `[x, y, width, height]` in pixels of the frame; may hold fractions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "[f32; 4]", into = "[f32; 4]")]
#[schemars(with = "[f32; 4]")]
pub struct BoundingBox {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width, >= 0.
    pub width: f32,
    /// Height, >= 0.
    pub height: f32,
}

impl From<[f32; 4]> for BoundingBox {
    fn from([x, y, width, height]: [f32; 4]) -> Self {
        Self { x, y, width, height }
    }
}

impl From<BoundingBox> for [f32; 4] {
    fn from(b: BoundingBox) -> Self {
        [b.x, b.y, b.width, b.height].map(|v| (v * 10.0).round() / 10.0)
    }
}

impl BoundingBox {
    /// From corner coordinates, `right` and `bottom` exclusive.
    pub fn from_corners(left: f32, top: f32, right: f32, bottom: f32) -> Self {
        Self { x: left, y: top, width: (right - left).max(0.0), height: (bottom - top).max(0.0) }
    }

    /// Exclusive right edge.
    pub fn right(&self) -> f32 {
        self.x + self.width
    }

    /// Exclusive bottom edge.
    pub fn bottom(&self) -> f32 {
        self.y + self.height
    }

    /// Area in square pixels.
    pub fn area(&self) -> f32 {
        self.width * self.height
    }

    /// Area shared with `other` in square pixels.
    pub fn intersection(&self, other: &Self) -> f32 {
        let w = self.right().min(other.right()) - self.x.max(other.x);
        let h = self.bottom().min(other.bottom()) - self.y.max(other.y);
        if w > 0.0 && h > 0.0 { w * h } else { 0.0 }
    }

    /// Intersection over union, 0 to 1; 0 when both are empty.
    pub fn iou(&self, other: &Self) -> f32 {
        let shared = self.intersection(other);
        let union = self.area() + other.area() - shared;
        if union > 0.0 { shared / union } else { 0.0 }
    }

    /// The part inside an image of `width` x `height` pixels.
    pub fn clipped(&self, width: f32, height: f32) -> Self {
        Self::from_corners(
            self.x.clamp(0.0, width),
            self.y.clamp(0.0, height),
            self.right().clamp(0.0, width),
            self.bottom().clamp(0.0, height),
        )
    }

    /// The smallest box that holds both.
    pub fn union(&self, other: &Self) -> Self {
        Self::from_corners(
            self.x.min(other.x),
            self.y.min(other.y),
            self.right().max(other.right()),
            self.bottom().max(other.bottom()),
        )
    }
}

/// Position of the microscope's stage in micrometres.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StagePosition {
    /// Across the slide.
    pub x: f64,
    /// Along the slide.
    pub y: f64,
    /// Focus.
    pub z: f64,
}

/// When and where the frame of a cell was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Captured {
    /// Wall clock time, RFC 3339 in UTC.
    pub time: String,
    /// Number of the frame within its source.
    pub frame: u64,
    /// The scanner's own event id, echoed.
    pub trigger: Option<String>,
    /// Stage position in micrometres, where the source knows it.
    pub stage_um: Option<StagePosition>,
    /// Pixel size in micrometres, where known.
    pub um_per_px: Option<f64>,
    /// Width and height of the frame in pixels.
    pub size: [u32; 2],
    /// File the frame was read from, relative to the source's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Captured {
    /// A frame of `size` (width and height in pixels), taken at `time` (RFC 3339); nothing else is known of it.
    pub fn at(time: impl Into<String>, frame: u64, size: [u32; 2]) -> Self {
        Self { time: time.into(), frame, trigger: None, stage_um: None, um_per_px: None, size, file: None }
    }
}

/// What triage thought of the frame; each from 0 to 1, higher is better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quality {
    /// Sharpness.
    pub focus: f32,
    /// How sure triage is that there is a metaphase.
    pub metaphase: f32,
    /// How well the chromosomes are spread.
    pub spread: f32,
}

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
    /// Could not be told.
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

/// Counts over a cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Chromosomes found.
    pub detected: u32,
    /// Chromosomes that fit their class.
    pub normal: u32,
    /// Chromosomes that are part of a finding.
    pub abnormal: u32,
    /// Chromosomes with a damage candidate.
    pub damaged: u32,
    /// Chromosomes assessed and without damage.
    pub undamaged: u32,
    /// Chromosomes that could not be assessed.
    pub unclear: u32,
}

/// The verdict over one cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing unlike a normal karyotype was seen.
    Normal,
    /// At least one finding.
    Abnormal,
    /// No statement can be made; the reason says why.
    #[default]
    NotAssessable,
}

/// What kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// More chromosomes of a class than expected.
    Gain,
    /// Fewer chromosomes of a class than expected.
    Loss,
    /// The number of whole sets differs.
    Ploidy,
    /// Structure unlike the class: a candidate.
    Structural,
    /// Damage by radiation or other clastogens.
    Damage,
}

/// One finding on a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Kind of finding.
    pub kind: FindingKind,
    /// Class concerned, where there is one.
    pub class: Option<ChromosomeClass>,
    /// In ISCN form (`+21`, `-X`, `+mar`), where there is one.
    pub iscn: Option<String>,
    /// Probability of the finding, 0 to 1.
    pub posterior: f32,
    /// In words, with the evidence.
    pub text: String,
    /// Indices of the chromosomes concerned.
    pub chromosomes: Vec<u32>,
    /// Common name of the syndrome that goes with the finding, as a label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syndrome: Option<String>,
}

/// The karyotype of one cell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Karyotype {
    /// ISCN string, where one can be given.
    pub iscn: Option<String>,
    /// Posterior of the whole karyotype, 0 to 1.
    pub posterior: Option<f32>,
    /// Verdict over the cell.
    pub verdict: Verdict,
    /// Why, in words.
    pub reason: String,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// Chromosomes of one cell by their centromeres, and the pieces without.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AberrationCounts {
    /// Chromosomes with one centromere, rings not counted.
    pub monocentrics: u32,
    /// Chromosomes with two centromeres.
    pub dicentrics: u32,
    /// Chromosomes with three centromeres.
    pub tricentrics: u32,
    /// Chromosomes with four or more centromeres, as their centromere counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub higher: Vec<u32>,
    /// Centric rings.
    pub rings: u32,
    /// Acentric fragments.
    pub fragments: u32,
    /// Pieces whose centromeres could not be counted.
    pub unclear: u32,
}

impl AberrationCounts {
    /// Sum of centromeres: a k-centric counts k, a ring one, a fragment none.
    pub fn centromeres(&self) -> u32 {
        self.monocentrics + 2 * self.dicentrics + 3 * self.tricentrics + self.higher.iter().sum::<u32>() + self.rings
    }

    /// Dicentric equivalents: a chromosome with k centromeres counts k - 1 (IAEA 2011; docs/guide/radiation.md).
    pub fn dicentric_equivalents(&self) -> u32 {
        self.dicentrics + 2 * self.tricentrics + self.higher.iter().map(|k| k.saturating_sub(1)).sum::<u32>()
    }

    /// The record of the cell. `accepted` is the lowest and highest sum of centromeres that counts as complete; it
    /// travels with the record, for it decides which cells are counted.
    pub fn record(self, accepted: [u32; 2], first_division: Option<bool>, scored_by: ScoredBy) -> DicentricRecord {
        let centromeres = self.centromeres();
        DicentricRecord {
            counts: self,
            centromeres,
            complete: (accepted[0]..=accepted[1]).contains(&centromeres),
            accepted_centromeres: accepted,
            first_division,
            scored_by,
            reviewed: Vec::new(),
        }
    }
}

/// Who counted the aberrations of a cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScoredBy {
    /// The program.
    #[default]
    Machine,
    /// A person, here.
    Review,
    /// The virtual slide, which knows.
    Truth,
    /// Somebody elsewhere; the counts were imported.
    Import,
}

impl ScoredBy {
    /// As written in messages and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Review => "review",
            Self::Truth => "truth",
            Self::Import => "import",
        }
    }
}

/// The aberration record of a cell in the dicentric assay.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DicentricRecord {
    /// What was counted.
    #[serde(flatten)]
    pub counts: AberrationCounts,
    /// Sum of centromeres.
    pub centromeres: u32,
    /// Whether the cell counts as complete under the accepted range of centromeres.
    pub complete: bool,
    /// The accepted range of centromeres, lowest and highest, that `complete` used.
    pub accepted_centromeres: [u32; 2],
    /// Whether the cell is in its first division after exposure, where known.
    pub first_division: Option<bool>,
    /// Who counted.
    pub scored_by: ScoredBy,
    /// Called dicentrics that a person has accepted or rejected, by their `index` in the cell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviewed: Vec<u32>,
}

/// What a person saw where a dicentric was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rejected {
    /// One chromosome with one centromere.
    OneChromosome,
    /// Two chromosomes that lie end to end or across each other.
    TwoChromosomes,
    /// Nothing that can be told.
    Unclear,
}

/// A cell as the virtual slide made it: what a simulated source knows beside its pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrueCell {
    /// Where it lies in the frame.
    pub region: BoundingBox,
    /// Its karyotype in ISCN.
    pub karyotype: String,
    /// Its aberrations, in the dicentric assay.
    pub dicentric: Option<DicentricRecord>,
    /// Where its dicentrics, rings and fragments lie.
    pub aberrations: Vec<(BoundingBox, Damage)>,
}

/// A person's correction of a cell: who, when, what before, what after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Review {
    /// Who reviewed.
    pub by: String,
    /// When, RFC 3339 in UTC.
    pub time: String,
    /// What changed, in words.
    pub change: String,
}

/// One finished cell: the `cell` message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cell {
    /// `cell/1`.
    pub schema: String,
    /// Station that produced it.
    pub station: String,
    /// Source (camera) it came from.
    pub source: String,
    /// Stable id, UUID version 7.
    pub cell: Uuid,
    /// Counts up with each correction; with `cell` it identifies a message.
    pub revision: u32,
    /// Case it belongs to.
    pub case: Option<String>,
    /// Slide it lies on.
    pub slide: Option<String>,
    /// Colony it grew in, in an in-situ culture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colony: Option<String>,
    /// When and where its frame was taken.
    pub captured: Captured,
    /// The part of the frame that the cell fills.
    pub region: BoundingBox,
    /// What triage thought.
    pub quality: Quality,
    /// Its chromosomes.
    pub chromosomes: Vec<Chromosome>,
    /// Counts over them.
    pub counts: Counts,
    /// Karyotype and verdict.
    pub karyotype: Karyotype,
    /// Aberration record, in the dicentric assay.
    pub dicentric: Option<DicentricRecord>,
    /// `task: name@hash12` of the models used; empty when segmentation alone ran.
    pub models: std::collections::BTreeMap<String, String>,
    /// Milliseconds spent, by stage.
    pub timing_ms: std::collections::BTreeMap<String, f32>,
    /// True when the frame was replayed (folder), not live.
    pub replayed: bool,
    /// The last review, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// Research use only.
    pub notice: String,
}

impl Cell {
    /// Name and major version of the message.
    pub const SCHEMA: &'static str = "cell/1";

    /// A cell of which nothing is known yet but where it comes from: revision 1, without chromosomes and verdict.
    pub fn new(id: Uuid, station: impl Into<String>, source: impl Into<String>, captured: Captured) -> Self {
        let [width, height] = captured.size.map(|side| side as f32);
        Self {
            schema: Self::SCHEMA.into(),
            station: station.into(),
            source: source.into(),
            cell: id,
            revision: 1,
            case: None,
            slide: None,
            colony: None,
            captured,
            region: BoundingBox { x: 0.0, y: 0.0, width, height },
            quality: Quality::default(),
            chromosomes: Vec::new(),
            counts: Counts::default(),
            karyotype: Karyotype::default(),
            dicentric: None,
            models: Default::default(),
            timing_ms: Default::default(),
            replayed: false,
            review: None,
            notice: NOTICE.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_know_how_much_they_share() {
        let a = BoundingBox::from_corners(0.0, 0.0, 10.0, 10.0);
        let b = BoundingBox::from_corners(5.0, 0.0, 15.0, 10.0);
        assert_eq!(a.intersection(&b), 50.0);
        assert!((a.iou(&b) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(a.iou(&BoundingBox::from_corners(20.0, 0.0, 30.0, 10.0)), 0.0);
    }

    #[test]
    fn a_tricentric_counts_as_two_dicentrics() {
        let record = AberrationCounts { dicentrics: 3, tricentrics: 1, higher: vec![4], ..Default::default() };
        assert_eq!(record.dicentric_equivalents(), 3 + 2 + 3);
    }
}
