//! The daemon put together: store, page, broker and pipeline, watched until it ends.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use sd_notify::NotifyState;

use super::{
    PAGE_KEY, Signals,
    banner::{Progress, banner},
    broker::start_broker,
    facts::{birth, report_models},
    state_folder,
};
use crate::{
    cli::{Exit, Failure},
    config::{Config, Loaded, Mode},
    mqtt::MqttSession,
    pipeline::{
        FrameTriage, Parts, Pipeline, SourceParts,
        casebook::{CaseBook, CaseBookSettings},
        clock::SystemClock,
        job::SourceContext,
        records::RecordService,
        sources,
        stages::{
            interpret::InterpretSettings,
            recognise::{FallBack, MakeRecognizer},
        },
        supervisor::{self, Finding},
    },
    station::{CommandInbox, Health, Level, SourceState, command_channel},
    store::{Store, StoreOptions},
    web::{self, LiveHub, LiveSource, WebOptions, WebParts},
};
use karyotype::KaryotypeSettings;
use recognition::{
    ComposedRecognizer, Recognition,
    inference::Fallback,
    inference::{self, ChosenEngine, ModelLibrary},
};

/// How often the supervisor looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often a line of progress is written where there is no terminal.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// How often changed cases are told.
const CASES_EVERY: Duration = Duration::from_secs(1);
/// How often the quota is enforced.
const CLEAN_EVERY: Duration = Duration::from_secs(60);
/// Time for the broker to take what still waits at the end.
const GOODBYE: Duration = Duration::from_millis(400);
/// Begins the reason in `state` when the quota cannot be kept.
const OVER_QUOTA: &str = "over store.quota";

/// The running daemon.
pub struct Daemon {
    pub(super) config: Config,
    pub(super) health: Health,
    pub(super) store: Store,
    pub(super) pipeline: Pipeline,
    pub(super) session: Option<MqttSession>,
    pub(super) page: Option<(tokio::task::JoinHandle<()>, tokio::sync::oneshot::Sender<()>)>,
    pub(super) commands: CommandInbox,
    pub(super) records: RecordService,
    pub(super) progress: Progress,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) started: Instant,
}

impl Daemon {
    /// Takes everything that can be taken by another first (store, ports), so that a conflict is told at once.
    pub fn start(loaded: &Loaded, runtime: &tokio::runtime::Runtime, progress: Progress) -> Result<Self, Failure> {
        let config = loaded.config.clone();
        let folder = state_folder(&config)?;
        let options = StoreOptions { outbox_cap: config.mqtt.outbox_cap, quota: config.store.quota_bytes() };
        let store = Store::open(&folder, options)?;
        let page = WebOptions::from_config(&config.web)?.map(web::bind).transpose()?;
        let broker = start_broker(&config)?;

        let health = Health::new(birth(loaded));
        let contexts = contexts(&config, &health);
        // The page shows the case that the configuration names; of several sources the first that names one.
        if let Some(sample) = contexts.iter().map(|c| c.sample()).find(|sample| sample.case.is_some()) {
            health.set_case(sample.case.as_deref().map(str::to_owned), sample.slide.as_deref().map(str::to_owned));
        }
        let engine = inference::choose(&config.inference).map_err(|e| Failure::new(Exit::Unavailable, e))?;
        tracing::info!(engine = engine.engine.name(), why = engine.why, "engine chosen");
        let library = ModelLibrary::find(config.inference.models.as_deref(), loaded.file.as_deref());
        let hub = LiveHub::new(
            contexts
                .iter()
                .map(|c| LiveSource { name: c.name.clone(), bright_field: !c.config.stain.is_fluorescence() }),
        );
        let mut parts = Vec::new();
        let _patience = Patience::ask();
        for context in &contexts {
            let open = sources::opener(context, config.assay, store.reader())
                .map_err(|e| Failure::new(Exit::Unavailable, e))?;
            let recognition = Recognition::configured(&config.inference, context.config.stain);
            let mut make = maker(recognition.clone(), library.clone(), engine.clone());
            let recognizer = make().map_err(|e| Failure::new(Exit::Unavailable, e))?;
            let may_fall_back = config.inference.fallback == Fallback::Cpu && engine.engine.name() != "cpu";
            let fall_back = may_fall_back.then(|| {
                let (library, inference) = (library.clone(), config.inference.clone());
                let taken_over = move |why| maker(recognition, library, inference::fallback(&inference, why));
                Box::new(taken_over) as FallBack
            });
            report_models(&health, &*recognizer);
            let (triage, stain) = (config.triage.clone(), context.config.stain);
            parts.push(SourceParts {
                context: context.clone(),
                open,
                assess: Box::new(move || Box::new(FrameTriage::new(&triage, stain)) as _),
                recognizer,
                make,
                fall_back,
                window: (context.mode == Mode::Freshest).then(|| Duration::from_millis(config.triage.window_ms)),
            });
        }
        let (outbox, commands) = command_channel(64);
        let karyotype = KaryotypeSettings::with_disclosure(config.karyotype.sex);
        let cases = CaseBook::new(CaseBookSettings::from_config(&config)?, store.clone());
        let pipeline = Pipeline::start(Parts {
            sources: parts,
            interpret: InterpretSettings::from_config(&config),
            store: store.clone(),
            cases: cases.clone(),
            health: health.clone(),
            hub: Some(hub.clone()),
            clock: Arc::new(SystemClock),
        })
        .map_err(|e| Failure::new(Exit::Internal, e))?;

        let session = match &broker {
            None => None,
            Some(settings) => {
                let mut session = MqttSession::start(
                    runtime.handle(),
                    settings.settings.clone(),
                    store.clone(),
                    health.clone(),
                    outbox.clone(),
                )?;
                if config.mqtt.required && !session.wait_connected(Duration::from_secs(10)) {
                    let url = settings.settings.url();
                    return Err(Failure::new(
                        Exit::Unavailable,
                        format!("the broker {url} does not let us in within 10 s, and mqtt.required is set"),
                    ));
                }
                Some(session)
            }
        };
        banner(page.as_ref().map(|p| p.url()), broker.as_ref(), &config, &folder, &health);
        // Commands of this machine that write while we hold the store find us by this.
        if let Err(error) = store.set_meta(PAGE_KEY, &page.as_ref().map_or_else(String::new, |p| p.url())) {
            tracing::warn!(%error, "where the page is cannot be kept: `metaphased case` will not find it");
        }
        let page = page.map(|bound| {
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let parts =
                WebParts { health: health.clone(), hub: hub.clone(), store: store.reader(), commands: outbox.clone() };
            let told = health.clone();
            let task = runtime.spawn(async move {
                let stopped = async {
                    // An error means that the daemon is gone: stopping as well.
                    let _ = stopped.await;
                };
                if let Err(error) = bound.serve(parts, stopped).await {
                    tracing::error!(%error, "the page ended");
                    told.stage("page", |s| {
                        s.level = Level::Failed;
                        s.reason = error.to_string();
                    });
                }
            });
            (task, stop)
        });
        notify(&[NotifyState::Ready]);
        let records = RecordService { store: store.clone(), cases, karyotype, hub };
        for case in contexts.iter().filter_map(|context| context.sample().case) {
            records.reopen_configured(&case, &jiff::Timestamp::now().to_string())?;
        }
        Ok(Self {
            config,
            health,
            store,
            pipeline,
            session,
            page,
            commands,
            records,
            progress,
            runtime: runtime.handle().clone(),
            started: Instant::now(),
        })
    }

    /// Looks after the pipeline until a signal or a broken stage ends it.
    pub fn watch(mut self, signals: &Signals) -> Result<Exit, Failure> {
        let mut exit = Exit::Done;
        let mut said = Instant::now();
        let mut cleaned = Instant::now();
        let mut cased = Instant::now();
        while !signals.asked() {
            // Commands wake the loop, so that a person does not wait for the next look.
            if let Ok(envelope) = self.commands.recv_timeout(LOOK_EVERY) {
                let (command, reply) = envelope.split();
                reply(self.carry_out(&command));
            }
            match supervisor::look(self.pipeline.monitors(), &self.health) {
                Finding::Well => notify(&[NotifyState::Watchdog]),
                Finding::Hangs(_) => {}
                Finding::Broken(stage) => {
                    tracing::error!(stage, "the stage panics again and again: the daemon ends");
                    exit = Exit::Internal;
                    break;
                }
            }
            let every = if self.progress.bar.is_some() { Duration::from_secs(1) } else { SAY_EVERY };
            if said.elapsed() >= every {
                said = Instant::now();
                let stats = self.health.stats(Timestamp::now().to_string(), self.started.elapsed());
                self.progress.say(&stats, &self.health);
            }
            if cased.elapsed() >= CASES_EVERY {
                cased = Instant::now();
                self.publish_cases();
            }
            if cleaned.elapsed() >= CLEAN_EVERY {
                cleaned = Instant::now();
                self.clean();
            }
        }
        self.stop();
        Ok(exit)
    }

    /// Publishes the cases that changed.
    pub(super) fn publish_cases(&self) {
        self.records.publish_cases(&Timestamp::now().to_string());
    }

    fn clean(&self) {
        match self.store.enforce_quota() {
            Ok(done) => {
                if done.images + done.crops > 0 {
                    tracing::info!(images = done.images, crops = done.crops, "removed to keep store.quota");
                }
                self.health.store(|store| {
                    let told = store.reason.starts_with(OVER_QUOTA);
                    if done.over > 0 {
                        store.level = Level::Degraded;
                        store.reason =
                            format!("{OVER_QUOTA} by {} bytes: raise it, or export and erase cases", done.over);
                    } else if told {
                        (store.level, store.reason) = (Level::Ok, String::new());
                    }
                });
            }
            Err(error) => tracing::warn!(%error, "the quota could not be enforced"),
        }
    }

    fn stop(&mut self) {
        notify(&[NotifyState::Stopping]);
        self.progress.end();
        tracing::info!("stopping");
        let limit = Duration::from_secs_f64(self.config.shutdown.timeout);
        let pipeline = std::mem::replace(&mut self.pipeline, Pipeline::nothing());
        if !pipeline.stop(limit) {
            tracing::warn!("not everything could be finished in time; lossless sources read it again next time");
        }
        self.publish_cases();
        if let Some(session) = self.session.take() {
            session.stop(GOODBYE);
        }
        if let Some((task, stop)) = self.page.take() {
            // The page may be gone already.
            let _ = stop.send(());
            let _ = self.runtime.block_on(async { tokio::time::timeout(Duration::from_millis(200), task).await });
        }
        if let Err(error) = self.store.checkpoint() {
            tracing::warn!(%error, "the log of the database stays beside it");
        }
    }
}

fn contexts(config: &Config, health: &Health) -> Vec<Arc<SourceContext>> {
    config
        .sources()
        .into_iter()
        .map(|(name, source)| {
            let state = SourceState {
                kind: source.kind.name().into(),
                mode: source.mode().name().into(),
                activity: "starting".into(),
                ..SourceState::default()
            };
            let ledger = health.add_source(&name, state);
            SourceContext::new(&name, source, ledger)
        })
        .collect()
}

/// Tells systemd, where it listens.
fn notify(states: &[NotifyState<'_>]) {
    // Nobody listens outside systemd.
    let _ = sd_notify::notify(states);
}

/// Makes recognizers of a source with an engine.
fn maker(recognition: Recognition, library: ModelLibrary, engine: ChosenEngine) -> MakeRecognizer {
    Box::new(move || ComposedRecognizer::open(&recognition, &library, &engine).map(|r| Box::new(r) as _))
}

/// Asks systemd for more time for as long as it lives: TensorRT may build for minutes at the first start.
struct Patience(Option<mpsc::Sender<()>>);

impl Patience {
    fn ask() -> Self {
        let (alive, ended) = mpsc::channel::<()>();
        let ask = move || {
            while ended.recv_timeout(Duration::from_secs(5)) == Err(mpsc::RecvTimeoutError::Timeout) {
                notify(&[NotifyState::ExtendTimeoutUsec(30_000_000)]);
            }
        };
        // Without the thread systemd's own limit holds.
        let started = std::thread::Builder::new().name("patience".to_owned()).spawn(ask);
        Self(started.ok().map(|_| alive))
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        self.0.take();
    }
}
