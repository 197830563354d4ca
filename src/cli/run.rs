//! `run`: the daemon.

use std::time::Duration;

use super::{Exit, Failure, Global, config};
use crate::{
    config::Config,
    daemon::{self, Daemon, Ending, Progress, Reloading, Signals},
    telemetry,
};

/// Runs the daemon until a signal ends it.
pub fn run(global: &Global) -> Result<Exit, Failure> {
    let loaded = config::load(global, None)?;
    let signals = Signals::watch()?;
    let progress = Progress::on_terminal();
    let log = telemetry::start(&loaded.config.log, progress.bar.clone()).map_err(|e| Failure::new(Exit::Config, e))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("sockets")
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Exit::Internal, format!("cannot start the socket threads: {e}")))?;
    let load = || config::load(global, None).map_err(|failure| failure.to_string());
    let reloading = Reloading { load: &load, log: &log };
    let ending = Daemon::start(&loaded, runtime.handle(), progress)?.run(&signals, &reloading);
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(match ending {
        Ending::Asked => Exit::Done,
        Ending::Broken => Exit::Internal,
    })
}

impl From<daemon::StartError> for Failure {
    fn from(error: daemon::StartError) -> Self {
        Self::from_error(error.kind().into(), &error)
    }
}

/// Where the store is.
pub fn state_folder(config: &Config) -> Result<std::path::PathBuf, Failure> {
    Ok(daemon::state_folder(config)?)
}
