//! `metaphased evaluate`: figures on annotated cells, computed on the daemon's own stages.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::{Args, builder::PossibleValuesParser};
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use indicatif::{ProgressBar, ProgressStyle};

use super::words::one_of;
use super::{Exit, Failure, Global, config::load};
use crate::evaluate::{Averages, Confusion, DataError, DataSet, EvaluateError, Figure, Layout, Report, Setup, TASKS};
use domain::Stain;
use karyotype::KaryotypeSettings;
use recognition::{
    RecognitionError,
    inference::{EngineError, ModelLibrary, Precision, choose},
};

/// Measure the daemon's stages on annotated cells.
#[derive(Debug, Args)]
pub struct Evaluate {
    /// What to measure.
    #[arg(value_parser = PossibleValuesParser::new(TASKS.iter().map(|(name, help, _)| {
        clap::builder::PossibleValue::new(*name).help(*help)
    })))]
    pub task: String,
    /// Folder of annotated cells.
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    /// Layout of the folder, when its top level does not tell: csv, sheets, objects, windows, mfish, voc, yolo, folders.
    #[arg(long)]
    pub layout: Option<Layout>,
    /// Model to measure; by default the one that the daemon would take.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Number format of the model's file: f32, f16, bf16, int8.
    #[arg(long)]
    pub precision: Option<Precision>,
    /// Stain of the cells; by default told by the layout.
    #[arg(long, value_parser = one_of(Stain::ALL, Stain::name))]
    pub stain: Option<Stain>,
    /// Measure on so many cells whose karyotype was changed by taking chromosomes away or adding some (karyotype only).
    #[arg(long, value_name = "N")]
    pub edited: Option<usize>,
    /// Fit the settings of the karyotype stage to the cells and their edits, instead of measuring them; written to
    /// settings.toml in the folder of --out (karyotype only).
    #[arg(long)]
    pub fit: bool,
    /// Keep what the networks gave in this file; where it exists, read it instead of running them (karyotype only).
    #[arg(long, value_name = "FILE")]
    pub candidates: Option<PathBuf>,
    /// Only the images or cells that this file names: one a line, or the first column of a CSV.
    #[arg(long, value_name = "FILE")]
    pub list: Option<PathBuf>,
    /// Of a CSV given with --list: only rows with one of these in some column (a split such as `validation`).
    #[arg(long, value_name = "TEXT", requires = "list", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Not the images or cells that this file names, in the same form.
    #[arg(long, value_name = "FILE")]
    pub except: Option<PathBuf>,
    /// Only the first N images or cells.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Write confusion.csv and confusion.svg, cells.jsonl with what was said of each cell (karyotype), or what --fit found, into
    /// this folder.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// One JSON object on standard output instead of tables.
    #[arg(long)]
    pub json: bool,
}

impl Evaluate {
    /// Measures and tells.
    pub fn run(&self, global: &Global) -> Result<Exit, Failure> {
        let loaded = load(global, None)?;
        let inference = &loaded.config.inference;
        let (_, _, run) = TASKS
            .iter()
            .find(|(name, ..)| *name == self.task)
            .ok_or_else(|| Failure::new(Exit::Usage, format!("no task '{}'", self.task)))?;
        // Triage has windows of its own for folders that bring none.
        let layout = self.layout.or((self.task == "triage").then_some(Layout::Windows));
        let mut data = DataSet::open(&self.data, layout).map_err(data_failure)?;
        if let Some(list) = &self.list {
            data.keep(&names(list, &self.only)?);
        }
        if let Some(list) = &self.except {
            data.leave_out(&names(list, &[])?);
        }
        if let Some(n) = self.limit {
            data.truncate(n);
        }
        let engine = choose(inference).map_err(|error| engine_failure(&error))?;
        let library = ModelLibrary::find(inference.models.as_deref(), loaded.file.as_deref());
        let bar = ProgressBar::new(data.len() as u64);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        let progress = |done: usize, all: usize| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        };
        let setup = Setup {
            data: &data,
            library: &library,
            engine: &engine,
            model: self.model.as_deref(),
            precision: self.precision,
            stain: self.stain,
            karyotype: KaryotypeSettings::with_disclosure(loaded.config.karyotype.sex),
            edited: self.edited,
            fit: self.fit,
            candidates: self.candidates.as_deref(),
            out: self.out.as_deref(),
            progress: &progress,
        };
        let report = run(&setup);
        bar.finish_and_clear();
        let report = report.map_err(failure)?;
        if let (Some(folder), Some(confusion)) = (&self.out, &report.confusion) {
            write_confusion(folder, confusion)?;
        }
        if let Some(folder) = self.out.as_ref().filter(|_| !report.cells.is_empty()) {
            let lines: String = report.cells.iter().map(|cell| format!("{cell}\n")).collect();
            let written = fs::create_dir_all(folder).and_then(|()| fs::write(folder.join("cells.jsonl"), lines));
            written.map_err(|error| Failure::new(Exit::Io, format!("{}: {error}", folder.display())))?;
        }
        let text = if self.json {
            serde_json::to_string(&report)
                .map_err(|error| Failure::new(Exit::Internal, format!("the report cannot be written: {error}")))?
        } else {
            tables(&report)
        };
        match writeln!(io::stdout(), "{text}") {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(Exit::Io, error)),
            _ => Ok(Exit::Done),
        }
    }
}

/// Names in a list: lines, or the first column of a CSV, rows with one of `only` in some column.
fn names(path: &Path, only: &[String]) -> Result<BTreeSet<String>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| {
        let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NoInput } else { Exit::Io };
        Failure::new(exit, format!("{}: {error}", path.display()))
    })?;
    let rows = text.lines().map(|line| line.split(',').map(str::trim).collect::<Vec<_>>());
    Ok(rows
        .filter(|row| only.is_empty() || only.iter().any(|wanted| row.contains(&wanted.as_str())))
        .filter_map(|row| row.first().map(|name| (*name).to_owned()))
        .filter(|name| !name.is_empty())
        .collect())
}

fn data_failure(error: DataError) -> Failure {
    let exit = if matches!(error, DataError::NotFound(_)) { Exit::NoInput } else { Exit::Data };
    Failure::from_error(exit, &error)
}

fn engine_failure(error: &EngineError) -> Failure {
    Failure::from_error(Exit::Unavailable, error)
}

fn failure(error: EvaluateError) -> Failure {
    match error {
        EvaluateError::Data(error) => data_failure(error),
        EvaluateError::Recognition(RecognitionError::Engine(error)) => engine_failure(&error),
        EvaluateError::Candidates { .. } => Failure::from_error(Exit::Io, &error),
        EvaluateError::NoModel { .. } => Failure::from_error(Exit::Unavailable, &error),
    }
}

/// The report for a person.
fn tables(report: &Report) -> String {
    let mut text = String::new();
    let data = &report.data;
    let models: Vec<String> = report.models.iter().map(|(task, label)| format!("{task} {label}")).collect();
    let _ = writeln!(text, "{} on {} ({})", report.task, data.path, data.layout);
    let _ = writeln!(
        text,
        "{} images of {} patients; {}; {}",
        data.images,
        data.patients,
        models.join(", "),
        report.engine
    );
    let mut figures = table(&["figure", "value", "95 % interval over patients", "of"]);
    for (name, Figure { value, low, high, n }) in &report.figures.0 {
        let interval = match (low, high) {
            (Some(low), Some(high)) => format!("{} to {}", number(Some(*low)), number(Some(*high))),
            _ => "-".to_owned(),
        };
        figures.add_row([(*name).to_owned(), number(*value), interval, n.to_string()]);
    }
    let _ = writeln!(text, "{figures}");
    if !report.per_class.is_empty() {
        let mut classes = table(&["class", "precision", "recall", "F1", "support"]);
        for c in &report.per_class {
            classes.add_row([
                c.class.clone(),
                number(c.precision),
                number(c.recall),
                number(c.f1),
                c.support.to_string(),
            ]);
        }
        for (name, Averages { precision, recall, f1 }) in &report.averages {
            let [precision, recall, f1] = [precision, recall, f1].map(|mean| number(Some(*mean)));
            classes.add_row([(*name).to_owned(), precision, recall, f1, String::new()]);
        }
        let _ = writeln!(text, "{classes}");
    }
    for row in &report.rows {
        let value = |v: &serde_json::Value| v["value"].as_f64().or_else(|| v.as_f64());
        let shown: Vec<String> = row
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, _)| *key != "part" && *key != "cells")
            .flat_map(|(key, v)| match v.as_object() {
                // Counts by name stand for themselves.
                Some(counts) if !counts.contains_key("value") => {
                    counts.iter().map(|(name, n)| format!("{name} {n}")).collect()
                }
                _ => match v.as_str() {
                    Some("") => Vec::new(),
                    Some(text) => vec![format!("{key} {text}")],
                    None => value(v).map(|v| format!("{key} {}", number(Some(v)))).into_iter().collect(),
                },
            })
            .collect();
        let _ =
            writeln!(text, "{}: {} cells; {}", row["part"].as_str().unwrap_or("part"), row["cells"], shown.join(", "));
    }
    if !data.skipped.is_empty() {
        let _ = writeln!(text, "left out: {}", data.skipped.len());
        for skipped in data.skipped.iter().take(20) {
            let _ = writeln!(text, "  {}: {}", skipped.item, skipped.reason);
        }
        if data.skipped.len() > 20 {
            let _ = writeln!(text, "  and {} more (all with --json)", data.skipped.len() - 20);
        }
    }
    text.truncate(text.trim_end().len());
    text
}

fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(columns.iter().copied());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn number(value: Option<f64>) -> String {
    match value {
        Some(v) if v.abs() >= 10.0 => format!("{v:.1}"),
        Some(v) => format!("{v:.4}"),
        None => "-".to_owned(),
    }
}

fn write_confusion(folder: &Path, confusion: &Confusion) -> Result<(), Failure> {
    let create = |error: io::Error| Failure::new(Exit::CannotCreate, format!("{}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(create)?;
    let mut csv = format!("truth,{}\n", confusion.classes.join(","));
    for (class, row) in confusion.classes.iter().zip(&confusion.counts) {
        let counts: Vec<String> = row.iter().map(u64::to_string).collect();
        let _ = writeln!(csv, "{class},{}", counts.join(","));
    }
    fs::write(folder.join("confusion.csv"), csv).map_err(create)?;
    fs::write(folder.join("confusion.svg"), confusion_svg(confusion)).map_err(create)
}

/// The confusion as a picture: rows are true classes, shades their shares.
fn confusion_svg(confusion: &Confusion) -> String {
    const SIDE: usize = 26;
    const MARGIN: usize = 48;
    let n = confusion.classes.len();
    let size = MARGIN + n * SIDE + 16;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{size}\" height=\"{size}\" font-family=\"sans-serif\" \
         font-size=\"10\"><rect width=\"100%\" height=\"100%\" fill=\"white\"/>\
         <text x=\"{}\" y=\"14\" text-anchor=\"middle\">answered</text>\
         <text transform=\"translate(12 {}) rotate(-90)\" text-anchor=\"middle\">true class</text>",
        MARGIN + n * SIDE / 2,
        MARGIN + n * SIDE / 2,
    );
    for (i, name) in confusion.classes.iter().enumerate() {
        let middle = MARGIN + i * SIDE + SIDE / 2;
        let _ = write!(
            svg,
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{name}</text>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>",
            MARGIN - 8,
            MARGIN - 8,
            middle + 4,
        );
        let total: u64 = confusion.counts[i].iter().sum();
        for (j, count) in confusion.counts[i].iter().enumerate().filter(|(_, count)| **count > 0) {
            let share = *count as f64 / total as f64;
            // Rare mistakes would vanish on a linear scale.
            let shade = 255.0 - 200.0 * share.sqrt();
            let fill = if i == j {
                format!("rgb({shade:.0},{:.0},255)", shade + 20.0)
            } else {
                format!("rgb(255,{shade:.0},{shade:.0})")
            };
            let ink = if i == j && share > 0.6 { "white" } else { "black" };
            let (x, y) = (MARGIN + j * SIDE, MARGIN + i * SIDE);
            let _ = write!(
                svg,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"{fill}\"/>\
                 <text x=\"{}\" y=\"{}\" text-anchor=\"middle\" font-size=\"8\" fill=\"{ink}\">{count}</text>",
                x + SIDE / 2,
                y + SIDE / 2 + 3,
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}
