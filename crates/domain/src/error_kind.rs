//! What kind of failure an error is, for whoever has to decide what to do about it.

use std::error::Error;

/// Kinds of failures. Every error of the program knows its own; commands turn them into exit codes in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The command line was used wrongly.
    Usage,
    /// Input data cannot be used as they are.
    BadData,
    /// An input does not exist.
    NotFound,
    /// Something that is needed is not available: camera, engine, port, broker.
    Unavailable,
    /// A mistake of the program itself.
    Internal,
    /// An output cannot be created.
    CannotCreate,
    /// Reading or writing failed.
    Io,
    /// Somebody else holds it now: trying again later can succeed.
    Busy,
    /// It is not permitted.
    NotPermitted,
    /// The configuration is wrong.
    Config,
}

impl From<&std::io::Error> for ErrorKind {
    fn from(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::NotFound,
            std::io::ErrorKind::PermissionDenied => Self::NotPermitted,
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => Self::BadData,
            _ => Self::Io,
        }
    }
}

/// An error that knows its kind.
pub trait HasKind: Error {
    /// What kind of failure it is.
    fn kind(&self) -> ErrorKind;
}
