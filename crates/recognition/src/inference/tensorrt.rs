//! Engine `tensorrt`: networks on an NVIDIA GPU. The frame goes to the GPU once (`recognition`'s steps on the device); what
//! asks for a network alone gets it with tensors of the host.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use metaphased_cuda::{Buffer, Device, GpuFacts, Network, gpu_facts};
use metaphased_tensorrt::{Error as TensorrtError, Library};

use super::{
    DeviceInput, Engine, EngineError, FileEntry, Input, ModelError, ModelFolder, Outputs, Precision, Session,
    SharedDevice, Task, Tensor,
    plans::{Kept, PlanCache, PlanKey},
};

const NAME: &str = "tensorrt";

/// A process opens the libraries once; the first folder that worked stays.
static OPENED: Mutex<Option<&'static Library>> = Mutex::new(None);

/// Runs networks with TensorRT.
pub struct TensorrtEngine {
    library: &'static Library,
    device: SharedDevice,
    facts: GpuFacts,
    cache: PlanCache,
    described: String,
}

/// Name and version of the opened library: "TensorRT-RTX 1.7.1".
fn version(library: &Library) -> String {
    let flavour = metaphased_tensorrt::headers().unwrap_or_default();
    let name = flavour.rsplit_once(' ').map_or("TensorRT", |(name, _)| name).to_owned();
    let (major, minor, patch) = library.version();
    format!("{name} {major}.{minor}.{patch}")
}

/// Opens the libraries in `folder`, or where the system's loader looks.
///
/// # Errors
/// When they are not there, or do not fit the headers that this was built with.
fn open_tensorrt(folder: Option<&Path>) -> Result<(&'static Library, String), EngineError> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let library = match *opened {
        Some(library) => library,
        None => {
            let library = Library::open(folder).map_err(|error| EngineError::Unavailable {
                engine: NAME,
                reason: error.to_string(),
                remedy: match error {
                    TensorrtError::NotBuilt => "Or use engine = \"auto\"".to_owned(),
                    _ => format!(
                        "Install {} or a later one of the same major version, and name its folder with inference.library or \
                         LD_LIBRARY_PATH; or use engine = \"auto\"",
                        metaphased_tensorrt::headers().unwrap_or_default()
                    ),
                },
            })?;
            // Kept to the end: engines borrow from it, and TensorRT is not made to be unloaded.
            opened.insert(Box::leak(Box::new(library)))
        }
    };
    Ok((library, version(library)))
}

impl TensorrtEngine {
    /// Opens TensorRT from `folder` (or where the system's loader looks) and the first GPU.
    ///
    /// # Errors
    /// When the library, the driver or the GPU is not there, or does not fit.
    pub fn open(folder: Option<&Path>, cache: PlanCache) -> Result<Self, EngineError> {
        let (library, version) = open_tensorrt(folder)?;
        let unavailable = |error: metaphased_cuda::Error| EngineError::Unavailable {
            engine: NAME,
            reason: error.to_string(),
            remedy: "Install NVIDIA's driver and NVRTC on a machine with an NVIDIA GPU, or use engine = \"auto\""
                .to_owned(),
        };
        let facts = gpu_facts(0).map_err(unavailable)?;
        if let Some(folder) = cache.folder() {
            // The compiled kernels lie beside the plans; without the folder they are compiled at each start.
            let _ = std::fs::create_dir_all(folder);
        }
        let device = Device::gpu(0, cache.folder()).map_err(unavailable)?;
        let described = format!("{version} on {}", device.describe());
        Ok(Self { library, device: Arc::new(Mutex::new(device)), facts, cache, described })
    }

    fn key(&self, file: &FileEntry, profiles: &[Profile]) -> PlanKey {
        let shape = |dims: &[i64]| dims.iter().map(ToString::to_string).collect::<Vec<_>>().join("x");
        let described = |p: &Profile| format!("{} {}", p.input, p.shapes.each_ref().map(|s| shape(s)).join(" "));
        PlanKey {
            model: file.sha256.to_ascii_lowercase(),
            tensorrt: version(self.library),
            gpu: self.facts.name.clone(),
            driver: self.facts.driver,
            profile: profiles.iter().map(described).collect::<Vec<_>>().join(", "),
            precision: file.precision,
        }
    }

    fn build(&self, path: &Path, profiles: &[Profile], key: &PlanKey) -> Result<Vec<u8>, EngineError> {
        let failed =
            |error: TensorrtError| EngineError::Load { engine: NAME, path: path.to_owned(), reason: error.to_string() };
        let begun = std::time::Instant::now();
        tracing::info!(network = %path.display(), gpu = key.gpu, "building for this GPU: once, from seconds to minutes");
        let mut builder = self.library.parse(path).map_err(failed)?;
        for profile in profiles {
            builder.profile(&profile.input, profile.shapes.each_ref().map(Vec::as_slice)).map_err(failed)?;
        }
        match self.cache.timing(key) {
            Kept::Plan(timing) => {
                if let Err(error) = builder.load_timing(&timing) {
                    tracing::warn!(%error, "the kept timings are not used");
                }
            }
            Kept::Nothing => {
                // An empty cache is still one to fill. TensorRT-RTX has none; that is no error.
                let _ = builder.load_timing(&[]);
            }
            Kept::Unusable(why) => tracing::warn!(why, "the kept timings are not used"),
        }
        let progress = |phase: &str, step: i32, steps: i32| tracing::info!(phase, step, steps, "building");
        let plan = builder.build(progress).map_err(failed)?.to_vec();
        if let Some(timing) = builder.timing()
            && let Err(error) = self.cache.keep_timing(key, &timing)
        {
            tracing::warn!(%error, "the timings cannot be kept");
        }
        if let Err(error) = self.cache.keep_plan(key, &plan) {
            tracing::warn!(%error, "the plan cannot be kept: it is built again at the next start");
        }
        tracing::info!(network = %path.display(), seconds = begun.elapsed().as_secs_f64(), bytes = plan.len(), "built");
        Ok(plan)
    }
}

/// Least, usual and largest shape of an input.
struct Profile {
    input: String,
    shapes: [Vec<i64>; 3],
}

/// Boxes of a cell that a classifier may be asked about at once; a whole cell has 46, with doubles and dirt a few hundred.
const MOST_CROPS: i64 = 1000;

fn profiles(model: &ModelFolder) -> Vec<Profile> {
    let spec = &model.manifest.input;
    let channels = spec.channels as i64;
    let profile = |input: &str, shapes| Profile { input: input.to_owned(), shapes };
    match spec.size {
        Some(side) if matches!(model.manifest.task, Task::Classifier | Task::Anatomy) => {
            let crops = |n| vec![n, channels, side as i64, side as i64];
            let sizes = |n| vec![n, spec.sizes.len() as i64];
            let mut all = vec![profile(&spec.tensor, [crops(1), crops(46), crops(MOST_CROPS)])];
            all.extend(spec.size_tensor.iter().map(|name| profile(name, [sizes(1), sizes(46), sizes(MOST_CROPS)])));
            all
        }
        _ => {
            let step = spec.stride.unwrap_or(32);
            let most = spec.max_side.unwrap_or(4096).next_multiple_of(step) as i64;
            let usual = (544usize.next_multiple_of(step) as i64).min(most);
            let square = |side| vec![1, channels, side, side];
            vec![profile(&spec.tensor, [square(step as i64), square(usual), square(most)])]
        }
    }
}

impl Engine for TensorrtEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn describe(&self) -> String {
        self.described.clone()
    }

    fn precisions(&self) -> &'static [Precision] {
        &[Precision::F16, Precision::Bf16, Precision::F32, Precision::Int8]
    }

    fn device(&self) -> Option<SharedDevice> {
        Some(self.device.clone())
    }

    fn load(&self, model: &ModelFolder, file: &FileEntry) -> Result<Box<dyn Session>, EngineError> {
        let path = model.path_of(file);
        let failed = |reason: String| EngineError::Load { engine: NAME, path: path.clone(), reason };
        let profiles = profiles(model);
        let key = self.key(file, &profiles);
        let kept = match self.cache.plan(&key) {
            Kept::Plan(plan) => match self.library.load(&plan) {
                Ok(engine) => Some(engine),
                Err(error) => {
                    tracing::warn!(%error, "TensorRT refuses a kept plan; it is built again");
                    None
                }
            },
            Kept::Nothing => None,
            Kept::Unusable(why) => {
                tracing::warn!(why, "a kept plan is not used; it is built again");
                None
            }
        };
        let engine = match kept {
            Some(engine) => engine,
            None => {
                let plan = self.build(&path, &profiles, &key)?;
                self.library.load(&plan).map_err(|error| failed(error.to_string()))?
            }
        };
        let context = engine.into_context().map_err(|error| failed(error.to_string()))?;
        let device = self.device.clone();
        let network = {
            let held = device.lock().unwrap_or_else(PoisonError::into_inner);
            Network::new(&held, context).map_err(|error| failed(error.to_string()))?
        };
        Ok(Box::new(TensorrtSession { network, device, model: model.name().to_owned() }))
    }
}

struct TensorrtSession {
    network: Network,
    device: SharedDevice,
    model: String,
}

impl TensorrtSession {
    fn failed(&self) -> impl Fn(metaphased_cuda::Error) -> EngineError + use<> {
        let model = self.model.clone();
        move |error| EngineError::Run { engine: NAME, model: model.clone(), reason: error.to_string() }
    }

    fn check(&self, tensor: &str, is_input: bool) -> Result<(), ModelError> {
        let tensors = self.network.tensors();
        if tensors.iter().any(|known| known.is_input == is_input && known.name == tensor) {
            return Ok(());
        }
        let names: Vec<String> = tensors.into_iter().filter(|t| t.is_input == is_input).map(|t| t.name).collect();
        Err(ModelError::MissingTensor { model: self.model.clone(), tensor: tensor.to_owned(), found: names.join(", ") })
    }
}

impl Session for TensorrtSession {
    fn run(&mut self, inputs: &[Input<'_>]) -> Result<Outputs, EngineError> {
        let failed = self.failed();
        for input in inputs {
            self.check(input.name, true)?;
        }
        let device = self.device.clone();
        let mut device = device.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held = Vec::with_capacity(inputs.len());
        for input in inputs {
            let mut buffer = Buffer::default();
            device.upload(&mut buffer, input.data).map_err(&failed)?;
            held.push(buffer);
        }
        let fed: Vec<DeviceInput<'_>> =
            inputs.iter().zip(&held).map(|(input, buffer)| (input.name, input.shape, buffer)).collect();
        let names: Vec<String> =
            self.network.tensors().into_iter().filter(|tensor| !tensor.is_input).map(|tensor| tensor.name).collect();
        let mut buffers: Vec<Buffer> = names.iter().map(|_| Buffer::default()).collect();
        let mut outputs: Vec<(&str, &mut Buffer)> = names.iter().map(String::as_str).zip(&mut buffers).collect();
        let shapes = self.network.run(&mut device, &fed, &mut outputs).map_err(&failed)?;
        let mut tensors = Outputs::with_capacity(names.len());
        for ((name, shape), buffer) in names.into_iter().zip(shapes).zip(&buffers) {
            let data = device.download(buffer, shape.iter().product()).map_err(&failed)?;
            tensors.push((name, Tensor { shape, data }));
        }
        Ok(tensors)
    }

    fn run_on(
        &mut self,
        device: &mut Device,
        inputs: &[DeviceInput<'_>],
        output: &str,
        into: &mut Buffer,
    ) -> Result<Vec<usize>, EngineError> {
        for (name, ..) in inputs {
            self.check(name, true)?;
        }
        self.check(output, false)?;
        let shapes = self.network.run(device, inputs, &mut [(output, into)]).map_err(self.failed())?;
        Ok(shapes.into_iter().next().unwrap_or_default())
    }
}

/// The folder that `inference.library` names: itself, or where the file it names lies.
pub fn folder_of(library: Option<&Path>) -> Option<PathBuf> {
    let path = library?;
    if path.is_dir() { Some(path.to_owned()) } else { path.parent().map(Path::to_owned) }
}
