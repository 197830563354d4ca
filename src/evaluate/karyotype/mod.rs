//! The karyotype of whole cells against what is known of them, on real and on edited cells.
//!
//! The networks run once ([`seen`]); what they gave is judged with the settings of the daemon ([`mod@judge`]), or the
//! settings are fitted to it ([`mod@fit`]).

mod cases;
mod changes;
mod fit;
mod judge;
mod seen;

use std::{collections::BTreeMap, time::Instant};

use serde_json::{Value, json};

use domain::{Cell, ChromosomeClass, FindingKind, Verdict};
use karyotype::{KaryotypeSettings, assess};

use super::{
    EvaluateError, Report, Setup,
    edit::Edit,
    metrics::{Bootstrap, Figure},
    report::Figures,
};
use changes::{Changes, told, written};
use judge::{Faults, annotated, judge, take};
use seen::{RecognisedCell, Wanted, gather};

/// What came out for one cell.
struct Outcome<'a> {
    seen: &'a RecognisedCell,
    cell: Cell,
    told: Changes,
    faults: Faults,
    /// Stated probability of a normal karyotype, and of fewer and more of each autosome; none where nothing was assigned.
    stated: Option<Stated>,
    ms: f64,
}

struct Stated {
    normal: f64,
    autosomes: [[f32; 2]; 22],
}

/// `evaluate karyotype`.
pub fn run(setup: &Setup<'_>) -> Result<Report, EvaluateError> {
    if setup.fit {
        return fit::run(setup);
    }
    let wanted = Wanted { real: setup.edited.is_none(), edited: setup.edited.unwrap_or(0) };
    let gathered = gather(setup, wanted)?;
    let mut report = Report::new("karyotype", setup);
    report.models = gathered.models;
    report.data.skipped.extend(gathered.skipped);
    report.data.images = gathered.cells.len();
    let outcomes: Vec<Outcome<'_>> = gathered.cells.iter().map(|seen| outcome(seen, &setup.karyotype)).collect();
    let listed = |o: &Outcome<'_>| listed_structural(setup, o);
    report.figures = figures(&outcomes, &listed);
    report.rows = by_abnormality(&outcomes, &listed);
    report.rows.extend(calibration(&outcomes));
    report.cells = outcomes.iter().map(|o| cell_row(o, "cell")).collect();
    if wanted.real {
        real_cells(setup, &outcomes, &mut report);
    }
    let clean = |o: &&Outcome<'_>| o.seen.truth.is_empty() && !listed(o);
    let alarms = outcomes.iter().filter(clean).filter(|o| o.cell.karyotype.verdict == Verdict::Abnormal);
    report.rows.extend(alarms.map(|o| cell_row(o, "false alarm")));
    if !wanted.real {
        let missed = |o: &&Outcome<'_>| o.assessable() && !o.seen.truth.is_empty() && o.told != o.seen.truth;
        report.rows.extend(outcomes.iter().filter(missed).map(|o| cell_row(o, "not told rightly")));
    }
    Ok(report)
}

fn outcome<'a>(seen: &'a RecognisedCell, settings: &KaryotypeSettings) -> Outcome<'a> {
    let begun = Instant::now();
    let taken = take(seen, settings);
    let cell = judge(seen, &taken, settings);
    let ms = begun.elapsed().as_secs_f64() * 1e3;
    let stated = taken.evidence.as_ref().map(|evidence| {
        let assignment = assess(evidence, &taken.unselected, settings);
        Stated { normal: f64::from(assignment.normal), autosomes: assignment.marginals }
    });
    Outcome { seen, told: told(&cell), faults: Faults::of(&taken, &seen.boxes), cell, stated, ms }
}

/// Whether the set's table calls the cell, or the person it is of, structurally abnormal.
fn listed_structural(setup: &Setup<'_>, o: &Outcome<'_>) -> bool {
    let row = setup.data.cells.get(&o.seen.name);
    let column = |key: &str| row.and_then(|r| r.get(key)).map(String::as_str).unwrap_or_default();
    column("status") == "structural" || column("iscn").to_lowercase().contains(['t', 'd', 'r', 'i'])
}

impl Outcome<'_> {
    fn verdict(&self) -> Verdict {
        self.cell.karyotype.verdict
    }

    fn assessable(&self) -> bool {
        self.verdict() != Verdict::NotAssessable
    }

    /// Share of its true gains (or losses) that are told; none where it has none.
    fn sensitivity(&self, gain: bool) -> Option<f64> {
        let wanted = |n: i32| if gain { n > 0 } else { n < 0 };
        let mine: Vec<_> = self.seen.truth.iter().filter(|(_, n)| wanted(**n)).collect();
        let hit = |class: &ChromosomeClass| self.assessable() && self.told.get(class).is_some_and(|n| wanted(*n));
        (!mine.is_empty()).then(|| mine.iter().filter(|(class, _)| hit(class)).count() as f64 / mine.len() as f64)
    }
}

type Listed<'a> = dyn Fn(&Outcome<'_>) -> bool + 'a;

fn figures(outcomes: &[Outcome<'_>], structural: &Listed<'_>) -> Figures {
    let bootstrap = Bootstrap::over(outcomes.iter().map(|o| o.seen.patient.as_str()));
    let mean = |value: &dyn Fn(&Outcome<'_>) -> Option<f64>| -> Figure {
        bootstrap.mean(&outcomes.iter().map(value).collect::<Vec<_>>())
    };
    let known = |o: &Outcome<'_>, value: Option<f64>| o.assessable().then_some(value).flatten();
    let clean = |o: &Outcome<'_>| o.seen.truth.is_empty() && !structural(o);
    let share = |holds: bool| f64::from(u8::from(holds));
    let mut figures = Figures::default();
    figures.push("gain_sensitivity", mean(&|o| known(o, o.sensitivity(true))));
    figures.push("loss_sensitivity", mean(&|o| known(o, o.sensitivity(false))));
    figures.push("specificity", mean(&|o| known(o, clean(o).then(|| share(o.verdict() == Verdict::Normal)))));
    figures.push("coverage", mean(&|o| Some(share(o.assessable()))));
    figures.push("gain_sensitivity_all", mean(&|o| o.sensitivity(true)));
    figures.push("loss_sensitivity_all", mean(&|o| o.sensitivity(false)));
    figures.push("numbers_right", mean(&|o| known(o, Some(share(o.told == o.seen.truth)))));
    for (name, edit) in [("coverage_gain", Edit::Gain), ("coverage_loss", Edit::Loss), ("coverage_sham", Edit::Sham)] {
        let of_edit = |o: &Outcome<'_>| o.seen.edit.filter(|(e, _)| *e == edit).map(|_| share(o.assessable()));
        figures.push(name, mean(&of_edit));
    }
    figures.push("perfect_cells", mean(&|o| Some(share(o.faults.perfect()))));
    figures.push("cells_right", mean(&|o| Some(share(o.faults.right()))));
    figures.push("count_mae", mean(&|o| Some((o.faults.over.len() as f64 - o.faults.missed.len() as f64).abs())));
    let as_annotated = |o: &Outcome<'_>| told(&annotated(&o.seen.boxes, &KaryotypeSettings::default())) == o.seen.truth;
    figures.push("from_annotation", mean(&|o| o.seen.edit.is_none().then(|| share(as_annotated(o)))));
    figures.push("interpret_ms", mean(&|o| Some(o.ms)));
    figures
}

fn by_abnormality(outcomes: &[Outcome<'_>], structural: &Listed<'_>) -> Vec<Value> {
    let mut kinds: BTreeMap<String, Vec<&Outcome<'_>>> = BTreeMap::new();
    for o in outcomes {
        let edit = o.seen.edit.map_or("", |(edit, _)| edit.name());
        let names = match (o.seen.truth.is_empty(), structural(o)) {
            (true, true) => vec!["structural only".to_owned()],
            (true, false) => vec![format!("{edit} none")],
            _ => o.seen.truth.iter().map(|(class, n)| format!("{edit} {n:+} {class}")).collect(),
        };
        for name in names {
            kinds.entry(name.trim().to_owned()).or_default().push(o);
        }
    }
    let rows = kinds.iter().map(|(name, of)| {
        let assessable = of.iter().filter(|o| o.assessable()).count();
        let right = of.iter().filter(|o| o.assessable() && o.told == o.seen.truth).count();
        json!({ "part": format!("abnormality {name}"), "cells": of.len(), "assessable": assessable, "right": right })
    });
    rows.collect()
}

/// Stated probabilities against what held: of losses and gains of an autosome, and of a normal karyotype.
fn calibration(outcomes: &[Outcome<'_>]) -> Vec<Value> {
    const BINS: [f64; 8] = [0.05, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0];
    let mut stated: BTreeMap<&str, Vec<(f64, bool)>> = BTreeMap::new();
    for o in outcomes {
        let Some(probabilities) = &o.stated else { continue };
        stated.entry("normal").or_default().push((probabilities.normal, o.seen.truth.is_empty()));
        for class in ChromosomeClass::all().filter(|c| !c.is_sex()) {
            let extra = o.seen.truth.get(&class).copied().unwrap_or(0);
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
        let own = told(&annotated(&o.seen.boxes, &setup.karyotype));
        if own != o.seen.truth {
            let part = format!("annotation of {} differs: table {}", o.seen.name, written(&o.seen.truth));
            report.rows.push(json!({ "part": part, "cells": 1, "from_annotation": written(&own) }));
        }
    }
    let numerical = |o: &&Outcome<'_>| !o.seen.truth.is_empty();
    report.rows.extend(outcomes.iter().filter(numerical).map(|o| cell_row(o, "numerical")));
    let only = |o: &&Outcome<'_>| o.seen.truth.is_empty() && listed_structural(setup, o);
    report.rows.extend(outcomes.iter().filter(only).map(|o| cell_row(o, "structural only")));
    report.rows.extend(cases::rows(setup, outcomes));
}

fn cell_row(o: &Outcome<'_>, kind: &str) -> Value {
    let karyotype = &o.cell.karyotype;
    let structural: Vec<&str> =
        karyotype.findings.iter().filter(|f| f.kind == FindingKind::Structural).map(|f| f.text.as_str()).collect();
    json!({
        "part": format!("{kind}: {}", o.seen.name),
        "cells": 1,
        "patient": o.seen.patient,
        "edit": o.seen.edit.map(|(edit, class)| format!("{} {class}", edit.name())),
        "truth": written(&o.seen.truth),
        "told": written(&o.told),
        "verdict": o.verdict(),
        "iscn": karyotype.iscn,
        "reason": karyotype.reason,
        "faults": o.faults.text(),
        "structural_findings": structural,
    })
}
