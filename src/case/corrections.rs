//! Corrections: how far what was found lies from what is right, counted as a person works.

use std::collections::{HashMap, HashSet};

use pathfinding::prelude::{Matrix, kuhn_munkres};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::ReviewRecord;
use domain::{BoundingBox, Cell};

/// Overlap (IoU) from which two boxes are the same one.
pub const SAME_BOX: f32 = 0.5;

/// Fewest corrections a person makes until a cell is right: a box added, a box deleted, a class changed, one each. A found
/// box serves a true one from an overlap of `least` on, and `same` says whether it has its class then.
///
/// Leaving a pair apart costs two corrections, joining it one or none, so this is an assignment of greatest weight.
pub fn fewest_corrections(
    found: &[BoundingBox],
    truth: &[BoundingBox],
    least: f32,
    same: impl Fn(usize, usize) -> bool,
) -> usize {
    if found.is_empty() || truth.is_empty() {
        return found.len() + truth.len();
    }
    let gain = |f: usize, t: usize| match found[f].iou(&truth[t]) >= least {
        true if same(f, t) => 2,
        true => 1,
        false => 0,
    };
    // The assignment wants no more rows than columns.
    let saved = if found.len() <= truth.len() {
        kuhn_munkres(&Matrix::from_fn(found.len(), truth.len(), |(f, t)| gain(f, t))).0
    } else {
        kuhn_munkres(&Matrix::from_fn(truth.len(), found.len(), |(t, f)| gain(f, t))).0
    };
    found.len() + truth.len() - saved as usize
}

/// What people corrected in the cells that they have looked at, between the machine's record and theirs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Corrections {
    /// Karyotyped cells that a person has confirmed or corrected.
    pub cells: u32,
    /// Fewest corrections that lead from the machine's records to theirs: boxes added and deleted, classes changed.
    pub corrections: u32,
    /// Cells that needed none.
    pub untouched: u32,
    /// Corrections a cell; none without a cell.
    pub mean: Option<f64>,
}

impl Corrections {
    /// Of these cells and their audit, oldest first. Excluded cells are left out: nobody makes them right.
    pub fn of(cells: &[Cell], reviews: &[ReviewRecord]) -> Self {
        let wanted: HashSet<Uuid> = cells.iter().filter(|cell| is_counted(cell)).map(|cell| cell.cell).collect();
        let mut of_machine: HashMap<Uuid, Cell> = HashMap::new();
        for review in reviews {
            let (Some(id), Some(old)) = (review.cell.filter(|id| wanted.contains(id)), &review.old) else { continue };
            // The latest record that no person had touched: a file that was written again is recognised again.
            if let Ok(cell) = serde_json::from_str::<Cell>(old)
                && cell.review.is_none()
            {
                of_machine.insert(id, cell);
            }
        }
        let mut sum = Self::default();
        for cell in cells.iter().filter(|cell| is_counted(cell)) {
            let Some(machine) = of_machine.get(&cell.cell) else { continue };
            let corrections = corrections_between(machine, cell) as u32;
            sum.cells += 1;
            sum.corrections += corrections;
            sum.untouched += u32::from(corrections == 0);
        }
        sum.mean = (sum.cells > 0).then(|| f64::from(sum.corrections) / f64::from(sum.cells));
        sum
    }
}

fn is_counted(cell: &Cell) -> bool {
    cell.review.is_some() && cell.excluded.is_none() && cell.dicentric.is_none()
}

/// Fewest corrections that lead from one record of a cell to another; a box without a class is no chromosome.
pub fn corrections_between(machine: &Cell, person: &Cell) -> usize {
    let classed = |cell: &Cell| -> (Vec<BoundingBox>, Vec<_>) {
        cell.chromosomes.iter().filter_map(|c| Some((c.bounds, c.class?))).unzip()
    };
    let ((found, given), (truth, right)) = (classed(machine), classed(person));
    fewest_corrections(&found, &truth, SAME_BOX, |f, t| given[f] == right[t])
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Review, Verdict};
    use testing::sample_cell;

    fn square(x: f32) -> BoundingBox {
        BoundingBox { x, y: 0.0, width: 10.0, height: 10.0 }
    }

    #[test]
    fn corrections_are_the_fewest_that_make_a_cell_right() {
        let truth = [square(0.0), square(3.0), square(100.0)];
        let any = |_: usize, _: usize| true;
        assert_eq!(fewest_corrections(&truth, &truth, 0.5, any), 0);
        assert_eq!(fewest_corrections(&truth[..2], &truth, 0.5, any), 1, "one to add");
        assert_eq!(fewest_corrections(&truth, &truth[..1], 0.5, any), 2, "two to delete");
        assert_eq!(fewest_corrections(&[], &truth, 0.5, any), 3);
        assert_eq!(fewest_corrections(&[square(50.0)], &truth, 0.5, any), 4, "one to delete, three to add");
        // Both found boxes overlap both of the first two true ones; the classes are right the other way round.
        let found = [square(1.0), square(2.0), square(100.0)];
        assert_eq!(fewest_corrections(&found, &truth, 0.5, |f, t| f == 1 - t.min(1) || (f, t) == (2, 2)), 0);
        assert_eq!(fewest_corrections(&found, &truth, 0.5, |f, _| f != 1), 1, "one class to change");
    }

    /// A cell as the machine gave it, and as a person left it.
    fn reviewed(number: u64, change: impl FnOnce(&mut Cell)) -> (Cell, ReviewRecord) {
        let machine = sample_cell(number, Some("K-1"), Verdict::Normal);
        let mut person = machine.clone();
        person.revision += 1;
        person.review = Some(Review { by: "ana".into(), time: String::new(), change: String::new() });
        change(&mut person);
        let json = |cell: &Cell| serde_json::to_string(cell).ok();
        let record = ReviewRecord {
            cell: Some(machine.cell),
            old: json(&machine),
            new: json(&person),
            ..ReviewRecord::default()
        };
        (person, record)
    }

    #[test]
    fn a_case_counts_what_people_changed_of_what_the_machine_found() {
        let untouched = reviewed(1, |_| {});
        let corrected = reviewed(2, |cell| {
            let other = cell.chromosomes[9].class;
            assert_ne!(cell.chromosomes[0].class, other);
            cell.chromosomes[0].class = other;
            cell.chromosomes.remove(5);
        });
        let excluded = reviewed(3, |cell| {
            cell.chromosomes.clear();
            cell.excluded =
                Some(domain::Exclusion { by: "ana".into(), time: String::new(), reason: "two cells".into() });
        });
        let unseen = sample_cell(4, Some("K-1"), Verdict::Normal);
        // A second review of the same cell begins at what the first one left, and counts from the machine's record.
        let mut again = corrected.1.clone();
        again.old = again.new.clone();
        let cells = [untouched.0, corrected.0, excluded.0, unseen];
        let found = Corrections::of(&cells, &[untouched.1, corrected.1, excluded.1, again]);
        assert_eq!(found, Corrections { cells: 2, corrections: 2, untouched: 1, mean: Some(1.0) });
        assert_eq!(Corrections::of(&[], &[]).mean, None);
    }
}
