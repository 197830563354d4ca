//! `run`: the daemon.

mod banner;
mod broker;
mod commands;
mod daemon;
mod facts;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use signal_hook::consts::{SIGINT, SIGTERM};

use self::{banner::Progress, daemon::Daemon};
use super::{Exit, Failure, Global, config};
use crate::{config::Config, telemetry};

/// Name of the value in the store that tells where the page of the daemon is.
pub const PAGE_KEY: &str = "page";

/// Runs the daemon until a signal ends it.
pub fn run(global: &Global) -> Result<Exit, Failure> {
    let loaded = config::load(global, None)?;
    let signals = Signals::watch()?;
    let progress = Progress::new();
    telemetry::start(&loaded.config.log, progress.bar.clone()).map_err(|e| Failure::new(Exit::Config, e))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("sockets")
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Exit::Internal, format!("cannot start the socket threads: {e}")))?;
    let exit = Daemon::start(&loaded, &runtime, progress)?.watch(&signals);
    runtime.shutdown_timeout(Duration::from_millis(100));
    exit
}

/// SIGINT and SIGTERM: the first asks, the second ends at once.
struct Signals(Arc<AtomicBool>);

impl Signals {
    fn watch() -> Result<Self, Failure> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the shutdown is armed by the flag that the first signal sets.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, asked.clone())
                .and_then(|_| signal_hook::flag::register(signal, asked.clone()))
                .map_err(|e| Failure::new(Exit::Internal, format!("cannot watch for signals: {e}")))?;
        }
        Ok(Self(asked))
    }

    fn asked(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// Where the store is: configured, else systemd's, else the user's.
pub fn state_folder(config: &Config) -> Result<PathBuf, Failure> {
    if let Some(path) = &config.store.path {
        return Ok(path.clone());
    }
    let named = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(folder) = named("STATE_DIRECTORY") {
        return Ok(folder);
    }
    if let Some(folder) = named("XDG_STATE_HOME").filter(|p| p.is_absolute()) {
        return Ok(folder.join("metaphased"));
    }
    named("HOME").map(|home| home.join(".local/state/metaphased")).ok_or_else(|| {
        Failure::new(Exit::Config, "no place for the store: set store.path, STATE_DIRECTORY or XDG_STATE_HOME")
    })
}
