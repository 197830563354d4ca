//! What the daemon reports about itself, and the commands that it takes.
//!
//! [`Health`] is written by the pipeline, the store and the broker connection and read by everything that shows it:
//! the same structs stand behind MQTT `state`, `stats` and `birth`, `/api/v1/status`, the metrics and
//! `metaphased status`. [`Ledger`] counts frames so that none is lost unseen. [`Command`] is what MQTT and HTTP
//! hand to the daemon. [`Rates`] turns counters into rates, for every `stats` alike.

mod command;
mod health;
mod ledger;
mod messages;
mod rates;
mod triggers;

pub use command::{
    Answer, Command, CommandError, CommandInbox, CommandOutbox, CommandResult, Envelope, RecordCommand, ReviewAction,
    SourceCommand, command_channel,
};
pub use health::Health;
pub use ledger::{DropReason, FrameCounts, Ledger, RejectReason, Ticket};
pub use messages::{
    Birth, BrokerState, EngineState, HostFacts, Level, ModelFacts, SourceFacts, SourceState, SourceStats, StageState,
    StageStats, State, Stats, StoreState,
};
pub use rates::Rates;
pub use triggers::{FoundSpread, RawFormat, RawLayout, TriggerAnswer, TriggerFacts, TriggerState, TriggerView};
