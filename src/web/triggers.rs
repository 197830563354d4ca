//! `triggers/{id}`: what became of a trigger or a pushed frame.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::get,
};
use serde::Deserialize;

use super::{App, problem::Problem};
use crate::{
    station::{TriggerAnswer, TriggerFacts, TriggerView},
    store::TriggerRow,
};

/// Longest time that a request may wait, in seconds.
const LONGEST_WAIT_S: f64 = 60.0;

/// The routes.
pub fn routes() -> Router<App> {
    Router::new().route("/triggers/{id}", get(trigger))
}

/// A trigger as it stands in the store.
pub(super) fn view(row: TriggerRow) -> TriggerView {
    // Both were written by this program; what another version wrote is left out.
    let facts: TriggerFacts = serde_json::from_str(&row.facts).unwrap_or_default();
    let answer = row.answer.as_deref().and_then(|text| serde_json::from_str(text).ok());
    TriggerView {
        trigger: row.id,
        source: row.source,
        field: facts.field,
        stage_um: facts.stage_um,
        received: row.received,
        answered: row.answered,
        answer: answer.unwrap_or_else(TriggerAnswer::default),
    }
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
            return Ok(Json(view(row)));
        }
        tokio::select! {
            _ = answers.changed() => {}
            _ = stopping.changed() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }
}
