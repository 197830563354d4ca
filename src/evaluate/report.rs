//! The result of an evaluation: one object, as JSON or as a table.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use super::{
    Setup,
    dataset::Skipped,
    metrics::{Averages, ClassFigures, Confusion, Figure},
};
use domain::ChromosomeClass;

/// Figures in the order they were added.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures(pub Vec<(&'static str, Figure)>);

impl Figures {
    /// Adds a figure.
    pub fn push(&mut self, name: &'static str, figure: Figure) {
        self.0.push((name, figure));
    }

    /// A figure by name.
    pub fn get(&self, name: &str) -> Option<&Figure> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, figure)| figure)
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, figure) in &self.0 {
            map.serialize_entry(name, figure)?;
        }
        map.end()
    }
}

/// What was measured on what.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataFacts {
    /// The folder.
    pub path: String,
    /// How it is laid out.
    pub layout: &'static str,
    /// Fields or cells measured.
    pub images: usize,
    /// Persons among them.
    pub patients: usize,
    /// What was left out, and why.
    pub skipped: Vec<Skipped>,
}

/// The result of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// `evaluate/1`.
    pub schema: &'static str,
    /// The task.
    pub task: &'static str,
    /// What it was measured on.
    pub data: DataFacts,
    /// `task: name@hash12`.
    pub models: BTreeMap<String, String>,
    /// Engine and library.
    pub engine: String,
    /// The figures.
    pub figures: Figures,
    /// Precision, recall, F1 and support of every class; empty where the task knows no classes.
    pub per_class: Vec<ClassFigures>,
    /// Means of the classes' figures: every class alike (`macro`), and by support (`weighted`).
    pub averages: BTreeMap<&'static str, Averages>,
    /// Counts of true against answered class; none where the task knows no classes.
    pub confusion: Option<Confusion>,
    /// Parts of the set apart.
    pub rows: Vec<Value>,
    /// What was said of every single cell, for a file of its own.
    #[serde(skip)]
    pub cells: Vec<Value>,
}

impl Report {
    /// An empty report for a task.
    pub fn new(task: &'static str, setup: &Setup<'_>) -> Self {
        Self {
            schema: "evaluate/1",
            task,
            data: DataFacts {
                path: setup.data.path.display().to_string(),
                layout: setup.data.layout.name(),
                images: setup.data.len(),
                patients: setup.data.patients(),
                skipped: setup.data.skipped.clone(),
            },
            models: BTreeMap::new(),
            engine: setup.engine.engine.describe(),
            figures: Figures::default(),
            per_class: Vec::new(),
            averages: BTreeMap::new(),
            confusion: None,
            rows: Vec::new(),
            cells: Vec::new(),
        }
    }
}

impl Report {
    /// Takes over what a confusion says: the table itself, the figures of every class and their means.
    pub fn set_confusion(&mut self, confusion: Confusion) {
        self.per_class = confusion.per_class();
        self.averages = Averages::of(&self.per_class);
        self.confusion = Some(confusion);
    }
}

/// Names of the 24 classes.
pub fn class_names() -> Vec<String> {
    ChromosomeClass::all().map(|class| class.name().to_owned()).collect()
}
