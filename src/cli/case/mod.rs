//! `case`: the cases in the store. Reading works beside a running daemon; what writes asks the daemon to do it.

mod export;
mod write;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use serde_json::{Value, json};

use super::{Exit, Failure, Global, config, output::print, run::state_folder};
use crate::{
    case::CaseDose,
    mqtt::encode_level,
    store::{CaseRecord, CellRow, ReviewRecord, StoreError, StoreReader},
};

/// Arguments of `case`.
#[derive(Debug, Args)]
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
    /// Write a case to a folder: report.html, case.json, cells.jsonl, cells.csv, reviews.jsonl and the chromosomes as PNG;
    /// in the dicentric assay scoring.csv and the dose on its curve as SVG, too.
    Export {
        /// The case.
        id: String,
        /// The folder; by default the name of the case.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
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
        let folder = state_folder(&config)?;
        match self.action {
            Action::List { json } => list(&StoreReader::open(&folder)?, json),
            Action::Show { id, json } => show(&StoreReader::open(&folder)?, &id, json),
            Action::Export { id, out } => {
                let out = out.unwrap_or_else(|| PathBuf::from(encode_level(&id)));
                export::export(&StoreReader::open(&folder)?, &config, &id, &out)
            }
            Action::Review(args) => args.run(&config, &folder),
            Action::Subject(args) => args.run(&config, &folder),
            Action::Close(Closing { id, by }) => write::set_closed(&config, &folder, &id, &by, true),
            Action::Reopen(Closing { id, by }) => write::set_closed(&config, &folder, &id, &by, false),
            Action::Erase { id, by } => write::erase(&config, &folder, &id, &by),
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
    let mut table = table(["case", "opened", "closed", "cells"]);
    for case in cases {
        table.add_row([case.id, case.opened, case.closed.unwrap_or_default(), case.cells.to_string()]);
    }
    print(&table.to_string())?;
    Ok(Exit::Done)
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
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
    let gray = |value: Option<f64>| value.map_or("not bounded".into(), |v| format!("{v:.2} Gy"));
    let mut lines = vec![format!(
        "{} dicentrics in {} counted of {} cells: {}",
        dose.dicentrics,
        dose.cells.counted,
        dose.cells.seen,
        dose.counts.iter().enumerate().map(|(k, n)| format!("{n} with {k}")).collect::<Vec<_>>().join(", ")
    )];
    if let Some(found) = &dose.estimate {
        let d = &found.dose_gy;
        lines.push(format!("dose {:.2} Gy ({} to {}), curve {}", d.value, gray(d.low), gray(d.high), found.curve.id));
        if let Some(part) = &found.partial_body {
            let (dose, share) = (part.dose_gy.value, part.fraction.value * 100.0);
            lines.push(format!("if part of the body: {dose:.2} Gy to {share:.0} % of it"));
        }
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
