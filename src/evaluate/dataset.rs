//! Annotated data sets: what they hold, and how their layout is recognised.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::camera::files::is_image_name;
use domain::{BoundingBox, ChromosomeClass, ErrorKind, HasKind};

use super::readers;

/// How a data set is laid out on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `annotations.csv` (image, class, xmin, ymin, xmax, ymax) and `images/`.
    Csv,
    /// `index.csv` and the sheets it names: single chromosomes.
    Sheets,
    /// `cells/*_class.png` and `*_dapi.png`: class maps.
    Mfish,
    /// Pascal VOC XML and images.
    Voc,
    /// YOLO text and images.
    Yolo,
    /// Folders of images of single chromosomes.
    Folders,
    /// `objects.csv` (file, case, kind): crops of single chromosomes and of clusters.
    Objects,
    /// `windows.csv` (file, x, y, width, height, label, group): windows of fields with what a person saw in them.
    Windows,
    /// `truth.jsonl` and `masks/`: what `simulate` writes.
    Masks,
}

impl Layout {
    /// All layouts, in the order in which they are tried.
    pub const ALL: [Self; 9] = [
        Self::Csv,
        Self::Sheets,
        Self::Objects,
        Self::Windows,
        Self::Mfish,
        Self::Voc,
        Self::Yolo,
        Self::Masks,
        Self::Folders,
    ];

    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Sheets => "sheets",
            Self::Mfish => "mfish",
            Self::Voc => "voc",
            Self::Yolo => "yolo",
            Self::Folders => "folders",
            Self::Objects => "objects",
            Self::Windows => "windows",
            Self::Masks => "masks",
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|layout| layout.name() == text)
            .ok_or_else(|| format!("invalid layout '{text}': expected one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// A box that a person drew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TruthBox {
    /// Where, in pixels of the image, clipped to it.
    #[serde(rename = "box")]
    pub bounds: BoundingBox,
    /// The class; none where the set names none.
    pub class: Option<ChromosomeClass>,
}

/// Whether two classes lie on one box: a fault of the annotation.
pub fn has_doubled_box(truth: &[TruthBox]) -> bool {
    truth.iter().enumerate().any(|(i, a)| truth[..i].iter().any(|b| a.bounds.iou(&b.bounds) > 0.95))
}

/// A field with the boxes of one cell (or of all its cells).
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Name within the set.
    pub name: String,
    /// The image.
    pub path: PathBuf,
    /// Person (or the nearest thing the set knows): what intervals are drawn over.
    pub patient: String,
    /// Its boxes.
    pub truth: Vec<TruthBox>,
}

/// Where the pixels of a single chromosome are.
#[derive(Debug, Clone, PartialEq)]
pub struct SingleChromosome {
    /// The image, or the sheet that it lies on.
    pub path: PathBuf,
    /// Its place on the sheet `[x, y, width, height]`; none: the whole image.
    pub place: Option<[usize; 4]>,
    /// Its class.
    pub class: ChromosomeClass,
}

/// The single chromosomes of one cell.
#[derive(Debug, Clone, PartialEq)]
pub struct SingleCell {
    /// Name within the set.
    pub name: String,
    /// Person, or the cell where the set names no person.
    pub patient: String,
    /// Its chromosomes.
    pub chromosomes: Vec<SingleChromosome>,
}

/// A picture, or a window of one, with one word for what a person saw in it.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledPicture {
    /// Name within the set.
    pub name: String,
    /// The image.
    pub path: PathBuf,
    /// The window `[x, y, width, height]`; none: the whole image.
    pub place: Option<[usize; 4]>,
    /// Case or slide: what intervals are drawn over.
    pub group: String,
    /// `single` or `cluster`; `metaphase`, `none` or `partial`.
    pub label: String,
}

/// What a set holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Pictures with a word each.
    Labelled(Vec<LabelledPicture>),
    /// Fields with boxes.
    Fields(Vec<Field>),
    /// Cut-out chromosomes.
    Singles(Vec<SingleCell>),
}

/// An annotation or image that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// File, with line where there is one.
    pub item: String,
    /// Why, and what was done.
    pub reason: String,
}

/// A data set that has been read; pixels are read as they are needed.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSet {
    /// The folder.
    pub path: PathBuf,
    /// How it is laid out.
    pub layout: Layout,
    /// What it holds.
    pub content: Content,
    /// What was left out.
    pub skipped: Vec<Skipped>,
    /// Rows of `cells.csv` by image or cell: patients and truth about whole cells.
    pub cells: HashMap<String, BTreeMap<String, String>>,
}

impl HasKind for DataError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::UnknownLayout(_) | Self::Table { .. } | Self::WrongContent { .. } | Self::Empty { .. } => {
                ErrorKind::BadData
            }
        }
    }
}

/// A data set that cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// No such folder.
    #[error("no folder {0}: give the folder of a data set")]
    NotFound(PathBuf),
    /// No layout fits.
    #[error(
        "{0} has none of the known layouts (annotations.csv + images/; index.csv + sheets; objects.csv; windows.csv; \
         cells/*_class.png + *_dapi.png; VOC XML; YOLO text; truth.jsonl + masks/; folders of single chromosomes): name one with --layout"
    )]
    UnknownLayout(PathBuf),
    /// A table cannot be read.
    #[error("{path}: {reason}")]
    Table {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The set holds other things than the task needs.
    #[error("{path} ({layout}) holds {found}, the task needs {needed}")]
    WrongContent {
        /// The folder.
        path: PathBuf,
        /// Its layout.
        layout: &'static str,
        /// What is there.
        found: &'static str,
        /// What is needed.
        needed: &'static str,
    },
    /// Nothing is left to measure.
    #[error("{path} ({layout}) has nothing to measure: {skipped} items were left out{first}")]
    Empty {
        /// The folder.
        path: PathBuf,
        /// Its layout.
        layout: &'static str,
        /// How many were left out.
        skipped: usize,
        /// The first of them, in words.
        first: String,
    },
}

impl DataSet {
    /// Reads the annotations of a folder; its top level shows the layout, unless one is given.
    ///
    /// # Errors
    /// When the folder is missing, no layout fits, or its main table cannot be read. Single bad annotations are no
    /// errors: they are listed in `skipped`.
    pub fn open(path: &Path, layout: Option<Layout>) -> Result<Self, DataError> {
        if !path.is_dir() {
            return Err(DataError::NotFound(path.to_owned()));
        }
        let layout = layout.or_else(|| detect(path)).ok_or_else(|| DataError::UnknownLayout(path.to_owned()))?;
        let mut cells = readers::cell_table(path)?;
        let mut skipped = Vec::new();
        let content = match layout {
            Layout::Csv => Content::Fields(readers::boxes::csv(path, &cells, &mut skipped)?),
            Layout::Voc => Content::Fields(readers::boxes::voc(path, &cells, &mut skipped)),
            Layout::Yolo => Content::Fields(readers::boxes::yolo(path, &cells, &mut skipped)),
            Layout::Masks => Content::Fields(readers::masks::read(path, &mut cells, &mut skipped)?),
            Layout::Mfish => Content::Fields(readers::mfish::read(path, &cells, &mut skipped)),
            Layout::Sheets => Content::Singles(readers::singles::sheets(path, &cells, &mut skipped)?),
            Layout::Folders => Content::Singles(readers::singles::folders(path, &cells, &mut skipped)),
            Layout::Objects => Content::Labelled(readers::labelled::objects(path, &mut skipped)?),
            Layout::Windows => Content::Labelled(readers::labelled::windows(path, &mut skipped)?),
        };
        Ok(Self { path: path.to_owned(), layout, content, skipped, cells })
    }

    /// Keeps only the named fields or cells (with or without their file's ending).
    pub fn keep(&mut self, names: &BTreeSet<String>) {
        self.retain(|name| is_named(name, names));
    }

    /// Leaves the named fields or cells out.
    pub fn leave_out(&mut self, names: &BTreeSet<String>) {
        self.retain(|name| !is_named(name, names));
    }

    fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        match &mut self.content {
            Content::Fields(fields) => fields.retain(|field| wanted(&field.name)),
            Content::Singles(cells) => cells.retain(|cell| wanted(&cell.name)),
            Content::Labelled(pictures) => pictures.retain(|picture| wanted(&picture.name)),
        }
    }

    /// Keeps the first `n` fields or cells.
    pub fn truncate(&mut self, n: usize) {
        match &mut self.content {
            Content::Fields(fields) => fields.truncate(n),
            Content::Singles(cells) => cells.truncate(n),
            Content::Labelled(pictures) => pictures.truncate(n),
        }
    }

    /// The fields.
    ///
    /// # Errors
    /// When the set holds single chromosomes, or nothing.
    pub fn fields(&self) -> Result<&[Field], DataError> {
        match &self.content {
            Content::Fields(fields) if !fields.is_empty() => Ok(fields),
            Content::Fields(_) => Err(self.empty()),
            Content::Singles(_) | Content::Labelled(_) => Err(self.wrong("fields with boxes")),
        }
    }

    /// The labelled pictures.
    ///
    /// # Errors
    /// When the set holds something else, or nothing.
    pub fn labelled(&self) -> Result<&[LabelledPicture], DataError> {
        match &self.content {
            Content::Labelled(pictures) if !pictures.is_empty() => Ok(pictures),
            Content::Labelled(_) => Err(self.empty()),
            _ => Err(self.wrong("pictures with a label each")),
        }
    }

    /// The error for a set that holds other things than the task needs.
    pub fn wrong(&self, needed: &'static str) -> DataError {
        let found = match self.content {
            Content::Fields(_) => "fields with boxes",
            Content::Singles(_) => "single chromosomes",
            Content::Labelled(_) => "pictures with a label each",
        };
        DataError::WrongContent { path: self.path.clone(), layout: self.layout.name(), found, needed }
    }

    /// The error for a set of which nothing is left.
    pub fn empty(&self) -> DataError {
        let first = self.skipped.first().map_or(String::new(), |s| format!(", the first: {}: {}", s.item, s.reason));
        DataError::Empty { path: self.path.clone(), layout: self.layout.name(), skipped: self.skipped.len(), first }
    }

    /// Fields or cells.
    pub fn len(&self) -> usize {
        match &self.content {
            Content::Fields(fields) => fields.len(),
            Content::Singles(cells) => cells.len(),
            Content::Labelled(pictures) => pictures.len(),
        }
    }

    /// True when nothing can be measured.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Different persons.
    pub fn patients(&self) -> usize {
        let names: BTreeSet<&str> = match &self.content {
            Content::Fields(fields) => fields.iter().map(|field| field.patient.as_str()).collect(),
            Content::Singles(cells) => cells.iter().map(|cell| cell.patient.as_str()).collect(),
            Content::Labelled(pictures) => pictures.iter().map(|picture| picture.group.as_str()).collect(),
        };
        names.len()
    }
}

/// Whether names hold this one, with or without its file's ending.
fn is_named(name: &str, names: &BTreeSet<String>) -> bool {
    names.contains(name) || Path::new(name).file_stem().is_some_and(|stem| names.contains(&*stem.to_string_lossy()))
}

/// The layout, by what lies at the top of the folder; first match wins.
fn detect(path: &Path) -> Option<Layout> {
    if path.join("annotations.csv").is_file() && path.join("images").is_dir() {
        return Some(Layout::Csv);
    }
    if path.join("index.csv").is_file() {
        return Some(Layout::Sheets);
    }
    if path.join("objects.csv").is_file() {
        return Some(Layout::Objects);
    }
    if path.join("windows.csv").is_file() {
        return Some(Layout::Windows);
    }
    let names = |folder: &Path| -> Vec<String> {
        fs::read_dir(folder)
            .map(|entries| entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
            .unwrap_or_default()
    };
    let cells = names(&path.join("cells"));
    if cells.iter().any(|n| n.ends_with("_class.png")) && cells.iter().any(|n| n.ends_with("_dapi.png")) {
        return Some(Layout::Mfish);
    }
    if readers::boxes::find_files(path, "xml").next().is_some() {
        return Some(Layout::Voc);
    }
    if readers::boxes::yolo_pairs(path).next().is_some() {
        return Some(Layout::Yolo);
    }
    if readers::masks::is_here(path) {
        return Some(Layout::Masks);
    }
    let singles = names(path)
        .iter()
        .map(|name| path.join(name))
        .filter(|inner| inner.is_dir())
        .any(|inner| names(&inner).iter().any(|name| is_image_name(Path::new(name))));
    singles.then_some(Layout::Folders)
}
