//! The report of an evaluation for a person.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::Value;

use crate::evaluate::{Averages, Figure, Report, Skipped};

/// How many left-out items are listed.
const MAX_LISTED_SKIPS: usize = 20;

/// All of it: figures, classes, parts of the set, what was left out.
pub fn tables(report: &Report) -> String {
    let mut text = String::new();
    let data = &report.data;
    let models: Vec<String> = report.models.iter().map(|(task, label)| format!("{task} {label}")).collect();
    let _ = writeln!(text, "{} on {} ({})", report.task, data.path, data.layout);
    let _ = writeln!(
        text,
        "{} images of {} patients; {}; {}",
        data.images,
        data.patients,
        models.join(", "),
        report.engine
    );
    let _ = writeln!(text, "{}", figures(report));
    if !report.per_class.is_empty() {
        let _ = writeln!(text, "{}", classes(report));
    }
    for row in &report.rows {
        let _ = writeln!(text, "{}", part(row));
    }
    skips(&mut text, &data.skipped);
    text.truncate(text.trim_end().len());
    text
}

fn figures(report: &Report) -> Table {
    let mut figures = table(&["figure", "value", "95 % interval over patients", "of"]);
    for (name, Figure { value, low, high, n }) in &report.figures.0 {
        let interval = match (low, high) {
            (Some(low), Some(high)) => format!("{} to {}", number(Some(*low)), number(Some(*high))),
            _ => "-".to_owned(),
        };
        figures.add_row([(*name).to_owned(), number(*value), interval, n.to_string()]);
    }
    figures
}

fn classes(report: &Report) -> Table {
    let mut classes = table(&["class", "precision", "recall", "F1", "support"]);
    for c in &report.per_class {
        classes.add_row([c.class.clone(), number(c.precision), number(c.recall), number(c.f1), c.support.to_string()]);
    }
    for (name, Averages { precision, recall, f1 }) in &report.averages {
        let [precision, recall, f1] = [precision, recall, f1].map(|mean| number(Some(*mean)));
        classes.add_row([(*name).to_owned(), precision, recall, f1, String::new()]);
    }
    classes
}

/// One part of the set in a line.
fn part(row: &Value) -> String {
    let value = |v: &Value| v["value"].as_f64().or_else(|| v.as_f64());
    let shown: Vec<String> = row
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != "part" && *key != "cells")
        .flat_map(|(key, v)| match v.as_object() {
            // Counts by name stand for themselves.
            Some(counts) if !counts.contains_key("value") => {
                counts.iter().map(|(name, n)| format!("{name} {n}")).collect()
            }
            _ => match v.as_str() {
                Some("") => Vec::new(),
                Some(text) => vec![format!("{key} {text}")],
                None => value(v).map(|v| format!("{key} {}", number(Some(v)))).into_iter().collect(),
            },
        })
        .collect();
    format!("{}: {} cells; {}", row["part"].as_str().unwrap_or("part"), row["cells"], shown.join(", "))
}

fn skips(text: &mut String, skipped: &[Skipped]) {
    if skipped.is_empty() {
        return;
    }
    let _ = writeln!(text, "left out: {}", skipped.len());
    for skipped in skipped.iter().take(MAX_LISTED_SKIPS) {
        let _ = writeln!(text, "  {}: {}", skipped.item, skipped.reason);
    }
    if skipped.len() > MAX_LISTED_SKIPS {
        let _ = writeln!(text, "  and {} more (all with --json)", skipped.len() - MAX_LISTED_SKIPS);
    }
}

fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(columns.iter().copied());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn number(value: Option<f64>) -> String {
    match value {
        Some(v) if v.abs() >= 10.0 => format!("{v:.1}"),
        Some(v) => format!("{v:.4}"),
        None => "-".to_owned(),
    }
}
