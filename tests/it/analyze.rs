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
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
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

#[test]
fn files_are_analysed_side_by_side_and_the_results_are_those_of_one_after_the_other() {
    let (drawn, folder) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    exposed_field(drawn.path());
    for n in 0..9 {
        let to = folder.path().join(format!("{n}.png"));
        match n {
            3 => std::fs::write(to, "no picture").expect("written"),
            _ => drop(std::fs::copy(drawn.path().join("cell00000.png"), to).expect("copied")),
        }
    }
    let one = lasting("1", folder.path());
    let files: Vec<&str> =
        one.iter().filter_map(|line| line["captured"]["file"].as_str().or(line["file"].as_str())).collect();
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
