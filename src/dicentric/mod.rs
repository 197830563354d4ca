//! Scoring one cell for the dicentric assay. Pure but for its network.
//!
//! A complete human cell holds 46 centromeres whatever was exchanged in it: a dicentric counts two, a ring one, a
//! fragment none. Only complete cells in their first division after the exposure are counted.

mod count;
mod pieces;

pub use count::{NotCounted, counted};
pub use pieces::{Pieces, correct_damage, reject_dicentric};
