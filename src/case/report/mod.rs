//! The report of a case as HTML to read and print. Pure: what it shows is handed in.

mod dose;
mod dose_plot;
pub mod scoring_sheet;

pub use dose_plot::DosePlot;

use std::fmt::Write as _;

use serde_json::Value;

use super::CaseDose;
use crate::store::{CaseRecord, ReviewRecord};
use domain::{Cell, NOTICE};
use dosimetry::Subject;
use dosimetry::{Level, Protraction};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;\
    color:#211d2b;background:#fff}h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:1.8rem 0 .4rem}\
    h3{font-size:.95rem;margin:0 0 .2rem;color:#625b70;font-weight:600}p{margin:.3rem 0}\
    table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\
    th,td{text-align:left;vertical-align:top;padding:.25rem .8rem .25rem 0;border-top:1px solid #ddd8e2}\
    tbody th{font-weight:500;color:#625b70;width:11.5rem}thead th{border:0;color:#625b70;font-size:.85rem;line-height:1.25}\
    .big{font-size:1.9rem;font-weight:650;line-height:1.2}.muted{color:#625b70}.small{font-size:.86rem}\
    .notice{border:1px solid #8a5200;padding:.5rem .8rem;border-radius:.5rem}\
    .two{display:grid;grid-template-columns:1fr 1fr;gap:0 2.5rem}figure{margin:.8rem 0}\
    figure svg{max-width:100%;height:auto}.sheet td,.sheet th{padding-right:.5rem}.sheet .n{text-align:right}\
    .sheet tr.out td{color:#8b8496}.alarm{color:#b0261d;font-weight:650}\
    .bar i{display:inline-block;height:.7em;background:#7a5fc0}\
    .sign{display:grid;grid-template-columns:1fr 1fr 1fr;gap:2rem;margin-top:2.5rem}\
    .sign p{border-top:1px solid #211d2b;padding-top:.2rem}\
    @media print{body{margin:0;max-width:none;font-size:12px}tr,figure{break-inside:avoid}h2{break-after:avoid}}";

/// What a report is made from.
pub struct Report<'a> {
    /// Station.
    pub station: &'a str,
    /// Version of the program.
    pub version: &'a str,
    /// The case with its latest documents.
    pub case: &'a CaseRecord,
    /// Subject data, where the reader may see them.
    pub subject: Option<&'a Subject>,
    /// Its cells in the order in which they came.
    pub cells: &'a [Cell],
    /// Its audit.
    pub reviews: &'a [ReviewRecord],
}

impl Report<'_> {
    /// The page. Its style carries `nonce` where the server's policy asks for one.
    pub fn html(&self, nonce: Option<&str>) -> String {
        let nonce = nonce.map(|nonce| format!(" nonce=\"{nonce}\"")).unwrap_or_default();
        let mut out = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Case {name}</title>\
             <style{nonce}>{STYLE}</style></head><body><h1>Case {name}</h1>\
             <p class=\"muted\">Station {station}, metaphased {version}, opened {opened}{closed}</p>\
             <p class=\"notice\">{NOTICE}</p>",
            name = escape(&self.case.id),
            station = escape(self.station),
            version = escape(self.version),
            opened = escape(&self.case.opened),
            closed = self.case.closed.as_deref().map(|time| format!(", closed {}", escape(time))).unwrap_or_default(),
        );
        let dose = self.dose();
        if let Some(dose) = &dose {
            dose::section(&mut out, dose, self.drawing().as_deref(), self.subject);
        }
        let state = self.case.state.as_deref().and_then(|text| serde_json::from_str(text).ok());
        if let Some(Value::Object(fields)) = state {
            section(&mut out, "Case summary", &fields);
        }
        if self.cells.iter().any(|cell| cell.dicentric.is_some()) {
            scoring_sheet::table(&mut out, self.cells);
        } else {
            table(&mut out, self.cells);
        }
        audit(&mut out, self.reviews);
        if dose.is_some() {
            out.push_str(
                "<div class=\"sign\"><p>Scored by, date</p><p>Checked by, date</p><p>Responsible for the dose, date</p></div>",
            );
        }
        models(&mut out, self.cells);
        out.push_str("</body></html>");
        out
    }

    /// The latest dose.
    fn dose(&self) -> Option<CaseDose> {
        serde_json::from_str(self.case.dose.as_deref()?).ok()
    }

    /// The estimate on its curve as SVG, where there is one.
    pub fn drawing(&self) -> Option<String> {
        let found = self.dose()?.estimate?;
        let curve = found.curve.curve(found.input.assay).ok()?;
        let protraction = Protraction::from_factor(found.input.protraction)?;
        let picture = DosePlot {
            response: curve.at(protraction),
            band: Level::P95,
            points: &[],
            estimate: Some(&found),
            title: format!("Dose of case {}", self.case.id),
            to: None,
            size: (900, 520),
        };
        picture.svg().ok()
    }
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

fn table(out: &mut String, cells: &[Cell]) {
    let _ = write!(
        out,
        "<h2>Cells ({})</h2><table><thead><tr><th>No</th><th>Taken</th><th>Where</th><th>Found</th><th>Result</th>\
         <th>Verdict</th><th>Why</th></tr></thead><tbody>",
        cells.len()
    );
    for (number, cell) in cells.iter().enumerate() {
        let place = escape(&place(cell));
        let found = format!("{} chromosomes", cell.counts.detected);
        let result = escape(cell.karyotype.iscn.as_deref().unwrap_or("–"));
        let excluded = cell.excluded.as_ref();
        let verdict = if excluded.is_some() { "excluded" } else { cell.karyotype.verdict.words() };
        let why = excluded.map_or_else(|| cell.karyotype.reason.clone(), |e| format!("{} ({})", e.reason, e.by));
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{place}</td><td>{found}</td><td>{result}</td><td>{verdict}</td><td>{}</td></tr>",
            number + 1,
            escape(&cell.captured.time),
            escape(&why),
        );
    }
    out.push_str("</tbody></table>");
}

/// Where a cell was found: its file, its place on the stage, or its frame.
fn place(cell: &Cell) -> String {
    match (&cell.captured.file, &cell.captured.stage_um) {
        (Some(file), _) => file.clone(),
        (None, Some(stage)) => format!("{:.0}, {:.0} µm", stage.x, stage.y),
        (None, None) => format!("{}, frame {}", cell.source, cell.captured.frame),
    }
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
    quick_xml::escape::escape(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_typed_stays_text() {
        let case = CaseRecord {
            id: "<script>alert(1)</script>".to_owned(),
            opened: "2026-11-22T10:00:00Z".to_owned(),
            closed: None,
            subject: None,
            cells: 0,
            state: Some(r#"{"schema":"case/1","consensus":"<b>46,XX</b>","cells":3}"#.into()),
            dose: None,
        };
        let report = Report { station: "lab", version: "1", case: &case, subject: None, cells: &[], reviews: &[] };
        let html = report.html(Some("n"));
        assert!(!html.contains("<script>") && !html.contains("<b>"), "{html}");
        assert!(html.contains("&lt;b&gt;46,XX&lt;/b&gt;") && html.contains(NOTICE));
    }
}
