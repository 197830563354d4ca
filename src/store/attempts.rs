//! Which file is being read.

use rusqlite::params;

use super::{Durability, Store, StoreError};
use domain::frame::FileStamp;

impl Store {
    /// Notes that a file of a source is being read. Gives how many attempts at this very file were noted before and
    /// never ended: with each the process ended. The note survives a crash of the process, not a power loss.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn begin_attempt(&self, source: &str, path: &str, stamp: FileStamp) -> Result<u32, StoreError> {
        const WHAT: &str = "note that a file is read";
        self.write(WHAT, Durability::Process, |transaction| {
            transaction
                .prepare_cached(
                    "INSERT INTO attempts (source, path, bytes, mtime_ns, number) VALUES (?1, ?2, ?3, ?4, 1)
                     ON CONFLICT DO UPDATE SET
                         number = iif(bytes = excluded.bytes AND mtime_ns = excluded.mtime_ns, number + 1, 1),
                         bytes = excluded.bytes, mtime_ns = excluded.mtime_ns
                     RETURNING number - 1",
                )
                .and_then(|mut statement| {
                    let values = params![source, path, stamp.bytes as i64, stamp.mtime_ns];
                    statement.query_row(values, |row| row.get(0))
                })
                .map_err(StoreError::sql(WHAT))
        })
    }

    /// Notes that a file has been read.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn end_attempt(&self, source: &str, path: &str) -> Result<(), StoreError> {
        const WHAT: &str = "note that a file has been read";
        self.write(WHAT, Durability::Process, |transaction| {
            transaction
                .prepare_cached("DELETE FROM attempts WHERE source = ?1 AND path = ?2")
                .and_then(|mut statement| statement.execute([source, path]))
                .map_err(StoreError::sql(WHAT))
        })
        .map(drop)
    }
}
