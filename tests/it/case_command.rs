//! `metaphased case` as a person uses it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    path::Path,
    process::{Command, Output},
};

use domain::Verdict;
use metaphased::store::{CellCommit, Crop, FrameCommit, ReviewRecord, Store, StoreOptions};
use testing::sample_cell;

fn case(store: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_metaphased"))
        .arg("case")
        .args(arguments)
        .env("METAPHASED__STORE__PATH", store)
        .output()
        .unwrap()
}

fn filled(folder: &Path) -> Store {
    let store = Store::open(folder, StoreOptions::default()).unwrap();
    let cell = sample_cell(1, Some("K/17"), Verdict::Abnormal);
    let crops = vec![Crop { chromosome: 0, png: b"png".to_vec() }];
    let mut png = Vec::new();
    let picture = image::GrayImage::from_fn(9, 6, |x, y| image::Luma([(x * 20 + y) as u8]));
    picture.write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
    let kept = store.images().keep("kept", "png", jiff::Timestamp::UNIX_EPOCH, &png).unwrap();
    let commit = CellCommit { cell: cell.clone(), crops, thumbnail: None, image: Some(kept) };
    store.commit(&[FrameCommit { cells: vec![commit], ..FrameCommit::default() }]).unwrap();
    let review = ReviewRecord {
        by: "kb".into(),
        change: "confirmed".into(),
        cell: Some(cell.cell),
        case: Some("K/17".into()),
        ..ReviewRecord::default()
    };
    store.review(&review, None, &FrameCommit::default()).unwrap();
    store
}

#[test]
fn a_case_is_listed_shown_and_exported_while_the_daemon_runs() {
    let folder = tempfile::tempdir().unwrap();
    let _daemon = filled(folder.path());
    let listed = case(folder.path(), &["list", "--json"]);
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!((&listed["cases"][0]["case"], &listed["cases"][0]["cells"]), (&"K/17".into(), &1.into()));

    let table = String::from_utf8(case(folder.path(), &["list"]).stdout).unwrap();
    assert!(table.contains("result") && table.contains("K/17"), "{table}");

    let shown = String::from_utf8(case(folder.path(), &["show", "K/17"]).stdout).unwrap();
    for word in ["K/17", "abnormal", "46,XX", "kb", "confirmed", "Research use only"] {
        assert!(shown.contains(word), "{word} is missing in\n{shown}");
    }
    let shown = case(folder.path(), &["show", "K/17", "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["cells"][0]["schema"], "cell/1");

    let out = folder.path().join("export");
    let exported = case(folder.path(), &["export", "K/17", "--out", out.to_str().unwrap()]);
    assert!(exported.status.success() && exported.stdout.is_empty());
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    assert!(read("case.json").contains("\"case\":\"K/17\""));
    assert_eq!((read("cells.jsonl").lines().count(), read("reviews.jsonl").lines().count()), (1, 1));
    assert!(read("cells.csv").lines().nth(1).unwrap().contains(",abnormal,\"46,XX\","), "{}", read("cells.csv"));
    let cell = sample_cell(1, None, Verdict::Normal).cell;
    // One number for a cell in every file, with the index in cells.csv.
    assert_eq!(read("chromosomes/0001/00.png"), "png");
    assert!(out.join("karyograms/0001.svg").is_file());
    let index = read("cells.csv");
    let index = index.lines().nth(1).unwrap();
    assert!(index.starts_with(&format!("0001,{cell},")) && index.contains(",frames/0001.ome.tif,"), "{index}");
    let frame = metaphased::camera::files::read_image(&out.join("frames/0001.ome.tif")).unwrap();
    assert_eq!((frame.pixels.width(), frame.pixels.height()), (9, 6));

    assert_eq!(case(folder.path(), &["show", "nobody"]).status.code(), Some(66));
    // Another process has the store and has left no address.
    let busy = case(folder.path(), &["erase", "K/17", "--by", "kb"]);
    assert_eq!(busy.status.code(), Some(75), "{}", String::from_utf8_lossy(&busy.stderr));
}

#[test]
fn an_erased_case_is_gone_from_the_list() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path()));
    let erased = case(folder.path(), &["erase", "K/17", "--by", "kb"]);
    assert!(erased.status.success(), "{}", String::from_utf8_lossy(&erased.stderr));
    let listed = String::from_utf8(case(folder.path(), &["list", "--json"]).stdout).unwrap();
    assert_eq!(listed.trim(), r#"{"cases":[]}"#);
    assert_eq!(case(folder.path(), &["erase", "K/17", "--by", "kb"]).status.code(), Some(66));
    let nowhere = folder.path().join("nowhere");
    assert_eq!(case(&nowhere, &["erase", "K/17", "--by", "kb"]).status.code(), Some(66));
    assert!(!nowhere.exists(), "no store is made on the way");
}

#[test]
fn a_closed_case_says_so_and_can_be_reopened() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path()));
    let closed = case(folder.path(), &["close", "K/17", "--by", "kb"]);
    assert!(closed.status.success(), "{}", String::from_utf8_lossy(&closed.stderr));
    let shown = |id| String::from_utf8(case(folder.path(), &["show", id]).stdout).unwrap();
    assert!(shown("K/17").contains(", closed 2") && shown("K/17").contains("case closed"), "{}", shown("K/17"));

    assert!(case(folder.path(), &["reopen", "K/17", "--by", "kb"]).status.success());
    assert!(shown("K/17").contains(", open,") && shown("K/17").contains("case reopened"), "{}", shown("K/17"));
    assert_eq!(case(folder.path(), &["close", "nobody", "--by", "kb"]).status.code(), Some(66));
    assert_eq!(case(folder.path(), &["close", "K/17", "--by", " "]).status.code(), Some(65));
}
