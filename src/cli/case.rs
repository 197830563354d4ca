//! `case`: the cases in the store. Reading works beside a running daemon; erasing needs the store for itself.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use serde_json::{Value, json};

use super::{
    Exit, Failure, Global, config,
    output::print,
    run::{state_folder, store_failure},
};
use crate::{
    karyotype::karyogram,
    mqtt::encode_level,
    store::{CaseRecord, CellRow, ReviewRecord, Store, StoreError, StoreOptions, StoreReader},
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
    /// Write a case to a folder: case.json, cells.jsonl, cells.csv, reviews.jsonl and the chromosomes as PNG.
    Export {
        /// The case.
        id: String,
        /// The folder; by default the name of the case.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Remove a case for good: cells, pictures, reviews, subject data. Stop the daemon first.
    Erase {
        /// The case.
        id: String,
        /// Who asks for it; kept with the date and a hash of the id.
        #[arg(long, value_name = "WHO")]
        by: String,
    },
}

impl CaseCommand {
    /// Does what was asked.
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let folder = state_folder(&config::load(global, None)?.config)?;
        match self.action {
            Action::List { json } => list(&open(&folder)?, json),
            Action::Show { id, json } => show(&open(&folder)?, &id, json),
            Action::Export { id, out } => {
                let out = out.unwrap_or_else(|| PathBuf::from(encode_level(&id)));
                export(&open(&folder)?, &id, &out)
            }
            Action::Erase { id, by } => erase(&folder, &id, &by),
        }
    }
}

pub(super) fn failure(error: StoreError) -> Failure {
    match error {
        StoreError::NoSuchCase(_) => Failure::new(Exit::NoInput, error),
        other => Failure::from_error(store_failure(&other).exit, &other),
    }
}

pub(super) fn open(folder: &Path) -> Result<StoreReader, Failure> {
    StoreReader::open(folder).map_err(|error| match &error {
        StoreError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Failure::new(
            Exit::NoInput,
            format!("there is no store in {}: give the daemon's --config, or run it once", folder.display()),
        ),
        _ => failure(error),
    })
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
    let cases = store.cases().map_err(failure)?;
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
    let case = store.case(id).and_then(|case| case.ok_or_else(|| StoreError::NoSuchCase(id.into())));
    Ok(Whole {
        case: case.map_err(failure)?,
        rows: store.cells_of_case(id).map_err(failure)?,
        reviews: store.reviews_of_case(id).map_err(failure)?,
    })
}

fn review_json(review: &ReviewRecord) -> Value {
    json!({
        "time": review.time, "by": review.by, "cell": review.cell, "case": review.case, "revision": review.revision,
        "change": review.change, "old": document(&review.old), "new": document(&review.new), "model": review.model,
        "curve": review.curve, "settings": document(&review.settings),
    })
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
    let mut cells = table(["cell", "time", "chromosomes", "verdict", "karyotype", "reason"]);
    for row in &whole.rows {
        let cell = row.cell().map_err(failure)?;
        cells.add_row([
            row.id.clone(),
            cell.captured.time,
            cell.counts.detected.to_string(),
            serde_json::to_value(cell.karyotype.verdict)
                .ok()
                .and_then(|v| v.as_str().map(str::to_owned))
                .unwrap_or_default(),
            cell.karyotype.iscn.unwrap_or_default(),
            cell.karyotype.reason,
        ]);
    }
    let case = &whole.case;
    let closed = case.closed.as_ref().map_or("open".into(), |time| format!("closed {time}"));
    print(&format!("case {}: opened {}, {closed}, {} cells\n{cells}", case.id, case.opened, case.cells))?;
    if !whole.reviews.is_empty() {
        let mut reviews = table(["reviewed", "by", "cell", "change"]);
        for review in &whole.reviews {
            let cell = review.cell.map(|cell| cell.to_string()).unwrap_or_default();
            reviews.add_row([review.time.clone(), review.by.clone(), cell, review.change.clone()]);
        }
        print(&reviews.to_string())?;
    }
    print(crate::cell::NOTICE)?;
    Ok(Exit::Done)
}

fn export(store: &StoreReader, id: &str, out: &Path) -> Result<Exit, Failure> {
    let whole = whole(store, id)?;
    let cannot = |path: &Path| {
        let path = path.display().to_string();
        move |error: io::Error| Failure::new(Exit::CannotCreate, format!("cannot write {path}: {error}"))
    };
    let lines = |name: &str, lines: &mut dyn Iterator<Item = String>| {
        let path = out.join(name);
        let write = || {
            let mut file = BufWriter::new(File::create(&path)?);
            for line in lines {
                writeln!(file, "{line}")?;
            }
            file.flush()
        };
        write().map_err(cannot(&path))
    };
    fs::create_dir_all(out).map_err(cannot(out))?;
    lines("case.json", &mut std::iter::once(case_json(&whole.case).to_string()))?;
    lines("cells.jsonl", &mut whole.rows.iter().map(|row| row.document.clone()))?;
    lines("reviews.jsonl", &mut whole.reviews.iter().map(|review| review_json(review).to_string()))?;

    let path = out.join("cells.csv");
    let broken = |error: csv::Error| Failure::new(Exit::CannotCreate, format!("cannot write cells.csv: {error}"));
    let mut table = csv::Writer::from_path(&path).map_err(broken)?;
    table.write_record(COLUMNS).map_err(broken)?;
    for row in &whole.rows {
        let cell = row.cell().map_err(failure)?;
        table.write_record(columns(&cell)).map_err(broken)?;
        let folder = out.join("chromosomes").join(&row.id);
        let pictures = store.crops(cell.cell).map_err(failure)?;
        for (index, png) in &pictures {
            fs::create_dir_all(&folder).map_err(cannot(&folder))?;
            let path = folder.join(format!("{index:02}.png"));
            fs::write(&path, png).map_err(cannot(&path))?;
        }
        if cell.chromosomes.iter().any(|c| c.class.is_some()) {
            let folder = out.join("karyograms");
            fs::create_dir_all(&folder).map_err(cannot(&folder))?;
            let crops = karyogram::crops_of(&cell, &pictures);
            let path = folder.join(format!("{}.svg", row.id));
            fs::write(&path, karyogram::svg(&cell, &crops)).map_err(cannot(&path))?;
            let path = folder.join(format!("{}.png", row.id));
            let png = karyogram::png(&cell, &crops, 2)
                .map_err(|error| Failure::new(Exit::CannotCreate, format!("{}: {error}", path.display())))?;
            fs::write(&path, png).map_err(cannot(&path))?;
        }
    }
    table.flush().map_err(cannot(&path))?;
    eprintln!("{}: {} cells, {} reviews", out.display(), whole.rows.len(), whole.reviews.len());
    Ok(Exit::Done)
}

const COLUMNS: [&str; 18] = [
    "cell",
    "revision",
    "time",
    "source",
    "slide",
    "file",
    "stage_x_um",
    "stage_y_um",
    "detected",
    "abnormal",
    "damaged",
    "verdict",
    "iscn",
    "reason",
    "centromeres",
    "dicentrics",
    "rings",
    "complete",
];

fn columns(cell: &crate::cell::Cell) -> [String; 18] {
    let optional = |value: Option<String>| value.unwrap_or_default();
    let stage = cell.captured.stage_um;
    let dicentric = cell.dicentric.as_ref();
    let verdict = serde_json::to_value(cell.karyotype.verdict).ok();
    [
        cell.cell.to_string(),
        cell.revision.to_string(),
        cell.captured.time.clone(),
        cell.source.clone(),
        optional(cell.slide.clone()),
        optional(cell.captured.file.clone()),
        optional(stage.map(|stage| stage.x.to_string())),
        optional(stage.map(|stage| stage.y.to_string())),
        cell.counts.detected.to_string(),
        cell.counts.abnormal.to_string(),
        cell.counts.damaged.to_string(),
        optional(verdict.and_then(|verdict| verdict.as_str().map(str::to_owned))),
        optional(cell.karyotype.iscn.clone()),
        cell.karyotype.reason.clone(),
        optional(dicentric.map(|d| d.centromeres.to_string())),
        optional(dicentric.map(|d| d.dicentric_equivalents().to_string())),
        optional(dicentric.map(|d| d.rings.to_string())),
        optional(dicentric.map(|d| d.complete.to_string())),
    ]
}

fn erase(folder: &Path, id: &str, by: &str) -> Result<Exit, Failure> {
    if by.trim().is_empty() {
        return Err(Failure::new(Exit::Usage, "--by is empty; say who asks for the erasure"));
    }
    // Otherwise a wrong path would make a new, empty store.
    open(folder)?;
    let options = StoreOptions { outbox_cap: u64::MAX, quota: None };
    let store = Store::open(folder, options).map_err(failure)?;
    let erased = store.erase_case(id, by).map_err(failure)?;
    eprintln!(
        "erased: {} cells and {} pictures. The broker's copies of its retained topics go when the daemon connects next.",
        erased.cells, erased.images
    );
    Ok(Exit::Done)
}
