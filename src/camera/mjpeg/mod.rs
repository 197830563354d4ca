//! An MJPEG stream over HTTP or HTTPS, as network cameras and ustreamer serve it.
//!
//! A thread reads the stream and keeps the newest picture; the source decodes it. So the stream is always read as fast as
//! it comes, and a busy pipeline gets a fresh picture rather than an old one.

mod client;
mod parts;

pub use client::Login;

use std::{
    io,
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use self::{
    client::{Reach, hang_up, words},
    parts::{Part, Parts, boundary},
};
use super::{
    Buffers, Capture, Missed, Source, SourceError,
    reading::{STALE_AFTER, jpeg},
};
use crate::config::StreamAddress;
use domain::frame::{DeviceClock, DeviceTime, Frame, FrameId, FrameInfo};

/// How long one call waits for a picture.
const WAIT: Duration = Duration::from_millis(200);
/// Most bytes of a picture, whatever memory there is.
const LARGEST: usize = 256 << 20;

/// What a stream's source needs to know.
#[derive(Debug, Clone)]
pub struct MjpegSettings {
    /// Name of the source.
    pub name: Arc<str>,
    /// Where the stream is.
    pub address: StreamAddress,
    /// As whom it is asked for.
    pub login: Option<Login>,
    /// Certificate authority (PEM) of an `https://` stream; none: the system's.
    pub authority: Option<Vec<u8>>,
    /// Without a byte for so long the server counts as stalled.
    pub patience: Duration,
    /// Most memory that a picture may take while it is read, in bytes.
    pub picture_bytes: u64,
    /// Pixel size in micrometres.
    pub um_per_px: Option<f64>,
}

/// A picture as the stream gave it.
struct Picture {
    bytes: Vec<u8>,
    arrived: Instant,
    time: Option<f64>,
}

/// What reader and source share.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    broken: AtomicU64,
    late: AtomicU64,
}

/// A stream.
pub struct MjpegSource {
    settings: MjpegSettings,
    pictures: Receiver<Result<Picture, String>>,
    shared: Arc<Shared>,
    socket: TcpStream,
    /// Last call for a picture.
    asked: Instant,
    count: u64,
}

impl MjpegSource {
    /// Asks for the stream; its thread reads it from then on.
    ///
    /// # Errors
    /// When it cannot be had, with what to do.
    pub fn open(settings: MjpegSettings) -> Result<Self, SourceError> {
        let MjpegSettings { address, login, authority, patience, picture_bytes, .. } = settings.clone();
        let place = address.to_string();
        let reach = Reach { address, login, authority, patience };
        let answer = reach.ask().map_err(SourceError::NotFound)?;
        let boundary = boundary(&answer.content_type).ok_or_else(|| {
            let found = &answer.content_type;
            SourceError::Unsupported(format!(
                "{place} gives '{found}'; expected multipart/x-mixed-replace with a boundary"
            ))
        })?;
        let (shared, socket) = (Arc::new(Shared::default()), answer.socket);
        let most = usize::try_from(picture_bytes).unwrap_or(usize::MAX).min(LARGEST);
        let mut parts = Parts::new(answer.body, boundary, most);
        let (sender, pictures) = bounded(1);
        let (newest, reading) = (pictures.clone(), shared.clone());
        thread::Builder::new()
            .name(format!("mjpeg-{}", settings.name))
            .spawn(move || {
                let error = read(&mut parts, &sender, &newest, &reading);
                // The source alone receives from here on: this waits until it takes the error, after the picture before it, or
                // is gone.
                drop(newest);
                let _ = sender.send(Err(format!("{place}: {}", words(&error, patience))));
            })
            .map_err(|error| SourceError::Device(format!("cannot start the stream's thread: {error}")))?;
        Ok(Self { settings, pictures, shared, socket, asked: Instant::now(), count: 0 })
    }
}

impl Drop for MjpegSource {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        hang_up(&self.socket);
    }
}

/// Reads until the stream ends, and says why.
fn read<R: io::Read>(
    parts: &mut Parts<R>,
    sender: &Sender<Result<Picture, String>>,
    newest: &Receiver<Result<Picture, String>>,
    shared: &Shared,
) -> io::Error {
    let mut bytes = Vec::new();
    loop {
        let part = match parts.next(&mut bytes) {
            Ok(part) => part,
            Err(error) => {
                shared.broken.fetch_add(u64::from(parts.is_within()), Relaxed);
                return error;
            }
        };
        if shared.stop.load(Relaxed) {
            return io::ErrorKind::Interrupted.into();
        }
        let Part::Picture(time) = part else {
            shared.broken.fetch_add(1, Relaxed);
            continue;
        };
        let mut picture = Ok(Picture { bytes: std::mem::take(&mut bytes), arrived: Instant::now(), time });
        while let Err(TrySendError::Full(back)) = sender.try_send(picture) {
            picture = back;
            if newest.try_recv().is_ok() {
                shared.late.fetch_add(1, Relaxed);
            }
        }
    }
}

impl Source for MjpegSource {
    fn next(&mut self, buffers: &Buffers) -> Result<Capture, SourceError> {
        let away = self.asked.elapsed();
        self.asked = Instant::now();
        if away > STALE_AFTER {
            // Pictures of a pause are of nobody's field, and not late: nobody asked for them.
            if let Ok(Err(error)) = self.pictures.try_recv() {
                return Err(SourceError::Device(error));
            }
            self.shared.late.store(0, Relaxed);
        }
        let late = self.shared.late.load(Relaxed);
        if late > 0 {
            self.shared.late.fetch_sub(1, Relaxed);
            return Ok(Capture::Superseded);
        }
        let Some(received) = buffers.receive(&self.pictures, WAIT) else { return Ok(Capture::Nothing) };
        let picture = received.map_err(SourceError::Device)?;
        self.count += 1;
        let id = FrameId(self.count);
        let pixels = match jpeg(picture.bytes, self.settings.picture_bytes, |bytes| buffers.take(bytes).ok()) {
            Ok(pixels) => pixels,
            Err(unread) => return Ok(unread.capture(id)),
        };
        let info = FrameInfo {
            arrived: picture.arrived,
            device_time: picture
                .time
                .map(|seconds| DeviceTime { ns: (seconds * 1e9) as i64, clock: DeviceClock::Wall }),
            um_per_px: self.settings.um_per_px,
            ..FrameInfo::new(self.settings.name.clone(), id)
        };
        Ok(Capture::Frame(Frame { info, pixels }))
    }

    fn missed(&mut self) -> Missed {
        Missed { transport_errors: self.shared.broken.swap(0, Relaxed), ..Missed::default() }
    }
}

#[cfg(test)]
mod tests;
