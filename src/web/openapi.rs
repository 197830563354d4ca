//! `openapi.json`: the routes listed here, the schemas from the messages' structs.

use std::sync::OnceLock;

use axum::{Router, http::header, response::IntoResponse, routing::get as route};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{App, CellPage, FrameNote, Problem, SessionList, Status, UserViews, Who, cases, commands, sources};
use crate::{
    case::{Corrections, SlideState},
    station::TriggerView,
};
use domain::Cell;

/// The route.
pub fn routes() -> Router<App> {
    Router::new().route("/openapi.json", route(openapi))
}

async fn openapi() -> impl IntoResponse {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text: &'static str = TEXT.get_or_init(|| document().to_string());
    ([(header::CONTENT_TYPE, "application/json")], text)
}

/// The whole description.
pub fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let g = &mut generator;
    let groups = [
        ("daemon", daemon_operations(g)),
        ("sources", sources_operations(g)),
        ("cells", cells_operations(g)),
        ("cases", cases_operations(g)),
        ("commands", commands_operations(g)),
        ("people", people_operations(g)),
        ("probes", probes_operations()),
    ];
    // Referred to by every operation, and the data of an event.
    g.subschema_for::<Problem>();
    g.subschema_for::<FrameNote>();
    let mut paths = Map::new();
    for (tag, operations) in groups {
        for Operation { method, path, mut fields } in operations {
            fields["tags"] = json!([tag]);
            paths.entry(path).or_insert_with(|| json!({}))[method] = fields;
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "metaphased",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
            "description": "Microscope frames to findings about chromosomes. Research use only; not a diagnosis.",
        },
        "security": [{}, { "token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "Needed beyond loopback." },
                "session": {
                    "type": "apiKey", "in": "cookie", "name": "metaphased-session",
                    "description": "Of a person who logged in on the page; the role decides what is answered with 403.",
                },
            },
            "schemas": generator.take_definitions(true),
        },
    })
}

/// One method of one path, and its description.
struct Operation {
    method: &'static str,
    path: &'static str,
    fields: Value,
}

fn get(path: &'static str, id: &str, summary: &str) -> Operation {
    Operation { method: "get", path, fields: json!({ "operationId": id, "summary": summary, "responses": {} }) }
}

fn post(path: &'static str, id: &str, summary: &str) -> Operation {
    Operation { method: "post", ..get(path, id, summary) }
}

impl Operation {
    fn path<T: JsonSchema>(self, name: &str, description: &str) -> Self {
        self.parameter::<T>("path", name, description)
    }

    fn query<T: JsonSchema>(self, name: &str, description: &str) -> Self {
        self.parameter::<T>("query", name, description)
    }

    fn parameter<T: JsonSchema>(mut self, place: &str, name: &str, description: &str) -> Self {
        let schema = T::json_schema(&mut SchemaGenerator::default());
        let parameter = json!({
            "in": place, "name": name, "description": description, "required": place == "path", "schema": schema
        });
        match self.fields["parameters"].as_array_mut() {
            Some(parameters) => parameters.push(parameter),
            None => self.fields["parameters"] = json!([parameter]),
        }
        self
    }

    fn body<T: JsonSchema>(mut self, generator: &mut SchemaGenerator) -> Self {
        let schema = generator.subschema_for::<T>();
        self.fields["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
        self
    }

    /// Bytes as they are.
    fn binary(mut self) -> Self {
        self.fields["requestBody"] = json!({ "required": true, "content": { "application/octet-stream": {} } });
        self
    }

    /// Status 200 with a document.
    fn json<T: JsonSchema>(self, generator: &mut SchemaGenerator, description: &str) -> Self {
        let schema = generator.subschema_for::<T>();
        self.response(
            200,
            json!({
                "description": description, "content": { "application/json": { "schema": schema } }
            }),
        )
    }

    /// Status 200 with something else.
    fn content(self, media_type: &str, description: &str) -> Self {
        self.response(200, json!({ "description": description, "content": { media_type: {} } }))
    }

    fn done(self, status: u16, description: &str) -> Self {
        self.response(status, json!({ "description": description }))
    }

    fn problem(self, status: u16, description: &str) -> Self {
        let schema = json!({ "$ref": "#/components/schemas/Problem" });
        self.response(
            status,
            json!({
                "description": description, "content": { "application/json": { "schema": schema } }
            }),
        )
    }

    fn response(mut self, status: u16, response: Value) -> Self {
        self.fields["responses"][status.to_string()] = response;
        self
    }

    /// Needs no token.
    fn open(mut self) -> Self {
        self.fields["security"] = json!([{}]);
        self
    }
}

fn daemon_operations(g: &mut SchemaGenerator) -> Vec<Operation> {
    vec![
        get("/api/v1/events", "events", "What happens, as it happens: `state`, `stats`, `cell`, `case`, `dose`, `alarm`; for watched sources also `frame` and `boxes`. The current state and counters come first. A slow client misses events and goes on.")
            .query::<String>("live", "Sources whose live frames are wanted, separated by commas")
            .content("text/event-stream", "Server-sent events; each event's data is a JSON object")
            .problem(404, "No such source"),
        get("/api/v1/status", "status", "How the daemon is.")
            .json::<Status>(g, "State, counters and facts"),
    ]
}

fn sources_operations(g: &mut SchemaGenerator) -> Vec<Operation> {
    let accepted = json!({
        "description": "On the disk; `triggers/{id}` has its answer, and `cell` or `rejected` brings it",
        "content": { "application/json": { "schema": g.subschema_for::<TriggerView>() } },
    });
    vec![
        get("/api/v1/sources", "sources", "All sources.")
            .json::<sources::Sources>(g, "The sources"),
        get("/api/v1/sources/{id}/frame.jpg", "frame", "The live picture: the next one, or one of the last few by its number while someone listens to the source's events.")
            .path::<String>("id", "Name of the source")
            .query::<u64>("frame", "Number of the frame, from a `frame` event")
            .content("image/jpeg", "JPEG, at most 1400 pixels on the longer side")
            .problem(404, "No such source or frame")
            .problem(503, "No frame came within 5 s"),
        post(
            "/api/v1/sources/{id}/frames",
            "push_frame",
            "Pushes a frame to a source of kind `push`: the body is one image file (PNG, TIFF, JPEG, WebP, BMP), or raw samples where `format` is given. Every value of the query may be a header instead, such as `metaphased-x-um`.",
        )
        .path::<String>("id", "Name of the source")
        .query::<String>("trigger", "The scanner's event id, never used for another frame; one is made where it is left out")
        .query::<String>("field", "The scanner's own name of the field")
        .query::<f64>("x_um", "Stage position across the slide, in micrometres, of the picture's middle")
        .query::<f64>("y_um", "Stage position along the slide")
        .query::<f64>("z_um", "Focus")
        .query::<f64>("um_per_px", "Pixel size in micrometres")
        .query::<String>("time", "When it was taken, RFC 3339")
        .query::<u32>("sequence", "Number of the scanner's camera: gaps are counted")
        .query::<String>("format", "Raw samples: mono8, mono16 (low byte first) or rgb8; rows are dense")
        .query::<u32>("width", "Raw samples: pixels a row")
        .query::<u32>("height", "Raw samples: rows")
        .query::<u8>("bits", "Raw samples of mono16: bits that carry signal, 9 to 16")
        .binary()
        .response(202, accepted.clone())
        .response(200, json!({ "description": "The same frame came before, and has its answer", "content": accepted["content"] }))
        .problem(400, "A value, the length or the picture is wrong")
        .problem(404, "No such source")
        .problem(409, "Not a source of kind `push`, or the trigger's id came before with another frame or other values")
        .problem(413, "Too large")
        .problem(415, "No picture that can be read")
        .problem(429, "The spool is full: again after the seconds of Retry-After")
        .problem(507, "The disk is full"),
        get("/api/v1/slides/{id}", "slide", "The metaphases of a slide, ranked, with their places: the `slide` message.")
            .path::<String>("id", "Name of the slide, percent-encoded")
            .json::<SlideState>(g, "The slide")
            .problem(404, "Nothing was found on it"),
        get("/api/v1/triggers/{id}", "trigger_answer", "What became of a trigger or a pushed frame.")
            .path::<String>("id", "The event id, percent-encoded")
            .query::<f64>("wait", "Seconds to wait for its answer, at most 60; 0 without")
            .json::<TriggerView>(g, "The trigger; its `state` is `waiting` until it is answered")
            .problem(404, "No such trigger"),
    ]
}

fn cells_operations(g: &mut SchemaGenerator) -> Vec<Operation> {
    vec![
        get("/api/v1/cells", "cells", "A page of cells.")
            .query::<String>("case", "Only of this case")
            .query::<String>("verdict", "Only `normal`, `abnormal` or `not_assessable`")
            .query::<String>("scoring", "Dicentric assay: only cells with `dicentrics`, those `to_review`, or those `not_counted` towards a dose")
            .query::<String>("source", "Only of this source")
            .query::<String>("after", "`next` of the page before, or, in the order of time, the UUID of a cell")
            .query::<usize>("limit", "1 to 500; 50 when left out")
            .query::<String>("search", "Only with this text in karyotype, file or id")
            .query::<String>("order", "`newest` first (default), `oldest` first, `quality` (best pictures first) or `doubt` (first what a person should look at)")
            .json::<CellPage>(g, "A page")
            .problem(400, "Wrong query"),
        get("/api/v1/cells/{id}", "cell", "One cell: the `cell` message at its latest revision.")
            .path::<String>("id", "UUID of the cell")
            .json::<Cell>(g, "The cell")
            .problem(404, "No such cell"),
        get("/api/v1/cells/{id}/reviews", "cell_reviews", "Who changed what of a cell.")
            .path::<String>("id", "UUID of the cell")
            .json::<super::cells::CellReviews>(g, "The changes, oldest first")
            .problem(404, "No such cell"),
        get("/api/v1/rejected", "rejected", "Files that gave no cell, each with the reason.")
            .query::<String>("source", "Only of this source")
            .query::<String>("before", "`next` of the page before")
            .query::<usize>("limit", "1 to 500; 50 when left out")
            .json::<super::cells::RejectedPage>(g, "A page, the latest first"),
        get("/api/v1/cells/{id}/chromosomes/{index}.png", "chromosome", "The picture of one chromosome, as it lies in the frame.")
            .path::<String>("id", "UUID of the cell")
            .path::<u32>("index", "Index of the chromosome")
            .content("image/png", "PNG")
            .problem(404, "None was kept"),
        get("/api/v1/cells/{id}/image.png", "image", "The frame of the cell. Where `store.keep_images` did not keep it, the kept chromosomes at their places on plain background, with the header `metaphased-picture: composed`.")
            .path::<String>("id", "UUID of the cell")
            .content("image/png", "PNG, 8 bit, as large as the frame")
            .problem(404, "No such cell, or nothing was kept of it"),
        get("/api/v1/cells/{id}/karyogram.svg", "karyogram", "The karyogram: the chromosomes arranged by class, each with its score, as one drawing with the pictures inside.")
            .path::<String>("id", "UUID of the cell")
            .query::<bool>("straight", "Made straight along their middle line; false without")
            .content("image/svg+xml", "SVG")
            .problem(404, "No such cell"),
        get("/api/v1/iscn", "iscn", "Judges a karyotype: the sums, the order, the breakpoints; what it says in plain words.")
            .query::<String>("text", "The karyotype, at most 4000 bytes")
            .json::<karyotype::iscn::Report>(g, "Whether it is right, and what is wrong")
            .problem(400, "Too long"),
        get("/api/v1/cells/{id}/thumbnail.jpg", "thumbnail", "A small picture of the cell.")
            .path::<String>("id", "UUID of the cell")
            .content("image/jpeg", "JPEG")
            .problem(404, "None was kept"),
    ]
}

fn cases_operations(g: &mut SchemaGenerator) -> Vec<Operation> {
    vec![
        get("/api/v1/cases", "cases", "All cases.")
            .query::<bool>("lean", "Without the parts of the documents that a list does not show")
            .json::<cases::Cases>(g, "The cases"),
        get("/api/v1/cases/{id}", "case", "One case.")
            .path::<String>("id", "Id of the case, percent-encoded")
            .json::<cases::CaseView>(g, "The case")
            .problem(404, "No such case"),
        get("/api/v1/cases/{id}/corrections", "case_corrections", "What people corrected in the cells of a case: the fewest boxes added and deleted and classes changed between the machine's records and theirs.")
            .path::<String>("id", "Id of the case, percent-encoded")
            .json::<Corrections>(g, "The corrections")
            .problem(404, "No such case"),
        get("/api/v1/cases/{id}/report.html", "case_report", "The case as a page to read and print.")
            .path::<String>("id", "Id of the case, percent-encoded")
            .content("text/html", "HTML")
            .problem(404, "No such case"),
    ]
}

fn commands_operations(g: &mut SchemaGenerator) -> Vec<Operation> {
    vec![
        post(
            "/api/v1/cases/{id}/close",
            "close",
            "Closes a case: no further cell is added to it until it is reopened. Corrections of its cells stay possible.",
        )
        .path::<String>("id", "Id of the case, percent-encoded")
        .body::<commands::CaseAction>(g)
        .done(200, "Closed; when")
        .problem(404, "No such case")
        .problem(409, "It is in use by a source"),
        post("/api/v1/cases/{id}/reopen", "reopen", "Reopens a closed case.")
            .path::<String>("id", "Id of the case, percent-encoded")
            .body::<commands::CaseAction>(g)
            .done(200, "Open again")
            .problem(404, "No such case"),
        post("/api/v1/cases/{id}/erase", "erase", "Erases a case for good: cells, pictures, reviews, subject data.")
            .path::<String>("id", "Id of the case, percent-encoded")
            .body::<commands::CaseAction>(g)
            .done(200, "Erased; how many cells and pictures")
            .problem(404, "No such case")
            .problem(409, "It is in use by a source"),
        post(
            "/api/v1/cases/{id}/subject",
            "subject",
            "Subject data of a case, for its dose. They are never given out again over HTTP.",
        )
        .path::<String>("id", "Id of the case, percent-encoded")
        .body::<commands::CaseSubject>(g)
        .done(200, "Stored; the dose follows")
        .problem(404, "No such case")
        .problem(409, "The data make no sense; says why"),
        post("/api/v1/cells/{id}/review", "review", "A person corrects a cell.")
            .path::<String>("id", "UUID of the cell")
            .body::<commands::CellReview>(g)
            .done(200, "Stored; what it gave")
            .problem(404, "No such cell")
            .problem(409, "The cell was changed meanwhile"),
        post(
            "/api/v1/commands/{name}",
            "command",
            "A command by its name, with the fields that MQTT's `command/<name>` takes.",
        )
        .path::<String>("name", "start, stop, snapshot, case, trigger, acknowledge, review")
        .body::<Map<String, Value>>(g)
        .done(200, "Done; what it gave")
        .problem(400, "No such command or wrong fields")
        .problem(409, "Refused; says why"),
        post("/api/v1/trigger", "trigger", "A scanner stands at a field: captures it.")
            .body::<commands::Trigger>(g)
            .done(202, "Taken; the cell or the rejection carries the trigger")
            .problem(404, "No such source")
            .problem(409, "Not now"),
    ]
}

fn people_operations(g: &mut SchemaGenerator) -> Vec<Operation> {
    vec![
        get("/api/v1/session", "session", "Who asks: name, role, and how they came in.")
            .json::<Who>(g, "The one who asks"),
        get("/api/v1/sessions", "sessions", "Who is logged in: one's own sessions, or all for who administers.")
            .json::<SessionList>(g, "The sessions, the oldest first"),
        post("/api/v1/sessions/{id}/end", "end_session", "Ends a session: one's own, or any for who administers.")
            .path::<String>("id", "Id of the session")
            .done(200, "It is over")
            .problem(404, "No such session"),
        get("/api/v1/users", "users", "The users with their roles; for who administers.")
            .json::<UserViews>(g, "The users")
            .problem(403, "Requires the role administer"),
    ]
}

fn probes_operations() -> Vec<Operation> {
    vec![
        get("/livez", "livez", "The process answers.").content("text/plain", "It lives").open(),
        get("/readyz", "readyz", "It can take frames.")
            .content("text/plain", "It is ready")
            .problem(503, "It is not; says why")
            .open(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        let api = document();
        let mut references = Vec::new();
        collect(&api, &mut references);
        assert!(references.len() > 30, "{references:?}");
        for reference in references {
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(api.pointer(pointer).is_some(), "{reference}");
        }
    }

    fn collect(value: &Value, references: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    references.push(reference.clone());
                }
                fields.values().for_each(|value| collect(value, references));
            }
            Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
            _ => {}
        }
    }
}
