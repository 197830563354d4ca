//! Threads, channels and supervision: the way of a frame, assembled.
//!
//! capture (one thread a source) -> triage and select (one a source) -> recognise (one for all, in turn over the
//! sources) -> interpret -> commit; the broker session reads the store's outbox. Every edge is in [`edges`]; what
//! travels is in [`job`]; each stage has its file in [`stages`].

mod assess;
pub mod casebook;
pub mod clock;
mod daemon;
pub mod edges;
pub mod job;
pub mod monitor;
pub mod records;
pub mod review;
pub mod select;
pub mod sources;
pub mod stages;
pub mod supervisor;

pub use assess::FrameTriage;
pub use daemon::{Parts, Pipeline, SourceParts, StartError};
