//! Set-up of tracing: pretty on a terminal, the journal under systemd, JSON otherwise.

use std::{
    io::{self, IsTerminal, Write},
    str::FromStr,
};

use indicatif::ProgressBar;
use tracing_subscriber::{filter::Targets, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{LogConfig, LogFormat};

/// A filter that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "log.level \"{filter}\": {source}; expected a level such as \"info\" or a filter such as \"info,metaphased::mqtt=debug\""
)]
pub struct FilterError {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}

/// Starts logging to stderr (or the journal). Lines are written above `bar`, the progress line of a terminal.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(log: &LogConfig, bar: Option<ProgressBar>) -> Result<(), FilterError> {
    let filter = Targets::from_str(&log.level).map_err(|source| FilterError { filter: log.level.clone(), source })?;
    let format = match log.format {
        LogFormat::Auto if std::env::var_os("JOURNAL_STREAM").is_some() => LogFormat::Journald,
        LogFormat::Auto if io::stderr().is_terminal() => LogFormat::Pretty,
        LogFormat::Auto => LogFormat::Json,
        chosen => chosen,
    };
    let registry = tracing_subscriber::registry().with(filter);
    let writer = AboveBar(bar);
    // A second start (tests in one process) keeps the first.
    let _ = match format {
        LogFormat::Journald => match tracing_journald::layer() {
            Ok(journal) => registry.with(journal).try_init(),
            // No journal here: JSON says the same.
            Err(_) => registry.with(tracing_subscriber::fmt::layer().json().with_writer(writer)).try_init(),
        },
        LogFormat::Json => registry.with(tracing_subscriber::fmt::layer().json().with_writer(writer)).try_init(),
        LogFormat::Auto | LogFormat::Pretty => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .with_target(false)
                    .with_ansi(io::stderr().is_terminal())
                    .with_writer(writer),
            )
            .try_init(),
    };
    Ok(())
}

/// Writes to stderr without tearing the progress line.
#[derive(Clone)]
struct AboveBar(Option<ProgressBar>);

impl Write for AboveBar {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Some(bar) => bar.suspend(|| io::stderr().write(line)),
            None => io::stderr().write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for AboveBar {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        self.clone()
    }
}
