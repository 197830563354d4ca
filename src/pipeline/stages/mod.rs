//! The stages, one file each. A stage is a loop on a thread of its own around functions of the layers below.

pub mod capture;
pub mod commit;
pub mod interpret;
pub mod recognise;
mod revise;
pub mod triage;

use std::{sync::Arc, thread};

use super::{
    edges::{EdgeSender, Sent},
    job::Job,
    monitor::StageMonitor,
};
use crate::{
    clock::Clock,
    config::Mode,
    shutdown::ShutdownReceiver,
    station::{DropReason, Health},
};

/// What every stage works with.
#[derive(Debug, Clone)]
pub struct StageContext {
    /// Its monitor.
    pub monitor: Arc<StageMonitor>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The state of the daemon.
    pub health: Health,
    /// The shutdown: sources end and the rest drains, then what is unfinished is given up.
    pub shutdown: ShutdownReceiver,
}

impl StageContext {
    /// Reports a panic that was caught.
    pub fn record_panic(&self, text: &str) {
        tracing::error!(stage = self.monitor.name(), panic = text, "a stage panicked; the frame is rejected");
        let restarts = self.monitor.panics() as u32;
        self.health.stage(self.monitor.name(), |s| s.restarts = restarts);
    }
}

/// Hands a frame on as its source's mode asks. One that somebody has asked for is not let go for a newer one.
pub fn hand_on(output: &EdgeSender<Job>, job: Job) {
    let mut job = job;
    loop {
        let mode = if job.requested { Mode::Lossless } else { job.context.mode };
        match output.send(job, mode) {
            Sent::Done => return,
            // It goes in again, and waits there for its turn.
            Sent::Displaced(older) if older.requested => job = older,
            Sent::Displaced(older) => return older.drop_for(DropReason::Superseded),
            Sent::Abandoned(job) => return job.drop_for(DropReason::Shutdown),
        }
    }
}

/// Starts a named thread.
///
/// # Errors
/// When the system cannot start it.
pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(body)
}
