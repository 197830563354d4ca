//! A Video4Linux camera, natively.
//!
//! The driver's buffers are turned into frames by [`imaging::RawFrame`]. A camera that gives nothing for a while has its
//! stream restarted, then it is opened again, and says so meanwhile; one that is gone is an error, after which the
//! pipeline opens it again every two seconds.

mod find;
mod formats;
mod listing;

pub use listing::{Camera, CameraFormat, FormatSize, list, named};

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use self::{
    find::{find, in_words},
    formats::reading,
};
use super::{
    Buffers, Capture, MeasuredDepth, Missed, Raised, Source, SourceError,
    reading::{Reading, STALE_AFTER, jpeg, raw, stalled_after},
};
use domain::frame::{Bayer, DeviceClock, DeviceTime, Frame, FrameFlags, FrameId, FrameInfo, SequenceGaps};
use imaging::RawFrame;
use metaphased_v4l2::{ControlKind, Device, FourCc, PictureFormat, Sizes, Stream};

/// Buffers of the driver: one that is read, one that is filled, and two for a moment in which we are late.
const BUFFERS: u32 = 4;
/// Longest wait for a frame in one call.
const WAIT: Duration = Duration::from_millis(200);

/// What a source over Video4Linux needs to know.
#[derive(Debug, Clone)]
pub struct V4l2Settings {
    /// Name of the source.
    pub name: Arc<str>,
    /// Path, number, name or serial number of the camera; none: the only one there is.
    pub device: Option<String>,
    /// Format to set; none: the best that the camera offers.
    pub format: Option<FourCc>,
    /// Size to set; none: the largest that the camera lists.
    pub size: Option<[u32; 2]>,
    /// Frames a second to set; none: as the camera is.
    pub rate_hz: Option<f64>,
    /// Controls to set, by the names that `metaphased cameras` lists.
    pub controls: BTreeMap<String, i64>,
    /// The filter before the sensor, where the camera does not say it or says it wrongly.
    pub bayer: Option<Bayer>,
    /// Pixel size in micrometres.
    pub um_per_px: Option<f64>,
    /// Most memory that a JPEG picture may take while it is read, in bytes.
    pub picture_bytes: u64,
}

impl V4l2Settings {
    /// Makes sure that frames of the format can be read.
    ///
    /// # Errors
    /// [`SourceError::Unsupported`] with the formats that can.
    pub fn check(&self) -> Result<(), SourceError> {
        match self.format {
            Some(code) if reading(code).is_none() => Err(SourceError::Unsupported(format!(
                "frames of format {code} are not read; use grey (GREY, Y10, Y12, Y16), raw Bayer (RGGB, RG10, RG12, RG16 \
                 ...), YUYV, UYVY, NV12, RGB3, BGR3 or MJPG"
            ))),
            _ => Ok(()),
        }
    }
}

/// A Video4Linux camera.
#[derive(Debug)]
pub struct V4l2Source {
    settings: V4l2Settings,
    /// None only while it is opened again.
    connection: Option<Connection>,
    /// Last frame, or last attempt to get the stream going again.
    last: Instant,
    /// Last call for a frame.
    asked: Instant,
    /// Attempts to get it going since the last frame.
    attempts: u32,
    depth: MeasuredDepth,
    gaps: SequenceGaps,
    /// Frames missing in the device's numbers, not asked for yet.
    missing: u64,
    count: u64,
}

/// A camera that is open, set up and streams.
#[derive(Debug)]
struct Connection {
    stream: Stream,
    path: Arc<str>,
    /// What the driver took, in words.
    taken: String,
    format: PictureFormat,
    reading: Reading,
    stalled_after: Duration,
}

impl Connection {
    fn open(settings: &V4l2Settings) -> Result<Self, SourceError> {
        let device = find(settings.device.as_deref())?;
        let path: Arc<str> = device.path().display().to_string().into();
        let words = |error| in_words(error, &path);
        let (code, reading) = choose_format(&device, settings)?;
        let format = set_format(&device, code, settings.size)?;
        set_controls(&device, &settings.controls)?;
        let rate = match settings.rate_hz {
            Some(hz) => device.set_rate(hz).map_err(words)?,
            None => device.rate(),
        };
        if let (Some(asked), Some(got)) = (settings.rate_hz, rate)
            && (asked - got).abs() > 0.01 * asked
        {
            tracing::warn!(source = %settings.name, asked, got, "the camera has no such rate and took the nearest");
        }
        let rate_in_words = rate.map(|hz| format!(" at {hz:.4} frames/s")).unwrap_or_default();
        let taken = format!(
            "{path} ({}): {code} {} x {}{rate_in_words}{}",
            device.card(),
            format.width,
            format.height,
            controls_in_words(&device, &settings.controls)
        );
        let stream = Stream::start(device, BUFFERS).map_err(words)?;
        Ok(Self { stream, path, taken, format, reading, stalled_after: stalled_after(rate.map(f64::recip)) })
    }
}

impl V4l2Source {
    /// Opens and sets up the camera and starts its stream.
    ///
    /// # Errors
    /// When it is not there, may not be used or is in use, or does not take what is configured.
    pub fn open(settings: V4l2Settings) -> Result<Self, SourceError> {
        settings.check()?;
        let connection = Connection::open(&settings)?;
        tracing::info!(source = %settings.name, "camera opened: {}", connection.taken);
        let connection = Some(connection);
        let (now, depth) = (Instant::now(), MeasuredDepth::default());
        let gaps = SequenceGaps::default();
        Ok(Self { settings, connection, last: now, asked: now, attempts: 0, depth, gaps, missing: 0, count: 0 })
    }

    /// The filter that frames lie behind, which is for whoever takes them to undo.
    pub fn bayer(&self) -> Option<Bayer> {
        self.connection.as_ref()?.reading.filter(self.settings.bayer)
    }

    /// A while without a frame: the stream is restarted and, every second time, the camera opened again.
    fn revive(&mut self) -> Result<Capture, SourceError> {
        self.attempts += 1;
        match &mut self.connection {
            Some(connection) if self.attempts % 2 == 1 => {
                connection.stream.restart().map_err(|error| in_words(error, &connection.path))?;
            }
            connection => {
                // Closed before it is opened: many devices allow one user alone.
                *connection = None;
                *connection = Some(Connection::open(&self.settings)?);
            }
        }
        self.last = Instant::now();
        Ok(Capture::Nothing)
    }
}

impl Source for V4l2Source {
    fn next(&mut self, buffers: &Buffers) -> Result<Capture, SourceError> {
        let away = self.asked.elapsed();
        self.asked = Instant::now();
        let Some(connection) = &mut self.connection else { return self.revive() };
        if away > STALE_AFTER {
            // After a pause the driver's buffers hold pictures of before it.
            connection.stream.restart().map_err(|error| in_words(error, &connection.path))?;
            self.last = self.asked;
        } else if self.last.elapsed() >= connection.stalled_after {
            return self.revive();
        }
        let filled = match connection.stream.next(WAIT) {
            Ok(Some(filled)) => filled,
            Ok(None) => return Ok(Capture::Nothing),
            Err(error) => return Err(in_words(error, &connection.path)),
        };
        (self.last, self.attempts) = (Instant::now(), 0);
        self.count += 1;
        self.missing += self.gaps.missing_before(filled.sequence);
        let id = FrameId(self.count);
        if !filled.is_faulty && filled.newer_is_ready() {
            return Ok(Capture::Superseded);
        }
        let take = |bytes| buffers.take(bytes).ok();
        let read = match connection.reading {
            Reading::Raw(layout, _) | Reading::Luma(layout) => {
                let PictureFormat { width, height, stride, .. } = connection.format;
                let [width, height, stride] = [width, height, stride].map(|n| n as usize);
                raw(RawFrame { layout, width, height, stride, bytes: filled.bytes() }, take)
            }
            Reading::Jpeg => {
                jpeg(filled.bytes().to_vec(), self.settings.picture_bytes, take).map(|pixels| (pixels, false))
            }
        };
        let (mut pixels, partial) = match read {
            Ok(read) => read,
            Err(unread) => return Ok(unread.capture(id)),
        };
        let flags = FrameFlags { error: filled.is_faulty, partial, ..FrameFlags::default() };
        if connection.reading.is_of_unknown_depth()
            && flags == FrameFlags::default()
            && let Some(Raised { from, to }) = self.depth.measure(&mut pixels)
        {
            tracing::warn!(
                source = %self.settings.name, from, to,
                "samples are beyond the bits measured before: frames until now were taken as too bright"
            );
        }
        let now = Timestamp::now();
        let info = FrameInfo {
            device_sequence: Some(filled.sequence),
            device_time: filled.taken.map(|taken| DeviceTime {
                ns: i64::try_from(taken.as_nanos()).unwrap_or(i64::MAX),
                clock: DeviceClock::Monotonic,
            }),
            arrived: self.last,
            time: filled.age.and_then(|age| now.checked_sub(age).ok()).unwrap_or(now),
            um_per_px: self.settings.um_per_px,
            flags,
            ..FrameInfo::new(self.settings.name.clone(), id)
        };
        Ok(Capture::Frame(Frame { info, pixels }))
    }

    fn missed(&mut self) -> Missed {
        Missed { device_gaps: std::mem::take(&mut self.missing), transport_errors: 0 }
    }

    fn device(&self) -> Option<String> {
        Some(self.connection.as_ref()?.taken.clone())
    }

    fn trouble(&self) -> Option<String> {
        let connection = self.connection.as_ref().filter(|_| self.attempts > 0)?;
        Some(format!(
            "{} gives no frames (none for {:.1} s): check cable and USB port and, with an external trigger, the trigger; \
             its stream is restarted until it does",
            connection.path,
            connection.stalled_after.as_secs_f64()
        ))
    }
}

/// The configured format, or the best of those that the camera offers.
fn choose_format(device: &Device, settings: &V4l2Settings) -> Result<(FourCc, Reading), SourceError> {
    let path = device.path().display().to_string();
    let offered = device.formats().map_err(|error| in_words(error, &path))?;
    let list = || offered.iter().map(|format| format.code.to_string()).collect::<Vec<_>>().join(", ");
    let found = match settings.format {
        Some(code) => {
            if !offered.iter().any(|format| format.code == code) {
                return Err(SourceError::Device(format!(
                    "{path} has no format {code}: set `format` to one of {}",
                    list()
                )));
            }
            reading(code).map(|reading| (code, reading))
        }
        None => offered
            .iter()
            .filter_map(|format| Some((format.code, reading(format.code)?)))
            // Of equals the first that the driver lists.
            .rev()
            .max_by_key(|(_, reading)| reading.rank()),
    };
    let Some((code, reading)) = found else {
        return Err(SourceError::Device(format!("{path} offers no format that is read: {}", list())));
    };
    if settings.bayer.is_some() && !reading.is_of_sensor() {
        return Err(SourceError::Device(format!(
            "`bayer` is set, but frames of format {code} are not raw samples: leave `bayer` out or choose a grey format"
        )));
    }
    Ok((code, reading))
}

/// Sets format and size; the camera must take them as they are.
fn set_format(device: &Device, code: FourCc, size: Option<[u32; 2]>) -> Result<PictureFormat, SourceError> {
    let path = device.path().display().to_string();
    let words = |error| in_words(error, &path);
    let sizes = device.sizes(code).map_err(words)?;
    let asked = match (size, &sizes) {
        (Some(size), _) => size,
        (None, Some(Sizes::Listed(all))) => {
            all.iter().copied().max_by_key(|[w, h]| u64::from(*w) * u64::from(*h)).unwrap_or_default()
        }
        (None, Some(Sizes::Between { largest, .. })) => *largest,
        (None, None) => device.format().map(|format| [format.width, format.height]).map_err(words)?,
    };
    let got = device.set_format(code, asked).map_err(words)?;
    if got.code != code || (size.is_some() && [got.width, got.height] != asked) {
        let offered = match &sizes {
            Some(Sizes::Listed(all)) => {
                format!(
                    ": set `size` to one of {}",
                    all.iter().map(|[w, h]| format!("[{w}, {h}]")).collect::<Vec<_>>().join(", ")
                )
            }
            Some(Sizes::Between { least, largest, step }) => format!(
                ": set `size` from {} x {} to {} x {} in steps of {} x {}",
                least[0], least[1], largest[0], largest[1], step[0], step[1]
            ),
            None => String::new(),
        };
        return Err(SourceError::Device(format!(
            "{path} made {} {} x {} of {code} {} x {}{offered}",
            got.code, got.width, got.height, asked[0], asked[1]
        )));
    }
    Ok(got)
}

/// Sets controls: switches and lists first, as an automatic must be off before its value can be set.
fn set_controls(device: &Device, wanted: &BTreeMap<String, i64>) -> Result<(), SourceError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let path = device.path().display().to_string();
    let words = |error| in_words(error, &path);
    let known = device.controls().map_err(words)?;
    for name in wanted.keys() {
        if !known.iter().any(|control| control.name == *name) {
            let all = known.iter().map(|control| control.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(SourceError::Device(format!("{path} has no control '{name}'; it has: {all}")));
        }
    }
    for numbers in [false, true] {
        for control in known.iter().filter(|control| (control.kind == ControlKind::Number) == numbers) {
            if let Some(value) = wanted.get(&control.name) {
                device.set(control, *value).map_err(words)?;
            }
        }
    }
    for control in device.controls().map_err(words)? {
        let Some(asked) = wanted.get(&control.name) else { continue };
        let name = &control.name;
        if control.inactive {
            return Err(SourceError::Device(format!(
                "{path}: the control {name} has no effect while an automatic decides: switch that off in `controls`, too"
            )));
        }
        match control.value {
            Some(got) if got.abs_diff(*asked) >= control.step => {
                return Err(SourceError::Device(format!(
                    "{path}: the control {name} was set to {asked} and reads {got}: expected {}",
                    control.range()
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The configured controls as the driver now has them.
fn controls_in_words(device: &Device, wanted: &BTreeMap<String, i64>) -> String {
    let known = if wanted.is_empty() { Vec::new() } else { device.controls().unwrap_or_default() };
    let mut words: Vec<String> = Vec::new();
    for control in known.iter().filter(|control| wanted.contains_key(&control.name)) {
        words.push(format!("{} = {}", control.name, control.value.map_or("set".into(), |value| value.to_string())));
    }
    words.into_iter().map(|words| format!(", {words}")).collect()
}
