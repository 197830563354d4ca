//! Signals: SIGINT and SIGTERM stop, SIGHUP reads the configuration again, SIGUSR1, SIGUSR2 and SIGALRM do nothing.

use std::{
    io::IsTerminal,
    sync::{Arc, atomic::AtomicBool},
};

use crossbeam_channel::{Receiver, bounded};
use domain::ErrorKind;
use signal_hook::{
    consts::{SIGALRM, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2},
    flag, iterator,
};

use super::StartError;

/// SIGINT and SIGTERM: the first asks the daemon to stop, the second ends the process at once. SIGHUP asks for the
/// configuration to be read again; to a daemon on a terminal it says that the terminal is gone, and asks it to stop.
#[derive(Debug)]
pub struct Signals {
    stop: Receiver<()>,
    reload: Receiver<()>,
}

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
        for signal in [SIGUSR1, SIGUSR2, SIGALRM] {
            // Unwatched, each would end the process.
            flag::register(signal, Arc::default()).map_err(failed)?;
        }
        let hang_up_stops = std::io::stderr().is_terminal();
        let mut signals = iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
        let (stop_sender, stop) = bounded(1);
        let (reload_sender, reload) = bounded(1);
        let wait = move || {
            for signal in signals.forever() {
                let sender = if signal == SIGHUP && !hang_up_stops { &reload_sender } else { &stop_sender };
                // Full: it is asked for already. Disconnected: the daemon has ended for another reason.
                let _ = sender.try_send(());
            }
        };
        std::thread::Builder::new().name("signals".into()).spawn(wait).map_err(failed)?;
        Ok(Self { stop, reload })
    }

    /// Receives when the daemon is to stop.
    pub(super) fn asked(&self) -> &Receiver<()> {
        &self.stop
    }

    /// Receives when the configuration is to be read again.
    pub(super) fn reload(&self) -> &Receiver<()> {
        &self.reload
    }
}
