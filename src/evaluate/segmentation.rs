//! Imaging alone: boxes and masks of segmentation against boxes, class maps, and single or clustered objects.

use serde_json::json;

use domain::BoundingBox;
use imaging::{DistanceScratch, GrayImage, ObjectJudge, Rect, Segmentation, squared_distance};
use recognition::Segmented;

use super::{
    EvaluateError, Report, Setup,
    dataset::{Field, LabelledPicture, Layout, Skipped},
    frame_of, grey_of,
    metrics::{self, Answer, AveragePrecision, Bootstrap, Figure, match_greedily, roc_auc},
    readers::mfish,
};

/// Overlap from which a box is found.
const MATCH_IOU: f32 = 0.5;
/// Outline offsets that are tried, in pixels: one is taken for all cells of a set.
const OUTLINE_OFFSETS: [f32; 7] = [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0];
/// Widest margin of drawn boxes that is allowed for, in pixels.
const MAX_BOX_MARGIN: f32 = 12.0;

/// `evaluate segmentation`: fields with boxes or class maps, or objects labelled single or cluster.
pub fn run(setup: &Setup<'_>) -> Result<Report, EvaluateError> {
    if setup.data.layout == Layout::Objects {
        return objects(setup);
    }
    let fields = setup.data.fields()?;
    let mut report = Report::new("segmentation", setup);
    report.engine = "imaging alone".to_owned();
    let mut segmented = Segmented::default();
    let mut outcomes = Vec::with_capacity(fields.len());
    for (done, field) in fields.iter().enumerate() {
        match segment_field(setup, &mut segmented, field) {
            Ok(outcome) => outcomes.push(outcome),
            Err(reason) => {
                report.data.skipped.push(Skipped { item: field.name.clone(), reason: format!("{reason}: left out") })
            }
        }
        (setup.progress)(done + 1, fields.len());
    }
    if outcomes.is_empty() {
        return Err(setup.data.empty().into());
    }
    report.data.images = outcomes.len();
    let bootstrap = Bootstrap::over(outcomes.iter().map(|outcome| outcome.field.patient.as_str()));
    let mut fitted = json!({"part": "fitted on this set", "cells": outcomes.len()});
    if outcomes.iter().any(|outcome| !outcome.ious.is_empty()) {
        let (offset, median, tenth) = mask_figures(&outcomes, &bootstrap);
        fitted["outline_offset_px"] = json!(OUTLINE_OFFSETS[offset]);
        report.figures.push("mask_iou_median", median);
        report.figures.push("mask_iou_p10", tenth);
    }
    let margin = margin(&outcomes);
    fitted["box_margin_px"] = json!(margin);
    box_figures(&outcomes, margin, &bootstrap, &mut report);
    report.rows.push(fitted);
    Ok(report)
}

/// What came out for one field.
struct Outcome<'a> {
    field: &'a Field,
    /// Boxes of what was kept as chromosomes, best first.
    kept: Vec<BoundingBox>,
    scores: Vec<f32>,
    /// Kept, and for the most part on no chromosome.
    strays: usize,
    /// For each lone chromosome of a class map the best overlap of a mask, by offset.
    ious: Vec<[f32; OUTLINE_OFFSETS.len()]>,
    ms: f64,
}

fn segment_field<'a>(setup: &Setup<'_>, segmented: &mut Segmented, field: &'a Field) -> Result<Outcome<'a>, String> {
    let frame = frame_of(&field.path)?;
    let (width, height) = (frame.pixels.width(), frame.pixels.height());
    let map = match setup.data.layout {
        Layout::Mfish => mfish::map_of(&field.path, &field.name).filter(|(_, w, h)| (*w, *h) == (width, height)),
        _ => None,
    };
    let started = std::time::Instant::now();
    let segmentation = segmented.segment(&frame, setup.stain()).map(|(_, found)| found);
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let empty = Segmentation::default();
    let found = segmentation.unwrap_or(&empty);
    let mut kept: Vec<_> = found.chromosomes().collect();
    kept.sort_by(|a, b| b.score.total_cmp(&a.score));
    // Where chromosomes are: the drawn pixels, or the insides of the boxes.
    let on = |x: usize, y: usize| match &map {
        Some((map, ..)) => map[y * width + x] != 0,
        None => field.truth.iter().any(|t| {
            let (x, y) = (x as f32 + 0.5, y as f32 + 0.5);
            x > t.bounds.x && x < t.bounds.right() && y > t.bounds.y && y < t.bounds.bottom()
        }),
    };
    let stray = |bounds: &Rect, mask: &[u8]| {
        let mut hit = 0;
        for (i, _) in mask.iter().enumerate().filter(|(_, m)| **m != 0) {
            hit += usize::from(on(bounds.left + i % bounds.width(), bounds.top + i / bounds.width()));
        }
        2 * hit < mask.iter().filter(|m| **m != 0).count()
    };
    let strays = kept.iter().filter(|region| stray(&region.bounds, found.mask(region))).count();
    let lone = map.as_ref().map(|(map, w, h)| mfish::lone(map, *w, *h)).unwrap_or_default();
    let masks: Vec<(Rect, &[u8])> = kept.iter().map(|region| (region.bounds, found.mask(region))).collect();
    let ious = lone.iter().map(|truth| best_overlap(truth, &masks)).collect();
    let boxes = kept
        .iter()
        .map(|region| {
            let b = region.bounds;
            BoundingBox::from_corners(b.left as f32, b.top as f32, b.right as f32, b.bottom as f32)
        })
        .collect();
    Ok(Outcome { field, kept: boxes, scores: kept.iter().map(|region| region.score).collect(), strays, ious, ms })
}

/// The best IoU of any mask with a drawn chromosome, by outline offset; 0 where nothing meets it.
fn best_overlap(truth: &mfish::Lone, masks: &[(Rect, &[u8])]) -> [f32; OUTLINE_OFFSETS.len()] {
    const MARGIN: usize = 4;
    let mut best = [0f32; OUTLINE_OFFSETS.len()];
    let (mut inside, mut outside, mut scratch) = (Vec::new(), Vec::new(), DistanceScratch::default());
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for (bounds, mask) in masks {
        let (a, b) = (&truth.bounds, bounds);
        if a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top {
            continue;
        }
        let both = a.union(b);
        // Twice as fine as the picture, so that half a pixel can be said.
        let (w, h) = (2 * (both.width() + 2 * MARGIN), 2 * (both.height() + 2 * MARGIN));
        let paint = |from: &Rect, mask: &[u8], out: &mut Vec<u8>| {
            out.clear();
            out.resize(w * h, 0);
            for (y, line) in mask.chunks_exact(from.width()).enumerate() {
                for row in [0, 1] {
                    let at = (2 * (from.top - both.top + y + MARGIN) + row) * w + 2 * (from.left - both.left + MARGIN);
                    for (two, value) in out[at..at + 2 * line.len()].chunks_exact_mut(2).zip(line) {
                        two.fill(*value);
                    }
                }
            }
        };
        paint(a, &truth.mask, &mut own);
        paint(b, mask, &mut other);
        squared_distance(&other, w, &mut inside, &mut scratch);
        other.iter_mut().for_each(|m| *m = 1 - *m);
        squared_distance(&other, w, &mut outside, &mut scratch);
        for (best, offset) in best.iter_mut().zip(OUTLINE_OFFSETS) {
            let reach = 4.0 * offset * offset;
            let (mut shared, mut either) = (0u32, 0u32);
            for ((t, i), o) in own.iter().zip(&inside).zip(&outside) {
                let grown = if offset < 0.0 { *o == 0 && *i as f32 > reach } else { *o == 0 || *o as f32 <= reach };
                shared += u32::from(grown && *t != 0);
                either += u32::from(grown || *t != 0);
            }
            *best = best.max(shared as f32 / either.max(1) as f32);
        }
    }
    best
}

/// The offset with the highest median, and median and 10th percentile of the overlaps with it.
fn mask_figures(outcomes: &[Outcome<'_>], bootstrap: &Bootstrap) -> (usize, Figure, Figure) {
    let n = outcomes.iter().map(|outcome| outcome.ious.len()).sum();
    let of_offset = |offset: usize, share: f64, weights: &[u32]| {
        let mut values: Vec<(f64, u32)> = outcomes
            .iter()
            .zip(weights)
            .flat_map(|(outcome, weight)| outcome.ious.iter().map(|iou| (f64::from(iou[offset]), *weight)))
            .collect();
        metrics::quantile(&mut values, share)
    };
    let ones = vec![1; outcomes.len()];
    let median = |offset: &usize| of_offset(*offset, 0.5, &ones);
    let best = (0..OUTLINE_OFFSETS.len()).max_by(|a, b| median(a).total_cmp(&median(b))).unwrap_or(0);
    let figure = |share| bootstrap.figure(n, |weights| of_offset(best, share, weights));
    (best, figure(0.5), figure(0.1))
}

/// By how much the drawn boxes are wider than the pieces a side: the median over sides of pairs that overlap by 0.3 or more.
fn margin(outcomes: &[Outcome<'_>]) -> f32 {
    let mut sides = Vec::new();
    for outcome in outcomes {
        let truth = true_boxes(outcome);
        for (kept, matched) in outcome.kept.iter().zip(match_greedily(&outcome.kept, &truth, 0.3)) {
            let Some(t) = matched.map(|t| truth[t]) else { continue };
            sides.extend([kept.x - t.x, kept.y - t.y, t.right() - kept.right(), t.bottom() - kept.bottom()]);
        }
    }
    sides.sort_unstable_by(f32::total_cmp);
    sides.get(sides.len() / 2).map_or(0.0, |m| m.clamp(0.0, MAX_BOX_MARGIN))
}

fn true_boxes(outcome: &Outcome<'_>) -> Vec<BoundingBox> {
    outcome.field.truth.iter().map(|t| t.bounds).collect()
}

fn box_figures(outcomes: &[Outcome<'_>], margin: f32, bootstrap: &Bootstrap, report: &mut Report) {
    let (mut answers, mut positives, mut found, mut right) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (item, outcome) in outcomes.iter().enumerate() {
        let grown = |b: &BoundingBox| {
            BoundingBox::from_corners(b.x - margin, b.y - margin, b.right() + margin, b.bottom() + margin)
        };
        let kept: Vec<BoundingBox> = outcome.kept.iter().map(grown).collect();
        let matched = match_greedily(&kept, &true_boxes(outcome), MATCH_IOU);
        let hits = matched.iter().flatten().count() as f64;
        answers.extend(matched.iter().zip(&outcome.scores).map(|(t, score)| Answer {
            item,
            score: *score,
            hit: t.is_some(),
        }));
        positives.push(outcome.field.truth.len() as u32);
        found.push((hits, outcome.field.truth.len() as f64));
        right.push((hits, outcome.kept.len() as f64));
    }
    let boxes = positives.iter().sum::<u32>() as usize;
    let precision = AveragePrecision::new(answers, positives);
    report.figures.push("recall", bootstrap.ratio(&found));
    report.figures.push("ap50", bootstrap.figure(boxes, |weights| precision.value(weights)));
    report.figures.push("precision", bootstrap.ratio(&right));
    let mean =
        |of: &dyn Fn(&Outcome<'_>) -> f64| bootstrap.mean(&outcomes.iter().map(|o| Some(of(o))).collect::<Vec<_>>());
    report.figures.push("strays_per_cell", mean(&|outcome| outcome.strays as f64));
    report.figures.push("ms_per_cell", mean(&|outcome| outcome.ms));
}

/// Crops of single chromosomes and of clusters: how well the two are separated. The width of a chromosome is the median
/// over the crops of a case, as a whole frame would give it.
fn objects(setup: &Setup<'_>) -> Result<Report, EvaluateError> {
    let objects = setup.data.labelled()?;
    let mut report = Report::new("segmentation", setup);
    report.engine = "imaging alone".to_owned();
    let mut judge = ObjectJudge::default();
    let mut read: Vec<(&LabelledPicture, GrayImage, Option<f32>)> = Vec::new();
    for (done, object) in objects.iter().enumerate() {
        match grey_of(&object.path, object.place) {
            Ok(grey) => {
                let width = grey.view().ok().and_then(|view| judge.width(view));
                read.push((object, grey, width));
            }
            Err(reason) => {
                report.data.skipped.push(Skipped { item: object.name.clone(), reason: format!("{reason}: left out") })
            }
        }
        (setup.progress)(done + 1, objects.len());
    }
    if read.is_empty() {
        return Err(setup.data.empty().into());
    }
    let mut items = Vec::with_capacity(read.len());
    for (object, grey, _) in &read {
        let mut widths: Vec<f32> = read.iter().filter(|r| r.0.group == object.group).filter_map(|r| r.2).collect();
        widths.sort_unstable_by(f32::total_cmp);
        let width = widths.get(widths.len() / 2).copied();
        let score = match (grey.view(), width) {
            (Ok(view), Some(width)) => judge.cluster(view, width),
            _ => 0.0,
        };
        items.push((f64::from(score), object.label == "cluster"));
    }
    report.data.images = items.len();
    let bootstrap = Bootstrap::over(read.iter().map(|(object, ..)| object.group.as_str()));
    report.figures.push("auc", bootstrap.figure(items.len(), |weights| roc_auc(&items, weights)));
    let right: Vec<Option<f64>> =
        items.iter().map(|(score, truth)| Some(f64::from((*score >= 0.5) == *truth))).collect();
    report.figures.push("accuracy", bootstrap.mean(&right));
    Ok(report)
}
