//! Set-up of tracing: pretty on a terminal, the journal under systemd, JSON otherwise.

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use indicatif::ProgressBar;
use tracing_subscriber::{
    Registry, filter::Targets, fmt::MakeWriter, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use crate::config::{LogConfig, LogFormat};

/// A filter that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "invalid log.level '{filter}': {reason}; expected a level such as \"info\" or a filter such as \"info,metaphased::mqtt=debug\""
)]
pub struct FilterError {
    filter: String,
    reason: String,
}

/// Lines that wait for a slow reader of stderr; what comes beyond them is left out.
const LINES_WAITING: usize = 4096;
/// How long the last lines may take.
const LAST_LINES: Duration = Duration::from_millis(300);

/// A started log: what still waits is written when it is dropped, as far as somebody reads it.
#[must_use = "the last lines are written when it is dropped"]
#[derive(Debug)]
pub struct Log {
    lines: Lines,
    filter: reload::Handle<Targets, Registry>,
}

impl Log {
    /// Another filter from now on.
    pub fn set_filter(&self, filter: Targets) {
        if let Err(error) = self.filter.reload(filter) {
            tracing::error!(%error, "the level of the log stays");
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let (done, written) = sync_channel(1);
        if self.lines.queue.try_send(Entry::Flush(done)).is_ok() {
            // Nobody reads, and the end does not wait for it.
            let _ = written.recv_timeout(LAST_LINES);
        }
    }
}

/// Starts logging to stderr (or the journal). Lines are written above `bar`, the progress line of a terminal, by a
/// thread of their own: a stderr that nobody reads holds up nothing.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(log: &LogConfig, bar: Option<ProgressBar>) -> Result<Log, FilterError> {
    let filter = log.filter().map_err(|reason| FilterError { filter: log.level.clone(), reason })?;
    let format = match log.format {
        LogFormat::Auto if std::env::var_os("JOURNAL_STREAM").is_some() => LogFormat::Journald,
        LogFormat::Auto if io::stderr().is_terminal() => LogFormat::Pretty,
        LogFormat::Auto => LogFormat::Json,
        chosen => chosen,
    };
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let writer = Lines::to(AboveBar::new(bar));
    let log = Log { lines: writer.clone(), filter: handle };
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
    Ok(log)
}

/// What the thread that writes is given.
#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Takes lines without ever waiting.
#[derive(Debug, Clone)]
struct Lines {
    queue: SyncSender<Entry>,
    left_out: Arc<AtomicU64>,
}

impl Lines {
    /// Starts the thread that writes to `out`.
    fn to(out: impl Write + Send + 'static) -> Self {
        let (queue, entries) = sync_channel(LINES_WAITING);
        let lines = Self { queue, left_out: Arc::default() };
        let left_out = lines.left_out.clone();
        let started = thread::Builder::new().name("log".into()).spawn(move || write_lines(out, &entries, &left_out));
        if let Err(error) = started {
            eprintln!("metaphased: no thread for the log ({error}): it stays empty");
        }
        lines
    }
}

fn write_lines(mut out: impl Write, entries: &Receiver<Entry>, left_out: &AtomicU64) {
    for entry in entries {
        // Where stderr is closed there is nobody to read it.
        match entry {
            Entry::Line(line) => {
                let _ = out.write_all(&line);
            }
            Entry::Flush(done) => {
                let _ = done.try_send(());
            }
        }
        let lines = left_out.swap(0, Ordering::Relaxed);
        if lines > 0 {
            tracing::warn!(lines, "standard error was not read: lines of the log were left out");
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Entry::Line(line.to_vec())) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        self.clone()
    }
}

/// Writes to stderr without tearing the progress line, and without its lock, which a full pipe would hold.
struct AboveBar {
    bar: Option<ProgressBar>,
    /// None where stderr is closed.
    stderr: Option<File>,
}

impl AboveBar {
    fn new(bar: Option<ProgressBar>) -> Self {
        Self { bar, stderr: io::stderr().as_fd().try_clone_to_owned().ok().map(File::from) }
    }
}

impl Write for AboveBar {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Some(stderr) = &mut self.stderr else { return Ok(line.len()) };
        match &self.bar {
            Some(bar) => bar.suspend(|| stderr.write(line)),
            None => stderr.write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// A pipe that nobody reads until it is opened.
    struct Stuck(Receiver<()>, Arc<AtomicU64>);

    impl Write for Stuck {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.fetch_add(1, Ordering::SeqCst);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_does_not_read_holds_up_nobody() {
        let (open, opened) = sync_channel(0);
        let written = Arc::new(AtomicU64::new(0));
        let mut lines = Lines::to(Stuck(opened, written.clone()));
        let began = Instant::now();
        for _ in 0..LINES_WAITING + 100 {
            lines.write_all(b"line\n").expect("it always goes");
        }
        // One is with the thread already, or not yet.
        let left_out = lines.left_out.load(Ordering::SeqCst);
        assert!((99..=100).contains(&left_out), "{left_out}");
        let (_, filter) = reload::Layer::new(Targets::new());
        drop(Log { lines, filter });
        assert!(began.elapsed() < Duration::from_secs(2), "the end does not wait either");
        drop(open);
        let until = Instant::now() + Duration::from_secs(10);
        while written.load(Ordering::SeqCst) < LINES_WAITING as u64 {
            assert!(Instant::now() < until, "what waited is written once somebody reads");
            thread::sleep(Duration::from_millis(5));
        }
    }
}
