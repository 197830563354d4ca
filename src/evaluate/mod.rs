//! Honest figures: annotated cells through the daemon's own stages, measured, with intervals over patients.
//!
//! A [`DataSet`] is read in any of the published layouts; a task runs the stages on it and writes a [`Report`]. A new
//! task is a function of the type [`Run`] in its own file and a line in [`TASKS`].

mod centromeres;
mod classifier;
mod dataset;
mod dicentric;
mod edit;
mod fields;
pub mod karyotype;
mod metrics;
mod outlines;
mod readers;
mod report;
mod segmentation;
mod triage;

pub use dataset::{
    Content, DataError, DataSet, Field, LabelledPicture, Layout, SingleCell, SingleChromosome, Skipped, TruthBox,
    has_doubled_box,
};
pub use edit::{AppliedEdit, Edit};
pub use metrics::{
    Answer, AveragePrecision, Averages, Bootstrap, ClassFigures, Confusion, Figure, calibration_error, macro_f1,
    match_greedily, match_perfectly, roc_auc,
};
pub use readers::masks::is_here as has_masks;
pub use report::{Figures, Report};

use ::karyotype::FittedSettings;
use domain::{
    ErrorKind, HasKind, Stain,
    frame::{Frame, FrameInfo},
};
use dosimetry::dicentric::ScorerSettings;
use imaging::{GrayImage, Rect, crop};
use recognition::{
    RecognitionError,
    inference::{ChosenEngine, EngineError, ModelError, ModelLibrary, Precision},
};

/// What a task works with.
pub struct Setup<'a> {
    /// The annotated cells.
    pub data: &'a DataSet,
    /// Where models are.
    pub library: &'a ModelLibrary,
    /// What runs them.
    pub engine: &'a ChosenEngine,
    /// Name of the model to measure; none: the one that the daemon would choose.
    pub model: Option<&'a str>,
    /// Number format; none: what the engine runs best.
    pub precision: Option<Precision>,
    /// Stain of the set; none: by its layout.
    pub stain: Option<Stain>,
    /// How cells are interpreted.
    pub karyotype: FittedSettings,
    /// How dicentrics are called, and which cells count.
    pub scorer: ScorerSettings,
    /// Least and greatest sum of centromeres of a complete cell.
    pub accepted_centromeres: [u32; 2],
    /// Cells to edit for the karyotype task.
    pub edited: Option<usize>,
    /// For the karyotype task: percentages to which the cells are cut; none: they are not.
    pub cut: &'a [u8],
    /// For the karyotype task: file that keeps what the networks gave; where it exists, it is read instead of running them.
    pub candidates: Option<&'a std::path::Path>,
    /// Folder for what a task writes beside its report.
    pub out: Option<&'a std::path::Path>,
    /// Called after each item: how many are done of how many.
    pub progress: &'a dyn Fn(usize, usize),
}

impl Setup<'_> {
    /// The stain, as given or as the layout implies.
    pub fn stain(&self) -> Stain {
        self.stain.unwrap_or(match self.data.layout {
            Layout::Mfish => Stain::Dapi,
            // One slide, one stain: each picture says it.
            Layout::Masks => {
                let mut said = self.data.cells.values().filter_map(|row| row.get("stain"));
                said.next().and_then(|name| Stain::ALL.iter().copied().find(|s| s.name() == name)).unwrap_or_default()
            }
            _ => Stain::GBand,
        })
    }
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The data cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Recognition failed.
    #[error(transparent)]
    Recognition(#[from] RecognitionError),
    /// No model for the task.
    #[error("{task} needs a model: {reason}")]
    NoModel {
        /// The task.
        task: &'static str,
        /// Why there is none.
        reason: String,
    },
    /// A file that a task keeps cannot be read or written.
    #[error("{path}: {reason}")]
    Candidates {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        reason: String,
    },
}

impl HasKind for EvaluateError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Data(error) => error.kind(),
            Self::Recognition(_) | Self::NoModel { .. } => ErrorKind::Unavailable,
            Self::Candidates { .. } => ErrorKind::Io,
        }
    }
}

impl From<EngineError> for EvaluateError {
    fn from(error: EngineError) -> Self {
        Self::Recognition(error.into())
    }
}

impl From<ModelError> for EvaluateError {
    fn from(error: ModelError) -> Self {
        Self::Recognition(error.into())
    }
}

/// A task: runs the stages over a set and measures them.
pub type Run = fn(&Setup<'_>) -> Result<Report, EvaluateError>;

/// Every task by name, with what it measures.
pub const TASKS: &[(&str, &str, Run)] = &[
    ("detector", "boxes, whatever their class", fields::detector),
    ("classifier", "classes of boxes or single chromosomes that a person cut", classifier::run),
    ("pipeline", "detect, classify and select together: a whole cell", fields::pipeline),
    ("segmentation", "masks, boxes and kinds by imaging alone, without networks", segmentation::run),
    ("outlines", "outlines of whole chromosomes, also where they touch or cross", outlines::run),
    ("centromeres", "places and numbers of centromeres, and the way up", centromeres::run),
    ("dicentric", "dicentrics, rings and fragments, piece by piece and cell by cell", dicentric::run),
    ("triage", "metaphase or not, on labelled windows", triage::run),
    ("karyotype", "findings and verdicts of whole cells, real or edited", karyotype::run),
];

/// A window `[x, y, width, height]` of an image file as a grey picture, cut to the image; none: all of it.
fn grey_of(path: &std::path::Path, place: Option<[usize; 4]>) -> Result<GrayImage, String> {
    let mut grey = GrayImage::default();
    grey.read_frame(&frame_of(path)?.pixels);
    let Some([x, y, width, height]) = place else { return Ok(grey) };
    let mut window = GrayImage::default();
    let view = grey.view().map_err(|error| error.to_string())?;
    if x >= view.width() || y >= view.height() {
        return Err(format!("a window at {x}, {y} lies outside the image of {} x {}", view.width(), view.height()));
    }
    crop(view, Rect { left: x, top: y, right: x + width, bottom: y + height }, &mut window);
    Ok(window)
}

/// An image file as a frame outside any source, with what the file says about its scale.
fn frame_of(path: &std::path::Path) -> Result<Frame, String> {
    let page = crate::camera::files::read_image(path).map_err(|error| error.to_string())?;
    let mut info = FrameInfo::of_tool("evaluate");
    info.um_per_px = page.facts.um_per_px;
    Ok(Frame { info, pixels: page.pixels })
}
