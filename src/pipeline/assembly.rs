//! The stages joined by their edges: started, drained and stopped.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, select};

use super::{
    edges::{self, CAPTURE_TRIAGE, EdgeSender, INTERPRET_COMMIT, RECOGNISE_INTERPRET, TRIAGE_RECOGNISE, Workers},
    job::{Job, SourceContext},
    monitor::StageMonitor,
    order::Order,
    stages::{
        StageContext,
        capture::{CaptureStage, OpenSource},
        commit::{CommitStage, Outcome},
        interpret::{InterpretSettings, InterpretStage},
        recognise::{FallBack, Input, Lane, LaneEngine, MakeRecognizer, Recognise, RecogniseStage, Share},
        spawn,
        triage::{Assess, TriageStage},
    },
};
use crate::{
    camera::Buffers,
    clock::{Clock, SystemClock},
    config::Config,
    records::{CaseBook, CaseBookError, CaseBookSettings},
    shutdown::{Shutdown, ShutdownReceiver},
    station::Health,
    store::Store,
    web::LiveHub,
};
use domain::{ErrorKind, HasKind, frame::FramePool};
use recognition::{Provenance, RecognitionError, Recognizer};

/// What goes from recognise to interpret.
type Recognised = (Job, Arc<Provenance>);

/// How long stages may take to notice that the pipeline is abandoned; one that hangs in foreign code is left behind.
const ABANDONED_WITHIN: Duration = Duration::from_millis(300);

/// One source with the parts that belong to it alone.
pub struct SourceParts {
    /// Its name, configuration and counts.
    pub context: Arc<SourceContext>,
    /// How to open it.
    pub open: OpenSource,
    /// Makes its triage.
    pub assess: Box<dyn FnMut() -> Box<dyn Assess> + Send>,
    /// Its recognizer with all threads, ready.
    pub recognizer: Box<dyn Recognizer>,
    /// Makes its recognizers, the one with all threads again.
    pub make: MakeRecognizer,
    /// What takes over when its engine breaks, where that is allowed.
    pub fall_back: Option<FallBack>,
    /// How long frames of one scene are gathered; none: every frame goes on by itself.
    pub window: Option<Duration>,
}

impl SourceParts {
    /// A source whose first recognizer is made now; without a fallback and without a window.
    ///
    /// # Errors
    /// When the recognizer cannot be made.
    pub fn new(
        context: Arc<SourceContext>,
        open: OpenSource,
        assess: impl FnMut() -> Box<dyn Assess> + Send + 'static,
        mut make: MakeRecognizer,
    ) -> Result<Self, RecognitionError> {
        let recognizer = make(Share::All)?;
        Ok(Self { context, open, assess: Box::new(assess), recognizer, make, fall_back: None, window: None })
    }
}

/// What the pipeline is put together from. Made by [`Parts::new`], completed field by field, started by
/// [`Pipeline::start`]: by the daemon, the bench and the tests alike.
pub struct Parts {
    /// The sources.
    pub sources: Vec<SourceParts>,
    /// How cells are interpreted.
    pub interpret: InterpretSettings,
    /// The store.
    pub store: Store,
    /// The open cases.
    pub cases: CaseBook,
    /// Most memory that the frames of one source take together, in bytes.
    pub frames_bytes: u64,
    /// Threads of recognise and interpret.
    pub workers: Workers,
    /// The state of the daemon.
    pub health: Health,
    /// The live view, where the page is served.
    pub hub: Option<LiveHub>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Parts {
    /// As configured, without sources and without a live view, with the machine's clock and one worker.
    ///
    /// # Errors
    /// When the curve, the method or a level of the dose cannot be used.
    pub fn new(config: &Config, store: Store, health: Health) -> Result<Self, CaseBookError> {
        Ok(Self {
            sources: Vec::new(),
            frames_bytes: config.memory.frames_bytes(),
            workers: Workers::default(),
            interpret: InterpretSettings::from_config(config),
            cases: CaseBook::new(CaseBookSettings::from_config(config)?, store.clone()),
            store,
            health,
            hub: None,
            clock: Arc::new(SystemClock),
        })
    }
}

/// A pipeline that could not be started: the system gave no thread.
#[derive(Debug, thiserror::Error)]
#[error("cannot start a thread: {0}")]
pub struct StartError(#[from] io::Error);

impl HasKind for StartError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Internal
    }
}

/// The running pipeline.
#[derive(Debug)]
pub struct Pipeline {
    monitors: Vec<Arc<StageMonitor>>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    /// Disconnects when the last stage has ended.
    ended: Receiver<Infallible>,
}

/// Starts stages: each with a monitor and a thread of its own.
struct Starter {
    clock: Arc<dyn Clock>,
    health: Health,
    shutdown: ShutdownReceiver,
    monitors: Vec<Arc<StageMonitor>>,
    frames_bytes: u64,
    workers: Workers,
    /// Every thread holds a copy for as long as it runs.
    running: Sender<Infallible>,
    /// Wakes recognise when a source has a place free again.
    advanced: Sender<()>,
}

impl Starter {
    fn context(&mut self, name: String) -> StageContext {
        self.context_of_workers(name, 1)
    }

    fn context_of_workers(&mut self, name: String, workers: usize) -> StageContext {
        let monitor = StageMonitor::of_workers(name.clone(), self.clock.clone(), workers);
        self.monitors.push(monitor.clone());
        self.health.add_stage(&name);
        StageContext {
            monitor,
            clock: self.clock.clone(),
            health: self.health.clone(),
            shutdown: self.shutdown.clone(),
        }
    }

    fn spawn(&self, name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let running = self.running.clone();
        spawn(name, move || {
            body();
            drop(running);
        })
        .map(drop)
    }

    /// Starts capture and triage of a source; gives its input to the recognise stage.
    fn source(&mut self, parts: SourceParts, outcomes: &EdgeSender<Outcome>, hub: Option<LiveHub>) -> io::Result<Lane> {
        let SourceParts { context: source, open, assess, recognizer, make, fall_back, window } = parts;
        let name = source.name.clone();
        let (frames, for_triage) = edges::edge(CAPTURE_TRIAGE, self.shutdown.clone());
        let (selected, input) = edges::edge(TRIAGE_RECOGNISE, self.shutdown.clone());
        let triage = TriageStage {
            context: self.context(format!("triage/{name}")),
            make: assess,
            window,
            input: for_triage,
            output: selected,
            rejections: outcomes.clone(),
            hub: hub.clone(),
        };
        self.spawn(&format!("triage-{name}"), move || triage.run())?;
        let pool =
            FramePool::within(edges::pool_size(self.workers), usize::try_from(self.frames_bytes).unwrap_or(usize::MAX));
        let capture = CaptureStage {
            context: self.context(format!("capture/{name}")),
            buffers: Buffers::new(pool, !source.is_live(), self.shutdown.clone()),
            source,
            open,
            frames,
            rejections: outcomes.clone(),
        };
        self.spawn(&format!("capture-{name}"), move || capture.run())?;
        let at_once = self.workers.recognise + self.workers.interpret;
        let order = Order::new(outcomes.clone(), hub, at_once, self.advanced.clone());
        Ok(Lane { input: Input { frames: input, order }, engine: LaneEngine::new(name, recognizer, make, fall_back) })
    }

    /// Starts the workers of recognise and interpret.
    fn workers(
        &mut self,
        lanes: Vec<Lane>,
        advanced: Receiver<()>,
        outcomes: EdgeSender<Outcome>,
        make_interpret: impl Fn(StageContext, usize, Receiver<Recognised>, EdgeSender<Outcome>) -> InterpretStage,
    ) -> io::Result<()> {
        let Workers { recognise, interpret } = self.workers;
        let (output, input) = edges::edge(RECOGNISE_INTERPRET, self.shutdown.clone());
        let shared = Recognise::new(lanes, advanced);
        let context = self.context_of_workers("recognise".into(), recognise);
        for worker in 0..recognise.max(1) {
            let (context, shared, output, rejections) =
                (context.clone(), shared.clone(), output.clone(), outcomes.clone());
            let stage = RecogniseStage { context, worker, shared, output, rejections };
            self.spawn(&format!("recognise-{worker}"), move || stage.run())?;
        }
        let context = self.context_of_workers("interpret".into(), interpret);
        for worker in 0..interpret.max(1) {
            let stage = make_interpret(context.clone(), worker, input.clone(), outcomes.clone());
            self.spawn(&format!("interpret-{worker}"), move || stage.run())?;
        }
        Ok(())
    }
}

impl Pipeline {
    /// Starts a thread for each stage.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(parts: Parts) -> Result<Self, StartError> {
        let Parts { sources, interpret, frames_bytes, workers, store, cases, health, hub, clock } = parts;
        let shutdown = Shutdown::default();
        let (running, ended) = bounded(0);
        let (advanced, woken) = bounded(1);
        let receiver = shutdown.receiver();
        let mut starter = Starter {
            clock: clock.clone(),
            health,
            shutdown: receiver.clone(),
            monitors: Vec::new(),
            frames_bytes,
            workers,
            running,
            advanced,
        };
        let (outcomes, finished) = edges::edge(INTERPRET_COMMIT, receiver);
        let lanes = sources
            .into_iter()
            .map(|source| starter.source(source, &outcomes, hub.clone()))
            .collect::<io::Result<Vec<Lane>>>()?;
        let (station, outbox_full, thumbnails) =
            (interpret.station.clone(), interpret.outbox_full, interpret.thumbnails);
        let settings = Arc::new(interpret);
        starter.workers(lanes, woken, outcomes, |context, worker, input, output| InterpretStage {
            context,
            worker,
            settings: settings.clone(),
            input,
            output,
            images: store.images(),
            hub: hub.clone(),
        })?;
        let context = starter.context("commit".into());
        let commit = CommitStage { context, station, outbox_full, store, cases, input: finished, hub, thumbnails };
        starter.spawn("commit", move || commit.run())?;
        Ok(Self { monitors: starter.monitors, clock, shutdown, ended })
    }

    /// The monitors of the stages.
    pub fn monitors(&self) -> &[Arc<StageMonitor>] {
        &self.monitors
    }

    /// The shutdown of the pipeline, for what ends with it.
    pub fn shutdown(&self) -> ShutdownReceiver {
        self.shutdown.receiver()
    }

    /// True when every stage has ended: all sources are finished and everything is on the disk.
    pub fn is_finished(&self) -> bool {
        self.ended.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Ends: sources stop, what was accepted is finished within `limit`, the rest is abandoned and counts as dropped by
    /// the shutdown (a lossless source reads it again next time). True when nothing had to be given up.
    pub fn stop(&self, limit: Duration) -> bool {
        self.shutdown.drain();
        let drained = self.wait_finished(limit);
        self.shutdown.abandon();
        drained || {
            // The frame of a stage that hangs in foreign code counts as in flight.
            self.wait_finished(ABANDONED_WITHIN);
            false
        }
    }

    /// Waits up to `limit` until every stage has ended; true when they have.
    pub fn wait_finished(&self, limit: Duration) -> bool {
        select! {
            recv(self.ended) -> _ => true,
            recv(self.clock.after(limit)) -> _ => self.is_finished(),
        }
    }
}
