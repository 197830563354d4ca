//! The commands that the daemon takes over MQTT and HTTP, and the channel on which they come.

use std::borrow::Cow;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::config::{MAX_NAME, check_name};
use domain::{ErrorKind, HasKind, StagePosition};

/// A correction of one cell by a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum ReviewAction {
    /// A chromosome belongs to another class (none: it is no single chromosome).
    Class {
        /// Index of the chromosome.
        index: u32,
        /// The right class.
        class: Option<domain::ChromosomeClass>,
    },
    /// The damage of a chromosome is another one; accepts or refuses a called dicentric.
    Damage {
        /// Index of the chromosome.
        index: u32,
        /// The right damage.
        damage: domain::Damage,
    },
    /// What was called a dicentric is none.
    RejectDicentric {
        /// Index of the chromosome.
        index: u32,
        /// What it is.
        seen: domain::Rejected,
    },
    /// What a piece is in the dicentric assay, as a person saw it.
    Piece {
        /// Index of the chromosome.
        index: u32,
        /// What it is.
        kind: domain::PieceKind,
    },
    /// The verdict over the cell.
    Verdict {
        /// The right verdict.
        verdict: domain::Verdict,
    },
    /// The counts of the dicentric assay, as a person scored them.
    Dicentric {
        /// The right record.
        record: Box<domain::DicentricRecord>,
    },
    /// The karyotype of the cell, written by a person. The verdict follows from it.
    Iscn {
        /// One cell line in ISCN form, without a fault that makes it unreadable or its count wrong.
        iscn: String,
    },
    /// The cell counts in no case, for a reason; none takes an exclusion back.
    Exclude {
        /// Why.
        reason: Option<String>,
    },
    /// The cell is right as it stands.
    Confirm,
    /// A note, which changes nothing else.
    Comment {
        /// What, in words.
        text: String,
    },
    /// How a chromosome lies among its neighbours; `crossing`: two lie on one another.
    Status {
        /// Index of the chromosome.
        index: u32,
        /// The right status.
        status: domain::Status,
    },
    /// A chromosome is turned in the karyogram.
    Turn {
        /// Index of the chromosome.
        index: u32,
        /// Degrees clockwise from how it lies in the frame, -180 to 180.
        angle: f32,
    },
    /// A chromosome is mirrored in the karyogram: left and right exchanged.
    Flip {
        /// Index of the chromosome.
        index: u32,
        /// Whether it is mirrored.
        flipped: bool,
    },
    /// What was taken for one chromosome is parted along a line, which goes on beyond its ends. Neither part keeps the class.
    Split {
        /// Index of the chromosome; the part left of the line keeps it.
        index: u32,
        /// Two or more places in pixels of the frame.
        line: Vec<domain::Point>,
    },
    /// Parts of one chromosome are joined: it takes the index and the class of the largest.
    Join {
        /// Indices of the parts.
        indices: Vec<u32>,
    },
    /// The outline of a chromosome is drawn again; without an index a chromosome is added.
    Outline {
        /// Index of the chromosome.
        index: Option<u32>,
        /// Closed lines of corners in pixels of the frame; the first goes around it, others are its holes.
        rings: Vec<Vec<domain::Point>>,
    },
    /// Chromosomes, karyotype and counts are again as they were at an earlier revision.
    Revert {
        /// Which.
        revision: u32,
    },
}

/// A command to the sources; over MQTT the last level of the topic is the tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum SourceCommand {
    /// Lets a source (all when none is named) run.
    Start {
        /// Name of the source.
        source: Option<String>,
    },
    /// Pauses a source (all when none is named).
    Stop {
        /// Name of the source.
        source: Option<String>,
    },
    /// Takes the next frame of a source through all stages, whatever its triage.
    Snapshot {
        /// Name of the source; may be left out when there is one.
        source: Option<String>,
    },
    /// The cells that follow belong to this case, slide and colony.
    Case {
        /// Case; none ends the case.
        case: Option<String>,
        /// Slide.
        slide: Option<String>,
        /// Colony of an in-situ culture.
        colony: Option<String>,
    },
    /// A scanner stands at a field: take it.
    Trigger {
        /// Name of the source; may be left out when there is one.
        source: Option<String>,
        /// The scanner's event id, echoed in every answer; one that was used before is not taken again.
        trigger: String,
        /// The scanner's own name of the field.
        #[serde(default)]
        field: Option<String>,
        /// Where the stage stands; `z` may be left out.
        stage_um: Option<StagePosition>,
    },
}

/// A command to the records: cells, cases and alarms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum RecordCommand {
    /// A person has seen the alarm.
    Acknowledge {
        /// Who.
        by: String,
        /// Case, when several are in alarm.
        case: Option<String>,
    },
    /// A person corrects a cell.
    Review {
        /// Who.
        by: String,
        /// Which cell.
        cell: Uuid,
        /// Revision the person saw; a newer one in the store refuses the review.
        revision: Option<u32>,
        /// What to change.
        change: ReviewAction,
    },
    /// Subject data of a case, for its dose; none removes them. By HTTP alone: they do not travel over a broker.
    #[serde(skip)]
    Subject {
        /// Who.
        by: String,
        /// Case.
        case: String,
        /// The data.
        subject: Option<dosimetry::Subject>,
    },
    /// A case is closed: no further cell is added to it. By HTTP alone.
    #[serde(skip)]
    Close {
        /// Who asks for it.
        by: String,
        /// Case.
        case: String,
    },
    /// A closed case takes cells again. By HTTP alone.
    #[serde(skip)]
    Reopen {
        /// Who asks for it.
        by: String,
        /// Case.
        case: String,
    },
    /// A case goes for good. By HTTP alone.
    #[serde(skip)]
    Erase {
        /// Who asks for it.
        by: String,
        /// Case.
        case: String,
    },
}

/// A command to the daemon.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Command {
    /// To the sources.
    Source(SourceCommand),
    /// To the records.
    Record(RecordCommand),
}

/// Names of the commands to the sources, on the wire.
const SOURCE_COMMANDS: &[&str] = &["start", "stop", "snapshot", "case", "trigger"];
/// Names of all commands, on the wire.
const COMMANDS: &[&str] = &["start", "stop", "snapshot", "case", "trigger", "acknowledge", "review"];

impl<'de> Deserialize<'de> for Command {
    /// The name decides which of the two it is: unlike an untagged enum this keeps the error of the one that is meant.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Map::<String, Value>::deserialize(deserializer)?;
        let name = fields.get("name").and_then(Value::as_str).ok_or_else(|| D::Error::missing_field("name"))?;
        let command = if SOURCE_COMMANDS.contains(&name) {
            SourceCommand::deserialize(Value::Object(fields)).map(Self::Source)
        } else if COMMANDS.contains(&name) {
            RecordCommand::deserialize(Value::Object(fields)).map(Self::Record)
        } else {
            return Err(D::Error::unknown_variant(name, COMMANDS));
        };
        command.map_err(D::Error::custom)
    }
}

impl Command {
    /// The command called `name` with its fields. A field `name` is none of them: it would do something else than was
    /// asked for, or nothing.
    ///
    /// # Errors
    /// In words, what cannot be read.
    pub fn named(name: &str, mut fields: Map<String, Value>) -> Result<Self, String> {
        if fields.insert("name".into(), name.into()).is_some() {
            return Err("unknown field `name`: the command is named by its topic or route".into());
        }
        serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
    }
}

impl Command {
    /// Refuses unusable names of persons, cases, slides, colonies and events.
    ///
    /// # Errors
    /// [`CommandError::Refused`] with the field.
    pub fn check(&self) -> Result<(), CommandError> {
        match self {
            Self::Source(command) => command.check(),
            Self::Record(command) => command.check(),
        }
    }
}

/// Refuses names that messages, topics and logs should not carry.
fn check_names<'a>(names: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Result<(), CommandError> {
    for (field, text) in names {
        if let Some(Err(found)) = text.map(check_name) {
            return Err(CommandError::Refused(format!(
                "invalid `{field}`: {found}; expected 1 to {MAX_NAME} characters without control characters"
            )));
        }
    }
    Ok(())
}

impl SourceCommand {
    /// Refuses unusable names of a case, slide, colony or event.
    ///
    /// # Errors
    /// [`CommandError::Refused`] with the field.
    pub fn check(&self) -> Result<(), CommandError> {
        match self {
            Self::Case { case, slide, colony } => {
                check_names([("case", case.as_deref()), ("slide", slide.as_deref()), ("colony", colony.as_deref())])
            }
            Self::Trigger { trigger, field, .. } => {
                check_names([("trigger", Some(&**trigger)), ("field", field.as_deref())])
            }
            Self::Start { .. } | Self::Stop { .. } | Self::Snapshot { .. } => Ok(()),
        }
    }
}

impl RecordCommand {
    /// Refuses an unusable name of the person.
    ///
    /// # Errors
    /// [`CommandError::Refused`] with the field.
    pub fn check(&self) -> Result<(), CommandError> {
        let (Self::Acknowledge { by, .. }
        | Self::Review { by, .. }
        | Self::Subject { by, .. }
        | Self::Close { by, .. }
        | Self::Reopen { by, .. }
        | Self::Erase { by, .. }) = self;
        check_names([("by", Some(&**by))])
    }
}

impl JsonSchema for Command {
    fn schema_name() -> Cow<'static, str> {
        "Command".into()
    }

    /// One list of all commands, as clients know them.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = SourceCommand::json_schema(generator);
        let mut records = RecordCommand::json_schema(generator);
        if let (Some(all), Some(further)) = (
            schema.get_mut("oneOf").and_then(Value::as_array_mut),
            records.get_mut("oneOf").and_then(Value::as_array_mut),
        ) {
            all.append(further);
        }
        schema.insert(
            "description".into(),
            "A command to the daemon; over MQTT the last level of the topic is the tag.".into(),
        );
        schema
    }
}

impl From<SourceCommand> for Command {
    fn from(command: SourceCommand) -> Self {
        Self::Source(command)
    }
}

impl From<RecordCommand> for Command {
    fn from(command: RecordCommand) -> Self {
        Self::Record(command)
    }
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// What it names does not exist.
    #[error("{0}")]
    NotFound(String),
    /// It cannot be done in this state or with these values.
    #[error("{0}")]
    Refused(String),
    /// The daemon does not take commands now (starting, stopping, or too many at once).
    #[error("the daemon takes no commands now: {0}")]
    Unavailable(String),
}

impl HasKind for CommandError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Refused(_) => ErrorKind::BadData,
            Self::Unavailable(_) => ErrorKind::Io,
        }
    }
}

/// The result of a command: a JSON object for the result message.
pub type Answer = Result<Value, CommandError>;

/// The `result/1` message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommandResult {
    /// `result/1`.
    pub schema: String,
    /// Name of the command.
    pub name: String,
    /// The command's own id, echoed.
    pub id: Option<String>,
    /// Whether it was done.
    pub ok: bool,
    /// Why not.
    pub error: Option<String>,
    /// What it gave.
    pub data: Option<Value>,
}

impl CommandResult {
    /// The message for an answer.
    pub fn new(name: &str, id: Option<String>, answer: Answer) -> Self {
        let (ok, error, data) = match answer {
            Ok(data) => (true, None, Some(data)),
            Err(error) => (false, Some(error.to_string()), None),
        };
        Self { schema: "result/1".into(), name: name.into(), id, ok, error, data }
    }
}

/// A command with the way back for its answer.
pub struct Envelope {
    /// What to do.
    pub command: Command,
    reply: Box<dyn FnOnce(Answer) + Send>,
}

impl Envelope {
    /// Answers the one who asked.
    pub fn answer(self, answer: Answer) {
        (self.reply)(answer);
    }

    /// The command and the way back, apart.
    pub fn split(self) -> (Command, Box<dyn FnOnce(Answer) + Send>) {
        (self.command, self.reply)
    }
}

/// Where commands are put; cloned into MQTT and HTTP.
#[derive(Clone)]
pub struct CommandOutbox(Sender<Envelope>);

/// Where the daemon takes them.
pub type CommandInbox = Receiver<Envelope>;

/// A bounded channel for commands: too many at once are refused, not queued without end.
pub fn command_channel(capacity: usize) -> (CommandOutbox, CommandInbox) {
    let (sender, receiver) = bounded(capacity);
    (CommandOutbox(sender), receiver)
}

impl CommandOutbox {
    /// Hands a command over; `reply` is called exactly once, from another thread, or at once with the refusal.
    pub fn send(&self, command: impl Into<Command>, reply: impl FnOnce(Answer) + Send + 'static) {
        match self.0.try_send(Envelope { command: command.into(), reply: Box::new(reply) }) {
            Ok(()) => {}
            Err(TrySendError::Full(envelope)) => {
                envelope.answer(Err(CommandError::Unavailable("too many commands wait; try again".into())));
            }
            Err(TrySendError::Disconnected(envelope)) => {
                envelope.answer(Err(CommandError::Unavailable("it is stopping".into())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_read_as_documented() {
        let command: Command =
            serde_json::from_str(r#"{"name":"review","by":"kb","cell":"0192b0d0-0000-7000-8000-000000000001","change":{"action":"class","index":3,"class":"21"}}"#)
                .expect("a documented form");
        let change = ReviewAction::Class { index: 3, class: "21".parse().ok() };
        let cell = "0192b0d0-0000-7000-8000-000000000001".parse().expect("an id");
        let review = RecordCommand::Review { by: "kb".into(), cell, revision: None, change };
        assert_eq!(command, Command::Record(review));
    }

    #[test]
    fn a_name_among_the_fields_does_not_turn_one_command_into_another() {
        let fields = |text: &str| serde_json::from_str::<Map<String, Value>>(text).expect("an object");
        let stop = SourceCommand::Stop { source: None };
        assert_eq!(Command::named("stop", fields("{}")), Ok(Command::Source(stop)));
        let error = Command::named("case", fields(r#"{"name": "stop"}"#)).expect_err("it is ambiguous");
        assert!(error.contains("unknown field `name`"), "{error}");
    }

    #[test]
    fn names_are_bounded() {
        let close = |by: String| RecordCommand::Close { by, case: "K".into() };
        assert_eq!(close("kb".into()).check(), Ok(()));
        for by in [String::new(), "a\0b".into(), "x".repeat(10_000)] {
            assert!(matches!(close(by).check(), Err(CommandError::Refused(why)) if why.contains("`by`")));
        }
        let trigger = SourceCommand::Trigger { source: None, trigger: "e\n1".into(), field: None, stage_um: None };
        assert!(matches!(trigger.check(), Err(CommandError::Refused(why)) if why.contains("`trigger`")));
    }

    #[test]
    fn every_name_is_read_by_the_enum_that_has_it() {
        for name in COMMANDS {
            let error = serde_json::from_value::<Command>(serde_json::json!({ "name": name, "sauce": 1 }))
                .expect_err("no command has this field");
            assert!(
                error.to_string().contains("sauce") || error.to_string().contains("missing field"),
                "{name}: {error}"
            );
        }
        let fly = serde_json::from_str::<Command>(r#"{"name":"fly"}"#).expect_err("no such command");
        assert!(fly.to_string().contains("unknown variant `fly`"), "{fly}");
    }

    #[test]
    fn a_full_inbox_refuses_at_once() {
        let (outbox, _inbox) = command_channel(1);
        outbox.send(SourceCommand::Stop { source: None }, |_| {});
        let (reply, answer) = bounded(1);
        outbox.send(SourceCommand::Stop { source: None }, move |given| {
            let _ = reply.send(given);
        });
        assert!(matches!(answer.try_recv(), Ok(Err(CommandError::Unavailable(_)))));
    }
}
