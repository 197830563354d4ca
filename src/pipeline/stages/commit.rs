//! Commit: cells and rejections go to the store, in transactions over several frames. A frame counts as stored once
//! its transaction is on the disk.
//!
//! An error that may pass (a full disk, a full outbox, a busy database) makes the stage wait; one that can never
//! succeed costs the frame whose row it is, and nothing else.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::Receiver;

use super::{StageContext, revise::revise};
use crate::{
    config::{Mode, OutboxFull},
    mqtt::Rejected,
    pipeline::{
        edges::{EdgeSender, Sent},
        job::{Rejection, SourceContext},
        order::Place,
    },
    records::CaseBook,
    station::{DropReason, Level, RejectReason, Ticket, TriggerAnswer, TriggerState},
    store::{Answered, FileMark, FileOutcome, FrameCommit, Message, Store, StoreError, may_drop},
    web::{LiveBoxes, LiveFrame, LiveHub},
};
use domain::{Cell, Quality, frame::FileStamp};

/// Most frames of one transaction.
const MAX_BATCH: usize = 100;
/// Pause between attempts when the store fails.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// What ends at the disk.
#[derive(Debug)]
pub enum Outcome {
    /// A frame that gave cells.
    Cells {
        /// What to store.
        frame: Box<FrameCommit>,
        /// Its place in the ledger.
        ticket: Ticket,
        /// Its source.
        context: Arc<SourceContext>,
        /// When it arrived.
        arrived: Instant,
        /// Its file was given before and has changed since.
        reread: bool,
        /// What the page shows of it.
        shown: Vec<Shown>,
    },
    /// A frame or file that gave none.
    Refused(Box<Rejection>),
}

/// What the page shows of a cell: the field, where it has not seen it, and the boxes on it.
#[derive(Debug)]
pub struct Shown {
    /// The field.
    pub field: Option<LiveFrame>,
    /// The boxes.
    pub boxes: LiveBoxes,
}

impl Shown {
    /// Shows it.
    pub fn show(self, hub: &LiveHub) {
        if let Some(field) = self.field {
            hub.show(field);
        }
        hub.boxes(&self.boxes);
    }
}

/// Hands the outcome of a frame to the commit stage: at once, or in its place.
pub fn send(edge: &EdgeSender<Outcome>, place: Option<Place>, outcome: Outcome) {
    match place {
        None => hand_over(edge, outcome),
        Some(place) => place.end(outcome),
    }
}

/// Hands an outcome to the commit stage at once.
pub(in crate::pipeline) fn hand_over(edge: &EdgeSender<Outcome>, outcome: Outcome) {
    match edge.send(outcome, Mode::Lossless) {
        Sent::Done | Sent::Displaced(_) => {}
        Sent::Abandoned(outcome) => outcome.into_ticket().dropped(DropReason::Shutdown),
    }
}

/// Hands a rejection to the commit stage.
pub fn reject(edge: &EdgeSender<Outcome>, mut rejection: Rejection) {
    tracing::info!(
        source = %rejection.context.name,
        file = rejection.file.as_deref(),
        reason = rejection.reason.label(),
        text = %rejection.text,
        "rejected"
    );
    send(edge, rejection.place.take(), Outcome::Refused(Box::new(rejection)));
}

/// The mark of a file, for a frame that was read from one.
pub fn mark(
    source: &str,
    file: &Option<Arc<str>>,
    stamp: Option<FileStamp>,
    refused: Option<(RejectReason, &str)>,
) -> Option<FileMark> {
    let (file, stamp) = (file.as_deref()?, stamp?);
    Some(FileMark {
        source: source.to_owned(),
        path: file.to_owned(),
        bytes: stamp.bytes,
        mtime_ns: stamp.mtime_ns,
        outcome: file_outcome(refused.map(|(reason, _)| reason)),
        reason: refused.map(|(reason, text)| format!("{}: {text}", reason.label())),
    })
}

fn file_outcome(refused: Option<RejectReason>) -> FileOutcome {
    match refused {
        None => FileOutcome::Cells,
        Some(RejectReason::Unreadable | RejectReason::Unsupported) => FileOutcome::Rejected,
        Some(_) => FileOutcome::Empty,
    }
}

impl Outcome {
    /// What the page shows of it.
    pub(in crate::pipeline) fn take_shown(&mut self) -> Vec<Shown> {
        match self {
            Self::Cells { shown, .. } => std::mem::take(shown),
            Self::Refused(_) => Vec::new(),
        }
    }

    fn into_ticket(self) -> Ticket {
        match self {
            Self::Cells { ticket, .. } => ticket,
            Self::Refused(rejection) => rejection.ticket,
        }
    }
}

/// A frame of the batch, counted in the ledger once its transaction has ended.
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
    /// Monitor, clock, health and shutdown.
    pub context: StageContext,
    /// Station.
    pub station: String,
    /// What is dropped when the outbox is full.
    pub outbox_full: OutboxFull,
    /// The store.
    pub store: Store,
    /// The open cases: a cell enters its case when it is on the disk.
    pub cases: CaseBook,
    /// What to write.
    pub input: Receiver<Outcome>,
    /// The live view, where the page is served.
    pub hub: Option<LiveHub>,
    /// Whether messages carry small pictures.
    pub thumbnails: bool,
}

impl CommitStage {
    /// Runs until all stages before it have ended and everything is on the disk.
    pub fn run(self) {
        let mut frames = Vec::with_capacity(MAX_BATCH);
        let mut pending = Vec::with_capacity(MAX_BATCH);
        while let Ok(outcome) = self.input.recv() {
            self.gather(outcome, &mut frames, &mut pending);
            // What has come during the last transaction shares the next one; a lone frame waits for no other.
            while frames.len() < MAX_BATCH
                && let Ok(outcome) = self.input.try_recv()
            {
                self.gather(outcome, &mut frames, &mut pending);
            }
            self.write(&mut frames, &mut pending);
            self.context.health.set_outbox_depth(self.store.outbox_depth());
        }
    }

    fn gather(&self, outcome: Outcome, frames: &mut Vec<FrameCommit>, pending: &mut Vec<Pending>) {
        match outcome {
            Outcome::Cells { mut frame, ticket, context, arrived, reread, .. } => {
                if reread {
                    // What the file gave before may still be among them.
                    self.write(frames, pending);
                    self.revise(&mut frame);
                }
                let answer = answer_of_cells(&frame.cells.iter().map(|cell| &cell.cell).collect::<Vec<_>>());
                frame.answer = frame.answer.take().or(answer);
                frames.push(*frame);
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

    /// Makes the cells of a file that has changed the next revisions of those that it gave before.
    fn revise(&self, frame: &mut FrameCommit) {
        let Some(mark) = &frame.mark else { return };
        loop {
            match self.store.reader().cells_of_file(&mark.source, &mark.path) {
                Ok(earlier) => return revise(frame, earlier, self.thumbnails),
                Err(error) => {
                    tracing::warn!(%error, file = mark.path, "commit waits: the file's earlier cells cannot be read");
                    self.context.clock.wait(STORE_RETRY, self.context.shutdown.abandoned());
                    if self.context.shutdown.is_abandoned() {
                        return;
                    }
                }
            }
        }
    }

    fn rejection(&self, rejection: &Rejection) -> FrameCommit {
        let own = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        let Rejection { context, sample, file, stamp, reason, text, .. } = rejection;
        let message = Rejected {
            frame: Some(rejection.frame.0),
            file: own(file),
            trigger: rejection.trigger.clone(),
            case: own(&sample.case),
            slide: own(&sample.slide),
            ..self.rejected(&context.name, *reason, text)
        };
        let mark = mark(&context.name, file, *stamp, Some((*reason, text)));
        FrameCommit {
            answer: answer_of_rejection(&message, rejection.quality),
            ..self.rejected_frame(&message, context.mode, mark)
        }
    }

    /// What takes the place of cells that can never be stored: a rejection where somebody waits for an answer.
    fn unstorable(&self, frame: &FrameCommit, context: &SourceContext, why: &str) -> Option<FrameCommit> {
        let Some(cell) = frame.cells.first().map(|commit| &commit.cell) else {
            return self.unstorable_answer(frame, context, why);
        };
        if cell.captured.file.is_none() && cell.captured.trigger.is_none() {
            return None;
        }
        let text = format!("the store cannot take this frame: {why}");
        let message = Rejected {
            frame: Some(cell.captured.frame),
            file: cell.captured.file.clone(),
            trigger: cell.captured.trigger.clone(),
            case: cell.case.clone(),
            slide: cell.slide.clone(),
            ..self.rejected(&context.name, RejectReason::StageFailed, &text)
        };
        let mark = frame.mark.clone().map(|mark| FileMark {
            outcome: file_outcome(Some(RejectReason::StageFailed)),
            reason: Some(format!("{}: {text}", RejectReason::StageFailed.label())),
            ..mark
        });
        let answer = answer_of_rejection(&message, Some(cell.quality));
        Some(FrameCommit { answer, ..self.rejected_frame(&message, context.mode, mark) })
    }

    /// The same of a frame without a cell (a search frame, a rejection): its trigger must not wait for ever.
    fn unstorable_answer(&self, frame: &FrameCommit, context: &SourceContext, why: &str) -> Option<FrameCommit> {
        let trigger = frame.answer.as_ref()?.trigger.clone();
        let text = format!("the store cannot take this frame: {why}");
        let message =
            Rejected { trigger: Some(trigger), ..self.rejected(&context.name, RejectReason::StageFailed, &text) };
        let answer = answer_of_rejection(&message, None);
        Some(FrameCommit { answer, ..self.rejected_frame(&message, context.mode, None) })
    }

    fn rejected(&self, source: &str, reason: RejectReason, text: &str) -> Rejected {
        Rejected::new(&self.station, source, self.context.clock.wall().to_string(), reason, text.to_owned())
    }

    fn rejected_frame(&self, message: &Rejected, mode: Mode, mark: Option<FileMark>) -> FrameCommit {
        // A record holds nothing that JSON cannot express.
        let messages = Message::rejected(message, may_drop(self.outbox_full, mode)).into_iter().collect();
        FrameCommit { messages, mark, ..FrameCommit::default() }
    }

    /// Writes a batch, however long it takes: nothing is given up before the pipeline is abandoned. Leaves both empty.
    fn write(&self, frames: &mut Vec<FrameCommit>, pending: &mut Vec<Pending>) {
        match self.commit(frames) {
            Written::Stored(read_before) => self.finish(frames, pending.drain(..), &read_before),
            Written::Abandoned => pending.drain(..).for_each(|frame| frame.ticket.dropped(DropReason::Shutdown)),
            // Which of them it was shows when they are tried singly.
            Written::Impossible(why) if frames.len() > 1 => {
                tracing::warn!(
                    reason = why,
                    frames = frames.len(),
                    "the batch cannot be stored: its frames are tried singly"
                );
                for (frame, pending) in frames.drain(..).zip(pending.drain(..)) {
                    self.write_single(frame, pending, None);
                }
            }
            Written::Impossible(why) => {
                if let (Some(frame), Some(pending)) = (frames.pop(), pending.pop()) {
                    self.write_single(frame, pending, Some(why));
                }
            }
        }
        frames.clear();
    }

    /// Writes one frame; `failed`: why it is known to be impossible. A frame that can never be stored is rejected.
    fn write_single(&self, frame: FrameCommit, pending: Pending, failed: Option<String>) {
        let written = match failed {
            Some(why) => Written::Impossible(why),
            None => self.commit(std::slice::from_ref(&frame)),
        };
        match written {
            Written::Stored(read_before) => {
                self.finish(std::slice::from_ref(&frame), std::iter::once(pending), &read_before);
            }
            Written::Abandoned => pending.ticket.dropped(DropReason::Shutdown),
            Written::Impossible(why) => {
                tracing::error!(source = %pending.context.name, reason = why, "a frame can never be stored: it is rejected");
                if let Some(instead) = self.unstorable(&frame, &pending.context, &why) {
                    match self.commit(std::slice::from_ref(&instead)) {
                        // Its file stays unmarked: it is read again after the next start.
                        Written::Impossible(why) => {
                            tracing::error!(source = %pending.context.name, reason = why, "nor can its rejection be stored");
                        }
                        Written::Stored(_) if instead.answer.is_some() => self.context.health.count_answered(1),
                        Written::Stored(_) | Written::Abandoned => {}
                    }
                }
                pending.ticket.rejected(match pending.end {
                    End::Stored { .. } => RejectReason::StageFailed,
                    End::Rejected(reason) => reason,
                });
            }
        }
    }

    /// One transaction, tried again for as long as its error may pass.
    fn commit(&self, frames: &[FrameCommit]) -> Written {
        let mut failed = false;
        loop {
            let error = match self.context.monitor.run(self.input.len(), || self.store.commit(frames)) {
                Ok(Ok(done)) => {
                    if failed {
                        self.report(Level::Ok, String::new());
                    }
                    if done.dropped > 0 {
                        tracing::warn!(messages = done.dropped, "the outbox is full: messages went unsent");
                    }
                    self.context.health.count_stored(done.cells);
                    return Written::Stored(done.read_before);
                }
                Ok(Err(error)) if error.is_transient() => error,
                Ok(Err(error)) => {
                    if failed {
                        self.report(Level::Ok, String::new());
                    }
                    return Written::Impossible(with_cause(&error));
                }
                Err(panicked) => {
                    self.context.record_panic(&panicked.0);
                    return Written::Impossible(panicked.0);
                }
            };
            failed = true;
            let (level, reason) = match &error {
                StoreError::OutboxFull { .. } => {
                    (Level::Degraded, "the outbox is full: capture waits for the broker".to_owned())
                }
                other => (Level::Failed, other.to_string()),
            };
            tracing::warn!(reason, "commit waits");
            self.report(level, reason);
            if self.context.shutdown.is_abandoned() {
                return Written::Abandoned;
            }
            if matches!(error, StoreError::OutboxFull { .. }) {
                self.store.wait_for_outbox_space(STORE_RETRY);
            } else {
                self.context.clock.wait(STORE_RETRY, self.context.shutdown.abandoned());
            }
        }
    }

    fn report(&self, level: Level, reason: String) {
        self.context.health.store(|store| (store.level, store.reason) = (level, reason));
    }

    /// What is on the disk enters its case, is shown and is counted; so is what the store had already.
    fn finish(&self, frames: &[FrameCommit], pending: impl Iterator<Item = Pending>, read_before: &[usize]) {
        let hub = self.hub.as_ref().filter(|hub| hub.has_listeners());
        for (number, (frame, pending)) in frames.iter().zip(pending).enumerate() {
            if read_before.contains(&number) {
                let file = frame.mark.as_ref().map(|mark| mark.path.as_str());
                let trigger = frame.answer.as_ref().map(|answer| answer.trigger.as_str());
                tracing::warn!(source = %pending.context.name, file, trigger, "it has a reading already: this one is dropped");
                pending.ticket.dropped(DropReason::ReadBefore);
                continue;
            }
            self.cases.slides().put(&frame.spreads);
            for cell in &frame.cells {
                self.cases.put(&cell.cell);
                if let Some(hub) = hub {
                    hub.publish_cell(&cell.cell);
                }
            }
            settle(pending);
        }
        let answered = frames.iter().filter(|frame| frame.answer.is_some()).count();
        if answered > 0 {
            self.context.health.count_answered(answered as u64);
        }
    }
}

/// The answer to the trigger of a frame that gave cells.
fn answer_of_cells(cells: &[&Cell]) -> Option<Answered> {
    let first = cells.first()?;
    let answer = TriggerAnswer {
        state: TriggerState::Cell,
        frame: Some(first.captured.frame),
        quality: Some(first.quality),
        cells: cells.iter().map(|cell| cell.cell).collect(),
        ..TriggerAnswer::default()
    };
    answered(first.captured.trigger.as_deref()?, &answer)
}

/// The answer to the trigger of a frame that gave none.
fn answer_of_rejection(message: &Rejected, quality: Option<Quality>) -> Option<Answered> {
    let answer = TriggerAnswer {
        state: TriggerState::Rejected,
        frame: message.frame,
        quality,
        reason: Some(message.reason.clone()),
        text: Some(message.text.clone()),
        ..TriggerAnswer::default()
    };
    answered(message.trigger.as_deref()?, &answer)
}

fn answered(trigger: &str, answer: &TriggerAnswer) -> Option<Answered> {
    // Numbers, names and words always become JSON.
    let answer = serde_json::to_string(answer).ok()?;
    Some(Answered { trigger: trigger.to_owned(), answer })
}

/// How a transaction ended.
enum Written {
    /// It is on the disk, but for the frames at these places, whose files had a reading already.
    Stored(Vec<usize>),
    /// It can never succeed, and why.
    Impossible(String),
    /// The pipeline is abandoned.
    Abandoned,
}

/// The message of a store error with SQLite's own.
fn with_cause(error: &StoreError) -> String {
    match std::error::Error::source(error).map(ToString::to_string) {
        Some(cause) if !error.to_string().contains(&cause) => format!("{error}: {cause}"),
        _ => error.to_string(),
    }
}

/// Counts a frame whose transaction is on the disk.
fn settle(Pending { ticket, end, context }: Pending) {
    match end {
        End::Stored { arrived } => {
            ticket.stored();
            tracing::debug!(source = %context.name, latency = ?arrived.elapsed(), "stored");
        }
        End::Rejected(reason) => ticket.rejected(reason),
    }
}
