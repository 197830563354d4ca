//! `case`: the cases in the store. Reading works beside a running daemon; what writes asks the daemon to do it.

mod export;
mod frames;
mod report;
mod write;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use serde_json::{Value, json};

use super::{
    Exit, Failure, Global, config,
    output::{fit_terminal, print},
    run::state_folder,
};
use crate::{
    case::{CaseDose, CaseState},
    mqtt::encode_level,
    store::{CaseRecord, CellRow, ReviewRecord, StoreError, StoreReader},
};

/// Arguments of `case`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  metaphased case list
  metaphased case export K-17 --out K-17
  metaphased case review K-17 --cell UUID --by 'K. Berg' --class 12=21")]
pub struct CaseCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// All cases.
    List {
        /// One JSON object instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// One case with its cells.
    Show {
        /// The case.
        id: String,
        /// One JSON object instead of tables.
        #[arg(long)]
        json: bool,
    },
    /// Write a case to a folder: report.html, case.json, cells.jsonl, reviews.jsonl, and numbered as in the report: cells.csv,
    /// which is the index, the chromosomes as PNG, karyograms, kept frames as OME-TIFF; in the dicentric assay scoring.csv and
    /// the dose on its curve as SVG, too.
    Export {
        /// The case.
        id: String,
        /// The folder; by default the name of the case.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Write the report of a case as HTML, or as PDF where a Chromium is found.
    Report(report::ReportArgs),
    /// Write the built-in layout of the reports to a folder, for a laboratory to change: name, logo, words, templates.
    Layout {
        /// The folder.
        folder: PathBuf,
        /// en or de.
        #[arg(long, default_value = "en")]
        language: String,
    },
    /// What is awaiting review in a case; with --cell a correction of that cell.
    Review(write::ReviewArgs),
    /// Set what the dose of a case uses of a person: age, dates, an earlier dose. Options left out are not known.
    Subject(write::SubjectArgs),
    /// Close a case: it takes no further cells until it is reopened. Corrections stay possible.
    Close(Closing),
    /// Reopen a closed case.
    Reopen(Closing),
    /// Remove a case for good: cells, pictures, reviews, subject data.
    Erase {
        /// The case.
        id: String,
        /// Who asks for it; stored with the date and a hash of the id.
        #[arg(long, value_name = "WHO")]
        by: String,
    },
}

/// Arguments of `case close` and `case reopen`.
#[derive(Debug, Args)]
struct Closing {
    /// The case.
    id: String,
    /// Who asks for it; kept in the audit.
    #[arg(long, value_name = "WHO")]
    by: String,
}

impl CaseCommand {
    /// Does what was asked.
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let config = config::load(global, None)?.config;
        let folder = state_folder(&config);
        match self.action {
            Action::Layout { folder, language } => report::write_layout(&config, &folder, &language),
            Action::List { json } => list(&StoreReader::open(&folder?)?, json),
            Action::Show { id, json } => show(&StoreReader::open(&folder?)?, &id, json),
            Action::Export { id, out } => {
                let out = out.unwrap_or_else(|| PathBuf::from(encode_level(&id)));
                export::export(&StoreReader::open(&folder?)?, &config, &id, &out)
            }
            Action::Report(args) => args.run(&config, &StoreReader::open(&folder?)?),
            Action::Review(args) => args.run(&config, &folder?),
            Action::Subject(args) => args.run(&config, &folder?),
            Action::Close(Closing { id, by }) => write::set_closed(&config, &folder?, &id, &by, true),
            Action::Reopen(Closing { id, by }) => write::set_closed(&config, &folder?, &id, &by, false),
            Action::Erase { id, by } => write::erase(&config, &folder?, &id, &by),
        }
    }
}

fn document(text: &Option<String>) -> Value {
    text.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null)
}

fn case_json(case: &CaseRecord) -> Value {
    json!({
        "case": case.id, "opened": case.opened, "closed": case.closed, "cells": case.cells,
        "subject": document(&case.subject), "state": document(&case.state), "dose": document(&case.dose),
    })
}

fn list(store: &StoreReader, as_json: bool) -> Result<Exit, Failure> {
    let cases = store.cases()?;
    if as_json {
        print(&json!({ "cases": cases.iter().map(case_json).collect::<Vec<_>>() }).to_string())?;
        return Ok(Exit::Done);
    }
    let mut table = table(["case", "opened", "closed", "cells", "result"]);
    for case in cases {
        let result = result_words(&case);
        let [opened, closed] = [case.opened, case.closed.unwrap_or_default()].map(|time| minute(&time));
        table.add_row([case.id, opened, closed, case.cells.to_string(), result]);
    }
    print(&table.to_string())?;
    Ok(Exit::Done)
}

/// A time as a list shows it: `2026-11-30 09:55`, in UTC as it is stored.
fn minute(time: &str) -> String {
    time.get(..16).map_or_else(|| time.to_owned(), |minute| minute.replace('T', " "))
}

/// What the cells of a case say together, in one line: the dose with its limits, else the karyotype.
fn result_words(case: &CaseRecord) -> String {
    let dose: Option<CaseDose> = case.dose.as_deref().and_then(|text| serde_json::from_str(text).ok());
    if let Some(dose) = dose {
        let Some(found) = &dose.estimate else {
            return if dose.is_unscored() { "not scored" } else { "no dose yet" }.into();
        };
        let d = &found.dose_gy;
        let holds = dose.mismatch.as_ref().map_or(String::new(), |why| format!("; does not hold: {why}"));
        return format!("{:.2} Gy ({} to {}){holds}", d.value, gray(d.low), gray(d.high));
    }
    let state: Option<CaseState> = case.state.as_deref().and_then(|text| serde_json::from_str(text).ok());
    match state {
        None => String::new(),
        Some(state) => {
            let iscn = state.iscn.unwrap_or_else(|| "no karyotype yet".into());
            match state.cells_needed {
                0 => iscn,
                needed => format!("{iscn}; {needed} more needed"),
            }
        }
    }
}

/// A limit of a dose; the curve or the counts may give none.
fn gray(value: Option<f64>) -> String {
    value.map_or("not bounded".into(), |v| format!("{v:.2} Gy"))
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    fit_terminal(&mut table);
    table
}

struct Whole {
    case: CaseRecord,
    rows: Vec<CellRow>,
    reviews: Vec<ReviewRecord>,
}

fn whole(store: &StoreReader, id: &str) -> Result<Whole, Failure> {
    Ok(Whole {
        case: store.case(id)?.ok_or_else(|| StoreError::NoSuchCase(id.into()))?,
        rows: store.cells_of_case(id)?,
        reviews: store.reviews_of_case(id)?,
    })
}

fn review_json(review: &ReviewRecord) -> Value {
    json!({
        "time": review.time, "by": review.by, "cell": review.cell, "case": review.case, "revision": review.revision,
        "change": review.change, "old": document(&review.old), "new": document(&review.new), "model": review.model,
        "curve": review.curve, "settings": document(&review.settings),
    })
}

fn karyotypes(whole: &Whole) -> Result<Table, Failure> {
    let mut cells = table(["cell", "time", "chromosomes", "verdict", "karyotype", "reason"]);
    for row in &whole.rows {
        let cell = row.cell()?;
        cells.add_row([
            row.id.clone(),
            cell.captured.time,
            cell.counts.detected.to_string(),
            cell.karyotype.verdict.name().to_owned(),
            cell.karyotype.iscn.unwrap_or_default(),
            cell.karyotype.reason,
        ]);
    }
    Ok(cells)
}

/// The dose of a case in a few lines.
fn dose_words(dose: &CaseDose) -> String {
    let mut lines = vec![match dose.cells.counted {
        0 if dose.is_unscored() => format!("not scored: none of {} cells is counted", dose.cells.seen),
        0 => format!("none of {} cells is counted", dose.cells.seen),
        counted => format!(
            "{} dicentrics in {counted} counted of {} cells: {}",
            dose.dicentrics,
            dose.cells.seen,
            dose.counts.iter().enumerate().map(|(k, n)| format!("{n} with {k}")).collect::<Vec<_>>().join(", ")
        ),
    }];
    if let Some(found) = &dose.estimate {
        let d = &found.dose_gy;
        lines.push(format!("dose {:.2} Gy ({} to {}), curve {}", d.value, gray(d.low), gray(d.high), found.curve.id));
        lines.extend(dose.mismatch.as_ref().map(|why| format!("this dose does not hold: {why}")));
        if dose.cells.quickscan > 0 {
            lines.push("counted by QuickScan: cells complete by their look".into());
        }
        if let Some(part) = &found.partial_body {
            let (dose, share) = (part.dose_gy.value, part.fraction.value * 100.0);
            lines.push(format!("if part of the body: {dose:.2} Gy to {share:.0} % of it"));
        }
    }
    if dose.cells.not_selected > 0 {
        lines.push(format!("{} cells are left out by the selection of cells", dose.cells.not_selected));
    }
    if dose.cells.awaiting_review > 0 {
        let (waiting, id) = (dose.cells.awaiting_review, &dose.case);
        lines.push(format!("{waiting} cells with called dicentrics are awaiting review: metaphased case review {id}"));
    }
    lines.extend(dose.flags.iter().map(|flag| format!("note: {flag}")));
    lines.join("\n")
}

fn show(store: &StoreReader, id: &str, as_json: bool) -> Result<Exit, Failure> {
    let whole = whole(store, id)?;
    if as_json {
        let mut value = case_json(&whole.case);
        value["cells"] = whole.rows.iter().map(|row| document(&Some(row.document.clone()))).collect();
        value["reviews"] = whole.reviews.iter().map(review_json).collect();
        print(&value.to_string())?;
        return Ok(Exit::Done);
    }
    let case = &whole.case;
    let closed = case.closed.as_ref().map_or("open".into(), |time| format!("closed {time}"));
    print(&format!("case {}: opened {}, {closed}, {} cells", case.id, case.opened, case.cells))?;
    let dose: Option<CaseDose> = case.dose.as_deref().and_then(|text| serde_json::from_str(text).ok());
    match &dose {
        Some(dose) => print(&dose_words(dose))?,
        None => print(&karyotypes(&whole)?.to_string())?,
    }
    if !whole.reviews.is_empty() {
        let mut reviews = table(["reviewed", "by", "cell", "change"]);
        for review in &whole.reviews {
            let cell = review.cell.map(|cell| cell.to_string()).unwrap_or_default();
            reviews.add_row([review.time.clone(), review.by.clone(), cell, review.change.clone()]);
        }
        print(&reviews.to_string())?;
    }
    print(domain::NOTICE)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(state: Option<Value>) -> CaseRecord {
        CaseRecord {
            id: "K".into(),
            opened: String::new(),
            closed: None,
            subject: None,
            state: state.map(|state| state.to_string()),
            dose: None,
            cells: 0,
        }
    }

    #[test]
    fn a_line_of_the_list_says_what_the_cells_say_together() {
        let mut state = json!({
            "schema": "case/1", "station": "lab-1", "case": "K", "slides": [], "iscn": null,
            "cells": { "seen": 17, "repeats": 0, "assessable": 0, "normal": 0, "abnormal": 0, "not_assessable": 17,
                       "reviewed": 0 },
            "cells_target": 20, "cells_needed": 3, "extended": null, "clones": [], "chance_findings": [],
            "excludes": null, "excluded": null, "review": [], "notice": "",
        });
        assert_eq!(result_words(&case(Some(state.clone()))), "no karyotype yet; 3 more needed");
        state["iscn"] = json!("46,XX");
        state["cells_needed"] = json!(0);
        assert_eq!(result_words(&case(Some(state))), "46,XX");
        assert_eq!(result_words(&case(None)), "");
        assert_eq!(minute("2026-11-30T09:55:19.515Z"), "2026-11-30 09:55");
    }
}
