//! Threads, channels and supervision: the way of a frame, assembled.
//!
//! capture (one thread a source) -> triage and select (one a source) -> recognise (one for all, round-robin over the
//! sources) -> interpret -> commit; the broker session reads the store's outbox. Every edge is in [`edges`].

pub mod clock;
pub mod edges;
pub mod heart;
pub mod select;
