//! `doctor --gpu-check`: the whole GPU path on this machine, with a report to attach to an issue.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Instant,
};

use metaphased_cuda::{Device, gpu_facts};

use super::{
    Exit, Failure,
    bench_engines::{Contender, distance, frames, open_all, tolerance},
    output,
};
use crate::config::Loaded;
use domain::frame::Frame;
use recognition::{
    Recognised,
    inference::EngineName,
    inference::Fallback,
    inference::InferenceConfig,
    inference::{ChosenEngine, CpuEngine, EmulatedDeviceEngine, Engine, ModelLibrary, PlanCache, Precision, choose},
};

/// How far the kernels may lie from the host's steps, with the same networks: pixels and probability. Only exp and log
/// differ between the two.
const KERNEL_TOLERANCE: (f32, f32) = (1e-2, 1e-4);
/// Cells a second that an H100 is to reach, end to end from frames of 1360 x 1024.
const GOAL_CELLS_PER_S: f64 = 200.0;
/// Memory that may be lost over all frames, in MB: pools grow to their working size and stay there.
const MAX_LOST_MB: f64 = 64.0;

/// The report, and whether everything held.
struct Report {
    text: String,
    good: bool,
}

impl Report {
    fn line(&mut self, text: impl AsRef<str>) {
        eprintln!("{}", text.as_ref());
        let _ = writeln!(self.text, "{}", text.as_ref());
    }

    fn check(&mut self, held: bool, what: impl AsRef<str>) {
        self.good &= held;
        self.line(format!("- {}: {}", if held { "ok" } else { "FAILED" }, what.as_ref()));
    }
}

/// Checks, and writes the report; 69 without a GPU, 70 when something does not hold.
pub fn run(loaded: &Loaded, frames_to_run: u32, file: &Path) -> Result<Exit, Failure> {
    let inference = InferenceConfig { fallback: Fallback::Deny, ..loaded.config.inference.clone() };
    let library = ModelLibrary::find(inference.models.as_deref(), loaded.file.as_deref());
    let mut report = Report { text: String::new(), good: true };
    heading(&mut report)?;
    let cells = frames(8)?;
    let reference = check_kernels(&mut report, &library, &cells)?;
    let chosen =
        choose(&InferenceConfig { engine: EngineName::Tensorrt, ..inference }).map_err(|error| unavailable(&error))?;
    let mut contenders = check_networks(&mut report, &chosen, &library, &cells, &reference)?;
    report.line("\n## Throughput, end to end from frames of 1360 x 1024 in the host's memory\n");
    for contender in &mut contenders {
        let rate = cells_per_second(contender, &cells, 400)?;
        let met = if rate >= GOAL_CELLS_PER_S { "reaches" } else { "misses" };
        report.line(format!(
            "- {}: {rate:.0} cells/s ({met} the goal of {GOAL_CELLS_PER_S:.0} for an H100)",
            contender.precision
        ));
    }
    if let Some(contender) = contenders.first_mut() {
        check_memory(&mut report, &chosen, contender, &cells, frames_to_run)?;
    }
    report.line(format!("\n{}", if report.good { "Everything holds." } else { "Not everything holds." }));
    fs::write(file, &report.text)
        .map_err(|error| Failure::new(Exit::CannotCreate, format!("{}: {error}", file.display())))?;
    output::print(&format!("report: {}", file.display()))?;
    Ok(if report.good { Exit::Done } else { Exit::Internal })
}

fn unavailable(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Unavailable, error.to_string())
}

fn heading(report: &mut Report) -> Result<(), Failure> {
    let facts = gpu_facts(0).map_err(|error| unavailable(&error))?;
    report.line(format!("# metaphased {} on {}", env!("CARGO_PKG_VERSION"), facts.name));
    report.line(format!(
        "\n{}, compute {}.{}, {} MiB, driver for CUDA {}.{}",
        jiff::Timestamp::now(),
        facts.capability.0,
        facts.capability.1,
        facts.memory >> 20,
        facts.driver / 1000,
        facts.driver % 1000 / 10
    ));
    Ok(())
}

/// The kernels against the host's steps, with the networks on the processor; the processor's results come back.
fn check_kernels(report: &mut Report, library: &ModelLibrary, cells: &[Frame]) -> Result<Vec<Recognised>, Failure> {
    report.line("\n## Kernels against the host, the same networks on the processor\n");
    let started = Instant::now();
    let device = Device::gpu(0, PlanCache::usual().folder()).map_err(|error| unavailable(&error))?;
    report.check(true, format!("kernels compiled or taken from the cache in {:.1} s", started.elapsed().as_secs_f64()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checked = |engine: Arc<dyn Engine>| ChosenEngine::alone(engine, "checked");
    let reference = only_f32(&checked(Arc::new(CpuEngine::new(threads))), library, cells)?;
    let emulated = checked(Arc::new(EmulatedDeviceEngine::new(threads, Arc::new(Mutex::new(device)))));
    let kernels = only_f32(&emulated, library, cells)?;
    let (px, probability, same) = distance(&kernels, &reference, 1.0);
    report.check(
        px <= KERNEL_TOLERANCE.0 && probability <= KERNEL_TOLERANCE.1 && same,
        format!(
            "{} cells: boxes within {px:.5} px, probabilities within {probability:.6}, karyotypes {}",
            cells.len(),
            sameness(same)
        ),
    );
    Ok(reference)
}

/// Networks on the GPU in every precision, against the processor's results.
fn check_networks(
    report: &mut Report,
    chosen: &ChosenEngine,
    library: &ModelLibrary,
    cells: &[Frame],
    reference: &[Recognised],
) -> Result<Vec<Contender>, Failure> {
    report.line("\n## Networks\n");
    report.line(format!("- {}", chosen.engine.describe()));
    let started = Instant::now();
    let mut contenders = open_all(chosen, library)?;
    report.check(!contenders.is_empty(), format!("built or loaded in {:.1} s", started.elapsed().as_secs_f64()));
    let started = Instant::now();
    let reopened = open_all(chosen, library)?.len();
    report.check(
        reopened == contenders.len(),
        format!("loaded again from the cache in {:.1} s", started.elapsed().as_secs_f64()),
    );
    for contender in &mut contenders {
        for frame in cells {
            let result = contender.once(frame)?;
            contender.results.push(result);
        }
        let share = if contender.precision == Precision::F32 { 1.0 } else { 0.95 };
        let (px, probability, same) = distance(&contender.results, reference, share);
        let (max_px, max_probability) = tolerance(contender.precision);
        report.check(
            px <= max_px && probability <= max_probability && same,
            format!(
                "{}: boxes within {px:.3} px ({max_px} allowed), probabilities within {probability:.5} \
                 ({max_probability}), karyotypes {}",
                contender.precision,
                sameness(same)
            ),
        );
    }
    Ok(contenders)
}

/// Whether memory stays where it is over many frames.
fn check_memory(
    report: &mut Report,
    chosen: &ChosenEngine,
    contender: &mut Contender,
    cells: &[Frame],
    frames_to_run: u32,
) -> Result<(), Failure> {
    report.line(format!("\n## Memory over {frames_to_run} frames\n"));
    let memory = || -> Result<(f64, f64), Failure> {
        let free = chosen.engine.device().and_then(|device| {
            device.lock().unwrap_or_else(std::sync::PoisonError::into_inner).memory().ok().flatten()
        });
        let (free, _) = free.ok_or_else(|| unavailable(&"the GPU does not report its memory"))?;
        Ok((free as f64 / 1048576.0, resident_mb()))
    };
    // After a first hundred every buffer has its size.
    cells_per_second(contender, cells, 100)?;
    let before = memory()?;
    let rate = cells_per_second(contender, cells, frames_to_run)?;
    let after = memory()?;
    let (device, host) = (before.0 - after.0, after.1 - before.1);
    report.check(
        device < MAX_LOST_MB && host < MAX_LOST_MB,
        format!(
            "{rate:.0} cells/s; the GPU's memory grew by {device:.1} MB, the host's by {host:.1} MB \
             ({MAX_LOST_MB:.0} allowed)"
        ),
    );
    Ok(())
}

fn sameness(same: bool) -> &'static str {
    if same { "the same" } else { "DIFFERENT" }
}

fn only_f32(chosen: &ChosenEngine, library: &ModelLibrary, cells: &[Frame]) -> Result<Vec<Recognised>, Failure> {
    let mut all = open_all(chosen, library)?;
    let contender = all.first_mut().ok_or_else(|| Failure::new(Exit::Unavailable, "no model in f32 to check with"))?;
    cells.iter().map(|frame| contender.once(frame)).collect()
}

fn cells_per_second(contender: &mut Contender, cells: &[Frame], count: u32) -> Result<f64, Failure> {
    let started = Instant::now();
    for frame in cells.iter().cycle().take(count as usize) {
        contender.once(frame)?;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}

/// Resident memory of this process; 0 where the system does not report it.
fn resident_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<f64>().ok()).map_or(0.0, |kib| kib / 1024.0)
}
