//! `cells`: finished cells, newest first, and all that belongs to one.

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{App, blocking, problem::Problem};
use crate::{
    interpretation::kept,
    store::{CellQuery, CellRow, Rank, RejectedFile, ReviewRecord, Scoring, StoreReader},
};
use domain::{Cell, Verdict};
use karyotype::karyogram::Orientation;

/// Cells of a page when the request does not say, and at most.
const PAGE: usize = 50;
const LARGEST_PAGE: usize = 500;

/// A page of cells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CellPage {
    /// The cells.
    pub cells: Vec<Cell>,
    /// What to give as `after` for the next page; none: this was the last.
    pub next: Option<String>,
}

/// Query of `cells`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    case: Option<String>,
    verdict: Option<Verdict>,
    scoring: Option<Scoring>,
    source: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
    search: Option<String>,
    #[serde(default)]
    order: Order,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    #[default]
    Newest,
    Oldest,
    Quality,
    Doubt,
}

impl Order {
    fn rank(self) -> Option<Rank> {
        match self {
            Self::Newest | Self::Oldest => None,
            Self::Quality => Some(Rank::Quality),
            Self::Doubt => Some(Rank::Doubt),
        }
    }
}

/// Query of `karyogram.svg`.
#[derive(Debug, Default, Deserialize)]
pub struct Standing {
    #[serde(default)]
    straight: bool,
}

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/cells", get(cells))
        .route("/cells/{id}", get(cell))
        .route("/cells/{id}/image.png", get(image))
        .route("/cells/{id}/thumbnail.jpg", get(thumbnail))
        .route("/cells/{id}/karyogram.svg", get(karyogram))
        .route("/cells/{id}/chromosomes/{file}", get(chromosome))
        .route("/cells/{id}/reviews", get(reviews))
        .route("/rejected", get(rejected))
}

/// A page of cells.
pub async fn cells(State(app): State<App>, Query(query): Query<Listed>) -> Result<Response, Problem> {
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Problem::bad_request(format!("limit is {limit}; expected 1 to {LARGEST_PAGE}.")));
    }
    let rank = query.order.rank();
    if rank.is_some() && query.after.as_deref().is_some_and(|after| after.parse::<u32>().is_err()) {
        return Err(Problem::bad_request(
            "after is not the 'next' of a page; expected that, since order is quality or doubt.",
        ));
    }
    let after = match query.after.as_deref() {
        None => None,
        Some(text) => Some(place(&app, text).await?),
    };
    // Of ranked cells the place is their number in the order.
    let before = after.filter(|_| rank.is_some()).unwrap_or(0);
    let wanted = CellQuery {
        case: query.case,
        verdict: query.verdict,
        scoring: query.scoring,
        source: query.source,
        after,
        newest_first: query.order == Order::Newest,
        search: query.search.filter(|text| !text.is_empty()),
        rank,
        // One more than asked for: there is a next page when it is found.
        limit: limit + 1,
    };
    let mut rows = app.read(move |store| store.cells(&wanted)).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let place = |row: &CellRow| if rank.is_some() { before + limit as i64 } else { row.seq };
    let next = rows.last().filter(|_| more).map_or("null".to_owned(), |row| format!("\"{}\"", place(row)));
    // The documents are JSON already (the store checks it): they are handed on as they are.
    let documents: Vec<&str> = rows.iter().map(|row| row.document.as_str()).collect();
    Ok(json(format!("{{\"cells\":[{}],\"next\":{next}}}", documents.join(","))))
}

async fn place(app: &App, text: &str) -> Result<i64, Problem> {
    if let Ok(seq) = text.parse() {
        return Ok(seq);
    }
    match text.parse() {
        Ok(id) => Ok(row(app, id).await?.seq),
        Err(_) => Err(Problem::bad_request("after is neither the 'next' of a page nor the UUID of a cell.")),
    }
}

async fn row(app: &App, id: Uuid) -> Result<CellRow, Problem> {
    app.read(move |store| store.cell(id)).await?.ok_or_else(|| no_such_cell(id))
}

fn no_such_cell(id: Uuid) -> Problem {
    Problem::not_found(format!("There is no cell {id} in the store."))
}

fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// One cell: the `cell` message at its latest revision.
pub async fn cell(State(app): State<App>, Path(id): Path<Uuid>) -> Result<Response, Problem> {
    Ok(json(row(&app, id).await?.document))
}

/// A review of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CellChange {
    /// Revision that it made.
    pub revision: Option<u32>,
    /// When, RFC 3339 in UTC.
    pub time: String,
    /// Who.
    pub by: String,
    /// What, in words.
    pub change: String,
}

/// The audit of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CellReviews {
    /// Oldest first.
    pub reviews: Vec<CellChange>,
}

/// Who changed what of a cell.
pub async fn reviews(State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<CellReviews>, Problem> {
    row(&app, id).await?;
    let reviews = app.read(move |store| store.reviews_of_cell(id)).await?;
    let change =
        |ReviewRecord { revision, time, by, change, .. }: ReviewRecord| CellChange { revision, time, by, change };
    Ok(Json(CellReviews { reviews: reviews.into_iter().map(change).collect() }))
}

/// Query of `rejected`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RejectedQuery {
    source: Option<String>,
    before: Option<String>,
    limit: Option<usize>,
}

/// Files that gave no cell.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RejectedPage {
    /// The latest first.
    pub rejected: Vec<RejectedFile>,
    /// What to give as `before` for the next page; none: this was the last.
    pub next: Option<String>,
}

/// A page of files that gave no cell, each with the reason.
pub async fn rejected(
    State(app): State<App>,
    Query(query): Query<RejectedQuery>,
) -> Result<Json<RejectedPage>, Problem> {
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Problem::bad_request(format!("limit is {limit}; expected 1 to {LARGEST_PAGE}.")));
    }
    let RejectedQuery { source, before, .. } = query;
    // Files marked in one transaction share their time: the place in the list is time, source and path.
    let before = match before {
        None => None,
        Some(text) => {
            let mut parts = text.splitn(3, '\n').map(str::to_owned);
            let (Some(time), Some(source), Some(file)) = (parts.next(), parts.next(), parts.next()) else {
                return Err(Problem::bad_request("before is not the 'next' of a page; expected that."));
            };
            Some(RejectedFile { source, file, reason: None, time })
        }
    };
    let read = move |store: &StoreReader| store.rejected_files(source.as_deref(), before.as_ref(), limit + 1);
    let mut rejected = app.read(read).await?;
    let more = rejected.len() > limit;
    rejected.truncate(limit);
    let next = rejected.last().filter(|_| more).map(|file| format!("{}\n{}\n{}", file.time, file.source, file.file));
    Ok(Json(RejectedPage { rejected, next }))
}

fn picture(kind: &'static str, bytes: Vec<u8>) -> Response {
    // A picture of a cell never changes; the page asks again for each revision.
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "private, max-age=3600")];
    (headers, bytes).into_response()
}

/// The frame of the cell. Where `store.keep_images` did not keep it, the kept chromosomes at their places on plain
/// background, and the answer has the header `metaphased-picture: composed`.
pub async fn image(State(app): State<App>, Path(id): Path<Uuid>) -> Result<Response, Problem> {
    let file = app.read(move |store| store.image(id)).await?;
    if let Some(file) = file {
        match blocking(move || kept::as_png(&file)).await? {
            Ok(png) => return Ok(picture("image/png", png)),
            Err(error) => tracing::warn!(cell = %id, %error, "the kept picture of a cell cannot be shown"),
        }
    }
    let record = row(&app, id).await?.cell()?;
    let crops = app.read(move |store| store.crops(id)).await?;
    if crops.is_empty() {
        let text = "No picture of this cell was kept; store.keep_images = \"all\" keeps those to come.";
        return Err(Problem::not_found(text));
    }
    let png = blocking(move || kept::compose(&record, &crops)).await?.map_err(|error| {
        Problem::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, format!("The crops of cell {id}: {error}"))
    })?;
    let mut answer = picture("image/png", png);
    answer.headers_mut().insert("metaphased-picture", header::HeaderValue::from_static("composed"));
    Ok(answer)
}

/// A small picture of the cell.
pub async fn thumbnail(State(app): State<App>, Path(id): Path<Uuid>) -> Result<Response, Problem> {
    let jpeg = app.read(move |store| store.thumbnail(id)).await?;
    jpeg.map(|jpeg| picture("image/jpeg", jpeg))
        .ok_or_else(|| Problem::not_found(format!("No small picture of cell {id} is in the store.")))
}

/// The picture of one chromosome, as it lies in the frame.
pub async fn chromosome(State(app): State<App>, Path((id, file)): Path<(Uuid, String)>) -> Result<Response, Problem> {
    let index = file.strip_suffix(".png").and_then(|index| index.parse().ok());
    let index: u32 = index.ok_or_else(|| Problem::not_found("A chromosome's picture is at chromosomes/INDEX.png."))?;
    let png = app.read(move |store| store.crop(id, index)).await?;
    png.map(|png| picture("image/png", png))
        .ok_or_else(|| Problem::not_found(format!("No picture of chromosome {index} of cell {id} is in the store.")))
}

/// The karyogram: the chromosomes arranged by class, each with its score, as one drawing with the pictures inside.
pub async fn karyogram(
    State(app): State<App>,
    Path(id): Path<Uuid>,
    Query(standing): Query<Standing>,
) -> Result<Response, Problem> {
    let orientation = if standing.straight { Orientation::Straight } else { Orientation::Upright };
    let record = row(&app, id).await?.cell()?;
    let crops = app.read(move |store| store.crops(id)).await?;
    let bright = app.parts.hub.sources().any(|source| *source.name == *record.source && !source.bright_field);
    let svg = blocking(move || kept::karyogram(&record, &crops, bright, orientation)).await?;
    let mut answer = picture("image/svg+xml", svg.into_bytes());
    // The drawing brings its own styles and holds its pictures as data; opened alone it may use them, and nothing else.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'";
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, header::HeaderValue::from_static(policy));
    Ok(answer)
}
