//! Recognise: the networks, for all sources. Takes one frame of each source in turn, so that none starves another.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Select};

use super::{StageContext, commit};
use crate::{
    pipeline::{
        edges::{EdgeSender, Sent},
        job::Job,
    },
    station::{DropReason, EngineState, Level, RejectReason},
};
use recognition::{Provenance, RecognitionError, Recognizer};

/// Makes the recognizer of one source; again after a panic or an engine's failure.
pub type MakeRecognizer = Box<dyn FnMut() -> Result<Box<dyn Recognizer>, RecognitionError> + Send>;

/// Makes the recognizer that takes over when the engine is broken, given the reason; used at most once a source.
pub type FallBack = Box<dyn FnOnce(String) -> MakeRecognizer + Send>;

/// Pause between attempts to get a failed engine back.
pub(super) const ENGINE_RETRY: Duration = Duration::from_secs(2);
/// How often one frame may make a working engine fail before it is rejected.
const MAX_ENGINE_FAILURES: u32 = 2;

/// One source's input to the stage.
pub struct Lane {
    /// Name of the source.
    pub source: Arc<str>,
    /// Frames from triage.
    pub input: Receiver<Job>,
    /// Makes its recognizer.
    pub make: MakeRecognizer,
    /// What takes over when the engine is broken, where the configuration allows it.
    pub fall_back: Option<FallBack>,
    /// The recognizer, ready.
    pub recognizer: Box<dyn Recognizer>,
}

/// The recognise stage.
pub struct RecogniseStage {
    /// Monitor, clock, health and shutdown.
    pub context: StageContext,
    /// The sources.
    pub lanes: Vec<Lane>,
    /// Recognised frames.
    pub output: EdgeSender<(Job, Arc<Provenance>)>,
    /// Rejections that are published.
    pub rejections: EdgeSender<commit::Outcome>,
}

impl RecogniseStage {
    /// Runs until every source has ended and its last frame is recognised.
    pub fn run(mut self) {
        let mut open: Vec<usize> = (0..self.lanes.len()).collect();
        let mut provenances: BTreeMap<usize, Arc<Provenance>> = self
            .lanes
            .iter()
            .enumerate()
            .map(|(n, lane)| (n, Arc::new(lane.recognizer.provenance().clone())))
            .collect();
        let mut turn = 0;
        let mut held = None;
        while !open.is_empty() || held.is_some() {
            match held.take().or_else(|| self.next(&open, &mut turn)) {
                Some((lane, job)) => {
                    // An engine with a device takes the next frame up beside the work on this one.
                    if self.lanes[lane].recognizer.supports_prefetch() {
                        held = self.next(&open, &mut turn);
                    }
                    if let Some((lane, job)) = &held {
                        self.lanes[*lane].recognizer.prefetch(&job.frame);
                    }
                    self.process(lane, job, provenances.entry(lane).or_default());
                }
                None => {
                    let mut select = Select::new();
                    for lane in &open {
                        select.recv(&self.lanes[*lane].input);
                    }
                    // A closed lane is ready, too: it is taken out below.
                    select.ready();
                    open.retain(|lane| !matches!(probe(&self.lanes[*lane].input), Probe::Closed));
                }
            }
        }
    }

    /// In turn: a frame of the first lane after the last one served that has something, with the lane's number.
    fn next(&self, open: &[usize], turn: &mut usize) -> Option<(usize, Job)> {
        let places = (0..open.len()).map(|k| (*turn + k) % open.len());
        let (place, job) = places.filter_map(|at| Some((at, self.lanes[open[at]].input.try_recv().ok()?))).next()?;
        *turn = place + 1;
        Some((open[place], job))
    }

    fn process(&mut self, lane: usize, mut job: Job, provenance: &mut Arc<Provenance>) {
        let _span = tracing::debug_span!("frame", source = %job.context.name, frame = job.frame.info.id.0).entered();
        let mut failures = 0;
        loop {
            if self.context.shutdown.is_abandoned() {
                return job.drop_for(DropReason::Shutdown);
            }
            let waiting = self.lanes[lane].input.len();
            let recognizer = &mut self.lanes[lane].recognizer;
            let begun = Instant::now();
            let result = self.context.monitor.run(waiting, || recognizer.recognise(&job.frame, &job.regions));
            job.timings.recognise += begun.elapsed();
            match result {
                Ok(Ok(recognised)) => {
                    job.recognised = recognised;
                    return match self.output.send((job, provenance.clone()), crate::config::Mode::Lossless) {
                        Sent::Done | Sent::Displaced(_) => {}
                        Sent::Abandoned((job, _)) => job.drop_for(DropReason::Shutdown),
                    };
                }
                Ok(Err(error)) => {
                    failures += 1;
                    tracing::error!(%error, failures, "the engine failed");
                    let why = error.to_string();
                    self.context.health.engine(|e| {
                        e.level = Level::Degraded;
                        e.reason = why.clone();
                    });
                    // With something to fall back on, no cell waits for an engine that may not come back.
                    let once = job.context.is_live() || self.lanes[lane].fall_back.is_some();
                    let back = self.rebuild(lane, provenance, once);
                    if failures < MAX_ENGINE_FAILURES && back {
                        continue;
                    }
                    if !self.fall_back(lane, provenance, &why) {
                        return self.reject(job, RejectReason::EngineFailed, format!("the engine failed: {why}"));
                    }
                    failures = 0;
                }
                Err(panicked) => {
                    self.context.record_panic(&panicked.0);
                    let live = job.context.is_live();
                    self.rebuild(lane, provenance, live);
                    let text = format!("recognition failed on this frame: {}", panicked.0);
                    return self.reject(job, RejectReason::StageFailed, text);
                }
            }
        }
    }

    /// Lets the fallback take over for good, where there is one: it stays until the daemon is started again.
    fn fall_back(&mut self, lane: usize, provenance: &mut Arc<Provenance>, why: &str) -> bool {
        let Some(fall_back) = self.lanes[lane].fall_back.take() else { return false };
        tracing::error!(source = %self.lanes[lane].source, why, "the engine is given up; the fallback takes over");
        self.lanes[lane].make = fall_back(why.to_owned());
        self.rebuild(lane, provenance, true)
    }

    /// Makes the recognizer again; `once`: one attempt, else until the engine is back or the daemon stops.
    fn rebuild(&mut self, lane: usize, provenance: &mut Arc<Provenance>, once: bool) -> bool {
        loop {
            match (self.lanes[lane].make)() {
                Ok(recognizer) => {
                    *provenance = Arc::new(recognizer.provenance().clone());
                    self.lanes[lane].recognizer = recognizer;
                    self.context.health.engine(|e| *e = engine_state(provenance));
                    return true;
                }
                Err(error) => {
                    let why = error.to_string();
                    self.context.health.engine(|e| {
                        // Cells wait, or are rejected with the reason: nothing is lost silently.
                        e.level = Level::Degraded;
                        e.reason = why;
                    });
                    if once {
                        return false;
                    }
                }
            }
            if !self.context.clock.wait(ENGINE_RETRY, self.context.shutdown.draining()) {
                return false;
            }
        }
    }

    fn reject(&self, job: Job, reason: RejectReason, text: String) {
        // What a stopping daemon could not finish is read again next time.
        if self.context.shutdown.is_draining() && reason == RejectReason::EngineFailed {
            return job.drop_for(DropReason::Shutdown);
        }
        if let Some(rejection) = job.reject(reason, text) {
            commit::reject(&self.rejections, rejection);
        }
    }
}

/// What `state` reports of an engine and its models: degraded where there is anything to note.
pub fn engine_state(provenance: &Provenance) -> EngineState {
    EngineState {
        level: if provenance.notes.is_empty() { Level::Ok } else { Level::Degraded },
        name: provenance.engine.clone(),
        library: provenance.library.clone(),
        models: provenance.models.clone(),
        reason: provenance.notes.join("; "),
    }
}

enum Probe {
    Open,
    Closed,
}

/// Whether a channel is empty with all its senders gone. Taking an entry is left to the loop.
fn probe<T>(receiver: &Receiver<T>) -> Probe {
    let mut select = Select::new();
    select.recv(receiver);
    // Ready and still empty means: closed. (Nobody else takes from this channel but a sender that drops the oldest, and
    // that one keeps it open.)
    if select.try_ready().is_ok() && receiver.is_empty() { Probe::Closed } else { Probe::Open }
}

#[cfg(test)]
mod tests;
