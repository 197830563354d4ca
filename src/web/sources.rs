//! `sources`: cameras and folders, their live pictures, and frames pushed from outside.

use std::time::Duration;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;

use super::{App, EventKind, blocking, problem::Problem, server::now};
use crate::station::{CommandError, SourceFacts, SourceState, SourceStats};
use domain::StagePosition;

/// Largest pushed frame in bytes.
const LARGEST_FRAME: usize = 128 << 20;

/// How long a request without a number waits for a picture.
const PICTURE_PATIENCE: Duration = Duration::from_secs(5);

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

/// A frame that came over HTTP, as it came.
#[derive(Debug, Clone)]
pub struct PushedFrame {
    /// An image file: PNG, JPEG, BMP, WebP or TIFF.
    pub bytes: Bytes,
    /// Media type, where one was told.
    pub media_type: Option<String>,
    /// The sender's event id, echoed.
    pub trigger: Option<String>,
    /// Stage position, where told.
    pub stage_um: Option<StagePosition>,
    /// Pixel size, where told.
    pub um_per_px: Option<f64>,
}

/// Takes pushed frames. When it has answered, the frame is safe (spooled in lossless mode, on its way otherwise).
pub trait PushDoor: Send + Sync {
    /// Takes a frame for `source`; gives its number. Called on a thread that may wait for the disk.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] when there is no such source of kind `push`, [`CommandError::Unavailable`] when it
    /// can take no more now, [`CommandError::Refused`] when it cannot be used.
    fn push(&self, source: &str, frame: PushedFrame) -> Result<u64, CommandError>;
}

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/sources", get(sources))
        .route("/sources/{id}/frame.jpg", get(frame))
        .route("/sources/{id}/frames", post(push).layer(DefaultBodyLimit::max(LARGEST_FRAME)))
}

/// The problem that a source's name is unknown.
pub(super) fn no_such_source(app: &App, name: &str) -> Problem {
    let known: Vec<&str> = app.parts.hub.sources().map(|s| &*s.name).collect();
    Problem::not_found(format!("There is no source '{name}'; there is {}.", known.join(", ")))
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
pub struct Wanted {
    frame: Option<u64>,
}

/// The live picture: the next one, or one of the last few by its number while someone listens to the source's events.
pub async fn frame(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(Wanted { frame }): Query<Wanted>,
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
            let came = tokio::time::timeout(PICTURE_PATIENCE, next).await.ok().flatten();
            came.ok_or_else(|| {
                let text = format!("{id} gave no frame within {} s; is it running?", PICTURE_PATIENCE.as_secs());
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

/// Query of `sources/{id}/frames`.
#[derive(Debug, Default, Deserialize)]
pub struct PushFacts {
    trigger: Option<String>,
    x_um: Option<f64>,
    y_um: Option<f64>,
    z_um: Option<f64>,
    um_per_px: Option<f64>,
}

/// Takes an image file as a frame of a source of kind `push`.
pub async fn push(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(facts): Query<PushFacts>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<(StatusCode, Json<serde_json::Value>), Problem> {
    let state = app.parts.health.state(now());
    let source = state.sources.get(&id).ok_or_else(|| no_such_source(&app, &id))?;
    let door = match &app.parts.push {
        Some(door) if source.kind == "push" => door.clone(),
        _ => {
            let text = format!("The source '{id}' is of kind '{}'; only one of kind 'push' takes frames.", source.kind);
            return Err(Problem::new(StatusCode::CONFLICT, text));
        }
    };
    if bytes.is_empty() {
        return Err(Problem::bad_request("The body is empty; send an image file."));
    }
    let numbers = [facts.x_um, facts.y_um, facts.z_um, facts.um_per_px];
    if numbers.into_iter().flatten().any(|n| !n.is_finite()) || facts.um_per_px.is_some_and(|n| n <= 0.0) {
        return Err(Problem::bad_request("Positions are finite numbers of micrometres, um_per_px is above 0."));
    }
    let stage_um = match (facts.x_um, facts.y_um) {
        (Some(x), Some(y)) => Some(StagePosition { x, y, z: facts.z_um.unwrap_or(0.0) }),
        _ => None,
    };
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let frame = PushedFrame { bytes, media_type, trigger: facts.trigger, stage_um, um_per_px: facts.um_per_px };
    let name = id.clone();
    let number = blocking(move || door.push(&name, frame)).await??;
    Ok((StatusCode::ACCEPTED, Json(serde_json::json!({ "source": id, "frame": number }))))
}
