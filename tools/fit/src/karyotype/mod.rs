//! The settings of the karyotype stage, fitted to what the networks gave on validation cells.
//!
//! Three searches, one after the other, each without networks: the selection's penalties by what is wrong with the boxes
//! and classes; the penalties of karyotypes and the temperature by the likelihood of what is true of each cell; the
//! thresholds by coverage, as far as sensitivities and specificity reach their goals. The result is measured twice: on the
//! cells that it was fitted to, and on persons who were left out of the fit in turn.

mod calibration;
mod search;

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Value, json};

use karyotype::{FittedSettings, KaryotypeSettings};
use metaphased::evaluate::{
    DataSet, Figures, Setup, has_doubled_box,
    karyotype::{
        Outcome as CellOutcome, RecognisedCell, RequestedCells, calibration as stated, figures, gather, outcome,
    },
};
use recognition::{
    Provenance,
    inference::{InferenceConfig, ModelLibrary, choose},
};

use crate::{Outcome, output::write_rust};

/// Parts of the persons that are left out in turn.
const FOLDS: usize = 3;

/// What is fitted to.
#[derive(Args)]
pub struct Karyotype {
    /// Annotated cells.
    data: PathBuf,
    /// A split: the cells of its validation persons are used; by default all cells.
    #[arg(long)]
    split: Option<PathBuf>,
    /// Cells to edit by taking chromosomes away or adding some.
    #[arg(long, default_value_t = 600)]
    edited: usize,
    /// Keep what the networks gave in this file; where it exists, read it instead of running them.
    #[arg(long)]
    candidates: Option<PathBuf>,
    /// Folder of models; by default where the daemon finds them.
    #[arg(long)]
    models: Option<PathBuf>,
    /// Hold the prices by which boxes are selected and fit the rest.
    #[arg(long)]
    hold_selection: bool,
    /// Write crates/karyotype/src/fitted/settings_in_context.rs, or settings.rs where candidates are judged one by one.
    #[arg(long)]
    write: bool,
}

impl Karyotype {
    /// Fits, prints one JSON object with what the settings reach, and writes them where that is asked for.
    pub fn run(&self) -> Outcome {
        let mut data = DataSet::open(&self.data, None)?;
        if let Some(split) = &self.split {
            data.keep(&validation(split)?);
        }
        let engine = choose(&InferenceConfig::default())?;
        let library = ModelLibrary::find(self.models.as_deref(), None);
        let setup = Setup {
            data: &data,
            library: &library,
            engine: &engine,
            model: None,
            precision: None,
            stain: None,
            karyotype: FittedSettings::default(),
            scorer: Default::default(),
            accepted_centromeres: [46; 2],
            edited: Some(self.edited),
            cut: &[],
            candidates: self.candidates.as_deref(),
            out: None,
            progress: &|_, _| {},
        };
        let gathered = gather(&setup, &RequestedCells { real: true, edited: self.edited, cuts: Vec::new() })?;
        let cells: Vec<&RecognisedCell> = gathered.cells.iter().filter(|c| !has_doubled_box(&c.boxes)).collect();
        let measure = Measure { setup: &setup, provenance: &gathered.provenance };
        let fold = folds(&cells);
        let in_context = judged_in_context(&cells)?;
        let start = setup.karyotype.judged(in_context);
        let mut held: Vec<CellOutcome<'_>> = Vec::new();
        for out in 0..FOLDS {
            let (kept, left): (Vec<&RecognisedCell>, Vec<&RecognisedCell>) =
                cells.iter().copied().partition(|c| fold[c.patient.as_str()] != out);
            held.extend(measure.outcomes(&left, &search::fitted(&kept, start, self.hold_selection))?);
        }
        let settings = search::fitted(&cells, start, self.hold_selection);
        let before = of_edits(measure.outcomes(&cells, start)?);
        let after = of_edits(measure.outcomes(&cells, &settings)?);
        let (likeliest, n) = calibration::likeliest(&cells, &gathered.calibration);
        let calibrated = stated(&held);
        let now = [&gathered.calibration.objectness[..], &[gathered.calibration.iou_weight]].concat();
        println!(
            "{:#}",
            json!({
                "cells": cells.len(),
                "models": gathered.provenance.models,
                "persons_left_out": of_edits(held),
                "before_on_the_same_cells": before,
                "after_on_the_cells_fitted_to": after,
                "calibration": calibrated,
                "detector_calibration": {
                    "candidates": n,
                    "now": now,
                    "likeliest": likeliest,
                },
                "settings": settings,
            })
        );
        if !self.write {
            return Ok(());
        }
        let models: Vec<&str> = gathered.provenance.models.values().map(String::as_str).collect();
        let what = format!("How cells are interpreted; fitted on validation persons with {}.", models.join(" and "));
        let (path, name) = match in_context {
            true => ("crates/karyotype/src/fitted/settings_in_context.rs", "IN_CONTEXT"),
            false => ("crates/karyotype/src/fitted/settings.rs", "FITTED"),
        };
        write_rust(path, &what, "karyotype DATA --split SPLIT --write", &rust(name, &settings)?)
    }
}

/// Measures settings as the daemon would interpret the cells.
struct Measure<'a> {
    setup: &'a Setup<'a>,
    provenance: &'a Provenance,
}

impl Measure<'_> {
    fn outcomes<'c>(
        &self,
        cells: &[&'c RecognisedCell],
        settings: &KaryotypeSettings,
    ) -> Result<Vec<CellOutcome<'c>>, String> {
        cells.iter().map(|cell| outcome(self.setup, self.provenance, cell, settings)).collect()
    }
}

/// Whether the candidates of these cells were judged in context: of all or of none, for settings hold for one of both.
fn judged_in_context(cells: &[&RecognisedCell]) -> Result<bool, String> {
    let in_context = cells.iter().filter(|cell| cell.recognised.in_context).count();
    match in_context {
        0 => Ok(false),
        n if n == cells.len() => Ok(true),
        n => Err(format!("candidates of {n} of {} cells were judged in context: expected all or none", cells.len())),
    }
}

/// Items of the validation persons of a split.
fn validation(split: &Path) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let text = fs::read_to_string(split)?;
    let rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    Ok(rows.filter(|row| row.contains(&"validation")).map(|row| row[0].to_owned()).collect())
}

/// The fold of each person: persons by name, dealt in turn.
fn folds<'a>(cells: &[&'a RecognisedCell]) -> BTreeMap<&'a str, usize> {
    let mut persons: BTreeMap<&str, usize> = cells.iter().map(|c| (c.patient.as_str(), 0)).collect();
    persons.values_mut().enumerate().for_each(|(i, fold)| *fold = i % FOLDS);
    persons
}

/// Figures of the edited cells, and of the boxes of the untouched ones: what else is known of an untouched cell rests on
/// its annotation alone.
fn of_edits(outcomes: Vec<CellOutcome<'_>>) -> Figures {
    let (edited, real): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|o| o.input.edit.is_some());
    let mut all = figures(&edited, &|_| false);
    all.0.retain(|(name, _)| !matches!(*name, "from_annotation" | "interpret_ms"));
    for (name, figure) in figures(&real, &|_| false).0 {
        match name {
            "perfect_cells" => all.push("perfect_cells_untouched", figure),
            "cells_right" => all.push("cells_right_untouched", figure),
            "count_mae" => all.push("count_mae_untouched", figure),
            _ => {}
        }
    }
    all
}

/// The settings as a Rust constant of that name.
fn rust(name: &str, settings: &KaryotypeSettings) -> Result<String, serde_json::Error> {
    let fields = |value: &Value| {
        let fields = value.as_object().into_iter().flatten().filter(|(name, _)| *name != "penalties");
        fields.map(|(name, number)| format!("{name}: {:?},", number.as_f64().unwrap_or(0.0))).collect::<String>()
    };
    let json = serde_json::to_value(settings)?;
    Ok(format!(
        "use domain::{{Sample, SexDisclosure}};\n\nuse crate::{{KaryotypeSettings, Penalties}};\n\n\
         pub(crate) const {name}: KaryotypeSettings = KaryotypeSettings {{ sex: SexDisclosure::Shown, \
         sample: Sample::Constitutional, {} \
         penalties: Penalties {{ {} }} }};\n",
        fields(&json),
        fields(&json["penalties"])
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constant_has_every_setting() {
        let settings = KaryotypeSettings { rival_iou: 0.265, morphology: 0.0, ..KaryotypeSettings::default() };
        let text = rust("FITTED", &settings).unwrap();
        assert!(text.contains("rival_iou: 0.265,") && text.contains("morphology: 0.0,"), "{text}");
        assert!(text.contains("penalties: Penalties { duplicate: "), "{text}");
    }
}
