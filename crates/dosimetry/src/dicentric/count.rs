//! Which cells count.

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

#[cfg(test)]
mod tests {
    use super::*;
    use domain::AberrationCounts;

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
}
