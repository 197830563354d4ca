//! Recognise: the networks, for all sources, on several workers. They take one frame of each source in turn, so that none
//! starves another. Of the engines of a source one has all threads: whoever comes first takes it, so that a frame that comes
//! alone has them all. Those who come while it works have engines with their share of the threads, made when they are needed.

mod intake;

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

pub use self::intake::Input;
use self::intake::{Intake, Taken};
use super::{StageContext, commit};
use crate::{
    config::Mode,
    pipeline::{
        edges::{EdgeSender, Sent},
        job::Job,
    },
    station::{DropReason, EngineState, Level, RejectReason},
};
use recognition::{Provenance, RecognitionError, Recognizer};

/// What a recognizer has of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// All threads.
    All,
    /// One of the workers' shares.
    Worker,
}

/// Makes a recognizer of one source with that share; again after a panic or an engine's failure.
pub type MakeRecognizer = Box<dyn FnMut(Share) -> Result<Box<dyn Recognizer>, RecognitionError> + Send>;

/// Makes the recognizer that takes over when the engine is broken, given the reason; used at most once a source.
pub type FallBack = Box<dyn FnOnce(String) -> MakeRecognizer + Send>;

/// Pause between attempts to get a failed engine back.
pub(super) const ENGINE_RETRY: Duration = Duration::from_secs(2);
/// How often one frame may make a working engine fail before it is rejected.
const MAX_ENGINE_FAILURES: u32 = 2;

/// One source of the stage.
pub struct Lane {
    /// Its frames, from triage.
    pub input: Input,
    /// Its name, and what makes its recognizers.
    pub engine: LaneEngine,
}

/// What makes the recognizers of a source, and the one with all threads.
pub struct LaneEngine {
    source: Arc<str>,
    made: Mutex<Maker>,
    /// Counts fallbacks: recognizers of before are made again.
    generation: AtomicU64,
    idle: Mutex<Idle>,
    /// Receives when an engine is at work no more.
    returned: Condvar,
}

struct Idle {
    /// Engines that are not at work: at most one for each worker.
    engines: Vec<Engine>,
    /// No engine could be made beside those there are (a device may have no memory for one): workers wait for them.
    none_further: bool,
}

struct Maker {
    make: MakeRecognizer,
    /// What takes over when the engine is broken, where the configuration allows it.
    fall_back: Option<FallBack>,
}

impl LaneEngine {
    /// Of the source of that name, whose `recognizer` with all threads is ready.
    pub fn new(
        source: Arc<str>,
        recognizer: Box<dyn Recognizer>,
        make: MakeRecognizer,
        fall_back: Option<FallBack>,
    ) -> Self {
        let mut with_all = Engine::unmade(Share::All);
        with_all.put((recognizer, 0));
        Self {
            source,
            made: Mutex::new(Maker { make, fall_back }),
            generation: AtomicU64::new(0),
            idle: Mutex::new(Idle { engines: vec![with_all], none_further: false }),
            returned: Condvar::new(),
        }
    }

    fn maker(&self) -> MutexGuard<'_, Maker> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An engine: the one with all threads where it is not at work, else one with a share, made where none is left and one
    /// can be made.
    fn take(&self) -> Engine {
        let mut idle = self.idle();
        loop {
            let engines = &mut idle.engines;
            let best = engines.iter().position(|engine| engine.share == Share::All).or(engines.len().checked_sub(1));
            match best {
                Some(place) => return engines.swap_remove(place),
                None if !idle.none_further => return Engine::unmade(Share::Worker),
                // Each is put back when its frame has ended, whatever became of it.
                None => idle = self.returned.wait(idle).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn put_back(&self, engine: Engine) {
        self.idle().engines.push(engine);
        self.returned.notify_one();
    }

    /// A recognizer with that share, and its generation.
    fn make(&self, share: Share) -> Result<(Box<dyn Recognizer>, u64), RecognitionError> {
        // The generation changes under this lock only.
        let mut maker = self.maker();
        Ok(((maker.make)(share)?, self.generation.load(SeqCst)))
    }
}

/// A recognizer of one source, and what it rests on.
struct Engine {
    share: Share,
    /// None until it is needed for the first time.
    recognizer: Option<Box<dyn Recognizer>>,
    provenance: Arc<Provenance>,
    generation: u64,
}

impl Engine {
    fn unmade(share: Share) -> Self {
        Self { share, recognizer: None, provenance: Arc::default(), generation: 0 }
    }

    fn put(&mut self, (recognizer, generation): (Box<dyn Recognizer>, u64)) -> &mut dyn Recognizer {
        self.provenance = Arc::new(recognizer.provenance().clone());
        self.generation = generation;
        &mut **self.recognizer.insert(recognizer)
    }
}

/// What the workers of the stage share.
pub struct Recognise {
    intake: Intake,
    engines: Vec<LaneEngine>,
}

impl Recognise {
    /// Of these sources. `advanced` receives when a frame of one of them has ended, so that a place may be free.
    pub fn new(lanes: Vec<Lane>, advanced: crossbeam_channel::Receiver<()>) -> Arc<Self> {
        let (inputs, engines) = lanes.into_iter().map(|lane| (lane.input, lane.engine)).unzip();
        Arc::new(Self { intake: Intake::new(inputs, advanced), engines })
    }
}

/// A worker of the recognise stage.
pub struct RecogniseStage {
    /// Monitor, clock, health and shutdown.
    pub context: StageContext,
    /// Its number among the workers, from 0.
    pub worker: usize,
    /// What it shares with the others.
    pub shared: Arc<Recognise>,
    /// Recognised frames.
    pub output: EdgeSender<(Job, Arc<Provenance>)>,
    /// Rejections that are published.
    pub rejections: EdgeSender<commit::Outcome>,
}

impl RecogniseStage {
    /// Runs until every source has ended and its last frame is taken.
    pub fn run(self) {
        let mut held = None;
        while let Some(Taken { lane, job }) = held.take().or_else(|| self.shared.intake.take(&self.context.shutdown)) {
            let of_lane = &self.shared.engines[lane];
            let mut engine = of_lane.take();
            held = self.send_ahead(lane, &mut engine);
            let recognised = self.process(lane, job, &mut engine);
            // Back before the frame goes on: another one that comes then finds it.
            of_lane.put_back(engine);
            if let Some(recognised) = recognised
                && let Sent::Abandoned((job, _)) = self.output.send(recognised, Mode::Lossless)
            {
                job.drop_for(DropReason::Shutdown);
            }
        }
    }

    /// An engine with a device takes the next frame up beside the work on this one.
    fn send_ahead(&self, lane: usize, engine: &mut Engine) -> Option<Taken> {
        let recognizer = engine.recognizer.as_mut().filter(|recognizer| recognizer.supports_prefetch())?;
        let next = self.shared.intake.try_take()?;
        if next.lane == lane {
            recognizer.prefetch(&next.job.frame);
        } else {
            let mut others = self.shared.engines[next.lane].idle();
            if let Some(recognizer) = others.engines.first_mut().and_then(|other| other.recognizer.as_mut()) {
                recognizer.prefetch(&next.job.frame);
            }
        }
        Some(next)
    }

    /// The frame with what was recognised on it; none when it has ended here.
    fn process(&self, lane: usize, mut job: Job, engine: &mut Engine) -> Option<(Job, Arc<Provenance>)> {
        let _span = tracing::debug_span!("frame", source = %job.context.name, frame = job.frame.info.id.0).entered();
        let mut failures = 0;
        job.spend(self.context.clock.now(), |timings| &mut timings.queue);
        loop {
            if self.context.shutdown.is_abandoned() {
                job.drop_for(DropReason::Shutdown);
                return None;
            }
            let result = self.context.monitor.run_as(self.worker, self.shared.intake.waiting(lane), || {
                let recognizer = self.ready(lane, engine)?;
                recognizer.recognise(&job.frame, &job.regions)
            });
            job.spend(self.context.clock.now(), |timings| &mut timings.recognise);
            match result {
                Ok(Ok(recognised)) => {
                    job.recognised = recognised;
                    return Some((job, engine.provenance.clone()));
                }
                Ok(Err(error)) if engine.share == Share::Worker && engine.recognizer.is_none() => {
                    // It was one more: those there are work, and the frame waits for one of them.
                    let of_lane = &self.shared.engines[lane];
                    tracing::warn!(
                        source = %of_lane.source, %error,
                        "no engine can be made beside those at work: until the next start frames wait for them"
                    );
                    of_lane.idle().none_further = true;
                    *engine = of_lane.take();
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
                    let once = job.context.is_live() || self.shared.engines[lane].maker().fall_back.is_some();
                    let back = self.rebuild(lane, engine, once);
                    if failures < MAX_ENGINE_FAILURES && back {
                        continue;
                    }
                    if !self.fall_back(lane, engine, &why) {
                        self.reject(job, RejectReason::EngineFailed, format!("the engine failed: {why}"));
                        return None;
                    }
                    failures = 0;
                }
                Err(panicked) => {
                    self.context.record_panic(&panicked.0);
                    let live = job.context.is_live();
                    self.rebuild(lane, engine, live);
                    let text = format!("recognition failed on this frame: {}", panicked.0);
                    self.reject(job, RejectReason::StageFailed, text);
                    return None;
                }
            }
        }
    }

    /// The recognizer of `engine`: made now where it was never needed before, or where a fallback has taken over since.
    fn ready<'e>(&self, lane: usize, engine: &'e mut Engine) -> Result<&'e mut dyn Recognizer, RecognitionError> {
        let of_lane = &self.shared.engines[lane];
        let is_current = engine.generation == of_lane.generation.load(SeqCst);
        match engine.recognizer.take().filter(|_| is_current) {
            Some(recognizer) => Ok(&mut **engine.recognizer.insert(recognizer)),
            None => of_lane.make(engine.share).map(|made| engine.put(made)),
        }
    }

    /// Lets the fallback take over for good, where there is one: it stays until the daemon is started again.
    fn fall_back(&self, lane: usize, engine: &mut Engine, why: &str) -> bool {
        let of_lane = &self.shared.engines[lane];
        let mut maker = of_lane.maker();
        match maker.fall_back.take() {
            Some(fall_back) => {
                tracing::error!(source = %of_lane.source, why, "the engine is given up; the fallback takes over");
                maker.make = fall_back(why.to_owned());
                of_lane.generation.fetch_add(1, SeqCst);
            }
            // Another worker was first: its fallback serves this frame as well.
            None if engine.generation != of_lane.generation.load(SeqCst) => {}
            None => return false,
        }
        drop(maker);
        self.rebuild(lane, engine, true)
    }

    /// Makes the recognizer again; `once`: one attempt, else until the engine is back or the daemon stops.
    fn rebuild(&self, lane: usize, engine: &mut Engine, once: bool) -> bool {
        loop {
            match self.shared.engines[lane].make(engine.share) {
                Ok(made) => {
                    engine.put(made);
                    self.context.health.engine(|e| {
                        let mut now = engine_state(&engine.provenance);
                        if engine.share == Share::Worker && e.name == now.name {
                            // What stands there is of the engine with all threads.
                            now.library = std::mem::take(&mut e.library);
                        }
                        *e = now;
                    });
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

#[cfg(test)]
mod tests;
