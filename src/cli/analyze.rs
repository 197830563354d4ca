//! `analyze`: files and folders through the daemon's own stages.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::words::one_of;
use super::{Exit, Failure, Global, config, write_karyogram};
use crate::{
    camera::{
        files::{ImageFile, is_image_name},
        flat_field_differs, list_files, load_flat_field,
    },
    config::Config,
    mqtt::Rejected,
    pipeline::{FrameTriage, record, stages::triage::Assess},
    station::RejectReason,
};
use domain::{
    Cell, Stain,
    frame::{Bayer, Frame, FrameFlags, FrameId, FrameInfo, PixelBuffer},
};
use imaging::{Demosaic, FlatField};
use karyotype::{KaryotypeSettings, karyogram::Orientation};
use recognition::{
    ComposedRecognizer, Recognition, Recognizer, Region, Regions,
    inference::{self, ModelLibrary},
};

/// Arguments of `analyze`.
#[derive(Debug, Args)]
pub struct Analyze {
    /// Image files and folders of them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write the results into this folder instead of stdout.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Form of the results: one `cell` message a line, a table of figures, or one for people.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// Only this share of the files: I of N, I from 0, chosen by a hash of the path within its folder.
    #[arg(long, value_name = "I/N", value_parser = shard)]
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
    /// Stain of the slides.
    #[arg(long, value_parser = one_of(Stain::ALL, Stain::name), default_value = "g-band")]
    stain: Stain,
    /// Pixel size in micrometres of files that do not say it.
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

/// Form of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Jsonl,
    Csv,
    Table,
}

/// One of several equal shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shard {
    index: u64,
    of: u64,
}

fn shard(text: &str) -> Result<Shard, String> {
    let expected = || format!("'{text}' is no share: expected I/N with I from 0 to N - 1, such as 0/4");
    let (index, of) = text.split_once('/').ok_or_else(expected)?;
    let shard = Shard { index: index.parse().map_err(|_| expected())?, of: of.parse().map_err(|_| expected())? };
    if shard.index < shard.of { Ok(shard) } else { Err(expected()) }
}

impl Shard {
    /// Whether the file of this name within its folder belongs to the share.
    fn holds(self, name: &str) -> bool {
        let hash = Sha256::digest(name.as_bytes());
        let number = hash.iter().take(8).fold(0u64, |n, byte| n << 8 | u64::from(*byte));
        number % self.of == self.index
    }
}

/// A file to look at, and its name within the folder it was found in.
struct Input {
    path: PathBuf,
    name: String,
}

impl Analyze {
    /// Looks at every file; a file that fails costs the exit code, not the others.
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let loaded = config::load(global, None)?;
        crate::telemetry::start(&quiet(&loaded.config, global), None).map_err(|e| Failure::new(Exit::Config, e))?;
        let inputs = self.inputs()?;
        let mut sink = Sink::open(self.format, self.out.as_deref())?;
        let mut stages = Stages::open(&loaded.config, loaded.file.as_deref(), self.stain)?;
        if let Some(path) = &self.flat_field {
            stages.flat = Some(load_flat_field(path).map_err(|e| Failure::new(Exit::NoInput, e))?);
        }
        for note in &stages.recognizer.provenance().notes {
            eprintln!("metaphased: {note}");
        }
        let bar = progress(inputs.len() as u64);
        let mut failed = 0;
        for input in &inputs {
            bar.set_message(input.name.clone());
            failed += u64::from(!self.file(input, &loaded.config, &mut stages, &mut sink)?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        sink.finish()?;
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

    fn inputs(&self) -> Result<Vec<Input>, Failure> {
        let mut inputs = Vec::new();
        let mut passed_by = 0;
        for path in &self.paths {
            if path.is_dir() {
                let files = list_files(path)
                    .map_err(|e| Failure::new(Exit::Io, format!("cannot list {}: {e}", path.display())))?;
                for file in files {
                    // Notes and annotations beside the images are no failures.
                    if !is_image_name(&file) {
                        passed_by += 1;
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
        if passed_by > 0 {
            eprintln!("metaphased: {passed_by} files without an image's name passed by");
        }
        if let Some(shard) = self.shard {
            inputs.retain(|input| shard.holds(&input.name));
        }
        Ok(inputs)
    }

    /// Looks at one file. False when it failed.
    fn file(&self, input: &Input, config: &Config, stages: &mut Stages, sink: &mut Sink) -> Result<bool, Failure> {
        let labels = record::Labels {
            station: config.station.clone(),
            case: self.case.clone(),
            slide: None,
            colony: None,
            replayed: true,
        };
        let refuse = |sink: &mut Sink, name: &str, reason: RejectReason, text: String| {
            let now = Timestamp::now().to_string();
            let mut rejected = Rejected::new(&config.station, "analyze", now, reason, text);
            rejected.file = Some(name.to_owned());
            rejected.case = self.case.clone();
            sink.rejected(&rejected)
        };
        let mut file = match ImageFile::open(&input.path) {
            Ok(file) => file,
            Err(error) => {
                refuse(sink, &input.name, error.reason(), error.to_string())?;
                return Ok(false);
            }
        };
        let mut good = true;
        for page in 0..file.pages() {
            let name = if file.pages() > 1 { format!("{}#{page}", input.name) } else { input.name.clone() };
            let mut page = match file.read(page, |bytes| Some(PixelBuffer::unpooled(bytes))) {
                Ok(page) => page,
                Err(error) => {
                    refuse(sink, &name, error.reason(), error.to_string())?;
                    good = false;
                    continue;
                }
            };
            if let Some(Err(error)) = self.bayer.map(|pattern| stages.demosaic.luminance(&mut page.pixels, pattern)) {
                refuse(sink, &name, RejectReason::Unsupported, error.to_string())?;
                good = false;
                continue;
            }
            if let Some(Err(error)) = stages.flat.as_ref().map(|flat| flat.correct(&mut page.pixels)) {
                refuse(sink, &name, RejectReason::Unsupported, flat_field_differs(&error))?;
                good = false;
                continue;
            }
            stages.frames += 1;
            let info = FrameInfo {
                id: FrameId(stages.frames),
                source: "analyze".into(),
                device_sequence: None,
                arrived: Instant::now(),
                time: Timestamp::now(),
                trigger: None,
                stage_um: page.facts.stage_um,
                um_per_px: page.facts.um_per_px.or(self.um_per_px),
                file: Some(name.as_str().into()),
                stamp: None,
                truth: None,
                flags: FrameFlags::default(),
            };
            let frame = Frame { info, pixels: page.pixels };
            let cells = stages.cells(&frame, &labels, self.no_triage);
            if let Some(folder) = &self.stages {
                let told = cells.as_deref().unwrap_or_default();
                stages
                    .sheets
                    .write(folder, &name, &frame, self.stain, told)
                    .map_err(|text| Failure::new(Exit::CannotCreate, text))?;
            }
            match cells {
                Ok(cells) => {
                    let several = cells.len() > 1;
                    for (number, cell) in cells.iter().enumerate() {
                        if let Some(folder) = &self.karyogram {
                            let name = if several { format!("{name}.{number}") } else { name.clone() };
                            self.karyogram(folder, &name, &frame, cell)?;
                        }
                        sink.cell(cell)?;
                    }
                }
                Err((reason, text)) => {
                    good &= reason != RejectReason::EngineFailed;
                    refuse(sink, &name, reason, text)?;
                }
            }
        }
        Ok(good)
    }
}

impl Analyze {
    /// Writes the karyogram of a cell in which something has a class.
    fn karyogram(&self, folder: &Path, name: &str, frame: &Frame, cell: &Cell) -> Result<(), Failure> {
        if cell.chromosomes.iter().all(|c| c.class.is_none()) {
            return Ok(());
        }
        let crops = record::crops(&frame.pixels, cell);
        let orientation = if self.straighten { Orientation::Straight } else { Orientation::Upright };
        write_karyogram(folder, name, cell, &crops, orientation)
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

fn progress(files: u64) -> ProgressBar {
    if !io::stderr().is_terminal() || files < 2 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {eta} {msg}");
    ProgressBar::new(files).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The daemon's stages, one after the other.
struct Stages {
    triage: FrameTriage,
    recognizer: ComposedRecognizer,
    karyotype: KaryotypeSettings,
    sheets: super::stages::Stages,
    demosaic: Demosaic,
    flat: Option<FlatField>,
    frames: u64,
}

impl Stages {
    fn open(config: &Config, file: Option<&Path>, stain: Stain) -> Result<Self, Failure> {
        let engine = inference::choose(&config.inference).map_err(|e| Failure::new(Exit::Unavailable, e))?;
        let library = ModelLibrary::find(config.inference.models.as_deref(), file);
        let recognition = Recognition::configured(&config.inference, stain);
        let recognizer = ComposedRecognizer::open(&recognition, &library, &engine)
            .map_err(|e| Failure::new(Exit::Unavailable, e))?;
        let karyotype = KaryotypeSettings::with_disclosure(config.karyotype.sex);
        let sheets = super::stages::Stages::default();
        Ok(Self {
            triage: FrameTriage::new(&config.triage, stain),
            recognizer,
            karyotype,
            sheets,
            demosaic: Demosaic::default(),
            flat: None,
            frames: 0,
        })
    }

    fn cells(
        &mut self,
        frame: &Frame,
        labels: &record::Labels,
        whole: bool,
    ) -> Result<Vec<Cell>, (RejectReason, String)> {
        let mut regions = Regions::new();
        let assessment = self.triage.assess(frame, &mut regions);
        if whole {
            regions.clear();
            regions.push(Region {
                quality: assessment.quality,
                ..Region::whole(frame.pixels.width(), frame.pixels.height())
            });
        } else if let Some((reason, text)) = assessment.refused {
            return Err((reason, text.into_owned()));
        }
        let recognised = self
            .recognizer
            .recognise(frame, &regions)
            .map_err(|error| (RejectReason::EngineFailed, error.to_string()))?;
        let provenance = self.recognizer.provenance();
        let cells: Vec<Cell> = recognised
            .iter()
            .filter(|one| one.accepted().next().is_some())
            .map(|one| record::record(frame, one, provenance, labels, &self.karyotype, record::new_id(frame.info.time)))
            .collect();
        if cells.is_empty() {
            return Err((RejectReason::NoChromosomes, "no chromosome was found where triage saw a cell".into()));
        }
        Ok(cells)
    }
}

/// Where results go.
struct Sink {
    form: Form,
    to: Box<dyn Write>,
}

enum Form {
    Jsonl,
    Csv { head: bool },
    Table(Box<Table>),
}

const COLUMNS: [&str; 9] =
    ["file", "cell", "chromosomes", "iscn", "verdict", "posterior", "focus", "metaphase", "reason"];

impl Sink {
    fn open(format: Format, folder: Option<&Path>) -> Result<Self, Failure> {
        let (form, name) = match format {
            Format::Jsonl => (Form::Jsonl, "cells.jsonl"),
            Format::Csv => (Form::Csv { head: true }, "cells.csv"),
            Format::Table => {
                let mut table = Table::new();
                table.load_style(presets::NOTHING).set_header(COLUMNS);
                (Form::Table(Box::new(table)), "cells.txt")
            }
        };
        let to: Box<dyn Write> = match folder {
            None => Box::new(io::stdout().lock()),
            Some(folder) => {
                let path = folder.join(name);
                let create = || {
                    fs::create_dir_all(folder)?;
                    fs::File::create(&path)
                };
                let file = create()
                    .map_err(|e| Failure::new(Exit::CannotCreate, format!("cannot create {}: {e}", path.display())))?;
                Box::new(io::BufWriter::new(file))
            }
        };
        Ok(Self { form, to })
    }

    fn cell(&mut self, cell: &Cell) -> Result<(), Failure> {
        if matches!(self.form, Form::Jsonl) {
            return self.line(cell);
        }
        let k = &cell.karyotype;
        self.row([
            cell.captured.file.clone().unwrap_or_default(),
            cell.cell.to_string(),
            cell.counts.detected.to_string(),
            k.iscn.clone().unwrap_or_default(),
            k.verdict.name().to_owned(),
            k.posterior.map(|p| format!("{p:.3}")).unwrap_or_default(),
            format!("{:.2}", cell.quality.focus),
            format!("{:.2}", cell.quality.metaphase),
            k.reason.clone(),
        ])
    }

    fn rejected(&mut self, rejected: &Rejected) -> Result<(), Failure> {
        if matches!(self.form, Form::Jsonl) {
            return self.line(rejected);
        }
        let mut row = COLUMNS.map(|_| String::new());
        row[0] = rejected.file.clone().unwrap_or_default();
        row[4] = "rejected".into();
        row[8] = format!("{}: {}", rejected.reason, rejected.text);
        self.row(row)
    }

    fn line(&mut self, what: &impl serde::Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.to, what).map_err(|e| ended(&e.into()))?;
        self.to.write_all(b"\n").and_then(|()| self.to.flush()).map_err(|e| ended(&e))
    }

    fn row(&mut self, row: [String; COLUMNS.len()]) -> Result<(), Failure> {
        match &mut self.form {
            Form::Table(table) => {
                table.add_row(row);
                Ok(())
            }
            Form::Csv { head } => {
                let mut writer = csv::Writer::from_writer(Vec::new());
                if std::mem::take(head) {
                    writer.write_record(COLUMNS).map_err(|e| ended(&e.into()))?;
                }
                writer.write_record(&row).map_err(|e| ended(&e.into()))?;
                let bytes = writer.into_inner().map_err(|e| ended(&io::Error::other(e.to_string())))?;
                self.to.write_all(&bytes).and_then(|()| self.to.flush()).map_err(|e| ended(&e))
            }
            Form::Jsonl => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if let Form::Table(table) = &self.form {
            writeln!(self.to, "{table}").map_err(|e| ended(&e))?;
        }
        self.to.flush().map_err(|e| ended(&e))
    }
}

/// Nobody reads any more, or the disk is full.
fn ended(error: &io::Error) -> Failure {
    Failure::new(Exit::Io, format!("cannot write the results: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_disjoint_and_whole() {
        let names: Vec<String> = (0..200).map(|n| format!("slide/{n}.png")).collect();
        let shards = ["0/3", "1/3", "2/3"].map(|text| shard(text).expect("a share"));
        for name in &names {
            assert_eq!(shards.iter().filter(|s| s.holds(name)).count(), 1);
        }
        for share in shards {
            assert!(names.iter().filter(|n| share.holds(n)).count() > 30, "about a third each");
        }
    }

    #[test]
    fn wrong_shares_are_refused() {
        for text in ["3/3", "1", "a/b", "-1/2", "0/0"] {
            assert!(shard(text).is_err(), "{text}");
        }
    }
}
