//! What lies in a folder: its files in order, and what is known of each before it is opened.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use crate::camera::SourceError;
use domain::frame::FileStamp;

/// # Errors
/// When the folder is not there.
pub(super) fn check_folder(path: &Path) -> Result<(), SourceError> {
    if path.is_dir() {
        return Ok(());
    }
    Err(SourceError::NotFound(format!("no folder {}: create it or correct 'path'", path.display())))
}

/// Whether the file is a link to something outside the folder.
pub(super) fn leads_out(path: &Path, folder: &Path) -> bool {
    if !fs::symlink_metadata(path).is_ok_and(|facts| facts.is_symlink()) {
        return false;
    }
    match (fs::canonicalize(path), fs::canonicalize(folder)) {
        (Ok(target), Ok(folder)) => !target.starts_with(folder),
        // Opening it will show what is wrong.
        _ => false,
    }
}

pub(super) fn stamp_of(path: &Path) -> io::Result<FileStamp> {
    let facts = fs::metadata(path)?;
    let mtime_ns = facts
        .modified()
        .ok()
        .and_then(|t| t.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX));
    Ok(FileStamp { bytes: facts.len(), mtime_ns })
}

/// The names that a page may have had before: a file with one page is called without its number.
pub(super) fn same_page(name: &str) -> [String; 2] {
    let other = match name.strip_suffix("#0") {
        Some(whole) => whole.to_owned(),
        None => format!("{name}#0"),
    };
    [name.to_owned(), other]
}

/// Whether a file or folder of that name is left out: hidden ones, and half-written ones as scanners name them.
pub(super) fn is_skipped(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with('.') || name.ends_with(".part") || name.ends_with(".tmp")
}

/// All files below `folder` in the order of their paths; hidden ones (and half-written ones, as scanners name them) left out.
///
/// # Errors
/// When the folder itself cannot be listed; one below it that cannot is skipped with a warning.
pub fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    list_each(folder, |_| {})
}

/// The same; `enter` is called with every folder before it is listed.
pub(super) fn list_each(folder: &Path, mut enter: impl FnMut(&Path)) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        enter(&next);
        let entries = match fs::read_dir(&next) {
            Ok(entries) => entries,
            Err(error) if next == folder => return Err(error),
            Err(error) => {
                tracing::warn!(folder = %next.display(), %error, "folder skipped");
                continue;
            }
        };
        for entry in entries.flatten() {
            if is_skipped(&entry.file_name()) {
                continue;
            }
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                // A link is followed when it leads to a file.
                Ok(kind) if kind.is_file() || path.is_file() => files.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    Ok(files)
}
