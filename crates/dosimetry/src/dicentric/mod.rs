//! Scoring one cell for the dicentric assay. Pure but for its network.
//!
//! A complete human cell holds 46 centromeres whatever was exchanged in it: a dicentric counts two, a ring one, a
//! fragment none. Only complete cells in their first division after the exposure are counted.

mod corrections;
mod count;

pub use corrections::{correct_damage, count_aberrations, reject_dicentric};
pub use count::{NotCounted, counted};
