//! The karyotype of whole cells against what is known of them, on real and on edited cells.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    cell::{
        BoundingBox, Captured, Cell, Chromosome, ChromosomeClass, Counts, Damage, FindingKind, Karyotype, NOTICE,
        Status, Verdict,
    },
    config::Stain,
    frame::Frame,
    karyotype::{Evidence, KaryotypeSettings, interpret, recount},
    recognition::{ComposedRecognizer, Recognizer, Region, choose, left_out},
};

use super::{
    EvaluateError, Report, Setup,
    dataset::{Field, Skipped, TruthBox},
    edit::{Edit, edit},
    fields::{no_model, open},
    frame_of,
    metrics::{Bootstrap, Figure},
};

/// Deviation from two of each class (and XX or XY): class to surplus. X and Y stand for the sex complement.
type Changes = BTreeMap<ChromosomeClass, i32>;

/// What came out for one cell.
struct Outcome {
    name: String,
    patient: String,
    /// What is known of it.
    truth: Changes,
    /// Listed as structurally abnormal.
    structural: bool,
    edit: Option<Edit>,
    told: Changes,
    verdict: Verdict,
    iscn: Option<String>,
    reason: String,
    structural_findings: Vec<String>,
    /// The annotation's own classes give the annotated karyotype.
    from_annotation: bool,
    ms: f64,
}

/// `evaluate karyotype`.
pub fn run(setup: &Setup<'_>) -> Result<Report, EvaluateError> {
    let mut recognizer = open(setup, setup.model, None)?;
    if recognizer.detector().is_none() {
        return Err(no_model("karyotype", &recognizer));
    }
    let mut report = Report::new("karyotype", setup);
    report.models = recognizer.basis().models.clone();
    let mut outcomes = Vec::new();
    match setup.edited {
        Some(n) => edited(setup, n, &mut recognizer, &mut outcomes, &mut report.data.skipped)?,
        None => real(setup, &mut recognizer, &mut outcomes, &mut report.data.skipped)?,
    }
    if outcomes.is_empty() {
        return Err(setup.data.empty().into());
    }
    report.data.images = outcomes.len();
    figures(&outcomes, &mut report);
    Ok(report)
}

fn real(
    setup: &Setup<'_>,
    recognizer: &mut ComposedRecognizer,
    outcomes: &mut Vec<Outcome>,
    skipped: &mut Vec<Skipped>,
) -> Result<(), EvaluateError> {
    let fields = setup.data.fields()?;
    for (done, field) in fields.iter().enumerate() {
        (setup.progress)(done, fields.len());
        let row = setup.data.cells.get(&field.name);
        let column = |key: &str| row.and_then(|r| r.get(key)).map(String::as_str).unwrap_or_default();
        if let Some(reason) = unfit(column) {
            skipped.push(Skipped { item: field.name.clone(), reason });
            continue;
        }
        let truth = match column("iscn") {
            "" => changes_of(&field.truth),
            iscn => changes_written(iscn),
        };
        let frame = match frame_of(&field.path) {
            Ok(frame) => frame,
            Err(reason) => {
                skipped.push(Skipped { item: field.name.clone(), reason });
                continue;
            }
        };
        match judged(recognizer, &frame, &setup.karyotype) {
            Ok((cell, ms)) => {
                let from_annotation = told(&annotated(&field.truth, &setup.karyotype)) == truth;
                let structural = column("status") == "structural" || column("iscn").contains(['t', 'd', 'r', 'i']);
                outcomes.push(outcome(field, truth, structural, None, &cell, from_annotation, ms));
            }
            Err(reason) => skipped.push(Skipped { item: field.name.clone(), reason }),
        }
    }
    Ok(())
}

/// Why a cell cannot serve as truth.
fn unfit<'a>(column: impl Fn(&str) -> &'a str) -> Option<String> {
    let marked = column("source_chroma").parse::<f64>().is_ok_and(|chroma| chroma > 0.0);
    if marked {
        return Some("an arrow is drawn into it: left out".into());
    }
    (column("karyotype_code") == "EX").then(|| "too hard to karyotype, by its makers (EX): left out".into())
}

fn edited(
    setup: &Setup<'_>,
    wanted: usize,
    recognizer: &mut ComposedRecognizer,
    outcomes: &mut Vec<Outcome>,
    skipped: &mut Vec<Skipped>,
) -> Result<(), EvaluateError> {
    let column = |field: &Field, key: &str| -> String {
        setup.data.cells.get(&field.name).and_then(|r| r.get(key)).cloned().unwrap_or_default()
    };
    let usable: Vec<&Field> = setup
        .data
        .fields()?
        .iter()
        .filter(|f| unfit(|key| setup.data.cells.get(&f.name).and_then(|r| r.get(key)).map_or("", |v| v)).is_none())
        .filter(|f| f.truth.len() == 46 && changes_of(&f.truth).is_empty() && !doubled(&f.truth))
        .filter(|f| matches!(column(f, "status").as_str(), "" | "normal") && column(f, "near_duplicate_of").is_empty())
        .collect();
    if usable.is_empty() {
        return Err(setup.data.empty().into());
    }
    let bright = setup.stain() == Stain::Dapi;
    let mut made = 0;
    for round in 0.. {
        let before = made;
        for (at, field) in usable.iter().enumerate() {
            if made == wanted {
                return Ok(());
            }
            let what = Edit::ALL[(at + round) % 3];
            let frame = match frame_of(&field.path) {
                Ok(frame) => frame,
                Err(reason) => {
                    skipped.push(Skipped { item: field.name.clone(), reason });
                    continue;
                }
            };
            let seed = (round * usable.len() + at) as u64;
            let Some(changed) = edit(frame, &field.truth, what, bright, seed) else { continue };
            let mut truth = Changes::new();
            match what {
                Edit::Gain => truth.insert(changed.class, 1),
                Edit::Loss => truth.insert(changed.class, -1),
                Edit::Sham => None,
            };
            match judged(recognizer, &changed.frame, &setup.karyotype) {
                Ok((cell, ms)) => {
                    outcomes.push(outcome(field, truth, false, Some(what), &cell, true, ms));
                    made += 1;
                    (setup.progress)(made, wanted);
                }
                Err(reason) => skipped.push(Skipped { item: field.name.clone(), reason }),
            }
        }
        if made == before || round >= 30 {
            break;
        }
    }
    Ok(())
}

fn doubled(truth: &[TruthBox]) -> bool {
    truth.iter().enumerate().any(|(i, a)| truth[..i].iter().any(|b| a.bounds.iou(&b.bounds) > 0.95))
}

/// The daemon's own way from pixels to a verdict, and the milliseconds that the selection and interpretation took.
fn judged(
    recognizer: &mut ComposedRecognizer,
    frame: &Frame,
    settings: &KaryotypeSettings,
) -> Result<(Cell, f64), String> {
    let whole = Region::whole(frame.pixels.width(), frame.pixels.height());
    let mut cells = recognizer.recognise(frame, &[whole]).map_err(|error| error.to_string())?;
    let recognised = cells.pop().ok_or("no cell came back for the field")?;
    let begun = std::time::Instant::now();
    let chosen = choose(&recognised, settings);
    let candidates: Vec<_> = chosen.iter().map(|c| &recognised.candidates[c.candidate]).collect();
    let evidence: Option<Vec<Evidence>> = candidates.iter().map(|c| c.evidence()).collect();
    let boxes = candidates.iter().map(|c| (c.bounds, c.objectness));
    let mut cell = blank(boxes, [frame.pixels.width() as u32, frame.pixels.height() as u32]);
    let left_out = left_out(&recognised, &chosen, settings);
    interpret(&mut cell, evidence.as_deref().unwrap_or_default(), &left_out, settings);
    Ok((cell, begun.elapsed().as_secs_f64() * 1e3))
}

/// What the stage says of the annotation itself: every box and class as a person gave them.
fn annotated(truth: &[TruthBox], settings: &KaryotypeSettings) -> Cell {
    let mut cell = blank(truth.iter().map(|t| (t.bounds, 1.0)), [1, 1]);
    for (chromosome, t) in cell.chromosomes.iter_mut().zip(truth) {
        chromosome.class = t.class;
    }
    recount(&mut cell, settings);
    cell
}

fn blank(boxes: impl Iterator<Item = (BoundingBox, f32)>, size: [u32; 2]) -> Cell {
    let chromosomes = boxes
        .enumerate()
        .map(|(index, (bounds, objectness))| Chromosome {
            index: index as u32,
            bounds,
            class: None,
            score: objectness,
            alternatives: Vec::new(),
            status: Status::Unclear,
            length_um: None,
            relative_length: None,
            centromere_index: None,
            upright_angle: None,
            damage: Damage::None,
            objectness,
            evidence: None,
        })
        .collect();
    Cell {
        schema: Cell::SCHEMA.into(),
        station: "evaluate".into(),
        source: "evaluate".into(),
        cell: Uuid::nil(),
        revision: 0,
        case: None,
        slide: None,
        captured: Captured {
            time: String::new(),
            frame: 0,
            trigger: None,
            stage_um: None,
            um_per_px: None,
            size,
            file: None,
        },
        region: BoundingBox { x: 0.0, y: 0.0, width: size[0] as f32, height: size[1] as f32 },
        quality: Default::default(),
        chromosomes,
        counts: Counts::default(),
        karyotype: Karyotype::default(),
        dicentric: None,
        models: BTreeMap::new(),
        timing_ms: BTreeMap::new(),
        replayed: true,
        review: None,
        notice: NOTICE.into(),
    }
}

/// Deviations of an annotation from two of each class and XX or XY.
fn changes_of(truth: &[TruthBox]) -> Changes {
    let number = |class: ChromosomeClass| truth.iter().filter(|t| t.class == Some(class)).count() as i32;
    let mut changes: Changes = ChromosomeClass::all()
        .filter(|c| !c.is_sex())
        .map(|class| (class, number(class) - 2))
        .filter(|(_, surplus)| *surplus != 0)
        .collect();
    changes.extend(sex_changes(number(ChromosomeClass::X), number(ChromosomeClass::Y)));
    changes
}

/// A deviation of the sex complement, laid on the chromosome that explains it: X where no Y is too many.
fn sex_changes(x: i32, y: i32) -> Option<(ChromosomeClass, i32)> {
    match (x, y) {
        (2, 0) | (1, 1) => None,
        (x, 0) => Some((ChromosomeClass::X, x - 2)),
        (1, y) => Some((ChromosomeClass::Y, y - 1)),
        (x, 1) => Some((ChromosomeClass::X, x - 1)),
        (x, y) => Some((ChromosomeClass::X, x + y - 2)),
    }
}

/// Whole-chromosome gains and losses of a karyotype as a set's table writes it (breakpoints may be missing).
fn changes_written(iscn: &str) -> Changes {
    let mut changes = Changes::new();
    let mut fields = iscn.split(',').skip(1);
    let sex = fields.next().unwrap_or_default();
    let (x, y) = (sex.matches('X').count() as i32, sex.matches('Y').count() as i32);
    changes.extend(sex_changes(x, y));
    for item in fields {
        for (sign, surplus) in [('+', 1), ('-', -1)] {
            if let Some(class) = item.strip_prefix(sign).and_then(|name| name.parse::<ChromosomeClass>().ok()) {
                *changes.entry(class).or_default() += surplus;
            }
        }
    }
    changes.retain(|_, surplus| *surplus != 0);
    changes
}

/// Numerical findings that a cell tells.
fn told(cell: &Cell) -> Changes {
    let mut changes = Changes::new();
    for finding in &cell.karyotype.findings {
        let Some(class) = finding.class else { continue };
        let times = finding.iscn.as_ref().map_or(1, |i| i.split(',').count()) as i32;
        match finding.kind {
            _ if class.is_sex() && matches!(finding.kind, FindingKind::Gain | FindingKind::Loss) => {
                let complement = finding.iscn.as_deref().unwrap_or_default();
                let (x, y) = (complement.matches('X').count() as i32, complement.matches('Y').count() as i32);
                changes.extend(sex_changes(x, y));
            }
            FindingKind::Gain => *changes.entry(class).or_default() += times,
            FindingKind::Loss => *changes.entry(class).or_default() -= times,
            _ => {}
        }
    }
    changes
}

fn outcome(
    field: &Field,
    truth: Changes,
    structural: bool,
    edit: Option<Edit>,
    cell: &Cell,
    from_annotation: bool,
    ms: f64,
) -> Outcome {
    let karyotype = &cell.karyotype;
    let structural_findings =
        karyotype.findings.iter().filter(|f| f.kind == FindingKind::Structural).map(|f| f.text.clone()).collect();
    Outcome {
        name: field.name.clone(),
        patient: field.patient.clone(),
        truth,
        structural,
        edit,
        told: told(cell),
        verdict: karyotype.verdict,
        iscn: karyotype.iscn.clone(),
        reason: karyotype.reason.clone(),
        structural_findings,
        from_annotation,
        ms,
    }
}

fn written(changes: &Changes) -> String {
    if changes.is_empty() {
        return "none".into();
    }
    changes.iter().map(|(class, n)| format!("{n:+} {class}")).collect::<Vec<_>>().join(", ")
}

impl Outcome {
    fn assessable(&self) -> bool {
        self.verdict != Verdict::NotAssessable
    }

    /// Share of its true gains (or losses) that are told; none where it has none.
    fn sensitivity(&self, gain: bool) -> Option<f64> {
        let wanted = |n: i32| if gain { n > 0 } else { n < 0 };
        let mine: Vec<_> = self.truth.iter().filter(|(_, n)| wanted(**n)).collect();
        let hit = |class: &ChromosomeClass| self.assessable() && self.told.get(class).is_some_and(|n| wanted(*n));
        (!mine.is_empty()).then(|| mine.iter().filter(|(class, _)| hit(class)).count() as f64 / mine.len() as f64)
    }
}

fn figures(outcomes: &[Outcome], report: &mut Report) {
    let bootstrap = Bootstrap::over(outcomes.iter().map(|o| o.patient.as_str()));
    let mean = |value: &dyn Fn(&Outcome) -> Option<f64>| -> Figure {
        bootstrap.mean(&outcomes.iter().map(value).collect::<Vec<_>>())
    };
    let known = |o: &Outcome, value: Option<f64>| o.assessable().then_some(value).flatten();
    let clean = |o: &Outcome| o.truth.is_empty() && !o.structural;
    report.figures.push("gain_sensitivity", mean(&|o| known(o, o.sensitivity(true))));
    report.figures.push("loss_sensitivity", mean(&|o| known(o, o.sensitivity(false))));
    report
        .figures
        .push("specificity", mean(&|o| known(o, clean(o).then_some(f64::from(o.verdict == Verdict::Normal)))));
    report.figures.push("coverage", mean(&|o| Some(f64::from(o.assessable()))));
    report.figures.push("gain_sensitivity_all", mean(&|o| o.sensitivity(true)));
    report.figures.push("loss_sensitivity_all", mean(&|o| o.sensitivity(false)));
    report.figures.push("numbers_right", mean(&|o| known(o, Some(f64::from(o.told == o.truth)))));
    report.figures.push("from_annotation", mean(&|o| o.edit.is_none().then_some(f64::from(o.from_annotation))));
    report.figures.push("interpret_ms", mean(&|o| Some(o.ms)));

    let mut kinds: BTreeMap<String, Vec<&Outcome>> = BTreeMap::new();
    for o in outcomes {
        let edit = o.edit.map_or("", Edit::name);
        let names = match (o.truth.is_empty(), o.structural) {
            (true, true) => vec!["structural only".to_owned()],
            (true, false) => vec![format!("{edit} none")],
            _ => o.truth.iter().map(|(class, n)| format!("{edit} {n:+} {class}")).collect(),
        };
        for name in names {
            kinds.entry(name.trim().to_owned()).or_default().push(o);
        }
    }
    report.rows = kinds
        .iter()
        .map(|(name, of)| {
            let assessable = of.iter().filter(|o| o.assessable()).count();
            let right = of.iter().filter(|o| o.assessable() && o.told == o.truth).count();
            json!({ "abnormality": name, "cells": of.len(), "assessable": assessable, "right": right })
        })
        .collect();
    report.rows.extend(outcomes.iter().filter(|o| o.edit.is_none() && !clean(o)).map(cell_row));
    report.rows.extend(outcomes.iter().filter(|o| clean(o) && o.verdict == Verdict::Abnormal).map(cell_row));
    report.rows.extend(
        outcomes
            .iter()
            .filter(|o| !o.from_annotation)
            .map(|o| json!({ "annotation_differs": o.name, "annotated": written(&o.truth) })),
    );
}

fn cell_row(o: &Outcome) -> Value {
    json!({
        "cell": o.name,
        "patient": o.patient,
        "edit": o.edit.map(Edit::name),
        "truth": written(&o.truth),
        "structural": o.structural,
        "told": written(&o.told),
        "verdict": o.verdict,
        "iscn": o.iscn,
        "reason": o.reason,
        "structural_findings": o.structural_findings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_karyotypes_give_whole_chromosome_changes() {
        let of = |text: &str| written(&changes_written(text));
        assert_eq!(of("46,XY"), "none");
        assert_eq!(of("45,XY,-2"), "-1 2");
        assert_eq!(of("44,X,-5,-14,+18,Ins(11;8),t(5;16)"), "-1 5, -1 14, +1 18, -1 X");
        assert_eq!(of("47,XXY"), "+1 X");
        assert_eq!(of("47,XYY"), "+1 Y");
    }

    #[test]
    fn the_annotation_alone_gives_the_annotated_changes() {
        let mut truth: Vec<TruthBox> = ChromosomeClass::all()
            .flat_map(|class| {
                let n = match class {
                    c if c.is_sex() => 1,
                    c if c.name() == "21" => 3,
                    c if c.name() == "5" => 1,
                    _ => 2,
                };
                (0..n).map(move |_| TruthBox {
                    bounds: BoundingBox { x: 0.0, y: 0.0, width: 9.0, height: 9.0 },
                    class: Some(class),
                })
            })
            .collect();
        let told = told(&annotated(&truth, &KaryotypeSettings::default()));
        assert_eq!(told, changes_of(&truth));
        assert_eq!(written(&told), "-1 5, +1 21");
        truth.truncate(0);
        assert!(changes_of(&truth).len() > 20);
    }
}
