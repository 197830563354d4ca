//! `iscn`: a karyotype as it is typed, judged like `metaphased iscn check` judges it.

use axum::{Json, Router, extract::Query, routing::get};
use serde::Deserialize;

use super::{App, problem::Problem};
use karyotype::iscn::{Report, check};

/// Longest text that is judged, in bytes; the longest karyotypes in use are a tenth of it.
const LONGEST: usize = 4000;

/// Query of `iscn`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    text: String,
}

/// The route.
pub fn routes() -> Router<App> {
    Router::new().route("/iscn", get(judge))
}

/// Whether a karyotype is right by the rules of ISCN, and what it says in plain words.
pub async fn judge(Query(Written { text }): Query<Written>) -> Result<Json<Report>, Problem> {
    if text.len() > LONGEST {
        return Err(Problem::bad_request(format!("text is {} bytes long; expected at most {LONGEST}.", text.len())));
    }
    Ok(Json(check(&text)))
}
