//! `cases`: what the cells of one person or sample say together.

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{App, blocking, problem::Problem, server::now};
use crate::{
    case::{
        Corrections,
        report::{Gathered, Layout, Report},
    },
    laboratory::Laboratory,
    store::{CaseRecord, CellRow, StoreReader},
};

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
    /// Who acknowledged its alarm last, and when; in the answer for one case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledged>,
}

/// That a person has seen an alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Acknowledged {
    /// Who.
    pub by: String,
    /// When, RFC 3339 in UTC.
    pub time: String,
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
            acknowledged: None,
        }
    }
}

/// How the audit says that an alarm was acknowledged.
const ACKNOWLEDGED: &str = "alarm acknowledged";

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/cases", get(cases))
        .route("/cases/{id}", get(case))
        .route("/cases/{id}/corrections", get(corrections))
        .route("/cases/{id}/report.html", get(case_report))
}

/// Query of `cases`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leanness {
    #[serde(default)]
    lean: bool,
}

/// All cases; lean: with just what a list shows of their documents.
pub async fn cases(State(app): State<App>, Query(Leanness { lean }): Query<Leanness>) -> Result<Response, Problem> {
    if lean {
        // The database writes the JSON: nothing is parsed on the way.
        let lines = app.read(|store| store.case_lines()).await?;
        let text = format!("{{\"cases\":[{}]}}", lines.join(","));
        return Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response());
    }
    let cases = app.read(|store| store.cases()).await?;
    Ok(Json(Cases { cases: cases.into_iter().map(CaseView::from).collect() }).into_response())
}

async fn find(app: &App, id: &str) -> Result<CaseView, Problem> {
    let name = id.to_owned();
    let record = app.read(move |store| store.case(&name)).await?;
    let takes_cells = || app.parts.health.state(now()).case.as_deref() == Some(id);
    let empty = || CaseView {
        case: id.into(),
        opened: None,
        closed: None,
        stored_cells: 0,
        state: None,
        dose: None,
        acknowledged: None,
    };
    record.map(CaseView::from).or_else(|| takes_cells().then(empty)).ok_or_else(|| no_such_case(id))
}

fn no_such_case(id: &str) -> Problem {
    Problem::not_found(format!("There is no case '{id}' in the store."))
}

/// One case.
pub async fn case(State(app): State<App>, Path(id): Path<String>) -> Result<Json<CaseView>, Problem> {
    let mut view = find(&app, &id).await?;
    if view.dose.is_some() {
        let reviews = app.read(move |store| store.reviews_of_case(&id)).await?;
        let last = reviews.into_iter().rev().find(|review| review.change.starts_with(ACKNOWLEDGED));
        view.acknowledged = last.map(|review| Acknowledged { by: review.by, time: review.time });
    }
    Ok(Json(view))
}

/// What people corrected in the cells of a case, between the machine's records and theirs.
pub async fn corrections(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Corrections>, Problem> {
    let name = id.clone();
    let read = move |store: &StoreReader| {
        if store.case(&name)?.is_none() {
            return Ok(None);
        }
        let cells = store.cells_of_case(&name)?.iter().map(CellRow::cell).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(Corrections::of(&cells, &store.reviews_of_case(&name)?)))
    };
    Ok(Json(app.read(read).await?.ok_or_else(|| no_such_case(&id))?))
}

/// The case as a page to read and print, in the layout of the laboratory.
pub async fn case_report(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let name = id.clone();
    let gathered = app.read(move |store| Gathered::read(store, &name)).await?.ok_or_else(|| no_such_case(&id))?;
    let birth = app.parts.health.birth();
    let nonce = uuid::Uuid::now_v7().simple().to_string();
    let shown = nonce.clone();
    let folder = app.parts.laboratory.clone();
    let printed = now();
    let html = blocking(move || {
        let report = Report {
            station: &birth.station,
            version: &birth.version,
            configuration: Some(&birth.configuration).filter(|digest| !digest.is_empty()).map(String::as_str),
            printed: &printed,
            gathered: &gathered,
            // Subject data are never given out over HTTP.
            subject: None,
        };
        let laboratory = Laboratory::read(folder.as_deref()).map_err(|error| unwritten(&error))?;
        Layout::new(laboratory).and_then(|layout| report.html(&layout, Some(&shown))).map_err(|error| unwritten(&error))
    })
    .await??;
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
    );
    let mut answer = Html(html).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(answer)
}

/// The laboratory's layout is wrong: whoever reads this can put it right.
fn unwritten(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("The report cannot be written: {error}"))
}
