//! Wrong tokens and passwords: counted, logged at most once a minute, and limited by where they come from. Pure but for the log.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Guesses that an address has at first, and at most.
const GUESSES: u32 = 10;
/// How long it takes to win one back.
const GUESS_EVERY: Duration = Duration::from_secs(3);
/// Least time between two lines of the log.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// Addresses that are remembered.
const ADDRESSES: usize = 4096;

/// A guess, as a hash.
pub type Guess = [u8; 32];

/// Who has guessed how often.
#[derive(Debug, Default)]
pub struct Tries {
    wrong: AtomicU64,
    passwords: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    clients: HashMap<IpAddr, Client>,
    logged: Option<Instant>,
    unlogged: u64,
}

#[derive(Debug)]
struct Client {
    guesses: u32,
    since: Instant,
    /// Its last wrong guess: said again it is no new one. A browser repeats its cookie with every request.
    last: Option<Guess>,
}

impl Tries {
    /// Whether a guess is looked at; otherwise the client has to wait.
    pub fn allows(&self, client: IpAddr, guess: &Guess, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = state.clients.get_mut(&network(client)) else { return true };
        let won = now.saturating_duration_since(known.since).as_secs() / GUESS_EVERY.as_secs();
        if won > 0 {
            known.guesses = GUESSES.min(known.guesses + u32::try_from(won).unwrap_or(GUESSES));
            known.since = now;
        }
        known.guesses > 0 || known.last == Some(*guess)
    }

    /// Counts a wrong token.
    pub fn wrong(&self, client: IpAddr, guess: &Guess, now: Instant) {
        self.wrong.fetch_add(1, Ordering::Relaxed);
        self.note(client, guess, now);
    }

    /// Counts a wrong name or password.
    pub fn wrong_password(&self, client: IpAddr, guess: &Guess, now: Instant) {
        self.passwords.fetch_add(1, Ordering::Relaxed);
        self.note(client, guess, now);
    }

    fn note(&self, client: IpAddr, guess: &Guess, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        if state.clients.len() >= ADDRESSES {
            state.clients.retain(|_, known| now.saturating_duration_since(known.since) < GUESS_EVERY * GUESSES);
        }
        let known = state.clients.entry(network(client)).or_insert(Client { guesses: GUESSES, since: now, last: None });
        if known.last != Some(*guess) {
            (known.guesses, known.last) = (known.guesses.saturating_sub(1), Some(*guess));
        }
        state.unlogged += 1;
        if state.logged.is_none_or(|last| now.saturating_duration_since(last) >= LOG_EVERY) {
            tracing::warn!(%client, since_the_last_line = state.unlogged, "wrong access tokens or passwords");
            (state.logged, state.unlogged) = (Some(now), 0);
        }
    }

    /// Wrong tokens so far.
    pub fn count(&self) -> u64 {
        self.wrong.load(Ordering::Relaxed)
    }

    /// Wrong names and passwords so far.
    pub fn passwords(&self) -> u64 {
        self.passwords.load(Ordering::Relaxed)
    }
}

/// What one client has at its disposal: an address, or a network of IPv6.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V6(address) if address.to_ipv4_mapped().is_none() => {
            let bits = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(bits.into())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_client_has_ten_guesses_and_one_more_every_three_seconds() {
        let (tries, now) = (Tries::default(), Instant::now());
        for guess in 0..10 {
            assert!(tries.allows(HERE, &[guess; 32], now), "{guess}");
            tries.wrong(HERE, &[guess; 32], now);
        }
        assert!(!tries.allows(HERE, &[77; 32], now));
        assert!(tries.allows("10.0.0.7".parse().expect("an address"), &[77; 32], now), "others go on");
        let later = now + Duration::from_secs(3);
        assert!(tries.allows(HERE, &[77; 32], later));
        tries.wrong(HERE, &[77; 32], later);
        assert!(!tries.allows(HERE, &[78; 32], later));
        assert_eq!(tries.count(), 11);
    }

    #[test]
    fn the_same_wrong_cookie_again_is_no_new_guess() {
        let (tries, now) = (Tries::default(), Instant::now());
        for _ in 0..1000 {
            assert!(tries.allows(HERE, &[1; 32], now));
            tries.wrong(HERE, &[1; 32], now);
        }
        assert!(tries.allows(HERE, &[2; 32], now));
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(network(address("2001:db8::1")), network(address("2001:db8::2")));
        assert_ne!(network(address("2001:db8:0:1::1")), network(address("2001:db8::2")));
        assert_ne!(network(address("::ffff:10.0.0.1")), network(address("::ffff:10.0.0.2")));
    }
}
