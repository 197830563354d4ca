use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    time::{SystemTime, UNIX_EPOCH},
};

use super::*;
use crate::{camera::files, clock::ManualClock, shutdown::Shutdown};
use domain::frame::FramePool;

fn picture(path: &Path) {
    image::GrayImage::new(8, 8).save_with_format(path, image::ImageFormat::Png).expect("a picture");
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for name in ["b.png", "a.png"] {
        picture(&dir.path().join(name));
    }
    fs::write(dir.path().join("broken.png"), b"\x89PNG\r\n\x1a\nno").expect("a file");
    fs::write(dir.path().join("notes.txt"), "text").expect("a file");
    fs::write(dir.path().join(".hidden.png"), "").expect("a file");
    dir
}

/// Keeps nothing.
struct Unmarked;

impl Attempts for Unmarked {
    fn begin(&mut self, _: &str, _: FileStamp) -> u32 {
        0
    }

    fn end(&mut self, _: &str) {}
}

/// A folder source whose clock is turned by hand.
struct Bench {
    source: FolderSource,
    clock: ManualClock,
    buffers: Buffers,
    _shutdown: Shutdown,
}

fn settings(path: &Path, repeat: Repeat, clock: &ManualClock) -> FolderSettings {
    FolderSettings {
        name: "f".into(),
        path: path.to_owned(),
        repeat,
        rate_hz: None,
        um_per_px: Some(0.1),
        marked: Box::new(|_| None),
        settle: Duration::from_millis(20),
        notices: false,
        clock: Arc::new(clock.clone()),
        picture_bytes: files::PICTURE_BYTES,
        attempts: Box::new(Unmarked),
        memory: Arc::default(),
    }
}

impl Bench {
    fn new(path: &Path, repeat: Repeat) -> Self {
        Self::with(path, repeat, |_| {})
    }

    fn with(path: &Path, repeat: Repeat, change: impl FnOnce(&mut FolderSettings)) -> Self {
        let clock = ManualClock::default();
        let mut settings = settings(path, repeat, &clock);
        change(&mut settings);
        let source = FolderSource::open(settings).expect("it opens");
        let shutdown = Shutdown::default();
        let buffers = Buffers::new(FramePool::new(2), true, shutdown.receiver());
        Self { source, clock, buffers, _shutdown: shutdown }
    }

    /// What it gives until it has nothing more to give now.
    fn given(&mut self) -> Vec<String> {
        let mut given = Vec::new();
        let mut quiet = 0;
        while quiet < 2 {
            match self.source.next(&self.buffers).expect("it goes on") {
                Capture::Frame(frame) => {
                    let again = if frame.info.flags.reread { " again" } else { "" };
                    given.push(format!("{}{again}", frame.info.file.expect("a file")));
                }
                Capture::Bad(bad) => given.push(format!("{} {}", bad.file.expect("a file"), bad.reason.label())),
                Capture::Finished => return given,
                Capture::Nothing | Capture::NoBuffer | Capture::Superseded => quiet += 1,
            }
        }
        given
    }

    fn after(&mut self, time: Duration) -> Vec<String> {
        self.clock.advance(time);
        self.given()
    }

    /// Opening the file called `name` fails so often.
    fn fail_opening(&mut self, name: &'static str, mut times: u32, error: io::ErrorKind) {
        self.source.open_file = Box::new(move |path| {
            if path.ends_with(name) && times > 0 {
                times -= 1;
                return Err(FileError::Io(error.into()));
            }
            ImageFile::open(path)
        });
    }
}

const LOOK: Duration = Duration::from_millis(20);

#[test]
fn every_file_is_a_frame_or_a_rejection_with_its_reason() {
    let dir = folder();
    let given = Bench::new(dir.path(), Repeat::Once).given();
    assert_eq!(given, ["a.png", "b.png", "broken.png unreadable", "notes.txt unsupported"]);
}

#[test]
fn what_was_processed_before_is_skipped() {
    let dir = folder();
    let path = dir.path().to_owned();
    let marked = move |name: &str| if name == "b.png" { None } else { stamp_of(&path.join(name)).ok() };
    let mut bench = Bench::with(dir.path(), Repeat::Once, |settings| settings.marked = Box::new(marked));
    assert_eq!(bench.given(), ["b.png"]);
}

#[test]
fn a_watched_folder_gives_a_file_once_when_it_has_stayed_unchanged() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut bench = Bench::with(dir.path(), Repeat::Watch, |settings| settings.settle = Duration::from_secs(1));
    let path = dir.path().join("new.png");
    fs::write(&path, b"\x89PNG").expect("a beginning");
    assert!(bench.given().is_empty());
    assert!(bench.after(Duration::from_millis(900)).is_empty());
    // It grows: its time starts again.
    picture(&path);
    assert!(bench.after(Duration::from_millis(900)).is_empty());
    assert!(bench.after(Duration::from_millis(900)).is_empty());
    assert_eq!(bench.after(Duration::from_millis(100)), ["new.png"]);
    assert!(bench.after(Duration::from_secs(60)).is_empty());
}

#[test]
fn the_time_that_a_file_bears_says_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut bench = Bench::new(dir.path(), Repeat::Watch);
    assert!(bench.given().is_empty());
    let century = Duration::from_secs(100 * 365 * 86_400);
    for (name, time) in [
        ("future.png", SystemTime::now() + century),
        ("old.png", UNIX_EPOCH + Duration::from_secs(1)),
        ("older.png", UNIX_EPOCH - Duration::from_secs(86_400)),
    ] {
        let path = dir.path().join(name);
        picture(&path);
        fs::File::options().write(true).open(&path).expect("the file").set_modified(time).expect("a time");
    }
    let aside = tempfile::tempdir_in(dir.path().parent().expect("a parent")).expect("a folder");
    picture(&aside.path().join("moved.png"));
    fs::rename(aside.path().join("moved.png"), dir.path().join("moved.png")).expect("it moves");
    assert!(bench.after(LOOK).is_empty());
    assert_eq!(bench.after(LOOK), ["future.png", "moved.png", "old.png", "older.png"]);
}

#[test]
fn a_passing_error_rejects_no_file() {
    for error in [io::ErrorKind::PermissionDenied, io::ErrorKind::StaleNetworkFileHandle, io::ErrorKind::OutOfMemory] {
        let dir = folder();
        let mut bench = Bench::new(dir.path(), Repeat::Once);
        bench.fail_opening("a.png", 3, error);
        assert_eq!(bench.given(), ["b.png", "broken.png unreadable", "notes.txt unsupported"]);
        assert_eq!(bench.source.trouble(), None);
        // 0.5 s, 1 s, 2 s.
        assert!(bench.after(Duration::from_millis(500)).is_empty());
        assert!(bench.after(Duration::from_millis(999)).is_empty());
        assert_eq!(bench.source.trouble(), None);
        assert!(bench.after(Duration::from_millis(1)).is_empty());
        let trouble = bench.source.trouble().expect("it is reported");
        assert!(trouble.starts_with("a.png: cannot read it"), "{trouble}");
        assert!(bench.after(Duration::from_millis(1999)).is_empty());
        assert_eq!(bench.after(Duration::from_millis(1)), ["a.png"]);
        assert_eq!(bench.source.trouble(), None);
    }
}

#[test]
fn a_file_without_rights_is_read_once_it_has_them() {
    use std::os::unix::fs::PermissionsExt;
    let dir = folder();
    let path = dir.path().join("a.png");
    let rights = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("rights");
    rights(0o000);
    if fs::File::open(&path).is_ok() {
        eprintln!("left out: this account may read every file");
        return;
    }
    let mut bench = Bench::new(dir.path(), Repeat::Watch);
    bench.given();
    assert!(!bench.after(LOOK).contains(&"a.png".to_owned()));
    rights(0o644);
    assert_eq!(bench.after(Duration::from_secs(30)), ["a.png"]);
}

#[test]
fn the_pause_between_tries_ends_at_half_a_minute() {
    let dir = folder();
    let mut bench = Bench::new(dir.path(), Repeat::Watch);
    for _ in 0..40 {
        bench.source.retry_later(&dir.path().join("a.png"), &FileError::Io(io::ErrorKind::PermissionDenied.into()));
    }
    let due = bench.source.retries.values().next().expect("it waits").due;
    assert_eq!(due, bench.clock.now() + LAST_RETRY);
}

#[test]
fn a_folder_that_is_away_for_a_moment_loses_no_file() {
    let parent = tempfile::tempdir().expect("a folder");
    let (here, away) = (parent.path().join("slides"), parent.path().join("away"));
    fs::create_dir(&here).expect("a folder");
    for n in 0..6 {
        picture(&here.join(format!("{n}.png")));
    }
    let memory: Arc<Mutex<FolderMemory>> = Arc::default();
    let with_memory = |settings: &mut FolderSettings| settings.memory = memory.clone();
    let mut bench = Bench::with(&here, Repeat::Once, with_memory);
    let mut given = Vec::new();
    while given.len() < 2 {
        if let Ok(Capture::Frame(frame)) = bench.source.next(&bench.buffers) {
            given.push(frame.info.file.expect("a file").to_string());
        }
    }
    fs::rename(&here, &away).expect("it goes");
    assert!((0..9).any(|_| bench.source.next(&bench.buffers).is_err()), "the loss is an error of the source");
    fs::rename(&away, &here).expect("it returns");
    // No frame is marked as done yet; those handed on are not read again.
    given.extend(Bench::with(&here, Repeat::Once, with_memory).given());
    assert_eq!(given, ["0.png", "1.png", "2.png", "3.png", "4.png", "5.png"]);
}

#[test]
fn a_file_that_came_meanwhile_is_read_before_the_end() {
    let dir = folder();
    let mut bench = Bench::new(dir.path(), Repeat::Once);
    while !matches!(bench.source.next(&bench.buffers), Ok(Capture::Frame(_))) {}
    picture(&dir.path().join("late.png"));
    assert_eq!(bench.given(), ["b.png", "broken.png unreadable", "notes.txt unsupported", "late.png"]);
}

#[test]
fn names_that_are_not_text_are_told_apart() {
    let dir = tempfile::tempdir().expect("a folder");
    for name in [&b"bad\xfe.png"[..], b"bad\xff.png", b"x.png#1"] {
        picture(&dir.path().join(OsStr::from_bytes(name)));
    }
    let given = Bench::new(dir.path(), Repeat::Once).given();
    assert_eq!(given, ["bad\\xfe.png", "bad\\xff.png", "x.png\\x231"]);
}

#[test]
fn a_link_out_of_the_folder_is_refused_and_one_inside_is_followed() {
    let (dir, outside) = (tempfile::tempdir().expect("a folder"), folder());
    picture(&dir.path().join("real.png"));
    std::os::unix::fs::symlink("real.png", dir.path().join("inside.png")).expect("a link");
    std::os::unix::fs::symlink(outside.path().join("a.png"), dir.path().join("out.png")).expect("a link");
    let given = Bench::new(dir.path(), Repeat::Once).given();
    assert_eq!(given, ["inside.png", "out.png unsupported", "real.png"]);
}

#[test]
fn the_depth_of_the_first_frame_holds_for_the_others() {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, largest) in [("1.png", 4000u16), ("2.png", 500), ("3.png", 16_000), ("4.png", 20)] {
        let samples = image::ImageBuffer::from_pixel(4, 4, image::Luma([largest]));
        samples.save(dir.path().join(name)).expect("a picture");
    }
    let mut bench = Bench::new(dir.path(), Repeat::Once);
    let mut depths = Vec::new();
    loop {
        match bench.source.next(&bench.buffers).expect("it goes on") {
            Capture::Frame(frame) => depths.push(frame.pixels.valid_bits()),
            Capture::Finished => break,
            _ => {}
        }
    }
    assert_eq!(depths, [12, 12, 14, 14]);
}

#[test]
fn a_missing_folder_is_reported() {
    let settings = settings(Path::new("/no/such/folder"), Repeat::Once, &ManualClock::default());
    let error = FolderSource::open(settings).err().expect("it is not there");
    assert!(error.to_string().contains("/no/such/folder"));
}

/// A watched folder whose changes the system notices. Two looks would take an hour.
fn noticed(path: &Path) -> Bench {
    let mut bench = Bench::with(path, Repeat::Watch, |settings| {
        (settings.notices, settings.settle) = (true, Duration::from_secs(3600));
    });
    assert!(bench.source.watch.is_some(), "the tests run on a local file system");
    assert!(bench.given().is_empty());
    bench
}

/// The time that a file rests after it was closed.
const CLOSED: Duration = Duration::from_millis(100);

#[test]
fn a_file_that_is_closed_or_moved_into_place_is_complete_at_once() {
    let (dir, aside) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let mut bench = noticed(dir.path());
    picture(&dir.path().join("closed.png"));
    picture(&aside.path().join("moved.png"));
    fs::rename(aside.path().join("moved.png"), dir.path().join("moved.png")).expect("it moves");
    assert_eq!(bench.given(), ["moved.png"]);
    // A program sets the times of its copy after it has closed it.
    let copy = fs::File::options().write(true).open(dir.path().join("closed.png")).expect("the file");
    copy.set_modified(UNIX_EPOCH + Duration::from_secs(86_400)).expect("a time");
    drop(copy);
    assert!(bench.given().is_empty());
    assert_eq!(bench.after(CLOSED), ["closed.png"]);
    // A new folder and what lies in it.
    fs::create_dir(dir.path().join("slide 2")).expect("a folder");
    picture(&dir.path().join("slide 2/a.png"));
    assert!(bench.given().is_empty());
    picture(&dir.path().join("slide 2/a.png"));
    assert!(bench.given().is_empty());
    assert_eq!(bench.after(CLOSED), ["slide 2/a.png"]);
    assert!(bench.after(Duration::from_secs(7200)).is_empty());
}

#[test]
fn a_file_whose_writer_pauses_is_complete_when_it_is_closed() {
    use std::io::Write;
    let dir = tempfile::tempdir().expect("a folder");
    let mut bench = Bench::with(dir.path(), Repeat::Watch, |settings| settings.notices = true);
    let whole = tempfile::NamedTempFile::new().expect("a file");
    picture(whole.path());
    let bytes = fs::read(whole.path()).expect("a picture");
    let mut file = fs::File::create(dir.path().join("slow.png")).expect("a file");
    assert!(bench.after(Duration::from_secs(3)).is_empty(), "nothing is written yet");
    file.write_all(&bytes[..30]).expect("the first part");
    assert!(bench.given().is_empty());
    assert!(bench.after(Duration::from_secs(3)).is_empty(), "the writer has it open");
    file.write_all(&bytes[30..]).expect("the rest");
    drop(file);
    assert!(bench.given().is_empty());
    assert_eq!(bench.after(CLOSED), ["slow.png"]);
}

#[test]
fn a_file_that_is_closed_after_every_part_is_read_when_it_is_whole() {
    use std::io::Write;
    let dir = tempfile::tempdir().expect("a folder");
    let mut bench = Bench::with(dir.path(), Repeat::Watch, |settings| {
        (settings.notices, settings.settle) = (true, Duration::from_millis(500));
    });
    assert!(bench.given().is_empty());
    let whole = tempfile::NamedTempFile::new().expect("a file");
    picture(whole.path());
    let bytes = fs::read(whole.path()).expect("a picture");
    let path = dir.path().join("parts.png");
    for part in bytes.chunks(bytes.len() / 8) {
        assert_eq!(bench.after(Duration::from_millis(200)), Vec::<String>::new());
        let mut file = fs::File::options().append(true).create(true).open(&path).expect("the file");
        file.write_all(part).expect("a part");
        file.set_modified(SystemTime::now() - Duration::from_secs(86_400)).expect("a time");
    }
    assert!(bench.given().is_empty());
    assert_eq!(bench.after(Duration::from_millis(200)), ["parts.png"]);
    // What stays broken is rejected after the two looks.
    fs::write(dir.path().join("broken.png"), &bytes[..30]).expect("a part");
    assert!(bench.given().is_empty());
    assert!(bench.after(Duration::from_millis(200)).is_empty());
    assert!(bench.after(Duration::from_millis(400)).is_empty());
    assert_eq!(bench.after(Duration::from_millis(100)), ["broken.png unreadable"]);
}

#[test]
fn a_file_that_changes_after_it_was_given_is_given_again_as_such() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut bench = noticed(dir.path());
    let path = dir.path().join("a.png");
    picture(&path);
    assert!(bench.given().is_empty());
    assert_eq!(bench.after(CLOSED), ["a.png"]);
    image::GrayImage::new(9, 9).save_with_format(&path, image::ImageFormat::Png).expect("a picture");
    assert!(bench.given().is_empty());
    assert_eq!(bench.after(CLOSED), ["a.png again"]);
    // Opened for writing and closed without a change: nothing new.
    drop(fs::File::options().append(true).open(&path).expect("the file"));
    assert!(bench.given().is_empty());
    assert!(bench.after(CLOSED).is_empty());
    // The same after a restart, by the mark.
    let marked = |_: &str| Some(FileStamp { bytes: 1, mtime_ns: 1 });
    let mut next = Bench::with(dir.path(), Repeat::Once, |settings| settings.marked = Box::new(marked));
    assert_eq!(next.given(), ["a.png again"]);
}

#[test]
fn what_no_notice_came_for_is_found_by_listing() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut bench = Bench::with(dir.path(), Repeat::Watch, |settings| settings.notices = true);
    assert!(bench.given().is_empty());
    picture(&dir.path().join("a.png"));
    // As if the queue had run over.
    let watch = bench.source.watch.as_mut().expect("noticed");
    watch.has_news();
    drop(watch.take());
    assert!(bench.after(Duration::from_secs(59)).is_empty());
    assert!(bench.after(Duration::from_secs(1)).is_empty());
    assert_eq!(bench.after(LOOK), ["a.png"]);
}
