//! `check-config` and `print-config`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, Failure, Global};
use crate::config::{self, Loaded};

/// Arguments of `check-config`.
#[derive(Debug, Args)]
pub struct CheckConfig {
    /// The file to check.
    pub file: PathBuf,
}

/// Arguments of `print-config`.
#[derive(Debug, Args)]
pub struct PrintConfig {
    /// The file to print; without one, the defaults and the environment.
    pub file: Option<PathBuf>,
}

/// Reads the configuration that the command line and the environment name.
pub fn load(global: &Global, file: Option<&Path>) -> Result<Loaded, Failure> {
    let mut flags = Vec::new();
    if let Some(engine) = &global.engine {
        flags.push(("inference.engine", engine.clone()));
    }
    if let Some(models) = &global.models {
        flags.push(("inference.models", models.display().to_string()));
    }
    if let Some(level) = &global.log {
        flags.push(("log.level", level.clone()));
    }
    let file = file.or(global.config.as_deref());
    Ok(config::load(file, std::env::vars(), &flags)?)
}

impl CheckConfig {
    /// Checks the file and says what is wrong with it.
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        load(global, Some(&self.file))?;
        eprintln!("{}: OK", self.file.display());
        Ok(Exit::Done)
    }
}

impl PrintConfig {
    /// Prints the effective configuration.
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let loaded = load(global, self.file.as_deref())?;
        print!("{}", config::print(&loaded));
        Ok(Exit::Done)
    }
}
