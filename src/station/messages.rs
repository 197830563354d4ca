//! The messages `state/1`, `stats/1` and `birth/1`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How well something is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Works.
    #[default]
    Ok,
    /// Works with something missing; the reason says what.
    Degraded,
    /// Does not work.
    Failed,
}

/// State of one camera or folder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceState {
    /// How it is.
    pub level: Level,
    /// Kind: simulator, folder, webcam ...
    pub kind: String,
    /// `freshest` or `lossless`.
    pub mode: String,
    /// `starting`, `running`, `paused`, `finished`, `lost`.
    pub activity: String,
    /// What is wrong and what to do, in words; empty when all is well.
    pub reason: String,
    /// Width and height of its frames in pixels, once known.
    pub size: Option<[u32; 2]>,
    /// The device and what its driver took of the configuration, in words; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub device: String,
    /// Hints for the person at the microscope: focus, saturation, exposure.
    #[serde(default)]
    pub hints: Vec<String>,
}

/// State of one stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageState {
    /// How it is.
    pub level: Level,
    /// What is wrong, in words.
    pub reason: String,
    /// How often it was rebuilt after a panic.
    pub restarts: u32,
}

/// State of the inference engine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EngineState {
    /// How it is.
    pub level: Level,
    /// Engine in use: cpu, onnxruntime, tensorrt, kserve; `segmentation` when no model was found.
    pub name: String,
    /// Library, provider and threads, for people.
    #[serde(default)]
    pub library: String,
    /// `task: name@hash12`.
    pub models: BTreeMap<String, String>,
    /// What is wrong or missing, in words.
    pub reason: String,
}

/// State of the store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StoreState {
    /// How it is.
    pub level: Level,
    /// What is wrong, in words.
    pub reason: String,
    /// Rows that wait for the broker.
    pub outbox_depth: u64,
    /// Pictures of frames that could not be written since the start; their cells are stored without them.
    #[serde(default)]
    pub pictures_not_kept: u64,
}

/// State of the broker connection.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BrokerState {
    /// How it is.
    pub level: Level,
    /// Whether the connection stands.
    pub connected: bool,
    /// Where it is, without credentials.
    pub url: String,
    /// What is wrong, in words.
    pub reason: String,
    /// Messages that are larger than it takes; they wait in the store.
    #[serde(default)]
    pub set_aside: u64,
}

/// The `state/1` message: how the daemon is, in words.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct State {
    /// `state/1`.
    pub schema: String,
    /// Station.
    pub station: String,
    /// When it was written, RFC 3339 in UTC.
    pub time: String,
    /// The worst of all parts.
    pub level: Level,
    /// Why it is not ok, in words; empty when it is.
    pub reasons: Vec<String>,
    /// Sources by name.
    pub sources: BTreeMap<String, SourceState>,
    /// Stages by name.
    pub stages: BTreeMap<String, StageState>,
    /// Inference.
    pub engine: EngineState,
    /// Store.
    pub store: StoreState,
    /// Broker.
    pub broker: BrokerState,
    /// Case that new cells belong to, while one is open.
    #[serde(default)]
    pub case: Option<String>,
    /// Slide that new cells lie on.
    #[serde(default)]
    pub slide: Option<String>,
}

/// Counters of one source in `stats/1`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceStats {
    /// Frames taken in.
    pub accepted: u64,
    /// Frames that gave a cell.
    pub stored: u64,
    /// Frames for which another stood.
    pub merged: u64,
    /// Frames on their way.
    pub in_flight: u64,
    /// Frames that gave no cell, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Frames given up, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Frames a second over the last ten seconds.
    pub frames_per_s: f64,
    /// Frames that the device numbered and that never came.
    #[serde(default)]
    pub device_gaps: u64,
    /// Frames that the transport lost or broke.
    #[serde(default)]
    pub transport_errors: u64,
    /// Pushed frames that wait in the spool.
    #[serde(default)]
    pub waiting: u64,
    /// Whether a further frame would be refused now: a scanner waits.
    #[serde(default)]
    pub busy: bool,
}

/// Counters of one stage in `stats/1`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageStats {
    /// Frames done.
    pub done: u64,
    /// Mean milliseconds a frame over the run.
    pub mean_ms: f64,
    /// Frames that wait before it now.
    pub waiting: u64,
}

/// The `stats/1` message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// `stats/1`.
    pub schema: String,
    /// Station.
    pub station: String,
    /// When it was written, RFC 3339 in UTC.
    pub time: String,
    /// Seconds since the start.
    pub uptime_s: f64,
    /// By source.
    pub sources: BTreeMap<String, SourceStats>,
    /// By stage.
    pub stages: BTreeMap<String, StageStats>,
    /// Cells written to the store.
    pub cells_stored: u64,
    /// Cells the broker has acknowledged.
    pub cells_published: u64,
    /// Messages sent again after a lost connection: how often one may have come twice.
    pub resent: u64,
    /// Rows that wait for the broker.
    pub outbox_depth: u64,
    /// Cells a minute over the last minute.
    pub cells_per_min: f64,
}

/// What a source is, in `birth/1`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceFacts {
    /// Kind.
    pub kind: String,
    /// Mode.
    pub mode: String,
    /// Stain.
    pub stain: String,
}

/// A model in use, in `birth/1`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelFacts {
    /// Task it serves.
    pub task: String,
    /// Name of its folder.
    pub name: String,
    /// Version from model.toml.
    pub version: String,
    /// SHA-256 of the file in use.
    pub sha256: String,
}

/// The machine, in `birth/1`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostFacts {
    /// Operating system and architecture.
    pub platform: String,
    /// Processor cores.
    pub cores: u32,
}

/// The `birth/1` message: what this daemon is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Birth {
    /// `birth/1`.
    pub schema: String,
    /// Station.
    pub station: String,
    /// When the daemon started, RFC 3339 in UTC.
    pub started: String,
    /// Version of metaphased.
    pub version: String,
    /// The machine.
    pub host: HostFacts,
    /// `karyotype` or `dicentric`.
    pub assay: String,
    /// Sources by name.
    pub sources: BTreeMap<String, SourceFacts>,
    /// Engine in use.
    pub engine: String,
    /// Models in use.
    pub models: Vec<ModelFacts>,
    /// SHA-256 over the effective configuration, secrets left out.
    pub configuration: String,
    /// Research use only.
    pub notice: String,
}
