//! Centromeres against places that are known, of virtual slides and of cut single chromosomes, and the way up.

use std::{collections::HashMap, path::Path};

use serde_json::{Value, json};

use super::{
    EvaluateError, Report, Setup,
    dataset::{Content, SingleCell, SingleChromosome, Skipped},
    fields::{no_model, open},
    grey_of,
    metrics::{Bootstrap, match_greedily},
    outlines::record,
    readers::{self, masks},
};
use crate::interpretation::short_arm;
use domain::{BoundingBox, Point};
use imaging::{ChromosomeProfile, Crop};
use karyotype::measure::WayUp;
use recognition::{AnatomyNetwork, Plane, Recognizer, median_diagonal};

/// A centromere is right within this share of the length.
const NEAR: f32 = 0.05;
/// Overlap from which a reported box is an annotated one.
const MATCH_IOU: f32 = 0.5;
/// Ground around a cut single chromosome, in pixels, and its tone on planes.
const PAD: usize = 8;
const GROUND: u8 = 220;
/// Levels from here on are ground in pictures of single chromosomes.
const BLANK: u8 = 250;

/// What came out for one chromosome.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Outcome {
    /// Whether the surest centromere lies within [`NEAR`] of the true one, of those with one.
    placed: Option<bool>,
    /// Whether as many were found as there are.
    counted: Option<bool>,
    /// Whether the end of the short arm is the right one.
    upright: Option<bool>,
}

/// `evaluate centromeres`.
pub fn run(setup: &Setup<'_>) -> Result<Report, EvaluateError> {
    let mut report = Report::new("centromeres", setup);
    let measured = match &setup.data.content {
        Content::Singles(cells) => singles(setup, cells, &mut report)?,
        _ => virtual_slides(setup, &mut report)?,
    };
    if measured.is_empty() {
        return Err(setup.data.empty().into());
    }
    report.data.images = measured.len();
    let bootstrap = Bootstrap::over(measured.iter().map(|(group, _)| group.as_str()));
    let figures: [(&'static str, fn(&Outcome) -> Option<bool>); 3] =
        [("within_5_percent", |o| o.placed), ("count_right", |o| o.counted), ("upright", |o| o.upright)];
    for (name, pick) in figures {
        let of = |outcomes: &[Outcome]| {
            let known: Vec<bool> = outcomes.iter().filter_map(pick).collect();
            (known.iter().filter(|right| **right).count() as f64, known.len() as f64)
        };
        let parts: Vec<(f64, f64)> = measured.iter().map(|(_, outcomes)| of(outcomes)).collect();
        if parts.iter().any(|(_, n)| *n > 0.0) {
            report.figures.push(name, bootstrap.ratio(&parts));
        }
    }
    Ok(report)
}

/// Outcomes of one picture or cell, and its group.
type Measured = Vec<(String, Vec<Outcome>)>;

/// Whole pictures through all stages.
fn virtual_slides(setup: &Setup<'_>, report: &mut Report) -> Result<Measured, EvaluateError> {
    if setup.data.layout != super::Layout::Masks {
        let needed =
            "centromeres: the layout that simulate writes (truth.jsonl + masks/), or sheets of single chromosomes";
        return Err(setup.data.wrong(needed).into());
    }
    let mut recognizer = open(setup, None, None)?;
    report.models = recognizer.provenance().models.clone();
    if recognizer.anatomy().is_none() {
        return Err(no_model("centromeres", &recognizer));
    }
    let pictures = masks::pictures(&setup.data.path, &mut report.data.skipped)?;
    let fields = setup.data.fields()?;
    let mut measured = Vec::new();
    for (done, field) in fields.iter().enumerate() {
        let Some(picture) = pictures.iter().find(|p| p.image == field.name) else { continue };
        match record(setup, &mut recognizer, field) {
            Ok((_, cell)) => {
                let truth: Vec<&masks::TrueChromosome> = picture.chromosomes().filter(|c| !c.cut).collect();
                let places: Vec<BoundingBox> = truth.iter().map(|c| c.bounds).collect();
                let found: Vec<BoundingBox> = cell.chromosomes.iter().map(|c| c.bounds).collect();
                let matched = match_greedily(&found, &places, MATCH_IOU);
                let pairs = cell.chromosomes.iter().zip(matched).filter_map(|(c, t)| Some((c, truth[t?])));
                measured
                    .push((field.patient.clone(), pairs.map(|(c, t)| compared(c, t, &picture.axis_of(t))).collect()));
            }
            Err(reason) => report.data.skipped.push(Skipped { item: field.name.clone(), reason }),
        }
        (setup.progress)(done + 1, fields.len());
    }
    Ok(measured)
}

/// One reported chromosome against the one that was drawn, whose middle line `axis` is.
fn compared(found: &domain::Chromosome, truth: &masks::TrueChromosome, axis: &[Point]) -> Outcome {
    let Some(true_places) = &truth.centromeres else { return Outcome::default() };
    let mut outcome = Outcome { counted: Some(found.centromeres.len() == true_places.len()), ..Outcome::default() };
    if let [place] = true_places[..]
        && axis.len() > 1
    {
        let best = found.centromeres.first();
        outcome.placed =
            Some(best.is_some_and(|best| (share_along(axis, best.at) - share_along(axis, place)).abs() <= NEAR));
        // Drawn from the short arm's tip, or the other way: the nearer end is the short arm's.
        let share = share_along(axis, place);
        if (share - 0.5).abs() > NEAR
            && let (Some(tip), Some(foot)) = (found.axis.first(), found.axis.last())
        {
            let down = share_along(axis, *foot) > share_along(axis, *tip);
            outcome.upright = Some(down == (share < 0.5));
        }
    }
    outcome
}

/// How far along a line the place on it nearest to a point lies, 0 to 1.
fn share_along(line: &[Point], place: Point) -> f32 {
    let (mut best, mut at, mut length) = (f32::MAX, 0.0, 0.0);
    for pair in line.windows(2) {
        let (dx, dy) = (pair[1][0] - pair[0][0], pair[1][1] - pair[0][1]);
        let step = dx.hypot(dy).max(1e-6);
        let along = (((place[0] - pair[0][0]) * dx + (place[1] - pair[0][1]) * dy) / (step * step)).clamp(0.0, 1.0);
        let off = (pair[0][0] + along * dx - place[0]).hypot(pair[0][1] + along * dy - place[1]);
        if off < best {
            (best, at) = (off, length + along * step);
        }
        length += step;
    }
    at / length.max(1e-6)
}

/// Cut single chromosomes, each alone on ground, upright as they were published. Where `centromeres.csv` (sheet, x, y,
/// centromere_x, centromere_y: a chromosome's place on its sheet, and its centromere within its picture) lies beside the index, their
/// places are measured, too.
fn singles(setup: &Setup<'_>, cells: &[SingleCell], report: &mut Report) -> Result<Measured, EvaluateError> {
    let mut recognizer = open(setup, None, None)?;
    report.models = recognizer.provenance().models.clone();
    report.models.retain(|task, _| task == "anatomy");
    let Some(network) = recognizer.anatomy() else { return Err(no_model("centromeres", &recognizer)) };
    let known = true_places(&setup.data.path)?;
    let mut measured = Vec::new();
    for (done, cell) in cells.iter().enumerate() {
        match single_cell(network, cell, &known, &mut report.cells) {
            Ok(outcomes) => measured.push((cell.patient.clone(), outcomes)),
            Err(reason) => report.data.skipped.push(Skipped { item: cell.name.clone(), reason }),
        }
        (setup.progress)(done + 1, cells.len());
    }
    Ok(measured)
}

type TruePlaces = HashMap<(String, usize, usize), Point>;

fn true_places(folder: &Path) -> Result<TruePlaces, EvaluateError> {
    let path = folder.join("centromeres.csv");
    if !path.is_file() {
        return Ok(TruePlaces::new());
    }
    let rows = readers::rows(&path)?;
    let of = |row: &[(String, String)]| {
        let get = |name: &str| row.iter().find(|(column, _)| column == name).map(|(_, value)| value.as_str());
        let place = [get("centromere_x")?.parse().ok()?, get("centromere_y")?.parse().ok()?];
        Some(((get("sheet")?.to_owned(), get("x")?.parse().ok()?, get("y")?.parse().ok()?), place))
    };
    Ok(rows.iter().filter_map(|row| of(row)).collect())
}

fn single_cell(
    network: &mut AnatomyNetwork,
    cell: &SingleCell,
    known: &TruePlaces,
    rows: &mut Vec<Value>,
) -> Result<Vec<Outcome>, String> {
    let pictures: Vec<_> =
        cell.chromosomes.iter().map(|one| grey_of(&one.path, one.place)).collect::<Result<_, String>>()?;
    let boxes: Vec<BoundingBox> = pictures
        .iter()
        .map(|p| BoundingBox { x: PAD as f32, y: PAD as f32, width: p.width as f32, height: p.height as f32 })
        .collect();
    let median = median_diagonal(boxes.iter());
    let mut outcomes = Vec::with_capacity(pictures.len());
    for ((one, picture), bounds) in cell.chromosomes.iter().zip(&pictures).zip(&boxes) {
        let (width, height) = (picture.width + 2 * PAD, picture.height + 2 * PAD);
        let mut data = vec![GROUND; width * height];
        for (y, row) in picture.data.chunks_exact(picture.width.max(1)).enumerate() {
            let line = &mut data[(y + PAD) * width + PAD..][..row.len()];
            line.iter_mut()
                .zip(row)
                .for_each(|(to, v)| *to = (f32::from(*v) * f32::from(GROUND) / 255.0).round() as u8);
        }
        let plane = Plane { data, width, height, left: 0, top: 0 };
        // Their rectangles are wider than they are: the box is that of what is not ground.
        let tight = tight(picture).unwrap_or(*bounds);
        let drawn = network.draw(&plane, &[tight], median).map_err(|error| error.to_string())?.pop().flatten();
        outcomes.push(single(one, &plane, drawn, known, rows));
    }
    Ok(outcomes)
}

/// The box of what is not ground, on the plane.
fn tight(picture: &imaging::GrayImage) -> Option<BoundingBox> {
    let dark = || (0..picture.data.len()).filter(|i| picture.data[*i] < BLANK);
    let (columns, rows) = (|| dark().map(|i| i % picture.width), || dark().map(|i| i / picture.width));
    let at = |v: usize| (v + PAD) as f32;
    Some(BoundingBox::from_corners(
        at(columns().min()?),
        at(rows().min()?),
        at(columns().max()?) + 1.0,
        at(rows().max()?) + 1.0,
    ))
}

fn single(
    one: &SingleChromosome,
    plane: &Plane,
    drawn: Option<recognition::DrawnChromosome>,
    known: &TruePlaces,
    rows: &mut Vec<Value>,
) -> Outcome {
    let truth = one.place.and_then(|[x, y, ..]| {
        // A sheet is named by its path below the set's folder.
        let of = |((sheet, ..), place): (&(String, usize, usize), &Point)| one.path.ends_with(sheet).then_some(*place);
        known.iter().filter(|((_, kx, ky), _)| (*kx, *ky) == (x, y)).find_map(of)
    });
    let missed = Outcome { placed: truth.map(|_| false), counted: truth.map(|_| false), upright: Some(false) };
    let Some(drawn) = drawn else { return missed };
    let crop = Crop::new(plane.width, plane.height, plane.data.clone()).within(&drawn.outline.rings, 0, 0);
    let Some(profile) = ChromosomeProfile::of(&crop) else { return missed };
    let share = |place: Point| profile.share_at([place[0] - 0.5, place[1] - 0.5]);
    let only = match drawn.centromeres[..] {
        [only] => Some((share(only.at), only.score)),
        _ => None,
    };
    let placed = truth.map(|place| {
        let place = share([place[0] + PAD as f32, place[1] + PAD as f32]);
        drawn.centromeres.first().is_some_and(|best| (share(best.at) - place).abs() <= NEAR)
    });
    let way = WayUp::of(&profile, Some(one.class), Some(short_arm(&drawn)), only);
    // Upright as published: the first end is the upper one.
    let upper = profile.path[0][1] < profile.path[profile.path.len() - 1][1];
    let signed = |v: f32| if upper { v } else { -v };
    rows.push(json!({
        "class": one.class,
        "bands": signed(way.bands),
        "drawn": signed(way.drawn),
        "score": drawn.outline.score,
        "centromeres": drawn.centromeres.len(),
    }));
    Outcome {
        placed,
        counted: truth.map(|_| drawn.centromeres.len() == 1),
        upright: Some((way.logit() >= 0.0) == upper),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_share_of_the_line_that_bends() {
        let line = [[0.0, 0.0], [10.0, 0.0], [10.0, 10.0]];
        assert_eq!(share_along(&line, [5.0, 3.0]), 0.25);
        assert_eq!(share_along(&line, [12.0, 5.0]), 0.75);
        assert_eq!(share_along(&line, [-4.0, 1.0]), 0.0);
    }

    #[test]
    fn a_centromere_is_right_within_a_twentieth_of_the_length_and_the_axis_shows_the_way_up() {
        use domain::{Centromere, Chromosome, FoundBy};
        let truth = |centromeres: &str| -> masks::TrueChromosome {
            serde_json::from_str(&format!(
                r#"{{"index":0,"box":[0,0,10,100],"centromeres":{centromeres},"cut":false}}"#
            ))
            .unwrap()
        };
        let spot = |y: f32| Centromere { at: [6.0, y], score: 0.9, source: FoundBy::Network };
        let found = |centromeres: Vec<Centromere>| Chromosome {
            axis: vec![[5.0, 2.0], [5.0, 98.0]],
            centromeres,
            ..Chromosome::at(0, BoundingBox::from_corners(0.0, 0.0, 10.0, 100.0), 1.0)
        };
        let compare = |c: &Chromosome, t: &masks::TrueChromosome| compared(c, t, &[[5.0, 0.0], [5.0, 100.0]]);
        let right = Outcome { placed: Some(true), counted: Some(true), upright: Some(true) };
        assert_eq!(compare(&found(vec![spot(34.0)]), &truth("[[5,30]]")), right);
        let off = compare(&found(vec![spot(40.0), spot(70.0)]), &truth("[[5,30]]"));
        assert_eq!((off.placed, off.counted), (Some(false), Some(false)));
        let fragment = compare(&found(vec![]), &truth("[]"));
        assert_eq!(fragment, Outcome { placed: None, counted: Some(true), upright: None });
        assert_eq!(compare(&found(vec![spot(30.0)]), &truth("[[5,70]]")).upright, Some(false));
    }
}
