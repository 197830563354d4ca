//! The configuration as a whole, and the keys of store, broker, page and log.

use std::{collections::BTreeMap, path::PathBuf};

use domain::Assay;
use recognition::inference::InferenceConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};

use super::{
    memory::MemoryConfig,
    scoring::{DicentricConfig, DoseConfig, KaryotypeConfig},
    source::{SourceConfig, TriageConfig},
};

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
    /// Disk space for the database and the images, such as `20 GiB`; the oldest images are removed first.
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
        super::memory::bytes(&self.quota)
    }
}

/// What happens when the outbox is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutboxFull {
    /// By source: a lossless source waits; for the others the oldest messages are dropped.
    #[default]
    ByMode,
    /// Capture waits.
    Wait,
    /// The oldest messages are dropped and counted.
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
    /// File that holds the password; a name without a slash is looked up among systemd's credentials first.
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
    /// Whether commands are accepted; unset: from the embedded broker and from brokers with credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commands: Option<bool>,
    /// Exit with code 69 when the broker cannot be reached at the start.
    pub required: bool,
    /// Most messages that wait for the broker.
    #[schemars(range(min = 100))]
    pub outbox_cap: u64,
    /// What happens when the outbox is full.
    pub outbox_full: OutboxFull,
    /// Publish a small picture with each cell.
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

impl MqttConfig {
    /// Whether the broker is named by its address.
    pub fn is_remote(&self) -> bool {
        self.url.starts_with("mqtt")
    }

    /// Host, port and whether encrypted, of a broker that is named by its address; none where the address is wrong.
    pub fn address(&self) -> Option<(String, u16, bool)> {
        let (scheme, rest) = self.url.split_once("://")?;
        let (secure, usual_port) = match scheme {
            "mqtt" => (false, 1883),
            "mqtts" => (true, 8883),
            _ => return None,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']')?;
                if after.is_empty() { (host, None) } else { (host, Some(after.strip_prefix(':')?)) }
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port > 0)?,
            None => usual_port,
        };
        (!host.is_empty()).then(|| (host.to_owned(), port, secure))
    }
}

/// Live page and HTTP API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebConfig {
    /// Address and port, or `off`; unset: 127.0.0.1:8080, or the next free port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(off|\[?[0-9A-Fa-f:.]+\]?:[0-9]+)$"))]
    pub listen: Option<String>,
    /// File that holds the access token; required unless the address is loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Host names under which the page may be requested, besides its address and localhost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Address under which browsers reach the page through a reverse proxy, such as `https://scope.lab/` or `https://lab.example/scope/`; unset: there is no proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Language of the page, such as `en` or `de`; unset: the browser's, where the page speaks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// File of the people who may come in, written by `metaphased user`; unset: nobody is known by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users_file: Option<PathBuf>,
    /// Hours after which a person logs in again.
    #[schemars(range(min = 1, max = 720))]
    pub session_hours: u32,
    /// Header in which a proxy gives the name of the person whom it has let in; requires `users_file` and `proxies`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_header: Option<String>,
    /// IP addresses of the proxies that may do so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proxies: Vec<String>,
}

/// The address that a browser shows, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicAddress {
    /// As a browser writes it in `Origin`: lower case, without the scheme's usual port.
    pub origin: String,
    /// Its host alone, lower case.
    pub host: String,
    /// Its path, with a slash at both ends.
    pub path: String,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self {
            listen: None,
            token_file: None,
            hosts: Vec::new(),
            public_url: None,
            language: None,
            users_file: None,
            session_hours: 12,
            user_header: None,
            proxies: Vec::new(),
        }
    }
}

impl WebConfig {
    /// `public_url` taken apart; as an error what was found, in words.
    pub fn public_address(&self) -> Option<Result<PublicAddress, String>> {
        let url = self.public_url.as_deref()?;
        Some(public_address(url).ok_or_else(|| format!("found \"{url}\"")))
    }
}

fn public_address(url: &str) -> Option<PublicAddress> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let authority = without_usual_port(&scheme, &authority.to_ascii_lowercase()).to_owned();
    let host = match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => {
            authority[colon + 1..].parse::<u16>().ok().filter(|port| *port > 0)?;
            &authority[..colon]
        }
        _ => &*authority,
    };
    let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b));
    let is_path = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~/".contains(&b)) && !path.contains("//");
    if !matches!(&*scheme, "http" | "https") || !is_host || !is_path {
        return None;
    }
    let path = format!("{}/", path.trim_end_matches('/'));
    Some(PublicAddress { origin: format!("{scheme}://{authority}"), host: host.to_owned(), path })
}

/// `host` of `host:80` with http, and of `host:443` with https: browsers leave these ports out.
pub fn without_usual_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = if scheme == "https" { ":443" } else { ":80" };
    authority.strip_suffix(port).unwrap_or(authority)
}

/// The reports.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReportConfig {
    /// Folder with the laboratory's name, logo, language and own templates; unset: the built-in layout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
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
    /// One JSON object per line.
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

impl LogConfig {
    /// The level as a filter. A word that is no level is refused: as the name of a module it would hide everything else.
    ///
    /// # Errors
    /// What cannot be read, in words.
    pub fn filter(&self) -> Result<Targets, String> {
        for part in self.level.split(',') {
            let level = part.rsplit('=').next().unwrap_or(part).trim();
            level.parse::<LevelFilter>().map_err(|_| format!("\"{level}\" is no level"))?;
        }
        self.level.parse().map_err(|error: ParseError| error.to_string())
    }
}

/// Shutdown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ShutdownConfig {
    /// Seconds in which accepted frames may still be processed after a stop is requested.
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
    /// Which frames are processed further.
    pub triage: TriageConfig,
    /// Models and the engine that runs them.
    pub inference: InferenceConfig,
    /// Interpretation of karyotypes.
    pub karyotype: KaryotypeConfig,
    /// Scoring of the dicentric assay.
    pub dicentric: DicentricConfig,
    /// Dose of a case.
    pub dose: DoseConfig,
    /// Memory for pictures.
    pub memory: MemoryConfig,
    /// The database and the images.
    pub store: StoreConfig,
    /// The broker.
    pub mqtt: MqttConfig,
    /// Live page and HTTP API.
    pub web: WebConfig,
    /// The reports.
    pub report: ReportConfig,
    /// The log.
    pub log: LogConfig,
    /// Shutdown.
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
            memory: MemoryConfig::default(),
            store: StoreConfig::default(),
            mqtt: MqttConfig::default(),
            web: WebConfig::default(),
            report: ReportConfig::default(),
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
