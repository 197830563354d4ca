//! Frames in, chromosomes with scores out.
//!
//! Data flow: [`Triage`] finds the regions of a frame that hold cells. Their window becomes a grey [`Plane`]; the
//! [`Detector`] finds chromosomes on it; suppression leaves one detection per chromosome; [`select_detections`] marks the
//! accepted ones; they are grouped into cells; the [`Classifier`] classifies those of a cell in one batch, and [`AnatomyNetwork`] draws
//! their outlines from the same crops; the probabilities of detector and classifier are joined, and a [`ContextNetwork`] judges the candidates
//! of the cell together. [`ComposedRecognizer`] does this with any engine of [`inference`]. Without a
//! detector, segmentation alone finds the objects, and the [`Provenance`] says so. [`choose`](fn@choose) then selects a
//! cell's chromosomes together with their classes.

mod anatomy;
mod choose;
mod classifier;
mod composed;
mod context;
mod crop;
mod decode;
mod detector;
mod grouping;
pub mod inference;
mod merge;
#[cfg(any(test, feature = "tensorrt"))]
mod on_device;
mod plane;
mod segmented;
mod select;
mod spreads;
mod triage;

use std::{collections::BTreeMap, time::Duration};

pub use anatomy::{AnatomyNetwork, DrawnChromosome};
pub use choose::{Chosen, choose, evidence, unselected};
pub use classifier::{Classification, Classifier, IMPOSSIBLE, Item, LogProbs, Refined, combine, median_diagonal};
pub use composed::{ComposedRecognizer, Recognition};
pub use context::ContextNetwork;
pub use decode::{ClassLogProbs, Detection, argmax, decode, log_softmax, suppress};
pub use detector::Detector;
pub use plane::Plane;
pub use segmented::Segmented;
pub use select::select_detections;
use smallvec::SmallVec;
pub use spreads::SpreadFeatures;
pub use triage::{Assessment, Spread, Triage, TriageOptions, TriageVerdict};

use crate::inference::{EngineError, ModelError};
use domain::{BoundingBox, ChromosomeClass, ErrorKind, FrameEdge, HasKind, Quality, Stain, Status, frame::Frame};

/// A part of a frame that holds one cell, by triage.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    /// Where in the frame.
    pub bounds: BoundingBox,
    /// Scores of triage.
    pub quality: Quality,
    /// Typical thickness of its chromosomes in pixels of the frame, as triage measures it; none where it has not looked.
    pub thickness_px: Option<f32>,
    /// How the cell lies at the edge of the frame, by triage.
    pub edge: FrameEdge,
}

impl Region {
    /// The whole of a frame, for pictures that are known to hold one cell.
    pub fn whole(width: usize, height: usize) -> Self {
        Self {
            bounds: BoundingBox::from_corners(0.0, 0.0, width as f32, height as f32),
            quality: Quality::default(),
            thickness_px: None,
            edge: FrameEdge::default(),
        }
    }
}

/// The cells of one frame. Up to two lie in the frame's own memory, so that triage allocates nothing for them.
pub type Regions = SmallVec<[Region; 2]>;

/// An object that may be a chromosome.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Where in the frame, in pixels.
    pub bounds: BoundingBox,
    /// The detector's score, 0 to 1.
    pub objectness: f32,
    /// The classifier's probability that this is one single chromosome, 0 to 1; 1 without a classifier.
    pub p_single: f32,
    /// The classifier's logit that the box, as it refined it, is a chromosome's; 0 where none refines.
    pub iou_logit: f32,
    /// The probability that this holds a chromosome, 0 to 1: judged in the context of the cell ([`Recognised::in_context`]), that it
    /// holds one of its own; else by score and classifier together, as far as no better candidate overlaps it.
    pub probability: f32,
    /// The detector by itself accepts it as a chromosome.
    pub accepted: bool,
    /// Natural logarithms of the probabilities of the 24 classes and, last, of being no single chromosome, joined over
    /// the networks; none where no network knows classes.
    pub log_probs: Option<LogProbs>,
    /// How it lies among its neighbours.
    pub status: Status,
    /// What the network of outlines draws of it, where there is one and the candidate is likely enough to be looked at.
    pub drawn: Option<DrawnChromosome>,
}

impl Candidate {
    /// The most likely class and its probability, where classes are known.
    pub fn class(&self) -> Option<(ChromosomeClass, f32)> {
        let log_probs = self.log_probs.as_ref()?;
        let best = argmax(&log_probs[..ChromosomeClass::COUNT]);
        Some((ChromosomeClass::from_index(best)?, log_probs[best].exp()))
    }
}

/// What was recognised in one region of a frame: one cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognised {
    /// The cell's region, widened to hold its chromosomes.
    pub region: BoundingBox,
    /// Scores of triage.
    pub quality: Quality,
    /// Every candidate after suppression, best first; the accepted ones are the detector's chromosomes, all of them
    /// serve the selection over the cell.
    pub candidates: Vec<Candidate>,
    /// How many of them, the best ones, reach the model's threshold for candidates; the rest only serve measurements.
    pub considered: usize,
    /// Whether the probabilities of the candidates were judged in the context of all of them, or one by one.
    pub in_context: bool,
    /// Width of a chromosome in pixels of the frame, where it could be estimated.
    pub chromosome_width_px: Option<f32>,
    /// Time by step: `prepare`, `detect`, `classify`, `context`, `outline`, `segment`. A frame's shared steps count for its first cell.
    pub timing: BTreeMap<&'static str, Duration>,
}

impl Recognised {
    /// The candidates that the detector by itself accepts as chromosomes.
    pub fn accepted(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().filter(|candidate| candidate.accepted)
    }
}

/// What recognition rests on: stated in every message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Stain of the cells, as configured.
    pub stain: Stain,
    /// `task: name@hash12` of the models; empty when segmentation alone runs.
    pub models: BTreeMap<String, String>,
    /// Engine: `cpu`, `onnxruntime`, ...; `segmentation` when no model was found.
    pub engine: String,
    /// Library, provider and threads, for people.
    pub library: String,
    /// What a person should know: no model found, a fallback, a stain that the model was not made for.
    pub notes: Vec<String>,
}

/// Why nothing could be recognised.
#[derive(Debug, thiserror::Error)]
pub enum RecognitionError {
    /// A model or the engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl HasKind for RecognitionError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Engine(error) => error.kind(),
        }
    }
}

impl From<ModelError> for RecognitionError {
    fn from(error: ModelError) -> Self {
        Self::Engine(error.into())
    }
}

/// Finds and classifies the chromosomes of a frame's cells.
pub trait Recognizer: Send {
    /// One entry for each of `regions`, in order; regions that turn out to hold one cell together are one. Results do not depend on
    /// other frames.
    ///
    /// # Errors
    /// When the engine fails; the frame may be tried again with another recognizer.
    fn recognise(&mut self, frame: &Frame, regions: &[Region]) -> Result<Vec<Recognised>, RecognitionError>;

    /// Whether frames must be sent to a device first, so that [`prefetch`](Self::prefetch) saves time.
    fn supports_prefetch(&self) -> bool {
        false
    }

    /// Takes the frame after the next one, where it is available: an engine with a device uploads it while it works on the
    /// next. Results do not depend on it. The caller keeps the frame.
    fn prefetch(&mut self, _frame: &Frame) {}

    /// What it rests on.
    fn provenance(&self) -> &Provenance;
}
