//! metaphased: from the camera of a microscope to findings about chromosomes.
//!
//! The tree reads as the way of a frame. [`camera`] brings [`frame`]s, [`recognition`] finds the cells on them
//! (with [`imaging`] for pixels and [`inference`] for networks) and fills the record in [`cell`]; [`karyotype`]
//! or [`dicentric`] says what it means, [`case`] gathers cells into a case and [`dosimetry`] turns counts into a
//! dose; [`store`] keeps it, [`mqtt`] and [`web`] tell it. [`pipeline`] joins these rooms with threads and
//! bounded channels. [`slide`] is a virtual slide for the first run, the tests and the trainer;
//! [`evaluate`] measures it all against annotated cells; [`cli`] is what a person types.
//!
//! Imports run down only; the pure rooms (imaging, karyotype, dicentric, dosimetry, slide, cell) know no thread,
//! clock, file or network. docs/design.md has the reasons and the recipes.

pub mod camera;
pub mod case;
pub mod cli;
pub mod config;
pub mod curve_files;
pub mod evaluate;
pub mod mqtt;
pub mod pipeline;
pub mod station;
pub mod store;
pub mod telemetry;
pub mod web;
