//! The state of the daemon, shared by all its parts: levels, reasons and counters.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    ledger::Ledger,
    messages::{
        Birth, BrokerState, EngineState, Level, SourceState, SourceStats, StageState, StageStats, State, Stats,
        StoreState,
    },
};

/// Begins the reason in `state` when pictures of frames cannot be written.
const PICTURE_LOST: &str = "pictures of frames are not kept";

#[derive(Debug, Default)]
struct Stage {
    state: StageState,
    done: u64,
    busy: Duration,
    waiting: u64,
}

#[derive(Debug, Default)]
struct Picture {
    birth: Birth,
    sources: BTreeMap<String, (SourceState, Ledger)>,
    stages: BTreeMap<String, Stage>,
    engine: EngineState,
    /// What is not well with an engine that runs.
    engine_trouble: Option<String>,
    store: StoreState,
    broker: BrokerState,
    /// Case and slide of what comes from now on.
    case: (Option<String>, Option<String>),
}

/// The state of the daemon. Cloning shares it; every call is short and never blocks on I/O.
#[derive(Debug, Clone)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    picture: Mutex<Picture>,
    version: AtomicU64,
    changed: tokio::sync::watch::Sender<u64>,
    cells_stored: AtomicU64,
    cells_published: AtomicU64,
    resent: AtomicU64,
    triggers_answered: tokio::sync::watch::Sender<u64>,
}

impl Health {
    /// The state of a daemon that is starting.
    pub fn new(birth: Birth) -> Self {
        let (changed, _) = tokio::sync::watch::channel(0);
        Self(Arc::new(Inner {
            picture: Mutex::new(Picture { birth, ..Picture::default() }),
            version: AtomicU64::new(0),
            changed,
            cells_stored: AtomicU64::new(0),
            cells_published: AtomicU64::new(0),
            resent: AtomicU64::new(0),
            triggers_answered: tokio::sync::watch::channel(0).0,
        }))
    }

    fn picture(&self) -> MutexGuard<'_, Picture> {
        self.0.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T: PartialEq + Clone>(&self, select: impl FnOnce(&mut Picture) -> &mut T, act: impl FnOnce(&mut T)) {
        let mut picture = self.picture();
        let place = select(&mut picture);
        let before = place.clone();
        act(place);
        let differs = *place != before;
        drop(picture);
        if differs {
            let version = self.0.version.fetch_add(1, Ordering::Relaxed) + 1;
            self.0.changed.send_replace(version);
        }
    }

    /// A receiver that wakes whenever `state` differs from before.
    pub fn watch(&self) -> tokio::sync::watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// Reports that triggers have been answered in the store.
    pub fn count_answered(&self, triggers: u64) {
        self.0.triggers_answered.send_modify(|count| *count += triggers);
    }

    /// A receiver that wakes whenever triggers have been answered.
    pub fn watch_answers(&self) -> tokio::sync::watch::Receiver<u64> {
        self.0.triggers_answered.subscribe()
    }

    /// Registers a source and gives its ledger.
    pub fn add_source(&self, name: &str, state: SourceState) -> Ledger {
        let ledger = Ledger::default();
        self.picture().sources.insert(name.to_owned(), (state, ledger.clone()));
        ledger
    }

    /// Registers a stage.
    pub fn add_stage(&self, name: &str) {
        self.picture().stages.entry(name.to_owned()).or_default();
    }

    /// Changes the state of a source.
    pub fn source(&self, name: &str, act: impl FnOnce(&mut SourceState)) {
        self.change(|p| &mut p.sources.entry(name.to_owned()).or_default().0, act);
    }

    /// Changes the state of a stage.
    pub fn stage(&self, name: &str, act: impl FnOnce(&mut StageState)) {
        self.change(|p| &mut p.stages.entry(name.to_owned()).or_default().state, act);
    }

    /// Sets what a stage has done so far: frames, time over all of them, frames that wait before it now.
    pub fn set_stage_figures(&self, name: &str, done: u64, busy: Duration, waiting: usize) {
        let mut picture = self.picture();
        if let Some(stage) = picture.stages.get_mut(name) {
            stage.done = done;
            stage.busy = busy;
            stage.waiting = waiting as u64;
        }
    }

    /// Changes the state of the engine.
    pub fn engine(&self, act: impl FnOnce(&mut EngineState)) {
        self.change(|p| &mut p.engine, act);
    }

    /// Sets what is not well with the engine although it runs.
    pub fn set_engine_trouble(&self, trouble: Option<String>) {
        self.change(|p| &mut p.engine_trouble, |now| *now = trouble);
    }

    /// Changes the state of the store.
    pub fn store(&self, act: impl FnOnce(&mut StoreState)) {
        self.change(|p| &mut p.store, act);
    }

    /// Counts a picture that could not be written, with the reason, or reports that pictures are kept again.
    pub fn picture_kept(&self, lost: Option<&str>) {
        self.store(|store| match lost {
            Some(reason) => {
                store.pictures_not_kept += 1;
                if store.level == Level::Ok {
                    (store.level, store.reason) = (Level::Degraded, format!("{PICTURE_LOST}: {reason}"));
                }
            }
            None if store.reason.starts_with(PICTURE_LOST) => {
                (store.level, store.reason) = (Level::Ok, String::new());
            }
            None => {}
        });
    }

    /// Sets how many rows wait for the broker; this alone does not count as a change.
    pub fn set_outbox_depth(&self, depth: u64) {
        self.picture().store.outbox_depth = depth;
    }

    /// Changes the state of the broker connection.
    pub fn broker(&self, act: impl FnOnce(&mut BrokerState)) {
        self.change(|p| &mut p.broker, act);
    }

    /// Sets the case and the slide that new cells belong to.
    pub fn set_case(&self, case: Option<String>, slide: Option<String>) {
        self.change(|p| &mut p.case, |now| *now = (case, slide));
    }

    /// Counts cells on disk.
    pub fn count_stored(&self, cells: u64) {
        self.0.cells_stored.fetch_add(cells, Ordering::Relaxed);
    }

    /// Counts cells the broker acknowledged.
    pub fn count_published(&self, cells: u64) {
        self.0.cells_published.fetch_add(cells, Ordering::Relaxed);
    }

    /// Counts messages sent again.
    pub fn count_resent(&self, messages: u64) {
        self.0.resent.fetch_add(messages, Ordering::Relaxed);
    }

    /// Changes the birth message (models become known after the start).
    pub fn set_birth(&self, act: impl FnOnce(&mut Birth)) {
        self.change(|p| &mut p.birth, act);
    }

    /// The `birth` message.
    pub fn birth(&self) -> Birth {
        self.picture().birth.clone()
    }

    /// The ledgers, by source.
    pub fn ledgers(&self) -> BTreeMap<String, Ledger> {
        self.picture().sources.iter().map(|(name, (_, ledger))| (name.clone(), ledger.clone())).collect()
    }

    /// The `state` message as of `time` (RFC 3339).
    pub fn state(&self, time: String) -> State {
        let picture = self.picture();
        let mut state = State {
            schema: "state/1".into(),
            station: picture.birth.station.clone(),
            time,
            sources: picture.sources.iter().map(|(n, (s, _))| (n.clone(), s.clone())).collect(),
            stages: picture.stages.iter().map(|(n, s)| (n.clone(), s.state.clone())).collect(),
            engine: picture.engine.clone(),
            store: picture.store.clone(),
            broker: picture.broker.clone(),
            case: picture.case.0.clone(),
            slide: picture.case.1.clone(),
            ..State::default()
        };
        if let Some(trouble) = &picture.engine_trouble
            && state.engine.level == Level::Ok
        {
            (state.engine.level, state.engine.reason) = (Level::Degraded, trouble.clone());
        }
        drop(picture);
        let mut worst = Level::Ok;
        let mut reasons = Vec::new();
        let mut add = |who: String, level: Level, reason: &str| {
            worst = worst.max(level);
            if level != Level::Ok {
                reasons.push(if reason.is_empty() { who } else { format!("{who}: {reason}") });
            }
        };
        for (name, s) in &state.sources {
            add(format!("source {name}"), s.level, &s.reason);
        }
        for (name, s) in &state.stages {
            add(format!("stage {name}"), s.level, &s.reason);
        }
        add("engine".into(), state.engine.level, &state.engine.reason);
        add("store".into(), state.store.level, &state.store.reason);
        add("broker".into(), state.broker.level, &state.broker.reason);
        state.level = worst;
        state.reasons = reasons;
        state
    }

    /// The `stats` message as of `time` (RFC 3339), `uptime` after the start. Rates are 0 here: they
    /// come from [`super::Rates`].
    pub fn stats(&self, time: String, uptime: Duration) -> Stats {
        let picture = self.picture();
        let own = |map: BTreeMap<&'static str, u64>| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        Stats {
            schema: "stats/1".into(),
            station: picture.birth.station.clone(),
            time,
            uptime_s: uptime.as_secs_f64(),
            sources: picture
                .sources
                .iter()
                .map(|(name, (_, ledger))| {
                    let c = ledger.counts();
                    let stats = SourceStats {
                        device_gaps: c.device_gaps,
                        transport_errors: c.transport_errors,
                        waiting: c.waiting,
                        busy: c.is_busy(),
                        accepted: c.accepted,
                        stored: c.stored,
                        merged: c.merged,
                        in_flight: c.in_flight,
                        rejected: own(c.rejected),
                        dropped: own(c.dropped),
                        frames_per_s: 0.0,
                    };
                    (name.clone(), stats)
                })
                .collect(),
            stages: picture
                .stages
                .iter()
                .map(|(name, s)| {
                    let mean_ms = if s.done > 0 { s.busy.as_secs_f64() * 1e3 / s.done as f64 } else { 0.0 };
                    (name.clone(), StageStats { done: s.done, mean_ms, waiting: s.waiting })
                })
                .collect(),
            cells_stored: self.0.cells_stored.load(Ordering::Relaxed),
            cells_published: self.0.cells_published.load(Ordering::Relaxed),
            resent: self.0.resent.load(Ordering::Relaxed),
            outbox_depth: picture.store.outbox_depth,
            cells_per_min: 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_part_sets_the_level_and_says_why() {
        let health = Health::new(Birth { station: "lab-1".into(), ..Birth::default() });
        let mut watch = health.watch();
        health.add_source("scope", SourceState::default());
        assert_eq!(health.state(String::new()).level, Level::Ok);
        health.broker(|b| {
            b.level = Level::Degraded;
            b.reason = "not reachable".into();
        });
        let state = health.state(String::new());
        assert_eq!(state.level, Level::Degraded);
        assert_eq!(state.reasons, ["broker: not reachable"]);
        assert!(watch.has_changed().expect("the sender lives"));
        watch.mark_unchanged();
        health.broker(|b| b.level = Level::Degraded);
        assert!(!watch.has_changed().expect("the sender lives"), "no change, no report");
    }

    #[test]
    fn an_engine_that_runs_and_is_not_well_is_degraded_until_it_is() {
        let health = Health::new(Birth::default());
        health.set_engine_trouble(Some("1 of 2 servers set aside: a".into()));
        let state = health.state(String::new());
        assert_eq!((state.engine.level, &*state.reasons[0]), (Level::Degraded, "engine: 1 of 2 servers set aside: a"));
        // What the stage says of its engine weighs more.
        health.engine(|e| (e.level, e.reason) = (Level::Degraded, "it failed".into()));
        assert_eq!(health.state(String::new()).reasons, ["engine: it failed"]);
        health.engine(|e| (e.level, e.reason) = (Level::Ok, String::new()));
        health.set_engine_trouble(None);
        assert_eq!(health.state(String::new()).level, Level::Ok);
    }
}
