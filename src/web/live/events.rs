//! The events of the hub, as they are written on the wire.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::super::{hints::Hint, preview::FrameExposure};
use domain::{BoundingBox, Cell, ChromosomeClass, Damage, Outline, Quality};

/// What is published about a frame: the `frame` event. The picture is at `sources/{source}/frame.jpg?frame={frame}`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FrameNote {
    /// Name of the source.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub source: Arc<str>,
    /// Number of the frame within its source.
    pub frame: u64,
    /// Number of the scene it belongs to, where the pipeline groups frames: boxes of one frame hold for its scene.
    pub scene: Option<u64>,
    /// Width and height of the whole frame in pixels; boxes are in these.
    pub size: [u32; 2],
    /// Pixel size in micrometres, where known.
    pub um_per_px: Option<f64>,
    /// What triage thought.
    pub quality: Quality,
    /// Light.
    pub exposure: FrameExposure,
    /// What the person at the microscope could do better, worst first; empty when all is well.
    pub hints: Vec<Hint>,
}

/// A chromosome on the live picture.
#[derive(Debug, Clone, Serialize)]
pub struct LiveBox {
    /// Where, in pixels of the frame.
    #[serde(rename = "box")]
    pub bounds: BoundingBox,
    /// Its class, where one was given.
    pub class: Option<ChromosomeClass>,
    /// Score of the class or of the box, 0 to 1.
    pub score: f32,
    /// Damage candidate.
    pub damage: Damage,
    /// True where it is part of a finding.
    pub abnormal: bool,
    /// Its outline, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outline: Option<Outline>,
}

/// The boxes found on one frame: the `boxes` event.
#[derive(Debug, Clone, Serialize)]
pub struct LiveBoxes {
    /// Name of the source.
    #[serde(serialize_with = "as_text")]
    pub source: Arc<str>,
    /// Number of the frame.
    pub frame: u64,
    /// Its scene, as in [`FrameNote::scene`].
    pub scene: Option<u64>,
    /// The cell that they became, where one was stored.
    pub cell: Option<Uuid>,
    /// The part of the frame that the cell fills.
    pub region: Option<BoundingBox>,
    /// The boxes.
    pub boxes: Vec<LiveBox>,
}

impl LiveBoxes {
    /// The boxes of a finished cell.
    pub fn of(cell: &Cell, scene: Option<u64>) -> Self {
        let boxes = cell
            .chromosomes
            .iter()
            .map(|c| LiveBox {
                bounds: c.bounds,
                class: c.class,
                score: c.score,
                damage: c.damage,
                abnormal: cell.karyotype.findings.iter().any(|f| f.chromosomes.contains(&c.index)),
                outline: c.outline.clone(),
            })
            .collect();
        Self {
            source: cell.source.as_str().into(),
            frame: cell.captured.frame,
            scene,
            cell: Some(cell.cell),
            region: Some(cell.region),
            boxes,
        }
    }
}

/// What kind of event, and its name on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A live frame can be fetched; only for those who watch its source.
    Frame,
    /// Boxes of a frame; only for those who watch its source.
    Boxes,
    /// A cell was stored or corrected.
    Cell,
    /// A case changed.
    Case,
    /// The health of the daemon changed.
    State,
    /// Counters and rates.
    Stats,
    /// The dose of a case changed.
    Dose,
    /// An alarm was raised, acknowledged or cleared.
    Alarm,
}

impl EventKind {
    /// The name of the event in the stream.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Boxes => "boxes",
            Self::Cell => "cell",
            Self::Case => "case",
            Self::State => "state",
            Self::Stats => "stats",
            Self::Dose => "dose",
            Self::Alarm => "alarm",
        }
    }
}

/// One event, serialised once for all who listen.
#[derive(Debug, Clone)]
pub struct Event {
    /// What kind of event it is.
    pub kind: EventKind,
    /// The source it concerns, for events that only its watchers get.
    pub source: Option<Arc<str>>,
    /// The JSON text.
    pub data: Arc<str>,
}

fn as_text<S: serde::Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}
