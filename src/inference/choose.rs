//! Which engine runs: what was asked for, what is here, and what to do when the two differ.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use super::{CpuEngine, Engine, EngineError};

/// An engine by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EngineKind {
    /// ONNX Runtime where it is installed, else `cpu`.
    #[default]
    Auto,
    /// rten, always there.
    Cpu,
    /// ONNX Runtime.
    Onnxruntime,
    /// TensorRT on an NVIDIA GPU.
    Tensorrt,
    /// A KServe v2 server.
    Kserve,
}

/// Execution provider of ONNX Runtime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Provider {
    /// Its own CPU kernels.
    #[default]
    Cpu,
    /// Intel OpenVINO.
    Openvino,
    /// CUDA.
    Cuda,
    /// TensorRT through ONNX Runtime.
    Tensorrt,
}

/// What to do when the engine asked for is not available or breaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fallback {
    /// Stop with an error; cells wait or are rejected with the reason.
    #[default]
    Deny,
    /// Go on with engine `cpu` and say so.
    Cpu,
}

macro_rules! by_name {
    ($name:ident { $($variant:ident = $text:literal),+ }) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $text),+ })
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(format!("'{text}' is none of: {}", [$($text),+].join(", "))),
                }
            }
        }
    };
}

by_name!(EngineKind { Auto = "auto", Cpu = "cpu", Onnxruntime = "onnxruntime", Tensorrt = "tensorrt", Kserve = "kserve" });
by_name!(Provider { Cpu = "cpu", Openvino = "openvino", Cuda = "cuda", Tensorrt = "tensorrt" });
by_name!(Fallback { Deny = "deny", Cpu = "cpu" });

/// What the configuration asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineSettings {
    /// The engine.
    pub kind: EngineKind,
    /// ONNX Runtime's provider.
    pub provider: Provider,
    /// Threads of the CPU engines; 0: as many as the machine has cores.
    pub threads: usize,
    /// What to do when it is not available.
    pub fallback: Fallback,
}

/// The engine that will run, and why.
#[derive(Clone)]
pub struct ChosenEngine {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// Why this one, in words.
    pub why: String,
    /// Set when another was asked for and `fallback` allowed this one: the reason, to be told as `degraded`.
    pub fell_back: Option<String>,
}

impl fmt::Debug for ChosenEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChosenEngine")
            .field("engine", &self.engine.name())
            .field("why", &self.why)
            .field("fell_back", &self.fell_back)
            .finish()
    }
}

/// Chooses the engine.
///
/// # Errors
/// When what is asked for is not available and `fallback` is `deny`.
pub fn choose(settings: &EngineSettings) -> Result<ChosenEngine, EngineError> {
    let threads = match settings.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let cpu = |why: String| ChosenEngine { engine: Arc::new(CpuEngine::new(threads)), why, fell_back: None };
    let asked = |engine: Arc<dyn Engine>| ChosenEngine { engine, why: "asked for".to_owned(), fell_back: None };
    let chosen = match settings.kind {
        EngineKind::Cpu => return Ok(cpu("asked for".to_owned())),
        EngineKind::Auto => {
            return Ok(match onnxruntime(settings.provider, threads) {
                Ok(engine) => ChosenEngine {
                    engine,
                    why: "auto: ONNX Runtime is installed and faster than the built-in engine".to_owned(),
                    fell_back: None,
                },
                // A provider named in the configuration is no matter of taste.
                Err(error) if settings.provider != Provider::Cpu => return fall_back(settings, error, cpu),
                Err(error) => cpu(format!("auto: built-in engine, since {error}")),
            });
        }
        EngineKind::Onnxruntime => onnxruntime(settings.provider, threads).map(asked),
        EngineKind::Tensorrt => Err(EngineError::Unavailable {
            engine: "tensorrt",
            reason: "this build has no TensorRT support".to_owned(),
            remedy: "Build with --features tensorrt on a machine with an NVIDIA GPU, or use engine = \"auto\"".to_owned(),
        }),
        EngineKind::Kserve => Err(EngineError::Unavailable {
            engine: "kserve",
            reason: "this build has no KServe client".to_owned(),
            remedy: "Use engine = \"auto\"".to_owned(),
        }),
    };
    chosen.or_else(|error| fall_back(settings, error, cpu))
}

fn fall_back(
    settings: &EngineSettings,
    error: EngineError,
    cpu: impl FnOnce(String) -> ChosenEngine,
) -> Result<ChosenEngine, EngineError> {
    match settings.fallback {
        Fallback::Deny => Err(error),
        Fallback::Cpu => {
            let reason = error.to_string();
            Ok(ChosenEngine { fell_back: Some(reason.clone()), ..cpu(format!("fallback: {reason}")) })
        }
    }
}

#[cfg(feature = "onnxruntime")]
fn onnxruntime(provider: Provider, threads: usize) -> Result<Arc<dyn Engine>, EngineError> {
    let library = installed_onnxruntime()?;
    Ok(Arc::new(super::OnnxRuntimeEngine::open(&library, provider, threads)?))
}

#[cfg(not(feature = "onnxruntime"))]
fn onnxruntime(_: Provider, _: usize) -> Result<Arc<dyn Engine>, EngineError> {
    Err(EngineError::Unavailable {
        engine: "onnxruntime",
        reason: "this build has no ONNX Runtime support".to_owned(),
        remedy: "Build with the default features".to_owned(),
    })
}

/// The library of ONNX Runtime: `$ORT_DYLIB_PATH`, else beside the executable, `<exe>/../share/metaphased/lib`, the
/// user's data folder (where scripts/get-onnxruntime puts it), then the system's library folders.
///
/// # Errors
/// When there is none, with the places looked at; or when `$ORT_DYLIB_PATH` names no file.
pub fn installed_onnxruntime() -> Result<PathBuf, EngineError> {
    let unavailable = |reason: String| EngineError::Unavailable {
        engine: "onnxruntime",
        reason,
        remedy: "Run scripts/get-onnxruntime, or set ORT_DYLIB_PATH to the library".to_owned(),
    };
    if let Some(named) = std::env::var_os("ORT_DYLIB_PATH").filter(|value| !value.is_empty()) {
        let path = PathBuf::from(named);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(unavailable(format!("ORT_DYLIB_PATH names {}, which is no file", path.display())))
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
    fn an_engine_that_this_build_lacks_is_an_error_or_the_fallback_that_was_allowed() {
        let mut settings = EngineSettings { kind: EngineKind::Tensorrt, threads: 1, ..Default::default() };
        let error = choose(&settings).unwrap_err();
        assert!(error.to_string().contains("tensorrt"), "{error}");
        settings.fallback = Fallback::Cpu;
        let chosen = choose(&settings).unwrap();
        assert_eq!(chosen.engine.name(), "cpu");
        assert!(chosen.fell_back.unwrap().contains("tensorrt"));
    }

    #[test]
    fn names_are_those_of_the_configuration() {
        assert_eq!("auto".parse(), Ok(EngineKind::Auto));
        assert!("gpu".parse::<EngineKind>().unwrap_err().contains("onnxruntime"));
        assert_eq!("openvino".parse(), Ok(Provider::Openvino));
    }
}
