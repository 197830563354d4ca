//! What the station says about itself: `birth`, `state`, `stats`.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::station::{Birth, Health, Rates};

/// `state` goes out at most so often.
const STATE_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Reports {
    health: Health,
    started: Instant,
    /// Something changed since `state` was sent last.
    changed: bool,
    sent: Option<Instant>,
    birth: Option<Birth>,
    depth: u64,
    rates: Rates,
}

impl Reports {
    pub(super) fn new(health: Health) -> Self {
        Self {
            health,
            started: Instant::now(),
            changed: true,
            sent: None,
            birth: None,
            depth: 0,
            rates: Rates::default(),
        }
    }

    /// A new connection knows nothing yet.
    pub(super) fn start(&mut self) {
        (self.changed, self.sent, self.birth) = (true, None, None);
    }

    /// `state` differs from before.
    pub(super) fn changed(&mut self) {
        self.changed = true;
    }

    /// How long until the next `state` is due, none when nothing changed.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.changed.then(|| self.sent.map_or(Duration::ZERO, |sent| STATE_EVERY.saturating_sub(sent.elapsed())))
    }

    /// Topics and payloads of the retained reports that are due now.
    pub(super) fn due(&mut self) -> Vec<(&'static str, Vec<u8>)> {
        let mut due = Vec::new();
        if self.wait() != Some(Duration::ZERO) {
            return due;
        }
        (self.changed, self.sent) = (false, Some(Instant::now()));
        let birth = self.health.birth();
        if self.birth.as_ref() != Some(&birth) {
            due.push(("birth", json(&birth)));
            self.birth = Some(birth);
        }
        let state = self.health.state(Timestamp::now().to_string());
        self.depth = state.store.outbox_depth;
        due.push(("state", json(&state)));
        due
    }

    /// The `stats` message with its rates.
    pub(super) fn stats(&mut self) -> Vec<u8> {
        let uptime = self.started.elapsed();
        let mut stats = self.health.stats(Timestamp::now().to_string(), uptime);
        self.rates.fill(&mut stats, uptime);
        // A backlog that has gone, or grown, since the last `state`, is worth another one.
        let (published, depth) = (self.depth, stats.outbox_depth);
        if published != depth && (published > 100 || depth > 100 || depth == 0) {
            self.changed = true;
        }
        json(&stats)
    }
}

fn json(message: &impl serde::Serialize) -> Vec<u8> {
    // Maps with text keys and numbers: these always serialise.
    serde_json::to_vec(message).unwrap_or_default()
}
