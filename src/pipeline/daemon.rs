//! The stages joined by their edges, started, drained and stopped.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    casebook::CaseBook,
    clock::Clock,
    edges::{self, CAPTURE_TRIAGE, INTERPRET_COMMIT, RECOGNISE_INTERPRET, TRIAGE_RECOGNISE},
    job::SourceContext,
    monitor::StageMonitor,
    stages::{
        StageContext,
        capture::{CaptureStage, OpenSource},
        commit::CommitStage,
        interpret::{InterpretSettings, InterpretStage},
        recognise::{FallBack, Lane, MakeRecognizer, RecogniseStage},
        spawn,
        triage::{Assess, TriageStage},
    },
};
use crate::{camera::Buffers, station::Health, store::Store, web::LiveHub};
use domain::frame::FramePool;
use recognition::{RecognitionError, Recognizer};

/// One source with what sample to it alone.
pub struct SourceParts {
    /// What it is.
    pub context: Arc<SourceContext>,
    /// How to open it.
    pub open: OpenSource,
    /// Makes its triage.
    pub assess: Box<dyn FnMut() -> Box<dyn Assess> + Send>,
    /// Its recognizer, ready.
    pub recognizer: Box<dyn Recognizer>,
    /// Makes its recognizer anew.
    pub make: MakeRecognizer,
    /// What takes over when its engine breaks, where that is allowed.
    pub fall_back: Option<FallBack>,
    /// How long frames of one scene are gathered; none: every frame goes on by itself.
    pub window: Option<Duration>,
}

/// What the pipeline is put together from.
pub struct Parts {
    /// The sources.
    pub sources: Vec<SourceParts>,
    /// How cells are interpreted.
    pub interpret: InterpretSettings,
    /// The store.
    pub store: Store,
    /// The open cases.
    pub cases: CaseBook,
    /// The picture of the daemon.
    pub health: Health,
    /// People who watch.
    pub hub: Option<LiveHub>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Why the pipeline could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
    /// A recognizer could not be made.
    #[error(transparent)]
    Recognition(#[from] RecognitionError),
}

/// The running pipeline.
pub struct Pipeline {
    threads: Vec<JoinHandle<()>>,
    monitors: Vec<Arc<StageMonitor>>,
    sources: Vec<Arc<SourceContext>>,
    stop: Arc<AtomicBool>,
    abandon: Arc<AtomicBool>,
}

impl Pipeline {
    /// Starts a thread for each stage.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(parts: Parts) -> Result<Self, StartError> {
        let Parts { sources, interpret, store, cases, health, hub, clock } = parts;
        let stop = Arc::new(AtomicBool::new(false));
        let abandon = Arc::new(AtomicBool::new(false));
        let mut monitors = Vec::new();
        let mut context = |name: String| {
            let monitor = StageMonitor::new(name.clone(), clock.clone());
            monitors.push(monitor.clone());
            health.add_stage(&name);
            StageContext {
                monitor,
                clock: clock.clone(),
                health: health.clone(),
                stop: stop.clone(),
                abandon: abandon.clone(),
            }
        };
        let (outcomes, finished) = edges::edge(INTERPRET_COMMIT, abandon.clone());
        let (recognised, for_interpret) = edges::edge(RECOGNISE_INTERPRET, abandon.clone());
        let mut threads = Vec::new();
        let mut contexts = Vec::new();
        let mut lanes = Vec::new();
        for source in sources {
            let SourceParts { context: source_context, open, assess, recognizer, make, fall_back, window } = source;
            let name = source_context.name.clone();
            let (frames, for_triage) = edges::edge(CAPTURE_TRIAGE, abandon.clone());
            let (selected, for_recognise) = edges::edge(TRIAGE_RECOGNISE, abandon.clone());
            lanes.push(Lane { source: name.clone(), input: for_recognise, make, fall_back, recognizer });
            let triage = TriageStage {
                context: context(format!("triage/{name}")),
                make: assess,
                window,
                input: for_triage,
                output: selected,
                rejections: outcomes.clone(),
                hub: hub.clone(),
            };
            threads.push(spawn(&format!("triage-{name}"), move || triage.run())?);
            let lossless = !source_context.is_live();
            let capture = CaptureStage {
                context: context(format!("capture/{name}")),
                source: source_context.clone(),
                open,
                buffers: Buffers::new(FramePool::new(edges::pool_size()), lossless, stop.clone()),
                frames,
                rejections: outcomes.clone(),
            };
            threads.push(spawn(&format!("capture-{name}"), move || capture.run())?);
            contexts.push(source_context);
        }
        let recognise = RecogniseStage {
            context: context("recognise".into()),
            lanes,
            output: recognised,
            rejections: outcomes.clone(),
        };
        threads.push(spawn("recognise", move || recognise.run())?);
        let (station, outbox_full) = (interpret.station.clone(), interpret.outbox_full);
        let interpret = InterpretStage {
            context: context("interpret".into()),
            settings: interpret,
            input: for_interpret,
            output: outcomes,
            images: store.images(),
            cases,
            hub: hub.clone(),
        };
        threads.push(spawn("interpret", move || interpret.run())?);
        let commit =
            CommitStage { context: context("commit".into()), station, outbox_full, store, input: finished, hub };
        threads.push(spawn("commit", move || commit.run())?);
        Ok(Self { threads, monitors, sources: contexts, stop, abandon })
    }

    /// A pipeline without stages, to be left behind when the real one is stopped.
    pub fn nothing() -> Self {
        Self {
            threads: Vec::new(),
            monitors: Vec::new(),
            sources: Vec::new(),
            stop: Arc::default(),
            abandon: Arc::default(),
        }
    }

    /// The sources.
    pub fn sources(&self) -> &[Arc<SourceContext>] {
        &self.sources
    }

    /// The monitors of the stages.
    pub fn monitors(&self) -> &[Arc<StageMonitor>] {
        &self.monitors
    }

    /// True when every stage has ended: all sources are finished and everything is on the disk.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Ends: sources stop, what was accepted is finished within `limit`, the rest counts as dropped by the shutdown
    /// (a lossless source reads it again next time). True when nothing had to be given up.
    pub fn stop(self, limit: Duration) -> bool {
        self.stop.store(true, Relaxed);
        let until = Instant::now() + limit;
        let wait = |until: Instant, threads: &[JoinHandle<()>]| {
            while !threads.iter().all(JoinHandle::is_finished) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            threads.iter().all(JoinHandle::is_finished)
        };
        if wait(until, &self.threads) {
            return true;
        }
        self.abandon.store(true, Relaxed);
        // A stage that hangs in foreign code is left behind; its frame counts as in flight.
        wait(Instant::now() + Duration::from_millis(300), &self.threads);
        false
    }
}
