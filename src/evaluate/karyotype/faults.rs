//! What is wrong with the boxes and classes that the joint selection gives a cell.

use domain::{BoundingBox, ChromosomeClass};

use crate::{
    evaluate::{
        dataset::TruthBox,
        metrics::{match_greedily, match_perfectly},
    },
    interpretation::SelectedBoxes,
};

/// Overlap from which a box is found.
const MATCH_IOU: f32 = 0.5;

/// What is wrong with the boxes and classes of a cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Classes of the chromosomes without a box.
    pub missing: Vec<Option<ChromosomeClass>>,
    /// Classes of the boxes on no chromosome, or on one that has a box already.
    pub extra: Vec<Option<ChromosomeClass>>,
    /// True and selected classes of chromosomes that were taken for others.
    pub mistaken: Vec<(ChromosomeClass, Option<ChromosomeClass>)>,
}

impl Faults {
    /// The faults of a selection against the boxes that a person drew.
    pub fn of(selected: &SelectedBoxes, truth: &[TruthBox]) -> Self {
        let boxes: Vec<BoundingBox> = selected.chromosomes.iter().map(|c| c.bounds).collect();
        let true_boxes: Vec<BoundingBox> = truth.iter().map(|t| t.bounds).collect();
        let same = |f: usize, t: usize| selected.classes[f].is_some() && selected.classes[f] == truth[t].class;
        let matched: Vec<Option<usize>> = match match_perfectly(&boxes, &true_boxes, MATCH_IOU, same) {
            Some(pairs) => pairs.into_iter().map(Some).collect(),
            None => match_greedily(&boxes, &true_boxes, MATCH_IOU),
        };
        let mut faults = Self::default();
        let mut open = vec![true; truth.len()];
        for (selected, t) in selected.classes.iter().zip(matched) {
            let Some(t) = t else {
                faults.extra.push(*selected);
                continue;
            };
            open[t] = false;
            if let Some(class) = truth[t].class.filter(|class| *selected != Some(*class)) {
                faults.mistaken.push((class, *selected));
            }
        }
        faults.missing = truth.iter().zip(open).filter(|(_, open)| *open).map(|(t, _)| t.class).collect();
        faults
    }

    /// Every chromosome boxed once, and nothing else.
    pub fn perfect(&self) -> bool {
        self.missing.is_empty() && self.extra.is_empty()
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
        if !self.missing.is_empty() {
            parts.push(format!("no box on {}", list(&self.missing)));
        }
        if !self.extra.is_empty() {
            parts.push(format!("box too many, as {}", list(&self.extra)));
        }
        if !self.mistaken.is_empty() {
            let pairs = self.mistaken.iter().map(|(truth, selected)| format!("{truth} as {}", name(selected)));
            parts.push(pairs.collect::<Vec<_>>().join(", "));
        }
        parts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Chromosome;

    #[test]
    fn faults_are_named() {
        let at = |x: f32| BoundingBox { x, y: 0.0, width: 10.0, height: 30.0 };
        let class = |name: &str| name.parse::<ChromosomeClass>().ok();
        let truth = [(0.0, "1"), (40.0, "2"), (80.0, "3")];
        let truth: Vec<TruthBox> =
            truth.iter().map(|(x, name)| TruthBox { bounds: at(*x), class: class(name) }).collect();
        let selected = |boxes: &[(f32, &str)]| SelectedBoxes {
            chromosomes: boxes.iter().map(|(x, _)| Chromosome::at(0, at(*x), 0.9)).collect(),
            classes: boxes.iter().map(|(_, name)| class(name)).collect(),
            ..SelectedBoxes::default()
        };
        let right = Faults::of(&selected(&[(1.0, "1"), (41.0, "2"), (80.0, "3")]), &truth);
        assert!(right.right() && right.text().is_empty());
        let wrong = Faults::of(&selected(&[(1.0, "1"), (41.0, "8"), (120.0, "3")]), &truth);
        assert_eq!(wrong.text(), "no box on 3; box too many, as 3; 2 as 8");
        assert!(!wrong.perfect());
    }
}
