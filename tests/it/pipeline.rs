//! The pipeline's guarantees, tested on its own stages: nothing is lost, no source starves, failures are reported.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, Instant},
};

use crate::pipeline_support::{Bench, Scripted, Step, frames};
use metaphased::{
    clock::{ManualClock, SystemClock},
    config::Mode,
    pipeline::{
        edges::{CAPTURE_TRIAGE, TRIAGE_RECOGNISE, places},
        stages::recognise::Share,
        supervisor::{Finding, HANGS_AFTER, supervise},
    },
    station::Level,
    store::{CellQuery, FileMark, FileOutcome, FrameCommit, Store, StoreOptions},
};

#[test]
fn a_cell_that_comes_alone_waits_for_no_other() {
    let (show, shown) = mpsc::channel();
    let step = move || match shown.try_recv() {
        Ok(level) => Step::Level(level),
        Err(mpsc::TryRecvError::Empty) => Step::Wait,
        Err(mpsc::TryRecvError::Disconnected) => Step::End,
    };
    let bench = Bench::start_with(2, vec![Scripted::new("folder", Mode::Lossless, step)], SystemClock);
    let time_of = |n| {
        let begun = Instant::now();
        show.send(40).expect("it looks");
        bench.until("the cell", |b| b.counts("folder").stored == n);
        begun.elapsed()
    };
    // The shortest of many: on a busy machine each may take its time.
    let shortest = (1..=40).map(time_of).min();
    assert!(shortest < Some(Duration::from_millis(20)), "{shortest:?}: transactions once gathered for 20 ms");
}

#[test]
fn every_file_of_a_lossless_source_becomes_a_stored_cell_in_order() {
    let bench = Bench::start(vec![Scripted::new("folder", Mode::Lossless, frames(60))], SystemClock);
    bench.until("the end", |b| b.pipeline.is_finished());
    let counts = bench.counts("folder");
    assert!(counts.adds_up(), "{counts:?}");
    assert_eq!((counts.accepted, counts.stored, counts.in_flight), (60, 60, 0));
    let marks = bench.store.reader().marks("folder").expect("marks");
    assert_eq!(marks.len(), 60);
    let page = bench.store.reader().cells(&CellQuery { limit: 100, ..CellQuery::default() }).expect("cells");
    let files: Vec<String> =
        page.iter().map(|row| row.cell().expect("a record").captured.file.expect("a file")).collect();
    assert!(files.len() == 60 && files.is_sorted(), "{files:?}");
}

#[test]
fn a_folder_that_never_waits_does_not_starve_a_live_camera() {
    for workers in [1, 3] {
        a_folder_and_a_camera_take_turns(workers);
    }
}

fn a_folder_and_a_camera_take_turns(workers: usize) {
    let order = Arc::new(Mutex::new(Vec::new()));
    let [gate, ends] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let shown = Arc::new(AtomicU32::new(0));
    let watched = |name: &'static str, mode| {
        let (order, gate, ends, seen) = (order.clone(), gate.clone(), ends.clone(), shown.clone());
        let shown = shown.clone();
        let step = move || {
            shown.fetch_add(u32::from(name == "camera"), SeqCst);
            Step::Level(40)
        };
        Scripted::new(name, mode, step).networks(move |_, _| {
            let wait = |until: &dyn Fn() -> bool| {
                while !until() && !ends.load(SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            };
            // Nothing is recognised before both sources have frames waiting.
            wait(&|| gate.load(SeqCst));
            order.lock().expect("no panic").push(name);
            // Until the camera, which waits for nobody, has shown one and begun the next: however busy the machine, one is there then.
            let before = seen.load(SeqCst);
            wait(&|| seen.load(SeqCst) >= before + 2);
            Ok(())
        })
    };
    let sources = vec![watched("folder", Mode::Lossless), watched("camera", Mode::Freshest)];
    let bench = Bench::start_with(workers, sources, SystemClock);
    bench.until("both waiting", |b| b.counts("folder").accepted > 8 && b.counts("camera").accepted > 8);
    gate.store(true, SeqCst);
    bench.until("forty cells", |_| order.lock().expect("no panic").len() >= 40);
    // Those that were taken before both waited do not count.
    let seen = order.lock().expect("no panic")[workers..workers + 32].to_vec();
    let camera = seen.iter().filter(|name| **name == "camera").count();
    assert!((12..=20).contains(&camera), "the camera came {camera} times of 32: {seen:?}");
    ends.store(true, SeqCst);
    bench.pipeline.stop(Duration::from_secs(20));
    for (name, ledger) in bench.health.ledgers() {
        let counts = ledger.counts();
        assert!(counts.adds_up(), "{name}: {counts:?}");
    }
}

#[test]
fn a_panic_costs_its_frame_and_nothing_else() {
    let seen = AtomicU32::new(0);
    let source = Scripted::new("folder", Mode::Lossless, frames(10)).network(move |_| {
        assert!(seen.fetch_add(1, SeqCst) != 3, "the fourth frame breaks the network");
        Ok(())
    });
    let bench = Bench::start(vec![source], SystemClock);
    bench.until("the end", |b| b.pipeline.is_finished());
    let counts = bench.counts("folder");
    assert_eq!((counts.accepted, counts.stored, counts.rejected_total()), (10, 9, 1), "{counts:?}");
    assert_eq!(counts.rejected.get("stage_failed"), Some(&1));
    let state = bench.health.state(String::new());
    assert_eq!(state.stages["recognise"].restarts, 1);
}

/// Names of the files from `first` to `last`.
fn files(first: u32, last: u32) -> Vec<String> {
    (first..=last).map(|n| format!("{n:04}.png")).collect()
}

#[test]
fn workers_of_uneven_speed_leave_the_order_of_a_source_as_it_was() {
    let done = Mutex::new(BTreeSet::new());
    let source = Scripted::new("folder", Mode::Lossless, frames(40)).networks(move |frame, _| {
        let number = frame.info.id.0;
        // Every fifth frame takes as long as the three behind it.
        if number % 5 == 1 {
            until(|| (number + 1..=number + 3).all(|n| done.lock().expect("no panic").contains(&n)));
        }
        done.lock().expect("no panic").insert(number);
        Ok(())
    });
    let bench = Bench::start_with(4, vec![source], SystemClock);
    bench.until("the end", |b| b.pipeline.is_finished());
    assert_eq!(bench.counts("folder").stored, 40);
    assert_eq!(bench.stored(), files(1, 40));
}

#[test]
fn a_panic_of_one_worker_costs_its_frame_and_the_others_go_on() {
    let source = Scripted::new("folder", Mode::Lossless, frames(20)).networks(move |frame, _| {
        assert!(frame.info.id.0 != 4, "the fourth frame breaks the network");
        Ok(())
    });
    let bench = Bench::start_with(3, vec![source], SystemClock);
    bench.until("the end", |b| b.pipeline.is_finished());
    let counts = bench.counts("folder");
    assert_eq!((counts.stored, counts.rejected.get("stage_failed")), (19, Some(&1)), "{counts:?}");
    assert_eq!(bench.stored(), [files(1, 3), files(5, 20)].concat());
    assert_eq!(bench.health.state(String::new()).stages["recognise"].restarts, 1);
}

#[test]
fn a_worker_that_hangs_is_reported_and_a_bounded_number_of_frames_waits_for_its_own() {
    let clock = ManualClock::default();
    let (release, held) = mpsc::channel::<()>();
    let (held, others) = (Mutex::new(held), Arc::new(AtomicU32::new(0)));
    let passed = others.clone();
    let source = Scripted::new("folder", Mode::Lossless, frames(200)).networks(move |frame, _| {
        if frame.info.id.0 == 1 {
            held.lock().expect("no panic").recv().expect("the test releases it");
        } else {
            passed.fetch_add(1, SeqCst);
        }
        Ok(())
    });
    let bench = Bench::start_with(2, vec![source], clock.clone());
    let most = places(4) as u32 - 1;
    // Behind them every edge is full, and capture and triage hold a frame each.
    let behind = CAPTURE_TRIAGE.capacity + TRIAGE_RECOGNISE.capacity + 2;
    let all = (places(4) + behind) as u64;
    // All others at rest, too: a stage that is at work just now, or still will be, would seem to hang from then on.
    bench.until("the others", |b| {
        others.load(SeqCst) == most
            && b.counts("folder").accepted == all
            && b.pipeline.monitors().iter().all(|m| m.name() == "recognise" || m.busy_for().is_none())
    });
    clock.advance(HANGS_AFTER);
    assert_eq!(supervise(bench.pipeline.monitors(), &bench.health), Finding::Hangs("recognise".into()));
    assert_eq!(
        (others.load(SeqCst), bench.counts("folder").stored),
        (most, 0),
        "what is done waits for the first frame"
    );
    release.send(()).expect("it waits");
    bench.until("the end", |b| b.pipeline.is_finished());
    assert_eq!(bench.stored(), files(1, 200));
}

#[test]
fn a_frame_that_comes_alone_has_all_threads_and_frames_that_queue_share_them() {
    let shares = Arc::new(Mutex::new(Vec::new()));
    let (show, shown) = mpsc::channel();
    let (release, held) = mpsc::channel::<()>();
    let (held, noted) = (Mutex::new(held), shares.clone());
    let step = move || match shown.try_recv() {
        Ok(level) => Step::Level(level),
        Err(mpsc::TryRecvError::Empty) => Step::Wait,
        Err(mpsc::TryRecvError::Disconnected) => Step::End,
    };
    let source = Scripted::new("folder", Mode::Lossless, step).networks(move |frame, share| {
        noted.lock().expect("no panic").push((frame.info.id.0, share));
        if frame.info.id.0 == 4 {
            let _ = held.lock().expect("no panic").recv();
        }
        Ok(())
    });
    let bench = Bench::start_with(2, vec![source], SystemClock);
    for n in 1..=3 {
        show.send(40).expect("it looks");
        bench.until("the cell", |b| b.counts("folder").stored == n);
    }
    // The fourth comes alone as well and takes its time: those behind it have the other worker.
    show.send(40).expect("it looks");
    bench.until("the fourth", |_| shares.lock().expect("no panic").len() == 4);
    (0..3).for_each(|_| show.send(40).expect("it looks"));
    bench.until("those behind the fourth", |_| shares.lock().expect("no panic").len() == 7);
    release.send(()).expect("it waits");
    drop(show);
    bench.until("the end", |b| b.pipeline.is_finished());
    let mut seen = shares.lock().expect("no panic").clone();
    seen.sort_unstable_by_key(|(frame, _)| *frame);
    let expected = [Share::All, Share::All, Share::All, Share::All, Share::Worker, Share::Worker, Share::Worker];
    assert_eq!(seen.iter().map(|(_, share)| *share).collect::<Vec<_>>(), expected);
}

#[test]
fn a_network_that_hangs_is_reported_after_its_time_limit() {
    let clock = ManualClock::default();
    let (release, held) = mpsc::channel::<()>();
    let source = Scripted::new("folder", Mode::Lossless, frames(1)).network(move |_| {
        held.recv().expect("the test releases it");
        Ok(())
    });
    let bench = Bench::start(vec![source], clock.clone());
    let monitor = bench.pipeline.monitors().iter().find(|h| h.name() == "recognise").expect("it has a monitor").clone();
    bench.until("the network to begin", |_| monitor.busy_for().is_some());
    assert_eq!(supervise(bench.pipeline.monitors(), &bench.health), Finding::Well);
    clock.advance(HANGS_AFTER);
    assert_eq!(supervise(bench.pipeline.monitors(), &bench.health), Finding::Hangs("recognise".into()));
    let reasons = bench.health.state(String::new()).reasons;
    assert_eq!(reasons, ["stage recognise: has worked on one frame for more than 30 s"]);
    release.send(()).expect("it waits");
    bench.until("the end", |b| b.pipeline.is_finished());
    assert_eq!(supervise(bench.pipeline.monitors(), &bench.health), Finding::Well);
    assert_eq!(bench.counts("folder").stored, 1);
}

#[test]
fn a_scene_that_a_live_camera_shows_for_many_frames_becomes_one_cell() {
    let clock = ManualClock::default();
    let (show, shown) = mpsc::channel();
    let mut source = Scripted::new("camera", Mode::Freshest, move || match shown.try_recv() {
        Ok(level) => Step::Level(level),
        Err(mpsc::TryRecvError::Empty) => Step::Wait,
        Err(mpsc::TryRecvError::Disconnected) => Step::End,
    });
    source.window = Some(Duration::from_millis(500));
    let bench = Bench::start(vec![source], clock.clone());
    for n in 1..=6 {
        show.send(40).expect("it looks");
        // One by one, so that none gives way to the next.
        bench.until("the frame", |b| {
            let counts = b.counts("camera");
            counts.accepted == n && counts.merged == n - 1
        });
    }
    assert_eq!(bench.counts("camera").stored, 0, "the window is open: the best of the scene is still sought");
    clock.advance(Duration::from_millis(500));
    bench.until("the cell", |b| b.counts("camera").stored == 1);
    let rows = bench.store.reader().cells(&CellQuery { limit: 1, ..CellQuery::default() }).expect("cells");
    let times = rows[0].cell().expect("a record").timing_ms;
    let stages = ["queue", "triage", "select", "recognise", "interpret"].map(|stage| times[stage]);
    assert_eq!(stages, [0.0, 0.0, 500.0, 0.0, 0.0], "by the clock of the test: {times:?}");
    show.send(111).expect("it looks");
    bench.until("the next scene", |b| b.counts("camera").accepted == 7);
    drop(show);
    bench.until("the end", |b| b.pipeline.is_finished());
    let counts = bench.counts("camera");
    assert_eq!((counts.merged, counts.stored), (5, 2), "{counts:?}");
    assert!(counts.adds_up());
}

#[test]
fn what_a_stop_cuts_off_is_counted_and_a_file_stays_unmarked() {
    let (release, held) = mpsc::channel::<()>();
    let source = Scripted::new("folder", Mode::Lossless, frames(30)).network(move |_| {
        // Until the test lets go; then at once.
        let _ = held.recv();
        Ok(())
    });
    let bench = Bench::start(vec![source], SystemClock);
    release.send(()).expect("it waits");
    bench.until("the first cell", |b| b.counts("folder").stored == 1);
    let ledger = bench.health.ledgers()["folder"].clone();
    let reader = bench.store.reader();
    let stopper = std::thread::spawn(move || bench.pipeline.stop(Duration::ZERO));
    drop(release);
    stopper.join().expect("it stops");
    let counts = ledger.counts();
    assert!(counts.adds_up(), "{counts:?}");
    let marks = reader.marks("folder").expect("marks");
    assert_eq!(marks.len() as u64, counts.stored, "a file is marked exactly when its cell is stored: {counts:?}");
    assert_eq!(counts.dropped_total() + counts.stored + counts.in_flight, counts.accepted);
}

#[test]
fn a_stage_that_hangs_is_abandoned_when_the_time_for_draining_is_over() {
    let clock = ManualClock::default();
    let (release, held) = mpsc::channel::<()>();
    let source = Scripted::new("folder", Mode::Lossless, frames(30)).network(move |_| {
        // Until the test lets go; then at once.
        let _ = held.recv();
        Ok(())
    });
    let bench = Bench::start(vec![source], clock.clone());
    bench.until("full queues", |b| b.counts("folder").accepted >= 8);
    let ledger = bench.health.ledgers()["folder"].clone();
    let limit = Duration::from_secs(8);
    let stopper = std::thread::spawn(move || bench.pipeline.stop(limit));
    until(|| clock.timers() == 1);
    clock.advance(limit);
    // The network lets go of its frame within the time that stages have to notice.
    until(|| clock.timers() == 1);
    drop(release);
    assert!(!stopper.join().expect("it stops"), "something was given up");
    let counts = ledger.counts();
    assert!(counts.adds_up() && counts.dropped.get("shutdown") >= Some(&5), "{counts:?}");
}

fn until(mut done: impl FnMut() -> bool) {
    let limit = std::time::Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(std::time::Instant::now() < limit, "it did not happen");
        std::thread::yield_now();
    }
}

#[test]
fn a_lost_source_is_opened_again_after_its_pause_and_a_stop_does_not_wait_for_it() {
    let clock = ManualClock::default();
    let mut fails = 2;
    let source = Scripted::new("camera", Mode::Lossless, move || {
        fails -= 1;
        if fails >= 0 { Step::Lost } else { Step::Wait }
    });
    let bench = Bench::start(vec![source], clock.clone());
    bench.until("the loss", |b| {
        clock.timers() == 1 && b.health.state(String::new()).sources["camera"].activity == "lost"
    });
    clock.advance(Duration::from_secs(1));
    bench.until("the second loss", |_| clock.timers() == 1);
    let reasons = bench.health.state(String::new()).reasons;
    assert_eq!(reasons, ["source camera: the cable is loose; trying again every 2 s"]);
    assert!(bench.pipeline.stop(Duration::from_secs(60)), "nobody turns the clock: the pause is cut short");
}

#[test]
fn a_file_that_has_a_reading_already_gives_no_second_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let mark = FileMark {
        source: "folder".into(),
        path: "0004.png".into(),
        bytes: 1,
        mtime_ns: 1,
        outcome: FileOutcome::Cells,
        reason: None,
    };
    let store = Store::open(folder.path(), StoreOptions::default()).expect("a store");
    store.commit(&[FrameCommit { mark: Some(mark), ..FrameCommit::default() }]).expect("a mark");
    drop(store);
    let source = Scripted::new("folder", Mode::Lossless, frames(10));
    let bench = Bench::start_in(folder, vec![source], SystemClock);
    bench.until("the end", |b| b.pipeline.is_finished());
    let counts = bench.counts("folder");
    assert_eq!((counts.accepted, counts.stored, counts.dropped.get("read_before")), (10, 9, Some(&1)), "{counts:?}");
    assert_eq!(bench.store.outbox_depth(), 9);
    let changes = bench.cases.changes("2026-11-22T12:00:00Z");
    let document = changes[0].commit.latest[0].payload.as_deref().expect("a document");
    assert!(document.contains(r#""seen":9"#), "{document}");
}

/// A store in which SQLite refuses every cell of the file `name`.
fn store_that_refuses(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    drop(Store::open(folder.path(), StoreOptions::default()).expect("a store"));
    let database = folder.path().join(metaphased::store::DATABASE);
    let connection = rusqlite::Connection::open(database).expect("it opens");
    let trigger = format!(
        "CREATE TRIGGER refuse BEFORE INSERT ON cells WHEN NEW.file = '{name}'
         BEGIN SELECT RAISE(ABORT, 'this row is refused'); END"
    );
    connection.execute_batch(&trigger).expect("a trigger");
    folder
}

#[test]
fn a_cell_that_can_never_be_stored_costs_its_frame_and_not_the_daemon() {
    let folder = store_that_refuses("0004.png");
    let source = Scripted::new("folder", Mode::Lossless, frames(10));
    let bench = Bench::start_in(folder, vec![source], SystemClock);
    bench.until("the end", |b| b.pipeline.is_finished());
    let counts = bench.counts("folder");
    assert_eq!((counts.accepted, counts.stored, counts.rejected_total()), (10, 9, 1), "{counts:?}");
    assert_eq!(counts.rejected.get("stage_failed"), Some(&1));
    let marks = bench.store.reader().marks("folder").expect("marks");
    assert_eq!(marks.len(), 10, "its file is marked like that of any other stage failure");
    let mark = &marks["0004.png"];
    assert_eq!(mark.outcome, FileOutcome::Empty);
    let reason = mark.reason.as_deref().expect("a reason");
    assert!(reason.starts_with("stage_failed: ") && reason.contains("this row is refused"), "{reason}");
    assert_eq!(bench.store.outbox_depth(), 10, "nine cells and a rejection are published");
    assert_eq!(bench.health.state(String::new()).store.level, Level::Ok);
    let changes = bench.cases.changes("2026-11-22T12:00:00Z");
    let document = changes[0].commit.latest[0].payload.as_deref().expect("a document");
    let document: serde_json::Value = serde_json::from_str(document).expect("JSON");
    assert_eq!((changes.len(), &document["cells"]["seen"]), (1, &9.into()), "only what is stored is in its case");
}
