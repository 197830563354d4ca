//! Finds every mistake of a configuration: first by its schema, then by what goes together.

use domain::Assay;
use std::{fmt, net::SocketAddr};

use regex_lite::Regex;
use schemars::schema_for;
use serde_json::Value;

use super::{
    layers::{Layers, Origin},
    model::Config,
    source::{Mode, SourceConfig, SourceKind},
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
        write!(f, "{}; {}", self.message, self.remedy)
    }
}

/// Turns merged layers into a typed configuration.
///
/// # Errors
/// Every mistake, in the order of the file.
pub fn check(layers: &Layers) -> Result<Config, Vec<Mistake>> {
    let schema = schema_for!(Config).to_value();
    let mut walk = Walk { layers, schema: &schema, problems: Vec::new() };
    let mut values = layers.values.clone();
    walk.value(&mut values, &schema, "");
    let mut problems = walk.problems;
    let mut config = None;
    if problems.is_empty() {
        match serde_json::from_value::<Config>(values) {
            Ok(typed) => {
                problems = Combinations { layers, problems: Vec::new() }.check(&typed);
                config = Some(typed);
            }
            // The schema is made from the same types, so this is a gap in the walk above: said, not hidden.
            Err(error) => problems.push(Mistake::new(Origin::Default, "", error.to_string(), "correct the value")),
        }
    }
    problems.sort_by_key(|p| match &p.origin {
        Origin::File { line, column, .. } => (*line, *column),
        _ => (usize::MAX, 0),
    });
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(problems),
    }
}

struct Walk<'a> {
    layers: &'a Layers,
    schema: &'a Value,
    problems: Vec<Mistake>,
}

impl Walk<'_> {
    fn problem(&mut self, path: &str, message: String, remedy: String) {
        self.problems.push(Mistake::new(self.layers.origin(path), path, message, remedy));
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
                match any.iter().find(|s| s["type"] != "null") {
                    Some(next) => schema = next,
                    None => return schema,
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
        self.problem(path, format!("found {}", describe(value)), format!("expected {expected}"));
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
                if !valid_name(key) {
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

struct Combinations<'a> {
    layers: &'a Layers,
    problems: Vec<Mistake>,
}

impl Combinations<'_> {
    fn problem(&mut self, key: &str, message: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Mistake::new(self.layers.origin(key), key, message, remedy));
    }

    fn check(mut self, config: &Config) -> Vec<Mistake> {
        for (name, source) in &config.source {
            self.source(name, source, config.assay);
        }
        self.broker(config);
        self.web(config);
        let [low, high] = config.dicentric.accepted_centromeres;
        if low > high || low == 0 {
            self.problem(
                "dicentric.accepted_centromeres",
                format!("found [{low}, {high}]"),
                "expected [lowest, highest], such as [45, 46]",
            );
        }
        if config.store.quota_bytes().is_none_or(|bytes| bytes < 1 << 20) {
            self.problem("store.quota", format!("found \"{}\"", config.store.quota), "expected at least \"1 MiB\"");
        }
        let memory = &config.memory;
        let limits = [
            ("memory.picture", &memory.picture, memory.picture_bytes()),
            ("memory.frames", &memory.frames, memory.frames_bytes()),
        ];
        for (key, found, _) in limits.into_iter().filter(|(_, _, bytes)| *bytes < 1 << 26) {
            self.problem(key, format!("found \"{found}\""), "expected at least \"64 MiB\"");
        }
        self.problems
    }

    fn source(&mut self, name: &str, source: &SourceConfig, assay: Assay) {
        use SourceKind::{Folder, Genicam, Mjpeg, Simulator, V4l2, Webcam};
        let kind = source.kind;
        let at = |key: &str| format!("source.{name}.{key}");
        let given: [(&str, bool, &[SourceKind]); 12] = [
            ("path", source.path.is_some(), &[Folder]),
            ("repeat", source.repeat.is_some(), &[Folder]),
            ("settle_ms", source.settle_ms.is_some(), &[Folder]),
            ("rate_hz", source.rate_hz.is_some(), &[Folder, Simulator, Webcam, V4l2, Genicam]),
            ("device", source.device.is_some(), &[V4l2, Webcam, Genicam]),
            ("size", source.size.is_some(), &[Simulator, V4l2, Webcam, Genicam]),
            ("url", source.url.is_some(), &[Mjpeg]),
            ("seed", source.seed.is_some(), &[Simulator]),
            ("cells", source.cells.is_some(), &[Simulator]),
            ("karyotype", source.karyotype.is_some(), &[Simulator]),
            ("stage", source.stage.is_some(), &[Simulator]),
            ("dose_gy", source.dose_gy.is_some() || source.fraction.is_some(), &[Simulator]),
        ];
        for (key, is_given, kinds) in given {
            if is_given && !kinds.contains(&kind) {
                let list = kinds.iter().map(|k| k.name()).collect::<Vec<_>>().join(", ");
                self.problem(
                    &at(key),
                    format!("has no effect on a source of kind \"{}\"", kind.name()),
                    format!("remove it, or use kind {list}"),
                );
            }
        }
        if kind == Folder && source.path.is_none() {
            self.problem(&at("kind"), "a folder source requires a path", "add 'path = \"...\"'");
        }
        if kind == Folder && source.settle_ms.is_some() && source.repeat != Some(super::Repeat::Watch) {
            self.problem(
                &at("settle_ms"),
                "has an effect on a watched folder only",
                "remove it, or use repeat = \"watch\"",
            );
        }
        if kind == Mjpeg && source.url.is_none() {
            self.problem(&at("kind"), "a stream source requires an address", "add 'url = \"http://...\"'");
        }
        if let Some([width, height]) = source.size
            && (!(64..=16384).contains(&width) || !(64..=16384).contains(&height))
        {
            self.problem(&at("size"), format!("found {width} x {height}"), "expected 64 to 16384 pixels per side");
        }
        if source.mode() == Mode::Lossless && matches!(kind, Webcam | Mjpeg | V4l2) {
            self.problem(
                &at("mode"),
                format!("a source of kind \"{}\" cannot wait, so it cannot be lossless", kind.name()),
                "use mode = \"freshest\"",
            );
        }
        if source.repeat == Some(super::Repeat::Loop) && source.mode() == Mode::Freshest && source.rate_hz.is_none() {
            self.problem(
                &at("repeat"),
                "an endless loop over a folder that drops frames only wastes processor time",
                "add 'rate_hz', or use mode = \"lossless\"",
            );
        }
        if source.dose_gy.is_some() && assay != Assay::Dicentric {
            self.problem(&at("dose_gy"), "a dose requires the dicentric assay", "set assay = \"dicentric\"");
        }
    }

    fn broker(&mut self, config: &Config) {
        let mqtt = &config.mqtt;
        if mqtt.password.is_some() && mqtt.password_file.is_some() {
            self.problem("mqtt.password", "both password and password_file are given", "keep password_file");
        }
        if (mqtt.password.is_some() || mqtt.password_file.is_some()) && mqtt.username.is_none() {
            self.problem("mqtt.password", "a password requires a username", "add 'username = \"...\"'");
        }
        if mqtt.cert_file.is_some() != mqtt.key_file.is_some() {
            self.problem(
                "mqtt.cert_file",
                "a certificate and its key are required together",
                "give both cert_file and key_file",
            );
        }
        let tls = mqtt.ca_file.is_some() || mqtt.cert_file.is_some();
        if tls && !mqtt.url.starts_with("mqtts://") {
            self.problem("mqtt.url", "certificates are given but the connection is not encrypted", "use mqtts://");
        }
        let remote = mqtt.url.starts_with("mqtt");
        let credentials = mqtt.username.is_some() || mqtt.cert_file.is_some();
        if mqtt.commands == Some(true) && remote && !credentials {
            self.problem(
                "mqtt.commands",
                "commands from a remote broker without credentials would allow anybody to stop the station",
                "add username and password_file, or a client certificate",
            );
        }
        if mqtt.embedded_port.is_some() && mqtt.url != "embedded" {
            self.problem("mqtt.embedded_port", "there is no embedded broker", "remove it, or use url = \"embedded\"");
        }
        if cfg!(not(feature = "embedded-broker")) && mqtt.url == "embedded" {
            self.problem(
                "mqtt.url",
                "this build has no embedded broker",
                "name a broker, use \"off\", or build with the feature embedded-broker",
            );
        }
    }

    fn web(&mut self, config: &Config) {
        let Some(listen) = config.web.listen.as_deref().filter(|l| *l != "off") else { return };
        match listen.parse::<SocketAddr>() {
            Err(_) => self.problem("web.listen", format!("found \"{listen}\""), "expected address:port"),
            Ok(address) if !address.ip().is_loopback() && config.web.token_file.is_none() => self.problem(
                "web.listen",
                format!("{address} can be reached from outside without a token"),
                "add 'token_file = \"...\"', or listen on 127.0.0.1",
            ),
            Ok(_) => {}
        }
    }
}
