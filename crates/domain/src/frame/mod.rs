//! What flows from source to recognition: a frame, its pixels and the pool they come from.

mod pool;

pub use pool::{FramePool, PixelBuffer};

use std::{fmt, sync::Arc, time::Instant};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{StagePosition, TrueCell};

/// Number of a frame within its source, from 1, never used twice in one run of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameId(pub u64);

impl fmt::Display for FrameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How the samples of a frame are laid out. Colour is interleaved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// One 8-bit sample a pixel.
    Mono8,
    /// One 16-bit sample a pixel, the value right-aligned; see [`Pixels::valid_bits`].
    Mono16,
    /// Three 8-bit samples a pixel, red first.
    Rgb8,
}

impl PixelFormat {
    /// Bytes a pixel.
    pub fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Mono8 => 1,
            Self::Mono16 => 2,
            Self::Rgb8 => 3,
        }
    }
}

/// Colours before the pixels of a sensor, by the first two of the first row and of the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bayer {
    /// Red, green; green, blue.
    Rggb,
    /// Green, red; blue, green.
    Grbg,
    /// Green, blue; red, green.
    Gbrg,
    /// Blue, green; green, red.
    Bggr,
}

impl Bayer {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Rggb, Self::Grbg, Self::Gbrg, Self::Bggr];

    /// As written in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rggb => "rggb",
            Self::Grbg => "grbg",
            Self::Gbrg => "gbrg",
            Self::Bggr => "bggr",
        }
    }

    /// Whether the first pixel of the first row lies behind green.
    pub fn green_first(self) -> bool {
        matches!(self, Self::Grbg | Self::Gbrg)
    }

    /// The colour before a pixel: 0 red, 1 green, 2 blue.
    pub fn channel(self, x: usize, y: usize) -> usize {
        let tile = match self {
            Self::Rggb => [0, 1, 1, 2],
            Self::Grbg => [1, 0, 2, 1],
            Self::Gbrg => [1, 2, 0, 1],
            Self::Bggr => [2, 1, 1, 0],
        };
        tile[y % 2 * 2 + x % 2]
    }
}

/// Pixels of a frame in a buffer that goes back to its pool when dropped.
#[derive(Debug)]
pub struct Pixels {
    buffer: PixelBuffer,
    format: PixelFormat,
    width: usize,
    height: usize,
    valid_bits: u8,
}

/// A buffer whose size does not fit the picture it is to hold.
#[derive(Debug, thiserror::Error)]
#[error(
    "{width} x {height} pixels of {format:?} need {needed} bytes, the buffer holds {found}: give both sides at least 1 \
     and a buffer of exactly that size"
)]
pub struct SizeError {
    width: usize,
    height: usize,
    format: PixelFormat,
    needed: usize,
    found: usize,
}

/// Borrowed pixels of a frame; rows are dense.
#[derive(Debug, Clone, Copy)]
pub enum PixelView<'a> {
    /// 8-bit grey.
    Mono8(&'a [u8]),
    /// 16-bit grey, right-aligned.
    Mono16(&'a [u16]),
    /// 8-bit colour, interleaved, red first.
    Rgb8(&'a [u8]),
}

/// Pixels of a frame, to change in place; rows are dense.
#[derive(Debug)]
pub enum PixelViewMut<'a> {
    /// 8-bit grey.
    Mono8(&'a mut [u8]),
    /// 16-bit grey, right-aligned.
    Mono16(&'a mut [u16]),
    /// 8-bit colour, interleaved, red first.
    Rgb8(&'a mut [u8]),
}

impl Pixels {
    /// Wraps a filled buffer of exactly `width * height` pixels of `format`. `valid_bits` is the number of bits that
    /// the camera really delivers in a 16-bit sample (8 for the 8-bit formats).
    ///
    /// # Errors
    /// When a side is zero or the buffer's length differs from what the format needs.
    pub fn new(
        buffer: PixelBuffer,
        format: PixelFormat,
        width: usize,
        height: usize,
        valid_bits: u8,
    ) -> Result<Self, SizeError> {
        let needed = width.saturating_mul(height).saturating_mul(format.bytes_per_pixel());
        let found = buffer.bytes().len();
        if width == 0 || height == 0 || needed != found {
            return Err(SizeError { width, height, format, needed, found });
        }
        let valid_bits = if format == PixelFormat::Mono16 { valid_bits.clamp(1, 16) } else { 8 };
        Ok(Self { buffer, format, width, height, valid_bits })
    }

    /// Layout of the samples.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Pixels a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Bits of a sample that carry signal: white is `2^valid_bits - 1`.
    pub fn valid_bits(&self) -> u8 {
        self.valid_bits
    }

    /// Sets the bits that carry signal in a 16-bit sample, once they are known; 8-bit samples keep theirs.
    pub fn set_valid_bits(&mut self, bits: u8) {
        if self.format == PixelFormat::Mono16 {
            self.valid_bits = bits.clamp(1, 16);
        }
    }

    /// The samples.
    pub fn view(&self) -> PixelView<'_> {
        match self.format {
            PixelFormat::Mono8 => PixelView::Mono8(self.buffer.bytes()),
            PixelFormat::Mono16 => PixelView::Mono16(self.buffer.words()),
            PixelFormat::Rgb8 => PixelView::Rgb8(self.buffer.bytes()),
        }
    }

    /// The samples, to change.
    pub fn view_mut(&mut self) -> PixelViewMut<'_> {
        match self.format {
            PixelFormat::Mono8 => PixelViewMut::Mono8(self.buffer.bytes_mut()),
            PixelFormat::Mono16 => PixelViewMut::Mono16(self.buffer.words_mut()),
            PixelFormat::Rgb8 => PixelViewMut::Rgb8(self.buffer.bytes_mut()),
        }
    }
}

/// What the source reports with a frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FrameFlags {
    /// The device marked the frame as faulty.
    pub error: bool,
    /// Part of the picture is missing: the device or its transport delivered less than a frame.
    pub partial: bool,
    /// The file was given before and has changed since: its cells keep their ids.
    pub reread: bool,
}

impl FrameFlags {
    /// What is wrong with the frame, which nothing may be measured on then.
    pub fn fault(self) -> Option<&'static str> {
        match self {
            Self { error: true, .. } => Some("the device marked the frame as faulty"),
            Self { partial: true, .. } => Some("a part of the picture is missing: it was cut off or lost on the way"),
            _ => None,
        }
    }
}

/// What is known about a frame besides its pixels.
#[derive(Debug, Clone)]
pub struct FrameInfo {
    /// Number within the source.
    pub id: FrameId,
    /// Name of the source in the configuration.
    pub source: Arc<str>,
    /// Sequence number of the device, where it has one: gaps show what the device dropped ([`SequenceGaps`]).
    pub device_sequence: Option<u32>,
    /// When the device says that it was taken, where it says so.
    pub device_time: Option<DeviceTime>,
    /// When it arrived, for latencies.
    pub arrived: Instant,
    /// When it was taken, wall clock.
    pub time: Timestamp,
    /// The scanner's event id, for one frame a trigger.
    pub trigger: Option<String>,
    /// Case, slide and colony, where it was handed over with them; none: those in force for its source.
    pub sample: Option<SampleContext>,
    /// Stage position, where known.
    pub stage_um: Option<StagePosition>,
    /// Pixel size, where known.
    pub um_per_px: Option<f64>,
    /// File the frame was read from, relative to the source's folder, with its page when it holds several.
    pub file: Option<Arc<str>>,
    /// Size and time of that file, so that a changed one is read again.
    pub stamp: Option<FileStamp>,
    /// What really lies there, when the source made it up itself.
    pub truth: Option<Arc<[TrueCell]>>,
    /// Faults.
    pub flags: FrameFlags,
}

/// Case, slide and colony of a sample.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SampleContext {
    /// Case.
    pub case: Option<Arc<str>>,
    /// Slide.
    pub slide: Option<Arc<str>>,
    /// Colony of an in-situ culture.
    pub colony: Option<Arc<str>>,
}

/// A time that a device gave a frame. Only times of one clock may be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceTime {
    /// Nanoseconds of that clock.
    pub ns: i64,
    /// Which clock.
    pub clock: DeviceClock,
}

/// The clock that a device's time is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceClock {
    /// The system's monotonic clock (CLOCK_MONOTONIC).
    Monotonic,
    /// Wall clock, since 1970.
    Wall,
    /// A clock of the device's own, with an origin of its own.
    Device,
}

impl DeviceClock {
    /// As written in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Monotonic => "monotonic",
            Self::Wall => "wall",
            Self::Device => "device",
        }
    }
}

/// Counts the numbers that are missing in a device's sequence, whose 32 bits may wrap.
#[derive(Debug, Clone, Default)]
pub struct SequenceGaps {
    last: Option<u32>,
}

impl SequenceGaps {
    /// Numbers missing between the last one and this one. A number that is not ahead of the last one (repeated, late, or
    /// of a device that began again) is no gap; counting goes on from it.
    pub fn missing_before(&mut self, number: u32) -> u64 {
        let ahead = self.last.map(|last| number.wrapping_sub(last) as i32);
        self.last = Some(number);
        ahead.map_or(0, |ahead| u64::from((ahead.max(1) - 1).unsigned_abs()))
    }
}

/// Size and modification time of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileStamp {
    /// Size in bytes.
    pub bytes: u64,
    /// Modification time, nanoseconds since 1970.
    pub mtime_ns: i64,
}

impl FrameInfo {
    /// A picture that no running source delivered: tools and tests.
    pub fn of_tool(name: &str) -> Self {
        Self::new(name.into(), FrameId(1))
    }

    /// A frame that arrives now; nothing else is known of it.
    pub fn new(source: Arc<str>, id: FrameId) -> Self {
        Self {
            id,
            source,
            device_sequence: None,
            device_time: None,
            arrived: Instant::now(),
            time: Timestamp::now(),
            trigger: None,
            sample: None,
            stage_um: None,
            um_per_px: None,
            file: None,
            stamp: None,
            truth: None,
            flags: FrameFlags::default(),
        }
    }
}

/// A frame on its way. Frames move; pixels are not copied.
#[derive(Debug)]
pub struct Frame {
    /// What is known about it.
    pub info: FrameInfo,
    /// The pixels.
    pub pixels: Pixels,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_is_faulty_or_partial_says_so_and_one_that_is_read_again_is_whole() {
        let none = FrameFlags::default();
        assert_eq!((none.fault(), FrameFlags { reread: true, ..none }.fault()), (None, None));
        assert!(FrameFlags { partial: true, ..none }.fault().is_some_and(|why| why.contains("missing")));
        let both = FrameFlags { partial: true, error: true, ..none };
        assert!(both.fault().is_some_and(|why| why.contains("marked")), "what the device says comes first");
    }

    #[test]
    fn gaps_are_counted_over_the_wrap_and_never_backwards() {
        let mut gaps = SequenceGaps::default();
        let mut missing = |number| gaps.missing_before(number);
        assert_eq!([missing(5), missing(6), missing(9)], [0, 0, 2]);
        assert_eq!([missing(u32::MAX), missing(0), missing(3)], [0, 0, 2], "a jump back is no gap, the wrap neither");
        assert_eq!([missing(3), missing(2), missing(4)], [0, 0, 1], "repeated, late");
        assert_eq!(missing(0), 0, "the device began again");
    }
}
