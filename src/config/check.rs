//! Finds every mistake of a configuration: by its schema and, for all that its schema lets pass, by what goes together.

use std::fmt;

use regex_lite::Regex;
use schemars::schema_for;
use serde_json::Value;

use super::{
    layers::{Layers, Origin},
    model::Config,
    sense::Sense,
};

/// One mistake: where, which key, what was found and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where it stands.
    pub origin: Origin,
    /// Path of the key, such as `source.scope.kind`.
    pub key: String,
    /// What was found.
    pub message: String,
    /// What would be right.
    pub remedy: String,
}

impl Mistake {
    /// A mistake at a place.
    pub fn new(origin: Origin, key: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { origin, key: key.to_owned(), message: message.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

/// Puts mistakes in the order of the file; those of other layers follow.
pub fn in_order(mistakes: &mut [Mistake]) {
    mistakes.sort_by_key(|mistake| match &mistake.origin {
        Origin::File { line, column, .. } => (*line, *column),
        _ => (usize::MAX, 0),
    });
}

/// Turns merged layers into a typed configuration, with every mistake in the order of the file. Keys that the schema
/// does not let pass are left out of it; none where the rest cannot be read at all.
pub fn check(layers: &Layers) -> (Option<Config>, Vec<Mistake>) {
    let schema = schema_for!(Config).to_value();
    let mut walk = Walk { layers, schema: &schema, mistakes: Vec::new(), broken: Vec::new() };
    let mut values = layers.values.clone();
    walk.value(&mut values, &schema, "");
    let Walk { mut mistakes, broken, .. } = walk;
    broken.iter().for_each(|path| remove(&mut values, path));
    let config = match serde_json::from_value::<Config>(values) {
        Ok(config) => {
            mistakes.extend(Sense::of(&config, layers, &broken));
            Some(config)
        }
        Err(error) => {
            // The schema is made from the same types, so this is a gap in the walk above: said, not hidden.
            if mistakes.is_empty() {
                mistakes.push(Mistake::new(Origin::Default, "", error.to_string(), "correct the value"));
            }
            None
        }
    };
    in_order(&mut mistakes);
    (config, mistakes)
}

/// Takes the value at `path` out; a source without its kind goes as a whole.
fn remove(values: &mut Value, path: &str) {
    let Value::Object(map) = values else { return };
    map.remove(path);
    // Names of sources may hold dots.
    for (key, inner) in map.iter_mut() {
        if let Some(below) = path.strip_prefix(key.as_str()).and_then(|rest| rest.strip_prefix('.')) {
            remove(inner, below);
        }
    }
    if let Some(source) = path.strip_prefix("source.").and_then(|rest| rest.strip_suffix(".kind"))
        && let Some(Value::Object(sources)) = map.get_mut("source")
    {
        sources.remove(source);
    }
}

struct Walk<'a> {
    layers: &'a Layers,
    schema: &'a Value,
    mistakes: Vec<Mistake>,
    /// Keys whose values cannot be used.
    broken: Vec<String>,
}

impl Walk<'_> {
    fn problem(&mut self, path: &str, message: String, remedy: String) {
        self.mistakes.push(Mistake::new(self.layers.origin(path), path, message, remedy));
        self.broken.push(path.to_owned());
    }

    /// Follows references and the null alternative of optional values.
    fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let mut schema = schema;
        loop {
            if let Some(name) = schema["$ref"].as_str() {
                match self.schema.pointer(name.trim_start_matches('#')) {
                    Some(next) => schema = next,
                    None => return schema,
                }
            } else if let Some(any) = schema["anyOf"].as_array() {
                let mut some = any.iter().filter(|s| s["type"] != "null");
                match (some.next(), some.next()) {
                    (Some(next), None) => schema = next,
                    _ => return schema,
                }
            } else {
                return schema;
            }
        }
    }

    fn value(&mut self, value: &mut Value, schema: &Value, path: &str) {
        let schema = &self.resolve(schema).clone();
        if let Some(names) = enumeration(schema) {
            return self.one_of(value, &names, path);
        }
        if schema["anyOf"].is_array() {
            // The value of a control: what a camera makes of it is known when it is open.
            if !(value.is_boolean() || value.is_number() || value.is_string()) {
                self.wrong_type(value, "a number, text in quotes, true or false", path);
            }
            return;
        }
        let kind = match &schema["type"] {
            Value::String(kind) => kind.as_str(),
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|k| *k != "null").unwrap_or(""),
            _ => "",
        };
        let from_text = matches!(self.layers.origin_of_value(path), Origin::Environment(_) | Origin::Flag(_));
        match kind {
            "object" => self.object(value, schema, path),
            "array" => self.array(value, schema, path),
            "string" => {
                if from_text && !value.is_string() {
                    *value = Value::String(value.to_string());
                }
                self.text(value, schema, path);
            }
            "boolean" if !value.is_boolean() => self.wrong_type(value, "true or false", path),
            "integer" if !(value.is_u64() || value.is_i64()) => self.wrong_type(value, "a whole number", path),
            "number" if !value.is_number() => self.wrong_type(value, "a number", path),
            "integer" | "number" => self.range(value, schema, path),
            _ => {}
        }
    }

    fn wrong_type(&mut self, value: &Value, expected: &str, path: &str) {
        let found = match self.layers.date(path) {
            Some(date) => format!("the date {date}"),
            None => describe(value),
        };
        self.problem(path, format!("found {found}"), format!("expected {expected}"));
    }

    fn one_of(&mut self, value: &mut Value, names: &[String], path: &str) {
        // `version = 5` may be written without quotes in a variable.
        if matches!(self.layers.origin_of_value(path), Origin::Environment(_)) && !value.is_string() {
            *value = Value::String(value.to_string());
        }
        let list = names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
        match value.as_str() {
            Some(text) if names.iter().any(|n| n == text) => {}
            Some(text) => {
                let hint = nearest(text, names.iter().map(String::as_str))
                    .map(|n| format!(" (did you mean \"{n}\"?)"))
                    .unwrap_or_default();
                self.problem(path, format!("\"{text}\" is not known{hint}"), format!("expected one of {list}"));
            }
            None => self.wrong_type(value, &format!("one of {list}"), path),
        }
    }

    fn object(&mut self, value: &mut Value, schema: &Value, path: &str) {
        let Value::Object(map) = value else {
            return self.wrong_type(value, "a table", path);
        };
        let known = schema["properties"].as_object();
        for (key, inner) in map.iter_mut() {
            let inner_path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            if let Some(property) = known.and_then(|k| k.get(key)) {
                self.value(inner, property, &inner_path);
            } else if schema["additionalProperties"].is_object() {
                if path == "source" && !valid_name(key) {
                    self.problem(
                        &inner_path,
                        format!("invalid source name \"{key}\""),
                        "use letters, digits, '-' and '_', at most 32".into(),
                    );
                }
                self.value(inner, &schema["additionalProperties"], &inner_path);
            } else {
                let names: Vec<&str> = known.map(|k| k.keys().map(String::as_str).collect()).unwrap_or_default();
                let remedy = match nearest(key, names.iter().copied()) {
                    Some(name) => format!("did you mean '{name}'?"),
                    None => format!("known here: {}", names.join(", ")),
                };
                self.problem(&inner_path, "unknown key".into(), remedy);
            }
        }
        for needed in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !map.contains_key(needed) {
                let at = if path.is_empty() { needed.to_owned() } else { format!("{path}.{needed}") };
                self.problem(&at, "is missing".into(), format!("add '{needed} = ...'"));
            }
        }
    }

    fn array(&mut self, value: &mut Value, schema: &Value, path: &str) {
        let Value::Array(items) = value else {
            return self.wrong_type(value, "a list in [ ]", path);
        };
        let found = items.len() as u64;
        if let Some(wanted) = schema["minItems"].as_u64()
            && (found < wanted || schema["maxItems"].as_u64().is_some_and(|most| found > most))
        {
            return self.problem(path, format!("found {found} values"), format!("expected {wanted}"));
        }
        for item in items {
            self.value(item, &schema["items"], path);
        }
    }

    fn text(&mut self, value: &Value, schema: &Value, path: &str) {
        let Some(text) = value.as_str() else {
            return self.wrong_type(value, "text in quotes", path);
        };
        if let Some(pattern) = schema["pattern"].as_str()
            && Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text))
        {
            let remedy = pattern_in_words(path).map_or_else(|| format!("expected the form {pattern}"), str::to_owned);
            self.problem(path, format!("found \"{text}\""), remedy);
        }
    }

    fn range(&mut self, value: &Value, schema: &Value, path: &str) {
        let Some(number) = value.as_f64() else { return };
        let low = schema["minimum"].as_f64();
        let high = schema["maximum"].as_f64();
        if low.is_some_and(|l| number < l) || high.is_some_and(|h| number > h) || !number.is_finite() {
            let remedy = match (low, high) {
                (Some(l), Some(h)) => format!("expected {l} to {h}"),
                (Some(l), None) => format!("expected {l} or more"),
                (None, Some(h)) => format!("expected {h} or less"),
                (None, None) => "expected a finite number".into(),
            };
            self.problem(path, format!("found {value}"), remedy);
        }
    }
}

fn pattern_in_words(path: &str) -> Option<&'static str> {
    Some(match path {
        "station" => "expected 1 to 32 of a-z, 0-9 and '-'",
        "store.quota" | "memory.picture" | "memory.frames" => "expected a size such as \"20 GiB\" or \"500 MB\"",
        "mqtt.url" => "expected \"embedded\", \"off\", \"mqtt://host:1883\" or \"mqtts://host:8883\"",
        "mqtt.prefix" => "expected topic levels of letters, digits, '.', '_' and '-', joined by '/'",
        "web.listen" => "expected an address and a port such as \"127.0.0.1:8080\", or \"off\"",
        _ => return None,
    })
}

fn valid_name(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Names of an enumeration, when the schema is one.
fn enumeration(schema: &Value) -> Option<Vec<String>> {
    if let Some(names) = schema["enum"].as_array() {
        return Some(names.iter().filter_map(|n| n.as_str().map(str::to_owned)).collect());
    }
    let variants = schema["oneOf"].as_array()?;
    let mut names = Vec::new();
    for variant in variants {
        match (variant["const"].as_str(), variant["enum"].as_array()) {
            (Some(name), _) => names.push(name.to_owned()),
            (None, Some(list)) => names.extend(list.iter().filter_map(|n| n.as_str().map(str::to_owned))),
            _ => return None,
        }
    }
    Some(names)
}

fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    names
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(distance, name)| *distance <= 2 || (*distance <= 3 && name.len() > 6))
        .min()
        .map(|(_, name)| name)
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(flag) => format!("{flag}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text \"{text}\""),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a table".into(),
    }
}
