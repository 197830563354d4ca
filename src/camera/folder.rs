//! A folder of image files: once, in a loop, or watching for new ones.
//!
//! A watched folder is listed at the start; then the system's notices say what changes, where all changes come to its
//! notice. On network shares and the like the folder is listed again and again, as often as one hundredth of the time
//! allows.

mod listing;
mod looks;
mod watch;

pub use listing::list;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use self::{
    listing::{check_folder, leads_out, list_each, same_page, stamp_of},
    looks::Looks,
    watch::FolderWatch,
};
use super::{
    BadFrame, Buffers, Capture, MAX_WAIT, MeasuredDepth, Raised, Source, SourceError, file_name,
    files::{FileError, ImageFile, Page},
};
use crate::{clock::Clock, config::Repeat, station::RejectReason};
use domain::frame::{FileStamp, Frame, FrameFlags, FrameId, FrameInfo};

/// Longest time between two looks at files that are not complete.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Time between two looks for notices of the system.
const NOTICE_EVERY: Duration = Duration::from_millis(50);
/// Time between two listings of a folder whose changes are noticed: what no notice came for is found then.
const LIST_NOTICED: Duration = Duration::from_secs(60);
/// Share of the time that listing may take, as its inverse, and the longest time between two listings.
const LIST_SHARE: u32 = 100;
const LIST_AT_LEAST: Duration = Duration::from_secs(30);
/// Pause before a file that could not be read now is tried again; it doubles with each try.
const FIRST_RETRY: Duration = Duration::from_millis(500);
/// Longest such pause.
const LAST_RETRY: Duration = Duration::from_secs(30);
/// Failed tries of a file after which the source's state reports it.
const TRIES_BEFORE_REPORT: u32 = 3;

/// Size and time of a file (path within the folder, its page behind `#`) when it was processed before.
pub type Marked = Box<dyn Fn(&str) -> Option<FileStamp> + Send>;

/// Attempts at a file whose reading has ended the process each time, after which it is not read any more.
pub(super) const FATAL_ATTEMPTS: u32 = 2;

/// Keeps over a crash which file was being read, so that one that ends the process is not read for ever.
pub trait Attempts: Send {
    /// Notes that a file (path within the folder, its page behind `#`) is read from now on. Gives how often that was
    /// noted before and not followed by [`Self::end`].
    fn begin(&mut self, file: &str, stamp: FileStamp) -> u32;

    /// Notes that it has been read, or set aside.
    fn end(&mut self, file: &str);
}

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
    pub marked: Marked,
    /// How long size and time of a file in a watched folder must stay unchanged before it is read, where no notice says
    /// that it is complete.
    pub settle: Duration,
    /// Whether the system's notices are used where they can be relied on.
    pub notices: bool,
    /// Measures that time; times of files are compared with each other only, never with a clock.
    pub clock: Arc<dyn Clock>,
    /// Most memory that a picture may take while it is read, in bytes.
    pub picture_bytes: u64,
    /// Which files are being read.
    pub attempts: Box<dyn Attempts>,
    /// What outlives the loss of the folder.
    pub memory: Arc<Mutex<FolderMemory>>,
}

impl FolderSettings {
    /// How long a file must stay unchanged unless configured.
    pub const SETTLE: Duration = Duration::from_millis(500);
}

/// What is remembered of a folder for as long as the daemon runs, also when the folder is lost and opened again.
#[derive(Debug, Default)]
pub struct FolderMemory {
    /// Files and pages handed on. Their marks may not be on the disk yet.
    given: HashMap<String, FileStamp>,
    /// Depth of undeclared 16-bit samples.
    depth: MeasuredDepth,
}

/// Replays the image files below a folder in the order of their names.
pub struct FolderSource {
    settings: FolderSettings,
    open_file: OpenImage,
    waiting: VecDeque<PathBuf>,
    looks: Looks,
    watch: Option<FolderWatch>,
    /// Files that were listed before, of a folder that is read once.
    listed: HashSet<PathBuf>,
    retries: BTreeMap<PathBuf, Retry>,
    open: Option<OpenFile>,
    last_look: Option<Instant>,
    last_listing: Option<Instant>,
    listing_took: Duration,
    /// Whether the next look waits until its time has come.
    rests: bool,
    last_frame: Option<Instant>,
    count: u64,
}

type OpenImage = Box<dyn FnMut(&Path) -> Result<ImageFile, FileError> + Send>;

/// A file that could not be read now, through no fault of its own.
struct Retry {
    due: Instant,
    tries: u32,
    error: String,
}

struct OpenFile {
    image: ImageFile,
    path: PathBuf,
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
        check_folder(&settings.path)?;
        let most = settings.picture_bytes;
        let is_noticed = settings.notices && settings.repeat == Repeat::Watch;
        let watch = if is_noticed { FolderWatch::of(&settings.path) } else { None };
        let source = Self {
            looks: Looks::new(settings.settle),
            watch,
            settings,
            open_file: Box::new(move |path| ImageFile::open_within(path, most)),
            waiting: VecDeque::new(),
            listed: HashSet::new(),
            retries: BTreeMap::new(),
            open: None,
            last_look: None,
            last_listing: None,
            listing_took: Duration::ZERO,
            rests: false,
            last_frame: None,
            count: 0,
        };
        // What has its mark by now need not be remembered.
        source.memory().given.retain(|name, stamp| (source.settings.marked)(name) != Some(*stamp));
        Ok(source)
    }

    fn memory(&self) -> MutexGuard<'_, FolderMemory> {
        self.settings.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for files to read. Returns false when there is nothing and never will be.
    fn list(&mut self, buffers: &Buffers) -> Result<bool, SourceError> {
        if self.rests && !self.rest(buffers) {
            return Ok(true);
        }
        let now = self.settings.clock.now();
        self.last_look = Some(now);
        // A watched folder, an empty one in a loop, and one whose last files are tried again must not spin.
        self.rests = true;
        if self.settings.repeat == Repeat::Watch {
            self.watch(now)?;
            return Ok(true);
        }
        let (files, _) = self.list_all()?;
        let before = self.waiting.len();
        for path in files {
            let is_new = self.settings.repeat == Repeat::Loop || self.listed.insert(path.clone());
            if is_new && !self.retries.contains_key(&path) {
                self.waiting.push_back(path);
            }
        }
        let found = self.waiting.len() > before;
        self.rests = !found;
        Ok(found || self.settings.repeat == Repeat::Loop || !self.retries.is_empty())
    }

    /// Waits until the next look is due or a notice has come; false when the source should end instead.
    fn rest(&mut self, buffers: &Buffers) -> bool {
        let every = if self.looks.has_hasty() { NOTICE_EVERY } else { self.settings.settle.min(LOOK_EVERY) };
        let passed = self.last_look.map(|last| self.settings.clock.now().saturating_duration_since(last));
        let mut rest = passed.map_or(Duration::ZERO, |passed| every.saturating_sub(passed));
        while !rest.is_zero() {
            let part = if self.watch.is_some() { rest.min(NOTICE_EVERY) } else { rest };
            if !buffers.wait(part) {
                return false;
            }
            if self.watch.as_mut().is_some_and(FolderWatch::has_news) {
                break;
            }
            rest -= part;
        }
        true
    }

    /// One look at a watched folder: at what was noticed, at files that are not complete, at all of them when it is time.
    fn watch(&mut self, now: Instant) -> Result<(), SourceError> {
        let mut must_list = self.is_listing_due(now);
        if let Some(watch) = &mut self.watch {
            watch.has_news();
            must_list |= watch.takes_listing();
            for (path, notice) in watch.take() {
                match stamp_of(&path) {
                    Ok(stamp) => self.looks.notice(&path, stamp, notice, now),
                    Err(_) => self.looks.forget(&path),
                }
            }
        }
        let files = if must_list {
            let (files, took) = self.list_all()?;
            self.looks.retain(&files);
            (self.last_listing, self.listing_took) = (Some(now), took);
            files
        } else {
            self.looks.unsettled()
        };
        for path in files {
            if !self.retries.contains_key(&path) && self.is_complete(&path, now) {
                self.waiting.push_back(path);
            }
        }
        Ok(())
    }

    fn is_listing_due(&self, now: Instant) -> bool {
        let every = match self.watch {
            Some(_) => LIST_NOTICED,
            None => self.listing_took.saturating_mul(LIST_SHARE).min(LIST_AT_LEAST),
        };
        self.last_listing.is_none_or(|last| now.saturating_duration_since(last) >= every)
    }

    fn is_complete(&mut self, path: &Path, now: Instant) -> bool {
        match stamp_of(path) {
            Ok(stamp) => self.looks.look(path, stamp, now),
            Err(error) => {
                self.looks.forget(path);
                // Opening it will show what is wrong.
                error.kind() != io::ErrorKind::NotFound
            }
        }
    }

    /// All files, and how long it took to list them.
    fn list_all(&mut self) -> Result<(Vec<PathBuf>, Duration), SourceError> {
        let began = self.settings.clock.now();
        let watch = &mut self.watch;
        let mut refused = None;
        let files = list_each(&self.settings.path, |folder| {
            if let Some(Err(error)) = watch.as_mut().map(|watch| watch.add(folder)) {
                refused = Some(error);
            }
        })
        .map_err(|e| SourceError::Device(format!("cannot list {}: {e}", self.settings.path.display())))?;
        if let Some(error) = refused {
            tracing::warn!(source = %self.settings.name, %error, "changes are not noticed: the folder is listed instead");
            self.watch = None;
        }
        Ok((files, self.settings.clock.now().saturating_duration_since(began)))
    }

    /// Whether a file of a watched folder is still as it was when it was found complete; otherwise it has to settle again.
    fn is_settled(&mut self, path: &Path, stamp: FileStamp) -> bool {
        self.settings.repeat != Repeat::Watch || self.looks.is_unchanged(path, stamp, self.settings.clock.now())
    }

    fn wait_for_turn(&mut self, buffers: &Buffers) -> bool {
        let (Some(rate), Some(last)) = (self.settings.rate_hz, self.last_frame) else { return true };
        let due = last + Duration::from_secs_f64(1.0 / rate);
        let rest = due.saturating_duration_since(Instant::now());
        rest.is_zero() || (buffers.wait(rest.min(MAX_WAIT)) && rest <= MAX_WAIT)
    }

    /// Whether the file was processed in an earlier run, or handed on in this one.
    fn done(&self, name: &str, stamp: FileStamp) -> bool {
        self.settings.repeat != Repeat::Loop
            && ((self.settings.marked)(name) == Some(stamp) || self.memory().given.get(name) == Some(&stamp))
    }

    /// Whether the file was given before, when it was another one.
    fn was_given(&self, name: &str) -> bool {
        let known = |name: &str| self.memory().given.contains_key(name) || (self.settings.marked)(name).is_some();
        self.settings.repeat != Repeat::Loop && same_page(name).iter().any(|name| known(name))
    }

    /// Whether a file that cannot be read was taken because of a notice; then it settles by two looks before it is
    /// rejected: writers may close a file more than once.
    fn was_hasty(&mut self, path: &Path) -> bool {
        let is_hasty = self.settings.repeat == Repeat::Watch && self.looks.was_hasty(path);
        if is_hasty {
            self.looks.settle_again(path, self.settings.clock.now());
        }
        is_hasty
    }

    fn give(&mut self, name: &str, stamp: FileStamp) -> FrameId {
        if self.settings.repeat != Repeat::Loop {
            self.memory().given.insert(name.to_owned(), stamp);
        }
        self.count += 1;
        FrameId(self.count)
    }

    fn bad(&mut self, name: &str, stamp: FileStamp, reason: RejectReason, text: String) -> Capture {
        let id = self.give(name, stamp);
        Capture::Bad(BadFrame { file: Some(name.into()), stamp: Some(stamp), ..BadFrame::new(id, reason, text) })
    }

    /// The next file to open: one whose pause is over, or the first that waits.
    fn next_path(&mut self) -> Option<PathBuf> {
        if !self.retries.is_empty() {
            let now = self.settings.clock.now();
            if let Some((path, _)) = self.retries.iter().find(|(_, retry)| retry.due <= now) {
                return Some(path.clone());
            }
        }
        self.waiting.pop_front()
    }

    fn retry_later(&mut self, path: &Path, error: &FileError) {
        let tries = self.retries.get(path).map_or(0, |retry| retry.tries);
        let pause = FIRST_RETRY.saturating_mul(1 << tries.min(10)).min(LAST_RETRY);
        let due = self.settings.clock.now() + pause;
        tracing::debug!(source = %self.settings.name, file = %path.display(), %error, ?pause, "tried again later");
        self.retries.insert(path.to_owned(), Retry { due, tries: tries + 1, error: error.to_string() });
    }

    /// A file that is gone since the listing is as if it had never been there, unless the whole folder is gone.
    fn gone(&mut self, path: &Path) -> Result<Option<Capture>, SourceError> {
        check_folder(&self.settings.path)?;
        self.retries.remove(path);
        self.looks.forget(path);
        Ok(None)
    }

    /// Opens the next file. `None` when there is nothing to say of it now.
    fn open_next(&mut self, path: PathBuf) -> Result<Option<Capture>, SourceError> {
        let stamp = match stamp_of(&path) {
            Ok(stamp) => stamp,
            Err(error) => return self.unopened(&path, None, &FileError::Io(error)),
        };
        let name = file_name(path.strip_prefix(&self.settings.path).unwrap_or(&path));
        if !self.is_settled(&path, stamp) || self.done(&name, stamp) {
            self.retries.remove(&path);
            return Ok(None);
        }
        if leads_out(&path, &self.settings.path) {
            let text = "it is a link out of the folder; expected a file, or a link to one inside the folder".into();
            return Ok(Some(self.bad(&name, stamp, RejectReason::Unsupported, text)));
        }
        match (self.open_file)(&path) {
            Ok(image) => {
                self.open = Some(OpenFile { image, path, name, stamp, next: 0 });
                Ok(None)
            }
            Err(error) => self.unopened(&path, Some((&name, stamp)), &error),
        }
    }

    /// What follows from a file that cannot be opened: it is gone, it is tried again, or it is rejected.
    fn unopened(
        &mut self,
        path: &Path,
        known: Option<(&str, FileStamp)>,
        error: &FileError,
    ) -> Result<Option<Capture>, SourceError> {
        match (error, known) {
            (FileError::Io(io), _) if io.kind() == io::ErrorKind::NotFound => self.gone(path),
            (error, Some((name, stamp))) if !error.is_passing() => {
                self.retries.remove(path);
                if self.was_hasty(path) {
                    return Ok(None);
                }
                Ok(Some(self.bad(name, stamp, error.reason(), error.to_string())))
            }
            _ => {
                self.retry_later(path, error);
                Ok(None)
            }
        }
    }

    fn next_page(&mut self, buffers: &Buffers) -> Option<Capture> {
        let file = self.open.as_mut()?;
        let pages = file.image.pages();
        let page = file.next;
        if page >= pages {
            let file = self.open.take()?;
            self.retries.remove(&file.path);
            return None;
        }
        file.next += 1;
        let stamp = file.stamp;
        let name = if pages > 1 { format!("{}#{page}", file.name) } else { file.name.clone() };
        if self.done(&name, stamp) {
            return None;
        }
        let file = self.open.as_mut()?;
        let attempts = &mut self.settings.attempts;
        let mut before = None;
        // Waiting for a buffer is no attempt: only what follows can end the process.
        let read = file.image.read(page, |bytes| {
            let buffer = buffers.take(bytes).ok()?;
            let failed = *before.insert(attempts.begin(&name, stamp));
            (failed < FATAL_ATTEMPTS).then_some(buffer)
        });
        if before.is_some() {
            attempts.end(&name);
        }
        if let Some(failed @ FATAL_ATTEMPTS..) = before {
            let text = format!("reading it has ended the process {failed} times: it is not read any more");
            return Some(self.bad(&name, stamp, RejectReason::Unreadable, text));
        }
        match read {
            Ok(page) => Some(self.frame(page, name, stamp)),
            Err(FileError::NoBuffer) => Some(Capture::NoBuffer),
            // Its other pages wait with this one: those handed on are not read again.
            Err(error) if error.is_passing() => {
                let file = self.open.take()?;
                self.retry_later(&file.path, &error);
                None
            }
            Err(error) => {
                let path = file.path.clone();
                if self.was_hasty(&path) {
                    self.open = None;
                    return None;
                }
                Some(self.bad(&name, stamp, error.reason(), error.to_string()))
            }
        }
    }

    fn frame(&mut self, mut page: Page, name: String, stamp: FileStamp) -> Capture {
        let raised = self.memory().depth.apply(&mut page);
        if let Some(Raised { from, to }) = raised {
            tracing::warn!(
                source = %self.settings.name, file = name, from, to,
                "samples are beyond the bits measured before: frames until now were taken as too bright"
            );
        }
        let now = Instant::now();
        self.last_frame = Some(now);
        let flags = FrameFlags { reread: self.was_given(&name), ..FrameFlags::default() };
        let info = FrameInfo {
            arrived: now,
            stage_um: page.facts.stage_um,
            um_per_px: page.facts.um_per_px.or(self.settings.um_per_px),
            // In a loop each reading counts.
            stamp: (self.settings.repeat != Repeat::Loop).then_some(stamp),
            flags,
            ..FrameInfo::new(self.settings.name.clone(), self.give(&name, stamp))
        };
        let info = FrameInfo { file: Some(name.into()), ..info };
        Capture::Frame(Frame { info, pixels: page.pixels })
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
            match self.next_path() {
                Some(path) => {
                    if let Some(capture) = self.open_next(path)? {
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

    fn trouble(&self) -> Option<String> {
        let mut failing = self.retries.iter().filter(|(_, retry)| retry.tries >= TRIES_BEFORE_REPORT);
        let (path, retry) = failing.next()?;
        let name = file_name(path.strip_prefix(&self.settings.path).unwrap_or(path));
        let others = match failing.count() {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        Some(format!("{name}{others}: {}; tried again until it can be read or is gone", retry.error))
    }
}

#[cfg(test)]
mod tests;
