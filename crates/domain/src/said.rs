//! A sentence for people with the code of what it says, so that others can say it in another language.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Values of a sentence, by their names.
pub type SaidValues = BTreeMap<String, String>;

/// A sentence in English, the code of what it says, and the values in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The sentence.
    pub text: String,
    /// What it says, whatever the values.
    pub code: &'static str,
    /// The values in it.
    pub values: SaidValues,
}

impl Said {
    /// A sentence; `code` is one of docs/reference/mqtt.md#codes.
    pub fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { text: text.into(), code, values: SaidValues::new() }
    }

    /// The same with a value that stands in it.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.values.insert(name.to_owned(), value.to_string());
        self
    }

    /// Its code and values, without the sentence.
    pub fn coded(self) -> Coded {
        Coded { code: self.code.to_owned(), values: self.values }
    }
}

/// What a sentence says, without the sentence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Coded {
    /// What it says.
    pub code: String,
    /// The values in it.
    #[serde(default, skip_serializing_if = "SaidValues::is_empty")]
    pub values: SaidValues,
}
