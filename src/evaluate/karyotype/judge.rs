//! From what the networks saw to what the stage says of a cell, and how far that is right.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::evaluate::{
    dataset::TruthBox,
    metrics::{match_greedily, match_perfectly},
};
use domain::{BoundingBox, Captured, Cell, Chromosome, ChromosomeClass, Counts, Damage, Karyotype, NOTICE, Status};
use karyotype::{Assignment, Evidence, KaryotypeSettings, Unselected, conclude, interpret, recount};
use recognition::{choose, unselected};

use super::seen::RecognisedCell;

/// Overlap from which a box is found.
const FOUND: f32 = 0.5;

/// The boxes that the selection took.
pub(super) struct SelectedBoxes {
    pub boxes: Vec<BoundingBox>,
    pub classes: Vec<Option<ChromosomeClass>>,
    objectness: Vec<f32>,
    /// None where no network knows classes.
    pub evidence: Option<Vec<Evidence>>,
    pub unselected: Unselected,
}

/// The selection over a cell.
pub(super) fn take(seen: &RecognisedCell, settings: &KaryotypeSettings) -> SelectedBoxes {
    let chosen = choose(&seen.recognised, settings);
    let candidates: Vec<_> = chosen.iter().map(|c| &seen.recognised.candidates[c.candidate]).collect();
    SelectedBoxes {
        boxes: candidates.iter().map(|c| c.bounds).collect(),
        classes: chosen.iter().map(|c| c.class).collect(),
        objectness: candidates.iter().map(|c| c.objectness).collect(),
        evidence: candidates.iter().map(|c| c.evidence()).collect(),
        unselected: unselected(&seen.recognised, &chosen, settings),
    }
}

/// The interpreted cell.
pub(super) fn judge(seen: &RecognisedCell, taken: &SelectedBoxes, settings: &KaryotypeSettings) -> Cell {
    let mut cell = blank(taken.boxes.iter().copied().zip(taken.objectness.iter().copied()), seen.size);
    interpret(&mut cell, taken.evidence.as_deref().unwrap_or_default(), &taken.unselected, settings);
    cell
}

/// The same from an assignment made before; `taken` has evidence.
pub(super) fn judge_as(
    seen: &RecognisedCell,
    taken: &SelectedBoxes,
    assignment: &Assignment,
    settings: &KaryotypeSettings,
) -> Cell {
    let mut cell = blank(taken.boxes.iter().copied().zip(taken.objectness.iter().copied()), seen.size);
    conclude(&mut cell, taken.evidence.as_deref().unwrap_or_default(), assignment, settings);
    cell
}

/// What is wrong with the boxes and classes of a cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// Classes of the chromosomes without a box.
    pub missed: Vec<Option<ChromosomeClass>>,
    /// Classes told of boxes on no chromosome, or on one that has a box already.
    pub over: Vec<Option<ChromosomeClass>>,
    /// True and told classes of chromosomes that were taken for others.
    pub mistaken: Vec<(ChromosomeClass, Option<ChromosomeClass>)>,
}

impl Faults {
    pub fn of(taken: &SelectedBoxes, truth: &[TruthBox]) -> Self {
        let bounds: Vec<BoundingBox> = truth.iter().map(|t| t.bounds).collect();
        let same = |f: usize, t: usize| taken.classes[f].is_some() && taken.classes[f] == truth[t].class;
        let matched: Vec<Option<usize>> = match match_perfectly(&taken.boxes, &bounds, FOUND, same) {
            Some(pairs) => pairs.into_iter().map(Some).collect(),
            None => match_greedily(&taken.boxes, &bounds, FOUND),
        };
        let mut faults = Self::default();
        let mut open = vec![true; truth.len()];
        for (told, t) in taken.classes.iter().zip(matched) {
            let Some(t) = t else {
                faults.over.push(*told);
                continue;
            };
            open[t] = false;
            if let Some(class) = truth[t].class.filter(|class| *told != Some(*class)) {
                faults.mistaken.push((class, *told));
            }
        }
        faults.missed = truth.iter().zip(open).filter(|(_, open)| *open).map(|(t, _)| t.class).collect();
        faults
    }

    /// Every chromosome boxed once, and nothing else.
    pub fn perfect(&self) -> bool {
        self.missed.is_empty() && self.over.is_empty()
    }

    /// Perfect, and every class right.
    pub fn right(&self) -> bool {
        self.perfect() && self.mistaken.is_empty()
    }

    /// In words; empty where all is right.
    pub fn text(&self) -> String {
        let name = |class: &Option<ChromosomeClass>| class.map_or("?".to_owned(), |c| c.to_string());
        let list = |classes: &[Option<ChromosomeClass>]| classes.iter().map(name).collect::<Vec<_>>().join(" ");
        let mut parts = Vec::new();
        if !self.missed.is_empty() {
            parts.push(format!("no box on {}", list(&self.missed)));
        }
        if !self.over.is_empty() {
            parts.push(format!("box too many, as {}", list(&self.over)));
        }
        if !self.mistaken.is_empty() {
            let pairs = self.mistaken.iter().map(|(truth, told)| format!("{truth} as {}", name(told)));
            parts.push(pairs.collect::<Vec<_>>().join(", "));
        }
        parts.join("; ")
    }
}

/// What the stage says of the annotation itself: every box and class as a person gave them.
pub(super) fn annotated(truth: &[TruthBox], settings: &KaryotypeSettings) -> Cell {
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
        colony: None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::karyotype::changes;

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
        let told = changes::told(&annotated(&truth, &KaryotypeSettings::default()));
        assert_eq!(told, changes::of_boxes(&truth));
        assert_eq!(changes::written(&told), "-1 5, +1 21");
        truth.truncate(0);
        assert!(changes::of_boxes(&truth).len() > 20);
    }

    #[test]
    fn faults_are_named() {
        let at = |x: f32| BoundingBox { x, y: 0.0, width: 10.0, height: 30.0 };
        let class = |name: &str| name.parse::<ChromosomeClass>().ok();
        let truth = [(0.0, "1"), (40.0, "2"), (80.0, "3")];
        let truth: Vec<TruthBox> =
            truth.iter().map(|(x, name)| TruthBox { bounds: at(*x), class: class(name) }).collect();
        let taken = |boxes: &[(f32, &str)]| SelectedBoxes {
            boxes: boxes.iter().map(|(x, _)| at(*x)).collect(),
            classes: boxes.iter().map(|(_, name)| class(name)).collect(),
            objectness: vec![0.9; boxes.len()],
            evidence: None,
            unselected: Unselected::default(),
        };
        let right = Faults::of(&taken(&[(1.0, "1"), (41.0, "2"), (80.0, "3")]), &truth);
        assert!(right.right() && right.text().is_empty());
        let wrong = Faults::of(&taken(&[(1.0, "1"), (41.0, "8"), (120.0, "3")]), &truth);
        assert_eq!(wrong.text(), "no box on 3; box too many, as 3; 2 as 8");
        assert!(!wrong.perfect());
    }
}
