//! Cells gathered into a case: clones, dose so far, review. Pure.

mod alarm;
mod clones;
mod corrections;
mod dose;
mod facts;
pub mod population;
mod repeats;
pub mod report;
mod slide;
mod state;

pub use alarm::{AcknowledgeError, Alarm, AlarmEvent, AlarmMessage, AlarmSettings, AlarmState, Basis};
pub use corrections::{Corrections, SAME_BOX, corrections_between, fewest_corrections};
pub use dose::{CaseDose, CellsNeeded, DoseCells, DoseSettings, DoseTally, Progress, Scored, with_earlier};
pub use facts::CellFacts;
pub use repeats::Repeats;
pub use slide::{RankedSpread, SeenSpread, SlideMap, SlideState};
pub use state::{
    CaseCells, CaseClone, CaseSettings, CaseState, ChanceFinding, Excluded, ReviewRequest, mosaicism_excluded,
};
