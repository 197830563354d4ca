//! The karyotype of whole cells against what is known of them, on real and on edited cells.
//!
//! The networks run once ([`gather()`]); what they gave is interpreted as the daemon does it ([`outcome`]).
//! What is public here serves the fit of the settings in `tools/fit`.

mod cases;
mod changes;
mod cut;
mod faults;
mod gather;

pub use changes::{Changes, reported};
pub use cut::{AppliedCut, CutSide};
pub use faults::Faults;
pub use gather::{Gathered, RecognisedCell, RequestedCells, gather};

use std::{collections::BTreeMap, time::Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use domain::{Assay, Cell, ChromosomeClass, FindingKind, Verdict};
use karyotype::{FittedSettings, KaryotypeSettings};
use recognition::Provenance;

use super::{
    EvaluateError, Report, Setup, Skipped,
    edit::Edit,
    metrics::{Bootstrap, Figure},
    report::Figures,
};
use crate::interpretation::{InterpretationSettings, Labels, SelectedBoxes, interpret};
use changes::{cell_of_annotation, written};

/// What came out for one cell.
pub struct Outcome<'a> {
    /// The cell, and what is known of it.
    pub input: &'a RecognisedCell,
    /// Its record.
    pub cell: Cell,
    /// The numerical changes that the record states.
    pub reported: Changes,
    /// What is wrong with its boxes and classes.
    pub faults: Faults,
    /// Stated probabilities; none where nothing was assigned.
    pub stated: Option<StatedProbabilities>,
    /// Time of interpretation in milliseconds.
    pub ms: f64,
}

/// Probabilities that an assignment states.
pub struct StatedProbabilities {
    /// Of a normal karyotype.
    pub normal: f64,
    /// Of fewer and of more of each autosome.
    pub autosomes: [[f32; 2]; 22],
}

/// `evaluate karyotype`.
pub fn run(setup: &Setup<'_>) -> Result<Report, EvaluateError> {
    if !setup.cut.is_empty() {
        return cut::run(setup, setup.cut);
    }
    let requested =
        RequestedCells { real: setup.edited.is_none(), edited: setup.edited.unwrap_or(0), cuts: Vec::new() };
    let gathered = gather(setup, &requested)?;
    let mut report = Report::new("karyotype", setup);
    report.models = gathered.provenance.models.clone();
    report.data.skipped.extend(gathered.skipped);
    let mut outcomes = Vec::with_capacity(gathered.cells.len());
    for input in &gathered.cells {
        match outcome(setup, &gathered.provenance, input, setup.karyotype.judged(input.recognised.in_context)) {
            Ok(outcome) => outcomes.push(outcome),
            Err(reason) => report.data.skipped.push(Skipped { item: input.name.clone(), reason }),
        }
    }
    report.data.images = outcomes.len();
    let listed = |o: &Outcome<'_>| listed_structural(setup, o);
    report.figures = figures(&outcomes, &listed);
    report.rows = by_abnormality(&outcomes, &listed);
    report.rows.extend(calibration(&outcomes));
    report.cells = outcomes.iter().map(|o| cell_row(o, "cell")).collect();
    if requested.real {
        real_cells(setup, &outcomes, &mut report);
    }
    let clean = |o: &&Outcome<'_>| o.input.truth.is_empty() && !listed(o);
    let alarms = outcomes.iter().filter(clean).filter(|o| o.cell.karyotype.verdict == Verdict::Abnormal);
    report.rows.extend(alarms.map(|o| cell_row(o, "false alarm")));
    if !requested.real {
        let wrong = |o: &&Outcome<'_>| o.assessable() && !o.input.truth.is_empty() && o.reported != o.input.truth;
        report.rows.extend(outcomes.iter().filter(wrong).map(|o| cell_row(o, "reported wrongly")));
    }
    Ok(report)
}

/// The record of a cell, made as the daemon makes it, and how far it is right.
///
/// # Errors
/// When the cell's picture cannot be read any more.
pub fn outcome<'a>(
    setup: &Setup<'_>,
    provenance: &Provenance,
    input: &'a RecognisedCell,
    settings: &KaryotypeSettings,
) -> Result<Outcome<'a>, String> {
    let frame = input.frame(setup)?;
    let labels = Labels { station: "evaluate".into(), replayed: true, ..Labels::default() };
    let interpretation = InterpretationSettings {
        assay: Assay::Karyotype,
        karyotype: FittedSettings::everywhere(settings.clone()),
        accepted_centromeres: [46; 2],
        scorer: Default::default(),
        threads: 1,
    };
    let begun = Instant::now();
    let cell = interpret(&frame, &input.recognised, provenance, &labels, &interpretation, Uuid::nil());
    let ms = begun.elapsed().as_secs_f64() * 1e3;
    let selected = SelectedBoxes::of(&input.recognised, settings);
    let stated = selected.assess(settings).map(|assignment| StatedProbabilities {
        normal: f64::from(assignment.normal),
        autosomes: assignment.marginals,
    });
    let faults = Faults::of(&selected, &input.boxes);
    Ok(Outcome { input, reported: reported(&cell), cell, faults, stated, ms })
}

/// Whether the set's table calls the cell, or the person it is of, structurally abnormal.
fn listed_structural(setup: &Setup<'_>, o: &Outcome<'_>) -> bool {
    let row = setup.data.cells.get(&o.input.name);
    let column = |key: &str| row.and_then(|r| r.get(key)).map(String::as_str).unwrap_or_default();
    column("status") == "structural" || column("iscn").to_lowercase().contains(['t', 'd', 'r', 'i'])
}

impl Outcome<'_> {
    /// The record's verdict.
    pub fn verdict(&self) -> Verdict {
        self.cell.karyotype.verdict
    }

    /// Whether the verdict is normal or abnormal.
    pub fn assessable(&self) -> bool {
        self.verdict() != Verdict::NotAssessable
    }

    /// Share of its true gains (or losses) that are reported; none where it has none.
    fn sensitivity(&self, gain: bool) -> Option<f64> {
        let counts = |n: i32| if gain { n > 0 } else { n < 0 };
        let mine: Vec<_> = self.input.truth.iter().filter(|(_, n)| counts(**n)).collect();
        let hit = |class: &ChromosomeClass| self.assessable() && self.reported.get(class).is_some_and(|n| counts(*n));
        (!mine.is_empty()).then(|| mine.iter().filter(|(class, _)| hit(class)).count() as f64 / mine.len() as f64)
    }
}

type OutcomeFilter<'a> = dyn Fn(&Outcome<'_>) -> bool + 'a;

/// The task's figures; `structural` picks the cells that have, or may have, a structural change.
pub fn figures(outcomes: &[Outcome<'_>], structural: &OutcomeFilter<'_>) -> Figures {
    let bootstrap = Bootstrap::over(outcomes.iter().map(|o| o.input.patient.as_str()));
    let mean = |value: &dyn Fn(&Outcome<'_>) -> Option<f64>| -> Figure {
        bootstrap.mean(&outcomes.iter().map(value).collect::<Vec<_>>())
    };
    let known = |o: &Outcome<'_>, value: Option<f64>| o.assessable().then_some(value).flatten();
    let clean = |o: &Outcome<'_>| o.input.truth.is_empty() && !structural(o);
    let share = |holds: bool| f64::from(u8::from(holds));
    let mut figures = Figures::default();
    figures.push("gain_sensitivity", mean(&|o| known(o, o.sensitivity(true))));
    figures.push("loss_sensitivity", mean(&|o| known(o, o.sensitivity(false))));
    figures.push("specificity", mean(&|o| known(o, clean(o).then(|| share(o.verdict() == Verdict::Normal)))));
    figures.push("coverage", mean(&|o| Some(share(o.assessable()))));
    figures.push("gain_sensitivity_all", mean(&|o| o.sensitivity(true)));
    figures.push("loss_sensitivity_all", mean(&|o| o.sensitivity(false)));
    figures.push("numbers_right", mean(&|o| known(o, Some(share(o.reported == o.input.truth)))));
    for (name, edit) in [("coverage_gain", Edit::Gain), ("coverage_loss", Edit::Loss), ("coverage_sham", Edit::Sham)] {
        let of_edit =
            |o: &Outcome<'_>| o.input.edit.filter(|applied| applied.edit == edit).map(|_| share(o.assessable()));
        figures.push(name, mean(&of_edit));
    }
    figures.push("perfect_cells", mean(&|o| Some(share(o.faults.perfect()))));
    figures.push("cells_right", mean(&|o| Some(share(o.faults.right()))));
    figures.push("count_mae", mean(&|o| Some((o.faults.extra.len() as f64 - o.faults.missing.len() as f64).abs())));
    let as_annotated =
        |o: &Outcome<'_>| reported(&cell_of_annotation(&o.input.boxes, &KaryotypeSettings::default())) == o.input.truth;
    figures.push("from_annotation", mean(&|o| o.input.edit.is_none().then(|| share(as_annotated(o)))));
    figures.push("interpret_ms", mean(&|o| Some(o.ms)));
    figures
}

fn by_abnormality(outcomes: &[Outcome<'_>], structural: &OutcomeFilter<'_>) -> Vec<Value> {
    let mut kinds: BTreeMap<String, Vec<&Outcome<'_>>> = BTreeMap::new();
    for o in outcomes {
        let edit = o.input.edit.map_or("", |applied| applied.edit.name());
        let names = match (o.input.truth.is_empty(), structural(o)) {
            (true, true) => vec!["structural only".to_owned()],
            (true, false) => vec![format!("{edit} none")],
            _ => o.input.truth.iter().map(|(class, n)| format!("{edit} {n:+} {class}")).collect(),
        };
        for name in names {
            kinds.entry(name.trim().to_owned()).or_default().push(o);
        }
    }
    let rows = kinds.iter().map(|(name, of)| {
        let assessable = of.iter().filter(|o| o.assessable()).count();
        let right = of.iter().filter(|o| o.assessable() && o.reported == o.input.truth).count();
        json!({ "part": format!("abnormality {name}"), "cells": of.len(), "assessable": assessable, "right": right })
    });
    rows.collect()
}

/// Stated probabilities against what held: of losses and gains of an autosome, and of a normal karyotype.
pub fn calibration(outcomes: &[Outcome<'_>]) -> Vec<Value> {
    const BINS: [f64; 8] = [0.05, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0];
    let mut stated: BTreeMap<&str, Vec<(f64, bool)>> = BTreeMap::new();
    for o in outcomes {
        let Some(probabilities) = &o.stated else { continue };
        stated.entry("normal").or_default().push((probabilities.normal, o.input.truth.is_empty()));
        for class in ChromosomeClass::all().filter(|c| !c.is_sex()) {
            let extra = o.input.truth.get(&class).copied().unwrap_or(0);
            let [fewer, more] = probabilities.autosomes[class.index()];
            stated.entry("loss").or_default().push((f64::from(fewer), extra < 0));
            stated.entry("gain").or_default().push((f64::from(more), extra > 0));
        }
    }
    let mut rows = Vec::new();
    for (what, pairs) in stated {
        for (i, high) in BINS.iter().enumerate() {
            let low = if i == 0 { 0.0 } else { BINS[i - 1] };
            let inside: Vec<_> = pairs.iter().filter(|(p, _)| *p >= low && (*p < *high || *high == 1.0)).collect();
            if inside.is_empty() {
                continue;
            }
            let n = inside.len() as f64;
            rows.push(json!({
                "part": format!("stated {what} {low:.2} to {high:.2}"),
                "cells": inside.len(),
                "stated": inside.iter().map(|(p, _)| p).sum::<f64>() / n,
                "observed": inside.iter().filter(|(_, held)| *held).count() as f64 / n,
            }));
        }
    }
    rows
}

/// The tables of real cells: what the annotation alone gives, every cell with an abnormality, every case.
fn real_cells(setup: &Setup<'_>, outcomes: &[Outcome<'_>], report: &mut Report) {
    for o in outcomes {
        let own = reported(&cell_of_annotation(&o.input.boxes, setup.karyotype.judged(false)));
        if own != o.input.truth {
            let part = format!("annotation of {} differs: table {}", o.input.name, written(&o.input.truth));
            report.rows.push(json!({ "part": part, "cells": 1, "from_annotation": written(&own) }));
        }
    }
    let numerical = |o: &&Outcome<'_>| !o.input.truth.is_empty();
    report.rows.extend(outcomes.iter().filter(numerical).map(|o| cell_row(o, "numerical")));
    let only = |o: &&Outcome<'_>| o.input.truth.is_empty() && listed_structural(setup, o);
    report.rows.extend(outcomes.iter().filter(only).map(|o| cell_row(o, "structural only")));
    report.rows.extend(cases::rows(setup, outcomes));
}

fn cell_row(o: &Outcome<'_>, kind: &str) -> Value {
    let karyotype = &o.cell.karyotype;
    let structural: Vec<&str> =
        karyotype.findings.iter().filter(|f| f.kind == FindingKind::Structural).map(|f| f.text.as_str()).collect();
    json!({
        "part": format!("{kind}: {}", o.input.name),
        "cells": 1,
        "patient": o.input.patient,
        "edit": o.input.edit.map(|applied| format!("{} {}", applied.edit.name(), applied.class)),
        "truth": written(&o.input.truth),
        "told": written(&o.reported),
        "verdict": o.verdict(),
        "iscn": karyotype.iscn,
        "reason": karyotype.reason,
        "faults": o.faults.text(),
        "missed": o.faults.missing.len(),
        "leftover": o.cell.leftover,
        "structural_findings": structural,
    })
}
