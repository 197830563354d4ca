//! Threads, channels and supervision: the stages of a frame, put together.
//!
//! capture (one thread for each source) -> triage and select (one for each source) -> recognise (workers for all, in
//! turn over the sources) -> interpret (as many) -> commit, in the [`order`] of each source; the broker session reads the
//! store's outbox. Every edge is in [`edges`]; what travels is in [`job`]; each stage has its file in [`stages`].
//!
//! The shutdown propagates along the edges: capture ends when draining begins and drops its end of the edge, so that
//! each stage after it ends when it has taken the last entry. Whatever may wait longer races the shutdown.

mod assembly;
mod assess;
pub mod control;
pub mod edges;
mod finds;
pub mod job;
pub mod monitor;
pub mod order;
pub mod select;
pub mod sources;
pub mod stages;
pub mod supervisor;

pub use assembly::{Parts, Pipeline, SourceParts, StartError};
pub use assess::{FrameTriage, Thresholds};
