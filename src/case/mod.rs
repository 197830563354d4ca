//! Cells gathered into a case: clones, dose so far, review. Pure.

mod clones;
mod repeats;
mod state;

pub use state::{
    CaseCells, CaseSettings, CaseState, ChanceFinding, Clone, Excluded, ReviewRequest, Sample, mosaicism_excluded,
};
