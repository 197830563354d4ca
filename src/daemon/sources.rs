//! The configured sources, ready for the pipeline: how each is opened, its triage and its recognizer.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use domain::{Assay, ErrorKind};
use sd_notify::NotifyState;

use super::{StartError, facts::report_models, notify};
use crate::{
    config::{Config, Loaded, Mode},
    pipeline::{
        FrameTriage, SourceParts, Thresholds,
        edges::Workers,
        job::SourceContext,
        sources,
        stages::recognise::{FallBack, MakeRecognizer, Share},
    },
    station::Health,
    store::Store,
};
use recognition::{
    ComposedRecognizer, Recognition,
    inference::{self, ChosenEngine, EngineError, Fallback, ModelLibrary},
};

/// How often systemd is asked for more time while the engine is made.
const EXTEND_EVERY: Duration = Duration::from_secs(5);
/// Time that is asked for, in microseconds.
const EXTEND_BY_US: u32 = 30_000_000;

/// The configured sources, known to `health`.
pub fn register(config: &Config, health: &Health) -> Vec<Arc<SourceContext>> {
    let contexts: Vec<_> =
        config.sources().into_iter().map(|(name, source)| SourceContext::register(&name, source, health)).collect();
    // The page shows the case that the configuration names; of several sources the first that names one.
    if let Some(sample) = contexts.iter().map(|c| c.sample()).find(|sample| sample.case.is_some()) {
        health.set_case(sample.case.as_deref().map(str::to_owned), sample.slide.as_deref().map(str::to_owned));
    }
    contexts
}

/// Everything that the sources need, models on `engine` included, and how many frames that recognises side by side.
///
/// # Errors
/// When a source cannot be driven or a recognizer cannot be made.
pub fn prepare(
    loaded: &Loaded,
    engine: Option<ChosenEngine>,
    thresholds: &Thresholds,
    contexts: &[Arc<SourceContext>],
    store: &Store,
    health: &Health,
) -> Result<(Vec<SourceParts>, Workers), StartError> {
    let config = &loaded.config;
    let engine = engine.map_or_else(|| inference::choose(&config.inference), Ok);
    let engine = engine.map_err(StartError::of(ErrorKind::Unavailable))?;
    // Interpretation is the processor's work whatever runs the networks.
    let workers = Workers { recognise: engine.workers(), interpret: inference::threads(&config.inference) };
    tracing::info!(engine = engine.engine.name(), why = engine.why, workers = workers.recognise, "engine chosen");
    let library = ModelLibrary::find(config.inference.models.as_deref(), loaded.file.as_deref());
    let _more_time = MoreTime::ask();
    let sources: Result<Vec<SourceParts>, StartError> = contexts
        .iter()
        .map(|context| {
            let open = sources::opener(context, config.assay, store, config.memory.picture_bytes())?;
            let (thresholds, stain, search) = (thresholds.clone(), context.config.stain, context.config.search);
            let recognition = Recognition {
                classes_unused: config.assay == Assay::Dicentric,
                ..Recognition::configured(&config.inference, stain)
            };
            let parts = SourceParts::new(
                context.clone(),
                open,
                move || Box::new(FrameTriage::with(thresholds.clone(), stain).searching(search)),
                maker(recognition.clone(), library.clone(), engine.clone()),
            )
            .map_err(StartError::of(ErrorKind::Unavailable))?;
            report_models(health, &*parts.recognizer);
            Ok(SourceParts {
                fall_back: fall_back(config, recognition, &library, &engine),
                window: (context.mode == Mode::Freshest).then(|| Duration::from_millis(config.triage.window_ms)),
                ..parts
            })
        })
        .collect();
    Ok((sources?, workers))
}

/// What takes over when the engine breaks, where the configuration allows it.
fn fall_back(
    config: &Config,
    recognition: Recognition,
    library: &ModelLibrary,
    engine: &ChosenEngine,
) -> Option<FallBack> {
    if config.inference.fallback != Fallback::Cpu || engine.engine.name() == "cpu" {
        return None;
    }
    let (library, inference) = (library.clone(), config.inference.clone());
    Some(Box::new(move |why| maker(recognition, library, inference::fallback(&inference, why))))
}

/// Makes recognizers of a source with an engine.
fn maker(recognition: Recognition, library: ModelLibrary, engine: ChosenEngine) -> MakeRecognizer {
    Box::new(move |share| {
        let open = || {
            let engine = if share == Share::All { engine.clone() } else { engine.of_worker()? };
            ComposedRecognizer::open(&recognition, &library, &engine)
        };
        // Loading takes several times what a network keeps. On a thread of its own that is given back and taken again by
        // the next one; on a worker's it would stay with the worker.
        let made = std::thread::scope(|scope| scope.spawn(open).join());
        // A panic while it loads is an engine that cannot be had, not the end of the worker that asked for it.
        let panicked = |_| {
            let (reason, remedy) = ("loading its networks panicked".into(), "see the log".into());
            Err(EngineError::Unavailable { engine: engine.engine.name(), reason, remedy }.into())
        };
        made.unwrap_or_else(panicked).map(|recognizer| Box::new(recognizer) as _)
    })
}

/// Asks systemd for more time for as long as it lives: TensorRT may build for minutes at the first start.
struct MoreTime(Option<mpsc::Sender<()>>);

impl MoreTime {
    fn ask() -> Self {
        let (alive, ended) = mpsc::channel::<()>();
        let ask = move || {
            while ended.recv_timeout(EXTEND_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                notify(&[NotifyState::ExtendTimeoutUsec(EXTEND_BY_US)]);
            }
        };
        // Without the thread systemd's own limit holds.
        let started = std::thread::Builder::new().name("more-time".to_owned()).spawn(ask);
        Self(started.ok().map(|_| alive))
    }
}

impl Drop for MoreTime {
    fn drop(&mut self) {
        self.0.take();
    }
}
