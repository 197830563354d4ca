//! The cases that are open: cells go in, their latest `case` and `dose` documents and their alarms come out.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use uuid::Uuid;

use crate::{
    case::{Alarm, AlarmMessage, AlarmSettings, CaseSettings, CaseState, DoseSettings, DoseTally},
    config::Config,
    curve_files,
    mqtt::{case_topic, dose_topic},
    station::CommandError,
    store::{ALARM_TOPIC, FrameCommit, Latest, Message, Store, StoreError},
};
use domain::{Assay, Cell, DicentricRecord, ErrorKind, HasKind};
use dosimetry::Subject;
use dosimetry::{self, DosimetryError, Gray, Method, Protraction, Settings};

/// Hours in which half of the sublethal damage is repaired (IAEA 2011 uses 2 h for dicentrics).
const REPAIR_HOURS: f64 = 2.0;

/// How cells become cases.
#[derive(Debug, Clone)]
pub struct CaseBookSettings {
    /// Station.
    pub station: String,
    /// Assay.
    pub assay: Assay,
    /// Karyotype cases.
    pub case: CaseSettings,
    /// Dose cases.
    pub dose: DoseSettings,
    /// Alarm, where one is configured.
    pub alarm: Option<AlarmSettings>,
    /// Sums of centromeres that count as complete.
    pub accepted_centromeres: [u32; 2],
}

/// A curve, method or level that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaseBookError {
    /// The curve.
    #[error("dose.curve = \"{name}\": {reason}; see `metaphased dose curves`")]
    Curve {
        /// As configured.
        name: String,
        /// Why not.
        reason: String,
    },
    /// Another setting.
    #[error("dose.{key}: {reason}")]
    Setting {
        /// Which key.
        key: &'static str,
        /// Why not.
        reason: String,
    },
}

impl HasKind for CaseBookError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Config
    }
}

impl CaseBookSettings {
    /// As configured.
    ///
    /// # Errors
    /// When the curve, the method or a level cannot be used.
    pub fn from_config(config: &Config) -> Result<Self, CaseBookError> {
        let dose = &config.dose;
        let wrong = |key| move |error: DosimetryError| CaseBookError::Setting { key, reason: error.to_string() };
        let curve = match std::fs::read_to_string(&dose.curve) {
            Ok(text) => curve_files::read_curve(&text, &dose.curve),
            Err(_) => dosimetry::built_in(&dose.curve),
        }
        .map_err(|error| CaseBookError::Curve { name: dose.curve.clone(), reason: error.to_string() })?;
        let method = match dose.method.as_deref() {
            None | Some("likelihood") => Method::Likelihood,
            Some("merkle") => Method::Merkle,
            Some("delta") => Method::Delta,
            Some(other) => {
                let reason = format!("\"{other}\" is not known: expected \"likelihood\", \"merkle\" or \"delta\"");
                return Err(CaseBookError::Setting { key: "method", reason });
            }
        };
        let protraction = if dose.irradiation_hours > 0.0 {
            Protraction::lea_catcheside(dose.irradiation_hours, REPAIR_HOURS).map_err(wrong("irradiation_hours"))?
        } else {
            Settings::default().protraction
        };
        let settings = Settings { method, protraction, ..Settings::default() };
        let alarm = match dose.alarm_gy {
            None => None,
            Some(level) => Some(AlarmSettings {
                level: Gray::new(level).map_err(wrong("alarm_gy"))?,
                hysteresis: Gray::new(dose.alarm_hysteresis_gy).map_err(wrong("alarm_hysteresis_gy"))?,
                needs_review: dose.alarm_needs_review,
            }),
        };
        let mut of_dose = DoseSettings::new(curve, settings);
        of_dose.publish_subject = dose.publish_subject;
        of_dose.alarm_gy = dose.alarm_gy;
        Ok(Self {
            station: config.station.clone(),
            assay: config.assay,
            case: CaseSettings { cells: config.karyotype.cells_per_case, sample: config.karyotype.sample },
            dose: of_dose,
            alarm,
            accepted_centromeres: config.dicentric.accepted_centromeres,
        })
    }

    /// What a dose rests on beside its cells, for the audit: the curve with its figures, method, levels, circumstances.
    pub fn provenance(&self) -> serde_json::Value {
        let DoseSettings { curve, settings, half_width, triage_cells, full, .. } = &self.dose;
        serde_json::json!({
            "curve": dosimetry::CurveUsed::from(curve),
            "method": settings.method,
            "level": settings.level.unwrap_or(settings.method.usual_level()).value(),
            "protraction": settings.protraction.value(),
            "d0_gy": settings.survival.d0().value(),
            "accepted_centromeres": self.accepted_centromeres,
            "half_width_gy": half_width.value(),
            "triage_cells": triage_cells,
            "full": full,
            "alarm_gy": self.alarm.map(|alarm| alarm.level.value()),
            "alarm_hysteresis_gy": self.alarm.map(|alarm| alarm.hysteresis.value()),
            "alarm_needs_review": self.alarm.map(|alarm| alarm.needs_review),
        })
    }
}

#[derive(Debug, Default)]
struct Entry {
    /// Karyotyped cells in the order of capture.
    cells: Vec<Cell>,
    /// Index of each in `cells`.
    places: HashMap<Uuid, usize>,
    /// Revision of each cell of the case, of whatever assay.
    revisions: HashMap<Uuid, u32>,
    tally: DoseTally,
    records: HashMap<Uuid, DicentricRecord>,
    excluded: HashSet<Uuid>,
    subject: Subject,
    alarm: Alarm,
    lower_limit: Option<f64>,
    /// Counts the changes of any of these.
    changed: u64,
    /// `changed` as of the documents that are in the store.
    published: u64,
}

impl Entry {
    fn put(&mut self, cell: &Cell, assay: Assay) {
        self.changed += 1;
        let known = self.revisions.entry(cell.cell).or_default();
        if *known >= cell.revision {
            // The store has it in a later revision, which is here already.
            return;
        }
        *known = cell.revision;
        if assay == Assay::Dicentric {
            if cell.excluded.is_some() {
                self.excluded.insert(cell.cell);
            } else {
                self.excluded.remove(&cell.cell);
            }
            self.tally.set_excluded(self.excluded.len() as u64);
            if let Some(before) = self.records.remove(&cell.cell) {
                self.tally.remove(&before);
            }
            if let Some(record) = cell.dicentric.as_ref().filter(|_| cell.excluded.is_none()) {
                self.tally.add(record);
                self.records.insert(cell.cell, record.clone());
            }
            return;
        }
        match self.places.get(&cell.cell) {
            Some(place) => self.cells[*place] = cell.clone(),
            None => {
                self.places.insert(cell.cell, self.cells.len());
                self.cells.push(cell.clone());
            }
        }
    }
}

/// What became of a case: to be stored in one piece, and then settled.
#[derive(Debug)]
pub struct CaseChange {
    case: String,
    /// `Entry::changed` that it rests on.
    of: u64,
    alarm: Alarm,
    lower_limit: Option<f64>,
    /// Its documents, the message of its alarm and the alarm's state.
    pub commit: FrameCommit,
}

/// An answered alarm: to be stored in one piece, and then settled.
#[derive(Debug)]
pub struct Acknowledged {
    /// Its case.
    pub case: String,
    alarm: Alarm,
    /// The message and the alarm's state.
    pub follow: FrameCommit,
}

impl Entry {
    /// Whether there is a cell that `assay` can say something of.
    fn speaks_of(&self, assay: Assay) -> bool {
        match assay {
            Assay::Karyotype => self.cells.iter().any(|cell| cell.dicentric.is_none()),
            Assay::Dicentric => !self.records.is_empty(),
        }
    }
}

/// The open cases. Cloning shares them.
#[derive(Debug, Clone)]
pub struct CaseBook {
    settings: Arc<CaseBookSettings>,
    store: Store,
    entries: Arc<Mutex<BTreeMap<String, Entry>>>,
}

impl CaseBook {
    /// A book over the store; a case is read from it when its first cell comes.
    pub fn new(settings: CaseBookSettings, store: Store) -> Self {
        Self { settings: Arc::new(settings), store, entries: Arc::default() }
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, case: &str) -> Result<Entry, StoreError> {
        let reader = self.store.reader();
        let mut entry = Entry::default();
        for row in reader.cells_of_case(case)? {
            entry.put(&row.cell()?, self.settings.assay);
        }
        // That it was read is no change.
        entry.changed = 0;
        if let Some(text) = reader.case(case)?.and_then(|record| record.subject) {
            // Written by `set_subject` from the same struct; what another version wrote must not stop the dose.
            entry.subject = serde_json::from_str(&text).unwrap_or_else(|error| {
                tracing::warn!(case, %error, "the subject data cannot be read: the dose goes without");
                Subject::default()
            });
        }
        if let Some(text) = reader.meta(&Store::alarm_key(case))? {
            // An alarm that cannot be read starts afresh: it would be raised again, never lost.
            entry.alarm = serde_json::from_str(&text).unwrap_or_default();
        }
        Ok(entry)
    }

    /// How cells become cases.
    pub fn settings(&self) -> &CaseBookSettings {
        &self.settings
    }

    /// The open case; read from the store when it was not open. One that cannot be read is logged and begins empty.
    fn open<'e>(&self, entries: &'e mut BTreeMap<String, Entry>, case: &str) -> &'e mut Entry {
        if !entries.contains_key(case) {
            let entry = self.load(case).unwrap_or_else(|error| {
                tracing::error!(case, %error, "the case cannot be read from the store");
                Entry::default()
            });
            entries.insert(case.to_owned(), entry);
        }
        entries.entry(case.to_owned()).or_default()
    }

    /// Takes a new or corrected cell into its case.
    pub fn put(&self, cell: &Cell) {
        if let Some(case) = &cell.case {
            self.open(&mut self.entries(), case).put(cell, self.settings.assay);
        }
    }

    /// Uses these subject data for the dose from now on; they are in the store already.
    pub fn set_subject(&self, case: &str, subject: Subject) {
        let mut entries = self.entries();
        let entry = self.open(&mut entries, case);
        entry.subject = subject;
        entry.changed += 1;
    }

    /// Forgets a case that was erased.
    pub fn forget(&self, case: &str) {
        self.entries().remove(case);
    }

    /// Opens every case whose documents do not rest on all of its cells as the store has them: a crash came between
    /// the cells and the documents. They are made again with the next [`Self::changes`].
    ///
    /// # Errors
    /// What the store said.
    pub fn catch_up(&self) -> Result<(), StoreError> {
        for case in self.store.reader().cases_behind()? {
            let mut entries = self.entries();
            let entry = self.open(&mut entries, &case);
            if entry.speaks_of(self.settings.assay) {
                tracing::info!(case, "the documents of the case are older than its cells: they are made again");
                entry.changed += 1;
            } else {
                // The cells of another assay: the documents of then are right.
                entries.remove(&case);
            }
        }
        Ok(())
    }

    /// Documents of the cases that changed since they were last published, and what becomes of their alarms. Nothing
    /// counts as published, and no alarm has moved, before [`Self::settle`] says that the store has it; one thread
    /// makes, stores and settles changes. `time` is RFC 3339.
    pub fn changes(&self, time: &str) -> Vec<CaseChange> {
        let entries = self.entries();
        let changed = entries.iter().filter(|(_, entry)| entry.changed != entry.published);
        changed.map(|(case, entry)| self.change(case, entry, time)).collect()
    }

    fn change(&self, case: &str, entry: &Entry, time: &str) -> CaseChange {
        let mut change = CaseChange {
            case: case.to_owned(),
            of: entry.changed,
            alarm: entry.alarm.clone(),
            lower_limit: entry.lower_limit,
            commit: FrameCommit::default(),
        };
        let latest = match self.settings.assay {
            Assay::Karyotype => {
                let state = CaseState::of(&self.settings.station, case, &entry.cells, &self.settings.case);
                latest(case_topic(case), &state, case)
            }
            Assay::Dicentric => self.dose(entry, time, &mut change),
        };
        change.commit.latest.extend(latest);
        change.commit.values.push((Store::documents_key(case), entry.revisions.len().to_string()));
        change
    }

    fn dose(&self, entry: &Entry, time: &str, change: &mut CaseChange) -> Option<Latest> {
        let settings = &self.settings;
        let CaseChange { case, alarm, lower_limit, commit, .. } = change;
        let place = (settings.station.as_str(), case.as_str());
        let mut dose = entry.tally.dose(place, alarm.state(), &settings.dose, &entry.subject);
        *lower_limit = dose.lower_limit();
        if let Some(of_alarm) = &settings.alarm {
            let message = alarm.update(place, of_alarm, *lower_limit, entry.tally.reviewed(), time);
            dose.alarm = alarm.state();
            commit.messages.extend(message.as_ref().and_then(alarm_message));
            if *alarm != entry.alarm {
                commit.values.extend(kept_alarm(case, alarm));
            }
        }
        latest(dose_topic(case), &dose, case)
    }

    /// The store has `change`: its documents are published and its alarm stands.
    pub fn settle(&self, change: CaseChange) {
        if let Some(entry) = self.entries().get_mut(&change.case) {
            (entry.alarm, entry.lower_limit, entry.published) = (change.alarm, change.lower_limit, change.of);
        }
    }

    /// The store has the answer to the alarm of a case.
    pub fn settle_acknowledged(&self, answer: Acknowledged) {
        if let Some(entry) = self.entries().get_mut(&answer.case) {
            entry.alarm = answer.alarm;
            entry.changed += 1;
        }
    }

    /// A person acknowledges an alarm: of the named case, or of the only one that is raised. Gives what to store; the
    /// alarm counts as answered once [`Self::settle_acknowledged`] says that the store has it.
    ///
    /// # Errors
    /// When no such alarm is raised.
    pub fn acknowledge(&self, case: Option<&str>, by: &str, time: &str) -> Result<Acknowledged, CommandError> {
        let Some(settings) = &self.settings.alarm else {
            return Err(CommandError::Refused("no alarm is configured (dose.alarm_gy)".into()));
        };
        let mut entries = self.entries();
        let named: Vec<String> = match case {
            // A case of an earlier run is open no more, and its alarm may still stand.
            Some(case) if self.store.reader().case(case).is_ok_and(|found| found.is_some()) => {
                self.open(&mut entries, case);
                vec![case.to_owned()]
            }
            Some(case) => vec![case.to_owned()],
            None => entries
                .iter()
                .filter(|(_, e)| e.alarm.state() == crate::case::AlarmState::Raised)
                .map(|(case, _)| case.clone())
                .collect(),
        };
        let [case] = &named[..] else {
            return Err(match named.len() {
                0 => CommandError::NotFound("no alarm is raised".into()),
                _ => CommandError::Refused(format!("several alarms are raised, name the case: {}", named.join(", "))),
            });
        };
        let entry = entries.get(case).ok_or_else(|| CommandError::NotFound(format!("no case '{case}'")))?;
        let place = (self.settings.station.as_str(), case.as_str());
        let mut alarm = entry.alarm.clone();
        let message = alarm
            .acknowledge(place, settings, by, entry.lower_limit, time)
            .map_err(|error| CommandError::Refused(error.to_string()))?;
        let follow = FrameCommit {
            messages: alarm_message(&message).into_iter().collect(),
            values: kept_alarm(case, &alarm).into_iter().collect(),
            ..FrameCommit::default()
        };
        Ok(Acknowledged { case: case.clone(), alarm, follow })
    }
}

/// The value that keeps the alarm of a case over restarts.
fn kept_alarm(case: &str, alarm: &Alarm) -> Option<(String, String)> {
    Some((Store::alarm_key(case), serde_json::to_string(alarm).ok()?))
}

/// A record holds nothing that JSON cannot express; `None` only avoids a panic.
fn latest(topic: String, document: &impl serde::Serialize, case: &str) -> Option<Latest> {
    let payload = serde_json::to_string(document).ok()?;
    Some(Latest { topic, payload: Some(payload), case: Some(case.to_owned()) })
}

fn alarm_message(alarm: &AlarmMessage) -> Option<Message> {
    let payload = serde_json::to_string(alarm).ok()?;
    Some(Message { topic: ALARM_TOPIC.into(), payload, retain: true, droppable: false, case: Some(alarm.case.clone()) })
}
