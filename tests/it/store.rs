//! The store as a user meets it: nothing that was committed is lost, the shell reads it, an erased case is gone.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    collections::HashSet,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use domain::{AberrationCounts, Cell, DicentricRecord, Exclusion, ScoredBy, Verdict, frame::FileStamp};
use metaphased::{
    config::Config,
    records::{CaseBook, CaseBookSettings, RecordService},
    station::RecordCommand,
    store::{
        CellCommit, CellQuery, Crop, DATABASE, FileMark, FileOutcome, FrameCommit, Latest, Message, ReviewRecord,
        SpreadRow, Store, StoreError, StoreOptions, StoreReader, TriggerRow,
    },
    web::LiveHub,
};
use serde_json::json;
use testing::sample_cell;

fn message(cell: &Cell) -> Message {
    Message {
        topic: "cell".into(),
        payload: serde_json::to_string(cell).unwrap(),
        retain: false,
        droppable: false,
        case: cell.case.clone(),
    }
}

fn frame(number: u64, case: Option<&str>, verdict: Verdict) -> FrameCommit {
    let cell = sample_cell(number, case, verdict);
    FrameCommit {
        messages: vec![message(&cell)],
        mark: Some(FileMark {
            source: "scope".into(),
            path: format!("{number:06}.png"),
            bytes: 1000 + number,
            mtime_ns: 1,
            outcome: FileOutcome::Cells,
            reason: None,
        }),
        cells: vec![CellCommit {
            crops: (0..46).map(|i| Crop { chromosome: i, png: vec![i as u8; 2000] }).collect(),
            thumbnail: Some(vec![1, 2, 3]),
            image: None,
            cell,
        }],
        ..FrameCommit::default()
    }
}

fn open(folder: &Path) -> Store {
    Store::open(folder, StoreOptions::default()).unwrap()
}

fn shell(folder: &Path, statement: &str) -> Option<String> {
    let output = match Command::new("sqlite3").arg(folder.join(DATABASE)).arg(statement).output() {
        Ok(output) => output,
        Err(_) => {
            eprintln!("SKIPPED: needs the sqlite3 shell");
            return None;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[test]
fn a_frame_comes_back_as_it_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let image = store.images().keep("f1", "png", "2026-11-22T23:59:59Z".parse().unwrap(), b"pixels").unwrap();
    let mut first = frame(1, Some("K-17"), Verdict::Abnormal);
    first.cells[0].image = Some(image);
    assert_eq!(store.commit(&[first.clone(), frame(2, None, Verdict::Normal)]).unwrap().cells, 2);

    let reader = StoreReader::open(folder.path()).unwrap();
    let id = first.cells[0].cell.cell;
    assert_eq!(reader.cell(id).unwrap().unwrap().cell().unwrap(), first.cells[0].cell);
    assert_eq!(reader.crops(id).unwrap().len(), 46);
    assert_eq!(reader.crop(id, 45).unwrap().unwrap(), vec![45; 2000]);
    assert_eq!(reader.thumbnail(id).unwrap().unwrap(), [1, 2, 3]);
    let picture = reader.image(id).unwrap().unwrap();
    assert!(picture.ends_with("images/2026-11-22/f1.png"), "{}", picture.display());
    assert_eq!(std::fs::read(picture).unwrap(), b"pixels");
    assert_eq!(reader.marks("scope").unwrap()["000002.png"].bytes, 1002);
    assert_eq!(reader.case("K-17").unwrap().unwrap().cells, 1);

    let abnormal = CellQuery { verdict: Some(Verdict::Abnormal), limit: 10, ..CellQuery::default() };
    assert_eq!(reader.cells(&abnormal).unwrap().len(), 1);
    let page = reader.cells(&CellQuery { limit: 1, ..CellQuery::default() }).unwrap();
    let rest = reader.cells(&CellQuery { limit: 9, after: Some(page[0].seq), ..CellQuery::default() }).unwrap();
    assert_eq!((page[0].id.as_str(), rest.len()), (id.to_string().as_str(), 1));
    let newest = reader.cells(&CellQuery { limit: 1, newest_first: true, ..CellQuery::default() }).unwrap();
    assert_eq!(newest, rest);

    let stats = reader.stats().unwrap();
    assert_eq!((stats.cells, stats.outbox, stats.images), ([1, 1, 0], 2, 1));
    assert_eq!(store.outbox_depth(), 2);
}

#[test]
fn one_file_has_one_reading() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.commit(&[frame(1, Some("K-17"), Verdict::Normal)]).unwrap();
    // The same file again, as another frame with another cell, beside one that is new.
    let again = FrameCommit { mark: frame(1, None, Verdict::Normal).mark, ..frame(5, Some("K-17"), Verdict::Abnormal) };
    let done = store.commit(&[again.clone(), frame(2, None, Verdict::Normal)]).unwrap();
    assert_eq!((done.cells, &done.read_before[..]), (1, &[0][..]));
    let stats = store.reader().stats().unwrap();
    assert_eq!((stats.cells, store.outbox_depth()), ([2, 0, 0], 2));
    // A file that has changed is another one.
    let mut changed = again;
    changed.mark.as_mut().unwrap().mtime_ns += 1;
    assert_eq!(store.commit(&[changed]).unwrap().read_before, [0; 0]);
    assert_eq!(store.reader().stats().unwrap().cells, [2, 1, 0]);
}

#[test]
fn attempts_that_do_not_end_are_counted_over_restarts_for_the_same_file_only() {
    let folder = tempfile::tempdir().unwrap();
    let stamp = |mtime_ns| FileStamp { bytes: 10, mtime_ns };
    for before in 0..3 {
        let store = open(folder.path());
        assert_eq!(store.begin_attempt("scope", "a.png", stamp(1)).unwrap(), before);
        assert_eq!(store.begin_attempt("other", "a.png", stamp(1)).unwrap(), 0);
        store.end_attempt("other", "a.png").unwrap();
    }
    let store = open(folder.path());
    assert_eq!(store.begin_attempt("scope", "a.png", stamp(2)).unwrap(), 0, "it has changed");
    store.end_attempt("scope", "a.png").unwrap();
    assert_eq!(store.begin_attempt("scope", "a.png", stamp(2)).unwrap(), 0);
}

#[test]
fn a_second_daemon_is_told_to_try_again_and_readers_are_not_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    assert!(matches!(Store::open(folder.path(), StoreOptions::default()), Err(StoreError::InUse(_))));
    StoreReader::open(folder.path()).unwrap();
    drop(store);
    open(folder.path());
}

/// Not a test of its own: the process that the next test kills.
#[test]
#[ignore = "started by a_killed_daemon_loses_nothing_that_was_committed"]
fn child_that_commits_until_it_is_killed() {
    let Some(folder) = std::env::var_os("METAPHASED_TEST_STORE") else { return };
    let store = open(Path::new(&folder));
    for batch in 0_u64.. {
        let frames: Vec<_> = (0..5).map(|i| frame(batch * 5 + i, Some("K"), Verdict::Normal)).collect();
        store.commit(&frames).unwrap();
        for frame in frames {
            println!("committed {}", frame.cells[0].cell.cell);
        }
    }
}

#[test]
fn a_killed_daemon_loses_nothing_that_was_committed() {
    for cells_before_kill in [7, 60, 123] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["store::child_that_commits_until_it_is_killed", "--exact", "--ignored", "--nocapture"])
            .env("METAPHASED_TEST_STORE", folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut told = HashSet::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let note = |line: String, told: &mut HashSet<String>| {
            // The test harness writes its own words before the first line.
            if let Some((_, id)) = line.split_once("committed ") {
                told.insert(id.to_owned());
            }
        };
        while told.len() < cells_before_kill {
            note(lines.next().expect("the child runs until it is killed").unwrap(), &mut told);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            note(line, &mut told);
        }

        let store = open(folder.path());
        let reader = store.reader();
        let stored = reader.cells(&CellQuery { limit: usize::MAX, ..CellQuery::default() }).unwrap();
        let ids: HashSet<_> = stored.iter().map(|row| row.id.clone()).collect();
        assert!(told.is_subset(&ids), "{} told, {} stored", told.len(), ids.len());
        // Cells, messages and marks stand or fall together.
        assert_eq!(stored.len() % 5, 0, "whole batches only");
        assert_eq!(reader.outbox_after(0, usize::MAX).unwrap().len(), stored.len());
        assert_eq!(reader.marks("scope").unwrap().len(), stored.len());
        for row in &stored {
            assert_eq!(reader.crops(row.id.parse().unwrap()).unwrap().len(), 46);
        }
        drop(store);
        assert!(matches!(shell(folder.path(), "PRAGMA integrity_check").as_deref(), None | Some("ok")));
    }
}

#[test]
fn the_sqlite3_shell_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.commit(&[frame(1, Some("K-17"), Verdict::Abnormal)]).unwrap();
    let Some(line) = shell(
        folder.path(),
        "SELECT case_id, verdict, iscn, detected, json_extract(document, '$.chromosomes[45].class') FROM cells",
    ) else {
        return;
    };
    assert_eq!(line, "K-17|abnormal|46,XX|46|X");
}

#[test]
fn a_full_outbox_refuses_what_must_not_be_lost_and_drops_the_oldest_of_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), StoreOptions { outbox_cap: 3, quota: None }).unwrap();
    let live = |number| {
        let mut frame = frame(number, None, Verdict::Normal);
        frame.messages[0].droppable = true;
        frame
    };
    store.commit(&[frame(1, None, Verdict::Normal), live(2), live(3)]).unwrap();
    // Freshest: the oldest live message goes, the one of the lossless source stays.
    assert_eq!(store.commit(&[live(4)]).unwrap().dropped, 1);
    let ids: Vec<_> = store.reader().outbox_after(0, 9).unwrap().iter().map(|row| row.id).collect();
    assert_eq!(ids, [1, 3, 4]);
    // Lossless: live messages make room first, then it is refused whole.
    let lossless = [frame(5, None, Verdict::Normal), frame(6, None, Verdict::Normal)];
    assert_eq!(store.commit(&lossless).unwrap().dropped, 2);
    let refused = store.commit(&[frame(7, None, Verdict::Normal)]);
    assert!(matches!(refused, Err(StoreError::OutboxFull { depth: 3, cap: 3 })), "{refused:?}");
    assert_eq!(store.reader().stats().unwrap().cells[0], 6, "a refused cell is not stored either");
    // A live cell is stored even then; its message goes unsent and is counted.
    assert_eq!(store.commit(&[live(8)]).unwrap().dropped, 1);
    assert_eq!(store.outbox_depth(), 3);

    assert!(!store.wait_for_outbox_space(Duration::from_millis(20)));
    let waiting = std::thread::spawn({
        let store = store.clone();
        move || store.wait_for_outbox_space(Duration::from_secs(10))
    });
    store.acknowledge(&[1, 1]).unwrap();
    assert!(waiting.join().unwrap(), "an acknowledged message makes room");
    store.commit(&[frame(7, None, Verdict::Normal)]).unwrap();
    drop(store);
    assert_eq!(open(folder.path()).outbox_depth(), 3, "the depth is known again after a restart");
}

#[test]
fn retained_topics_keep_their_latest_value_and_the_outbox_goes_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let latest = |topic: &str, payload: &str| Latest {
        topic: topic.into(),
        payload: Some(payload.into()),
        case: Some("K".into()),
    };
    store
        .commit(&[FrameCommit {
            latest: vec![latest("case/K", "{\"cells\":1}"), latest("dose/K", "{}"), latest("case/K", "{\"cells\":2}")],
            messages: vec![Message {
                topic: "alarm".into(),
                payload: "{\"raised\":true}".into(),
                retain: true,
                droppable: false,
                case: None,
            }],
            ..FrameCommit::default()
        }])
        .unwrap();
    let reader = store.reader();
    let rows = reader.latest_after(0, 9).unwrap();
    let seen: Vec<_> = rows.iter().map(|row| (row.topic.as_str(), row.payload.as_deref().unwrap())).collect();
    assert_eq!(seen, [("dose/K", "{}"), ("case/K", "{\"cells\":2}")], "the alarm still waits in the outbox");
    assert_eq!(reader.case("K").unwrap().unwrap().state.unwrap(), "{\"cells\":2}");
    store.acknowledge(&[1]).unwrap();
    assert_eq!(reader.latest_after(0, 9).unwrap().len(), 3, "later connections are given the alarm again");
    assert!(reader.latest_after(rows[1].change, 9).unwrap().iter().all(|row| row.topic == "alarm"));
}

#[test]
fn a_review_makes_a_revision_and_an_audit_line_that_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let first = frame(1, Some("K"), Verdict::Abnormal);
    store.commit(std::slice::from_ref(&first)).unwrap();
    let mut cell = first.cells[0].cell.clone();
    cell.revision = 2;
    cell.karyotype.verdict = Verdict::Normal;
    let review = ReviewRecord {
        time: "2026-11-22T17:00:00Z".into(),
        by: "kb".into(),
        cell: Some(cell.cell),
        case: Some("K".into()),
        revision: Some(2),
        change: "verdict abnormal -> normal".into(),
        old: Some("\"abnormal\"".into()),
        new: Some("\"normal\"".into()),
        ..ReviewRecord::default()
    };
    let follow = FrameCommit { messages: vec![message(&cell)], ..FrameCommit::default() };
    store.review(&review, Some(&cell), &follow).unwrap();
    let again = store.review(&review, Some(&cell), &follow);
    assert!(matches!(again, Err(StoreError::Conflict { found: 2, expected: 1, .. })), "{again:?}");
    assert_eq!(store.commit(std::slice::from_ref(&first)).unwrap().read_before, [0], "its file has a reading");
    let first = FrameCommit { mark: None, ..first };
    assert!(matches!(store.commit(&[first]), Err(StoreError::Stale { .. })), "an old revision overwrites nothing");

    let reader = store.reader();
    assert_eq!(reader.cell(cell.cell).unwrap().unwrap().cell().unwrap(), cell);
    assert_eq!(reader.crops(cell.cell).unwrap().len(), 46, "the pictures stay");
    assert_eq!(reader.reviews_of_case("K").unwrap(), [review]);
    assert_eq!(store.outbox_depth(), 2);
    drop(store);
    for statement in ["UPDATE reviews SET by = 'x'", "DELETE FROM reviews"] {
        let done = Command::new("sqlite3").arg(folder.path().join(DATABASE)).arg(statement).status();
        assert!(done.is_err() || !done.unwrap().success(), "{statement}");
    }
}

#[test]
fn an_erased_case_leaves_no_byte_behind() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let secret = "PATIENT-4711";
    let image = store.images().keep("secret", "png", "2026-11-22T10:00:00Z".parse().unwrap(), b"x").unwrap();
    let review = ReviewRecord { by: "kb".into(), old: Some("1".into()), ..ReviewRecord::default() };
    for number in 0..400 {
        let mut frame = frame(number, Some(if number % 2 == 0 { secret } else { "other" }), Verdict::Normal);
        frame.latest.push(Latest {
            topic: format!("case/{}", frame.cells[0].cell.case.as_deref().unwrap()),
            payload: Some("{}".into()),
            case: frame.cells[0].cell.case.clone(),
        });
        if number == 0 {
            frame.cells[0].image = Some(image.clone());
        }
        frame.cells[0].crops.truncate(number as usize % 7);
        frame.cells[0].cell.chromosomes.truncate(number as usize * 7 % 46);
        store.commit(std::slice::from_ref(&frame)).unwrap();
        // Acknowledged messages and earlier revisions leave free space behind, where old words could stay.
        store.acknowledge(&[number as i64 - 20]).unwrap();
        if number % 3 == 0 {
            let mut cell = frame.cells.remove(0).cell;
            cell.revision += 1;
            cell.chromosomes.clear();
            store
                .review(
                    &ReviewRecord { case: cell.case.clone(), ..review.clone() },
                    Some(&cell),
                    &FrameCommit::default(),
                )
                .unwrap();
        }
    }
    store.set_subject(secret, Some("{\"age\":34}")).unwrap();
    let erased = store.erase_case(secret, "kb").unwrap();
    assert_eq!((erased.cells, erased.images), (200, 1));
    assert!(matches!(store.erase_case(secret, "kb"), Err(StoreError::NoSuchCase(_))));
    let reader = store.reader();
    assert_eq!((reader.case("other").unwrap().unwrap().cells, store.outbox_depth()), (200, 11));
    assert!(!folder.path().join("images/2026-11-22/secret.png").exists());
    let cleared: Vec<_> = reader.latest_after(0, 9).unwrap().into_iter().filter(|row| row.payload.is_none()).collect();
    assert_eq!(cleared[0].topic, format!("case/{secret}"), "the broker's copy must go first");
    store.forget_cleared(&[cleared[0].change]).unwrap();
    assert_eq!(reader.latest_after(0, 9).unwrap().len(), 1);
    drop((store, reader));

    let bytes = std::fs::read(folder.path().join(DATABASE)).unwrap();
    assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} is still in the file");
    assert!(!bytes.windows(8).any(|window| window == b"\"age\":34"), "subject data are still in the file");
}

/// A find on a slide.
fn spread(slide: &str, case: &str, x: f64) -> SpreadRow {
    let found = json!({
        "stage_um": { "x": x, "y": 0.0 }, "size_um": [50.0, 50.0], "score": 0.5,
        "quality": { "focus": 0.5, "metaphase": 0.5, "spread": 0.5 }, "cut": false, "source": "stage", "frame": 1,
        "trigger": format!("event of {case}"), "time": "2026-11-22T10:00:00Z",
    });
    SpreadRow { slide: slide.into(), case: Some(case.into()), source: "stage".into(), document: found.to_string() }
}

fn records(store: &Store) -> RecordService {
    let settings = CaseBookSettings::from_config(&Config::default()).unwrap();
    RecordService {
        store: store.clone(),
        cases: CaseBook::new(settings, store.clone()),
        karyotype: karyotype::FittedSettings::default(),
        scorer: None,
        hub: LiveHub::new([]),
    }
}

#[test]
fn an_erased_case_leaves_the_documents_of_its_slides_and_its_waiting_frames() {
    const NOW: &str = "2026-11-22T10:00:00Z";
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut cells: Vec<FrameCommit> =
        ["K-17", "K-18"].iter().zip(1..).map(|(case, number)| frame(number, Some(case), Verdict::Normal)).collect();
    // The last find of the common slide is another case's, under which its document is kept.
    cells[0].spreads = vec![spread("both 1", "K-17", 0.0), spread("alone", "K-17", 0.0)];
    cells[1].spreads = vec![spread("both 1", "K-18", 900.0)];
    store.commit(&cells).unwrap();
    records(&store).catch_up(NOW).unwrap();
    let latest = |topic: &str| store.reader().latest(topic).unwrap();
    assert!(latest("slide/both%201").unwrap().contains("event of K-17") && latest("slide/alone").is_some());

    let mut pushed = store.spool().create().unwrap();
    std::io::Write::write_all(&mut pushed.file, b"a frame").unwrap();
    let path = pushed.path();
    let trigger = TriggerRow {
        id: "t".into(),
        source: "stage".into(),
        case: Some("K-17".into()),
        facts: "{}".into(),
        ..TriggerRow::default()
    };
    store.begin_trigger(&trigger, Some(pushed)).unwrap();
    let awaits = |source: &str, case: &str| store.reader().awaits_answer(source, case).unwrap();
    assert_eq!([awaits("stage", "K-17"), awaits("stage", "K-18"), awaits("scope", "K-17")], [true, false, false]);

    // As after a restart: nothing of the slides has been read.
    let erase = RecordCommand::Erase { by: "kb".into(), case: "K-17".into() };
    records(&store).execute(&erase, NOW).unwrap();
    assert!(!path.exists(), "its frame is still in the spool");
    assert!(!awaits("stage", "K-17"));
    let kept = latest("slide/both%201").unwrap();
    assert!(!kept.contains("event of K-17") && kept.contains("event of K-18"), "{kept}");
    assert_eq!(latest("slide/alone"), None, "it is withdrawn");
    assert_eq!(store.reader().meta(&Store::slide_key("alone")).unwrap(), None);
    assert!(store.reader().slides_behind().unwrap().is_empty());
    let rows = store.reader().latest_after(0, 99).unwrap();
    assert!(rows.iter().all(|row| !row.payload.as_deref().unwrap_or_default().contains("event of K-17")));
}

#[test]
fn the_quota_takes_the_oldest_pictures_first_then_crops_of_normal_cells_and_never_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), StoreOptions { quota: Some(6_000_000), ..StoreOptions::default() }).unwrap();
    for number in 0..40 {
        let verdict = if number < 5 { Verdict::Abnormal } else { Verdict::Normal };
        let mut frame = frame(number, None, verdict);
        let time = "2026-11-22T10:00:00Z".parse().unwrap();
        let picture = store.images().keep(&format!("f{number:02}"), "png", time, &[0; 100_000]).unwrap();
        frame.cells[0].image = Some(picture);
        store.commit(&[frame]).unwrap();
    }
    let done = store.enforce_quota().unwrap();
    let cell = |number: u64| sample_cell(number, None, Verdict::Normal).cell;
    let reader = store.reader();
    assert!(done.images > 0 && done.bytes <= 6_000_000 && done.over == 0, "{done:?}");
    assert!(reader.image(cell(0)).unwrap().is_none(), "the oldest went");
    let newest = reader.image(cell(39)).unwrap().unwrap();
    assert!(done.crops > 0 || newest.exists(), "the newest stays as long as pictures are enough");
    let files = std::fs::read_dir(folder.path().join("images/2026-11-22")).unwrap().count() as u64;
    assert_eq!(files, 40 - done.images, "rows and files agree");
    drop((store, reader));

    let store = Store::open(folder.path(), StoreOptions { quota: Some(1), ..StoreOptions::default() }).unwrap();
    let done = store.enforce_quota().unwrap();
    assert!(done.crops == 35 * 46 && done.over > 0, "what cannot go is told: {done:?}");
    assert_eq!(store.reader().crops(cell(0)).unwrap().len(), 46, "crops of abnormal cells stay");
    assert_eq!(store.reader().stats().unwrap().cells, [35, 5, 0]);
}

#[test]
fn a_message_that_is_set_aside_comes_back_to_its_place_and_goes_with_its_case() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.commit(&[frame(1, Some("K-17"), Verdict::Normal), frame(2, None, Verdict::Normal)]).unwrap();
    let before = store.reader().outbox_after(0, 9).unwrap();
    assert_eq!(store.set_aside(&[(before[0].id, "too large".into())]).unwrap(), 1);
    assert_eq!((store.reader().outbox_after(0, 9).unwrap(), store.outbox_depth()), (before[1..].to_vec(), 1));
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.take_back_set_aside().unwrap(), 1);
    assert_eq!((store.reader().outbox_after(0, 9).unwrap(), store.outbox_depth()), (before.clone(), 2));
    store.set_aside(&[(before[0].id, "too large".into())]).unwrap();
    store.erase_case("K-17", "kb").unwrap();
    assert_eq!((store.take_back_set_aside().unwrap(), store.outbox_depth()), (0, 1));
}

#[test]
fn pictures_without_a_cell_are_swept_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let time = "2026-11-22T10:00:00Z".parse().unwrap();
    let kept = store.images().keep("kept", "png", time, b"x").unwrap();
    store.images().keep("orphan", "png", time, b"x").unwrap();
    std::fs::write(folder.path().join("images/half.png.part"), b"x").unwrap();
    let mut frame = frame(1, None, Verdict::Normal);
    frame.cells[0].image = Some(kept);
    store.commit(&[frame]).unwrap();
    drop(store);
    open(folder.path());
    assert!(folder.path().join("images/2026-11-22/kept.png").exists());
    assert!(!folder.path().join("images/2026-11-22/orphan.png").exists());
    assert!(!folder.path().join("images/half.png.part").exists());
}

#[test]
fn a_database_of_another_program_or_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(DATABASE), b"this is no database at all, just some text").unwrap();
    let refused = Store::open(folder.path(), StoreOptions::default()).unwrap_err().to_string();
    assert!(refused.contains("not a database"), "{refused}");

    let bytes = |folder: &Path| std::fs::read(folder.join(DATABASE)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    if shell(folder.path(), "CREATE TABLE music (title TEXT)").is_none() {
        return;
    }
    let before = bytes(folder.path());
    assert!(matches!(Store::open(folder.path(), StoreOptions::default()), Err(StoreError::Foreign { found: 0, .. })));
    assert!(bytes(folder.path()) == before, "not a byte is changed");

    let folder = tempfile::tempdir().unwrap();
    open(folder.path());
    shell(folder.path(), "PRAGMA user_version = 9999");
    let before = bytes(folder.path());
    let refused = Store::open(folder.path(), StoreOptions::default());
    assert!(matches!(refused, Err(StoreError::TooNew { found: 9999, .. })), "{refused:?}");
    assert!(bytes(folder.path()) == before, "not a byte is changed");
    assert!(matches!(StoreReader::open(folder.path()), Err(StoreError::TooNew { .. })));
}

#[test]
fn every_frozen_schema_migrates_with_its_rows() {
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/frozen");
    let mut dumps: Vec<_> = std::fs::read_dir(frozen).unwrap().map(|entry| entry.unwrap().path()).collect();
    dumps.sort();
    assert_eq!(dumps.len() as i64, metaphased::store::SCHEMA_VERSION, "one dump for each schema that ever landed");
    for dump in dumps {
        let folder = tempfile::tempdir().unwrap();
        let script = std::fs::read_to_string(&dump).unwrap();
        if shell(folder.path(), &script).is_none() {
            return;
        }
        let store = open(folder.path());
        let cells = store.reader().cells_of_case("K-17").unwrap();
        assert_eq!(cells.len(), 1, "{}", dump.display());
        assert_eq!(cells[0].cell().unwrap().cell, sample_cell(1, None, Verdict::Normal).cell);
        store.commit(&[frame(2, Some("K-17"), Verdict::Normal)]).unwrap();
        assert_eq!(store.reader().outbox_after(0, 9).unwrap().len(), 2);
        assert_eq!(shell(folder.path(), "PRAGMA integrity_check").unwrap(), "ok");
    }
}

/// Messages of so many bytes in one transaction.
fn bulk(bytes: usize) -> FrameCommit {
    let message = Message {
        topic: "cell".into(),
        payload: "x".repeat(bytes / 64),
        retain: false,
        droppable: false,
        case: Some("K-17".into()),
    };
    FrameCommit { messages: vec![message; 64], ..FrameCommit::default() }
}

#[test]
fn the_log_stays_short_beside_commits_without_a_pause() {
    const MIB: u64 = 1 << 20;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let log = store.reader().log_counts();
    let on_the_disk = || std::fs::metadata(folder.path().join(format!("{DATABASE}-wal"))).unwrap().len();
    for _ in 0..20 {
        store.commit(&[bulk(8 << 20)]).unwrap();
        assert!(log.bytes() < 73 * MIB && on_the_disk() < 74 * MIB, "{log:?}, {} bytes", on_the_disk());
    }
    assert!(log.by_thread() + log.by_commit() > 0, "{log:?}");
    // Whoever reads the old state for long lets it grow: commits go on, and each tries to copy it.
    let reading = rusqlite::Connection::open(folder.path().join(DATABASE)).unwrap();
    reading.execute_batch("BEGIN; SELECT count(*) FROM outbox").unwrap();
    let before = log.by_commit();
    for _ in 0..10 {
        store.commit(&[bulk(8 << 20)]).unwrap();
    }
    assert!(log.bytes() >= 80 * MIB && log.by_commit() > before, "{log:?}");
    drop(reading);
    store.commit(&[bulk(MIB as usize)]).unwrap();
    store.commit(&[bulk(MIB as usize)]).unwrap();
    assert!(log.bytes() < 3 * MIB && on_the_disk() <= 64 * MIB, "{log:?}, {} bytes", on_the_disk());
    store.checkpoint().unwrap();
    assert_eq!((log.bytes(), on_the_disk()), (0, 0));
    let Some(rows) = shell(folder.path(), "SELECT count(*) FROM outbox") else { return };
    assert_eq!(rows, (32 * 64).to_string());
    assert_eq!(shell(folder.path(), "PRAGMA integrity_check").unwrap(), "ok");
}

/// Every kind of cell that the lists of the dicentric assay tell apart, and one of no such assay.
fn scored_cells() -> Vec<Cell> {
    let mut cells = vec![sample_cell(0, Some("K-17"), Verdict::Normal)];
    for bits in 0..256u64 {
        let is = |bit: u64| (bits >> bit) & 1 == 1;
        let counts = AberrationCounts {
            monocentrics: if is(0) { 46 } else { 40 },
            dicentrics: u32::from(is(1)),
            unclear: 2 * u32::from(is(2)),
            ..AberrationCounts::default()
        };
        let by = if is(3) { ScoredBy::Machine } else { ScoredBy::Review };
        let record = counts.record([46, 48], is(4).then_some(is(5)), by);
        let mut cell = sample_cell(bits + 1, Some("K-17"), Verdict::NotAssessable);
        cell.dicentric = Some(DicentricRecord {
            not_scored: is(6).then(|| "no outlines".into()),
            not_selected: (is(5) && !is(4)).then(|| "51 pieces".into()),
            ..record
        });
        let exclusion =
            || Exclusion { by: "kb".into(), time: "2026-11-30T08:00:00Z".into(), reason: "two cells".into() };
        cell.excluded = is(7).then(exclusion);
        cells.push(cell);
    }
    cells
}

#[test]
fn cells_of_a_store_of_schema_5_stand_in_the_same_lists() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let commit = |cell| CellCommit { cell, crops: Vec::new(), thumbnail: None, image: None };
    let cells = scored_cells().into_iter().map(commit).collect();
    store.commit(&[FrameCommit { cells, ..FrameCommit::default() }]).unwrap();
    store.checkpoint().unwrap();
    let lists = "SELECT seq, counted, to_review FROM cells ORDER BY seq";
    let Some(written) = shell(folder.path(), lists) else { return };
    assert!(["|0|1", "|1|1", "|0|0", "|1|0", "1||"].iter().all(|kind| written.contains(kind)), "{written}");
    drop(store);
    shell(
        folder.path(),
        "DROP INDEX outbox_retained; DROP INDEX outbox_droppable; DROP INDEX outbox_by_case; DROP INDEX cells_by_file;
         DROP INDEX marks_rejected;
         DROP INDEX cells_with_dicentrics; DROP INDEX cells_to_review; DROP INDEX cells_not_counted;
         ALTER TABLE cells DROP COLUMN counted; ALTER TABLE cells DROP COLUMN to_review; PRAGMA user_version = 5",
    );
    open(folder.path()).checkpoint().unwrap();
    assert_eq!(shell(folder.path(), lists).unwrap(), written);
}

/// Writes the dump of the current schema for the test above: run once when a schema lands.
#[test]
#[ignore = "makes tests/store/frozen/N.sql when a new schema lands"]
fn freeze_the_schema() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut frame = frame(1, Some("K-17"), Verdict::Abnormal);
    frame.cells[0].crops = vec![Crop { chromosome: 0, png: vec![7; 20] }];
    store.commit(&[frame]).unwrap();
    store.checkpoint().unwrap();
    let version = metaphased::store::SCHEMA_VERSION;
    let head = shell(
        folder.path(),
        "SELECT 'PRAGMA user_version = ' || user_version || '; PRAGMA application_id = ' \
        || application_id || ';' FROM pragma_user_version, pragma_application_id",
    );
    let dump = shell(folder.path(), ".dump").unwrap();
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/store/frozen/{version}.sql"));
    std::fs::write(target, format!("{dump}\n{}\n", head.unwrap())).unwrap();
}
