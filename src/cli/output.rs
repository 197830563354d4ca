//! Data on stdout.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

use super::{Exit, Failure};

/// Writes `text` to stdout, with a newline where it does not end in one. A closed pipe (`| head`) is no failure.
///
/// # Errors
/// Exit code 74 when stdout cannot be written for another reason.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let end: &[u8] = if text.ends_with('\n') { b"" } else { b"\n" };
    match out.write_all(text.as_bytes()).and_then(|()| out.write_all(end)).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Io, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes `value` to stdout as JSON on one line.
///
/// # Errors
/// As [`print()`]; exit code 70 when the value cannot be written as JSON.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::new(Exit::Internal, format!("the result cannot be written as JSON: {error}")))?;
    print(&text)
}

/// Lets a table fill the terminal and no more: long cells are wrapped. Elsewhere (a pipe, a file) nothing is.
pub fn fit_terminal(table: &mut Table) {
    let stdout = io::stdout();
    if stdout.is_terminal()
        && let Ok(size) = rustix::termios::tcgetwinsize(&stdout)
        && size.ws_col > 0
    {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(size.ws_col);
    }
}
