//! Engine `kserve`: networks on servers that speak KServe v2 (NVIDIA Triton, OpenVINO Model Server), over HTTP or gRPC.
//! The servers keep their own copies of the networks, under the models' names: their hashes cannot be checked from here,
//! the shapes of what they answer are.

mod address;
mod grpc;
mod http;
mod pool;
mod protobuf;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use self::{
    grpc::{Driver, GrpcServer},
    http::HttpServer,
    pool::{Limits, Pool},
};
use super::{
    Engine, EngineError, FileEntry, Input, KserveConfig, Manifest, ModelFolder, Outputs, Precision, Session, Task,
    Tensor,
};

pub use address::{Protocol, ServerAddress};

const NAME: &str = "kserve";
/// Bytes of an answer: a detector's map of 2048 x 2048 in 30 channels is 8 MB.
const MAX_ANSWER_BYTES: u64 = 256 << 20;

/// One server.
trait Server: Send + Sync {
    fn address(&self) -> &ServerAddress;

    /// Asks whether the server, or one of its networks, is ready.
    fn ready(&self, model: Option<&str>, within: Duration) -> Result<(), String>;

    /// Has it run a network.
    fn infer(&self, model: &str, inputs: &[Input<'_>], within: Duration) -> Result<Outputs, Fault>;
}

/// Why a server gave no answer, with its address.
#[derive(Debug)]
enum Fault {
    /// It does not take this request; another might.
    Refused(String),
    /// The connection broke, or there was none.
    Broken(String),
    /// It fails.
    Failed(String),
}

impl Fault {
    fn into_reason(self) -> String {
        let (Self::Refused(reason) | Self::Broken(reason) | Self::Failed(reason)) = self;
        reason
    }
}

/// Runs networks on servers.
pub struct KserveEngine {
    pool: Arc<Pool>,
}

impl KserveEngine {
    /// Asks the servers whether they are ready; one that is suffices.
    ///
    /// # Errors
    /// When none answers with yes.
    pub fn open(addresses: Vec<ServerAddress>, settings: &KserveConfig) -> Result<Self, EngineError> {
        let unavailable = |reason| EngineError::Unavailable {
            engine: NAME,
            reason,
            remedy: "Start the server, correct its address in [inference], or use engine = \"auto\"".to_owned(),
        };
        let limits = Limits { in_flight: settings.in_flight, timeout: Duration::from_secs_f64(settings.timeout) };
        let mut driver = None;
        let mut servers: Vec<Box<dyn Server>> = Vec::with_capacity(addresses.len());
        for address in addresses {
            servers.push(match address.protocol {
                Protocol::Http => Box::new(HttpServer::new(address, settings.in_flight)),
                Protocol::Grpc => {
                    let driver = match &driver {
                        Some(driver) => Arc::clone(driver),
                        None => driver.insert(Driver::start().map_err(unavailable)?).clone(),
                    };
                    Box::new(GrpcServer::new(address, driver))
                }
            });
        }
        let pool = Pool::open(servers, limits).map_err(unavailable)?;
        Ok(Self { pool: Arc::new(pool) })
    }
}

impl Engine for KserveEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn describe(&self) -> String {
        format!("KServe v2 at {}", self.pool.addresses())
    }

    fn precisions(&self) -> &'static [Precision] {
        // What a server computes in is its own matter; tensors are 32-bit floats.
        &[Precision::F32, Precision::F16, Precision::Bf16, Precision::Int8]
    }

    fn trouble(&self) -> Option<String> {
        self.pool.trouble()
    }

    fn load(&self, model: &ModelFolder, file: &FileEntry) -> Result<Box<dyn Session>, EngineError> {
        let loaded = self.pool.load(model.name());
        loaded.map_err(|reason| EngineError::Load { engine: NAME, path: model.path_of(file), reason })?;
        Ok(Box::new(KserveSession { pool: self.pool.clone(), manifest: model.manifest.clone() }))
    }
}

struct KserveSession {
    pool: Arc<Pool>,
    manifest: Manifest,
}

impl Session for KserveSession {
    fn run(&mut self, inputs: &[Input<'_>]) -> Result<Outputs, EngineError> {
        let manifest = &self.manifest;
        let answered = self.pool.run(|server, within| {
            let outputs = server.infer(&manifest.name, inputs, within)?;
            match check(manifest, inputs, &outputs) {
                Ok(()) => Ok(outputs),
                Err(reason) => Err(Fault::Failed(format!("{}: model '{}': {reason}", server.address(), manifest.name))),
            }
        });
        answered.map_err(|reason| EngineError::Run { engine: NAME, model: manifest.name.clone(), reason })
    }
}

/// Whether the outputs are such as this model gives for these inputs: what comes of another network, or of a broken one, is
/// no empty cell.
fn check(manifest: &Manifest, inputs: &[Input<'_>], outputs: &Outputs) -> Result<(), String> {
    for (name, Tensor { shape, data }) in outputs {
        let wanted: usize = shape.iter().product();
        if data.len() != wanted {
            return Err(format!("output '{name}' has {} values, its shape {shape:?} wants {wanted}", data.len()));
        }
        if !data.iter().all(|value| value.is_finite()) {
            return Err(format!("output '{name}' has values that are no numbers"));
        }
    }
    for (name, expected) in expected(manifest, inputs) {
        let Some((_, found)) = outputs.iter().find(|(output, _)| *output == name) else {
            let names: Vec<&str> = outputs.iter().map(|(name, _)| name.as_str()).collect();
            return Err(format!("it has no output '{name}'; it has {}", names.join(", ")));
        };
        if found.shape != expected {
            let found = &found.shape;
            return Err(format!(
                "output '{name}' has shape {found:?}, expected {expected:?}: the server has another network"
            ));
        }
    }
    Ok(())
}

/// Name and shape of the outputs that are read.
fn expected(manifest: &Manifest, inputs: &[Input<'_>]) -> Vec<(String, Vec<usize>)> {
    let output = &manifest.output;
    let input = inputs.first().map_or(&[][..], |input| input.shape);
    let rows = input.first().copied().unwrap_or_default();
    match (manifest.task, input) {
        (Task::Detector, [_, _, height, width]) => {
            let of = |stride: &usize| vec![rows, manifest.map_channels(), height / stride, width / stride];
            output.strides.iter().map(|stride| (format!("stride{stride}"), of(stride))).collect()
        }
        (Task::Anatomy, [_, _, height, width]) => {
            let step = output.subpixel;
            let shape = vec![rows, output.maps.len() * step * step, height / step, width / step];
            vec![(output.tensor.clone(), shape)]
        }
        (Task::Classifier, _) => {
            let logits = output.classes.len() + usize::from(output.other) + output.extra.len();
            vec![(output.tensor.clone(), vec![rows, logits])]
        }
        _ => Vec::new(),
    }
}
