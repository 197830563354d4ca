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

pub use choose::{ChosenEngine, choose, fallback, installed_onnxruntime, threads};
pub use cpu::CpuEngine;
#[cfg(any(test, feature = "tensorrt"))]
pub use emulated::EmulatedDeviceEngine;
pub use error::{EngineError, ModelError};
pub use folder::{ModelFolder, ModelLibrary, sha256_of};
pub use kserve::{KserveEngine, Protocol, ServerAddress};
pub use manifest::{
    ANATOMY_MAPS, Background, Calibration, ContextSpec, CropRule, Decoding, Doubt, FileEntry, InputSpec, Manifest,
    MaskOf, MaskRule, Merging, OutputSpec, OverlapPrice, Polarity, Precision, ScaleRule, ScoreChannel, SizeFeature,
    Stretch, Task, Thresholds, View,
};
#[cfg(feature = "onnxruntime")]
pub use onnxruntime::OnnxRuntimeEngine;
pub use options::{EngineName, Fallback, InferenceConfig, KserveConfig, Provider};
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
    /// The name in the configuration and in messages: `cpu`, `onnxruntime`, `tensorrt`, `kserve`.
    fn name(&self) -> &'static str;

    /// Library, version, provider and threads, for people.
    fn describe(&self) -> String;

    /// Precisions it can run, best first.
    fn precisions(&self) -> &'static [Precision];

    /// What is not well with it although it runs, in words.
    fn trouble(&self) -> Option<String> {
        None
    }

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

    /// How many crops a run takes best, of a network that takes any number of them.
    fn crops_at_once(&self) -> usize {
        usize::MAX
    }

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

/// The output tensor that a model's manifest names.
///
/// # Errors
/// When the network gives none of that name.
pub(crate) fn output<'a>(outputs: &'a Outputs, manifest: &Manifest) -> Result<&'a Tensor, ModelError> {
    let wanted = &manifest.output.tensor;
    outputs.iter().find(|(name, _)| name == wanted).map(|(_, tensor)| tensor).ok_or_else(|| ModelError::MissingTensor {
        model: manifest.name.clone(),
        tensor: wanted.clone(),
        found: outputs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "),
    })
}

/// Crops of one run on a processor: what the layers of a network make of them stays in its caches, and the memory for it is small.
/// Measured with the shipped networks: 66 at once take six times the memory and no less time.
const IN_CACHE: usize = 8;

/// Runs a network over `count` crops, as many at once as the session takes best; `inputs` have the crops along their first axis. The
/// outputs of each run are handed over with the number of its first crop and how many it is of.
///
/// # Errors
/// As for [`Session::run`], or what `answered` reports.
pub(crate) fn run_over(
    session: &mut dyn Session,
    count: usize,
    inputs: &[Input<'_>],
    mut answered: impl FnMut(usize, usize, Outputs) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let step = session.crops_at_once().clamp(1, count.max(1));
    for first in (0..count).step_by(step) {
        let now = step.min(count - first);
        let shapes: Vec<Vec<usize>> = inputs
            .iter()
            .map(|input| std::iter::once(now).chain(input.shape.iter().skip(1).copied()).collect())
            .collect();
        let part: Vec<Input<'_>> = inputs
            .iter()
            .zip(&shapes)
            .map(|(input, shape)| {
                let one = input.data.len() / count;
                Input { name: input.name, shape, data: &input.data[first * one..(first + now) * one] }
            })
            .collect();
        answered(first, now, session.run(&part)?)?;
    }
    Ok(())
}

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

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers the sum of each crop; notes how many it gets.
    struct Sums(Vec<usize>);

    impl Session for Sums {
        fn run(&mut self, inputs: &[Input<'_>]) -> Result<Outputs, EngineError> {
            let rows = inputs[0].shape[0];
            assert_eq!(inputs[0].data.len(), inputs[0].shape.iter().product::<usize>());
            assert_eq!((inputs[1].shape, inputs[1].data.len()), (&[rows, 1][..], rows));
            self.0.push(rows);
            let sum = |(crop, size): (&[f32], &f32)| crop.iter().sum::<f32>() + size;
            let data = inputs[0].data.chunks_exact(6).zip(inputs[1].data).map(sum).collect();
            Ok(vec![("sum".into(), Tensor { shape: vec![rows, 1], data })])
        }

        fn crops_at_once(&self) -> usize {
            8
        }
    }

    #[test]
    fn every_crop_is_answered_once_whatever_a_run_takes() {
        for count in [0, 1, 8, 9, 21] {
            let crops: Vec<f32> = (0..count * 6).map(|i| i as f32).collect();
            let sizes: Vec<f32> = (0..count).map(|i| i as f32 / 2.0).collect();
            let inputs = [
                Input { name: "crop", shape: &[count, 1, 2, 3], data: &crops },
                Input { name: "size", shape: &[count, 1], data: &sizes },
            ];
            let mut session = Sums(Vec::new());
            let mut sums = Vec::new();
            run_over(&mut session, count, &inputs, |first, now, outputs| {
                assert_eq!((first, now), (sums.len(), outputs[0].1.data.len()));
                sums.extend(outputs[0].1.data.iter().copied());
                Ok(())
            })
            .unwrap();
            let expected: Vec<f32> =
                (0..count).map(|i| (0..6).map(|k| (i * 6 + k) as f32).sum::<f32>() + sizes[i]).collect();
            assert_eq!(sums, expected);
            assert!(session.0.iter().all(|rows| *rows <= 8) && session.0.len() == count.div_ceil(8));
        }
    }
}
