//! `metaphased bench pipeline`: what the pipeline itself costs, with stages that do nothing.

use std::{
    fs,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;
use serde_json::json;

use super::{Exit, Failure, Global, output};
use crate::{
    camera::{Buffers, Capture, Source, SourceError},
    clock::SystemClock,
    config::{Config, Mode, SourceConfig},
    pipeline::{
        Parts, Pipeline, SourceParts,
        edges::{self, CAPTURE_TRIAGE, EdgeSpec, INTERPRET_COMMIT, RECOGNISE_INTERPRET, TRIAGE_RECOGNISE, Workers},
        job::{Job, SourceContext},
        monitor::StageMonitor,
        stages::triage::{Assess, Assessment},
    },
    shutdown::Shutdown,
    station::{Birth, Health, Ledger, RejectReason},
    store::{Store, StoreOptions},
};
use domain::frame::{FileStamp, Frame, FrameInfo, FramePool, PixelFormat, Pixels};
use recognition::{Provenance, Recognised, RecognitionError, Recognizer, Region, Regions};

/// Sides of the frames: small, since pixels are never touched.
const FRAME_SIDE: usize = 16;

/// Time frames through every edge of the pipeline with stages that do nothing and full queues.
#[derive(Debug, Args)]
pub struct BenchPipeline {
    /// Frames a row.
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1000..))]
    frames: u64,
    /// Instead: workers, each with an engine that takes a known time for a frame and no processor, as one on another machine does.
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Vec<u16>,
    /// Time that such an engine takes for a frame, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 5.0, requires = "workers", value_parser = engine_ms)]
    engine_ms: f64,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

fn engine_ms(text: &str) -> Result<f64, String> {
    let ms = text.parse().ok().filter(|ms| (0.1..=10_000.0).contains(ms));
    ms.ok_or_else(|| format!("invalid time '{text}': expected milliseconds from 0.1 to 10000"))
}

/// Seconds that a row of workers takes where nothing holds it up.
const SECONDS_OF_WORKERS: f64 = 3.0;

/// One line of the table.
#[derive(Debug, Serialize)]
struct Row {
    /// What the frames went through.
    way: String,
    frames: u64,
    /// Frames a second that the engines alone would do; none where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    engines_per_s: Option<f64>,
    frames_per_s: f64,
    /// Processor time of the whole process over frames; none where the system does not report it.
    cpu_us_per_frame: Option<f64>,
}

impl BenchPipeline {
    /// Measures, and prints the figures.
    pub fn run(&self, _: &Global) -> Result<Exit, Failure> {
        let rows = if self.workers.is_empty() {
            vec![
                measure("edges", self.frames, through_edges)?,
                measure("stages", self.frames, |n| through_stages(n, false, Workers::default(), None))?,
                measure("stages and store", self.frames / 10, |n| through_stages(n, true, Workers::default(), None))?,
            ]
        } else {
            self.workers.iter().map(|workers| self.through_workers(*workers)).collect::<Result<_, _>>()?
        };
        output::print(&if self.json {
            json!({"schema": "bench/1", "bench": "pipeline", "rows": rows}).to_string()
        } else {
            table(&rows)
        })?;
        Ok(Exit::Done)
    }

    /// Frames through the daemon's own stages with so many engines side by side.
    fn through_workers(&self, workers: u16) -> Result<Row, Failure> {
        let engines_per_s = f64::from(workers) * 1e3 / self.engine_ms;
        let frames = (engines_per_s * SECONDS_OF_WORKERS).ceil().max(1.0) as u64;
        let takes = Duration::from_secs_f64(self.engine_ms / 1e3);
        let side_by_side = Workers { recognise: usize::from(workers), interpret: usize::from(workers) };
        let way = format!("{workers} workers of {} ms", self.engine_ms);
        let row = measure(&way, frames, |n| through_stages(n, false, side_by_side, Some(takes)))?;
        Ok(Row { engines_per_s: Some(engines_per_s), ..row })
    }
}

fn measure(way: &str, frames: u64, run: impl FnOnce(u64) -> Result<Ledger, Failure>) -> Result<Row, Failure> {
    let (begun, busy) = (Instant::now(), cpu_time());
    let ledger = run(frames)?;
    let timings = begun.elapsed().as_secs_f64();
    let busy = cpu_time().zip(busy).map(|(now, then)| now.saturating_sub(then));
    let counts = ledger.counts();
    if counts.rejected_total() != frames || !counts.adds_up() {
        return Err(Failure::new(Exit::Internal, format!("{way}: {frames} frames went in, {counts:?} came out")));
    }
    Ok(Row {
        way: way.to_owned(),
        frames,
        engines_per_s: None,
        frames_per_s: frames as f64 / timings,
        cpu_us_per_frame: busy.map(|busy| busy.as_secs_f64() * 1e6 / frames as f64),
    })
}

/// Processor time of this process so far, in steps of the system's clock tick (10 ms on Linux).
fn cpu_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the process stands in brackets and may hold spaces; user and system time are fields 14 and 15.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// A lossless source.
fn source_config() -> SourceConfig {
    SourceConfig { mode: Some(Mode::Lossless), ..SourceConfig::default() }
}

/// Frames from the pool over all four edges, each end a thread with a monitor that does nothing else.
fn through_edges(frames: u64) -> Result<Ledger, Failure> {
    let shutdown = Shutdown::default();
    let ledger = Ledger::default();
    let context = SourceContext::new("bench", source_config(), ledger.clone());
    let (captured, mut last) = edges::edge::<Job>(CAPTURE_TRIAGE, shutdown.receiver());
    let mut threads = Vec::new();
    let stages: [(&str, EdgeSpec); 3] =
        [("triage", TRIAGE_RECOGNISE), ("recognise", RECOGNISE_INTERPRET), ("interpret", INTERPRET_COMMIT)];
    for (name, edge) in stages {
        let (output, next) = edges::edge::<Job>(edge, shutdown.receiver());
        let input = std::mem::replace(&mut last, next);
        let monitor = StageMonitor::new(name, Arc::new(SystemClock));
        threads.push(thread::spawn(move || {
            for job in &input {
                let Ok(job) = monitor.run(input.len(), || job) else { return };
                output.send(job, Mode::Lossless);
            }
        }));
    }
    threads.push(thread::spawn(move || {
        let monitor = StageMonitor::new("commit", Arc::new(SystemClock));
        for job in &last {
            if monitor.run(last.len(), || ()).is_ok() {
                job.ticket.rejected(RejectReason::NoChromosomes);
            }
        }
    }));
    let mut source = EmptyFrames { left: frames, named: false };
    let buffers = Buffers::new(FramePool::new(edges::pool_size(Workers::default())), true, shutdown.receiver());
    while let Ok(Capture::Frame(frame)) = source.next(&buffers) {
        captured.send(Job::new(frame, ledger.accept(), context.clone(), false), Mode::Lossless);
    }
    drop(captured);
    for thread in threads {
        thread.join().map_err(|_| Failure::new(Exit::Internal, "a thread of the bench panicked"))?;
    }
    Ok(ledger)
}

/// Frames through the daemon's own stages, their work taken out, but for engines that take `takes` for a frame. With `stored`,
/// every frame is a file that gave no cell: its message and its mark go into a store on the disk.
fn through_stages(frames: u64, stored: bool, workers: Workers, takes: Option<Duration>) -> Result<Ledger, Failure> {
    let internal = |error: &dyn std::fmt::Display| Failure::new(Exit::Internal, error);
    let folder = Scratch::new()?;
    let store = Store::open(&folder.0, StoreOptions { outbox_cap: u64::MAX, ..StoreOptions::default() })
        .map_err(|e| internal(&e))?;
    let health = Health::new(Birth::default());
    let context = SourceContext::register("bench", source_config(), &health);
    let ledger = context.ledger.clone();
    let mut parts = Parts::new(&Config::default(), store, health).map_err(|e| internal(&e))?;
    parts.workers = workers;
    let source = SourceParts::new(
        context,
        Box::new(move || Ok(Box::new(EmptyFrames { left: frames, named: stored }))),
        || Box::new(AcceptAll),
        Box::new(move |_| Ok(Box::new(FindNothing { takes, ..FindNothing::default() }))),
    );
    parts.sources.push(source.map_err(|e| internal(&e))?);
    let pipeline = Pipeline::start(parts).map_err(|e| internal(&e))?;
    while !pipeline.wait_finished(Duration::from_secs(60)) {}
    Ok(ledger)
}

/// A source of empty frames.
struct EmptyFrames {
    left: u64,
    /// Frames say which file they are from.
    named: bool,
}

impl Source for EmptyFrames {
    fn next(&mut self, buffers: &Buffers) -> Result<Capture, SourceError> {
        if self.left == 0 {
            return Ok(Capture::Finished);
        }
        let Ok(buffer) = buffers.take(FRAME_SIDE * FRAME_SIDE) else { return Ok(Capture::NoBuffer) };
        let pixels = Pixels::new(buffer, PixelFormat::Mono8, FRAME_SIDE, FRAME_SIDE, 8)
            .map_err(|error| SourceError::Device(error.to_string()))?;
        self.left -= 1;
        let mut info = FrameInfo::of_tool("bench");
        if self.named {
            info.file = Some(format!("{}.png", self.left).into());
            info.stamp = Some(FileStamp { bytes: 1, mtime_ns: 1 });
        }
        Ok(Capture::Frame(Frame { info, pixels }))
    }
}

/// A triage that lets everything pass.
struct AcceptAll;

impl Assess for AcceptAll {
    fn assess(&mut self, frame: &Frame, regions: &mut Regions) -> Assessment {
        regions.push(Region::whole(frame.pixels.width(), frame.pixels.height()));
        Assessment::default()
    }
}

/// A recognizer that finds nothing.
#[derive(Default)]
struct FindNothing {
    /// Time that it takes.
    takes: Option<Duration>,
    provenance: Provenance,
}

impl Recognizer for FindNothing {
    fn recognise(&mut self, _: &Frame, _: &[Region]) -> Result<Vec<Recognised>, RecognitionError> {
        self.takes.into_iter().for_each(thread::sleep);
        Ok(Vec::new())
    }

    fn provenance(&self) -> &Provenance {
        &self.provenance
    }
}

/// A folder that goes when the bench ends.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("metaphased-bench-{}", std::process::id()));
        fs::create_dir_all(&path)
            .map_err(|error| Failure::new(Exit::CannotCreate, format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind lies among the system's temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["frames through", "frames", "frames/s", "CPU us a frame", "engines alone, frames/s"]);
    for row in rows {
        table.add_row([
            row.way.clone(),
            row.frames.to_string(),
            format!("{:.0}", row.frames_per_s),
            row.cpu_us_per_frame.map_or("-".to_owned(), |us| format!("{us:.1}")),
            row.engines_per_s.map_or("-".to_owned(), |rate| format!("{rate:.0}")),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}
