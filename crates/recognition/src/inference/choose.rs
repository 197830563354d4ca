//! Which engine runs: what was asked for, what is available, and what to do when the two differ.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{CpuEngine, Engine, EngineError, KserveEngine};
use crate::inference::EngineName;
use crate::inference::Fallback;
use crate::inference::InferenceConfig;

/// The engine that will run, and why.
#[derive(Clone)]
pub struct ChosenEngine {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// Why this one, in words.
    pub why: String,
    /// Set when another was asked for and `fallback` allowed this one: the reason, reported as `degraded`.
    pub fell_back: Option<String>,
    /// How it serves several frames at once; none: one frame after the other.
    side_by_side: Option<SideBySide>,
}

/// How several frames are recognised at once: each worker has an engine of its own, with its share of the threads.
#[derive(Clone)]
struct SideBySide {
    /// Frames at once, at least 2.
    workers: usize,
    make: Arc<dyn Fn() -> Result<Arc<dyn Engine>, EngineError> + Send + Sync>,
}

impl SideBySide {
    fn new(
        workers: usize,
        make: impl Fn() -> Result<Arc<dyn Engine>, EngineError> + Send + Sync + 'static,
    ) -> Option<Self> {
        (workers > 1).then(|| Self { workers, make: Arc::new(make) })
    }
}

impl ChosenEngine {
    /// An engine that takes one frame after the other.
    pub fn alone(engine: Arc<dyn Engine>, why: impl Into<String>) -> Self {
        Self { engine, why: why.into(), fell_back: None, side_by_side: None }
    }

    /// Frames that are recognised side by side.
    pub fn workers(&self) -> usize {
        self.side_by_side.as_ref().map_or(1, |side_by_side| side_by_side.workers)
    }

    /// The engine of one of the workers: with that worker's share of the threads, where there are several.
    ///
    /// # Errors
    /// When the engine cannot be opened once more.
    pub fn of_worker(&self) -> Result<Self, EngineError> {
        match &self.side_by_side {
            None => Ok(self.clone()),
            Some(side_by_side) => Ok(Self { engine: (side_by_side.make)()?, side_by_side: None, ..self.clone() }),
        }
    }
}

impl fmt::Debug for ChosenEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChosenEngine")
            .field("engine", &self.engine.name())
            .field("why", &self.why)
            .field("fell_back", &self.fell_back)
            .field("workers", &self.workers())
            .finish()
    }
}

/// Chooses the engine.
///
/// # Errors
/// When what is asked for is not available and `fallback` is `deny`.
pub fn choose(settings: &InferenceConfig) -> Result<ChosenEngine, EngineError> {
    const ASKED: &str = "asked for";
    let chosen = match settings.engine {
        EngineName::Cpu => return Ok(cpu(settings, ASKED.to_owned())),
        EngineName::Auto => {
            return Ok(match onnxruntime(settings) {
                Ok(chosen) => ChosenEngine {
                    why: "auto: ONNX Runtime is installed and faster than the built-in engine".to_owned(),
                    ..chosen
                },
                // A provider named in the configuration was asked for on purpose.
                Err(error) if settings.provider != crate::inference::Provider::Cpu => {
                    return fall_back(settings, error);
                }
                Err(error) => cpu(settings, format!("auto: built-in engine, since {error}")),
            });
        }
        EngineName::Onnxruntime => onnxruntime(settings),
        EngineName::Tensorrt => tensorrt(settings).map(|engine| ChosenEngine::alone(engine, ASKED)),
        EngineName::Kserve => kserve(settings),
    };
    chosen.map(|chosen| ChosenEngine { why: ASKED.to_owned(), ..chosen }).or_else(|error| fall_back(settings, error))
}

/// The built-in engine. Its workers share what it has loaded.
fn cpu(settings: &InferenceConfig, why: String) -> ChosenEngine {
    let engine = Arc::new(CpuEngine::new(threads(settings)));
    let (of_all, share) = (engine.clone(), worker_threads(settings));
    let side_by_side = SideBySide::new(workers(settings), move || Ok(Arc::new(of_all.with_threads(share))));
    ChosenEngine { engine, why, fell_back: None, side_by_side }
}

/// The engine that takes over when a running one is given up for that reason.
pub fn fallback(settings: &InferenceConfig, reason: String) -> ChosenEngine {
    ChosenEngine { fell_back: Some(reason.clone()), ..cpu(settings, format!("fallback: {reason}")) }
}

/// Threads for inference: as many as are set, else one a core.
pub fn threads(settings: &InferenceConfig) -> usize {
    match settings.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    }
}

/// Frames that are recognised side by side: as many as are set, else one a thread.
fn workers(settings: &InferenceConfig) -> usize {
    match settings.workers {
        0 => threads(settings),
        n => n,
    }
}

/// Threads of one of several workers.
fn worker_threads(settings: &InferenceConfig) -> usize {
    (threads(settings) / workers(settings)).max(1)
}

fn fall_back(settings: &InferenceConfig, error: EngineError) -> Result<ChosenEngine, EngineError> {
    match settings.fallback {
        Fallback::Deny => Err(error),
        Fallback::Cpu => Ok(fallback(settings, error.to_string())),
    }
}

fn kserve(settings: &InferenceConfig) -> Result<ChosenEngine, EngineError> {
    let servers = settings.servers().map_err(|reason| EngineError::Unavailable {
        engine: "kserve",
        reason,
        remedy: "Set inference.url or inference.kserve.urls, or use engine = \"auto\"".to_owned(),
    })?;
    let workers = match settings.workers {
        0 => threads(settings).max(servers.len() * settings.kserve.in_flight),
        n => n,
    };
    let engine: Arc<dyn Engine> = Arc::new(KserveEngine::open(servers, &settings.kserve)?);
    // The work is done elsewhere: the requests of all workers go the same way.
    let of_all = engine.clone();
    let side_by_side = SideBySide::new(workers, move || Ok(of_all.clone()));
    Ok(ChosenEngine { side_by_side, ..ChosenEngine::alone(engine, "") })
}

#[cfg(feature = "tensorrt")]
fn tensorrt(settings: &InferenceConfig) -> Result<Arc<dyn Engine>, EngineError> {
    use super::{plans::PlanCache, tensorrt};
    let folder = tensorrt::folder_of(settings.library.as_deref());
    Ok(Arc::new(tensorrt::TensorrtEngine::open(folder.as_deref(), PlanCache::usual())?))
}

#[cfg(not(feature = "tensorrt"))]
fn tensorrt(_: &InferenceConfig) -> Result<Arc<dyn Engine>, EngineError> {
    Err(EngineError::Unavailable {
        engine: "tensorrt",
        reason: "this build has no TensorRT support".to_owned(),
        remedy: "Build with --features tensorrt on a machine with an NVIDIA GPU, or use engine = \"auto\"".to_owned(),
    })
}

#[cfg(feature = "onnxruntime")]
fn onnxruntime(settings: &InferenceConfig) -> Result<ChosenEngine, EngineError> {
    let library = installed_onnxruntime(settings.library.as_deref())?;
    let provider = settings.provider;
    let engine = Arc::new(super::OnnxRuntimeEngine::open(&library, provider, threads(settings))?);
    let share = worker_threads(settings);
    // A device takes one frame after the other.
    let workers = if provider == crate::inference::Provider::Cpu { workers(settings) } else { 1 };
    let side_by_side = SideBySide::new(workers, move || {
        Ok(Arc::new(super::OnnxRuntimeEngine::open(&library, provider, share)?) as Arc<dyn Engine>)
    });
    Ok(ChosenEngine { side_by_side, ..ChosenEngine::alone(engine, "") })
}

#[cfg(not(feature = "onnxruntime"))]
fn onnxruntime(_: &InferenceConfig) -> Result<ChosenEngine, EngineError> {
    Err(EngineError::Unavailable {
        engine: "onnxruntime",
        reason: "this build has no ONNX Runtime support".to_owned(),
        remedy: "Build with the default features".to_owned(),
    })
}

/// The library of ONNX Runtime: the configured one, else `$ORT_DYLIB_PATH`, else beside the executable, `<exe>/../share/metaphased/lib`, the
/// user's data folder (where scripts/get-onnxruntime puts it), then the system's library folders.
///
/// # Errors
/// When there is none, with the places looked at; or when the one that was named is no file.
pub fn installed_onnxruntime(configured: Option<&Path>) -> Result<PathBuf, EngineError> {
    let unavailable = |reason: String| EngineError::Unavailable {
        engine: "onnxruntime",
        reason,
        remedy: "Run scripts/get-onnxruntime, or set ORT_DYLIB_PATH to the library".to_owned(),
    };
    let variable = std::env::var_os("ORT_DYLIB_PATH").filter(|value| !value.is_empty()).map(PathBuf::from);
    let named = configured.map(|path| ("inference.library", path.to_owned()));
    if let Some((what, path)) = named.or(variable.map(|path| ("ORT_DYLIB_PATH", path))) {
        return if path.is_file() {
            Ok(path)
        } else {
            Err(unavailable(format!("{what} names {}, which is no file", path.display())))
        };
    }
    let mut folders = Vec::new();
    if let Some(folder) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
        folders.push(folder.to_owned());
        folders.push(folder.join("../share/metaphased/lib"));
    }
    let data = std::env::var_os("XDG_DATA_HOME")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/share")));
    folders.extend(data.map(|folder| folder.join("metaphased/lib")));
    folders.extend(["/usr/local/share/metaphased/lib", "/usr/local/lib", "/usr/lib"].map(PathBuf::from));
    for folder in &folders {
        for name in ["libonnxruntime.so", "libonnxruntime.dylib", "onnxruntime.dll"] {
            let path = folder.join(name);
            if path.is_file() {
                return Ok(path);
            }
        }
    }
    let places: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    Err(unavailable(format!("ONNX Runtime is not in {}", places.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_the_threads() {
        let of = |threads, workers| {
            let settings = InferenceConfig { engine: EngineName::Cpu, threads, workers, ..Default::default() };
            let chosen = choose(&settings).unwrap();
            let share = chosen.of_worker().unwrap();
            assert_eq!(share.workers(), 1, "a share is not shared again");
            (chosen.workers(), share.engine.describe())
        };
        let described = |threads| CpuEngine::new(threads).describe();
        assert_eq!(of(4, 0), (4, described(1)));
        assert_eq!(of(6, 2), (2, described(3)));
        assert_eq!(of(2, 5), (5, described(1)));
        assert_eq!(of(3, 1), (1, described(3)));
    }

    #[test]
    fn an_engine_that_this_build_lacks_is_an_error_or_the_fallback_that_was_allowed() {
        let mut settings = InferenceConfig { engine: EngineName::Tensorrt, threads: 1, ..Default::default() };
        let error = choose(&settings).unwrap_err();
        assert!(error.to_string().contains("tensorrt"), "{error}");
        settings.fallback = Fallback::Cpu;
        let chosen = choose(&settings).unwrap();
        assert_eq!(chosen.engine.name(), "cpu");
        assert!(chosen.fell_back.unwrap().contains("tensorrt"));
    }
}
