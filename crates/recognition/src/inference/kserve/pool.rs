//! Several servers as one: each request goes to the one with the fewest, none gets more than a bounded number at once, one
//! that fails is set aside for a growing while and taken back when it answers again.

use std::{
    collections::BTreeSet,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{Fault, Outputs, Server};

/// How long a server is set aside at first, and at most; each failure in a row doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a server may take to say whether it is ready.
const READY_WITHIN: Duration = Duration::from_secs(2);
/// All attempts of one request together, in time-outs.
const ATTEMPTS: f64 = 2.5;

/// What a request may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Requests at once to each server.
    pub in_flight: usize,
    /// Time for one attempt.
    pub timeout: Duration,
}

/// The servers. Dropping it ends the thread that looks after those set aside.
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    servers: Vec<Box<dyn Server>>,
    limits: Limits,
    state: Mutex<State>,
    /// A place is free, a server is set aside or taken back, or the pool is closed.
    changed: Condvar,
}

struct State {
    seats: Seats,
    /// The networks in use, which a server must have to be taken back.
    models: BTreeSet<String>,
    closed: bool,
}

/// What is known of each server: no clock and no lock of its own.
#[derive(Debug, Default)]
struct Seats {
    seats: Vec<Seat>,
    /// The one that was chosen last: those of equal load take turns.
    last: usize,
}

#[derive(Debug, Default)]
struct Seat {
    in_flight: usize,
    /// Failures since its last answer.
    failures: u32,
    aside: Option<Aside>,
}

#[derive(Debug)]
struct Aside {
    reason: String,
    until: Instant,
}

/// Where a request may go.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    /// To that server, where it has been counted.
    Server(usize),
    /// All that would do are full.
    Full,
    /// There is none that would do.
    None,
}

impl Seats {
    fn new(count: usize) -> Self {
        Self { seats: (0..count).map(|_| Seat::default()).collect(), last: 0 }
    }

    /// The server with the fewest requests, of those that are not set aside and not among `tried`.
    fn take(&mut self, bound: usize, tried: &[usize]) -> Choice {
        let count = self.seats.len();
        let usable = (1..=count).map(|k| (self.last + k) % count);
        let mut usable = usable.filter(|i| self.seats[*i].aside.is_none() && !tried.contains(i)).peekable();
        if usable.peek().is_none() {
            return Choice::None;
        }
        let least = usable.filter(|i| self.seats[*i].in_flight < bound).min_by_key(|i| self.seats[*i].in_flight);
        match least {
            Some(chosen) => {
                self.last = chosen;
                self.seats[chosen].in_flight += 1;
                Choice::Server(chosen)
            }
            None => Choice::Full,
        }
    }

    /// Sets a server aside. What else failed there at the same time counts once. Whether it is news.
    fn set_aside(&mut self, server: usize, reason: String, now: Instant) -> bool {
        let seat = &mut self.seats[server];
        let is_news = seat.aside.is_none();
        if is_news {
            self.postpone(server, reason, now);
        }
        is_news
    }

    /// Leaves a server aside, for longer than before.
    fn postpone(&mut self, server: usize, reason: String, now: Instant) {
        let seat = &mut self.seats[server];
        let pause = FIRST_PAUSE.saturating_mul(1 << seat.failures.min(10)).min(LONGEST_PAUSE);
        seat.failures += 1;
        seat.aside = Some(Aside { reason, until: now + pause });
    }

    /// Those that may be asked again.
    fn due(&self, now: Instant) -> Vec<usize> {
        let due = |i: &usize| self.seats[*i].aside.as_ref().is_some_and(|aside| aside.until <= now);
        (0..self.seats.len()).filter(due).collect()
    }

    fn next_due(&self) -> Option<Instant> {
        self.seats.iter().filter_map(|seat| Some(seat.aside.as_ref()?.until)).min()
    }

    fn usable(&self) -> Vec<usize> {
        (0..self.seats.len()).filter(|i| self.seats[*i].aside.is_none()).collect()
    }
}

/// A place at a server, given up when it is dropped.
struct Place<'a> {
    pool: &'a Pool,
    server: usize,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pool.0.state().seats.seats[self.server].in_flight -= 1;
        self.pool.0.changed.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_aside(&self, server: usize, reason: &str) {
        let is_news = self.state().seats.set_aside(server, reason.to_owned(), Instant::now());
        if is_news {
            tracing::warn!(server = %self.servers[server].address(), reason, "the server is set aside");
            self.changed.notify_all();
        }
    }

    fn take_back(&self, server: usize) {
        if self.state().seats.seats[server].aside.take().is_some() {
            tracing::info!(server = %self.servers[server].address(), "the server is taken back");
            self.changed.notify_all();
        }
    }

    /// Asks the server whether it and the networks in use are ready.
    fn ready(&self, server: usize, models: &BTreeSet<String>) -> Result<(), String> {
        let server = &self.servers[server];
        let asked = std::iter::once(None).chain(models.iter().map(|model| Some(model.as_str())));
        asked.into_iter().try_for_each(|model| server.ready(model, READY_WITHIN))
    }

    /// Looks after the servers that are set aside, until the pool is dropped.
    fn look_after(&self) {
        let mut state = self.state();
        loop {
            if state.closed {
                return;
            }
            let now = Instant::now();
            let due = state.seats.due(now);
            if due.is_empty() {
                state = match state.seats.next_due() {
                    Some(then) => {
                        let wait = self.changed.wait_timeout(state, then - now);
                        wait.unwrap_or_else(PoisonError::into_inner).0
                    }
                    None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                };
                continue;
            }
            let models = state.models.clone();
            drop(state);
            for server in due {
                match self.ready(server, &models) {
                    Ok(()) => self.take_back(server),
                    Err(reason) => self.state().seats.postpone(server, reason, Instant::now()),
                }
            }
            state = self.state();
        }
    }
}

impl Pool {
    /// Asks every server whether it is ready; those that are not are set aside.
    ///
    /// # Errors
    /// When none is ready, with the reason of each.
    pub fn open(servers: Vec<Box<dyn Server>>, limits: Limits) -> Result<Self, String> {
        let state = State { seats: Seats::new(servers.len()), models: BTreeSet::new(), closed: false };
        let shared = Shared { servers, limits, state: Mutex::new(state), changed: Condvar::new() };
        let pool = Self(Arc::new(shared));
        pool.ask_all(None)?;
        let shared = pool.0.clone();
        let thread = thread::Builder::new().name("kserve-watch".to_owned()).spawn(move || shared.look_after());
        thread.map_err(|error| format!("no thread can be started: {error}"))?;
        Ok(pool)
    }

    /// The addresses, for people.
    pub fn addresses(&self) -> String {
        self.0.servers.iter().map(|server| server.address().to_string()).collect::<Vec<_>>().join(", ")
    }

    /// Whether a server has the network; from now on those that have it not are set aside. While any server works those set
    /// aside are left alone; where none does, all are asked.
    ///
    /// # Errors
    /// When none has it, with the reason of each.
    pub fn load(&self, model: &str) -> Result<(), String> {
        self.0.state().models.insert(model.to_owned());
        self.ask_all(Some(model))
    }

    fn ask_all(&self, model: Option<&str>) -> Result<(), String> {
        let shared = &self.0;
        let mut asked = shared.state().seats.usable();
        let some_work = !asked.is_empty();
        if !some_work {
            asked = (0..shared.servers.len()).collect();
        }
        let mut reasons = Vec::new();
        for server in &asked {
            let answer = if some_work {
                shared.servers[*server].ready(model, READY_WITHIN)
            } else {
                let models = shared.state().models.clone();
                shared.ready(*server, &models)
            };
            match answer {
                Ok(()) => shared.take_back(*server),
                Err(reason) => {
                    shared.set_aside(*server, &reason);
                    reasons.push(reason);
                }
            }
        }
        if reasons.len() < asked.len() { Ok(()) } else { Err(self.reasons().unwrap_or_else(|| reasons.join("; "))) }
    }

    /// What is not well although requests may be served: the servers that are set aside.
    pub fn trouble(&self) -> Option<String> {
        let reasons = self.reasons()?;
        let all = self.0.servers.len();
        let aside = all - self.0.state().seats.usable().len();
        (all > 1).then(|| format!("{aside} of {all} servers set aside: {reasons}"))
    }

    /// Why servers are set aside; none where none is.
    fn reasons(&self) -> Option<String> {
        let state = self.0.state();
        let aside = state.seats.seats.iter().filter_map(|seat| seat.aside.as_ref());
        let reasons: Vec<&str> = aside.map(|aside| aside.reason.as_str()).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// Has a server answer, another one where one fails. Blocks while all that work are full.
    ///
    /// # Errors
    /// When every server has failed, refused the request or is set aside, or none has a free place in time.
    pub fn run(&self, ask: impl Fn(&dyn Server, Duration) -> Result<Outputs, Fault>) -> Result<Outputs, String> {
        let Limits { timeout, .. } = self.0.limits;
        let deadline = Instant::now() + timeout.mul_f64(ATTEMPTS);
        let (mut tried, mut refused, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            let place = match self.take(&tried, deadline) {
                Ok(Some(place)) => place,
                Ok(None) => {
                    reasons.extend(self.reasons().filter(|_| reasons.is_empty()));
                    return Err(reasons.join("; "));
                }
                Err(full) => return Err(full),
            };
            let server = &*self.0.servers[place.server];
            let left = || timeout.min(deadline.saturating_duration_since(Instant::now()));
            let mut answer = ask(server, left());
            if matches!(answer, Err(Fault::Broken(_))) {
                // A connection that was kept may have been closed since: a fresh one decides.
                answer = ask(server, left());
            }
            match answer {
                Ok(outputs) => {
                    self.0.state().seats.seats[place.server].failures = 0;
                    // The request is one that can be served: who refused it has another network.
                    refused.iter().for_each(|(server, reason): &(usize, String)| self.0.set_aside(*server, reason));
                    return Ok(outputs);
                }
                Err(Fault::Refused(reason)) => {
                    refused.push((place.server, reason.clone()));
                    reasons.push(reason);
                }
                Err(Fault::Broken(reason) | Fault::Failed(reason)) => {
                    self.0.set_aside(place.server, &reason);
                    reasons.push(reason);
                }
            }
            tried.push(place.server);
        }
    }

    /// A place at a server, waiting for one while all are full; none where no server is left.
    fn take(&self, tried: &[usize], deadline: Instant) -> Result<Option<Place<'_>>, String> {
        let mut state = self.0.state();
        loop {
            match state.seats.take(self.0.limits.in_flight, tried) {
                Choice::Server(server) => return Ok(Some(Place { pool: self, server })),
                Choice::None => return Ok(None),
                Choice::Full => {}
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return Err(format!(
                    "no server had a free place within {:.1} s ({} requests at once to each)",
                    self.0.limits.timeout.as_secs_f64() * ATTEMPTS,
                    self.0.limits.in_flight
                ));
            };
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(seats: &mut Seats, tried: &[usize]) -> Option<usize> {
        match seats.take(2, tried) {
            Choice::Server(server) => Some(server),
            Choice::Full | Choice::None => None,
        }
    }

    #[test]
    fn requests_go_to_the_server_with_the_fewest_and_none_gets_more_than_its_bound() {
        let mut seats = Seats::new(3);
        let order: Vec<_> = (0..6).map(|_| taken(&mut seats, &[]).unwrap()).collect();
        assert_eq!(order, [1, 2, 0, 1, 2, 0]);
        assert_eq!(seats.take(2, &[]), Choice::Full);
        seats.seats[2].in_flight -= 1;
        assert_eq!(taken(&mut seats, &[]), Some(2));
        assert_eq!(seats.take(2, &[0, 1, 2]), Choice::None, "whoever has tried all need not wait");
    }

    #[test]
    fn a_server_that_fails_again_and_again_is_left_alone_for_longer_and_longer() {
        let mut seats = Seats::new(2);
        let mut now = Instant::now();
        assert!(seats.set_aside(0, "gone".into(), now));
        assert!(!seats.set_aside(0, "gone as well".into(), now), "what failed at the same time counts once");
        assert_eq!((seats.usable(), seats.due(now)), (vec![1], vec![]));
        let mut pauses = Vec::new();
        for _ in 0..10 {
            let then = seats.next_due().unwrap();
            assert_eq!(seats.due(then), [0]);
            pauses.push(then - now);
            now = then;
            seats.postpone(0, "still gone".into(), now);
        }
        assert_eq!(pauses[..4], [250, 500, 1000, 2000].map(Duration::from_millis));
        assert_eq!(pauses[9], LONGEST_PAUSE);
        // Taken back, it fails at once: that is no first failure. An answer ends the row.
        seats.seats[0].aside = None;
        seats.set_aside(0, "again".into(), now);
        assert_eq!(seats.next_due().unwrap() - now, LONGEST_PAUSE);
        seats.seats[0] = Seat { failures: 0, ..Seat::default() };
        seats.set_aside(0, "later".into(), now);
        assert_eq!(seats.next_due().unwrap() - now, FIRST_PAUSE);
        seats.set_aside(1, "gone, too".into(), now);
        assert_eq!(seats.take(2, &[]), Choice::None);
    }
}
