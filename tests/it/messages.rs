//! The messages as other programs see them: a change here is a change of the contract.
#![allow(clippy::unwrap_used, missing_docs)]

use domain::Verdict;
use metaphased::{
    mqtt::{CommandMessage, Rejected, schema, schema_names},
    station::{
        Birth, BrokerState, CommandError, CommandResult, Health, Level, RecordCommand, RejectReason, ReviewAction,
        SourceState,
    },
};
use testing::sample_cell;

fn health() -> Health {
    let health = Health::new(Birth { schema: "birth/1".into(), station: "lab-1".into(), ..Birth::default() });
    let ledger = health.add_source("scope", SourceState { kind: "simulator".into(), ..SourceState::default() });
    ledger.accept().stored();
    ledger.accept().rejected(RejectReason::OutOfFocus);
    health.add_stage("triage");
    health.broker(|broker| {
        *broker = BrokerState {
            level: Level::Degraded,
            connected: false,
            url: "mqtt://127.0.0.1:1883".into(),
            reason: "no connection (refused): start the broker or correct mqtt.url".into(),
            set_aside: 0,
        };
    });
    health
}

#[test]
fn a_cell_reads_as_documented() {
    let mut cell = sample_cell(1, Some("K-17"), Verdict::Abnormal);
    cell.chromosomes.truncate(1);
    insta::assert_json_snapshot!("cell", cell);
}

#[test]
fn a_rejection_reads_as_documented() {
    let rejected = Rejected {
        id: "0192b0d0-0000-7000-8000-000000000001".parse().unwrap(),
        file: Some("plate/007.tif".into()),
        ..Rejected::new(
            "lab-1",
            "scope",
            "2026-11-22T16:00:00Z".into(),
            RejectReason::Unreadable,
            "the file ends in the middle of a strip".into(),
        )
    };
    insta::assert_json_snapshot!("rejected", rejected);
}

#[test]
fn state_stats_and_birth_read_as_documented() {
    let health = health();
    let time = || "2026-11-22T16:00:00Z".to_owned();
    insta::assert_json_snapshot!("state", health.state(time()));
    insta::assert_json_snapshot!("stats", health.stats(time(), std::time::Duration::from_secs(10)));
    insta::assert_json_snapshot!("birth", health.birth());
}

#[test]
fn commands_and_results_read_as_documented() {
    let command = CommandMessage {
        id: Some("a1".into()),
        command: RecordCommand::Review {
            by: "kb".into(),
            cell: "0192b0d0-0000-7000-8000-000000000001".parse().unwrap(),
            revision: Some(1),
            change: ReviewAction::Class { index: 3, class: "21".parse().ok() },
        }
        .into(),
    };
    insta::assert_json_snapshot!("command", command);
    let refused = CommandError::NotFound("there is no source 'scope2'".into());
    insta::assert_json_snapshot!("result", CommandResult::new("start", Some("a1".into()), Err(refused)));
}

/// Every field of a message is in its schema, and every field that the schema asks for is in the message.
#[test]
fn schemas_say_what_messages_hold() {
    let health = health();
    let time = String::new;
    let rejected = Rejected::new("lab-1", "scope", time(), RejectReason::Empty, String::new());
    let messages = [
        ("cell", serde_json::to_value(sample_cell(1, None, Verdict::Normal)).unwrap()),
        ("rejected", serde_json::to_value(rejected).unwrap()),
        ("state", serde_json::to_value(health.state(time())).unwrap()),
        ("stats", serde_json::to_value(health.stats(time(), std::time::Duration::ZERO)).unwrap()),
        ("birth", serde_json::to_value(health.birth()).unwrap()),
        ("result", serde_json::to_value(CommandResult::new("start", None, Ok(serde_json::Value::Null))).unwrap()),
    ];
    for (name, message) in messages {
        let schema = schema(name).unwrap().to_value();
        let fields = message.as_object().unwrap();
        for field in fields.keys() {
            assert!(schema["properties"].get(field).is_some(), "{name} has no '{field}' in its schema");
        }
        for field in schema["required"].as_array().unwrap() {
            assert!(fields.contains_key(field.as_str().unwrap()), "{name} lacks {field}");
        }
    }
    let command = schema("command").unwrap().to_value();
    for variant in command["oneOf"].as_array().unwrap() {
        let asked: Vec<_> = variant["required"].as_array().into_iter().flatten().collect();
        assert!(!asked.iter().any(|field| **field == "name"), "the topic names the command: {variant}");
    }
    assert!(schema_names().count() >= 7);
}
