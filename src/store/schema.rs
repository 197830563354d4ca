//! Migrations: each a frozen file of SQL; `user_version` says how far a database has come.

use std::path::Path;

use rusqlite::Connection;

use super::StoreError;

/// `metaphas` cut to four bytes: marks our databases.
pub(super) const APPLICATION_ID: i64 = 0x6d70_6173;

/// In order; a landed file never changes, a new schema is a new file.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001_cells_and_outbox.sql")];

/// Schema version that this build writes.
pub const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// Brings the database to [`SCHEMA_VERSION`], each step in its own transaction.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
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
