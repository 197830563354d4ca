//! What MQTT and HTTP may ask of the daemon, and the channel on which they ask.

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
    /// The verdict over the cell.
    Verdict {
        /// The right verdict.
        verdict: domain::Verdict,
    },
    /// The counts of the dicentric assay, as a person scored them.
    Dicentric {
        /// The right record.
        record: domain::DicentricRecord,
    },
    /// The cell is right as it stands.
    Confirm,
}

/// A command to the daemon; over MQTT the last level of the topic is the tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
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
    /// Takes the next frame of a source through all stages, whatever triage thinks.
    Snapshot {
        /// Name of the source; may be left out when there is one.
        source: Option<String>,
    },
    /// What comes from now on belongs to this case, slide and colony.
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
        /// The scanner's event id, echoed in every answer.
        trigger: String,
        /// Where the stage stands.
        stage_um: Option<StagePosition>,
    },
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

/// Why a command was refused, in words.
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

/// What a command gave: a JSON object for the result message.
pub type Answer = Result<serde_json::Value, CommandError>;

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
    /// Why not, in words.
    pub error: Option<String>,
    /// What it gave.
    pub data: Option<serde_json::Value>,
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
    pub fn send(&self, command: Command, reply: impl FnOnce(Answer) + Send + 'static) {
        match self.0.try_send(Envelope { command, reply: Box::new(reply) }) {
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
        assert!(matches!(command, Command::Review { change: ReviewAction::Class { index: 3, .. }, .. }));
    }

    #[test]
    fn a_full_inbox_refuses_at_once() {
        let (outbox, _inbox) = command_channel(1);
        outbox.send(Command::Stop { source: None }, |_| {});
        let (tell, told) = bounded(1);
        outbox.send(Command::Stop { source: None }, move |answer| {
            let _ = tell.send(answer);
        });
        assert!(matches!(told.try_recv(), Ok(Err(CommandError::Unavailable(_)))));
    }
}
