//! Sessions, retained messages, and the way from one to the other.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rumqttc_v5::mqttbytes::{
    QoS,
    v5::{
        Connect, ConnectReturnCode, LastWill, Packet, PubAck, PubComp, PubRec, Publish, SubAck, Subscribe,
        SubscribeFilter, SubscribeReasonCode, UnsubAck, UnsubAckReason, Unsubscribe,
    },
};
use tokio::sync::{Notify, oneshot};

use super::{
    codec,
    session::{Attached, QueueFull, Session},
    topics,
};

/// Most sessions, with and without a connection.
const MAX_SESSIONS: usize = 100;
/// Most bytes of retained messages; half of what may wait for one client, so that a subscription to all fits.
const MAX_RETAINED_BYTES: usize = 16 * 1024 * 1024;
/// Publishes at QoS 1 without a PUBACK, where the client sets no lower limit.
const DEFAULT_WINDOW: u16 = 256;
/// What is written at a time, in bytes; the last packet of a batch may go beyond.
const BATCH_BYTES: usize = 64 * 1024;

/// A client's name and which of its connections this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConnectionKey {
    pub client: String,
    pub id: u64,
}

/// What a connection gets from the router when it begins.
pub(super) struct Joined {
    pub key: ConnectionKey,
    pub session_present: bool,
    /// Something waits to be written.
    pub wake: Arc<Notify>,
    /// Ends when the router closes the connection.
    pub closed: oneshot::Receiver<()>,
}

#[derive(Debug, Default)]
pub(super) struct Router {
    sessions: HashMap<String, Session>,
    retained: BTreeMap<Bytes, Publish>,
    retained_bytes: usize,
    connections: u64,
}

impl Router {
    /// A client connects. A connection that it had is closed.
    pub fn connect(&mut self, connect: &Connect, will: Option<LastWill>) -> Result<Joined, ConnectReturnCode> {
        let now = Instant::now();
        self.sessions.retain(|_, session| session.expires_at.is_none_or(|at| at > now));
        self.connections += 1;
        let id = self.connections;
        let client = match connect.client_id.as_str() {
            "" if !connect.clean_start => return Err(ConnectReturnCode::ClientIdentifierNotValid),
            "" => format!("auto-{id}"),
            name => name.to_owned(),
        };
        if let Some(old) = self.sessions.get(&client).and_then(|session| session.connection.as_ref()) {
            let old = ConnectionKey { client: client.clone(), id: old.id };
            self.leave(&old, false);
        }
        if connect.clean_start {
            self.sessions.remove(&client);
        }
        let session_present = self.sessions.contains_key(&client);
        if !session_present && self.sessions.len() >= MAX_SESSIONS {
            tracing::warn!(client, "the embedded broker refused a client: it has {MAX_SESSIONS} already");
            return Err(ConnectReturnCode::ServerBusy);
        }
        let asked = connect.properties.clone().unwrap_or_default();
        let (open, closed) = oneshot::channel();
        let wake = Arc::new(Notify::new());
        let session = self.sessions.entry(client.clone()).or_default();
        session.window = usize::from(asked.receive_maximum.unwrap_or(DEFAULT_WINDOW).clamp(1, DEFAULT_WINDOW));
        session.max_packet = asked.max_packet_size.map_or(usize::MAX, |bytes| bytes as usize);
        session.keep_for = match asked.session_expiry_interval.unwrap_or(0) {
            u32::MAX => None,
            seconds => Some(Duration::from_secs(seconds.into())),
        };
        session.will = will;
        session.attach(Attached { id, wake: wake.clone(), _open: open });
        Ok(Joined { key: ConnectionKey { client, id }, session_present, wake, closed })
    }

    /// A connection ended. Without a goodbye its last will is published.
    pub fn leave(&mut self, key: &ConnectionKey, goodbye: bool) {
        let Some(session) = self.session(key) else { return };
        session.connection = None;
        let will = session.will.take().filter(|_| !goodbye);
        match session.keep_for {
            Some(Duration::ZERO) => {
                self.sessions.remove(&key.client);
            }
            keep_for => session.expires_at = keep_for.map(|time| Instant::now() + time),
        }
        if let Some(will) = will {
            self.publish(&key.client, codec::will_message(will));
        }
    }

    /// The session of `key` while that is its connection.
    fn session(&mut self, key: &ConnectionKey) -> Option<&mut Session> {
        self.sessions.get_mut(&key.client).filter(|session| session.is_attached(key.id))
    }

    /// What the client asked for its session at the end.
    pub fn set_session_expiry(&mut self, key: &ConnectionKey, seconds: u32) {
        if let Some(session) = self.session(key) {
            session.keep_for = (seconds != u32::MAX).then(|| Duration::from_secs(seconds.into()));
        }
    }

    /// Packets to write to a connection, a batch at a time; none while nothing waits.
    pub fn outgoing(&mut self, key: &ConnectionKey) -> Vec<Packet> {
        let Some(session) = self.session(key) else { return Vec::new() };
        let (mut packets, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES
            && let Some(packet) = session.next()
        {
            bytes += packet.size();
            packets.push(packet);
        }
        packets
    }

    /// A client publishes; the reply is queued. True when a subscriber falls behind, so that the client should wait.
    pub fn receive(&mut self, key: &ConnectionKey, publish: Publish) -> bool {
        let (qos, id) = (publish.qos, publish.pkid);
        let Some(session) = self.session(key) else { return false };
        let is_new = qos != QoS::ExactlyOnce || session.receive_once(id);
        let congested = is_new && self.publish(&key.client, publish);
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.reply(key, Packet::PubAck(PubAck::new(id, None))),
            QoS::ExactlyOnce => self.reply(key, Packet::PubRec(PubRec::new(id, None))),
        }
        congested
    }

    /// Keeps `publish` where it is retained and queues it for every subscriber. True when one falls behind.
    fn publish(&mut self, publisher: &str, publish: Publish) -> bool {
        let publish = codec::routed(publish);
        if publish.retain {
            self.retain(&publish);
        }
        let topic = String::from_utf8_lossy(&publish.topic);
        let mut congested = false;
        let mut full = Vec::new();
        for (client, session) in &mut self.sessions {
            match session.offer(&topic, &publish, client == publisher) {
                Ok(()) => congested |= session.connection.is_some() && session.is_congested(),
                Err(QueueFull) => full.push(client.clone()),
            }
        }
        for client in full {
            self.end(&client);
        }
        congested
    }

    fn retain(&mut self, publish: &Publish) {
        let bytes = |publish: &Publish| publish.topic.len() + publish.payload.len();
        if let Some(old) = self.retained.remove(&publish.topic) {
            self.retained_bytes -= bytes(&old);
        }
        if publish.payload.is_empty() {
            return;
        }
        if self.retained_bytes + bytes(publish) > MAX_RETAINED_BYTES {
            let topic = String::from_utf8_lossy(&publish.topic);
            tracing::warn!(%topic, "the embedded broker keeps no more retained messages: 16 MiB are in use");
            return;
        }
        self.retained_bytes += bytes(publish);
        self.retained.insert(publish.topic.clone(), publish.clone());
    }

    /// Ends the session of a client that does not read what it subscribed to.
    fn end(&mut self, client: &str) {
        tracing::warn!(client, "the embedded broker ended the session of a subscriber that does not keep up");
        if let Some(session) = self.sessions.remove(client)
            && let Some(will) = session.will
        {
            self.publish(client, codec::will_message(will));
        }
    }

    /// Queues `packet` for its client.
    pub fn reply(&mut self, key: &ConnectionKey, packet: Packet) {
        if self.session(key).is_some_and(|session| session.reply(packet) == Err(QueueFull)) {
            self.end(&key.client);
        }
    }

    /// A PUBACK of a client.
    pub fn acknowledge(&mut self, key: &ConnectionKey, id: u16) {
        if let Some(session) = self.session(key) {
            session.acknowledge(id);
        }
    }

    /// A PUBREL of a client.
    pub fn release(&mut self, key: &ConnectionKey, id: u16) {
        if let Some(session) = self.session(key) {
            session.release(id);
        }
        self.reply(key, Packet::PubComp(PubComp::new(id, None)));
    }

    /// A client subscribes: SUBACK first, then the retained messages.
    pub fn subscribe(&mut self, key: &ConnectionKey, subscribe: Subscribe) {
        let Some(session) = self.session(key) else { return };
        let mut granted: Vec<(SubscribeFilter, bool)> = Vec::new();
        let mut grant = |mut filter: SubscribeFilter| {
            if let Some(code) = topics::refusal(&filter.path) {
                return code;
            }
            if filter.qos == QoS::ExactlyOnce {
                filter.qos = QoS::AtLeastOnce;
            }
            let qos = filter.qos;
            match session.subscribe(filter.clone()) {
                Some(is_new) => {
                    granted.push((filter, is_new));
                    SubscribeReasonCode::Success(qos)
                }
                None => SubscribeReasonCode::QuotaExceeded,
            }
        };
        let return_codes = subscribe.filters.into_iter().map(&mut grant).collect();
        self.reply(key, Packet::SubAck(SubAck { pkid: subscribe.pkid, return_codes, properties: None }));
        let Some(session) = self.sessions.get_mut(&key.client) else { return };
        let mut full = false;
        for (filter, is_new) in &granted {
            for (topic, publish) in &self.retained {
                if topics::matches(&filter.path, &String::from_utf8_lossy(topic)) {
                    full |= session.offer_retained(filter, *is_new, publish) == Err(QueueFull);
                }
            }
        }
        if full {
            self.end(&key.client);
        }
    }

    /// A client unsubscribes.
    pub fn unsubscribe(&mut self, key: &ConnectionKey, unsubscribe: Unsubscribe) {
        let Some(session) = self.session(key) else { return };
        let reason = |filter: &String| match session.unsubscribe(filter) {
            true => UnsubAckReason::Success,
            false => UnsubAckReason::NoSubscriptionExisted,
        };
        let reasons = unsubscribe.filters.iter().map(reason).collect();
        self.reply(key, Packet::UnsubAck(UnsubAck { pkid: unsubscribe.pkid, reasons, properties: None }));
    }
}
