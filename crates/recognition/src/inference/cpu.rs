//! Engine `cpu`: rten, pure Rust, always there.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use rten::{Model, NodeId, RunOptions, ThreadPool, Value, ValueView};

use super::{
    Engine, EngineError, FileEntry, IN_CACHE, Input, ModelError, ModelFolder, Outputs, Session, Tensor,
    manifest::Precision,
};

const NAME: &str = "cpu";

/// Networks that are in use, by their files.
type InUse = Arc<Mutex<HashMap<PathBuf, Weak<Model>>>>;

/// Runs networks on the processor with rten. All sessions share one pool of threads.
pub struct CpuEngine {
    pool: Arc<ThreadPool>,
    threads: usize,
    in_use: InUse,
}

impl CpuEngine {
    /// An engine of `threads` threads (at least 1).
    pub fn new(threads: usize) -> Self {
        Self::sharing(threads, InUse::default())
    }

    /// An engine of as many threads that shares the networks of this one.
    pub fn with_threads(&self, threads: usize) -> Self {
        Self::sharing(threads, self.in_use.clone())
    }

    fn sharing(threads: usize, in_use: InUse) -> Self {
        let threads = threads.max(1);
        Self { pool: Arc::new(ThreadPool::with_num_threads(threads)), threads, in_use }
    }

    /// The network of a file: the one that is in use already, where there is one.
    fn network(&self, path: &Path) -> Result<Arc<Model>, EngineError> {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(network) = in_use.get(path).and_then(Weak::upgrade) {
            return Ok(network);
        }
        let network = Model::load_file(path).map_err(|error| EngineError::Load {
            engine: NAME,
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        let network = Arc::new(network);
        in_use.insert(path.to_owned(), Arc::downgrade(&network));
        Ok(network)
    }
}

impl Engine for CpuEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn describe(&self) -> String {
        format!("rten on the processor, {} threads", self.threads)
    }

    fn precisions(&self) -> &'static [Precision] {
        // Half floats are widened when the file is read, so nothing is gained by them here.
        &[Precision::F32, Precision::Int8, Precision::F16]
    }

    fn load(&self, model: &ModelFolder, file: &FileEntry) -> Result<Box<dyn Session>, EngineError> {
        let network = self.network(&model.path_of(file))?;
        let outputs = network
            .output_ids()
            .iter()
            .map(|id| (*id, network.node_info(*id).and_then(|node| node.name()).unwrap_or_default().to_owned()))
            .collect();
        Ok(Box::new(CpuSession { network, outputs, pool: self.pool.clone(), model: model.name().to_owned() }))
    }
}

struct CpuSession {
    network: Arc<Model>,
    outputs: Vec<(NodeId, String)>,
    pool: Arc<ThreadPool>,
    model: String,
}

impl CpuSession {
    fn failed(&self, reason: impl ToString) -> EngineError {
        EngineError::Run { engine: NAME, model: self.model.clone(), reason: reason.to_string() }
    }

    fn input_id(&self, name: &str) -> Result<NodeId, ModelError> {
        let named = |id: &&NodeId| self.network.node_info(**id).and_then(|node| node.name()) == Some(name);
        self.network.input_ids().iter().find(named).copied().ok_or_else(|| {
            let names: Vec<_> = self
                .network
                .input_ids()
                .iter()
                .filter_map(|id| self.network.node_info(*id).and_then(|node| node.name()))
                .collect();
            ModelError::MissingTensor { model: self.model.clone(), tensor: name.to_owned(), found: names.join(", ") }
        })
    }
}

impl Session for CpuSession {
    fn crops_at_once(&self) -> usize {
        IN_CACHE
    }

    fn run(&mut self, inputs: &[Input<'_>]) -> Result<Outputs, EngineError> {
        let mut fed = Vec::with_capacity(inputs.len());
        for input in inputs {
            let view = ValueView::from_shape(input.shape, input.data).map_err(|error| self.failed(error))?;
            fed.push((self.input_id(input.name)?, view.into()));
        }
        let ids: Vec<NodeId> = self.outputs.iter().map(|(id, _)| *id).collect();
        let options = RunOptions::default().with_thread_pool(Some(self.pool.clone()));
        let values = self.network.run(fed, &ids, Some(options)).map_err(|error| self.failed(error))?;
        let mut outputs = Outputs::with_capacity(values.len());
        for ((_, name), value) in self.outputs.iter().zip(values) {
            let Value::FloatTensor(tensor) = value else {
                return Err(self.failed(format!("output '{name}' is {:?}, expected 32-bit floats", value.dtype())));
            };
            let shape = rten_tensor::Layout::shape(&tensor).to_vec();
            outputs.push((name.clone(), Tensor { shape, data: tensor.into_data() }));
        }
        Ok(outputs)
    }
}
