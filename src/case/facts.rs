//! What a case keeps of a cell.

use std::sync::Arc;

use uuid::Uuid;

use domain::{Cell, Doubt, Karyotype};

/// What the document of a case takes from a karyotyped cell: about a fiftieth of the record, so that a case of many
/// cells stays small in memory. The store has the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct CellFacts {
    /// Which cell.
    pub cell: Uuid,
    /// Slide it lies on.
    pub slide: Option<Arc<str>>,
    /// Colony it grew in.
    pub colony: Option<Arc<str>>,
    /// Its karyotype; its findings name no chromosomes.
    pub karyotype: Karyotype,
    /// Chromosomes found.
    pub detected: u32,
    /// Whether the edge of its frame cuts it.
    pub cut_by_frame: bool,
    /// Whether it was drawn by the virtual slide.
    pub simulated: bool,
    /// Whether a person has looked at it.
    pub reviewed: bool,
    /// Whether a person has excluded it.
    pub excluded: bool,
}

impl CellFacts {
    /// Those of `cell`. Slide and colony are shared with `before` where they are the same.
    pub fn of(cell: &Cell, before: Option<&Self>) -> Self {
        let shared = |text: &Option<String>, known: Option<&Arc<str>>| {
            let text = text.as_deref()?;
            Some(known.filter(|known| known.as_ref() == text).map_or_else(|| text.into(), Arc::clone))
        };
        let mut karyotype = cell.karyotype.clone();
        karyotype.findings.iter_mut().for_each(|finding| finding.chromosomes = Vec::new());
        karyotype.findings.shrink_to_fit();
        Self {
            cell: cell.cell,
            slide: shared(&cell.slide, before.and_then(|before| before.slide.as_ref())),
            colony: shared(&cell.colony, before.and_then(|before| before.colony.as_ref())),
            karyotype,
            detected: cell.counts.detected,
            cut_by_frame: cell.doubts.contains(&Doubt::CutByFrame),
            simulated: cell.simulated.is_some(),
            reviewed: cell.review.is_some(),
            excluded: cell.excluded.is_some(),
        }
    }
}
