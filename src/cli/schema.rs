//! `schema`: the JSON Schemas of the messages and of the configuration.

use clap::Args;
use schemars::Schema;
use serde_json::{Map, Value};

use super::{Exit, Failure, output::print};
use crate::{config::Config, mqtt};

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub struct SchemaCommand {
    /// Name of a message (cell, rejected, state, stats, birth, case, dose, alarm, command, result) or `configuration`;
    /// without one, all of them in one object.
    pub name: Option<String>,
}

const CONFIGURATION: &str = "configuration";

fn schema(name: &str) -> Option<Schema> {
    if name == CONFIGURATION { Some(schemars::schema_for!(Config)) } else { mqtt::schema(name) }
}

impl SchemaCommand {
    /// Prints the schema on stdout.
    pub fn run(self) -> Result<Exit, Failure> {
        let names = || mqtt::schema_names().chain([CONFIGURATION]);
        let value = match &self.name {
            Some(name) => {
                // `cell/1`, as the messages name it, is accepted, too.
                let bare = name.strip_suffix("/1").unwrap_or(name);
                let found = schema(bare).ok_or_else(|| {
                    let known: Vec<_> = names().collect();
                    Failure::usage(format!("invalid schema '{name}': expected one of {}", known.join(", ")))
                })?;
                found.to_value()
            }
            None => {
                let all: Map<String, Value> =
                    names().filter_map(|name| Some((name.to_owned(), schema(name)?.to_value()))).collect();
                Value::Object(all)
            }
        };
        // Values with text keys always print.
        print(&serde_json::to_string_pretty(&value).unwrap_or_default())?;
        Ok(Exit::Done)
    }
}
