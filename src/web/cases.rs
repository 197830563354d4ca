//! `cases`: what the cells of one person or sample say together.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{App, blocking, problem::Problem, server::now};
use crate::{case::report::Report, store::CaseRecord};

/// A case as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CaseView {
    /// Its id.
    pub case: String,
    /// When its first cell or document came, RFC 3339; null while a case that takes cells has none.
    pub opened: Option<String>,
    /// When it was closed.
    pub closed: Option<String>,
    /// Cells in the store.
    pub stored_cells: u64,
    /// Latest `case/1` document: cells, clones, consensus, cells still needed.
    pub state: Option<Value>,
    /// Latest `dose/1` document.
    pub dose: Option<Value>,
}

/// A line of the case list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cases {
    /// The cases.
    pub cases: Vec<CaseView>,
}

impl From<CaseRecord> for CaseView {
    fn from(record: CaseRecord) -> Self {
        let read = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        // Subject data stay in the store: only what a dose needs, and never in an answer that a page may show.
        Self {
            case: record.id,
            opened: Some(record.opened),
            closed: record.closed,
            stored_cells: record.cells,
            state: read(record.state),
            dose: read(record.dose),
        }
    }
}

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/cases", get(cases))
        .route("/cases/{id}", get(case))
        .route("/cases/{id}/report.html", get(case_report))
}

/// All cases.
pub async fn cases(State(app): State<App>) -> Result<Json<Cases>, Problem> {
    let cases = app.read(|store| store.cases()).await?;
    Ok(Json(Cases { cases: cases.into_iter().map(CaseView::from).collect() }))
}

async fn find(app: &App, id: &str) -> Result<CaseView, Problem> {
    let name = id.to_owned();
    let record = app.read(move |store| store.case(&name)).await?;
    let takes_cells = || app.parts.health.state(now()).case.as_deref() == Some(id);
    let empty = || CaseView { case: id.into(), opened: None, closed: None, stored_cells: 0, state: None, dose: None };
    record.map(CaseView::from).or_else(|| takes_cells().then(empty)).ok_or_else(|| no_such_case(id))
}

fn no_such_case(id: &str) -> Problem {
    Problem::not_found(format!("There is no case '{id}' in the store."))
}

/// One case.
pub async fn case(State(app): State<App>, Path(id): Path<String>) -> Result<Json<CaseView>, Problem> {
    Ok(Json(find(&app, &id).await?))
}

/// The case as a page to read and print.
pub async fn case_report(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let name = id.clone();
    let (record, cells, reviews) = app
        .read(move |store| Ok((store.case(&name)?, store.cells_of_case(&name)?, store.reviews_of_case(&name)?)))
        .await?;
    let record = record.ok_or_else(|| no_such_case(&id))?;
    let cells = cells.iter().map(|row| row.cell()).collect::<Result<Vec<_>, _>>()?;
    let birth = app.parts.health.birth();
    let nonce = uuid::Uuid::now_v7().simple().to_string();
    let shown = nonce.clone();
    let html = blocking(move || {
        let report = Report {
            station: &birth.station,
            version: &birth.version,
            case: &record,
            // Subject data are never given out over HTTP.
            subject: None,
            cells: &cells,
            reviews: &reviews,
        };
        report.html(Some(&shown))
    })
    .await?;
    let policy = format!("default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; frame-ancestors 'none'");
    let mut answer = Html(html).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(answer)
}
