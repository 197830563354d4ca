//! A folder of image files: once, in a loop, or watching for new ones.

use std::{
    collections::{HashMap, VecDeque},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};

use jiff::Timestamp;

use super::{
    BadFrame, Buffers, Capture, MAX_WAIT, Source, SourceError,
    files::{FileError, ImageFile},
};
use crate::config::Repeat;
use domain::frame::{FileStamp, Frame, FrameFlags, FrameId, FrameInfo};

/// Time between two listings of a watched folder; a new file must have been unchanged for as long to be read.
const LIST_EVERY: Duration = Duration::from_millis(500);

/// Whether a file (path within the folder, its page behind `#`) was processed before.
pub type IsDone = Box<dyn Fn(&str, FileStamp) -> bool + Send>;

/// What a folder source needs to know.
pub struct FolderSettings {
    /// Name of the source.
    pub name: Arc<str>,
    /// The folder.
    pub path: PathBuf,
    /// Once, in a loop, or watching.
    pub repeat: Repeat,
    /// Frames a second; none: as fast as they are taken.
    pub rate_hz: Option<f64>,
    /// Pixel size for files that bring none.
    pub um_per_px: Option<f64>,
    /// What was processed before is skipped (not in a loop).
    pub is_done: IsDone,
}

/// Replays the image files below a folder in the order of their names.
pub struct FolderSource {
    settings: FolderSettings,
    waiting: VecDeque<PathBuf>,
    seen: HashMap<PathBuf, FileStamp>,
    open: Option<OpenFile>,
    last_listing: Option<Instant>,
    /// Whether the next listing waits until [`LIST_EVERY`] has passed.
    rests: bool,
    last_frame: Option<Instant>,
    count: u64,
}

struct OpenFile {
    image: ImageFile,
    name: String,
    stamp: FileStamp,
    next: usize,
}

impl FolderSource {
    /// Opens the folder.
    ///
    /// # Errors
    /// When it is not there or is no folder.
    pub fn open(settings: FolderSettings) -> Result<Self, SourceError> {
        if !settings.path.is_dir() {
            return Err(SourceError::NotFound(format!(
                "no folder {}: create it or correct 'path'",
                settings.path.display()
            )));
        }
        Ok(Self {
            settings,
            waiting: VecDeque::new(),
            seen: HashMap::new(),
            open: None,
            last_listing: None,
            rests: false,
            last_frame: None,
            count: 0,
        })
    }

    /// Lists the folder for files to read. Returns false when there is nothing and never will be.
    fn list(&mut self, buffers: &Buffers) -> Result<bool, SourceError> {
        let first = self.last_listing.is_none();
        match self.settings.repeat {
            Repeat::Once if !first => return Ok(false),
            _ => {}
        }
        // A watched folder, and an empty one in a loop, must not spin.
        let rest = self.last_listing.map_or(Duration::ZERO, |listed| LIST_EVERY.saturating_sub(listed.elapsed()));
        if self.rests && !rest.is_zero() && !buffers.wait(rest) {
            return Ok(true);
        }
        self.last_listing = Some(Instant::now());
        let files = list(&self.settings.path)
            .map_err(|e| SourceError::Device(format!("cannot list {}: {e}", self.settings.path.display())))?;
        let before = self.waiting.len();
        for path in files {
            let Ok(stamp) = stamp_of(&path) else { continue };
            if self.settings.repeat == Repeat::Watch {
                // A file that is still being written has changed since the last listing, or a moment ago.
                let age = UNIX_EPOCH.elapsed().map_or(i64::MAX, |now| now.as_nanos() as i64 - stamp.mtime_ns);
                let fresh = age < LIST_EVERY.as_nanos() as i64;
                if fresh || self.seen.get(&path) == Some(&stamp) {
                    continue;
                }
                self.seen.insert(path.clone(), stamp);
            }
            self.waiting.push_back(path);
        }
        let found = self.waiting.len() > before;
        self.rests = self.settings.repeat == Repeat::Watch || !found;
        Ok(found || self.settings.repeat != Repeat::Once)
    }

    fn wait_for_turn(&mut self, buffers: &Buffers) -> bool {
        let (Some(rate), Some(last)) = (self.settings.rate_hz, self.last_frame) else { return true };
        let due = last + Duration::from_secs_f64(1.0 / rate);
        let rest = due.saturating_duration_since(Instant::now());
        rest.is_zero() || (buffers.wait(rest.min(MAX_WAIT)) && rest <= MAX_WAIT)
    }

    fn done(&self, name: &str, stamp: FileStamp) -> bool {
        self.settings.repeat != Repeat::Loop && (self.settings.is_done)(name, stamp)
    }

    fn bad(&mut self, name: &str, stamp: Option<FileStamp>, error: &FileError) -> Capture {
        self.count += 1;
        Capture::Bad(BadFrame {
            id: FrameId(self.count),
            file: Some(name.into()),
            stamp,
            trigger: None,
            reason: error.reason(),
            text: error.to_string(),
        })
    }

    /// Opens the next waiting file. `None` when it was processed before.
    fn open_next(&mut self, path: &Path) -> Option<Capture> {
        let name = path.strip_prefix(&self.settings.path).unwrap_or(path).to_string_lossy().into_owned();
        let stamp = match stamp_of(path) {
            Ok(stamp) => stamp,
            // Gone since the listing: as if it had never been there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return Some(self.bad(&name, None, &FileError::Io(error))),
        };
        if self.done(&name, stamp) {
            return None;
        }
        match ImageFile::open(path) {
            Ok(image) => {
                self.open = Some(OpenFile { image, name, stamp, next: 0 });
                None
            }
            Err(error) => Some(self.bad(&name, Some(stamp), &error)),
        }
    }

    fn next_page(&mut self, buffers: &Buffers) -> Option<Capture> {
        let file = self.open.as_mut()?;
        let pages = file.image.pages();
        let page = file.next;
        if page >= pages {
            self.open = None;
            return None;
        }
        file.next += 1;
        let stamp = file.stamp;
        let name = if pages > 1 { format!("{}#{page}", file.name) } else { file.name.clone() };
        if self.done(&name, stamp) {
            return None;
        }
        let file = self.open.as_mut()?;
        match file.image.read(page, |bytes| buffers.take(bytes).ok()) {
            Ok(page) => {
                self.count += 1;
                let now = Instant::now();
                self.last_frame = Some(now);
                let info = FrameInfo {
                    id: FrameId(self.count),
                    source: self.settings.name.clone(),
                    device_sequence: None,
                    arrived: now,
                    time: Timestamp::now(),
                    trigger: None,
                    stage_um: page.facts.stage_um,
                    um_per_px: page.facts.um_per_px.or(self.settings.um_per_px),
                    file: Some(name.into()),
                    stamp: Some(stamp),
                    truth: None,
                    flags: FrameFlags::default(),
                };
                Some(Capture::Frame(Frame { info, pixels: page.pixels }))
            }
            Err(FileError::NoBuffer) => Some(Capture::NoBuffer),
            Err(error) => Some(self.bad(&name, Some(stamp), &error)),
        }
    }
}

impl Source for FolderSource {
    fn next(&mut self, buffers: &Buffers) -> Result<Capture, SourceError> {
        if !self.wait_for_turn(buffers) {
            return Ok(Capture::Nothing);
        }
        // A long run of processed files is skipped without blocking the thread.
        for _ in 0..256 {
            if buffers.is_draining() {
                return Ok(Capture::Nothing);
            }
            if let Some(capture) = self.next_page(buffers) {
                return Ok(capture);
            }
            if self.open.is_some() {
                continue;
            }
            match self.waiting.pop_front() {
                Some(path) => {
                    if let Some(capture) = self.open_next(&path) {
                        return Ok(capture);
                    }
                }
                None if self.list(buffers)? => return Ok(Capture::Nothing),
                None => return Ok(Capture::Finished),
            }
        }
        Ok(Capture::Nothing)
    }

    fn replays(&self) -> bool {
        true
    }
}

fn stamp_of(path: &Path) -> io::Result<FileStamp> {
    let facts = fs::metadata(path)?;
    let mtime_ns = facts
        .modified()
        .ok()
        .and_then(|t| t.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX));
    Ok(FileStamp { bytes: facts.len(), mtime_ns })
}

/// All files below `folder` in the order of their paths; hidden ones (and half-written ones, as scanners name them) left out.
///
/// # Errors
/// When the folder itself cannot be listed; one below it that cannot is skipped with a warning.
pub fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries = match fs::read_dir(&next) {
            Ok(entries) => entries,
            Err(error) if next == folder => return Err(error),
            Err(error) => {
                tracing::warn!(folder = %next.display(), %error, "folder skipped");
                continue;
            }
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') || name.ends_with(".part") || name.ends_with(".tmp") {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown::Shutdown;
    use domain::frame::FramePool;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["b.png", "a.png"] {
            image::GrayImage::new(8, 8).save(dir.path().join(name)).expect("a picture");
        }
        fs::write(dir.path().join("broken.png"), b"\x89PNG\r\n\x1a\nno").expect("a file");
        fs::write(dir.path().join("notes.txt"), "text").expect("a file");
        fs::write(dir.path().join(".hidden.png"), "").expect("a file");
        dir
    }

    fn source(dir: &tempfile::TempDir, repeat: Repeat, is_done: IsDone) -> FolderSource {
        FolderSource::open(FolderSettings {
            name: "f".into(),
            path: dir.path().to_owned(),
            repeat,
            rate_hz: None,
            um_per_px: Some(0.1),
            is_done,
        })
        .expect("it opens")
    }

    fn all(source: &mut FolderSource) -> Vec<String> {
        let shutdown = Shutdown::default();
        let buffers = Buffers::new(FramePool::new(2), true, shutdown.receiver());
        let mut given = Vec::new();
        for _ in 0..100 {
            match source.next(&buffers).expect("it goes on") {
                Capture::Frame(frame) => given.push(frame.info.file.expect("a file").to_string()),
                Capture::Bad(bad) => given.push(format!("{} {}", bad.file.expect("a file"), bad.reason.label())),
                Capture::Finished => return given,
                Capture::Nothing | Capture::NoBuffer => {}
            }
        }
        panic!("it never finished: {given:?}");
    }

    #[test]
    fn every_file_is_a_frame_or_a_rejection_with_its_reason() {
        let dir = folder();
        let given = all(&mut source(&dir, Repeat::Once, Box::new(|_, _| false)));
        assert_eq!(given, ["a.png", "b.png", "broken.png unreadable", "notes.txt unsupported"]);
    }

    #[test]
    fn what_was_processed_before_is_skipped() {
        let dir = folder();
        let given = all(&mut source(&dir, Repeat::Once, Box::new(|name, _| name != "b.png")));
        assert_eq!(given, ["b.png"]);
    }

    #[test]
    fn a_watched_folder_gives_a_new_file_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut source = source(&dir, Repeat::Watch, Box::new(|_, _| false));
        let shutdown = Shutdown::default();
        let buffers = Buffers::new(FramePool::new(2), true, shutdown.receiver());
        assert!(matches!(source.next(&buffers), Ok(Capture::Nothing)));
        let path = dir.path().join("new.png");
        image::GrayImage::new(8, 8).save(&path).expect("a picture");
        // As if it had been written a while ago.
        let file = fs::File::options().write(true).open(&path).expect("the file");
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(5)).expect("a time");
        let mut frames = 0;
        for _ in 0..3 {
            if let Ok(Capture::Frame(_)) = source.next(&buffers) {
                frames += 1;
            }
        }
        assert_eq!(frames, 1);
    }

    #[test]
    fn a_missing_folder_is_reported() {
        let settings = FolderSettings {
            name: "f".into(),
            path: "/no/such/folder".into(),
            repeat: Repeat::Once,
            rate_hz: None,
            um_per_px: None,
            is_done: Box::new(|_, _| false),
        };
        let error = FolderSource::open(settings).err().expect("it is not there");
        assert!(error.to_string().contains("/no/such/folder"));
    }
}
