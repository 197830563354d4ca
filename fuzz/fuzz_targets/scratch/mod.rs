//! Files in memory, one folder for each process.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let root = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = root.join(format!("metaphased-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for scratch files");
    folder
});

/// The folder.
#[allow(dead_code)]
pub fn folder() -> &'static Path {
    &FOLDER
}

/// The file of this name, with these bytes and no others.
#[allow(dead_code)]
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = FOLDER.join(name);
    fs::write(&path, bytes).expect("a scratch file is written");
    path
}
