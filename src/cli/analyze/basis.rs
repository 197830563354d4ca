//! What results rest on (models, settings), kept in a file beside them, so that results of two kinds are never mixed.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::Analyze;
use crate::config::Config;
use domain::{Assay, Stain, hex};

/// Settings that no result of `analyze` depends on.
const WITHOUT_EFFECT: [(&str, &str); 2] = [("triage", "window_ms"), ("karyotype", "cells_per_case")];

/// What results rest on, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Basis(Map<String, Value>);

impl Basis {
    /// Of a run with these arguments, this configuration and these models (`task: name@hash12`).
    ///
    /// # Errors
    /// When the flat field cannot be read.
    pub fn of(
        args: &Analyze,
        config: &Config,
        (assay, stain): (Assay, Stain),
        models: &BTreeMap<String, String>,
    ) -> io::Result<Self> {
        let flat_field = args.flat_field.as_deref().map(fs::read).transpose()?;
        let mut basis = Map::new();
        for (name, value) in [
            ("version", json!(env!("CARGO_PKG_VERSION"))),
            ("models", json!(models)),
            ("assay", json!(assay.name())),
            ("stain", json!(stain.name())),
            ("station", json!(config.station)),
            ("case", json!(args.case)),
            ("um_per_px", json!(args.um_per_px)),
            ("bayer", json!(args.bayer.map(|pattern| pattern.name()))),
            ("flat_field", json!(flat_field.map(|bytes| hex(Sha256::digest(bytes))))),
            ("no_triage", json!(args.no_triage)),
            ("triage", section(&config.triage)),
            ("karyotype", section(&config.karyotype)),
            ("dicentric", section(&config.dicentric)),
        ] {
            basis.insert(name.to_owned(), value);
        }
        for (name, key) in WITHOUT_EFFECT {
            if let Some(section) = basis.get_mut(name).and_then(Value::as_object_mut) {
                section.remove(key);
            }
        }
        Ok(Self(basis))
    }

    /// What a message of the results says of it.
    pub fn of_message(message: &Value) -> Self {
        let mut said = Map::new();
        for name in ["station", "case"] {
            said.insert(name.to_owned(), message[name].clone());
        }
        // A rejection names no models.
        if let Some(models) = message.get("models") {
            let assay = if message["dicentric"].is_null() { Assay::Karyotype } else { Assay::Dicentric };
            said.insert("models".to_owned(), models.clone());
            said.insert("assay".to_owned(), json!(assay.name()));
        }
        Self(said)
    }

    /// Reads what was kept beside the results at `results`; none where nothing was, as an earlier version did it.
    ///
    /// # Errors
    /// When it cannot be read, or is not what [`Self::keep`] writes.
    pub fn kept(results: &Path) -> io::Result<Option<Self>> {
        match fs::read(file(results)) {
            Ok(bytes) => Ok(Some(Self(serde_json::from_slice(&bytes)?))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps it beside the results at `results`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, results: &Path) -> io::Result<()> {
        let (path, mut bytes) = (file(results), serde_json::to_vec_pretty(&self.0)?);
        bytes.push(b'\n');
        let new = path.with_extension("new");
        fs::write(&new, bytes)?;
        fs::rename(new, path)
    }

    /// In words, in what this differs from what results there say of themselves; what they do not say is not compared.
    pub fn differences(&self, there: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for (name, there) in &there.0 {
            compare(name, there, self.0.get(name).unwrap_or(&Value::Null), &mut differences);
        }
        differences
    }
}

/// `cells.jsonl.run.json` of `cells.jsonl`.
pub fn file(results: &Path) -> PathBuf {
    let mut name = results.as_os_str().to_owned();
    name.push(".run.json");
    name.into()
}

fn section(settings: &impl Serialize) -> Value {
    // Settings come from a file of text: nothing in them is beyond JSON.
    serde_json::to_value(settings).unwrap_or_default()
}

fn compare(name: &str, there: &Value, here: &Value, differences: &mut Vec<String>) {
    let (Value::Object(then), Value::Object(now)) = (there, here) else {
        if there != here {
            let word = |value: &Value| if value.is_null() { "none".to_owned() } else { value.to_string() };
            differences.push(format!("{name} ({} there, {} now)", word(there), word(here)));
        }
        return;
    };
    let names: std::collections::BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    for key in names {
        let value = |of: &Map<String, Value>| of.get(key).cloned().unwrap_or_default();
        compare(&format!("{name}.{key}"), &value(then), &value(now), differences);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basis(value: Value) -> Basis {
        Basis(value.as_object().expect("an object").clone())
    }

    #[test]
    fn differences_are_named_with_both_values() {
        let now = basis(json!({
            "models": {"detector": "d@1", "classifier": "c@2"}, "assay": "karyotype", "station": "lab-1", "case": null,
            "triage": {"focus": 0.25}
        }));
        assert_eq!(now.differences(&now), Vec::<String>::new());
        let cell = json!({"station": "lab-1", "case": "K-17", "dicentric": null, "models": {"classifier": "c@1"}});
        assert_eq!(
            now.differences(&Basis::of_message(&cell)),
            [
                "case (\"K-17\" there, none now)",
                "models.classifier (\"c@1\" there, \"c@2\" now)",
                "models.detector (none there, \"d@1\" now)"
            ]
        );
        let scored = json!({"station": "lab-1", "case": null, "dicentric": {}, "models": {"detector": "d@1", "classifier": "c@2"}});
        assert_eq!(now.differences(&Basis::of_message(&scored)), ["assay (\"dicentric\" there, \"karyotype\" now)"]);
        let rejected = json!({"station": "lab-1", "file": "a.png", "reason": "no_metaphase"});
        assert_eq!(now.differences(&Basis::of_message(&rejected)), Vec::<String>::new());
        let other = basis(json!({"triage": {"focus": 0.5}}));
        assert_eq!(now.differences(&other), ["triage.focus (0.5 there, 0.25 now)"]);
    }
}
