//! Where the broker is and how to get in, from the configuration.

use std::{fmt, fs, io, path::PathBuf, time::Duration};

use crate::config::{MqttConfig, MqttVersion};
use domain::{ErrorKind, HasKind};

use super::{home_assistant::discovery, topics::Topics};

/// Everything a session needs to know.
#[derive(Clone)]
pub struct BrokerSettings {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Encryption, for `mqtts://`.
    pub tls: Option<Tls>,
    /// Version of MQTT.
    pub version: MqttVersion,
    /// Client id.
    pub client_id: String,
    /// User and password.
    pub credentials: Option<(String, String)>,
    /// Topics of the station.
    pub topics: Topics,
    /// Whether commands are taken; otherwise they are answered with a refusal.
    pub commands: bool,
    /// Most messages that wait for their PUBACK at once.
    pub window: u16,
    /// The message that announces the station to Home Assistant, topic and payload; none: it is not announced.
    pub announcement: Option<(String, Vec<u8>)>,
    /// Silence after which the connection is probed. It must be shorter than the time between two `stats`: a client
    /// sends no probe while it sends other things.
    pub keep_alive: Duration,
    /// How long the broker may acknowledge nothing while messages wait for it.
    pub acknowledge_within: Duration,
}

/// PEM files, already read.
#[derive(Clone, Default)]
pub struct Tls {
    /// Certificates that are trusted; none: the system's.
    pub authority: Option<Vec<u8>>,
    /// Our own certificate and its key.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
}

/// BrokerSettings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The URL names no broker.
    #[error("invalid mqtt.url '{0}': expected mqtt://host:1883 or mqtts://host:8883")]
    Url(String),
    /// A file cannot be read.
    #[error("{key}: cannot read {}", path.display())]
    File {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The certificates cannot be used.
    #[error("mqtt.ca_file, cert_file or key_file cannot be used: {0}")]
    Certificates(String),
}

impl HasKind for SettingsError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Config
    }
}

impl fmt::Debug for BrokerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerSettings")
            .field("url", &self.url())
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl BrokerSettings {
    /// From the configuration of `station`. `embedded` is the port of the embedded broker, for `url = "embedded"`.
    ///
    /// # Errors
    /// A URL that names no broker, a file that cannot be read.
    pub fn new(config: &MqttConfig, station: &str, embedded: Option<u16>) -> Result<Self, SettingsError> {
        let (host, port, secure) = match embedded {
            Some(port) => ("127.0.0.1".to_owned(), port, false),
            None => config.address().ok_or_else(|| SettingsError::Url(config.url.clone()))?,
        };
        let read = |key: &'static str, path: &Option<PathBuf>| match path {
            None => Ok(None),
            Some(path) => {
                let path = crate::config::credential(path);
                fs::read(&path).map(Some).map_err(|source| SettingsError::File { key, path, source })
            }
        };
        let tls = if secure {
            let client = match (read("mqtt.cert_file", &config.cert_file)?, read("mqtt.key_file", &config.key_file)?) {
                (Some(certificate), Some(key)) => Some((certificate, key)),
                _ => None,
            };
            Some(Tls { authority: read("mqtt.ca_file", &config.ca_file)?, client })
        } else {
            None
        };
        let credentials = match &config.username {
            None => None,
            Some(user) => Some((user.clone(), password(config)?)),
        };
        let identified = credentials.is_some() || tls.as_ref().is_some_and(|tls| tls.client.is_some());
        let topics = Topics::new(&config.prefix, station);
        let announcement = config.home_assistant.then(|| {
            let (topic, payload) = discovery(station, env!("CARGO_PKG_VERSION"), &topics, config.thumbnails);
            (topic, payload.to_string().into_bytes())
        });
        Ok(Self {
            host,
            port,
            tls,
            version: config.version,
            client_id: config.client_id.clone().unwrap_or_else(|| format!("metaphased-{station}")),
            credentials,
            topics,
            announcement,
            commands: config.commands.unwrap_or(embedded.is_some() || identified),
            window: 256,
            keep_alive: Duration::from_secs(8),
            acknowledge_within: Duration::from_secs(20),
        })
    }

    /// Where the broker is, without credentials.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "mqtts" } else { "mqtt" };
        if self.host.contains(':') {
            format!("{scheme}://[{}]:{}", self.host, self.port)
        } else {
            format!("{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// From its file, else from the configuration itself.
fn password(config: &MqttConfig) -> Result<String, SettingsError> {
    let Some(path) = config.password_file.as_deref().map(crate::config::credential) else {
        return Ok(config.password.clone().unwrap_or_default());
    };
    crate::config::read_password(&path).map_err(|source| SettingsError::File {
        key: "mqtt.password_file",
        path,
        source,
    })
}

/// Every file that the configuration names for the broker and that cannot be read.
pub fn unreadable_files(config: &MqttConfig) -> Vec<SettingsError> {
    let files = [
        ("mqtt.ca_file", &config.ca_file),
        ("mqtt.cert_file", &config.cert_file),
        ("mqtt.key_file", &config.key_file),
        ("mqtt.password_file", &config.password_file),
    ];
    files
        .into_iter()
        .filter_map(|(key, path)| Some((key, crate::config::credential(path.as_deref()?))))
        .filter_map(|(key, path)| {
            let source = fs::read(&path).err()?;
            Some(SettingsError::File { key, path, source })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_broker() {
        let address = |url: &str| MqttConfig { url: url.into(), ..MqttConfig::default() }.address();
        let own = |host: &str, port, secure| Some((host.to_owned(), port, secure));
        assert_eq!(address("mqtt://broker"), own("broker", 1883, false));
        assert_eq!(address("mqtts://broker.lab/"), own("broker.lab", 8883, true));
        assert_eq!(address("mqtts://10.0.0.7:1234"), own("10.0.0.7", 1234, true));
        assert_eq!(address("mqtt://[::1]:1884"), own("::1", 1884, false));
        for wrong in
            ["broker", "http://broker", "mqtt://", "mqtt://:1883", "mqtt://b:0", "mqtt://b:99999", "mqtt://[::1"]
        {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn commands_are_off_for_a_remote_broker_without_credentials() {
        let open = MqttConfig { url: "mqtt://broker".into(), ..MqttConfig::default() };
        assert!(!BrokerSettings::new(&open, "lab-1", None).unwrap().commands);
        let known = MqttConfig { username: Some("lab".into()), password: Some("x".into()), ..open };
        assert!(BrokerSettings::new(&known, "lab-1", None).unwrap().commands);
        assert!(BrokerSettings::new(&MqttConfig::default(), "lab-1", Some(1883)).unwrap().commands);
    }
}
