//! Routes, live page, metrics, health: what people and programs see over HTTP.
//!
//! [`bind`] takes the port before anything else starts, [`Bound::serve`] answers on the runtime it is called on.
//! [`LiveHub`] is what the pipeline talks to. Everything else is one file per group of routes.

mod access;
mod cases;
mod cells;
mod commands;
mod connections;
mod events;
mod guard;
mod hints;
mod iscn;
mod live;
mod metrics;
mod openapi;
mod page;
mod preview;
mod probes;
mod problem;
mod push;
mod server;
mod sessions;
mod sources;
mod speech;
mod status;
mod tries;
mod triggers;
mod users;

pub use access::{Entrance, Role};
pub use cells::CellPage;
pub use guard::Names;
pub use hints::{Hint, HintKind};
pub use live::{Event, EventKind, FrameNote, LiveBox, LiveBoxes, LiveFrame, LiveHub, LiveSource, Watch};
pub use preview::FrameExposure;
pub use problem::Problem;
pub use push::PushInlet;
pub use server::{Bound, DEFAULT_PORT, PeopleOptions, WebError, WebOptions, bind};
pub use sessions::{SessionList, UserViews, Who};
pub use status::Status;
pub use users::{User, UserList, UsersError, check_user_name, hash_password, read_users, write_users};

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use axum::extract::FromRef;
use tokio::sync::watch;

use crate::{
    station::{CommandOutbox, Health, Stats},
    store::{StoreError, StoreReader},
};

/// What the routes answer from.
#[derive(Clone)]
pub struct WebParts {
    /// The daemon's picture of itself.
    pub health: Health,
    /// Live frames and events.
    pub hub: LiveHub,
    /// Cells and cases.
    pub store: StoreReader,
    /// Where commands go.
    pub commands: CommandOutbox,
    /// Where pushed frames go.
    pub inlet: Option<PushInlet>,
    /// Folder of the laboratory's layout of reports; none: the built-in one.
    pub laboratory: Option<PathBuf>,
}

/// What every route shares.
#[derive(Clone)]
struct App {
    parts: WebParts,
    guard: Arc<guard::Guard>,
    metrics: Arc<metrics::Metrics>,
    /// The newest counters, with their rates.
    stats: Arc<Mutex<Stats>>,
    /// Becomes true when the daemon stops: long answers end then.
    stopping: watch::Receiver<bool>,
}

impl FromRef<App> for Arc<guard::Guard> {
    fn from_ref(app: &App) -> Self {
        app.guard.clone()
    }
}

impl App {
    /// Asks the store on a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&StoreReader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = self.parts.store.clone();
        blocking(move || ask(&store)).await?.map_err(Problem::from)
    }

    fn latest_stats(&self) -> Stats {
        self.stats.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

/// Runs what waits or computes away from the sockets.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a request failed inside");
        Problem::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "The request failed inside; the log says more.")
    })
}
