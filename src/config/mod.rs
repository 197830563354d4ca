//! Typed configuration with the place of every mistake.
//!
//! Three layers, later ones win: TOML file, environment (`METAPHASED__MQTT__URL=...`), command line. The JSON Schema
//! of [`Config`] is the one truth about keys and types: it is printed by `metaphased schema configuration` and walked
//! here to find every mistake at once, with file, line, column and remedy. (The `config` crate merges layers but
//! forgets where a value stood and lower-cases keys, so it could not say that; docs/design.md.)

mod check;
mod layers;
mod memory;
mod model;
mod names;
mod paths;
mod print;
mod scoring;
mod sense;
mod source;
mod stream;

pub use check::{Mistake, in_order};
pub use layers::{ENVIRONMENT_PREFIX, Layers, Origin};
pub use memory::MemoryConfig;
pub use model::*;
pub use names::{MAX_NAME, check_name, encode_level, slide_topic};
pub use paths::{credential, read_password};
pub use print::print;
pub use scoring::*;
pub use source::*;
pub use stream::StreamAddress;

use std::{
    io,
    path::{Path, PathBuf},
};

use domain::{ErrorKind, HasKind};

/// A configuration ready for use, and where its values came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The typed values.
    pub config: Config,
    /// The merged layers with their origins.
    pub layers: Layers,
    /// The file, when one was given.
    pub file: Option<PathBuf>,
}

/// A configuration that cannot be used: every mistake, in the order of the file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Mistakes, one per line.
    #[error("{}", summary(.0))]
    Wrong(Vec<Mistake>),
}

fn summary(problems: &[Mistake]) -> String {
    let mut text = match problems.len() {
        1 => "1 mistake in the configuration".to_owned(),
        n => format!("{n} mistakes in the configuration"),
    };
    for problem in problems {
        text.push_str(&format!("\n{problem}"));
    }
    text
}

impl HasKind for ConfigError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => ErrorKind::NotFound,
            Self::Read { .. } => ErrorKind::Io,
            Self::Wrong(_) => ErrorKind::Config,
        }
    }
}

/// What was found in the layers: as much of the configuration as could be read, and every mistake.
#[derive(Debug)]
pub struct Examined {
    /// Without the keys that could not be used; none where nothing can be said of the rest.
    pub loaded: Option<Loaded>,
    /// In the order of the file.
    pub mistakes: Vec<Mistake>,
}

/// Reads the layers and checks all of them. `environment` are the process's variables, `flags` pairs of key path and
/// value from the command line.
///
/// # Errors
/// When the file cannot be read.
pub fn examine(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &[(&str, String)],
) -> Result<Examined, ConfigError> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })
            .map(Some)?,
        None => None,
    };
    let named = file.map(|path| path.display().to_string());
    let layers = match Layers::read(named.as_deref().zip(text.as_deref()), environment, flags) {
        Ok(layers) => layers,
        Err(mistakes) => return Ok(Examined { loaded: None, mistakes }),
    };
    let (mut config, mistakes) = check::check(&layers);
    if let (Some(config), Some(folder)) = (&mut config, file.and_then(Path::parent)) {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").is_some();
        paths::anchor(config, &layers, folder, credentials);
    }
    let loaded = config.map(|config| Loaded { config, layers, file: file.map(Path::to_owned) });
    Ok(Examined { loaded, mistakes })
}

/// A configuration without mistakes, from the layers as [`examine`] takes them.
///
/// # Errors
/// When the file cannot be read, or with every mistake in it.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &[(&str, String)],
) -> Result<Loaded, ConfigError> {
    match examine(file, environment, flags)? {
        Examined { loaded: Some(loaded), mistakes } if mistakes.is_empty() => Ok(loaded),
        Examined { mistakes, .. } => Err(ConfigError::Wrong(mistakes)),
    }
}

#[cfg(test)]
mod tests;
