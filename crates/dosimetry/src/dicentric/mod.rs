//! Scoring one cell for the dicentric assay, from what was measured of its pieces.
//!
//! A complete human cell holds 46 centromeres whatever was exchanged in it: a dicentric counts two, a ring one, a
//! fragment none. Only complete cells in their first division after the exposure are counted.

mod banded_fit;
mod corrections;
mod count;
mod piece;
mod selection;
mod solid_fit;

pub use corrections::{correct_piece, count_pieces, kind_of, seen_as, with_counts};
pub use count::{Counting, NotCounted, Rank, awaits_review, counted};
pub use piece::{Filter, Fit, Judged, Piece, ScorerSettings, Site, USUAL_DOUBT, USUAL_STRICTNESS, score_pieces};
pub use selection::{SelectionRule, group_distance};
