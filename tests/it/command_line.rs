//! What every command has in common: options, exit codes, manual pages, completions.

use std::{
    path::Path,
    process::{Command, Output},
};

fn metaphased(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_metaphased")).args(arguments).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A slide of one small picture.
fn slide(folder: &Path) {
    let small = ["--cells", "1", "--size", "500x400", "--um-per-px", "0.15"];
    let drawn = metaphased(&[&["simulate", "--out", path(folder)][..], &small].concat());
    assert!(drawn.status.success(), "{}", text(&drawn.stderr));
}

#[test]
fn a_shell_learns_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = metaphased(&["completions", shell]);
        assert!(script.status.success());
        let script = text(&script.stdout);
        for word in ["check-config", "karyogram"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
        // The other two complete no values.
        let values = ["bash", "zsh", "fish"].contains(&shell);
        assert_eq!(script.contains("onnxruntime"), values, "{shell}");
    }
    assert_eq!(metaphased(&["completions", "cmd"]).status.code(), Some(64));
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(metaphased(&["man", "--out", path(folder.path())]).status.success());
    for name in ["metaphased", "metaphased-analyze", "metaphased-case-list", "metaphased-dose-fit", "metaphased-man"] {
        let page = std::fs::read_to_string(folder.path().join(format!("{name}.1"))).expect(name);
        assert!(page.contains(".TH") && page.contains("NAME"), "{name}");
    }
    let page = metaphased(&["man"]);
    assert!(page.status.success() && text(&page.stdout).contains("check\\-config"));
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("written");
    assert_eq!(metaphased(&["man", "--out", path(&file.join("below"))]).status.code(), Some(73));
}

#[test]
fn options_of_every_command_stand_under_a_heading_of_their_own() {
    for command in ["analyze", "status", "doctor", "schema"] {
        let help = text(&metaphased(&[command, "--help"]).stdout);
        let (own, global) = help.split_once("Global options:").expect("a heading");
        assert!(global.contains("--config") && global.contains("--engine") && global.contains("--models"), "{help}");
        assert!(!own.contains("--models <"), "{help}");
    }
}

#[test]
fn an_engine_that_does_not_exist_is_wrong_usage() {
    let wrong = metaphased(&["--engine", "gpu", "doctor"]);
    assert_eq!(wrong.status.code(), Some(64));
    let words = text(&wrong.stderr);
    assert!(words.contains("gpu") && words.contains("onnxruntime") && words.contains("tensorrt"), "{words}");
}

#[test]
fn a_folder_without_images_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("notes.txt"), "none").expect("written");
    let output = metaphased(&["analyze", path(folder.path())]);
    assert_eq!(output.status.code(), Some(66));
    let words = text(&output.stderr);
    assert!(words.contains("no image in") && words.contains(path(folder.path())), "{words}");
    assert!(output.stdout.is_empty());
    // A share of an array job may well be empty.
    slide(&folder.path().join("slide"));
    let shards = (0..4).map(|i| {
        let slide = folder.path().join("slide");
        metaphased(&["--models", "nowhere", "analyze", path(&slide), "--shard", &format!("{i}/4")]).status.code()
    });
    assert!(shards.into_iter().all(|code| code == Some(0)));
}

#[test]
fn a_slide_is_not_overwritten_silently() {
    let folder = tempfile::tempdir().expect("a folder");
    slide(folder.path());
    let truth = || std::fs::read(folder.path().join("truth.jsonl")).expect("truth");
    let first = truth();
    let other = ["simulate", "--cells", "1", "--size", "500x400", "--seed", "5", "--out", path(folder.path())];
    let refused = metaphased(&other);
    assert_eq!(refused.status.code(), Some(73), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("--overwrite"));
    assert_eq!(truth(), first);
    assert!(metaphased(&[&other[..], &["--overwrite"]].concat()).status.success());
    assert_ne!(truth(), first);
}

/// What a command writes to a terminal, through `script` of util-linux.
fn on_a_terminal(command: &str) -> Option<String> {
    let output = Command::new("script").args(["-qec", command, "/dev/null"]).output().ok()?;
    Some(text(&output.stdout))
}

#[test]
fn results_on_a_terminal_are_a_table_and_messages_in_a_pipe() {
    let folder = tempfile::tempdir().expect("a folder");
    slide(folder.path());
    let program = env!("CARGO_BIN_EXE_metaphased");
    let command = format!("{program} --models nowhere analyze --no-triage {} 2>/dev/null", path(folder.path()));
    let Some(shown) = on_a_terminal(&command) else {
        eprintln!("SKIPPED: no `script` to give a terminal");
        return;
    };
    assert!(shown.contains("verdict") && !shown.contains("\"schema\""), "{shown}");
    let narrow = on_a_terminal(&format!("stty cols 70; {command}")).expect("a terminal");
    assert!(narrow.lines().all(|line| line.trim_end().chars().count() <= 70), "{narrow}");
    let asked = on_a_terminal(&command.replace("analyze", "analyze --format jsonl")).expect("a terminal");
    assert!(asked.contains("\"schema\""), "{asked}");
    let piped = metaphased(&["--models", "nowhere", "analyze", "--no-triage", path(folder.path())]);
    assert!(text(&piped.stdout).starts_with('{'));
}

#[test]
fn doctor_speaks_of_the_station() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("station.toml");
    let store = folder.path().join("store");
    let written = format!("[store]\npath = \"{}\"\n[web]\nlisten = \"off\"\n", path(&store));
    std::fs::write(&file, written).expect("written");
    let said = text(&metaphased(&["--config", path(&file), "doctor"]).stdout);
    for words in ["Station", "page: off", "store: none yet", path(&store), "disk: "] {
        assert!(said.contains(words), "{words} is missing in\n{said}");
    }
}
