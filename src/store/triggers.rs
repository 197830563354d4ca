//! Triggers of scanners and the frames that they push: kept until answered, answered once.

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rusqlite::{OptionalExtension, Row, Transaction, params};
use uuid::Uuid;

use crate::station::{TriggerFacts, TriggerView};

use super::{Durability, Store, StoreError, StoreReader};

/// Answered triggers are kept for so long.
const KEPT_DAYS: u32 = 30;

/// A trigger as it stands in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TriggerRow {
    /// The scanner's event id.
    pub id: String,
    /// Source that it went to.
    pub source: String,
    /// When it came, RFC 3339; set by the store.
    pub received: String,
    /// Case in force then.
    pub case: Option<String>,
    /// What the scanner says of the field (JSON).
    pub facts: String,
    /// SHA-256 of a pushed frame.
    pub digest: Option<String>,
    /// The pushed frame below the spool's folder, until it is answered.
    pub file: Option<String>,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was answered.
    pub answered: Option<String>,
    /// With what (JSON).
    pub answer: Option<String>,
}

impl TriggerRow {
    /// As it is shown.
    pub fn view(self) -> TriggerView {
        // Both were written by this program; what another version wrote is left out.
        let facts: TriggerFacts = serde_json::from_str(&self.facts).unwrap_or_default();
        let answer = self.answer.as_deref().and_then(|text| serde_json::from_str(text).ok());
        TriggerView {
            trigger: self.id,
            source: self.source,
            field: facts.field,
            stage_um: facts.stage_um,
            received: self.received,
            answered: self.answered,
            answer: answer.unwrap_or_default(),
        }
    }
}

/// A metaphase of a slide, stored with what its frame gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpreadRow {
    /// Slide.
    pub slide: String,
    /// Case.
    pub case: Option<String>,
    /// Source of its frame.
    pub source: String,
    /// Where it lies, how good it looks, its cells (JSON).
    pub document: String,
}

/// The answer to a trigger, stored with what its frame gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The trigger.
    pub trigger: String,
    /// The answer (JSON).
    pub answer: String,
}

/// Where pushed frames lie until they are answered.
#[derive(Debug, Clone)]
pub struct SpoolFolder(PathBuf);

/// A frame that is being written to the spool. Dropped before it is kept, its file goes.
#[derive(Debug)]
pub struct SpooledFile {
    /// To be written.
    pub file: File,
    folder: PathBuf,
    name: String,
    kept: bool,
}

impl SpoolFolder {
    /// A new file.
    ///
    /// # Errors
    /// What the disk said.
    pub fn create(&self) -> Result<SpooledFile, StoreError> {
        let name = Uuid::now_v7().to_string();
        let path = self.0.join(&name);
        let create = || {
            if !self.0.exists() {
                fs::create_dir_all(&self.0)?;
                // The folder's own name must be on the disk before a frame in it is accepted.
                self.0.parent().map_or(Ok(()), |store| File::open(store)?.sync_all())?;
            }
            File::options().write(true).create_new(true).open(&path)
        };
        let file = create().map_err(|error| failed("write a pushed frame to", &path, error))?;
        Ok(SpooledFile { file, folder: self.0.clone(), name, kept: false })
    }

    /// Where a file of that name lies.
    pub fn locate(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl SpooledFile {
    /// Its path.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// Its name within the spool.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Brings its contents and its name to the disk.
    ///
    /// # Errors
    /// What the disk said.
    pub fn sync(&self) -> Result<(), StoreError> {
        let sync = || {
            self.file.sync_all()?;
            File::open(&self.folder)?.sync_all()
        };
        sync().map_err(|error| failed("write a pushed frame to", &self.path(), error))
    }
}

impl Drop for SpooledFile {
    fn drop(&mut self) {
        if !self.kept {
            // What stays is swept at the next start.
            let _ = fs::remove_file(self.path());
        }
    }
}

/// An error of the spool's files; a full disk is named.
pub(super) fn failed(what: &'static str, path: &Path, source: io::Error) -> StoreError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull(what),
        _ => StoreError::Io { what, path: path.into(), source },
    }
}

const COLUMNS: &str =
    "SELECT id, source, received, case_id, facts, digest, file, bytes, answered, answer FROM triggers";

fn trigger_row(row: &Row<'_>) -> rusqlite::Result<TriggerRow> {
    Ok(TriggerRow {
        id: row.get(0)?,
        source: row.get(1)?,
        received: row.get(2)?,
        case: row.get(3)?,
        facts: row.get(4)?,
        digest: row.get(5)?,
        file: row.get(6)?,
        bytes: row.get::<_, Option<i64>>(7)?.unwrap_or(0) as u64,
        answered: row.get(8)?,
        answer: row.get(9)?,
    })
}

impl Store {
    /// Where pushed frames lie.
    pub fn spool(&self) -> SpoolFolder {
        SpoolFolder(self.folder().join("spool"))
    }

    /// Keeps a trigger, with its frame where one was pushed: when it returns both are on the disk. Gives the row, and
    /// whether it is new; one of the same id that was there before stays as it is.
    ///
    /// # Errors
    /// What the disk or SQLite said; nothing was kept.
    pub fn begin_trigger(
        &self,
        trigger: &TriggerRow,
        mut frame: Option<SpooledFile>,
    ) -> Result<(TriggerRow, bool), StoreError> {
        const WHAT: &str = "keep a trigger";
        if let Some(frame) = &frame {
            frame.sync()?;
        }
        let name = frame.as_ref().map(|frame| frame.name().to_owned());
        let (row, is_new) = self.write(WHAT, Durability::Full, |transaction| {
            let sql = StoreError::sql(WHAT);
            let inserted = transaction
                .prepare_cached(
                    "INSERT INTO triggers (id, source, case_id, facts, digest, file, bytes)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
                )
                .and_then(|mut statement| {
                    let TriggerRow { id, source, case, facts, digest, bytes, .. } = trigger;
                    statement.execute(params![id, source, case, facts, digest, name, *bytes as i64])
                })
                .map_err(&sql)?;
            let row =
                transaction.query_row(&format!("{COLUMNS} WHERE id = ?1"), [&trigger.id], trigger_row).map_err(&sql)?;
            Ok((row, inserted > 0))
        })?;
        if let (Some(frame), true) = (&mut frame, is_new) {
            frame.kept = true;
        }
        Ok((row, is_new))
    }

    /// Removes answered triggers that are older than a month; gives how many.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn forget_old_triggers(&self) -> Result<u64, StoreError> {
        const WHAT: &str = "forget old triggers";
        self.write(WHAT, Durability::Process, |transaction| {
            transaction
                .execute(
                    "DELETE FROM triggers WHERE answered < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?1)",
                    [format!("-{KEPT_DAYS} days")],
                )
                .map_err(StoreError::sql(WHAT))
        })
        .map(|gone| gone as u64)
    }

    /// Removes pushed frames that no trigger waits for: half-written ones, and those that were answered.
    pub(super) fn sweep_spool(&self) -> Result<(), StoreError> {
        let spool = self.spool();
        let entries = match fs::read_dir(&spool.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed("list", &spool.0, error)),
        };
        let waiting: HashSet<String> = self
            .reader()
            .rows("list the pushed frames", "SELECT file FROM triggers WHERE file IS NOT NULL", [], |row| row.get(0))?
            .into_iter()
            .collect();
        for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_none_or(|name| !waiting.contains(name)) {
                fs::remove_file(&path).map_err(|error| failed("remove", &path, error))?;
            }
        }
        Ok(())
    }

    /// Removes pushed frames that have been answered.
    pub(super) fn remove_spooled(&self, files: &[String]) {
        let spool = self.spool();
        for file in files {
            if let Err(error) = fs::remove_file(spool.locate(file)) {
                tracing::warn!(file, %error, "a pushed frame stays in the spool until the next start");
            }
        }
    }
}

/// Answers a trigger. False when it has an answer already. The file of its frame is added to `spooled`.
pub(super) fn put_answer(
    transaction: &Transaction<'_>,
    answered: &Answered,
    spooled: &mut Vec<String>,
) -> Result<bool, StoreError> {
    let sql = StoreError::sql("answer a trigger");
    let found: Option<(bool, Option<String>)> = transaction
        .prepare_cached("SELECT answered IS NOT NULL, file FROM triggers WHERE id = ?1")
        .and_then(|mut statement| {
            statement.query_row([&answered.trigger], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(&sql)?;
    match found {
        Some((true, _)) => return Ok(false),
        Some((false, file)) => spooled.extend(file),
        // Nobody asked over HTTP or MQTT: there is nothing to answer.
        None => return Ok(true),
    }
    transaction
        .prepare_cached(
            "UPDATE triggers SET answered = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), answer = ?2, file = NULL
             WHERE id = ?1",
        )
        .and_then(|mut statement| statement.execute([&answered.trigger, &answered.answer]))
        .map_err(&sql)?;
    Ok(true)
}

/// Keeps the metaphases that a frame shows.
pub(super) fn put_spreads(transaction: &Transaction<'_>, spreads: &[SpreadRow]) -> Result<(), StoreError> {
    for SpreadRow { slide, case, source, document } in spreads {
        transaction
            .prepare_cached("INSERT INTO spreads (slide, case_id, source, document) VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut statement| statement.execute(params![slide, case, source, document]))
            .map_err(StoreError::sql("keep a find"))?;
    }
    Ok(())
}

/// Begins the key of the value that says which find the document of a slide rests on last.
const SLIDE_DOCUMENTS: &str = "slide-documents/";

impl Store {
    /// Key of the value that says which find the document of a slide rests on last.
    pub fn slide_key(slide: &str) -> String {
        format!("{SLIDE_DOCUMENTS}{slide}")
    }
}

impl StoreReader {
    /// Slides whose documents do not rest on all of their finds, each with a case of theirs.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn slides_behind(&self) -> Result<Vec<(String, Option<String>)>, StoreError> {
        self.rows(
            "compare the slides with their finds",
            "SELECT slide, max(case_id) FROM spreads GROUP BY slide
             HAVING CAST(max(id) AS TEXT) IS NOT (SELECT value FROM meta WHERE key = ?1 || slide)",
            [SLIDE_DOCUMENTS],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// The latest value of a retained topic (below the station's root).
    ///
    /// # Errors
    /// What SQLite said.
    pub fn latest(&self, topic: &str) -> Result<Option<String>, StoreError> {
        let statement = "SELECT payload FROM latest WHERE topic = ?1 AND payload IS NOT NULL";
        self.one("read a document", statement, [topic], |row| row.get(0))
    }

    /// The finds on a slide behind the one numbered `after`, in the order of commits, each with its number.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn spreads(&self, slide: &str, after: i64) -> Result<Vec<(i64, String)>, StoreError> {
        let statement = "SELECT id, document FROM spreads WHERE slide = ?1 AND id > ?2 ORDER BY id";
        self.rows("read the finds on a slide", statement, params![slide, after], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// One trigger.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn trigger(&self, id: &str) -> Result<Option<TriggerRow>, StoreError> {
        self.one("read a trigger", &format!("{COLUMNS} WHERE id = ?1"), [id], trigger_row)
    }

    /// Whether a frame of this source that belongs to the case has no answer yet: its cells are still to come.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn awaits_answer(&self, source: &str, case: &str) -> Result<bool, StoreError> {
        let statement =
            "SELECT EXISTS (SELECT 1 FROM triggers WHERE answered IS NULL AND source = ?1 AND case_id = ?2)";
        Ok(self.one("look for frames without an answer", statement, [source, case], |row| row.get(0))? == Some(true))
    }

    /// Triggers without an answer, oldest first.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn waiting_triggers(&self) -> Result<Vec<TriggerRow>, StoreError> {
        let statement = format!("{COLUMNS} WHERE answered IS NULL ORDER BY rowid");
        self.rows("list the triggers that wait", &statement, [], trigger_row)
    }
}
