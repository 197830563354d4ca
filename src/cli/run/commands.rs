//! Commands, from the page or the broker, carried out.

use jiff::Timestamp;
use uuid::Uuid;

use super::daemon::Daemon;
use crate::{
    cell::Cell,
    config::Assay,
    pipeline::{review, supervisor},
    station::{Answer, Command, CommandError, ReviewAction},
    store::{FrameCommit, Message, ReviewRecord, StoreError},
    web::EventKind,
};

impl Daemon {
    /// Carries out a command.
    pub(super) fn carry_out(&self, command: &Command) -> Answer {
        match command {
            Command::Review { by, cell, revision, change } => self.review(by, *cell, *revision, change),
            Command::Acknowledge { by, case } => {
                let time = Timestamp::now().to_string();
                let follow = self.cases.acknowledge(case.as_deref(), by, &time)?;
                self.commit(follow)?;
                self.tell_cases();
                Ok(serde_json::json!({ "by": by }))
            }
            other => {
                let answer = supervisor::control(other, self.pipeline.sources())
                    .unwrap_or_else(|| Err(CommandError::Refused("this version does not take this command".into())));
                if let (Command::Case { case, slide }, Ok(_)) = (other, &answer) {
                    self.health.set_case(case.clone(), slide.clone());
                }
                answer
            }
        }
    }

    fn commit(&self, frame: FrameCommit) -> Result<(), CommandError> {
        match self.store.commit(std::slice::from_ref(&frame)) {
            Ok(_) => Ok(()),
            Err(error) => Err(CommandError::Unavailable(error.to_string())),
        }
    }

    fn review(&self, by: &str, id: Uuid, revision: Option<u32>, change: &ReviewAction) -> Answer {
        let unavailable = |error: StoreError| CommandError::Unavailable(error.to_string());
        let row = self.store.reader().cell(id).map_err(unavailable)?;
        let old = row
            .ok_or_else(|| CommandError::NotFound(format!("no cell {id} in the store")))?
            .cell()
            .map_err(unavailable)?;
        if revision.is_some_and(|seen| seen != old.revision) {
            return Err(CommandError::Refused(format!(
                "cell {id} is at revision {} by now: look at it again before you correct it",
                old.revision
            )));
        }
        let time = Timestamp::now().to_string();
        let new = review::reviewed(&old, by, change, &self.karyotype, &time)?;
        let json = |cell: &Cell| serde_json::to_string(cell).ok();
        let record = ReviewRecord {
            time,
            by: by.trim().to_owned(),
            cell: Some(id),
            case: new.case.clone(),
            revision: Some(new.revision),
            change: new.review.as_ref().map(|r| r.change.clone()).unwrap_or_default(),
            old: json(&old),
            new: json(&new),
            model: (!old.models.is_empty()).then(|| old.models.values().cloned().collect::<Vec<_>>().join(", ")),
            curve: (self.config.assay == Assay::Dicentric).then(|| self.config.dose.curve.clone()),
            settings: None,
        };
        // A record holds nothing that JSON cannot say.
        let messages = Message::cell(&new, None, false).into_iter().collect();
        let follow = FrameCommit { messages, ..FrameCommit::default() };
        self.store.review(&record, Some(&new), &follow).map_err(|error| match error {
            StoreError::Conflict { .. } => CommandError::Refused(error.to_string()),
            other => CommandError::Unavailable(other.to_string()),
        })?;
        self.cases.put(&new);
        self.hub.tell(EventKind::Cell, &new);
        self.tell_cases();
        Ok(serde_json::json!({ "cell": id, "revision": new.revision }))
    }
}
