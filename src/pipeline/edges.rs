//! Every edge between two stages, in one table.

use crossbeam_channel::{Receiver, SendError, Sender, TrySendError, bounded, select};

use crate::{config::Mode, shutdown::ShutdownReceiver};

/// An edge of the pipeline: which stage hands to which, and how much may wait between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeSpec {
    /// Name, `from-to`.
    pub name: &'static str,
    /// How many entries may wait.
    pub capacity: usize,
    /// Whether its entries hold a buffer of their source's pool.
    pub holds_pixels: bool,
    /// Whether the newest entry of a live source displaces the oldest when the edge is full; otherwise, and always in
    /// lossless mode, the sender waits.
    pub drops_oldest: bool,
}

/// All edges in the order of the data flow. What waits for the broker is in the store's outbox, not in memory.
pub const EDGES: [EdgeSpec; 4] = [
    // Captured frames, one edge for each source.
    EdgeSpec { name: "capture-triage", capacity: 4, holds_pixels: true, drops_oldest: true },
    // Frames with a metaphase, one edge for each source.
    EdgeSpec { name: "triage-recognise", capacity: 4, holds_pixels: true, drops_oldest: true },
    // Recognised frames. The networks have worked on them: none is dropped.
    EdgeSpec { name: "recognise-interpret", capacity: 8, holds_pixels: true, drops_oldest: false },
    // Finished cells and rejections; no pixels any more.
    EdgeSpec { name: "interpret-commit", capacity: 128, holds_pixels: false, drops_oldest: false },
];

/// Captured frames that wait for triage.
pub const CAPTURE_TRIAGE: EdgeSpec = EDGES[0];
/// Frames with a metaphase that wait for the networks.
pub const TRIAGE_RECOGNISE: EdgeSpec = EDGES[1];
/// Recognised frames that wait for interpretation.
pub const RECOGNISE_INTERPRET: EdgeSpec = EDGES[2];
/// Finished cells and rejections that wait for the disk.
pub const INTERPRET_COMMIT: EdgeSpec = EDGES[3];

/// Frames that stages hold at once, by source: one in capture, one in triage, one that select keeps as the best.
const HELD_PER_SOURCE: usize = 3;
/// Frames that a worker of recognise holds at once: the one it works on, and one that goes to a device ahead.
const HELD_PER_WORKER: usize = 2;
/// Outcomes that may wait for an earlier frame of their source, besides one for each frame that is worked on.
const EARLY: usize = 32;

/// Buffers that the pool of one source needs so that no stage ever waits for another's (capacities, what stages hold,
/// and two to spare), with so many workers in recognise and interpret.
pub fn pool_size(workers: Workers) -> usize {
    let waiting: usize = EDGES.iter().filter(|edge| edge.holds_pixels).map(|edge| edge.capacity).sum();
    waiting + HELD_PER_SOURCE + HELD_PER_WORKER * workers.recognise + workers.interpret + 2
}

/// Frames of one source that may be on their way from recognise to commit at once: more would wait for a frame that takes
/// long, without limit.
pub fn places(workers: usize) -> usize {
    EARLY + RECOGNISE_INTERPRET.capacity + 2 * workers
}

/// Threads of the stages that work on frames of all sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    /// Frames that are recognised side by side.
    pub recognise: usize,
    /// Frames that are interpreted side by side.
    pub interpret: usize,
}

impl Default for Workers {
    fn default() -> Self {
        Self { recognise: 1, interpret: 1 }
    }
}

/// What became of an entry that was sent.
#[derive(Debug)]
pub enum Sent<T> {
    /// It waits in the edge.
    Done,
    /// It waits in the edge and has displaced this older one.
    Displaced(T),
    /// The pipeline is being abandoned; here it is back.
    Abandoned(T),
}

/// The sending end of an edge.
#[derive(Debug)]
pub struct EdgeSender<T> {
    sender: Sender<T>,
    /// The other end, to drop the oldest.
    receiver: Receiver<T>,
    spec: EdgeSpec,
    shutdown: ShutdownReceiver,
}

impl<T> Clone for EdgeSender<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            receiver: self.receiver.clone(),
            spec: self.spec,
            shutdown: self.shutdown.clone(),
        }
    }
}

/// Makes an edge. Once the pipeline is abandoned, a full edge gives entries back instead of waiting.
pub fn edge<T>(spec: EdgeSpec, shutdown: ShutdownReceiver) -> (EdgeSender<T>, Receiver<T>) {
    let (sender, receiver) = bounded(spec.capacity);
    (EdgeSender { sender, receiver: receiver.clone(), spec, shutdown }, receiver)
}

impl<T> EdgeSender<T> {
    /// Hands an entry over as the source's mode asks.
    pub fn send(&self, entry: T, mode: Mode) -> Sent<T> {
        if self.spec.drops_oldest && mode == Mode::Freshest { self.displace(entry) } else { self.wait(entry) }
    }

    fn displace(&self, entry: T) -> Sent<T> {
        let mut displaced = None;
        let mut entry = entry;
        loop {
            match self.sender.try_send(entry) {
                Ok(()) => return displaced.map_or(Sent::Done, Sent::Displaced),
                Err(TrySendError::Disconnected(back)) => return Sent::Abandoned(back),
                Err(TrySendError::Full(back)) => {
                    entry = back;
                    if displaced.is_some() {
                        // Only this sender and the stage take from the edge: the place that was freed is still free.
                        std::thread::yield_now();
                    } else {
                        displaced = self.receiver.try_recv().ok();
                    }
                }
            }
        }
    }

    fn wait(&self, entry: T) -> Sent<T> {
        let entry = match self.sender.try_send(entry) {
            Ok(()) => return Sent::Done,
            Err(TrySendError::Full(entry) | TrySendError::Disconnected(entry)) => entry,
        };
        select! {
            send(self.sender, entry) -> sent => match sent {
                Ok(()) => Sent::Done,
                Err(SendError(entry)) => Sent::Abandoned(entry),
            },
            recv(self.shutdown.abandoned()) -> _ => Sent::Abandoned(entry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown::Shutdown;

    #[test]
    fn the_newest_frame_of_a_live_source_replaces_the_oldest() {
        let shutdown = Shutdown::default();
        let (sender, receiver) = edge(CAPTURE_TRIAGE, shutdown.receiver());
        for n in 0..CAPTURE_TRIAGE.capacity {
            assert!(matches!(sender.send(n, Mode::Freshest), Sent::Done));
        }
        assert!(matches!(sender.send(99, Mode::Freshest), Sent::Displaced(0)));
        assert_eq!(receiver.try_iter().last(), Some(99));
    }

    #[test]
    fn a_lossless_sender_waits_until_the_edge_has_space() {
        let shutdown = Shutdown::default();
        let (sender, receiver) = edge(RECOGNISE_INTERPRET, shutdown.receiver());
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
        let shutdown = Shutdown::default();
        let (sender, _receiver) = edge(INTERPRET_COMMIT, shutdown.receiver());
        shutdown.abandon();
        for n in 0..INTERPRET_COMMIT.capacity {
            assert!(matches!(sender.send(n, Mode::Lossless), Sent::Done));
        }
        assert!(matches!(sender.send(7, Mode::Lossless), Sent::Abandoned(7)));
    }
}
