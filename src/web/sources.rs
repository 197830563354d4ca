//! `sources`: cameras and folders, and their live pictures.

use std::time::Duration;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;

use super::{App, EventKind, blocking, problem::Problem, server::now};
use crate::station::{SourceFacts, SourceState, SourceStats};

/// How long a request without a number waits for a picture.
const PICTURE_TIMEOUT: Duration = Duration::from_secs(5);

/// A source: what it is, how it is, what it counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceView {
    /// Its name in the configuration.
    pub name: String,
    /// What it is.
    pub facts: SourceFacts,
    /// How it is.
    pub state: SourceState,
    /// What it counted.
    pub stats: SourceStats,
}

/// The answer of `sources`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sources {
    /// The sources, by name.
    pub sources: Vec<SourceView>,
}

/// The routes.
pub fn routes() -> Router<App> {
    Router::new().route("/sources", get(sources)).route("/sources/{id}/frame.jpg", get(frame))
}

/// The problem that a source's name is unknown.
pub(super) fn no_such_source(app: &App, name: &str) -> Problem {
    let known: Vec<&str> = app.parts.hub.sources().map(|s| &*s.name).collect();
    Problem::not_found(format!("There is no source '{name}': expected one of {}.", known.join(", ")))
}

/// All sources.
pub async fn sources(State(app): State<App>) -> Json<Sources> {
    let health = &app.parts.health;
    let (mut facts, rates) = (health.birth().sources, app.latest_stats().sources);
    // Counts are those of this moment; only the rate needs the samples of the last seconds.
    let mut stats = health.stats(String::new(), Duration::ZERO).sources;
    for (name, stats) in &mut stats {
        stats.frames_per_s = rates.get(name).map_or(0.0, |rate| rate.frames_per_s);
    }
    let list = health.state(now()).sources.into_iter().map(|(name, state)| SourceView {
        facts: facts.remove(&name).unwrap_or_default(),
        stats: stats.remove(&name).unwrap_or_default(),
        name,
        state,
    });
    Json(Sources { sources: list.collect() })
}

/// Query of `sources/{id}/frame.jpg`.
#[derive(Debug, Deserialize)]
pub struct PictureQuery {
    frame: Option<u64>,
}

/// The live picture: the next one, or one of the last few by its number while someone listens to the source's events.
pub async fn frame(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(PictureQuery { frame }): Query<PictureQuery>,
) -> Result<Response, Problem> {
    let hub = app.parts.hub.clone();
    let watch = hub.watch(&id).ok_or_else(|| no_such_source(&app, &id))?;
    let picture = match frame {
        Some(number) => hub.picture(&id, Some(number)).ok_or_else(|| {
            Problem::not_found(format!(
                "Frame {number} of {id} is not kept; only the last few are, while someone listens."
            ))
        })?,
        None => {
            let mut events = hub.listen();
            let next = async {
                loop {
                    match events.recv().await {
                        Ok(event) if event.kind == EventKind::Frame && event.source.as_deref() == Some(&*id) => {
                            return hub.picture(&id, None);
                        }
                        Ok(_) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return None,
                    }
                }
            };
            let came = tokio::time::timeout(PICTURE_TIMEOUT, next).await.ok().flatten();
            came.ok_or_else(|| {
                let text = format!("{id} gave no frame within {} s; is it running?", PICTURE_TIMEOUT.as_secs());
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, text)
            })?
        }
    };
    drop(watch);
    let number = picture.note.frame;
    let jpeg = blocking(move || picture.jpeg())
        .await?
        .ok_or_else(|| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The frame could not be written as JPEG."))?;
    let headers = [(header::CONTENT_TYPE, "image/jpeg".to_owned()), (header::ETAG, format!("\"{number}\""))];
    Ok((headers, Bytes::from_owner(jpeg)).into_response())
}
