//! `metaphased bench engines`: every engine that is here, on the same cells, interleaved.

use std::{
    fs,
    process::{Command, Stdio},
    time::Instant,
};

use clap::Args;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;
use serde_json::json;

use super::{Exit, Failure, Global, config::load, output};
use domain::{
    BoundingBox, Stain,
    frame::{Frame, FrameInfo, PixelBuffer, PixelFormat, Pixels},
};
use karyotype::FittedSettings;
use recognition::{
    ComposedRecognizer, Recognised, Recognition, Recognizer, Region, choose as choose_chromosomes,
    inference::EngineName,
    inference::InferenceConfig,
    inference::{ChosenEngine, ModelLibrary, Precision, Task, View, choose},
};
use slide::{Samples, SlideSettings, VirtualSlide};

/// Time every engine and precision that is here on the same cells, interleaved, and check that they agree.
#[derive(Debug, Args)]
pub struct BenchEngines {
    /// Cells of the virtual slide.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    cells: u32,
    /// Rounds over the cells.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
    /// Run one engine and print its peak memory in MB: how the table's memory is measured, each in its own process.
    #[arg(long, hide = true, value_name = "ENGINE/PRECISION")]
    peak: Option<String>,
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Row {
    engine: &'static str,
    precision: Precision,
    ms_per_cell: f64,
    cells_per_s: f64,
    peak_mb: Option<f64>,
    agrees: bool,
    /// Largest distance of a box's edge from the reference's, in pixels; below f32 that of 95 of 100 boxes.
    box_px: f32,
    /// Largest difference of a probability from the reference's; below f32 that of 95 of 100 boxes.
    probability: f32,
}

/// An engine under test.
pub(super) struct Contender {
    name: &'static str,
    pub(super) precision: Precision,
    pub(super) recognizer: ComposedRecognizer,
    pub(super) results: Vec<Recognised>,
    times_ms: Vec<f64>,
}

/// How far results may lie from those of the engine `cpu` in f32: pixels, probability. In f32 every box must keep within
/// them, in fewer bits 95 of 100: where two cells of the detector's map answer with nearly the same score (0.004 in the
/// logit for f16), rounding changes their order, and suppression keeps the box of the other, some pixels away.
pub(super) fn tolerance(precision: Precision) -> (f32, f32) {
    match precision {
        Precision::F32 => (1.0, 1e-3),
        Precision::F16 => (1.0, 0.05),
        Precision::Bf16 | Precision::Int8 => (4.0, 0.15),
    }
}

impl BenchEngines {
    /// Measures, and prints the figures.
    pub fn run(&self, global: &Global) -> Result<Exit, Failure> {
        let loaded = load(global, None)?;
        let inference = &loaded.config.inference;
        let library = ModelLibrary::find(inference.models.as_deref(), loaded.file.as_deref());
        let frames = frames(self.cells)?;
        if let Some(one) = &self.peak {
            return peak(one, inference, &library, &frames[0]);
        }
        let mut contenders = Vec::new();
        let mut absent = Vec::new();
        for engine in [EngineName::Cpu, EngineName::Onnxruntime, EngineName::Tensorrt] {
            match choose(&InferenceConfig { engine, ..inference.clone() }) {
                Ok(chosen) => contenders.extend(open_all(&chosen, &library)?),
                Err(error) => absent.push(error.to_string()),
            }
        }
        let models = contenders.first().map(|c| c.recognizer.provenance().models.clone()).unwrap_or_default();
        if models.is_empty() {
            let roots: Vec<String> = library.roots().iter().map(|root| root.display().to_string()).collect();
            return Err(Failure::new(Exit::Unavailable, format!("no model to run in {}", roots.join(", "))));
        }
        // A first pass warms up and keeps each engine's results; then the rounds are timed, engines in turn.
        for contender in &mut contenders {
            for frame in &frames {
                let result = contender.once(frame)?;
                contender.results.push(result);
            }
        }
        for _ in 0..self.rounds {
            for frame in &frames {
                for contender in &mut contenders {
                    let started = Instant::now();
                    contender.once(frame)?;
                    contender.times_ms.push(started.elapsed().as_secs_f64() * 1e3);
                }
            }
        }
        let rows: Vec<Row> = contenders.iter().map(|c| self.row(c, &contenders[0], global)).collect();
        for reason in &absent {
            eprintln!("left out: {reason}");
        }
        output::print(&if self.json {
            json!({"schema": "bench/1", "bench": "engines", "rows": rows, "models": models, "unselected": absent})
                .to_string()
        } else {
            table(&rows)
        })?;
        Ok(Exit::Done)
    }

    fn row(&self, contender: &Contender, reference: &Contender, global: &Global) -> Row {
        let mut times = contender.times_ms.clone();
        times.sort_by(f64::total_cmp);
        let ms = times.get(times.len() / 2).copied().unwrap_or(f64::NAN);
        let share = if contender.precision == Precision::F32 { 1.0 } else { 0.95 };
        let (box_px, probability, same_karyotype) = distance(&contender.results, &reference.results, share);
        let (max_px, max_probability) = tolerance(contender.precision);
        Row {
            engine: contender.name,
            precision: contender.precision,
            ms_per_cell: ms,
            cells_per_s: 1e3 / ms,
            peak_mb: self.peak_of(contender, global),
            agrees: box_px <= max_px && probability <= max_probability && same_karyotype,
            box_px,
            probability,
        }
    }

    /// Peak memory of a process that runs this engine alone.
    fn peak_of(&self, contender: &Contender, global: &Global) -> Option<f64> {
        let mut command = Command::new(std::env::current_exe().ok()?);
        command.args(["bench", "engines", "--cells", "1", "--peak"]);
        command.arg(format!("{}/{}", contender.name, contender.precision));
        if let Some(models) = &global.models {
            command.arg("--models").arg(models);
        }
        if let Some(config) = &global.config {
            command.arg("--config").arg(config);
        }
        let done = command.stderr(Stdio::null()).output().ok()?;
        String::from_utf8_lossy(&done.stdout).trim().parse().ok()
    }
}

/// G-banded metaphases of 1360 x 1024, the camera that the detector's training cells came from.
pub(super) fn frames(cells: u32) -> Result<Vec<Frame>, Failure> {
    let internal = |error: &dyn std::fmt::Display| Failure::new(Exit::Internal, format!("virtual slide: {error}"));
    let settings = SlideSettings { seed: 7, width: 1360, height: 1024, cells: Some(cells), ..SlideSettings::default() };
    let mut slide = VirtualSlide::new(settings).map_err(|error| internal(&error))?;
    (0..cells)
        .map(|cell| {
            let mut samples = PixelBuffer::unpooled(1360 * 1024);
            let stop = slide.at_cell(cell);
            slide.render(&stop, Samples::Mono8(samples.bytes_mut())).map_err(|error| internal(&error))?;
            let pixels = Pixels::new(samples, PixelFormat::Mono8, 1360, 1024, 8).map_err(|error| internal(&error))?;
            Ok(Frame { info: FrameInfo::of_tool("bench"), pixels })
        })
        .collect()
}

impl Contender {
    pub(super) fn once(&mut self, frame: &Frame) -> Result<Recognised, Failure> {
        let whole = Region::whole(frame.pixels.width(), frame.pixels.height());
        let failed = |error| Failure::from_error(Exit::Unavailable, &error);
        let mut cells = self.recognizer.recognise(frame, &[whole]).map_err(failed)?;
        cells.pop().ok_or_else(|| Failure::new(Exit::Internal, "no cell came back for the field"))
    }
}

/// What a precision is measured with. int8 files ship only where they cost next to nothing: where an engine takes them first, its row
/// is what the daemon runs, f32 for the models without one.
fn recognition_in(precision: Precision, chosen: &ChosenEngine, library: &ModelLibrary) -> Recognition {
    let has_one = |task| {
        let model = library.serving(task, Stain::default(), View::Field);
        model.is_ok_and(|model| model.manifest.file.iter().any(|file| file.precision == precision))
    };
    let mixed = precision == Precision::Int8
        && chosen.engine.precisions().first() == Some(&precision)
        && (has_one(Task::Detector) || has_one(Task::Classifier));
    Recognition { precision: (!mixed).then_some(precision), ..Recognition::default() }
}

/// The engine in every precision that both it and the models know.
pub(super) fn open_all(chosen: &ChosenEngine, library: &ModelLibrary) -> Result<Vec<Contender>, Failure> {
    let mut contenders = Vec::new();
    for precision in [Precision::F32, Precision::F16, Precision::Bf16, Precision::Int8] {
        if !chosen.engine.precisions().contains(&precision) {
            continue;
        }
        match ComposedRecognizer::open(&recognition_in(precision, chosen, library), library, chosen) {
            Ok(recognizer) => contenders.push(Contender {
                name: chosen.engine.name(),
                precision,
                recognizer,
                results: Vec::new(),
                times_ms: Vec::new(),
            }),
            Err(error) if precision == Precision::F32 => {
                return Err(Failure::from_error(Exit::Unavailable, &error));
            }
            Err(error) => eprintln!("left out: {} in {precision}: {error}", chosen.engine.name()),
        }
    }
    Ok(contenders)
}

fn peak(one: &str, inference: &InferenceConfig, library: &ModelLibrary, frame: &Frame) -> Result<Exit, Failure> {
    let usage =
        || Failure::new(Exit::Usage, format!("invalid engine '{one}': expected ENGINE/PRECISION, such as cpu/f32"));
    let (engine, precision) = one.split_once('/').ok_or_else(usage)?;
    let engine = match engine {
        "cpu" => EngineName::Cpu,
        "onnxruntime" => EngineName::Onnxruntime,
        "tensorrt" => EngineName::Tensorrt,
        _ => return Err(usage()),
    };
    let precision: Precision = precision.parse().map_err(|_| usage())?;
    let chosen = choose(&InferenceConfig { engine, ..inference.clone() })
        .map_err(|error| Failure::from_error(Exit::Unavailable, &error))?;
    let recognition = recognition_in(precision, &chosen, library);
    let failed = |error: recognition::RecognitionError| Failure::from_error(Exit::Unavailable, &error);
    let mut recognizer = ComposedRecognizer::open(&recognition, library, &chosen).map_err(failed)?;
    for _ in 0..3 {
        let whole = Region::whole(frame.pixels.width(), frame.pixels.height());
        recognizer.recognise(frame, &[whole]).map_err(failed)?;
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib: Option<f64> = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok());
    match kib {
        Some(kib) => output::print(&format!("{:.1}", kib / 1024.0)).map(|()| Exit::Done),
        None => Err(Failure::new(Exit::Unavailable, "the system does not report the peak memory of a process")),
    }
}

/// Distances that a share of the chromosomes of two engines keep within, and whether they name the same karyotype.
pub(super) fn distance(found: &[Recognised], reference: &[Recognised], share: f64) -> (f32, f32, bool) {
    let settings = FittedSettings::default();
    let (mut px, mut probability, mut same) = (Vec::new(), Vec::new(), true);
    for (a, b) in found.iter().zip(reference) {
        let numbers = |cell: &Recognised| {
            let mut numbers = [0u8; domain::ChromosomeClass::COUNT];
            for class in choose_chromosomes(cell, settings.judged(cell.in_context)).iter().filter_map(|c| c.class) {
                numbers[class.index()] += 1;
            }
            numbers
        };
        same &= numbers(a) == numbers(b);
        for theirs in b.accepted() {
            // Neighbours may change places in the order, so the nearest box is the partner.
            let nearest = a
                .candidates
                .iter()
                .max_by(|x, y| x.bounds.iou(&theirs.bounds).total_cmp(&y.bounds.iou(&theirs.bounds)));
            let Some(ours) = nearest else { return (f32::INFINITY, 1.0, false) };
            px.push(edge_distance(&ours.bounds, &theirs.bounds));
            let mut worst = (ours.objectness - theirs.objectness).abs();
            if let (Some(p), Some(q)) = (&ours.log_probs, &theirs.log_probs) {
                worst = p.iter().zip(q).map(|(p, q)| (p.exp() - q.exp()).abs()).fold(worst, f32::max);
            }
            probability.push(worst);
        }
    }
    let within = |mut values: Vec<f32>| {
        values.sort_by(f32::total_cmp);
        let place = (share * values.len().saturating_sub(1) as f64).ceil() as usize;
        values.get(place).copied().unwrap_or(0.0)
    };
    (within(px), within(probability), same)
}

fn edge_distance(a: &BoundingBox, b: &BoundingBox) -> f32 {
    let pairs = [(a.x, b.x), (a.y, b.y), (a.right(), b.right()), (a.bottom(), b.bottom())];
    pairs.iter().map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["engine", "precision", "ms a cell", "cells/s", "peak MB", "agrees", "box px", "probability"]);
    for row in rows {
        table.add_row([
            row.engine.to_owned(),
            row.precision.to_string(),
            format!("{:.1}", row.ms_per_cell),
            format!("{:.1}", row.cells_per_s),
            row.peak_mb.map_or("-".to_owned(), |mb| format!("{mb:.0}")),
            if row.agrees { "yes" } else { "NO" }.to_owned(),
            format!("{:.3}", row.box_px),
            format!("{:.5}", row.probability),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}
