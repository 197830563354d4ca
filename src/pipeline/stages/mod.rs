//! The stages, one file each. A stage is a loop on a thread of its own around functions of the rooms below.

pub mod capture;
pub mod commit;
pub mod interpret;
pub mod recognise;
pub mod triage;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use super::{clock::Clock, monitor::StageMonitor};
use crate::station::Health;

/// What every stage has at hand.
#[derive(Debug, Clone)]
pub struct StageContext {
    /// Its monitor.
    pub monitor: Arc<StageMonitor>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The picture of the daemon.
    pub health: Health,
    /// Sources end; the rest drains.
    pub stop: Arc<AtomicBool>,
    /// The time for draining is over: what is in hand is given up.
    pub abandon: Arc<AtomicBool>,
}

impl StageContext {
    /// Sources are to end.
    pub fn stopping(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// What is in hand is to be given up.
    pub fn abandoned(&self) -> bool {
        self.abandon.load(Relaxed)
    }

    /// Says that a panic was caught.
    pub fn record_panic(&self, text: &str) {
        tracing::error!(stage = self.monitor.name(), panic = text, "a stage panicked; the frame is rejected");
        let restarts = self.monitor.panics() as u32;
        self.health.stage(self.monitor.name(), |s| s.restarts = restarts);
    }
}

/// Starts a named thread.
///
/// # Errors
/// When the system has none to give.
pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(body)
}
