//! `metaphased iscn check` as a person or a script calls it.

#![allow(clippy::unwrap_used)]

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

fn check(args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_metaphased"))
        .args(["iscn", "check"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn objects(output: &Output) -> Vec<serde_json::Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn valid_strings_end_with_exit_0_and_one_object_each() {
    let output = check(&["--json", "46,XX", "mos 45,X[5]/46,XX[15]", "//46,XX[20]"], "");
    assert_eq!(output.status.code(), Some(0));
    let told = objects(&output);
    assert_eq!(told.len(), 3);
    assert_eq!(told[1]["modal_count"], "45/46");
    assert_eq!(told[1]["sex_complement"], "X/XX");
    assert_eq!(told[1]["severity"], serde_json::Value::Null);
    assert_eq!(told[1]["reason"], serde_json::Value::Null);
}

#[test]
fn one_invalid_string_makes_exit_65_and_the_others_are_still_told() {
    let output = check(&["--json"], "46,XY,+21\n46,XX\n\n46,YX\n");
    assert_eq!(output.status.code(), Some(65));
    let told = objects(&output);
    assert_eq!(told.len(), 4, "an empty line is an empty karyotype");
    assert_eq!(told[0]["severity"], "fatal");
    assert_eq!(told[0]["modal_count"], "46");
    assert_eq!(told[1]["valid"], true);
    assert_eq!(told[2]["severity"], "fatal");
    assert_eq!(told[3]["severity"], "convention");
    assert!(output.stderr.is_empty());
}

#[test]
fn a_person_reads_the_reason_in_words() {
    let output = check(&["46,XY,+21"], "");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("count must be 47"), "{text}");
    assert!(text.contains("gain of 21"), "{text}");
}
