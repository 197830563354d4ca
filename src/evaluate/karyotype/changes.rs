//! Deviations of a karyotype from the usual, as annotations, tables and findings give them.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::evaluate::dataset::TruthBox;
use domain::{Captured, Cell, Chromosome, ChromosomeClass, FindingKind};
use karyotype::{KaryotypeSettings, recount};

/// Deviation from two of each class (and XX or XY): class to extra. X and Y stand for the sex complement.
pub type Changes = BTreeMap<ChromosomeClass, i32>;

/// Deviations of boxes from two of each class and XX or XY.
pub(super) fn of_boxes(truth: &[TruthBox]) -> Changes {
    let number = |class: ChromosomeClass| truth.iter().filter(|t| t.class == Some(class)).count() as i32;
    let mut changes: Changes = ChromosomeClass::all()
        .filter(|c| !c.is_sex())
        .map(|class| (class, number(class) - 2))
        .filter(|(_, extra)| *extra != 0)
        .collect();
    changes.extend(of_sex(number(ChromosomeClass::X), number(ChromosomeClass::Y)));
    changes
}

/// A deviation of the sex complement, laid on the chromosome that explains it: X where no Y is too many.
pub(super) fn of_sex(x: i32, y: i32) -> Option<(ChromosomeClass, i32)> {
    match (x, y) {
        (2, 0) | (1, 1) => None,
        (x, 0) => Some((ChromosomeClass::X, x - 2)),
        (1, y) => Some((ChromosomeClass::Y, y - 1)),
        (x, 1) => Some((ChromosomeClass::X, x - 1)),
        (x, y) => Some((ChromosomeClass::X, x + y - 2)),
    }
}

/// Whole-chromosome gains and losses of a karyotype as a set's table writes it (breakpoints may be missing).
pub(super) fn of_iscn(iscn: &str) -> Changes {
    let mut changes = Changes::new();
    let mut fields = iscn.split(',').skip(1);
    let sex = fields.next().unwrap_or_default();
    changes.extend(of_sex(sex.matches('X').count() as i32, sex.matches('Y').count() as i32));
    for item in fields {
        for (sign, extra) in [('+', 1), ('-', -1)] {
            if let Some(class) = item.strip_prefix(sign).and_then(|name| name.parse::<ChromosomeClass>().ok()) {
                *changes.entry(class).or_default() += extra;
            }
        }
    }
    changes.retain(|_, extra| *extra != 0);
    changes
}

/// The column `composition`: classes whose number is not the usual one (`G21:3`) and an unusual sex complement
/// (`X2Y1`), with spaces or semicolons between; empty: none. None when it cannot be read.
pub(super) fn of_composition(text: &str) -> Option<Changes> {
    let mut changes = Changes::new();
    for item in text.split([' ', ';']).filter(|item| !item.is_empty()) {
        match item.split_once(':') {
            Some((class, n)) => {
                changes.insert(class.parse().ok()?, n.parse::<i32>().ok()? - 2);
            }
            None => {
                let (x, y) = item.strip_prefix('X')?.split_once('Y')?;
                changes.extend(of_sex(x.parse().ok()?, y.parse().ok()?));
            }
        }
    }
    Some(changes)
}

/// The numerical findings that a cell's record states.
pub fn reported(cell: &Cell) -> Changes {
    let mut changes = Changes::new();
    for finding in &cell.karyotype.findings {
        let Some(class) = finding.class else { continue };
        let times = finding.iscn.as_ref().map_or(1, |i| i.split(',').count()) as i32;
        match finding.kind {
            _ if class.is_sex() && matches!(finding.kind, FindingKind::Gain | FindingKind::Loss) => {
                let complement = finding.iscn.as_deref().unwrap_or_default();
                changes.extend(of_sex(complement.matches('X').count() as i32, complement.matches('Y').count() as i32));
            }
            FindingKind::Gain => *changes.entry(class).or_default() += times,
            FindingKind::Loss => *changes.entry(class).or_default() -= times,
            _ => {}
        }
    }
    changes
}

/// The record that the annotation itself would give: every box and class as a person drew them.
pub(super) fn cell_of_annotation(truth: &[TruthBox], settings: &KaryotypeSettings) -> Cell {
    let mut cell = Cell::new(Uuid::nil(), "evaluate", "evaluate", Captured::at("", 0, [1, 1]));
    let chromosomes = truth.iter().enumerate();
    cell.chromosomes =
        chromosomes.map(|(i, t)| Chromosome { class: t.class, ..Chromosome::at(i as u32, t.bounds, 1.0) }).collect();
    recount(&mut cell, settings);
    cell
}

/// In words: `-1 5, +1 21`.
pub(super) fn written(changes: &Changes) -> String {
    if changes.is_empty() {
        return "none".into();
    }
    changes.iter().map(|(class, n)| format!("{n:+} {class}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::BoundingBox;

    #[test]
    fn the_annotation_alone_gives_the_annotated_changes() {
        let bounds = BoundingBox { x: 0.0, y: 0.0, width: 9.0, height: 9.0 };
        let number = |class: ChromosomeClass| match class.name() {
            "X" | "Y" | "5" => 1,
            "21" => 3,
            _ => 2,
        };
        let truth: Vec<TruthBox> = ChromosomeClass::all()
            .flat_map(|class| (0..number(class)).map(move |_| TruthBox { bounds, class: Some(class) }))
            .collect();
        let changes = reported(&cell_of_annotation(&truth, &KaryotypeSettings::default()));
        assert_eq!(changes, of_boxes(&truth));
        assert_eq!(written(&changes), "-1 5, +1 21");
        assert!(of_boxes(&[]).len() > 20);
    }

    #[test]
    fn written_karyotypes_give_whole_chromosome_changes() {
        let of = |text: &str| written(&of_iscn(text));
        assert_eq!(of("46,XY"), "none");
        assert_eq!(of("45,XY,-2"), "-1 2");
        assert_eq!(of("44,X,-5,-14,+18,Ins(11;8),t(5;16)"), "-1 5, -1 14, +1 18, -1 X");
        assert_eq!(of("47,XXY"), "+1 X");
        assert_eq!(of("47,XYY"), "+1 Y");
    }

    #[test]
    fn compositions_are_read_and_what_is_none_is_refused() {
        let of = |text: &str| of_composition(text).map(|changes| written(&changes));
        assert_eq!(of("").as_deref(), Some("none"));
        assert_eq!(of("G21:3").as_deref(), Some("+1 21"));
        assert_eq!(of("D14:1 X1Y0").as_deref(), Some("-1 14, -1 X"));
        assert_eq!(of("X2Y1").as_deref(), Some("+1 X"));
        assert_eq!(of("G20:3"), None);
        assert_eq!(of("many"), None);
    }
}
