//! The session with the broker: connect, send, wait for the PUBACK, start over.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    runtime::Handle,
    sync::{
        mpsc::{UnboundedReceiver, unbounded_channel},
        watch,
    },
    task::JoinHandle,
    time::{MissedTickBehavior, sleep, timeout},
};

use super::{
    commands::Commands,
    link::{self, Connection, LinkEvent, LinkFault, MAX_PACKET, Publish},
    publisher::{OutboxPublisher, Sent},
    report::Reports,
    settings::{BrokerSettings, SettingsError},
};
use crate::{
    station::{CommandOutbox, Health, Level},
    store::Store,
};

/// How long a broker may take from the first packet to its CONNACK.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A connection that lasted this long resets the back-off.
const STABLE: Duration = Duration::from_secs(5);
/// Kept from the time for stopping to say goodbye.
const GOODBYE: Duration = Duration::from_millis(500);
/// How often `stats` goes out.
const STATS_EVERY: Duration = Duration::from_secs(10);

/// A running session with a broker.
#[derive(Debug)]
pub struct MqttSession {
    runtime: Handle,
    task: JoinHandle<()>,
    stop: watch::Sender<Option<Instant>>,
    connected: watch::Receiver<bool>,
    acknowledged: Arc<AtomicU64>,
}

impl MqttSession {
    /// Starts a session on `runtime`. It sends what the store's outbox and latest values hold and what `health` says,
    /// and hands commands to `commands`; it never gives up on the broker.
    ///
    /// # Errors
    /// Certificates that cannot be used.
    pub fn start(
        runtime: &Handle,
        settings: BrokerSettings,
        store: Store,
        health: Health,
        commands: CommandOutbox,
    ) -> Result<Self, SettingsError> {
        let first = {
            let _entered = runtime.enter();
            link::connect(&settings)?
        };
        let (stop, stopped) = watch::channel(None);
        let (tell_connected, connected) = watch::channel(false);
        let (results, answered) = unbounded_channel();
        health.broker(|broker| {
            broker.url = settings.url();
            broker.level = Level::Degraded;
            broker.reason = "connecting".into();
        });
        match store.take_back_set_aside() {
            Ok(0) => {}
            Ok(messages) => tracing::info!(messages, "what was set aside goes to the broker once more"),
            Err(error) => tracing::warn!(%error, "what was set aside stays so until the next start"),
        }
        health.set_outbox_depth(store.outbox_depth());
        let publisher = OutboxPublisher::new(store.clone(), health.clone(), &settings);
        let acknowledged = publisher.acknowledged_rows();
        let session = Session {
            commands: Commands {
                topics: settings.topics.clone(),
                outbox: settings.commands.then_some(commands),
                results,
            },
            reports: Reports::new(health.clone()),
            publisher,
            answers: VecDeque::new(),
            settings,
            store,
            health,
            answered,
            stopped,
            connected: tell_connected,
            doubted: false,
        };
        let task = runtime.spawn(session.run(first));
        Ok(Self { runtime: runtime.clone(), task, stop, connected, acknowledged })
    }

    /// Waits up to `limit` until the broker has let us in; true when it has. Not to be called on the runtime.
    pub fn wait_connected(&mut self, limit: Duration) -> bool {
        let runtime = self.runtime.clone();
        runtime.block_on(async {
            matches!(timeout(limit, self.connected.wait_for(|connected| *connected)).await, Ok(Ok(_)))
        })
    }

    /// PUBACKs for rows of the outbox so far; a row that is sent again counts again.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Sends what still waits, as far as `limit` allows, says `offline` and ends. Not to be called on the runtime.
    pub fn stop(mut self, limit: Duration) {
        self.stop.send_replace(Some(Instant::now() + limit));
        self.runtime.clone().block_on(async {
            if timeout(limit + GOODBYE, &mut self.task).await.is_err() {
                self.task.abort();
            }
        });
    }
}

struct Session {
    settings: BrokerSettings,
    store: Store,
    health: Health,
    commands: Commands,
    answered: UnboundedReceiver<Publish>,
    answers: VecDeque<Publish>,
    reports: Reports,
    publisher: OutboxPublisher,
    stopped: watch::Receiver<Option<Instant>>,
    connected: watch::Sender<bool>,
    /// Another client takes turns with us: that stays reported until a connection has stood.
    doubted: bool,
}

/// How a connection ended.
enum End {
    Stopped,
    Lost { fault: LinkFault, stood: Duration },
}

impl Session {
    async fn run(mut self, first: Connection) {
        let mut next = Some(first);
        let mut pause = BackOff::default();
        let mut closings = Closings::default();
        loop {
            let connection = match next.take() {
                Some(connection) => Ok(connection),
                None => link::connect(&self.settings),
            };
            let end = match connection {
                Ok(mut connection) => self.serve(&mut connection).await,
                // The files were read and used once already, so this does not happen; if it does, it may pass.
                Err(error) => End::Lost { fault: LinkFault::Tls(error.to_string()), stood: Duration::ZERO },
            };
            let was_let_in = self.connected.send_replace(false);
            let End::Lost { fault, stood } = end else { return };
            let fault = closings.judge(fault, was_let_in, stood, &self.settings.client_id);
            self.doubted = matches!(fault, LinkFault::TakenOver { .. });
            self.publisher.connection_lost().await;
            self.health.broker(|broker| {
                broker.connected = false;
                broker.level = Level::Degraded;
                broker.reason = fault.to_string();
            });
            let wait = pause.after(&fault, stood);
            tracing::warn!(%fault, retry_in = ?wait, "no broker");
            tokio::select! {
                () = sleep(wait) => {}
                _ = self.stopped.changed() => return,
            }
        }
    }

    /// Lives with one connection until it is lost or the session is stopped.
    async fn serve(&mut self, connection: &mut Connection) -> End {
        let lost = |fault, since: Instant| End::Lost { fault, stood: since.elapsed() };
        let since = Instant::now();
        let event = tokio::select! {
            event = timeout(CONNECT_WITHIN, connection.events.recv()) => event,
            _ = self.stopped.changed() => return End::Stopped,
        };
        let max_packet = match event {
            Ok(Some(LinkEvent::Connected(max_packet))) => max_packet.unwrap_or(MAX_PACKET).min(MAX_PACKET),
            Ok(Some(LinkEvent::Lost(fault))) => return lost(fault, Instant::now()),
            _ => return lost(LinkFault::Network("the broker does not answer".into()), Instant::now()),
        };
        tracing::info!(broker = %self.settings.url(), "connected");
        self.report_connected();
        self.connected.send_replace(true);

        let gone = || LinkFault::Network("the connection was closed".into());
        let topics = self.settings.topics.clone();
        if connection.link.subscribe(&topics.of("command/+")).is_err() {
            return lost(gone(), since);
        }
        self.publisher.start(max_packet);
        self.reports.start();
        let retained = |topic: &str, payload: Vec<u8>| Publish {
            topic: topics.of(topic),
            payload,
            acknowledged: true,
            retain: true,
            correlation: None,
        };
        self.answers.push_front(retained("availability", b"online".to_vec()));
        if let Some((topic, payload)) = &self.settings.announcement {
            self.answers.push_back(Publish { topic: topic.clone(), ..retained("", payload.clone()) });
        }
        let mut changes = self.health.watch();
        let mut stats = tokio::time::interval(STATS_EVERY);
        stats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        stats.reset();
        let mut stopping = *self.stopped.borrow_and_update();

        loop {
            for (topic, payload) in self.reports.due() {
                self.answers.push_back(retained(topic, payload));
            }
            if self.publisher.send_pending(connection.link.as_ref(), &mut self.answers).is_err() {
                return lost(last_words(connection).await.unwrap_or_else(gone), since);
            }
            if let Some(deadline) = stopping {
                let idle = self.publisher.is_idle() && self.answers.is_empty();
                if idle || Instant::now() + GOODBYE >= deadline {
                    self.goodbye(connection, retained("availability", b"offline".to_vec())).await;
                    return End::Stopped;
                }
            }
            let state_due = self.reports.wait();
            tokio::select! {
                event = connection.events.recv() => match event {
                    Some(LinkEvent::Received(received)) => self.commands.take(received),
                    Some(LinkEvent::Lost(fault)) => return lost(fault, since),
                    Some(LinkEvent::Connected(_)) => {}
                    None => return lost(gone(), since),
                },
                acknowledged = self.publisher.progress() => if let Err(fault) = acknowledged {
                    let fault = match fault {
                        Some(fault) => fault,
                        None => last_words(connection).await.unwrap_or_else(gone),
                    };
                    return lost(fault, since);
                },
                () = self.store.outgoing().notified() => self.publisher.more(),
                _ = changes.changed() => self.reports.changed(),
                () = sleep(state_due.unwrap_or(Duration::from_secs(60))), if state_due.is_some() => {}
                _ = stats.tick() => {
                    let publish = Publish { topic: topics.of("stats"), payload: self.reports.stats(), ..Publish::default() };
                    self.answers.push_back(publish);
                }
                Some(answer) = self.answered.recv() => self.answers.push_back(answer),
                _ = self.stopped.changed(), if stopping.is_none() => {
                    stopping = *self.stopped.borrow_and_update();
                    // The word of a commit just before the stop may come after the stop's: look once more.
                    self.publisher.more();
                }
                () = sleep(Closings::SOON.saturating_sub(since.elapsed())), if self.doubted => {
                    self.doubted = false;
                    self.report_connected();
                }
                () = sleep(Duration::from_millis(50)), if stopping.is_some() => {}
            }
        }
    }

    fn report_connected(&self) {
        let doubted = self.doubted;
        self.health.broker(|broker| {
            broker.connected = true;
            if !doubted {
                broker.level = Level::Ok;
                broker.reason.clear();
            }
        });
    }

    /// Says `offline`, waits for its PUBACK, and leaves without the last will.
    async fn goodbye(&mut self, connection: &mut Connection, offline: Publish) {
        let last = async {
            if self.publisher.send(connection.link.as_ref(), Sent::Report, offline).is_ok() {
                while !self.publisher.is_acknowledged() {
                    if self.publisher.progress().await.is_err() {
                        break;
                    }
                }
            }
            connection.link.disconnect();
            while let Some(event) = connection.events.recv().await {
                if matches!(event, LinkEvent::Lost(_)) {
                    break;
                }
            }
        };
        let _ = timeout(GOODBYE, last).await;
        self.publisher.release_all();
        self.publisher.connection_lost().await;
    }
}

/// The reason that the connection gives for its end.
async fn last_words(connection: &mut Connection) -> Option<LinkFault> {
    let search = async {
        loop {
            match connection.events.recv().await? {
                LinkEvent::Lost(fault) => return Some(fault),
                LinkEvent::Connected(_) | LinkEvent::Received(_) => {}
            }
        }
    };
    timeout(Duration::from_secs(1), search).await.ok().flatten()
}

/// Connections that the broker has closed soon after it let us in: with MQTT 3.1.1 it does not say why.
#[derive(Debug, Default)]
struct Closings(u32);

impl Closings {
    /// A connection that stood longer was not closed for another client's sake.
    const SOON: Duration = Duration::from_secs(30);
    /// So many in a row leave little else.
    const MANY: u32 = 4;

    fn judge(&mut self, fault: LinkFault, was_let_in: bool, stood: Duration, client_id: &str) -> LinkFault {
        let is_closing = matches!(fault, LinkFault::Network(_)) && was_let_in && stood < Self::SOON;
        self.0 = if is_closing { self.0 + 1 } else { 0 };
        if self.0 < Self::MANY {
            return fault;
        }
        // It stays so until a connection stands.
        self.0 = Self::MANY;
        LinkFault::TakenOver { client_id: client_id.to_owned(), said: false }
    }
}

/// How long to wait before the next attempt: doubled each time, with some jitter so that stations do not come in step.
#[derive(Debug, Default)]
struct BackOff {
    failures: u32,
}

impl BackOff {
    const FIRST: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(10);

    fn after(&mut self, fault: &LinkFault, stood: Duration) -> Duration {
        if stood >= STABLE {
            self.failures = 0;
        }
        let base = match fault {
            // Only a person can mend these.
            LinkFault::Refused(_) | LinkFault::Tls(_) => Self::LONGEST / 2,
            // Both would take turns at the broker's cost.
            LinkFault::TakenOver { .. } => Self::LONGEST / 2,
            LinkFault::Network(_) | LinkFault::Silent(_) => Self::FIRST.saturating_mul(1 << self.failures.min(10)),
        };
        self.failures += 1;
        let digits = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.subsec_nanos());
        base.min(Self::LONGEST).mul_f64(0.8 + 0.4 * f64::from(digits % 1000) / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_closes_again_and_again_has_another_client_with_our_id() {
        let mut closings = Closings::default();
        let network = || LinkFault::Network("closed".into());
        let soon = Duration::from_millis(300);
        for _ in 0..3 {
            assert_eq!(closings.judge(network(), true, soon, "metaphased-lab-1"), network());
        }
        let twin = closings.judge(network(), true, soon, "metaphased-lab-1").to_string();
        assert!(twin.contains("another client has this id ('metaphased-lab-1'): set `station`"), "{twin}");
        // A broker that is away is not one that closes, nor is one that stood.
        assert_eq!(closings.judge(network(), false, Duration::ZERO, "x"), network());
        assert_eq!(closings.judge(network(), true, soon, "x"), network());
        assert_eq!(closings.judge(network(), true, Duration::from_secs(60), "x"), network());
        assert_eq!(closings.judge(network(), true, soon, "x"), network());
    }

    #[test]
    fn attempts_become_rarer_until_a_stable_connection_resets_them() {
        let mut pause = BackOff::default();
        let network = LinkFault::Network("refused".into());
        let waits: Vec<_> = (0..9).map(|_| pause.after(&network, Duration::ZERO)).collect();
        assert!(waits[0] < Duration::from_millis(310) && waits[3] > waits[0] * 4, "{waits:?}");
        assert!(waits[8] <= Duration::from_secs(12) && waits[8] >= Duration::from_secs(8), "{waits:?}");
        assert!(pause.after(&network, STABLE) < Duration::from_millis(310));
        assert!(pause.after(&LinkFault::Refused("password".into()), STABLE) >= Duration::from_secs(4));
    }
}
