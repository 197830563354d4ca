//! A GenICam camera (GigE Vision, USB3 Vision), through Aravis.
//!
//! A camera that gives nothing for a while is closed and opened again, and the source says so meanwhile; one that is lost is
//! an error, after which the pipeline opens it again every two seconds.

mod find;
mod formats;
mod setup;

pub use find::{Offer, find, list};

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::bounded;
use jiff::Timestamp;

use self::{
    find::in_words,
    formats::named,
    setup::{Taken, Trigger, set_up},
};
use super::{
    Buffers, Capture, MeasuredDepth, Missed, Raised, Source, SourceError,
    reading::{Reading, STALE_AFTER, Unread, raw, stalled_after},
};
use crate::{config::ControlValue, station::RejectReason};
use domain::frame::{Bayer, DeviceClock, DeviceTime, Frame, FrameFlags, FrameId, FrameInfo, PixelBuffer, Pixels};
use imaging::RawFrame;
use metaphased_aravis::{Arrival, Camera, Filled, Stream};

/// Buffers of the stream: one that is read, one that is filled, and some for a moment in which we are late.
const BUFFERS: usize = 6;
/// So many of the numbers passed over are known, to tell a late frame from a camera that begins again.
const PASSED_KNOWN: usize = 256;
/// Longest wait for a frame in one call.
const WAIT: Duration = Duration::from_millis(200);
/// So long a camera is waited for while it is closed. One that does not answer takes longer, and is left to itself.
const CLOSED_WITHIN: Duration = Duration::from_millis(500);

/// What a source over GenICam needs to know.
#[derive(Debug, Clone)]
pub struct GenicamSettings {
    /// Name of the source.
    pub name: Arc<str>,
    /// Id, serial number, address or model of the camera; none: the only one there is.
    pub device: Option<String>,
    /// Format to set, by its GenICam name; none: the best that the camera offers.
    pub format: Option<String>,
    /// Size to set; none: the largest.
    pub size: Option<[u32; 2]>,
    /// Frames a second to set, or to trigger; none: as the camera is, or as soon as the one before has come.
    pub rate_hz: Option<f64>,
    /// Features to set, by their GenICam names.
    pub controls: BTreeMap<String, ControlValue>,
    /// The filter before the sensor, where the camera does not say it or says it wrongly.
    pub bayer: Option<Bayer>,
    /// Pixel size in micrometres.
    pub um_per_px: Option<f64>,
}

impl GenicamSettings {
    /// Makes sure that frames of the format can be read.
    ///
    /// # Errors
    /// [`SourceError::Unsupported`] with the formats that can.
    pub fn check(&self) -> Result<(), SourceError> {
        match &self.format {
            Some(name) if named(name).is_none() => Err(SourceError::Unsupported(format!(
                "frames of format {name} are not read; use Mono8 to Mono16 (also Mono10p, Mono12Packed ...), Bayer (BayerRG8, \
                 BayerGR12p ...), RGB8, BGR8 or YUV422_8"
            ))),
            _ => Ok(()),
        }
    }
}

/// A GenICam camera.
#[derive(Debug)]
pub struct GenicamSource {
    settings: GenicamSettings,
    /// None only while it is opened again.
    connection: Option<Connection>,
    /// Last frame, last software trigger, or last attempt to get the stream going again.
    last: Instant,
    /// Last call for a frame.
    asked: Instant,
    /// A frame has been triggered and has not come.
    is_triggered: bool,
    /// No frames, and that has been said.
    is_troubled: bool,
    depth: MeasuredDepth,
    /// Frames missing in the camera's numbers, not asked for yet; below 0 when one that was counted has come late.
    missing: i64,
    count: u64,
}

/// A camera that is open, set up and streams.
#[derive(Debug)]
struct Connection {
    stream: Stream,
    id: String,
    taken: Taken,
    stalled_after: Duration,
    numbers: Numbers,
}

impl Connection {
    fn open(settings: &GenicamSettings) -> Result<Self, SourceError> {
        let found = find(settings.device.as_deref())?;
        let camera = Camera::open(&found.id).map_err(in_words)?;
        let mut taken = set_up(&camera, settings)?;
        let exposure = camera.exposure_us().map(|us| us / 1e6);
        let interval = taken.rate.map(f64::recip).into_iter().chain(exposure).reduce(f64::max);
        let stream = Stream::start(camera, BUFFERS).map_err(in_words)?;
        // Known only now: Aravis may have made packets smaller because large ones did not arrive.
        let packet = stream.camera().feature("ArvGevSCPSPacketSize").ok().flatten().and_then(|f| f.value);
        let packet = packet.map(|bytes| format!(", packets of {bytes} bytes")).unwrap_or_default();
        taken.words = format!("{} ({} {}): {}{packet}", found.id, found.vendor, found.model, taken.words);
        let numbers = Numbers::default();
        Ok(Self { stream, id: found.id, taken, stalled_after: stalled_after(interval), numbers })
    }

    /// Closes it. A camera that is gone answers none of the calls that end it, so that happens on a thread of its own.
    fn close(self) {
        let (ended, wait) = bounded::<()>(0);
        let close = move || {
            drop(self);
            drop(ended);
        };
        // Without a thread it is closed here, as soon as it can be.
        if thread::Builder::new().name("close-camera".into()).spawn(close).is_ok() {
            let _ = wait.recv_timeout(CLOSED_WITHIN);
        }
    }
}

/// Numbers of frames that run on where those of a camera have 16 bits and wrap (after 65535 follows 1, as 0 means none), and
/// how many are missing. A frame that waits for its last packets comes after whole ones of higher numbers.
#[derive(Debug, Default)]
struct Numbers {
    before_wraps: u64,
    highest: u64,
    /// Those that were passed over, running and ascending; of many the last.
    missing: VecDeque<u64>,
}

impl Numbers {
    /// The number as it runs on, and what it changes of the count of those missing: a late one is missing no more.
    fn running(&mut self, number: u64) -> (u32, i64) {
        const MOST: u64 = 0xffff;
        const NEAR: u64 = 0xfff;
        // Gaps are counted over 32 bits that wrap.
        let late =
            [self.before_wraps.checked_sub(MOST), Some(self.before_wraps)].into_iter().flatten().find_map(|before| {
                let place = self.missing.binary_search(&(before + number)).ok()?;
                self.missing.remove(place)
            });
        if let Some(late) = late {
            return (late as u32, -1);
        }
        let last = self.highest - self.before_wraps;
        let (is_at_start, is_at_end) = (|n| n <= NEAR, |n| (MOST - NEAR..=MOST).contains(&n));
        if is_at_end(last) && is_at_start(number) {
            self.before_wraps += MOST;
        }
        let running = self.before_wraps + number;
        let is_before_wrap = self.before_wraps > 0 && is_at_start(last) && is_at_end(number);
        if running < self.highest || is_before_wrap {
            // Neither new nor one that was passed over: the camera began again.
            *self = Self { highest: number, ..Self::default() };
            return (number as u32, 0);
        }
        let passed = if self.highest == 0 { 0 } else { (running - self.highest).saturating_sub(1) };
        for number in running - passed.min(PASSED_KNOWN as u64)..running {
            if self.missing.len() == PASSED_KNOWN {
                self.missing.pop_front();
            }
            self.missing.push_back(number);
        }
        self.highest = running;
        (running as u32, i64::try_from(passed).unwrap_or(i64::MAX))
    }
}

impl GenicamSource {
    /// Opens and sets up the camera and starts its stream.
    ///
    /// # Errors
    /// When Aravis is not installed, and when the camera is not there, is in use, or does not take what is configured.
    pub fn open(settings: GenicamSettings) -> Result<Self, SourceError> {
        settings.check()?;
        let connection = Connection::open(&settings)?;
        tracing::info!(source = %settings.name, "camera opened: {}", connection.taken.words);
        let now = Instant::now();
        Ok(Self {
            settings,
            connection: Some(connection),
            last: now,
            asked: now,
            is_triggered: false,
            is_troubled: false,
            depth: MeasuredDepth::default(),
            missing: 0,
            count: 0,
        })
    }

    /// The filter that frames lie behind, which is for whoever takes them to undo.
    pub fn bayer(&self) -> Option<Bayer> {
        self.connection.as_ref()?.taken.format.reading.filter(self.settings.bayer)
    }

    fn reopen(&mut self) -> Result<Capture, SourceError> {
        // Closed before it is opened: a camera has one controller.
        self.connection.take().into_iter().for_each(Connection::close);
        self.connection = Some(Connection::open(&self.settings)?);
        let now = Instant::now();
        (self.last, self.asked, self.is_triggered) = (now, now, false);
        Ok(Capture::Nothing)
    }

    /// Triggers the next frame when its time has come, and gives how long to wait then.
    fn trigger(&mut self) -> Result<Duration, SourceError> {
        let Some(connection) = self.connection.as_mut().filter(|_| !self.is_triggered) else { return Ok(WAIT) };
        let interval = self.settings.rate_hz.map_or(Duration::ZERO, |hz| Duration::from_secs_f64(1.0 / hz));
        // From trigger to trigger; the exposure is part of it.
        let left = interval.saturating_sub(self.last.elapsed());
        if !left.is_zero() && self.count > 0 {
            return Ok(left.min(WAIT));
        }
        connection.stream.camera().act("TriggerSoftware").map_err(in_words)?;
        (self.last, self.is_triggered) = (Instant::now(), true);
        Ok(WAIT)
    }
}

impl Drop for GenicamSource {
    fn drop(&mut self) {
        self.connection.take().into_iter().for_each(Connection::close);
    }
}

impl Source for GenicamSource {
    fn next(&mut self, buffers: &Buffers) -> Result<Capture, SourceError> {
        let away = self.asked.elapsed();
        self.asked = Instant::now();
        let Some(connection) = &mut self.connection else { return self.reopen() };
        if connection.stream.camera().is_lost() {
            return Err(SourceError::NotFound(format!(
                "{} is lost: it does not answer, or another program has taken control; check cable and power",
                connection.id
            )));
        }
        let is_awaited = match connection.taken.trigger {
            Trigger::Free => true,
            Trigger::Software => self.is_triggered,
            Trigger::Hardware(_) => false,
        };
        if away > STALE_AFTER {
            // After a pause the buffers hold pictures of before it.
            connection.stream.restart().map_err(in_words)?;
            connection.numbers = Numbers::default();
            (self.last, self.is_triggered) = (self.asked, false);
        } else if is_awaited && self.last.elapsed() >= connection.stalled_after {
            if !self.is_troubled {
                // Said before what follows, which may take seconds.
                self.is_troubled = true;
                return Ok(Capture::Nothing);
            }
            return self.reopen();
        }
        let wait = if connection.taken.trigger == Trigger::Software { self.trigger()? } else { WAIT };
        let Some(connection) = &mut self.connection else { return Ok(Capture::Nothing) };
        let Some(filled) = connection.stream.next(wait) else { return Ok(Capture::Nothing) };
        let arrived = Instant::now();
        if connection.taken.trigger != Trigger::Software {
            self.last = arrived;
        }
        (self.is_troubled, self.is_triggered) = (false, false);
        self.count += 1;
        // One without a number is one of those that are passed over.
        let number = filled.number.map(|number| connection.numbers.running(number.get()));
        self.missing += number.map_or(-1, |(_, change)| change);
        let id = FrameId(self.count);
        if filled.newer_is_ready() && filled.arrival == Arrival::Whole {
            return Ok(Capture::Superseded);
        }
        let (mut pixels, flags) = match read(&filled, &connection.taken, |bytes| buffers.take(bytes).ok()) {
            Ok(read) => read,
            Err(unread) => return Ok(unread.capture(id)),
        };
        if connection.taken.format.reading.is_of_unknown_depth()
            && flags == FrameFlags::default()
            && let Some(Raised { from, to }) = self.depth.measure(&mut pixels)
        {
            tracing::warn!(
                source = %self.settings.name, from, to,
                "samples are beyond the bits measured before: frames until now were taken as too bright"
            );
        }
        let time = i64::try_from(filled.wall_ns).ok().filter(|ns| *ns > 0);
        let device_ns = i64::try_from(filled.device_ns).ok().filter(|ns| *ns > 0);
        let info = FrameInfo {
            device_sequence: number.map(|(number, _)| number),
            device_time: device_ns.map(|ns| DeviceTime { ns, clock: DeviceClock::Device }),
            arrived,
            time: time.and_then(|ns| Timestamp::from_nanosecond(ns.into()).ok()).unwrap_or_else(Timestamp::now),
            um_per_px: self.settings.um_per_px,
            flags,
            ..FrameInfo::new(self.settings.name.clone(), id)
        };
        Ok(Capture::Frame(Frame { info, pixels }))
    }

    fn missed(&mut self) -> Missed {
        let known = self.missing.max(0);
        self.missing -= known;
        Missed { device_gaps: known.unsigned_abs(), transport_errors: 0 }
    }

    fn device(&self) -> Option<String> {
        Some(self.connection.as_ref()?.taken.words.clone())
    }

    fn trouble(&self) -> Option<String> {
        let connection = self.connection.as_ref().filter(|_| self.is_troubled)?;
        Some(format!(
            "{} gives no frames (none for {:.1} s): check cable, power and network; it is opened again until it does",
            connection.id,
            connection.stalled_after.as_secs_f64()
        ))
    }
}

/// Pixels of a frame, and what is wrong with them.
fn read(
    filled: &Filled<'_>,
    taken: &Taken,
    take: impl FnOnce(usize) -> Option<PixelBuffer>,
) -> Result<(Pixels, FrameFlags), Unread> {
    let bad = |text: String| Unread::Bad(RejectReason::DeviceError, text);
    let format = taken.format;
    let [width, height] = match filled.arrival {
        Arrival::Whole if filled.format != format.code => {
            return Err(bad(format!(
                "the frame is of format 0x{:08x}; expected {} (0x{:08x})",
                filled.format, format.name, format.code
            )));
        }
        Arrival::Whole => [filled.width, filled.height],
        // The packet that says it may be what is missing.
        Arrival::Partial => taken.size,
        Arrival::Faulty => return Err(bad("what the camera sent is no picture of its size".into())),
    };
    let (Reading::Raw(layout, _) | Reading::Luma(layout)) = format.reading else {
        return Err(bad(format!("frames of format {} are not read", format.name)));
    };
    let row = layout.row_bytes(width);
    // Rows of packed formats follow each other without a gap, so one may begin within a byte, or a group of samples.
    if layout.row_bytes(width * 2) != 2 * row {
        return Err(bad(format!(
            "rows of {width} pixels of {} do not end with a byte: set `size` to a width that is a multiple of 8",
            format.name
        )));
    }
    let frame = RawFrame { layout, width, height, stride: row + filled.padding, bytes: filled.bytes() };
    let (pixels, is_short) = raw(frame, take)?;
    let partial = is_short || filled.arrival == Arrival::Partial;
    Ok((pixels, FrameFlags { partial, ..FrameFlags::default() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_16_bits_run_on_over_their_end_and_longer_ones_as_they_are() {
        let missing = |all: &[u64]| {
            let mut numbers = Numbers::default();
            all.iter().map(|number| numbers.running(*number).1).collect::<Vec<_>>()
        };
        assert_eq!(missing(&[65_533, 65_534, 65_535, 1, 2, 5]), [0, 0, 0, 0, 0, 2]);
        assert_eq!(missing(&[65_534, 65_537, 65_538]), [0, 2, 0], "more than 16 bits");
        assert_eq!(missing(&[500, 1, 2]), [0, 0, 0], "a camera that began again");
        assert_eq!(missing(&[7, 9, 8, 10, 12]), [0, 1, -1, 0, 1], "one that came late is not missing");
        assert_eq!(missing(&[65_534, 1, 65_535, 2]), [0, 1, -1, 0], "not even over the end");
        assert_eq!(missing(&[7, 57, 58, 12, 59]), [0, 49, 0, -1, 0], "however late");
        assert_eq!(missing(&[1, 1_000, 1_001, 990, 2]), [0, 998, 0, -1, 0], "of many the last are known");
        assert_eq!(missing(&[65_535, 1, 40, 65_000, 65_001]), [0, 0, 38, 0, 0], "begun again after the end");
        let mut numbers = Numbers::default();
        let running = [65_533, 65_535, 1, 65_534].map(|number| numbers.running(number).0);
        assert_eq!(running, [65_533, 65_535, 65_536, 65_534]);
    }
}
