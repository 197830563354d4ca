//! `status`: what the daemon is and how it is, in one answer.

use axum::{Json, Router, extract::State, routing::get};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{App, server::now};
use crate::station::{Birth, State as DaemonState, Stats};

/// The `status/1` answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// `status/1`.
    pub schema: String,
    /// How it is, in words.
    pub state: DaemonState,
    /// What it counted.
    pub stats: Stats,
    /// What it is.
    pub birth: Birth,
}

/// The route.
pub fn routes() -> Router<App> {
    Router::new().route("/status", get(status))
}

/// How the daemon is.
pub async fn status(State(app): State<App>) -> Json<Status> {
    let health = &app.parts.health;
    Json(Status {
        schema: "status/1".to_owned(),
        state: health.state(now()),
        stats: app.latest_stats(),
        birth: health.birth(),
    })
}
