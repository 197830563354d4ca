//! For tests alone: where the shared data sets are.

use std::path::{Path, PathBuf};

/// The folder of real data sets (`$METAPHASED_SHARED_DATA`, else `../shared/data` beside the checkout), or none.
/// Tests that need it print that they were skipped: [`skipped`].
pub fn shared_data() -> Option<PathBuf> {
    let folder = std::env::var_os("METAPHASED_SHARED_DATA")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    folder.is_dir().then_some(folder)
}

/// Says aloud that a test was left out.
pub fn skipped(test: &str) {
    eprintln!("SKIPPED: {test} needs ../shared/data");
}
