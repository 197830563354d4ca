//! From classified chromosomes to a karyotype. Pure.
//!
//! [`Evidence`] about each object goes through [`assign()`] (which class is which, which karyotype is most
//! probable, how sure; [`select()`] first chooses among the detector's boxes) and [`interpret()`] (findings, verdict, the written form), which completes a cell's record;
//! [`iscn`] writes and reads karyotypes.

mod assign;
mod band_fit;
mod evidence;
#[allow(clippy::approx_constant, reason = "fitted numbers that happen to lie near a constant")]
mod fitted;
mod flow;
mod interpret;
pub mod iscn;
pub mod karyogram;
pub mod measure;
mod morphology;
mod select;
mod settings;
mod structure;
mod structure_screen;
mod syndromes;

pub use assign::{Assignment, Change, assign, assign_closed};
pub use evidence::{Candidate, Evidence, Unselected};
pub use interpret::{assess, conclude, interpret, is_withheld, recount};
pub use morphology::{Morphology, morphology};
pub use select::{Selection, select};
pub use settings::{FittedSettings, KaryotypeSettings, Penalties};
pub use structure_screen::{SURE_OUTLINE, screen_structure};
pub use syndromes::{Syndrome, syndrome, syndromes};

/// For tests of other modules: interpreted cells with chosen numbers of chromosomes.
#[cfg(test)]
pub(crate) mod tests_support {
    use super::{KaryotypeSettings, Unselected, interpret};
    use domain::Cell;

    /// A clear cell with the given numbers of some classes, else 46,XX.
    pub(crate) fn cell_with(numbers: &[(&str, usize)]) -> Cell {
        let mut evidence = super::assign::tests::cell(numbers, 0.00001);
        evidence.iter_mut().for_each(|e| e.objectness = 0.999);
        let mut cell = super::interpret::tests::record(&evidence);
        interpret(&mut cell, &evidence, &Unselected::default(), &KaryotypeSettings::default());
        cell
    }
}
