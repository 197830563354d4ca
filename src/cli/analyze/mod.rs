//! `analyze`: files and folders through the daemon's own stages.

mod analyzer;
mod basis;
mod contact_sheet;
mod results;
mod resume;
mod shard;
mod side_by_side;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{ErrorKind, IsTerminal},
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use clap::Args;
use jiff::Timestamp;

use self::{
    analyzer::{AnalyzerOptions, FrameAnalyzer, NoCell},
    basis::Basis,
    contact_sheet::ContactSheet,
    results::{Format, Results},
    resume::Finished,
    shard::Shard,
};
use super::{Exit, Failure, Global, config, progress, words::one_of, write_karyogram, write_outlines};
use crate::{
    camera::{
        files::{ImageFile, is_image_name},
        list_files, load_flat_field,
    },
    config::{Config, Loaded},
    interpretation::{Labels, pictures},
    mqtt::Rejected,
    station::RejectReason,
};
use domain::{
    Assay, Cell, Stain,
    frame::{Bayer, Frame},
};
use karyotype::karyogram::Orientation;
use recognition::inference::{self, ChosenEngine, ModelLibrary};

/// Arguments of `analyze`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  metaphased analyze slide/                                 a table on the terminal
  metaphased analyze slide/ --karyogram karyograms > cells.jsonl
  metaphased analyze dose/ --assay dicentric --format csv --out results")]
pub struct Analyze {
    /// Image files and folders of them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What is scored; unset: as configured.
    #[arg(long, value_parser = one_of(Assay::ALL, Assay::name))]
    assay: Option<Assay>,
    /// Write the results into this folder instead of stdout.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on where an earlier run with the same arguments was ended: what stands in the folder of --out is kept, and files
    /// that could not be read are tried again. Results of other models or settings are refused. For `cell` messages only.
    #[arg(long, requires = "out")]
    resume: bool,
    /// Form of the results: one `cell` message a line, a table of figures, or one for people. Unset: the table where
    /// stdout is a terminal, else messages.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Only this share of the files: I of N, I from 0, chosen by a hash of the path within its folder. With --out every share
    /// has a file of its own, so that all may write into one folder.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Write what each stage made of every picture into this folder, a contact sheet each.
    #[arg(long, value_name = "DIR")]
    stages: Option<PathBuf>,
    /// Write the karyogram of every classified cell into this folder, as SVG and PNG.
    #[arg(long, value_name = "DIR")]
    karyogram: Option<PathBuf>,
    /// Make the chromosomes of karyograms straight along their middle line.
    #[arg(long, requires = "karyogram")]
    straighten: bool,
    /// Write every cell's field with the outlines of its chromosomes into this folder, as SVG.
    #[arg(long, value_name = "DIR")]
    outlines: Option<PathBuf>,
    /// Stain of the slides; unset: g-band, or giemsa for the dicentric assay.
    #[arg(long, value_parser = one_of(Stain::ALL, Stain::name))]
    stain: Option<Stain>,
    /// Pixel size in micrometres of files that do not state it.
    #[arg(long, value_name = "UM")]
    um_per_px: Option<f64>,
    /// Light of the empty field, as `flat-field` writes it: divided out of every picture.
    #[arg(long, value_name = "FILE")]
    flat_field: Option<PathBuf>,
    /// The pictures are raw samples of a camera behind this Bayer filter.
    #[arg(long, value_parser = one_of(Bayer::ALL, Bayer::name), value_name = "PATTERN")]
    bayer: Option<Bayer>,
    /// Case that the cells belong to.
    #[arg(long)]
    case: Option<String>,
    /// Look at every picture as a whole, whatever triage thinks of it.
    #[arg(long)]
    no_triage: bool,
}

/// What images are called, for people.
const IMAGE_KINDS: &str = "PNG, JPEG, BMP, WebP or TIFF files, by their names";

/// A file to look at, and its name within the folder it was found in.
struct Input {
    path: PathBuf,
    name: String,
}

/// One of those who work on the files: the stages, and who asked.
struct Worker<'a> {
    args: &'a Analyze,
    station: &'a str,
    stain: Stain,
    analyzer: FrameAnalyzer,
    sheet: ContactSheet,
}

/// What a file gave, page by page.
#[derive(Default)]
struct FileResult {
    pages: Vec<PageResult>,
    /// The file or one of its pages failed.
    failed: bool,
}

/// What a page gave, or the whole of a file that cannot be opened.
enum PageResult {
    /// It was looked at and gave cells.
    Cells(Vec<Cell>),
    /// It was looked at and gave none.
    NoCell(Rejected),
    /// It could not be read.
    Unread(Rejected),
}

impl Analyze {
    /// Looks at every file; a file that fails costs the exit code, not the others.
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let loaded = config::load(global, None)?;
        let config = &loaded.config;
        let _log = crate::telemetry::start(&quiet(config, global), None).map_err(|e| Failure::new(Exit::Config, e))?;
        let mut inputs = self.inputs()?;
        let path = self.out.as_deref().map(|folder| self.format().path(folder, self.shard));
        let finished = self.finished(path.as_deref(), &inputs)?;
        inputs.retain(|input| !finished.files.contains(&input.name));
        let assay = self.assay.unwrap_or(config.assay);
        let usual = if assay == Assay::Dicentric { Stain::Giemsa } else { Stain::GBand };
        let stain = self.stain.unwrap_or(usual);
        let options = AnalyzerOptions {
            assay,
            stain,
            um_per_px: self.um_per_px,
            bayer: self.bayer,
            whole_frames: self.no_triage,
            labels: Labels {
                station: config.station.clone(),
                case: self.case.clone(),
                replayed: true,
                ..Labels::default()
            },
        };
        let mut workers = self.workers(&loaded, stain, &options, &inputs)?;
        for note in workers.iter().take(1).flat_map(|worker| &worker.analyzer.provenance().notes) {
            eprintln!("metaphased: {note}");
        }
        let models = workers.first().map(|worker| worker.analyzer.provenance().models.clone()).unwrap_or_default();
        let mut results = self.results(config, (assay, stain), &models, path.as_deref(), &finished)?;
        let bar = progress::bar(inputs.len() as u64);
        let (mut failed, mut frames) = (0, finished.frames);
        let mut looking: Vec<_> = workers.iter_mut().map(|worker| |file: usize| worker.file(&inputs[file])).collect();
        side_by_side::in_order(&mut looking, inputs.len(), |file, result| {
            bar.set_message(inputs[file].name.clone());
            let result = result?;
            failed += u64::from(result.failed);
            for page in result.pages {
                results.page(page, &mut frames)?;
            }
            bar.inc(1);
            Ok::<(), Failure>(())
        })?;
        bar.finish_and_clear();
        results.finish()?;
        if failed > 0 {
            let s = if failed == 1 { "" } else { "s" };
            eprintln!(
                "metaphased: {failed} of {} file{s} failed, see the lines of schema {}",
                inputs.len(),
                Rejected::SCHEMA
            );
            return Ok(Exit::Data);
        }
        Ok(Exit::Done)
    }

    /// Those who work on the files: with one file, or with files whose pictures go by the same name, a single one.
    fn workers<'a>(
        &'a self,
        loaded: &'a Loaded,
        stain: Stain,
        options: &AnalyzerOptions,
        inputs: &[Input],
    ) -> Result<Vec<Worker<'a>>, Failure> {
        let config = &loaded.config;
        let unavailable = |error| Failure::new(Exit::Unavailable, error);
        let engine = inference::choose(&config.inference).map_err(unavailable)?;
        let library = ModelLibrary::find(config.inference.models.as_deref(), loaded.file.as_deref());
        let flat = self.flat_field.as_deref().map(load_flat_field).transpose();
        let flat = flat.map_err(|error| Failure::new(Exit::NoInput, error))?.map(Arc::new);
        let draws = self.stages.is_some() || self.karyogram.is_some() || self.outlines.is_some();
        let names: BTreeSet<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        let most = if draws && names.len() < inputs.len() { 1 } else { inputs.len() };
        let count = engine.workers().min(most);
        let open = |engine: &ChosenEngine| {
            let analyzer = FrameAnalyzer::open(config, &library, engine, flat.clone(), options.clone())?;
            Ok(Worker { args: self, station: &config.station, stain, analyzer, sheet: ContactSheet::default() })
        };
        if count <= 1 {
            return Ok(vec![open(&engine)?]);
        }
        let open = || open(&engine.of_worker().map_err(unavailable)?);
        thread::scope(|scope| {
            let opening: Vec<_> = (0..count).map(|_| scope.spawn(open)).collect();
            let opened = opening.into_iter().map(|one| one.join().unwrap_or_else(|panic| resume_unwind(panic)));
            opened.collect()
        })
    }

    /// What an earlier run has done of `inputs`, where it is to be gone on with.
    fn finished(&self, path: Option<&Path>, inputs: &[Input]) -> Result<Finished, Failure> {
        let Some(path) = path.filter(|_| self.resume) else { return Ok(Finished::default()) };
        if self.format() != Format::Jsonl {
            let text = "--resume goes with --format jsonl: only messages say which files are done";
            return Err(Failure::new(Exit::Usage, text));
        }
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Failure::new(Exit::Io, format!("cannot read {}: {error}", path.display()))),
        };
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        let finished = Finished::of(&text, &names)
            .map_err(|why| Failure::new(Exit::Data, format!("{} cannot be gone on with: {why}", path.display())))?;
        eprintln!("metaphased: {} of {} files are done", finished.files.len(), inputs.len());
        Ok(finished)
    }

    /// Opens the results, begins them with what an earlier run has done, and keeps beside them what they rest on.
    fn results(
        &self,
        config: &Config,
        scored: (Assay, Stain),
        models: &BTreeMap<String, String>,
        path: Option<&Path>,
        finished: &Finished,
    ) -> Result<Results, Failure> {
        let Some(path) = path else { return Results::open(self.format(), None, "") };
        let basis = Basis::of(self, config, scored, models)
            .map_err(|error| Failure::new(Exit::NoInput, format!("cannot read the flat field: {error}")))?;
        self.refuse_another_basis(&basis, path, finished)?;
        let results = Results::open(self.format(), Some(path), &finished.lines)?;
        let beside = basis::file(path);
        let cannot = |error| Failure::new(Exit::CannotCreate, format!("cannot write {}: {error}", beside.display()));
        basis.keep(path).map_err(cannot)?;
        Ok(results)
    }

    /// Refuses results of other models or settings in the file that is gone on with, or in that of another share.
    fn refuse_another_basis(&self, basis: &Basis, path: &Path, finished: &Finished) -> Result<(), Failure> {
        let kept = |results: &Path| {
            let beside = basis::file(results);
            Basis::kept(results).map_err(|e| Failure::new(Exit::Io, format!("cannot read {}: {e}", beside.display())))
        };
        if !finished.lines.is_empty() {
            let of_run = kept(path)?.map(|there| (basis::file(path).display().to_string(), there));
            let lines = finished.bases.iter().cloned();
            let of_lines = lines.map(|(line, there)| (format!("{}, line {line}", path.display()), there));
            for (place, there) in of_run.into_iter().chain(of_lines) {
                let differences = basis.differences(&there).join(", ");
                if !differences.is_empty() {
                    let text = format!(
                        "invalid --resume: expected results of the same models and settings, but {place} differs in \
                         {differences}: use those, or another folder for --out"
                    );
                    return Err(Failure::new(Exit::Data, text));
                }
            }
        }
        let Some((shard, folder)) = self.shard.zip(self.out.as_deref()) else { return Ok(()) };
        for other in shard.others().map(|other| self.format().path(folder, Some(other))) {
            // What is beside results that are gone says nothing.
            let there = if other.exists() { kept(&other)? } else { None };
            let differences = there.map(|there| basis.differences(&there).join(", ")).unwrap_or_default();
            if !differences.is_empty() {
                let text = format!(
                    "invalid --shard: expected shares of the same models and settings in one folder, but {} differs in \
                     {differences}: use those, remove it, or give another folder for --out",
                    other.display()
                );
                return Err(Failure::new(Exit::Data, text));
            }
        }
        Ok(())
    }

    /// What was asked for, else what whoever reads the results can use.
    fn format(&self) -> Format {
        let people = self.out.is_none() && std::io::stdout().is_terminal();
        self.format.unwrap_or(if people { Format::Table } else { Format::Jsonl })
    }

    fn inputs(&self) -> Result<Vec<Input>, Failure> {
        let mut inputs = Vec::new();
        let mut skipped = 0;
        for path in &self.paths {
            if path.is_dir() {
                let files = list_files(path)
                    .map_err(|e| Failure::new(Exit::Io, format!("cannot list {}: {e}", path.display())))?;
                for file in files {
                    // Notes and annotations beside the images are no failures.
                    if !is_image_name(&file) {
                        skipped += 1;
                        continue;
                    }
                    let name = file.strip_prefix(path).unwrap_or(&file).to_string_lossy().into_owned();
                    inputs.push(Input { path: file, name });
                }
            } else if path.exists() {
                let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
                inputs.push(Input { path: path.clone(), name });
            } else {
                return Err(Failure::new(Exit::NoInput, format!("no file or folder {}", path.display())));
            }
        }
        if skipped > 0 {
            eprintln!("metaphased: {skipped} files skipped: no image by their names");
        }
        if inputs.is_empty() {
            let paths: Vec<String> = self.paths.iter().map(|path| path.display().to_string()).collect();
            let text = format!("no image in {}: expected {}", paths.join(", "), IMAGE_KINDS);
            return Err(Failure::new(Exit::NoInput, text));
        }
        // A share without a file is no mistake: there may be more shares than files.
        if let Some(shard) = self.shard {
            inputs.retain(|input| shard.holds(&input.name));
        }
        Ok(inputs)
    }

    /// Writes the karyogram of a cell in which something has a class.
    fn write_karyogram(&self, folder: &Path, name: &str, frame: &Frame, cell: &Cell) -> Result<(), Failure> {
        if cell.chromosomes.iter().all(|c| c.class.is_none()) {
            return Ok(());
        }
        let crops = pictures::crops(&frame.pixels, cell);
        let orientation = if self.straighten { Orientation::Straight } else { Orientation::Upright };
        write_karyogram(folder, name, cell, &crops, orientation)
    }
}

impl Worker<'_> {
    /// Looks at every page of a file.
    fn file(&mut self, input: &Input) -> Result<FileResult, Failure> {
        let mut result = FileResult::default();
        let mut file = match ImageFile::open(&input.path) {
            Ok(file) => file,
            Err(error) => {
                result.pages.push(PageResult::Unread(self.rejected(&input.name, error.into())));
                result.failed = true;
                return Ok(result);
            }
        };
        let pages = file.pages();
        for page in 0..pages {
            let name = if pages > 1 { format!("{}#{page}", input.name) } else { input.name.clone() };
            let page = match self.analyzer.frame(&mut file, page, &name) {
                Ok(frame) => self.picture(&name, &frame, &mut result.failed)?,
                Err(no_cell) => {
                    result.failed = true;
                    PageResult::Unread(self.rejected(&name, no_cell))
                }
            };
            result.pages.push(page);
        }
        Ok(result)
    }

    /// Looks at one picture. It has failed when the engine has; a picture without a metaphase is no failure.
    fn picture(&mut self, name: &str, frame: &Frame, failed: &mut bool) -> Result<PageResult, Failure> {
        let found = self.analyzer.cells(frame);
        if let Some(folder) = &self.args.stages {
            let cells = found.as_deref().unwrap_or_default();
            self.sheet
                .write(folder, name, frame, self.stain, cells)
                .map_err(|text| Failure::new(Exit::CannotCreate, text))?;
        }
        let cells = match found {
            Ok(cells) => cells,
            Err(no_cell) => {
                *failed |= no_cell.reason == RejectReason::EngineFailed;
                return Ok(PageResult::NoCell(self.rejected(name, no_cell)));
            }
        };
        for (number, cell) in cells.iter().enumerate() {
            let name = if cells.len() > 1 { format!("{name}.{number}") } else { name.to_owned() };
            if let Some(folder) = &self.args.karyogram {
                self.args.write_karyogram(folder, &name, frame, cell)?;
            }
            if let Some(folder) = &self.args.outlines {
                write_outlines(folder, &name, cell, &frame.pixels)?;
            }
        }
        Ok(PageResult::Cells(cells))
    }

    fn rejected(&self, name: &str, no_cell: NoCell) -> Rejected {
        let now = Timestamp::now().to_string();
        let mut rejected = Rejected::new(self.station, "analyze", now, no_cell.reason, no_cell.text);
        rejected.file = Some(name.to_owned());
        rejected.case = self.args.case.clone();
        rejected
    }
}

impl Results {
    /// Writes what a page gave; `frames` counts those that were read.
    fn page(&mut self, page: PageResult, frames: &mut u64) -> Result<(), Failure> {
        *frames += u64::from(!matches!(page, PageResult::Unread(_)));
        match page {
            PageResult::Cells(cells) => cells.into_iter().try_for_each(|mut cell| {
                cell.captured.frame = *frames;
                self.cell(&cell)
            }),
            PageResult::NoCell(rejected) | PageResult::Unread(rejected) => self.rejected(&rejected),
        }
    }
}

/// Only warnings, unless asked for more: the results are what counts here.
fn quiet(config: &Config, global: &Global) -> crate::config::LogConfig {
    let mut log = config.log.clone();
    if global.log.is_none() {
        log.level = "warn".into();
    }
    log
}
