//! The frame ledger: every accepted frame ends as stored, rejected, merged or dropped, or is still in flight.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Why a frame gave no cell. The label is the metric's `reason` and the `reason` of a `rejected` message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectReason {
    /// The file or buffer could not be decoded.
    Unreadable,
    /// A kind of file or pixel layout that is not supported.
    Unsupported,
    /// Nothing on the frame.
    Empty,
    /// Something, but no metaphase.
    NoMetaphase,
    /// A metaphase out of focus.
    OutOfFocus,
    /// Saturated or too bright.
    Overexposed,
    /// Too dark.
    Underexposed,
    /// Too few or too crowded chromosomes to work on.
    PoorSpread,
    /// No chromosome was found in the region that triage chose.
    NoChromosomes,
    /// The engine failed; never an empty slide.
    EngineFailed,
    /// A stage failed on this frame.
    StageFailed,
    /// The device marked the frame as faulty.
    DeviceError,
    /// The daemon stopped before the frame of a trigger was taken.
    Interrupted,
}

impl RejectReason {
    /// Stable label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Unsupported => "unsupported",
            Self::Empty => "empty",
            Self::NoMetaphase => "no_metaphase",
            Self::OutOfFocus => "out_of_focus",
            Self::Overexposed => "overexposed",
            Self::Underexposed => "underexposed",
            Self::PoorSpread => "poor_spread",
            Self::NoChromosomes => "no_chromosomes",
            Self::EngineFailed => "engine_failed",
            Self::StageFailed => "stage_failed",
            Self::DeviceError => "device_error",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Why an accepted frame was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// A newer frame took its place (freshest mode).
    Superseded,
    /// The pool of buffers was empty (freshest mode).
    PoolEmpty,
    /// The daemon stopped; a lossless source reads it again next time.
    Shutdown,
    /// The outbox was full (freshest mode).
    OutboxFull,
    /// The store has a reading of its file already.
    ReadBefore,
    /// A stage dropped the frame without a reason: a fault of the program.
    Lost,
}

impl DropReason {
    /// Stable label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::PoolEmpty => "pool_empty",
            Self::Shutdown => "shutdown",
            Self::OutboxFull => "outbox_full",
            Self::ReadBefore => "read_before",
            Self::Lost => "lost",
        }
    }
}

/// Counts of one source at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrameCounts {
    /// Frames taken in.
    pub accepted: u64,
    /// Frames that gave at least one stored cell.
    pub stored: u64,
    /// Frames for which another frame of the same scene stood.
    pub merged: u64,
    /// Frames in the stages.
    pub in_flight: u64,
    /// Frames that gave no cell, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Frames given up, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Frames that the device numbered and that never came: gaps in its sequence. They were never accepted.
    pub device_gaps: u64,
    /// Frames that the transport lost or broke before they were whole.
    pub transport_errors: u64,
    /// Frames that wait to be accepted: pushed and spooled.
    pub waiting: u64,
    /// Most frames that may be accepted or wait at once, where the source is handed its frames.
    pub capacity: Option<u64>,
}

impl FrameCounts {
    /// Rejected frames over all reasons.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Dropped frames over all reasons.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Whether a further frame would be refused now.
    pub fn is_busy(&self) -> bool {
        self.capacity.is_some_and(|most| self.waiting + self.in_flight >= most)
    }

    /// Whether `accepted = stored + rejected + merged + dropped + in_flight` holds.
    pub fn adds_up(&self) -> bool {
        self.accepted == self.stored + self.rejected_total() + self.merged + self.dropped_total() + self.in_flight
    }
}

/// The ledger of one source. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    counts: Arc<Mutex<FrameCounts>>,
}

impl Ledger {
    fn with<R>(&self, act: impl FnOnce(&mut FrameCounts) -> R) -> R {
        act(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a frame in. The ticket travels with it and says in the end what became of it.
    pub fn accept(&self) -> Ticket {
        self.with(|c| {
            c.accepted += 1;
            c.in_flight += 1;
        });
        Ticket { ledger: Some(self.clone()) }
    }

    /// Counts frames that the device numbered and that never came.
    pub fn add_device_gaps(&self, frames: u64) {
        self.with(|c| c.device_gaps += frames);
    }

    /// Counts frames that the transport lost or broke.
    pub fn add_transport_errors(&self, frames: u64) {
        self.with(|c| c.transport_errors += frames);
    }

    /// Sets how many frames wait to be accepted.
    pub fn set_waiting(&self, frames: u64) {
        self.with(|c| c.waiting = frames);
    }

    /// Sets how many frames may be accepted or wait at once.
    pub fn set_capacity(&self, frames: u64) {
        self.with(|c| c.capacity = Some(frames));
    }

    /// A consistent copy of the counts.
    pub fn counts(&self) -> FrameCounts {
        self.with(|c| c.clone())
    }
}

/// Proof that a frame was accepted; exactly one of its ends is called. Dropped without one it counts as lost.
#[derive(Debug)]
#[must_use = "a frame ends as stored, merged, rejected or dropped"]
pub struct Ticket {
    ledger: Option<Ledger>,
}

impl Ticket {
    fn end(mut self, act: impl FnOnce(&mut FrameCounts)) {
        if let Some(ledger) = self.ledger.take() {
            ledger.with(|c| {
                c.in_flight -= 1;
                act(c);
            });
        }
    }

    /// The frame gave at least one cell, now on disk.
    pub fn stored(self) {
        self.end(|c| c.stored += 1);
    }

    /// Another frame of the same scene stands for it.
    pub fn merged(self) {
        self.end(|c| c.merged += 1);
    }

    /// The frame gave no cell.
    pub fn rejected(self, reason: RejectReason) {
        self.end(|c| *c.rejected.entry(reason.label()).or_default() += 1);
    }

    /// The frame was given up.
    pub fn dropped(self, reason: DropReason) {
        self.end(|c| *c.dropped.entry(reason.label()).or_default() += 1);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(ledger) = self.ledger.take() {
            ledger.with(|c| {
                c.in_flight -= 1;
                *c.dropped.entry(DropReason::Lost.label()).or_default() += 1;
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counting_equation_holds_whatever_becomes_of_the_frames() {
        let ledger = Ledger::default();
        let tickets: Vec<_> = (0..6).map(|_| ledger.accept()).collect();
        assert_eq!(ledger.counts().in_flight, 6);
        let mut tickets = tickets.into_iter();
        let mut next = || tickets.next().expect("six were taken");
        next().stored();
        next().merged();
        next().rejected(RejectReason::NoMetaphase);
        next().dropped(DropReason::Superseded);
        drop(next());
        let counts = ledger.counts();
        assert!(counts.adds_up(), "{counts:?}");
        assert_eq!((counts.stored, counts.merged, counts.in_flight), (1, 1, 1));
        assert_eq!(counts.rejected["no_metaphase"], 1);
        assert_eq!(counts.dropped["superseded"], 1);
        assert_eq!(counts.dropped["lost"], 1, "a frame dropped without a reason is counted, too");
    }
}
