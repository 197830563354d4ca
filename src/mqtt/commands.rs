//! Commands that come over MQTT, and their answers.

use serde_json::{Map, Value};
use tokio::sync::mpsc::UnboundedSender;

use super::{
    link::{MAX_PACKET, Publish, Received},
    topics::Topics,
};
use crate::config::check_name;
use crate::station::{Answer, Command, CommandError, CommandOutbox, CommandResult};

/// Takes commands and puts their results on `results`.
pub(super) struct Commands {
    pub topics: Topics,
    /// None: commands are off for this broker.
    pub outbox: Option<CommandOutbox>,
    pub results: UnboundedSender<Publish>,
}

impl Commands {
    /// Handles a message on `command/<name>`; the answer comes later, from another thread.
    pub(super) fn take(&self, received: Received) {
        let Some(name) = self.topics.below(&received.topic).and_then(|below| below.strip_prefix("command/")) else {
            return;
        };
        if received.retained {
            tracing::warn!(command = name, "a retained command is ignored: it would come again with every connection");
            return;
        }
        let parsed = match received.payload.len() {
            size if size > MAX_PACKET as usize => {
                Err((None, format!("invalid payload of {size} bytes: expected at most {MAX_PACKET}")))
            }
            _ => parse(name, &received.payload),
        };
        let id = match &parsed {
            Ok((id, _)) | Err((id, _)) => id.clone(),
        };
        let reply = {
            let (name, topics, results) = (name.to_owned(), self.topics.clone(), self.results.clone());
            move |answer: Answer| {
                for publish in answers(&name, id, answer, &topics, received.response_topic, received.correlation) {
                    // The session is gone only when the daemon stops.
                    let _ = results.send(publish);
                }
            }
        };
        match (parsed, &self.outbox) {
            (_, None) => reply(Err(CommandError::Refused(
                "commands are off: this broker asks for no credentials. Set mqtt.username and mqtt.password_file, or use \
                 the page"
                    .into(),
            ))),
            (Err((_, reason)), Some(_)) => reply(Err(CommandError::Refused(reason))),
            (Ok((_, command)), Some(outbox)) => outbox.send(command, reply),
        }
    }
}

/// What an id can be.
const ID: &str = "a number, or text of 1 to 200 characters without control characters";

type Parsed = Result<(Option<String>, Command), (Option<String>, String)>;

/// The payload is an object with the command's own values and, if wished, an `id` (text or number); empty is `{}`.
fn parse(name: &str, payload: &[u8]) -> Parsed {
    let payload = payload.trim_ascii();
    let object =
        if payload.is_empty() { Ok(Map::new()) } else { serde_json::from_slice::<Map<String, Value>>(payload) };
    let mut object = object.map_err(|error| (None, format!("invalid payload: expected a JSON object ({error})")))?;
    let id = match object.remove("id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => match check_name(&id) {
            Ok(()) => Some(id),
            Err(found) => return Err((None, format!("invalid id: {found}; expected {ID}"))),
        },
        Some(number @ Value::Number(_)) => Some(number.to_string()),
        Some(_) => return Err((None, format!("invalid id: expected {ID}"))),
    };
    match Command::named(name, object) {
        Ok(command) => Ok((id, command)),
        Err(error) => Err((id, format!("the command cannot be read: {error}"))),
    }
}

fn answers(
    name: &str,
    id: Option<String>,
    answer: Answer,
    topics: &Topics,
    response_topic: Option<String>,
    correlation: Option<Vec<u8>>,
) -> Vec<Publish> {
    let result = CommandResult::new(name, id, answer);
    let payload = serde_json::to_vec(&result).unwrap_or_default();
    // A wrong name must not make a topic of several levels or with wildcards.
    let own = topics.of(&format!("result/{}", super::encode_level(name)));
    let to = |topic: String| Publish {
        topic,
        payload: payload.clone(),
        acknowledged: true,
        retain: false,
        correlation: correlation.clone(),
    };
    let wanted = response_topic.filter(|topic| *topic != own && !topic.is_empty() && !topic.contains(['+', '#']));
    std::iter::once(own).chain(wanted).map(to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::station::{SourceCommand, command_channel};
    use tokio::sync::mpsc::unbounded_channel;

    fn received(name: &str, payload: &str) -> Received {
        Received {
            topic: format!("m/lab/command/{name}"),
            payload: payload.as_bytes().to_vec(),
            retained: false,
            response_topic: Some("me/answers".into()),
            correlation: Some(vec![1, 2]),
        }
    }

    #[test]
    fn a_command_is_answered_with_its_id_where_the_asker_wants_it() {
        let (outbox, inbox) = command_channel(4);
        let (results, mut sent) = unbounded_channel();
        let commands = Commands { topics: Topics::new("m", "lab"), outbox: Some(outbox), results };
        commands.take(received("case", r#"{"id": 7, "case": "K-17", "slide": null}"#));
        let envelope = inbox.try_recv().unwrap();
        assert_eq!(
            envelope.command,
            SourceCommand::Case { case: Some("K-17".into()), slide: None, colony: None }.into()
        );
        envelope.answer(Ok(serde_json::json!({"case": "K-17"})));
        let own = sent.try_recv().unwrap();
        let other = sent.try_recv().unwrap();
        assert_eq!((own.topic.as_str(), other.topic.as_str()), ("m/lab/result/case", "me/answers"));
        assert_eq!(other.correlation, Some(vec![1, 2]));
        let result: CommandResult = serde_json::from_slice(&own.payload).unwrap();
        assert!(result.ok && result.id.as_deref() == Some("7"), "{result:?}");
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_the_reason() {
        let (outbox, inbox) = command_channel(4);
        let (results, mut sent) = unbounded_channel();
        let commands = Commands { topics: Topics::new("m", "lab"), outbox: Some(outbox), results: results.clone() };
        for (name, payload, reason) in [
            ("start", "[1]", "expected a JSON object"),
            ("start", r#"{"id": "a", "sauce": "x"}"#, "unknown field"),
            ("fly", "", "unknown variant"),
            // By HTTP alone.
            ("close", r#"{"by": "kb", "case": "K-17"}"#, "unknown variant"),
            ("erase", r#"{"by": "kb", "case": "K-17"}"#, "unknown variant"),
            ("subject", r#"{"by": "kb", "case": "K-17", "subject": null}"#, "unknown variant"),
        ] {
            commands.take(received(name, payload));
            let result: CommandResult = serde_json::from_slice(&sent.try_recv().unwrap().payload).unwrap();
            assert!(!result.ok && result.error.clone().unwrap().contains(reason), "{result:?}");
            sent.try_recv().unwrap();
        }
        let off = Commands { topics: Topics::new("m", "lab"), outbox: None, results };
        off.take(received("start", ""));
        let result: CommandResult = serde_json::from_slice(&sent.try_recv().unwrap().payload).unwrap();
        assert!(result.error.unwrap().contains("commands are off"));
        commands.take(Received { retained: true, ..received("start", "") });
        assert!(inbox.try_recv().is_err(), "a retained command is never done");
    }
}
