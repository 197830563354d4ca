//! The daemon put together: store, page, broker and pipeline, supervised until it ends.
//!
//! [`Daemon::start`] is the composition root: nothing else knows all the parts. [`Daemon::run`] is the main loop. A
//! stop goes from the sources to the disk ([`Pipeline::stop`]), then to the page and the broker session.

mod banner;
mod broker;
mod error;
mod facts;
mod handles;
mod preflight;
mod records;
mod reload;
mod signals;
mod sources;
mod stop;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crossbeam_channel::{select, tick};
use domain::ErrorKind;
use jiff::Timestamp;
use sd_notify::NotifyState;
use tokio::{runtime::Handle, task::JoinHandle};

pub use self::{
    banner::Progress,
    error::StartError,
    preflight::{Checked, check_start},
    reload::Reloading,
    signals::Signals,
};
use self::{
    banner::banner,
    broker::{BrokerChoice, start_broker},
    preflight::Preflight,
    records::Records,
};
use crate::{
    config::{Config, Loaded},
    mqtt::MqttSession,
    pipeline::{
        Parts, Pipeline, Thresholds,
        control::SourceControl,
        sources::restore_triggers,
        supervisor::{self, Finding},
    },
    records::{ClassScorer, RecordService},
    shutdown::ShutdownReceiver,
    station::{
        Command, CommandError, CommandInbox, CommandOutbox, Envelope, Health, Level, RecordCommand, SourceCommand,
        State, command_channel,
    },
    store::{Store, StoreOptions},
    web::{self, Bound, LiveHub, LiveSource, Names, PushInlet, WebOptions, WebParts},
};
use karyotype::FittedSettings;
use recognition::inference::{ChosenEngine, Engine, ModelLibrary};

/// Name of the value in the store that holds the address of the daemon's page.
pub const PAGE_KEY: &str = "page";

/// How often the stages are supervised, changed cases are published and the terminal's line of progress is renewed.
const SUPERVISE_EVERY: Duration = Duration::from_secs(1);
/// How many supervisions lie between two lines of progress in the log, where there is no terminal.
const LOG_PROGRESS_EVERY: u64 = 60;
/// How many supervisions lie between two enforcements of the quota.
const ENFORCE_QUOTA_EVERY: u64 = 60;
/// How long the broker may take to let us in when `mqtt.required` is set.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Commands that may wait.
const COMMAND_CAPACITY: usize = 64;
/// Begins the reason in `state` when the quota cannot be kept.
const OVER_QUOTA: &str = "over store.quota";

/// The running daemon.
pub struct Daemon {
    config: Config,
    health: Health,
    /// What the networks ran on at the start.
    engine: Option<Arc<dyn Engine>>,
    store: Store,
    pipeline: Pipeline,
    session: Option<MqttSession>,
    page: Option<JoinHandle<()>>,
    commands: CommandInbox,
    /// Keeps the inbox open where neither page nor broker can send commands.
    _outbox: CommandOutbox,
    sources: SourceControl,
    records: Records,
    thresholds: Thresholds,
    /// Names of the page, where it is served.
    names: Option<Names>,
    progress: Progress,
    runtime: Handle,
    started: Instant,
}

/// Why the main loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A signal asked for it.
    Asked,
    /// A stage panics again and again.
    Broken,
}

/// What another process may hold: taken first, so that a conflict is reported at once.
struct Claims {
    folder: PathBuf,
    store: Store,
    page: Option<Bound>,
    broker: Option<BrokerChoice>,
}

impl Claims {
    fn take(config: &Config) -> Result<Self, StartError> {
        let connections = handles::claim(config.sources().len())?;
        let folder = state_folder(config)?;
        let options = StoreOptions { outbox_cap: config.mqtt.outbox_cap, quota: config.store.quota_bytes() };
        let store = Store::open(&folder, options)?;
        let page = WebOptions::from_config(&config.web)?
            .map(|options| web::bind(WebOptions { connections: Some(connections), ..options }))
            .transpose()?;
        let broker = start_broker(config)?;
        Ok(Self { folder, store, page, broker })
    }
}

/// The classifier for chromosomes that a person redraws; loaded when the first is.
fn class_scorer(loaded: &Loaded, engine: ChosenEngine) -> Arc<Mutex<ClassScorer>> {
    let inference = loaded.config.inference.clone();
    let library = ModelLibrary::find(inference.models.as_deref(), loaded.file.as_deref());
    let stains = loaded.config.sources().into_iter().map(|(name, source)| (name, source.stain)).collect();
    Arc::new(Mutex::new(ClassScorer::new(inference, library, engine, stains)))
}

impl Daemon {
    /// Starts everything.
    ///
    /// # Errors
    /// What cannot be had, with its kind.
    pub fn start(loaded: &Loaded, runtime: &Handle, progress: Progress) -> Result<Self, StartError> {
        let config = loaded.config.clone();
        let engine = Preflight::of(loaded).passed()?;
        let Claims { folder, store, page, broker } = Claims::take(&config)?;
        let health = Health::new(facts::birth(loaded));
        let contexts = sources::register(&config, &health);
        let bright_field = |stain: domain::Stain| !stain.is_fluorescence();
        let hub =
            LiveHub::new(contexts.iter().map(|source| LiveSource {
                name: source.name.clone(),
                bright_field: bright_field(source.config.stain),
            }));
        let mut parts =
            Parts::new(&config, store.clone(), health.clone()).map_err(StartError::of(ErrorKind::Config))?;
        let thresholds = Thresholds::new(&config.triage);
        restore_triggers(&contexts, &config.station, &store)?;
        let scorer = engine.clone().map(|engine| class_scorer(loaded, engine));
        let runs_on = engine.as_ref().map(|chosen| chosen.engine.clone());
        (parts.sources, parts.workers) = sources::prepare(loaded, engine, &thresholds, &contexts, &store, &health)?;
        parts.hub = Some(hub.clone());
        let records = RecordService {
            store: store.clone(),
            cases: parts.cases.clone(),
            karyotype: FittedSettings::of(config.karyotype.sex, config.karyotype.sample),
            scorer,
            hub: hub.clone(),
        };
        for case in contexts.iter().filter_map(|context| context.sample().case) {
            records.reopen_configured(&case, &Timestamp::now().to_string())?;
        }
        let records = Records::start(records, health.clone()).map_err(StartError::of(ErrorKind::Internal))?;
        let pipeline = Pipeline::start(parts)?;
        let (outbox, commands) = command_channel(COMMAND_CAPACITY);
        let session =
            broker.as_ref().map(|broker| connect(runtime, broker, &config, &store, &health, &outbox)).transpose()?;
        let url = page.as_ref().map(Bound::url);
        banner(url.as_deref(), broker.as_ref(), &config, &folder, &health);
        // Commands of this machine that write while we hold the store find us by this.
        if let Err(error) = store.set_meta(PAGE_KEY, &url.unwrap_or_default()) {
            tracing::warn!(%error, "the address of the page is not kept: `metaphased case` will not find it");
        }
        let names = page.as_ref().map(Bound::names);
        let queues = contexts.iter().filter_map(|context| Some((context.name.clone(), context.push.clone()?)));
        let inlet = PushInlet { store: store.clone(), queues: queues.collect(), most: config.memory.picture_bytes() };
        let page = page.map(|bound| {
            let (health, store, commands) = (health.clone(), store.reader(), outbox.clone());
            let laboratory = config.report.folder.clone();
            let parts = WebParts { health, hub, store, commands, inlet: Some(inlet), laboratory };
            serve(runtime, bound, parts, &pipeline.shutdown())
        });
        notify(&[NotifyState::Ready]);
        Ok(Self {
            sources: SourceControl::new(contexts, health.clone(), store.clone()),
            config,
            health,
            engine: runs_on,
            store,
            pipeline,
            session,
            page,
            commands,
            _outbox: outbox,
            records,
            thresholds,
            names,
            progress,
            runtime: runtime.clone(),
            started: Instant::now(),
        })
    }

    /// Runs until a signal or a broken stage ends it; then everything has been stopped.
    pub fn run(mut self, signals: &Signals, reloading: &Reloading<'_>) -> Ending {
        let ending = self.serve_until_ended(signals, reloading);
        self.stop();
        ending
    }

    fn serve_until_ended(&mut self, signals: &Signals, reloading: &Reloading<'_>) -> Ending {
        let ticks = tick(SUPERVISE_EVERY);
        let mut supervisions = 0;
        loop {
            select! {
                recv(signals.asked()) -> _ => return Ending::Asked,
                recv(signals.reload()) -> _ => self.reload(reloading),
                recv(self.commands) -> envelope => if let Ok(envelope) = envelope {
                    self.execute(envelope);
                },
                recv(ticks) -> _ => {
                    supervisions += 1;
                    if !self.supervise(supervisions) {
                        return Ending::Broken;
                    }
                }
            }
        }
    }

    /// One supervision; false when a stage is broken.
    fn supervise(&self, number: u64) -> bool {
        match supervisor::supervise(self.pipeline.monitors(), &self.health) {
            Finding::Well => notify(&[NotifyState::Watchdog]),
            Finding::Hangs(_) => {}
            Finding::Broken(stage) => {
                tracing::error!(stage, "the stage panics again and again: the daemon ends");
                return false;
            }
        }
        self.health.set_engine_trouble(self.engine.as_ref().and_then(|engine| engine.trouble()));
        self.sources.answer_slow();
        if self.progress.bar.is_some() || number.is_multiple_of(LOG_PROGRESS_EVERY) {
            let stats = self.health.stats(Timestamp::now().to_string(), self.started.elapsed());
            self.progress.report(&stats, &self.health);
        }
        if !self.records.supervise() {
            tracing::error!("the records panic again and again: the daemon ends");
            return false;
        }
        notify(&[NotifyState::Status(&status_line(&self.health.state(String::new())))]);
        if number.is_multiple_of(ENFORCE_QUOTA_EVERY) {
            self.enforce_quota();
        }
        true
    }

    /// Carries out a command, or hands it to the records.
    fn execute(&self, envelope: Envelope) {
        let (command, reply) = envelope.split();
        match command {
            Command::Record(RecordCommand::Erase { case, .. } | RecordCommand::Close { case, .. })
                if self.sources.adds_to(&case) =>
            {
                reply(Err(CommandError::Refused(format!(
                    "case '{case}' takes cells at this moment: end it first (command `case`, or \"End case\" on the page)"
                ))));
            }
            Command::Record(command) => self.records.execute(command, reply),
            Command::Source(command) => {
                let open = match &command {
                    SourceCommand::Case { case: Some(case), .. } => self.records.check_open(case),
                    _ => Ok(()),
                };
                match open {
                    Ok(()) => self.sources.execute(&command, reply),
                    Err(error) => reply(Err(error)),
                }
            }
        }
    }

    fn enforce_quota(&self) {
        if let Err(error) = self.store.forget_old_triggers() {
            tracing::warn!(%error, "old triggers could not be forgotten");
        }
        match self.store.enforce_quota() {
            Ok(done) => {
                if done.images + done.crops > 0 {
                    tracing::info!(images = done.images, crops = done.crops, "removed to keep store.quota");
                }
                self.health.store(|store| {
                    let reported = store.reason.starts_with(OVER_QUOTA);
                    if done.over > 0 {
                        store.level = Level::Degraded;
                        store.reason =
                            format!("{OVER_QUOTA} by {} bytes: raise it, or export and erase cases", done.over);
                    } else if reported {
                        (store.level, store.reason) = (Level::Ok, String::new());
                    }
                });
            }
            Err(error) => tracing::warn!(%error, "the quota could not be enforced"),
        }
    }
}

/// The session with the broker.
fn connect(
    runtime: &Handle,
    broker: &BrokerChoice,
    config: &Config,
    store: &Store,
    health: &Health,
    outbox: &CommandOutbox,
) -> Result<MqttSession, StartError> {
    let settings = broker.settings.clone();
    let mut session = MqttSession::start(runtime, settings, store.clone(), health.clone(), outbox.clone())
        .map_err(StartError::of(ErrorKind::Config))?;
    if config.mqtt.required && !session.wait_connected(CONNECT_WITHIN) {
        let (url, seconds) = (broker.settings.url(), CONNECT_WITHIN.as_secs());
        return Err(StartError::new(
            ErrorKind::Unavailable,
            format!("the broker {url} does not let us in within {seconds} s, and mqtt.required is set"),
        ));
    }
    Ok(session)
}

/// Serves the page until the pipeline has ended or is abandoned.
fn serve(runtime: &Handle, page: Bound, parts: WebParts, shutdown: &ShutdownReceiver) -> JoinHandle<()> {
    let (health, ended) = (parts.health.clone(), shutdown.until_abandoned());
    runtime.spawn(async move {
        if let Err(error) = page.serve(parts, ended).await {
            tracing::error!(%error, "the page ended");
            health.stage("page", |s| {
                s.level = Level::Failed;
                s.reason = error.to_string();
            });
        }
    })
}

/// The health in one line, as `systemctl status` shows it.
fn status_line(state: &State) -> String {
    let level = match state.level {
        Level::Ok => "ok",
        Level::Degraded => "degraded",
        Level::Failed => "failed",
    };
    let line =
        if state.reasons.is_empty() { level.to_owned() } else { format!("{level}: {}", state.reasons.join("; ")) };
    // systemd takes one line.
    line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(500).collect()
}

/// Notifies systemd, where the daemon runs under it.
fn notify(states: &[NotifyState<'_>]) {
    // Outside systemd there is no socket to write to.
    let _ = sd_notify::notify(states);
}

/// Folder of the store: configured, else systemd's, else the user's.
///
/// # Errors
/// When none of them is set.
pub fn state_folder(config: &Config) -> Result<PathBuf, StartError> {
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
        StartError::new(ErrorKind::Config, "no place for the store: set store.path, STATE_DIRECTORY or XDG_STATE_HOME")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_says_how_it_is_and_why() {
        let state = State::default();
        assert_eq!(status_line(&state), "ok");
        let reasons = vec!["broker: not\nreachable".to_owned(), "store: full".to_owned()];
        let state = State { level: Level::Degraded, reasons, ..State::default() };
        assert_eq!(status_line(&state), "degraded: broker: not reachable; store: full");
    }
}
