//! How the daemon stops: sources first, then what they gave, then who is connected.

use std::time::Duration;

use sd_notify::NotifyState;

use super::{Daemon, notify};

/// Time for the broker to take the messages that still wait.
const BROKER_GOODBYE: Duration = Duration::from_millis(400);
/// Time for the page to end its connections.
const PAGE_GOODBYE: Duration = Duration::from_millis(200);

impl Daemon {
    pub(super) fn stop(&mut self) {
        notify(&[NotifyState::Stopping]);
        self.progress.end();
        tracing::info!("stopping");
        if !self.pipeline.stop(Duration::from_secs_f64(self.config.shutdown.timeout)) {
            tracing::warn!("not everything could be finished in time; lossless sources read it again next time");
        }
        self.records.stop();
        if let Some(session) = self.session.take() {
            session.stop(BROKER_GOODBYE);
        }
        if let Some(page) = self.page.take() {
            // It has been ending since the pipeline stopped.
            let _ = self.runtime.block_on(async { tokio::time::timeout(PAGE_GOODBYE, page).await });
        }
        if let Err(error) = self.store.checkpoint() {
            tracing::warn!(%error, "the log of the database stays beside it");
        }
    }
}
