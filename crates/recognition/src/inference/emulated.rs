//! Networks of the built-in engine with another device around them: what holds a device's kernels against the host, on
//! emulated threads in the tests and on a GPU in `doctor --gpu-check`.

use metaphased_cuda::{Buffer, Device};

use super::{
    CpuEngine, DeviceInput, Engine, EngineError, FileEntry, Input, ModelError, ModelFolder, Outputs, Precision,
    Session, SharedDevice,
};

const NAME: &str = "cpu+device";

/// The engine `cpu` with a device for everything but the networks.
pub struct EmulatedDeviceEngine {
    cpu: CpuEngine,
    device: SharedDevice,
}

impl EmulatedDeviceEngine {
    /// Networks on that many threads of the host, the rest on `device`.
    pub fn new(threads: usize, device: SharedDevice) -> Self {
        Self { cpu: CpuEngine::new(threads), device }
    }
}

impl Engine for EmulatedDeviceEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn describe(&self) -> String {
        format!("{}, everything else on a device", self.cpu.describe())
    }

    fn precisions(&self) -> &'static [Precision] {
        self.cpu.precisions()
    }

    fn device(&self) -> Option<SharedDevice> {
        Some(self.device.clone())
    }

    fn load(&self, model: &ModelFolder, file: &FileEntry) -> Result<Box<dyn Session>, EngineError> {
        Ok(Box::new(BridgedSession { session: self.cpu.load(model, file)?, model: model.name().to_owned() }))
    }
}

struct BridgedSession {
    session: Box<dyn Session>,
    model: String,
}

impl Session for BridgedSession {
    fn run(&mut self, inputs: &[Input<'_>]) -> Result<Outputs, EngineError> {
        self.session.run(inputs)
    }

    fn run_on(
        &mut self,
        device: &mut Device,
        inputs: &[DeviceInput<'_>],
        output: &str,
        into: &mut Buffer,
    ) -> Result<Vec<usize>, EngineError> {
        let failed = |error: metaphased_cuda::Error| EngineError::Run {
            engine: NAME,
            model: self.model.clone(),
            reason: error.to_string(),
        };
        let mut held = Vec::with_capacity(inputs.len());
        for (_, shape, buffer) in inputs {
            held.push(device.download::<f32>(buffer, shape.iter().product()).map_err(failed)?);
        }
        let fed: Vec<Input<'_>> =
            inputs.iter().zip(&held).map(|((name, shape, _), data)| Input { name, shape, data }).collect();
        let outputs = self.session.run(&fed)?;
        let names = || outputs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let (_, tensor) = outputs.iter().find(|(name, _)| name == output).ok_or_else(|| ModelError::MissingTensor {
            model: self.model.clone(),
            tensor: output.to_owned(),
            found: names(),
        })?;
        device.upload(into, &tensor.data).map_err(failed)?;
        Ok(tensor.shape.clone())
    }
}
