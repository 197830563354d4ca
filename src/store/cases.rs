//! Cases, reviews and the erasure of a case.

use rusqlite::{OptionalExtension, Row, Transaction, params};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    Crop, Durability, FrameCommit, Latest, Store, StoreError, StoreReader,
    commit::{put_cell, put_crops, put_follow, put_latest},
    retention::drain,
};
use crate::config::slide_topic;
use domain::{Cell, hex};

/// A case as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseRecord {
    /// Its id, as given by the command or the configuration.
    pub id: String,
    /// When its first cell or document came, RFC 3339.
    pub opened: String,
    /// When it was closed.
    pub closed: Option<String>,
    /// Subject data as JSON: only what a dose needs.
    pub subject: Option<String>,
    /// Latest `case/1` document.
    pub state: Option<String>,
    /// Latest `dose/1` document.
    pub dose: Option<String>,
    /// Cells in the store.
    pub cells: u64,
}

/// One line of the audit: who changed what, when, and what the result rests on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReviewRecord {
    /// When, RFC 3339 in UTC.
    pub time: String,
    /// Who.
    pub by: String,
    /// The cell, none when a whole case was judged.
    pub cell: Option<Uuid>,
    /// The case.
    pub case: Option<String>,
    /// Revision of the cell that the review made.
    pub revision: Option<u32>,
    /// In words.
    pub change: String,
    /// What was there before, JSON.
    pub old: Option<String>,
    /// What is there now, JSON.
    pub new: Option<String>,
    /// Models that made the old value.
    pub model: Option<String>,
    /// Dose curve in use.
    pub curve: Option<String>,
    /// Other settings that the result rests on, JSON.
    pub settings: Option<String>,
}

/// What an erasure removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Cells with their crops, reviews and messages.
    pub cells: u64,
    /// Pictures of frames.
    pub images: u64,
}

/// Files of an erased case, which go once its rows are gone.
struct Files {
    /// Pictures of frames.
    images: Vec<String>,
    /// Pushed frames that have no answer yet.
    spooled: Vec<String>,
}

pub(super) const OUTBOX_OF_CASE: &str = "DELETE FROM outbox WHERE case_id = ?1";

/// Begins the name of the value of [`Store::documents_key`].
const DOCUMENTS: &str = "documents/";

impl Store {
    /// Writes a review: the audit line, the cell at its new revision (when a cell was changed) and the messages that
    /// follow, in one transaction. `follow.cells` stays empty.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the cell in the store is not at the revision before `cell.revision`,
    /// [`StoreError::NoSuchCell`] when it is not there, [`StoreError::OutboxFull`] as for a commit.
    pub fn review(&self, review: &ReviewRecord, cell: Option<&Cell>, follow: &FrameCommit) -> Result<(), StoreError> {
        self.write_review(review, cell, &[], follow)
    }

    /// The same of a cell of which chromosomes were redrawn: `crops` are their new pictures.
    ///
    /// # Errors
    /// As [`Store::review`].
    pub fn review_redrawn(
        &self,
        review: &ReviewRecord,
        cell: &Cell,
        crops: &[Crop],
        follow: &FrameCommit,
    ) -> Result<(), StoreError> {
        self.write_review(review, Some(cell), crops, follow)
    }

    fn write_review(
        &self,
        review: &ReviewRecord,
        cell: Option<&Cell>,
        crops: &[Crop],
        follow: &FrameCommit,
    ) -> Result<(), StoreError> {
        self.write("store a review", Durability::Full, |transaction| {
            if let Some(cell) = cell {
                let expected = cell.revision.saturating_sub(1);
                match revision(transaction, cell.cell)? {
                    None => return Err(StoreError::NoSuchCell(cell.cell)),
                    Some(found) if found != expected => {
                        return Err(StoreError::Conflict { cell: cell.cell, found, expected });
                    }
                    Some(_) => {
                        let seq = put_cell(transaction, cell, None)?;
                        put_crops(transaction, seq, crops)?;
                    }
                };
                forget_documents(transaction, cell.case.as_deref())?;
            }
            insert_review(transaction, review)?;
            put_follow(transaction, follow)?;
            self.put_messages(transaction, follow.messages.iter())?;
            Ok(())
        })?;
        self.0.outgoing.notify_one();
        Ok(())
    }

    /// Sets the subject data of a case (JSON; none removes them); the case is opened when it is new.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn set_subject(&self, case: &str, subject: Option<&str>) -> Result<(), StoreError> {
        self.write("keep the subject data of a case", Durability::Full, |transaction| {
            transaction
                .execute(
                    "INSERT INTO cases (id, subject) VALUES (?1, ?2)
                     ON CONFLICT DO UPDATE SET subject = excluded.subject",
                    params![case, subject],
                )
                .map_err(StoreError::sql("keep the subject data of a case"))?;
            forget_documents(transaction, Some(case))
        })
    }

    /// Name of the value that says on how many cells the documents of a case rest, all at their latest revision. A
    /// review of a cell and new subject data take it away, the next documents set it again; it goes with the case.
    pub fn documents_key(case: &str) -> String {
        format!("{DOCUMENTS}{case}")
    }

    /// Name of the value that keeps the alarm of a case; it goes with the case.
    pub fn alarm_key(case: &str) -> String {
        format!("alarm/{case}")
    }

    /// Closes a case as of `time` (RFC 3339), or reopens it with none, and writes the line of the audit.
    ///
    /// # Errors
    /// [`StoreError::NoSuchCase`].
    pub fn close_case(&self, case: &str, time: Option<&str>, line: &ReviewRecord) -> Result<(), StoreError> {
        self.write("close a case", Durability::Full, |transaction| {
            let changed = transaction
                .execute("UPDATE cases SET closed = ?2 WHERE id = ?1", params![case, time])
                .map_err(StoreError::sql("close a case"))?;
            if changed == 0 {
                return Err(StoreError::NoSuchCase(case.into()));
            }
            insert_review(transaction, line)
        })
    }

    /// Erases a case for good: its cells, crops, pictures, reviews, subject data, and what waits for the broker; its
    /// retained topics are cleared there. What stays is that somebody erased a case with this SHA-256, and when.
    /// Its rows are overwritten and freed pages leave the database file. Marks of files stay, so that a watched folder
    /// does not bring the case back; remove the files themselves.
    ///
    /// # Errors
    /// [`StoreError::NoSuchCase`], otherwise what SQLite or the disk said.
    pub fn erase_case(&self, case: &str, by: &str) -> Result<Erased, StoreError> {
        const WHAT: &str = "erase a case";
        let (erased, Files { images, spooled }) =
            self.write(WHAT, Durability::Full, |transaction| self.erase_rows(transaction, case, by))?;
        for image in images {
            self.images().remove(&image)?;
        }
        self.remove_spooled(&spooled);
        // Deleted content is zeroed in the pages that stay (secure_delete) and freed pages leave the file; the log's
        // copies go with the checkpoint.
        drain(&self.writer(), "PRAGMA incremental_vacuum").map_err(StoreError::sql(WHAT))?;
        self.checkpoint()?;
        self.0.outgoing.notify_one();
        Ok(erased)
    }

    fn erase_rows(&self, transaction: &Transaction<'_>, case: &str, by: &str) -> Result<(Erased, Files), StoreError> {
        let sql = StoreError::sql("erase a case");
        let texts = |statement: &str| -> Result<Vec<String>, StoreError> {
            let read = |mut statement: rusqlite::Statement<'_>| {
                statement.query_map([case], |row| row.get(0))?.collect::<rusqlite::Result<_>>()
            };
            transaction.prepare(statement).and_then(read).map_err(&sql)
        };
        let found = transaction.execute("UPDATE cases SET erasing = 1 WHERE id = ?1", [case]).map_err(&sql)?;
        if found == 0 {
            return Err(StoreError::NoSuchCase(case.into()));
        }
        // A picture that shows a cell of another case, too, still shows this one: it goes.
        let images =
            texts("DELETE FROM images WHERE id IN (SELECT image FROM cells WHERE case_id = ?1) RETURNING path")?;
        let run = |statement: &str| transaction.execute(statement, [case]).map_err(&sql);
        let waiting = run(OUTBOX_OF_CASE)?;
        self.fresh().stage_removal();
        run("DELETE FROM set_aside WHERE case_id = ?1")?;
        run("DELETE FROM reviews WHERE case_id = ?1")?;
        transaction.execute("DELETE FROM meta WHERE key = ?1", [Self::alarm_key(case)]).map_err(&sql)?;
        forget_documents(transaction, Some(case))?;
        let spooled = texts("DELETE FROM triggers WHERE case_id = ?1 RETURNING coalesce(file, '')")?;
        // The document of a slide with finds of this case shows them: it goes, and is made again of what stays.
        let slides = texts("SELECT DISTINCT slide FROM spreads WHERE case_id = ?1")?;
        run("DELETE FROM spreads WHERE case_id = ?1")?;
        for slide in &slides {
            transaction.execute("DELETE FROM meta WHERE key = ?1", [Self::slide_key(slide)]).map_err(&sql)?;
        }
        let cells = run("DELETE FROM cells WHERE case_id = ?1")?;
        run("DELETE FROM cases WHERE id = ?1")?;
        self.0.depth.fetch_sub(waiting as u64, std::sync::atomic::Ordering::Relaxed);
        let mut topics = texts("SELECT topic FROM latest WHERE case_id = ?1 AND payload IS NOT NULL")?;
        topics.extend(
            slides.iter().map(|slide| slide_topic(slide)).filter(|topic| !topics.contains(topic)).collect::<Vec<_>>(),
        );
        for topic in topics {
            put_latest(transaction, &Latest { topic, payload: None, case: None })?;
        }
        let hash = hex(Sha256::digest(case));
        transaction
            .execute(
                "INSERT INTO erasures (by, case_sha256, cells, images) VALUES (?1, ?2, ?3, ?4)",
                params![by, hash, cells as i64, images.len() as i64],
            )
            .map_err(&sql)?;
        let spooled = spooled.into_iter().filter(|file| !file.is_empty()).collect();
        Ok((Erased { cells: cells as u64, images: images.len() as u64 }, Files { images, spooled }))
    }
}

fn revision(transaction: &Transaction<'_>, cell: Uuid) -> Result<Option<u32>, StoreError> {
    transaction
        .query_row("SELECT revision FROM cells WHERE id = ?1", [cell.to_string()], |row| row.get(0))
        .optional()
        .map_err(StoreError::sql("read a cell"))
}

/// The documents of a case no longer rest on what the store has.
fn forget_documents(transaction: &Transaction<'_>, case: Option<&str>) -> Result<(), StoreError> {
    if let Some(case) = case {
        transaction
            .execute("DELETE FROM meta WHERE key = ?1", [Store::documents_key(case)])
            .map_err(StoreError::sql("note that a case has changed"))?;
    }
    Ok(())
}

fn insert_review(transaction: &Transaction<'_>, review: &ReviewRecord) -> Result<(), StoreError> {
    transaction
        .execute(
            "INSERT INTO reviews (time, by, cell, case_id, revision, change, old, new, model, curve, settings)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                review.time,
                review.by,
                review.cell.map(|cell| cell.to_string()),
                review.case,
                review.revision,
                review.change,
                review.old,
                review.new,
                review.model,
                review.curve,
                review.settings
            ],
        )
        .map_err(StoreError::sql("store a review"))?;
    Ok(())
}

fn case_record(row: &Row<'_>) -> rusqlite::Result<CaseRecord> {
    Ok(CaseRecord {
        id: row.get(0)?,
        opened: row.get(1)?,
        closed: row.get(2)?,
        subject: row.get(3)?,
        state: row.get(4)?,
        dose: row.get(5)?,
        cells: row.get::<_, i64>(6)? as u64,
    })
}

fn review_record(row: &Row<'_>) -> rusqlite::Result<ReviewRecord> {
    Ok(ReviewRecord {
        time: row.get(0)?,
        by: row.get(1)?,
        cell: row.get::<_, Option<String>>(2)?.and_then(|id| id.parse().ok()),
        case: row.get(3)?,
        revision: row.get(4)?,
        change: row.get(5)?,
        old: row.get(6)?,
        new: row.get(7)?,
        model: row.get(8)?,
        curve: row.get(9)?,
        settings: row.get(10)?,
    })
}

const CASE_COLUMNS: &str = "SELECT id, opened, closed, subject, state, dose,
    (SELECT count(*) FROM cells WHERE case_id = cases.id) FROM cases";
const REVIEW_COLUMNS: &str =
    "SELECT time, by, cell, case_id, revision, change, old, new, model, curve, settings FROM reviews";

impl StoreReader {
    /// All cases, the latest opened first.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn cases(&self) -> Result<Vec<CaseRecord>, StoreError> {
        self.rows("list the cases", &format!("{CASE_COLUMNS} ORDER BY opened DESC, id"), [], case_record)
    }

    /// One case.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn case(&self, id: &str) -> Result<Option<CaseRecord>, StoreError> {
        self.one("read a case", &format!("{CASE_COLUMNS} WHERE id = ?1"), [id], case_record)
    }

    /// Cases whose documents do not rest on all of their cells (see [`Store::documents_key`]).
    ///
    /// # Errors
    /// What SQLite said.
    pub fn cases_behind(&self) -> Result<Vec<String>, StoreError> {
        self.rows(
            "compare the cases with their cells",
            "SELECT case_id FROM cells WHERE case_id IS NOT NULL GROUP BY case_id
             HAVING CAST(sum(revision) AS TEXT) IS NOT (SELECT value FROM meta WHERE key = ?1 || case_id)",
            [DOCUMENTS],
            |row| row.get(0),
        )
    }

    /// The audit of a case with those of its cells, oldest first.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn reviews_of_case(&self, case: &str) -> Result<Vec<ReviewRecord>, StoreError> {
        let statement = format!("{REVIEW_COLUMNS} WHERE case_id = ?1 ORDER BY id");
        self.rows("read the reviews of a case", &statement, [case], review_record)
    }

    /// What a list shows of every case, the newest first, each as a JSON object: `case`, `opened`, `closed`, `stored_cells`, of
    /// `state` the karyotype and the counts, of `dose` the counts and the dose.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn case_lines(&self) -> Result<Vec<String>, StoreError> {
        self.rows(
            "list the cases",
            "SELECT json_object(
                 'case', id, 'opened', opened, 'closed', closed,
                 'stored_cells', (SELECT count(*) FROM cells WHERE case_id = cases.id),
                 'state', json(iif(state IS NULL, NULL, json_object(
                     'iscn', state ->> '$.iscn', 'cells', json(state -> '$.cells'), 'cells_needed', state ->> '$.cells_needed'))),
                 'dose', json(iif(dose IS NULL, NULL, json_object(
                     'cells', json(dose -> '$.cells'), 'dicentrics', dose ->> '$.dicentrics', 'progress', dose ->> '$.progress',
                     'alarm', dose ->> '$.alarm', 'mismatch', dose ->> '$.mismatch',
                     'flag_codes', json(dose -> '$.flag_codes'),
                     'estimate', json(iif(dose -> '$.estimate.dose_gy' IS NULL, NULL,
                         json_object('dose_gy', json(dose -> '$.estimate.dose_gy'))))))))
             FROM cases ORDER BY opened DESC, id",
            [],
            |row| row.get(0),
        )
    }

    /// The audit of a cell, oldest first.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn reviews_of_cell(&self, cell: Uuid) -> Result<Vec<ReviewRecord>, StoreError> {
        let statement = format!("{REVIEW_COLUMNS} WHERE cell = ?1 ORDER BY id");
        self.rows("read the reviews of a cell", &statement, [cell.to_string()], review_record)
    }

    /// A cell as it was at a revision that a review made or changed; none where the audit does not hold it.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn cell_at(&self, cell: Uuid, revision: u32) -> Result<Option<Cell>, StoreError> {
        let document: Option<Option<String>> = self.one(
            "read an earlier revision of a cell",
            "SELECT coalesce(
                 (SELECT new FROM reviews WHERE cell = ?1 AND revision = ?2 ORDER BY id DESC LIMIT 1),
                 (SELECT old FROM reviews WHERE cell = ?1 AND revision = ?2 + 1 ORDER BY id DESC LIMIT 1))",
            params![cell.to_string(), revision],
            |row| row.get(0),
        )?;
        let read = |text: String| {
            serde_json::from_str(&text).map_err(|source| StoreError::Document { what: format!("cell {cell}"), source })
        };
        document.flatten().map(read).transpose()
    }
}
