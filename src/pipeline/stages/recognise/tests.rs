//! An engine that breaks: no cell is lost silently, and the state names the engine that runs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, bounded};

use super::*;
use crate::{
    clock::ManualClock,
    config::{Mode, SourceConfig, SourceKind},
    pipeline::{edges, job::SourceContext, monitor::StageMonitor, order::Order},
    shutdown::Shutdown,
    station::{Birth, Health},
};
use domain::frame::{Frame, FrameInfo, PixelBuffer, PixelFormat, Pixels};
use recognition::{Recognised, Region, inference::EngineError};

/// An engine that works while the switch says so.
struct Breakable {
    works: Arc<AtomicBool>,
    provenance: Provenance,
}

fn broken() -> EngineError {
    EngineError::Run { engine: "tensorrt", model: "detector".into(), reason: "the device fell off the bus".into() }
}

impl Recognizer for Breakable {
    fn recognise(&mut self, _: &Frame, _: &[Region]) -> Result<Vec<Recognised>, RecognitionError> {
        if self.works.load(SeqCst) { Ok(Vec::new()) } else { Err(broken().into()) }
    }

    fn provenance(&self) -> &Provenance {
        &self.provenance
    }
}

/// The stage with one source, two frames in its queue and a switch for its engine.
struct Bench {
    works: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    health: Health,
    source: Arc<SourceContext>,
    shutdown: Shutdown,
    clock: ManualClock,
    recognised: Receiver<(Job, Arc<Provenance>)>,
    refused: Receiver<commit::Outcome>,
    stage: thread::JoinHandle<()>,
}

fn context(clock: &ManualClock, health: &Health, shutdown: &Shutdown) -> StageContext {
    let clock = Arc::new(clock.clone());
    StageContext {
        monitor: StageMonitor::new("recognise", clock.clone()),
        clock,
        health: health.clone(),
        shutdown: shutdown.receiver(),
    }
}

/// The stage with a single worker.
fn stage(
    context: StageContext,
    lanes: Vec<(Receiver<Job>, LaneEngine)>,
    output: EdgeSender<(Job, Arc<Provenance>)>,
    rejections: EdgeSender<commit::Outcome>,
) -> RecogniseStage {
    let (advanced, woken) = bounded(1);
    let lanes = lanes.into_iter().map(|(frames, engine)| {
        let order = Order::new(rejections.clone(), None, 1, advanced.clone());
        Lane { input: Input { frames, order }, engine }
    });
    RecogniseStage { context, worker: 0, shared: Recognise::new(lanes.collect(), woken), output, rejections }
}

fn run(mode: Mode, fall_back: Option<FallBack>) -> Bench {
    let works = Arc::new(AtomicBool::new(false));
    let made = Arc::new(AtomicUsize::new(0));
    let health = Health::new(Birth::default());
    let config = SourceConfig { kind: SourceKind::Folder, mode: Some(mode), ..SourceConfig::default() };
    let source = SourceContext::register("scope", config, &health);
    let shutdown = Shutdown::default();
    let clock = ManualClock::default();
    let (frames, input) = edges::edge(edges::TRIAGE_RECOGNISE, shutdown.receiver());
    let (output, recognised) = edges::edge(edges::RECOGNISE_INTERPRET, shutdown.receiver());
    let (rejections, refused) = edges::edge(edges::INTERPRET_COMMIT, shutdown.receiver());
    for _ in 0..2 {
        let pixels = Pixels::new(PixelBuffer::from_bytes(&[200; 64]), PixelFormat::Mono8, 8, 8, 8).unwrap();
        let info = FrameInfo { file: Some("a.png".into()), ..FrameInfo::of_tool("test") };
        let job = Job::new(Frame { info, pixels }, source.ledger.accept(), source.clone(), false);
        frames.send(job, Mode::Lossless);
    }
    let context = context(&clock, &health, &shutdown);
    let engine = works.clone();
    let count = made.clone();
    let make: MakeRecognizer = Box::new(move |_| {
        count.fetch_add(1, SeqCst);
        // The engine can be made only while it works, as a GPU that is gone cannot be opened.
        if engine.load(SeqCst) {
            Ok(Box::new(Breakable { works: engine.clone(), provenance: Provenance::default() }))
        } else {
            Err(broken().into())
        }
    });
    let recognizer = Box::new(Breakable { works: works.clone(), provenance: Provenance::default() });
    let engine = LaneEngine::new("scope".into(), recognizer, make, fall_back);
    let stage = stage(context, vec![(input, engine)], output, rejections);
    let stage = thread::spawn(move || stage.run());
    Bench { works, made, health, source, shutdown, clock, recognised, refused, stage }
}

impl Bench {
    /// Until the stage waits for the next attempt to get its engine back.
    fn until_it_waits(&self) {
        let limit = Instant::now() + SOON;
        while self.clock.timers() == 0 {
            assert!(Instant::now() < limit, "it does not wait for its engine");
            thread::yield_now();
        }
    }
}

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_lossless_source_waits_for_a_broken_engine_and_loses_no_cell() {
    let bench = run(Mode::Lossless, None);
    bench.until_it_waits();
    assert!(bench.recognised.is_empty());
    let state = bench.health.state(String::new());
    assert_eq!((state.level, state.engine.level), (Level::Degraded, Level::Degraded));
    assert!(state.engine.reason.contains("fell off the bus"), "{}", state.engine.reason);
    bench.works.store(true, SeqCst);
    bench.clock.advance(ENGINE_RETRY);
    for _ in 0..2 {
        let (job, _) = bench.recognised.recv_timeout(SOON).expect("both frames come through");
        job.ticket.stored();
    }
    assert_eq!(bench.health.state(String::new()).engine.level, Level::Ok);
    let counts = bench.source.ledger.counts();
    assert_eq!((counts.stored, counts.rejected_total(), counts.dropped_total()), (2, 0, 0));
    assert!(bench.refused.is_empty());
    end(bench);
}

#[test]
fn a_stop_ends_the_wait_for_a_broken_engine_and_its_frames_are_read_again() {
    let bench = run(Mode::Lossless, None);
    bench.until_it_waits();
    bench.shutdown.drain();
    let ledger = bench.source.ledger.clone();
    end(bench);
    let counts = ledger.counts();
    assert_eq!((counts.dropped.get("shutdown"), counts.rejected_total()), (Some(&2), 0), "{counts:?}");
}

#[test]
fn a_live_source_rejects_with_the_reason_when_nothing_may_take_over() {
    let bench = run(Mode::Freshest, None);
    for _ in 0..2 {
        match bench.refused.recv_timeout(SOON).expect("a rejection") {
            commit::Outcome::Refused(rejection) => {
                assert_eq!(rejection.reason, RejectReason::EngineFailed);
                assert!(rejection.text.contains("fell off the bus"), "{}", rejection.text);
                rejection.ticket.rejected(rejection.reason);
            }
            commit::Outcome::Cells { .. } => panic!("an empty slide"),
        }
    }
    assert_eq!(bench.health.state(String::new()).engine.level, Level::Degraded);
    assert!(bench.recognised.is_empty());
    end(bench);
}

#[test]
fn the_fallback_takes_over_a_running_engine_and_the_state_says_so() {
    for mode in [Mode::Lossless, Mode::Freshest] {
        let fall_back: FallBack = Box::new(|why| {
            let provenance =
                Provenance { engine: "cpu".into(), notes: vec![format!("cpu runs: {why}")], ..Provenance::default() };
            Box::new(move |_| {
                Ok(Box::new(Breakable { works: Arc::new(AtomicBool::new(true)), provenance: provenance.clone() }) as _)
            })
        });
        let bench = run(mode, Some(fall_back));
        for _ in 0..2 {
            let (job, provenance) = bench.recognised.recv_timeout(SOON).expect("both frames come through");
            assert!(
                provenance.notes[0].contains("fell off the bus"),
                "every cell carries the reason: {:?}",
                provenance.notes
            );
            job.ticket.stored();
        }
        let state = bench.health.state(String::new());
        assert_eq!((state.level, state.engine.name.as_str()), (Level::Degraded, "cpu"));
        assert!(state.engine.reason.contains("fell off the bus"), "{}", state.engine.reason);
        assert_eq!(bench.made.load(SeqCst), 1, "the broken engine was tried once more, then left alone");
        end(bench);
    }
}

/// Ends the stage, which lives for as long as its source may still send.
fn end(bench: Bench) {
    bench.shutdown.abandon();
    drop(bench.recognised);
    drop(bench.refused);
    let until = Instant::now() + SOON;
    while !bench.stage.is_finished() && Instant::now() < until {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(bench.stage.is_finished(), "the source has ended, so the stage ends");
}

/// An engine that records the order of prefetches and recognitions.
struct Foresighted {
    seen: Arc<std::sync::Mutex<Vec<(char, u64)>>>,
    provenance: Provenance,
}

impl Foresighted {
    fn note(&self, what: char, frame: &Frame) {
        self.seen.lock().unwrap().push((what, frame.info.id.0));
    }
}

impl Recognizer for Foresighted {
    fn recognise(&mut self, frame: &Frame, _: &[Region]) -> Result<Vec<Recognised>, RecognitionError> {
        self.note('r', frame);
        Ok(Vec::new())
    }

    fn supports_prefetch(&self) -> bool {
        true
    }

    fn prefetch(&mut self, frame: &Frame) {
        self.note('a', frame);
    }

    fn provenance(&self) -> &Provenance {
        &self.provenance
    }
}

#[test]
fn an_engine_with_prefetch_gets_the_next_frame_before_it_works_on_this_one() {
    let health = Health::new(Birth::default());
    let config = SourceConfig { kind: SourceKind::Folder, ..SourceConfig::default() };
    let source = SourceContext::register("scope", config, &health);
    let shutdown = Shutdown::default();
    let (frames, input) = edges::edge(edges::TRIAGE_RECOGNISE, shutdown.receiver());
    let (output, recognised) = edges::edge(edges::RECOGNISE_INTERPRET, shutdown.receiver());
    let (rejections, _refused) = edges::edge(edges::INTERPRET_COMMIT, shutdown.receiver());
    for number in 1..=2 {
        let pixels = Pixels::new(PixelBuffer::from_bytes(&[200; 64]), PixelFormat::Mono8, 8, 8, 8).unwrap();
        let info = FrameInfo { id: domain::frame::FrameId(number), ..FrameInfo::of_tool("test") };
        frames.send(Job::new(Frame { info, pixels }, source.ledger.accept(), source.clone(), false), Mode::Lossless);
    }
    drop(frames);
    let context = context(&ManualClock::default(), &health, &shutdown);
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let recognizer = Box::new(Foresighted { seen: seen.clone(), provenance: Provenance::default() });
    let make: MakeRecognizer = Box::new(|_| Err(broken().into()));
    let engine = LaneEngine::new("scope".into(), recognizer, make, None);
    stage(context, vec![(input, engine)], output, rejections).run();
    assert_eq!(*seen.lock().unwrap(), [('a', 2), ('r', 1), ('r', 2)]);
    let out: Vec<u64> = recognised.try_iter().map(|(job, _)| job.frame.info.id.0).collect();
    assert_eq!(out, [1, 2], "a frame that waits for its turn is not lost when its source ends");
}

/// An engine that ends its first frame only when somebody has tried to make another one.
struct Patient {
    tried: Receiver<()>,
    worked: bool,
    provenance: Provenance,
}

impl Recognizer for Patient {
    fn recognise(&mut self, _: &Frame, _: &[Region]) -> Result<Vec<Recognised>, RecognitionError> {
        if !std::mem::replace(&mut self.worked, true) {
            self.tried.recv_timeout(SOON).expect("the other worker tries to make an engine");
        }
        Ok(Vec::new())
    }

    fn provenance(&self) -> &Provenance {
        &self.provenance
    }
}

#[test]
fn where_no_further_engine_can_be_made_frames_wait_for_the_one_that_works() {
    let health = Health::new(Birth::default());
    let config = SourceConfig { kind: SourceKind::Folder, ..SourceConfig::default() };
    let source = SourceContext::register("scope", config, &health);
    let shutdown = Shutdown::default();
    let (frames, input) = edges::edge(edges::TRIAGE_RECOGNISE, shutdown.receiver());
    let (output, recognised) = edges::edge(edges::RECOGNISE_INTERPRET, shutdown.receiver());
    let (rejections, refused) = edges::edge(edges::INTERPRET_COMMIT, shutdown.receiver());
    for number in 1..=2 {
        let pixels = Pixels::new(PixelBuffer::from_bytes(&[200; 64]), PixelFormat::Mono8, 8, 8, 8).unwrap();
        let info = FrameInfo { id: domain::frame::FrameId(number), ..FrameInfo::of_tool("test") };
        frames.send(Job::new(Frame { info, pixels }, source.ledger.accept(), source.clone(), false), Mode::Lossless);
    }
    drop(frames);
    let (try_, tried) = bounded(8);
    let make: MakeRecognizer = Box::new(move |share| {
        assert_eq!(share, Share::Worker, "the one with all threads works and is not made again");
        let _ = try_.send(());
        Err(broken().into())
    });
    let fall_back: FallBack = Box::new(|why| panic!("nothing is given up: {why}"));
    let provenance = Provenance { engine: "all".into(), ..Provenance::default() };
    let engine =
        LaneEngine::new("scope".into(), Box::new(Patient { tried, worked: false, provenance }), make, Some(fall_back));
    let (advanced, woken) = bounded(1);
    let order = Order::new(rejections.clone(), None, 2, advanced);
    let shared = Recognise::new(vec![Lane { input: Input { frames: input, order }, engine }], woken);
    let clock = ManualClock::default();
    let monitor = StageMonitor::of_workers("recognise", Arc::new(clock.clone()), 2);
    let workers = [0, 1].map(|worker| {
        let context = StageContext { monitor: monitor.clone(), ..context(&clock, &health, &shutdown) };
        let (shared, output, rejections) = (shared.clone(), output.clone(), rejections.clone());
        thread::spawn(move || RecogniseStage { context, worker, shared, output, rejections }.run())
    });
    for _ in 0..2 {
        let (job, provenance) = recognised.recv_timeout(SOON).expect("both frames come through");
        assert_eq!(provenance.engine, "all");
        job.ticket.stored();
    }
    for worker in workers {
        worker.join().expect("the source has ended");
    }
    assert_eq!(health.state(String::new()).engine.level, Level::Ok);
    assert!(refused.is_empty());
}
