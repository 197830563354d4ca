//! Video4Linux cameras, over the kernel's own calls: what a device offers ([`Device`]), its controls, and its frames
//! ([`Stream`]), mapped into memory, with a time-out that the stream recovers from. No library of C is needed, neither
//! to build nor to run.
//!
//! Devices with planes in memory of their own (`V4L2_CAP_VIDEO_CAPTURE_MPLANE` alone, as the cameras of telephone boards
//! have) are not driven.

#[cfg(target_os = "linux")]
mod abi;
#[cfg(target_os = "linux")]
mod control;
#[cfg(target_os = "linux")]
mod device;
#[cfg(target_os = "linux")]
mod stream;

mod code;

pub use code::FourCc;
#[cfg(target_os = "linux")]
pub use control::{Control, ControlKind};
#[cfg(target_os = "linux")]
pub use device::{Device, FormatInfo, Node, PictureFormat, Rates, Sizes, nodes};
#[cfg(target_os = "linux")]
pub use stream::{Filled, Stream};

/// What a device could not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The device is not there (any more).
    #[error("{0}")]
    Gone(String),
    /// The user may not open it.
    #[error("{0}")]
    Denied(String),
    /// Another program holds it.
    #[error("{0}")]
    Busy(String),
    /// It is no camera, or has not what was asked of it.
    #[error("{0}")]
    Unsupported(String),
    /// The driver refused or failed.
    #[error("{0}")]
    Failed(String),
}

#[cfg(target_os = "linux")]
impl Error {
    /// The error of a call that was to do `what`.
    fn of(what: &str, errno: rustix::io::Errno) -> Self {
        use rustix::io::Errno;
        let text = format!("{what}: {errno}");
        match errno {
            Errno::NODEV | Errno::NOENT | Errno::NXIO => Self::Gone(text),
            Errno::ACCESS | Errno::PERM => Self::Denied(text),
            Errno::BUSY => Self::Busy(text),
            Errno::INVAL | Errno::NOTTY | Errno::RANGE => Self::Unsupported(text),
            _ => Self::Failed(text),
        }
    }
}
