//! The thread of the records: carries out what people do to cells and cases and publishes the cases that changed. It may
//! take its time over a large case: the main loop, which feeds the watchdog, does not wait for it.

use std::{io, sync::Arc, thread::JoinHandle, time::Duration};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select, tick};
use jiff::Timestamp;

use crate::{
    case::AlarmSettings,
    clock::SystemClock,
    pipeline::monitor::StageMonitor,
    records::RecordService,
    station::{Answer, CommandError, Health, Level, RecordCommand},
};

/// How often changed cases are published.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// Commands that may wait.
const CAPACITY: usize = 64;
/// Begins the reason in `state` when a case cannot be read.
const UNREADABLE: &str = "cannot be read, and nothing is published of it: ";

type Reply = Box<dyn FnOnce(Answer) + Send>;

/// The records at work.
pub struct Records {
    service: RecordService,
    health: Health,
    monitor: Arc<StageMonitor>,
    commands: Option<Sender<(RecordCommand, Reply)>>,
    thread: Option<JoinHandle<()>>,
}

impl Records {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn start(service: RecordService, health: Health) -> io::Result<Self> {
        let (commands, inbox) = bounded(CAPACITY);
        let monitor = StageMonitor::new("records", Arc::new(SystemClock));
        let work = Work { service: service.clone(), monitor: monitor.clone() };
        let thread = std::thread::Builder::new().name("records".into()).spawn(move || work.run(&inbox))?;
        Ok(Self { service, health, monitor, commands: Some(commands), thread: Some(thread) })
    }

    /// Whether the case takes cells.
    ///
    /// # Errors
    /// [`CommandError::Refused`] when it is closed.
    pub fn check_open(&self, case: &str) -> Result<(), CommandError> {
        self.service.check_open(case)
    }

    /// Another alarm from now on.
    pub fn set_alarm(&self, alarm: Option<AlarmSettings>) {
        self.service.cases.set_alarm(alarm);
    }

    /// Hands a command over; `reply` is called once, from the thread of the records or with the refusal.
    pub fn execute(&self, command: RecordCommand, reply: Reply) {
        let Some(commands) = &self.commands else { return };
        if let Err(error) = commands.try_send((command, reply)) {
            let (TrySendError::Full((_, reply)) | TrySendError::Disconnected((_, reply))) = error;
            reply(Err(CommandError::Unavailable("too many commands wait; try again".into())));
        }
    }

    /// Reports a store whose cases cannot be read. False when the records panic again and again.
    pub fn supervise(&self) -> bool {
        let unreadable = self.service.cases.unreadable();
        self.health.store(|store| match &unreadable {
            Some(reason) if store.level != Level::Failed || store.reason.starts_with(UNREADABLE) => {
                store.level = Level::Failed;
                store.reason = format!("{UNREADABLE}{reason}");
            }
            None if store.reason.starts_with(UNREADABLE) => {
                (store.level, store.reason) = (Level::Ok, String::new());
            }
            _ => {}
        });
        !self.monitor.is_beyond_budget()
    }

    /// Ends the thread and publishes what is left, all cases included.
    pub fn stop(&mut self) {
        self.commands.take();
        if let Some(thread) = self.thread.take() {
            // A panic was reported when it happened.
            let _ = thread.join();
        }
        self.service.publish_cases(&Timestamp::now().to_string());
    }
}

struct Work {
    service: RecordService,
    monitor: Arc<StageMonitor>,
}

impl Work {
    fn run(&self, commands: &Receiver<(RecordCommand, Reply)>) {
        let ticks = tick(PUBLISH_EVERY);
        let mut is_behind = true;
        loop {
            select! {
                recv(commands) -> command => {
                    let Ok((command, reply)) = command else { return };
                    let done = self.monitor.run(commands.len(), || self.service.execute(&command, &now()));
                    reply(done.unwrap_or_else(|panicked| {
                        tracing::error!(panic = panicked.0, "a command panicked");
                        Err(CommandError::Unavailable(format!("it failed: {}", panicked.0)))
                    }));
                }
                recv(ticks) -> _ => {
                    let done = self.monitor.run(commands.len(), || self.publish(&mut is_behind));
                    if let Err(panicked) = done {
                        tracing::error!(panic = panicked.0, "a case could not be published");
                    }
                }
            }
        }
    }

    /// First what an earlier run left behind, then what changed.
    fn publish(&self, is_behind: &mut bool) {
        if *is_behind {
            match self.service.catch_up(&now()) {
                Ok(()) => *is_behind = false,
                Err(error) => {
                    tracing::warn!(%error, "the cases cannot be compared with their cells: it is tried again")
                }
            }
        }
        self.service.publish_due(&now());
    }
}

fn now() -> String {
    Timestamp::now().to_string()
}
