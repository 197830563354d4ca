//! From the simulator's truth to the record of a cell.

use super::DicentricRecord;
use crate::dosimetry::ExposedCell;

impl From<&ExposedCell> for DicentricRecord {
    /// The truth of a simulated cell: complete, in its first division, scored by `truth`.
    fn from(cell: &ExposedCell) -> Self {
        Self {
            monocentrics: cell.monocentrics,
            dicentrics: cell.dicentrics,
            tricentrics: cell.tricentrics,
            higher: cell.higher.clone(),
            rings: cell.rings,
            fragments: cell.fragments,
            unclear: 0,
            centromeres: cell.centromeres(),
            complete: cell.centromeres() == 46,
            accepted_centromeres: [46, 46],
            first_division: Some(true),
            scored_by: "truth".into(),
            reviewed: Vec::new(),
        }
    }
}
