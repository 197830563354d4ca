//! One transaction over what a batch of frames gave.

use std::sync::atomic::Ordering;

use rusqlite::{Transaction, params};

use super::{
    Durability, OutboxRow, Store, StoreError, StoredImage,
    triggers::{Answered, SpreadRow, put_answer, put_spreads},
};
use domain::Cell;
use dosimetry::dicentric::{awaits_review, counted};

/// Topic of alarms.
pub(crate) const ALARM_TOPIC: &str = "alarm";
/// Alarms that a full outbox still takes: sources must not be able to hold one back.
const ALARM_RESERVE: u64 = 100;

pub(super) const DROP_OLDEST: &str =
    "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE droppable = 1 ORDER BY id LIMIT ?1)";

/// Everything that one frame gave; it is stored as a whole or not at all.
#[derive(Debug, Clone, Default)]
pub struct FrameCommit {
    /// Its cells: none, one or several.
    pub cells: Vec<CellCommit>,
    /// Messages for the outbox, in order.
    pub messages: Vec<Message>,
    /// New values of retained topics (`case/...`, `dose/...`).
    pub latest: Vec<Latest>,
    /// The mark of its file, for a frame that was read from one.
    pub mark: Option<FileMark>,
    /// Single values, each under its name (`meta`).
    pub values: Vec<(String, String)>,
    /// The answer to its trigger, for a frame that somebody waits for.
    pub answer: Option<Answered>,
    /// The metaphases that it shows, where slide and stage position are known.
    pub spreads: Vec<SpreadRow>,
}

/// A cell with its pictures.
#[derive(Debug, Clone)]
pub struct CellCommit {
    /// The record.
    pub cell: Cell,
    /// Pictures of its chromosomes.
    pub crops: Vec<Crop>,
    /// A small JPEG of the cell.
    pub thumbnail: Option<Vec<u8>>,
    /// The picture of its whole frame, already a file (see [`super::ImageFolder::keep`]).
    pub image: Option<StoredImage>,
}

/// The picture of one chromosome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crop {
    /// Index of the chromosome in the cell.
    pub chromosome: u32,
    /// PNG.
    pub png: Vec<u8>,
}

/// A message that must reach the broker at least once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Topic below the station's root: `cell`, `rejected`, `alarm`.
    pub topic: String,
    /// JSON.
    pub payload: String,
    /// Whether the broker keeps it for later subscribers; the store then keeps it as the topic's latest value, too.
    pub retain: bool,
    /// Whether it may go unsent when the outbox is full (freshest sources); otherwise the commit is refused then.
    pub droppable: bool,
    /// Case it speaks of.
    pub case: Option<String>,
}

/// The latest value of a retained topic; only the newest matters, so it does not go through the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest {
    /// Topic below the station's root, its last level percent-encoded: `case/...`, `dose/...`.
    pub topic: String,
    /// JSON; none clears the topic at the broker.
    pub payload: Option<String>,
    /// Case it speaks of.
    pub case: Option<String>,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileOutcome {
    /// It gave at least one cell.
    Cells,
    /// It was read and shows no metaphase worth keeping.
    Empty,
    /// It could not be read.
    Rejected,
}

/// A processed file; a changed one (size or time) is read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMark {
    /// Source that reads the folder.
    pub source: String,
    /// Path within the folder, with the page when the file holds several.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Modification time, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// What became of it.
    pub outcome: FileOutcome,
    /// Why it was rejected.
    pub reason: Option<String>,
}

/// What a commit did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// Cells now on disk.
    pub cells: u64,
    /// Frames of the batch, by their places in it, that were left out: the store has a reading of their file, or an
    /// answer to their trigger, already.
    pub read_before: Vec<usize>,
    /// Older messages that the full outbox let go for new ones.
    pub dropped: u64,
}

impl FileOutcome {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cells => "cells",
            Self::Empty => "empty",
            Self::Rejected => "rejected",
        }
    }

    pub(super) fn from_name(name: &str) -> Self {
        match name {
            "cells" => Self::Cells,
            "empty" => Self::Empty,
            _ => Self::Rejected,
        }
    }
}

impl Store {
    /// Writes a batch in one transaction; when it returns the batch is on the disk. The caller gathers the batch:
    /// at most 100 frames. A frame of a file that is marked already, with the same size and time, is left out.
    ///
    /// # Errors
    /// [`StoreError::OutboxFull`] when the messages do not fit and some may not be dropped: nothing was written,
    /// see [`Store::wait_for_outbox_space`]. Otherwise what SQLite said; nothing was written either.
    pub fn commit(&self, batch: &[FrameCommit]) -> Result<Committed, StoreError> {
        let mut spooled = Vec::new();
        let done = self.write("commit cells", Durability::Full, |transaction| {
            let mut done = Committed::default();
            for (number, frame) in batch.iter().enumerate() {
                if let Some(answer) = &frame.answer
                    && !put_answer(transaction, answer, &mut spooled)?
                {
                    done.read_before.push(number);
                    continue;
                }
                if let Some(mark) = &frame.mark
                    && !put_mark(transaction, mark)?
                {
                    done.read_before.push(number);
                    continue;
                }
                for cell in &frame.cells {
                    insert_cell(transaction, cell)?;
                    done.cells += 1;
                }
                put_spreads(transaction, &frame.spreads)?;
                put_follow(transaction, frame)?;
            }
            let taken = batch.iter().enumerate().filter(|(number, _)| !done.read_before.contains(number));
            done.dropped = self.put_messages(transaction, taken.flat_map(|(_, frame)| &frame.messages))?;
            Ok(done)
        })?;
        self.remove_spooled(&spooled);
        if batch.iter().any(|frame| !frame.messages.is_empty() || !frame.latest.is_empty()) {
            self.0.outgoing.notify_one();
        }
        Ok(done)
    }

    /// Appends messages to the outbox, freeing space as each message's `droppable` allows. Gives how many went unsent.
    pub(super) fn put_messages<'m>(
        &self,
        transaction: &Transaction<'_>,
        messages: impl Iterator<Item = &'m Message> + Clone,
    ) -> Result<u64, StoreError> {
        let sql = StoreError::sql("write to the outbox");
        let cap = self.0.options.outbox_cap;
        let mut depth = self.outbox_depth();
        let mut dropped = 0;
        let new = messages.clone().count() as u64;
        // A batch larger than the whole outbox still goes into an empty one: it could go in at no other time.
        let excess = (depth + new).saturating_sub(cap);
        if excess > 0 && depth > 0 {
            let freed = transaction
                .prepare_cached(DROP_OLDEST)
                .and_then(|mut statement| statement.execute([excess as i64]))
                .map_err(&sql)? as u64;
            depth -= freed;
            dropped += freed;
            self.fresh().stage_removal();
        }
        let mut insert = transaction
            .prepare_cached(
                "INSERT INTO outbox (topic, payload, retain, droppable, case_id) VALUES (?1, ?2, ?3, ?4, ?5)",
            )
            .map_err(&sql)?;
        for message in messages {
            let cap = cap.saturating_add(if message.topic == ALARM_TOPIC { ALARM_RESERVE } else { 0 });
            if depth >= cap && self.outbox_depth() > 0 {
                if message.droppable {
                    dropped += 1;
                    continue;
                }
                return Err(StoreError::OutboxFull { depth: self.outbox_depth(), cap });
            }
            insert
                .execute(params![message.topic, message.payload, message.retain, message.droppable, message.case])
                .map_err(&sql)?;
            self.fresh().stage(OutboxRow {
                id: transaction.last_insert_rowid(),
                topic: message.topic.clone(),
                payload: message.payload.clone(),
                retain: message.retain,
            });
            depth += 1;
            if message.retain {
                let latest = Latest {
                    topic: message.topic.clone(),
                    payload: Some(message.payload.clone()),
                    case: message.case.clone(),
                };
                put_latest(transaction, &latest)?;
            }
        }
        self.0.depth.store(depth, Ordering::Relaxed);
        Ok(dropped)
    }
}

fn insert_cell(transaction: &Transaction<'_>, commit: &CellCommit) -> Result<(), StoreError> {
    let sql = StoreError::sql("store a cell");
    if let Some(case) = &commit.cell.case {
        transaction
            .prepare_cached("INSERT INTO cases (id) VALUES (?1) ON CONFLICT DO NOTHING")
            .and_then(|mut statement| statement.execute([case]))
            .map_err(&sql)?;
    }
    let image = match &commit.image {
        None => None,
        Some(image) => Some(
            transaction
                .prepare_cached(
                    "INSERT INTO images (path, bytes) VALUES (?1, ?2)
                     ON CONFLICT (path) DO UPDATE SET bytes = excluded.bytes RETURNING id",
                )
                .and_then(|mut statement| {
                    statement.query_row(params![image.path, image.bytes as i64], |row| row.get::<_, i64>(0))
                })
                .map_err(&sql)?,
        ),
    };
    let seq = put_cell(transaction, &commit.cell, image)?;
    if commit.cell.revision > 1 {
        // Its file was read again: the pictures are those of the new reading.
        for statement in ["DELETE FROM crops WHERE cell = ?1", "DELETE FROM thumbnails WHERE cell = ?1"] {
            transaction.prepare_cached(statement).and_then(|mut s| s.execute([seq])).map_err(&sql)?;
        }
    }
    put_crops(transaction, seq, &commit.crops)?;
    if let Some(jpeg) = &commit.thumbnail {
        transaction
            .prepare_cached("INSERT INTO thumbnails (cell, jpeg) VALUES (?1, ?2)")
            .and_then(|mut statement| statement.execute(params![seq, jpeg]))
            .map_err(&sql)?;
    }
    Ok(())
}

/// Writes pictures of chromosomes of the cell at `seq`, in the place of those that are there.
pub(super) fn put_crops(transaction: &Transaction<'_>, seq: i64, crops: &[Crop]) -> Result<(), StoreError> {
    for crop in crops {
        transaction
            .prepare_cached("INSERT OR REPLACE INTO crops (cell, chromosome, png) VALUES (?1, ?2, ?3)")
            .and_then(|mut statement| statement.execute(params![seq, crop.chromosome, crop.png]))
            .map_err(StoreError::sql("store a cell"))?;
    }
    Ok(())
}

/// Writes the row of a cell; a later revision replaces the columns of the earlier one and keeps its pictures.
/// Gives the cell's place in the order; a revision that is not newer is a conflict.
pub(super) fn put_cell(transaction: &Transaction<'_>, cell: &Cell, image: Option<i64>) -> Result<i64, StoreError> {
    let document = serde_json::to_string(cell)
        .map_err(|source| StoreError::Document { what: format!("cell {}", cell.cell), source })?;
    let dicentric = cell.dicentric.as_ref();
    transaction
        .prepare_cached(
            "INSERT INTO cells (id, revision, time, station, source, frame, file, case_id, slide, verdict, iscn,
                 detected, abnormal, damaged, centromeres, dicentrics, complete, image, document, counted, to_review)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)
             ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, time = excluded.time,
                 frame = excluded.frame, file = excluded.file, image = coalesce(excluded.image, cells.image), case_id = excluded.case_id,
                 slide = excluded.slide, verdict = excluded.verdict, iscn = excluded.iscn,
                 detected = excluded.detected, abnormal = excluded.abnormal, damaged = excluded.damaged,
                 centromeres = excluded.centromeres, dicentrics = excluded.dicentrics, complete = excluded.complete,
                 document = excluded.document, counted = excluded.counted, to_review = excluded.to_review
             WHERE excluded.revision > cells.revision
             RETURNING seq",
        )
        .and_then(|mut statement| {
            let columns = params![
                cell.cell.to_string(),
                cell.revision,
                cell.captured.time,
                cell.station,
                cell.source,
                cell.captured.frame as i64,
                cell.captured.file,
                cell.case,
                cell.slide,
                cell.karyotype.verdict.name(),
                cell.karyotype.iscn,
                cell.counts.detected,
                cell.counts.abnormal,
                cell.counts.damaged,
                dicentric.map(|d| d.centromeres),
                // None where nobody has scored it: no answer may say that it holds no dicentric.
                dicentric.and_then(|d| d.dicentric_equivalents()),
                dicentric.map(|d| d.complete),
                image,
                document,
                dicentric.map(|d| cell.excluded.is_none() && counted(d).is_ok()),
                dicentric.map(|d| cell.excluded.is_none() && awaits_review(d)),
            ];
            statement.query_row(columns, |row| row.get(0))
        })
        .map_err(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => StoreError::Stale { cell: cell.cell, revision: cell.revision },
            other => StoreError::sql("store a cell")(other),
        })
}

/// Marks a file as done. False when it is marked already, as it stands now: one file has one reading.
fn put_mark(transaction: &Transaction<'_>, mark: &FileMark) -> Result<bool, StoreError> {
    let marked = transaction
        .prepare_cached(
            "INSERT INTO file_marks (source, path, bytes, mtime_ns, outcome, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET bytes = excluded.bytes, mtime_ns = excluded.mtime_ns,
                 outcome = excluded.outcome, reason = excluded.reason,
                 marked = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
             WHERE bytes IS NOT excluded.bytes OR mtime_ns IS NOT excluded.mtime_ns",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                mark.source,
                mark.path,
                mark.bytes as i64,
                mark.mtime_ns,
                mark.outcome.name(),
                mark.reason
            ])
        })
        .map_err(StoreError::sql("mark a file as done"))?;
    Ok(marked > 0)
}

/// Writes the latest values of topics and the single values of `frame`.
pub(super) fn put_follow(transaction: &Transaction<'_>, frame: &FrameCommit) -> Result<(), StoreError> {
    for latest in &frame.latest {
        put_latest(transaction, latest)?;
    }
    frame.values.iter().try_for_each(|(key, value)| put_value(transaction, key, value))
}

/// Sets the single value `key`.
pub(super) fn put_value(transaction: &Transaction<'_>, key: &str, value: &str) -> Result<(), StoreError> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")
        .and_then(|mut statement| statement.execute([key, value]))
        .map_err(StoreError::sql("keep a value"))?;
    Ok(())
}

/// Sets the latest value of a retained topic; documents of a case also stand in its row.
pub(super) fn put_latest(transaction: &Transaction<'_>, latest: &Latest) -> Result<(), StoreError> {
    let sql = StoreError::sql("keep the latest value of a topic");
    transaction
        .prepare_cached(
            "INSERT INTO latest (topic, payload, case_id, change)
             VALUES (?1, ?2, ?3, (SELECT coalesce(max(change), 0) + 1 FROM latest))
             ON CONFLICT (topic) DO UPDATE
             SET payload = excluded.payload, case_id = excluded.case_id, change = excluded.change",
        )
        .and_then(|mut statement| statement.execute(params![latest.topic, latest.payload, latest.case]))
        .map_err(&sql)?;
    let statement = match latest.topic.split('/').next() {
        Some("case") => {
            "INSERT INTO cases (id, state) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET state = excluded.state"
        }
        Some("dose") => "INSERT INTO cases (id, dose) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET dose = excluded.dose",
        _ => return Ok(()),
    };
    if let (Some(case), Some(payload)) = (&latest.case, &latest.payload) {
        transaction
            .prepare_cached(statement)
            .and_then(|mut statement| statement.execute(params![case, payload]))
            .map_err(&sql)?;
    }
    Ok(())
}
