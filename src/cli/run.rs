//! `run`: the daemon.

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use sd_notify::NotifyState;
use sha2::{Digest, Sha256};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::{Exit, Failure, Global, config};
use crate::{
    case::CaseSettings,
    cell::NOTICE,
    config::{Assay, Config, Loaded, Mode},
    inference::{self, ModelLibrary},
    karyotype::KaryotypeSettings,
    mqtt::{self, MqttSession},
    pipeline::{
        FrameTriage, Parts, Pipeline, SourceParts,
        cases::{self, Cases},
        clock::SystemClock,
        job::SourceContext,
        sources,
        stages::interpret::InterpretSettings,
        supervisor::{self, Finding},
    },
    recognition::{ComposedRecognizer, Recognition, Recognizer},
    station::{
        Answer, Birth, Command, CommandError, CommandInbox, EngineState, Health, HostFacts, Level, ModelFacts, SourceFacts, SourceState,
        Stats, command_channel,
    },
    store::{Store, StoreError, StoreOptions},
    telemetry,
    web::{self, EventKind, LiveHub, LiveSource, WebOptions, WebParts},
};

/// How often the supervisor looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often a line of progress is written where there is no terminal.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// How often the quota is enforced.
const CLEAN_EVERY: Duration = Duration::from_secs(60);
/// Time for the broker to take what still waits at the end.
const GOODBYE: Duration = Duration::from_millis(400);

/// Runs the daemon until a signal ends it.
pub fn run(global: &Global) -> Result<Exit, Failure> {
    let loaded = config::load(global, None)?;
    let signals = Signals::watch()?;
    let progress = Progress::new();
    telemetry::start(&loaded.config.log, progress.bar.clone()).map_err(|e| Failure::new(Exit::Config, e))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("sockets")
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Exit::Internal, format!("cannot start the socket threads: {e}")))?;
    let exit = Daemon::start(&loaded, &runtime, progress)?.watch(&signals);
    runtime.shutdown_timeout(Duration::from_millis(100));
    exit
}

/// Begins the reason in `state` when the quota cannot be kept.
const OVER_QUOTA: &str = "over store.quota";

/// SIGINT and SIGTERM: the first asks, the second ends at once.
struct Signals(Arc<AtomicBool>);

impl Signals {
    fn watch() -> Result<Self, Failure> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the shutdown is armed by the flag that the first signal sets.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, asked.clone())
                .and_then(|_| signal_hook::flag::register(signal, asked.clone()))
                .map_err(|e| Failure::new(Exit::Internal, format!("cannot watch for signals: {e}")))?;
        }
        Ok(Self(asked))
    }

    fn asked(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// Where the store is: configured, else systemd's, else the user's.
pub fn state_folder(config: &Config) -> Result<PathBuf, Failure> {
    if let Some(path) = &config.store.path {
        return Ok(path.clone());
    }
    let named = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(folder) = named("STATE_DIRECTORY") {
        return Ok(folder);
    }
    if let Some(folder) = named("XDG_STATE_HOME").filter(|p| p.is_absolute()) {
        return Ok(folder.join("metaphased"));
    }
    named("HOME").map(|home| home.join(".local/state/metaphased")).ok_or_else(|| {
        Failure::new(Exit::Config, "no place for the store: set store.path, STATE_DIRECTORY or XDG_STATE_HOME")
    })
}

/// The failure of a store that cannot be opened.
pub fn store_failure(error: &StoreError) -> Failure {
    let exit = match error {
        StoreError::InUse(_) => Exit::TryAgain,
        StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => Exit::NotPermitted,
        StoreError::Io { .. } => Exit::CannotCreate,
        _ => Exit::Io,
    };
    Failure::new(exit, error)
}

struct Daemon {
    config: Config,
    health: Health,
    store: Store,
    pipeline: Pipeline,
    session: Option<MqttSession>,
    page: Option<(tokio::task::JoinHandle<()>, tokio::sync::oneshot::Sender<()>)>,
    commands: CommandInbox,
    hub: LiveHub,
    cases: Cases,
    progress: Progress,
    runtime: tokio::runtime::Handle,
    started: Instant,
}

impl Daemon {
    /// Takes everything that can be taken by another first (store, ports), so that a conflict is told at once.
    fn start(loaded: &Loaded, runtime: &tokio::runtime::Runtime, progress: Progress) -> Result<Self, Failure> {
        let config = loaded.config.clone();
        let base = loaded.file.as_deref().and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
        let folder = state_folder(&config)?;
        let options = StoreOptions { outbox_cap: config.mqtt.outbox_cap, quota: config.store.quota_bytes() };
        let store = Store::open(&folder, options).map_err(|e| store_failure(&e))?;
        let page = WebOptions::from_config(&config.web)
            .map_err(|e| Failure::new(Exit::Config, e))?
            .map(web::bind)
            .transpose()
            .map_err(|e| Failure::new(Exit::Unavailable, e))?;
        let broker = start_broker(&config)?;

        let health = Health::new(birth(loaded));
        let contexts = contexts(&config, &health);
        let engine = inference::choose(&config.inference).map_err(|e| Failure::new(Exit::Unavailable, e))?;
        tracing::info!(engine = engine.engine.name(), why = engine.why, "engine chosen");
        let library = ModelLibrary::find(config.inference.models.as_deref(), loaded.file.as_deref());
        let hub = LiveHub::new(
            contexts
                .iter()
                .map(|c| LiveSource { name: c.name.clone(), bright_field: !c.config.stain.is_fluorescence() }),
        );
        let mut parts = Vec::new();
        for context in &contexts {
            let open = sources::opener(context, config.assay, &base, store.reader())
                .map_err(|e| Failure::new(Exit::Unavailable, e))?;
            let recognition = Recognition::configured(&config.inference, context.config.stain);
            let (library, engine) = (library.clone(), engine.clone());
            let make = Box::new(move || {
                ComposedRecognizer::open(&recognition, &library, &engine).map(|r| Box::new(r) as Box<dyn Recognizer>)
            });
            let recognizer = make().map_err(|e| Failure::new(Exit::Unavailable, e))?;
            told(&health, &*recognizer);
            let (triage, stain) = (config.triage.clone(), context.config.stain);
            parts.push(SourceParts {
                context: context.clone(),
                open,
                assess: Box::new(move || Box::new(FrameTriage::new(&triage, stain)) as _),
                recognizer,
                make,
                window: (context.mode == Mode::Freshest).then(|| Duration::from_millis(config.triage.window_ms)),
            });
        }
        let (outbox, commands) = command_channel(64);
        let karyotype = KaryotypeSettings { sex: config.karyotype.sex, ..KaryotypeSettings::default() };
        let counting = CaseSettings { cells: config.karyotype.cells_per_case, ..CaseSettings::default() };
        let cases = Cases {
            station: config.station.clone(),
            counting: (config.assay == Assay::Karyotype).then_some(counting),
            karyotype: karyotype.clone(),
        };
        let pipeline = Pipeline::start(Parts {
            sources: parts,
            interpret: InterpretSettings {
                station: config.station.clone(),
                karyotype: karyotype.clone(),
                keep_images: config.store.keep_images,
            },
            cases: cases.clone(),
            store: store.clone(),
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
                )
                .map_err(|e| Failure::new(Exit::Config, e))?;
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
        let page = page.map(|bound| {
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let parts = WebParts {
                health: health.clone(),
                hub: hub.clone(),
                store: store.reader(),
                commands: outbox.clone(),
                push: None,
            };
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
        Ok(Self {
            config,
            health,
            store,
            pipeline,
            session,
            page,
            commands,
            hub,
            cases,
            progress,
            runtime: runtime.handle().clone(),
            started: Instant::now(),
        })
    }

    /// Looks after the pipeline until a signal or a broken stage ends it.
    fn watch(mut self, signals: &Signals) -> Result<Exit, Failure> {
        let mut exit = Exit::Done;
        let mut said = Instant::now();
        let mut cleaned = Instant::now();
        while !signals.asked() {
            // Commands wake the loop, so that a person does not wait for the next look.
            if let Ok(envelope) = self.commands.recv_timeout(LOOK_EVERY) {
                let (command, reply) = envelope.split();
                let answer = self.review(&command).or_else(|| supervisor::control(&command, self.pipeline.sources()));
                reply(answer.unwrap_or_else(|| {
                    Err(CommandError::Refused("this version does not take this command yet".into()))
                }));
            }
            match supervisor::look(self.pipeline.hearts(), &self.health) {
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
            if cleaned.elapsed() >= CLEAN_EVERY {
                cleaned = Instant::now();
                self.clean();
            }
        }
        self.stop();
        Ok(exit)
    }

    /// Carries out a review; `None` for another command.
    fn review(&self, command: &Command) -> Option<Answer> {
        let Command::Review { by, cell, revision, change } = command else { return None };
        let reviewed = self.cases.review(&self.store, by, *cell, *revision, change, Timestamp::now());
        Some(reviewed.and_then(|(cell, document)| {
            self.hub.tell(EventKind::Cell, &cell);
            if let Some(document) = document {
                self.hub.tell(EventKind::Case, &document);
            }
            cases::review_answer(&cell)
        }))
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
        let _ = &self.hub;
    }
}

/// The broker to talk to.
struct BrokerChoice {
    settings: mqtt::Settings,
    /// Port of the embedded broker, when it is ours.
    embedded: Option<u16>,
}

fn start_broker(config: &Config) -> Result<Option<BrokerChoice>, Failure> {
    let embedded = match config.mqtt.url.as_str() {
        "off" => return Ok(None),
        "embedded" => Some(embedded_broker(config)?),
        _ => None,
    };
    let settings =
        mqtt::Settings::new(&config.mqtt, &config.station, embedded).map_err(|e| Failure::new(Exit::Config, e))?;
    Ok(Some(BrokerChoice { settings, embedded }))
}

#[cfg(feature = "embedded-broker")]
fn embedded_broker(config: &Config) -> Result<u16, Failure> {
    mqtt::EmbeddedBroker::start(config.mqtt.embedded_port)
        .map(|broker| broker.port())
        .map_err(|e| Failure::new(Exit::Unavailable, e))
}

#[cfg(not(feature = "embedded-broker"))]
fn embedded_broker(_: &Config) -> Result<u16, Failure> {
    Err(Failure::new(Exit::Config, "this build has no embedded broker: name one with mqtt.url, or use \"off\""))
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

/// Tells what recognition rests on: in `state`, and in `birth`.
fn told(health: &Health, recognizer: &dyn Recognizer) {
    let basis = recognizer.basis().clone();
    health.engine(|e| {
        *e = EngineState {
            level: if basis.notes.is_empty() { Level::Ok } else { Level::Degraded },
            name: basis.engine.clone(),
            models: basis.models.clone(),
            reason: basis.notes.join("; "),
        };
    });
    health.set_birth(|birth| {
        birth.engine = basis.engine.clone();
        for (task, label) in &basis.models {
            let (name, hash) = label.split_once('@').unwrap_or((label, ""));
            let facts =
                ModelFacts { task: task.clone(), name: name.into(), sha256: hash.into(), ..ModelFacts::default() };
            if !birth.models.contains(&facts) {
                birth.models.push(facts);
            }
        }
    });
}

fn birth(loaded: &Loaded) -> Birth {
    let config = &loaded.config;
    let mut shown = config.clone();
    shown.mqtt.password = None;
    // The types hold nothing that JSON cannot.
    let digest = Sha256::digest(serde_json::to_vec(&shown).unwrap_or_default());
    Birth {
        schema: "birth/1".into(),
        station: config.station.clone(),
        started: Timestamp::now().to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        host: HostFacts {
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cores: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
        },
        assay: match config.assay {
            Assay::Karyotype => "karyotype".into(),
            Assay::Dicentric => "dicentric".into(),
        },
        sources: config
            .sources()
            .into_iter()
            .map(|(name, s)| {
                let facts = SourceFacts {
                    kind: s.kind.name().into(),
                    mode: s.mode().name().into(),
                    stain: s.stain.name().into(),
                };
                (name, facts)
            })
            .collect(),
        configuration: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        notice: NOTICE.into(),
        ..Birth::default()
    }
}

/// Tells systemd, where it listens.
fn notify(states: &[NotifyState<'_>]) {
    // Nobody listens outside systemd.
    let _ = sd_notify::notify(states);
}

fn banner(page: Option<String>, broker: Option<&BrokerChoice>, config: &Config, folder: &Path, health: &Health) {
    let mut text = format!("\nmetaphased {}  station {}\n", env!("CARGO_PKG_VERSION"), config.station);
    match page {
        Some(url) => text += &format!("  page     {url}\n"),
        None => text += "  page     off\n",
    }
    match broker {
        Some(BrokerChoice { embedded: Some(port), .. }) => {
            text += &format!("  try      mosquitto_sub -h 127.0.0.1 -p {port} -t '{}/#' -v\n", config.mqtt.prefix);
        }
        Some(choice) => text += &format!("  broker   {}\n", choice.settings.url()),
        None => text += "  broker   off\n",
    }
    let state = health.state(String::new());
    text += &format!("  engine   {}\n", state.engine.name);
    if state.engine.models.is_empty() {
        text += "           no model found: chromosomes are segmented and counted, not classified\n";
    }
    text += &format!("  store    {}\n", folder.display());
    text += &format!("  {NOTICE}\n  Ctrl-C stops.\n\n");
    // Without stderr there is nobody to read it.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// The calm line: rewritten once a second on a terminal, a log line a minute elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(2));
            bar.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar
        });
        Self { bar }
    }

    fn say(&self, stats: &Stats, health: &Health) {
        let sum = |pick: fn(&crate::station::SourceStats) -> u64| stats.sources.values().map(pick).sum::<u64>();
        let (frames, dropped) = (sum(|s| s.accepted), sum(|s| s.dropped.values().sum()));
        let state = health.state(String::new());
        let told = match state.level {
            Level::Ok => "ok".to_owned(),
            _ => state.reasons.join("; "),
        };
        let line = format!(
            "{} cells, {} published, {} waiting · {frames} frames, {dropped} dropped · {told}",
            stats.cells_stored, stats.cells_published, stats.outbox_depth
        );
        match &self.bar {
            Some(bar) => bar.set_message(line),
            None => tracing::info!("{line}"),
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
