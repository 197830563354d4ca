//! `metaphased dose correct`.

use super::{bad_data, counts, curve, read, write};
use crate::{
    cli::{
        Exit, Failure, Global,
        output::{print, print_json},
    },
    curve_files::write_curve,
};
use clap::Args;
use dosimetry::{CurveUsed, Detection, ScorerNamed};
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  metaphased evaluate dicentric CELLS --json > measured.json
  metaphased dose correct --curve ours.toml --measured measured.json --out seen.toml
  metaphased dose correct --curve ours.toml --sensitivity 34/67 --counted 52/100 --false-calls 41/60 --case K-7 --out seen.toml
The figures are counted_found / of, counted_cells / cells and counted_false_calls / counted_cells of `metaphased evaluate dicentric`.")]
pub struct Correct {
    /// The curve of people's counts: a built-in name or a curve file.
    #[arg(long, value_name = "ID|FILE")]
    curve: Option<String>,
    /// Take figures and scorer from what `metaphased evaluate dicentric --json` wrote of cells in which the dicentrics are known.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sensitivity", "counted", "false_calls", "scorer", "case"])]
    measured: Option<PathBuf>,
    /// Dicentrics that the scorer called in cells that it counts, of all known ones.
    #[arg(long, value_name = "FOUND/OF", value_parser = share, required_unless_present = "measured")]
    sensitivity: Option<[u64; 2]>,
    /// Cells that it counts, of all cells in which those dicentrics were known.
    #[arg(long, value_name = "COUNTED/CELLS", value_parser = share, required_unless_present = "measured")]
    counted: Option<[u64; 2]>,
    /// Other pieces that it called dicentrics, in so many counted cells.
    #[arg(long, value_name = "CALLS/CELLS", value_parser = share, required_unless_present = "measured")]
    false_calls: Option<[u64; 2]>,
    /// The scorer's name as doses state it (`scorers`).
    #[arg(long, value_name = "NAME", required_unless_present_any = ["case", "measured"], conflicts_with = "case")]
    scorer: Option<String>,
    /// The scorer counts by QuickScan. Cases and measured cells say so themselves.
    #[arg(long, requires = "scorer")]
    quickscan: bool,
    /// Take the name of the scorer that counted this stored case.
    #[arg(long, value_name = "ID")]
    case: Option<String>,
    /// Name of the corrected curve.
    #[arg(long, value_name = "NAME", default_value = "corrected")]
    id: String,
    /// Write the curve to this file (TOML), for --curve.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// What `evaluate dicentric` says of the scorer in use.
#[derive(Debug, Deserialize)]
struct Measured {
    scorer: String,
    quickscan: bool,
    of: u64,
    cells: u64,
    counted_cells: u64,
    counted_found: u64,
    counted_false_calls: u64,
}

fn share(text: &str) -> Result<[u64; 2], String> {
    let wrong = || format!("invalid share '{text}': expected two counts, such as 34/67");
    let (part, whole) = text.split_once('/').ok_or_else(wrong)?;
    Ok([part.trim().parse().map_err(|_| wrong())?, whole.trim().parse().map_err(|_| wrong())?])
}

impl Correct {
    pub fn run(&self, global: &Global) -> Result<Exit, Failure> {
        let of_people = curve::load(self.curve.as_deref())?;
        let (detection, scorer) = match &self.measured {
            Some(path) => measured(path)?,
            None => (self.detection()?, self.scorer(global)?),
        };
        let corrected = of_people.seen_by(&detection, &self.id, scorer).map_err(bad_data)?;
        if let Some(path) = &self.out {
            write(path, write_curve(&corrected).as_bytes())?;
            eprintln!("wrote {}", path.display());
        }
        if self.json {
            print_json(&CurveUsed::from(&corrected))?;
        } else if self.out.is_none() {
            print(&write_curve(&corrected))?;
        }
        corrected.warnings().iter().for_each(|note| eprintln!("note: {note}"));
        Ok(Exit::Done)
    }

    fn detection(&self) -> Result<Detection, Failure> {
        let given = |counts: Option<[u64; 2]>| counts.unwrap_or_default();
        let [found, of] = given(self.sensitivity);
        Detection::new(found, of, given(self.counted), given(self.false_calls)).map_err(bad_data)
    }

    fn scorer(&self, global: &Global) -> Result<ScorerNamed, Failure> {
        let Some(id) = &self.case else {
            return Ok(ScorerNamed { name: self.scorer.clone().unwrap_or_default(), quickscan: self.quickscan });
        };
        let stored = counts::stored(global, id)?;
        match (&stored.counted_by.scorers[..], stored.counted_by.unnamed) {
            ([one], 0) => Ok(ScorerNamed { name: one.clone(), quickscan: stored.quickscan }),
            ([], 0) => {
                Err(Failure::bad_data(format!("case {id}: no machine counted its cells, so that it names no scorer")))
            }
            (_, 0) => {
                let several = stored.counted_by.scorers.len();
                Err(Failure::bad_data(format!("case {id}: {several} scorers counted its cells, expected one")))
            }
            (_, unnamed) => Err(Failure::bad_data(format!(
                "case {id}: {unnamed} of the cells that a machine counted do not name their scorer"
            ))),
        }
    }
}

/// Figures and scorer of a report of `evaluate dicentric`.
fn measured(path: &Path) -> Result<(Detection, ScorerNamed), Failure> {
    #[derive(Deserialize)]
    struct Report {
        task: String,
        rows: Vec<serde_json::Value>,
    }
    let wrong = |why: &str| {
        let path = path.display();
        Failure::bad_data(format!("{path}: {why}: expected what `metaphased evaluate dicentric --json` writes"))
    };
    let report: Report = serde_json::from_str(&read(path)?).map_err(|error| wrong(&error.to_string()))?;
    let row = report.rows.into_iter().find(|row| report.task == "dicentric" && row.get("scorer").is_some());
    let row = row.ok_or_else(|| wrong("it names no scorer of dicentrics"))?;
    let row: Measured = serde_json::from_value(row).map_err(|error| wrong(&error.to_string()))?;
    let counted = row.counted_cells;
    let false_calls = [row.counted_false_calls, counted];
    let detection = Detection::new(row.counted_found, row.of, [counted, row.cells], false_calls).map_err(bad_data)?;
    Ok((detection, ScorerNamed { name: row.scorer, quickscan: row.quickscan }))
}
