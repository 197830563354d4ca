//! The hub between the pipeline and the people who watch: live frames, boxes, events.
//!
//! The pipeline asks [`LiveHub::picture_due`] before it prepares anything, so that nothing is copied, encoded or
//! serialised when nobody watches. Events go over a broadcast channel that never waits: a slow browser misses some,
//! the pipeline never notices.

mod events;

pub use events::{Event, EventKind, FrameNote, LiveBox, LiveBoxes};

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use serde::Serialize;
use tokio::sync::broadcast;

use super::{hints::hints, preview::Preview};
use domain::{
    Cell, Quality,
    frame::{FrameInfo, Pixels},
};

/// Shortest time between two pictures of one source on the page, in milliseconds.
const PICTURE_INTERVAL_MS: u64 = 90;

/// Pictures of a source that can still be fetched by number: the page asks for one a moment after the event,
/// and boxes arrive when the camera is some frames ahead.
const PICTURES_KEPT: usize = 8;

/// Events a client may lag behind before it misses some.
const EVENTS_KEPT: usize = 256;

/// Most finished cells published per second.
const CELLS_PER_SECOND: f64 = 20.0;

/// A source as the page needs to know it.
#[derive(Debug, Clone)]
pub struct LiveSource {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// True where the background is bright (G-banding, Giemsa), false for fluorescence.
    pub bright_field: bool,
}

/// A frame as the page shows it.
#[derive(Debug)]
pub struct LiveFrame {
    /// What travels beside the picture.
    pub note: FrameNote,
    preview: Preview,
    jpeg: OnceLock<Option<Arc<[u8]>>>,
}

impl LiveFrame {
    /// Prepares a frame: makes the reduced copy of its pixels (about 1 ms for 3 megapixels). `scene` groups frames
    /// that show the same field. None where the pixels cannot be shown.
    pub fn of(info: &FrameInfo, pixels: &Pixels, quality: Quality, scene: Option<u64>) -> Option<Self> {
        let (preview, exposure) = Preview::of(pixels)?;
        let note = FrameNote {
            source: info.source.clone(),
            frame: info.id.0,
            scene,
            size: [pixels.width() as u32, pixels.height() as u32],
            um_per_px: info.um_per_px,
            quality,
            exposure,
            hints: Vec::new(),
        };
        Some(Self { note, preview, jpeg: OnceLock::new() })
    }

    /// The picture as JPEG: encoded once, on first demand, however many look. None where it cannot be encoded.
    pub fn jpeg(&self) -> Option<Arc<[u8]>> {
        self.jpeg
            .get_or_init(|| match self.preview.jpeg() {
                Ok(bytes) => Some(bytes.into()),
                Err(error) => {
                    tracing::warn!(source = %self.note.source, frame = self.note.frame, %error, "no live picture");
                    None
                }
            })
            .clone()
    }
}

/// The hub. Cloning shares it.
#[derive(Debug, Clone)]
pub struct LiveHub {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    started: Instant,
    channels: BTreeMap<Arc<str>, Channel>,
    events: broadcast::Sender<Event>,
    /// Cells that may be published at once, and when that was counted, in seconds since the start.
    cells: Mutex<(f64, f64)>,
    /// Cells that a person has looked at for the first time, and what people corrected.
    reviewed: [AtomicU64; 2],
}

#[derive(Debug)]
struct Channel {
    source: LiveSource,
    watching: AtomicUsize,
    /// When the last picture was shown, in milliseconds since the hub's start, plus one; 0 for never.
    shown: AtomicU64,
    pictures: Mutex<VecDeque<Arc<LiveFrame>>>,
}

/// Someone watches a source, until this is dropped.
#[derive(Debug)]
pub struct Watch {
    hub: LiveHub,
    source: Arc<str>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(channel) = self.hub.inner.channels.get(&self.source)
            && channel.watching.fetch_sub(1, Relaxed) == 1
        {
            // The last one left: the pictures' memory goes too.
            lock(&channel.pictures).clear();
        }
    }
}

impl LiveHub {
    /// A hub for these sources.
    pub fn new(sources: impl IntoIterator<Item = LiveSource>) -> Self {
        let channels = sources
            .into_iter()
            .map(|source| {
                let channel = Channel {
                    source: source.clone(),
                    watching: AtomicUsize::new(0),
                    shown: AtomicU64::new(0),
                    pictures: Mutex::new(VecDeque::with_capacity(PICTURES_KEPT)),
                };
                (source.name, channel)
            })
            .collect();
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let cells = Mutex::new((CELLS_PER_SECOND, 0.0));
        let reviewed = Default::default();
        Self { inner: Arc::new(Inner { started: Instant::now(), channels, events, cells, reviewed }) }
    }

    /// Counts a review: whether it is the first of its cell, and how many corrections it made.
    pub fn count_review(&self, is_first: bool, corrections: u64) {
        let [cells, made] = &self.inner.reviewed;
        cells.fetch_add(u64::from(is_first), Relaxed);
        made.fetch_add(corrections, Relaxed);
    }

    /// Cells that a person has looked at for the first time since the start, and corrections that people made.
    pub fn reviewed(&self) -> [u64; 2] {
        [0, 1].map(|i| self.inner.reviewed[i].load(Relaxed))
    }

    /// Whether anyone watches `source`.
    pub fn watchers(&self, source: &str) -> bool {
        self.inner.channels.get(source).is_some_and(|channel| channel.watching.load(Relaxed) > 0)
    }

    /// Whether a picture of `source` is wanted now: someone watches it and the last picture is old enough. Two
    /// atomic reads; the pipeline asks before it prepares a [`LiveFrame`].
    pub fn picture_due(&self, source: &str) -> bool {
        let Some(channel) = self.inner.channels.get(source) else { return false };
        if channel.watching.load(Relaxed) == 0 {
            return false;
        }
        let shown = channel.shown.load(Relaxed);
        shown == 0 || self.now() >= shown + PICTURE_INTERVAL_MS
    }

    /// Shows a frame to those who watch its source.
    pub fn show(&self, mut frame: LiveFrame) {
        let Some(channel) = self.inner.channels.get(&frame.note.source) else { return };
        channel.shown.store(self.now(), Relaxed);
        frame.note.hints = hints(&frame.note.quality, &frame.note.exposure, channel.source.bright_field);
        let frame = Arc::new(frame);
        {
            let mut pictures = lock(&channel.pictures);
            // The watcher may have left since the pipeline asked.
            if channel.watching.load(Relaxed) == 0 {
                return;
            }
            if pictures.len() == PICTURES_KEPT {
                pictures.pop_front();
            }
            pictures.push_back(frame.clone());
        }
        self.send(EventKind::Frame, Some(frame.note.source.clone()), &frame.note);
    }

    /// Publishes the boxes of a frame to those who watch its source.
    pub fn boxes(&self, boxes: &LiveBoxes) {
        if let Some(channel) = self.inner.channels.get(&boxes.source)
            && channel.watching.load(Relaxed) > 0
        {
            #[derive(Serialize)]
            struct BoxesEvent<'a> {
                #[serde(flatten)]
                boxes: &'a LiveBoxes,
                /// The frame, while its picture is kept: the camera may be some frames ahead by now.
                note: Option<&'a FrameNote>,
            }
            let picture = self.picture(&boxes.source, Some(boxes.frame));
            let event = BoxesEvent { boxes, note: picture.as_ref().map(|p| &p.note) };
            self.send(EventKind::Boxes, Some(boxes.source.clone()), &event);
        }
    }

    /// Publishes a finished cell to everyone who listens; beyond [`CELLS_PER_SECOND`] (and as many at once) some are left out,
    /// since nobody reads faster and a page must stay responsive. The store has them all.
    pub fn publish_cell(&self, cell: &Cell) {
        if !self.has_listeners() {
            return;
        }
        let now = self.inner.started.elapsed().as_secs_f64();
        {
            let mut pace = lock(&self.inner.cells);
            let (tokens, at) = *pace;
            let tokens = (tokens + (now - at) * CELLS_PER_SECOND).min(CELLS_PER_SECOND);
            *pace = (if tokens < 1.0 { tokens } else { tokens - 1.0 }, now);
            if tokens < 1.0 {
                return;
            }
        }
        self.publish(EventKind::Cell, cell);
    }

    /// Publishes an event to everyone who listens. `what` is serialised once, and only when someone listens.
    pub fn publish(&self, kind: EventKind, what: &impl Serialize) {
        self.send(kind, None, what);
    }

    /// Whether anyone listens to events at all.
    pub fn has_listeners(&self) -> bool {
        self.inner.events.receiver_count() > 0
    }

    /// The events from now on.
    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// Registers someone who watches `source`; none where there is no such source.
    pub fn watch(&self, source: &str) -> Option<Watch> {
        let channel = self.inner.channels.get(source)?;
        channel.watching.fetch_add(1, Relaxed);
        Some(Watch { hub: self.clone(), source: channel.source.name.clone() })
    }

    /// The newest picture of `source`, or the one with this number while it is kept.
    pub fn picture(&self, source: &str, number: Option<u64>) -> Option<Arc<LiveFrame>> {
        let pictures = lock(&self.inner.channels.get(source)?.pictures);
        match number {
            None => pictures.back().cloned(),
            Some(number) => pictures.iter().rev().find(|p| p.note.frame == number).cloned(),
        }
    }

    /// The sources, by name.
    pub fn sources(&self) -> impl Iterator<Item = &LiveSource> {
        self.inner.channels.values().map(|c| &c.source)
    }

    fn send(&self, kind: EventKind, source: Option<Arc<str>>, what: &impl Serialize) {
        if !self.has_listeners() {
            return;
        }
        match serde_json::to_string(what) {
            // No listener any more: fine.
            Ok(text) => drop(self.inner.events.send(Event { kind, source, data: text.into() })),
            Err(error) => tracing::warn!(kind = kind.name(), %error, "an event could not be written as JSON"),
        }
    }

    /// Milliseconds since the hub's start, from 1.
    fn now(&self) -> u64 {
        self.inner.started.elapsed().as_millis() as u64 + 1
    }
}

/// A poisoned lock means that a reader panicked; the pictures are still whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::frame::{FrameId, PixelBuffer, PixelFormat};

    fn hub() -> LiveHub {
        LiveHub::new([LiveSource { name: "scope".into(), bright_field: true }])
    }

    fn frame(number: u64) -> LiveFrame {
        let pixels = Pixels::new(PixelBuffer::from_bytes(&[200; 64]), PixelFormat::Mono8, 8, 8, 8).expect("fits");
        let info = FrameInfo::new("scope".into(), FrameId(number));
        LiveFrame::of(&info, &pixels, Quality::default(), None).expect("small")
    }

    #[test]
    fn nothing_is_wanted_when_nobody_watches() {
        let hub = hub();
        assert!(!hub.watchers("scope"));
        let watch = hub.watch("scope").expect("known");
        assert!(hub.watchers("scope"));
        drop(watch);
        assert!(!hub.watchers("scope"));
        assert!(hub.watch("nowhere").is_none());
    }

    #[test]
    fn pictures_are_paced_and_forgotten_with_the_last_watcher() {
        let hub = hub();
        let watch = hub.watch("scope").expect("known");
        hub.show(frame(1));
        assert!(hub.watchers("scope") && !hub.picture_due("scope"), "the next picture is not due yet");
        assert!(hub.picture("scope", Some(1)).is_some());
        for number in 2..=20 {
            hub.show(frame(number));
        }
        assert!(hub.picture("scope", Some(1)).is_none(), "only the last few are kept");
        assert_eq!(hub.picture("scope", None).map(|p| p.note.frame), Some(20));
        drop(watch);
        assert!(hub.picture("scope", None).is_none());
    }

    #[test]
    fn a_flood_of_cells_is_thinned_out() {
        let hub = hub();
        let mut page = hub.listen();
        let cell = testing::sample_cell(1, None, domain::Verdict::Normal);
        for _ in 0..200 {
            hub.publish_cell(&cell);
        }
        let mut published = 0;
        while page.try_recv().is_ok() {
            published += 1;
        }
        // The first are all published; what a slow test run adds to them is little.
        assert!((CELLS_PER_SECOND as usize..100).contains(&published), "{published}");
    }

    #[test]
    fn a_slow_listener_misses_events_and_holds_nobody_up() {
        let hub = hub();
        let mut slow = hub.listen();
        for n in 0..10 * EVENTS_KEPT {
            hub.publish(EventKind::Stats, &n);
        }
        assert!(matches!(slow.try_recv(), Err(broadcast::error::TryRecvError::Lagged(_))));
        assert!(slow.try_recv().is_ok(), "it goes on with what is still there");
    }
}
