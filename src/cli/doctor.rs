//! `metaphased doctor`: what is available, what will be used and why, what is missing and how to get it.

mod station;

use std::{
    fmt::Write as _,
    fs,
    net::{TcpStream, ToSocketAddrs},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;

use super::{Exit, Failure, Global, config::load, output};
use crate::config::{Config, SourceKind};
use domain::Stain;
use recognition::inference::{ModelFolder, ModelLibrary, Task, View, choose, installed_onnxruntime};

/// Report what is available, what will be used and why, what is missing and how to get it.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Verify the GPU path on this machine: kernels, engine build, agreement, throughput.
    #[arg(long)]
    pub gpu_check: bool,
    /// Frames over which --gpu-check watches the memory.
    #[arg(long, value_name = "N", default_value_t = 10_000, requires = "gpu_check")]
    pub frames: u32,
    /// Where --gpu-check writes its report.
    #[arg(long, value_name = "FILE", default_value = "metaphased-gpu-check.md", requires = "gpu_check")]
    pub report: PathBuf,
}

/// Lines of the report, and what is broken.
#[derive(Default)]
struct Findings {
    text: String,
    broken: Vec<String>,
}

impl Findings {
    fn heading(&mut self, title: &str) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        let _ = writeln!(self.text, "{gap}{title}");
    }

    fn good(&mut self, line: impl AsRef<str>) {
        let _ = writeln!(self.text, "  ok       {}", line.as_ref());
    }

    /// Not here, and not needed for what is configured.
    fn absent(&mut self, line: impl AsRef<str>) {
        let _ = writeln!(self.text, "  absent   {}", line.as_ref());
    }

    /// Not here or wrong, and needed for what is configured.
    fn bad(&mut self, line: impl AsRef<str>) {
        let _ = writeln!(self.text, "  WRONG    {}", line.as_ref());
        self.broken.push(line.as_ref().to_owned());
    }
}

impl Doctor {
    /// Examines the machine and prints what it found.
    pub fn run(&self, global: &Global) -> Result<Exit, Failure> {
        let loaded = load(global, None)?;
        if self.gpu_check {
            return self.gpu_check(&loaded);
        }
        let mut findings = Findings::default();
        findings.heading("Machine");
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        findings.good(format!("{} with {cores} cores, {}", processor(), std::env::consts::OS));
        let from = loaded.file.as_deref().map_or("defaults and environment".to_owned(), |f| f.display().to_string());
        findings.good(format!("configuration: {from}"));
        gpu(&mut findings);
        engine(&mut findings, &loaded.config);
        models(&mut findings, &loaded.config, loaded.file.as_deref());
        cameras(&mut findings, &loaded.config);
        broker(&mut findings, &loaded.config);
        station::examine(&mut findings, &loaded.config);
        findings.heading(if findings.broken.is_empty() { "Nothing that is configured is missing." } else { "To fix:" });
        for line in std::mem::take(&mut findings.broken) {
            let _ = writeln!(findings.text, "  {line}");
            findings.broken.push(line);
        }
        output::print(findings.text.trim_end())?;
        Ok(if findings.broken.is_empty() { Exit::Done } else { Exit::Unavailable })
    }
}

impl Doctor {
    #[cfg(feature = "tensorrt")]
    fn gpu_check(&self, loaded: &crate::config::Loaded) -> Result<Exit, Failure> {
        match no_gpu() {
            Some(reason) => Err(nothing_to_check(reason)),
            None => super::gpu_check::run(loaded, self.frames, &self.report),
        }
    }

    #[cfg(not(feature = "tensorrt"))]
    fn gpu_check(&self, _: &crate::config::Loaded) -> Result<Exit, Failure> {
        let built = "this build has no GPU engine; build with --features tensorrt (docs/guide/gpu.md)";
        Err(nothing_to_check(no_gpu().unwrap_or(built)))
    }
}

/// What of a GPU is missing, seen without opening it.
fn no_gpu() -> Option<&'static str> {
    match (driver_version(), library("libcuda.so")) {
        (None, None) => {
            Some("no NVIDIA driver is loaded (/proc/driver/nvidia/version is not there) and no libcuda was found")
        }
        (None, Some(_)) => {
            Some("libcuda is installed, but no NVIDIA driver is loaded (/proc/driver/nvidia/version is not there)")
        }
        // libcuda may lie where only the loader knows; opening it decides.
        (Some(_), _) => None,
    }
}

fn nothing_to_check(reason: &str) -> Failure {
    Failure::unavailable(format!(
        "there is no GPU to check: {reason}. `metaphased doctor` without --gpu-check lists what the CPU engines need"
    ))
}

fn processor() -> String {
    fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        })
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn driver_version() -> Option<String> {
    let text = fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    text.lines().next().map(|line| line.trim_start_matches("NVRM version:").trim().to_owned())
}

/// Folders in which the system's loader looks for libraries, the usual ones.
fn library_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::var_os("LD_LIBRARY_PATH").map(|paths| std::env::split_paths(&paths).collect()).unwrap_or_default();
    let usual = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/usr/local/lib",
        "/usr/local/cuda/lib64",
        "/usr/local/tensorrt/lib",
        "/lib/x86_64-linux-gnu",
    ];
    folders.extend(usual.map(PathBuf::from));
    folders
}

/// The first library whose file name begins with `name`.
fn library(name: &str) -> Option<PathBuf> {
    library_folders().into_iter().find_map(|folder| {
        let mut found: Vec<PathBuf> = fs::read_dir(folder)
            .ok()?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name)))
            .collect();
        found.sort();
        found.into_iter().next()
    })
}

fn gpu(findings: &mut Findings) {
    findings.heading("GPU");
    match driver_version() {
        Some(version) => findings.good(format!("NVIDIA driver: {version}")),
        None => findings.absent("NVIDIA driver: not loaded; the CPU engines run without it"),
    }
    let wanted = [
        ("libcuda.so", "CUDA driver library", "comes with the NVIDIA driver"),
        ("libnvinfer.so", "TensorRT", "from NVIDIA's package repository (libnvinfer)"),
        ("libtensorrt_rtx.so", "TensorRT-RTX", "from NVIDIA's downloads or the wheel tensorrt-rtx-cu12-libs"),
        ("libnvrtc.so", "NVRTC", "with the CUDA toolkit, or the wheel nvidia-cuda-nvrtc-cu12"),
    ];
    for (name, what, remedy) in wanted {
        match library(name) {
            Some(path) => findings.good(format!("{what}: {}", path.display())),
            None => findings.absent(format!("{what} ({name}): {remedy}")),
        }
    }
}

fn engine(findings: &mut Findings, config: &Config) {
    findings.heading("Inference");
    match installed_onnxruntime(config.inference.library.as_deref()) {
        Ok(path) => findings.good(format!("ONNX Runtime: {}", path.display())),
        Err(error) => findings.absent(error.to_string()),
    }
    findings.good("cpu: the built-in engine (rten), always there");
    match choose(&config.inference) {
        Ok(chosen) => {
            findings.good(format!("used: {} ({})", chosen.engine.describe(), chosen.why));
            if let Some(reason) = chosen.fell_back {
                findings.bad(format!("fallback in force: {reason}"));
            }
        }
        Err(error) => findings.bad(error.to_string()),
    }
}

fn models(findings: &mut Findings, config: &Config, file: Option<&Path>) {
    findings.heading("Models");
    let library = ModelLibrary::find(config.inference.models.as_deref(), file);
    let roots: Vec<String> = library.roots().iter().map(|root| root.display().to_string()).collect();
    let all = library.all();
    if all.is_empty() {
        findings
            .absent(format!("no model folder in {}: segmentation alone finds chromosomes, unnamed", roots.join(", ")));
    }
    for model in &all {
        match model {
            Ok(model) => one_model(findings, model),
            Err(error) => findings.bad(error.to_string()),
        }
    }
    for (_, source) in config.sources() {
        used(findings, config, &library, source.stain);
    }
}

fn one_model(findings: &mut Findings, model: &ModelFolder) {
    let manifest = &model.manifest;
    let stains: Vec<&str> = manifest.input.stains.iter().map(|stain| stain.name()).collect();
    let mut precisions = Vec::new();
    let context = manifest.context.iter().map(|context| ("context, ", &context.file));
    for (what, file) in manifest.file.iter().map(|file| ("", file)).chain(context) {
        match model.verify(file) {
            Ok(()) => precisions.push(format!("{what}{} {}", file.precision, &file.sha256[..12])),
            Err(error) => findings.bad(error.to_string()),
        }
    }
    findings.good(format!(
        "{} {} ({}) for {}: {}; {}",
        manifest.name,
        manifest.version,
        manifest.task,
        stains.join(", "),
        precisions.join(", "),
        model.path.display()
    ));
}

fn used(findings: &mut Findings, config: &Config, library: &ModelLibrary, stain: Stain) {
    let inference = &config.inference;
    for (task, named) in [
        (Task::Detector, &inference.detector),
        (Task::Classifier, &inference.classifier),
        (Task::Anatomy, &inference.anatomy),
    ] {
        let model = match named {
            Some(name) => library.named(name),
            None => library.serving(task, stain, View::Field),
        };
        match (model, named) {
            (Ok(model), _) => findings.good(format!("used as {task} for {}: {}", stain.name(), model.label())),
            (Err(error), Some(_)) => findings.bad(error.to_string()),
            (Err(error), None) if task == Task::Anatomy => {
                findings.absent(format!("{error}; outlines, lengths and centromeres are those of segmentation"));
            }
            (Err(error), None) => findings.absent(error.to_string()),
        }
    }
}

fn cameras(findings: &mut Findings, config: &Config) {
    findings.heading("Cameras");
    video4linux(findings, config);
    genicam(findings, config);
}

#[cfg(target_os = "linux")]
fn video4linux(findings: &mut Findings, config: &Config) {
    use crate::camera::v4l2::{list, named};
    let found = list();
    if found.is_empty() {
        findings.absent("no video device; folders, the simulator and pushed frames need none");
    }
    for camera in found {
        match camera {
            Ok(camera) => {
                let read = camera.formats.iter().filter(|f| f.is_read).map(|f| f.format.code.to_string());
                let read = read.collect::<Vec<_>>().join(", ");
                let read = if read.is_empty() { "no format that is read".into() } else { read };
                findings.good(format!("{}: {}: {read}", camera.path.display(), camera.name));
            }
            Err((_, error)) => findings.absent(error.to_string()),
        }
    }
    for (name, source) in config.sources().iter().filter(|(_, s)| s.kind == SourceKind::V4l2) {
        match named(source.device.as_deref()) {
            Ok((path, camera)) => findings.good(format!("source '{name}': {} ({camera})", path.display())),
            Err(error) => findings.bad(format!("source '{name}': {error}")),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn video4linux(findings: &mut Findings, _: &Config) {
    findings.absent("Video4Linux: Linux's own; use kind \"webcam\"");
}

/// Cameras are looked for only where a source needs one: that takes a second.
fn genicam(findings: &mut Findings, config: &Config) {
    for (name, source) in config.sources().iter().filter(|(_, s)| s.kind == SourceKind::Genicam) {
        match crate::camera::genicam::find(source.device.as_deref()) {
            Ok(camera) => findings.good(format!(
                "source '{name}': {} ({} {}, {})",
                camera.id, camera.vendor, camera.model, camera.address
            )),
            Err(error) => findings.bad(format!("source '{name}': {error}")),
        }
    }
}

fn broker(findings: &mut Findings, config: &Config) {
    findings.heading("Broker");
    let url = &config.mqtt.url;
    if url == "off" {
        return findings.good("off: nothing is published");
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return findings.good("embedded: started with the daemon on loopback");
    };
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host).trim_end_matches('/');
    let port = if scheme == "mqtts" { 8883 } else { 1883 };
    let address = if host.rsplit_once(':').is_some_and(|(_, p)| p.parse::<u16>().is_ok()) {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    };
    let reached = address
        .to_socket_addrs()
        .map_err(|error| error.to_string())
        .and_then(|mut all| all.next().ok_or_else(|| "the name has no address".to_owned()))
        .and_then(|to| TcpStream::connect_timeout(&to, Duration::from_secs(2)).map_err(|error| error.to_string()));
    match reached {
        Ok(_) => findings.good(format!("{address} answers")),
        Err(error) => {
            findings.bad(format!("{address} does not answer ({error}): cells wait in the outbox until it does"))
        }
    }
}
