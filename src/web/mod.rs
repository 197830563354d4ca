//! Routes, live page, metrics, health: what people and programs see over HTTP.

mod hints;
mod live;
mod preview;

pub use hints::{Hint, HintKind};
pub use live::{Event, EventKind, FrameNote, LiveBox, LiveBoxes, LiveFrame, LiveHub, LiveSource, Watch};
pub use preview::Exposure;
