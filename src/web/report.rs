//! The report of a case as HTML to read and print.

use std::{collections::BTreeMap, fmt::Write as _};

use axum::{
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
};
use serde_json::Value;
use uuid::Uuid;

use super::cases::CaseView;
use crate::{
    cell::{Cell, DicentricRecord, NOTICE, Verdict},
    station::Birth,
    store::ReviewRecord,
};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
    color:#211d2b}h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:1.6rem 0 .4rem}\
    table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\
    th,td{text-align:left;vertical-align:top;padding:.25rem .8rem .25rem 0;border-top:1px solid #ddd8e2}\
    thead th{border:0;color:#625b70}.big{font-size:1.5rem;font-weight:650}.muted{color:#625b70}\
    .notice{border:1px solid #8a5200;padding:.5rem .8rem;border-radius:.5rem}\
    @media print{body{margin:0;max-width:none}tr{break-inside:avoid}}";

/// The report page.
pub fn page(birth: &Birth, case: &CaseView, cells: &[Cell], reviews: &[ReviewRecord]) -> Response {
    let nonce = Uuid::now_v7().simple().to_string();
    let html = render(birth, case, cells, reviews, &nonce);
    let policy = format!("default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; frame-ancestors 'none'");
    let mut answer = Html(html).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

fn render(birth: &Birth, case: &CaseView, cells: &[Cell], reviews: &[ReviewRecord], nonce: &str) -> String {
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Case {name}</title>\
         <style nonce=\"{nonce}\">{STYLE}</style></head><body><h1>Case {name}</h1>\
         <p class=\"muted\">Station {station}, metaphased {version}, opened {opened}{closed}</p>\
         <p class=\"notice\">{NOTICE}</p>",
        name = escape(&case.case),
        station = escape(&birth.station),
        version = escape(&birth.version),
        opened = escape(&case.opened),
        closed = case.closed.as_deref().map(|time| format!(", closed {}", escape(time))).unwrap_or_default(),
    );
    for (title, document) in [("What the cells say together", &case.state), ("Dose", &case.dose)] {
        if let Some(Value::Object(fields)) = document {
            section(&mut out, title, fields);
        }
    }
    let scored: Vec<&DicentricRecord> = cells.iter().filter_map(|cell| cell.dicentric.as_ref()).collect();
    if !scored.is_empty() {
        distribution(&mut out, &scored);
    }
    table(&mut out, cells);
    audit(&mut out, reviews);
    models(&mut out, cells);
    out.push_str("</body></html>");
    out
}

/// The fields of a document as lines; what the envelope repeats is left out.
fn section(out: &mut String, title: &str, fields: &serde_json::Map<String, Value>) {
    let _ = write!(out, "<h2>{title}</h2><table><tbody>");
    for (key, value) in fields {
        if matches!(key.as_str(), "schema" | "station" | "case" | "notice") || value.is_null() {
            continue;
        }
        let key = key.replace('_', " ");
        let _ = write!(out, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escape(&key), words(value));
    }
    out.push_str("</tbody></table>");
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => match number.as_f64() {
            Some(n) if n.fract() != 0.0 => format!("{n:.4}"),
            _ => number.to_string(),
        },
        Value::String(text) => escape(text),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join("<br>"),
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| {
                format!("<span class=\"muted\">{}</span> {}", escape(&key.replace('_', " ")), words(value))
            })
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// How many complete cells carry 0, 1, 2 ... dicentrics: the scoring sheet's head.
fn distribution(out: &mut String, scored: &[&DicentricRecord]) {
    let complete = scored.iter().filter(|record| record.complete);
    let mut cells: BTreeMap<u32, u32> = BTreeMap::new();
    for record in complete.clone() {
        *cells.entry(record.dicentric_equivalents()).or_default() += 1;
    }
    let total: u32 = complete.clone().map(|record| record.dicentric_equivalents()).sum();
    let rings: u32 = complete.clone().map(|record| record.rings).sum();
    let fragments: u32 = complete.clone().map(|record| record.fragments).sum();
    let _ = write!(
        out,
        "<h2>Scoring sheet</h2><p>{} of {} cells are complete; {total} dicentrics (a k-centric counts k - 1), {rings} \
         rings, {fragments} fragments in them.</p><table><thead><tr><th>Dicentrics a cell</th><th>Cells</th></tr></thead><tbody>",
        complete.count(),
        scored.len(),
    );
    for (dicentrics, count) in cells {
        let _ = write!(out, "<tr><td>{dicentrics}</td><td>{count}</td></tr>");
    }
    out.push_str("</tbody></table>");
}

fn table(out: &mut String, cells: &[Cell]) {
    let _ = write!(
        out,
        "<h2>Cells ({})</h2><table><thead><tr><th>No</th><th>Taken</th><th>Where</th><th>Found</th><th>Result</th>\
         <th>Verdict</th><th>Why</th></tr></thead><tbody>",
        cells.len()
    );
    for (number, cell) in cells.iter().enumerate() {
        let place = match (&cell.captured.file, &cell.captured.stage_um) {
            (Some(file), _) => escape(file),
            (None, Some(stage)) => format!("{:.0}, {:.0} µm", stage.x, stage.y),
            (None, None) => format!("{}, frame {}", escape(&cell.source), cell.captured.frame),
        };
        let found = match &cell.dicentric {
            Some(record) => format!("{} centromeres", record.centromeres),
            None => format!("{} chromosomes", cell.counts.detected),
        };
        let result = match &cell.dicentric {
            Some(record) => format!("{} dicentrics", record.dicentric_equivalents()),
            None => escape(cell.karyotype.iscn.as_deref().unwrap_or("–")),
        };
        let verdict = match cell.karyotype.verdict {
            Verdict::Normal => "normal",
            Verdict::Abnormal => "abnormal",
            Verdict::NotAssessable => "not assessable",
        };
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{place}</td><td>{found}</td><td>{result}</td><td>{verdict}</td><td>{}</td></tr>",
            number + 1,
            escape(&cell.captured.time),
            escape(&cell.karyotype.reason),
        );
    }
    out.push_str("</tbody></table>");
}

fn audit(out: &mut String, reviews: &[ReviewRecord]) {
    if reviews.is_empty() {
        return;
    }
    out.push_str("<h2>Reviews</h2><table><thead><tr><th>When</th><th>Who</th><th>What</th></tr></thead><tbody>");
    for review in reviews {
        let cell = review.cell.map(|cell| format!(" (cell {cell})")).unwrap_or_default();
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}{cell}</td></tr>",
            escape(&review.time),
            escape(&review.by),
            escape(&review.change)
        );
    }
    out.push_str("</tbody></table>");
}

fn models(out: &mut String, cells: &[Cell]) {
    let models: std::collections::BTreeSet<String> =
        cells.iter().flat_map(|cell| cell.models.iter().map(|(task, name)| format!("{task}: {name}"))).collect();
    let text =
        if models.is_empty() { "none: segmentation alone".to_owned() } else { Vec::from_iter(models).join(", ") };
    let _ = write!(out, "<p class=\"muted\">Models: {}</p>", escape(&text));
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_typed_stays_text() {
        let case = CaseView {
            case: "<script>alert(1)</script>".to_owned(),
            opened: "2026-11-22T10:00:00Z".to_owned(),
            closed: None,
            stored_cells: 0,
            state: Some(serde_json::json!({ "schema": "case/1", "consensus": "<b>46,XX</b>", "cells": 3 })),
            dose: None,
        };
        let html = render(&Birth::default(), &case, &[], &[], "n");
        assert!(!html.contains("<script>") && !html.contains("<b>"), "{html}");
        assert!(html.contains("&lt;b&gt;46,XX&lt;/b&gt;") && html.contains(NOTICE));
    }
}
