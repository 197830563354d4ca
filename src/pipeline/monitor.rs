//! Monitors: whether a stage works, since when, and how often it panicked.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::clock::Clock;

/// Panics of one stage within [`PANIC_WINDOW`] that end the daemon.
pub const PANIC_BUDGET: usize = 5;
/// The window over which panics are counted.
pub const PANIC_WINDOW: Duration = Duration::from_secs(60);

/// A panic that was caught, with its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panicked(pub String);

/// The monitor of one stage; shared between its thread and the supervisor.
#[derive(Debug)]
pub struct StageMonitor {
    name: String,
    clock: Arc<dyn Clock>,
    born: Instant,
    /// Of each worker: nanoseconds after `born`, plus one, when its current work began; 0 when idle.
    busy_since: Box<[AtomicU64]>,
    done: AtomicU64,
    busy_ns: AtomicU64,
    waiting: AtomicUsize,
    panics: Mutex<Vec<Instant>>,
    panics_total: AtomicU64,
}

impl StageMonitor {
    /// The monitor of the stage `name` of one thread.
    pub fn new(name: impl Into<String>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::of_workers(name, clock, 1)
    }

    /// The monitor of the stage `name`, which so many threads run, one at least: one stage in every figure.
    pub fn of_workers(name: impl Into<String>, clock: Arc<dyn Clock>, workers: usize) -> Arc<Self> {
        let born = clock.now();
        Arc::new(Self {
            name: name.into(),
            clock,
            born,
            busy_since: (0..workers.max(1)).map(|_| AtomicU64::new(0)).collect(),
            done: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            panics: Mutex::new(Vec::new()),
            panics_total: AtomicU64::new(0),
        })
    }

    /// Name of the stage.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn since_birth(&self) -> u64 {
        self.clock.now().saturating_duration_since(self.born).as_nanos() as u64
    }

    /// Does one piece of work of a stage of one thread, `waiting` more before it. A panic is caught and counted.
    ///
    /// # Errors
    /// The panic's message.
    pub fn run<R>(&self, waiting: usize, work: impl FnOnce() -> R) -> Result<R, Panicked> {
        self.run_as(0, waiting, work)
    }

    /// The same as worker number `worker`, from 0.
    ///
    /// # Errors
    /// The panic's message.
    pub fn run_as<R>(&self, worker: usize, waiting: usize, work: impl FnOnce() -> R) -> Result<R, Panicked> {
        let busy_since = &self.busy_since[worker % self.busy_since.len()];
        let begun = self.since_birth();
        busy_since.store(begun + 1, Relaxed);
        self.waiting.store(waiting, Relaxed);
        // What the work leaves half done is rejected or rebuilt by the caller, never used.
        let result = catch_unwind(AssertUnwindSafe(work));
        busy_since.store(0, Relaxed);
        self.busy_ns.fetch_add(self.since_birth().saturating_sub(begun), Relaxed);
        self.done.fetch_add(1, Relaxed);
        result.map_err(|payload| {
            let text = payload
                .downcast_ref::<&str>()
                .map(|s| (*s).to_owned())
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "a panic without a message".into());
            self.panics_total.fetch_add(1, Relaxed);
            self.panics.lock().unwrap_or_else(PoisonError::into_inner).push(self.clock.now());
            Panicked(text)
        })
    }

    /// How long the current work has taken so far, of several workers the longest; none when idle.
    pub fn busy_for(&self) -> Option<Duration> {
        let since = self.busy_since.iter().map(|since| since.load(Relaxed)).filter(|since| *since > 0).min()?;
        Some(Duration::from_nanos((self.since_birth() + 1).saturating_sub(since)))
    }

    /// Pieces done, time over all of them, and pieces that waited at the last run.
    pub fn figures(&self) -> (u64, Duration, usize) {
        (self.done.load(Relaxed), Duration::from_nanos(self.busy_ns.load(Relaxed)), self.waiting.load(Relaxed))
    }

    /// Panics in all.
    pub fn panics(&self) -> u64 {
        self.panics_total.load(Relaxed)
    }

    /// Whether the stage has used up its budget of panics.
    pub fn is_beyond_budget(&self) -> bool {
        let now = self.clock.now();
        let mut panics = self.panics.lock().unwrap_or_else(PoisonError::into_inner);
        panics.retain(|at| now.saturating_duration_since(*at) < PANIC_WINDOW);
        panics.len() >= PANIC_BUDGET
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn five_panics_in_a_minute_are_too_many_but_not_over_an_hour() {
        let clock = ManualClock::default();
        let monitor = StageMonitor::new("recognise", Arc::new(clock.clone()));
        for _ in 0..PANIC_BUDGET {
            assert!(!monitor.is_beyond_budget());
            let panicked = monitor.run(0, || panic!("index out of bounds"));
            assert_eq!(panicked, Err::<(), _>(Panicked("index out of bounds".into())));
            clock.advance(Duration::from_secs(10));
        }
        assert!(monitor.is_beyond_budget());
        clock.advance(Duration::from_secs(30));
        assert!(!monitor.is_beyond_budget());
        assert_eq!(monitor.panics(), 5);
    }

    #[test]
    fn the_worker_that_takes_longest_decides_whether_a_stage_hangs() {
        let clock = ManualClock::default();
        let monitor = StageMonitor::of_workers("recognise", Arc::new(clock.clone()), 2);
        let seen = monitor.run_as(0, 0, || {
            clock.advance(Duration::from_secs(7));
            let both = monitor.run_as(1, 0, || {
                clock.advance(Duration::from_secs(2));
                monitor.busy_for()
            });
            (both, monitor.busy_for())
        });
        let longest = Some(Duration::from_secs(9));
        assert_eq!(seen, Ok((Ok(longest), longest)));
        assert_eq!(monitor.figures(), (2, Duration::from_secs(11), 0));
    }

    #[test]
    fn current_work_is_seen_from_outside() {
        let clock = ManualClock::default();
        let monitor = StageMonitor::new("triage", Arc::new(clock.clone()));
        assert_eq!(monitor.busy_for(), None);
        let seen = monitor.run(3, || {
            clock.advance(Duration::from_secs(7));
            monitor.busy_for()
        });
        assert_eq!(seen, Ok(Some(Duration::from_secs(7))));
        assert_eq!(monitor.busy_for(), None);
        assert_eq!(monitor.figures(), (1, Duration::from_secs(7), 3));
    }
}
