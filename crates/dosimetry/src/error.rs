//! What can be wrong with counts, curves and settings.

use super::{Assay, Scoring};
use domain::{ErrorKind, HasKind};
use thiserror::Error;

/// Why no dose can be given. Each says what was found and what would be right.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum DosimetryError {
    #[error("invalid {what} '{found}': expected {allowed}")]
    Quantity { what: &'static str, found: f64, allowed: &'static str },
    #[error("no cells were scored: a yield needs at least one")]
    NoCells,
    #[error("invalid number of cells or aberrations '{found}': expected at most {most}")]
    TooMany { found: u64, most: u64 },
    #[error("{aberrations} aberrations in {cells} cells are more than {most} in each: check the order of the counts")]
    ImpossibleYield { aberrations: u64, cells: u64, most: u64 },
    #[error("curve {id} gives no dose: it lacks {missing}; take another curve or add what is missing")]
    IncompleteCurve { id: String, missing: String },
    #[error(
        "curve {id}: {what} is {found}, which looks like a yield per 100 cells; divide by 100 or set unit = \"per 100 cells\""
    )]
    CurveInPercent { id: String, what: &'static str, found: f64 },
    #[error("curve {id}: {problem}")]
    BadCurve { id: String, problem: String },
    #[error("curve {id} is for {curve}, the sample holds {sample}: take a curve of the same aberration")]
    AssayMismatch { id: String, curve: Assay, sample: Assay },
    #[error(
        "curve {id} was made by {curve} scoring, the sample by {sample} scoring: take a curve of the same way of scoring"
    )]
    ScoringMismatch { id: String, curve: Scoring, sample: Scoring },
    #[error(
        "curve {id} was made by {}, the cells were counted by {}: cells that are complete by their look alone hold another yield, so take a \
         curve of the same mode", mode(*curve), mode(!*curve)
    )]
    QuickScanMismatch { id: String, curve: bool },
    #[error("no built-in curve is called {0}; `metaphased dose curves` lists them")]
    UnknownCurve(String),
    #[error(
        "a yield of {found:.4} per cell lies above the highest the curve {id} reaches ({vertex:.4} at {dose:.2} Gy)"
    )]
    AboveVertex { id: String, found: f64, vertex: f64, dose: f64 },
    #[error("curve {id} never reaches a yield of {found:.4} per cell")]
    NotReached { id: String, found: f64 },
    #[error("a fit of {parameters} coefficients needs more dose points than that; found {points} different doses")]
    TooFewPoints { points: usize, parameters: usize },
    #[error("dose point {point}: {problem}")]
    BadPoint { point: usize, problem: String },
    #[error("these dose points do not determine the coefficients (the normal equations are singular)")]
    Singular,
    #[error("the fit did not converge in {0} steps: check the dose points")]
    NotConverged(usize),
    #[error("{0}")]
    NotApplicable(String),
}

fn mode(quickscan: bool) -> &'static str {
    if quickscan { "QuickScan" } else { "full scoring" }
}

impl HasKind for DosimetryError {
    /// Counts and curves that give no dose are bad data; a curve that nobody knows is not found.
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownCurve(_) => ErrorKind::NotFound,
            _ => ErrorKind::BadData,
        }
    }
}
