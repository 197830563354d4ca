//! Model folders on disk: where they are sought, and whether they are what they say.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{
    error::ModelError,
    manifest::{FileEntry, Manifest, Precision, Task, View},
};
use domain::{Stain, hex};

/// A model folder whose manifest has been read.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    /// The folder.
    pub path: PathBuf,
    /// What model.toml says.
    pub manifest: Manifest,
}

impl ModelFolder {
    /// Reads `path/model.toml`.
    ///
    /// # Errors
    /// When it is missing or not valid; the message names line and key.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let file = path.join("model.toml");
        let text = fs::read_to_string(&file)
            .map_err(|error| ModelError::Missing { path: file.clone(), reason: error.to_string() })?;
        let manifest = Manifest::parse(&text).map_err(|reason| ModelError::Manifest { path: file, reason })?;
        Ok(Self { path: path.to_owned(), manifest })
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    /// The same with those of its files alone that serve a stain; the first does always.
    #[must_use]
    pub fn for_stain(mut self, stain: Stain) -> Self {
        self.manifest.file.retain(|file| file.stains.is_empty() || file.stains.contains(&stain));
        self
    }

    /// `name@hash12` of the first network file: what messages give.
    pub fn label(&self) -> String {
        let hash = self.manifest.file.first().map_or("", |file| file.sha256.as_str());
        format!("{}@{}", self.manifest.name, &hash[..hash.len().min(12)])
    }

    /// The entry of the first of the `wanted` precisions that the folder has.
    ///
    /// # Errors
    /// When it has none of them.
    pub fn file(&self, wanted: &[Precision]) -> Result<&FileEntry, ModelError> {
        wanted.iter().find_map(|p| self.manifest.file.iter().find(|file| file.precision == *p)).ok_or_else(|| {
            let found: Vec<String> = self.manifest.file.iter().map(|file| file.precision.to_string()).collect();
            ModelError::NoPrecision {
                model: self.manifest.name.clone(),
                wanted: wanted.to_vec(),
                found: if found.is_empty() { "no precision".to_owned() } else { found.join(", ") },
            }
        })
    }

    /// Path of a file that the manifest names.
    pub fn path_of(&self, file: &FileEntry) -> PathBuf {
        self.path.join(&file.path)
    }

    /// Checks that a file is there and has the hash that the manifest gives.
    ///
    /// # Errors
    /// When it is missing or its hash differs.
    pub fn verify(&self, file: &FileEntry) -> Result<(), ModelError> {
        let path = self.path_of(file);
        let found =
            sha256_of(&path).map_err(|error| ModelError::Missing { path: path.clone(), reason: error.to_string() })?;
        if found == file.sha256.to_ascii_lowercase() {
            Ok(())
        } else {
            Err(ModelError::WrongHash { path, expected: file.sha256.clone(), found })
        }
    }
}

/// SHA-256 of a file, in lower-case hexadecimal.
///
/// # Errors
/// When the file cannot be read.
pub fn sha256_of(path: &Path) -> std::io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut chunk)?;
        if n == 0 {
            break;
        }
        hash.update(&chunk[..n]);
    }
    Ok(hex(hash.finalize()))
}

/// The folders in which models are sought, in order.
#[derive(Debug, Clone, Default)]
pub struct ModelLibrary {
    roots: Vec<PathBuf>,
}

impl ModelLibrary {
    /// A library of exactly these folders.
    pub fn of(roots: Vec<PathBuf>) -> Self {
        Self { roots }
    }

    /// The search path: `--models`, else `$METAPHASED_MODELS`, else (each that exists) beside the configuration file,
    /// `<exe>/../share/metaphased/models`, and the source tree that the binary was built from. A folder that is named
    /// explicitly stands alone.
    pub fn find(flag: Option<&Path>, config_file: Option<&Path>) -> Self {
        if let Some(folder) = flag {
            return Self::of(vec![folder.to_owned()]);
        }
        if let Some(folder) = std::env::var_os("METAPHASED_MODELS").filter(|value| !value.is_empty()) {
            return Self::of(vec![PathBuf::from(folder)]);
        }
        let mut roots = Vec::new();
        if let Some(folder) = config_file.and_then(Path::parent) {
            roots.push(folder.join("models"));
        }
        if let Some(folder) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
            roots.push(folder.join("../share/metaphased/models"));
        }
        roots.extend(Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(|tree| tree.join("models")));
        Self::of(roots)
    }

    /// The folders, in order, whether they exist or not.
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// Every model folder, sorted by name within a root; a name found earlier hides later ones. Folders whose manifest
    /// is wrong come back as their error.
    pub fn all(&self) -> Vec<Result<ModelFolder, ModelError>> {
        let mut seen = std::collections::BTreeSet::new();
        let mut models = Vec::new();
        for root in &self.roots {
            let Ok(entries) = fs::read_dir(root) else { continue };
            let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            folders.retain(|folder| folder.join("model.toml").is_file());
            folders.sort();
            for folder in folders {
                let model = ModelFolder::open(&folder);
                let name = model.as_ref().map_or_else(|_| folder.display().to_string(), |m| m.name().to_owned());
                if seen.insert(name) {
                    models.push(model);
                }
            }
        }
        models
    }

    /// The model of that name (its manifest's, or its folder's).
    ///
    /// # Errors
    /// When no root holds it, or its manifest is wrong.
    pub fn named(&self, name: &str) -> Result<ModelFolder, ModelError> {
        for root in &self.roots {
            let folder = root.join(name);
            if folder.join("model.toml").is_file() {
                return ModelFolder::open(&folder);
            }
        }
        self.all()
            .into_iter()
            .flatten()
            .find(|model| model.name() == name)
            .ok_or_else(|| ModelError::NotFound { name: name.to_owned(), searched: self.roots.clone() })
    }

    /// The first model that does `task` for `stain` on chromosomes seen as `view`.
    ///
    /// # Errors
    /// When there is none. A folder with a wrong manifest is passed over only when another serves; else it is the error.
    pub fn serving(&self, task: Task, stain: Stain, view: View) -> Result<ModelFolder, ModelError> {
        let mut wrong = None;
        for model in self.all() {
            match model {
                Ok(model) => {
                    let input = &model.manifest.input;
                    if model.manifest.task == task && input.view() == view && input.stains.contains(&stain) {
                        return Ok(model);
                    }
                }
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        Err(wrong.unwrap_or_else(|| ModelError::NoneForStain {
            task: task.to_string(),
            stain: stain.name().to_owned(),
            searched: self.roots.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::manifest::tests::DETECTOR;

    fn folder_with(bytes: &[u8], manifest: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("model.onnx"), bytes).unwrap();
        fs::write(folder.path().join("model.toml"), manifest).unwrap();
        folder
    }

    #[test]
    fn a_file_runs_on_the_stains_it_was_measured_on_alone() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/detector-metaphase");
        let mut model = ModelFolder::open(&shipped).unwrap();
        model.manifest.input.stains = vec![Stain::GBand, Stain::Giemsa, Stain::Dapi, Stain::QBand];
        let taken = |stain| {
            let wanted = [Precision::Int8, Precision::F32];
            model.clone().for_stain(stain).file(&wanted).unwrap().precision
        };
        assert_eq!(taken(Stain::GBand), Precision::Int8);
        assert_eq!([Stain::Giemsa, Stain::Dapi, Stain::QBand].map(taken), [Precision::F32; 3]);
        assert_eq!(model.clone().for_stain(Stain::Giemsa).label(), model.label());

        let text = fs::read_to_string(shipped.join("model.toml")).unwrap();
        let refused = |from: &str, to: &str| Manifest::parse(&text.replacen(from, to, 1)).unwrap_err();
        let fewer = refused("stains = [\"g-band\"]\nbackground", "stains = [\"giemsa\"]\nbackground");
        assert!(fewer.contains("[[file]] stains: expected stains of [input] stains, found 'g-band'"), "{fewer}");
        let first = refused("opset = 17", "opset = 17\nstains = [\"g-band\"]");
        assert!(first.contains("[[file]] stains: expected none for the first file"), "{first}");
    }

    #[test]
    fn an_altered_network_is_refused_with_both_hashes() {
        let folder = folder_with(b"not the network", DETECTOR);
        let model = ModelFolder::open(folder.path()).unwrap();
        let error = model.verify(&model.manifest.file[0]).unwrap_err();
        let ModelError::WrongHash { expected, found, .. } = &error else { panic!("{error}") };
        assert_eq!(expected, &"0".repeat(64));
        assert_eq!(found, &sha256_of(&folder.path().join("model.onnx")).unwrap());
        assert!(error.to_string().contains("copy it again"), "{error}");
    }

    #[test]
    fn a_missing_network_is_named() {
        let folder = folder_with(b"", DETECTOR);
        fs::remove_file(folder.path().join("model.onnx")).unwrap();
        let model = ModelFolder::open(folder.path()).unwrap();
        let error = model.verify(&model.manifest.file[0]).unwrap_err();
        assert!(matches!(&error, ModelError::Missing { path, .. } if path.ends_with("model.onnx")), "{error}");
    }

    #[test]
    fn a_library_finds_by_name_and_by_stain_and_says_where_it_looked() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("tiny");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("model.toml"), DETECTOR).unwrap();
        let library = ModelLibrary::of(vec![root.path().join("nowhere"), root.path().to_owned()]);
        assert_eq!(library.named("tiny").unwrap().name(), "tiny-detector");
        assert_eq!(library.named("tiny-detector").unwrap().name(), "tiny-detector");
        assert_eq!(library.serving(Task::Detector, Stain::GBand, View::Field).unwrap().name(), "tiny-detector");
        let error = library.serving(Task::Classifier, Stain::GBand, View::Field).unwrap_err().to_string();
        assert!(error.contains("classifier") && error.contains("nowhere"), "{error}");
        assert!(matches!(library.named("other"), Err(ModelError::NotFound { .. })));
    }

    #[test]
    fn a_hash_is_that_of_the_standard() {
        let folder = folder_with(b"abc", DETECTOR);
        assert_eq!(
            sha256_of(&folder.path().join("model.onnx")).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
