//! The daemon's stages, one after the other, on one picture.

use std::sync::Arc;

use crate::{
    camera::{
        MeasuredDepth,
        files::{FileError, ImageFile},
        flat_field_differs,
    },
    cli::{Exit, Failure},
    config::Config,
    interpretation::{InterpretationSettings, Labels, interpret, new_id},
    pipeline::{
        FrameTriage,
        stages::{interpret::InterpretSettings, triage::Assess},
    },
    station::RejectReason,
};
use domain::{
    Assay, Cell, Stain,
    frame::{Bayer, Frame, FrameId, FrameInfo, PixelBuffer},
};
use imaging::{Demosaic, FlatField};
use recognition::{
    ComposedRecognizer, Provenance, Recognition, Recognizer, Region, Regions,
    inference::{ChosenEngine, ModelLibrary},
};

/// How pictures are read and looked at.
#[derive(Debug, Clone)]
pub struct AnalyzerOptions {
    /// What is scored.
    pub assay: Assay,
    /// Stain of the slides.
    pub stain: Stain,
    /// Pixel size in micrometres of files that do not state it.
    pub um_per_px: Option<f64>,
    /// The filter that raw samples lie behind.
    pub bayer: Option<Bayer>,
    /// Every picture is one region, whatever triage thinks of it.
    pub whole_frames: bool,
    /// What the records say besides.
    pub labels: Labels,
}

/// Why a picture gave no cell.
#[derive(Debug)]
pub struct NoCell {
    /// Stable reason.
    pub reason: RejectReason,
    /// In words.
    pub text: String,
}

impl NoCell {
    fn new(reason: RejectReason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }
}

impl From<FileError> for NoCell {
    fn from(error: FileError) -> Self {
        Self::new(error.reason(), error.to_string())
    }
}

/// Takes pictures from files to cells; keeps its buffers.
pub struct FrameAnalyzer {
    options: AnalyzerOptions,
    triage: FrameTriage,
    recognizer: ComposedRecognizer,
    interpretation: InterpretationSettings,
    demosaic: Demosaic,
    flat: Option<Arc<FlatField>>,
    depth: MeasuredDepth,
}

impl FrameAnalyzer {
    /// The stages as configured, with networks of `library` on `engine`.
    ///
    /// # Errors
    /// When a model is not available.
    pub fn open(
        config: &Config,
        library: &ModelLibrary,
        engine: &ChosenEngine,
        flat: Option<Arc<FlatField>>,
        options: AnalyzerOptions,
    ) -> Result<Self, Failure> {
        let recognition = Recognition {
            classes_unused: options.assay == Assay::Dicentric,
            ..Recognition::configured(&config.inference, options.stain)
        };
        let recognizer =
            ComposedRecognizer::open(&recognition, library, engine).map_err(|e| Failure::new(Exit::Unavailable, e))?;
        let configured = InterpretSettings::from_config(config).interpretation;
        Ok(Self {
            triage: FrameTriage::new(&config.triage, options.stain),
            recognizer,
            interpretation: InterpretationSettings { assay: options.assay, threads: 1, ..configured },
            demosaic: Demosaic::default(),
            flat,
            depth: MeasuredDepth::default(),
            options,
        })
    }

    /// What recognition rests on.
    pub fn provenance(&self) -> &Provenance {
        self.recognizer.provenance()
    }

    /// Reads a page of a file as a frame: grey behind a colour filter, in even light. `name` is what the record calls it.
    /// A depth that the file does not declare is measured from its first page on, whatever other files hold. The frame has no number
    /// yet: files are read side by side.
    ///
    /// # Errors
    /// When the page cannot be read, or filter or flat field do not fit it.
    pub fn frame(&mut self, file: &mut ImageFile, page: usize, name: &str) -> Result<Frame, NoCell> {
        if page == 0 {
            self.depth = MeasuredDepth::default();
        }
        let mut page = file.read(page, |bytes| Some(PixelBuffer::unpooled(bytes)))?;
        if let Some(raised) = self.depth.apply(&mut page) {
            tracing::warn!(
                file = name,
                from = raised.from,
                to = raised.to,
                "a page has deeper samples than those before"
            );
        }
        if let Some(pattern) = self.options.bayer {
            self.demosaic
                .luminance(&mut page.pixels, pattern)
                .map_err(|error| NoCell::new(RejectReason::Unsupported, error.to_string()))?;
        }
        if let Some(flat) = &self.flat {
            flat.correct(&mut page.pixels)
                .map_err(|error| NoCell::new(RejectReason::Unsupported, flat_field_differs(&error)))?;
        }
        let info = FrameInfo {
            stage_um: page.facts.stage_um,
            um_per_px: page.facts.um_per_px.or(self.options.um_per_px),
            file: Some(name.into()),
            ..FrameInfo::new("analyze".into(), FrameId(0))
        };
        Ok(Frame { info, pixels: page.pixels })
    }

    /// The cells of a frame, at least one.
    ///
    /// # Errors
    /// When triage rejects the frame, the engine fails, or no chromosome is found.
    pub fn cells(&mut self, frame: &Frame) -> Result<Vec<Cell>, NoCell> {
        let mut regions = Regions::new();
        let assessment = self.triage.assess(frame, &mut regions);
        if self.options.whole_frames {
            regions.clear();
            regions.push(Region {
                quality: assessment.quality,
                ..Region::whole(frame.pixels.width(), frame.pixels.height())
            });
        } else if let Some((reason, text)) = assessment.refused {
            return Err(NoCell::new(reason, text));
        }
        let recognised = self
            .recognizer
            .recognise(frame, &regions)
            .map_err(|error| NoCell::new(RejectReason::EngineFailed, error.to_string()))?;
        let provenance = self.recognizer.provenance();
        let cells: Vec<Cell> = recognised
            .iter()
            .filter(|one| one.accepted().next().is_some())
            .map(|one| {
                let id = new_id(frame.info.time);
                interpret(frame, one, provenance, &self.options.labels, &self.interpretation, id)
            })
            .collect();
        if cells.is_empty() {
            let text = "no chromosome was found where triage saw a cell";
            return Err(NoCell::new(RejectReason::NoChromosomes, text));
        }
        Ok(cells)
    }
}
