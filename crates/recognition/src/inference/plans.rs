//! Plans: networks that TensorRT has built for one GPU, kept on disk, since building takes from seconds to minutes. A plan is
//! used only where everything it was built for is the same and not a byte has changed; else it is built again, which is logged.

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::Precision;
use domain::hex;

/// Everything that a plan depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanKey {
    /// SHA-256 of the network file.
    pub model: String,
    /// Library and version: "TensorRT-RTX 1.7.1".
    pub tensorrt: String,
    /// Name of the GPU.
    pub gpu: String,
    /// CUDA version of the driver: 12090.
    pub driver: i32,
    /// Least, usual and largest shapes of the inputs.
    pub profile: String,
    /// Number format of the network file.
    pub precision: Precision,
}

impl fmt::Display for PlanKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, tensorrt, gpu, driver, profile, precision } = self;
        write!(f, "{model} | {precision} | {tensorrt} | {gpu} | driver {driver} | {profile}")
    }
}

/// What the cache has for a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Kept {
    /// The plan.
    Plan(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// Something that must not be used, and why.
    Unusable(String),
}

/// A folder of plans and of TensorRT's timings.
#[derive(Debug, Clone)]
pub struct PlanCache {
    folder: Option<PathBuf>,
}

const PLAN_MAGIC: &str = "metaphased plan 1";

impl PlanCache {
    /// A cache in `folder`, which is made when something is kept.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()) }
    }

    /// The usual place: `$CACHE_DIRECTORY` (systemd), else `$XDG_CACHE_HOME/metaphased`, else `~/.cache/metaphased`. Without
    /// any of them nothing is kept.
    #[cfg(feature = "tensorrt")]
    pub fn usual() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = set("CACHE_DIRECTORY")
            .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("metaphased")))
            .or_else(|| set("HOME").map(|folder| folder.join(".cache/metaphased")));
        Self { folder }
    }

    /// Its folder.
    #[cfg(feature = "tensorrt")]
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The plan for `key`.
    pub fn plan(&self, key: &PlanKey) -> Kept {
        self.read(&file_name(&key.to_string(), "plan"), &key.to_string())
    }

    /// Keeps a plan.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn keep_plan(&self, key: &PlanKey, plan: &[u8]) -> io::Result<()> {
        self.write(&file_name(&key.to_string(), "plan"), &key.to_string(), plan)
    }

    /// What earlier builds measured on this GPU with this library.
    pub fn timing(&self, key: &PlanKey) -> Kept {
        let head = timing_head(key);
        self.read(&file_name(&head, "timing"), &head)
    }

    /// Keeps what a build measured.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn keep_timing(&self, key: &PlanKey, timing: &[u8]) -> io::Result<()> {
        let head = timing_head(key);
        self.write(&file_name(&head, "timing"), &head, timing)
    }

    fn read(&self, name: &str, head: &str) -> Kept {
        let Some(path) = self.folder.as_ref().map(|folder| folder.join(name)) else { return Kept::Nothing };
        let unusable = |why: &str| Kept::Unusable(format!("{}: {why}", path.display()));
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Kept::Nothing,
            Err(error) => return unusable(&error.to_string()),
        };
        // Three lines of text, then the content: what this is, what it is for, its hash.
        let mut parts = bytes.splitn(4, |byte| *byte == b'\n');
        let mut line = || parts.next().map(|part| String::from_utf8_lossy(part).into_owned()).unwrap_or_default();
        let (magic, found, hash) = (line(), line(), line());
        let Some(content) = parts.next() else { return unusable("cut off") };
        if magic != PLAN_MAGIC {
            unusable("not written by this version")
        } else if found != head {
            unusable(&format!("made for another machine or version ({found})"))
        } else if hash != hex(Sha256::digest(content)) {
            unusable("damaged")
        } else {
            Kept::Plan(content.to_vec())
        }
    }

    fn write(&self, name: &str, head: &str, content: &[u8]) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        fs::create_dir_all(folder)?;
        let (path, new) = (folder.join(name), folder.join(format!("{name}.{}.new", std::process::id())));
        let mut file = fs::File::create(&new)?;
        write!(file, "{PLAN_MAGIC}\n{head}\n{}\n", hex(Sha256::digest(content)))?;
        file.write_all(content)?;
        file.sync_all()?;
        // Renamed into place, so that nobody reads half a plan.
        fs::rename(new, path)
    }
}

fn timing_head(key: &PlanKey) -> String {
    format!("timing | {} | {} | driver {}", key.tensorrt, key.gpu, key.driver)
}

fn file_name(head: &str, kind: &str) -> String {
    format!("{}.{kind}", &hex(Sha256::digest(head))[..24])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PlanKey {
        PlanKey {
            model: "ab".repeat(32),
            tensorrt: "TensorRT-RTX 1.7.1".into(),
            gpu: "NVIDIA H100".into(),
            driver: 12090,
            profile: "image 1x1x64x64 1x1x544x544 1x1x2048x2048".into(),
            precision: Precision::F16,
        }
    }

    fn only_file(folder: &Path) -> PathBuf {
        fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
    }

    #[test]
    fn a_plan_comes_back_for_its_own_key_and_for_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let cache = PlanCache::at(folder.path().join("plans"));
        assert_eq!(cache.plan(&key()), Kept::Nothing);
        cache.keep_plan(&key(), b"a plan\nof two lines").unwrap();
        assert_eq!(cache.plan(&key()), Kept::Plan(b"a plan\nof two lines".to_vec()));
        for other in [
            PlanKey { model: "cd".repeat(32), ..key() },
            PlanKey { tensorrt: "TensorRT-RTX 1.8.0".into(), ..key() },
            PlanKey { gpu: "NVIDIA H200".into(), ..key() },
            PlanKey { driver: 13000, ..key() },
            PlanKey { profile: "image".into(), ..key() },
            PlanKey { precision: Precision::F32, ..key() },
        ] {
            assert_eq!(cache.plan(&other), Kept::Nothing, "{other}");
        }
    }

    #[test]
    fn a_damaged_cut_off_or_foreign_plan_is_reported_and_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let cache = PlanCache::at(folder.path());
        cache.keep_plan(&key(), &[7; 1000]).unwrap();
        let path = only_file(folder.path());
        let whole = fs::read(&path).unwrap();
        let says = |bytes: &[u8], why: &str| {
            fs::write(&path, bytes).unwrap();
            match cache.plan(&key()) {
                Kept::Unusable(text) => assert!(text.contains(why), "{text}"),
                other => panic!("{why}: {other:?}"),
            }
        };
        says(&whole[..whole.len() - 1], "damaged");
        says(&whole[..20], "cut off");
        says(b"\n\n\n", "not written by this version");
        let text = String::from_utf8(whole.clone()).unwrap();
        says(text.replace("H100", "H200").as_bytes(), "made for another machine");
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        says(&flipped, "damaged");
        cache.keep_plan(&key(), &[8; 10]).unwrap();
        assert_eq!(cache.plan(&key()), Kept::Plan(vec![8; 10]), "built again, it is used");
    }

    #[test]
    fn timings_serve_every_model_on_the_same_gpu() {
        let folder = tempfile::tempdir().unwrap();
        let cache = PlanCache::at(folder.path());
        cache.keep_timing(&key(), b"timings").unwrap();
        let other_model = PlanKey { model: "cd".repeat(32), precision: Precision::F32, ..key() };
        assert_eq!(cache.timing(&other_model), Kept::Plan(b"timings".to_vec()));
        assert_eq!(cache.timing(&PlanKey { gpu: "another".into(), ..key() }), Kept::Nothing);
        assert_eq!(PlanCache { folder: None }.timing(&key()), Kept::Nothing);
    }
}
