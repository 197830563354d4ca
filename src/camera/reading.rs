//! From the buffer of a driver to one of the pool: one conversion for all live cameras.

use std::time::Duration;

use super::{
    BadFrame, Capture,
    files::{FileError, ImageFile},
};
use crate::station::RejectReason;
use domain::frame::{Bayer, FrameId, PixelBuffer, PixelFormat, Pixels};
use imaging::{RawError, RawFrame, RawLayout};

/// Without a frame for so long, or for so many of its intervals, a camera counts as stalled.
const STALLED_AFTER: Duration = Duration::from_millis(1500);
const STALLED_INTERVALS: f64 = 4.0;
/// When frames were not asked for so long, those that wait are too old.
pub(super) const STALE_AFTER: Duration = Duration::from_secs(1);

/// How long a camera that takes a frame every `interval_s` seconds, where that is known, may give none.
pub(super) fn stalled_after(interval_s: Option<f64>) -> Duration {
    let intervals = interval_s.and_then(|s| Duration::try_from_secs_f64(STALLED_INTERVALS * s).ok());
    STALLED_AFTER.max(intervals.unwrap_or_default())
}

/// How frames of a format are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Samples as the sensor gave them, of grey or of colours; behind a filter where one is named.
    Raw(RawLayout, Option<Bayer>),
    /// The luma of a picture whose colours were computed by the camera.
    Luma(RawLayout),
    /// A JPEG picture each.
    Jpeg,
}

impl Reading {
    /// How much a format is wanted where none is configured; more is better. Grey before colour, as grey is what is
    /// measured; the deepest first; what was compressed with loss last.
    pub fn rank(self) -> u32 {
        match self {
            Self::Luma(_) => 60,
            Self::Raw(RawLayout::Rgb8 | RawLayout::Bgr8, _) => 40,
            Self::Raw(layout, pattern) => {
                let is_packed = !matches!(layout, RawLayout::Grey8 | RawLayout::Grey16 { .. });
                let big_endian = matches!(layout, RawLayout::Grey16 { big_endian: true, .. });
                let depth = u32::from(layout.valid_bits()) * 4 - u32::from(is_packed || big_endian);
                if pattern.is_none() { 200 + depth } else { 100 + depth }
            }
            Self::Jpeg => 20,
        }
    }

    /// Whether its samples may lie behind a Bayer filter.
    pub fn is_of_sensor(self) -> bool {
        matches!(self, Self::Raw(layout, _) if layout.format() != PixelFormat::Rgb8)
    }

    /// The filter that its samples lie behind; `configured` goes before what the format says.
    pub fn filter(self, configured: Option<Bayer>) -> Option<Bayer> {
        match self {
            Self::Raw(_, pattern) => configured.or(pattern),
            Self::Luma(_) | Self::Jpeg => None,
        }
    }

    /// Whether its 16 bits do not say how many of them carry signal.
    pub fn is_of_unknown_depth(self) -> bool {
        matches!(self, Self::Raw(RawLayout::Grey16 { bits: 16, .. }, _))
    }
}

/// Why a buffer of a driver is no frame.
#[derive(Debug)]
pub(super) enum Unread {
    /// The pool has none.
    NoBuffer,
    /// What is wrong with it.
    Bad(RejectReason, String),
}

impl Unread {
    /// What the source answers.
    pub fn capture(self, id: FrameId) -> Capture {
        match self {
            Self::NoBuffer => Capture::NoBuffer,
            Self::Bad(reason, text) => Capture::Bad(BadFrame::new(id, reason, text)),
        }
    }
}

/// Pixels of a frame as it lies in the driver's memory, and whether rows of it are missing.
pub(super) fn raw(
    frame: RawFrame<'_>,
    take: impl FnOnce(usize) -> Option<PixelBuffer>,
) -> Result<(Pixels, bool), Unread> {
    let bad = |error: RawError| Unread::Bad(RejectReason::DeviceError, error.to_string());
    // What makes no sense must not cost a buffer of the pool, nor be counted as a lack of one.
    let is_partial = match frame.check() {
        Ok(()) => false,
        Err(error @ RawError::Short { .. }) => {
            tracing::debug!(%error, "a partial frame");
            true
        }
        Err(error) => return Err(bad(error)),
    };
    let buffer = take(frame.buffer_bytes()).ok_or(Unread::NoBuffer)?;
    Ok((frame.read_part(buffer).map_err(bad)?, is_partial))
}

/// Pixels of a JPEG picture that a camera made; reading it takes at most `most` bytes of memory.
pub(super) fn jpeg(
    bytes: Vec<u8>,
    most: u64,
    take: impl FnOnce(usize) -> Option<PixelBuffer>,
) -> Result<Pixels, Unread> {
    match ImageFile::from_bytes_within(bytes, most).and_then(|mut file| file.read(0, take)) {
        Ok(page) => Ok(page.pixels),
        Err(FileError::NoBuffer) => Err(Unread::NoBuffer),
        Err(error @ FileError::TooMuchMemory { .. }) => Err(Unread::Bad(error.reason(), error.to_string())),
        Err(error) => Err(Unread::Bad(RejectReason::DeviceError, error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_camera_is_given_four_of_its_intervals() {
        assert_eq!(stalled_after(None), Duration::from_millis(1500));
        assert_eq!(stalled_after(Some(0.1)), Duration::from_millis(1500));
        assert_eq!(stalled_after(Some(1.0)), Duration::from_secs(4));
    }

    #[test]
    fn a_picture_that_takes_more_memory_than_configured_is_refused_by_that_name() {
        let mut bytes = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
        image::GrayImage::new(640, 480).write_with_encoder(encoder).expect("it encodes");
        let unpooled = |bytes| Some(PixelBuffer::unpooled(bytes));
        assert!(jpeg(bytes.clone(), 1 << 26, unpooled).is_ok());
        match jpeg(bytes, 1 << 16, unpooled) {
            Err(Unread::Bad(RejectReason::Unsupported, text)) => assert!(text.contains("memory.picture"), "{text}"),
            other => panic!("{other:?}"),
        }
        match jpeg(vec![1; 100], 1 << 26, unpooled) {
            Err(Unread::Bad(RejectReason::DeviceError, _)) => {}
            other => panic!("{other:?}"),
        }
    }
}
