//! A source whose frames have the measured light divided out.

use std::{path::Path, sync::Arc};

use super::{BadFrame, Buffers, Capture, Missed, Source, SourceError, files};
use crate::station::RejectReason;
use domain::frame::PixelView;
use imaging::{FlatField, ImagingError};

/// Reads what `metaphased flat-field` wrote.
///
/// # Errors
/// In words, when the file is not there or holds no 16-bit grey picture.
pub fn load_flat_field(path: &Path) -> Result<FlatField, SourceError> {
    let wrong = |what: String| SourceError::NotFound(format!("flat field {}: {what}", path.display()));
    let page = files::read_image(path).map_err(|error| wrong(error.to_string()))?;
    match page.pixels.view() {
        PixelView::Mono16(levels) => FlatField::from_levels(levels.to_vec(), page.pixels.width(), page.pixels.height())
            .map_err(|error| wrong(error.to_string())),
        _ => Err(wrong("expected 16-bit grey, as `metaphased flat-field` writes it".into())),
    }
}

/// Divides the light out of every frame of a source.
pub struct FlatFielded {
    source: Box<dyn Source>,
    flat: Arc<FlatField>,
}

impl FlatFielded {
    /// The source seen in even light.
    pub fn new(source: Box<dyn Source>, flat: Arc<FlatField>) -> Self {
        Self { source, flat }
    }
}

impl Source for FlatFielded {
    fn next(&mut self, buffers: &Buffers) -> Result<Capture, SourceError> {
        let mut frame = match self.source.next(buffers)? {
            Capture::Frame(frame) => frame,
            other => return Ok(other),
        };
        match self.flat.correct(&mut frame.pixels) {
            Ok(()) => Ok(Capture::Frame(frame)),
            Err(error) => Ok(Capture::Bad(BadFrame::of(frame, RejectReason::Unsupported, differs(&error)))),
        }
    }

    fn replays(&self) -> bool {
        self.source.replays()
    }

    fn missed(&mut self) -> Missed {
        self.source.missed()
    }

    fn device(&self) -> Option<String> {
        self.source.device()
    }

    fn trouble(&self) -> Option<String> {
        self.source.trouble()
    }
}

/// Why a frame and the flat field do not go together, and what to do.
pub fn differs(error: &ImagingError) -> String {
    format!("the flat field does not fit this frame: {error}; record one at this size with `metaphased flat-field`")
}
