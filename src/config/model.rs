//! The keys of the configuration, their types and defaults.

use std::{collections::BTreeMap, path::PathBuf};

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::frame::Bayer;

/// What is scored on a slide.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Assay {
    /// Chromosomes are named and counted.
    #[default]
    Karyotype,
    /// Dicentrics are counted for an absorbed dose.
    Dicentric,
}

/// Kind of source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// The virtual slide.
    #[default]
    Simulator,
    /// Image files of a folder.
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
    /// The newest frame replaces the oldest, counted.
    #[default]
    Freshest,
    /// The source waits; nothing is given up.
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

/// Stain and illumination of the slide: chooses the classifier and the polarity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Stain {
    /// G-banding, bright field.
    #[default]
    GBand,
    /// Solid Giemsa, bright field.
    Giemsa,
    /// DAPI, fluorescence.
    Dapi,
    /// Q-banding, fluorescence.
    QBand,
}

impl Stain {
    /// As written in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::GBand => "g-band",
            Self::Giemsa => "giemsa",
            Self::Dapi => "dapi",
            Self::QBand => "q-band",
        }
    }

    /// True when chromosomes are bright on dark.
    pub fn is_fluorescence(self) -> bool {
        matches!(self, Self::Dapi | Self::QBand)
    }
}

/// How a folder is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Repeat {
    /// Once; then the source is finished.
    #[default]
    Once,
    /// Again from the start, for ever.
    Loop,
    /// Once, then new files as they come.
    Watch,
}

/// How the simulator moves over its slide.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SlidePath {
    /// A person looks around: dwells on a cell, then moves on.
    #[default]
    Live,
    /// A scanner goes from field to field.
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
    /// Pixel size in micrometres; unset: from the file, else lengths stay relative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.001, max = 100.0))]
    pub um_per_px: Option<f64>,
    /// Measured light of an empty field, as `metaphased flat-field` writes it; divided out of every frame, dust with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flat_field: Option<PathBuf>,
    /// Frames are raw samples behind this Bayer filter: their luminance is computed before anything else sees them. Of the
    /// simulator: it draws them so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bayer: Option<Bayer>,
    /// Case that its cells belong to, until a command names another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// Slide that its cells lie on, until a command names another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slide: Option<String>,
    /// Colony of an in-situ culture that its cells grew in, until a command names another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colony: Option<String>,
    /// Frames a second; unset: as fast as the pipeline takes them (folder), 10 (simulator), what the camera gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.001, max = 10000.0))]
    pub rate_hz: Option<f64>,
    /// Folder: where the images are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Folder: once, in a loop, or watching for new files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
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
    /// Simulator: how many metaphases lie on the slide; unset: it never ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cells: Option<u32>,
    /// Simulator: karyotype of the cells in ISCN; unset: mostly normal ones, some not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub karyotype: Option<String>,
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

/// When a frame goes on.
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
    /// Milliseconds for which a live feed's frames of one scene are gathered before the best goes on.
    #[schemars(range(min = 0, max = 600_000))]
    pub window_ms: u64,
}

impl Default for TriageConfig {
    fn default() -> Self {
        Self { metaphase: 0.5, focus: 0.2, spread: 0.1, window_ms: 1500 }
    }
}

/// Which engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EngineName {
    /// The best that is here.
    #[default]
    Auto,
    /// rten, in this process.
    Cpu,
    /// ONNX Runtime, where it is installed.
    Onnxruntime,
    /// TensorRT on an NVIDIA GPU.
    Tensorrt,
    /// A KServe v2 server (Triton, OpenVINO Model Server).
    Kserve,
}

/// What happens when the engine fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// The daemon says so and waits or rejects; never an empty slide.
    #[default]
    Deny,
    /// The `cpu` engine takes over, announced.
    Cpu,
}

/// Networks and what runs them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InferenceConfig {
    /// Engine.
    pub engine: EngineName,
    /// What happens when it fails.
    pub fallback: Fallback,
    /// Name of the detector's model folder; unset: chosen by stain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detector: Option<String>,
    /// Name of the classifier's model folder; unset: chosen by stain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classifier: Option<String>,
    /// Folder that holds the model folders; unset: searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<PathBuf>,
    /// KServe: address of the server, `http://host:8000`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Threads for inference; 0: one a core.
    #[schemars(range(min = 0, max = 1024))]
    pub threads: usize,
    /// ONNX Runtime: execution provider.
    pub provider: Provider,
    /// ONNX Runtime: its shared library; TensorRT: the folder of its libraries; unset: searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<PathBuf>,
}

/// Execution provider of ONNX Runtime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// The processor.
    #[default]
    Cpu,
    /// Intel's OpenVINO.
    Openvino,
    /// NVIDIA CUDA.
    Cuda,
    /// NVIDIA TensorRT.
    Tensorrt,
}

/// Whether sex chromosomes are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SexDisclosure {
    /// `46,XX`, `46,XY`.
    #[default]
    Shown,
    /// `46,U`, everywhere.
    Undisclosed,
}

/// What kind of sample a case is: how its karyotype is written and what makes a clone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sample {
    /// Of a person: `mos 47,XX,+21[12]/46,XX[8]`.
    #[default]
    Constitutional,
    /// Of a neoplasm: `47,XX,+8[12]/46,XX[8]`, lines from the simpler to the more complex.
    Neoplastic,
    /// Of a person, from colonies of an in-situ culture: a change counts in two colonies.
    InSitu,
}

/// Interpretation of karyotypes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KaryotypeConfig {
    /// Whether sex chromosomes are told.
    pub sex: SexDisclosure,
    /// What kind of sample the cases are.
    pub sample: Sample,
    /// Cells to score for a case; colonies where the sample is `in-situ`.
    #[schemars(range(min = 1, max = 10_000))]
    pub cells_per_case: u32,
}

impl Default for KaryotypeConfig {
    fn default() -> Self {
        Self { sex: SexDisclosure::Shown, sample: Sample::Constitutional, cells_per_case: 20 }
    }
}

/// Scoring of the dicentric assay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DicentricConfig {
    /// Lowest and highest sum of centromeres of a cell that counts as complete.
    pub accepted_centromeres: [u32; 2],
}

impl Default for DicentricConfig {
    fn default() -> Self {
        Self { accepted_centromeres: [46, 46] }
    }
}

/// Dose of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DoseConfig {
    /// Calibration curve: a name from `metaphased dose`'s list or a curve file.
    pub curve: String,
    /// How the dose and its interval are computed; unset: the recommended one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Hours over which the exposure lasted; 0: acute.
    #[schemars(range(min = 0.0, max = 100_000.0))]
    pub irradiation_hours: f64,
    /// Alarm when the lower limit of the dose passes this many gray; unset: no alarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 20.0))]
    pub alarm_gy: Option<f64>,
    /// The alarm clears when the lower limit falls this far below the level.
    #[schemars(range(min = 0.0, max = 20.0))]
    pub alarm_hysteresis_gy: f64,
    /// Hold the alarm until a person has reviewed the dicentrics.
    pub alarm_needs_review: bool,
    /// Tell the subject data of a case (age, dates, earlier dose) in its `dose` message; otherwise they stay in the store.
    pub publish_subject: bool,
}

impl Default for DoseConfig {
    fn default() -> Self {
        Self {
            curve: "co60_barquinero1995".into(),
            method: None,
            irradiation_hours: 0.0,
            alarm_gy: None,
            alarm_hysteresis_gy: 0.1,
            alarm_needs_review: false,
            publish_subject: false,
        }
    }
}

/// Which frames are kept as images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeepImages {
    /// None; chromosome crops of stored cells are always kept.
    None,
    /// Of cells that are not normal.
    #[default]
    Abnormal,
    /// Of every stored cell.
    All,
}

/// The database and the images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Folder; unset: `$STATE_DIRECTORY`, else `$XDG_STATE_HOME/metaphased`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Which frames are kept as images.
    pub keep_images: KeepImages,
    /// Space for all of it, such as `20 GiB`; the oldest images go first.
    #[schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)? ?([KMGT]i?B|B)$"))]
    pub quota: String,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { path: None, keep_images: KeepImages::Abnormal, quota: "20 GiB".into() }
    }
}

impl StoreConfig {
    /// The quota in bytes.
    pub fn quota_bytes(&self) -> Option<u64> {
        let text = self.quota.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = text[..digits].parse().ok()?;
        let factor = match text[digits..].trim() {
            "B" => 1.0,
            "KB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "TB" => 1e12,
            "KiB" => 1024.0,
            "MiB" => 1024.0 * 1024.0,
            "GiB" => 1024.0 * 1024.0 * 1024.0,
            "TiB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
            _ => return None,
        };
        Some((number * factor) as u64)
    }
}

/// What happens when the outbox is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutboxFull {
    /// By the sources: a lossless one waits, otherwise the oldest messages go.
    #[default]
    ByMode,
    /// Capture waits.
    Wait,
    /// The oldest messages go, counted and told.
    DropOldest,
}

/// MQTT version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MqttVersion {
    /// MQTT 3.1.1.
    #[default]
    #[serde(rename = "3.1.1")]
    V311,
    /// MQTT 5.
    #[serde(rename = "5")]
    V5,
}

/// The broker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MqttConfig {
    /// `embedded`, `mqtt://host:port`, `mqtts://host:port`, or `off`.
    #[schemars(regex(pattern = r"^(embedded|off|mqtts?://[^\s/@]+(:[0-9]+)?/?)$"))]
    pub url: String,
    /// Port of the embedded broker; unset: 1883, or the next free one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub embedded_port: Option<u16>,
    /// MQTT version.
    pub version: MqttVersion,
    /// First level of every topic.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$"))]
    pub prefix: String,
    /// Client id; unset: `metaphased-<station>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// User.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password; better in a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// File that holds the password; a name without slash is sought among systemd's credentials first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Certificate authority for `mqtts://` (PEM); unset: the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Client certificate (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    /// Key of the client certificate (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Whether commands are taken; unset: from the embedded broker and from brokers with credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commands: Option<bool>,
    /// End with exit code 69 when the broker cannot be reached at the start.
    pub required: bool,
    /// Most messages that wait for the broker.
    #[schemars(range(min = 100))]
    pub outbox_cap: u64,
    /// What happens when so many wait.
    pub outbox_full: OutboxFull,
    /// Send a small picture with each cell.
    pub thumbnails: bool,
    /// Announce the station to Home Assistant.
    pub home_assistant: bool,
}

impl Default for MqttConfig {
    fn default() -> Self {
        Self {
            url: "embedded".into(),
            embedded_port: None,
            version: MqttVersion::V311,
            prefix: "metaphased".into(),
            client_id: None,
            username: None,
            password: None,
            password_file: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            commands: None,
            required: false,
            outbox_cap: 100_000,
            outbox_full: OutboxFull::ByMode,
            thumbnails: false,
            home_assistant: false,
        }
    }
}

/// Live page and HTTP API.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebConfig {
    /// Address and port, or `off`; unset: 127.0.0.1:8080, or the next free port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(off|\[?[0-9A-Fa-f:.]+\]?:[0-9]+)$"))]
    pub listen: Option<String>,
    /// File that holds the access token; needed for anything but loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Names under which the page may be asked for, besides the address itself and localhost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Pretty on a terminal, journald under systemd, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Pretty,
    /// A JSON object a line.
    Json,
    /// The system's journal.
    Journald,
}

/// The log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Level, or a filter such as `info,metaphased::mqtt=debug`.
    pub level: String,
    /// Form.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Auto }
    }
}

/// The end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ShutdownConfig {
    /// Seconds in which accepted frames may still be finished.
    #[schemars(range(min = 0.1, max = 600.0))]
    pub timeout: f64,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { timeout: 2.0 }
    }
}

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of the station, in topics and messages.
    #[schemars(regex(pattern = r"^[a-z0-9-]{1,32}$"))]
    pub station: String,
    /// What is scored.
    pub assay: Assay,
    /// Cameras by name.
    pub source: BTreeMap<String, SourceConfig>,
    /// When a frame goes on.
    pub triage: TriageConfig,
    /// Networks and what runs them.
    pub inference: InferenceConfig,
    /// Interpretation of karyotypes.
    pub karyotype: KaryotypeConfig,
    /// Scoring of the dicentric assay.
    pub dicentric: DicentricConfig,
    /// Dose of a case.
    pub dose: DoseConfig,
    /// The database and the images.
    pub store: StoreConfig,
    /// The broker.
    pub mqtt: MqttConfig,
    /// Live page and HTTP API.
    pub web: WebConfig,
    /// The log.
    pub log: LogConfig,
    /// The end.
    pub shutdown: ShutdownConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            station: "lab-1".into(),
            assay: Assay::default(),
            source: BTreeMap::new(),
            triage: TriageConfig::default(),
            inference: InferenceConfig::default(),
            karyotype: KaryotypeConfig::default(),
            dicentric: DicentricConfig::default(),
            dose: DoseConfig::default(),
            store: StoreConfig::default(),
            mqtt: MqttConfig::default(),
            web: WebConfig::default(),
            log: LogConfig::default(),
            shutdown: ShutdownConfig::default(),
        }
    }
}

impl Config {
    /// The sources, or the first run's simulator where none is configured.
    pub fn sources(&self) -> BTreeMap<String, SourceConfig> {
        if self.source.is_empty() {
            let scope = SourceConfig { um_per_px: Some(0.1), ..SourceConfig::default() };
            BTreeMap::from([("scope".to_owned(), scope)])
        } else {
            self.source.clone()
        }
    }
}
