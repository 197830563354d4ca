//! Messages that no other module owns, and the JSON Schemas of all.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::topics::PICTURE_TOPIC;
use crate::{
    case::{AlarmMessage, CaseDose, CaseState, SlideState},
    station::{Birth, Command, CommandResult, RejectReason, State, Stats},
    store::{Latest, Message},
};
use domain::{Cell, NOTICE};

/// The `rejected/1` message: a file, trigger or pushed frame that gave no cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rejected {
    /// `rejected/1`.
    pub schema: String,
    /// Station.
    pub station: String,
    /// Source (camera or folder).
    pub source: String,
    /// Identifies the message: a second copy has the same id. UUID version 7.
    pub id: Uuid,
    /// When, RFC 3339 in UTC.
    pub time: String,
    /// Number of the frame within its source, where it became one.
    pub frame: Option<u64>,
    /// File, relative to the source's folder, with its page when it holds several.
    pub file: Option<String>,
    /// The scanner's own event id, echoed.
    pub trigger: Option<String>,
    /// Case it would have belonged to.
    pub case: Option<String>,
    /// Slide it would have belonged to.
    pub slide: Option<String>,
    /// Stable word for the reason: `unreadable`, `no_metaphase`, `out_of_focus` ...
    pub reason: String,
    /// The reason in words.
    pub text: String,
    /// Research use only.
    pub notice: String,
}

impl Rejected {
    /// Name and major version of the message.
    pub const SCHEMA: &'static str = "rejected/1";

    /// A message for `source` of `station`; the caller fills in what else is known.
    pub fn new(station: &str, source: &str, time: String, reason: RejectReason, text: String) -> Self {
        Self {
            schema: Self::SCHEMA.into(),
            station: station.into(),
            source: source.into(),
            id: Uuid::now_v7(),
            time,
            frame: None,
            file: None,
            trigger: None,
            case: None,
            slide: None,
            reason: reason.label().into(),
            text,
            notice: NOTICE.into(),
        }
    }
}

/// What a client sends on `command/<name>`: the command's own values, and an id that the result echoes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommandMessage {
    /// Echoed in the result; text or a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = ["string", "number", "null"]))]
    pub id: Option<String>,
    /// The values; over MQTT `name` is the last level of the topic and is left out of the payload.
    #[serde(flatten)]
    pub command: Command,
}

/// The `cell/1` message: the record, and a small picture where `mqtt.thumbnails` asks for it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CellMessage<'a> {
    /// The record.
    #[serde(flatten)]
    pub cell: &'a Cell,
    /// JPEG of the cell, longer side at most 320 pixels, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail_jpeg: Option<String>,
}

impl Message {
    /// The outbox row of a cell, with a picture (JPEG) where one is given. `droppable`: it may go unsent when the outbox
    /// is full.
    ///
    /// # Errors
    /// When the record cannot be written as JSON.
    pub fn cell(cell: &Cell, thumbnail: Option<&[u8]>, droppable: bool) -> Result<Self, serde_json::Error> {
        let thumbnail_jpeg = thumbnail.map(|jpeg| BASE64_STANDARD.encode(jpeg));
        Ok(Self {
            topic: "cell".into(),
            payload: serde_json::to_string(&CellMessage { cell, thumbnail_jpeg })?,
            retain: false,
            droppable,
            case: cell.case.clone(),
        })
    }

    /// The outbox row of a rejection.
    ///
    /// # Errors
    /// When the record cannot be written as JSON.
    pub fn rejected(rejected: &Rejected, droppable: bool) -> Result<Self, serde_json::Error> {
        Ok(Self {
            topic: "rejected".into(),
            payload: serde_json::to_string(rejected)?,
            retain: false,
            droppable,
            case: rejected.case.clone(),
        })
    }
}

impl Latest {
    /// The picture (JPEG) of the last cell, for subscribers that show a topic's payload as it is.
    pub fn picture(cell: &Cell, jpeg: &[u8]) -> Self {
        Self { topic: PICTURE_TOPIC.into(), payload: Some(BASE64_STANDARD.encode(jpeg)), case: cell.case.clone() }
    }
}

type Maker = fn() -> Schema;

/// Every message by the name that `metaphased schema NAME` takes.
const SCHEMAS: &[(&str, Maker)] = &[
    ("cell", || schema_for!(CellMessage)),
    ("rejected", || schema_for!(Rejected)),
    ("state", || schema_for!(State)),
    ("stats", || schema_for!(Stats)),
    ("birth", || schema_for!(Birth)),
    ("case", || schema_for!(CaseState)),
    ("dose", || schema_for!(CaseDose)),
    ("slide", || schema_for!(SlideState)),
    ("alarm", || schema_for!(AlarmMessage)),
    ("command", command_schema),
    ("result", || schema_for!(CommandResult)),
];

/// The topic already names the command, so a payload need not.
fn command_schema() -> Schema {
    let mut schema = schema_for!(CommandMessage);
    let variants = schema.get_mut("oneOf").and_then(|variants| variants.as_array_mut());
    for required in variants.into_iter().flatten().filter_map(|variant| variant.get_mut("required")?.as_array_mut()) {
        required.retain(|field| field != "name");
    }
    schema
}

/// Names of all messages.
pub fn schema_names() -> impl Iterator<Item = &'static str> {
    SCHEMAS.iter().map(|(name, _)| *name)
}

/// The JSON Schema (2020-12) of a message.
pub fn schema(name: &str) -> Option<Schema> {
    let (_, make) = SCHEMAS.iter().find(|(own, _)| *own == name)?;
    Some(make())
}
