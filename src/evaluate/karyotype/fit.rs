//! Fits the settings of the karyotype stage to what the networks gave on validation cells.
//!
//! Three searches, one after the other, each without networks: the selection's penalties by what is wrong with the boxes
//! and classes; the penalties of karyotypes and the temperature by the likelihood of what is true of each cell; the
//! thresholds by coverage, as far as sensitivities and specificity reach their goals. What is told of the result is
//! measured twice: on the cells that it was fitted to, and on persons who were left out of the fit in turn.

use std::{collections::BTreeMap, fs, thread};

use serde_json::json;

use crate::evaluate::{EvaluateError, Report, Setup, edit::Edit, metrics::match_greedily};
use domain::{Cell, ChromosomeClass, Verdict};
use karyotype::{Assignment, KaryotypeSettings, assess};
use recognition::inference::Calibration;

use super::{
    Outcome, calibration,
    changes::told,
    figures,
    judge::{Faults, SelectedBoxes, judge_as, take},
    outcome,
    seen::{RecognisedCell, Wanted, doubled, gather},
};

/// Parts of the persons that are left out in turn.
const FOLDS: usize = 3;
/// Edits when no number is given.
const EDITS: usize = 600;
/// Goals of gain sensitivity, loss sensitivity and specificity, with a little room: they are fitted to.
const GOALS: [f64; 3] = [0.92, 0.87, 0.96];

/// Rounds after which a search stops, wherever it is: few cells may have no best place.
const ROUNDS: usize = 200;

/// A number that is searched.
struct Parameter {
    get: fn(&mut KaryotypeSettings) -> &mut f64,
    step: f64,
    range: (f64, f64),
}

const SELECTION: &[Parameter] = &[
    Parameter { get: |s| &mut s.penalties.missing, step: 1.0, range: (0.5, 12.0) },
    Parameter { get: |s| &mut s.penalties.extra, step: 1.0, range: (0.5, 12.0) },
    Parameter { get: |s| &mut s.penalties.rivals, step: 2.0, range: (0.0, 30.0) },
    Parameter { get: |s| &mut s.rival_iou, step: 0.1, range: (0.05, 0.8) },
];

const KARYOTYPES: &[Parameter] = &[
    Parameter { get: |s| &mut s.penalties.gain, step: 1.0, range: (1.0, 12.0) },
    Parameter { get: |s| &mut s.penalties.loss, step: 1.0, range: (1.0, 12.0) },
    Parameter { get: |s| &mut s.penalties.miss, step: 1.0, range: (1.5, 12.0) },
    Parameter { get: |s| &mut s.penalties.unselected, step: 1.0, range: (0.0, 8.0) },
    Parameter { get: |s| &mut s.penalties.duplicate, step: 1.0, range: (1.0, 14.0) },
    Parameter { get: |s| &mut s.class_temperature, step: 0.2, range: (0.5, 4.0) },
    Parameter { get: |s| &mut s.temperature, step: 0.2, range: (0.4, 4.0) },
];

/// `evaluate karyotype --fit`.
pub(super) fn run(setup: &Setup<'_>) -> Result<Report, EvaluateError> {
    let gathered = gather(setup, Wanted { real: true, edited: setup.edited.unwrap_or(EDITS) })?;
    let mut report = Report::new("karyotype", setup);
    report.models = gathered.models.clone();
    report.data.skipped.extend(gathered.skipped);
    report.data.images = gathered.cells.len();
    let cells: Vec<&RecognisedCell> = gathered.cells.iter().filter(|c| !doubled(&c.boxes)).collect();
    let fold = folds(&cells);
    let start = &setup.karyotype;
    let mut held: Vec<Outcome<'_>> = Vec::new();
    for out in 0..FOLDS {
        (setup.progress)(out, FOLDS + 1);
        let (kept, left): (Vec<&RecognisedCell>, Vec<&RecognisedCell>) =
            cells.iter().copied().partition(|c| fold[c.patient.as_str()] != out);
        let settings = fitted(&kept, start);
        held.extend(left.iter().map(|seen| outcome(seen, &settings)));
    }
    (setup.progress)(FOLDS, FOLDS + 1);
    let settings = fitted(&cells, start);
    report.figures = of_edits(&held);
    let before: Vec<Outcome<'_>> = cells.iter().map(|seen| outcome(seen, start)).collect();
    let after: Vec<Outcome<'_>> = cells.iter().map(|seen| outcome(seen, &settings)).collect();
    for (what, outcomes) in [("before, on the same cells", &before), ("after, on the cells fitted to", &after)] {
        for (name, figure) in of_edits(outcomes).0 {
            let part = format!("{what}: {name}");
            report.rows.push(json!({ "part": part, "cells": figure.n, "value": figure }));
        }
    }
    report.rows.extend(calibration(&held));
    let (likeliest, n) = objectness(&cells, &gathered.calibration);
    report.rows.push(json!({
        "part": "[calibration] objectness and found in the detector's model.toml",
        "cells": n,
        "now": format!("{:?}, {}", gathered.calibration.objectness, gathered.calibration.iou_weight),
        "likeliest": format!("{:?}, {}", &likeliest[..3], likeliest[3]),
    }));
    report.rows.push(json!({ "part": "fitted", "cells": cells.len(), "settings": settings }));
    if let Some(folder) = setup.out {
        let path = folder.join("settings.toml");
        let text = toml_edit::ser::to_string_pretty(&settings).map_err(|error| error.to_string());
        let text = text.map(|text| format!("{}{text}", head(&report)));
        text.and_then(|text| fs::write(&path, text).map_err(|error| error.to_string()))
            .map_err(|reason| EvaluateError::Candidates { path, reason })?;
    }
    Ok(report)
}

fn head(report: &Report) -> String {
    let models: Vec<String> = report.models.values().cloned().collect();
    format!(
        "# How cells are interpreted. Fitted on validation persons by `metaphased evaluate karyotype --fit` for\n\
         # {}; docs/reference/karyotype.md tells how, and what it reaches.\n",
        models.join(" and ")
    )
}

/// Figures of the edited cells, and boxes of all.
fn of_edits(outcomes: &[Outcome<'_>]) -> crate::evaluate::report::Figures {
    // What is known of an untouched cell rests on its annotation alone: it counts for boxes only.
    let (edited, real): (Vec<_>, Vec<_>) = outcomes.iter().map(copied).partition(|o| o.seen.edit.is_some());
    let mut told = figures(&edited, &|_| false);
    told.0.retain(|(name, _)| !matches!(*name, "from_annotation" | "interpret_ms"));
    for (name, figure) in figures(&real, &|_| false).0 {
        match name {
            "perfect_cells" => told.push("perfect_cells_untouched", figure),
            "cells_right" => told.push("cells_right_untouched", figure),
            "count_mae" => told.push("count_mae_untouched", figure),
            _ => {}
        }
    }
    told
}

fn copied<'a>(o: &Outcome<'a>) -> Outcome<'a> {
    Outcome {
        seen: o.seen,
        cell: o.cell.clone(),
        told: o.told.clone(),
        faults: o.faults.clone(),
        stated: None,
        ms: o.ms,
    }
}

/// The fold of each person: persons by name, dealt in turn.
fn folds<'a>(cells: &[&'a RecognisedCell]) -> BTreeMap<&'a str, usize> {
    let mut persons: BTreeMap<&str, usize> = cells.iter().map(|c| (c.patient.as_str(), 0)).collect();
    persons.values_mut().enumerate().for_each(|(i, fold)| *fold = i % FOLDS);
    persons
}

/// The settings that serve these cells best, searched from `start`.
fn fitted(cells: &[&RecognisedCell], start: &KaryotypeSettings) -> KaryotypeSettings {
    let settings = search(start.clone(), SELECTION, 3, |s| {
        let faults = every(cells, |seen| fault_price(&Faults::of(&take(seen, s), &seen.boxes)));
        faults.iter().sum::<f64>() / faults.len() as f64
    });
    let taken = every(cells, |seen| take(seen, &settings));
    let pairs: Vec<(&RecognisedCell, &SelectedBoxes)> = cells.iter().copied().zip(&taken).collect();
    let settings = search(settings, KARYOTYPES, 4, |s| {
        let losses = every(&pairs, |(seen, taken)| log_loss(seen, taken, s));
        losses.iter().sum::<f64>() / losses.len() as f64
    });
    with_thresholds(cells, settings)
}

/// Wrong boxes and classes of a cell as one number: a cell that is wholly right is worth two of them, and a hopeless
/// one weighs no more than a bad one.
fn fault_price(faults: &Faults) -> f64 {
    let n = faults.missed.len() + faults.over.len() + faults.mistaken.len();
    n.min(5) as f64 + if n > 0 { 2.0 } else { 0.0 }
}

/// Minus the logarithm of the probability that the stage gives to what is true: of each autosome fewer, as many or
/// more, and of the cell whether it is normal. Capped, for annotations err too.
fn log_loss(seen: &RecognisedCell, taken: &SelectedBoxes, settings: &KaryotypeSettings) -> f64 {
    let Some(evidence) = &taken.evidence else { return 0.0 };
    let assignment = assess(evidence, &taken.unselected, settings);
    let price = |p: f64| -p.clamp(2e-3, 1.0).ln();
    let normal = f64::from(assignment.normal);
    let mut loss = price(if seen.truth.is_empty() { normal } else { 1.0 - normal });
    for class in ChromosomeClass::all().filter(|c| !c.is_sex()) {
        let [fewer, more] = assignment.marginals[class.index()].map(f64::from);
        loss += price(match seen.truth.get(&class).copied().unwrap_or(0) {
            0 => 1.0 - fewer - more,
            extra if extra < 0 => fewer,
            _ => more,
        });
    }
    loss
}

/// The thresholds with the most coverage of edited cells whose sensitivities and specificity reach the goals; where
/// none does, those that come nearest.
fn with_thresholds(cells: &[&RecognisedCell], settings: KaryotypeSettings) -> KaryotypeSettings {
    let edited: Vec<&RecognisedCell> = cells.iter().copied().filter(|c| c.edit.is_some()).collect();
    let prepared: Vec<Option<(SelectedBoxes, Assignment)>> = every(&edited, |seen| {
        let taken = take(seen, &settings);
        let assignment = assess(taken.evidence.as_ref()?, &taken.unselected, &settings);
        Some((taken, assignment))
    });
    let mut best: Option<(f64, KaryotypeSettings)> = None;
    for gain in [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] {
        for finding in [0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9] {
            for normal in [0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97] {
                let tried = KaryotypeSettings {
                    gain_posterior: gain,
                    finding_posterior: finding,
                    normal_posterior: normal,
                    ..settings.clone()
                };
                let mut sums = [(0.0, 0.0); 3];
                let mut covered = 0.0;
                for (seen, prepared) in edited.iter().zip(&prepared) {
                    let (Some((taken, assignment)), Some((edit, class))) = (prepared, seen.edit) else { continue };
                    let cell: Cell = judge_as(seen, taken, assignment, &tried);
                    if cell.karyotype.verdict == Verdict::NotAssessable {
                        continue;
                    }
                    covered += 1.0;
                    let told = told(&cell).get(&class).copied().unwrap_or(0);
                    let (at, right) = match edit {
                        Edit::Gain => (0, told > 0),
                        Edit::Loss => (1, told < 0),
                        Edit::Sham => (2, cell.karyotype.verdict == Verdict::Normal),
                    };
                    sums[at].0 += f64::from(u8::from(right));
                    sums[at].1 += 1.0;
                }
                let short: f64 = sums
                    .iter()
                    .zip(GOALS)
                    .map(|((right, all), goal)| (goal - right / f64::max(*all, 1.0)).max(0.0))
                    .sum();
                let worth = covered / edited.len().max(1) as f64 - 4.0 * short;
                if best.as_ref().is_none_or(|(most, _)| worth > *most) {
                    best = Some((worth, tried));
                }
            }
        }
    }
    best.map_or(settings, |(_, settings)| settings)
}

/// Pattern search: every parameter a step up or down while that helps, then steps of half the size.
fn search(
    start: KaryotypeSettings,
    parameters: &[Parameter],
    halvings: i32,
    cost: impl Fn(&KaryotypeSettings) -> f64,
) -> KaryotypeSettings {
    let mut best = (cost(&start), start);
    for halving in 0..halvings {
        for _ in 0..ROUNDS {
            let before = best.0;
            for parameter in parameters {
                for direction in [1.0, -1.0] {
                    let mut tried = best.1.clone();
                    let value = (parameter.get)(&mut tried);
                    let moved = *value + direction * parameter.step / 2_f64.powi(halving);
                    *value = (moved.clamp(parameter.range.0, parameter.range.1) * 1e3).round() / 1e3;
                    let price = cost(&tried);
                    if price < best.0 {
                        best = (price, tried);
                        break;
                    }
                }
            }
            if before - best.0 < 2e-3 || !before.is_finite() {
                break;
            }
        }
    }
    best.1
}

/// Scores from which a candidate is a better one for those below.
const BETTER: f32 = 0.3;

/// Slope, intercept and weights of the classifier (single, found) with which the matches of all candidates are likeliest, and
/// how many candidates there are. How far a better candidate overlaps is a fifth term, which the selection penalties by itself.
fn objectness(cells: &[&RecognisedCell], start: &Calibration) -> ([f64; 4], usize) {
    let mut candidates: Vec<([f64; 5], bool)> = Vec::new();
    // An edited cell shows the same chromosomes once more.
    for seen in cells.iter().filter(|c| c.edit.is_none()) {
        let all = &seen.recognised.candidates;
        let boxes: Vec<_> = all.iter().map(|c| c.bounds).collect();
        let truth: Vec<_> = seen.boxes.iter().map(|t| t.bounds).collect();
        for (i, hit) in match_greedily(&boxes, &truth, 0.5).into_iter().enumerate() {
            let score = f64::from(all[i].objectness).clamp(1e-4, 1.0 - 1e-4);
            let better = all[..i].iter().filter(|c| c.objectness >= BETTER);
            let overlap = better.map(|c| c.bounds.iou(&boxes[i])).fold(0.0, f32::max);
            let single = f64::from(all[i].p_single).clamp(1e-4, 1.0).ln();
            let found = f64::from(all[i].iou_logit).clamp(-10.0, 10.0);
            candidates.push(([(score / (1.0 - score)).ln(), 1.0, single, found, f64::from(overlap)], hit.is_some()));
        }
    }
    let cost = |weights: &[f64; 5]| -> f64 {
        let each = candidates.iter().map(|(terms, hit)| {
            let logit: f64 = terms.iter().zip(weights).map(|(t, w)| t * w).sum();
            (if *hit { -logit } else { logit }).exp().ln_1p()
        });
        each.sum()
    };
    let [slope, intercept, single] = start.objectness.map(f64::from);
    let mut best = [slope, intercept, single, f64::from(start.iou_weight), -4.0];
    let mut least = cost(&best);
    let mut step = 0.5;
    for _ in 0..ROUNDS {
        let before = least;
        for i in 0..best.len() {
            for direction in [step, -step] {
                let mut tried = best;
                tried[i] += direction;
                let price = cost(&tried);
                if price < least {
                    (least, best) = (price, tried);
                }
            }
        }
        if before - least <= 1e-4 * before {
            step /= 2.0;
        }
    }
    ([best[0], best[1], best[2], best[3]].map(|v| (v * 1e3).round() / 1e3), candidates.len())
}

/// One value an item, in order, worked out on all cores.
fn every<I: Sync, T: Send>(items: &[I], one: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(threads).max(1);
    let one = &one;
    thread::scope(|scope| {
        let workers: Vec<_> =
            items.chunks(share).map(|part| scope.spawn(move || part.iter().map(one).collect::<Vec<T>>())).collect();
        workers.into_iter().flat_map(|w| w.join().expect("no part of a search panics")).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_finds_the_bottom_of_a_bowl() {
        let cost = |s: &KaryotypeSettings| {
            (s.penalties.missing - 2.5).powi(2) + (s.penalties.extra - 6.0).powi(2) + (s.rival_iou - 0.2).powi(2) * 40.0
        };
        let found = search(KaryotypeSettings::default(), SELECTION, 5, cost);
        assert!(cost(&found) < 0.05, "{found:?}");
    }

    #[test]
    fn every_keeps_the_order() {
        assert_eq!(every(&[1, 2, 3, 4, 5], |n| n * n), [1, 4, 9, 16, 25]);
        assert!(every(&[] as &[i32], |n| *n).is_empty());
    }
}
