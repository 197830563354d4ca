//! Reading beside the writer: for the page, the commands and the broker session.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::{Connection, OpenFlags, Params, Row};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    DATABASE, FileMark, FileOutcome, LogCounts, StoreError,
    schema::{APPLICATION_ID, SCHEMA_VERSION},
};
use domain::{Cell, Verdict};

/// Idle connections that are kept for the next call.
const IDLE_CONNECTIONS: usize = 4;

pub(super) const OUTBOX_COUNT: &str = "SELECT count(*) FROM outbox";
pub(super) const CELLS_OF_FILE: &str =
    "SELECT seq, id, document FROM cells WHERE source = ?1 AND file IN (?2, ?3) ORDER BY seq";
pub(super) const REJECTED_FILES: &str = "SELECT source, path, reason, marked FROM file_marks
    WHERE outcome = 'rejected' AND (?1 IS NULL OR source = ?1)
        AND (?2 IS NULL OR marked < ?2 OR (marked = ?2 AND (source, path) > (?3, ?4)))
    ORDER BY marked DESC, source, path LIMIT ?5";

/// Reads a store, also one that a daemon in another process writes. Cloning shares a few connections; every call sees
/// one consistent state. Calls block on the disk, so none belongs on an async thread.
#[derive(Debug, Clone)]
pub struct StoreReader(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    log: LogCounts,
}

/// Which cells to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CellQuery {
    /// Only of this case.
    pub case: Option<String>,
    /// Only with this verdict.
    pub verdict: Option<Verdict>,
    /// Only what this list of the dicentric assay holds.
    pub scoring: Option<Scoring>,
    /// Only of this source.
    pub source: Option<String>,
    /// Only beyond this place in the order (`seq` of the last one seen).
    pub after: Option<i64>,
    /// Newest first, so that "beyond" means older; otherwise in the order of commits.
    pub newest_first: bool,
    /// Only those in whose karyotype, file or id this text is found, letters large or small.
    pub search: Option<String>,
    /// By rank instead of time; `after` is then the number of those before.
    pub rank: Option<Rank>,
    /// At most so many.
    pub limit: usize,
}

/// A list of cells of the dicentric assay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scoring {
    /// With at least one dicentric or tricentric, whoever called it; excluded cells too.
    Dicentrics,
    /// What a person has still to look at ([`dosimetry::dicentric::awaits_review`]); excluded cells not.
    ToReview,
    /// Excluded, or not counted by itself ([`dosimetry::dicentric::counted`]). What the best of a case leave out by rank alone is not
    /// among them: that depends on the other cells.
    NotCounted,
}

impl Scoring {
    /// As the condition of an index (migration 6).
    fn clause(self) -> &'static str {
        match self {
            Self::Dicentrics => " AND dicentrics > 0",
            Self::ToReview => " AND to_review = 1",
            Self::NotCounted => " AND counted = 0",
        }
    }
}

/// What cells are ranked by. Of a whole store an index has the order (migration 5, in just these words).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// The best pictures first: focus, metaphase and spread together.
    Quality,
    /// Those that a person should look at first: not looked at, least sure of their karyotype.
    Doubt,
}

impl Rank {
    fn order(self) -> &'static str {
        match self {
            Self::Quality => {
                " ORDER BY document ->> '$.quality.focus' * (document ->> '$.quality.metaphase') * (document ->> '$.quality.spread')
                 DESC, seq LIMIT ?#"
            }
            Self::Doubt => {
                " ORDER BY document ->> '$.excluded' IS NOT NULL, document ->> '$.review' IS NOT NULL,
                 coalesce(document ->> '$.karyotype.posterior', 0), seq LIMIT ?#"
            }
        }
    }
}

/// A cell as it stands in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellRow {
    /// Its place in the order of commits: the cursor for the next page.
    pub seq: i64,
    /// Its UUID.
    pub id: String,
    /// The `cell/1` document.
    pub document: String,
}

/// Sizes and counts of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StoreStats {
    /// Cells by verdict: normal, abnormal, not assessable.
    pub cells: [u64; 3],
    /// Cases.
    pub cases: u64,
    /// Reviews.
    pub reviews: u64,
    /// Pictures of frames.
    pub images: u64,
    /// Their bytes.
    pub image_bytes: u64,
    /// Bytes of the database in use.
    pub database_bytes: u64,
    /// Messages that wait for the broker.
    pub outbox: u64,
    /// When the oldest of them was written, RFC 3339.
    pub outbox_oldest: Option<String>,
}

/// A file that gave no cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct RejectedFile {
    /// Source that read it.
    pub source: String,
    /// Its path within the source's folder, with the page where it holds several.
    pub file: String,
    /// Why, in words.
    pub reason: Option<String>,
    /// When, RFC 3339 in UTC.
    pub time: String,
}

impl CellRow {
    /// The record.
    ///
    /// # Errors
    /// [`StoreError::Document`] when this version cannot read it.
    pub fn cell(&self) -> Result<Cell, StoreError> {
        serde_json::from_str(&self.document)
            .map_err(|source| StoreError::Document { what: format!("cell {}", self.id), source })
    }
}

fn cell_row(row: &Row<'_>) -> rusqlite::Result<CellRow> {
    Ok(CellRow { seq: row.get(0)?, id: row.get(1)?, document: row.get(2)? })
}

impl StoreReader {
    pub(super) fn new(path: PathBuf, log: LogCounts) -> Self {
        Self(Arc::new(Pool { path, idle: Mutex::default(), log }))
    }

    /// What the log of the database does, where the reader is that of the store that writes; else nothing.
    pub fn log_counts(&self) -> LogCounts {
        self.0.log.clone()
    }

    /// Opens the store in `folder` for reading, whether or not a daemon runs on it.
    ///
    /// # Errors
    /// When there is none, or one of another version.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(DATABASE);
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::Missing(folder.into())),
            other => other.map_err(StoreError::io("open the store", &path))?,
        };
        let reader = Self::new(path.clone(), LogCounts::default());
        let (application, version) = reader.with("read its version", |connection| {
            let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            Ok((pragma("application_id")?, pragma("user_version")?))
        })?;
        if application != APPLICATION_ID {
            return Err(StoreError::Foreign { path, found: application });
        }
        if version > SCHEMA_VERSION {
            return Err(StoreError::TooNew { path, found: version, known: SCHEMA_VERSION });
        }
        Ok(reader)
    }

    /// The store's folder.
    pub fn folder(&self) -> &Path {
        self.0.path.parent().unwrap_or(&self.0.path)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn with<T>(
        &self,
        what: &'static str,
        act: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let sql = StoreError::sql(what);
        let connection = match self.idle().pop() {
            Some(connection) => connection,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection = Connection::open_with_flags(&self.0.path, flags).map_err(&sql)?;
                connection.execute_batch("PRAGMA busy_timeout = 10000; PRAGMA query_only = ON").map_err(&sql)?;
                connection
            }
        };
        let result = act(&connection).map_err(&sql);
        let mut idle = self.idle();
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(connection);
        }
        result
    }

    pub(super) fn rows<T>(
        &self,
        what: &'static str,
        statement: &str,
        values: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.with(what, |connection| connection.prepare_cached(statement)?.query_map(values, read)?.collect())
    }

    pub(super) fn one<T>(
        &self,
        what: &'static str,
        statement: &str,
        values: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.rows(what, statement, values, read)?.pop())
    }

    /// A page of cells.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn cells(&self, query: &CellQuery) -> Result<Vec<CellRow>, StoreError> {
        let mut statement = String::from("SELECT seq, id, document FROM cells WHERE true");
        statement.push_str(query.scoring.map_or("", Scoring::clause));
        let mut values: Vec<Box<dyn rusqlite::ToSql>> = Vec::new();
        let mut filter = |clause: &str, value: Box<dyn rusqlite::ToSql>| {
            values.push(value);
            statement.push_str(&clause.replace('#', &values.len().to_string()));
        };
        if let Some(case) = &query.case {
            filter(" AND case_id = ?#", Box::new(case.clone()));
        }
        if let Some(verdict) = query.verdict {
            // Of a ranked store the order comes from its index: all cells of a verdict would have to be read and sorted.
            let ranked = query.rank.is_some() && query.case.is_none();
            let clause = if ranked { " AND +verdict = ?#" } else { " AND verdict = ?#" };
            filter(clause, Box::new(verdict.name()));
        }
        if let Some(source) = &query.source {
            filter(" AND source = ?#", Box::new(source.clone()));
        }
        if let Some(text) = &query.search {
            let pattern = format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
            filter(
                " AND coalesce(iscn, '') || char(10) || coalesce(file, '') || char(10) || id LIKE ?# ESCAPE '\\'",
                Box::new(pattern),
            );
        }
        if let Some(after) = query.after.filter(|_| query.rank.is_none()) {
            filter(if query.newest_first { " AND seq < ?#" } else { " AND seq > ?#" }, Box::new(after));
        }
        let time = if query.newest_first { " ORDER BY seq DESC LIMIT ?#" } else { " ORDER BY seq LIMIT ?#" };
        filter(query.rank.map_or(time, Rank::order), Box::new(i64::try_from(query.limit).unwrap_or(i64::MAX)));
        if let Some(before) = query.after.filter(|_| query.rank.is_some()) {
            filter(" OFFSET ?#", Box::new(before));
        }
        self.rows("list cells", &statement, rusqlite::params_from_iter(values), cell_row)
    }

    /// One cell.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn cell(&self, id: Uuid) -> Result<Option<CellRow>, StoreError> {
        self.one("read a cell", "SELECT seq, id, document FROM cells WHERE id = ?1", [id.to_string()], cell_row)
    }

    /// The cells that a source read from a file (its page behind `#`), in the order of commits. A file with one page may
    /// have been called with or without the page's number.
    ///
    /// # Errors
    /// What SQLite said, or a record that this version cannot read.
    pub fn cells_of_file(&self, source: &str, file: &str) -> Result<Vec<Cell>, StoreError> {
        let other = file.strip_suffix("#0").map_or_else(|| format!("{file}#0"), str::to_owned);
        let rows = self.rows("list the cells of a file", CELLS_OF_FILE, [source, file, &other], cell_row)?;
        rows.iter().map(CellRow::cell).collect()
    }

    /// All cells of a case in the order of commits.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn cells_of_case(&self, case: &str) -> Result<Vec<CellRow>, StoreError> {
        self.cells(&CellQuery { case: Some(case.to_owned()), limit: usize::MAX, ..CellQuery::default() })
    }

    /// Pictures of a cell's chromosomes, `(index, PNG)`, by index; fewer when retention took them.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn crops(&self, cell: Uuid) -> Result<Vec<(u32, Vec<u8>)>, StoreError> {
        self.rows(
            "read the crops of a cell",
            "SELECT chromosome, png FROM crops WHERE cell = (SELECT seq FROM cells WHERE id = ?1) ORDER BY chromosome",
            [cell.to_string()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// The picture of one chromosome as PNG.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn crop(&self, cell: Uuid, chromosome: u32) -> Result<Option<Vec<u8>>, StoreError> {
        self.one(
            "read a crop",
            "SELECT png FROM crops WHERE cell = (SELECT seq FROM cells WHERE id = ?1) AND chromosome = ?2",
            rusqlite::params![cell.to_string(), chromosome],
            |row| row.get(0),
        )
    }

    /// The small picture of a cell as JPEG.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn thumbnail(&self, cell: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
        self.one(
            "read a thumbnail",
            "SELECT jpeg FROM thumbnails WHERE cell = (SELECT seq FROM cells WHERE id = ?1)",
            [cell.to_string()],
            |row| row.get(0),
        )
    }

    /// Where the picture of a cell's frame lies, while it is kept.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn image(&self, cell: Uuid) -> Result<Option<PathBuf>, StoreError> {
        let path: Option<String> = self.one(
            "find a picture",
            "SELECT path FROM images WHERE id = (SELECT image FROM cells WHERE id = ?1)",
            [cell.to_string()],
            |row| row.get(0),
        )?;
        Ok(path.map(|path| self.folder().join("images").join(path)))
    }

    pub(super) fn image_paths(&self) -> Result<HashSet<String>, StoreError> {
        let paths = self.rows("list the pictures", "SELECT path FROM images", [], |row| row.get(0))?;
        Ok(paths.into_iter().collect())
    }

    /// The marks of a source's files, by path.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn marks(&self, source: &str) -> Result<HashMap<String, FileMark>, StoreError> {
        let marks = self.rows(
            "read the marks of files",
            "SELECT source, path, bytes, mtime_ns, outcome, reason FROM file_marks WHERE source = ?1",
            [source],
            |row| {
                Ok(FileMark {
                    source: row.get(0)?,
                    path: row.get(1)?,
                    bytes: row.get::<_, i64>(2)? as u64,
                    mtime_ns: row.get(3)?,
                    outcome: FileOutcome::from_name(&row.get::<_, String>(4)?),
                    reason: row.get(5)?,
                })
            },
        )?;
        Ok(marks.into_iter().map(|mark| (mark.path.clone(), mark)).collect())
    }

    /// Files that gave no cell, the latest first: those after `before` in this order, at most `limit`.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn rejected_files(
        &self,
        source: Option<&str>,
        before: Option<&RejectedFile>,
        limit: usize,
    ) -> Result<Vec<RejectedFile>, StoreError> {
        self.rows(
            "list the rejected files",
            REJECTED_FILES,
            rusqlite::params![
                source,
                before.map(|file| &file.time),
                before.map(|file| &file.source),
                before.map(|file| &file.file),
                i64::try_from(limit).unwrap_or(i64::MAX)
            ],
            |row| Ok(RejectedFile { source: row.get(0)?, file: row.get(1)?, reason: row.get(2)?, time: row.get(3)? }),
        )
    }

    /// Sizes and counts.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn stats(&self) -> Result<StoreStats, StoreError> {
        self.with("count what it holds", |connection| {
            let number = |statement: &str| {
                connection.prepare_cached(statement)?.query_row([], |row| row.get::<_, i64>(0)).map(|n| n as u64)
            };
            let of = |verdict: Verdict| {
                connection
                    .prepare_cached("SELECT count(*) FROM cells WHERE verdict = ?1")?
                    .query_row([verdict.name()], |row| row.get::<_, i64>(0))
                    .map(|n| n as u64)
            };
            let pages = number("SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count")?;
            Ok(StoreStats {
                cells: [of(Verdict::Normal)?, of(Verdict::Abnormal)?, of(Verdict::NotAssessable)?],
                cases: number("SELECT count(*) FROM cases")?,
                reviews: number("SELECT count(*) FROM reviews")?,
                images: number("SELECT count(*) FROM images")?,
                image_bytes: number("SELECT coalesce(sum(bytes), 0) FROM images")?,
                database_bytes: pages * number("SELECT page_size FROM pragma_page_size")?,
                outbox: number(OUTBOX_COUNT)?,
                outbox_oldest: connection
                    .prepare_cached("SELECT created FROM outbox ORDER BY id LIMIT 1")?
                    .query_map([], |row| row.get(0))?
                    .next()
                    .transpose()?,
            })
        })
    }
}
