//! `metaphased dose` from the outside: options in, figures, files and exit codes out.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn dose(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_metaphased")).arg("dose").args(args).output().unwrap()
}

/// The JSON object on stdout of a run that succeeded.
fn json(args: &[&str]) -> Value {
    let output = dose(args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {error}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("NaN"), "{text}");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
}

/// Exit code and message of a run that failed; stdout must hold nothing.
fn fails(args: &[&str]) -> (i32, String) {
    let output = dose(args);
    assert!(output.stdout.is_empty(), "{args:?}");
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn near(value: &Value, expected: f64) {
    let found = value.as_f64().unwrap_or_else(|| panic!("no number: {value}"));
    assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

const BARQUINERO: &str = "dose,c0,c1,c2,c3,c4,c5
0,4992,8,0,0,0,0
0.1,4988,14,0,0,0,0
0.25,1987,20,1,0,0,0
0.5,1947,55,0,0,0,0
0.75,1736,92,4,0,0,0
1,1064,99,5,0,0,0
1.5,474,76,12,0,0,0
2,251,63,17,2,0,0
3,104,72,15,2,0,0
4,35,41,21,4,2,0
5,11,19,11,9,6,3
";

#[test]
fn twenty_five_in_five_hundred_by_merkle() {
    let args = "estimate --cells 500 --dicentrics 25 --curve co60_barquinero1995 --method merkle --level 0.83 --json";
    let found = json(&args.split(' ').collect::<Vec<_>>());
    near(&found["dose_gy"]["low"], 0.5562455049);
    near(&found["dose_gy"]["value"], 0.727975669);
    near(&found["dose_gy"]["high"], 0.9159199621);
    near(&found["yield"]["low"], 0.0369437697);
    near(&found["dose_gy"]["level"], 0.83);
    assert_eq!(found["dose_gy"]["method"], "merkle");
    assert_eq!(found["partial_body"], Value::Null);
    assert_eq!(found["dispersion"]["u"], Value::Null);
    assert_eq!(found["input"]["cells"], 500);
    assert_eq!(found["curve"]["id"], "co60_barquinero1995");
    for key in ["schema", "limits", "warnings"] {
        assert!(!found[key].is_null(), "{key}");
    }
    assert!(found["limits"]["decision"].is_u64() && found["limits"]["detection"].is_f64());
    assert!(found["warnings"].to_string().contains("another laboratory"));
}

#[test]
fn one_level_may_differ_from_the_other() {
    let with = |extra: &str| {
        let args = format!("estimate --cells 500 --dicentrics 25 --method merkle {extra} --json");
        json(&args.split_whitespace().collect::<Vec<_>>())["dose_gy"].clone()
    };
    let (both, usual, mixed) = (with("--level 0.95"), with(""), with("--level 0.95 --level-curve 0.83"));
    near(&both["high"], 0.9849445437);
    near(&usual["high"], 0.9159199621);
    let high = |v: &Value| v["high"].as_f64().unwrap();
    assert!(high(&usual) < high(&mixed) && high(&mixed) < high(&both));
}

#[test]
fn overdispersed_counts_bring_a_partial_body_estimate() {
    let found = json(&["estimate", "--counts", "302,28,22,8,1,0", "--method", "delta", "--json"]);
    near(&found["dispersion"]["u"], 10.354_211_665_5);
    let part = &found["partial_body"];
    assert!((part["dose_gy"]["value"].as_f64().unwrap() - 4.138).abs() < 1e-3, "{part}");
    assert!((part["dose_gy"]["low"].as_f64().unwrap() - 3.493).abs() < 1e-3, "{part}");
    let f = part["fraction"]["value"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&f));
}

#[test]
fn nothing_seen_is_no_dose_with_an_upper_limit() {
    for method in ["likelihood", "merkle"] {
        let found = json(&["estimate", "--cells", "50", "--dicentrics", "0", "--method", method, "--json"]);
        assert_eq!(found["dose_gy"]["value"], 0.0);
        assert!(found["dose_gy"]["high"].as_f64().unwrap() > 0.3, "{found}");
    }
    let delta = json(&["estimate", "--cells", "50", "--dicentrics", "0", "--method", "delta", "--json"]);
    assert_eq!(delta["dose_gy"]["high"], Value::Null);
    assert!(delta["warnings"].to_string().contains("delta"));
}

#[test]
fn protraction_and_time_since_the_exposure_raise_the_dose() {
    let base = ["estimate", "--cells", "500", "--dicentrics", "25", "--method", "merkle", "--json"];
    let with = |extra: &[&str]| json(&[&base[..], extra].concat());
    near(&with(&["--irradiation-hours", "24"])["dose_gy"]["high"], 2.0705742924);
    let late = with(&["--months-since", "12"]);
    near(&late["dose_gy_uncorrected"], 0.727975669);
    assert!(late["dose_gy"]["value"].as_f64().unwrap() > 0.8);
}

#[test]
fn what_is_wrong_is_told_by_exit_codes() {
    for (args, code, word) in [
        (vec!["estimate"], 64, "--counts"),
        (vec!["estimate", "--cells", "500"], 64, "--dicentrics"),
        (vec!["estimate", "--counts", "475,many"], 64, "many"),
        (vec!["estimate", "--counts", "475,24", "--level", "95"], 64, "0.95"),
        (vec!["estimate", "--counts", "475,24", "--irradiation-hours", "-2"], 64, "hours"),
        (vec!["estimate", "--counts", "475,24", "--cells", "3"], 64, "cells"),
        (vec!["estimate", "--cells", "500", "--dicentrics", "-3"], 65, "-3"),
        (vec!["estimate", "--counts", "475,-24"], 65, "-24"),
        (vec!["estimate", "--cells", "0", "--dicentrics", "0"], 65, "no cells"),
        (vec!["estimate", "--cells", "5", "--dicentrics", "4000"], 65, "4000"),
        (vec!["estimate", "--counts", "475,24", "--curve", "xray_29kv_alpha"], 65, "it lacks"),
        (vec!["estimate", "--counts", "475,24", "--curve", "mn_mayakannan2018"], 65, "micronuclei"),
        (vec!["estimate", "--counts", "475,24", "--curve", "co60_barquinero1996"], 66, "co60_barquinero1995"),
        (vec!["estimate", "--counts", "475,24", "--curve", "no/such.toml"], 66, "no/such.toml"),
        (vec!["estimate", "--csv", "no-such.csv"], 66, "no-such.csv"),
        (vec!["fit", "--csv", "no-such.csv"], 66, "no-such.csv"),
        (vec!["limits", "--cells", "50", "--alpha", "2"], 64, "alpha"),
        (vec!["plot", "--counts", "475,24", "--out", "x.gif"], 64, ".svg"),
    ] {
        let (found, message) = fails(&args);
        assert_eq!(found, code, "{args:?}: {message}");
        assert!(message.contains(word), "{args:?}: {message}");
    }
}

#[test]
fn a_fit_gives_a_curve_file_that_gives_the_dose() {
    let folder = tempfile::tempdir().unwrap();
    let csv = file(folder.path(), "points.csv", BARQUINERO);
    let out = folder.path().join("ours.toml");
    let out = out.to_str().unwrap();
    let fit = json(&["fit", "--csv", &csv, "--id", "ours", "--scoring", "manual", "--out", out, "--json"]);
    assert!((fit["curve"]["beta"].as_f64().unwrap() - 0.063_032_557).abs() < 1e-8);
    assert!((fit["fit"]["covariance"][1][2].as_f64().unwrap() + 1.510_487_66e-5).abs() < 1e-10);
    assert_eq!(fit["input"]["points"].as_array().unwrap().len(), 11);
    let own = json(&["estimate", "--cells", "500", "--dicentrics", "25", "--curve", out, "--json"]);
    assert!((own["dose_gy"]["value"].as_f64().unwrap() - 0.727_975_669).abs() < 1e-4);
    assert!(!own["warnings"].to_string().contains("another laboratory"), "{own}");
    let refused = fails(&["estimate", "--counts", "475,24", "--curve", out, "--scoring", "automatic"]);
    assert_eq!(refused.0, 65, "{}", refused.1);
}

#[test]
fn bad_tables_are_refused_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    for (text, code, word) in [
        ("dose,cells,dicentrics\n0,1000,1\n1,500,-4\n2,300,90\n", 65, "line 3"),
        ("dose,cells,dicentrics\n0,1000,1\nx,500,4\n2,300,90\n", 65, "line 3"),
        ("dose,cells\n0,1000\n", 65, "columns"),
        ("cells,dicentrics\n1000,1\n", 65, "dose"),
        ("dose,cells,dicentrics\n", 65, "no rows"),
        ("dose,cells,dicentrics\n1,1000,10\n1,1000,12\n1,500,4\n", 65, "different doses"),
    ] {
        let csv = file(folder.path(), "bad.csv", text);
        let (found, message) = fails(&["fit", "--csv", &csv]);
        assert_eq!(found, code, "{text}: {message}");
        assert!(message.contains(word), "{text}: {message}");
    }
    let singular = "schema = \"curve/1\"\nid = \"x\"\nc = 0.001\nalpha = 0.02\nbeta = 0.06\n[covariance]\n\
        c_c = 1e-7\nc_alpha = 1e-4\nalpha_alpha = 1e-5\n";
    let curve = file(folder.path(), "x.toml", singular);
    let (code, message) = fails(&["estimate", "--counts", "475,24", "--curve", &curve]);
    assert_eq!(code, 65);
    assert!(message.contains("semidefinite"), "{message}");
}

#[test]
fn tables_of_samples_and_of_cells_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let samples = file(folder.path(), "samples.csv", "id;cells;dicentrics\nA;500;25\nB;50;0\n");
    let output = dose(&["estimate", "--csv", &samples, "--json"]);
    let lines: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!((lines[0]["id"].as_str(), lines[1]["id"].as_str()), (Some("A"), Some("B")));
    let cells = file(folder.path(), "cells.csv", "dicentrics\n0\n0\n1\n0\n2\n");
    assert_eq!(json(&["estimate", "--csv", &cells, "--json"])["input"]["counts"], serde_json::json!([3, 1, 1]));
}

#[test]
fn limits_of_published_sizes() {
    let args = "limits --cells 20,50,100,200,500,1000 --control-cells 1000 --control-dicentrics 4 --json";
    let found = json(&args.split(' ').collect::<Vec<_>>());
    let thresholds: Vec<u64> =
        found["rows"].as_array().unwrap().iter().map(|r| r["decision"].as_u64().unwrap()).collect();
    assert_eq!(thresholds, [1, 1, 2, 3, 7, 12]);
    let args = "limits --cells 1000 --dicentrics 13 --control-cells 1000 --control-dicentrics 1 --json";
    let found = json(&args.split(' ').collect::<Vec<_>>());
    assert!((found["comparison"]["p_value"].as_f64().unwrap() - 0.001_831_055).abs() < 1e-9);
    assert!(found["limits"]["detection"].is_f64());
}

#[test]
fn further_estimates_come_when_asked() {
    let two = json(&["estimate", "--counts", "160,55,19,17,9,4", "--two-doses", "--json"]);
    assert!((two["two_doses"]["parts"][0]["dose_gy"]["value"].as_f64().unwrap() - 5.662_633).abs() < 1e-3);
    let odds = json(&["estimate", "--cells", "500", "--dicentrics", "2", "--odds", "0,0.5", "--json"]);
    near(&odds["odds"]["ln_ratio"], 7.0003940902);
    let args = "estimate --cells 62 --dicentrics 109 --neutron-curve neutron_biodosetools \
                --gamma-neutron-ratio 1.78 --json";
    let mixed = json(&args.split_whitespace().collect::<Vec<_>>());
    assert!((mixed["mixed_field"]["total_gy"]["high"].as_f64().unwrap() - 5.191).abs() < 1e-3);
    let args = "estimate --counts 302,28,22,8,1,0 --curve co60_rodriguez2004_fullgenome --genome-factor 0.585 \
                --method merkle --compatibility biodosetools-3.7 --json";
    let painted = json(&args.split_whitespace().collect::<Vec<_>>());
    assert!((painted["dose_gy"]["high"].as_f64().unwrap() - 3.306).abs() < 1e-3);
}

#[test]
fn drawings_are_written_in_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    let csv = file(folder.path(), "points.csv", BARQUINERO);
    for (name, magic) in [("a.svg", &b"<svg"[..]), ("a.png", &b"\x89PNG"[..])] {
        let out = folder.path().join(name);
        let output = dose(&[
            "plot",
            "--counts",
            "475,24,1",
            "--points",
            &csv,
            "--out",
            out.to_str().unwrap(),
            "--title",
            "Case 7",
        ]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(std::fs::read(&out).unwrap().starts_with(magic));
    }
    let (code, _) = fails(&["plot", "--counts", "475,24,1", "--out", "/no/such/folder/a.svg"]);
    assert_eq!(code, 73);
}

/// Tables as laboratories have them (the set `cases`): read as meant, or refused with the column.
#[test]
fn no_table_of_counts_gives_a_dose_from_other_counts() {
    let folder = tempfile::tempdir().unwrap();
    let estimate = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Command::new(env!("CARGO_BIN_EXE_metaphased"))
            .args(["dose", "estimate", "--curve", "co60_barquinero1995", "--json", "--csv"])
            .arg(&path)
            .output()
            .unwrap()
    };
    for (name, text, reason) in [
        ("thousands.csv", "id;cells;dicentrics\nA;1.000;3\nB;5.000;2\n", "1000 or 1;"),
        ("pooled.csv", "ID,C0,C1,C2,C3+\nexample,300,30,20,10\n", "'C3+' pools"),
        ("hole.csv", "id,C0,C1,C2,C4\nA,5000,10,0,0\n", "'c3' is missing"),
        ("unknown.csv", "id,cells,dicentrics,discarded\nA,500,3,17\n", "'discarded'"),
    ] {
        let output = estimate(name, text);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(65), "{name}: {stderr}");
        assert!(stderr.contains(reason), "{name}: {stderr}");
    }
    let output = estimate("contradiction.csv", "ID,N,X,C0,C1,C2,C3\nexample,500,45,430,40,1,0\n");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let warnings: Vec<&str> = found["warnings"].as_array().unwrap().iter().filter_map(|w| w.as_str()).collect();
    assert!(warnings.iter().any(|w| w.contains("'N' says 500") && w.contains("471")), "{warnings:?}");
    assert_eq!(found["input"]["cells"], 471);
}

#[test]
fn laboratories_are_compared_by_their_robust_mean_or_a_reference() {
    let folder = tempfile::tempdir().unwrap();
    // The doses that biodosetools publishes with its scores (tests/testthat/test-interlab.R), algorithm A.
    let doses =
        "laboratory,sample,dose,reference\nA1,2,3.1461,3.41\nA2,2,3.0187,3.41\nA1,3,4.2594,4.54\nA2,3,3.9892,4.54\n";
    let found = json(&["interlab", &file(folder.path(), "doses.csv", doses), "--json"]);
    let scores: Vec<f64> = found["samples"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|sample| sample["laboratories"].as_array().unwrap().iter().map(|l| l["z"].as_f64().unwrap()))
        .collect();
    for (found, published) in scores.iter().zip([-2.5857, -3.8334, -1.2959, -2.5437]) {
        assert!((found / published - 1.0).abs() < 1.5e-3, "{found} {published}");
    }
    assert_eq!(found["samples"][0]["laboratories"][1]["signal"], "action");
    assert_eq!(
        (&found["schema"], found["samples"][0]["from_reference"].as_bool()),
        (&"dose-interlab/1".into(), Some(true))
    );

    let yields = file(folder.path(), "yields.csv", "lab;yield\nA1;0,700\nA2;0,555\n");
    let found = json(&["interlab", &yields, "--json"]);
    assert!((found["samples"][0]["laboratories"][0]["z"].as_f64().unwrap() - 0.4675).abs() < 5e-4, "{found}");
    assert!(found["samples"][0]["warnings"].to_string().contains("fewer than 12"), "{found}");

    for (name, text, more, code, word) in [
        ("one.csv", "laboratory,dose\nA1,2\n", &[][..], 65, "two or more"),
        ("same.csv", "laboratory,dose\nA1,2\nA2,2\nA3,2\nA4,3\n", &[], 65, "more than half"),
        ("twice.csv", "laboratory,dose\nA1,2\nA1,3\n", &[], 65, "'A1' is there twice"),
        ("columns.csv", "laboratory,gray\nA1,2\n", &[], 65, "laboratory, dose or yield"),
        ("several.csv", doses, &["--reference", "2"], 64, "2 samples"),
    ] {
        let (found, told) = fails(&[&["interlab", &file(folder.path(), name, text)], more].concat());
        assert!(found == code && told.contains(word), "{name}: {found} {told}");
    }
    assert_eq!(fails(&["interlab", "/no/such/file.csv"]).0, 66);
}

#[test]
fn delays_fade_by_a_half_life_or_as_in_patients_and_overdispersed_limits_are_asked_for_by_name() {
    let of = |more: &[&str]| json(&[&["estimate", "--counts", "475,24,1", "--json"], more].concat());
    let left = |months: &str, law: &str| {
        let found = of(&["--months-since", months, "--fading", law]);
        found["input"]["remaining"].as_f64().unwrap()
    };
    assert_eq!((left("4", "by-delay"), left("36", "half-life")), (1.0, 0.5));
    assert!((left("16.599684", "by-delay") - 0.57).abs() < 1e-6, "20 weeks and a year");
    let both = ["estimate", "--counts", "475,24,1", "--fading", "by-delay", "--half-life-months", "24"];
    let (code, told) = fails(&both);
    assert!(code == 64 && told.contains("invalid --half-life-months '24'"), "{code} {told}");
    let wide = ["--method", "merkle", "--overdispersed-limits"];
    let over = |more: &[&str]| {
        let found = json(&[&["estimate", "--counts", "478,19,3", "--json", "--method", "merkle"], more].concat());
        (found["dose_gy"]["high"].as_f64().unwrap(), found["warnings"].to_string())
    };
    let (usual, widened) = (over(&[]), over(&wide[2..]));
    assert!(widened.0 > 1.15 * usual.0 && widened.1.contains("just below u = 1.96"), "{usual:?} {widened:?}");
    assert_eq!(fails(&["estimate", "--counts", "478,19,3", "--overdispersed-limits"]).0, 64);
    let (code, told) = fails(&["estimate", "--counts", "475,24,1", "--quickscan"]);
    assert!(code == 65 && told.contains("full scoring"), "{code} {told}");
}
