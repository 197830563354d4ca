//! Where frames come from: one file a kind of source.
//!
//! A source runs on its own thread and does nothing but fill buffers of the pool. What to do when the daemon is
//! slower is decided behind it, by the edges of the pipeline.

pub mod files;
mod flat;
mod folder;
mod mosaic;
mod simulator;
#[cfg(feature = "webcam")]
mod webcam;

pub use flat::{FlatFielded, differs as flat_field_differs, load_flat_field};
pub use folder::{FolderSettings, FolderSource, IsDone, list as list_files};
pub use mosaic::Demosaiced;
pub use simulator::{SimulatorSettings, SimulatorSource};
#[cfg(feature = "webcam")]
pub use webcam::{WebcamSettings, WebcamSource, list as list_webcams};

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use domain::frame::{FileStamp, Frame, FrameId, FramePool, PixelBuffer};

/// Gives buffers to a source, as its mode wants it.
#[derive(Debug, Clone)]
pub struct Buffers {
    pool: FramePool,
    waits: bool,
    stop: Arc<AtomicBool>,
}

/// There is no buffer: the pool is empty (freshest) or the daemon stops (lossless).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoBuffer;

impl Buffers {
    /// Buffers from `pool`; a lossless source waits for one until `stop` is set.
    pub fn new(pool: FramePool, lossless: bool, stop: Arc<AtomicBool>) -> Self {
        Self { pool, waits: lossless, stop }
    }

    /// A buffer of `bytes` bytes, contents arbitrary.
    ///
    /// # Errors
    /// [`NoBuffer`] when the pool is empty (freshest) or the daemon stops.
    pub fn take(&self, bytes: usize) -> Result<PixelBuffer, NoBuffer> {
        if !self.waits {
            return self.pool.try_take(bytes).ok_or(NoBuffer);
        }
        loop {
            if let Some(buffer) = self.pool.take_within(bytes, Duration::from_millis(50)) {
                return Ok(buffer);
            }
            if self.stopping() {
                return Err(NoBuffer);
            }
        }
    }

    /// True once the source should end.
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What a source gives when asked for the next frame.
#[derive(Debug)]
pub enum Capture {
    /// A frame.
    Frame(Frame),
    /// Something that should have been a frame but is none: a broken file, a faulty buffer.
    Bad(BadFrame),
    /// A frame that found no buffer.
    NoBuffer,
    /// Nothing yet; ask again. The source has waited a little already.
    Nothing,
    /// There will be no more.
    Finished,
}

/// A file or buffer that could not become a frame.
#[derive(Debug, Clone)]
pub struct BadFrame {
    /// Its number within the source.
    pub id: FrameId,
    /// The file, relative to the source's folder.
    pub file: Option<Arc<str>>,
    /// The file's size and time.
    pub stamp: Option<FileStamp>,
    /// The scanner's event id.
    pub trigger: Option<String>,
    /// Stable reason.
    pub reason: crate::station::RejectReason,
    /// What was found and what would be right.
    pub text: String,
}

impl BadFrame {
    /// A frame that was read but is of no use.
    fn of(frame: Frame, reason: crate::station::RejectReason, text: String) -> Self {
        let info = frame.info;
        Self { id: info.id, file: info.file, stamp: info.stamp, trigger: info.trigger, reason, text }
    }
}

/// Why a source cannot go on. The pipeline says so and opens it again after a pause.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The device or folder is not there.
    #[error("{0}")]
    NotFound(String),
    /// The device is there but gives nothing, or something unexpected.
    #[error("{0}")]
    Device(String),
    /// This build or machine cannot drive such a source.
    #[error("{0}")]
    Unsupported(String),
}

/// A source of frames.
pub trait Source: Send {
    /// The next frame. Returns within about 100 ms where it can; a device that may block for ever is driven from a
    /// thread of its own behind this call.
    ///
    /// # Errors
    /// When the source cannot go on; it is dropped then and opened again.
    fn next(&mut self, buffers: &Buffers) -> Result<Capture, SourceError>;

    /// Whether frames are replayed rather than live.
    fn replays(&self) -> bool {
        false
    }
}
