//! Where frames come from: one file for each kind of source.
//!
//! A source runs on its own thread and only fills buffers of the pool. What happens when the daemon is slower is
//! decided by the edges of the pipeline.

mod depth;
mod file_name;
pub mod files;
mod flat;
mod folder;
pub mod genicam;
mod mjpeg;
mod mosaic;
mod push;
mod reading;
mod simulator;
#[cfg(target_os = "linux")]
pub mod v4l2;
#[cfg(feature = "webcam")]
mod webcam;

pub use depth::{MeasuredDepth, Raised};
pub use file_name::file_name;
pub use flat::{FlatFielded, differs as flat_field_differs, load_flat_field};
pub use folder::{Attempts, FolderMemory, FolderSettings, FolderSource, Marked, list as list_files};
pub use mjpeg::{Login, MjpegSettings, MjpegSource};
pub use mosaic::Demosaiced;
pub use push::{PushQueue, PushSettings, PushSource, Pushed, Reservation};
pub use simulator::{SimulatorSettings, SimulatorSource};
#[cfg(feature = "webcam")]
pub use webcam::{WebcamSettings, WebcamSource, list as list_webcams};

use std::{sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, RecvTimeoutError, select};

use crate::{shutdown::ShutdownReceiver, station::RejectReason};
use domain::{
    ErrorKind, HasKind,
    frame::{FileStamp, Frame, FrameId, FrameInfo, FramePool, PixelBuffer, SampleContext},
};

/// Gives buffers to a source, as its mode asks, and lets it wait.
#[derive(Debug, Clone)]
pub struct Buffers {
    pool: FramePool,
    waits: bool,
    shutdown: ShutdownReceiver,
}

/// There is no buffer: the pool is empty (freshest) or the daemon stops (lossless).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoBuffer;

impl Buffers {
    /// Buffers from `pool`; a lossless source waits for one until the shutdown begins.
    pub fn new(pool: FramePool, lossless: bool, shutdown: ShutdownReceiver) -> Self {
        Self { pool, waits: lossless, shutdown }
    }

    /// A buffer of `bytes` bytes, contents arbitrary.
    ///
    /// # Errors
    /// [`NoBuffer`] when the pool is empty (freshest) or the daemon stops.
    pub fn take(&self, bytes: usize) -> Result<PixelBuffer, NoBuffer> {
        let buffer = match self.pool.try_take(bytes) {
            None if self.waits => self.pool.take_until(bytes, self.shutdown.draining()),
            buffer => buffer,
        };
        buffer.ok_or(NoBuffer)
    }

    /// Waits for `time`; false when the source should end instead.
    pub fn wait(&self, time: Duration) -> bool {
        self.shutdown.draining().recv_timeout(time) == Err(RecvTimeoutError::Timeout)
    }

    /// Waits up to `time` for something from `inbox`; none as well when the source should end.
    pub fn receive<T>(&self, inbox: &Receiver<T>, time: Duration) -> Option<T> {
        select! {
            recv(inbox) -> received => received.ok(),
            recv(self.shutdown.draining()) -> _ => None,
            default(time) => None,
        }
    }

    /// True once the source should end.
    pub fn is_draining(&self) -> bool {
        self.shutdown.is_draining()
    }
}

/// The answer of a source that is asked for its next frame.
#[derive(Debug)]
pub enum Capture {
    /// A frame.
    Frame(Frame),
    /// A broken file or a faulty buffer.
    Bad(BadFrame),
    /// A frame that was late: a newer one was ready already.
    Superseded,
    /// A frame that found no buffer.
    NoBuffer,
    /// Nothing yet; ask again. The source has waited already.
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
    /// Case, slide and colony that it was handed over with; none: those in force for its source.
    pub sample: Option<SampleContext>,
    /// Stable reason.
    pub reason: RejectReason,
    /// What was found and what would be right.
    pub text: String,
}

impl BadFrame {
    /// A buffer of a camera that is of no use.
    pub fn new(id: FrameId, reason: RejectReason, text: String) -> Self {
        Self { id, file: None, stamp: None, trigger: None, sample: None, reason, text }
    }

    /// A frame that was read but is of no use.
    pub fn of(frame: Frame, reason: RejectReason, text: String) -> Self {
        let FrameInfo { id, file, stamp, trigger, sample, .. } = frame.info;
        Self { file, stamp, trigger, sample, ..Self::new(id, reason, text) }
    }
}

/// Why a source cannot go on. The pipeline reports it and opens the source again after a pause.
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

impl HasKind for SourceError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Unavailable
    }
}

/// Longest that one call of [`Source::next`] waits, so that a pause or a command is seen.
const MAX_WAIT: Duration = Duration::from_millis(500);

/// Frames that never came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Missed {
    /// Frames that the device numbered and its driver or the device itself dropped ([`domain::frame::SequenceGaps`]).
    pub device_gaps: u64,
    /// Frames that the transport lost or broke before they were whole.
    pub transport_errors: u64,
}

/// A source of frames.
pub trait Source: Send {
    /// The next frame. Returns within about half a second where it can; a device that may block for ever is driven from
    /// a thread of its own behind this call. Waits with [`Buffers::wait`], which the shutdown cuts short.
    ///
    /// # Errors
    /// When the source cannot go on; it is dropped then and opened again.
    fn next(&mut self, buffers: &Buffers) -> Result<Capture, SourceError>;

    /// Whether frames are replayed rather than live.
    fn replays(&self) -> bool {
        false
    }

    /// Frames that never came since this was asked last: gaps in the device's numbers, losses on the way from it. What the
    /// daemon itself lets go is not among them.
    fn missed(&mut self) -> Missed {
        Missed::default()
    }

    /// The device and what its driver took of the configuration, in words.
    fn device(&self) -> Option<String> {
        None
    }

    /// What does not go well although the source goes on, in words for its state.
    fn trouble(&self) -> Option<String> {
        None
    }
}
