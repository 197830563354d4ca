//! The outbox as the broker session sees it: rows in order, gone once acknowledged.

use std::sync::atomic::Ordering;

use crate::config::{Mode, OutboxFull};

use super::{
    Durability, Latest, Store, StoreError, StoreReader,
    commit::{put_latest, put_value},
    latest_change,
};

pub(super) const LATEST_AFTER: &str = "SELECT change, topic, payload FROM latest
    WHERE change > ?1 AND topic NOT IN (SELECT topic FROM outbox WHERE retain = 1)
    ORDER BY change LIMIT ?2";

/// Whether messages of a source in `mode` may go unsent when the outbox is full.
pub fn may_drop(policy: OutboxFull, mode: Mode) -> bool {
    match policy {
        OutboxFull::ByMode => mode == Mode::Freshest,
        OutboxFull::Wait => false,
        OutboxFull::DropOldest => true,
    }
}

/// A message that waits for the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its place in the order.
    pub id: i64,
    /// Topic below the station's root.
    pub topic: String,
    /// JSON.
    pub payload: String,
    /// Whether the broker keeps it.
    pub retain: bool,
}

/// The latest value of a retained topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestRow {
    /// Counts up with every change of any topic.
    pub change: i64,
    /// Topic below the station's root.
    pub topic: String,
    /// JSON; none: to be cleared.
    pub payload: Option<String>,
}

impl Store {
    /// Up to `limit` messages after row `after`, in order, where the store still holds them in memory; they are held no more
    /// then. None: [`StoreReader::outbox_after`] has them.
    pub fn fresh_after(&self, after: i64, limit: usize) -> Option<Vec<OutboxRow>> {
        self.fresh().take_after(after, limit)
    }

    /// Highest change of any latest value: beyond it [`StoreReader::latest_after`] finds nothing.
    pub fn latest_change(&self) -> i64 {
        self.0.latest_change.load(Ordering::Acquire)
    }

    /// Removes messages that the broker has acknowledged.
    ///
    /// # Errors
    /// What SQLite said; the messages are then sent again.
    pub fn acknowledge(&self, rows: &[i64]) -> Result<(), StoreError> {
        // Lost by a power failure at worst, and then sent twice: this needs no sync of its own.
        self.write("remove acknowledged messages", Durability::Process, |transaction| {
            let sql = StoreError::sql("remove acknowledged messages");
            let mut delete = transaction.prepare_cached("DELETE FROM outbox WHERE id = ?1").map_err(&sql)?;
            let mut gone = 0;
            for row in rows {
                gone += delete.execute([row]).map_err(&sql)? as u64;
            }
            self.0.depth.fetch_sub(gone, Ordering::Relaxed);
            Ok(())
        })?;
        self.announce_space();
        Ok(())
    }

    /// Takes messages out of the outbox that the broker cannot take, each with the reason in words; they are kept beside
    /// it. Gives how many there were.
    ///
    /// # Errors
    /// What SQLite said; the messages then stay where they are.
    pub fn set_aside(&self, rows: &[(i64, String)]) -> Result<u64, StoreError> {
        const WHAT: &str = "set a message aside";
        let moved = self.write(WHAT, Durability::Full, |transaction| {
            let sql = StoreError::sql(WHAT);
            self.fresh().stage_removal();
            let mut moved = 0;
            for (row, reason) in rows {
                transaction
                    .execute(
                        "INSERT OR REPLACE INTO set_aside
                             (id, topic, payload, qos, retain, droppable, case_id, created, reason)
                         SELECT id, topic, payload, qos, retain, droppable, case_id, created, ?2
                         FROM outbox WHERE id = ?1",
                        rusqlite::params![row, reason],
                    )
                    .map_err(&sql)?;
                moved += transaction.execute("DELETE FROM outbox WHERE id = ?1", [row]).map_err(&sql)? as u64;
            }
            self.0.depth.fetch_sub(moved, Ordering::Relaxed);
            Ok(moved)
        })?;
        self.announce_space();
        Ok(moved)
    }

    /// Puts what was set aside back into the outbox, at its old place: the broker may take it now.
    ///
    /// # Errors
    /// What SQLite said; the messages then stay where they are.
    pub fn take_back_set_aside(&self) -> Result<u64, StoreError> {
        const WHAT: &str = "put messages back that were set aside";
        self.write(WHAT, Durability::Full, |transaction| {
            let sql = StoreError::sql(WHAT);
            let back = transaction
                .execute(
                    "INSERT INTO outbox (id, topic, payload, qos, retain, droppable, case_id, created)
                     SELECT id, topic, payload, qos, retain, droppable, case_id, created FROM set_aside",
                    [],
                )
                .map_err(&sql)? as u64;
            transaction.execute("DELETE FROM set_aside", []).map_err(&sql)?;
            self.0.depth.fetch_add(back, Ordering::Relaxed);
            Ok(back)
        })
    }

    /// Wakes those who wait for room in the outbox.
    fn announce_space(&self) {
        let (lock, freed) = &self.0.space;
        drop(lock.lock());
        freed.notify_all();
    }

    /// Sets the latest value of a retained topic outside a commit.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn put_latest(&self, latest: &Latest) -> Result<(), StoreError> {
        self.write("keep the latest value of a topic", Durability::Full, |transaction| {
            put_latest(transaction, latest)
        })?;
        self.0.outgoing.notify_one();
        Ok(())
    }

    /// Forgets topics that the broker has cleared (`payload` none), unless they changed since. Gives the highest change that is
    /// left: the next one counts on from it, so its number may have been seen before.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn forget_cleared(&self, changes: &[i64]) -> Result<i64, StoreError> {
        const WHAT: &str = "forget a cleared topic";
        let left = self.write(WHAT, Durability::Process, |transaction| {
            let sql = StoreError::sql(WHAT);
            for change in changes {
                transaction
                    .execute("DELETE FROM latest WHERE change = ?1 AND payload IS NULL", [change])
                    .map_err(&sql)?;
            }
            latest_change(transaction).map_err(&sql)
        })?;
        // The name of an erased case may have stood in the topic: it leaves the log, too.
        self.checkpoint()?;
        Ok(left)
    }

    /// Sets a single value under its name.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn set_meta(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.write("keep a value", Durability::Full, |transaction| put_value(transaction, key, value))
    }
}

impl StoreReader {
    /// Up to `limit` messages after row `after`, in order.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn outbox_after(&self, after: i64, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
        self.rows(
            "read the outbox",
            "SELECT id, topic, payload, retain FROM outbox WHERE id > ?1 ORDER BY id LIMIT ?2",
            rusqlite::params![after, limit as i64],
            |row| Ok(OutboxRow { id: row.get(0)?, topic: row.get(1)?, payload: row.get(2)?, retain: row.get(3)? }),
        )
    }

    /// Up to `limit` retained topics that changed after `after`, in the order of their changes. A topic that still has
    /// a retained message in the outbox is left to it, so that the two cannot overtake each other.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn latest_after(&self, after: i64, limit: usize) -> Result<Vec<LatestRow>, StoreError> {
        self.rows("read the latest values", LATEST_AFTER, rusqlite::params![after, limit as i64], |row| {
            Ok(LatestRow { change: row.get(0)?, topic: row.get(1)?, payload: row.get(2)? })
        })
    }

    /// The single value kept under `key`.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.one("read a value", "SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
    }
}
