//! What can go wrong with the store, and what to do about it.

use std::{io, path::PathBuf};

use domain::{ErrorKind, HasKind};
use uuid::Uuid;

/// A failure of the store. Nothing of the transaction that failed was written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the store open for writing.
    #[error("the store {} is in use by another metaphased: stop that one or give this one its own `store.path`", .0.display())]
    InUse(PathBuf),
    /// The folder or a file in it cannot be used.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no store in the folder.
    #[error("there is no store in {}: give the daemon's --config, or run it once", .0.display())]
    Missing(PathBuf),
    /// The database was written by a newer version.
    #[error(
        "{} has schema {found}, this version knows up to {known}: use the version that wrote it, or a newer one",
        path.display()
    )]
    TooNew {
        /// The database file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// The file is a database of something else.
    #[error("{} is not a store of metaphased (application id {found:#x}): choose another `store.path`", path.display())]
    Foreign {
        /// The database file.
        path: PathBuf,
        /// Its application id.
        found: i64,
    },
    /// The disk is full.
    #[error("no space left for the store while trying to {0}: free some, or lower `store.quota`")]
    DiskFull(&'static str),
    /// SQLite refused.
    #[error("the store failed to {what}: {source}")]
    Sql {
        /// What was tried.
        what: &'static str,
        /// SQLite's message.
        source: rusqlite::Error,
    },
    /// The outbox is full and nothing in the batch may be dropped: wait and try again.
    #[error(
        "the outbox holds {depth} of at most {cap} messages and the broker accepts none: reconnect the broker, raise \
         `mqtt.outbox_cap` or let old messages be dropped (`mqtt.outbox_full = \"drop-oldest\"`)"
    )]
    OutboxFull {
        /// Messages that wait.
        depth: u64,
        /// Most that may wait.
        cap: u64,
    },
    /// There is no such cell.
    #[error("there is no cell {0} in the store")]
    NoSuchCell(Uuid),
    /// There is no such case.
    #[error("there is no case '{0}' in the store")]
    NoSuchCase(String),
    /// Somebody else changed the cell in the meantime.
    #[error(
        "cell {cell} is at revision {found}, the change was made for {expected}: read it again and repeat the change"
    )]
    Conflict {
        /// The cell.
        cell: Uuid,
        /// Revision in the store.
        found: u32,
        /// Revision the change started from.
        expected: u32,
    },
    /// The store already holds this revision of the cell or a newer one.
    #[error("the store already holds cell {cell} at revision {revision} or later: increase the revision")]
    Stale {
        /// The cell.
        cell: Uuid,
        /// Revision that was to be written.
        revision: u32,
    },
    /// A document in the store cannot be read back.
    #[error("the document of {what} in the store cannot be read: {source}")]
    Document {
        /// Whose document.
        what: String,
        /// Where it fails.
        source: serde_json::Error,
    },
}

impl HasKind for StoreError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::InUse(_) => ErrorKind::Busy,
            Self::Missing(_) | Self::NoSuchCell(_) | Self::NoSuchCase(_) => ErrorKind::NotFound,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => ErrorKind::NotPermitted,
            Self::Io { .. } => ErrorKind::CannotCreate,
            Self::TooNew { .. }
            | Self::Foreign { .. }
            | Self::DiskFull(_)
            | Self::Sql { .. }
            | Self::OutboxFull { .. }
            | Self::Conflict { .. }
            | Self::Stale { .. }
            | Self::Document { .. } => ErrorKind::Io,
        }
    }
}

impl StoreError {
    /// True when the same call may succeed later, or when the store fails as a whole (a full disk, a full outbox, a busy
    /// or broken database); false when this very document or row can never be written.
    pub fn is_transient(&self) -> bool {
        use rusqlite::ErrorCode::{ConstraintViolation, ParameterOutOfRange, TooBig, TypeMismatch};
        match self {
            Self::OutboxFull { .. } | Self::DiskFull(_) | Self::Io { .. } => true,
            // Without a code of SQLite a value could not be converted.
            Self::Sql { source, .. } => !matches!(
                source.sqlite_error_code(),
                None | Some(ConstraintViolation | TypeMismatch | TooBig | ParameterOutOfRange)
            ),
            _ => false,
        }
    }

    /// Wraps a failed statement; a full disk becomes [`StoreError::DiskFull`].
    pub(super) fn sql(what: &'static str) -> impl Fn(rusqlite::Error) -> Self {
        move |source| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::DiskFull(what),
            _ => Self::Sql { what, source },
        }
    }

    pub(super) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull => Self::DiskFull(what),
            _ => Self::Io { what, path, source },
        }
    }
}
