//! The frames that wait for the workers, of all sources.

use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Select};

use crate::{
    pipeline::{job::Job, order::Order},
    shutdown::ShutdownReceiver,
};

/// The frames of one source.
pub struct Input {
    /// From triage.
    pub frames: Receiver<Job>,
    /// The order in which they go on.
    pub order: Arc<Order>,
}

/// A frame for a worker.
pub(super) struct Taken {
    /// Number of its source.
    pub lane: usize,
    /// The frame; it has its place.
    pub job: Job,
}

/// Hands frames to the workers, of each source in turn.
///
/// One worker at a time waits for the next frame and holds the lock for so long; the others wait for the lock. So a frame
/// wakes one worker, however many there are.
pub(super) struct Intake {
    queue: Mutex<Queue>,
    inputs: Vec<Input>,
    advanced: Receiver<()>,
}

struct Queue {
    /// Numbers of the sources that have not ended.
    open: Vec<usize>,
    /// Where the next round begins.
    turn: usize,
}

impl Intake {
    pub fn new(inputs: Vec<Input>, advanced: Receiver<()>) -> Self {
        let queue = Queue { open: (0..inputs.len()).collect(), turn: 0 };
        Self { queue: Mutex::new(queue), inputs, advanced }
    }

    /// Waits for the next frame; none when all sources have ended.
    pub fn take(&self, shutdown: &ShutdownReceiver) -> Option<Taken> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // What is given up needs no place among others.
            let abandoned = shutdown.is_abandoned();
            let may_take = |input: &Input| abandoned || !input.order.is_full();
            if let Some(taken) = self.next(&mut queue, may_take) {
                return Some(taken);
            }
            if queue.open.is_empty() {
                return None;
            }
            self.wait(&mut queue, abandoned, shutdown);
        }
    }

    /// A frame that waits already, unless another worker waits for one.
    pub fn try_take(&self) -> Option<Taken> {
        self.next(&mut *self.queue.try_lock().ok()?, |input| !input.order.is_full())
    }

    /// Frames of a source that wait.
    pub fn waiting(&self, lane: usize) -> usize {
        self.inputs[lane].frames.len()
    }

    /// In turn: a frame of the first source after the last one served that has something.
    fn next(&self, queue: &mut Queue, may_take: impl Fn(&Input) -> bool) -> Option<Taken> {
        let count = queue.open.len();
        let (place, lane, mut job) = (0..count).find_map(|k| {
            let place = (queue.turn + k) % count;
            let lane = queue.open[place];
            let input = &self.inputs[lane];
            may_take(input).then(|| input.frames.try_recv().ok()).flatten().map(|job| (place, lane, job))
        })?;
        queue.turn = place + 1;
        job.place = Some(self.inputs[lane].order.take());
        Some(Taken { lane, job })
    }

    /// Until a source may have a frame, a place is free again, or the rest is given up. Sources that have ended are taken out.
    fn wait(&self, queue: &mut Queue, abandoned: bool, shutdown: &ShutdownReceiver) {
        let usable: Vec<usize> =
            queue.open.iter().copied().filter(|lane| abandoned || !self.inputs[*lane].order.is_full()).collect();
        let mut select = Select::new();
        for lane in &usable {
            select.recv(&self.inputs[*lane].frames);
        }
        select.recv(&self.advanced);
        if !abandoned {
            select.recv(shutdown.abandoned());
        }
        // A source that has ended is ready, too: it is taken out below.
        select.ready();
        let _ = self.advanced.try_recv();
        queue.open.retain(|lane| !(usable.contains(lane) && has_ended(&self.inputs[*lane].frames)));
    }
}

/// Whether a channel is empty with all its senders gone. Taking an entry is left to the loop.
fn has_ended<T>(receiver: &Receiver<T>) -> bool {
    let mut select = Select::new();
    select.recv(receiver);
    // Ready and still empty means: closed. (Nobody else takes from this channel, whose lock is held, but a sender that drops
    // the oldest, and that one keeps it open.)
    select.try_ready().is_ok() && receiver.is_empty()
}
