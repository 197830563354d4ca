//! The cases that are open: cells go in, their latest `case` and `dose` documents and their alarms come out.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{CaseBookSettings, SlideBook};
use crate::{
    case::{Alarm, AlarmMessage, AlarmSettings, Basis, CaseState, CellFacts, DoseTally, Repeats, Scored},
    clock::{Clock, SystemClock},
    mqtt::{case_topic, dose_topic},
    station::CommandError,
    store::{ALARM_TOPIC, CellQuery, FrameCommit, Latest, Message, Store, StoreError, StoreReader},
};
use domain::{Assay, Cell};
use dosimetry::Subject;

/// Cells that are read from the store at once.
const READ_AT_ONCE: usize = 200;
/// Pause before a case that could not be read is tried again; it doubles with each try.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Longest such pause.
const LAST_RETRY: Duration = Duration::from_secs(60);
/// Documents that are made and stored in less time are made whenever something has changed.
const CHEAP: Duration = Duration::from_millis(50);
/// Others rest so many times as long as they took.
const REST: u32 = 20;

/// What the book knows of a cell.
#[derive(Debug)]
struct Known {
    revision: u32,
    /// Its place among the karyotyped cells, in the order of commits.
    place: Option<usize>,
    scored: Option<Scored>,
}

#[derive(Debug, Default)]
struct Entry {
    /// Karyotyped cells in the order of commits.
    cells: Vec<Arc<CellFacts>>,
    /// What each repeats.
    repeats: Repeats,
    /// Whether one of them was scored for the karyotype.
    karyotyped: bool,
    tally: DoseTally,
    /// Each cell of the case, of whatever assay.
    known: HashMap<Uuid, Known>,
    /// Cells of a dose that a person has excluded.
    excluded: HashSet<Uuid>,
    subject: Subject,
    alarm: Alarm,
    lower_limit: Option<f64>,
    /// Counts the changes of any of these.
    changed: u64,
    /// `changed` as of the documents that are in the store.
    published: u64,
    /// The documents are not made again before.
    rests_until: Option<Instant>,
}

impl Entry {
    fn put(&mut self, cell: &Cell, assay: Assay, reader: &StoreReader) -> Result<(), StoreError> {
        self.changed += 1;
        let before = self.known.get(&cell.cell);
        if before.is_some_and(|known| known.revision >= cell.revision) {
            // The store has it in a later revision, which is here already.
            return Ok(());
        }
        let (mut place, mut scored) = before.map_or((None, None), |known| (known.place, known.scored.clone()));
        match assay {
            Assay::Dicentric => {
                if let Some(before) = scored.take() {
                    self.tally.remove(before);
                }
                if cell.excluded.is_some() {
                    self.excluded.insert(cell.cell);
                } else {
                    self.excluded.remove(&cell.cell);
                }
                self.tally.set_excluded(self.excluded.len() as u64);
                scored = cell.dicentric.as_ref().filter(|_| cell.excluded.is_none()).map(Scored::from);
                if let Some(now) = &scored {
                    self.tally.add(now.clone());
                }
            }
            Assay::Karyotype => {
                let facts = Arc::new(CellFacts::of(cell, self.cells.last().map(|last| &**last)));
                match place {
                    // A person corrects what is seen in a cell, not where it lies: it repeats what it repeated.
                    Some(place) => self.cells[place] = facts,
                    None => {
                        let cells = &self.cells;
                        let fetch = |older: usize| match cells.get(older) {
                            Some(older) => reader.cell(older.cell)?.map(|row| row.cell()).transpose(),
                            None => Ok(None),
                        };
                        self.repeats.add::<StoreError>(cell, fetch)?;
                        place = Some(self.cells.len());
                        self.cells.push(facts);
                    }
                }
                self.karyotyped |= cell.dicentric.is_none();
            }
        }
        self.known.insert(cell.cell, Known { revision: cell.revision, place, scored });
        Ok(())
    }

    /// Whether a karyotyped cell of the case comes in a revision that no person made: it was recognised again.
    fn is_another_picture(&self, cell: &Cell) -> bool {
        let known = self.known.get(&cell.cell);
        cell.review.is_none() && known.is_some_and(|known| known.place.is_some() && known.revision < cell.revision)
    }

    /// Whether there is a cell that `assay` can say something of.
    fn speaks_of(&self, assay: Assay) -> bool {
        match assay {
            Assay::Karyotype => self.karyotyped,
            Assay::Dicentric => self.tally.cells().seen > 0,
        }
    }
}

/// A case that is to be read from the store.
#[derive(Debug, Default)]
struct Unread {
    /// Who reads it now, and what came for it in the meantime.
    reading: Option<u64>,
    missed: Vec<Cell>,
    subject: Option<Subject>,
    /// Whether its documents are to be made when it has been read: something in it is new.
    touched: bool,
    /// Why it could not be read, how often, and when it is tried again.
    failed: Option<(String, u32, Instant)>,
}

#[derive(Debug)]
enum Slot {
    Unread(Unread),
    Open(Box<Entry>),
}

impl Default for Slot {
    fn default() -> Self {
        Self::Unread(Unread::default())
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
    began: Instant,
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

/// The open cases. Cloning shares them.
///
/// Everything in a case comes from what is committed: it is read from the store when its first cell comes, and later
/// cells enter it once they are on the disk. A case that cannot be read is tried again, less and less often; nothing is
/// published of it until then.
#[derive(Debug, Clone)]
pub struct CaseBook {
    settings: Arc<CaseBookSettings>,
    /// Of the settings, what may change while cells come.
    alarm: Arc<Mutex<Option<AlarmSettings>>>,
    store: Store,
    clock: Arc<dyn Clock>,
    slots: Arc<Mutex<BTreeMap<String, Slot>>>,
    readings: Arc<AtomicU64>,
    slides: SlideBook,
}

/// A case as it was at one moment, to make its documents from.
struct Snapshot {
    change: CaseChange,
    /// Of all its cells, summed.
    revisions: u64,
    of: Content,
}

enum Content {
    Karyotype { cells: Vec<Arc<CellFacts>>, repeated: Vec<Option<usize>> },
    Dose { tally: DoseTally, subject: Subject },
}

impl CaseBook {
    /// A book over the store.
    pub fn new(settings: CaseBookSettings, store: Store) -> Self {
        Self::with_clock(settings, store, Arc::new(SystemClock))
    }

    /// The same with another clock: it says when a case that could not be read is tried again.
    pub fn with_clock(settings: CaseBookSettings, store: Store, clock: Arc<dyn Clock>) -> Self {
        let alarm = Arc::new(Mutex::new(settings.alarm));
        let slides = SlideBook::new(&settings.station, store.clone());
        let (slots, readings) = Default::default();
        Self { settings: Arc::new(settings), alarm, store, clock, slots, readings, slides }
    }

    /// The slides on which its cells lie.
    pub fn slides(&self) -> &SlideBook {
        &self.slides
    }

    /// Another alarm from now on; the open cases are judged by it with the next [`Self::changes`].
    pub fn set_alarm(&self, alarm: Option<AlarmSettings>) {
        let mut slots = self.slots();
        let before = std::mem::replace(&mut *self.alarm.lock().unwrap_or_else(PoisonError::into_inner), alarm);
        if before != alarm {
            for slot in slots.values_mut() {
                match slot {
                    Slot::Open(entry) => entry.changed += 1,
                    Slot::Unread(unread) => unread.touched = true,
                }
            }
        }
    }

    fn alarm(&self) -> Option<AlarmSettings> {
        *self.alarm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<String, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, case: &str) -> Result<Entry, StoreError> {
        let reader = self.store.reader();
        let mut entry = Entry::default();
        let mut query = CellQuery { case: Some(case.to_owned()), limit: READ_AT_ONCE, ..CellQuery::default() };
        loop {
            let rows = reader.cells(&query)?;
            for row in &rows {
                entry.put(&row.cell()?, self.settings.assay, &reader)?;
            }
            match rows.last() {
                Some(last) if rows.len() == READ_AT_ONCE => query.after = Some(last.seq),
                _ => break,
            }
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

    /// What a dose rests on beside its cells now, for the audit.
    pub fn provenance(&self) -> serde_json::Value {
        self.settings.provenance(self.alarm())
    }

    /// How cells become cases; its alarm is that of the start.
    pub fn settings(&self) -> &CaseBookSettings {
        &self.settings
    }

    /// Reads the cases that wait for it, without holding up whoever brings cells.
    pub fn read_waiting(&self) {
        let now = self.clock.now();
        let is_due =
            |unread: &Unread| unread.reading.is_none() && unread.failed.as_ref().is_none_or(|(_, _, due)| *due <= now);
        let waiting: Vec<String> = {
            let slots = self.slots();
            let due = slots.iter().filter(|(_, slot)| matches!(slot, Slot::Unread(unread) if is_due(unread)));
            due.map(|(case, _)| case.clone()).collect()
        };
        waiting.iter().for_each(|case| self.read(case));
    }

    fn read(&self, case: &str) {
        let reading = self.readings.fetch_add(1, Ordering::Relaxed);
        match self.slots().get_mut(case) {
            Some(Slot::Unread(unread)) if unread.reading.is_none() => unread.reading = Some(reading),
            _ => return,
        }
        let loaded = self.load(case);
        let mut slots = self.slots();
        // It may have been erased in the meantime, and begun again.
        let Some(Slot::Unread(unread)) = slots.get_mut(case) else { return };
        if unread.reading != Some(reading) {
            return;
        }
        let missed = std::mem::take(&mut unread.missed);
        let reader = self.store.reader();
        let read = loaded.and_then(|mut entry| {
            missed.iter().try_for_each(|cell| entry.put(cell, self.settings.assay, &reader))?;
            Ok(entry)
        });
        match read {
            Ok(mut entry) => {
                entry.changed += u64::from(unread.touched);
                if let Some(subject) = unread.subject.take() {
                    entry.subject = subject;
                }
                if unread.failed.is_some() {
                    tracing::info!(case, "the case can be read again");
                }
                slots.insert(case.to_owned(), Slot::Open(Box::new(entry)));
            }
            Err(error) => {
                unread.reading = None;
                self.put_off(case, unread, &error);
            }
        }
    }

    fn put_off(&self, case: &str, unread: &mut Unread, error: &StoreError) {
        let tries = unread.failed.as_ref().map_or(0, |(_, tries, _)| *tries);
        let pause = FIRST_RETRY.saturating_mul(1 << tries.min(10)).min(LAST_RETRY);
        if tries == 0 {
            tracing::error!(case, %error, "the case cannot be read from the store: nothing is published of it");
        }
        unread.failed = Some((error.to_string(), tries + 1, self.clock.now() + pause));
    }

    /// Why cases cannot be read from the store, where there are such.
    pub fn unreadable(&self) -> Option<String> {
        let slots = self.slots();
        let mut failed = slots.iter().filter_map(|(case, slot)| match slot {
            Slot::Unread(Unread { failed: Some((reason, ..)), .. }) => Some((case, reason)),
            _ => None,
        });
        let (case, reason) = failed.next()?;
        let others = match failed.count() {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        Some(format!("case '{case}'{others}: {reason}"))
    }

    /// Takes a new or corrected cell, which is in the store already, into its case.
    pub fn put(&self, cell: &Cell) {
        let Some(case) = &cell.case else { return };
        let mut slots = self.slots();
        let slot = match slots.get_mut(case) {
            Some(slot) => slot,
            None => slots.entry(case.clone()).or_default(),
        };
        match slot {
            // Its file was written again: what it repeats, and what repeats it, is found out from the start.
            Slot::Open(entry) if entry.is_another_picture(cell) => {
                *slot = Slot::Unread(Unread { touched: true, ..Unread::default() });
            }
            Slot::Open(entry) => {
                if let Err(error) = entry.put(cell, self.settings.assay, &self.store.reader()) {
                    let mut unread = Unread { touched: true, ..Unread::default() };
                    self.put_off(case, &mut unread, &error);
                    *slot = Slot::Unread(unread);
                }
            }
            Slot::Unread(unread) => {
                unread.touched = true;
                if unread.reading.is_some() {
                    unread.missed.push(cell.clone());
                }
            }
        }
    }

    /// Uses these subject data for the dose from now on; they are in the store already.
    pub fn set_subject(&self, case: &str, subject: Subject) {
        let mut slots = self.slots();
        match slots.entry(case.to_owned()).or_default() {
            Slot::Open(entry) => {
                entry.subject = subject;
                entry.changed += 1;
            }
            Slot::Unread(unread) => (unread.touched, unread.subject) = (true, Some(subject)),
        }
    }

    /// Forgets a case that was erased.
    pub fn forget(&self, case: &str) {
        self.slots().remove(case);
    }

    /// Opens every case whose documents do not rest on all of its cells as the store has them: a crash came between
    /// the cells and the documents. They are made again with the next [`Self::changes`].
    ///
    /// # Errors
    /// What the store said.
    pub fn catch_up(&self) -> Result<(), StoreError> {
        for case in self.store.reader().cases_behind()? {
            let is_new = self.slots().get(&case).is_none();
            self.slots().entry(case.clone()).or_default();
            self.read(&case);
            let mut slots = self.slots();
            match slots.get_mut(&case) {
                Some(Slot::Open(entry)) if entry.speaks_of(self.settings.assay) => {
                    tracing::info!(case, "the documents of the case are older than its cells: they are made again");
                    entry.changed += 1;
                }
                // The cells of another assay: the documents of then are right.
                Some(Slot::Open(entry)) if is_new && entry.changed == 0 => {
                    slots.remove(&case);
                }
                Some(Slot::Unread(unread)) => unread.touched = true,
                _ => {}
            }
        }
        Ok(())
    }

    /// Documents of the cases that changed since they were last published, and what becomes of their alarms. Nothing
    /// counts as published, and no alarm has moved, before [`Self::settle`] says that the store has it; one thread
    /// makes, stores and settles changes. `time` is RFC 3339.
    pub fn changes(&self, time: &str) -> Vec<CaseChange> {
        self.read_waiting();
        self.documents(time, |_| true)
    }

    /// The same without those whose documents were made a moment ago: making them takes at most a twentieth of the
    /// time, however many cells a case has.
    pub fn due_changes(&self, time: &str) -> Vec<CaseChange> {
        let now = Instant::now();
        self.read_waiting();
        self.documents(time, |entry| entry.rests_until.is_none_or(|until| until <= now))
    }

    fn documents(&self, time: &str, is_due: impl Fn(&Entry) -> bool) -> Vec<CaseChange> {
        let snapshots: Vec<Snapshot> = self
            .slots()
            .iter()
            .filter_map(|(case, slot)| match slot {
                Slot::Open(entry) if entry.changed != entry.published && is_due(entry) => {
                    Some(self.snapshot(case, entry))
                }
                _ => None,
            })
            .collect();
        // Cells go on entering their cases while the documents are made.
        snapshots.into_iter().map(|snapshot| self.change(snapshot, time)).collect()
    }

    fn snapshot(&self, case: &str, entry: &Entry) -> Snapshot {
        let of = match self.settings.assay {
            Assay::Karyotype => {
                Content::Karyotype { cells: entry.cells.clone(), repeated: entry.repeats.of().to_vec() }
            }
            Assay::Dicentric => Content::Dose { tally: entry.tally.clone(), subject: entry.subject },
        };
        let change = CaseChange {
            case: case.to_owned(),
            of: entry.changed,
            alarm: entry.alarm.clone(),
            lower_limit: entry.lower_limit,
            began: Instant::now(),
            commit: FrameCommit::default(),
        };
        let revisions = entry.known.values().map(|known| u64::from(known.revision)).sum();
        Snapshot { change, revisions, of }
    }

    fn change(&self, Snapshot { mut change, revisions, of }: Snapshot, time: &str) -> CaseChange {
        change.began = Instant::now();
        let case = change.case.clone();
        let latest = match of {
            Content::Karyotype { cells, repeated } => {
                let state = CaseState::over(&self.settings.station, &case, &cells, &repeated, &self.settings.case);
                latest(case_topic(&case), &state, &case)
            }
            Content::Dose { tally, subject } => self.dose(&tally, &subject, time, &mut change),
        };
        change.commit.latest.extend(latest);
        change.commit.values.push((Store::documents_key(&case), revisions.to_string()));
        change
    }

    fn dose(&self, tally: &DoseTally, subject: &Subject, time: &str, change: &mut CaseChange) -> Option<Latest> {
        let settings = &self.settings;
        let CaseChange { case, alarm, lower_limit, commit, .. } = change;
        let place = (settings.station.as_str(), case.as_str());
        let mut dose = tally.dose(place, alarm.state(), &settings.dose, subject);
        *lower_limit = dose.lower_limit();
        if let Some(of_alarm) = &self.alarm() {
            dose.alarm_gy = Some(of_alarm.level.value());
            let before = alarm.clone();
            dose.preliminary = !tally.is_enough(of_alarm.min_cells);
            let basis = Basis { enough: !dose.preliminary, reviewed: tally.reviewed() };
            let message = alarm.update(place, of_alarm, *lower_limit, basis, time);
            dose.alarm = alarm.state();
            commit.messages.extend(message.as_ref().and_then(alarm_message));
            if *alarm != before {
                commit.values.extend(kept_alarm(case, alarm));
            }
        }
        latest(dose_topic(case), &dose, case)
    }

    /// The store has `change`: its documents are published and its alarm stands.
    pub fn settle(&self, change: CaseChange) {
        if let Some(Slot::Open(entry)) = self.slots().get_mut(&change.case) {
            (entry.alarm, entry.lower_limit, entry.published) = (change.alarm, change.lower_limit, change.of);
            let took = change.began.elapsed();
            // A dose costs the same however many cells there are, and an alarm must not wait.
            let rests = took >= CHEAP && self.settings.assay == Assay::Karyotype;
            entry.rests_until = rests.then(|| Instant::now() + took * REST);
        }
    }

    /// The store has the answer to the alarm of a case.
    pub fn settle_acknowledged(&self, answer: Acknowledged) {
        if let Some(Slot::Open(entry)) = self.slots().get_mut(&answer.case) {
            entry.alarm = answer.alarm;
            entry.changed += 1;
        }
    }

    /// Opens a case now. Whether it is open then.
    fn open_now(&self, case: &str) -> bool {
        self.slots().entry(case.to_owned()).or_default();
        self.read_waiting();
        matches!(self.slots().get(case), Some(Slot::Open(_)))
    }

    /// A person acknowledges an alarm: of the named case, or of the only one that is raised. Gives what to store; the
    /// alarm counts as answered once [`Self::settle_acknowledged`] says that the store has it.
    ///
    /// # Errors
    /// When no such alarm is raised.
    pub fn acknowledge(&self, case: Option<&str>, by: &str, time: &str) -> Result<Acknowledged, CommandError> {
        let Some(settings) = &self.alarm() else {
            return Err(CommandError::Refused("no alarm is configured (dose.alarm_gy)".into()));
        };
        // A case of an earlier run is open no more, and its alarm may still stand.
        if let Some(case) = case
            && self.store.reader().case(case).is_ok_and(|found| found.is_some())
            && !self.open_now(case)
        {
            let reason = self.unreadable().unwrap_or_else(|| format!("case '{case}' is being read"));
            return Err(CommandError::Unavailable(reason));
        }
        let slots = self.slots();
        let open = |case: &str| match slots.get(case) {
            Some(Slot::Open(entry)) => Some(entry),
            _ => None,
        };
        let is_raised =
            |case: &&String| open(case).is_some_and(|entry| entry.alarm.state() == crate::case::AlarmState::Raised);
        let named: Vec<String> = match case {
            Some(case) => vec![case.to_owned()],
            None => slots.keys().filter(is_raised).cloned().collect(),
        };
        let [case] = &named[..] else {
            return Err(match named.len() {
                0 => CommandError::NotFound("no alarm is raised".into()),
                _ => CommandError::Refused(format!("several alarms are raised, name the case: {}", named.join(", "))),
            });
        };
        let entry = open(case).ok_or_else(|| CommandError::NotFound(format!("no case '{case}'")))?;
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
