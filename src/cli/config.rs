//! `check-config` and `print-config`.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{Exit, Failure, Global};
use crate::{
    config::{self, ConfigError, Loaded},
    daemon,
};

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
    let (environment, flags) = above_the_file(global)?;
    Ok(config::load(file.or(global.config.as_deref()), environment, &flags)?)
}

type Flags = Vec<(&'static str, String)>;

/// The layers above the file: environment and options.
fn above_the_file(global: &Global) -> Result<(Vec<(String, String)>, Flags), Failure> {
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
    Ok((environment(std::env::vars_os())?, flags))
}

/// The variables that carry configuration. Others may hold anything, also what is no UTF-8.
fn environment(all: impl Iterator<Item = (OsString, OsString)>) -> Result<Vec<(String, String)>, Failure> {
    let ours = all.filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    ours.filter(|(name, _)| name.starts_with(config::ENVIRONMENT_PREFIX))
        .map(|(name, value)| match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(value) => Err(Failure::new(
                Exit::Config,
                format!("invalid environment variable {name} '{}': expected UTF-8", value.to_string_lossy()),
            )),
        })
        .collect()
}

impl CheckConfig {
    /// Checks the file and what it names, and reports all that the start would refuse.
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let (environment, flags) = above_the_file(global)?;
        let checked = daemon::check_start(config::examine(Some(&self.file), environment, &flags)?);
        for note in &checked.notes {
            eprintln!("note: {note}");
        }
        match checked.kind {
            None => {
                eprintln!("{}: OK", self.file.display());
                Ok(Exit::Done)
            }
            Some(kind) => Err(Failure::new(kind.into(), ConfigError::Wrong(checked.mistakes))),
        }
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

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_variable_that_is_no_utf8_matters_only_when_it_is_ours() {
        let garbled = || OsString::from_vec(vec![b'x', 0xff]);
        let others =
            [("OTHER".into(), garbled()), (garbled(), "1".into()), ("METAPHASED__STATION".into(), "lab-1".into())];
        let ours = environment(others.into_iter()).expect("nothing is wrong");
        assert_eq!(ours, [("METAPHASED__STATION".to_owned(), "lab-1".to_owned())]);
        let wrong = environment([("METAPHASED__STATION".into(), garbled())].into_iter()).expect_err("no UTF-8");
        assert_eq!(wrong.exit, Exit::Config);
        assert!(wrong.to_string().contains("METAPHASED__STATION 'x\u{fffd}': expected UTF-8"), "{wrong}");
    }
}
