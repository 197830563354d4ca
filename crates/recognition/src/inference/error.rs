//! What can be wrong with a model or an engine.

use std::path::PathBuf;

use super::manifest::Precision;
use domain::{ErrorKind, HasKind};

/// Something is wrong with a model folder.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No folder of that name in the search path.
    #[error("no model '{name}' found; looked in {}: put the folder there or name another with --models DIR", list(.searched))]
    NotFound {
        /// Name asked for.
        name: String,
        /// Folders looked in, in order.
        searched: Vec<PathBuf>,
    },
    /// No model serves the task (and stain) in the search path.
    #[error("no {task} model for stain '{stain}' found; looked in {}: add a model folder or name one in [inference]", list(.searched))]
    NoneForStain {
        /// Task asked for.
        task: String,
        /// Stain asked for.
        stain: String,
        /// Folders looked in, in order.
        searched: Vec<PathBuf>,
    },
    /// A file that the manifest names, or the manifest itself, cannot be read.
    #[error("model file {path} cannot be read ({reason}): copy the whole model folder again")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The manifest is not valid.
    #[error("{path}: {reason}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong, with line and column where the parser gives them.
        reason: String,
    },
    /// A file is not the one that the manifest describes.
    #[error(
        "{path} has sha256 {found}, model.toml expects {expected}: the file is altered or incomplete; copy it again"
    )]
    WrongHash {
        /// The file.
        path: PathBuf,
        /// Hash in the manifest, hexadecimal.
        expected: String,
        /// Hash of the file, hexadecimal.
        found: String,
    },
    /// A tensor has another shape than the manifest says.
    #[error(
        "model '{model}': tensor '{tensor}' has shape {found}, expected {expected}: model.toml and the network do not belong together"
    )]
    WrongShape {
        /// Model name.
        model: String,
        /// Tensor name.
        tensor: String,
        /// Shape that model.toml implies.
        expected: String,
        /// Shape that the network gave.
        found: String,
    },
    /// The network gives another number of classes than the manifest lists.
    #[error(
        "model '{model}': the network gives {found} classes, model.toml lists {expected}: correct [output] classes"
    )]
    WrongClassCount {
        /// Model name.
        model: String,
        /// Classes in the manifest (with `other`, where it is on).
        expected: usize,
        /// Classes that the network gives.
        found: usize,
    },
    /// The network lacks a tensor.
    #[error("model '{model}': the network has no tensor '{tensor}'; it has {found}: correct model.toml")]
    MissingTensor {
        /// Model name.
        model: String,
        /// Name in the manifest.
        tensor: String,
        /// Names in the network.
        found: String,
    },
    /// The model does another task than the one it was asked for.
    #[error("model '{model}' is a {found}, expected a {expected}: name another model in [inference]")]
    WrongTask {
        /// Model name.
        model: String,
        /// Task needed.
        expected: String,
        /// Task of the model.
        found: String,
    },
    /// No file of a precision that the engine runs.
    #[error("model '{model}' has files in {found}, the engine runs {}: export one of these", precisions(.wanted))]
    NoPrecision {
        /// Model name.
        model: String,
        /// Precisions that would do.
        wanted: Vec<Precision>,
        /// Precisions that are there.
        found: String,
    },
}

/// Something is wrong with an engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The model is at fault.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The engine, or the provider asked for, is not on this machine.
    #[error("engine '{engine}' is not available: {reason}. {remedy}")]
    Unavailable {
        /// Engine name.
        engine: &'static str,
        /// Why.
        reason: String,
        /// How to get it.
        remedy: String,
    },
    /// The engine cannot load the network.
    #[error("engine '{engine}' cannot load {path}: {reason}")]
    Load {
        /// Engine name.
        engine: &'static str,
        /// The network file.
        path: PathBuf,
        /// The engine's own words.
        reason: String,
    },
    /// A run failed.
    #[error("engine '{engine}' failed while running '{model}': {reason}")]
    Run {
        /// Engine name.
        engine: &'static str,
        /// Model name.
        model: String,
        /// The engine's own words.
        reason: String,
    },
}

impl HasKind for ModelError {
    /// A model that is missing or damaged is not available: another can be installed.
    fn kind(&self) -> ErrorKind {
        ErrorKind::Unavailable
    }
}

impl HasKind for EngineError {
    /// Whatever fails, the engine is not available: another may be.
    fn kind(&self) -> ErrorKind {
        ErrorKind::Unavailable
    }
}

fn list(paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return "no folder at all".to_owned();
    }
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn precisions(wanted: &[Precision]) -> String {
    wanted.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
