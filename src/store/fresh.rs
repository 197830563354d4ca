//! Messages that were just committed: whoever sends them takes them from here and need not read them back from the disk.
//!
//! What is here is in the database as well, and only what is there counts: a bounded number of bytes is held, and where
//! anything is in doubt nothing is known here and the outbox is read.

use std::collections::VecDeque;

use super::OutboxRow;

/// Most bytes of payloads that are held: a full window of whole cells twice over.
const HELD_BYTES: usize = 8 << 20;

#[derive(Debug, Default)]
pub(super) struct Fresh {
    /// Every message of the outbox behind this row is in `rows`; none: nothing is known.
    complete_after: Option<i64>,
    rows: VecDeque<OutboxRow>,
    bytes: usize,
    /// Of the transaction that is being made.
    staged: Vec<OutboxRow>,
    removes: bool,
}

impl Fresh {
    /// The transaction appends this message to the outbox.
    pub fn stage(&mut self, row: OutboxRow) {
        self.staged.push(row);
    }

    /// The transaction takes messages out of the outbox that were not sent.
    pub fn stage_removal(&mut self) {
        self.removes = true;
    }

    /// The transaction has ended.
    pub fn settle(&mut self, committed: bool) {
        let staged = std::mem::take(&mut self.staged);
        // A commit that failed may be on the disk all the same.
        let is_in_doubt = !committed && !staged.is_empty();
        if std::mem::take(&mut self.removes) || is_in_doubt {
            *self = Self::default();
        }
        if !committed {
            return;
        }
        for row in staged {
            self.complete_after.get_or_insert(row.id - 1);
            self.bytes += row.payload.len();
            self.rows.push_back(row);
        }
        while self.bytes > HELD_BYTES {
            self.pop();
        }
    }

    /// Up to `limit` messages behind row `after`, in order, which are then held no more; none where the outbox must be read.
    pub fn take_after(&mut self, after: i64, limit: usize) -> Option<Vec<OutboxRow>> {
        self.complete_after.filter(|from| *from <= after)?;
        while self.rows.front().is_some_and(|row| row.id <= after) {
            self.pop();
        }
        let count = limit.min(self.rows.len());
        Some((0..count).filter_map(|_| self.pop()).collect())
    }

    fn pop(&mut self) -> Option<OutboxRow> {
        let row = self.rows.pop_front()?;
        self.bytes -= row.payload.len();
        self.complete_after = Some(row.id);
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(fresh: &mut Fresh, ids: impl Iterator<Item = i64>, bytes: usize) {
        for id in ids {
            fresh.stage(OutboxRow { id, topic: "cell".into(), payload: "x".repeat(bytes), retain: false });
        }
        fresh.settle(true);
    }

    fn ids(fresh: &mut Fresh, after: i64, limit: usize) -> Option<Vec<i64>> {
        fresh.take_after(after, limit).map(|rows| rows.iter().map(|row| row.id).collect())
    }

    #[test]
    fn messages_are_given_once_in_order_and_only_to_whoever_has_those_before_them() {
        let mut fresh = Fresh::default();
        assert_eq!(ids(&mut fresh, 0, 9), None, "of what an earlier run left nothing is known");
        commit(&mut fresh, 6..=9, 10);
        assert_eq!(ids(&mut fresh, 4, 9), None, "row 5 may be in the outbox");
        assert_eq!(ids(&mut fresh, 5, 2), Some(vec![6, 7]));
        assert_eq!(ids(&mut fresh, 0, 9), None, "a new connection begins with the oldest row");
        commit(&mut fresh, 10..=10, 10);
        assert_eq!(ids(&mut fresh, 8, 9), Some(vec![9, 10]), "row 8 was read elsewhere");
        assert_eq!(ids(&mut fresh, 10, 9), Some(vec![]));
        assert_eq!(fresh.bytes, 0);
    }

    #[test]
    fn no_more_than_the_bound_is_held() {
        let mut fresh = Fresh::default();
        commit(&mut fresh, 1..=20, HELD_BYTES / 10);
        assert!(fresh.bytes <= HELD_BYTES);
        assert_eq!(ids(&mut fresh, 0, 99), None);
        assert_eq!(ids(&mut fresh, 10, 99).unwrap(), (11..=20).collect::<Vec<_>>());
        commit(&mut fresh, 21..=21, HELD_BYTES + 1);
        assert_eq!((ids(&mut fresh, 20, 99), ids(&mut fresh, 21, 99)), (None, Some(vec![])));
    }

    #[test]
    fn what_is_taken_out_or_in_doubt_is_forgotten() {
        let mut fresh = Fresh::default();
        commit(&mut fresh, 1..=3, 10);
        fresh.stage_removal();
        commit(&mut fresh, 4..=4, 10);
        assert_eq!((ids(&mut fresh, 0, 9), ids(&mut fresh, 3, 9)), (None, Some(vec![4])));
        // Nothing was written: what was known stays.
        commit(&mut fresh, 5..=5, 10);
        fresh.settle(false);
        assert_eq!(ids(&mut fresh, 4, 9), Some(vec![5]));
        fresh.stage(OutboxRow { id: 6, topic: String::new(), payload: String::new(), retain: false });
        fresh.settle(false);
        assert_eq!(ids(&mut fresh, 5, 9), None);
    }
}
