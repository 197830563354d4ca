//! The record of one cell: recognition fills it, interpretation completes it; store, MQTT and page show it.
//!
//! The structs are the `cell` message of MQTT and HTTP (schema `cell/1`): fields may be added within a major version,
//! never renamed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{BoundingBox, Captured, Chromosome, DicentricRecord, Doubt, FrameEdge, Karyotype, Leftover, Quality};

/// Said in every message: results are for research, no diagnosis.
pub const NOTICE: &str = "Research use only; not a diagnosis.";

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

/// A cell that a person has excluded: it stays in the store and on the page, and counts in no case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exclusion {
    /// Who excluded it.
    pub by: String,
    /// When, RFC 3339 in UTC.
    pub time: String,
    /// Why, in that person's words.
    pub reason: String,
}

/// What a person noted on a cell; it changes nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comment {
    /// Who.
    pub by: String,
    /// When, RFC 3339 in UTC.
    pub time: String,
    /// What, in that person's words.
    pub text: String,
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
    /// Scores of triage.
    pub quality: Quality,
    /// How it lies at the edge of the frame; none where that was not looked at.
    #[serde(default)]
    pub frame_edge: Option<FrameEdge>,
    /// Why it may be incomplete.
    #[serde(default)]
    pub doubts: Vec<Doubt>,
    /// Its chromosomes.
    pub chromosomes: Vec<Chromosome>,
    /// Counts over them.
    pub counts: Counts,
    /// Dark material that no chromosome's outline holds; none where nothing draws outlines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leftover: Option<Leftover>,
    /// Karyotype and verdict.
    pub karyotype: Karyotype,
    /// Aberration record, in the dicentric assay.
    pub dicentric: Option<DicentricRecord>,
    /// `task: name@hash12` of the models used; empty when segmentation alone ran.
    pub models: BTreeMap<String, String>,
    /// Milliseconds spent, by stage.
    pub timing_ms: BTreeMap<String, f32>,
    /// True when the frame was replayed (folder), not live.
    pub replayed: bool,
    /// The last review, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// The picture was drawn by the simulator; none for a real one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<Simulated>,
    /// Set where a person has excluded the cell; taken back by the next review that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded: Option<Exclusion>,
    /// What people noted, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<Comment>,
    /// Research use only.
    pub notice: String,
}

/// What the simulator knows of a cell that it drew.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Simulated {
    /// Its karyotype in ISCN form; none where no drawn cell lies in its place, and where sex chromosomes are withheld.
    pub karyotype: Option<String>,
}

impl Cell {
    /// Name and major version of the message.
    pub const SCHEMA: &'static str = "cell/1";
    /// Key in [`models`](Self::models) of the network that judges the candidates of a cell together.
    pub const CONTEXT: &'static str = "context";

    /// Whether its candidates were judged by a network that saw them together: settings of the karyotype stage go by it.
    pub fn is_judged_in_context(&self) -> bool {
        self.models.contains_key(Self::CONTEXT)
    }

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
            frame_edge: None,
            doubts: Vec::new(),
            chromosomes: Vec::new(),
            counts: Counts::default(),
            leftover: None,
            karyotype: Karyotype::default(),
            dicentric: None,
            models: Default::default(),
            timing_ms: Default::default(),
            replayed: false,
            review: None,
            simulated: None,
            excluded: None,
            comments: Vec::new(),
            notice: NOTICE.into(),
        }
    }
}
