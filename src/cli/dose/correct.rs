//! `metaphased dose correct`.

use super::{bad_data, counts, curve, write};
use crate::{
    cli::{
        Exit, Failure, Global,
        output::{print, print_json},
    },
    curve_files::write_curve,
};
use clap::Args;
use dosimetry::{CurveUsed, Detection};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  metaphased dose correct --curve ours.toml --sensitivity 34/67 --false-calls 41/60 --case K-7 --out seen.toml
The figures are those of `metaphased evaluate dicentric` at the strictness in use: found / of, false_calls / cells.")]
pub struct Correct {
    /// The curve of people's counts: a built-in name or a curve file.
    #[arg(long, value_name = "ID|FILE")]
    curve: Option<String>,
    /// Dicentrics that the scorer found, of so many known ones.
    #[arg(long, value_name = "FOUND/OF", value_parser = share)]
    sensitivity: (u64, u64),
    /// Other pieces that it called dicentrics, in so many cells.
    #[arg(long, value_name = "CALLS/CELLS", value_parser = share)]
    false_calls: (u64, u64),
    /// The scorer's name as doses state it (`scorers`).
    #[arg(long, value_name = "NAME", required_unless_present = "case", conflicts_with = "case")]
    scorer: Option<String>,
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

fn share(text: &str) -> Result<(u64, u64), String> {
    let wrong = || format!("invalid share '{text}': expected two counts, such as 34/67");
    let (part, whole) = text.split_once('/').ok_or_else(wrong)?;
    Ok((part.trim().parse().map_err(|_| wrong())?, whole.trim().parse().map_err(|_| wrong())?))
}

impl Correct {
    pub fn run(&self, global: &Global) -> Result<Exit, Failure> {
        let of_people = curve::load(self.curve.as_deref())?;
        let ((found, of), (calls, cells)) = (self.sensitivity, self.false_calls);
        let detection = Detection::new(found, of, calls, cells).map_err(bad_data)?;
        let corrected = of_people.seen_by(&detection, &self.id, self.scorer(global)?).map_err(bad_data)?;
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

    fn scorer(&self, global: &Global) -> Result<String, Failure> {
        let Some(id) = &self.case else { return Ok(self.scorer.clone().unwrap_or_default()) };
        match &counts::stored(global, id)?.counted_by.scorers[..] {
            [one] => Ok(one.clone()),
            [] => {
                Err(Failure::bad_data(format!("case {id}: no machine counted its cells, so that it names no scorer")))
            }
            several => {
                Err(Failure::bad_data(format!("case {id}: {} scorers counted its cells, expected one", several.len())))
            }
        }
    }
}
