//! SQLite: what must not be lost. Cells with their crops, cases, reviews, file marks, and the outbox of messages.
//!
//! One [`Store`] writes (a lock file keeps a second daemon out), any number of [`StoreReader`]s read beside it (WAL).
//! What one frame gave goes in as one [`FrameCommit`]; a call of [`Store::commit`] is one transaction over a batch of
//! them, so that a cell, its messages and its file's mark are stored together or not at all. What it returned from is on the
//! disk (synchronous FULL); acknowledged messages go with less care, since a row that comes back is only sent twice.
//! A commit writes to the log alone; a thread copies that into the database's file.
//! docs/reference/store.md describes the tables for people with a `sqlite3` shell.

mod attempts;
mod cases;
mod commit;
mod error;
mod fresh;
mod images;
mod log;
mod outbox;
mod read;
mod retention;
mod schema;
mod triggers;

pub(crate) use commit::ALARM_TOPIC;

pub use cases::{CaseRecord, Erased, ReviewRecord};
pub use commit::{CellCommit, Committed, Crop, FileMark, FileOutcome, FrameCommit, Latest, Message};
pub use error::StoreError;
pub use images::{ImageFolder, StoredImage, keeps_image};
pub use log::LogCounts;
pub use outbox::{LatestRow, OutboxRow, may_drop};
pub use read::{CellQuery, CellRow, Rank, RejectedFile, Scoring, StoreReader, StoreStats};
pub use retention::Retained;
pub use schema::SCHEMA_VERSION;
pub use triggers::{Answered, SpoolFolder, SpooledFile, SpreadRow, TriggerRow};

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::Notify;

use self::{fresh::Fresh, log::Log};

/// Name of the database in the store's folder.
pub const DATABASE: &str = "metaphased.db";

/// How the store is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreOptions {
    /// Most messages that may wait for the broker.
    pub outbox_cap: u64,
    /// Most bytes on disk, database and images together; none: no limit.
    pub quota: Option<u64>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { outbox_cap: 100_000, quota: None }
    }
}

/// The one writer of a store. Cloning shares it; every call may block on the disk, so none belongs on an async thread.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    options: StoreOptions,
    /// Before the writer: it ends before the last connection does, which copies what is left.
    log: Log,
    writer: Mutex<Connection>,
    reader: StoreReader,
    /// Rows in the outbox; changed only while the writer is held.
    depth: AtomicU64,
    /// Messages of the latest transactions; staged and settled only while the writer is held.
    fresh: Mutex<Fresh>,
    /// Highest `change` of the latest values; written only while the writer is held.
    latest_change: AtomicI64,
    space: (Mutex<()>, Condvar),
    outgoing: Notify,
    // Held open for as long as the store is: the lock goes with it.
    _lock: File,
}

/// How sure a transaction must be on the disk before the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durability {
    /// Survives a power loss.
    Full,
    /// Survives a crash of the process; a power loss may undo it.
    Process,
}

impl Store {
    /// Opens the store in `folder` (made when missing), locks it and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it, [`StoreError::TooNew`] and [`StoreError::Foreign`] for a
    /// database that this version must not touch, otherwise what the disk said.
    pub fn open(folder: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(StoreError::io("create the store's folder", folder))?;
        let lock_path = folder.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(StoreError::io("open the store's lock", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(folder.into())),
            Err(TryLockError::Error(source)) => {
                return Err(StoreError::Io { what: "lock the store with", path: lock_path, source });
            }
        }
        let path = folder.join(DATABASE);
        schema::check(&path)?;
        let mut writer = Connection::open(&path).map_err(StoreError::sql("open its database"))?;
        // Page size and auto_vacuum must come before the first table: large pages suit documents and pictures, and freed space goes
        // back to the disk.
        writer
            .execute_batch(
                "PRAGMA page_size = 16384; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 PRAGMA foreign_keys = ON; PRAGMA secure_delete = FAST; PRAGMA busy_timeout = 10000;
                 PRAGMA journal_size_limit = 67108864; PRAGMA wal_autocheckpoint = 2000;",
            )
            .map_err(StoreError::sql("set up its database"))?;
        schema::migrate(&mut writer, &path)?;
        // From here on the log is copied beside the commits, and not within one.
        let log = Log::open(&path, &mut writer)?;
        writer.set_prepared_statement_cache_capacity(64);
        let depth: i64 =
            writer.query_row(read::OUTBOX_COUNT, [], |row| row.get(0)).map_err(StoreError::sql("count the outbox"))?;
        let change = latest_change(&writer).map_err(StoreError::sql("read the latest values"))?;
        let store = Self(Arc::new(Inner {
            folder: folder.into(),
            options,
            reader: StoreReader::new(path, log.counts()),
            log,
            writer: Mutex::new(writer),
            depth: AtomicU64::new(depth as u64),
            fresh: Mutex::default(),
            latest_change: AtomicI64::new(change),
            space: (Mutex::new(()), Condvar::new()),
            outgoing: Notify::new(),
            _lock: lock,
        }));
        store.sweep_images()?;
        store.sweep_spool()?;
        Ok(store)
    }

    /// The store's folder.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Reads beside the writer.
    pub fn reader(&self) -> StoreReader {
        self.0.reader.clone()
    }

    /// Messages that wait for the broker.
    pub fn outbox_depth(&self) -> u64 {
        self.0.depth.load(Ordering::Relaxed)
    }

    /// Waits up to `timeout` until at least one message fits into the outbox; true when one does.
    pub fn wait_for_outbox_space(&self, timeout: Duration) -> bool {
        let (lock, freed) = &self.0.space;
        let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |_: &mut ()| self.outbox_depth() >= self.0.options.outbox_cap;
        let (_guard, waited) = freed.wait_timeout_while(guard, timeout, full).unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    /// Wakes after each commit that left something to send. One waiter is meant: the broker session.
    pub fn outgoing(&self) -> &Notify {
        &self.0.outgoing
    }

    /// Copies what the log of the database holds into its file and empties it; called on a clean stop.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let _nothing_is_written = self.writer();
        self.0.log.empty()
    }

    fn fresh(&self) -> MutexGuard<'_, Fresh> {
        self.0.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction rolled it back when it was dropped, so the connection is sound.
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `act` in a transaction and commits it when it succeeds. `what` says in an error what was tried.
    fn write<T>(
        &self,
        what: &'static str,
        durability: Durability,
        act: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut writer = self.writer();
        let sql = StoreError::sql(what);
        let level = match durability {
            Durability::Full => "FULL",
            Durability::Process => "NORMAL",
        };
        writer.pragma_update(None, "synchronous", level).map_err(&sql)?;
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&sql)?;
        let depth = self.outbox_depth();
        let result = act(&transaction).and_then(|value| {
            let change = latest_change(&transaction).map_err(&sql)?;
            transaction.commit().map_err(&sql).map(|()| (value, change))
        });
        self.fresh().settle(result.is_ok());
        match result {
            Ok((value, change)) => {
                self.0.latest_change.store(change, Ordering::Release);
                Ok(value)
            }
            Err(error) => {
                self.0.depth.store(depth, Ordering::Relaxed);
                Err(error)
            }
        }
    }
}

/// Highest change of any latest value.
fn latest_change(connection: &Connection) -> rusqlite::Result<i64> {
    let mut statement = connection.prepare_cached("SELECT coalesce(max(change), 0) FROM latest")?;
    statement.query_row([], |row| row.get(0))
}
