//! GenICam cameras, GigE Vision and USB3 Vision, through the library Aravis: which ones there are ([`cameras`]), their
//! features ([`Camera`]) and their frames ([`Stream`]). The library is opened at run time, so nothing of it is needed to
//! build, and a machine without it has no such cameras.

mod camera;
mod library;
mod stream;

pub use camera::{Camera, Feature, Found, Takes, Value, cameras};
pub use stream::{Arrival, Filled, Stream};

/// What a camera could not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Aravis is not installed.
    #[error("{0}")]
    NoLibrary(String),
    /// The camera is not there (any more), or does not answer.
    #[error("{0}")]
    Gone(String),
    /// Another program controls it.
    #[error("{0}")]
    Busy(String),
    /// It has not what was asked of it, or refused.
    #[error("{0}")]
    Failed(String),
}
