//! Topics, messages, session and commands of the broker connection.
//!
//! [`MqttSession`] carries what the store's outbox and latest values hold to the broker, at least once and in order,
//! and what [`crate::station::Health`] says about the daemon. No connection's state outlives it: after each CONNACK
//! all that the store still holds is sent, and every retained topic at its latest value. docs/reference/mqtt.md has
//! every topic and message.

mod commands;
#[cfg(feature = "embedded-broker")]
mod embedded;
mod home_assistant;
mod link;
mod link_v4;
mod link_v5;
mod messages;
mod oversize;
mod publisher;
mod report;
mod session;
mod settings;
mod topics;

#[cfg(feature = "embedded-broker")]
pub use embedded::{EmbeddedBroker, EmbeddedError};
pub use messages::{CellMessage, CommandMessage, Rejected, schema, schema_names};
pub use session::MqttSession;
pub use settings::{BrokerSettings, SettingsError, Tls, unreadable_files};
pub use topics::{Topics, case_topic, dose_topic, encode_level, slide_topic};
