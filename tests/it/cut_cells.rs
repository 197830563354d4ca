//! Cells that the edge of the frame cuts, through the shipped models (the set `cases`).

use std::process::Command;

use domain::{Cell, Doubt, Verdict};
use metaphased::case::{CaseSettings, CaseState};
use testing::{karyotyped_cell, shared_data, skipped};

/// The halves of normal cells that come with the set, as `analyze` reports them.
fn halves() -> Option<Vec<Cell>> {
    let folder = shared_data()?.join("cases");
    let files: Vec<_> = (1..=3).map(|n| folder.join(format!("15-cut-by-the-frame-{n}.png"))).collect();
    if !files.iter().all(|file| file.exists()) {
        return None;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_metaphased"))
        .args(["--engine", "cpu", "analyze", "--no-triage"])
        .args(&files)
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.lines().map(|line| serde_json::from_str(line).expect("a cell")).collect())
}

#[test]
fn half_a_cell_is_neither_abnormal_nor_a_part_of_its_case() {
    let Some(mut cells) = halves() else { return skipped("15-cut-by-the-frame-1..3.png") };
    assert_eq!(cells.len(), 3);
    for cell in &cells {
        let file = &cell.captured.file;
        assert_eq!(cell.karyotype.verdict, Verdict::NotAssessable, "{file:?}: {:?}", cell.karyotype);
        assert_eq!(cell.karyotype.iscn, None, "{file:?}");
        assert_eq!(cell.doubts, [Doubt::CutByFrame], "{file:?}: {:?}", cell.frame_edge);
        assert!(cell.karyotype.reason.starts_with("cut by the frame"), "{file:?}: {}", cell.karyotype.reason);
        assert!(cell.karyotype.findings.iter().all(|f| f.class.is_none()), "{file:?}: {:?}", cell.karyotype.findings);
        assert!(cell.frame_edge.is_some_and(|edge| edge.cut > 0 && edge.outline > 0.05), "{file:?}");
    }
    cells.push(karyotyped_cell(&[]));
    let state = CaseState::of("lab-1", "C1", &cells, &CaseSettings::default());
    assert_eq!(state.iscn.as_deref(), Some("46,XX"));
    assert_eq!((state.cells.normal, state.cells.abnormal, state.cells.cut_by_frame), (1, 0, 3));
    assert!(state.chance_findings.is_empty() && state.clones.len() == 1, "{state:?}");
}
