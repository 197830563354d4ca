//! A device: which there are, what one offers, and what it is set to.

use std::{
    fs,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
};

use crate::{
    Error, FourCc,
    abi::{self, Capability, Format, FormatDescription, Fraction, FrameIntervals, FrameSizes, StreamParameters},
};

/// A file of the system that stands for a device; it was not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The file, such as `/dev/video0`.
    pub path: PathBuf,
    /// Name that the driver gives, such as `HD Webcam`.
    pub name: String,
    /// Serial number of a USB device.
    pub serial: Option<String>,
}

/// Every video device of this machine, by number. Some are no cameras: one camera may have several files.
pub fn nodes() -> Vec<Node> {
    nodes_in(Path::new("/sys/class/video4linux"))
}

fn nodes_in(class: &Path) -> Vec<Node> {
    let mut found: Vec<(u32, Node)> = fs::read_dir(class)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let file = entry.file_name().into_string().ok()?;
            let number = file.strip_prefix("video")?.parse().ok()?;
            let read = |below: &str| {
                let text = fs::read_to_string(entry.path().join(below)).ok()?;
                Some(text.trim().to_owned()).filter(|text| !text.is_empty())
            };
            // `device` is the interface of a USB device; its parent has the serial number.
            let serial = read("device/../serial");
            Some((number, Node { path: Path::new("/dev").join(&file), name: read("name").unwrap_or_default(), serial }))
        })
        .collect();
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, node)| node).collect()
}

/// A format that a device offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatInfo {
    /// Its four characters.
    pub code: FourCc,
    /// The driver's name of it.
    pub description: String,
}

/// Sizes that a device offers in one format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sizes {
    /// These, width and height.
    Listed(Vec<[u32; 2]>),
    /// Any from the least to the largest in steps.
    Between {
        /// Least width and height.
        least: [u32; 2],
        /// Largest width and height.
        largest: [u32; 2],
        /// Steps of width and height.
        step: [u32; 2],
    },
}

/// Frames a second that a device offers in one format and size.
#[derive(Debug, Clone, PartialEq)]
pub enum Rates {
    /// These.
    Listed(Vec<f64>),
    /// Any between.
    Between {
        /// Slowest.
        least: f64,
        /// Fastest.
        largest: f64,
    },
}

/// How a device lays out its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureFormat {
    /// Format.
    pub code: FourCc,
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from row to row; 0 where the driver leaves it open or rows have no length (compressed).
    pub stride: u32,
    /// Bytes of a whole picture, at least.
    pub bytes: u32,
}

/// An open device that can capture.
#[derive(Debug)]
pub struct Device {
    file: OwnedFd,
    path: PathBuf,
    card: String,
    driver: String,
    bus: String,
}

impl Device {
    /// Opens a device and makes sure that it captures.
    ///
    /// # Errors
    /// [`Error::Gone`], [`Error::Denied`], [`Error::Busy`]; [`Error::Unsupported`] when it is no camera.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |what: &str, errno| Error::of(&format!("{}: {what}", path.display()), errno);
        let file = open(path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| failed("cannot be opened", errno))?;
        let mut found = Capability::default();
        abi::QUERYCAP.on(file.as_fd(), &mut found).map_err(|errno| match errno {
            Errno::NOTTY | Errno::INVAL => Error::Unsupported(format!("{} is no video device", path.display())),
            errno => failed("does not say what it is", errno),
        })?;
        let can = match found.capabilities & abi::CAP_DEVICE_CAPS {
            0 => found.capabilities,
            _ => found.device_caps,
        };
        let card = abi::text(&found.card);
        let refused = |why: &str| Err(Error::Unsupported(format!("{} ({card}) {why}", path.display())));
        if can & abi::CAP_VIDEO_CAPTURE == 0 {
            return refused(match can & abi::CAP_VIDEO_CAPTURE_MPLANE {
                0 => "captures no pictures: a camera may have several files, of which one gives frames",
                _ => "gives its planes in memory of their own (multi-planar), which is not supported",
            });
        }
        if can & abi::CAP_STREAMING == 0 {
            return refused("cannot stream into mapped memory, which is needed");
        }
        let (driver, bus) = (abi::text(&found.driver), abi::text(&found.bus_info));
        Ok(Self { file, path: path.to_owned(), card, driver, bus })
    }

    /// The file that it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name.
    pub fn card(&self) -> &str {
        &self.card
    }

    /// The driver's name.
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// Where it is plugged in.
    pub fn bus(&self) -> &str {
        &self.bus
    }

    pub(crate) fn error(&self, what: &str, errno: Errno) -> Error {
        Error::of(&format!("{}: {what}", self.path.display()), errno)
    }

    /// Every format that it offers, in the driver's order.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn formats(&self) -> Result<Vec<FormatInfo>, Error> {
        let mut found = Vec::new();
        for index in 0.. {
            let mut one = FormatDescription { index, kind: abi::CAPTURE, ..FormatDescription::default() };
            match abi::ENUM_FMT.on(self.as_fd(), &mut one) {
                Ok(()) => {
                    let code = FourCc::of(one.pixelformat);
                    found.push(FormatInfo { code, description: abi::text(&one.description) });
                }
                Err(Errno::INVAL | Errno::NOTTY) => break,
                Err(errno) => return Err(self.error("cannot list formats", errno)),
            }
        }
        Ok(found)
    }

    /// Sizes in a format; none where the driver does not list them.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn sizes(&self, format: FourCc) -> Result<Option<Sizes>, Error> {
        let mut listed = Vec::new();
        for index in 0.. {
            let mut one = FrameSizes { index, pixel_format: format.number(), ..FrameSizes::default() };
            match abi::ENUM_FRAMESIZES.on(self.as_fd(), &mut one) {
                Ok(()) if one.kind == abi::SIZE_DISCRETE => listed.push([one.sizes[0], one.sizes[1]]),
                Ok(()) => {
                    let [w, to_w, step_w, h, to_h, step_h] = one.sizes;
                    return Ok(Some(Sizes::Between {
                        least: [w, h],
                        largest: [to_w, to_h],
                        step: [step_w.max(1), step_h.max(1)],
                    }));
                }
                Err(Errno::INVAL | Errno::NOTTY) => break,
                Err(errno) => return Err(self.error("cannot list sizes", errno)),
            }
        }
        Ok((!listed.is_empty()).then_some(Sizes::Listed(listed)))
    }

    /// Rates in a format and size; none where the driver does not list them.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn rates(&self, format: FourCc, [width, height]: [u32; 2]) -> Result<Option<Rates>, Error> {
        let mut listed = Vec::new();
        for index in 0.. {
            let pixel_format = format.number();
            let mut one = FrameIntervals { index, pixel_format, width, height, ..FrameIntervals::default() };
            match abi::ENUM_FRAMEINTERVALS.on(self.as_fd(), &mut one) {
                Ok(()) if one.kind == abi::RATE_DISCRETE => listed.extend(rate(one.intervals[0])),
                Ok(()) => {
                    let between = rate(one.intervals[1]).zip(rate(one.intervals[0]));
                    return Ok(between.map(|(least, largest)| Rates::Between { least, largest }));
                }
                Err(Errno::INVAL | Errno::NOTTY) => break,
                Err(errno) => return Err(self.error("cannot list rates", errno)),
            }
        }
        Ok((!listed.is_empty()).then_some(Rates::Listed(listed)))
    }

    /// The format in force.
    ///
    /// # Errors
    /// When the driver does not say it.
    pub fn format(&self) -> Result<PictureFormat, Error> {
        let mut format = Format::capture();
        abi::G_FMT
            .on(self.as_fd(), &mut format)
            .map_err(|errno| self.error("does not say the format of its frames", errno))?;
        Ok(picture(&format))
    }

    /// Asks for a format and a size; returns what the driver made of them, which may be another size.
    ///
    /// # Errors
    /// When the driver refuses, another program streams, or a frame would hold every other row alone.
    pub fn set_format(&self, code: FourCc, [width, height]: [u32; 2]) -> Result<PictureFormat, Error> {
        let mut format = Format::capture();
        (format.pix.width, format.pix.height) = (width, height);
        format.pix.pixelformat = code.number();
        format.pix.field = abi::FIELD_NONE;
        abi::S_FMT
            .on(self.as_fd(), &mut format)
            .map_err(|errno| self.error(&format!("cannot be set to {code} {width} x {height}"), errno))?;
        match format.pix.field {
            abi::FIELD_NONE | abi::FIELD_INTERLACED | abi::FIELD_INTERLACED_TB | abi::FIELD_INTERLACED_BT => {
                Ok(picture(&format))
            }
            _ => Err(Error::Unsupported(format!(
                "{}: gives half pictures (every other row), which are not supported",
                self.path.display()
            ))),
        }
    }

    /// Frames a second in force; none where the driver does not say it.
    pub fn rate(&self) -> Option<f64> {
        let mut found = StreamParameters::capture();
        abi::G_PARM.on(self.as_fd(), &mut found).ok()?;
        rate(found.time_per_frame)
    }

    /// Asks for frames a second; returns what the driver made of it, none where it does not say or has no rates.
    ///
    /// # Errors
    /// When the device is gone or in use.
    pub fn set_rate(&self, hz: f64) -> Result<Option<f64>, Error> {
        let mut asked = StreamParameters::capture();
        asked.time_per_frame = interval(hz);
        match abi::S_PARM.on(self.as_fd(), &mut asked) {
            Ok(()) if asked.capability & abi::CAP_TIMEPERFRAME != 0 => Ok(rate(asked.time_per_frame)),
            Ok(()) | Err(Errno::INVAL | Errno::NOTTY) => Ok(self.rate()),
            Err(errno) => Err(self.error(&format!("cannot be set to {hz} frames a second"), errno)),
        }
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn picture(format: &Format) -> PictureFormat {
    let pix = &format.pix;
    PictureFormat {
        code: FourCc::of(pix.pixelformat),
        width: pix.width,
        height: pix.height,
        stride: pix.bytesperline,
        bytes: pix.sizeimage,
    }
}

/// Frames a second of the time between two of them.
fn rate(interval: Fraction) -> Option<f64> {
    let Fraction { numerator, denominator } = interval;
    (numerator > 0 && denominator > 0).then(|| f64::from(denominator) / f64::from(numerator))
}

/// The time between two frames; to a thousandth of a frame a second, as 30000/1001 needs it.
fn interval(hz: f64) -> Fraction {
    let thousandths = (hz * 1000.0).round().clamp(1.0, f64::from(u32::MAX)) as u32;
    Fraction { numerator: 1000, denominator: thousandths }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_device_is_said() {
        let absent = Device::open(Path::new("/dev/video-nowhere")).expect_err("nothing is there");
        assert!(matches!(&absent, Error::Gone(text) if text.contains("/dev/video-nowhere")), "{absent}");
        let other = Device::open(Path::new("/dev/null")).expect_err("no camera");
        assert!(matches!(&other, Error::Unsupported(text) if text.contains("/dev/null is no video device")), "{other}");
    }

    #[test]
    fn files_of_devices_come_by_number_with_name_and_serial() {
        let class = tempfile::tempdir().unwrap();
        for (file, name) in [("video10", "Late\n"), ("video2", "HD Webcam\n"), ("vbi0", "no camera")] {
            fs::create_dir_all(class.path().join(file).join("device")).unwrap();
            fs::write(class.path().join(file).join("name"), name).unwrap();
        }
        fs::write(class.path().join("video2/serial"), "A1B2\n").unwrap();
        let found = nodes_in(class.path());
        let names: Vec<_> = found.iter().map(|n| (n.path.to_str().unwrap(), n.name.as_str(), &n.serial)).collect();
        assert_eq!(names, [("/dev/video2", "HD Webcam", &Some("A1B2".into())), ("/dev/video10", "Late", &None)]);
    }

    #[test]
    fn a_rate_and_its_interval_agree() {
        for hz in [0.5, 5.0, 29.97, 30.0, 120.0] {
            let back = rate(interval(hz)).unwrap();
            assert!((back - hz).abs() < 1e-9, "{hz} {back}");
        }
        assert_eq!(rate(Fraction::default()), None);
    }
}
