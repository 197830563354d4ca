//! A pipeline of the daemon's own stages, with sources, triage and networks that a test writes.
#![allow(dead_code, reason = "every test binary uses its own part")]

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use domain::{
    BoundingBox, Quality, Status,
    frame::{FileStamp, Frame, FrameInfo, PixelFormat, Pixels},
};
use metaphased::{
    camera::{Buffers, Capture, Source, SourceError},
    clock::Clock,
    config::{Config, Mode, SourceConfig},
    pipeline::{
        Parts, Pipeline, SourceParts,
        edges::Workers,
        job::SourceContext,
        stages::{
            recognise::Share,
            triage::{Assess, Assessment},
        },
    },
    records::CaseBook,
    station::{Birth, FrameCounts, Health},
    store::{Store, StoreOptions},
};
use recognition::{Candidate, Provenance, Recognised, RecognitionError, Recognizer, Region, Regions};

/// Case of every source.
pub const CASE: &str = "7";

/// Sides of the frames.
pub const SIDE: usize = 64;

/// What the next call of a source gives.
pub enum Step {
    /// A picture whose samples are all of this level, but for a bright corner that distinguishes pictures.
    Level(u8),
    /// Nothing yet.
    Wait,
    /// There will be no more.
    End,
    /// The source fails and is opened again.
    Lost,
}

/// A source that a closure writes.
pub struct Script {
    step: Arc<Mutex<dyn FnMut() -> Step + Send>>,
    /// Frames say that they were read from a file of their number.
    files: bool,
    count: u64,
}

impl Source for Script {
    fn next(&mut self, buffers: &Buffers) -> Result<Capture, SourceError> {
        let mut step = self.step.lock().map_err(|_| SourceError::Device("the script panicked".into()))?;
        let level = match step() {
            Step::Level(level) => level,
            Step::End => return Ok(Capture::Finished),
            Step::Lost => return Err(SourceError::Device("the cable is loose".into())),
            Step::Wait => {
                std::thread::sleep(Duration::from_millis(1));
                return Ok(Capture::Nothing);
            }
        };
        let Ok(mut buffer) = buffers.take(SIDE * SIDE) else { return Ok(Capture::NoBuffer) };
        buffer.bytes_mut().fill(level);
        // A pattern, so that pictures of one level look alike and those of another do not.
        for (i, sample) in buffer.bytes_mut().iter_mut().enumerate() {
            let (x, y) = (i % SIDE / 8, i / SIDE / 8);
            *sample = sample.wrapping_add((x * 31 + y * 17) as u8).wrapping_mul(level | 1);
        }
        let pixels = Pixels::new(buffer, PixelFormat::Mono8, SIDE, SIDE, 8).expect("the sizes agree");
        self.count += 1;
        let mut info = FrameInfo::of_tool("script");
        if self.files {
            info.file = Some(format!("{:04}.png", self.count).into());
            info.stamp = Some(FileStamp { bytes: 1, mtime_ns: 1 });
        }
        Ok(Capture::Frame(Frame { info, pixels }))
    }
}

/// A triage that takes the whole frame as one good cell.
pub struct Nod;

impl Assess for Nod {
    fn assess(&mut self, frame: &Frame, regions: &mut Regions) -> Assessment {
        regions.push(Region::whole(frame.pixels.width(), frame.pixels.height()));
        Assessment { quality: Quality { focus: 0.9, metaphase: 0.9, spread: 0.9 }, refused: None }
    }
}

/// What a network makes of a frame, with its share of the machine: it may block, panic or fail.
pub type Look = dyn Fn(&Frame, Share) -> Result<(), RecognitionError> + Send + Sync;

/// A recognizer that a closure writes; then one chromosome is found.
pub struct Network {
    look: Arc<Look>,
    share: Share,
    provenance: Provenance,
}

impl Recognizer for Network {
    fn recognise(&mut self, frame: &Frame, regions: &[Region]) -> Result<Vec<Recognised>, RecognitionError> {
        (self.look)(frame, self.share)?;
        Ok(regions
            .iter()
            .map(|region| Recognised {
                region: region.bounds,
                quality: region.quality,
                candidates: vec![Candidate {
                    bounds: BoundingBox::from_corners(8.0, 8.0, 24.0, 40.0),
                    objectness: 0.9,
                    p_single: 1.0,
                    iou_logit: 0.0,
                    probability: 0.9,
                    accepted: true,
                    log_probs: None,
                    status: Status::Single,
                    drawn: None,
                }],
                considered: 1,
                in_context: false,
                chromosome_width_px: None,
                timing: Default::default(),
            })
            .collect())
    }

    fn provenance(&self) -> &Provenance {
        &self.provenance
    }
}

/// What a test says of one source.
pub struct Scripted {
    pub name: &'static str,
    pub mode: Mode,
    pub files: bool,
    pub window: Option<Duration>,
    pub step: Arc<Mutex<dyn FnMut() -> Step + Send>>,
    pub look: Arc<Look>,
}

impl Scripted {
    /// A source whose frames are all recognised.
    pub fn new(name: &'static str, mode: Mode, step: impl FnMut() -> Step + Send + 'static) -> Self {
        Self {
            name,
            mode,
            files: mode == Mode::Lossless,
            window: None,
            step: Arc::new(Mutex::new(step)),
            look: Arc::new(|_, _| Ok(())),
        }
    }

    /// With a network of the test's own, one frame after the other.
    pub fn network(self, look: impl FnMut(&Frame) -> Result<(), RecognitionError> + Send + 'static) -> Self {
        let look = Mutex::new(look);
        // A panic of the script poisons the lock; the stage's next recognizer goes on with it.
        self.networks(move |frame, _| look.lock().unwrap_or_else(PoisonError::into_inner)(frame))
    }

    /// With networks of the test's own, side by side.
    pub fn networks(
        mut self,
        look: impl Fn(&Frame, Share) -> Result<(), RecognitionError> + Send + Sync + 'static,
    ) -> Self {
        self.look = Arc::new(look);
        self
    }
}

/// A running pipeline with what a test asks it.
pub struct Bench {
    pub pipeline: Pipeline,
    pub health: Health,
    pub store: Store,
    pub cases: CaseBook,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub fn start(sources: Vec<Scripted>, clock: impl Clock + 'static) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::start_in(folder, sources, clock)
    }

    /// With so many workers in recognise and interpret.
    pub fn start_with(workers: usize, sources: Vec<Scripted>, clock: impl Clock + 'static) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::started(folder, Workers { recognise: workers, interpret: workers }, sources, clock)
    }

    /// With a folder in which a store may stand already.
    pub fn start_in(folder: tempfile::TempDir, sources: Vec<Scripted>, clock: impl Clock + 'static) -> Self {
        Self::started(folder, Workers::default(), sources, clock)
    }

    fn started(
        folder: tempfile::TempDir,
        workers: Workers,
        sources: Vec<Scripted>,
        clock: impl Clock + 'static,
    ) -> Self {
        let store = Store::open(folder.path(), StoreOptions::default()).expect("a store");
        let health = Health::new(Birth::default());
        let mut parts = Parts::new(&Config::default(), store.clone(), health.clone()).expect("defaults");
        parts.clock = Arc::new(clock);
        parts.workers = workers;
        let cases = parts.cases.clone();
        for source in sources {
            let Scripted { name, mode, files, window, step, look } = source;
            let settings = SourceConfig { mode: Some(mode), case: Some(CASE.into()), ..SourceConfig::default() };
            let network = move |share| -> Box<dyn Recognizer> {
                Box::new(Network { look: look.clone(), share, provenance: Provenance::default() })
            };
            let source = SourceParts::new(
                SourceContext::register(name, settings, &health),
                Box::new(move || Ok(Box::new(Script { step: step.clone(), files, count: 0 }))),
                || Box::new(Nod),
                Box::new(move |share| Ok(network(share))),
            );
            parts.sources.push(SourceParts { window, ..source.expect("a network") });
        }
        let pipeline = Pipeline::start(parts).expect("it starts");
        Self { pipeline, health, store, cases, _folder: folder }
    }

    /// The files of the cells in the order in which they were stored.
    pub fn stored(&self) -> Vec<String> {
        let rows = self.store.reader().outbox_after(0, 10_000).expect("the outbox holds what is not published");
        let cells = rows.iter().filter(|row| row.topic == "cell");
        let cells = cells.map(|row| serde_json::from_str::<serde_json::Value>(&row.payload).expect("JSON"));
        cells.map(|cell| cell["captured"]["file"].as_str().expect("a file").to_owned()).collect()
    }

    pub fn counts(&self, source: &str) -> FrameCounts {
        self.health.ledgers()[source].counts()
    }

    /// Waits until `done`, which looks from outside: the stages run on threads of their own.
    pub fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let limit = Instant::now() + Duration::from_secs(60);
        while !done(self) {
            assert!(Instant::now() < limit, "{what} did not happen: {:?}", self.health.ledgers());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A script of `n` frames, alike, then the end.
pub fn frames(n: u32) -> impl FnMut() -> Step + Send {
    let mut left = n;
    move || {
        if left == 0 {
            return Step::End;
        }
        left -= 1;
        Step::Level(40)
    }
}
