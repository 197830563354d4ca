//! What people do to cells and cases: corrections, answers to alarms, subject data, erasure. The consequences are
//! stored and published.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use uuid::Uuid;

use super::{CaseBook, CaseChange, ClassScorer, ReviewContext, Reviewed, reviewed};
use crate::{
    case::corrections_between,
    interpretation::{kept, pictures},
    station::{Answer, CommandError, RecordCommand, ReviewAction},
    store::{Crop, FrameCommit, Message, ReviewRecord, Store, StoreError},
    web::{EventKind, LiveHub},
};
use domain::{Assay, Cell, frame::Pixels};
use dosimetry::Subject;
use karyotype::FittedSettings;

/// Carries out what concerns cells and cases, for the daemon and for commands that have the store to themselves. One
/// thread uses it at a time; clones share the store and the cases.
#[derive(Clone)]
pub struct RecordService {
    /// The store.
    pub store: Store,
    /// The open cases.
    pub cases: CaseBook,
    /// How a corrected karyotype is interpreted again.
    pub karyotype: FittedSettings,
    /// The classifier for chromosomes that a person redraws; none where no network is there.
    pub scorer: Option<Arc<Mutex<ClassScorer>>>,
    /// The live view.
    pub hub: LiveHub,
}

fn unavailable(error: StoreError) -> CommandError {
    match error {
        StoreError::NoSuchCase(_) | StoreError::NoSuchCell(_) => CommandError::NotFound(error.to_string()),
        StoreError::Conflict { .. } => CommandError::Refused(error.to_string()),
        other => CommandError::Unavailable(other.to_string()),
    }
}

impl RecordService {
    /// Carries out a command. `time` is RFC 3339.
    ///
    /// # Errors
    /// When it names a cell or case that does not exist, or cannot be done.
    pub fn execute(&self, command: &RecordCommand, time: &str) -> Answer {
        command.check()?;
        match command {
            RecordCommand::Review { by, cell, revision, change } => self.review(by, *cell, *revision, change, time),
            RecordCommand::Acknowledge { by, case } => self.acknowledge(by, case.as_deref(), time),
            RecordCommand::Subject { by, case, subject } => self.subject(by, case, *subject, time),
            RecordCommand::Close { by, case } => self.set_closed(by, case, Some(time), time),
            RecordCommand::Reopen { by, case } => self.set_closed(by, case, None, time),
            RecordCommand::Erase { by, case } => self.erase(by, case, time),
        }
    }

    fn review(&self, by: &str, id: Uuid, revision: Option<u32>, change: &ReviewAction, time: &str) -> Answer {
        let row = self.store.reader().cell(id).map_err(unavailable)?;
        let old = row.ok_or_else(|| unavailable(StoreError::NoSuchCell(id)))?.cell().map_err(unavailable)?;
        if revision.is_some_and(|seen| seen != old.revision) {
            return Err(CommandError::Refused(format!(
                "cell {id} is at revision {} by now: read it again before you correct it",
                old.revision
            )));
        }
        let picture = || self.picture(&old);
        let earlier = |revision| self.store.reader().cell_at(id, revision).ok().flatten();
        let scores = |cell: &Cell, pixels: &Pixels, indices: &[u32]| {
            self.scorer.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).score(cell, pixels, indices)
        };
        let context = ReviewContext {
            by,
            time,
            settings: &self.karyotype,
            picture: &picture,
            scores: &scores,
            earlier: &earlier,
        };
        let Reviewed { cell: new, words, recut } = reviewed(&old, change, &context)?;
        let crops = if recut.is_empty() { Vec::new() } else { self.cut_again(&old, &new, &recut) };
        let json = |cell: &Cell| serde_json::to_string(cell).ok();
        let record = ReviewRecord {
            cell: Some(id),
            revision: Some(new.revision),
            change: words,
            old: json(&old),
            new: json(&new),
            model: (!old.models.is_empty()).then(|| old.models.values().cloned().collect::<Vec<_>>().join(", ")),
            ..self.line(by.trim(), new.case.clone(), time)
        };
        // A record holds nothing that JSON cannot express.
        let messages = Message::cell(&new, None, false).into_iter().collect();
        let follow = FrameCommit { messages, ..FrameCommit::default() };
        self.store.review_redrawn(&record, &new, &crops, &follow).map_err(unavailable)?;
        if new.dicentric.is_none() {
            let is_first = old.review.is_none() && new.review.is_some();
            self.hub.count_review(is_first, corrections_between(&old, &new) as u64);
        }
        self.cases.put(&new);
        self.hub.publish(EventKind::Cell, &new);
        self.publish_cases(time);
        Ok(json!({ "cell": id, "revision": new.revision }))
    }

    /// The picture of a cell's frame; where it was not kept, its chromosomes at their places.
    fn picture(&self, cell: &Cell) -> Option<Pixels> {
        let reader = self.store.reader();
        let kept = reader.image(cell.cell).ok().flatten().and_then(|file| kept::as_png(&file).ok());
        let png = kept.or_else(|| {
            let crops = reader.crops(cell.cell).ok().filter(|crops| !crops.is_empty())?;
            kept::compose(cell, &crops).ok()
        })?;
        let pixels = kept::as_pixels(&png).ok()?;
        // The places of the record are those of this picture, or it is another one.
        let size = [pixels.width() as u32, pixels.height() as u32];
        (size == cell.captured.size).then_some(pixels)
    }

    /// The pictures of chromosomes that were redrawn. `old`: the record that the kept pictures go with.
    fn cut_again(&self, old: &Cell, new: &Cell, recut: &[u32]) -> Vec<Crop> {
        let Some(pixels) = self.picture(old) else { return Vec::new() };
        let redrawn = new.chromosomes.iter().filter(|c| recut.contains(&c.index));
        redrawn.filter_map(|c| Some(Crop { chromosome: c.index, png: pictures::crop_png(&pixels, c)? })).collect()
    }

    fn acknowledge(&self, by: &str, case: Option<&str>, time: &str) -> Answer {
        let answer = self.cases.acknowledge(case, by, time)?;
        let case = answer.case.clone();
        let record =
            ReviewRecord { change: "alarm acknowledged".into(), ..self.line(by.trim(), Some(case.clone()), time) };
        self.store.review(&record, None, &answer.follow).map_err(unavailable)?;
        self.show(&answer.follow);
        self.cases.settle_acknowledged(answer);
        self.publish_cases(time);
        Ok(json!({ "by": record.by, "case": case }))
    }

    fn subject(&self, by: &str, case: &str, subject: Option<Subject>, time: &str) -> Answer {
        let by = by.trim();
        let found = self.store.reader().case(case).map_err(unavailable)?;
        let old = found.ok_or_else(|| unavailable(StoreError::NoSuchCase(case.into())))?.subject;
        let subject = subject.filter(|subject| !subject.is_empty());
        let fading = self.cases.settings().dose.settings.fading;
        subject.unwrap_or_default().check(fading).map_err(|error| CommandError::Refused(error.to_string()))?;
        let new = subject.and_then(|subject| serde_json::to_string(&subject).ok());
        self.store.set_subject(case, new.as_deref()).map_err(unavailable)?;
        let change = if new.is_some() { "subject data set" } else { "subject data removed" };
        let record = ReviewRecord { change: change.into(), old, new, ..self.line(by, Some(case.into()), time) };
        self.store.review(&record, None, &FrameCommit::default()).map_err(unavailable)?;
        self.cases.set_subject(case, subject.unwrap_or_default());
        self.publish_cases(time);
        Ok(json!({ "case": case }))
    }

    /// Closes a case as of `closed`, or reopens it with none.
    fn set_closed(&self, by: &str, case: &str, closed: Option<&str>, time: &str) -> Answer {
        let by = by.trim();
        let action = if closed.is_some() { "closed" } else { "reopened" };
        let line = ReviewRecord { change: format!("case {action}"), ..self.line(by, Some(case.into()), time) };
        self.store.close_case(case, closed, &line).map_err(unavailable)?;
        Ok(json!({ "case": case, "closed": closed }))
    }

    /// Refuses a closed case as the place of further cells.
    ///
    /// # Errors
    /// [`CommandError::Refused`] when the case is closed.
    pub fn check_open(&self, case: &str) -> Result<(), CommandError> {
        let record = self.store.reader().case(case).map_err(unavailable)?;
        match record.and_then(|record| record.closed) {
            None => Ok(()),
            Some(closed) => Err(CommandError::Refused(format!(
                "case '{case}' was closed on {closed}: reopen it first (`metaphased case reopen`, or \"Reopen\" on the page)"
            ))),
        }
    }

    /// Reopens a case that the configuration names for a source, so that no cell is lost; the audit says so.
    ///
    /// # Errors
    /// What the store said.
    pub fn reopen_configured(&self, case: &str, time: &str) -> Result<(), CommandError> {
        let record = self.store.reader().case(case).map_err(unavailable)?;
        if record.is_some_and(|record| record.closed.is_some()) {
            tracing::warn!(case, "the case was closed and the configuration names it: it is reopened");
            self.set_closed("configuration", case, None, time)?;
        }
        Ok(())
    }

    fn erase(&self, by: &str, case: &str, time: &str) -> Answer {
        let by = by.trim();
        let erased = self.store.erase_case(case, by).map_err(unavailable)?;
        self.cases.forget(case);
        // What cannot be read now is caught up with at the next start; the documents are withdrawn already.
        if let Err(error) = self.cases.slides().forget() {
            tracing::warn!(%error, "the documents of slides that an erased case was on are made again at the next start");
        }
        self.publish_slides(time);
        Ok(json!({ "case": case, "cells": erased.cells, "images": erased.images }))
    }

    /// A line of the audit with what the result rests on.
    fn line(&self, by: &str, case: Option<String>, time: &str) -> ReviewRecord {
        let settings = self.cases.settings();
        let dose = settings.assay == Assay::Dicentric;
        ReviewRecord {
            time: time.into(),
            by: by.into(),
            case,
            curve: dose.then(|| settings.dose.curve.id().to_owned()),
            settings: dose.then(|| self.cases.provenance().to_string()),
            ..ReviewRecord::default()
        }
    }

    /// Stores and publishes the cases that a crash left behind their cells; called at the start.
    ///
    /// # Errors
    /// What the store said.
    pub fn catch_up(&self, time: &str) -> Result<(), StoreError> {
        self.cases.catch_up()?;
        self.cases.slides().catch_up()?;
        self.publish_cases(time);
        Ok(())
    }

    /// Stores and publishes the cases that changed. What the store does not take stays as it was and is tried again with
    /// the next call.
    pub fn publish_cases(&self, time: &str) {
        self.store_changes(self.cases.changes(time));
        self.publish_slides(time);
    }

    /// The same without cases that are large and were published a moment ago: to be called every second.
    pub fn publish_due(&self, time: &str) {
        self.store_changes(self.cases.due_changes(time));
        self.publish_slides(time);
    }

    fn publish_slides(&self, time: &str) {
        if let Err(error) = self.cases.slides().publish(time) {
            report_unkept(&error);
        }
    }

    fn store_changes(&self, changes: Vec<CaseChange>) {
        if changes.is_empty() {
            return;
        }
        let all: Vec<FrameCommit> = changes.iter().map(|change| change.commit.clone()).collect();
        match self.store.commit(&all) {
            Ok(_) => changes.into_iter().for_each(|change| self.settle(change)),
            // One case must not hold up the others.
            Err(_) if changes.len() > 1 => changes.into_iter().for_each(|change| self.publish_case(change)),
            Err(error) => report_unkept(&error),
        }
    }

    fn publish_case(&self, change: CaseChange) {
        match self.store.commit(std::slice::from_ref(&change.commit)) {
            Ok(_) => self.settle(change),
            Err(error) => report_unkept(&error),
        }
    }

    fn settle(&self, change: CaseChange) {
        self.show(&change.commit);
        self.cases.settle(change);
    }

    /// Shows on the page what the store has.
    fn show(&self, stored: &FrameCommit) {
        for latest in &stored.latest {
            let kind = if latest.topic.starts_with("dose/") { EventKind::Dose } else { EventKind::Case };
            self.publish(kind, latest.payload.as_deref());
        }
        for message in &stored.messages {
            self.publish(EventKind::Alarm, Some(&message.payload));
        }
    }

    fn publish(&self, kind: EventKind, payload: Option<&str>) {
        if let Some(value) = payload.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok()) {
            self.hub.publish(kind, &value);
        }
    }
}

fn report_unkept(error: &StoreError) {
    tracing::warn!(%error, "the state of a case could not be kept: it is tried again");
}
