//! What a report needs of the store.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::{
    case::{CaseState, Corrections},
    store::{CaseRecord, CellRow, ReviewRecord, StoreError, StoreReader},
};
use domain::Cell;

/// Karyograms that a report shows of each cell line.
const KARYOGRAMS: usize = 2;

/// A case with everything that its report shows.
#[derive(Debug, Clone)]
pub struct Gathered {
    /// The case with its latest documents.
    pub case: CaseRecord,
    /// Its cells in the order in which they came.
    pub cells: Vec<Cell>,
    /// Its audit.
    pub reviews: Vec<ReviewRecord>,
    /// Pictures of the chromosomes of the cells that are shown as karyograms: index and PNG.
    pub pictures: BTreeMap<Uuid, Vec<(u32, Vec<u8>)>>,
}

impl Gathered {
    /// Reads a case; none where there is none of this id.
    ///
    /// # Errors
    /// What the store said.
    pub fn read(store: &StoreReader, id: &str) -> Result<Option<Self>, StoreError> {
        let Some(case) = store.case(id)? else { return Ok(None) };
        let rows = store.cells_of_case(id)?;
        let cells = rows.iter().map(CellRow::cell).collect::<Result<Vec<_>, _>>()?;
        let reviews = store.reviews_of_case(id)?;
        let mut gathered = Self { case, cells, reviews, pictures: BTreeMap::new() };
        let shown: Vec<Uuid> =
            gathered.clones().into_iter().flat_map(|(_, shown)| shown).map(|at| gathered.cells[at].cell).collect();
        for id in shown {
            gathered.pictures.insert(id, store.crops(id)?);
        }
        Ok(Some(gathered))
    }

    /// What people corrected in its cells.
    pub fn corrections(&self) -> Corrections {
        Corrections::of(&self.cells, &self.reviews)
    }

    /// The document of the karyotyped cells.
    pub fn state(&self) -> Option<CaseState> {
        serde_json::from_str(self.case.state.as_deref()?).ok()
    }

    /// Each cell line's place in the document, and the cells that stand for it, by their places.
    pub fn clones(&self) -> Vec<(usize, Vec<usize>)> {
        let clones = self.state().map(|state| state.clones).unwrap_or_default();
        clones
            .iter()
            .enumerate()
            .map(|(at, clone)| (at, standing_for(&self.cells, &clone.iscn, &clone.members)))
            .collect()
    }
}

/// The members of a cell line that show it best: with just its karyotype, looked at by a person, sure, in focus.
fn standing_for(cells: &[Cell], iscn: &str, members: &[Uuid]) -> Vec<usize> {
    let mut of_line: Vec<usize> = (0..cells.len()).filter(|&at| members.contains(&cells[at].cell)).collect();
    let rank = |at: usize| {
        let cell = &cells[at];
        let sure = cell.karyotype.posterior.unwrap_or(0.0) * cell.quality.focus.max(0.05);
        (cell.karyotype.iscn.as_deref() == Some(iscn), cell.review.is_some(), sure)
    };
    of_line.sort_by(|a, b| {
        let (a, b) = (rank(*a), rank(*b));
        (b.0, b.1).cmp(&(a.0, a.1)).then(b.2.total_cmp(&a.2))
    });
    of_line.truncate(KARYOGRAMS);
    of_line
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Review, Verdict};
    use testing::sample_cell;

    #[test]
    fn two_cells_stand_for_a_line_and_those_of_a_person_first() {
        let mut cells: Vec<Cell> = (0..5).map(|n| sample_cell(n, Some("7"), Verdict::Abnormal)).collect();
        for (cell, posterior) in cells.iter_mut().zip([0.5, 0.9, 0.8, 0.99, 0.7]) {
            cell.karyotype.iscn = Some("47,XX,+21".into());
            cell.karyotype.posterior = Some(posterior);
        }
        // A chance finding beside the line's own.
        cells[3].karyotype.iscn = Some("48,XX,+8,+21".into());
        cells[4].review = Some(Review { by: "ana".into(), time: String::new(), change: "confirmed".into() });
        let members: Vec<Uuid> = cells.iter().map(|cell| cell.cell).collect();
        assert_eq!(standing_for(&cells, "47,XX,+21", &members), [4, 1]);
        assert_eq!(standing_for(&cells, "47,XX,+21", &members[..1]), [0]);
    }
}
