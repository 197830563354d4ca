//! Keys of cameras and folders: what they are, what they show, when a frame goes on.

use std::{collections::BTreeMap, path::PathBuf};

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
    /// Frames pushed over HTTP.
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

/// Which way the picture lies on the stage: the stage's axis towards the picture's right, then the one towards its
/// bottom.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StageAxes {
    /// As on paper: x grows to the right, y towards the bottom.
    #[default]
    #[serde(rename = "x y")]
    XY,
    /// Mirrored up and down.
    #[serde(rename = "x -y")]
    XMinusY,
    /// Mirrored left and right.
    #[serde(rename = "-x y")]
    MinusXY,
    /// Turned by half.
    #[serde(rename = "-x -y")]
    MinusXMinusY,
    /// Mirrored at the diagonal.
    #[serde(rename = "y x")]
    YX,
    /// Turned by a quarter.
    #[serde(rename = "y -x")]
    YMinusX,
    /// Turned by a quarter the other way.
    #[serde(rename = "-y x")]
    MinusYX,
    /// Mirrored at the other diagonal.
    #[serde(rename = "-y -x")]
    MinusYMinusX,
}

impl StageAxes {
    /// A step in the picture (right, down) as a step of the stage (x, y).
    pub fn on_stage(self, [right, down]: [f64; 2]) -> [f64; 2] {
        match self {
            Self::XY => [right, down],
            Self::XMinusY => [right, -down],
            Self::MinusXY => [-right, down],
            Self::MinusXMinusY => [-right, -down],
            Self::YX => [down, right],
            Self::YMinusX => [-down, right],
            Self::MinusYX => [down, -right],
            Self::MinusYMinusX => [-down, -right],
        }
    }
}

/// The value of a camera's control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ControlValue {
    /// On or off.
    Switch(bool),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// An entry of a list, or words.
    Text(String),
}

impl ControlValue {
    /// The number, where it is a whole one.
    pub fn whole(&self) -> Option<i64> {
        if let Self::Whole(number) = self { Some(*number) } else { None }
    }
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
    /// Camera: device path, number, name or serial number (`genicam`: id, serial number, address or model), as `metaphased cameras` lists it; unset: the only camera (`webcam`: the first).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Camera and simulator: width and height of a frame in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[u32; 2]>,
    /// Video4Linux and GenICam camera: format of its frames, such as `GREY`, `Y12` or `YUYV` (Video4Linux), `Mono8`, `Mono12p` or `BayerRG8` (GenICam); unset: the deepest grey that it has, else raw Bayer samples, else its luma.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Video4Linux and GenICam camera: controls to set, by the names that `metaphased cameras` lists. Automatics are controls, too. Those of Video4Linux are whole numbers; features of GenICam (`ExposureTime`, `GainAuto`, `OffsetX`, `TriggerMode`) also numbers, words, true or false.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub controls: BTreeMap<String, ControlValue>,
    /// Stream: its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Stream: name of a basic login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Stream: file that holds its password; a name without a slash is looked up among systemd's credentials first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Stream: certificate authority for `https://` (PEM); unset: the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Stream: milliseconds without a byte after which it is asked for again; unset: 2000. A stream with fewer pictures requires more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 600_000))]
    pub stall_ms: Option<u64>,
    /// The frames are of a search objective (about 10x): metaphases are found, placed on the stage and listed on
    /// `slide/<slide>`; nothing is recognised. Each frame requires a stage position and a pixel size.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub search: bool,
    /// Which way the picture lies on the stage: the stage's axis towards the picture's right, then towards its bottom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage_axes: Option<StageAxes>,
    /// Push: most frames that are kept until they are answered, waiting in the spool or on their way; a further one is
    /// refused until one has been answered. Unset: 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub spool: Option<u32>,
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
    /// Simulator, dicentric assay: the machine scores its cells as it would real ones; otherwise what was drawn is counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub machine_scored: bool,
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
