//! One connection to a broker, whatever the version of MQTT.
//!
//! A link lives from CONNECT to the loss of the connection and is then thrown away with all it held: what must not be
//! lost is in the store, so no state of the client library outlives a connection.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use tokio::sync::mpsc;

use super::{
    link_v4, link_v5,
    settings::{BrokerSettings, SettingsError},
};
use crate::config::MqttVersion;

/// Largest packet we send, and largest payload of a command.
pub(super) const MAX_PACKET: u32 = 1024 * 1024;
/// Largest packet we take in: a command that is too large is answered with a refusal. One beyond this ends the connection
/// with MQTT 3.1.1; with MQTT 5 the broker leaves it out.
pub(super) const MAX_INCOMING: u32 = 16 * MAX_PACKET;

/// A message on its way out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Publish {
    /// Whole topic.
    pub topic: String,
    /// JSON, or a word.
    pub payload: Vec<u8>,
    /// At least once instead of at most once.
    pub acknowledged: bool,
    /// Kept by the broker.
    pub retain: bool,
    /// MQTT 5: echoed from the request.
    pub correlation: Option<Vec<u8>>,
}

/// A message that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Received {
    /// Whole topic.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
    /// Sent before we subscribed and kept by the broker.
    pub retained: bool,
    /// MQTT 5: where the answer is wanted.
    pub response_topic: Option<String>,
    /// MQTT 5: to be echoed.
    pub correlation: Option<Vec<u8>>,
}

/// Why a message was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unacknowledged {
    /// The connection went away first.
    Lost,
    /// MQTT 5: the broker refused it.
    Refused(String),
}

/// Resolves with the broker's PUBACK (at least once) or when written (at most once).
pub(super) type Ack = Pin<Box<dyn Future<Output = Result<(), Unacknowledged>> + Send>>;

/// What happens on a connection.
#[derive(Debug)]
pub(super) enum LinkEvent {
    /// CONNACK; the largest packet that the broker takes, where it says so.
    Connected(Option<u32>),
    /// A message came.
    Received(Received),
    /// The connection is gone or never came about; nothing follows.
    Lost(LinkFault),
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LinkFault {
    /// The broker does not let us in; trying again soon will not help.
    Refused(String),
    /// The encryption could not be set up.
    Tls(String),
    /// The network or the broker failed.
    Network(String),
    /// The broker has acknowledged nothing for so long.
    Silent(Duration),
    /// Another client has come with our client id, or must have.
    TakenOver {
        /// The id.
        client_id: String,
        /// Whether the broker has said so.
        said: bool,
    },
}

impl fmt::Display for LinkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => write!(f, "the broker refuses the connection: {reason}"),
            Self::Tls(reason) => write!(
                f,
                "no encrypted connection ({reason}): check mqtt.ca_file and the host name in mqtt.url against the \
                 broker's certificate"
            ),
            Self::Network(reason) => write!(f, "no connection ({reason}): start the broker or correct mqtt.url"),
            Self::TakenOver { client_id, said: true } => {
                write!(
                    f,
                    "another client has this id ('{client_id}'): set `station` (or mqtt.client_id) to one of its own"
                )
            }
            Self::TakenOver { client_id, said: false } => write!(
                f,
                "the broker lets us in and closes the connection, again and again: another client has this id \
                 ('{client_id}'): set `station` (or mqtt.client_id) to one of its own; the broker's log says more"
            ),
            Self::Silent(limit) => write!(
                f,
                "the broker has not acknowledged a message for {} s: look whether it hangs and whether the network to it \
                 stands",
                limit.as_secs()
            ),
        }
    }
}

/// The link is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed;

/// What a session does with a connection.
pub(super) trait Link: Send + Sync {
    /// Queues a message without waiting.
    fn publish(&self, publish: Publish) -> Result<Ack, Closed>;
    /// Asks for messages at least once.
    fn subscribe(&self, filter: &str) -> Result<(), Closed>;
    /// Says goodbye, so that the last will stays unsaid; [`LinkEvent::Lost`] follows.
    fn disconnect(&self);
}

/// A connection being made; events come in order.
pub(super) struct Connection {
    /// To send.
    pub link: Box<dyn Link>,
    /// What happens on it.
    pub events: mpsc::Receiver<LinkEvent>,
    driver: tokio::task::JoinHandle<()>,
}

impl Connection {
    pub(super) fn new(
        link: Box<dyn Link>,
        events: mpsc::Receiver<LinkEvent>,
        driver: tokio::task::JoinHandle<()>,
    ) -> Self {
        Self { link, events, driver }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Starts to connect; must be called on the runtime.
pub(super) fn connect(settings: &BrokerSettings) -> Result<Connection, SettingsError> {
    match settings.version {
        MqttVersion::V311 => link_v4::connect(settings),
        MqttVersion::V5 => link_v5::connect(settings),
    }
}

/// Words for a refusal, the same in both versions.
pub(super) fn refusal(code: &str) -> LinkFault {
    let reason = match code {
        "BadUserNamePassword" => "user or password is wrong; check mqtt.username and mqtt.password_file".to_owned(),
        "NotAuthorized" => {
            "not authorized; give mqtt.username and mqtt.password_file, or ask for access on the broker".to_owned()
        }
        "RefusedProtocolVersion" | "UnsupportedProtocolVersion" => {
            "it does not speak this version of MQTT; set mqtt.version".to_owned()
        }
        "BadClientId" | "ClientIdentifierNotValid" => "it does not accept the client id; set mqtt.client_id".to_owned(),
        other => format!("{other}; its log says more"),
    };
    LinkFault::Refused(reason)
}
