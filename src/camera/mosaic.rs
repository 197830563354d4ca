//! A source whose frames are raw samples behind a Bayer filter.

use super::{BadFrame, Buffers, Capture, Missed, Source, SourceError};
use crate::station::RejectReason;
use domain::frame::Bayer;
use imaging::Demosaic;

/// Puts the luminance in the place of every frame's raw samples.
pub struct Demosaiced {
    source: Box<dyn Source>,
    pattern: Bayer,
    demosaic: Demosaic,
}

impl Demosaiced {
    /// The source seen without its filter.
    pub fn new(source: Box<dyn Source>, pattern: Bayer) -> Self {
        Self { source, pattern, demosaic: Demosaic::default() }
    }
}

impl Source for Demosaiced {
    fn next(&mut self, buffers: &Buffers) -> Result<Capture, SourceError> {
        let mut frame = match self.source.next(buffers)? {
            Capture::Frame(frame) => frame,
            other => return Ok(other),
        };
        match self.demosaic.luminance(&mut frame.pixels, self.pattern) {
            Ok(()) => Ok(Capture::Frame(frame)),
            Err(error) => Ok(Capture::Bad(BadFrame::of(frame, RejectReason::Unsupported, error.to_string()))),
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
