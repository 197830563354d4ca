//! What the broker keeps of one client.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use rumqttc_v5::mqttbytes::{
    QoS,
    v5::{LastWill, Packet, Publish, RetainForwardRule, SubscribeFilter},
};
use tokio::sync::{Notify, oneshot};

use super::topics;

/// Most bytes that wait for a client; a session with more is ended.
const MAX_QUEUED_BYTES: usize = 32 * 1024 * 1024;
/// What a packet costs in memory besides its topic and payload.
const PACKET_OVERHEAD: usize = 256;
/// Most subscriptions of a client.
pub(super) const MAX_SUBSCRIPTIONS: usize = 1000;

/// The queue of a client is full.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QueueFull;

/// The router's end of a connection. Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct Attached {
    /// Distinguishes connections of the same client.
    pub id: u64,
    /// Something waits to be written.
    pub wake: Arc<Notify>,
    /// Dropped with this.
    pub _open: oneshot::Sender<()>,
}

/// One client: its subscriptions, what waits for it, and its connection while it has one.
#[derive(Debug, Default)]
pub(super) struct Session {
    subscriptions: Vec<SubscribeFilter>,
    replies: VecDeque<Packet>,
    messages: VecDeque<Publish>,
    unacknowledged: VecDeque<Publish>,
    queued_bytes: usize,
    last_id: u16,
    /// Ids of QoS 2 publishes that were routed and not yet released.
    unreleased: HashSet<u16>,
    /// Most publishes at QoS 1 without a PUBACK.
    pub window: usize,
    /// Largest packet that the client accepts, in bytes.
    pub max_packet: usize,
    /// Published when the connection ends without a goodbye.
    pub will: Option<LastWill>,
    /// How long the session outlives its connection; `None`: without an end.
    pub keep_for: Option<Duration>,
    /// Set while there is no connection.
    pub expires_at: Option<Instant>,
    /// The connection.
    pub connection: Option<Attached>,
}

fn cost(publish: &Publish) -> usize {
    publish.topic.len() + publish.payload.len() + PACKET_OVERHEAD
}

impl Session {
    /// Starts over with a connection: what was sent without a PUBACK is sent again, in order, with its id.
    pub fn attach(&mut self, connection: Attached) {
        self.replies.clear();
        for mut publish in self.unacknowledged.drain(..).rev() {
            publish.dup = true;
            self.messages.push_front(publish);
        }
        self.queued_bytes = self.messages.iter().map(cost).sum();
        self.expires_at = None;
        self.connection = Some(connection);
    }

    /// Whether `id` is the current connection.
    pub fn is_attached(&self, id: u64) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.id == id)
    }

    /// More than half of the queue is in use: publishers should wait a little.
    pub fn is_congested(&self) -> bool {
        self.queued_bytes > MAX_QUEUED_BYTES / 2
    }

    /// Subscribes; true where the filter is new. `None`: too many subscriptions.
    pub fn subscribe(&mut self, filter: SubscribeFilter) -> Option<bool> {
        if let Some(known) = self.subscriptions.iter_mut().find(|known| known.path == filter.path) {
            *known = filter;
            return Some(false);
        }
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            return None;
        }
        self.subscriptions.push(filter);
        Some(true)
    }

    /// True when there was such a subscription.
    pub fn unsubscribe(&mut self, filter: &str) -> bool {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|known| known.path != filter);
        self.subscriptions.len() < before
    }

    /// Queues `publish` once if a subscription matches its `topic`, at the highest QoS that was granted.
    pub fn offer(&mut self, topic: &str, publish: &Publish, own: bool) -> Result<(), QueueFull> {
        let matching =
            self.subscriptions.iter().filter(|filter| !(own && filter.nolocal) && topics::matches(&filter.path, topic));
        let granted = matching.map(|filter| (filter.qos, filter.preserve_retain));
        let Some((qos, as_published)) = granted.reduce(|a, b| (highest(a.0, b.0), a.1 || b.1)) else { return Ok(()) };
        self.push(publish, qos, publish.retain && as_published)
    }

    /// Queues the retained `publish` for a subscription that was just made.
    pub fn offer_retained(
        &mut self,
        filter: &SubscribeFilter,
        is_new: bool,
        publish: &Publish,
    ) -> Result<(), QueueFull> {
        match filter.retain_forward_rule {
            RetainForwardRule::OnEverySubscribe => {}
            RetainForwardRule::OnNewSubscribe if is_new => {}
            _ => return Ok(()),
        }
        self.push(publish, filter.qos, true)
    }

    fn push(&mut self, publish: &Publish, granted: QoS, retain: bool) -> Result<(), QueueFull> {
        let qos = if granted == QoS::AtMostOnce { QoS::AtMostOnce } else { publish.qos };
        if self.connection.is_none() && qos == QoS::AtMostOnce {
            return Ok(());
        }
        self.spend(cost(publish))?;
        self.messages.push_back(Publish { qos, retain, ..publish.clone() });
        self.wake();
        Ok(())
    }

    /// Queues a reply; replies go before messages.
    pub fn reply(&mut self, packet: Packet) -> Result<(), QueueFull> {
        self.spend(PACKET_OVERHEAD)?;
        self.replies.push_back(packet);
        self.wake();
        Ok(())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), QueueFull> {
        if self.queued_bytes + bytes > MAX_QUEUED_BYTES {
            return Err(QueueFull);
        }
        self.queued_bytes += bytes;
        Ok(())
    }

    fn wake(&self) {
        if let Some(connection) = &self.connection {
            connection.wake.notify_one();
        }
    }

    /// The next packet to write, if the window allows one.
    pub fn next(&mut self) -> Option<Packet> {
        if let Some(reply) = self.replies.pop_front() {
            self.queued_bytes -= PACKET_OVERHEAD;
            return Some(reply);
        }
        loop {
            let waits = self.messages.front()?.qos == QoS::AtLeastOnce && self.unacknowledged.len() >= self.window;
            let mut publish = if waits { return None } else { self.messages.pop_front()? };
            let cost = cost(&publish);
            if publish.size() > self.max_packet {
                self.queued_bytes -= cost;
                continue;
            }
            if publish.qos == QoS::AtLeastOnce {
                if publish.pkid == 0 {
                    publish.pkid = self.free_id();
                }
                // Counts until its PUBACK.
                self.unacknowledged.push_back(publish.clone());
            } else {
                self.queued_bytes -= cost;
            }
            return Some(Packet::Publish(publish));
        }
    }

    fn free_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            let waiting = self.unacknowledged.iter().chain(&self.messages);
            if waiting.take(self.window).all(|publish| publish.pkid != self.last_id) {
                return self.last_id;
            }
        }
    }

    /// A PUBACK came.
    pub fn acknowledge(&mut self, id: u16) {
        if let Some(place) = self.unacknowledged.iter().position(|publish| publish.pkid == id)
            && let Some(publish) = self.unacknowledged.remove(place)
        {
            self.queued_bytes -= cost(&publish);
            self.wake();
        }
    }

    /// A publish at QoS 2 came; true when it is to be routed, false when it was already.
    pub fn receive_once(&mut self, id: u16) -> bool {
        self.unreleased.insert(id)
    }

    /// A PUBREL came; true when its publish was known.
    pub fn release(&mut self, id: u16) -> bool {
        self.unreleased.remove(&id)
    }
}

fn highest(a: QoS, b: QoS) -> QoS {
    if a == QoS::AtMostOnce { b } else { a }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn connected(window: usize) -> Session {
        let (open, _) = oneshot::channel();
        let mut session = Session { window, max_packet: 1000, ..Session::default() };
        session.attach(Attached { id: 1, wake: Arc::default(), _open: open });
        session.subscribe(SubscribeFilter::new("a/#", QoS::AtLeastOnce));
        session
    }

    fn message(bytes: usize) -> Publish {
        Publish::new("a/b", QoS::AtLeastOnce, Bytes::from(vec![7; bytes]), None)
    }

    fn ids(session: &mut Session) -> Vec<(u16, bool)> {
        let packets = std::iter::from_fn(|| session.next());
        packets.map(|packet| if let Packet::Publish(p) = packet { (p.pkid, p.dup) } else { (0, false) }).collect()
    }

    #[test]
    fn no_more_is_sent_than_the_window_until_acknowledged() {
        let mut session = connected(2);
        for _ in 0..4 {
            session.offer("a/b", &message(10), false).unwrap();
        }
        assert_eq!(ids(&mut session), [(1, false), (2, false)]);
        session.acknowledge(1);
        assert_eq!(ids(&mut session), [(3, false)]);
    }

    #[test]
    fn a_new_connection_gets_what_was_not_acknowledged_again_with_its_id() {
        let mut session = connected(10);
        for _ in 0..3 {
            session.offer("a/b", &message(10), false).unwrap();
        }
        assert_eq!(session.next().map(|_| ()), Some(()));
        assert_eq!(session.next().map(|_| ()), Some(()));
        session.acknowledge(1);
        let (open, _) = oneshot::channel();
        session.attach(Attached { id: 2, wake: Arc::default(), _open: open });
        assert_eq!(ids(&mut session), [(2, true), (3, false)]);
    }

    #[test]
    fn a_full_queue_is_an_error_and_what_is_too_large_for_the_client_is_left_out() {
        let mut session = connected(10);
        session.offer("a/b", &message(2000), false).unwrap();
        session.offer("a/b", &message(10), false).unwrap();
        assert_eq!(ids(&mut session).len(), 1);
        let large = message(1024 * 1024);
        let full = (0..100).find(|_| session.offer("a/b", &large, false).is_err());
        assert_eq!(full, Some(31), "32 MiB are the limit");
    }

    #[test]
    fn overlapping_subscriptions_deliver_once_and_no_local_not_at_all() {
        let mut session = connected(10);
        session.subscribe(SubscribeFilter::new("a/+", QoS::AtMostOnce));
        session.offer("a/b", &message(10), true).unwrap();
        assert_eq!(ids(&mut session).len(), 1);
        for filter in ["a/#", "a/+"] {
            session.subscribe(SubscribeFilter { nolocal: true, ..SubscribeFilter::new(filter, QoS::AtLeastOnce) });
        }
        session.offer("a/b", &message(10), true).unwrap();
        assert_eq!(ids(&mut session).len(), 0);
    }
}
