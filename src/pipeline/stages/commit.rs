//! Commit: everything that frames gave, in group transactions. When it has answered, the cells are on the disk.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::StageContext;
use crate::{
    config::{Mode, OutboxFull},
    mqtt::Rejected,
    pipeline::{
        edges::{EdgeSender, Sent},
        job::{Rejection, SourceContext},
        record,
    },
    station::{DropReason, Level, RejectReason, Ticket},
    store::{FileMark, FileOutcome, FrameCommit, Message, Store, StoreError, may_drop},
    web::LiveHub,
};
use domain::{NOTICE, frame::FileStamp};

/// Longest that a finished cell waits for others of its transaction.
const GATHER: Duration = Duration::from_millis(20);
/// Most frames of one transaction.
const BATCH: usize = 100;
/// Waits between attempts when the store fails.
const RETRY: Duration = Duration::from_secs(1);

/// What ends at the disk.
#[derive(Debug)]
pub enum Outcome {
    /// A frame that gave cells.
    Cells {
        /// What to store.
        frame: FrameCommit,
        /// Its place in the ledger.
        ticket: Ticket,
        /// Its source.
        context: Arc<SourceContext>,
        /// When it arrived.
        arrived: Instant,
    },
    /// A frame or file that gave none.
    Refused(Box<Rejection>),
}

/// Hands an outcome to the commit stage.
pub fn send(edge: &EdgeSender<Outcome>, outcome: Outcome) {
    match edge.send(outcome, Mode::Lossless) {
        Sent::Done | Sent::Displaced(_) => {}
        Sent::Abandoned(outcome) => outcome.into_ticket().dropped(DropReason::Shutdown),
    }
}

/// Hands a rejection to the commit stage.
pub fn reject(edge: &EdgeSender<Outcome>, rejection: Rejection) {
    tracing::info!(
        source = %rejection.context.name,
        file = rejection.file.as_deref(),
        reason = rejection.reason.label(),
        text = %rejection.text,
        "rejected"
    );
    send(edge, Outcome::Refused(Box::new(rejection)));
}

/// The mark of a file, for a frame that was read from one.
pub fn mark(
    source: &str,
    file: &Option<Arc<str>>,
    stamp: Option<FileStamp>,
    refused: Option<(RejectReason, &str)>,
) -> Option<FileMark> {
    let (file, stamp) = (file.as_deref()?, stamp?);
    let outcome = match refused {
        None => FileOutcome::Cells,
        Some((RejectReason::Unreadable | RejectReason::Unsupported, _)) => FileOutcome::Rejected,
        Some(_) => FileOutcome::Empty,
    };
    Some(FileMark {
        source: source.to_owned(),
        path: file.to_owned(),
        bytes: stamp.bytes,
        mtime_ns: stamp.mtime_ns,
        outcome,
        reason: refused.map(|(reason, text)| format!("{}: {text}", reason.label())),
    })
}

impl Outcome {
    fn into_ticket(self) -> Ticket {
        match self {
            Self::Cells { ticket, .. } => ticket,
            Self::Refused(rejection) => rejection.ticket,
        }
    }
}

/// How the ledger is told when the transaction stands.
struct Pending {
    ticket: Ticket,
    end: End,
    context: Arc<SourceContext>,
}

enum End {
    Stored { arrived: Instant },
    Rejected(RejectReason),
}

/// The commit stage.
pub struct CommitStage {
    /// What it has at hand.
    pub context: StageContext,
    /// Station.
    pub station: String,
    /// What gives way when the outbox is full.
    pub outbox_full: OutboxFull,
    /// The store.
    pub store: Store,
    /// What to write.
    pub input: Receiver<Outcome>,
    /// People who watch.
    pub hub: Option<LiveHub>,
}

impl CommitStage {
    /// Runs until all before it have ended and everything is on the disk.
    pub fn run(self) {
        let mut frames = Vec::with_capacity(BATCH);
        let mut pending = Vec::with_capacity(BATCH);
        loop {
            match self.input.recv_timeout(Duration::from_millis(50)) {
                Ok(outcome) => self.gather(outcome, &mut frames, &mut pending),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let until = Instant::now() + GATHER;
            while frames.len() < BATCH {
                match self.input.recv_deadline(until) {
                    Ok(outcome) => self.gather(outcome, &mut frames, &mut pending),
                    Err(_) => break,
                }
            }
            self.write(&frames, &mut pending);
            self.context.health.set_outbox_depth(self.store.outbox_depth());
            self.tell(&frames);
            frames.clear();
        }
    }

    fn gather(&self, outcome: Outcome, frames: &mut Vec<FrameCommit>, pending: &mut Vec<Pending>) {
        match outcome {
            Outcome::Cells { frame, ticket, context, arrived } => {
                frames.push(frame);
                pending.push(Pending { ticket, end: End::Stored { arrived }, context });
            }
            Outcome::Refused(rejection) => {
                let rejection = *rejection;
                frames.push(self.rejection(&rejection));
                let Rejection { ticket, reason, context, .. } = rejection;
                pending.push(Pending { ticket, end: End::Rejected(reason), context });
            }
        }
    }

    fn rejection(&self, rejection: &Rejection) -> FrameCommit {
        let own = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        let now = self.context.clock.wall();
        let message = Rejected {
            schema: Rejected::SCHEMA.into(),
            station: self.station.clone(),
            source: rejection.context.name.to_string(),
            id: record::new_id(now),
            time: now.to_string(),
            frame: Some(rejection.frame.0),
            file: own(&rejection.file),
            trigger: rejection.trigger.clone(),
            case: own(&rejection.sample.case),
            slide: own(&rejection.sample.slide),
            reason: rejection.reason.label().into(),
            text: rejection.text.clone(),
            notice: NOTICE.into(),
        };
        // A record holds nothing that JSON cannot say.
        let messages =
            Message::rejected(&message, may_drop(self.outbox_full, rejection.context.mode)).into_iter().collect();
        FrameCommit {
            cells: Vec::new(),
            messages,
            latest: Vec::new(),
            mark: mark(
                &rejection.context.name,
                &rejection.file,
                rejection.stamp,
                Some((rejection.reason, &rejection.text)),
            ),
        }
    }

    /// Writes a batch, however long it takes: nothing that came so far is given up before the daemon itself is.
    fn write(&self, frames: &[FrameCommit], pending: &mut Vec<Pending>) {
        let mut failed = false;
        loop {
            let result = self.context.monitor.run(self.input.len(), || self.store.commit(frames));
            let error = match result {
                Ok(Ok(done)) => {
                    if failed {
                        self.context.health.store(|s| {
                            s.level = Level::Ok;
                            s.reason.clear();
                        });
                    }
                    if done.dropped > 0 {
                        tracing::warn!(messages = done.dropped, "the outbox is full: messages went unsent");
                    }
                    self.context.health.count_stored(done.cells);
                    return self.settle(pending);
                }
                Ok(Err(error)) => error,
                Err(panicked) => {
                    self.context.record_panic(&panicked.0);
                    for Pending { ticket, .. } in pending.drain(..) {
                        ticket.rejected(RejectReason::StageFailed);
                    }
                    return;
                }
            };
            failed = true;
            let why = match &error {
                StoreError::OutboxFull { .. } => "the outbox is full: capture waits for the broker".to_owned(),
                other => other.to_string(),
            };
            tracing::warn!(reason = why, "commit waits");
            self.context.health.store(|s| {
                s.level = if matches!(error, StoreError::OutboxFull { .. }) { Level::Degraded } else { Level::Failed };
                s.reason = why;
            });
            if self.context.abandoned() {
                for Pending { ticket, .. } in pending.drain(..) {
                    ticket.dropped(DropReason::Shutdown);
                }
                return;
            }
            if matches!(error, StoreError::OutboxFull { .. }) {
                self.store.wait_for_outbox_space(RETRY);
            } else {
                std::thread::sleep(RETRY);
            }
        }
    }

    fn settle(&self, pending: &mut Vec<Pending>) {
        for Pending { ticket, end, context } in pending.drain(..) {
            match end {
                End::Stored { arrived } => {
                    ticket.stored();
                    tracing::debug!(source = %context.name, latency = ?arrived.elapsed(), "stored");
                }
                End::Rejected(reason) => ticket.rejected(reason),
            }
        }
    }

    fn tell(&self, frames: &[FrameCommit]) {
        let Some(hub) = self.hub.as_ref().filter(|hub| hub.has_listeners()) else { return };
        for cell in frames.iter().flat_map(|frame| &frame.cells) {
            hub.publish_cell(&cell.cell);
        }
    }
}
