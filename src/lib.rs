//! metaphased: from the camera of a microscope to findings about chromosomes.
//!
//! The modules follow the data flow. [`camera`] brings frames, the crate `recognition` finds the cells on them, and a
//! cell's record is interpreted by the crate `karyotype` or `dosimetry`. [`case`] and [`records`] gather cells into
//! cases, [`store`] keeps them, [`mqtt`] and [`web`] publish them. [`pipeline`] joins these modules with threads and
//! bounded channels, [`daemon`] puts everything together, [`shutdown`] ends it. The crate `slide` is a virtual slide
//! for the first run, the tests and the trainer; [`evaluate`] measures against annotated cells; [`cli`] is the command
//! line.
//!
//! Imports run down only; the crates in crates/ know no thread, clock or network. docs/design.md has the reasons and
//! the recipes.

pub mod camera;
pub mod case;
pub mod cli;
pub mod clock;
pub mod config;
pub mod curve_files;
pub mod daemon;
pub mod evaluate;
pub mod interpretation;
pub mod laboratory;
pub mod mqtt;
pub mod pipeline;
pub mod records;
pub mod shutdown;
pub mod station;
pub mod store;
pub mod telemetry;
pub mod web;
