//! Dicentrics, rings and fragments as the machine counts them, against what is known of each piece.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{
    EvaluateError, Report, Setup,
    dataset::{Field, Layout, Skipped},
    fields::{no_model, open},
    frame_of,
    metrics::{Bootstrap, match_greedily},
    readers::{boxes, masks},
};
use crate::interpretation::{InterpretationSettings, Labels, interpret, measured_pieces};
use domain::{AberrationCounts, Assay, BoundingBox, Cell, Chromosome, DicentricRecord, PieceKind, Point};
use dosimetry::dicentric::{Counting, Fit, Judged, Piece, ScorerSettings, score_pieces, with_counts};
use recognition::{ComposedRecognizer, Recognizer, Region};
use uuid::Uuid;

/// Overlap from which a reported piece is a known one.
const MATCH_IOU: f32 = 0.5;

/// A piece of which it is known what it is.
struct TruePiece {
    bounds: BoundingBox,
    kind: PieceKind,
    centromeres: Option<Vec<Point>>,
}

/// `evaluate dicentric`.
pub fn run(setup: &Setup<'_>) -> Result<Report, EvaluateError> {
    let mut recognizer = open(setup, None, None)?;
    if recognizer.anatomy().is_none() {
        return Err(no_model("dicentric", &recognizer));
    }
    let mut report = Report::new("dicentric", setup);
    report.models = recognizer.provenance().models.clone();
    let drawn = match setup.data.layout {
        Layout::Masks => masks::pictures(&setup.data.path, &mut report.data.skipped)?,
        _ => Vec::new(),
    };
    let drawn: HashMap<&str, &masks::TruePicture> = drawn.iter().map(|p| (p.image.as_str(), p)).collect();
    let boxed = match setup.data.layout {
        Layout::Yolo => boxes::yolo_dicentrics(&setup.data.path),
        _ => HashMap::new(),
    };
    let fields = setup.data.fields()?;
    let mut cells = Vec::with_capacity(fields.len());
    for (done, field) in fields.iter().enumerate() {
        let truth: Vec<TruePiece> = match drawn.get(field.name.as_str()) {
            Some(picture) => picture
                .chromosomes()
                .zip(picture.framed())
                .filter(|(c, _)| !c.cut)
                .map(|(c, bounds)| of_slide(c, bounds))
                .collect(),
            None => match boxed.get(&field.path) {
                Some(rows) => rows.iter().map(|(dicentric, bounds)| of_box(*dicentric, *bounds)).collect(),
                None => field.truth.iter().map(|t| of_box(false, t.bounds)).collect(),
            },
        };
        match looked_at(setup, &mut recognizer, field) {
            Ok((cell, measured)) => cells.push(CellOutcome::of(field, truth, &cell, measured, &mut report.cells)),
            Err(reason) => report.data.skipped.push(Skipped { item: field.name.clone(), reason }),
        }
        (setup.progress)(done + 1, fields.len());
    }
    if cells.is_empty() {
        return Err(setup.data.empty().into());
    }
    report.data.images = cells.len();
    figures(&cells, &mut report);
    let (fit, scorer) = (Fit::of(setup.stain()), &setup.scorer);
    report.rows.extend(of_scorer(&cells, fit, scorer));
    report.rows.extend(STRICTNESSES.iter().map(|strictness| at_strictness(&cells, fit, scorer, *strictness)));
    report.rows.extend(cells.iter().flat_map(|cell| cell.rows_of_dicentrics(fit, scorer)));
    Ok(report)
}

/// Strictnesses of the operating curve.
const STRICTNESSES: [f32; 8] = [0.2, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99, 0.995];

/// What came out for one cell.
struct CellOutcome {
    name: String,
    patient: String,
    truth: Vec<TruePiece>,
    /// What each piece was called, what was measured of it, and which true one it is.
    pieces: Vec<(PieceKind, Option<Piece>, Option<usize>)>,
    /// What the record says of each piece beside its kind.
    evidence: Vec<Option<String>>,
    record: DicentricRecord,
}

impl CellOutcome {
    /// Compares a record with what is known; every piece is noted for a file of its own.
    fn of(
        field: &Field,
        truth: Vec<TruePiece>,
        cell: &Cell,
        measured: Vec<Option<Piece>>,
        notes: &mut Vec<Value>,
    ) -> Self {
        let places: Vec<BoundingBox> = truth.iter().map(|t| t.bounds).collect();
        let found: Vec<BoundingBox> = cell.chromosomes.iter().map(|c| c.bounds).collect();
        let matched = match_greedily(&found, &places, MATCH_IOU);
        for ((c, piece), t) in cell.chromosomes.iter().zip(&measured).zip(&matched) {
            let t = t.map(|t| &truth[t]);
            notes.push(json!({
                "image": field.name, "group": field.patient, "box": c.bounds, "objectness": c.objectness,
                "outline_score": c.outline.as_ref().map(|o| o.score), "truth": t.map(|t| t.kind),
                "centromeres": t.and_then(|t| t.centromeres.as_ref()), "found": c.centromeres, "piece": piece,
                "called": c.piece, "evidence": c.evidence,
            }));
        }
        notes.push(json!({
            "image": field.name, "group": field.patient, "record": cell.dicentric,
            "true_dicentrics": truth.iter().map(|t| equivalents(t.kind)).sum::<u32>(),
        }));
        let missed = truth.iter().enumerate().filter(|(i, _)| !matched.contains(&Some(*i)));
        notes.extend(missed.map(|(_, t)| json!({"image": field.name, "missed": t.bounds, "truth": t.kind})));
        let kind = |c: &Chromosome| c.piece.map_or(PieceKind::Unclear, |piece| piece.kind);
        let pieces = cell.chromosomes.iter().map(kind).zip(measured).zip(matched);
        Self {
            name: field.name.clone(),
            patient: field.patient.clone(),
            truth,
            pieces: pieces.map(|((kind, piece), t)| (kind, piece, t)).collect(),
            evidence: cell.chromosomes.iter().map(|c| c.evidence.clone().map(String::from)).collect(),
            record: cell.dicentric.clone().unwrap_or_default(),
        }
    }

    /// Of the pieces that were called dicentrics in the record: those that are, and all.
    fn called(&self) -> (f64, f64) {
        let called = self.pieces.iter().enumerate().filter(|(_, (kind, ..))| is_dicentric(*kind));
        called.fold((0.0, 0.0), |(right, all), (i, _)| (right + f64::from(u8::from(self.is_true(i))), all + 1.0))
    }

    /// What the scorer makes of the cell under other settings of strictness and doubt: kinds of its pieces, and the record.
    fn scored_as(&self, fit: Fit, settings: &ScorerSettings) -> (Vec<PieceKind>, DicentricRecord) {
        if self.record.not_scored.is_some() {
            return (vec![PieceKind::Unclear; self.pieces.len()], self.record.clone());
        }
        let judged: Vec<Option<Judged>> = self
            .pieces
            .iter()
            .map(|(_, piece, _)| piece.as_ref().map(|piece| Judged::of(piece, fit, settings)))
            .collect();
        let kinds: Vec<PieceKind> = score_pieces(&judged).into_iter().map(|(kind, _)| kind).collect();
        let mut counts = AberrationCounts::default();
        kinds.iter().for_each(|kind| counts.add(*kind));
        (kinds, with_counts(&self.record, counts))
    }

    /// Whether a piece is a true dicentric.
    fn is_true(&self, piece: usize) -> bool {
        self.pieces[piece].2.is_some_and(|t| is_dicentric(self.truth[t].kind))
    }

    /// True dicentrics that were called or left to a person.
    fn seen(&self) -> f64 {
        let seen = |(called, _, t): &&(PieceKind, Option<Piece>, Option<usize>)| {
            (is_dicentric(*called) || *called == PieceKind::Unclear)
                && t.is_some_and(|t| is_dicentric(self.truth[t].kind))
        };
        self.pieces.iter().filter(seen).count() as f64
    }

    /// True pieces of a kind.
    fn true_ones(&self, of: impl Fn(PieceKind) -> bool) -> f64 {
        self.truth.iter().filter(|t| of(t.kind)).count() as f64
    }

    /// True pieces of a kind that were called the same.
    fn right(&self, kind: PieceKind) -> f64 {
        let right = |(called, _, t): &&(PieceKind, Option<Piece>, Option<usize>)| {
            *called == kind && t.is_some_and(|t| self.truth[t].kind == kind)
        };
        self.pieces.iter().filter(right).count() as f64
    }

    /// A row for every true dicentric, and for every piece that was wrongly called one.
    fn rows_of_dicentrics(&self, fit: Fit, scorer: &ScorerSettings) -> Vec<Value> {
        let mut rows = Vec::new();
        for (i, t) in self.truth.iter().enumerate().filter(|(_, t)| is_dicentric(t.kind)) {
            let at = self.pieces.iter().position(|(_, _, of)| *of == Some(i));
            let (found, why) = match at.map(|at| (&self.pieces[at], &self.evidence[at])) {
                None => (false, "no piece in its place".to_owned()),
                Some(((kind, piece, _), evidence)) => {
                    let score = piece.as_ref().map(|piece| Judged::of(piece, fit, scorer).dicentric);
                    let score = score.map_or("not measured".into(), |score| format!("score {score:.2}"));
                    (is_dicentric(*kind), evidence.clone().unwrap_or_else(|| format!("called {kind:?}, {score}")))
                }
            };
            rows.push(json!({"cell": self.name, "box": t.bounds, "kind": t.kind, "found": found, "why": why}));
        }
        for ((kind, _, t), evidence) in self.pieces.iter().zip(&self.evidence) {
            if is_dicentric(*kind) && !t.is_some_and(|t| is_dicentric(self.truth[t].kind)) {
                rows.push(json!({"cell": self.name, "kind": kind, "false": true, "why": evidence}));
            }
        }
        rows
    }
}

/// Dicentrics that a piece counts as.
fn equivalents(kind: PieceKind) -> u32 {
    let mut counts = AberrationCounts::default();
    counts.add(kind);
    counts.dicentric_equivalents()
}

fn is_dicentric(kind: PieceKind) -> bool {
    matches!(kind, PieceKind::Dicentric | PieceKind::Tricentric)
}

/// The figures over all cells, with intervals over persons.
fn figures(cells: &[CellOutcome], report: &mut Report) {
    let bootstrap = Bootstrap::over(cells.iter().map(|cell| cell.patient.as_str()));
    let by_record = CellOutcome::called;
    let counting = Counting::of(cells.iter().map(|cell| &cell.record));
    let counted = |cell: &CellOutcome| f64::from(u8::from(counting.counted(&cell.record).is_ok()));
    let mut push = |name, part: &dyn Fn(&CellOutcome) -> (f64, f64)| {
        let parts: Vec<(f64, f64)> = cells.iter().map(part).collect();
        if parts.iter().any(|(_, whole)| *whole > 0.0) {
            report.figures.push(name, bootstrap.ratio(&parts));
        }
    };
    push("sensitivity", &|cell| (by_record(cell).0, cell.true_ones(is_dicentric)));
    push("called_or_to_review", &|cell| (cell.seen(), cell.true_ones(is_dicentric)));
    push("precision", &by_record);
    push("false_per_1000_cells", &|cell| {
        let (right, all) = by_record(cell);
        (1000.0 * (all - right), 1.0)
    });
    push("false_per_1000_chromosomes", &|cell| {
        let (right, all) = by_record(cell);
        (1000.0 * (all - right), cell.true_ones(|kind| !is_dicentric(kind)))
    });
    push("rings_found", &|cell| (cell.right(PieceKind::Ring), cell.true_ones(|kind| kind == PieceKind::Ring)));
    push("fragments_found", &|cell| {
        (cell.right(PieceKind::Fragment), cell.true_ones(|kind| kind == PieceKind::Fragment))
    });
    push("to_review_per_cell", &|cell| (f64::from(cell.record.counts.unclear), 1.0));
    push("complete", &|cell| (f64::from(u8::from(cell.record.complete)), 1.0));
    push("not_scored", &|cell| (f64::from(u8::from(cell.record.not_scored.is_some())), 1.0));
    push("not_selected", &|cell| (f64::from(u8::from(cell.record.not_selected.is_some())), 1.0));
    push("counted", &|cell| (counted(cell), 1.0));
    push("counted_found", &|cell| (counted(cell) * by_record(cell).0, counted(cell) * cell.true_ones(is_dicentric)));
    push("counted_false_per_1000_cells", &|cell| {
        let (right, all) = by_record(cell);
        (1000.0 * counted(cell) * (all - right), counted(cell))
    });
    push("counted_yield_per_cell", &|cell| (counted(cell) * by_record(cell).1, counted(cell)));
    push("counted_true_yield_per_cell", &|cell| (counted(cell) * cell.true_ones(is_dicentric), counted(cell)));
    push("yield_per_cell", &|cell| (by_record(cell).1, 1.0));
    push("yield_per_46_pieces", &|cell| (46.0 * by_record(cell).1, cell.pieces.len() as f64));
    push("true_yield_per_cell", &|cell| (cell.true_ones(is_dicentric), 1.0));
}

/// What the scorer in use makes of the cells, with its name: what a curve is corrected by. None where it scored no cell.
fn of_scorer(cells: &[CellOutcome], fit: Fit, scorer: &ScorerSettings) -> Option<Value> {
    let name = cells.iter().find_map(|cell| cell.record.scorer.as_ref())?.label();
    let mut row = at_strictness(cells, fit, scorer, scorer.strictness);
    row["scorer"] = name.into();
    row["quickscan"] = scorer.quickscan.into();
    Some(row)
}

/// Dicentrics found and false calls of some cells.
#[derive(Default)]
struct Calls {
    cells: u64,
    found: u64,
    of: u64,
    false_calls: u64,
}

impl Calls {
    fn add(&mut self, cell: &CellOutcome, kinds: &[PieceKind]) {
        let called = || kinds.iter().enumerate().filter(|(_, kind)| is_dicentric(**kind));
        let right = called().filter(|(i, _)| cell.is_true(*i)).count();
        self.cells += 1;
        self.found += right as u64;
        self.of += cell.true_ones(is_dicentric) as u64;
        self.false_calls += (called().count() - right) as u64;
    }
}

/// A point of the operating curve: what would be called at a strictness, in all cells and (`counted_...`) in those that would count towards a
/// dose, the set taken for one case. In a cell that is not scored nothing is called, and its dicentrics are missed.
fn at_strictness(cells: &[CellOutcome], fit: Fit, scorer: &ScorerSettings, strictness: f32) -> Value {
    let settings = ScorerSettings { strictness, ..scorer.clone() };
    let scored: Vec<(Vec<PieceKind>, DicentricRecord)> =
        cells.iter().map(|cell| cell.scored_as(fit, &settings)).collect();
    let counting = Counting::of(scored.iter().map(|(_, record)| record));
    let (mut all, mut counted) = (Calls::default(), Calls::default());
    for (cell, (kinds, record)) in cells.iter().zip(&scored) {
        all.add(cell, kinds);
        if counting.counted(record).is_ok() {
            counted.add(cell, kinds);
        }
    }
    let share = |part: u64, whole: f64| (whole > 0.0).then(|| part as f64 / whole);
    let others: f64 = cells.iter().map(|cell| cell.true_ones(|kind| !is_dicentric(kind))).sum();
    json!({
        "strictness": strictness,
        "found": all.found, "of": all.of, "false_calls": all.false_calls, "cells": all.cells,
        "sensitivity": share(all.found, all.of as f64),
        "precision": share(all.found, (all.found + all.false_calls) as f64),
        "false_per_1000_cells": share(1000 * all.false_calls, all.cells as f64),
        "false_per_1000_chromosomes": share(1000 * all.false_calls, others),
        "counted_cells": counted.cells, "counted_found": counted.found, "counted_of": counted.of,
        "counted_false_calls": counted.false_calls,
    })
}

/// The record that the daemon would make of a picture, seen as one cell, and what was measured of its pieces.
fn looked_at(
    setup: &Setup<'_>,
    recognizer: &mut ComposedRecognizer,
    field: &Field,
) -> Result<(Cell, Vec<Option<Piece>>), String> {
    let frame = frame_of(&field.path)?;
    let whole = Region::whole(frame.pixels.width(), frame.pixels.height());
    let mut cells = recognizer.recognise(&frame, &[whole]).map_err(|error| error.to_string())?;
    let recognised = cells.pop().ok_or("no cell came back for the field")?;
    let settings = InterpretationSettings {
        assay: Assay::Dicentric,
        karyotype: setup.karyotype.clone(),
        accepted_centromeres: setup.accepted_centromeres,
        scorer: setup.scorer.clone(),
        threads: 1,
    };
    let labels = Labels { station: "evaluate".into(), replayed: true, ..Labels::default() };
    let cell = interpret(&frame, &recognised, recognizer.provenance(), &labels, &settings, Uuid::nil());
    let measured = measured_pieces(&recognised, &frame.pixels);
    Ok((cell, measured))
}

/// A piece as the slide drew it, with the box that a network draws around it.
fn of_slide(c: &masks::TrueChromosome, bounds: BoundingBox) -> TruePiece {
    let kind = match c.centromeres.as_deref().map(<[Point]>::len) {
        _ if c.ring => PieceKind::Ring,
        Some(0) => PieceKind::Fragment,
        Some(1) => PieceKind::Monocentric,
        Some(2) => PieceKind::Dicentric,
        Some(_) => PieceKind::Tricentric,
        None => PieceKind::Unclear,
    };
    TruePiece { bounds, kind, centromeres: c.centromeres.clone() }
}

/// What is no dicentric is a chromosome or a fragment.
fn of_box(dicentric: bool, bounds: BoundingBox) -> TruePiece {
    let kind = if dicentric { PieceKind::Dicentric } else { PieceKind::Monocentric };
    TruePiece { bounds, kind, centromeres: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ScoredBy;
    use dosimetry::dicentric::Site;

    fn piece(sites: [(f32, f32, f32); 2]) -> Piece {
        let site = |(share, heat, depth)| Site { share, heat, depth, both: 0.9 * depth, mass: depth, tone: 0.97 };
        Piece { sites: sites.map(site).to_vec(), aspect: 5.0, slender: 1.9, length: 2.1, area: 2.0, ..Piece::default() }
    }

    fn clear() -> Piece {
        piece([(0.2, 0.6, 0.35), (0.8, 0.55, 0.35)])
    }

    fn weak() -> Piece {
        piece([(0.25, 0.5, 0.3), (0.75, 0.25, 0.2)])
    }

    /// A cell of QuickScan of one piece that has been looked at, which is a dicentric or is none, and of nothing else.
    fn cell(looks: Piece, kind: PieceKind) -> CellOutcome {
        let bounds = BoundingBox::from_corners(0.0, 0.0, 9.0, 9.0);
        CellOutcome {
            name: "a".into(),
            patient: "p".into(),
            truth: vec![TruePiece { bounds, kind, centromeres: None }],
            pieces: vec![(PieceKind::Monocentric, Some(looks), Some(0))],
            evidence: vec![None],
            record: AberrationCounts::default().record([46, 46], None, ScoredBy::Machine).by_look(true),
        }
    }

    #[test]
    fn figures_over_counted_cells_leave_out_those_with_a_doubtful_piece() {
        let score = |piece: Piece| Judged::of(&piece, Fit::Solid, &ScorerSettings::default()).dicentric;
        let strictness = (score(weak()) + score(clear())) / 2.0;
        let scorer = ScorerSettings { doubt: score(weak()) - 0.01, ..ScorerSettings::default() };
        let cells = [
            cell(clear(), PieceKind::Dicentric),
            cell(weak(), PieceKind::Dicentric),
            cell(clear(), PieceKind::Monocentric),
        ];
        let row = at_strictness(&cells, Fit::Solid, &scorer, strictness);
        let of = |names: [&str; 4]| names.map(|name| row[name].as_u64().expect(name));
        assert_eq!(of(["cells", "found", "of", "false_calls"]), [3, 1, 2, 1], "{row}");
        assert_eq!(of(["counted_cells", "counted_found", "counted_of", "counted_false_calls"]), [2, 1, 1, 1], "{row}");
        // Nobody scored it: nothing is called in it, and it does not count.
        let mut unscored = cell(clear(), PieceKind::Dicentric);
        unscored.record.not_scored = Some("no outlines".into());
        let row = at_strictness(&[unscored], Fit::Solid, &scorer, strictness);
        assert_eq!(
            (row["found"].as_u64(), row["of"].as_u64(), row["counted_cells"].as_u64()),
            (Some(0), Some(1), Some(0))
        );
    }
}
