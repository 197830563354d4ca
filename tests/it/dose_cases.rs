//! Doses of stored cases: the commands over a store, and what a person does to a case.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    path::Path,
    process::{Command, Output},
};

use domain::{AberrationCounts, Cell, Damage, DicentricRecord, ScoredBy, Verdict};
use dosimetry::{CellSurvival, Exposure, Gray, built_in};
use metaphased::store::{CellCommit, FrameCommit, Store, StoreOptions};
use rand::SeedableRng;
use serde_json::Value;
use testing::sample_cell;

fn run(store: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_metaphased"))
        .args(arguments)
        .env("METAPHASED__STORE__PATH", store)
        .env("METAPHASED__ASSAY", "dicentric")
        .output()
        .unwrap()
}

fn json(store: &Path, arguments: &[&str]) -> Value {
    let output = run(store, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Exit code and message of a run that failed.
fn fails(store: &Path, arguments: &[&str]) -> (i32, String) {
    let output = run(store, arguments);
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Cells of a person exposed to `dose`, with this way of scoring.
fn exposed(case: &str, dose: f64, cells: u64, scored_by: ScoredBy) -> Vec<Cell> {
    let curve = built_in("co60_barquinero1995").unwrap();
    let exposure = Exposure::new(&curve, Gray::new(dose).unwrap(), 1.0, CellSurvival::default()).unwrap();
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(dose.to_bits());
    (0..cells)
        .map(|n| {
            let mut cell = sample_cell((dose * 1e6) as u64 + n, Some(case), Verdict::NotAssessable);
            let record = DicentricRecord { scored_by, ..exposure.draw(&mut rng).record() };
            cell.dicentric = Some(record);
            cell
        })
        .collect()
}

fn put(store: &Store, cells: Vec<Cell>) {
    let commit = |cell| CellCommit { cell, crops: Vec::new(), thumbnail: None, image: None };
    let cells = cells.into_iter().map(commit).collect();
    store.commit(&[FrameCommit { cells, ..FrameCommit::default() }]).unwrap();
}

fn open(folder: &Path) -> Store {
    Store::open(folder, StoreOptions::default()).unwrap()
}

#[test]
fn a_stored_case_gives_the_dose_of_its_counted_cells() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut cells = exposed("K/7", 2.0, 400, ScoredBy::Review);
    // One is not complete: it must not be counted.
    let record = cells[0].dicentric.as_mut().unwrap();
    (record.complete, record.centromeres) = (false, 44);
    put(&store, cells);
    // Reading works beside a daemon that has the store.
    let found = json(folder.path(), &["dose", "estimate", "--case", "K/7", "--json"]);
    assert_eq!((found["id"].as_str(), found["input"]["cells"].as_u64()), (Some("K/7"), Some(399)));
    let limit = |name: &str| found["dose_gy"][name].as_f64().unwrap();
    assert!(limit("low") < 2.0 && 2.0 < limit("high"), "{found:#}");
    let out = folder.path().join("case.svg");
    let drawn = run(folder.path(), &["dose", "plot", "--case", "K/7", "--out", out.to_str().unwrap()]);
    assert!(drawn.status.success() && out.exists());
}

#[test]
fn a_case_without_a_dose_is_told_apart_from_no_case() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut cells = exposed("K/8", 1.0, 3, ScoredBy::Review);
    cells.iter_mut().for_each(|c| c.dicentric.as_mut().unwrap().first_division = Some(false));
    put(&store, cells);
    let (code, told) = fails(folder.path(), &["dose", "estimate", "--case", "K/8"]);
    assert!(code == 65 && told.contains("none of its 3 scored cells counts"), "{code} {told}");
    let (code, told) = fails(folder.path(), &["dose", "estimate", "--case", "nobody"]);
    assert!(code == 66 && told.contains("nobody"), "{code} {told}");
    let (code, told) = fails(&folder.path().join("nowhere"), &["dose", "estimate", "--case", "K/8"]);
    assert!(code == 66 && told.contains("no store"), "{code} {told}");
}

#[test]
fn cases_of_known_dose_make_the_curve_of_a_laboratory() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let doses = [0.0, 0.25, 0.5, 0.75, 1.0, 2.0, 3.0, 4.0];
    for dose in doses {
        put(&store, exposed(&format!("cal {dose}"), dose, if dose < 1.0 { 1500 } else { 400 }, ScoredBy::Review));
    }
    let points: Vec<String> = doses.iter().flat_map(|d| ["--case".to_owned(), format!("cal {d}={d}")]).collect();
    let file = folder.path().join("ours.toml");
    let mut arguments = vec!["dose", "fit", "--json", "--id", "ours", "--scoring", "manual", "--out"];
    arguments.push(file.to_str().unwrap());
    arguments.extend(points.iter().map(String::as_str));
    let found = json(folder.path(), &arguments);
    // The cells were drawn from this curve: the fit gives it back within four of its own errors.
    for (name, truth) in [("c", 0.0012803), ("alpha", 0.0210387), ("beta", 0.0630325)] {
        let i = ["c", "alpha", "beta"].iter().position(|n| *n == name).unwrap();
        let (value, error) = (found["curve"][name].as_f64().unwrap(), found["fit"]["errors"][i].as_f64().unwrap());
        assert!((value - truth).abs() < 4.0 * error.max(2e-4), "{name}: {value} for {truth}, error {error}");
    }
    assert_eq!(found["input"]["points"].as_array().unwrap().len(), doses.len());

    // The curve is the laboratory's own: a dose by it carries no warning of another's.
    let curve = file.to_str().unwrap();
    let dose = json(folder.path(), &["dose", "estimate", "--case", "cal 2", "--curve", curve, "--json"]);
    assert!(!dose["warnings"].to_string().contains("another laboratory"), "{dose}");
    assert!((dose["dose_gy"]["value"].as_f64().unwrap() - 2.0).abs() < 0.4, "{dose}");

    for (point, code, word) in [("cal 2", 64, "7=0.5"), ("cal 2=much", 64, "much"), ("nobody=1", 66, "nobody")] {
        let (found, told) = fails(folder.path(), &["dose", "fit", "--case", point]);
        assert!(found == code && told.contains(word), "{point}: {found} {told}");
    }
}

/// Cells that a machine counted, with this scorer.
fn by_machine(case: &str, dose: f64, cells: u64, strictness: f32) -> Vec<Cell> {
    let mut cells = exposed(case, dose, cells, ScoredBy::Machine);
    for cell in &mut cells {
        let record = cell.dicentric.as_mut().unwrap();
        record.scorer = Some(domain::ScorerUsed {
            scorer: "axis".into(),
            strictness,
            selection: "46 to 46 centromeres".into(),
            models: "anatomy: a@1".into(),
        });
    }
    cells
}

#[test]
fn a_dose_that_does_not_hold_for_its_scorer_says_so_wherever_it_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, by_machine("K/20", 2.0, 60, 0.9));
    drop(store);
    // Any command of a person makes the documents anew.
    assert_eq!(fails(folder.path(), &["case", "subject", "K/20", "--by", "kb", "--age", "41"]).0, 0);
    let shown = |arguments: &[&str]| String::from_utf8(run(folder.path(), arguments).stdout).unwrap();
    let why = "people's curve for a machine's counts";
    let list =
        shown(&["case", "list"]).split_whitespace().filter(|word| !word.contains('│')).collect::<Vec<_>>().join(" ");
    assert!(list.contains("does not hold"), "{list}");
    assert!(shown(&["case", "show", "K/20"]).contains(&format!("does not hold: {why}")));
    assert!(shown(&["report", "population", "--from", "2000-01-01", "--to", "2999-12-31"]).contains(why));
    let out = folder.path().join("export");
    assert_eq!(fails(folder.path(), &["case", "export", "K/20", "--out", out.to_str().unwrap()]).0, 0);
    let report = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(
        report.contains("This dose does not hold") && report.contains("Scorer of the cells"),
        "the report's headline"
    );
    let cells = std::fs::read_to_string(out.join("cells.csv")).unwrap();
    let mut lines = cells.lines();
    assert!(lines.next().unwrap().ends_with(",frame,unclear,counted"), "{cells}");
    assert!(lines.all(|line| line.ends_with(",0,yes")), "{cells}");

    // What a machine counted is not manual, whatever is said of it.
    for scoring in ["manual", "semi-automatic"] {
        let (code, told) = fails(folder.path(), &["dose", "estimate", "--case", "K/20", "--scoring", scoring]);
        assert!(code == 65 && told.contains("a machine alone counted 60 of its 60"), "{code} {told}");
        let fit = ["dose", "fit", "--case", "K/20=2", "--case", "K/20=1", "--case", "K/20=0", "--scoring", scoring];
        let (code, told) = fails(folder.path(), &fit);
        assert!(code == 64 && told.contains("K/20"), "{code} {told}");
    }
}

#[test]
fn points_that_were_not_counted_alike_make_no_curve() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, by_machine("M", 2.0, 60, 0.9));
    put(&store, by_machine("other", 1.0, 60, 0.7));
    put(&store, exposed("people", 0.0, 60, ScoredBy::Review));
    let mut partly = by_machine("partly", 3.0, 60, 0.9);
    partly[..7].iter_mut().for_each(|cell| cell.dicentric.as_mut().unwrap().scored_by = ScoredBy::Review);
    put(&store, partly);
    let quick = exposed("quick", 0.5, 60, ScoredBy::Review).into_iter().map(|mut cell| {
        cell.dicentric = cell.dicentric.map(|record| record.by_look(true));
        cell
    });
    put(&store, quick.collect());
    drop(store);
    let fit = |points: [&str; 2]| {
        let (code, told) = fails(folder.path(), &["dose", "fit", "--case", points[0], "--case", points[1]]);
        assert_eq!(code, 65, "{told}");
        told
    };
    let told = fit(["M=2", "other=1"]);
    assert!(
        told.contains("case M by 'axis, strictness 0.9") && told.contains("case other by 'axis, strictness 0.7"),
        "{told}"
    );
    assert!(fit(["M=2", "people=0"]).contains("case people by people"));
    let told = fit(["M=2", "partly=3"]);
    assert!(told.contains("case partly in 7 of its 60 cells by people"), "{told}");
    assert!(fit(["people=0", "quick=0.5"]).contains("some by QuickScan, case people by centromeres"));

    // Cells of QuickScan are refused a curve of full scoring.
    let (code, told) = fails(folder.path(), &["dose", "estimate", "--case", "quick"]);
    assert!(code == 65 && told.contains("full scoring") && told.contains("QuickScan"), "{code} {told}");
}

#[test]
fn a_curve_is_corrected_for_a_scorer_and_holds_for_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, by_machine("K/21", 2.0, 300, 0.9));
    put(&store, by_machine("K/22", 2.5, 300, 0.7));
    let mut quick = by_machine("K/23", 1.5, 300, 0.9);
    quick.iter_mut().for_each(|cell| cell.dicentric = cell.dicentric.take().map(|record| record.by_look(true)));
    put(&store, quick);
    let mut partly = by_machine("K/24", 2.2, 300, 0.9);
    partly[4].dicentric.as_mut().unwrap().scorer = None;
    put(&store, partly);
    drop(store);
    let file = folder.path().join("seen.toml");
    let curve = file.to_str().unwrap();
    let shares = ["--sensitivity", "660/670", "--counted", "1000/1000", "--false-calls", "1/1000"];
    let correct = [&["dose", "correct", "--case", "K/21", "--id", "seen", "--out", curve], &shares[..]].concat();
    assert_eq!(fails(folder.path(), &correct).0, 0);
    let found = json(folder.path(), &["dose", "estimate", "--case", "K/21", "--curve", curve, "--json"]);
    assert!((found["dose_gy"]["value"].as_f64().unwrap() - 2.0).abs() < 0.4, "{found}");
    assert!(found["warnings"].to_string().contains("660 of 670") && found["curve"]["scorer"].is_string(), "{found}");
    assert!(!found["warnings"].to_string().contains("machine's counts need"), "{found}");
    let (code, told) = fails(folder.path(), &["dose", "estimate", "--case", "K/22", "--curve", curve]);
    assert!(code == 65 && told.contains("strictness 0.7"), "{code} {told}");
    // The report of an evaluation gives the same figures, and names the scorer itself.
    let scorer = found["curve"]["scorer"].as_str().unwrap();
    let row = serde_json::json!({
        "strictness": 0.9, "scorer": scorer, "quickscan": false, "found": 700, "of": 670, "false_calls": 9, "cells": 1000,
        "counted_cells": 1000, "counted_found": 660, "counted_of": 665, "counted_false_calls": 1
    });
    let report = folder.path().join("measured.json");
    let report = report.to_str().unwrap();
    let write = |rows: Value| {
        std::fs::write(report, serde_json::json!({"task": "dicentric", "rows": rows}).to_string()).unwrap();
    };
    let again = folder.path().join("again.toml");
    let again = again.to_str().unwrap();
    write(serde_json::json!([{"cell": "a"}, row]));
    let correct = ["dose", "correct", "--measured", report, "--id", "seen", "--out", again];
    assert_eq!(fails(folder.path(), &correct).0, 0);
    assert_eq!(std::fs::read_to_string(again).unwrap(), std::fs::read_to_string(curve).unwrap());
    write(serde_json::json!([{"cell": "a"}]));
    let (code, told) = fails(folder.path(), &correct);
    assert!(code == 65 && told.contains("names no scorer"), "{code} {told}");
    // Cells of QuickScan are not refused the curve that was corrected for their scorer.
    let quick = ["dose", "correct", "--case", "K/23", "--id", "quick", "--out", again];
    assert_eq!(fails(folder.path(), &[&quick[..], &shares[..]].concat()).0, 0);
    let found = json(folder.path(), &["dose", "estimate", "--case", "K/23", "--curve", again, "--json"]);
    assert!(found["dose_gy"]["value"].is_number(), "{found}");
    // One cell whose scorer nobody knows is enough.
    let (code, told) = fails(folder.path(), &["dose", "estimate", "--case", "K/24", "--curve", curve]);
    assert!(code == 65 && told.contains("unnamed scorer (in 1 of the cells)"), "{code} {told}");
    let (code, told) = fails(
        folder.path(),
        &["dose", "correct", "--case", "K/24", shares[0], shares[1], shares[2], shares[3], shares[4], shares[5]],
    );
    assert!(code == 65 && told.contains("1 of the cells"), "{code} {told}");
    let (code, told) = fails(folder.path(), &["dose", "fit", "--case", "K/21=2", "--case", "K/24=2.2"]);
    assert!(code == 65 && told.contains("case K/24: 1 of its 300 cells"), "{code} {told}");
    for (shares, word) in [
        (["--sensitivity", "5/4", "--counted", "10/10", "--false-calls", "1/10"], "5/4"),
        (["--sensitivity", "4/5", "--counted", "11/10", "--false-calls", "1/10"], "11/10"),
        (["--sensitivity", "5", "--counted", "10/10", "--false-calls", "1/10"], "34/67"),
    ] {
        let (_, told) = fails(folder.path(), &[&["dose", "correct", "--scorer", "a"], &shares[..]].concat());
        assert!(told.contains(word), "{told}");
    }
}

#[test]
fn the_subject_data_of_a_case_change_its_dose() {
    let folder = tempfile::tempdir().unwrap();
    put(&open(folder.path()), exposed("K/9", 2.0, 500, ScoredBy::Review));
    let dose = |more: &[&str]| {
        let found = json(folder.path(), &[&["dose", "estimate", "--case", "K/9", "--json"], more].concat());
        found["dose_gy"]["value"].as_f64().unwrap()
    };
    let plain = dose(&[]);
    let set = |more: &[&str]| run(folder.path(), &[&["case", "subject", "K/9", "--by", "kb"], more].concat());
    assert!(set(&["--age", "41", "--exposed", "2025-10-03", "--sampled", "2026-10-03"]).status.success());
    let late = dose(&[]);
    assert!((late - dose(&["--months-since", "12"])).abs() < 0.01 && late > plain * 1.08, "{late} {plain}");
    // The age serves painted translocations of the same person.
    let painted = ["dose", "estimate", "--counts", "985,14,1", "--curve", "co60_rodriguez2004_fullgenome", "--json"];
    let share = ["--genome-factor", "0.585", "--subject", "K/9"];
    let found = json(folder.path(), &[&painted[..], &share].concat());
    let expected = found["input"]["background"].as_f64().unwrap();
    assert!((3.0..4.5).contains(&expected), "{expected} translocations at 41 years in 1000 cells");

    let earlier = ["--sampled", "2026-10-03", "--earlier-gy", "1", "--earlier-exposed", "2026-01-03"];
    assert!(set(&earlier).status.success());
    assert!(dose(&[]) < plain - 0.1);
    let backwards = set(&["--exposed", "2026-10-03", "--sampled", "2026-10-02"]);
    assert_eq!(backwards.status.code(), Some(64), "{}", String::from_utf8_lossy(&backwards.stderr));
    assert!(set(&["--remove"]).status.success());
    assert_eq!(dose(&[]), plain);

    // Each step is in the audit, with what the dose rests on.
    let shown = json(folder.path(), &["case", "show", "K/9", "--json"]);
    let reviews = shown["reviews"].as_array().unwrap();
    assert_eq!(reviews.len(), 3, "{reviews:#?}");
    assert_eq!((&reviews[0]["by"], &reviews[0]["curve"]), (&"kb".into(), &"co60_barquinero1995".into()));
    assert_eq!(reviews[2]["old"]["earlier_gy"], 1.0);
    assert_eq!(reviews[0]["settings"]["accepted_centromeres"], serde_json::json!([46, 46]));
    assert!(reviews[0]["settings"]["curve"]["covariance"].is_array());
    let dose: Value = shown["dose"].clone();
    assert!(!dose.to_string().contains("earlier"), "the document is what MQTT carries: {dose}");
}

/// A cell in which a machine called chromosomes 3 and 8 dicentrics.
fn called(case: &str) -> Cell {
    let mut cell = sample_cell(1, Some(case), Verdict::NotAssessable);
    for index in [3, 8] {
        cell.chromosomes[index].damage = Damage::Dicentric;
    }
    let counts = AberrationCounts { monocentrics: 42, dicentrics: 2, fragments: 2, ..AberrationCounts::default() };
    cell.dicentric = Some(counts.record([46, 46], None, ScoredBy::Machine));
    cell
}

#[test]
fn called_dicentrics_are_reviewed_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let cell = called("K/10");
    put(&open(folder.path()), vec![cell.clone()]);
    let waiting = || {
        let found = json(folder.path(), &["case", "review", "K/10", "--json"]);
        found["waiting"].as_array().unwrap().iter().map(|w| w["chromosome"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(waiting(), [3, 8]);
    let id = cell.cell.to_string();
    let review = |more: &[&str]| fails(folder.path(), &[&["case", "review", "K/10", "--cell", &id], more].concat());
    assert_eq!(review(&["--by", "kb", "--accept", "3"]).0, 0);
    assert_eq!(waiting(), [8]);
    assert_eq!(review(&["--by", "kb", "--reject", "8=two-chromosomes"]).0, 0);
    assert_eq!(waiting(), Vec::<u64>::new());
    let found = json(folder.path(), &["dose", "estimate", "--case", "K/10", "--json"]);
    assert_eq!(found["input"]["counts"], serde_json::json!([0, 1]), "one was no dicentric");
    let shown = json(folder.path(), &["case", "show", "K/10", "--json"]);
    let changes: Vec<&str> =
        shown["reviews"].as_array().unwrap().iter().map(|r| r["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["chromosome 3: accepted as dicentric", "chromosome 8: no dicentric, two chromosomes"]);

    for (more, code, word) in [
        (&["--by", "kb"][..], 64, "--accept"),
        (&["--accept", "3"], 64, "--by"),
        (&["--by", "kb", "--reject", "8=nothing"], 64, "two-chromosomes"),
        (&["--by", "kb", "--reject", "9=unclear"], 65, "not called"),
        (&["--by", "kb", "--scored", "dicentrics=many"], 64, "dicentrics"),
    ] {
        let (found, told) = review(more);
        assert!(found == code && told.contains(word), "{more:?}: {found} {told}");
    }
    let other = ["case", "review", "K/11", "--cell", &id, "--by", "kb", "--confirm"];
    assert_eq!(fails(folder.path(), &other).0, 66);
    assert_eq!(review(&["--by", "kb", "--scored", "monocentrics=46", "--first-division", "true"]).0, 0);
    let found = json(folder.path(), &["dose", "estimate", "--case", "K/10", "--json"]);
    assert_eq!(found["input"]["counts"], serde_json::json!([1]));
}

#[test]
fn an_export_holds_the_report_with_its_scoring_sheet_and_an_erased_case_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, exposed("K/12", 3.0, 60, ScoredBy::Review));
    put(&store, vec![called("K/12")]);
    drop(store);
    let by = ["--by", "ana", "--sampled", "2026-10-20", "--age", "53"];
    assert!(run(folder.path(), &[&["case", "subject", "K/12"], &by[..]].concat()).status.success());
    let out = folder.path().join("export");
    let told = run(folder.path(), &["case", "export", "K/12", "--out", out.to_str().unwrap()]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    let report = read("report.html");
    for part in ["Scoring sheet", "Gy</p>", "<svg", "co60_barquinero1995", "53 years", "Scored by", "ana", "Poisson"] {
        assert!(report.contains(part), "{part} is missing");
    }
    if let Some(kept) = std::env::var_os("METAPHASED_PICTURES") {
        std::fs::write(Path::new(&kept).join("report-dose.html"), &report).unwrap();
    }
    let sheet = read("scoring.csv");
    assert_eq!(sheet.lines().count(), 62);
    assert!(sheet.starts_with("no,cell,slide,place,time,centromeres,"), "{sheet}");
    assert!(sheet.lines().last().unwrap().contains(",46,42,2,0,,0,2,0,0,not known,yes,machine,"), "{sheet}");
    assert!(read("dose.svg").starts_with("<svg"));
    let case: Value = serde_json::from_str(&read("case.json")).unwrap();
    assert_eq!((&case["subject"]["age"], &case["dose"]["schema"]), (&53.0.into(), &"dose/1".into()));
    assert_eq!(read("reviews.jsonl").lines().count(), 1);

    assert_eq!(fails(folder.path(), &["case", "erase", "K/12", "--by", "ana"]).0, 0);
    assert_eq!(fails(folder.path(), &["case", "show", "K/12"]).0, 66);
    let left = std::fs::read(folder.path().join("metaphased.db")).unwrap();
    let holds = |text: &[u8]| left.windows(text.len()).any(|w| w == text);
    assert!(!holds(b"K/12") && !holds(b"2026-10-20"), "the database still knows of the case");
}
