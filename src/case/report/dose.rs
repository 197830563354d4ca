//! The dose of a case in the report: what was found, from which counts, by which curve and method.

use std::fmt::Write as _;

use super::escape;
use crate::case::{AlarmState, CaseDose, Progress};
use dosimetry::Subject;
use dosimetry::{Bounded, Estimate, Method};

/// Writes the section. `drawing` is SVG.
pub fn section(out: &mut String, dose: &CaseDose, drawing: Option<&str>, subject: Option<&Subject>) {
    out.push_str("<h2>Dose</h2>");
    match &dose.estimate {
        Some(found) => headline(out, found),
        None => out.push_str("<p class=\"big\">No dose</p>"),
    }
    match dose.alarm {
        AlarmState::Clear => {}
        AlarmState::Held => {
            out.push_str("<p class=\"alarm\">Alarm held until a person has looked at the called dicentrics</p>");
        }
        AlarmState::Raised => out.push_str("<p class=\"alarm\">Alarm raised, not acknowledged</p>"),
        AlarmState::Acknowledged => out.push_str("<p class=\"alarm\">Alarm raised and acknowledged</p>"),
    }
    if let Some(drawing) = drawing {
        let _ = write!(out, "<figure>{drawing}</figure>");
    }
    out.push_str("<div class=\"two\"><div>");
    counts(out, dose);
    out.push_str("</div><div>");
    if let Some(found) = &dose.estimate {
        curve(out, found);
    }
    if let Some(subject) = subject.filter(|subject| !subject.is_empty()) {
        person(out, subject);
    }
    out.push_str("</div></div>");
    let notes = dose.flags.iter().chain(dose.estimate.iter().flat_map(|e| &e.warnings));
    let notes: Vec<String> = notes.map(|text| format!("<li>{}</li>", escape(text))).collect();
    if !notes.is_empty() {
        let _ = write!(out, "<h2>Notes</h2><ul>{}</ul>", notes.concat());
    }
    distribution(out, dose);
}

fn range(b: Bounded<f64>, digits: usize) -> String {
    let bound = |v: Option<f64>| v.map_or("not bounded".into(), |v| format!("{v:.digits$}"));
    format!("{:.digits$} ({} to {})", b.value, bound(b.low), bound(b.high))
}

fn headline(out: &mut String, found: &Estimate) {
    let d = &found.dose_gy;
    let gray = |v: Option<f64>| v.map_or("not bounded".into(), |v| format!("{v:.2} Gy"));
    let level = (d.level * 1000.0).round() / 10.0;
    let method = match d.method {
        Method::Likelihood => format!("{level} % interval, inverted likelihood ratio test"),
        Method::Merkle => format!(
            "Merkle's interval, {level} % for the count and {} % for the curve, together about 95 %",
            (d.level_curve.unwrap_or(d.level) * 1000.0).round() / 10.0
        ),
        Method::Delta => format!("{level} % interval by the delta method"),
    };
    let _ = write!(
        out,
        "<p class=\"big\">{:.2} Gy</p><p>Whole body: {} to {} ({method})</p>",
        d.value,
        gray(d.low),
        gray(d.high)
    );
    if let Some(part) = &found.partial_body {
        let share = part.fraction.map(|f| f * 100.0);
        let _ = write!(
            out,
            "<p><strong>If a part of the body was exposed: {} Gy to {} % of it</strong> (Dolphin, 95 %, D<sub>0</sub> {} Gy)</p>",
            range(part.dose_gy, 2),
            range(share, 0),
            part.d0_gy
        );
    }
}

fn rows(out: &mut String, title: &str, rows: &[(&str, String)]) {
    let _ = write!(out, "<h2>{title}</h2><table><tbody>");
    for (name, value) in rows {
        let _ = write!(out, "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>");
    }
    out.push_str("</tbody></table>");
}

fn counts(out: &mut String, dose: &CaseDose) {
    let cells = &dose.cells;
    let mut unselected: Vec<String> = [
        (cells.incomplete, "incomplete"),
        (cells.second_division, "in a later division"),
        (cells.not_scored, "that nobody has scored"),
        (cells.unclear, "with unclear aberrations"),
        (cells.excluded, "excluded by a person"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, why)| format!("{n} {why}"))
    .collect();
    if unselected.is_empty() {
        unselected.push("none".into());
    }
    let progress = match dose.progress {
        Progress::Started => "too few to sort by dose",
        Progress::Triage => "enough for triage (50 cells or 30 dicentrics)",
        Progress::Full => "full assay (500 cells or 100 dicentrics)",
    };
    let width = dose.cells_needed.half_width_gy;
    let needed = match dose.cells_needed.cells {
        Some(n) => format!("about {n} for limits ± {width} Gy"),
        None => format!("no number gives limits ± {width} Gy: the curve is less sure"),
    };
    let mut list = vec![
        ("Cells counted", format!("{} of {}", cells.counted, cells.seen)),
        ("Not counted", unselected.join(", ")),
        ("Scored by a person", format!("{}; {} wait for one", cells.reviewed, cells.awaiting_review)),
        ("Dicentrics", format!("{} (a k-centric counts k − 1)", dose.dicentrics)),
        ("Rings, fragments", format!("{}, {}", dose.rings, dose.fragments)),
    ];
    if let Some(found) = &dose.estimate {
        let number = |v: Option<f64>| v.map_or("not available".into(), |v| format!("{v:.2}"));
        let limits = &found.limits;
        let exceeded = if limits.exceeded { "exceeded" } else { "not exceeded" };
        let gray = |v: Option<f64>| v.map(|v| format!(" ({v:.2} Gy)")).unwrap_or_default();
        list.extend([
            ("Yield, per cell", range(found.yield_, 4)),
            ("Dispersion, u", format!("{}, {}", number(found.dispersion.index), number(found.dispersion.u))),
            ("Decision threshold", format!("{} dicentrics{}: {exceeded}", limits.decision, gray(limits.decision_gy))),
            ("Detection limit", format!("{:.1} dicentrics{}", limits.detection, gray(limits.detection_gy))),
        ]);
    }
    list.push(("Scoring", progress.into()));
    list.push(("Cells needed", needed));
    rows(out, "Counts", &list);
}

fn curve(out: &mut String, found: &Estimate) {
    let c = &found.curve;
    let error = |i: usize| c.covariance.map(|v| format!(" ± {:.5}", v[i][i].max(0.0).sqrt())).unwrap_or_default();
    let mut list = vec![
        ("Curve", escape(&c.id)),
        ("Radiation", escape(&c.radiation)),
        ("c, per cell", format!("{:.5}{}", c.c, error(0))),
        ("α, per cell and Gy", format!("{:.5}{}", c.alpha, error(1))),
        ("β, per cell and Gy²", format!("{:.5}{}", c.beta, error(2))),
    ];
    if let Some([low, high]) = c.dose_range_gy {
        list.push(("Calibrated", format!("{low} to {high} Gy")));
    }
    if let Some(scoring) = c.scoring {
        list.push(("Its cells scored", scoring.to_string()));
    }
    list.push(("Source", escape(&c.source)));
    if found.input.protraction != 1.0 {
        list.push(("Protraction", format!("β times {:.4}", found.input.protraction)));
    }
    if let Some(left) = found.input.remaining.filter(|left| *left != 1.0) {
        list.push(("Left at sampling", format!("{:.1} % of the dicentrics", left * 100.0)));
    }
    if let Some(before) = found.input.background.filter(|n| *n > 0.0) {
        list.push(("From before", format!("{before:.1} dicentrics")));
    }
    rows(out, "Curve and method", &list);
}

fn person(out: &mut String, subject: &Subject) {
    let list: Vec<(&str, String)> = [
        ("Age", subject.age.map(|age| format!("{age} years"))),
        ("Exposed", subject.exposed.map(|date| date.to_string())),
        ("Sampled", subject.sampled.map(|date| date.to_string())),
        (
            "Earlier exposure",
            subject.earlier_gy.map(|gy| {
                let date = subject.earlier_exposed.map(|date| format!(", {date}")).unwrap_or_default();
                format!("{gy} Gy{date}")
            }),
        ),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect();
    rows(out, "Subject data", &list);
}

/// How many counted cells hold 0, 1, 2, ... dicentrics, beside what Poisson's law expects of the same mean.
fn distribution(out: &mut String, dose: &CaseDose) {
    let n: u64 = dose.counts.iter().sum();
    if n == 0 {
        return;
    }
    let mean = dose.dicentrics as f64 / n as f64;
    let most = dose.counts.iter().copied().max().unwrap_or(1).max(1);
    out.push_str(
        "<h2>Distribution</h2><table><thead><tr><th>Dicentrics a cell</th><th>Cells</th><th>Poisson</th><th></th></tr>\
         </thead><tbody>",
    );
    let mut expected = n as f64 * (-mean).exp();
    for (k, cells) in dose.counts.iter().enumerate() {
        // A drawing needs no style of its own: the policy of the page allows none.
        let width = 300.0 * *cells as f64 / most as f64;
        let _ = write!(
            out,
            "<tr><td>{k}</td><td>{cells}</td><td>{expected:.1}</td><td><svg width=\"300\" height=\"11\" role=\"img\" \
             aria-label=\"{cells} cells\"><rect width=\"{width:.1}\" height=\"11\" fill=\"#7a5fc0\"/></svg></td></tr>",
        );
        expected *= mean / (k + 1) as f64;
    }
    out.push_str("</tbody></table>");
}
