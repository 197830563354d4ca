//! The effective configuration as TOML, with the origin of every value.

use std::fmt::Write;

use serde_json::Value;

use super::Loaded;

/// Keys whose values are never shown.
const SECRETS: [&str; 1] = ["mqtt.password"];

/// The effective configuration as TOML; behind every value, as a comment, where it came from. Secrets are redacted.
pub fn print(loaded: &Loaded) -> String {
    let mut effective = loaded.config.clone();
    effective.source = effective.sources();
    // The types hold nothing that JSON cannot.
    let values = serde_json::to_value(&effective).unwrap_or_default();
    let mut text = String::new();
    table(&mut text, &values, "", loaded);
    text
}

fn table(text: &mut String, values: &Value, path: &str, loaded: &Loaded) {
    let Value::Object(map) = values else { return };
    let at = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    for (key, value) in map.iter().filter(|(_, v)| !v.is_object()) {
        let path = at(key);
        let shown = if SECRETS.contains(&path.as_str()) { "\"(redacted)\"".into() } else { toml_value(value) };
        let line = format!("{key} = {shown}");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line:<44} # {}", loaded.layers.origin_of_value(&path));
    }
    for (key, value) in map.iter().filter(|(_, v)| v.is_object()) {
        let path = at(key);
        if value.as_object().is_some_and(|inner| inner.values().any(|v| !v.is_object())) {
            let _ = writeln!(text, "\n[{path}]");
        }
        table(text, value, &path, loaded);
    }
}

fn toml_value(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml_value).collect::<Vec<_>>().join(", ")),
        // A float of f32 precision is shown as it was written.
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => toml_edit::Value::from((float * 1e6).round() / 1e6).to_string(),
            _ => number.to_string(),
        },
        Value::String(text) => toml_edit::Value::from(text.as_str()).to_string(),
        other => other.to_string(),
    }
}
