//! The users' file: a line a person, `name:role:hash`. Passwords are hashed by Argon2id (RFC 9106).

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash};
use domain::{ErrorKind, HasKind};

use super::access::Role;
use crate::config::check_name;

/// Least characters of a password.
pub const LEAST_PASSWORD: usize = 10;
/// Most bytes of a password that is looked at.
pub const MOST_PASSWORD: usize = 1024;
/// How often the file is looked at for changes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Stands for the hash of a person who comes in by the proxy alone.
const NO_PASSWORD: &str = "-";
/// First line of a new file.
const HEAD: &str = "# Users of metaphased's page, a line each, name:role:hash; written by `metaphased user`.\n";

/// A person who may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Name; every change is kept under it.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Hash of the password as a PHC string; none: they come in by the proxy alone.
    pub hash: Option<String>,
}

/// What is wrong with a users' file or with what goes into it.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The file cannot be read.
    #[error("cannot read the users' file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line is wrong.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What was found, and what would be right; never a hash.
        reason: String,
    },
    /// A value that a person gave is wrong.
    #[error("{0}")]
    Value(String),
    /// The file cannot be written.
    #[error("cannot write the users' file {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl HasKind for UsersError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => ErrorKind::NotFound,
            Self::Read { .. } => ErrorKind::Io,
            Self::Line { .. } => ErrorKind::Config,
            Self::Value(_) => ErrorKind::BadData,
            Self::Write { .. } => ErrorKind::CannotCreate,
        }
    }
}

/// All users by their names.
pub type UserList = BTreeMap<String, User>;

/// Checks the name of a user.
///
/// # Errors
/// What was found, and what would be right.
pub fn check_user_name(name: &str) -> Result<(), UsersError> {
    let reason = match check_name(name) {
        Err(found) => found,
        Ok(()) if name.contains(':') => "it has a colon".into(),
        Ok(()) if name.trim() != name || name.starts_with('#') => {
            "it begins with '#', or with or ends in a space".into()
        }
        Ok(()) => return Ok(()),
    };
    Err(UsersError::Value(format!(
        "invalid name '{name}': {reason}; expected 1 to 200 characters without colons and control characters"
    )))
}

fn parse(text: &str, path: &Path) -> Result<UserList, UsersError> {
    let mut users = UserList::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |reason: String| UsersError::Line { path: path.into(), line: number + 1, reason };
        let mut parts = line.splitn(3, ':');
        let (Some(name), Some(role), Some(hash)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong("expected name:role:hash".into()));
        };
        check_user_name(name).map_err(|error| wrong(error.to_string()))?;
        let role = Role::named(role)
            .ok_or_else(|| wrong(format!("invalid role '{role}': expected view, review or administer")))?;
        let hash = hash.trim();
        if hash != NO_PASSWORD && !is_hash(hash) {
            return Err(wrong(format!("invalid hash of '{name}': expected $argon2id$..., or '-' for none")));
        }
        let hash = (hash != NO_PASSWORD).then(|| hash.to_owned());
        if users.insert(name.to_owned(), User { name: name.to_owned(), role, hash }).is_some() {
            return Err(wrong(format!("'{name}' stands there twice: expected each name once")));
        }
    }
    Ok(users)
}

fn is_hash(text: &str) -> bool {
    PasswordHash::new(text)
        .is_ok_and(|hash| hash.algorithm.as_str() == "argon2id" && hash.salt.is_some() && hash.hash.is_some())
}

/// Reads a users' file.
///
/// # Errors
/// When it cannot be read, or a line is wrong.
pub fn read_users(path: &Path) -> Result<UserList, UsersError> {
    let text = fs::read_to_string(path).map_err(|source| UsersError::Read { path: path.into(), source })?;
    parse(&text, path)
}

/// Writes a users' file in one step, readable by its owner alone; a file that was there keeps its owner and mode.
///
/// # Errors
/// What the disk said.
pub fn write_users(path: &Path, users: &UserList) -> Result<(), UsersError> {
    let mut text = HEAD.to_owned();
    for User { name, role, hash } in users.values() {
        text.push_str(&format!("{name}:{}:{}\n", role.name(), hash.as_deref().unwrap_or(NO_PASSWORD)));
    }
    replace(path, &text).map_err(|source| UsersError::Write { path: path.into(), source })
}

#[cfg(unix)]
fn replace(path: &Path, text: &str) -> io::Result<()> {
    use std::{
        io::Write,
        os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    };
    let before = match fs::metadata(path) {
        Ok(before) => Some(before),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let next = path.with_file_name(name);
    let written = (|| {
        let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(&next)?;
        file.write_all(text.as_bytes())?;
        if let Some(before) = before {
            fs::set_permissions(&next, fs::Permissions::from_mode(before.mode() & 0o777))?;
            let now = file.metadata()?;
            if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
                std::os::unix::fs::chown(&next, Some(before.uid()), Some(before.gid()))?;
            }
        }
        file.sync_all()?;
        fs::rename(&next, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&next);
    }
    written
}

#[cfg(not(unix))]
fn replace(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)
}

/// The hash of a password, with a salt of its own, as a PHC string.
///
/// # Errors
/// For one that is too short or too long.
pub fn hash_password(password: &str) -> Result<String, UsersError> {
    if password.chars().count() < LEAST_PASSWORD || password.len() > MOST_PASSWORD {
        return Err(UsersError::Value(format!(
            "invalid password of {} characters: expected {LEAST_PASSWORD} or more, up to {MOST_PASSWORD} bytes",
            password.chars().count()
        )));
    }
    let hash: PasswordHash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|error| UsersError::Value(format!("the password cannot be hashed: {error}")))?;
    Ok(hash.to_string())
}

/// Whether this is the password. Of a person who is not there, or has none, a hash that nothing matches is computed, so
/// that the time says nothing. Takes tens of milliseconds of processor time.
pub fn verify(user: Option<&User>, password: &str) -> bool {
    static NOBODY: LazyLock<String> = LazyLock::new(|| hash_password("nobody has this password").unwrap_or_default());
    let known = user.and_then(|user| user.hash.as_deref());
    if password.len() > MOST_PASSWORD {
        return false;
    }
    let matches = Argon2::default().verify_password(password.as_bytes(), known.unwrap_or(&NOBODY)).is_ok();
    known.is_some() && matches
}

/// The users of a running daemon. A change of the file is taken over within a second; one that cannot be read leaves
/// them as they were and is logged.
#[derive(Debug)]
pub struct Users {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    looked: Instant,
    stamp: Option<(SystemTime, u64)>,
    /// The file as it is could not be read, which was logged.
    is_broken: bool,
    users: Arc<UserList>,
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let found = fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}

impl Users {
    /// Those of a file.
    ///
    /// # Errors
    /// When it cannot be read, or a line is wrong.
    pub fn open(path: PathBuf) -> Result<Self, UsersError> {
        let stamp = stamp(&path);
        let users = Arc::new(read_users(&path)?);
        Ok(Self { path, state: Mutex::new(State { looked: Instant::now(), stamp, is_broken: false, users }) })
    }

    /// All of them, as the file has them now.
    pub fn all(&self, now: Instant) -> Arc<UserList> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(state.looked) >= LOOK_EVERY {
            state.looked = now;
            let found = stamp(&self.path);
            if found != state.stamp {
                match read_users(&self.path) {
                    Ok(users) => {
                        tracing::info!(users = users.len(), "the users' file was read again");
                        (state.stamp, state.is_broken, state.users) = (found, false, Arc::new(users));
                    }
                    // Tried again each second: what keeps it from being read may pass without a change of the file.
                    Err(error) => {
                        if !state.is_broken {
                            tracing::error!(%error, "the users stay as they were");
                        }
                        state.is_broken = true;
                    }
                }
            }
        }
        state.users.clone()
    }

    /// One of them.
    pub fn find(&self, name: &str, now: Instant) -> Option<User> {
        self.all(now).get(name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, role: Role, hash: Option<String>) -> (String, User) {
        (name.to_owned(), User { name: name.into(), role, hash })
    }

    #[test]
    fn what_is_written_reads_back_and_only_the_owner_may_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users");
        let hash = hash_password("a long password").expect("it is long enough");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let users = UserList::from([user("K. Berg", Role::Review, Some(hash)), user("guest", Role::View, None)]);
        write_users(&path, &users).expect("it is written");
        assert_eq!(read_users(&path).expect("it is right"), users);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
            assert_eq!(mode(&path), 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("it is ours");
            write_users(&path, &users).expect("it is written");
            assert_eq!(mode(&path), 0o640, "its mode stays");
        }
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing half-written stays");
    }

    #[test]
    fn the_right_password_alone_lets_in() {
        let (_, berg) = user("K. Berg", Role::Review, Some(hash_password("a long password").expect("long")));
        assert!(verify(Some(&berg), "a long password"));
        assert!(!verify(Some(&berg), "a long passwore"));
        assert!(!verify(None, "nobody has this password"), "no name");
        let (_, guest) = user("guest", Role::View, None);
        assert!(!verify(Some(&guest), "nobody has this password"), "no password");
        assert!(hash_password("too short").is_err());
    }

    #[test]
    fn a_wrong_line_says_where_and_what_is_expected_and_shows_no_hash() {
        for (text, words) in [
            ("\nberg", "users:2: expected name:role:hash"),
            ("berg:boss:-", "users:1: invalid role 'boss': expected view, review or administer"),
            ("berg:view:$2y$05$secretsecret", "users:1: invalid hash of 'berg': expected $argon2id$"),
            ("berg:view:-\nberg:view:-", "users:2: 'berg' stands there twice"),
            (":view:-", "users:1: invalid name ''"),
        ] {
            let error = parse(text, Path::new("users")).expect_err(text).to_string();
            assert!(error.starts_with(words) && !error.contains("secretsecret"), "{error}");
        }
        assert!(parse("# a comment\n\nberg:view:-\n", Path::new("users")).is_ok());
    }

    #[test]
    fn a_changed_file_counts_within_a_second_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users");
        fs::write(&path, "berg:view:-\n").expect("it is written");
        let users = Users::open(path.clone()).expect("it is right");
        let (now, later) = (Instant::now(), |seconds| Instant::now() + Duration::from_secs(seconds));
        assert_eq!(users.find("berg", now).map(|user| user.role), Some(Role::View));
        fs::write(&path, "berg:review:-\nfink:view:-\n").expect("it is written");
        assert_eq!(users.find("berg", later(2)).map(|user| user.role), Some(Role::Review));
        fs::write(&path, "berg:nothing\n").expect("it is written");
        assert!(users.find("fink", later(4)).is_some());
        // What keeps it from being read passes without a change that the stamp would show.
        let modified = fs::metadata(&path).and_then(|found| found.modified()).expect("it is there");
        fs::write(&path, "berg:view:-\n\n").expect("as long as before");
        fs::File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(modified))
            .expect("as old as before");
        assert!(users.find("fink", later(6)).is_none(), "it is tried again");
        fs::write(&path, "fink:view:-\n").expect("it is written");
        assert!(users.find("berg", later(8)).is_none());
    }
}
