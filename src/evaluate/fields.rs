//! Fields with boxes: the detector alone, and detection, classification and selection together.

use std::time::Instant;

use serde_json::json;

use domain::{BoundingBox, ChromosomeClass};
use recognition::{ComposedRecognizer, Recognition, Recognizer, Region, argmax, choose, select_detections, suppress};

use crate::case::{SAME_BOX, fewest_corrections};

use super::{
    EvaluateError, Report, Setup,
    dataset::{Field, Skipped, has_doubled_box},
    frame_of,
    metrics::{Answer, AveragePrecision, Bootstrap, Confusion, Figure, match_greedily, match_perfectly},
    report::{Figures, class_names},
};

/// Lowest score that counts for the average precision.
const MIN_SCORE: f32 = 0.001;
/// Overlap from which a box is found.
const MATCH_IOU: f32 = SAME_BOX;

/// A box that goes into the average precision.
struct Scored {
    bounds: BoundingBox,
    score: f32,
    /// Class and the probability of it.
    class: Option<(ChromosomeClass, f32)>,
}

/// A box that is selected as a chromosome.
struct SelectedBox {
    bounds: BoundingBox,
    /// Most likely class by itself.
    alone: Option<ChromosomeClass>,
    /// Class after the assignment over the cell.
    assigned: Option<ChromosomeClass>,
}

/// What came out for one field.
struct Outcome<'a> {
    field: &'a Field,
    scored: Vec<Scored>,
    selected: Vec<SelectedBox>,
    ms: Option<f64>,
}

/// `evaluate detector`.
pub fn detector(setup: &Setup<'_>) -> Result<Report, EvaluateError> {
    let mut recognizer = open(setup, setup.model, None)?;
    let Some(thresholds) = recognizer.detector().map(|detector| detector.manifest().thresholds) else {
        return Err(no_model("detector", &recognizer));
    };
    let mut report = Report::new("detector", setup);
    report.models = recognizer.provenance().models.clone();
    report.models.retain(|task, _| task == "detector");
    let outcomes = over_fields(setup, &mut report.data.skipped, |field| {
        let frame = frame_of(&field.path)?;
        let whole = Region::whole(frame.pixels.width(), frame.pixels.height());
        let answers = recognizer.detect(&frame, &whole.bounds, None, MIN_SCORE).map_err(|error| error.to_string())?;
        let mut kept = suppress(&answers, &thresholds);
        select_detections(&mut kept, &thresholds);
        let selected = kept
            .iter()
            .filter(|d| d.accepted)
            .map(|d| SelectedBox { bounds: d.bounds, alone: None, assigned: None })
            .collect();
        let scored = kept.iter().map(|d| Scored { bounds: d.bounds, score: d.score, class: None }).collect();
        Ok((scored, selected, None))
    })?;
    report.data.images = outcomes.len();
    report.figures = box_figures(&outcomes);
    report.rows = box_rows(&outcomes, setup);
    Ok(report)
}

/// `evaluate pipeline`.
pub fn pipeline(setup: &Setup<'_>) -> Result<Report, EvaluateError> {
    // A name given here is the detector's or the classifier's, whichever it is.
    let named_model = setup.model.map(|name| setup.library.named(name)).transpose()?;
    let is_detector =
        named_model.as_ref().is_none_or(|model| model.manifest.task == recognition::inference::Task::Detector);
    let (detector, classifier) = if is_detector { (setup.model, None) } else { (None, setup.model) };
    let mut recognizer = open(setup, detector, classifier)?;
    if recognizer.detector().is_none() {
        return Err(no_model("pipeline", &recognizer));
    }
    recognizer.set_floor(MIN_SCORE);
    let mut report = Report::new("pipeline", setup);
    report.models = recognizer.provenance().models.clone();
    let mut warm = false;
    let outcomes = over_fields(setup, &mut report.data.skipped, |field| {
        let frame = frame_of(&field.path)?;
        let whole = Region::whole(frame.pixels.width(), frame.pixels.height());
        let started = Instant::now();
        let mut cells = recognizer.recognise(&frame, &[whole]).map_err(|error| error.to_string())?;
        let cell = cells.pop().ok_or("no cell came back for the field")?;
        let chosen = choose(&cell, setup.karyotype.judged(cell.in_context));
        let ms = started.elapsed().as_secs_f64() * 1e3;
        let selected = chosen
            .iter()
            .map(|c| {
                let candidate = &cell.candidates[c.candidate];
                SelectedBox {
                    bounds: candidate.bounds,
                    alone: candidate.class().map(|(class, _)| class),
                    assigned: c.class,
                }
            })
            .collect();
        let scored = cell
            .candidates
            .iter()
            .enumerate()
            .map(|(i, candidate)| {
                let chosen = chosen.iter().find(|c| c.candidate == i);
                let class = match chosen {
                    Some(c) => c.class.map(|class| (class, c.score)),
                    None => candidate.class(),
                };
                // What the selection left out stays below what it selected.
                let score =
                    if chosen.is_some() { candidate.probability } else { candidate.probability * UNSELECTED_FACTOR };
                Scored { bounds: candidate.bounds, score, class }
            })
            .collect();
        // The first cell pays for what is made once.
        let ms = std::mem::replace(&mut warm, true).then_some(ms);
        Ok((scored, selected, ms))
    })?;
    report.data.images = outcomes.len();
    report.figures = box_figures(&outcomes);
    class_figures(&outcomes, &mut report);
    report.rows = box_rows(&outcomes, setup);
    Ok(report)
}

/// Factor on the score of boxes that the selection over the cell left out.
const UNSELECTED_FACTOR: f32 = 0.1;

pub(super) fn open(
    setup: &Setup<'_>,
    detector: Option<&str>,
    classifier: Option<&str>,
) -> Result<ComposedRecognizer, EvaluateError> {
    let recognition = Recognition {
        detector: detector.map(str::to_owned),
        classifier: classifier.map(str::to_owned),
        anatomy: None,
        stain: setup.stain(),
        precision: setup.precision,
        ..Recognition::default()
    };
    Ok(ComposedRecognizer::open(&recognition, setup.library, setup.engine)?)
}

pub(super) fn no_model(task: &'static str, recognizer: &ComposedRecognizer) -> EvaluateError {
    let reason = match recognizer.provenance().notes.join("; ") {
        notes if notes.is_empty() => "none of its kind serves the stain".to_owned(),
        notes => notes,
    };
    EvaluateError::NoModel { task, reason }
}

/// Scored and selected boxes of a field, and the milliseconds that it took, where they count.
type FieldResult = Result<(Vec<Scored>, Vec<SelectedBox>, Option<f64>), String>;

/// Runs over all fields; one that cannot be read is listed and left out.
fn over_fields<'a>(
    setup: &Setup<'a>,
    skipped: &mut Vec<Skipped>,
    mut one: impl FnMut(&Field) -> FieldResult,
) -> Result<Vec<Outcome<'a>>, EvaluateError> {
    let fields = setup.data.fields()?;
    let mut outcomes = Vec::with_capacity(fields.len());
    for (done, field) in fields.iter().enumerate() {
        match one(field) {
            Ok((scored, selected, ms)) => outcomes.push(Outcome { field, scored, selected, ms }),
            Err(reason) => skipped.push(Skipped { item: field.name.clone(), reason: format!("{reason}: left out") }),
        }
        (setup.progress)(done + 1, fields.len());
    }
    if outcomes.is_empty() { Err(setup.data.empty().into()) } else { Ok(outcomes) }
}

fn truth_bounds(outcome: &Outcome<'_>) -> Vec<BoundingBox> {
    outcome.field.truth.iter().map(|t| t.bounds).collect()
}

fn selected_bounds(outcome: &Outcome<'_>) -> Vec<BoundingBox> {
    outcome.selected.iter().map(|t| t.bounds).collect()
}

fn bootstrap(outcomes: &[Outcome<'_>]) -> Bootstrap {
    Bootstrap::over(outcomes.iter().map(|outcome| outcome.field.patient.as_str()))
}

/// All-point average precision at one overlap, whatever the class.
fn average_precision(outcomes: &[Outcome<'_>], least: f32) -> AveragePrecision {
    let mut answers = Vec::new();
    for (item, outcome) in outcomes.iter().enumerate() {
        let mut order: Vec<&Scored> = outcome.scored.iter().collect();
        order.sort_by(|a, b| b.score.total_cmp(&a.score));
        let boxes: Vec<BoundingBox> = order.iter().map(|s| s.bounds).collect();
        let matched = match_greedily(&boxes, &truth_bounds(outcome), least);
        answers.extend(order.iter().zip(matched).map(|(s, t)| Answer { item, score: s.score, hit: t.is_some() }));
    }
    AveragePrecision::new(answers, outcomes.iter().map(|outcome| outcome.field.truth.len() as u32).collect())
}

fn box_figures(outcomes: &[Outcome<'_>]) -> Figures {
    let bootstrap = bootstrap(outcomes);
    let boxes: usize = outcomes.iter().map(|outcome| outcome.field.truth.len()).sum();
    let mut figures = Figures::default();
    let at: Vec<AveragePrecision> = (0..10).map(|i| average_precision(outcomes, MATCH_IOU + 0.05 * i as f32)).collect();
    figures.push("ap50", bootstrap.figure(boxes, |weights| at[0].value(weights)));
    let mean = |weights: &[u32]| at.iter().map(|ap| ap.value(weights)).sum::<f64>() / at.len() as f64;
    figures.push("ap50_95", bootstrap.figure(boxes, mean));
    let mut found = Vec::new();
    let mut right = Vec::new();
    for outcome in outcomes {
        let hits = match_greedily(&selected_bounds(outcome), &truth_bounds(outcome), MATCH_IOU).iter().flatten().count()
            as f64;
        found.push((hits, outcome.field.truth.len() as f64));
        right.push((hits, outcome.selected.len() as f64));
    }
    figures.push("recall", bootstrap.ratio(&found));
    figures.push("precision", bootstrap.ratio(&right));
    let perfect: Vec<Option<f64>> = outcomes.iter().map(|outcome| Some(f64::from(is_perfect(outcome)))).collect();
    figures.push("perfect_cells", bootstrap.mean(&perfect));
    figures.push("count_mae", bootstrap.mean(&count_errors(outcomes, |_| true)));
    figures.push("count_mae_not_46", bootstrap.mean(&count_errors(outcomes, |n| n != 46)));
    figures
}

fn count_errors(outcomes: &[Outcome<'_>], which: impl Fn(usize) -> bool) -> Vec<Option<f64>> {
    outcomes
        .iter()
        .map(|outcome| {
            let truth = outcome.field.truth.len();
            which(truth).then(|| (outcome.selected.len() as f64 - truth as f64).abs())
        })
        .collect()
}

fn is_perfect(outcome: &Outcome<'_>) -> bool {
    match_perfectly(&selected_bounds(outcome), &truth_bounds(outcome), MATCH_IOU, |_, _| false).is_some()
}

/// Every box and every class right.
fn is_all_right(outcome: &Outcome<'_>) -> bool {
    let truth = &outcome.field.truth;
    let same =
        |f: usize, t: usize| outcome.selected[f].assigned.is_some() && outcome.selected[f].assigned == truth[t].class;
    match_perfectly(&selected_bounds(outcome), &truth_bounds(outcome), MATCH_IOU, same)
        .is_some_and(|pairs| pairs.iter().enumerate().all(|(f, t)| same(f, *t)))
}

/// Fewest corrections that make the cell right.
fn corrections_of(outcome: &Outcome<'_>) -> usize {
    let truth = &outcome.field.truth;
    let same = |f: usize, t: usize| truth[t].class.is_none() || outcome.selected[f].assigned == truth[t].class;
    fewest_corrections(&selected_bounds(outcome), &truth_bounds(outcome), MATCH_IOU, same)
}

/// How many corrections a cell needs, and how many cells need one, two or more (those that need none are `cells_right`).
fn correction_figures(outcomes: &[Outcome<'_>], bootstrap: &Bootstrap, figures: &mut Figures) {
    let needed: Vec<usize> = outcomes.iter().map(corrections_of).collect();
    let mean =
        |value: &dyn Fn(usize) -> f64| bootstrap.mean(&needed.iter().map(|n| Some(value(*n))).collect::<Vec<_>>());
    figures.push("corrections_per_cell", mean(&|n| n as f64));
    figures.push("cells_one_correction", mean(&|n| f64::from(n == 1)));
    figures.push("cells_two_corrections", mean(&|n| f64::from(n == 2)));
    figures.push("cells_more_corrections", mean(&|n| f64::from(n > 2)));
}

fn class_figures(outcomes: &[Outcome<'_>], report: &mut Report) {
    let bootstrap = bootstrap(outcomes);
    let known = outcomes.iter().flat_map(|o| &o.field.truth).any(|t| t.class.is_some());
    let timed: Vec<Option<f64>> = outcomes.iter().map(|outcome| outcome.ms).collect();
    if !known {
        report.figures.push("ms_per_cell", bootstrap.mean(&timed));
        return;
    }
    let classes: Vec<AveragePrecision> = ChromosomeClass::all().map(|class| class_precision(outcomes, class)).collect();
    let boxes: usize = outcomes.iter().map(|outcome| outcome.field.truth.len()).sum();
    let map50 = |weights: &[u32]| {
        let values: Vec<f64> = classes.iter().map(|ap| ap.value(weights)).filter(|v| v.is_finite()).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    report.figures.push("map50", bootstrap.figure(boxes, map50));
    let mut confusion = Confusion::new(class_names());
    let (mut alone, mut assigned) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        let (mut right_alone, mut right_assigned, mut n) = (0.0, 0.0, 0.0);
        let matched = match_greedily(&selected_bounds(outcome), &truth_bounds(outcome), MATCH_IOU);
        for (selected, t) in outcome.selected.iter().zip(matched) {
            let Some(truth) = t.and_then(|t| outcome.field.truth[t].class) else { continue };
            n += 1.0;
            right_alone += f64::from(selected.alone == Some(truth));
            right_assigned += f64::from(selected.assigned == Some(truth));
            if let Some(answer) = selected.assigned {
                confusion.add(truth.index(), answer.index());
            }
        }
        alone.push((right_alone, n));
        assigned.push((right_assigned, n));
    }
    report.figures.push("accuracy", bootstrap.ratio(&alone));
    report.figures.push("accuracy_assigned", bootstrap.ratio(&assigned));
    let right: Vec<Option<f64>> = outcomes.iter().map(|outcome| Some(f64::from(is_all_right(outcome)))).collect();
    report.figures.push("cells_right", bootstrap.mean(&right));
    correction_figures(outcomes, &bootstrap, &mut report.figures);
    report.figures.push("ms_per_cell", bootstrap.mean(&timed));
    report.set_confusion(confusion);
}

fn class_precision(outcomes: &[Outcome<'_>], class: ChromosomeClass) -> AveragePrecision {
    let mut answers = Vec::new();
    let mut positives = Vec::with_capacity(outcomes.len());
    for (item, outcome) in outcomes.iter().enumerate() {
        let truth: Vec<BoundingBox> =
            outcome.field.truth.iter().filter(|t| t.class == Some(class)).map(|t| t.bounds).collect();
        let mut mine: Vec<(f32, BoundingBox)> = outcome
            .scored
            .iter()
            .filter_map(|s| s.class.filter(|(c, _)| *c == class).map(|(_, p)| (s.score * p, s.bounds)))
            .collect();
        mine.sort_by(|a, b| b.0.total_cmp(&a.0));
        let boxes: Vec<BoundingBox> = mine.iter().map(|(_, b)| *b).collect();
        let matched = match_greedily(&boxes, &truth, MATCH_IOU);
        answers.extend(mine.iter().zip(matched).map(|((score, _), t)| Answer {
            item,
            score: *score,
            hit: t.is_some(),
        }));
        positives.push(truth.len() as u32);
    }
    AveragePrecision::new(answers, positives)
}

/// Parts of the set apart: cells without and with a fault in their annotation, and those that do not hold 46.
fn box_rows(outcomes: &[Outcome<'_>], setup: &Setup<'_>) -> Vec<serde_json::Value> {
    let doubled = |o: &Outcome<'_>| has_doubled_box(&o.field.truth);
    let listed = |o: &Outcome<'_>, key: &str| {
        setup.data.cells.get(&o.field.name).and_then(|row| row.get(key)).is_some_and(|v| !v.is_empty() && v != "0")
    };
    let part = |name: &str, which: &dyn Fn(&Outcome<'_>) -> bool| {
        let chosen: Vec<&Outcome<'_>> = outcomes.iter().filter(|o| which(o)).collect();
        let bootstrap = Bootstrap::over(chosen.iter().map(|o| o.field.patient.as_str()));
        let share = |f: &dyn Fn(&Outcome<'_>) -> bool| -> Figure {
            bootstrap.mean(&chosen.iter().map(|o| Some(f64::from(f(o)))).collect::<Vec<_>>())
        };
        let errors: Vec<Option<f64>> =
            chosen.iter().map(|o| Some((o.selected.len() as f64 - o.field.truth.len() as f64).abs())).collect();
        json!({
            "part": name,
            "cells": chosen.len(),
            "perfect_cells": share(&is_perfect),
            "cells_right": share(&is_all_right),
            "count_mae": bootstrap.mean(&errors),
        })
    };
    let mut rows = vec![
        part("every chromosome boxed once", &|o| !doubled(o)),
        part("two classes on one box", &doubled),
        part("46 boxes", &|o| o.field.truth.len() == 46),
        part("not 46 boxes", &|o| o.field.truth.len() != 46),
        part("listed as difficult", &|o| listed(o, "difficult")),
    ];
    rows.retain(|row| row["cells"] != 0);
    rows
}

/// Place of the most likely class, for callers that hold log probabilities.
pub(super) fn best(log_probs: &[f32]) -> usize {
    argmax(&log_probs[..ChromosomeClass::COUNT])
}
