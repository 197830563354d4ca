//! Which message is larger than the broker takes, where the broker does not say so.
//!
//! An MQTT 3.1.1 broker names no limit: it closes the connection on a packet that is too large, and on the next one
//! again. What was on its way when a connection ended is therefore sent alone on the next; a message that was the first
//! unanswered one of four connections in a row, the last time alone and soon after it went, and larger than anything
//! this broker has taken, is what the broker does not take. A link that breaks at random looks like that now and then:
//! each connection that was lately lost otherwise asks for four more, and the verdict is reconsidered
//! ([`super::publisher`]).

use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, Instant},
};

use super::publisher::Sent;

/// A broker that does not take a packet closes the connection at once.
const CLOSES_WITHIN: Duration = Duration::from_secs(5);
/// Connections that one message may end.
const LOSSES: usize = 4;
/// So long a connection that was lost without that message speaks against it.
const SPEAKS_FOR: Duration = Duration::from_secs(600);

/// What a message on its way is known by: what it stands for, and its topic.
type Key = (Sent, String);

/// The size of packet that a broker turns out not to take.
#[derive(Debug, Default)]
pub(super) struct OversizeSearch {
    /// First unanswered message of the connection that was lost last, and how many connections in a row it ended.
    first: Option<(Key, usize)>,
    /// When connections were lost in another way, or on another message.
    otherwise: VecDeque<Instant>,
    /// On their way when a connection ended and not acknowledged since.
    suspects: HashSet<Key>,
    /// Largest packet that was acknowledged.
    taken: usize,
}

impl OversizeSearch {
    /// Whether `next` may go while `in_flight` is on its way: a suspect goes alone.
    pub(super) fn may_send<'a>(
        &self,
        sent: Sent,
        topic: &str,
        mut in_flight: impl ExactSizeIterator<Item = (Sent, &'a str)>,
    ) -> bool {
        if self.suspects.is_empty() || in_flight.len() == 0 {
            return true;
        }
        let is_suspect = |(sent, topic): (Sent, &str)| self.suspects.contains(&(sent, topic.to_owned()));
        !is_suspect((sent, topic)) && !in_flight.any(is_suspect)
    }

    /// The broker has taken a packet.
    pub(super) fn acknowledged(&mut self, sent: Sent, topic: &str, size: usize) {
        self.taken = self.taken.max(size);
        if !self.suspects.is_empty() {
            self.suspects.remove(&(sent, topic.to_owned()));
        }
    }

    /// The connection was lost `waited` after the broker's last sign, with these messages unanswered. Gives the size that
    /// the broker does not take, once it is known.
    pub(super) fn lost<'a>(
        &mut self,
        in_flight: impl Iterator<Item = (Sent, &'a str, usize)>,
        waited: Duration,
    ) -> Option<usize> {
        let in_flight: Vec<_> = in_flight.map(|(sent, topic, size)| ((sent, topic.to_owned()), size)).collect();
        self.suspects.extend(in_flight.iter().map(|(key, _)| key.clone()));
        let now = Instant::now();
        while self.otherwise.front().is_some_and(|lost| now.saturating_duration_since(*lost) > SPEAKS_FOR) {
            self.otherwise.pop_front();
        }
        let before = self.first.take();
        let Some((key, size)) = in_flight.first().filter(|_| waited <= CLOSES_WITHIN) else {
            self.otherwise.push_back(now);
            return None;
        };
        let losses = match before {
            Some((before, losses)) if before == *key => losses + 1,
            Some(_) => {
                self.otherwise.push_back(now);
                1
            }
            None => 1,
        };
        self.first = Some((key.clone(), losses));
        let needed = LOSSES * (1 + self.otherwise.len());
        (losses >= needed && in_flight.len() == 1 && *size > self.taken).then_some(*size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(100);

    fn row(id: i64) -> Sent {
        Sent::Row { id, cell: true }
    }

    #[test]
    fn the_message_that_ends_each_connection_is_the_one() {
        let mut search = OversizeSearch::default();
        search.acknowledged(row(1), "cell", 500);
        assert_eq!(search.lost([(row(2), "cell", 9000), (row(3), "cell", 400)].into_iter(), SOON), None);
        assert!(!search.may_send(row(3), "cell", [(row(2), "cell")].into_iter()), "a suspect goes alone");
        for _ in 1..LOSSES - 1 {
            assert_eq!(search.lost([(row(2), "cell", 9000)].into_iter(), SOON), None, "a bad link does that, too");
        }
        assert_eq!(search.lost([(row(2), "cell", 9000)].into_iter(), SOON), Some(9000));
        search.acknowledged(row(3), "cell", 400);
        assert!(search.may_send(row(5), "cell", [(row(4), "cell")].into_iter()), "the others go as before");
    }

    #[test]
    fn a_link_that_also_breaks_otherwise_is_given_more_tries() {
        let mut search = OversizeSearch::default();
        assert_eq!(search.lost([].into_iter(), SOON), None, "nothing was on its way");
        for _ in 1..2 * LOSSES {
            assert_eq!(search.lost([(row(2), "cell", 9000)].into_iter(), SOON), None);
        }
        assert_eq!(search.lost([(row(2), "cell", 9000)].into_iter(), SOON), Some(9000), "this often is no chance");
    }

    #[test]
    fn a_broker_that_dies_or_falls_silent_proves_nothing() {
        let mut search = OversizeSearch::default();
        search.acknowledged(row(1), "cell", 9000);
        for _ in 0..6 {
            assert_eq!(search.lost([(row(2), "cell", 9000)].into_iter(), SOON), None, "as large a one was taken");
        }
        let mut search = OversizeSearch::default();
        for _ in 0..6 {
            assert_eq!(search.lost([(row(2), "cell", 9000)].into_iter(), Duration::from_secs(20)), None);
        }
        for id in 3..9 {
            assert_eq!(search.lost([(row(id), "cell", 9000)].into_iter(), SOON), None, "not the same one twice");
        }
    }
}
