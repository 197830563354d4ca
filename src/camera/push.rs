//! Frames that a program hands over: each lies in the spool, a file on the disk, before the one who pushed it is
//! answered, and until what it gave is on the disk, too.

use std::{
    collections::VecDeque,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{
    Attempts, BadFrame, Buffers, Capture, MAX_WAIT, MeasuredDepth, Missed, Source, SourceError,
    files::{FileError, ImageFile, Page, PageFacts},
    folder::FATAL_ATTEMPTS,
};
use crate::station::{Ledger, RawFormat, RawLayout, TriggerFacts};
use domain::frame::{FileStamp, Frame, FrameId, FrameInfo, PixelBuffer, Pixels, SampleContext, SequenceGaps};

/// A frame in the spool.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    /// The scanner's event id, or one that was made for it.
    pub trigger: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// What was said with it.
    pub facts: TriggerFacts,
}

/// The frames of one source that wait in the spool, in the order in which they came. Cloning shares it.
#[derive(Debug, Clone)]
pub struct PushQueue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Most frames that may wait or be on their way.
    capacity: u64,
    ledger: Ledger,
    state: Mutex<State>,
    wake: Sender<()>,
    woken: Receiver<()>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Arc<Pushed>>,
    /// Frames that are being received.
    reserved: u64,
    sample: SampleContext,
}

/// A place in the queue for a frame that is being received; it is free again when this is dropped.
#[derive(Debug)]
pub struct Reservation(PushQueue);

impl Drop for Reservation {
    fn drop(&mut self) {
        self.0.state().reserved -= 1;
    }
}

impl PushQueue {
    /// An empty queue for `capacity` frames, those on their way through the stages (`ledger`) included.
    pub fn new(capacity: u64, ledger: Ledger) -> Self {
        ledger.set_capacity(capacity);
        let (wake, woken) = bounded(1);
        Self(Arc::new(Inner { capacity, ledger, state: Mutex::default(), wake, woken }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Most frames that may wait or be on their way.
    pub fn capacity(&self) -> u64 {
        self.0.capacity
    }

    /// A place for one more frame; none when the queue is full.
    pub fn reserve(&self) -> Option<Reservation> {
        let mut state = self.state();
        let used = state.waiting.len() as u64 + state.reserved + self.0.ledger.counts().in_flight;
        if used >= self.0.capacity {
            return None;
        }
        state.reserved += 1;
        drop(state);
        Some(Reservation(self.clone()))
    }

    /// Puts a frame at the end.
    pub fn push(&self, pushed: Pushed) {
        let mut state = self.state();
        state.waiting.push_back(Arc::new(pushed));
        self.0.ledger.set_waiting(state.waiting.len() as u64);
        drop(state);
        // A wake-up that is there already serves as well.
        let _ = self.0.wake.try_send(());
    }

    /// Frames that wait.
    pub fn waiting(&self) -> u64 {
        self.state().waiting.len() as u64
    }

    /// Case, slide and colony that frames from now on belong to.
    pub fn set_sample(&self, sample: SampleContext) {
        self.state().sample = sample;
    }

    /// Case, slide and colony in force.
    pub fn sample(&self) -> SampleContext {
        self.state().sample.clone()
    }

    fn front(&self) -> Option<Arc<Pushed>> {
        self.state().waiting.front().cloned()
    }

    fn pop(&self) {
        let mut state = self.state();
        state.waiting.pop_front();
        self.0.ledger.set_waiting(state.waiting.len() as u64);
    }
}

/// What a source of pushed frames needs to know.
pub struct PushSettings {
    /// Name of the source.
    pub name: Arc<str>,
    /// Its frames.
    pub queue: PushQueue,
    /// Pixel size for frames that bring none.
    pub um_per_px: Option<f64>,
    /// Most memory that a picture may take while it is read, in bytes.
    pub picture_bytes: u64,
    /// Which frames are being read.
    pub attempts: Box<dyn Attempts>,
}

/// Reads the frames that were pushed. One stays at the head of the queue until it has been read, so that a source that
/// fails and is opened again loses none.
pub struct PushSource {
    settings: PushSettings,
    depth: MeasuredDepth,
    gaps: SequenceGaps,
    missing: u64,
    count: u64,
}

impl PushSource {
    /// Over its queue.
    pub fn new(settings: PushSettings) -> Self {
        Self { settings, depth: MeasuredDepth::default(), gaps: SequenceGaps::default(), missing: 0, count: 0 }
    }

    fn read(&mut self, pushed: &Pushed, buffers: &Buffers) -> Result<Page, FileError> {
        let stamp = FileStamp { bytes: pushed.bytes, mtime_ns: 0 };
        let attempts = &mut self.settings.attempts;
        let mut failed = None;
        // Waiting for a buffer is no attempt: only what follows can end the process.
        let take = |bytes| {
            let buffer = buffers.take(bytes).ok()?;
            let before = *failed.insert(attempts.begin(&pushed.trigger, stamp));
            (before < FATAL_ATTEMPTS).then_some(buffer)
        };
        let read = match &pushed.facts.raw {
            Some(layout) => read_raw(&pushed.path, layout, take),
            None => ImageFile::open_within(&pushed.path, self.settings.picture_bytes).and_then(|mut f| f.read(0, take)),
        };
        if failed.is_some() {
            attempts.end(&pushed.trigger);
        }
        if let Some(failed @ FATAL_ATTEMPTS..) = failed {
            let text = format!("reading it has ended the process {failed} times: it is not read any more");
            return Err(FileError::Broken(text));
        }
        let mut page = read?;
        self.depth.apply(&mut page);
        Ok(page)
    }

    fn frame(&self, pushed: &Pushed, page: Page) -> Frame {
        let facts = &pushed.facts;
        let info = FrameInfo::new(self.settings.name.clone(), FrameId(self.count));
        let info = FrameInfo {
            device_sequence: facts.sequence,
            time: facts.time.unwrap_or(info.time),
            trigger: Some(pushed.trigger.clone()),
            sample: Some(sample(facts)),
            stage_um: facts.stage_um.or(page.facts.stage_um),
            um_per_px: facts.um_per_px.or(page.facts.um_per_px).or(self.settings.um_per_px),
            ..info
        };
        Frame { info, pixels: page.pixels }
    }
}

fn sample(facts: &TriggerFacts) -> SampleContext {
    let own = |text: &Option<String>| text.as_deref().map(Arc::from);
    SampleContext { case: own(&facts.case), slide: own(&facts.slide), colony: own(&facts.colony) }
}

impl Source for PushSource {
    fn next(&mut self, buffers: &Buffers) -> Result<Capture, SourceError> {
        let Some(pushed) = self.settings.queue.front() else {
            buffers.receive(&self.settings.queue.0.woken, MAX_WAIT);
            return Ok(Capture::Nothing);
        };
        let read = self.read(&pushed, buffers);
        match read {
            // It stays where it is: a stop gives it to the next start.
            Err(FileError::NoBuffer) => Ok(Capture::NoBuffer),
            Err(error) if error.is_passing() && pushed.path.exists() => {
                Err(SourceError::Device(format!("{}: {error}", pushed.path.display())))
            }
            read => {
                self.count += 1;
                // One that cannot be read has come, and is no gap.
                if let Some(number) = pushed.facts.sequence {
                    self.missing += self.gaps.missing_before(number);
                }
                let capture = match read {
                    Ok(page) => Capture::Frame(self.frame(&pushed, page)),
                    Err(error) => Capture::Bad(BadFrame {
                        trigger: Some(pushed.trigger.clone()),
                        sample: Some(sample(&pushed.facts)),
                        ..BadFrame::new(FrameId(self.count), error.reason(), error.to_string())
                    }),
                };
                self.settings.queue.pop();
                Ok(capture)
            }
        }
    }

    fn missed(&mut self) -> Missed {
        Missed { device_gaps: std::mem::take(&mut self.missing), ..Missed::default() }
    }
}

/// Samples as they lie in the file.
fn read_raw(
    path: &Path,
    layout: &RawLayout,
    take: impl FnOnce(usize) -> Option<PixelBuffer>,
) -> Result<Page, FileError> {
    let mut file = File::open(path)?;
    let found = file.metadata()?.len();
    if found != layout.bytes() {
        let (needed, name) = (layout.bytes(), layout.format.name());
        return Err(FileError::Broken(format!(
            "{} x {} pixels of {name} are {needed} bytes; found {found}",
            layout.width, layout.height
        )));
    }
    let mut buffer = take(found as usize).ok_or(FileError::NoBuffer)?;
    if layout.format == RawFormat::Mono16 {
        let words = buffer.words_mut();
        file.read_exact(bytemuck::cast_slice_mut(words))?;
        let most = u16::MAX >> (16 - layout.bits.clamp(1, 16));
        let mut largest = 0;
        for word in words {
            *word = u16::from_le(*word);
            largest = largest.max(*word);
        }
        if largest > most {
            let bits = layout.bits;
            return Err(FileError::Broken(format!("a sample of {largest} is beyond the {bits} bits of 'bits'")));
        }
    } else {
        file.read_exact(buffer.bytes_mut())?;
    }
    let (width, height) = (layout.width as usize, layout.height as usize);
    let pixels = Pixels::new(buffer, layout.format.pixels(), width, height, layout.bits)
        .map_err(|error| FileError::Broken(error.to_string()))?;
    Ok(Page { pixels, facts: PageFacts { declared_bits: Some(layout.bits), ..PageFacts::default() } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{shutdown::Shutdown, station::RejectReason};
    use domain::frame::{FramePool, PixelView};

    struct NoAttempts;

    impl Attempts for NoAttempts {
        fn begin(&mut self, _: &str, _: FileStamp) -> u32 {
            0
        }

        fn end(&mut self, _: &str) {}
    }

    struct Bench {
        folder: tempfile::TempDir,
        queue: PushQueue,
        source: PushSource,
        buffers: Buffers,
        _shutdown: Shutdown,
    }

    fn bench(capacity: u64) -> Bench {
        let queue = PushQueue::new(capacity, Ledger::default());
        let source = PushSource::new(PushSettings {
            name: "scanner".into(),
            queue: queue.clone(),
            um_per_px: Some(0.1),
            picture_bytes: 1 << 26,
            attempts: Box::new(NoAttempts),
        });
        let shutdown = Shutdown::default();
        let buffers = Buffers::new(FramePool::new(2), true, shutdown.receiver());
        Bench { folder: tempfile::tempdir().expect("a folder"), queue, source, buffers, _shutdown: shutdown }
    }

    impl Bench {
        fn push(&self, trigger: &str, contents: &[u8], raw: Option<RawLayout>) {
            let path = self.folder.path().join(trigger);
            std::fs::write(&path, contents).expect("a file");
            let facts = TriggerFacts { raw, case: Some("K".into()), ..TriggerFacts::default() };
            self.queue.push(Pushed { trigger: trigger.into(), path, bytes: contents.len() as u64, facts });
        }
    }

    fn layout(format: RawFormat, width: u32, bits: u8) -> Option<RawLayout> {
        Some(RawLayout { format, width, height: 1, bits })
    }

    #[test]
    fn raw_samples_are_read_as_they_lie() {
        let mut bench = bench(8);
        bench.push("a", &[1, 0, 0, 2], layout(RawFormat::Mono16, 2, 12));
        let Ok(Capture::Frame(frame)) = bench.source.next(&bench.buffers) else { panic!("a frame") };
        assert!(matches!(frame.pixels.view(), PixelView::Mono16(&[1, 512])));
        assert_eq!((frame.pixels.valid_bits(), frame.info.trigger.as_deref()), (12, Some("a")));
        assert_eq!(frame.info.sample.and_then(|sample| sample.case).as_deref(), Some("K"), "as when it was pushed");
        assert_eq!((frame.info.um_per_px, bench.queue.waiting()), (Some(0.1), 0));
    }

    #[test]
    fn what_is_no_picture_is_rejected_with_its_trigger() {
        let mut bench = bench(8);
        bench.push("deep", &[0, 32], layout(RawFormat::Mono16, 1, 12));
        bench.push("short", &[0; 3], layout(RawFormat::Rgb8, 2, 8));
        bench.push("text", b"no picture at all", None);
        for (trigger, words) in
            [("deep", "beyond the 12 bits"), ("short", "are 6 bytes; found 3"), ("text", "expected PNG")]
        {
            let Ok(Capture::Bad(bad)) = bench.source.next(&bench.buffers) else { panic!("a rejection") };
            assert!(bad.trigger.as_deref() == Some(trigger) && bad.text.contains(words), "{bad:?}");
            assert!(matches!(bad.reason, RejectReason::Unreadable | RejectReason::Unsupported), "{bad:?}");
        }
    }

    #[test]
    fn a_full_queue_takes_no_more_until_a_frame_has_left_it() {
        let mut bench = bench(2);
        let first = bench.queue.reserve().expect("a place");
        bench.push("a", &[7], layout(RawFormat::Mono8, 1, 8));
        assert!(bench.queue.reserve().is_none(), "one waits, one is being received");
        drop(first);
        drop(bench.queue.reserve().expect("that place is free again"));
        assert!(matches!(bench.source.next(&bench.buffers), Ok(Capture::Frame(_))));
        assert!(bench.queue.reserve().is_some());
    }
}
