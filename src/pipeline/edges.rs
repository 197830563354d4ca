//! Every edge between two stages, in one table.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError, bounded};

use crate::config::Mode;

/// An edge of the pipeline: who hands to whom, and how much may wait between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeSpec {
    /// Name, `from-to`.
    pub name: &'static str,
    /// What may wait.
    pub capacity: usize,
    /// One for each source rather than one for all.
    pub per_source: bool,
    /// Whether a live source's oldest entry gives way to the newest when it is full; otherwise, and always in
    /// lossless mode, the sender waits.
    pub sheds: bool,
}

/// Captured frames that wait for triage.
pub const CAPTURE_TRIAGE: EdgeSpec = EdgeSpec { name: "capture-triage", capacity: 4, per_source: true, sheds: true };
/// Frames with a metaphase that wait for the networks.
pub const TRIAGE_RECOGNISE: EdgeSpec =
    EdgeSpec { name: "triage-recognise", capacity: 4, per_source: true, sheds: true };
/// Recognised frames that wait for interpretation. Work was timings on them: they are never shed.
pub const RECOGNISE_INTERPRET: EdgeSpec =
    EdgeSpec { name: "recognise-interpret", capacity: 8, per_source: false, sheds: false };
/// Finished cells and rejections that wait for the disk; no pixels any more.
pub const INTERPRET_COMMIT: EdgeSpec =
    EdgeSpec { name: "interpret-commit", capacity: 128, per_source: false, sheds: false };

/// All edges in the order of a frame's way. What waits for the broker is in the store's outbox, not in memory.
pub const EDGES: [EdgeSpec; 4] = [CAPTURE_TRIAGE, TRIAGE_RECOGNISE, RECOGNISE_INTERPRET, INTERPRET_COMMIT];

/// Frames that stages hold at once, by source: one in capture, one in triage, one that select keeps as the best.
const HELD_PER_SOURCE: usize = 3;
/// Frames that stages hold at once, for all sources: two in recognise (one goes to a device ahead), one in interpret.
const HELD_SHARED: usize = 3;

/// Buffers that the pool of one source needs so that no stage ever waits for another's (capacities, what stages
/// hold, and two to spare).
pub fn pool_size() -> usize {
    let waiting: usize = [CAPTURE_TRIAGE, TRIAGE_RECOGNISE, RECOGNISE_INTERPRET].iter().map(|e| e.capacity).sum();
    waiting + HELD_PER_SOURCE + HELD_SHARED + 2
}

/// What became of an entry that was sent.
#[derive(Debug)]
pub enum Sent<T> {
    /// It waits in the edge.
    Done,
    /// It waits in the edge, and this older one gave way.
    Displaced(T),
    /// The pipeline is being abandoned; here it is back.
    Abandoned(T),
}

/// The sending end of an edge.
#[derive(Debug)]
pub struct EdgeSender<T> {
    sender: Sender<T>,
    /// The other end, to let the oldest go.
    receiver: Receiver<T>,
    spec: EdgeSpec,
    abandon: Arc<AtomicBool>,
}

impl<T> Clone for EdgeSender<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            receiver: self.receiver.clone(),
            spec: self.spec,
            abandon: self.abandon.clone(),
        }
    }
}

/// Makes an edge. Once `abandon` is set, a full edge gives entries back instead of waiting.
pub fn edge<T>(spec: EdgeSpec, abandon: Arc<AtomicBool>) -> (EdgeSender<T>, Receiver<T>) {
    let (sender, receiver) = bounded(spec.capacity);
    (EdgeSender { sender, receiver: receiver.clone(), spec, abandon }, receiver)
}

impl<T> EdgeSender<T> {
    /// Hands an entry over as the source's mode wants it.
    pub fn send(&self, entry: T, mode: Mode) -> Sent<T> {
        if self.spec.sheds && mode == Mode::Freshest { self.replace(entry) } else { self.wait(entry) }
    }

    fn replace(&self, entry: T) -> Sent<T> {
        let mut shed = None;
        let mut entry = entry;
        loop {
            match self.sender.try_send(entry) {
                Ok(()) => return shed.map_or(Sent::Done, Sent::Displaced),
                Err(TrySendError::Disconnected(back)) => return Sent::Abandoned(back),
                Err(TrySendError::Full(back)) => {
                    entry = back;
                    if shed.is_some() {
                        // The receiver is drained by us alone or by the stage: one is enough to make room.
                        std::thread::yield_now();
                    } else {
                        shed = self.receiver.try_recv().ok();
                    }
                }
            }
        }
    }

    fn wait(&self, entry: T) -> Sent<T> {
        let mut entry = entry;
        loop {
            match self.sender.send_timeout(entry, Duration::from_millis(50)) {
                Ok(()) => return Sent::Done,
                Err(SendTimeoutError::Disconnected(back)) => return Sent::Abandoned(back),
                Err(SendTimeoutError::Timeout(back)) if self.abandon.load(Ordering::Relaxed) => {
                    return Sent::Abandoned(back);
                }
                Err(SendTimeoutError::Timeout(back)) => entry = back,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abandoned(now: bool) -> Arc<AtomicBool> {
        Arc::new(AtomicBool::new(now))
    }

    #[test]
    fn the_newest_frame_of_a_live_source_replaces_the_oldest() {
        let (sender, receiver) = edge(CAPTURE_TRIAGE, abandoned(false));
        for n in 0..CAPTURE_TRIAGE.capacity {
            assert!(matches!(sender.send(n, Mode::Freshest), Sent::Done));
        }
        assert!(matches!(sender.send(99, Mode::Freshest), Sent::Displaced(0)));
        assert_eq!(receiver.try_iter().last(), Some(99));
    }

    #[test]
    fn a_lossless_sender_waits_until_there_is_room() {
        let (sender, receiver) = edge(RECOGNISE_INTERPRET, abandoned(false));
        let total = RECOGNISE_INTERPRET.capacity * 3;
        let thread = std::thread::spawn(move || {
            for n in 0..total {
                assert!(matches!(sender.send(n, Mode::Lossless), Sent::Done));
            }
        });
        assert!(receiver.iter().eq(0..total));
        thread.join().expect("it ends");
    }

    #[test]
    fn an_abandoned_pipeline_gives_the_entry_back() {
        let (sender, _receiver) = edge(INTERPRET_COMMIT, abandoned(true));
        for n in 0..INTERPRET_COMMIT.capacity {
            assert!(matches!(sender.send(n, Mode::Lossless), Sent::Done));
        }
        assert!(matches!(sender.send(7, Mode::Lossless), Sent::Abandoned(7)));
    }
}
