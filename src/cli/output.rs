//! Data on stdout.

use std::io::{self, Write};

use super::{Exit, Failure};

/// Writes `text` and a newline to stdout. A reader that has gone away (`| head`) has seen enough: no failure.
///
/// # Errors
/// Exit code 74 when stdout cannot be written for another reason.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Io, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
