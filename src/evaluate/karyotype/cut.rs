//! Real cells cut at their sides, as the edge of a frame does it: what is reported of them must not be a loss.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use domain::{
    BoundingBox, Cell, Sample, Verdict,
    frame::{Frame, PixelBuffer, PixelView, Pixels},
};
use karyotype::KaryotypeSettings;

use super::{Outcome, RequestedCells, gather, outcome};
use crate::{
    evaluate::{
        EvaluateError, Report, Setup, Skipped,
        dataset::TruthBox,
        metrics::{Bootstrap, Figure},
    },
    interpretation::SelectedBoxes,
};

/// Where a picture is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CutSide {
    /// Columns on the left are gone.
    Left,
    /// Columns on the right.
    Right,
    /// Rows at the top.
    Top,
    /// Rows at the bottom.
    Bottom,
    /// The same share on all four sides: the middle is left.
    All,
}

/// A cut that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedCut {
    /// Percent of the width or height (of both where all sides are cut) that is left.
    pub kept: u8,
    /// Where.
    pub side: CutSide,
}

/// Share of an annotated box that lies outside from which on its chromosome is cut, and from which on it is gone. Boxes
/// are drawn with a margin of about a tenth.
const CUT_SHARE: f32 = 0.15;
const GONE_SHARE: f32 = 0.5;

impl AppliedCut {
    /// Five cuts to that share, one a side and one of all.
    pub(super) fn to(kept: u8) -> [Self; 5] {
        [CutSide::Left, CutSide::Right, CutSide::Top, CutSide::Bottom, CutSide::All].map(|side| Self { kept, side })
    }

    /// What is left of a picture, in whole pixels: left, top, width, height.
    fn window(self, width: usize, height: usize) -> [usize; 4] {
        let left_of = |side: usize| (side * usize::from(self.kept)).div_ceil(100).max(1);
        let (w, h) = (left_of(width), left_of(height));
        match self.side {
            CutSide::Left => [width - w, 0, w, height],
            CutSide::Right => [0, 0, w, height],
            CutSide::Top => [0, height - h, width, h],
            CutSide::Bottom => [0, 0, width, h],
            CutSide::All => [(width - w) / 2, (height - h) / 2, w, h],
        }
    }

    /// What is left of a frame.
    pub(super) fn frame(self, frame: &Frame) -> Option<Frame> {
        let pixels = &frame.pixels;
        let [left, top, width, height] = self.window(pixels.width(), pixels.height());
        let stride = pixels.width();
        let rows = (top..top + height).map(|y| y * stride + left..y * stride + left + width);
        let buffer = match pixels.view() {
            PixelView::Mono8(s) => {
                PixelBuffer::from_bytes(&rows.flat_map(|r| s[r].iter().copied()).collect::<Vec<_>>())
            }
            PixelView::Mono16(s) => {
                PixelBuffer::from_words(&rows.flat_map(|r| s[r].iter().copied()).collect::<Vec<_>>())
            }
            PixelView::Rgb8(s) => PixelBuffer::from_bytes(
                &rows.flat_map(|r| s[3 * r.start..3 * r.end].iter().copied()).collect::<Vec<_>>(),
            ),
        };
        let pixels = Pixels::new(buffer, pixels.format(), width, height, pixels.valid_bits()).ok()?;
        Some(Frame { info: frame.info.clone(), pixels })
    }

    /// The boxes of which most is left, in pixels of what is left, and the largest share that a box lost.
    pub(super) fn boxes(self, truth: &[TruthBox], width: usize, height: usize) -> (Vec<TruthBox>, f32) {
        let [x, y, w, h] = self.window(width, height).map(|v| v as f32);
        let mut most_lost = 0.0_f32;
        let mut left = Vec::with_capacity(truth.len());
        for t in truth {
            let moved = BoundingBox { x: t.bounds.x - x, y: t.bounds.y - y, ..t.bounds };
            let inside = moved.intersection(&BoundingBox { x: 0.0, y: 0.0, width: w, height: h });
            let lost = 1.0 - inside / t.bounds.area().max(1.0);
            most_lost = most_lost.max(lost);
            if lost <= GONE_SHARE {
                left.push(TruthBox { bounds: moved.clipped(w, h), class: t.class });
            }
        }
        (left, most_lost)
    }
}

/// A cell with its verdict by the rules for cells at the edge, and without them.
struct Judged<'a> {
    patient: &'a str,
    cut: Option<AppliedCut>,
    lost: f32,
    before: Verdict,
    after: Verdict,
}

/// `evaluate karyotype --cut`.
pub(super) fn run(setup: &Setup<'_>, levels: &[u8]) -> Result<Report, EvaluateError> {
    let gathered = gather(setup, &RequestedCells { real: true, edited: 0, cuts: levels.to_vec() })?;
    let mut report = Report::new("karyotype", setup);
    report.models = gathered.provenance.models.clone();
    report.data.skipped.extend(gathered.skipped);
    let mut judged = Vec::with_capacity(gathered.cells.len());
    let mut cells = Vec::new();
    for (done, input) in gathered.cells.iter().enumerate() {
        (setup.progress)(done, gathered.cells.len());
        let outcome =
            match outcome(setup, &gathered.provenance, input, setup.karyotype.judged(input.recognised.in_context)) {
                Ok(outcome) => outcome,
                Err(reason) => {
                    report.data.skipped.push(Skipped { item: input.name.clone(), reason });
                    continue;
                }
            };
        let before = without_edge(&outcome, setup.karyotype.judged(outcome.input.recognised.in_context));
        let one = Judged {
            patient: &input.patient,
            cut: input.cut.map(|(cut, _)| cut),
            lost: input.cut.map_or(0.0, |(_, lost)| lost),
            before,
            after: outcome.verdict(),
        };
        cells.push(cell_row(&outcome, &one));
        judged.push(one);
    }
    report.data.images = judged.len();
    let bootstrap = Bootstrap::over(judged.iter().map(|one| one.patient));
    let share = |wanted: &dyn Fn(&Judged<'_>) -> Option<bool>| -> Figure {
        bootstrap
            .mean(&judged.iter().map(|one| wanted(one).map(|holds| f64::from(u8::from(holds)))).collect::<Vec<_>>())
    };
    let known = Verdict::NotAssessable;
    let figures = &mut report.figures;
    figures.push("assessable_before", share(&|one| one.cut.is_none().then_some(one.before != known)));
    figures.push("assessable", share(&|one| one.cut.is_none().then_some(one.after != known)));
    figures.push("cut_abnormal_before", share(&|one| one.cut.map(|_| one.before == Verdict::Abnormal)));
    figures.push("cut_abnormal", share(&|one| one.cut.map(|_| one.after == Verdict::Abnormal)));
    figures.push("cut_normal_before", share(&|one| one.cut.map(|_| one.wrongly_normal(one.before, CUT_SHARE))));
    figures.push("cut_normal", share(&|one| one.cut.map(|_| one.wrongly_normal(one.after, CUT_SHARE))));
    figures.push("gone_normal", share(&|one| one.cut.map(|_| one.wrongly_normal(one.after, GONE_SHARE))));
    report.rows = rows(&judged, levels);
    report.cells = cells;
    Ok(report)
}

impl Judged<'_> {
    /// Called normal while a chromosome lost more than this share of its box.
    fn wrongly_normal(&self, verdict: Verdict, lost: f32) -> bool {
        verdict == Verdict::Normal && self.lost > lost
    }
}

/// The verdict without the rules for the frame's edge and for haploid readings.
fn without_edge(outcome: &Outcome<'_>, settings: &KaryotypeSettings) -> Verdict {
    let settings = KaryotypeSettings { sample: Sample::Neoplastic, ..settings.clone() };
    let selected = SelectedBoxes::of(&outcome.input.recognised, &settings);
    let Some(assignment) = selected.assess(&settings) else { return outcome.verdict() };
    let mut cell = Cell { frame_edge: None, ..outcome.cell.clone() };
    karyotype::conclude(&mut cell, selected.evidence.as_deref().unwrap_or_default(), &assignment, &settings);
    cell.karyotype.verdict
}

/// What was reported of the cells, uncut and at each level, at all sides and side by side.
fn rows(judged: &[Judged<'_>], levels: &[u8]) -> Vec<Value> {
    let row = |part: String, of: &dyn Fn(&Judged<'_>) -> bool| {
        let of: Vec<&Judged<'_>> = judged.iter().filter(|one| of(one)).collect();
        let number = |holds: &dyn Fn(&Judged<'_>) -> bool| of.iter().filter(|one| holds(one)).count();
        json!({
            "part": part,
            "cells": of.len(),
            "normal_before": number(&|one| one.before == Verdict::Normal),
            "normal": number(&|one| one.after == Verdict::Normal),
            "abnormal_before": number(&|one| one.before == Verdict::Abnormal),
            "abnormal": number(&|one| one.after == Verdict::Abnormal),
            "not_assessable_before": number(&|one| one.before == Verdict::NotAssessable),
            "not_assessable": number(&|one| one.after == Verdict::NotAssessable),
            "normal_but_cut_before": number(&|one| one.wrongly_normal(one.before, CUT_SHARE)),
            "normal_but_cut": number(&|one| one.wrongly_normal(one.after, CUT_SHARE)),
        })
    };
    let mut rows = vec![row("uncut".into(), &|one| one.cut.is_none())];
    for kept in levels {
        rows.push(row(format!("cut to {kept} %"), &|one| one.cut.is_some_and(|cut| cut.kept == *kept)));
        for cut in AppliedCut::to(*kept) {
            let name = format!("cut to {kept} %, {}", format!("{:?}", cut.side).to_lowercase());
            rows.push(row(name, &|one| one.cut == Some(cut)));
        }
    }
    rows
}

fn cell_row(o: &Outcome<'_>, judged: &Judged<'_>) -> Value {
    let karyotype = &o.cell.karyotype;
    json!({
        "part": format!("cell: {}", o.input.name),
        "cells": 1,
        "patient": o.input.patient,
        "cut": judged.cut,
        "lost": judged.lost,
        "frame_edge": o.cell.frame_edge,
        "verdict_before": judged.before,
        "verdict": judged.after,
        "iscn": karyotype.iscn,
        "reason": karyotype.reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::frame::{FrameInfo, PixelFormat};

    #[test]
    fn a_cut_leaves_the_stated_share_and_the_boxes_in_it() {
        let samples: Vec<u8> = (0..200).map(|i| i as u8).collect();
        let pixels = Pixels::new(PixelBuffer::from_bytes(&samples), PixelFormat::Mono8, 20, 10, 8).unwrap();
        let frame = Frame { info: FrameInfo::of_tool("test"), pixels };
        let truth: Vec<TruthBox> = [0.0, 8.0, 16.0]
            .map(|x| TruthBox { bounds: BoundingBox { x, y: 2.0, width: 4.0, height: 6.0 }, class: None })
            .to_vec();
        for (side, size, first, left) in [
            (CutSide::Left, [10, 10], 10, vec![0.0, 6.0]),
            (CutSide::Right, [10, 10], 0, vec![0.0, 8.0]),
            (CutSide::Top, [20, 5], 100, vec![0.0, 8.0, 16.0]),
            (CutSide::All, [10, 5], 45, vec![3.0]),
        ] {
            let cut = AppliedCut { kept: 50, side };
            let left_over = cut.frame(&frame).unwrap();
            assert_eq!([left_over.pixels.width(), left_over.pixels.height()], size, "{side:?}");
            let PixelView::Mono8(samples) = left_over.pixels.view() else { panic!("grey") };
            assert_eq!(samples[0], first, "{side:?}");
            let (boxes, lost) = cut.boxes(&truth, 20, 10);
            assert_eq!(boxes.iter().map(|t| t.bounds.x).collect::<Vec<_>>(), left, "{side:?}");
            assert!(lost >= 0.5, "{side:?}");
        }
    }
}
