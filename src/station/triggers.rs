//! Triggers: what a scanner says of a field, and what became of it. One trigger, one answer.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use domain::{Quality, StagePosition, frame::PixelFormat};

/// What a scanner says with a trigger or with a pushed frame. Kept in the store until it is answered, and after.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TriggerFacts {
    /// The scanner's own name of the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Where the stage stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage_um: Option<StagePosition>,
    /// Pixel size in micrometres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub um_per_px: Option<f64>,
    /// When the frame was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// Sequence number of the scanner's camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u32>,
    /// Layout of raw samples; none: an image file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<RawLayout>,
    /// Case in force when it was handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// Slide in force then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slide: Option<String>,
    /// Colony in force then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colony: Option<String>,
}

/// Layout of raw samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawLayout {
    /// What a pixel is.
    pub format: RawFormat,
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bits of a sample that carry signal.
    pub bits: u8,
}

/// Pixels of raw samples; rows are dense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawFormat {
    /// 8-bit grey.
    Mono8,
    /// 16-bit grey, low byte first, the value right-aligned.
    Mono16,
    /// 8-bit colour, interleaved, red first.
    Rgb8,
}

impl RawFormat {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mono8, Self::Mono16, Self::Rgb8];

    /// As written in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mono8 => "mono8",
            Self::Mono16 => "mono16",
            Self::Rgb8 => "rgb8",
        }
    }

    /// The frame's format.
    pub fn pixels(self) -> PixelFormat {
        match self {
            Self::Mono8 => PixelFormat::Mono8,
            Self::Mono16 => PixelFormat::Mono16,
            Self::Rgb8 => PixelFormat::Rgb8,
        }
    }
}

impl RawLayout {
    /// Bytes of the whole picture.
    pub fn bytes(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height) * self.format.pixels().bytes_per_pixel() as u64
    }
}

/// How far a trigger is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TriggerState {
    /// It has no answer yet.
    #[default]
    Waiting,
    /// It gave cells.
    Cell,
    /// A search frame that shows metaphases.
    Found,
    /// It gave none; `reason` and `text` say why.
    Rejected,
}

/// The answer to a trigger.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TriggerAnswer {
    /// What came of it.
    pub state: TriggerState,
    /// Number of the frame within its source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<u64>,
    /// Scores of triage: focus, metaphase, spread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// Its cells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<Uuid>,
    /// Where they lie on the slide, or what a search frame shows, the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metaphases: Vec<FoundSpread>,
    /// Why it gave none: the `reason` of the `rejected` message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The reason in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A metaphase as one frame shows it, at its place on the slide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FoundSpread {
    /// Its middle on the stage; the height is that of the frame.
    pub stage_um: StagePosition,
    /// Its width and height, along the axes of the stage.
    pub size_um: [f64; 2],
    /// How good it is to go to, 0 to 1: by its scores, less where the frame cuts it.
    pub score: f32,
    /// Scores of triage.
    pub quality: Quality,
    /// The edge of the frame cuts it.
    pub cut: bool,
    /// Source of the frame.
    pub source: String,
    /// Number of the frame within it.
    pub frame: u64,
    /// The scanner's event id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// When the frame was taken, RFC 3339 in UTC.
    pub time: String,
}

/// A trigger and what became of it, as `triggers/{id}` gives it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TriggerView {
    /// The scanner's event id.
    pub trigger: String,
    /// Source that it went to.
    pub source: String,
    /// The scanner's own name of the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Where the stage stood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage_um: Option<StagePosition>,
    /// When it came, RFC 3339 in UTC.
    pub received: String,
    /// When it was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<String>,
    /// The answer.
    #[serde(flatten)]
    pub answer: TriggerAnswer,
}
