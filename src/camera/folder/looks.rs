//! Which files of a watched folder are complete: those that were closed or moved into place, else those that two looks
//! found the same. Pure: stamps and times come from the caller.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use domain::frame::FileStamp;

/// How long a file rests after its writer has closed it: programs set its times then.
const CLOSED: Duration = Duration::from_millis(100);
/// How long a file may stay unchanged while its writer holds it open; after that the writer is taken for asleep.
const HELD_OPEN: Duration = Duration::from_secs(60);

/// What the system says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// It is new, or its times or rights are others.
    Changed,
    /// A writer has it open.
    Written,
    /// Its writer has closed it.
    Closed,
    /// It was moved here, complete.
    Moved,
    /// It is not here any more.
    Gone,
}

/// What was seen of every file.
#[derive(Debug)]
pub struct Looks {
    settle: Duration,
    files: HashMap<PathBuf, Look>,
    /// Files that are not known to be complete.
    unsettled: BTreeSet<PathBuf>,
}

#[derive(Debug)]
struct Look {
    stamp: FileStamp,
    /// Since when it has been so.
    since: Instant,
    /// How long it must stay so.
    wait: Duration,
    /// Whether it was handed on in this state.
    is_queued: bool,
}

impl Looks {
    /// `settle`: how long a file must stay unchanged where no notice says more.
    pub fn new(settle: Duration) -> Self {
        Self { settle, files: HashMap::new(), unsettled: BTreeSet::new() }
    }

    /// A look at a file; true when it is complete and was not handed on in this state.
    pub fn look(&mut self, path: &Path, stamp: FileStamp, now: Instant) -> bool {
        let settle = self.settle;
        let Some(look) = self.files.get_mut(path) else {
            self.files.insert(path.to_owned(), Look { stamp, since: now, wait: settle, is_queued: false });
            self.unsettled.insert(path.to_owned());
            return false;
        };
        if look.stamp != stamp {
            if look.is_queued {
                look.wait = settle;
            }
            (look.stamp, look.since, look.is_queued) = (stamp, now, false);
        }
        let is_due = !look.is_queued && now.saturating_duration_since(look.since) >= look.wait;
        look.is_queued |= is_due;
        if look.is_queued {
            self.unsettled.remove(path);
        } else if !self.unsettled.contains(path) {
            self.unsettled.insert(path.to_owned());
        }
        is_due
    }

    /// Takes a notice of a file that has this stamp now.
    pub fn notice(&mut self, path: &Path, stamp: FileStamp, notice: Notice, now: Instant) {
        let settle = self.settle;
        let is_new = !self.files.contains_key(path);
        let look =
            self.files.entry(path.to_owned()).or_insert(Look { stamp, since: now, wait: settle, is_queued: false });
        let wait = match notice {
            Notice::Gone => return self.forget(path),
            // A writer has made it and not yet written to it.
            Notice::Changed if is_new && stamp.bytes == 0 => Some(HELD_OPEN),
            Notice::Changed => None,
            Notice::Written => Some(HELD_OPEN),
            Notice::Closed => Some(CLOSED.min(settle)),
            Notice::Moved => Some(Duration::ZERO),
        };
        if let Some(wait) = wait {
            *look = Look { stamp, since: now, wait, is_queued: false };
        }
        self.unsettled.insert(path.to_owned());
    }

    /// Whether a file is still as it was when it was found complete; otherwise it has to settle again.
    pub fn is_unchanged(&mut self, path: &Path, stamp: FileStamp, now: Instant) -> bool {
        if self.files.get(path).is_some_and(|look| look.stamp == stamp) {
            return true;
        }
        self.look(path, stamp, now);
        false
    }

    /// Whether it was handed on because of a notice, without two looks.
    pub fn was_hasty(&self, path: &Path) -> bool {
        self.files.get(path).is_some_and(|look| look.wait < self.settle)
    }

    /// It has to settle by two looks before it is handed on once more.
    pub fn settle_again(&mut self, path: &Path, now: Instant) {
        if let Some(look) = self.files.get_mut(path) {
            (look.since, look.wait, look.is_queued) = (now, self.settle, false);
            self.unsettled.insert(path.to_owned());
        }
    }

    /// Files to look at.
    pub fn unsettled(&self) -> Vec<PathBuf> {
        self.unsettled.iter().cloned().collect()
    }

    /// Whether a file waits for less than the time to settle.
    pub fn has_hasty(&self) -> bool {
        self.unsettled.iter().any(|path| self.was_hasty(path))
    }

    /// Forgets a file that is gone.
    pub fn forget(&mut self, path: &Path) {
        self.files.remove(path);
        self.unsettled.remove(path);
    }

    /// Forgets what is not in `listed`, which is sorted.
    pub fn retain(&mut self, listed: &[PathBuf]) {
        self.files.retain(|path, _| listed.binary_search(path).is_ok());
        self.unsettled.retain(|path| listed.binary_search(path).is_ok());
    }
}
