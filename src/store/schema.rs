//! Migrations: each a frozen file of SQL; `user_version` says how far a database has come.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};

use super::StoreError;

/// `metaphas` cut to four bytes: marks our databases.
pub(super) const APPLICATION_ID: i64 = 0x6d70_6173;

/// In order; a landed file never changes, a new schema is a new file.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_cells_and_outbox.sql"),
    include_str!("migrations/0002_messages_set_aside.sql"),
    include_str!("migrations/0003_files_being_read.sql"),
    include_str!("migrations/0004_triggers.sql"),
    include_str!("migrations/0005_ranked_cells.sql"),
    include_str!("migrations/0006_scored_cells.sql"),
    include_str!("migrations/0007_what_grows_is_not_scanned.sql"),
];

/// Schema version that this build writes.
pub const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// Looks at a database before anything is written to it.
///
/// # Errors
/// [`StoreError::Foreign`] and [`StoreError::TooNew`]: not ours to touch.
pub(super) fn check(path: &Path) -> Result<(), StoreError> {
    // Absent and empty are the same: a store that is to be made.
    if path.metadata().map_or(0, |file| file.len()) == 0 {
        return Ok(());
    }
    let sql = StoreError::sql("open its database");
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(&sql)?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(&sql)?;
    version(&connection, path).map(drop)
}

/// Schema version of a database that is ours, 0 for an empty one.
fn version(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let sql = StoreError::sql("read the schema version");
    let pragma = |connection: &Connection, name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let version = pragma(connection, "user_version").map_err(&sql)?;
    let application = pragma(connection, "application_id").map_err(&sql)?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(&sql)?;
    if application != APPLICATION_ID && (application != 0 || tables > 0) {
        return Err(StoreError::Foreign { path: path.into(), found: application });
    }
    if version > SCHEMA_VERSION {
        return Err(StoreError::TooNew { path: path.into(), found: version, known: SCHEMA_VERSION });
    }
    Ok(version)
}

/// Brings the database to [`SCHEMA_VERSION`], each step in its own transaction.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let version = version(connection, path)?;
    for (done, step) in (version..).zip(&MIGRATIONS[version as usize..]) {
        let sql = StoreError::sql("migrate the schema");
        let transaction = connection.transaction().map_err(&sql)?;
        transaction.execute_batch(step).map_err(&sql)?;
        transaction.pragma_update(None, "user_version", done + 1).map_err(&sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(&sql)?;
        transaction.commit().map_err(&sql)?;
        tracing::info!(schema = done + 1, path = %path.display(), "store migrated");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::store::{
        Store, StoreOptions,
        cases::OUTBOX_OF_CASE,
        commit::DROP_OLDEST,
        outbox::LATEST_AFTER,
        read::{CELLS_OF_FILE, OUTBOX_COUNT, REJECTED_FILES},
    };

    #[test]
    fn what_grows_is_not_scanned() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), StoreOptions::default()).expect("a store");
        let writer = store.writer();
        for (statement, index) in [
            (LATEST_AFTER, "outbox_retained"),
            (DROP_OLDEST, "outbox_droppable"),
            (OUTBOX_OF_CASE, "outbox_by_case"),
            (OUTBOX_COUNT, "outbox_by_case"),
            (CELLS_OF_FILE, "cells_by_file"),
            (REJECTED_FILES, "marks_rejected"),
        ] {
            let mut plan = writer.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).expect("a statement");
            let nulls = vec![None::<i64>; plan.parameter_count()];
            let rows = plan.query_map(rusqlite::params_from_iter(nulls), |row| row.get(3)).expect("its plan");
            let steps: Vec<String> = rows.collect::<Result<_, _>>().expect("steps");
            assert!(steps.iter().any(|step| step.contains(index)), "{statement}: {steps:?}");
            let whole = |step: &&String| step.starts_with("SCAN") && !step.contains("INDEX");
            assert_eq!(steps.iter().find(whole), None, "{statement}: {steps:?}");
        }
    }
}
