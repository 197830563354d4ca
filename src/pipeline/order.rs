//! Order: the frames of a source are worked on side by side and go to the disk in the order in which they were taken.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use crossbeam_channel::Sender;

use super::{
    edges::{self, EdgeSender},
    stages::commit::{self, Outcome},
};
use crate::web::LiveHub;

/// The order of one source's frames. A frame takes a [`Place`] before the workers, and what became of it waits here for
/// those before it.
#[derive(Debug)]
pub struct Order {
    taken: AtomicU64,
    /// Frames that have gone on, all before the first that has not.
    gone: AtomicU64,
    early: Mutex<Early>,
    output: EdgeSender<Outcome>,
    hub: Option<LiveHub>,
    /// Wakes who waits for a free place, to look again.
    advanced: Sender<()>,
    most: u64,
}

/// What waits for an earlier frame, by the number of its place; none: nothing comes of that frame.
type Early = BTreeMap<u64, Option<Outcome>>;

impl Order {
    /// Hands outcomes to `output`, and shows their cells at the same time. `workers` work on frames; `advanced` receives
    /// when a frame has ended, whether or not it or one behind it could go on: who waits for a place looks again.
    pub fn new(output: EdgeSender<Outcome>, hub: Option<LiveHub>, workers: usize, advanced: Sender<()>) -> Arc<Self> {
        Arc::new(Self {
            taken: AtomicU64::new(0),
            gone: AtomicU64::new(0),
            early: Mutex::default(),
            output,
            hub,
            advanced,
            most: edges::places(workers) as u64,
        })
    }

    /// The place of the next frame.
    pub fn take(self: &Arc<Self>) -> Place {
        Place { order: self.clone(), number: self.taken.fetch_add(1, SeqCst), ended: false }
    }

    /// Whether a frame takes so long that enough others wait for it already.
    pub fn is_full(&self) -> bool {
        self.taken.load(SeqCst).saturating_sub(self.gone.load(SeqCst)) >= self.most
    }

    fn end(&self, number: u64, outcome: Option<Outcome>) {
        // Held while outcomes are sent, too: they must not overtake each other on the way out.
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        early.insert(number, outcome);
        while let Some(outcome) = early.remove(&self.gone.load(SeqCst)) {
            self.gone.fetch_add(1, SeqCst);
            if let Some(mut outcome) = outcome {
                if let Some(hub) = &self.hub {
                    outcome.take_shown().into_iter().for_each(|shown| shown.show(hub));
                }
                commit::hand_over(&self.output, outcome);
            }
        }
        // One that is there already wakes as well.
        let _ = self.advanced.try_send(());
    }
}

/// The place of one frame. It is given up when it is dropped: the frames behind it do not wait for what never comes.
#[derive(Debug)]
pub struct Place {
    order: Arc<Order>,
    number: u64,
    ended: bool,
}

impl Place {
    /// The frame is done: its outcome goes on as soon as those before it have gone.
    pub fn end(mut self, outcome: Outcome) {
        self.ended = true;
        self.order.end(self.number, Some(outcome));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.ended {
            self.order.end(self.number, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;
    use crate::{
        config::SourceConfig,
        pipeline::{
            edges::INTERPRET_COMMIT,
            job::{Rejection, SourceContext},
        },
        shutdown::Shutdown,
        station::{Ledger, RejectReason},
    };
    use domain::frame::{FrameId, SampleContext};

    fn outcome(number: u64, ledger: &Ledger) -> Outcome {
        Outcome::Refused(Box::new(Rejection {
            frame: FrameId(number),
            context: SourceContext::new("scope", SourceConfig::default(), ledger.clone()),
            sample: SampleContext::default(),
            file: None,
            stamp: None,
            trigger: None,
            quality: None,
            reason: RejectReason::NoChromosomes,
            text: String::new(),
            ticket: ledger.accept(),
            place: None,
        }))
    }

    #[test]
    fn outcomes_leave_in_the_order_of_their_places_and_wait_for_no_frame_that_was_given_up() {
        let (shutdown, ledger) = (Shutdown::default(), Ledger::default());
        let (output, input) = edges::edge(INTERPRET_COMMIT, shutdown.receiver());
        let (advanced, woken) = bounded(1);
        let order = Order::new(output, None, 1, advanced);
        let mut places: Vec<Place> = (0..5).map(|_| order.take()).collect();
        let out = || {
            let taken = input.try_iter().map(|outcome| match outcome {
                Outcome::Refused(rejection) => {
                    rejection.ticket.rejected(rejection.reason);
                    rejection.frame.0
                }
                Outcome::Cells { .. } => panic!("there are none"),
            });
            taken.collect::<Vec<u64>>()
        };
        places.remove(3).end(outcome(3, &ledger));
        places.remove(1).end(outcome(1, &ledger));
        assert_eq!(out(), [0u64; 0], "the first frame is not done");
        places.remove(0).end(outcome(0, &ledger));
        assert_eq!(out(), [0, 1]);
        drop(places.remove(0));
        assert_eq!(out(), [3], "the third came to nothing");
        assert_eq!(woken.len(), 1);
        drop(places);
        assert!(ledger.counts().adds_up());
    }

    #[test]
    fn a_frame_that_takes_long_holds_a_bounded_number_of_others_up() {
        let (shutdown, ledger) = (Shutdown::default(), Ledger::default());
        let (output, input) = edges::edge(INTERPRET_COMMIT, shutdown.receiver());
        let order = Order::new(output, None, 2, bounded(1).0);
        let slow = order.take();
        let mut others = 0;
        while !order.is_full() {
            others += 1;
            order.take().end(outcome(others, &ledger));
        }
        assert_eq!((others as usize, input.len()), (edges::places(2) - 1, 0));
        drop(slow);
        assert_eq!((input.len(), order.is_full()), (others as usize, false));
    }
}
