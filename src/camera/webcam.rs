//! A USB camera through the system's camera API (nokhwa).
//!
//! A stalled device blocks for ever inside the driver, so the camera has a thread of its own; when it gives nothing
//! for a while the source fails, which the pipeline reports and answers by opening the camera again. Tried on
//! the kernel's test driver; docs/guide/cameras.md says what it cannot do.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use nokhwa::{
    Camera,
    utils::{ApiBackend, CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType, Resolution},
};

use super::{
    Buffers, Capture, Source, SourceError,
    reading::{Unread, jpeg, raw, stalled_after},
};
use crate::station::RejectReason;
use domain::frame::{Frame, FrameFlags, FrameId, FrameInfo, PixelBuffer, Pixels};
use imaging::{RawFrame, RawLayout};

/// Size asked for when none is configured.
const DEFAULT_SIZE: [u32; 2] = [1920, 1080];
/// Formats that are understood, the wanted one first.
const FORMATS: [FrameFormat; 4] = [FrameFormat::GRAY, FrameFormat::YUYV, FrameFormat::NV12, FrameFormat::MJPEG];

/// What a webcam source needs to know.
#[derive(Debug, Clone)]
pub struct WebcamSettings {
    /// Name of the source.
    pub name: Arc<str>,
    /// Number or name of the camera; none: the first.
    pub device: Option<String>,
    /// Size to ask for.
    pub size: Option<[u32; 2]>,
    /// Frames a second to ask for.
    pub rate_hz: Option<f64>,
    /// Pixel size in micrometres.
    pub um_per_px: Option<f64>,
    /// Most memory that a JPEG picture may take while it is read, in bytes.
    pub picture_bytes: u64,
}

/// A frame as the device gave it.
struct Raw {
    format: FrameFormat,
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

/// A USB camera.
pub struct WebcamSource {
    name: Arc<str>,
    um_per_px: Option<f64>,
    picture_bytes: u64,
    frames: Receiver<Result<Raw, String>>,
    stalled_after: Duration,
    last: Instant,
    count: u64,
}

impl WebcamSource {
    /// Starts the camera's thread.
    ///
    /// # Errors
    /// When the system starts no thread; a missing camera is reported by the first [`Source::next`].
    pub fn open(settings: WebcamSettings) -> Result<Self, SourceError> {
        let (sender, frames) = bounded(1);
        let (name, um_per_px, picture_bytes) = (settings.name.clone(), settings.um_per_px, settings.picture_bytes);
        let stalled_after = stalled_after(settings.rate_hz.map(f64::recip));
        // A camera may take a while to open.
        let last = Instant::now() + stalled_after;
        thread::Builder::new()
            .name(format!("webcam-{name}"))
            .spawn(move || {
                if let Err(error) = stream(&settings, &sender) {
                    // Nobody listens any more when the source was dropped.
                    let _ = sender.send(Err(error));
                }
            })
            .map_err(|error| SourceError::Device(format!("cannot start the camera's thread: {error}")))?;
        Ok(Self { name, um_per_px, picture_bytes, frames, stalled_after, last, count: 0 })
    }
}

/// Runs on the camera's thread until the source is dropped or the device fails.
fn stream(settings: &WebcamSettings, sender: &Sender<Result<Raw, String>>) -> Result<(), String> {
    let device = settings.device.clone().unwrap_or_else(|| "0".into());
    let index = device.parse().map_or_else(|_| CameraIndex::String(device.clone()), CameraIndex::Index);
    let [width, height] = settings.size.unwrap_or(DEFAULT_SIZE);
    let rate = settings.rate_hz.map_or(30, |hz| hz.round().max(1.0) as u32);
    let wanted = CameraFormat::new(Resolution::new(width, height), FrameFormat::YUYV, rate);
    let request = RequestedFormat::with_formats(RequestedFormatType::Closest(wanted), &FORMATS);
    let failed = |what: &str, error: nokhwa::NokhwaError| {
        format!("camera '{device}': {what}: {error}; see `metaphased cameras` for what is there")
    };
    let mut camera =
        Camera::with_backend(index, request, ApiBackend::Auto).map_err(|e| failed("cannot be opened", e))?;
    camera.open_stream().map_err(|e| failed("does not stream", e))?;
    loop {
        let buffer = camera.frame().map_err(|e| failed("gave no frame", e))?;
        let size = buffer.resolution();
        let raw = Raw {
            format: buffer.source_frame_format(),
            width: size.width() as usize,
            height: size.height() as usize,
            bytes: buffer.buffer().to_vec(),
        };
        if sender.send(Ok(raw)).is_err() {
            return Ok(());
        }
    }
}

impl Source for WebcamSource {
    fn next(&mut self, buffers: &Buffers) -> Result<Capture, SourceError> {
        let raw = match self.frames.recv_timeout(Duration::from_millis(100)) {
            Ok(Ok(raw)) => raw,
            Ok(Err(text)) => return Err(SourceError::Device(text)),
            Err(RecvTimeoutError::Disconnected) => return Err(SourceError::Device("the camera's thread ended".into())),
            Err(RecvTimeoutError::Timeout) if self.last.elapsed() < self.stalled_after => return Ok(Capture::Nothing),
            Err(RecvTimeoutError::Timeout) => {
                return Err(SourceError::Device(format!(
                    "the camera has given no frame for {:.1} s: check its cable, or whether another program holds it",
                    self.stalled_after.as_secs_f64()
                )));
            }
        };
        self.last = Instant::now();
        self.count += 1;
        let id = FrameId(self.count);
        let (pixels, partial) = match convert(raw, self.picture_bytes, |bytes| buffers.take(bytes).ok()) {
            Ok(read) => read,
            Err(unread) => return Ok(unread.capture(id)),
        };
        let info = FrameInfo {
            arrived: self.last,
            um_per_px: self.um_per_px,
            flags: FrameFlags { partial, ..FrameFlags::default() },
            ..FrameInfo::new(self.name.clone(), id)
        };
        Ok(Capture::Frame(Frame { info, pixels }))
    }
}

/// Grey pixels of a camera's frame, of YUV formats the luma alone, and whether rows of it are missing.
fn convert(frame: Raw, most: u64, take: impl FnOnce(usize) -> Option<PixelBuffer>) -> Result<(Pixels, bool), Unread> {
    let Raw { format, width, height, bytes } = frame;
    let layout = match format {
        FrameFormat::GRAY | FrameFormat::NV12 => RawLayout::Grey8,
        FrameFormat::YUYV => RawLayout::LumaFirst,
        FrameFormat::MJPEG => return Ok((jpeg(bytes, most, take)?, false)),
        other => {
            let text = format!("frames of format {other:?} are not supported");
            return Err(Unread::Bad(RejectReason::Unsupported, text));
        }
    };
    raw(RawFrame { layout, width, height, stride: 0, bytes: &bytes }, take)
}

/// A camera that is there, in words.
///
/// # Errors
/// What the system said.
pub fn list() -> Result<Vec<String>, SourceError> {
    let cameras = nokhwa::query(ApiBackend::Auto).map_err(|e| SourceError::Device(e.to_string()))?;
    Ok(cameras
        .into_iter()
        .map(|info| format!("{}: {} ({})", info.index(), info.human_name(), info.description()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::frame::PixelView;

    fn unpooled(bytes: usize) -> Option<PixelBuffer> {
        Some(PixelBuffer::unpooled(bytes))
    }

    #[test]
    fn of_yuyv_the_luma_stays() {
        let raw = Raw { format: FrameFormat::YUYV, width: 2, height: 1, bytes: vec![10, 128, 20, 128] };
        let Ok((pixels, false)) = convert(raw, 0, unpooled) else { panic!("it is whole") };
        assert!(matches!(pixels.view(), PixelView::Mono8(&[10, 20])));
    }

    #[test]
    fn a_short_frame_is_partial() {
        let raw = Raw { format: FrameFormat::GRAY, width: 4, height: 4, bytes: vec![0; 7] };
        assert!(matches!(convert(raw, 0, unpooled), Ok((_, true))), "rows are missing");
    }
}
