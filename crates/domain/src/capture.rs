//! When, where and how well a frame was taken.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::StagePosition;

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

/// Scores of triage for the frame; each from 0 to 1, higher is better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quality {
    /// Sharpness.
    pub focus: f32,
    /// How sure triage is that there is a metaphase.
    pub metaphase: f32,
    /// How well the chromosomes are spread.
    pub spread: f32,
}
