//! Time through one small trait, so that tests turn the clock by hand.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded, select};
use jiff::Timestamp;

use crate::shutdown::StepReceiver;

/// A clock.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Monotonic time.
    fn now(&self) -> Instant;

    /// Wall clock time.
    fn wall(&self) -> Timestamp;

    /// A channel that receives once, when `time` has passed on this clock; for `select!` beside other channels.
    fn after(&self, time: Duration) -> Receiver<Instant>;

    /// Waits for `time`, cut short by a step of the shutdown. True when the whole time has passed.
    fn wait(&self, time: Duration, step: &StepReceiver) -> bool {
        select! {
            recv(self.after(time)) -> _ => true,
            recv(step) -> _ => false,
        }
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn after(&self, time: Duration) -> Receiver<Instant> {
        crossbeam_channel::after(time)
    }
}

/// A clock that stands until it is turned. Cloning shares it.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<ManualTime>>);

#[derive(Debug)]
struct ManualTime {
    now: Instant,
    wall: Timestamp,
    timers: Vec<(Instant, Sender<Instant>)>,
}

impl Default for ManualClock {
    fn default() -> Self {
        let time = ManualTime { now: Instant::now(), wall: Timestamp::UNIX_EPOCH, timers: Vec::new() };
        Self(Arc::new(Mutex::new(time)))
    }
}

impl ManualTime {
    fn fire(&mut self) {
        let now = self.now;
        self.timers.retain(|(due, timer)| {
            if *due <= now {
                // Whoever waited may be gone.
                let _ = timer.try_send(now);
            }
            *due > now
        });
    }
}

impl ManualClock {
    fn with<R>(&self, act: impl FnOnce(&mut ManualTime) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Turns the clock forward.
    pub fn advance(&self, by: Duration) {
        self.with(|time| {
            time.now += by;
            time.wall = time.wall.checked_add(by).unwrap_or(Timestamp::MAX);
            time.fire();
        });
    }

    /// How many timers have been set and have not fired: lets a test turn the clock once somebody waits for it.
    pub fn timers(&self) -> usize {
        self.with(|time| time.timers.len())
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.with(|time| time.now)
    }

    fn wall(&self) -> Timestamp {
        self.with(|time| time.wall)
    }

    fn after(&self, time: Duration) -> Receiver<Instant> {
        let (timer, fired) = bounded(1);
        self.with(|manual| {
            manual.timers.push((manual.now + time, timer));
            manual.fire();
        });
        fired
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown::Shutdown;

    #[test]
    fn a_wait_ends_when_the_clock_has_been_turned_far_enough() {
        let clock = ManualClock::default();
        let timer = clock.after(Duration::from_secs(2));
        clock.advance(Duration::from_secs(1));
        assert!(timer.is_empty());
        clock.advance(Duration::from_secs(1));
        assert_eq!(timer.try_recv(), Ok(clock.now()));
    }

    #[test]
    fn a_wait_is_cut_short_by_the_shutdown() {
        let (clock, shutdown) = (ManualClock::default(), Shutdown::default());
        let receiver = shutdown.receiver();
        assert!(clock.wait(Duration::ZERO, receiver.draining()));
        shutdown.drain();
        assert!(!clock.wait(Duration::from_secs(30), receiver.draining()));
    }
}
