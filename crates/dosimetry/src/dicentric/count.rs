//! Which cells count.

use std::collections::{BTreeMap, BTreeSet};

use domain::{DicentricRecord, ScoredBy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a cell is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotCounted {
    /// Neither a machine nor a person has scored it.
    NotScored,
    /// Its centromeres are not as many as a complete cell has.
    Incomplete,
    /// It divided before: aberrations of the first division are lost or doubled.
    SecondDivision,
    /// A piece is unclear, and no person has looked.
    Unclear,
    /// The scorer's selection of cells leaves it out, or counts others of the case that look more like a whole cell.
    NotSelected,
}

/// Whether a cell counts towards the dose. A person's word on unclear pieces is taken; a machine's is not. The selection of cells holds
/// whoever has looked: a person who took a cell in because of its dicentrics would undo what the curve was selected by.
pub fn counted(record: &DicentricRecord) -> Result<(), NotCounted> {
    if record.not_scored.is_some() {
        Err(NotCounted::NotScored)
    } else if record.first_division == Some(false) {
        Err(NotCounted::SecondDivision)
    } else if record.not_selected.is_some() {
        Err(NotCounted::NotSelected)
    } else if !record.complete {
        Err(NotCounted::Incomplete)
    } else if record.counts.unclear > 0 && record.scored_by == ScoredBy::Machine {
        Err(NotCounted::Unclear)
    } else {
        Ok(())
    }
}

/// Whether a person has still to look at a cell: a machine could not score it, left a piece unclear or called a dicentric, and no
/// person has scored it since. Not one in a later division or that the selection leaves out: no look makes it count.
pub fn awaits_review(record: &DicentricRecord) -> bool {
    let could_count = record.first_division != Some(false) && record.not_selected.is_none();
    let doubtful =
        record.not_scored.is_some() || record.counts.unclear > 0 || record.counts.dicentric_equivalents() > 0;
    record.scored_by == ScoredBy::Machine && could_count && doubtful
}

/// Where a cell stands among those of its case of which only the best count: the least comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    /// Thousandths of the distance from a whole cell.
    distance: u64,
    /// So many of the case count.
    best: u32,
}

impl Rank {
    /// That of a cell; none where its scorer counts every cell.
    pub fn of(record: &DicentricRecord) -> Option<Self> {
        let ranked = record.ranked?;
        Some(Self { distance: (f64::from(ranked.distance) * 1e3).round() as u64, best: ranked.best })
    }
}

/// Which cells of one case count: each by itself ([`counted`]), and of those that the scorer ranks the best. What is as good as the
/// last of these counts, too: a choice among equals by anything else could depend on what they hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counting {
    best: BTreeSet<Rank>,
}

impl Counting {
    /// That of the cells of a case; excluded ones are to be left out.
    pub fn of<'r>(records: impl IntoIterator<Item = &'r DicentricRecord>) -> Self {
        let mut cells: BTreeMap<Rank, u64> = BTreeMap::new();
        for record in records.into_iter().filter(|record| counted(record).is_ok()) {
            if let Some(rank) = Rank::of(record) {
                *cells.entry(rank).or_default() += 1;
            }
        }
        Self::among(cells)
    }

    /// That of so many cells of each rank that would count by themselves, the best rank first.
    pub fn among(ranks: impl IntoIterator<Item = (Rank, u64)>) -> Self {
        let mut taken = 0;
        let mut best = BTreeSet::new();
        for (rank, cells) in ranks {
            if taken < u64::from(rank.best) {
                best.insert(rank);
            }
            taken += cells;
        }
        Self { best }
    }

    /// Whether cells of this rank are among the best.
    pub fn takes(&self, rank: Rank) -> bool {
        self.best.contains(&rank)
    }

    /// Whether a cell of this case counts towards its dose.
    ///
    /// # Errors
    /// Why it does not.
    pub fn counted(&self, record: &DicentricRecord) -> Result<(), NotCounted> {
        counted(record)?;
        match Rank::of(record) {
            Some(rank) if !self.takes(rank) => Err(NotCounted::NotSelected),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{AberrationCounts, Ranked};

    #[test]
    fn only_complete_cells_in_their_first_division_count() {
        let whole = AberrationCounts { monocentrics: 46, ..AberrationCounts::default() };
        let record = |first| whole.clone().record([46, 46], first, ScoredBy::Machine);
        assert_eq!(counted(&record(Some(true))), Ok(()));
        assert_eq!(counted(&record(None)), Ok(()));
        assert_eq!(counted(&record(Some(false))), Err(NotCounted::SecondDivision));
        let lost = AberrationCounts { monocentrics: 44, ..AberrationCounts::default() }.record(
            [46, 46],
            None,
            ScoredBy::Review,
        );
        assert_eq!(counted(&lost), Err(NotCounted::Incomplete));
        let unsure = |by: ScoredBy| AberrationCounts { unclear: 1, ..whole.clone() }.record([46, 46], None, by);
        assert_eq!(counted(&unsure(ScoredBy::Machine)), Err(NotCounted::Unclear));
        assert_eq!(counted(&unsure(ScoredBy::Review)), Ok(()));
        for by in [ScoredBy::Machine, ScoredBy::Review] {
            let mut left_out = whole.clone().record([46, 46], None, by);
            left_out.not_selected = Some("it has 51 pieces".into());
            assert_eq!(counted(&left_out), Err(NotCounted::NotSelected));
        }
        let mut unseen = record(None);
        unseen.not_scored = Some("no outlines".into());
        assert_eq!(counted(&unseen), Err(NotCounted::NotScored));
    }

    #[test]
    fn what_a_machine_left_open_or_called_awaits_a_person() {
        let record = |dicentrics, unclear, by| {
            AberrationCounts { monocentrics: 44, dicentrics, unclear, ..AberrationCounts::default() }.record(
                [46, 46],
                None,
                by,
            )
        };
        let machine = ScoredBy::Machine;
        assert!(!awaits_review(&record(0, 0, machine)), "incomplete, and nothing to decide");
        assert!(awaits_review(&record(1, 0, machine)) && awaits_review(&record(0, 2, machine)));
        assert!(!awaits_review(&record(1, 2, ScoredBy::Review)) && !awaits_review(&record(1, 0, ScoredBy::Truth)));
        assert!(awaits_review(&DicentricRecord { not_scored: Some("no outlines".into()), ..record(0, 0, machine) }));
        assert!(!awaits_review(&DicentricRecord { not_selected: Some("51 pieces".into()), ..record(1, 1, machine) }));
        assert!(!awaits_review(&DicentricRecord { first_division: Some(false), ..record(1, 1, machine) }));
    }

    #[test]
    fn of_ranked_cells_the_best_count_and_what_is_as_good_as_the_last_of_them() {
        let of = |distance| {
            let counts = AberrationCounts { monocentrics: 46, ..AberrationCounts::default() };
            let record = counts.record([46, 46], None, ScoredBy::Machine);
            DicentricRecord { ranked: Some(Ranked { distance, best: 2 }), ..record }
        };
        let incomplete = DicentricRecord { complete: false, ..of(0.5) };
        let cells = [of(3.0), of(1.0), of(2.0), of(2.0), incomplete];
        let counting = Counting::of(&cells);
        let found: Vec<_> = cells.iter().map(|record| counting.counted(record)).collect();
        let (no, incomplete) = (Err(NotCounted::NotSelected), Err(NotCounted::Incomplete));
        assert_eq!(found, [no, Ok(()), Ok(()), Ok(()), incomplete]);
        assert_eq!(Counting::of(&cells[..1]).counted(&cells[0]), Ok(()), "it is the best of what there is");
        let unranked = DicentricRecord { ranked: None, ..of(9.0) };
        assert_eq!(counting.counted(&unranked), Ok(()));
    }
}
