//! From capture to triage no frame costs memory from the heap, once the buffers have their size. A binary of its own:
//! the allocator counts for the whole process.

use std::{sync::Arc, time::Duration};

use domain::{
    Stain,
    frame::{Frame, FrameInfo, FramePool, PixelFormat, Pixels},
};
use metaphased::{
    camera::{Buffers, Capture, Source, SourceError},
    clock::SystemClock,
    config::{Mode, SourceConfig, TriageConfig},
    pipeline::{
        FrameTriage,
        edges::{self, CAPTURE_TRIAGE, INTERPRET_COMMIT, TRIAGE_RECOGNISE, Workers},
        job::SourceContext,
        monitor::StageMonitor,
        stages::{StageContext, capture::CaptureStage, spawn, triage::TriageStage},
    },
    shutdown::Shutdown,
    station::{Birth, Health},
};
use slide::{Samples, SlideSettings, VirtualSlide};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Frames in all; two of three go on.
const FRAMES: u64 = 300;
/// Frames that have gone on when the first count begins.
const WARM: u64 = 40;
/// Frames that have gone on from one count to the next, and counts.
const WINDOW: u64 = 28;
const WINDOWS: usize = 5;

/// A camera that copies one of a few pictures into the pool's buffers: as a driver does, without decoding.
struct Camera {
    pictures: Arc<[Vec<u8>]>,
    size: [usize; 2],
    /// What every frame says of itself.
    info: FrameInfo,
    left: u64,
}

impl Source for Camera {
    fn next(&mut self, buffers: &Buffers) -> Result<Capture, SourceError> {
        if self.left == 0 {
            return Ok(Capture::Finished);
        }
        let [width, height] = self.size;
        let Ok(mut buffer) = buffers.take(width * height) else { return Ok(Capture::NoBuffer) };
        let picture = &self.pictures[(self.left % self.pictures.len() as u64) as usize];
        buffer.bytes_mut().copy_from_slice(picture);
        let pixels = Pixels::new(buffer, PixelFormat::Mono8, width, height, 8).expect("the sizes agree");
        self.left -= 1;
        Ok(Capture::Frame(Frame { info: self.info.clone(), pixels }))
    }
}

#[test]
fn a_frame_allocates_nothing_from_capture_to_triage() {
    let size = [680, 512];
    let settings = SlideSettings { seed: 3, width: 680, height: 512, um_per_px: 0.2, ..SlideSettings::default() };
    let mut slide = VirtualSlide::new(settings).expect("a slide");
    let field = |slide: &mut VirtualSlide, n: u32| {
        let mut samples = vec![0; 680 * 512];
        let stop = slide.at_cell(n);
        slide.render(&stop, Samples::Mono8(&mut samples)).expect("a field");
        samples
    };
    // Two metaphases and a field without one: frames that go on, and frames that are refused.
    let pictures: Arc<[Vec<u8>]> = [field(&mut slide, 0), field(&mut slide, 1), vec![200; 680 * 512]].into();

    let profiler = dhat::Profiler::builder().testing().build();
    let health = Health::new(Birth::default());
    let config = SourceConfig { mode: Some(Mode::Lossless), ..SourceConfig::default() };
    let source = SourceContext::register("camera", config, &health);
    let ledger = source.ledger.clone();
    let shutdown = Shutdown::default();
    let context = |name: &str| StageContext {
        monitor: StageMonitor::new(name, Arc::new(SystemClock)),
        clock: Arc::new(SystemClock),
        health: health.clone(),
        shutdown: shutdown.receiver(),
    };
    let (frames, for_triage) = edges::edge(CAPTURE_TRIAGE, shutdown.receiver());
    let (selected, for_recognise) = edges::edge(TRIAGE_RECOGNISE, shutdown.receiver());
    let (rejections, _refused) = edges::edge(INTERPRET_COMMIT, shutdown.receiver());
    let triage = TriageStage {
        context: context("triage"),
        make: Box::new(|| Box::new(FrameTriage::new(&TriageConfig::default(), Stain::GBand))),
        window: None,
        input: for_triage,
        output: selected,
        rejections: rejections.clone(),
        hub: None,
    };
    let capture = CaptureStage {
        context: context("capture"),
        source: source.clone(),
        open: Box::new(move || {
            Ok(Box::new(Camera { pictures: pictures.clone(), size, info: FrameInfo::of_tool("camera"), left: FRAMES }))
        }),
        buffers: Buffers::new(FramePool::new(edges::pool_size(Workers::default())), true, shutdown.receiver()),
        frames,
        rejections,
    };
    let threads = [
        spawn("triage", move || triage.run()).expect("a thread"),
        spawn("capture", move || capture.run()).expect("a thread"),
    ];

    // This thread stands for recognise: it takes frames and lets them go, which gives the buffers back to the pool.
    let mut went_on = 0;
    let mut blocks = Vec::with_capacity(WINDOWS + 1);
    while let Ok(job) = for_recognise.recv_timeout(Duration::from_secs(120)) {
        job.ticket.stored();
        went_on += 1;
        if went_on >= WARM && (went_on - WARM).is_multiple_of(WINDOW) && blocks.len() <= WINDOWS {
            blocks.push(dhat::HeapStats::get().total_blocks);
        }
    }
    for thread in threads {
        thread.join().expect("it ends");
    }
    drop(profiler);
    let counts = ledger.counts();
    assert_eq!((went_on, counts.rejected_total()), (FRAMES / 3 * 2, FRAMES / 3), "{counts:?}");
    // A thread that waits for the first time on a channel gets its waiting place then, on a busy machine later than the
    // warm-up. A block a frame, or every so many frames, would show in every window.
    let windows: Vec<u64> = blocks.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let free = windows.iter().filter(|blocks| **blocks == 0).count();
    assert!(windows.len() == WINDOWS && free >= 2, "heap blocks in windows of {WINDOW} frames: {windows:?}");
}
