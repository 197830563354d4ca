//! From classified chromosomes to a karyotype. Pure.
//!
//! [`Evidence`] about each object goes through [`assign`] (which class is which, which karyotype is most
//! probable, how sure; [`select`] first chooses among the detector's boxes) and [`interpret`] (findings, verdict, the written form), which completes a cell's record;
//! [`iscn`] writes and reads karyotypes.

mod assign;
mod evidence;
mod flow;
mod interpret;
pub mod iscn;
mod morphology;
mod select;
mod structure;
mod syndromes;

pub use assign::{Assignment, Change, assign, assign_closed};
pub use evidence::{Candidate, Evidence, KaryotypeSettings, Prices};
pub use interpret::{SEX_WITHHELD, interpret, is_withheld};
pub use morphology::{Morphology, morphology};
pub use select::{Selection, select};
pub use syndromes::{Syndrome, syndrome, syndromes};
