//! What a person or a scanner asks the daemon to do.

use std::time::Duration;

use axum::{
    Extension, Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::post,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{App, access::Caller, problem::Problem};
use crate::station::{Command, RecordCommand, ReviewAction, SourceCommand};
use domain::StagePosition;
use dosimetry::Subject;

/// How long the daemon may take to answer a command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// Commands that are kept under a name.
const SIGNED: [&str; 2] = ["acknowledge", "review"];

/// Body of `trigger`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// Name of the source; may be left out when there is one.
    #[serde(default)]
    pub source: Option<String>,
    /// The scanner's event id, echoed in every answer; one that was used before is not taken again.
    pub trigger: String,
    /// The scanner's own name of the field.
    #[serde(default)]
    pub field: Option<String>,
    /// Where the stage stands; `z` may be left out.
    #[serde(default)]
    pub stage_um: Option<StagePosition>,
}

/// Body of `cells/{id}/review`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CellReview {
    /// Who; may be left out by a person who is logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Revision the person saw; a newer one in the store refuses the review.
    #[serde(default)]
    pub revision: Option<u32>,
    /// What to change.
    pub change: ReviewAction,
}

/// Body of `cases/{id}/subject`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseSubject {
    /// Who; may be left out by a person who is logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The data; none removes them.
    pub subject: Option<Subject>,
}

/// Body of `cases/{id}/close`, `cases/{id}/reopen` and `cases/{id}/erase`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseAction {
    /// Who asks for it; may be left out by a person who is logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/trigger", post(trigger))
        .route("/commands/{name}", post(command))
        .route("/cells/{id}/review", post(review))
        .route("/cases/{id}/subject", post(subject))
        .route("/cases/{id}/close", post(close))
        .route("/cases/{id}/reopen", post(reopen))
        .route("/cases/{id}/erase", post(erase))
}

/// A scanner stands at a field: take it.
pub async fn trigger(State(app): State<App>, Json(body): Json<Trigger>) -> Result<(StatusCode, Json<Value>), Problem> {
    let Trigger { source, trigger, field, stage_um } = body;
    let answer = send(&app, SourceCommand::Trigger { source, trigger, field, stage_um }).await?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// A command by its name, with the fields that MQTT's `command/<name>` takes.
pub async fn command(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, Problem> {
    let Value::Object(mut fields) = body else {
        return Err(Problem::bad_request("A command's body is a JSON object with its fields; {} when it has none."));
    };
    // Of a known person the name is theirs; without one the command itself says what is missing.
    if caller.user.is_some() && SIGNED.contains(&&*name) {
        let given = fields.get("by").and_then(Value::as_str).map(str::to_owned);
        fields.insert("by".into(), caller.signs(given)?.into());
    }
    let command =
        Command::named(&name, fields).map_err(|error| Problem::bad_request(format!("command '{name}': {error}")))?;
    Ok(Json(send(&app, command).await?))
}

/// A person corrects a cell.
pub async fn review(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(cell): Path<Uuid>,
    Json(body): Json<CellReview>,
) -> Result<Json<Value>, Problem> {
    let CellReview { by, revision, change } = body;
    let by = caller.signs(by)?;
    Ok(Json(send(&app, RecordCommand::Review { by, cell, revision, change }).await?))
}

/// Subject data of a case, for its dose. They are never given out again over HTTP.
pub async fn subject(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(case): Path<String>,
    Json(body): Json<CaseSubject>,
) -> Result<Json<Value>, Problem> {
    let CaseSubject { by, subject } = body;
    let by = caller.signs(by)?;
    Ok(Json(send(&app, RecordCommand::Subject { by, case, subject }).await?))
}

/// Closes a case: no further cell is added to it until it is reopened. Corrections of its cells stay possible.
pub async fn close(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(case): Path<String>,
    Json(body): Json<CaseAction>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(send(&app, RecordCommand::Close { by: caller.signs(body.by)?, case }).await?))
}

/// Reopens a closed case.
pub async fn reopen(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(case): Path<String>,
    Json(body): Json<CaseAction>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(send(&app, RecordCommand::Reopen { by: caller.signs(body.by)?, case }).await?))
}

/// Erases a case for good: cells, pictures, reviews, subject data.
pub async fn erase(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(case): Path<String>,
    Json(body): Json<CaseAction>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(send(&app, RecordCommand::Erase { by: caller.signs(body.by)?, case }).await?))
}

async fn send(app: &App, command: impl Into<Command>) -> Result<Value, Problem> {
    let command = command.into();
    command.check().map_err(|error| Problem::bad_request(error.to_string()))?;
    let (reply, answer) = oneshot::channel();
    app.parts.commands.send(command, move |result| {
        // Nobody waits any more: the command was done all the same.
        let _ = reply.send(result);
    });
    match tokio::time::timeout(COMMAND_TIMEOUT, answer).await {
        Ok(Ok(result)) => Ok(result?),
        Ok(Err(_)) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The daemon is stopping.")),
        Err(_) => Err(Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            format!(
                "The daemon has not answered within {} s; the command may still be done.",
                COMMAND_TIMEOUT.as_secs()
            ),
        )),
    }
}
