//! Pictures of whole frames: files beside the database, in a folder a day.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use jiff::{Timestamp, tz::TimeZone};

use super::{Store, StoreError};
use crate::config::KeepImages;
use domain::{Cell, Verdict};

/// Whether the frame of this cell keeps its picture.
pub fn keeps_image(policy: KeepImages, cell: &Cell) -> bool {
    match policy {
        KeepImages::None => false,
        KeepImages::Abnormal => cell.karyotype.verdict == Verdict::Abnormal || cell.counts.damaged > 0,
        KeepImages::All => true,
    }
}

/// A picture that is already a file in the store's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// Path below `images/`.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// Writes pictures of frames; cloned into the threads that encode them.
#[derive(Debug, Clone)]
pub struct ImageFolder(PathBuf);

impl ImageFolder {
    /// Writes a picture under `name` (unique, without extension) and renames it into place, so that a file that a
    /// transaction names is whole. `extension` is that of the encoding, `time` chooses the day's folder.
    ///
    /// # Errors
    /// What the disk said.
    pub fn keep(
        &self,
        name: &str,
        extension: &str,
        time: Timestamp,
        encoded: &[u8],
    ) -> Result<StoredImage, StoreError> {
        let day = time.to_zoned(TimeZone::UTC).date().to_string();
        let path = format!("{day}/{name}.{extension}");
        let target = self.0.join(&path);
        let folder = self.0.join(&day);
        let waiting = self.0.join(format!("{name}.{extension}.part"));
        if !folder.is_dir() {
            // The first picture of a day. Its folder's name must be on the disk before a picture's in it counts for anything.
            let create = || fs::create_dir_all(&folder).and_then(|()| File::open(&self.0)?.sync_all());
            create().map_err(StoreError::io("create", &folder))?;
        }
        let write = || {
            let mut file = File::create(&waiting)?;
            file.write_all(encoded)?;
            file.sync_all()?;
            fs::rename(&waiting, &target)?;
            // The new name itself must be on the disk, too.
            File::open(&folder)?.sync_all()
        };
        write().map_err(StoreError::io("write the picture", &target))?;
        Ok(StoredImage { path, bytes: encoded.len() as u64 })
    }

    /// Where a stored picture lies.
    pub fn locate(&self, image: &str) -> PathBuf {
        self.0.join(image)
    }

    /// Removes the file of a picture; one that is gone already is fine.
    pub(super) fn remove(&self, image: &str) -> Result<(), StoreError> {
        let path = self.locate(image);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::Io { what: "remove the picture", path, source: error })
            }
            _ => Ok(()),
        }
    }
}

impl Store {
    /// Where pictures of frames go.
    pub fn images(&self) -> ImageFolder {
        ImageFolder(self.folder().join("images"))
    }

    /// Removes what a crash left between a picture's file and its row: half files, and files that no row names.
    pub(super) fn sweep_images(&self) -> Result<(), StoreError> {
        let images = self.images();
        let mut known = None;
        for path in entries(&images.0)? {
            if path.extension().is_some_and(|extension| extension == "part") {
                fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
            }
            if !path.is_dir() {
                continue;
            }
            let known = match &mut known {
                Some(known) => known,
                None => known.insert(self.reader().image_paths()?),
            };
            for path in entries(&path)? {
                let name = path.strip_prefix(&images.0).ok().and_then(Path::to_str);
                if name.is_some_and(|name| !known.contains(name)) {
                    fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
                    tracing::info!(path = %path.display(), "removed a picture that no cell names");
                }
            }
        }
        Ok(())
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(StoreError::Io { what: "list", path: folder.into(), source }),
    }
}
