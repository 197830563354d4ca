//! The stages joined by their edges: started, drained and stopped.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, select};

use super::{
    edges::{self, CAPTURE_TRIAGE, EdgeSender, INTERPRET_COMMIT, RECOGNISE_INTERPRET, TRIAGE_RECOGNISE},
    job::SourceContext,
    monitor::StageMonitor,
    stages::{
        StageContext,
        capture::{CaptureStage, OpenSource},
        commit::{CommitStage, Outcome},
        interpret::{InterpretSettings, InterpretStage},
        recognise::{FallBack, Lane, MakeRecognizer, RecogniseStage},
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
use recognition::{RecognitionError, Recognizer};

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
    /// Its recognizer, ready.
    pub recognizer: Box<dyn Recognizer>,
    /// Makes its recognizer again.
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
        let recognizer = make()?;
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
    /// The state of the daemon.
    pub health: Health,
    /// The live view, where the page is served.
    pub hub: Option<LiveHub>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Parts {
    /// As configured, without sources and without a live view, with the machine's clock.
    ///
    /// # Errors
    /// When the curve, the method or a level of the dose cannot be used.
    pub fn new(config: &Config, store: Store, health: Health) -> Result<Self, CaseBookError> {
        Ok(Self {
            sources: Vec::new(),
            frames_bytes: config.memory.frames_bytes(),
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
    /// Every thread holds a copy for as long as it runs.
    running: Sender<Infallible>,
}

impl Starter {
    fn context(&mut self, name: String) -> StageContext {
        let monitor = StageMonitor::new(name.clone(), self.clock.clone());
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
            hub,
        };
        self.spawn(&format!("triage-{name}"), move || triage.run())?;
        let pool = FramePool::within(edges::pool_size(), usize::try_from(self.frames_bytes).unwrap_or(usize::MAX));
        let capture = CaptureStage {
            context: self.context(format!("capture/{name}")),
            buffers: Buffers::new(pool, !source.is_live(), self.shutdown.clone()),
            source,
            open,
            frames,
            rejections: outcomes.clone(),
        };
        self.spawn(&format!("capture-{name}"), move || capture.run())?;
        Ok(Lane { source: name, input, make, fall_back, recognizer })
    }
}

impl Pipeline {
    /// Starts a thread for each stage.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(parts: Parts) -> Result<Self, StartError> {
        let Parts { sources, interpret, frames_bytes, store, cases, health, hub, clock } = parts;
        let shutdown = Shutdown::default();
        let (running, ended) = bounded(0);
        let receiver = shutdown.receiver();
        let mut starter = Starter {
            clock: clock.clone(),
            health,
            shutdown: receiver.clone(),
            monitors: Vec::new(),
            frames_bytes,
            running,
        };
        let (outcomes, finished) = edges::edge(INTERPRET_COMMIT, receiver.clone());
        let (recognised, for_interpret) = edges::edge(RECOGNISE_INTERPRET, receiver);
        let lanes = sources
            .into_iter()
            .map(|source| starter.source(source, &outcomes, hub.clone()))
            .collect::<io::Result<Vec<Lane>>>()?;
        let recognise = RecogniseStage {
            context: starter.context("recognise".into()),
            lanes,
            output: recognised,
            rejections: outcomes.clone(),
        };
        starter.spawn("recognise", move || recognise.run())?;
        let (station, outbox_full, thumbnails) =
            (interpret.station.clone(), interpret.outbox_full, interpret.thumbnails);
        let interpret = InterpretStage {
            context: starter.context("interpret".into()),
            settings: interpret,
            input: for_interpret,
            output: outcomes,
            images: store.images(),
            hub: hub.clone(),
        };
        starter.spawn("interpret", move || interpret.run())?;
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
