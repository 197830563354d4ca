//! `metaphased simulate` as a person runs it.

use std::{path::Path, process::Command};

fn simulate(out: &Path, arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_metaphased"))
        .args(["simulate", "--out"])
        .arg(out)
        .args(["--size", "500x400", "--um-per-px", "0.15"])
        .args(arguments)
        .output()
        .expect("the binary runs")
}

fn truth(out: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(out.join("truth.jsonl")).expect("truth.jsonl is written");
    text.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
}

#[test]
fn a_slide_is_images_boxes_masks_and_truth_that_belong_together() {
    let dir = tempfile::tempdir().unwrap();
    let output = simulate(dir.path(), &["--cells", "2", "--karyotype", "47,XY,+21"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.is_empty());
    let lines = truth(dir.path());
    assert_eq!(lines.len(), 2);
    for line in &lines {
        let picture = image::open(dir.path().join(line["image"].as_str().unwrap())).unwrap();
        assert_eq!((picture.width(), picture.height()), (500, 400));
        let mask = image::open(dir.path().join(line["mask"].as_str().unwrap())).unwrap().into_luma16();
        let chromosomes = line["cells"][0]["chromosomes"].as_array().unwrap();
        let most = mask.pixels().map(|p| p[0]).filter(|v| *v != u16::MAX).max().unwrap();
        assert!(usize::from(most) <= 47 && usize::from(most) >= chromosomes.len() - 1);
        let xml =
            std::fs::read_to_string(dir.path().join(line["image"].as_str().unwrap().replace(".png", ".xml"))).unwrap();
        assert_eq!(xml.matches("<object>").count(), chromosomes.len());
        assert_eq!(xml.matches("<name>G21</name>").count(), 3);
        assert!(xml.contains("<name>X</name>") && xml.contains("<name>A1</name>"));
    }
}

#[test]
fn the_same_seed_writes_the_same_files() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&one, &two] {
        assert!(simulate(dir.path(), &["--cells", "1", "--seed", "9", "--stain", "dapi"]).status.success());
    }
    for file in ["cell00000.png", "masks/cell00000.png", "truth.jsonl"] {
        let read = |dir: &tempfile::TempDir| std::fs::read(dir.path().join(file)).unwrap();
        assert_eq!(read(&one), read(&two), "{file}");
    }
}

#[test]
fn a_dose_shows_as_dicentrics_with_their_fragments() {
    let dir = tempfile::tempdir().unwrap();
    let output = simulate(dir.path(), &["--cells", "6", "--assay", "dicentric", "--dose-gy", "5", "--bits", "12"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = truth(dir.path());
    let count = |flag: &str| -> usize {
        lines
            .iter()
            .flat_map(|l| l["cells"][0]["chromosomes"].as_array().unwrap())
            .filter(|c| c[flag] == serde_json::Value::Bool(true))
            .count()
    };
    assert!(count("dicentric") > 2, "five gray give 1.7 dicentrics a cell");
    assert!(count("fragment") >= count("dicentric"));
    let picture = image::open(dir.path().join("cell00000.tif")).unwrap().into_luma16();
    let most = picture.pixels().map(|p| p[0]).max().unwrap();
    assert!(most > 255 && most < 4096, "{most}");
}

#[test]
fn what_cannot_be_done_ends_with_its_exit_code_and_reason() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, code, word) in [
        (&["--karyotype", "46,XX,+21"][..], 65, "46"),
        (&["--karyotype", "nonsense"], 65, "nonsense"),
        (&["--dose-gy", "2"], 64, "--assay dicentric"),
        (&["--assay", "dicentric", "--dose-gy", "99"], 64, "20 Gy"),
        (&["--cells", "0"], 64, "--cells"),
    ] {
        let output = simulate(dir.path(), arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(word), "{arguments:?}: {text}");
    }
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert_eq!(simulate(&file, &["--cells", "1"]).status.code(), Some(73));
}

#[test]
fn a_cell_of_a_colour_camera_is_read_through_its_filter() {
    let dir = tempfile::tempdir().unwrap();
    assert!(simulate(dir.path(), &["--cells", "1", "--bits", "12", "--bayer", "grbg"]).status.success());
    assert_eq!(truth(dir.path())[0]["bayer"], "grbg");
    let found = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_metaphased"))
            .args(["--models", "nowhere", "analyze", "--no-triage"])
            .args(more)
            .arg(dir.path().join("cell00000.tif"))
            .output()
            .expect("the binary runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let cell: serde_json::Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
        cell["counts"]["detected"].as_u64()
    };
    let through = found(&["--bayer", "grbg"]).expect("a cell");
    assert!((35..=55).contains(&through), "{through} chromosomes by segmentation alone");
}
