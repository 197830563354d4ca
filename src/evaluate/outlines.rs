//! Outlines of chromosomes against masks that are known: of virtual slides, of composed cells, of M-FISH class maps.

use serde_json::json;

use super::{
    EvaluateError, Report, Setup,
    dataset::{Field, Layout, Skipped},
    fields::{no_model, open},
    frame_of,
    metrics::{Bootstrap, match_greedily, quantile},
    readers::{
        masks::{self, TruePicture},
        mfish,
    },
};
use crate::interpretation::{InterpretationSettings, Labels, interpret, pictures};
use domain::{Assay, BoundingBox, Cell, Chromosome, frame::Frame};
use imaging::{Cutout, Rect, isolate};
use recognition::{ComposedRecognizer, DrawnChromosome, Recognizer, Region};
use uuid::Uuid;

/// Overlap from which a reported box is an annotated one.
const MATCH_IOU: f32 = 0.5;

/// `evaluate outlines`.
pub fn run(setup: &Setup<'_>) -> Result<Report, EvaluateError> {
    let mut recognizer = open(setup, None, None)?;
    if recognizer.detector().is_none() {
        return Err(no_model("outlines", &recognizer));
    }
    let fields = setup.data.fields()?;
    let mut report = Report::new("outlines", setup);
    report.models = recognizer.provenance().models.clone();
    let mut truth = Truth::open(setup, &mut report.data.skipped)?;
    let mut measured: Vec<Measured<'_>> = Vec::with_capacity(fields.len());
    let mut boxed: Vec<Measured<'_>> = Vec::with_capacity(fields.len());
    for (done, field) in fields.iter().enumerate() {
        let compared = truth.of(field, &mut report.data.skipped).and_then(|map| {
            let (frame, cell) = record(setup, &mut recognizer, field)?;
            if (frame.pixels.width(), frame.pixels.height()) != (map.width, map.height) {
                return Err("the mask has another size than the picture".to_owned());
            }
            let given = drawn_in_boxes(&mut recognizer, &frame, &map)?;
            Ok((compare(&map, &cut_outs(&frame, &cell)), given))
        });
        match compared {
            Ok((compared, given)) => {
                measured.push((field, compared));
                boxed.push((field, given));
            }
            Err(reason) => {
                report.data.skipped.push(Skipped { item: field.name.clone(), reason: format!("{reason}: left out") })
            }
        }
        (setup.progress)(done + 1, fields.len());
    }
    if measured.is_empty() {
        return Err(setup.data.empty().into());
    }
    report.data.images = measured.len();
    figures(&measured, &mut report, &REPORTED);
    if boxed.iter().any(|(_, all)| !all.is_empty()) {
        figures(&boxed, &mut report, &BOXED);
        report.rows.extend(by_score(&boxed));
    }
    Ok(report)
}

/// What was compared in one field.
type Measured<'a> = (&'a Field, Vec<Compared>);

/// Names of the figures: all, then those that touch or cross; median, tenth percentile, kept, foreign. Last the share with a mask.
type Names = ([&'static str; 4], [&'static str; 4], &'static str);

/// Of reported boxes.
const REPORTED: Names = (
    ["iou_median", "iou_p10", "kept", "foreign"],
    ["touching_iou_median", "touching_iou_p10", "touching_kept", "touching_foreign"],
    "found",
);
/// Of annotated boxes given to the network: without the detector's misses.
const BOXED: Names = (
    ["boxed_iou_median", "boxed_iou_p10", "boxed_kept", "boxed_foreign"],
    ["boxed_touching_iou_median", "boxed_touching_iou_p10", "boxed_touching_kept", "boxed_touching_foreign"],
    "boxed_drawn",
);
/// What the detector's boxes leave around a chromosome, in median box diagonals.
const BOX_MARGIN: f32 = 0.065;

/// What the network draws in the annotated boxes, with the margin that the detector leaves; nothing without such a network.
fn drawn_in_boxes(recognizer: &mut ComposedRecognizer, frame: &Frame, map: &TrueMap) -> Result<Vec<Compared>, String> {
    let margin = BOX_MARGIN * recognition::median_diagonal(map.boxes.iter().map(|(_, bounds)| bounds));
    let grown = |b: &BoundingBox| {
        BoundingBox::from_corners(b.x - margin, b.y - margin, b.right() + margin, b.bottom() + margin)
    };
    let boxes: Vec<BoundingBox> = map.boxes.iter().map(|(_, bounds)| grown(bounds)).collect();
    let drawn = recognizer.draw_boxes(frame, &boxes).map_err(|error| error.to_string())?;
    let cut = |drawn: Option<DrawnChromosome>| drawn.and_then(|d| Cutout::of(&d.outline.rings, map.width, map.height));
    let each = map.boxes.iter().zip(drawn).map(|((label, bounds), drawn)| {
        let score = drawn.as_ref().map(|drawn| drawn.outline.score);
        Compared { score, ..one(map, *label, bounds, Some(&cut(drawn))) }
    });
    Ok(each.collect())
}

/// A picture and the record that the daemon would make of it, seen as one cell.
///
/// # Errors
/// In words, when the picture cannot be read or the engine fails.
pub(super) fn record(
    setup: &Setup<'_>,
    recognizer: &mut ComposedRecognizer,
    field: &Field,
) -> Result<(Frame, Cell), String> {
    let frame = frame_of(&field.path)?;
    let whole = Region::whole(frame.pixels.width(), frame.pixels.height());
    let mut cells = recognizer.recognise(&frame, &[whole]).map_err(|error| error.to_string())?;
    let recognised = cells.pop().ok_or("no cell came back for the field")?;
    let settings = InterpretationSettings {
        assay: Assay::Karyotype,
        karyotype: setup.karyotype.clone(),
        accepted_centromeres: [46; 2],
        scorer: Default::default(),
        threads: 1,
    };
    let labels = Labels { station: "evaluate".into(), replayed: true, ..Labels::default() };
    let cell = interpret(&frame, &recognised, recognizer.provenance(), &labels, &settings, Uuid::nil());
    Ok((frame, cell))
}

/// The chromosomes of a record as the karyogram cuts them out: box, and pixels in the frame.
fn cut_outs(frame: &Frame, cell: &Cell) -> Vec<(BoundingBox, Option<Cutout>)> {
    let boxes: Vec<BoundingBox> = cell.chromosomes.iter().map(|c| c.bounds).collect();
    let crops = isolate(&pictures::crops(&frame.pixels, cell), &boxes);
    let cut = |(c, crop): (&Chromosome, Option<imaging::Crop>)| {
        let mask = crop.and_then(|crop| crop.chromosome_mask()).map(|chromosome| {
            let [left, top, ..] = c.picture_bounds(cell.captured.size).map(|v| v as usize);
            let bounds = Rect { left, top, right: left + chromosome.width, bottom: top + chromosome.height };
            Cutout { bounds, mask: chromosome.mask }
        });
        (c.bounds, mask)
    };
    cell.chromosomes.iter().zip(crops).map(cut).collect()
}

/// Where each pixel of a picture belongs.
struct TrueMap {
    width: usize,
    height: usize,
    /// 0 ground, else the chromosome's place in `boxes` and 1; [`masks::OVERLAP`] where several lie.
    labels: Vec<u16>,
    /// The annotated chromosomes that are whole.
    boxes: Vec<(u16, BoundingBox)>,
}

/// Reads true maps.
enum Truth<'a> {
    Masks(Vec<TruePicture>, &'a std::path::Path),
    Mfish,
}

impl<'a> Truth<'a> {
    fn open(setup: &'a Setup<'_>, skipped: &mut Vec<Skipped>) -> Result<Self, EvaluateError> {
        match setup.data.layout {
            Layout::Masks => Ok(Self::Masks(masks::pictures(&setup.data.path, skipped)?, &setup.data.path)),
            Layout::Mfish => Ok(Self::Mfish),
            _ => {
                Err(setup.data.wrong("masks: the layout that simulate writes (truth.jsonl + masks/), or M-FISH").into())
            }
        }
    }

    fn of(&mut self, field: &Field, skipped: &mut Vec<Skipped>) -> Result<TrueMap, String> {
        match self {
            Self::Masks(pictures, folder) => {
                let picture = pictures.iter().find(|p| p.image == field.name).ok_or("it has no line in truth.jsonl")?;
                let (labels, width, height) = masks::labels(folder, picture)?;
                let whole = picture.chromosomes().filter(|c| !c.cut);
                let boxes = whole.map(|c| (c.index + 1, c.bounds)).collect();
                Ok(TrueMap { width, height, labels, boxes })
            }
            Self::Mfish => {
                let (map, width, height) =
                    mfish::map_of(&field.path, &field.name).ok_or("its class map cannot be read")?;
                let (labels, boxes, joined) = mfish::labelled(&map, width, height);
                if joined > 0 {
                    let reason = format!("{joined} classes in one piece, two that touch in all likelihood: left out");
                    skipped.push(Skipped { item: field.name.clone(), reason });
                }
                Ok(TrueMap { width, height, labels, boxes })
            }
        }
    }
}

/// One annotated chromosome and what was drawn of it.
struct Compared {
    /// Shared pixels over those of both; 0 where no box was reported.
    iou: f64,
    /// Share of its pixels in the mask, and share of the mask that belongs to others; none where no box was reported.
    kept: Option<(f64, f64)>,
    /// It meets another.
    touching: bool,
    /// The outline's own score, where a network has drawn it.
    score: Option<f32>,
}

fn compare(map: &TrueMap, found: &[(BoundingBox, Option<Cutout>)]) -> Vec<Compared> {
    let reported: Vec<BoundingBox> = found.iter().map(|(bounds, _)| *bounds).collect();
    let truth: Vec<BoundingBox> = map.boxes.iter().map(|(_, bounds)| *bounds).collect();
    let mut of_truth = vec![None; truth.len()];
    for (i, t) in match_greedily(&reported, &truth, MATCH_IOU).into_iter().enumerate() {
        if let Some(t) = t {
            of_truth[t] = Some(i);
        }
    }
    map.boxes
        .iter()
        .zip(of_truth)
        .map(|((label, bounds), i)| one(map, *label, bounds, i.map(|i| &found[i].1)))
        .collect()
}

/// Pixels in which several chromosomes lie are left out: nobody knows what else they hold.
fn one(map: &TrueMap, label: u16, bounds: &BoundingBox, found: Option<&Option<Cutout>>) -> Compared {
    let at = |x: usize, y: usize| map.labels[y * map.width + x];
    let clip = |v: f32, most: usize| (v.max(0.0) as usize).min(most);
    let columns = clip(bounds.x.floor() - 2.0, map.width)..clip(bounds.right().ceil() + 2.0, map.width);
    let rows = clip(bounds.y.floor() - 2.0, map.height)..clip(bounds.bottom().ceil() + 2.0, map.height);
    let (mut own, mut touching) = (0_usize, false);
    for y in rows {
        for x in columns.clone().filter(|x| at(*x, y) == label) {
            own += 1;
            touching = touching
                || (y.saturating_sub(1)..(y + 2).min(map.height)).any(|ny| {
                    (x.saturating_sub(1)..(x + 2).min(map.width)).any(|nx| at(nx, ny) != 0 && at(nx, ny) != label)
                });
        }
    }
    let Some(found) = found else { return Compared { iou: 0.0, kept: None, touching, score: None } };
    let (mut shared, mut foreign, mut all, mut drawn) = (0_usize, 0_usize, 0_usize, 0_usize);
    for (x, y) in found.iter().flat_map(Cutout::inside).filter(|(x, y)| *x < map.width && *y < map.height) {
        all += 1;
        match at(x, y) {
            masks::OVERLAP => continue,
            v if v == label => shared += 1,
            0 => {}
            _ => foreign += 1,
        }
        drawn += 1;
    }
    let share = |a: usize, b: usize| a as f64 / b.max(1) as f64;
    Compared {
        iou: share(shared, own + drawn - shared),
        kept: Some((share(shared, own), share(foreign, all))),
        touching,
        score: None,
    }
}

/// Overlaps by the score that an outline states.
fn by_score(measured: &[Measured<'_>]) -> Vec<serde_json::Value> {
    const BINS: [f32; 10] = [0.0, 0.7, 0.8, 0.84, 0.86, 0.88, 0.9, 0.92, 0.94, 1.01];
    let scored: Vec<(f32, f64)> =
        measured.iter().flat_map(|(_, all)| all).filter_map(|c| Some((c.score?, c.iou))).collect();
    let row = |bin: &[f32]| {
        let mut inside: Vec<(f64, u32)> =
            scored.iter().filter(|(s, _)| (bin[0]..bin[1]).contains(s)).map(|(_, iou)| (*iou, 1)).collect();
        let good = inside.iter().filter(|(iou, _)| *iou >= 0.8).count();
        (!inside.is_empty()).then(|| {
            json!({
                "part": format!("score {:.2} to {:.2}", bin[0], bin[1].min(1.0)),
                "cells": inside.len(),
                "iou_median": quantile(&mut inside, 0.5),
                "share_from_0.8": good as f64 / inside.len() as f64,
            })
        })
    };
    BINS.windows(2).filter_map(row).collect()
}

fn figures(measured: &[Measured<'_>], report: &mut Report, names: &Names) {
    let bootstrap = Bootstrap::over(measured.iter().map(|(field, _)| field.patient.as_str()));
    let mut add = |names: [&'static str; 4], which: &dyn Fn(&Compared) -> bool| {
        let n = measured.iter().flat_map(|(_, all)| all).filter(|c| which(c)).count();
        if n == 0 {
            return n;
        }
        let overlap = |share: f64| {
            bootstrap.figure(n, |weights| {
                let of = measured
                    .iter()
                    .zip(weights)
                    .flat_map(|((_, all), weight)| all.iter().filter(|c| which(c)).map(|c| (c.iou, *weight)));
                quantile(&mut of.collect::<Vec<_>>(), share)
            })
        };
        report.figures.push(names[0], overlap(0.5));
        report.figures.push(names[1], overlap(0.1));
        for (name, pick) in [(names[2], 0), (names[3], 1)] {
            let parts: Vec<(f64, f64)> = measured
                .iter()
                .map(|(_, all)| {
                    let of = all.iter().filter(|c| which(c)).filter_map(|c| c.kept);
                    of.map(|(kept, foreign)| if pick == 0 { kept } else { foreign })
                        .fold((0.0, 0.0), |(sum, n), v| (sum + v, n + 1.0))
                })
                .collect();
            report.figures.push(name, bootstrap.ratio(&parts));
        }
        n
    };
    let all = add(names.0, &|_| true);
    let touching = add(names.1, &|c| c.touching);
    let found: Vec<(f64, f64)> = measured
        .iter()
        .map(|(_, all)| (all.iter().filter(|c| c.kept.is_some()).count() as f64, all.len() as f64))
        .collect();
    report.figures.push(names.2, bootstrap.ratio(&found));
    report.rows.push(json!({"part": format!("{}: annotated chromosomes", names.2), "cells": measured.len(), "all": all, "touching": touching}));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two bars that touch, the right one crossed out by an overlap row.
    fn map() -> TrueMap {
        let (width, height) = (40, 30);
        let mut labels = vec![0; width * height];
        for y in 5..25 {
            for x in 10..16 {
                labels[y * width + x] = 1;
                labels[y * width + x + 6] = if y == 10 { masks::OVERLAP } else { 2 };
            }
        }
        let bar = |left: f32| BoundingBox { x: left, y: 5.0, width: 6.0, height: 20.0 };
        TrueMap { width, height, labels, boxes: vec![(1, bar(10.0)), (2, bar(16.0))] }
    }

    #[test]
    fn a_mask_is_measured_without_the_pixels_that_nobody_knows() {
        let map = map();
        let right = Cutout::full(Rect { left: 15, top: 5, right: 22, bottom: 25 });
        let compared = compare(&map, &[(map.boxes[1].1, Some(right))]);
        assert_eq!((compared[0].iou, compared[0].kept, compared[0].touching), (0.0, None, true));
        // 114 own pixels, all kept; 20 of the neighbour's drawn as well, of 140.
        assert!((compared[1].iou - 114.0 / 134.0).abs() < 1e-9);
        assert_eq!(compared[1].kept, Some((1.0, 20.0 / 140.0)));
    }

    #[test]
    fn a_reported_box_without_mask_keeps_nothing() {
        let map = map();
        let compared = compare(&map, &[(map.boxes[0].1, None)]);
        assert_eq!(compared[0].kept, Some((0.0, 0.0)));
    }
}
