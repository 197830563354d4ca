//! The quota: what goes when the disk that was granted is full, in which order.

use rusqlite::Connection;

use super::{Durability, Store, StoreError};

/// What was removed to keep the quota, and whether it is kept now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retained {
    /// Pictures of frames removed.
    pub images: u64,
    /// Crops of normal cells removed.
    pub crops: u64,
    /// Bytes in use now, database and pictures.
    pub bytes: u64,
    /// Bytes over the quota that cannot be freed: cell records, crops of other cells, reviews and what waits for the
    /// broker are never removed by themselves.
    pub over: u64,
}

/// Rows that go in one transaction, so that a commit does not wait long.
const STEP: i64 = 200;

impl Store {
    /// Removes the oldest pictures of frames, then the crops of the oldest normal cells, until the store fits its
    /// quota. Without a quota it removes nothing. Called now and then (every minute), from any thread.
    ///
    /// # Errors
    /// What SQLite or the disk said.
    pub fn enforce_quota(&self) -> Result<Retained, StoreError> {
        const WHAT: &str = "keep the quota";
        let mut done = Retained::default();
        loop {
            let used = self.bytes()?;
            let over = self.0.options.quota.map_or(0, |quota| used.saturating_sub(quota));
            (done.bytes, done.over) = (used, over);
            if over == 0 {
                return Ok(done);
            }
            let images = self.drop_oldest_images(over)?;
            done.images += images;
            if images > 0 {
                continue;
            }
            let crops = self.write(WHAT, Durability::Process, |transaction| {
                transaction
                    .execute(
                        "DELETE FROM crops WHERE cell IN (
                             SELECT DISTINCT crops.cell FROM crops JOIN cells ON cells.seq = crops.cell
                             WHERE cells.verdict = 'normal' AND cells.damaged = 0 AND coalesce(cells.dicentrics, 0) = 0
                             ORDER BY crops.cell LIMIT ?1)",
                        [STEP],
                    )
                    .map_err(StoreError::sql(WHAT))
            })?;
            if crops == 0 {
                return Ok(done);
            }
            done.crops += crops as u64;
            let writer = self.writer();
            drain(&writer, "PRAGMA incremental_vacuum").map_err(StoreError::sql(WHAT))?;
        }
    }

    /// Bytes in use: the database's pages that hold something, and the pictures.
    fn bytes(&self) -> Result<u64, StoreError> {
        self.reader().with("measure its size", |connection| {
            let pages: i64 = connection.query_row(
                "SELECT (page_count - freelist_count) * page_size
                 FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
                [],
                |row| row.get(0),
            )?;
            let images: i64 =
                connection.query_row("SELECT coalesce(sum(bytes), 0) FROM images", [], |row| row.get(0))?;
            Ok((pages + images) as u64)
        })
    }

    /// Removes the oldest pictures, about `bytes` of them at most [`STEP`]; gives how many.
    fn drop_oldest_images(&self, bytes: u64) -> Result<u64, StoreError> {
        const WHAT: &str = "remove old pictures";
        let paths: Vec<String> = self.write(WHAT, Durability::Full, |transaction| {
            transaction
                .prepare_cached(
                    "DELETE FROM images WHERE id IN (
                         SELECT id FROM (
                             SELECT id, coalesce(sum(bytes) OVER (
                                 ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
                             FROM (SELECT id, bytes FROM images ORDER BY id LIMIT ?1))
                         WHERE before < ?2)
                     RETURNING path",
                )
                .and_then(|mut statement| {
                    statement.query_map(rusqlite::params![STEP, bytes as i64], |row| row.get(0))?.collect()
                })
                .map_err(StoreError::sql(WHAT))
        })?;
        // First the rows, then the files: a crash in between leaves files, never cells whose picture is missing.
        for path in &paths {
            self.images().remove(path)?;
        }
        Ok(paths.len() as u64)
    }
}

/// Runs a statement that works row by row to its end.
pub(super) fn drain(connection: &Connection, statement: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(statement)?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}
