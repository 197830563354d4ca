//! The output for a person at the terminal: the banner and the line of progress.

use std::{
    io::{IsTerminal, Write},
    path::Path,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::broker::BrokerChoice;
use crate::{
    config::Config,
    station::{Health, Level, Stats},
};
use domain::NOTICE;

/// Prints where the page is, what to try and how to stop.
pub fn banner(page: Option<&str>, broker: Option<&BrokerChoice>, config: &Config, folder: &Path, health: &Health) {
    let mut text = format!("\nmetaphased {}  station {}\n", env!("CARGO_PKG_VERSION"), config.station);
    match page {
        Some(url) => text += &format!("  page     {url}\n"),
        None => text += "  page     off\n",
    }
    match broker {
        Some(BrokerChoice { embedded: Some(port), .. }) => {
            text += &format!("  try      mosquitto_sub -h 127.0.0.1 -p {port} -t '{}/#' -v\n", config.mqtt.prefix);
        }
        Some(choice) => text += &format!("  broker   {}\n", choice.settings.url()),
        None => text += "  broker   off\n",
    }
    let state = health.state(String::new());
    text += &format!("  engine   {} ({})\n", state.engine.name, state.engine.library);
    if state.engine.models.is_empty() {
        text += "           no model found: chromosomes are segmented and counted, not classified\n";
    }
    text += &format!("  store    {}\n", folder.display());
    text += &format!("  {NOTICE}\n  Ctrl-C stops.\n\n");
    // Without stderr there is nobody to read it.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// The line of progress: rewritten once a second on a terminal, a log line each minute elsewhere.
pub struct Progress {
    /// The line on a terminal.
    pub bar: Option<ProgressBar>,
}

impl Progress {
    /// A line where standard error is a terminal.
    pub fn on_terminal() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(2));
            bar.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar
        });
        Self { bar }
    }

    /// Reports what has been done so far.
    pub fn report(&self, stats: &Stats, health: &Health) {
        let sum = |pick: fn(&crate::station::SourceStats) -> u64| stats.sources.values().map(pick).sum::<u64>();
        let (frames, dropped) = (sum(|s| s.accepted), sum(|s| s.dropped.values().sum()));
        let state = health.state(String::new());
        let condition = match state.level {
            Level::Ok => "ok".to_owned(),
            _ => state.reasons.join("; "),
        };
        let line = format!(
            "{} cells, {} published, {} waiting · {frames} frames, {dropped} dropped · {condition}",
            stats.cells_stored, stats.cells_published, stats.outbox_depth
        );
        match &self.bar {
            Some(bar) => bar.set_message(line),
            None => tracing::info!("{line}"),
        }
    }

    /// Takes the line away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
