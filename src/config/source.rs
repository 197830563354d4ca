//! Keys of cameras and folders: what they are, what they show, when a frame goes on.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use domain::{Stain, frame::Bayer};

/// Kind of source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// The virtual slide.
    #[default]
    Simulator,
    /// Image files in a folder.
    Folder,
    /// A Video4Linux camera, natively.
    V4l2,
    /// A USB camera through the system's camera API.
    Webcam,
    /// A GenICam camera (GigE Vision, USB3 Vision).
    Genicam,
    /// An MJPEG stream over HTTP.
    Mjpeg,
    /// Frames pushed over HTTP (reserved: not in this version).
    Push,
}

impl SourceKind {
    /// As written in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simulator => "simulator",
            Self::Folder => "folder",
            Self::V4l2 => "v4l2",
            Self::Webcam => "webcam",
            Self::Genicam => "genicam",
            Self::Mjpeg => "mjpeg",
            Self::Push => "push",
        }
    }
}

/// What happens when the daemon is slower than the source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The newest frame replaces the oldest, which is counted as dropped.
    #[default]
    Freshest,
    /// The source waits; no frame is dropped.
    Lossless,
}

impl Mode {
    /// As written in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Freshest => "freshest",
            Self::Lossless => "lossless",
        }
    }
}

/// How a folder is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Repeat {
    /// Once; then the source is finished.
    #[default]
    Once,
    /// Repeatedly, without end.
    Loop,
    /// Once, then new files as they come.
    Watch,
}

/// How the simulator moves over its slide.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SlidePath {
    /// As a person moves it: stays on a cell, then moves on.
    #[default]
    Live,
    /// As a scanner moves it: from field to field.
    Scan,
}

/// One camera.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Kind of source.
    pub kind: SourceKind,
    /// What happens when the daemon is slower than the source; unset: lossless for folders and pushed frames, freshest for cameras.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Stain of the slide.
    #[serde(default)]
    pub stain: Stain,
    /// Pixel size in micrometres; unset: from the file; without either, lengths are relative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.001, max = 100.0))]
    pub um_per_px: Option<f64>,
    /// Flat field: the picture of an empty field that `metaphased flat-field` writes. Every frame is divided by it, which corrects illumination and dust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flat_field: Option<PathBuf>,
    /// Frames are raw samples behind this Bayer filter; their luminance is computed first. The simulator draws such
    /// frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bayer: Option<Bayer>,
    /// Case that its cells belong to, until a command names another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// Slide of its cells, until a command names another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slide: Option<String>,
    /// Colony of its cells in an in-situ culture, until a command names another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colony: Option<String>,
    /// Frames per second; unset: as fast as the pipeline accepts them (folder), 10 (simulator), or the camera's own rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.001, max = 10000.0))]
    pub rate_hz: Option<f64>,
    /// Folder: its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Folder: read once, repeatedly, or watched for new files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
    /// Watched folder: milliseconds for which size and time of a file must stay unchanged before it is read; unset: 500. A network share that shows changes late requires more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 600_000))]
    pub settle_ms: Option<u64>,
    /// Camera: device path, number or name, as `metaphased cameras` lists it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Camera and simulator: width and height of a frame in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[u32; 2]>,
    /// Stream: its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Simulator: seed of the slide; the same seed gives the same slide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Simulator: number of metaphases on the slide; unset: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cells: Option<u32>,
    /// Simulator: karyotype of the cells in ISCN; unset: mostly normal, some abnormal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub karyotype: Option<String>,
    /// Simulator: share of chromosomes that may touch or cross others where they fall; unset: 0.25, a good preparation. 0.5 is an ordinary one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub crowding: Option<f32>,
    /// Simulator, dicentric assay: absorbed dose in gray.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 20.0))]
    pub dose_gy: Option<f64>,
    /// Simulator, dicentric assay: share of the body that was exposed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub fraction: Option<f64>,
    /// Simulator: how the stage moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<SlidePath>,
}

impl SourceConfig {
    /// The mode in force.
    pub fn mode(&self) -> Mode {
        self.mode.unwrap_or(match self.kind {
            SourceKind::Folder | SourceKind::Push => Mode::Lossless,
            _ => Mode::Freshest,
        })
    }
}

/// Which frames are processed further.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TriageConfig {
    /// Lowest score for a metaphase, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub metaphase: f32,
    /// Lowest focus score, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub focus: f32,
    /// Lowest spread score, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub spread: f32,
    /// Milliseconds for which the frames of one scene of a live source are collected before the best one is processed.
    #[schemars(range(min = 0, max = 600_000))]
    pub window_ms: u64,
}

impl Default for TriageConfig {
    fn default() -> Self {
        Self { metaphase: 0.5, focus: 0.2, spread: 0.1, window_ms: 1500 }
    }
}
