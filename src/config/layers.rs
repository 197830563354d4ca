//! The layers of a configuration, merged, with the origin of every value.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value};
use toml_edit::{Item, Table, TableLike};

use super::check::Mistake;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A place in a file; line and column from 1.
    File {
        /// The file as it was named.
        file: String,
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// An environment variable.
    Environment(String),
    /// An option of the command line.
    Flag(String),
    /// The built-in default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "option {name}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Prefix of environment variables that carry configuration.
pub const ENVIRONMENT_PREFIX: &str = "METAPHASED__";

/// File, environment and flags, merged.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// The merged values as JSON.
    pub values: Value,
    origins: BTreeMap<String, Origin>,
    /// Dates of the file by path: no key takes one, so their value is null.
    dates: BTreeMap<String, String>,
}

impl Layers {
    /// Merges `file` (its name and text), the variables of `environment` that begin with [`ENVIRONMENT_PREFIX`], and
    /// `flags` (key path and value).
    ///
    /// # Errors
    /// When the file is no TOML, with the place.
    pub fn read(
        file: Option<(&str, &str)>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[(&str, String)],
    ) -> Result<Self, Vec<Mistake>> {
        let mut layers = Self { values: Value::Object(Map::new()), ..Self::default() };
        if let Some((name, text)) = file {
            let lines = Lines::new(name, text);
            let document = toml_edit::Document::parse(text).map_err(|error| {
                let origin = lines.origin(error.span().map_or(0, |s| s.start));
                vec![Mistake::new(
                    origin,
                    "",
                    error.message().trim().replace('\n', ", "),
                    "see the TOML syntax at this place",
                )]
            })?;
            let table: &Table = document.as_table();
            let value = layers.table(table, "", &lines);
            layers.values = value;
        }
        let mut variables: Vec<_> =
            environment.into_iter().filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX)).collect();
        variables.sort();
        for (name, value) in variables {
            let path = name[ENVIRONMENT_PREFIX.len()..].to_lowercase().replace("__", ".");
            layers.set(&path, scalar(&value), Origin::Environment(name));
        }
        for (path, value) in flags {
            let flag = format!("--{}", path.rsplit('.').next().unwrap_or(path));
            layers.set(path, Value::String(value.clone()), Origin::Flag(flag));
        }
        Ok(layers)
    }

    /// Origin of the value at `path`, or of the nearest table above it.
    pub fn origin(&self, path: &str) -> Origin {
        let mut path = path;
        loop {
            if let Some(origin) = self.origins.get(path) {
                return origin.clone();
            }
            match path.rfind('.') {
                Some(end) => path = &path[..end],
                None => return Origin::Default,
            }
        }
    }

    /// The date that the file has at `path`, as it is written.
    pub fn date(&self, path: &str) -> Option<&str> {
        self.dates.get(path).map(String::as_str)
    }

    /// Origin of exactly the value at `path`; [`Origin::Default`] when no layer named it.
    pub fn origin_of_value(&self, path: &str) -> Origin {
        self.origins.get(path).cloned().unwrap_or(Origin::Default)
    }

    fn set(&mut self, path: &str, value: Value, origin: Origin) {
        let mut place = &mut self.values;
        let mut keys = path.split('.').peekable();
        while let Some(key) = keys.next() {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            let Value::Object(map) = place else { return };
            if keys.peek().is_none() {
                map.insert(key.to_owned(), value);
                break;
            }
            place = map.entry(key).or_insert_with(|| Value::Object(Map::new()));
        }
        self.origins.insert(path.to_owned(), origin);
    }

    fn table(&mut self, table: &dyn TableLike, path: &str, lines: &Lines<'_>) -> Value {
        let mut map = Map::new();
        for (key, item) in table.iter() {
            let inner = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            let span = table.key(key).and_then(|k| k.span()).or_else(|| item.span());
            if let Some(span) = span {
                self.origins.insert(inner.clone(), lines.origin(span.start));
            }
            map.insert(key.to_owned(), self.item(item, &inner, lines));
        }
        Value::Object(map)
    }

    fn item(&mut self, item: &Item, path: &str, lines: &Lines<'_>) -> Value {
        match item {
            Item::None => Value::Null,
            Item::Value(value) => self.value(value, path, lines),
            Item::Table(table) => self.table(table, path, lines),
            Item::ArrayOfTables(tables) => {
                Value::Array(tables.iter().map(|table| self.table(table, path, lines)).collect())
            }
        }
    }

    fn value(&mut self, value: &toml_edit::Value, path: &str, lines: &Lines<'_>) -> Value {
        match value {
            toml_edit::Value::String(text) => Value::String(text.value().clone()),
            toml_edit::Value::Integer(number) => Value::from(*number.value()),
            toml_edit::Value::Float(number) => Value::from(*number.value()),
            toml_edit::Value::Boolean(flag) => Value::from(*flag.value()),
            toml_edit::Value::Datetime(time) => {
                self.dates.insert(path.to_owned(), time.value().to_string());
                Value::Null
            }
            toml_edit::Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.value(item, path, lines)).collect())
            }
            toml_edit::Value::InlineTable(table) => self.table(table, path, lines),
        }
    }
}

/// A variable's text as the value it most likely means; the check turns it back into text where text is due.
fn scalar(text: &str) -> Value {
    if let Ok(value) = serde_json::from_str::<Value>(text)
        && !value.is_null()
        && !value.is_object()
    {
        return value;
    }
    Value::String(text.to_owned())
}

struct Lines<'a> {
    file: &'a str,
    text: &'a str,
}

impl<'a> Lines<'a> {
    fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text }
    }

    fn origin(&self, offset: usize) -> Origin {
        let before = &self.text[..self.text.floor_char_boundary(offset.min(self.text.len()))];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Origin::File { file: self.file.to_owned(), line, column }
    }
}
