//! What damaged disks, killed processes and very long cases do to the records, with a real store.

use std::{path::Path, sync::Arc, time::Duration};

use domain::{AberrationCounts, Assay, BoundingBox, Cell, ScoredBy, Verdict};
use karyotype::FittedSettings;
use metaphased::{
    clock::ManualClock,
    config::Config,
    records::{CaseBook, CaseBookSettings, RecordService},
    store::{CellCommit, DATABASE, FrameCommit, Store, StoreOptions},
    web::LiveHub,
};
use serde_json::Value;
use testing::sample_cell;

const CASE: &str = "K1";
const NOON: &str = "2026-11-22T12:00:00Z";

/// A cell of the case whose chromosomes lie as in no other.
fn cell(number: u64) -> Cell {
    let mut cell = sample_cell(number, Some(CASE), Verdict::Normal);
    let mut seed = number as u32 + 1;
    let mut next = |range: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((seed >> 8) % range) as f32
    };
    for c in &mut cell.chromosomes {
        c.bounds = BoundingBox { x: next(900), y: next(900), width: 10.0 + next(30), height: 15.0 + next(50) };
    }
    let counts =
        AberrationCounts { monocentrics: 45, dicentrics: u32::from(number.is_multiple_of(3)), ..Default::default() };
    cell.dicentric = Some(counts.record([46, 46], Some(true), ScoredBy::Truth));
    cell
}

fn commit(store: &Store, cells: &[Cell]) {
    let whole = |cell: &Cell| CellCommit { cell: cell.clone(), crops: Vec::new(), thumbnail: None, image: None };
    let cells = cells.iter().map(whole).collect();
    store.commit(&[FrameCommit { cells, ..FrameCommit::default() }]).unwrap();
}

fn records(folder: &Path, assay: Assay, clock: &ManualClock) -> RecordService {
    let store = Store::open(folder, StoreOptions::default()).unwrap();
    let settings = CaseBookSettings::from_config(&Config { assay, ..Config::default() }).unwrap();
    let cases = CaseBook::with_clock(settings, store.clone(), Arc::new(clock.clone()));
    RecordService { store, cases, karyotype: FittedSettings::default(), scorer: None, hub: LiveHub::new([]) }
}

impl Bench {
    fn seen(&self) -> Option<u64> {
        let case = self.records.store.reader().case(CASE).unwrap()?;
        let text = if self.assay == Assay::Dicentric { case.dose? } else { case.state? };
        serde_json::from_str::<Value>(&text).unwrap()["cells"]["seen"].as_u64()
    }

    fn take(&self, cells: &[Cell]) {
        commit(&self.records.store, cells);
        cells.iter().for_each(|cell| self.records.cases.put(cell));
        self.records.publish_cases(NOON);
    }
}

/// Bytes of a page of the database.
const PAGE: usize = 16384;

struct Bench {
    records: RecordService,
    assay: Assay,
}

#[test]
fn nothing_is_published_of_a_case_of_which_the_disk_gives_only_a_part() {
    for assay in [Assay::Karyotype, Assay::Dicentric] {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::default();
        let bench = Bench { records: records(folder.path(), assay, &clock), assay };
        bench.take(&(0..50).map(cell).collect::<Vec<_>>());
        assert_eq!(bench.seen(), Some(50));
        bench.records.store.checkpoint().unwrap();
        drop(bench);

        // The pages of a few cells in the middle, overwritten by something else.
        let database = folder.path().join(DATABASE);
        let whole = std::fs::read(&database).unwrap();
        let mark = b"\"file\":\"000025.png\"";
        let place = whole.windows(mark.len()).position(|bytes| bytes == mark).unwrap() / PAGE * PAGE;
        let mut broken = whole.clone();
        broken[place - 2 * PAGE..place + 2 * PAGE].fill(0xa5);
        std::fs::write(&database, &broken).unwrap();

        let bench = Bench { records: records(folder.path(), assay, &clock), assay };
        bench.take(&[cell(50)]);
        assert_eq!(bench.seen(), Some(50), "{assay:?}: the document of before stands");
        let reason = bench.records.cases.unreadable().expect("it is reported");
        assert!(reason.contains("case 'K1'") && reason.contains("list cells"), "{reason}");
        let stored: i64 = rusqlite::Connection::open(&database)
            .unwrap()
            .query_row("SELECT count(*) FROM cells", [], |row| row.get(0))
            .unwrap();
        assert_eq!(stored, 51, "the new cell is kept");
        assert!(bench.records.cases.acknowledge(Some(CASE), "ana", NOON).is_err());

        // The disk gives them again.
        let mended = std::fs::OpenOptions::new().write(true).open(&database).unwrap();
        std::os::unix::fs::FileExt::write_all_at(
            &mended,
            &whole[place - 2 * PAGE..place + 2 * PAGE],
            (place - 2 * PAGE) as u64,
        )
        .unwrap();
        bench.take(&[cell(51)]);
        assert_eq!(bench.seen(), Some(50), "{assay:?}: it is not tried all the time");
        clock.advance(Duration::from_secs(60));
        bench.records.publish_cases(NOON);
        assert_eq!((bench.seen(), bench.records.cases.unreadable()), (Some(52), None), "{assay:?}");
    }
}

#[test]
fn a_cell_whose_file_shows_another_metaphase_by_now_repeats_none() {
    let folder = tempfile::tempdir().unwrap();
    let bench =
        Bench { records: records(folder.path(), Assay::Karyotype, &ManualClock::default()), assay: Assay::Karyotype };
    let repeats = || {
        let case = bench.records.store.reader().case(CASE).unwrap().expect("the case");
        serde_json::from_str::<Value>(&case.state.expect("its document")).unwrap()["cells"]["repeats"].as_u64()
    };
    let again = Cell { cell: cell(2).cell, ..cell(1) };
    bench.take(&[cell(1), again]);
    assert_eq!(repeats(), Some(1));
    bench.take(&[Cell { revision: 2, ..cell(2) }]);
    assert_eq!(repeats(), Some(0));
}

/// Resident memory of this process in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Processor time of this process so far, in milliseconds: other work on the machine does not count.
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // In ticks of 1/100 s: user and system time are the 14th and 15th fields of the line.
    10.0 * (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap())
}

/// A measurement, not a test: docs/reference/reliability.md has the figures.
#[test]
#[ignore = "a measurement of some minutes; run it with --ignored --nocapture"]
fn measure_the_work_per_cell_of_a_long_case() {
    const LAST: u64 = 500;
    for (what, assay, lengths) in [
        ("dicentric", Assay::Dicentric, &[1_000, 10_000, 100_000][..]),
        ("karyotype, stage known", Assay::Karyotype, &[1_000, 10_000, 100_000]),
        ("karyotype, stage unknown", Assay::Karyotype, &[1_000, 10_000]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let bench = Bench { records: records(folder.path(), assay, &ManualClock::default()), assay };
        bench.take(&[cell(0)]);
        let made = |number: u64| {
            let mut cell = cell(number);
            if what.ends_with("known") && !what.ends_with("unknown") {
                let (x, y) = ((number % 300) as f64 * 100.0, (number / 300) as f64 * 100.0);
                cell.captured.stage_um = Some(domain::StagePosition { x, y, z: None });
            }
            cell
        };
        let mut next = 1;
        for &length in lengths {
            (next..length - LAST).for_each(|number| bench.records.cases.put(&made(number)));
            let last: Vec<Cell> = (length - LAST..length).map(made).collect();
            next = length;
            let before = cpu_ms();
            last.iter().for_each(|cell| bench.records.cases.put(cell));
            let entered = (cpu_ms() - before) / LAST as f64;
            let before = cpu_ms();
            bench.records.publish_cases(NOON);
            let document = cpu_ms() - before;
            assert_eq!(bench.seen(), Some(length));
            println!(
                "{what}, {length} cells: {entered:.2} ms a cell to enter it, {document:.0} ms a document, {:.0} MiB",
                resident()
            );
        }
    }
}
