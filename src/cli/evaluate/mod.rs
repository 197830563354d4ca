//! `metaphased evaluate`: figures on annotated cells, computed on the daemon's own stages.

mod confusion;
mod tables;

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, builder::PossibleValuesParser};

use super::{Exit, Failure, Global, config::load, output, progress, words::one_of};
use crate::evaluate::{DataSet, EvaluateError, Layout, Report, Setup, TASKS, has_masks};
use domain::Stain;
use karyotype::FittedSettings;
use recognition::inference::{ModelLibrary, Precision, choose};

/// Measure the daemon's stages on annotated cells.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  metaphased evaluate pipeline cells/                     boxes, classes and corrections a cell
  metaphased evaluate detector cells/ --list split.csv --only test --json
  metaphased evaluate karyotype cells/ --edited 150       with chromosomes taken away or added")]
pub struct Evaluate {
    /// What to measure.
    #[arg(value_parser = PossibleValuesParser::new(TASKS.iter().map(|(name, help, _)| {
        clap::builder::PossibleValue::new(*name).help(*help)
    })))]
    pub task: String,
    /// Folder of annotated cells.
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    /// Layout of the folder, where its top level does not show it: csv, sheets, objects, windows, mfish, voc, yolo, masks, folders.
    #[arg(long)]
    pub layout: Option<Layout>,
    /// Model to measure; by default the one that the daemon would choose.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Number format of the model's file: f32, f16, bf16, int8.
    #[arg(long)]
    pub precision: Option<Precision>,
    /// Stain of the cells; by default that of the layout.
    #[arg(long, value_parser = one_of(Stain::ALL, Stain::name))]
    pub stain: Option<Stain>,
    /// Measure on so many cells whose karyotype was changed by taking chromosomes away or adding some (karyotype only).
    #[arg(long, value_name = "N")]
    pub edited: Option<usize>,
    /// Cut the cells to these percentages of width or height, at each side and at all, and count what is reported of them
    /// (karyotype only).
    #[arg(long, value_name = "PERCENT,...", value_delimiter = ',', conflicts_with = "edited", value_parser = clap::value_parser!(u8).range(1..100))]
    pub cut: Vec<u8>,
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
    /// Write confusion.csv and confusion.svg, or cells.jsonl with what was reported of each cell (karyotype), into this
    /// folder.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// One JSON object on standard output instead of tables.
    #[arg(long)]
    pub json: bool,
}

impl Evaluate {
    /// Measures, and prints the figures.
    pub fn run(&self, global: &Global) -> Result<Exit, Failure> {
        let loaded = load(global, None)?;
        let inference = &loaded.config.inference;
        let (_, _, run) = TASKS
            .iter()
            .find(|(name, ..)| *name == self.task)
            .ok_or_else(|| Failure::new(Exit::Usage, format!("no task '{}'", self.task)))?;
        let data = self.data()?;
        let engine = choose(inference).map_err(EvaluateError::from)?;
        let library = ModelLibrary::find(inference.models.as_deref(), loaded.file.as_deref());
        let bar = progress::bar(data.len() as u64);
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
            karyotype: FittedSettings::of(loaded.config.karyotype.sex, loaded.config.karyotype.sample),
            scorer: loaded.config.dicentric.scorer(),
            accepted_centromeres: loaded.config.dicentric.accepted_centromeres,
            edited: self.edited,
            cut: &self.cut,
            candidates: self.candidates.as_deref(),
            out: self.out.as_deref(),
            progress: &progress,
        };
        let report = run(&setup);
        bar.finish_and_clear();
        let report = report?;
        if let Some(folder) = &self.out {
            write_files(folder, &report)?;
        }
        let text = if self.json {
            serde_json::to_string(&report)
                .map_err(|error| Failure::new(Exit::Internal, format!("the report cannot be written: {error}")))?
        } else {
            tables::tables(&report)
        };
        output::print(&text)?;
        Ok(Exit::Done)
    }

    /// The data set, as far as it was asked for.
    fn data(&self) -> Result<DataSet, Failure> {
        // Triage has windows of its own for folders that bring none; outlines need more than the boxes that lie beside masks.
        let usual = match self.task.as_str() {
            "triage" => Some(Layout::Windows),
            "outlines" | "centromeres" if has_masks(&self.data) => Some(Layout::Masks),
            _ => None,
        };
        let layout = self.layout.or(usual);
        let mut data = DataSet::open(&self.data, layout)?;
        if let Some(list) = &self.list {
            data.keep(&names(list, &self.only)?);
        }
        if let Some(list) = &self.except {
            data.leave_out(&names(list, &[])?);
        }
        if let Some(n) = self.limit {
            data.truncate(n);
        }
        Ok(data)
    }
}

/// What a task writes beside its report.
fn write_files(folder: &Path, report: &Report) -> Result<(), Failure> {
    if let Some(confusion) = &report.confusion {
        confusion::write_confusion(folder, confusion)?;
    }
    if !report.cells.is_empty() {
        let lines: String = report.cells.iter().map(|cell| format!("{cell}\n")).collect();
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(folder.join("cells.jsonl"), lines));
        written.map_err(|error| Failure::new(Exit::Io, format!("{}: {error}", folder.display())))?;
    }
    Ok(())
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
