//! Progress bars on a terminal.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error for `items` things, with a message beside it; hidden when piped or for a single thing.
pub fn bar(items: u64) -> ProgressBar {
    if !io::stderr().is_terminal() || items < 2 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}, {eta} left {msg}");
    ProgressBar::new(items).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
