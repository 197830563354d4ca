//! The log that transactions are written to (WAL), and how what it holds comes into the database's file: by a thread with a
//! connection of its own, so that no commit waits for it.
//!
//! A transaction is durable once it is in the log; copying moves what is durable already, and whoever opens the store
//! after a crash finds it in the one or the other. SQLite begins the log again from its start when all of it is copied
//! and a transaction begins. Under a load without a pause that moment never comes by itself: a commit that finds the
//! log longer than its bound then copies the rest itself, while no other can write.

use std::{
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::Connection;

use super::StoreError;

/// The thread copies once so many bytes of the log are not in the database's file. Few: a commit that has to copy the rest
/// itself waits for no more than about twice as many.
const COPY_BYTES: u64 = 4 << 20;
/// A commit that leaves the log longer than this copies it itself. On the disk the log takes little more.
pub(super) const BOUND_BYTES: u64 = 64 << 20;
/// After so long without a transaction the rest is copied.
const COPY_AFTER: Duration = Duration::from_secs(1);
/// After so long without a transaction the file of the log is cut to nothing. Not sooner: a file that is there already is written
/// faster than one that has to grow.
const EMPTY_AFTER: Duration = Duration::from_secs(30);
/// Pause after an attempt that led to nothing: a reader needs the old state, or another process writes.
const RETRY: Duration = Duration::from_secs(1);
/// Pause after an error.
const ERROR_RETRY: Duration = Duration::from_secs(5);
/// How long an emptying that somebody asked for waits for readers.
const BUSY: Duration = Duration::from_secs(10);

/// What the log of a store does; clones share it.
#[derive(Debug, Clone, Default)]
pub struct LogCounts(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    bytes: AtomicU64,
    by_thread: AtomicU64,
    by_commit: AtomicU64,
}

impl LogCounts {
    /// Bytes that the log holds; what of it is in the database's file as well counts until the log begins again.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Relaxed)
    }

    /// How often the thread copied it.
    pub fn by_thread(&self) -> u64 {
        self.0.by_thread.load(Relaxed)
    }

    /// How often a commit had to, because it had become too long.
    pub fn by_commit(&self) -> u64 {
        self.0.by_commit.load(Relaxed)
    }
}

/// Keeps the log short for as long as it lives.
#[derive(Debug)]
pub(super) struct Log {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// Held while it copies: SQLite refuses a second one that copies at the same time.
    connection: Mutex<Connection>,
    page_bytes: u64,
    progress: Mutex<Progress>,
    changed: Condvar,
    counts: LogCounts,
}

impl Log {
    /// Watches the log of the database at `path`, which `writer` writes.
    ///
    /// # Errors
    /// What SQLite or the system said.
    pub fn open(path: &Path, writer: &mut Connection) -> Result<Self, StoreError> {
        let sql = StoreError::sql("watch the log of its database");
        let connection = Connection::open(path).map_err(&sql)?;
        connection.pragma_update(None, "journal_size_limit", BOUND_BYTES as i64).map_err(&sql)?;
        let page_bytes: i64 = writer.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(&sql)?;
        let mut file = path.as_os_str().to_owned();
        file.push("-wal");
        // At most: what an earlier run left.
        let bytes = std::fs::metadata(Path::new(&file)).map_or(0, |file| file.len());
        let shared = Arc::new(Shared {
            connection: Mutex::new(connection),
            page_bytes: page_bytes as u64,
            progress: Mutex::new(Progress { bytes, written: Some(Instant::now()), ..Progress::default() }),
            changed: Condvar::new(),
            counts: LogCounts::default(),
        });
        shared.counts.0.bytes.store(bytes, Relaxed);
        let hook = Arc::downgrade(&shared);
        writer
            .wal_hook(Some(move |_: &mut _, pages: std::ffi::c_int| {
                if let Some(log) = hook.upgrade() {
                    log.written(pages);
                }
                Ok(())
            }))
            .map_err(&sql)?;
        let work = shared.clone();
        let thread = thread::Builder::new()
            .name("store-log".into())
            .spawn(move || work.run())
            .map_err(StoreError::io("start the thread that copies the log of", path))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// What it does.
    pub fn counts(&self) -> LogCounts {
        self.shared.counts.clone()
    }

    /// Copies the whole log and empties it. The caller holds the writer, so that nothing comes in between. A reader that needs
    /// the old state is waited for; where it outlasts that, the thread empties the log later.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn empty(&self) -> Result<(), StoreError> {
        self.shared.copy(Step::Empty { wait: BUSY }).map(drop).map_err(StoreError::sql("checkpoint its log"))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shared.progress().ended = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It has no more to say.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A transaction has ended, and the log holds so many pages. Called by SQLite with the writer's lock given back.
    fn written(&self, pages: std::ffi::c_int) {
        let bytes = u64::try_from(pages).unwrap_or(0) * self.page_bytes;
        let wake = self.progress().written(bytes, Instant::now());
        self.counts.0.bytes.store(bytes, Relaxed);
        if wake {
            self.changed.notify_all();
        }
        if bytes >= BOUND_BYTES {
            self.counts.0.by_commit.fetch_add(1, Relaxed);
            if let Err(error) = self.copy(Step::Copy) {
                // The transaction is in the log all the same.
                tracing::debug!(%error, "the log of the database could not be copied by a commit");
            }
        }
    }

    /// Copies what no reader needs any more as it was; true when that changed anything.
    fn copy(&self, step: Step) -> rusqlite::Result<bool> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let (statement, wait) = match step {
            Step::Copy => ("PRAGMA wal_checkpoint(PASSIVE)", Duration::ZERO),
            Step::Empty { wait } => ("PRAGMA wal_checkpoint(TRUNCATE)", wait),
        };
        connection.busy_timeout(wait)?;
        let before = self.progress().transactions;
        let (log, copied) = connection.query_row(statement, [], |row| Ok((row.get::<_, i64>(1)?, row.get(2)?)))?;
        let bytes = |pages: i64| u64::try_from(pages).unwrap_or(0) * self.page_bytes;
        let mut progress = self.progress();
        let moved = progress.copied(before, bytes(log), bytes(copied));
        self.counts.0.bytes.store(progress.bytes, Relaxed);
        Ok(moved)
    }

    fn run(&self) {
        let mut progress = self.progress();
        while !progress.ended {
            let step = match progress.next(Instant::now()) {
                Next::Do(step) => step,
                Next::Wait(None) => {
                    progress = self.changed.wait(progress).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
                Next::Wait(Some(pause)) => {
                    progress = self.changed.wait_timeout(progress, pause).unwrap_or_else(PoisonError::into_inner).0;
                    continue;
                }
            };
            drop(progress);
            let result = self.copy(step);
            self.counts.0.by_thread.fetch_add(1, Relaxed);
            progress = self.progress();
            match result {
                Ok(true) => {}
                Ok(false) => progress.not_before = Some(Instant::now() + RETRY),
                Err(error) => {
                    tracing::warn!(%error, "the log of the database cannot be copied into it; trying again");
                    progress.not_before = Some(Instant::now() + ERROR_RETRY);
                }
            }
        }
    }
}

/// What is done to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// What it holds is copied; readers and the writer go on.
    Copy,
    /// It is copied and cut to nothing, where no reader needs it and nobody writes within `wait`.
    Empty { wait: Duration },
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Do(Step),
    Wait(Option<Duration>),
}

/// How far writing and copying have come.
#[derive(Debug, Default)]
struct Progress {
    /// Length of the log in bytes of pages, and how much of it is in the database's file as well.
    bytes: u64,
    copied: u64,
    transactions: u64,
    /// When the last transaction ended.
    written: Option<Instant>,
    /// The thread tries nothing before.
    not_before: Option<Instant>,
    ended: bool,
}

impl Progress {
    /// The log is `bytes` long after a transaction; true when the thread has to know.
    fn written(&mut self, bytes: u64, now: Instant) -> bool {
        let had_nothing_to_copy = self.to_copy() == 0;
        if bytes < self.bytes {
            // It was begun again, all of it being copied.
            self.copied = 0;
        }
        self.bytes = bytes;
        self.transactions += 1;
        self.written = Some(now);
        had_nothing_to_copy || self.to_copy() >= COPY_BYTES
    }

    /// Of a log of `bytes`, `copied` were found in the database's file; `transactions` is the number before that was
    /// asked. True when it led to anything.
    fn copied(&mut self, transactions: u64, bytes: u64, copied: u64) -> bool {
        let (old_bytes, old_copied) = (self.bytes, self.copied);
        if transactions == self.transactions {
            (self.bytes, self.copied) = (bytes, copied);
        } else if bytes > 0 && bytes <= self.bytes {
            self.copied = copied;
        }
        // Otherwise it was begun again in between.
        self.copied > old_copied || self.bytes < old_bytes
    }

    fn to_copy(&self) -> u64 {
        self.bytes.saturating_sub(self.copied)
    }

    fn next(&self, now: Instant) -> Next {
        let Some(written) = self.written.filter(|_| self.bytes > 0) else { return Next::Wait(None) };
        let (step, due) = match self.to_copy() {
            0 => (Step::Empty { wait: Duration::ZERO }, written + EMPTY_AFTER),
            COPY_BYTES.. => (Step::Copy, written),
            _ => (Step::Copy, written + COPY_AFTER),
        };
        let due = self.not_before.map_or(due, |then| due.max(then));
        match due.saturating_duration_since(now) {
            Duration::ZERO => Next::Do(step),
            pause => Next::Wait(Some(pause)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const COPY: Next = Next::Do(Step::Copy);
    const EMPTY: Next = Next::Do(Step::Empty { wait: Duration::ZERO });

    #[test]
    fn a_log_is_copied_when_it_has_grown_or_nothing_comes_and_emptied_later() {
        let (start, mut log) = (Instant::now(), Progress::default());
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!(log.next(start), Next::Wait(None));
        assert!(log.written(MIB, start), "whoever waits without an end has to know");
        assert!(!log.written(2 * MIB, after(400)));
        assert_eq!(log.next(after(400)), Next::Wait(Some(COPY_AFTER)), "counted from the last transaction");
        assert_eq!(log.next(after(1400)), COPY);
        assert!(log.copied(2, 2 * MIB, 2 * MIB));
        assert_eq!(log.next(after(1400)), Next::Wait(Some(EMPTY_AFTER - COPY_AFTER)));
        assert!(log.written(MIB, after(1500)), "it waits for another time than this one's");
        assert_eq!(log.next(after(2500)), COPY);
        assert!(log.copied(3, MIB, MIB));
        assert_eq!(log.next(after(31_500)), EMPTY);
        assert!(log.copied(3, 0, 0));
        assert_eq!(log.next(after(31_500)), Next::Wait(None));

        assert!(log.written(COPY_BYTES, after(40_000)));
        assert_eq!(log.next(after(40_000)), COPY);
        assert!(log.copied(4, COPY_BYTES, COPY_BYTES - MIB));
        assert!(!log.written(COPY_BYTES + MIB, after(40_100)), "most of it is copied");
        assert_eq!(log.next(after(40_100)), Next::Wait(Some(COPY_AFTER)));
        assert!(log.written(COPY_BYTES * 2, after(40_200)));
    }

    #[test]
    fn a_log_that_begins_again_is_not_taken_for_a_copied_one() {
        let (now, mut log) = (Instant::now(), Progress::default());
        log.written(COPY_BYTES, now);
        assert!(log.copied(1, COPY_BYTES, COPY_BYTES));
        log.written(MIB, now);
        assert_eq!((log.bytes, log.copied), (MIB, 0));
        // What was found out before it began again says nothing of what is in it now.
        log.written(2 * COPY_BYTES, now);
        log.written(MIB, now);
        assert!(!log.copied(3, 2 * COPY_BYTES, COPY_BYTES));
        assert_eq!((log.bytes, log.copied), (MIB, 0));
        // It was emptied while a transaction ended: that one is in it, or will be seen again when nothing comes.
        log.written(MIB, now);
        assert!(!log.copied(4, 0, 0));
        assert_eq!((log.bytes, log.copied), (MIB, 0));
        // It has only grown.
        log.written(3 * COPY_BYTES, now);
        assert!(log.copied(5, 2 * COPY_BYTES, 2 * COPY_BYTES));
        assert_eq!((log.bytes, log.copied), (3 * COPY_BYTES, 2 * COPY_BYTES));
    }

    #[test]
    fn after_an_attempt_in_vain_it_waits() {
        let (now, mut log) = (Instant::now(), Progress::default());
        log.written(2 * COPY_BYTES, now);
        assert!(!log.copied(1, 2 * COPY_BYTES, 0), "a reader stands in the way");
        log.not_before = Some(now + RETRY);
        assert_eq!(log.next(now), Next::Wait(Some(RETRY)));
        assert_eq!(log.next(now + RETRY), COPY);
    }
}
