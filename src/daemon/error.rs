//! Why the daemon could not be started.

use std::fmt;

use domain::{ErrorKind, HasKind};

/// A start that failed, with the kind of its cause.
#[derive(Debug)]
pub struct StartError {
    kind: ErrorKind,
    cause: Box<dyn std::error::Error + Send + Sync>,
}

impl StartError {
    /// A failed start.
    pub fn new(kind: ErrorKind, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { kind, cause: cause.into() }
    }

    /// For `map_err`: failures of one kind.
    pub(super) fn of<E: Into<Box<dyn std::error::Error + Send + Sync>>>(kind: ErrorKind) -> impl Fn(E) -> Self {
        move |cause| Self::new(kind, cause)
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.source()
    }
}

impl<E: HasKind + Send + Sync + 'static> From<E> for StartError {
    fn from(error: E) -> Self {
        Self::new(error.kind(), error)
    }
}
