//! Engine `onnxruntime`: ONNX Runtime, opened at run time where it is installed.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    sync::Mutex,
};

use ort::{
    environment::Environment,
    ep::{self, ExecutionProviderDispatch},
    session::{Session as OrtSession, SessionInputValue, builder::GraphOptimizationLevel},
    value::TensorRef,
};

use super::{
    Engine, EngineError, FileEntry, IN_CACHE, Input, ModelError, ModelFolder, Outputs, Session, Tensor,
    manifest::Precision,
};
use crate::inference::Provider;

const NAME: &str = "onnxruntime";
const REMEDY: &str = "Run scripts/get-onnxruntime, set ORT_DYLIB_PATH to the library, or use engine = \"cpu\"";

/// A process can open the library once; the first path that worked stays.
static OPENED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// Runs networks with ONNX Runtime.
pub struct OnnxRuntimeEngine {
    environment: Environment,
    library: PathBuf,
    provider: Provider,
    threads: usize,
}

impl OnnxRuntimeEngine {
    /// Opens the library at `library` and asks for `provider`.
    ///
    /// # Errors
    /// When the library cannot be opened or is too old, or it has no such provider: never a silent CPU session.
    pub fn open(library: &Path, provider: Provider, threads: usize) -> Result<Self, EngineError> {
        let unavailable = |reason: String| EngineError::Unavailable { engine: NAME, reason, remedy: REMEDY.to_owned() };
        let mut opened = OPENED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (library, environment) = match &*opened {
            Some(before) => before.clone(),
            None => {
                let environment = ort::init_from(library)
                    .map_err(|error| unavailable(error.to_string()))?
                    .with_name("metaphased")
                    .with_telemetry(false)
                    .build()
                    .map_err(|error| unavailable(error.to_string()))?;
                opened.insert((library.to_owned(), environment)).clone()
            }
        };
        drop(opened);
        let engine = Self { environment, library, provider, threads: threads.max(1) };
        // A provider shows whether it is there when a session takes it up, so that is asked at once.
        engine.builder()?;
        Ok(engine)
    }

    /// The library's own description of its build.
    pub fn build_info(&self) -> &'static str {
        ort::info()
    }

    fn builder(&self) -> Result<ort::session::builder::SessionBuilder, EngineError> {
        let unavailable = |reason: String| EngineError::Unavailable {
            engine: NAME,
            reason: format!("provider '{}' of {}: {reason}", provider_name(self.provider), self.library.display()),
            remedy:
                "Install a build of ONNX Runtime with this provider and its libraries, or choose provider = \"cpu\""
                    .to_owned(),
        };
        let mut builder = OrtSession::builder(&self.environment)
            .map_err(|error| unavailable(error.to_string()))?
            .with_intra_threads(self.threads)
            .map_err(|error| unavailable(error.to_string()))?
            .with_optimization_level(GraphOptimizationLevel::Level3)
            .map_err(|error| unavailable(error.to_string()))?
            // Threads that spin after a run would take the cores from the other stages.
            .with_intra_op_spinning(false)
            .map_err(|error| unavailable(error.to_string()))?;
        if let Some(provider) = dispatch(self.provider) {
            builder = builder
                .with_execution_providers([provider.error_on_failure()])
                .map_err(|error| unavailable(error.to_string()))?;
        }
        Ok(builder)
    }
}

/// A provider as written in the configuration.
fn provider_name(provider: Provider) -> &'static str {
    match provider {
        Provider::Cpu => "cpu",
        Provider::Openvino => "openvino",
        Provider::Cuda => "cuda",
        Provider::Tensorrt => "tensorrt",
    }
}

fn dispatch(provider: Provider) -> Option<ExecutionProviderDispatch> {
    match provider {
        Provider::Cpu => None,
        Provider::Openvino => Some(ep::OpenVINO::default().build()),
        Provider::Cuda => Some(ep::CUDA::default().build()),
        Provider::Tensorrt => Some(ep::TensorRT::default().build()),
    }
}

/// Whether this processor has instructions that multiply bytes and sum them without loss. Where it has not, the library's
/// 16-bit sums of unsigned by signed bytes can overflow: int8 then costs accuracy, and f32 is taken.
fn multiplies_bytes() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("avx512vnni") || std::arch::is_x86_feature_detected!("avxvnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

impl Engine for OnnxRuntimeEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn describe(&self) -> String {
        format!(
            "ONNX Runtime from {}, provider {}, {} threads",
            self.library.display(),
            provider_name(self.provider),
            self.threads
        )
    }

    fn precisions(&self) -> &'static [Precision] {
        match self.provider {
            Provider::Cpu if multiplies_bytes() => &[Precision::Int8, Precision::F32, Precision::F16],
            Provider::Cpu | Provider::Openvino => &[Precision::F32, Precision::Int8, Precision::F16],
            Provider::Cuda | Provider::Tensorrt => &[Precision::F16, Precision::F32, Precision::Int8],
        }
    }

    fn load(&self, model: &ModelFolder, file: &FileEntry) -> Result<Box<dyn Session>, EngineError> {
        let path = model.path_of(file);
        let session = self.builder()?.commit_from_file(&path).map_err(|error| EngineError::Load {
            engine: NAME,
            path,
            reason: error.to_string(),
        })?;
        let on_processor = matches!(self.provider, Provider::Cpu | Provider::Openvino);
        let crops_at_once = if on_processor { IN_CACHE } else { usize::MAX };
        Ok(Box::new(OnnxRuntimeSession { session, model: model.name().to_owned(), crops_at_once }))
    }
}

struct OnnxRuntimeSession {
    session: OrtSession,
    model: String,
    crops_at_once: usize,
}

impl Session for OnnxRuntimeSession {
    fn crops_at_once(&self) -> usize {
        self.crops_at_once
    }

    fn run(&mut self, inputs: &[Input<'_>]) -> Result<Outputs, EngineError> {
        let model = self.model.clone();
        let failed = |reason: String| EngineError::Run { engine: NAME, model: model.clone(), reason };
        let mut fed: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
        for input in inputs {
            if !self.session.inputs().iter().any(|known| known.name() == input.name) {
                let names: Vec<_> = self.session.inputs().iter().map(|known| known.name()).collect();
                return Err(ModelError::MissingTensor {
                    model: self.model.clone(),
                    tensor: input.name.to_owned(),
                    found: names.join(", "),
                }
                .into());
            }
            let view = TensorRef::from_array_view((input.shape.to_vec(), input.data))
                .map_err(|error| failed(error.to_string()))?;
            fed.push((Cow::Borrowed(input.name), view.into()));
        }
        let values = self.session.run(fed).map_err(|error| failed(error.to_string()))?;
        let mut outputs = Outputs::with_capacity(values.len());
        for (name, value) in values.iter() {
            let (shape, data) =
                value.try_extract_tensor::<f32>().map_err(|error| failed(format!("output '{name}': {error}")))?;
            let shape = shape.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
            outputs.push((name.to_owned(), Tensor { shape, data: data.to_vec() }));
        }
        Ok(outputs)
    }
}
