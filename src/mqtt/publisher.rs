//! What goes out on one connection: answers and reports, latest values, and the outbox in order.
//!
//! The store is the only truth. A row of the outbox is read, sent, and removed a moment after its PUBACK; on the next
//! connection everything that is still there is sent again. The moment matters when a broker dies: what it had
//! acknowledged and not yet passed on is gone with it, so the last rows before a loss are sent once more.

use std::{
    collections::VecDeque,
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
    topics::Topics,
};
use crate::{
    station::{Health, Level},
    store::{LatestRow, OutboxRow, Store, StoreError},
};

/// What an acknowledgement stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
/// How long the outbox waits on a connection that follows a lost one: subscribers have to come back, too, and a broker
/// that forgot their sessions throws away what nobody listens to.
const RECONNECT_SETTLE_TIME: Duration = Duration::from_secs(2);

type Batch = Result<(Vec<LatestRow>, Vec<OutboxRow>), StoreError>;

pub(super) struct OutboxPublisher {
    store: Store,
    health: Health,
    topics: Topics,
    window: usize,
    max_packet: usize,
    /// Sent and not yet acknowledged, in order: brokers acknowledge in the order of sending.
    in_flight: VecDeque<(Sent, Ack)>,
    /// Read and not yet sent.
    ready: VecDeque<(Sent, Publish)>,
    reading: Option<JoinHandle<Batch>>,
    removing: Option<JoinHandle<Result<(), StoreError>>>,
    /// Acknowledged, since when, and whether it is a cell.
    held: VecDeque<(Instant, i64, bool)>,
    /// To be removed from the store.
    done: Vec<i64>,
    cleared: Vec<i64>,
    /// Last row and last change that were read for this connection.
    row: i64,
    change: i64,
    /// There may be more in the store.
    more: bool,
    /// Highest row that was ever handed to a broker: what comes again below it may arrive twice.
    sent_through: i64,
    oversized: u64,
    /// PUBACKs for rows.
    acknowledged: Arc<AtomicU64>,
    /// A connection was lost before this one.
    again: bool,
    /// Nothing is read from the store before.
    quiet_until: Option<Instant>,
}

impl OutboxPublisher {
    pub(super) fn new(store: Store, health: Health, topics: Topics, window: u16) -> Self {
        Self {
            store,
            health,
            topics,
            window: usize::from(window),
            max_packet: 0,
            in_flight: VecDeque::new(),
            ready: VecDeque::new(),
            reading: None,
            removing: None,
            held: VecDeque::new(),
            done: Vec::new(),
            cleared: Vec::new(),
            row: 0,
            change: 0,
            more: true,
            sent_through: 0,
            oversized: 0,
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
        self.max_packet = max_packet as usize;
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
            && self.done.is_empty()
            && !self.more
    }

    /// Nothing sent waits for its PUBACK.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.in_flight.is_empty()
    }

    pub(super) fn push(&mut self, sent: Sent, ack: Ack) {
        self.in_flight.push_back((sent, ack));
    }

    /// Sends as much as the window allows, `first` before the rest, and starts to read and to remove rows.
    pub(super) fn send_pending(&mut self, link: &dyn Link, first: &mut VecDeque<Publish>) -> Result<(), Closed> {
        // Reports are few and small; they need not wait for the window.
        while let Some(publish) = first.pop_front() {
            if self.fits(&publish) {
                let ack = link.publish(publish)?;
                self.push(Sent::Report, ack);
            }
        }
        while self.in_flight.len() < self.window {
            let Some((sent, publish)) = self.ready.pop_front() else { break };
            if !self.fits(&publish) {
                self.settle(sent, false);
                continue;
            }
            if let Sent::Row { id, .. } = sent {
                if id <= self.sent_through {
                    self.health.count_resent(1);
                }
                self.sent_through = self.sent_through.max(id);
            }
            let ack = link.publish(publish)?;
            self.push(sent, ack);
        }
        if self.quiet_until.is_some_and(|until| until <= Instant::now()) {
            self.quiet_until = None;
        }
        if self.more && self.quiet_until.is_none() && self.reading.is_none() && self.ready.len() < self.window / 2 {
            self.more = false;
            let (reader, row, change, limit) = (self.store.reader(), self.row, self.change, self.window);
            self.reading = Some(spawn_blocking(move || {
                // Rows first: a retained row that a commit adds in between is then found by the latest values, too.
                let rows = reader.outbox_after(row, limit)?;
                Ok((reader.latest_after(change, limit)?, rows))
            }));
        }
        self.release(Instant::now().checked_sub(ACKED_ROW_RETENTION));
        if self.removing.is_none() && !(self.done.is_empty() && self.cleared.is_empty()) {
            self.removing = Some(self.remove());
        }
        Ok(())
    }

    /// Lets go of what was acknowledged before `then`.
    fn release(&mut self, then: Option<Instant>) {
        while let Some((since, id, cell)) = self.held.front().copied() {
            if then.is_none_or(|then| since > then) {
                return;
            }
            self.held.pop_front();
            self.done.push(id);
            self.health.count_published(u64::from(cell));
        }
    }

    /// The broker is alive and we leave: what it acknowledged needs no second copy.
    pub(super) fn release_all(&mut self) {
        self.release(Some(Instant::now()));
    }

    fn remove(&mut self) -> JoinHandle<Result<(), StoreError>> {
        let (store, done, cleared) =
            (self.store.clone(), std::mem::take(&mut self.done), std::mem::take(&mut self.cleared));
        spawn_blocking(move || {
            store.acknowledge(&done)?;
            if cleared.is_empty() { Ok(()) } else { store.forget_cleared(&cleared) }
        })
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
        tokio::select! {
            (sent, result) = first_acknowledged(&mut self.in_flight) => {
                self.acknowledged(sent, result)?;
                // Whatever else is there already goes into the same transaction.
                let mut context = Context::from_waker(Waker::noop());
                while let Some((sent, ack)) = self.in_flight.front_mut() {
                    let sent = *sent;
                    let Poll::Ready(result) = ack.as_mut().poll(&mut context) else { break };
                    self.in_flight.pop_front();
                    self.acknowledged(sent, result)?;
                }
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            batch = finished(&mut self.reading) => {
                self.reading = None;
                match batch {
                    Ok(Ok(batch)) => self.take(batch),
                    Ok(Err(error)) => return Err(Some(self.store_fault(&error))),
                    Err(error) => return Err(Some(LinkFault::Network(error.to_string()))),
                }
            }
            removed = finished(&mut self.removing) => {
                self.removing = None;
                self.health.set_outbox_depth(self.store.outbox_depth());
                match removed {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return Err(Some(self.store_fault(&error))),
                    Err(error) => return Err(Some(LinkFault::Network(error.to_string()))),
                }
            }
        }
        Ok(())
    }

    fn store_fault(&self, error: &StoreError) -> LinkFault {
        tracing::error!(%error, "the outbox cannot be read or cleared");
        LinkFault::Network(format!("the outbox failed: {error}"))
    }

    fn acknowledged(&mut self, sent: Sent, result: Result<(), Unacknowledged>) -> Result<(), Option<LinkFault>> {
        match result {
            Ok(()) => {
                self.settle(sent, true);
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

    /// The broker has it, or it can never go.
    fn settle(&mut self, sent: Sent, published: bool) {
        match sent {
            Sent::Report => {}
            Sent::Row { id, cell } => {
                if published {
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                    self.held.push_back((Instant::now(), id, cell));
                } else {
                    self.done.push(id);
                }
            }
            Sent::Latest { change, cleared } => {
                if cleared {
                    self.cleared.push(change);
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
            let sent = Sent::Row { id: row.id, cell: row.topic == "cell" };
            self.ready.push_back((sent, retained(self.topics.of(&row.topic), row.payload.into_bytes(), row.retain)));
        }
    }

    /// A packet beyond the limit would end every connection, so it stays in the store, and the state of the broker says so.
    fn fits(&mut self, publish: &Publish) -> bool {
        let size = publish.topic.len() + publish.payload.len() + 64;
        if size <= self.max_packet {
            return true;
        }
        self.oversized += 1;
        tracing::error!(topic = publish.topic, size, limit = self.max_packet, "a message is too large for the broker");
        let (count, limit) = (self.oversized, self.max_packet);
        self.health.broker(|broker| {
            broker.level = Level::Degraded;
            broker.reason =
                format!("{count} messages exceed the {limit} bytes that the broker accepts and stay in the store");
        });
        false
    }

    /// Forgets what was on its way and what was held, after what is to be removed is removed.
    pub(super) async fn connection_lost(&mut self) {
        self.again = true;
        self.in_flight.clear();
        self.ready.clear();
        self.held.clear();
        if let Some(reading) = self.reading.take() {
            let _ = reading.await;
        }
        if let Some(removing) = self.removing.take() {
            let _ = removing.await;
        }
        // What cannot be removed now is sent again; the receiver knows it by its id and revision.
        let _ = self.remove().await;
        self.more = true;
    }
}

/// The oldest message on its way, once it is acknowledged; never when there is none.
async fn first_acknowledged(in_flight: &mut VecDeque<(Sent, Ack)>) -> (Sent, Result<(), Unacknowledged>) {
    let result = poll_fn(|context| match in_flight.front_mut() {
        Some((_, ack)) => ack.as_mut().poll(context),
        None => Poll::Pending,
    })
    .await;
    match in_flight.pop_front() {
        Some((sent, _)) => (sent, result),
        None => pending().await,
    }
}

/// The end of a task; never when there is none.
async fn finished<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => pending().await,
    }
}
