//! The system's notices of changes in a folder and those below it (inotify).

use std::{
    collections::HashMap,
    ffi::OsStr,
    io,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        inotify::{self, CreateFlags, ReadFlags, WatchFlags},
        statfs,
    },
    io::Errno,
};

use super::{listing::is_skipped, looks::Notice};

/// Types of local file systems (`statfs`), all of whose changes go through this kernel. Others may change from
/// elsewhere: network shares, FUSE, folders of a virtual machine's host.
const LOCAL: [u32; 12] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // Btrfs
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0x794c_7630, // overlayfs
    0xf2f5_2010, // F2FS
    0x2fc1_2fc1, // ZFS
    0xca45_1a4e, // bcachefs
    0x2011_bab0, // exFAT
    0x4d44,      // FAT
    0x7366_746e, // NTFS (ntfs3)
];

/// Notices of a folder and those below it.
#[derive(Debug)]
pub struct FolderWatch {
    inotify: OwnedFd,
    folders: HashMap<i32, PathBuf>,
    pending: Vec<(PathBuf, Notice)>,
    /// Notices were lost, or folders came and went.
    must_list: bool,
}

impl FolderWatch {
    /// Notices where all changes of the folder are noticed; none where it must be listed.
    pub fn of(folder: &Path) -> Option<Self> {
        let kind = statfs(folder).ok()?.f_type as u32;
        if !LOCAL.contains(&kind) {
            return None;
        }
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        Some(Self { inotify, folders: HashMap::new(), pending: Vec::new(), must_list: true })
    }

    /// Notices of this folder's files, too; called before it is listed.
    ///
    /// # Errors
    /// When the system gives no more watches.
    pub fn add(&mut self, folder: &Path) -> io::Result<()> {
        let wanted = WatchFlags::CLOSE_WRITE
            | WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        match inotify::add_watch(&self.inotify, folder, wanted) {
            Ok(number) => {
                self.folders.insert(number, folder.to_owned());
                Ok(())
            }
            // It went away again.
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Fetches what has happened; true when there is something to do.
    pub fn has_news(&mut self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    self.must_list = true;
                    break;
                }
            };
            let flags = event.events();
            if flags.contains(ReadFlags::IGNORED) {
                self.folders.remove(&event.wd());
                continue;
            }
            let whole = ReadFlags::ISDIR
                | ReadFlags::QUEUE_OVERFLOW
                | ReadFlags::UNMOUNT
                | ReadFlags::DELETE_SELF
                | ReadFlags::MOVE_SELF;
            if flags.intersects(whole) {
                self.must_list = true;
                continue;
            }
            let (Some(folder), Some(name)) = (self.folders.get(&event.wd()), event.file_name()) else { continue };
            let name = OsStr::from_bytes(name.to_bytes());
            if is_skipped(name) {
                continue;
            }
            let notice = if flags.contains(ReadFlags::MOVED_TO) {
                Notice::Moved
            } else if flags.contains(ReadFlags::CLOSE_WRITE) {
                Notice::Closed
            } else if flags.contains(ReadFlags::MODIFY) {
                Notice::Written
            } else if flags.intersects(ReadFlags::MOVED_FROM | ReadFlags::DELETE) {
                Notice::Gone
            } else {
                Notice::Changed
            };
            self.pending.push((folder.join(name), notice));
        }
        self.must_list || !self.pending.is_empty()
    }

    /// What has happened since, in order.
    pub fn take(&mut self) -> Vec<(PathBuf, Notice)> {
        std::mem::take(&mut self.pending)
    }

    /// Whether the folder has to be listed since the last time.
    pub fn takes_listing(&mut self) -> bool {
        std::mem::take(&mut self.must_list)
    }
}
