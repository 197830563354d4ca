//! `sources/{id}/frames`: frames that a program pushes. Each is on the disk before it is accepted, and is answered once.

use std::{collections::BTreeMap, fs::File, io::Write, str::FromStr, sync::Arc};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use sha2::{Digest, Sha256};
use tokio_stream::StreamExt;
use uuid::Uuid;

use super::{App, blocking, problem::Problem, sources::no_such_source};
use crate::{
    camera::{
        PushQueue, Pushed, Reservation,
        files::{FileError, ImageFile},
    },
    config::{MAX_NAME, check_name, encode_level},
    station::{RawFormat, RawLayout, TriggerFacts, TriggerView},
    store::{SpooledFile, Store, StoreError, TriggerRow},
};
use domain::{StagePosition, hex};

/// Bytes that are gathered before they are written.
const WRITE_AT_ONCE: usize = 4 << 20;
/// Body of a refused request that is still read, so that its answer reaches the client.
const READ_TO_REFUSE: usize = 64 << 20;
/// Begins the names of headers that say what the query may say as well.
const HEADER: &str = "metaphased-";
/// Seconds after which a scanner that must wait asks again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Where pushed frames go.
#[derive(Debug, Clone)]
pub struct PushInlet {
    /// Keeps them.
    pub store: Store,
    /// The sources that take them.
    pub queues: BTreeMap<Arc<str>, PushQueue>,
    /// Most bytes of a frame.
    pub most: u64,
}

/// The routes.
pub fn routes() -> Router<App> {
    Router::new().route("/sources/{id}/frames", post(push))
}

/// Why a frame is not taken.
enum Refusal {
    Problem(Problem),
    /// Later.
    Full(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::Full(problem) => ([(header::RETRY_AFTER, RETRY_AFTER)], problem).into_response(),
        }
    }
}

/// Takes a frame: an image file, or raw samples whose layout is said.
pub async fn push(
    State(app): State<App>,
    Path(source): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut body = body;
    match accept(&app, &source, query, &headers, &mut body).await {
        Ok((is_new, view)) => {
            let id = encode_level(&view.trigger);
            let is_waiting = view.answered.is_none();
            let status = if is_new || is_waiting { StatusCode::ACCEPTED } else { StatusCode::OK };
            (status, [(header::LOCATION, format!("/api/v1/triggers/{id}"))], Json(view)).into_response()
        }
        Err(refusal) => {
            // A client that is still sending would not see the answer.
            read_out(body).await;
            refusal.into_response()
        }
    }
}

async fn accept(
    app: &App,
    source: &str,
    query: Vec<(String, String)>,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<(bool, TriggerView), Refusal> {
    let (inlet, queue) = inlet(app, source)?;
    if *app.stopping.borrow() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The daemon is stopping.").into());
    }
    check_kind(headers)?;
    let mut said = Said::gather(query, headers)?;
    let trigger = match said.take("trigger") {
        Some(id) => {
            check_name(&id).map_err(|found| wrong("trigger", &id, &format!("{found}; 1 to {MAX_NAME} characters")))?;
            id
        }
        None => Uuid::now_v7().to_string(),
    };
    let facts = said.facts()?;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    check_length(length, &facts, inlet.most)?;
    let place = queue.reserve().ok_or_else(|| {
        Refusal::Full(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "Source '{source}' holds {} frames that are not answered yet, as many as it may ('spool'): send this one \
                 again after the time of Retry-After.",
                queue.capacity()
            ),
        ))
    })?;
    let (frame, digest, bytes) = receive(&inlet, body, facts.raw.is_some()).await?;
    let sample = queue.sample();
    let own = |name: &Option<Arc<str>>| name.as_deref().map(str::to_owned);
    let facts =
        TriggerFacts { case: own(&sample.case), slide: own(&sample.slide), colony: own(&sample.colony), ..facts };
    let row = TriggerRow {
        id: trigger,
        source: source.to_owned(),
        case: facts.case.clone(),
        digest: Some(digest),
        bytes,
        ..TriggerRow::default()
    };
    Ok(blocking(move || keep(&inlet, &queue, row, facts, frame, place)).await??)
}

fn inlet(app: &App, source: &str) -> Result<(PushInlet, PushQueue), Problem> {
    let state = app.parts.health.state(String::new());
    let Some(found) = state.sources.get(source) else { return Err(no_such_source(app, source)) };
    let inlet = app.parts.inlet.clone();
    let queue = inlet.as_ref().and_then(|inlet| inlet.queues.get(source)).cloned();
    inlet.zip(queue).ok_or_else(|| {
        let others: Vec<&str> = app.parts.inlet.iter().flat_map(|inlet| inlet.queues.keys()).map(|n| &**n).collect();
        let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
        Problem::new(
            StatusCode::CONFLICT,
            format!(
                "Source '{source}' is of kind '{}' and takes its frames itself; expected a source of kind 'push' \
                 (configured: {others}).",
                found.kind
            ),
        )
    })
}

/// Refuses bodies that are not the frame itself.
fn check_kind(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let kind = text(header::CONTENT_TYPE);
    if kind.starts_with("multipart/") || kind.starts_with("application/json") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("The body is {kind}; expected the bytes of one image file, or raw samples, as they are."),
        ));
    }
    let encoding = text(header::CONTENT_ENCODING);
    if !matches!(encoding, "" | "identity") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("The body has the content encoding '{encoding}'; expected none."),
        ));
    }
    Ok(())
}

fn too_large(found: u64, most: u64) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("The frame has {found} bytes; at most {most} are taken (memory.picture)."),
    )
}

fn check_length(length: Option<u64>, facts: &TriggerFacts, most: u64) -> Result<(), Problem> {
    let needed = facts.raw.map(|raw| raw.bytes());
    if let Some(found) = needed.into_iter().chain(length).find(|bytes| *bytes > most) {
        return Err(too_large(found, most));
    }
    match (length, needed) {
        (Some(found), Some(needed)) if found != needed => Err(wrong_length(facts.raw, found)),
        _ => Ok(()),
    }
}

fn wrong_length(layout: Option<RawLayout>, found: u64) -> Problem {
    let words = layout.map_or_else(String::new, |raw| {
        let (width, height, name) = (raw.width, raw.height, raw.format.name());
        format!("; {width} x {height} pixels of {name} are {} bytes", raw.bytes())
    });
    Problem::bad_request(format!("The body has {found} bytes{words}."))
}

/// A body on its way to the disk.
struct Upload {
    frame: SpooledFile,
    hash: Sha256,
    bytes: u64,
}

impl Upload {
    fn write(mut self, part: &[u8]) -> Result<Self, Problem> {
        self.hash.update(part);
        self.bytes += part.len() as u64;
        let mut file: &File = &self.frame.file;
        file.write_all(part).map_err(|error| unwritten(&error.to_string(), error.kind()))?;
        Ok(self)
    }
}

fn unwritten(words: &str, kind: std::io::ErrorKind) -> Problem {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    let status = match kind {
        StorageFull | QuotaExceeded => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    tracing::warn!(error = words, "a pushed frame could not be written");
    Problem::new(status, format!("The frame could not be written to the spool: {words}. It was not taken."))
}

fn unkept(error: &StoreError) -> Problem {
    let kind = match error {
        StoreError::DiskFull(_) => std::io::ErrorKind::StorageFull,
        _ => std::io::ErrorKind::Other,
    };
    unwritten(&error.to_string(), kind)
}

/// Writes the body into a file of the spool; gives the file, its digest and its size.
async fn receive(inlet: &PushInlet, body: &mut Body, is_raw: bool) -> Result<(SpooledFile, String, u64), Problem> {
    let spool = inlet.store.spool();
    let frame = blocking(move || spool.create()).await?.map_err(|error| unkept(&error))?;
    let mut upload = Upload { frame, hash: Sha256::new(), bytes: 0 };
    let mut part = Vec::new();
    let mut stream = std::mem::take(body).into_data_stream();
    let mut received = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| {
            Problem::bad_request(format!(
                "The body ended after {received} bytes ({error}): the frame was not taken; send it again."
            ))
        })?;
        received += chunk.len() as u64;
        if received > inlet.most {
            *body = Body::from_stream(stream);
            return Err(too_large(received, inlet.most));
        }
        part.extend_from_slice(&chunk);
        if part.len() >= WRITE_AT_ONCE {
            let full = std::mem::take(&mut part);
            upload = blocking(move || upload.write(&full)).await??;
        }
    }
    if received == 0 {
        return Err(Problem::bad_request("The body is empty; expected an image file or raw samples."));
    }
    let most = inlet.most;
    blocking(move || {
        let upload = upload.write(&part)?;
        if !is_raw {
            check_image(&upload.frame, most)?;
        }
        Ok((upload.frame, hex(upload.hash.finalize()), upload.bytes))
    })
    .await?
}

/// Refuses what cannot become one frame. Whether its samples can be decoded shows later.
fn check_image(frame: &SpooledFile, most: u64) -> Result<(), Problem> {
    let pages = match ImageFile::open_within(&frame.path(), most) {
        Ok(image) => image.pages(),
        Err(error) => {
            let status = match &error {
                FileError::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
                FileError::TooLarge { .. } | FileError::TooMuchMemory { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                FileError::Broken(_) => StatusCode::BAD_REQUEST,
                FileError::Io(_) | FileError::NoBuffer => StatusCode::INTERNAL_SERVER_ERROR,
            };
            return Err(Problem::new(status, format!("The body is no picture that can be read: {error}.")));
        }
    };
    if pages != 1 {
        return Err(Problem::bad_request(format!(
            "The file holds {pages} pictures; expected one, since a trigger has one answer: push each by itself."
        )));
    }
    Ok(())
}

/// Brings the frame to the disk and puts it into the queue. A trigger that is known already is not taken again.
fn keep(
    inlet: &PushInlet,
    queue: &PushQueue,
    row: TriggerRow,
    facts: TriggerFacts,
    frame: SpooledFile,
    place: Reservation,
) -> Result<(bool, TriggerView), Problem> {
    // Numbers and names always become JSON.
    let text = serde_json::to_string(&facts).unwrap_or_default();
    let (path, digest, said) = (frame.path(), row.digest.clone(), facts.clone());
    let row = TriggerRow { facts: text, ..row };
    let (source, bytes) = (row.source.clone(), row.bytes);
    let (row, is_new) = inlet.store.begin_trigger(&row, Some(frame)).map_err(|error| unkept(&error))?;
    if is_new {
        queue.push(Pushed { trigger: row.id.clone(), path, bytes, facts });
    } else if row.digest != digest || row.source != source || contradicts(&said, &row.facts) {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            format!(
                "Trigger '{}' came before ({}, source '{}') with another frame or other values; expected an id that no other frame has.",
                row.id, row.received, row.source
            ),
        ));
    }
    drop(place);
    Ok((is_new, row.view()))
}

/// Whether a repeated push says something else of its frame than the first did; what it leaves out contradicts nothing. Case
/// and slide are those of the moment, and differ without a contradiction.
fn contradicts(said: &TriggerFacts, stored: &str) -> bool {
    fn differs<T: PartialEq>(said: &Option<T>, known: &Option<T>) -> bool {
        said.is_some() && said != known
    }
    let known: TriggerFacts = serde_json::from_str(stored).unwrap_or_default();
    differs(&said.field, &known.field)
        || differs(&said.stage_um, &known.stage_um)
        || differs(&said.um_per_px, &known.um_per_px)
        || differs(&said.time, &known.time)
        || differs(&said.sequence, &known.sequence)
        || differs(&said.raw, &known.raw)
}

async fn read_out(body: Body) {
    let mut stream = body.into_data_stream();
    let mut left = READ_TO_REFUSE;
    while let Some(Ok(chunk)) = stream.next().await {
        left = left.saturating_sub(chunk.len());
        if left == 0 {
            return;
        }
    }
}

/// What can be said of a frame, in the query or in a header.
const NAMES: [&str; 12] =
    ["trigger", "field", "x_um", "y_um", "z_um", "um_per_px", "time", "sequence", "format", "width", "height", "bits"];

fn wrong(name: &str, found: &str, expected: &str) -> Problem {
    Problem::bad_request(format!("invalid {name} '{found}': expected {expected}"))
}

struct Said(BTreeMap<String, String>);

impl Said {
    /// From the query, and from headers such as `metaphased-x-um`.
    fn gather(query: Vec<(String, String)>, headers: &HeaderMap) -> Result<Self, Problem> {
        let mut said = BTreeMap::new();
        let from_headers = headers.iter().filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix(HEADER)?.replace('-', "_");
            Some((name, String::from_utf8_lossy(value.as_bytes()).into_owned()))
        });
        for (name, value) in query.into_iter().chain(from_headers) {
            if !NAMES.contains(&name.as_str()) {
                return Err(Problem::bad_request(format!("unknown value '{name}': expected {}", NAMES.join(", "))));
            }
            if said.get(&name).is_some_and(|before| *before != value) {
                return Err(Problem::bad_request(format!("'{name}' is said twice, and not the same")));
            }
            said.insert(name, value);
        }
        Ok(Self(said))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn parsed<T: FromStr>(
        &mut self,
        name: &str,
        expected: &str,
        right: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.take(name) else { return Ok(None) };
        match text.parse() {
            Ok(value) if right(&value) => Ok(Some(value)),
            _ => Err(wrong(name, &text, expected)),
        }
    }

    fn facts(&mut self) -> Result<TriggerFacts, Problem> {
        let field = self.take("field");
        if let Some((field, Err(found))) = field.as_deref().map(|field| (field, check_name(field))) {
            return Err(wrong(
                "field",
                field,
                &format!("1 to {MAX_NAME} characters without control characters; {found}"),
            ));
        }
        let um = "a number of micrometres";
        let [x, y, z] = ["x_um", "y_um", "z_um"].map(|name| self.parsed(name, um, |v: &f64| v.is_finite()));
        let stage_um = match (x?, y?, z?) {
            (Some(x), Some(y), z) => Some(StagePosition { x, y, z }),
            (None, None, None) => None,
            _ => return Err(Problem::bad_request("x_um and y_um go together, and z_um needs both")),
        };
        let scale = "micrometres a pixel, 0.001 to 100";
        Ok(TriggerFacts {
            field,
            stage_um,
            um_per_px: self.parsed("um_per_px", scale, |v: &f64| (0.001..=100.0).contains(v))?,
            time: self.parsed("time", "a time such as 2026-11-30T12:00:00Z", |_| true)?,
            sequence: self.parsed("sequence", "a number of 32 bits", |_| true)?,
            raw: self.raw()?,
            ..TriggerFacts::default()
        })
    }

    fn raw(&mut self) -> Result<Option<RawLayout>, Problem> {
        let format = self.take("format");
        let side = "1 to 65535 pixels";
        let [width, height] =
            ["width", "height"].map(|name| self.parsed(name, side, |v: &u32| (1..=65_535).contains(v)));
        let (width, height) = (width?, height?);
        let bits = self.parsed("bits", "8 for 8-bit samples, 9 to 16 for mono16", |v: &u8| (8..=16).contains(v))?;
        let Some(name) = format else {
            if width.is_some() || height.is_some() || bits.is_some() {
                return Err(Problem::bad_request(
                    "width, height and bits are said of raw samples only: add 'format', or leave them out of an image file",
                ));
            }
            return Ok(None);
        };
        let format = RawFormat::ALL.into_iter().find(|format| format.name() == name);
        let format = format.ok_or_else(|| {
            wrong(
                "format",
                &name,
                &format!("{}; an image file needs none", RawFormat::ALL.map(RawFormat::name).join(", ")),
            )
        })?;
        let (Some(width), Some(height)) = (width, height) else {
            return Err(Problem::bad_request("raw samples need 'width' and 'height'"));
        };
        let bits = match (format, bits) {
            (RawFormat::Mono16, Some(bits)) if bits > 8 => bits,
            (RawFormat::Mono16, _) => return Err(Problem::bad_request("samples of mono16 need 'bits', 9 to 16")),
            (_, None | Some(8)) => 8,
            (_, Some(bits)) => return Err(wrong("bits", &bits.to_string(), "8 for this format")),
        };
        Ok(Some(RawLayout { format, width, height, bits }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(query: &[(&str, &str)]) -> Result<TriggerFacts, String> {
        let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Said::gather(query, &HeaderMap::new()).and_then(|mut said| said.facts()).map_err(|problem| problem.detail)
    }

    #[test]
    fn what_is_said_of_a_frame_is_read_or_refused() {
        let facts = said(&[
            ("x_um", "1.5"),
            ("y_um", "-2"),
            ("format", "mono16"),
            ("width", "4"),
            ("height", "3"),
            ("bits", "12"),
        ]);
        let facts = facts.expect("right");
        assert_eq!(facts.stage_um, Some(StagePosition { x: 1.5, y: -2.0, z: None }));
        assert_eq!(facts.raw.map(|raw| raw.bytes()), Some(24));
        for (wrong, words) in [
            (&[("x_um", "1")][..], "go together"),
            (&[("x_um", "1"), ("y_um", "NaN")], "invalid y_um 'NaN'"),
            (&[("um_per_px", "0")], "0.001 to 100"),
            (&[("format", "mono12p"), ("width", "4"), ("height", "3")], "mono8, mono16, rgb8"),
            (&[("format", "mono16"), ("width", "4"), ("height", "3")], "need 'bits'"),
            (&[("width", "4")], "add 'format'"),
            (&[("pixel_size", "4")], "unknown value 'pixel_size'"),
            (&[("time", "yesterday")], "2026-11-30"),
            (&[("x_um", "1"), ("x_um", "2"), ("y_um", "2")], "said twice"),
        ] {
            let error = said(wrong).expect_err("wrong");
            assert!(error.contains(words), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn a_header_says_what_the_query_may_say() {
        let mut headers = HeaderMap::new();
        headers.insert("metaphased-x-um", HeaderValue::from_static("7"));
        let query = vec![("y_um".to_owned(), "8".to_owned())];
        let facts = Said::gather(query, &headers).and_then(|mut said| said.facts()).map_err(|problem| problem.detail);
        assert_eq!(facts.map(|facts| facts.stage_um), Ok(Some(StagePosition { x: 7.0, y: 8.0, z: None })));
    }
}
