//! A radiation station: cells arrive, the dose converges, the alarm goes out, people answer.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command as Process, Output, Stdio},
    time::{Duration, Instant},
};

use crate::web_support::{PageServer, browser::Browser};
use domain::{AberrationCounts, Assay, Cell, Damage, DicentricRecord, Rejected, ScoredBy, Verdict};
use dosimetry::{CellSurvival, Exposure, Gray, built_in};
use karyotype::FittedSettings;
use metaphased::{
    case::{AlarmState, CaseDose},
    clock::{Clock, ManualClock},
    config::{Config, DoseConfig},
    records::{CaseBook, CaseBookSettings, RecordService},
    station::{CommandError, RecordCommand, ReviewAction},
    store::{CellCommit, DATABASE, FrameCommit, Message, ReviewRecord, Store, StoreError, StoreOptions},
    web::{EventKind, LiveHub},
};
use rand::SeedableRng;
use serde_json::{Value, json};
use testing::sample_cell;

const CASE: &str = "exercise 1";

/// The parts of a station behind its camera, with a clock that is turned by hand.
struct Station {
    records: RecordService,
    clock: ManualClock,
    number: u64,
    rng: rand_chacha::ChaCha8Rng,
}

fn settings(dose: DoseConfig) -> CaseBookSettings {
    CaseBookSettings::from_config(&Config { assay: Assay::Dicentric, dose, ..Config::default() }).unwrap()
}

impl Station {
    fn open(folder: &Path, dose: DoseConfig) -> Self {
        Self::over(Store::open(folder, StoreOptions::default()).unwrap(), LiveHub::new([]), dose)
    }

    fn over(store: Store, hub: LiveHub, dose: DoseConfig) -> Self {
        let cases = CaseBook::new(settings(dose), store.clone());
        let records = RecordService { store, cases, karyotype: FittedSettings::default(), scorer: None, hub };
        Self { records, clock: ManualClock::default(), number: 0, rng: rand_chacha::ChaCha8Rng::seed_from_u64(5) }
    }

    fn cell(&mut self, record: DicentricRecord) -> Cell {
        self.number += 1;
        let mut cell = sample_cell(self.number, Some(CASE), Verdict::NotAssessable);
        cell.chromosomes.clear();
        cell.dicentric = Some(record);
        cell
    }

    /// Cells of a person exposed to `dose`, as the simulator knows them.
    fn exposed(&mut self, dose: f64, cells: usize) -> Vec<Cell> {
        let curve = built_in("co60_barquinero1995").unwrap();
        let exposure = Exposure::new(&curve, Gray::new(dose).unwrap(), 1.0, CellSurvival::default()).unwrap();
        let records: Vec<_> = (0..cells).map(|_| exposure.draw(&mut self.rng).record()).collect();
        records.into_iter().map(|record| self.cell(record)).collect()
    }

    /// Takes cells in as the stages do.
    fn take(&self, cells: Vec<Cell>) {
        self.store(&cells);
        cells.iter().for_each(|cell| self.records.cases.put(cell));
    }

    /// Only stores cells: their case does not hear of them.
    fn store(&self, cells: &[Cell]) {
        let commit = |cell: &Cell| CellCommit { cell: cell.clone(), crops: Vec::new(), thumbnail: None, image: None };
        let cells = cells.iter().map(commit).collect();
        self.records.store.commit(&[FrameCommit { cells, ..FrameCommit::default() }]).unwrap();
    }

    /// A second passes: what changed is told.
    fn tick(&self) -> CaseDose {
        self.clock.advance(Duration::from_secs(1));
        self.records.publish_cases(&self.clock.wall().to_string());
        self.dose()
    }

    /// The latest `dose` document.
    fn dose(&self) -> CaseDose {
        let record = self.records.store.reader().case(CASE).unwrap().expect("the case is in the store");
        serde_json::from_str(&record.dose.expect("it has a dose")).unwrap()
    }

    fn ask(&self, command: &RecordCommand) -> Result<Value, CommandError> {
        self.records.execute(command, &self.clock.wall().to_string())
    }

    fn acknowledge(&self, by: &str) -> Result<Value, CommandError> {
        self.ask(&RecordCommand::Acknowledge { by: by.into(), case: None })
    }

    /// States of the alarm messages that wait for the broker, in order.
    fn alarms(&self) -> Vec<Value> {
        let rows = self.records.store.reader().outbox_after(0, 1000).unwrap();
        let alarms = rows.into_iter().filter(|row| row.topic == "alarm");
        alarms.map(|row| serde_json::from_str::<Value>(&row.payload).unwrap()["state"].clone()).collect()
    }
}

fn limits(dose: &CaseDose) -> (f64, f64) {
    let found = dose.estimate.as_ref().expect("an estimate").dose_gy;
    (found.low.expect("a lower limit"), found.high.expect("an upper limit"))
}

fn alarm_at(level: f64, needs_review: bool) -> DoseConfig {
    DoseConfig { alarm_gy: Some(level), alarm_needs_review: needs_review, alarm_min_cells: 1, ..DoseConfig::default() }
}

#[test]
fn the_dose_converges_to_the_exposure_and_its_alarm_is_raised_answered_and_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let mut station = Station::open(folder.path(), alarm_at(0.5, false));
    let mut widths = Vec::new();
    for batch in [20, 80, 400] {
        let cells = station.exposed(2.0, batch);
        station.take(cells);
        let dose = station.tick();
        let (low, high) = limits(&dose);
        assert!(low < 2.0 && 2.0 < high, "{low} to {high} from {} cells", dose.cells.counted);
        assert_eq!(dose.alarm, AlarmState::Raised);
        widths.push(high - low);
    }
    assert!(widths.is_sorted_by(|a, b| a > b), "{widths:?}");
    assert_eq!(station.alarms(), ["raised"], "told once");

    assert!(station.acknowledge(" ").is_err());
    assert_eq!(station.acknowledge("ana").unwrap()["case"], CASE);
    assert_eq!((station.dose().alarm, station.alarms().len()), (AlarmState::Acknowledged, 2));
    assert!(station.acknowledge("ben").is_err(), "somebody was there before");

    // The dose falls as cells without dicentrics come; between the level and the hysteresis nothing is said.
    let mut between = 0;
    for _ in 0..200 {
        let clean = station.exposed(0.0, 250);
        station.take(clean);
        let dose = station.tick();
        let (low, _) = limits(&dose);
        let expected = if low < 0.4 { AlarmState::Clear } else { AlarmState::Acknowledged };
        assert_eq!(dose.alarm, expected, "at a lower limit of {low}");
        between += u32::from((0.4..0.5).contains(&low));
        if expected == AlarmState::Clear {
            break;
        }
    }
    assert!(between > 0, "the steps are too large to see the hysteresis");
    assert_eq!(station.alarms(), ["raised", "acknowledged", "cleared"]);
    let audit = station.records.store.reader().reviews_of_case(CASE).unwrap();
    assert_eq!((audit.len(), audit[0].by.as_str(), audit[0].change.as_str()), (1, "ana", "alarm acknowledged"));
}

#[test]
fn an_alarm_is_held_until_a_person_has_judged_every_called_dicentric() {
    let folder = tempfile::tempdir().unwrap();
    let mut station = Station::open(folder.path(), alarm_at(0.5, true));
    let mut cells = Vec::new();
    for _ in 0..6 {
        let counts = AberrationCounts { monocentrics: 44, dicentrics: 1, fragments: 1, ..AberrationCounts::default() };
        let mut cell = station.cell(counts.record([46, 46], None, ScoredBy::Machine));
        cell.chromosomes = sample_cell(1, None, Verdict::Normal).chromosomes;
        cell.chromosomes[7].damage = Damage::Dicentric;
        cells.push(cell);
    }
    let ids: Vec<_> = cells.iter().map(|cell| cell.cell).collect();
    station.take(cells);
    let dose = station.tick();
    assert_eq!((dose.alarm, dose.cells.awaiting_review), (AlarmState::Held, 6));
    assert!(station.alarms().is_empty() && station.acknowledge("ana").is_err(), "nothing is out");

    let review = |cell, change| RecordCommand::Review { by: "ana".into(), cell, revision: Some(1), change };
    for cell in &ids[..5] {
        station.ask(&review(*cell, ReviewAction::Damage { index: 7, damage: Damage::Dicentric })).unwrap();
        assert_eq!(station.dose().alarm, AlarmState::Held);
    }
    let before = station.dose().dicentrics;
    let rejected = ReviewAction::RejectDicentric { index: 7, seen: Rejected::TwoChromosomes };
    station.ask(&review(ids[5], rejected.clone())).unwrap();
    let after = station.dose();
    assert_eq!((before, after.dicentrics, after.cells.awaiting_review), (6, 5, 0), "the dose follows at once");
    assert_eq!((after.alarm, station.alarms()), (AlarmState::Raised, vec!["raised".into()]));
    let late = station.ask(&review(ids[5], rejected));
    assert!(matches!(late, Err(CommandError::Refused(why)) if why.contains("revision 2")));

    // Who, when, old, new, model, curve, settings.
    let audit = station.records.store.reader().reviews_of_case(CASE).unwrap();
    let last = audit.last().unwrap();
    let read = |text: &Option<String>| serde_json::from_str::<Value>(text.as_deref().unwrap()).unwrap();
    assert_eq!((audit.len(), last.by.as_str(), last.cell), (6, "ana", Some(ids[5])));
    assert_eq!(read(&last.old)["dicentric"]["dicentrics"], 1);
    assert_eq!(read(&last.new)["dicentric"]["dicentrics"], 0);
    assert_eq!(last.model.as_deref(), Some("bands@0123456789ab"));
    assert_eq!(last.curve.as_deref(), Some("co60_barquinero1995"));
    assert_eq!(read(&last.settings)["method"], "likelihood");
}

#[test]
fn an_excluded_cell_leaves_the_dose_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut station = Station::open(folder.path(), DoseConfig::default());
    let cells = station.exposed(2.0, 60);
    let id = cells.iter().find(|cell| cell.dicentric.as_ref().unwrap().counts.dicentrics > 0).unwrap().cell;
    station.take(cells);
    let before = station.tick();
    let exclude = |revision, reason: Option<&str>| RecordCommand::Review {
        by: "ana".into(),
        cell: id,
        revision: Some(revision),
        change: ReviewAction::Exclude { reason: reason.map(str::to_owned) },
    };
    station.ask(&exclude(1, Some("two cells overlap"))).unwrap();
    let without = station.dose();
    assert_eq!((without.cells.excluded, without.cells.seen), (1, before.cells.seen));
    assert!(without.dicentrics < before.dicentrics);
    station.ask(&exclude(2, None)).unwrap();
    assert_eq!(station.dose().cells, before.cells);
}

#[test]
fn a_restart_neither_raises_an_alarm_again_nor_forgets_it() {
    let folder = tempfile::tempdir().unwrap();
    {
        let mut station = Station::open(folder.path(), alarm_at(0.5, false));
        let cells = station.exposed(2.0, 100);
        station.take(cells);
        assert_eq!(station.tick().alarm, AlarmState::Raised);
    }
    let mut station = Station::open(folder.path(), alarm_at(0.5, false));
    station.number = 1000;
    // The answer may come before the first cell does.
    let named = RecordCommand::Acknowledge { by: "ana".into(), case: Some(CASE.into()) };
    station.ask(&named).unwrap();
    let cells = station.exposed(2.0, 10);
    station.take(cells);
    let dose = station.tick();
    assert_eq!((dose.alarm, dose.cells.counted), (AlarmState::Acknowledged, 110));
    assert_eq!(station.alarms(), ["raised", "acknowledged"]);
}

#[test]
fn a_crash_between_the_cells_and_their_case_is_mended_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut station = Station::open(folder.path(), alarm_at(0.5, false));
    let cells = station.exposed(2.0, 100);
    station.store(&cells);
    let document = |station: &Station| station.records.store.reader().case(CASE).unwrap().unwrap().dose;
    assert_eq!(document(&station), None, "the process ends before the case is published");

    // Neither cell nor command comes.
    drop(station);
    let station = Station::open(folder.path(), alarm_at(0.5, false));
    station.records.catch_up("2026-11-22T12:00:00Z").unwrap();
    assert_eq!((station.dose().alarm, station.dose().cells.seen), (AlarmState::Raised, 100));
    assert_eq!(station.alarms(), ["raised"]);

    // What is up to date is left alone.
    let changes = || station.records.store.reader().latest_after(0, 100).unwrap();
    let before = changes();
    station.records.catch_up("2026-11-22T12:00:01Z").unwrap();
    assert_eq!((changes(), station.alarms().len()), (before, 1));

    // A review whose consequences the crash took away.
    let mut corrected = cells[0].clone();
    corrected.revision += 1;
    corrected.dicentric = None;
    let review = ReviewRecord { by: "ana".into(), case: Some(CASE.into()), ..ReviewRecord::default() };
    station.records.store.review(&review, Some(&corrected), &FrameCommit::default()).unwrap();
    drop(station);
    let station = Station::open(folder.path(), alarm_at(0.5, false));
    station.records.catch_up("2026-11-22T12:00:02Z").unwrap();
    assert_eq!(station.dose().cells.seen, 99);
}

#[test]
fn a_crash_leaves_no_karyotyped_case_behind_its_cells() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), StoreOptions::default()).unwrap();
    let commit = |number| {
        let cell = sample_cell(number, Some("K/1"), Verdict::Normal);
        let cells = vec![CellCommit { cell, crops: Vec::new(), thumbnail: None, image: None }];
        FrameCommit { cells, ..FrameCommit::default() }
    };
    store.commit(&(0..5).map(commit).collect::<Vec<_>>()).unwrap();
    let settings = CaseBookSettings::from_config(&Config::default()).unwrap();
    let cases = CaseBook::new(settings, store.clone());
    let records = RecordService {
        store: store.clone(),
        cases,
        karyotype: FittedSettings::default(),
        scorer: None,
        hub: LiveHub::new([]),
    };
    records.catch_up("2026-11-22T12:00:00Z").unwrap();
    let state = store.reader().case("K/1").unwrap().unwrap().state.expect("a document");
    assert_eq!(serde_json::from_str::<Value>(&state).unwrap()["cells"]["seen"], 5);
    let retained = store.reader().latest_after(0, 10).unwrap();
    assert_eq!(retained.iter().map(|row| row.topic.as_str()).collect::<Vec<_>>(), ["case/K%2F1"]);
}

#[test]
fn an_alarm_goes_out_although_sources_have_filled_the_outbox() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), StoreOptions { outbox_cap: 3, quota: None }).unwrap();
    let mut station = Station::over(store, LiveHub::new([]), alarm_at(0.5, false));
    let waiting = |number| Message::cell(&sample_cell(number, None, Verdict::Normal), None, false).unwrap();
    let full = FrameCommit { messages: (900..903).map(waiting).collect(), ..FrameCommit::default() };
    station.records.store.commit(&[full]).unwrap();
    let one_more = FrameCommit { messages: vec![waiting(903)], ..FrameCommit::default() };
    assert!(matches!(station.records.store.commit(&[one_more]), Err(StoreError::OutboxFull { .. })));
    let cells = station.exposed(2.0, 100);
    station.take(cells);
    assert_eq!(station.tick().alarm, AlarmState::Raised);
    station.acknowledge("ana").unwrap();
    assert_eq!(station.alarms(), ["raised", "acknowledged"]);
}

#[test]
fn an_alarm_that_the_store_cannot_take_is_raised_once_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let mut station = Station::open(folder.path(), alarm_at(0.5, false));
    let disk = rusqlite::Connection::open(folder.path().join(DATABASE)).unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON outbox BEGIN SELECT raise(ABORT, 'a bad block'); END";
    disk.execute_batch(refuse).unwrap();
    let cells = station.exposed(2.0, 100);
    station.take(cells);
    station.records.publish_cases("2026-11-22T12:00:00Z");
    let reader = station.records.store.reader();
    let kept = || reader.meta(&Store::alarm_key(CASE)).unwrap();
    let dose = reader.case(CASE).unwrap().unwrap().dose;
    assert_eq!((kept(), dose, station.alarms().len()), (None, None, 0), "all or nothing");
    assert!(station.acknowledge("ana").is_err(), "nobody has seen it");

    disk.execute_batch("DROP TRIGGER refuse").unwrap();
    assert_eq!((station.tick().alarm, station.alarms()), (AlarmState::Raised, vec!["raised".into()]));
    disk.execute_batch(refuse).unwrap();
    assert!(station.acknowledge("ana").is_err(), "the answer cannot be stored");
    disk.execute_batch("DROP TRIGGER refuse").unwrap();
    station.acknowledge("ana").unwrap();
    assert_eq!((station.dose().alarm, station.alarms().len()), (AlarmState::Acknowledged, 2));
    assert!(kept().is_some_and(|text| text.contains("ana")));
}

#[test]
fn an_erased_case_leaves_no_alarm_and_no_dose_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut station = Station::open(folder.path(), alarm_at(0.5, false));
    let cells = station.exposed(3.0, 60);
    station.take(cells);
    station.tick();
    station.ask(&RecordCommand::Erase { by: "ana".into(), case: CASE.into() }).unwrap();
    let reader = station.records.store.reader();
    assert!(reader.case(CASE).unwrap().is_none() && reader.meta(&Store::alarm_key(CASE)).unwrap().is_none());
    assert!(station.alarms().is_empty());
    station.records.publish_cases("2026-11-22T12:00:00Z");
    assert!(reader.case(CASE).unwrap().is_none(), "the station still knew of it");
    let again = station.ask(&RecordCommand::Erase { by: "ana".into(), case: CASE.into() });
    assert!(matches!(again, Err(CommandError::NotFound(_))), "{again:?}");
}

/// The daemon as a person starts it, ended when dropped.
struct Daemon {
    child: Child,
    page: String,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    fn start(folder: &Path, config: &str) -> Self {
        let file = folder.join("metaphased.toml");
        std::fs::write(&file, config).unwrap();
        let mut child =
            program(folder).args(["--engine", "cpu"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let page = lines.by_ref().find_map(|line| Some(line.split_once("page     ")?.1.trim().to_owned()));
        // The pipe is read on, so that the daemon is never held up by a full one.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, page: page.expect("a banner") }
    }

    fn get(&self, route: &str) -> Option<Value> {
        ureq::get(format!("{}/api/v1/{route}", self.page)).call().ok()?.body_mut().read_json().ok()
    }

    fn post(&self, route: &str, body: &Value) -> Value {
        let sent = ureq::post(format!("{}/api/v1/{route}", self.page)).send_json(body);
        sent.unwrap_or_else(|error| panic!("{route} {body}: {error}")).body_mut().read_json().unwrap()
    }

    fn wait(&self, what: &str, mut done: impl FnMut() -> bool) {
        let until = Instant::now() + Duration::from_secs(240);
        while !done() {
            assert!(Instant::now() < until, "{what}: {:#}", self.get("status").unwrap_or_default());
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn program(folder: &Path) -> Process {
    let mut command = Process::new(env!("CARGO_BIN_EXE_metaphased"));
    command
        .arg("--config")
        .arg(folder.join("metaphased.toml"))
        .env("XDG_STATE_HOME", folder.join("state"))
        .env_remove("STATE_DIRECTORY")
        .stdin(Stdio::null());
    command
}

fn case(folder: &Path, arguments: &[&str]) -> Output {
    program(folder).arg("case").args(arguments).output().unwrap()
}

#[test]
fn the_daemon_on_a_simulated_exposure_finds_its_dose_and_does_what_people_ask() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(
        folder.path(),
        "assay = \"dicentric\"\n[source.scope]\nkind = \"simulator\"\nmode = \"lossless\"\nstage = \"scan\"\nstain = \"giemsa\"\n\
         cells = 10\nseed = 5\nsize = [900, 680]\num_per_px = 0.1\ndose_gy = 3.0\ncase = \"exercise 1\"\n\
         [dose]\nalarm_gy = 0.5\nalarm_min_cells = 1\n[web]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nurl = \"off\"\n",
    );
    let dose = || daemon.get("cases/exercise%201").map(|case| case["dose"].clone()).unwrap_or_default();
    // Until nothing is on its way any more: the dose must not move by itself while a person judges.
    daemon.wait("the scan ends", || {
        daemon.get("sources").is_some_and(|found| {
            let source = &found["sources"][0];
            source["state"]["activity"] == "finished" && source["stats"]["in_flight"] == 0
        })
    });
    let stored = daemon.get("cells?case=exercise%201&limit=100").unwrap()["cells"].as_array().unwrap().len() as u64;
    daemon.wait("the dose of all cells", || dose()["cells"]["seen"].as_u64() == Some(stored));
    let found = dose();
    assert!(found["cells"]["counted"].as_u64() >= Some(5), "{found:#}");
    let limit = |name: &str| found["estimate"]["dose_gy"][name].as_f64().unwrap();
    assert!(limit("low") < 3.0 && 3.0 < limit("high"), "{found:#}");
    assert_eq!(found["alarm"], "raised", "{found:#}");
    daemon.post("commands/acknowledge", &json!({ "by": "ana" }));
    assert_eq!(dose()["alarm"], "acknowledged");

    // A person rejects a called dicentric on the page: the dose follows at once.
    let cells = daemon.get("cells?case=exercise%201").unwrap();
    let called = cells["cells"].as_array().unwrap().iter().find_map(|cell| {
        let complete = cell["dicentric"]["complete"] == true;
        let index =
            cell["chromosomes"].as_array().unwrap().iter().find(|c| c["damage"] == "dicentric")?["index"].clone();
        complete.then(|| (cell["cell"].as_str().unwrap().to_owned(), index))
    });
    let (cell, index) = called.expect("the simulator's dicentrics are marked on the boxes");
    let change = json!({ "action": "reject_dicentric", "index": index, "seen": "two_chromosomes" });
    daemon.post(&format!("cells/{cell}/review"), &json!({ "by": "ana", "change": change }));
    assert_eq!(dose()["dicentrics"].as_u64().unwrap() + 1, found["dicentrics"].as_u64().unwrap());

    // Commands of this machine find the daemon that has the store.
    let folder = folder.path();
    let set = case(folder, &["subject", CASE, "--by", "ana", "--exposed", "2025-11-01", "--sampled", "2026-11-01"]);
    assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
    let late = dose()["estimate"]["dose_gy"]["value"].as_f64().unwrap();
    assert!(late > limit("value") * 0.95, "{late}");
    assert!(dose()["flags"].to_string().contains("subject data"), "{:#}", dose());
    let report = ureq::get(format!("{}/api/v1/cases/exercise%201/report.html", daemon.page)).call().unwrap();
    let report = report.into_body().read_to_string().unwrap();
    assert!(report.contains("Scoring sheet") && !report.contains("2025-11-01"), "subject data stay in the store");

    let open = case(folder, &["erase", CASE, "--by", "ana"]);
    assert_eq!(open.status.code(), Some(65), "{}", String::from_utf8_lossy(&open.stderr));
    let open = case(folder, &["close", CASE, "--by", "ana"]);
    assert_eq!(open.status.code(), Some(65), "it takes cells: {}", String::from_utf8_lossy(&open.stderr));
    daemon.post("commands/case", &json!({ "case": null, "slide": null }));
    // A closed case takes no further cells, until it is reopened.
    assert!(case(folder, &["close", CASE, "--by", "ana"]).status.success());
    assert!(daemon.get("cases/exercise%201").unwrap()["closed"].is_string());
    let again = json!({ "case": CASE, "slide": null });
    let refused = ureq::post(format!("{}/api/v1/commands/case", daemon.page)).send_json(&again);
    assert!(matches!(refused, Err(ureq::Error::StatusCode(409))), "{refused:?}");
    assert!(case(folder, &["reopen", CASE, "--by", "ana"]).status.success());
    daemon.post("commands/case", &again);
    daemon.post("commands/case", &json!({ "case": null, "slide": null }));
    let erased = case(folder, &["erase", CASE, "--by", "ana"]);
    assert!(erased.status.success(), "{}", String::from_utf8_lossy(&erased.stderr));
    assert!(daemon.get("cases/exercise%201").is_none());
    assert_eq!(case(folder, &["erase", CASE, "--by", "ana"]).status.code(), Some(66));
}

/// Processor time of this process so far, in seconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // In ticks of 1/100 s: user and system time are the 14th and 15th fields of the line.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// A measurement, not a test: docs/reference/dose.md has the figures.
#[test]
#[ignore = "a measurement of 40 s; run it with --ignored --nocapture in an optimised build"]
fn measure_a_thousand_cells_a_second() {
    const SECONDS: u64 = 20;
    for stored in [false, true] {
        let server = PageServer::start();
        server.health.set_case(Some(CASE.into()), None);
        server.health.set_birth(|birth| birth.assay = "dicentric".into());
        let mut station = Station::over(server.store.clone(), server.hub.clone(), alarm_at(0.5, false));
        let first = station.exposed(2.0, 1);
        station.take(first);
        station.tick();
        let flood = station.exposed(2.0, 1000 * SECONDS as usize);
        let browser = Browser::open("measure_a_thousand_cells_a_second", (1400, 1000));
        if let Some(browser) = &browser {
            browser.go(&server.url());
            browser.wait("document.querySelector('#case .curve circle')");
            browser.run(
                "window.gaps = []; let last = performance.now(); \
                 (function frame(now) { gaps.push(now - last); last = now; requestAnimationFrame(frame); })(last)",
            );
        }
        let mut events = server.hub.listen();
        let (began, timings) = (Instant::now(), cpu());
        let mut told = Instant::now();
        for (batch, cells) in flood.chunks(20).enumerate() {
            cells.iter().for_each(|cell| station.records.cases.put(cell));
            if stored {
                let messages = cells.iter().filter_map(|cell| Message::cell(cell, None, true).ok()).collect();
                let commit =
                    |cell: &Cell| CellCommit { cell: cell.clone(), crops: Vec::new(), thumbnail: None, image: None };
                let cells = cells.iter().map(commit).collect();
                station.records.store.commit(&[FrameCommit { cells, messages, ..FrameCommit::default() }]).unwrap();
            }
            cells.iter().for_each(|cell| server.hub.publish_cell(cell));
            if told.elapsed() >= Duration::from_secs(1) {
                told = Instant::now();
                station.records.publish_cases(&jiff::Timestamp::now().to_string());
            }
            std::thread::sleep(
                (began + Duration::from_millis(20 * (batch as u64 + 1))).saturating_duration_since(Instant::now()),
            );
        }
        let (took, timings) = (began.elapsed().as_secs_f64(), cpu() - timings);
        let (mut doses, mut cells) = (0, 0);
        loop {
            match events.try_recv() {
                Ok(event) if event.kind == EventKind::Dose => doses += 1,
                Ok(event) if event.kind == EventKind::Cell => cells += 1,
                Err(tokio::sync::broadcast::error::TryRecvError::Lagged(_)) | Ok(_) => {}
                Err(_) => break,
            }
        }
        println!(
            "{} cells in {took:.1} s, {}: {:.1} % of a core; dose events {doses}, cell events seen {cells}",
            flood.len(),
            if stored { "each stored with its message" } else { "counts alone" },
            100.0 * timings / took,
        );
        if let Some(browser) = &browser {
            let gaps = browser.run(
                "const g = gaps.slice(5).sort((a, b) => a - b); return [g.length, g[g.length >> 1], g[Math.floor(g.length * 0.99)], g.at(-1)]",
            );
            println!("page: frames, median, 99 % and longest gap in ms: {gaps}");
        }
    }
}
