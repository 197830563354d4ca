//! Which cells count.

use crate::cell::DicentricRecord;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a cell is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotCounted {
    /// Its centromeres are not as many as a complete cell has.
    Incomplete,
    /// It divided before: aberrations of the first division are lost or doubled.
    SecondDivision,
    /// A piece could not be told, and no person has looked.
    Unclear,
}

/// Whether a cell counts towards the dose. A person's word on unclear pieces is taken; a machine's is not.
pub fn counted(record: &DicentricRecord) -> Result<(), NotCounted> {
    if record.first_division == Some(false) {
        Err(NotCounted::SecondDivision)
    } else if !record.complete {
        Err(NotCounted::Incomplete)
    } else if record.unclear > 0 && record.scored_by == "machine" {
        Err(NotCounted::Unclear)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicentric::Pieces;

    #[test]
    fn only_complete_cells_in_their_first_division_count() {
        let whole = Pieces { monocentrics: 46, ..Pieces::default() };
        let record = |first| whole.clone().record([46, 46], first, "machine");
        assert_eq!(counted(&record(Some(true))), Ok(()));
        assert_eq!(counted(&record(None)), Ok(()));
        assert_eq!(counted(&record(Some(false))), Err(NotCounted::SecondDivision));
        let lost = Pieces { monocentrics: 44, ..Pieces::default() }.record([46, 46], None, "review");
        assert_eq!(counted(&lost), Err(NotCounted::Incomplete));
        let unsure = |by| Pieces { unclear: 1, ..whole.clone() }.record([46, 46], None, by);
        assert_eq!(counted(&unsure("machine")), Err(NotCounted::Unclear));
        assert_eq!(counted(&unsure("review")), Ok(()));
    }
}
