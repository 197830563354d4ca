//! `metaphased analyze` as a person calls it.

use std::{
    path::Path,
    process::{Command, Output},
};

fn metaphased(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_metaphased")).args(arguments).output().expect("it runs")
}

/// A field of the virtual slide in which every cell has taken a dose, with its true number of dicentrics.
fn exposed_field(folder: &Path) -> usize {
    let out = folder.to_str().expect("a path");
    let dose = ["--assay", "dicentric", "--dose-gy", "5", "--cells", "1", "--seed", "3"];
    let drawn =
        metaphased(&[&["simulate", "--out", out, "--size", "700x560", "--um-per-px", "0.12"][..], &dose].concat());
    assert!(drawn.status.success(), "{}", String::from_utf8_lossy(&drawn.stderr));
    let truth = std::fs::read_to_string(folder.join("truth.jsonl")).expect("truth");
    let line: serde_json::Value = serde_json::from_str(truth.lines().next().expect("a line")).expect("JSON");
    let chromosomes = line["cells"][0]["chromosomes"].as_array().expect("a list").clone();
    chromosomes.iter().filter(|c| c["dicentric"] == true).count()
}

/// The messages about the field, with segmentation alone.
fn messages(before: &[&str], folder: &Path, after: &[&str]) -> Vec<serde_json::Value> {
    let picture = folder.join("cell00000.png");
    let picture = picture.to_str().expect("a path");
    let output = metaphased(&[before, &["--models", "nowhere", "analyze", "--no-triage", picture], after].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_cell_of_the_dicentric_assay_is_unclear_until_somebody_scores_it() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(exposed_field(folder.path()) > 0, "the field shows dicentrics");
    let cells = messages(&[], folder.path(), &["--assay", "dicentric"]);
    assert_eq!(cells.len(), 1);
    let (cell, record) = (&cells[0], &cells[0]["dicentric"]);
    let detected = cell["counts"]["detected"].as_u64().expect("a count");
    assert!(detected > 20, "{detected} chromosomes");
    // A picture without truth: no cell without dicentrics, but one that nobody has scored.
    assert_eq!((&record["monocentrics"], &record["unclear"]), (&0.into(), &detected.into()), "{record}");
    assert!(record["not_scored"].is_string(), "{record}");
    assert_eq!((&record["scored_by"], &record["complete"]), (&"machine".into(), &false.into()), "{record}");
    assert_eq!(cell["karyotype"]["verdict"], "not_assessable");
    assert!(cell["chromosomes"].as_array().expect("a list").iter().all(|c| c["class"].is_null()));
}

#[test]
fn the_assay_is_the_configured_one_unless_the_command_names_another() {
    let folder = tempfile::tempdir().expect("a folder");
    exposed_field(folder.path());
    let file = folder.path().join("station.toml");
    std::fs::write(&file, "assay = \"dicentric\"\n").expect("written");
    let config = ["--config", file.to_str().expect("a path")];
    assert!(messages(&config, folder.path(), &[])[0]["dicentric"].is_object());
    assert!(messages(&config, folder.path(), &["--assay", "karyotype"])[0]["dicentric"].is_null());
    assert!(messages(&[], folder.path(), &[])[0]["dicentric"].is_null());
}

/// The lines that do not differ between two runs: without ids, times and durations.
fn lasting(workers: &str, folder: &Path) -> Vec<serde_json::Value> {
    let picture = folder.to_str().expect("a path");
    let output = Command::new(env!("CARGO_BIN_EXE_metaphased"))
        .env("METAPHASED__INFERENCE__WORKERS", workers)
        .env("METAPHASED__INFERENCE__THREADS", "4")
        .args(["--engine", "cpu", "--models", "nowhere", "analyze", "--no-triage", picture])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(65), "a file that cannot be read: {output:?}");
    bare(&String::from_utf8_lossy(&output.stdout))
}

/// What of the lines does not differ between two runs.
fn bare(text: &str) -> Vec<serde_json::Value> {
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let bare = lines.map(|mut line| {
        for key in ["cell", "id", "time", "timing_ms"] {
            line.as_object_mut().expect("an object").remove(key);
        }
        if let Some(captured) = line.get_mut("captured").and_then(|captured| captured.as_object_mut()) {
            captured.remove("time");
        }
        line
    });
    bare.collect()
}

/// The name of the picture that a message is about.
fn file_of(line: &serde_json::Value) -> &str {
    line["captured"]["file"].as_str().or(line["file"].as_str()).expect("a file")
}

/// Nine files, of which one is no picture.
fn archive(folder: &Path) {
    let drawn = tempfile::tempdir().expect("a folder");
    exposed_field(drawn.path());
    for n in 0..9 {
        let to = folder.join(format!("{n}.png"));
        match n {
            3 => std::fs::write(to, "no picture").expect("written"),
            _ => drop(std::fs::copy(drawn.path().join("cell00000.png"), to).expect("copied")),
        }
    }
}

/// The messages in the files of a folder whose names begin with `cells`, by picture. Frames are numbered within a share.
fn gathered(folder: &Path) -> Vec<serde_json::Value> {
    let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files = files.filter(|file| file.extension().is_some_and(|kind| kind == "jsonl"));
    let texts = files.map(|file| std::fs::read_to_string(file).expect("text"));
    let mut lines: Vec<_> = texts.flat_map(|text| bare(&text)).collect();
    for line in &mut lines {
        if let Some(captured) = line.get_mut("captured").and_then(|captured| captured.as_object_mut()) {
            captured.remove("frame");
        }
    }
    lines.sort_by(|a, b| file_of(a).cmp(file_of(b)));
    lines
}

#[test]
fn shares_of_the_files_together_are_the_whole_and_a_share_that_was_ended_goes_on() {
    let (pictures, whole, shares) = (tempfile::tempdir(), tempfile::tempdir(), tempfile::tempdir());
    let [pictures, whole, shares] = [pictures, whole, shares].map(|folder| folder.expect("a folder"));
    archive(pictures.path());
    let analyze = |out: &Path, more: &[&str]| {
        let paths = [pictures.path(), out].map(|path| path.to_str().expect("a path"));
        let common = ["--models", "nowhere", "analyze", "--no-triage", paths[0], "--out", paths[1]];
        metaphased(&[&common[..], more].concat())
    };
    assert_eq!(analyze(whole.path(), &[]).status.code(), Some(65), "one is no picture");
    let all = gathered(whole.path());
    assert_eq!(all.len(), 9);
    let codes = |more: &[&str]| -> Vec<Option<i32>> {
        let share = |index| analyze(shares.path(), &[&["--shard", &format!("{index}/3")], more].concat());
        (0..3).map(|index| share(index).status.code()).collect()
    };
    let ended = codes(&[]);
    assert_eq!(ended.iter().filter(|code| **code == Some(65)).count(), 1, "one share has what is no picture");
    assert_eq!(gathered(shares.path()), all);

    // One share was ended in the middle of a line, one before it began.
    let results = |index| shares.path().join(format!("cells-{index}-of-3.jsonl"));
    let before = std::fs::read_to_string(results(1)).expect("results");
    let first = before.lines().next().expect("a line").to_owned();
    let cut = before.lines().take(2).map(str::len).sum::<usize>() + 10;
    std::fs::write(results(1), &before[..cut.min(before.len() - 1)]).expect("cut");
    std::fs::remove_file(results(2)).expect("removed");
    assert_eq!(codes(&["--resume"]), ended);
    assert_eq!(gathered(shares.path()), all);
    let after = std::fs::read_to_string(results(1)).expect("results");
    assert!(after.starts_with(&first), "what was done is not done again");

    for (more, code, words) in [
        (&["--shard", "3/3"][..], 64, "expected I/N with I from 0 to N - 1"),
        (&["--shard", "0/0"], 64, "expected I/N"),
        (&["--resume", "--format", "csv"], 64, "--format jsonl"),
        (&["--shard", "1/3", "--resume"], 65, "is none of the files of this run"),
    ] {
        std::fs::write(results(1), first.replace(".png", ".tif") + "\n").expect("of another run");
        let refused = analyze(shares.path(), more);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!((refused.status.code(), said.contains(words)), (Some(code), true), "{more:?}: {said}");
    }
}

#[test]
fn results_of_other_models_or_settings_are_not_gone_on_with() {
    let (pictures, out) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    archive(pictures.path());
    let analyze = |before: &[&str], more: &[&str]| {
        let paths = [pictures.path(), out.path()].map(|path| path.to_str().expect("a path"));
        let run = ["analyze", "--no-triage", paths[0], "--out", paths[1]];
        let output = metaphased(&[before, &run, more].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let nothing = ["--models", "nowhere"];
    let (results, run) = (out.path().join("cells.jsonl"), out.path().join("cells.jsonl.run.json"));
    assert_eq!(analyze(&nothing, &["--case", "K-17"]).0, Some(65), "one is no picture");
    let text = || std::fs::read_to_string(&results).expect("results");
    let before = text();
    let refused = |(code, said): (Option<i32>, String), words: &[&str]| {
        assert_eq!((code, words.iter().find(|words| !said.contains(**words))), (Some(65), None), "{said}");
        assert_eq!(text(), before, "they stay as they are");
    };
    let invalid = "invalid --resume: expected results of the same models and settings";
    refused(analyze(&nothing, &["--resume"]), &[invalid, "cells.jsonl.run.json", "case (\"K-17\" there, none now)"]);
    let file = pictures.path().join("finer.toml");
    std::fs::write(&file, "[triage]\nfocus = 0.9\n").expect("written");
    let finer = ["--models", "nowhere", "--config", file.to_str().expect("a path")];
    refused(analyze(&finer, &["--resume", "--case", "K-17"]), &[invalid, "triage.focus ("]);
    let networks = ["--models", "models", "--engine", "cpu"];
    let detector = "models.detector (none there, \"detector-metaphase@";
    refused(analyze(&networks, &["--resume", "--case", "K-17"]), &[invalid, detector]);
    // Results of a version that kept nothing beside them speak for themselves.
    let kept = std::fs::read(&run).expect("what they rest on");
    std::fs::remove_file(&run).expect("removed");
    refused(analyze(&networks, &["--resume", "--case", "K-17"]), &[invalid, "cells.jsonl, line 1", detector]);
    assert_eq!(analyze(&nothing, &["--resume", "--case", "K-17"]).0, Some(65), "what is no picture is tried again");
    assert_eq!(std::fs::read(&run).expect("what they rest on"), kept);

    assert_eq!(analyze(&nothing, &["--shard", "0/2"]).0.map(|code| code == 0 || code == 65), Some(true));
    let (code, said) = analyze(&nothing, &["--shard", "1/2", "--stain", "q-band"]);
    assert_eq!(code, Some(65), "{said}");
    let words =
        ["invalid --shard: expected shares of the same models", "cells-0-of-2.jsonl", "stain (\"g-band\" there"];
    assert!(words.iter().all(|words| said.contains(words)), "{said}");
}

#[test]
fn files_are_analysed_side_by_side_and_the_results_are_those_of_one_after_the_other() {
    let folder = tempfile::tempdir().expect("a folder");
    archive(folder.path());
    let one = lasting("1", folder.path());
    let files: Vec<&str> = one.iter().map(file_of).collect();
    assert_eq!(files, (0..9).map(|n| format!("{n}.png")).collect::<Vec<_>>());
    let numbers: Vec<u64> = one.iter().filter_map(|line| line["captured"]["frame"].as_u64()).collect();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>(), "the file that cannot be read has no number");
    assert_eq!(lasting("3", folder.path()), one);
}

#[test]
fn the_shipped_networks_read_the_slide_as_it_was_drawn() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().to_str().expect("a path");
    let drawn = metaphased(&["simulate", "--out", out, "--karyotype", "47,XX,+21", "--cells", "2"]);
    assert!(drawn.status.success(), "{}", String::from_utf8_lossy(&drawn.stderr));
    let [one, two] = ["cell00000.png", "cell00001.png"].map(|name| format!("{out}/{name}"));
    let output = metaphased(&["--models", "models", "--engine", "cpu", "analyze", &one, &two, "--format", "jsonl"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let cells: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(cells.len(), 2);
    for cell in cells {
        assert_eq!(cell["karyotype"]["iscn"], "47,XX,+21", "{}", cell["karyotype"]);
    }
}
