//! SIGINT and SIGTERM.

use std::sync::{Arc, atomic::AtomicBool};

use crossbeam_channel::{Receiver, bounded};
use domain::ErrorKind;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag, iterator,
};

use super::StartError;

/// SIGINT and SIGTERM: the first asks the daemon to stop, the second ends the process at once.
#[derive(Debug)]
pub struct Signals(Receiver<()>);

impl Signals {
    /// Watches from now on.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn watch() -> Result<Self, StartError> {
        let failed = |error| StartError::new(ErrorKind::Internal, format!("cannot watch for signals: {error}"));
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the shutdown is armed by the flag that the first signal sets.
            flag::register_conditional_shutdown(signal, 128 + signal, asked.clone())
                .and_then(|_| flag::register(signal, asked.clone()))
                .map_err(failed)?;
        }
        let mut signals = iterator::Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
        let (sender, receiver) = bounded(1);
        let wait = move || {
            signals.forever().next();
            // The daemon may have ended for another reason.
            let _ = sender.send(());
        };
        std::thread::Builder::new().name("signals".into()).spawn(wait).map_err(failed)?;
        Ok(Self(receiver))
    }

    /// Receives when a signal came.
    pub(super) fn asked(&self) -> &Receiver<()> {
        &self.0
    }
}
