//! `openapi.json`: the routes from their own annotations, the schemas from the messages' structs.

use std::sync::OnceLock;

use axum::{Router, http::header, response::IntoResponse, routing::get};
use schemars::generate::SchemaSettings;
use serde_json::Value;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::{App, CellPage, FrameNote, Problem, Status, cases, cells, commands, events, probes, sources, status};
use domain::Cell;

#[derive(OpenApi)]
#[openapi(
    info(title = "metaphased", description = "Microscope frames to findings about chromosomes. Research use only; not a diagnosis."),
    paths(
        status::status, events::events, sources::sources, sources::frame, cells::cells, cells::cell,
        cells::image, cells::thumbnail, cells::karyogram, cells::chromosome, cases::cases, cases::case,
        cases::case_report, commands::trigger, commands::command, commands::review,
        commands::subject, commands::close, commands::reopen, commands::erase, probes::livez, probes::readyz
    ),
    modifiers(&Token),
    security((), ("token" = []))
)]
struct Api;

struct Token;

impl Modify for Token {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("Required beyond loopback.")).build();
        api.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The route.
pub fn routes() -> Router<App> {
    Router::new().route("/openapi.json", get(openapi))
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
    generator.subschema_for::<Status>();
    generator.subschema_for::<Cell>();
    generator.subschema_for::<CellPage>();
    generator.subschema_for::<FrameNote>();
    generator.subschema_for::<Problem>();
    generator.subschema_for::<sources::Sources>();
    generator.subschema_for::<cases::Cases>();
    generator.subschema_for::<commands::Trigger>();
    generator.subschema_for::<commands::CellReview>();
    generator.subschema_for::<commands::CaseSubject>();
    generator.subschema_for::<commands::CaseAction>();
    let schemas = generator.take_definitions(true);
    // A description made of plain structs always becomes JSON.
    let mut api = serde_json::to_value(Api::openapi()).unwrap_or_default();
    api["components"]["schemas"] = Value::Object(schemas);
    api
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
