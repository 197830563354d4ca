//! Exit codes after sysexits.h, and the failure that carries one.

use domain::{ErrorKind, HasKind};
use std::{fmt, io, path::Path, process::Termination};

/// How a command ended. The numbers are a contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Wrong usage of the command line.
    Usage = 64,
    /// Bad input data.
    Data = 65,
    /// An input was not found.
    NoInput = 66,
    /// Something it needs is not available: camera, engine, configured port, broker.
    Unavailable = 69,
    /// An internal failure.
    Internal = 70,
    /// An output cannot be created.
    CannotCreate = 73,
    /// An I/O error.
    Io = 74,
    /// Try again: a second daemon on the same store.
    TryAgain = 75,
    /// Not permitted.
    NotPermitted = 77,
    /// The configuration is wrong.
    Config = 78,
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Usage => Self::Usage,
            ErrorKind::BadData => Self::Data,
            ErrorKind::NotFound => Self::NoInput,
            ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::Internal => Self::Internal,
            ErrorKind::CannotCreate => Self::CannotCreate,
            ErrorKind::Io => Self::Io,
            ErrorKind::Busy => Self::TryAgain,
            ErrorKind::NotPermitted => Self::NotPermitted,
            ErrorKind::Config => Self::Config,
        }
    }
}

impl<E: HasKind + 'static> From<E> for Failure {
    /// The failure of an error that knows its kind, its chain of causes included.
    fn from(error: E) -> Self {
        Self::from_error(error.kind().into(), &error)
    }
}

impl Termination for Exit {
    fn report(self) -> std::process::ExitCode {
        std::process::ExitCode::from(self as u8)
    }
}

/// An error at the command's edge: what the person reads, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    message: String,
}

impl Failure {
    /// A failure with its whole message.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }

    /// Wrong usage of the command line.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Input that cannot be used.
    pub fn bad_data(message: impl fmt::Display) -> Self {
        Self::new(Exit::Data, message)
    }

    /// Something that is needed is not available.
    pub fn unavailable(message: impl fmt::Display) -> Self {
        Self::new(Exit::Unavailable, message)
    }

    /// A file or folder that cannot be read.
    pub fn reading(path: &Path, error: &io::Error) -> Self {
        Self::new(ErrorKind::from(error).into(), format!("cannot read {}: {error}", path.display()))
    }

    /// A file or folder that cannot be written.
    pub fn writing(path: &Path, error: impl fmt::Display) -> Self {
        Self::new(Exit::CannotCreate, format!("cannot write {}: {error}", path.display()))
    }

    /// The same failure, with what it concerns in front of its message.
    #[must_use]
    pub fn about(self, what: impl fmt::Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// A failure from an error, its chain of causes included.
    pub fn from_error(exit: Exit, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let text = inner.to_string();
            // Some errors repeat their cause in their own text.
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = inner.source();
        }
        Self { exit, message }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
