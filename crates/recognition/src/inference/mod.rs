//! Networks: model folders, and engines that run them. Tensors in, tensors out; what they mean is
//! [`recognition`](crate)'s matter.
//!
//! A model folder holds `model.toml` (the [`Manifest`]), the network files it names and a model card. A
//! [`ModelLibrary`] finds it, [`ModelFolder`] checks it, an [`Engine`] turns it into a [`Session`]. Nothing about a
//! model is known to the code but what its manifest says.

mod choose;
mod cpu;
#[cfg(any(test, feature = "tensorrt"))]
mod emulated;
mod error;
mod folder;
mod kserve;
mod manifest;
#[cfg(feature = "onnxruntime")]
mod onnxruntime;
mod options;
#[cfg(any(test, feature = "tensorrt"))]
mod plans;
#[cfg(feature = "tensorrt")]
mod tensorrt;

pub use choose::{ChosenEngine, choose, fallback, installed_onnxruntime};
pub use cpu::CpuEngine;
#[cfg(any(test, feature = "tensorrt"))]
pub use emulated::EmulatedDeviceEngine;
pub use error::{EngineError, ModelError};
pub use folder::{ModelFolder, ModelLibrary, sha256_of};
pub use kserve::KserveEngine;
pub use manifest::{
    ANATOMY_MAPS, Background, Calibration, CropRule, Decoding, Doubt, FileEntry, InputSpec, Manifest, MaskOf, MaskRule,
    OutputSpec, OverlapPrice, Polarity, Precision, ScaleRule, ScoreChannel, SizeFeature, Stretch, Task, Thresholds,
    View,
};
#[cfg(feature = "onnxruntime")]
pub use onnxruntime::OnnxRuntimeEngine;
pub use options::{EngineName, Fallback, InferenceConfig, Provider};
#[cfg(feature = "tensorrt")]
pub use plans::PlanCache;
#[cfg(feature = "tensorrt")]
pub use tensorrt::TensorrtEngine;

/// A tensor of 32-bit floats, row-major.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tensor {
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// The values; as many as the product of `shape`.
    pub data: Vec<f32>,
}

/// A borrowed input tensor and the name the network gives it.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Name of the input in the network.
    pub name: &'a str,
    /// Length of each axis.
    pub shape: &'a [usize],
    /// The values, row-major; as many as the product of `shape`.
    pub data: &'a [f32],
}

/// The outputs of one run, by name.
pub type Outputs = Vec<(String, Tensor)>;

/// Runs networks. Engines are cheap to share; sessions are not shared.
pub trait Engine: Send + Sync {
    /// The name in the configuration and in messages: `cpu`, `onnxruntime`, `tensorrt`.
    fn name(&self) -> &'static str;

    /// Library, version, provider and threads, for people.
    fn describe(&self) -> String;

    /// Precisions it can run, best first.
    fn precisions(&self) -> &'static [Precision];

    /// The device that frames can be worked on without leaving it, where the engine has one.
    #[cfg(any(test, feature = "tensorrt"))]
    fn device(&self) -> Option<SharedDevice> {
        None
    }

    /// Loads one file of a model folder. The file's hash has been checked.
    ///
    /// # Errors
    /// When the file cannot be read or holds what the engine cannot run; the error carries the engine's own words.
    fn load(&self, model: &ModelFolder, file: &FileEntry) -> Result<Box<dyn Session>, EngineError>;
}

/// A network that is ready to run.
pub trait Session: Send {
    /// Runs the network once and gives every output back.
    ///
    /// # Errors
    /// When an input is missing, has another shape than the network takes, or the engine fails.
    fn run(&mut self, inputs: &[Input<'_>]) -> Result<Outputs, EngineError>;

    /// Runs the network on its engine's [`device`](Engine::device): inputs from and the one output to the device's memory.
    /// Answers the output's shape.
    ///
    /// # Errors
    /// As for [`run`](Self::run), and when the engine has no device.
    #[cfg(any(test, feature = "tensorrt"))]
    fn run_on(
        &mut self,
        device: &mut metaphased_cuda::Device,
        inputs: &[DeviceInput<'_>],
        output: &str,
        into: &mut metaphased_cuda::Buffer,
    ) -> Result<Vec<usize>, EngineError> {
        let _ = (device, inputs, output, into);
        Err(EngineError::Unavailable {
            engine: "device",
            reason: "this engine has no device of its own".to_owned(),
            remedy: "Use engine = \"tensorrt\"".to_owned(),
        })
    }
}

/// An input tensor in a device's memory: name, length of each axis, values.
#[cfg(any(test, feature = "tensorrt"))]
pub type DeviceInput<'a> = (&'a str, &'a [usize], &'a metaphased_cuda::Buffer);

/// A device, shared by the networks on it.
#[cfg(any(test, feature = "tensorrt"))]
pub type SharedDevice = std::sync::Arc<std::sync::Mutex<metaphased_cuda::Device>>;

/// Loads the file of `model` that `engine` runs best (or the one of `precision`).
///
/// # Errors
/// When the folder has no file of such a precision, the file is missing or altered, or the engine refuses it.
pub fn load(
    engine: &dyn Engine,
    model: &ModelFolder,
    precision: Option<Precision>,
) -> Result<Box<dyn Session>, EngineError> {
    let wanted: Vec<Precision> = precision.map_or_else(|| engine.precisions().to_vec(), |p| vec![p]);
    let file = model.file(&wanted)?;
    model.verify(file)?;
    engine.load(model, file)
}
