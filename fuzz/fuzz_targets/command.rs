//! Any text as a command: its name on the first line, its JSON behind it. A review is done to a cell.
#![no_main]

use domain::Verdict;
use karyotype::FittedSettings;
use libfuzzer_sys::fuzz_target;
use metaphased::{
    records::{ReviewContext, reviewed},
    station::{Command, RecordCommand},
};
use serde_json::{Map, Value};
use testing::sample_cell;

fuzz_target!(|text: &str| {
    let Some((name, payload)) = text.split_once('\n') else { return };
    let Ok(fields) = serde_json::from_str::<Map<String, Value>>(payload) else { return };
    let Ok(command) = Command::named(name, fields) else { return };
    if command.check().is_err() {
        return;
    }
    let written = serde_json::to_string(&command).expect("a command is written");
    if let Command::Record(RecordCommand::Review { by, change, .. }) = &command {
        let again: Command = serde_json::from_str(&written).expect("what was written is read");
        assert_eq!(again, command);
        let cell = sample_cell(1, Some("K-17"), Verdict::Normal);
        let context = ReviewContext {
            by,
            time: "2026-11-22T16:00:00Z",
            settings: &FittedSettings::default(),
            picture: &|| None,
            scores: &|_, _, _| None,
            earlier: &|_| None,
        };
        if let Ok(next) = reviewed(&cell, change, &context) {
            let next = next.cell;
            assert_eq!(next.revision, cell.revision + 1);
            let stored = serde_json::to_string(&next).expect("a cell is written");
            serde_json::from_str::<domain::Cell>(&stored).expect("a stored cell is read");
        }
    }
});
