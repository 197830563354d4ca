//! `livez` and `readyz`, for supervisors. They reveal nothing about results and need no token.

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};

use super::{App, problem::Problem, server::now};
use crate::station::Level;

/// The routes.
pub fn routes() -> Router<App> {
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz))
}

/// The process answers.
pub async fn livez() -> &'static str {
    "ok\n"
}

/// It can take frames.
pub async fn readyz(State(app): State<App>) -> Response {
    let state = app.parts.health.state(now());
    let starting = state.sources.is_empty() || state.sources.values().all(|s| s.activity == "starting");
    if state.level != Level::Failed && !starting {
        return "ok\n".into_response();
    }
    let why = if starting { "It is starting.".to_owned() } else { state.reasons.join("; ") };
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, why).into_response()
}
