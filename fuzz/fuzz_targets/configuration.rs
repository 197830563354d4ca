//! Any text as a configuration file, and, behind a zero byte, as lines `NAME=value` of the environment.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metaphased::config::{ENVIRONMENT_PREFIX, examine, load, print};

mod scratch;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (text, environment) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let environment = String::from_utf8_lossy(environment);
    let variables = environment.lines().filter_map(|line| line.split_once('='));
    let variables = variables.map(|(name, value)| (format!("{ENVIRONMENT_PREFIX}{name}"), value.to_owned()));
    let Ok(found) = examine(Some(&scratch::file("metaphased.toml", text)), variables, &[]) else { return };
    for mistake in &found.mistakes {
        assert!(!mistake.to_string().is_empty());
    }
    let Some(loaded) = found.loaded else { return };
    let printed = print(&loaded);
    if !found.mistakes.is_empty() {
        return;
    }
    // What is printed says what holds.
    match load(Some(&scratch::file("printed.toml", printed.as_bytes())), [], &[]) {
        Ok(again) => assert_eq!(printed_without_origins(&print(&again)), printed_without_origins(&printed)),
        Err(error) => panic!("{error}\n{printed}"),
    }
});

/// Comments begin behind the values, at a fixed place or later.
fn printed_without_origins(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.rfind(" # ").map_or(line, |end| line[..end].trim_end())).collect()
}
