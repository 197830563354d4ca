//! `triggers/{id}`: what became of a trigger or a pushed frame.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::header,
    response::IntoResponse,
    routing::get,
};
use serde::Deserialize;

use super::{App, problem::Problem};
use crate::{config::slide_topic, station::TriggerView};

/// Longest time that a request may wait, in seconds.
const LONGEST_WAIT_S: f64 = 60.0;

/// The routes.
pub fn routes() -> Router<App> {
    Router::new().route("/triggers/{id}", get(trigger)).route("/slides/{id}", get(slide))
}

/// Query of `triggers/{id}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    wait: Option<f64>,
}

/// A trigger, as soon as it is answered or the time is over.
pub async fn trigger(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(Wait { wait }): Query<Wait>,
) -> Result<Json<TriggerView>, Problem> {
    let wait = wait.unwrap_or(0.0);
    if !(0.0..=LONGEST_WAIT_S).contains(&wait) {
        return Err(Problem::bad_request(format!("invalid wait '{wait}': expected 0 to {LONGEST_WAIT_S} seconds")));
    }
    let until = tokio::time::Instant::now() + Duration::from_secs_f64(wait);
    // Listening begins before the first look, so that no answer falls between the two.
    let mut answers = app.parts.health.watch_answers();
    let mut stopping = app.stopping.clone();
    loop {
        let wanted = id.clone();
        let row = app.read(move |store| store.trigger(&wanted)).await?;
        let row = row.ok_or_else(|| Problem::not_found(format!("There is no trigger '{id}'.")))?;
        let is_over = tokio::time::Instant::now() >= until || *stopping.borrow();
        if row.answered.is_some() || is_over {
            return Ok(Json(row.view()));
        }
        tokio::select! {
            _ = answers.changed() => {}
            _ = stopping.changed() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }
}

/// The metaphases of a slide, ranked: the document that MQTT's `slide/<slide>` has.
pub async fn slide(State(app): State<App>, Path(id): Path<String>) -> Result<impl IntoResponse, Problem> {
    let topic = slide_topic(&id);
    let document = app.read(move |store| store.latest(&topic)).await?;
    let document = document.ok_or_else(|| {
        Problem::not_found(format!("Nothing has been found on slide '{id}', or its document is not a second old yet."))
    })?;
    Ok(([(header::CONTENT_TYPE, "application/json")], document))
}
