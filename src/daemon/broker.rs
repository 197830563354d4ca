//! Which broker the daemon talks to.

use domain::ErrorKind;

use super::StartError;
use crate::{config::Config, mqtt};

/// The broker to talk to.
pub struct BrokerChoice {
    pub settings: mqtt::BrokerSettings,
    /// Port of the embedded broker, when it is ours.
    pub embedded: Option<u16>,
}

/// The broker of the configuration; starts the embedded one.
pub fn start_broker(config: &Config) -> Result<Option<BrokerChoice>, StartError> {
    let embedded = match config.mqtt.url.as_str() {
        "off" => return Ok(None),
        "embedded" => Some(embedded_broker(config)?),
        _ => None,
    };
    let settings = mqtt::BrokerSettings::new(&config.mqtt, &config.station, embedded)?;
    Ok(Some(BrokerChoice { settings, embedded }))
}

#[cfg(feature = "embedded-broker")]
fn embedded_broker(config: &Config) -> Result<u16, StartError> {
    mqtt::EmbeddedBroker::start(config.mqtt.embedded_port)
        .map(|broker| broker.port())
        .map_err(|e| StartError::new(ErrorKind::Unavailable, e))
}

#[cfg(not(feature = "embedded-broker"))]
fn embedded_broker(_: &Config) -> Result<u16, StartError> {
    Err(StartError::new(ErrorKind::Config, "this build has no embedded broker: name one with mqtt.url, or use \"off\""))
}
