//! Cases: their documents as cells come in, and corrections of cells by a person.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::{
    case::{CaseSettings, CaseState},
    cell::{Cell, Review, Verdict},
    karyotype::{KaryotypeSettings, recount},
    mqtt::case_topic,
    station::{Answer, CommandError, ReviewAction},
    store::{FrameCommit, Latest, Message, ReviewRecord, Store, StoreError, StoreReader},
};

/// How this station counts cases.
#[derive(Debug, Clone)]
pub struct Cases {
    /// Station.
    pub station: String,
    /// How karyotyped cells are counted; none in the dicentric assay.
    pub counting: Option<CaseSettings>,
    /// How cells are interpreted, for corrections.
    pub karyotype: KaryotypeSettings,
}

impl Cases {
    /// Adds the new document of every case that cells of the batch belong to, and hands the documents back.
    ///
    /// # Errors
    /// When the cells of a case cannot be read; the batch is then as it was.
    pub fn add_documents(&self, store: &StoreReader, frames: &mut [FrameCommit]) -> Result<Vec<CaseState>, StoreError> {
        let Some(counting) = &self.counting else { return Ok(Vec::new()) };
        let fresh: Vec<&Cell> = frames.iter().flat_map(|f| &f.cells).map(|c| &c.cell).collect();
        let names: BTreeSet<&str> = fresh.iter().filter_map(|cell| cell.case.as_deref()).collect();
        let mut documents = Vec::with_capacity(names.len());
        for case in names {
            let mut cells = cells_of(store, case)?;
            for cell in fresh.iter().filter(|c| c.case.as_deref() == Some(case)) {
                cells.retain(|stored| stored.cell != cell.cell);
                cells.push((*cell).clone());
            }
            documents.push(CaseState::of(&self.station, case, &cells, counting));
        }
        if let Some(last) = frames.last_mut() {
            last.latest.extend(documents.iter().filter_map(latest));
        }
        Ok(documents)
    }

    /// Corrects a cell as a person says: the record gets a new revision, who and when; the case follows at once. Answers
    /// with the cell as it is now.
    pub fn review(
        &self,
        store: &Store,
        by: &str,
        id: Uuid,
        revision: Option<u32>,
        change: &ReviewAction,
        now: Timestamp,
    ) -> Result<(Cell, Option<CaseState>), CommandError> {
        if by.trim().is_empty() {
            return Err(CommandError::Refused("a review carries the name of the person in 'by'".into()));
        }
        let reader = store.reader();
        let unavailable = |error: StoreError| CommandError::Unavailable(error.to_string());
        let before = match reader.cell(id).map_err(unavailable)? {
            Some(row) => row.cell().map_err(unavailable)?,
            None => return Err(CommandError::NotFound(format!("there is no cell {id} in the store"))),
        };
        if let Some(seen) = revision.filter(|seen| *seen != before.revision) {
            return Err(CommandError::Refused(format!(
                "the cell is at revision {}, the review was made for {seen}: look at it again",
                before.revision
            )));
        }
        let mut cell = before.clone();
        let words = self.apply(&mut cell, change)?;
        cell.revision += 1;
        cell.review = Some(Review { by: by.into(), time: now.to_string(), change: words.clone() });

        let document = match (&self.counting, &cell.case) {
            (Some(counting), Some(case)) => {
                let mut cells = cells_of(&reader, case).map_err(unavailable)?;
                cells.iter_mut().filter(|c| c.cell == id).for_each(|c| *c = cell.clone());
                Some(CaseState::of(&self.station, case, &cells, counting))
            }
            _ => None,
        };
        let said =
            |cell: &Cell| serde_json::to_string(&json!({ "karyotype": cell.karyotype, "counts": cell.counts })).ok();
        let record = ReviewRecord {
            time: now.to_string(),
            by: by.into(),
            cell: Some(id),
            case: cell.case.clone(),
            revision: Some(cell.revision),
            change: words,
            old: said(&before),
            new: said(&cell),
            model: serde_json::to_string(&cell.models).ok(),
            ..ReviewRecord::default()
        };
        // A record holds nothing that JSON cannot say; without its message a review would go untold.
        let payload = serde_json::to_string(&cell).map_err(|e| CommandError::Refused(e.to_string()))?;
        let message =
            Message { topic: "cell".into(), payload, retain: false, droppable: false, case: cell.case.clone() };
        let follow = FrameCommit {
            cells: Vec::new(),
            messages: vec![message],
            latest: document.iter().filter_map(latest).collect(),
            mark: None,
        };
        store.review(&record, Some(&cell), &follow).map_err(|error| match error {
            StoreError::Conflict { .. } => CommandError::Refused(error.to_string()),
            error => CommandError::Unavailable(error.to_string()),
        })?;
        Ok((cell, document))
    }

    /// Changes the record; says in words what changed.
    fn apply(&self, cell: &mut Cell, change: &ReviewAction) -> Result<String, CommandError> {
        let missing = |index: u32| CommandError::NotFound(format!("the cell has no chromosome {index}"));
        match change {
            ReviewAction::Class { index, class } => {
                let chromosome =
                    cell.chromosomes.iter_mut().find(|c| c.index == *index).ok_or_else(|| missing(*index))?;
                let name = |class: Option<crate::cell::ChromosomeClass>| class.map_or("no chromosome", |c| c.name());
                let words = format!("chromosome {index}: {} instead of {}", name(*class), name(chromosome.class));
                chromosome.class = *class;
                chromosome.score = 1.0;
                chromosome.evidence = Some("as a person saw it".into());
                if cell.dicentric.is_none() {
                    recount(cell, &self.karyotype);
                }
                Ok(words)
            }
            ReviewAction::Damage { index, damage } => {
                let chromosome =
                    cell.chromosomes.iter_mut().find(|c| c.index == *index).ok_or_else(|| missing(*index))?;
                let words = format!("chromosome {index}: damage {damage:?} instead of {:?}", chromosome.damage);
                chromosome.damage = *damage;
                if cell.dicentric.is_none() {
                    recount(cell, &self.karyotype);
                }
                Ok(words.to_lowercase())
            }
            ReviewAction::Verdict { verdict } => {
                let before = cell.karyotype.verdict;
                if cell.karyotype.iscn.is_none() && *verdict != Verdict::NotAssessable {
                    // What the machine did not dare to write is written from the classes as they stand.
                    recount(cell, &self.karyotype);
                }
                cell.karyotype.verdict = *verdict;
                cell.karyotype.reason = "judged by a person".into();
                if *verdict == Verdict::NotAssessable {
                    cell.karyotype.iscn = None;
                }
                Ok(format!("verdict {verdict:?} instead of {before:?}").to_lowercase())
            }
            ReviewAction::Dicentric { record } => {
                let mut record = record.clone();
                record.scored_by = "review".into();
                cell.dicentric = Some(record);
                Ok("dicentric record scored by a person".into())
            }
            ReviewAction::Confirm => Ok("confirmed".into()),
        }
    }
}

/// The answer to a review command.
pub fn review_answer(cell: &Cell) -> Answer {
    Ok(json!({
        "cell": cell.cell,
        "revision": cell.revision,
        "iscn": cell.karyotype.iscn,
        "verdict": cell.karyotype.verdict,
    }))
}

fn cells_of(store: &StoreReader, case: &str) -> Result<Vec<Cell>, StoreError> {
    store.cells_of_case(case)?.iter().map(|row| row.cell()).collect()
}

fn latest(document: &CaseState) -> Option<Latest> {
    Some(Latest {
        topic: case_topic(&document.case),
        payload: Some(serde_json::to_string(document).ok()?),
        case: Some(document.case.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        karyotype::tests_support::cell_with,
        store::{CellCommit, StoreOptions},
    };

    fn cases() -> Cases {
        Cases {
            station: "lab-1".into(),
            counting: Some(CaseSettings::default()),
            karyotype: KaryotypeSettings::default(),
        }
    }

    fn commit(number: u128, numbers: &[(&str, usize)]) -> FrameCommit {
        let mut cell = cell_with(numbers);
        cell.cell = Uuid::from_u128(number);
        cell.revision = 1;
        cell.case = Some("C 1".into());
        for c in &mut cell.chromosomes {
            c.bounds.x = ((u128::from(c.index) * 7919 + number * number * 1543) % 991) as f32;
            c.bounds.width = 5.0 + ((u128::from(c.index) * 31 * number) % 37) as f32;
        }
        let cells = vec![CellCommit { cell, crops: Vec::new(), thumbnail: None, image: None }];
        FrameCommit { cells, messages: Vec::new(), latest: Vec::new(), mark: None }
    }

    #[test]
    fn a_case_grows_with_its_cells_and_follows_a_review() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), StoreOptions::default()).unwrap();
        let cases = cases();
        for number in 1..=3 {
            let mut frames = vec![commit(number, if number < 3 { &[("21", 3)] } else { &[] })];
            let documents = cases.add_documents(&store.reader(), &mut frames).unwrap();
            assert_eq!(documents[0].cells.assessable, number as u32);
            assert_eq!(frames[0].latest[0].topic, "case/C%201");
            store.commit(&frames).unwrap();
        }
        let id = Uuid::from_u128(1);
        let seen = store.reader().cell(id).unwrap().unwrap().cell().unwrap();
        let third = seen.chromosomes.iter().rfind(|c| c.class.is_some_and(|c| c.name() == "21")).unwrap().index;
        let change = ReviewAction::Class { index: third, class: None };
        let now = Timestamp::UNIX_EPOCH;
        let stale = cases.review(&store, "kb", id, Some(7), &change, now);
        assert!(matches!(stale, Err(CommandError::Refused(_))));
        assert!(matches!(cases.review(&store, " ", id, None, &change, now), Err(CommandError::Refused(_))));

        let (cell, document) = cases.review(&store, "kb", id, Some(1), &change, now).unwrap();
        assert_eq!((cell.revision, cell.karyotype.iscn.as_deref()), (2, Some("46,XX")));
        let document = document.unwrap();
        assert_eq!(document.iscn.as_deref(), Some("46,XX"));
        assert_eq!(document.chance_findings[0].iscn, "+21");
        let kept = store.reader().cell(id).unwrap().unwrap().cell().unwrap();
        assert_eq!(kept.review.as_ref().unwrap().by, "kb");
        let audit = store.reader().reviews_of_cell(id).unwrap();
        assert!(audit[0].old.as_ref().unwrap().contains("+21") && audit[0].change.contains("no chromosome"));
    }
}
