//! `metaphased status`: the health of the running daemon in words, and exit 69 when none runs.
#![allow(clippy::unwrap_used, missing_docs)]

use std::process::{Command, Output};

use crate::web_support::{PageServer, broker_is};

fn status(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_metaphased")).arg("status").args(arguments).output().unwrap()
}

#[test]
fn the_health_is_told_in_words_and_as_json() {
    let server = PageServer::start();
    broker_is(&server.health, false);
    let told = status(&["--url", &server.url()]);
    let text = String::from_utf8(told.stdout).unwrap();
    assert_eq!(told.status.code(), Some(0), "{text}");
    assert!(text.contains("DEGRADED") && text.contains("not reachable at mqtt://127.0.0.1:1883"), "{text}");

    let json = status(&["--json", "--url", &server.url()]);
    assert!(json.stderr.is_empty());
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&value["schema"], &value["state"]["level"]), (&"status/1".into(), &"degraded".into()));
}

#[test]
fn where_none_runs_the_exit_code_is_69() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let told = status(&["--url", &format!("http://127.0.0.1:{port}")]);
    assert_eq!(told.status.code(), Some(69));
    assert!(told.stdout.is_empty());
    assert!(String::from_utf8(told.stderr).unwrap().contains("no metaphased answers"));
}
