//! What goes out on one connection: answers and reports, latest values, and the outbox in order.
//!
//! The store is the only truth. A row of the outbox is read (or taken from the store's memory, where it was just committed),
//! sent, and removed a moment after its PUBACK; on the next
//! connection everything that is still there is sent again. The moment matters when a broker dies: what it had
//! acknowledged and not yet passed on is gone with it, so the last rows before a loss are sent once more.

use std::{
    collections::{HashSet, VecDeque},
    future::{pending, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    task::{JoinError, JoinHandle, spawn_blocking},
    time::{Instant, sleep_until},
};

use super::{
    link::{Ack, Closed, Link, LinkFault, Publish, Unacknowledged},
    oversize::OversizeSearch,
    settings::BrokerSettings,
    topics::Topics,
};
use crate::{
    station::{Health, Level},
    store::{LatestRow, OutboxRow, Store, StoreError},
};

/// What an acknowledgement stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Sent {
    /// An answer, a report: nothing to do.
    Report,
    /// A row of the outbox; whether it is a cell.
    Row { id: i64, cell: bool },
    /// The latest value of a topic; whether it clears it.
    Latest { change: i64, cleared: bool },
}

/// How long an acknowledged row stays in the store.
const ACKED_ROW_RETENTION: Duration = Duration::from_secs(2);
/// After so long it is tried again whether the broker takes messages of a size that seemed to end its connections.
const RECONSIDER_AFTER: Duration = Duration::from_secs(600);
/// How long the outbox waits on a connection that follows a lost one: subscribers have to come back, too, and a broker
/// that forgot their sessions throws away what nobody listens to.
const RECONNECT_SETTLE_TIME: Duration = Duration::from_secs(2);
/// How long a store that failed is left alone.
const STORE_RETRY: Duration = Duration::from_secs(5);
/// What a packet needs besides its topic and payload, at most.
const PACKET_HEAD: usize = 64;

/// A message that waits for its PUBACK.
struct InFlight {
    sent: Sent,
    topic: String,
    /// Bytes of its packet; 0 when its acknowledgement does not mean that the broker took it.
    size: usize,
    since: Instant,
    ack: Ack,
}

impl InFlight {
    fn key(&self) -> (Sent, &str) {
        (self.sent, &self.topic)
    }
}

/// What has been settled with the broker and is still to be written down.
#[derive(Debug, Default)]
struct Settled {
    /// Rows of the outbox that go.
    done: Vec<i64>,
    /// Topics that the broker has cleared.
    cleared: Vec<i64>,
    /// Rows that the broker cannot take, each with the reason.
    aside: Vec<(i64, String)>,
    /// Highest change that was left when topics were forgotten.
    change_left: Option<i64>,
}

impl Settled {
    fn is_empty(&self) -> bool {
        self.done.is_empty() && self.cleared.is_empty() && self.aside.is_empty()
    }

    /// Writes it to the store and gives how many messages were set aside; what could not be written stays here.
    fn write(&mut self, store: &Store) -> Result<u64, StoreError> {
        if !self.done.is_empty() {
            store.acknowledge(&self.done)?;
            self.done.clear();
        }
        if !self.cleared.is_empty() {
            // Whatever becomes of it: after an error every latest value is read again.
            self.change_left = Some(0);
            self.change_left = Some(store.forget_cleared(&self.cleared)?);
            self.cleared.clear();
        }
        if self.aside.is_empty() {
            return Ok(0);
        }
        let moved = store.set_aside(&self.aside)?;
        self.aside.clear();
        Ok(moved)
    }

    fn append(&mut self, mut other: Self) {
        self.done.append(&mut other.done);
        self.cleared.append(&mut other.cleared);
        self.aside.append(&mut other.aside);
    }

    fn holds(&self, row: i64) -> bool {
        self.done.contains(&row) || self.aside.iter().any(|(aside, _)| *aside == row)
    }
}

type Written = (Settled, Result<u64, StoreError>);
type Batch = Result<(Vec<LatestRow>, Vec<OutboxRow>), StoreError>;

pub(super) struct OutboxPublisher {
    store: Store,
    health: Health,
    topics: Topics,
    window: usize,
    max_packet: usize,
    /// Sent and not yet acknowledged, in order: brokers acknowledge in the order of sending.
    in_flight: VecDeque<InFlight>,
    /// When the broker last acknowledged something.
    answered: Instant,
    acknowledge_within: Duration,
    /// Read and not yet sent.
    ready: VecDeque<(Sent, Publish)>,
    reading: Option<JoinHandle<Batch>>,
    removing: Option<JoinHandle<Written>>,
    /// Acknowledged, since when, and whether it is a cell.
    held: VecDeque<(Instant, i64, bool)>,
    /// To be written to the store.
    settled: Settled,
    /// The store could not be read, or not be written: it is not tried again before.
    read_again: Option<Instant>,
    write_again: Option<Instant>,
    /// Last row and last change that were read for this connection.
    row: i64,
    change: i64,
    /// There may be more in the store.
    more: bool,
    /// Highest row that was ever handed to a broker: what comes again below it may arrive twice.
    sent_through: i64,
    oversize: OversizeSearch,
    /// Size of a packet that the broker did not take, and since when that is known.
    refused: Option<(usize, Instant)>,
    /// Rows that were set aside since the start.
    aside: u64,
    /// Other topics whose latest message is larger than the broker takes.
    unsendable: HashSet<String>,
    /// PUBACKs for rows.
    acknowledged: Arc<AtomicU64>,
    /// A connection was lost before this one.
    again: bool,
    /// Nothing is read from the store before.
    quiet_until: Option<Instant>,
}

impl OutboxPublisher {
    pub(super) fn new(store: Store, health: Health, settings: &BrokerSettings) -> Self {
        Self {
            store,
            health,
            topics: settings.topics.clone(),
            window: usize::from(settings.window),
            max_packet: 0,
            in_flight: VecDeque::new(),
            answered: Instant::now(),
            acknowledge_within: settings.acknowledge_within,
            ready: VecDeque::new(),
            reading: None,
            removing: None,
            held: VecDeque::new(),
            settled: Settled::default(),
            read_again: None,
            write_again: None,
            row: 0,
            change: 0,
            more: true,
            sent_through: 0,
            oversize: OversizeSearch::default(),
            refused: None,
            aside: 0,
            unsendable: HashSet::new(),
            acknowledged: Arc::default(),
            again: false,
            quiet_until: None,
        }
    }

    pub(super) fn acknowledged_rows(&self) -> Arc<AtomicU64> {
        self.acknowledged.clone()
    }

    /// A new connection: everything that is still in the store goes out (again).
    pub(super) fn start(&mut self, max_packet: u32) {
        self.max_packet = self.refused.map_or(usize::MAX, |(size, _)| size - 1).min(max_packet as usize);
        self.say_oversize();
        (self.row, self.change, self.more) = (0, 0, true);
        self.quiet_until = self.again.then(|| Instant::now() + RECONNECT_SETTLE_TIME);
    }

    /// The store has something new.
    pub(super) fn more(&mut self) {
        self.more = true;
        self.health.set_outbox_depth(self.store.outbox_depth());
    }

    /// Nothing is on its way and nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
            && self.ready.is_empty()
            && self.reading.is_none()
            && self.removing.is_none()
            && self.settled.is_empty()
            && !self.more
    }

    /// Nothing sent waits for its PUBACK.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Hands a message to the connection.
    pub(super) fn send(&mut self, link: &dyn Link, sent: Sent, publish: Publish) -> Result<(), Closed> {
        let topic = publish.topic.clone();
        let size = if publish.acknowledged { packet_size(&publish) } else { 0 };
        let ack = link.publish(publish)?;
        self.in_flight.push_back(InFlight { sent, topic, size, since: Instant::now(), ack });
        Ok(())
    }

    /// Whether the message may go now that others are on their way.
    fn may_send(&self, sent: Sent, publish: &Publish) -> bool {
        self.oversize.may_send(sent, &publish.topic, self.in_flight.iter().map(InFlight::key))
    }

    /// Sends as much as the window allows, `first` before the rest, and starts to read and to remove rows.
    pub(super) fn send_pending(&mut self, link: &dyn Link, first: &mut VecDeque<Publish>) -> Result<(), Closed> {
        // Reports are few and small; they need not wait for the window.
        while let Some(publish) = first.pop_front_if(|publish| self.may_send(Sent::Report, publish)) {
            if self.fits(&publish) {
                self.send(link, Sent::Report, publish)?;
            } else {
                self.cannot_go(Sent::Report, &publish);
            }
        }
        if self.quiet_until.is_some_and(|until| until <= Instant::now()) {
            self.quiet_until = None;
        }
        for again in [&mut self.read_again, &mut self.write_again] {
            again.take_if(|then| *then <= Instant::now());
        }
        self.release(Instant::now().checked_sub(ACKED_ROW_RETENTION));
        loop {
            while first.is_empty() && self.in_flight.len() < self.window {
                let Some((sent, publish)) = self.ready.pop_front() else { break };
                if !self.fits(&publish) {
                    self.cannot_go(sent, &publish);
                    continue;
                }
                if !self.may_send(sent, &publish) {
                    self.ready.push_front((sent, publish));
                    break;
                }
                if let Sent::Row { id, .. } = sent {
                    if id <= self.sent_through {
                        self.health.count_resent(1);
                    }
                    self.sent_through = self.sent_through.max(id);
                }
                self.send(link, sent, publish)?;
            }
            if !self.read() {
                break;
            }
        }
        if self.removing.is_none() && self.write_again.is_none() && !self.settled.is_empty() {
            self.removing = Some(self.remove());
        }
        Ok(())
    }

    /// Takes what was just committed from memory, true when there was any; else starts to read what is new.
    fn read(&mut self) -> bool {
        if !self.more
            || self.quiet_until.is_some()
            || self.read_again.is_some()
            || self.reading.is_some()
            || self.ready.len() >= self.window / 2
        {
            return false;
        }
        self.more = false;
        let (row, change, limit) = (self.row, self.change, self.window);
        let latest_are_read = self.store.latest_change() <= change;
        let fresh = self.store.fresh_after(row, limit);
        match fresh {
            Some(rows) if latest_are_read => {
                let any = !rows.is_empty();
                self.take((Vec::new(), rows));
                any
            }
            fresh => {
                let reader = self.store.reader();
                self.reading = Some(spawn_blocking(move || {
                    // Rows first: a retained row that a commit adds in between is then found by the latest values, too.
                    let rows = fresh.map_or_else(|| reader.outbox_after(row, limit), Ok)?;
                    Ok((reader.latest_after(change, limit)?, rows))
                }));
                false
            }
        }
    }

    /// Lets go of what was acknowledged before `then`.
    fn release(&mut self, then: Option<Instant>) {
        while let Some((since, id, cell)) = self.held.front().copied() {
            if then.is_none_or(|then| since > then) {
                return;
            }
            self.held.pop_front();
            self.settled.done.push(id);
            self.health.count_published(u64::from(cell));
        }
    }

    /// The broker is alive and we leave: what it acknowledged needs no second copy.
    pub(super) fn release_all(&mut self) {
        self.release(Some(Instant::now()));
    }

    fn remove(&mut self) -> JoinHandle<Written> {
        let (store, mut settled) = (self.store.clone(), std::mem::take(&mut self.settled));
        spawn_blocking(move || {
            let result = settled.write(&store);
            (settled, result)
        })
    }

    /// A full disk or a locked database is no fault of the connection: what is settled waits until the store works
    /// again.
    fn removed(&mut self, written: Result<Written, JoinError>) {
        if let Ok((Settled { change_left: Some(left), .. }, _)) = &written
            && *left < self.change
        {
            // Numbers beyond it are given again: what has one of them is new.
            (self.change, self.more) = (*left, true);
        }
        match written {
            Ok((_, Ok(aside))) => {
                if aside > 0 {
                    self.aside += aside;
                    self.say_oversize();
                }
            }
            Ok((settled, Err(error))) => {
                self.settled.append(settled);
                self.write_again = Some(store_failed(&error));
            }
            // What it held is still in the store, and is sent again on the next connection.
            Err(error) => tracing::error!(%error, "the outbox could not be cleared"),
        }
        self.health.set_outbox_depth(self.store.outbox_depth());
    }

    /// Waits until something was acknowledged, read or removed. An error ends the connection; without a reason the
    /// connection itself knows it.
    pub(super) async fn progress(&mut self) -> Result<(), Option<LinkFault>> {
        let due = match (self.quiet_until, self.held.front()) {
            (Some(until), _) => Some(until),
            // A whole batch at once rather than row by row.
            (None, Some((since, ..))) => Some(*since + ACKED_ROW_RETENTION + Duration::from_millis(50)),
            (None, None) => None,
        };
        let due = [due, self.read_again, self.write_again].into_iter().flatten().min();
        let silent = self.answer_due();
        tokio::select! {
            result = first_acknowledged(&mut self.in_flight) => {
                self.acknowledged(result)?;
                // Whatever else is there already goes into the same transaction.
                let mut context = Context::from_waker(Waker::noop());
                while let Some(oldest) = self.in_flight.front_mut() {
                    let Poll::Ready(result) = oldest.ack.as_mut().poll(&mut context) else { break };
                    self.acknowledged(result)?;
                }
            }
            () = sleep_until(silent.unwrap_or_else(Instant::now)), if silent.is_some() => {
                return Err(Some(LinkFault::Silent(self.acknowledge_within)));
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            batch = finished(&mut self.reading) => {
                self.reading = None;
                match batch {
                    Ok(Ok(batch)) => self.take(batch),
                    Ok(Err(error)) => {
                        self.more = true;
                        self.read_again = Some(store_failed(&error));
                    }
                    Err(error) => return Err(Some(LinkFault::Network(error.to_string()))),
                }
            }
            removed = finished(&mut self.removing) => {
                self.removing = None;
                self.removed(removed);
            }
        }
        Ok(())
    }

    /// When the broker must have acknowledged something; none while nothing waits for it.
    fn answer_due(&self) -> Option<Instant> {
        let oldest = self.in_flight.front()?;
        Some(oldest.since.max(self.answered) + self.acknowledge_within)
    }

    /// What came of the oldest message on its way.
    fn acknowledged(&mut self, result: Result<(), Unacknowledged>) -> Result<(), Option<LinkFault>> {
        // It is still on its way, as far as the next connection is concerned.
        if result == Err(Unacknowledged::Lost) {
            return Err(None);
        }
        let Some(InFlight { sent, topic, size, .. }) = self.in_flight.pop_front() else { return Ok(()) };
        self.answered = Instant::now();
        match result {
            Ok(()) => {
                self.oversize.acknowledged(sent, &topic, size);
                self.unsendable.remove(&topic);
                self.settle(sent);
                Ok(())
            }
            Err(Unacknowledged::Lost) => Err(None),
            Err(Unacknowledged::Refused(reason)) if sent == Sent::Report => {
                tracing::warn!(reason, "the broker refused a report");
                Ok(())
            }
            Err(Unacknowledged::Refused(reason)) => Err(Some(LinkFault::Refused(format!(
                "the broker rejects our messages ({reason}); check its access rules"
            )))),
        }
    }

    /// The broker has it.
    fn settle(&mut self, sent: Sent) {
        match sent {
            Sent::Report => {}
            Sent::Row { id, cell } => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                self.held.push_back((Instant::now(), id, cell));
            }
            Sent::Latest { change, cleared } => {
                if cleared {
                    self.settled.cleared.push(change);
                }
            }
        }
    }

    fn take(&mut self, (latest, rows): (Vec<LatestRow>, Vec<OutboxRow>)) {
        self.more |= latest.len() == self.window || rows.len() == self.window;
        let retained = |topic: String, payload: Vec<u8>, retain| Publish {
            topic,
            payload,
            acknowledged: true,
            retain,
            correlation: None,
        };
        for row in latest {
            self.change = row.change;
            let sent = Sent::Latest { change: row.change, cleared: row.payload.is_none() };
            let payload = row.payload.unwrap_or_default().into_bytes();
            self.ready.push_back((sent, retained(self.topics.of(&row.topic), payload, true)));
        }
        for row in rows {
            self.row = row.id;
            // It waits only for the store.
            if self.settled.holds(row.id) {
                continue;
            }
            let sent = Sent::Row { id: row.id, cell: row.topic == "cell" };
            self.ready.push_back((sent, retained(self.topics.of(&row.topic), row.payload.into_bytes(), row.retain)));
        }
    }

    /// A packet beyond the limit would end every connection.
    fn fits(&self, publish: &Publish) -> bool {
        packet_size(publish) <= self.max_packet
    }

    /// Lets the broker go without a message that it does not take: a row is set aside, the latest value of a topic stays
    /// where it is until a smaller one takes its place.
    fn cannot_go(&mut self, sent: Sent, publish: &Publish) {
        let (size, limit) = (packet_size(publish), self.max_packet);
        if let Sent::Row { id, .. } = sent {
            tracing::error!(topic = publish.topic, size, limit, "a message is too large for the broker and set aside");
            self.settled.aside.push((id, format!("its {size} bytes exceed the {limit} that the broker takes")));
        } else if self.unsendable.insert(publish.topic.clone()) {
            tracing::error!(topic = publish.topic, size, limit, "a message is too large for the broker");
            self.say_oversize();
        }
    }

    /// Puts into the state of the broker what it does not take.
    fn say_oversize(&self) {
        let (aside, topics, limit) = (self.aside, self.unsendable.len(), self.max_packet);
        if aside == 0 && topics == 0 {
            return;
        }
        let mut what = Vec::new();
        if aside > 0 {
            what.push(format!("{aside} messages"));
        }
        if topics > 0 {
            what.push(format!("the latest values of {topics} topics"));
        }
        let what = what.join(" and ");
        self.health.broker(|broker| {
            broker.set_aside = aside;
            broker.level = Level::Degraded;
            broker.reason = format!(
                "{what} exceed the {limit} bytes that the broker takes and are set aside in the store: raise its limit \
                 (mosquitto: max_packet_size) and restart metaphased, which sends them then"
            );
        });
    }

    /// Forgets what was on its way and what was held, after what is to be removed is removed.
    pub(super) async fn connection_lost(&mut self) {
        self.again = true;
        let waited = self.in_flight.front().map_or(Duration::ZERO, |oldest| oldest.since.max(self.answered).elapsed());
        let unanswered = self.in_flight.iter().map(|message| (message.sent, message.topic.as_str(), message.size));
        if let Some(size) = self.oversize.lost(unanswered, waited) {
            tracing::error!(
                size,
                "the broker ends the connection on a message of this size: none like it is sent again"
            );
            let size = self.refused.map_or(size, |(refused, _)| refused.min(size));
            self.refused = Some((size, Instant::now()));
        }
        self.in_flight.clear();
        self.ready.clear();
        self.held.clear();
        if let Some(reading) = self.reading.take() {
            let _ = reading.await;
        }
        if let Some(removing) = self.removing.take() {
            let removed = removing.await;
            self.removed(removed);
        }
        if self.write_again.is_none() {
            let removed = self.remove().await;
            self.removed(removed);
        }
        self.more = true;
        self.reconsider().await;
    }

    /// A link that breaks at random may have looked like a broker that takes no large messages. What was set aside for
    /// that goes out once more, on the first connection after a while.
    async fn reconsider(&mut self) {
        if self.refused.is_none_or(|(_, since)| since.elapsed() < RECONSIDER_AFTER) {
            return;
        }
        let store = self.store.clone();
        match spawn_blocking(move || store.take_back_set_aside()).await {
            Ok(Ok(messages)) => {
                tracing::info!(messages, "what was set aside goes to the broker once more");
                (self.refused, self.oversize, self.aside) = (None, OversizeSearch::default(), 0);
                self.unsendable.clear();
            }
            Ok(Err(error)) => tracing::warn!(%error, "what was set aside stays so"),
            Err(error) => tracing::error!(%error, "what was set aside stays so"),
        }
    }
}

/// When a store that failed is tried again.
fn store_failed(error: &StoreError) -> Instant {
    tracing::error!(%error, retry_in = ?STORE_RETRY, "the outbox cannot be read or cleared");
    Instant::now() + STORE_RETRY
}

/// Bytes of a message's packet, rounded up.
fn packet_size(publish: &Publish) -> usize {
    publish.topic.len() + publish.payload.len() + PACKET_HEAD
}

/// What comes of the oldest message on its way; never when there is none. The message stays where it is.
async fn first_acknowledged(in_flight: &mut VecDeque<InFlight>) -> Result<(), Unacknowledged> {
    poll_fn(|context| match in_flight.front_mut() {
        Some(oldest) => oldest.ack.as_mut().poll(context),
        None => Poll::Pending,
    })
    .await
}

/// The end of a task; never when there is none.
async fn finished<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => pending().await,
    }
}
