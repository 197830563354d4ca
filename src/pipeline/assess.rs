//! The triage of recognition as the pipeline's stage asks for it.

use std::sync::{Arc, PoisonError, RwLock};

use super::stages::triage::{Assess, Assessment};
use crate::{config::TriageConfig, station::RejectReason};
use domain::{
    Stain,
    frame::{Frame, PixelView},
};
use imaging::{GrayImage, GrayView, Polarity};
use recognition::{Region, Regions, Triage, TriageOptions, TriageVerdict};

/// The thresholds of triage in force. Cloning shares them; they may change while frames come.
#[derive(Debug, Clone)]
pub struct Thresholds(Arc<RwLock<TriageConfig>>);

impl Thresholds {
    /// Those of the configuration.
    pub fn new(config: &TriageConfig) -> Self {
        Self(Arc::new(RwLock::new(config.clone())))
    }

    /// Others from now on; the window of select stays.
    pub fn set(&self, config: &TriageConfig) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clone_from(config);
    }
}

/// Triage of one source's frames.
pub struct FrameTriage {
    triage: Triage,
    thresholds: Thresholds,
    polarity: Polarity,
    /// Frames are of a search objective.
    search: bool,
    /// Grey levels of frames that are not 8-bit grey themselves.
    grey: GrayImage,
}

impl FrameTriage {
    /// With the configured thresholds, for slides of that stain.
    pub fn new(config: &TriageConfig, stain: Stain) -> Self {
        Self::with(Thresholds::new(config), stain)
    }

    /// With thresholds that may change, for slides of that stain.
    pub fn with(thresholds: Thresholds, stain: Stain) -> Self {
        let polarity = if stain.is_fluorescence() { Polarity::BrightOnDark } else { Polarity::DarkOnBright };
        Self { triage: Triage::default(), thresholds, polarity, search: false, grey: GrayImage::default() }
    }

    /// The same for frames of a search objective, where `search`.
    pub fn searching(self, search: bool) -> Self {
        Self { search, ..self }
    }

    fn options(&self) -> TriageOptions {
        let config = self.thresholds.0.read().unwrap_or_else(PoisonError::into_inner);
        TriageOptions {
            metaphase: config.metaphase,
            focus: config.focus,
            spread: config.spread,
            polarity: self.polarity,
            ..TriageOptions::default()
        }
    }
}

impl Assess for FrameTriage {
    fn assess(&mut self, frame: &Frame, regions: &mut Regions) -> Assessment {
        let um_per_px = frame.info.um_per_px.filter(|_| self.search).map(|um| um as f32);
        let options = TriageOptions { um_per_px, ..self.options() };
        let pixels = &frame.pixels;
        let view = match pixels.view() {
            PixelView::Mono8(samples) => GrayView::new(samples, pixels.width(), pixels.height()),
            _ => {
                self.grey.read_frame(pixels);
                self.grey.view()
            }
        };
        let view = match view {
            Ok(view) => view,
            Err(error) => {
                let refused = Some((RejectReason::Unsupported, error.to_string().into()));
                return Assessment { refused, ..Assessment::default() };
            }
        };
        let seen = self.triage.assess(view, &options);
        regions.extend(seen.spreads.iter().map(|s| Region {
            bounds: s.bounds,
            quality: s.quality,
            thickness_px: Some(s.features.thickness),
            edge: s.edge,
        }));
        let reason = match seen.verdict {
            TriageVerdict::Metaphase => None,
            TriageVerdict::Empty => Some(RejectReason::Empty),
            TriageVerdict::NoMetaphase => Some(RejectReason::NoMetaphase),
            TriageVerdict::OutOfFocus => Some(RejectReason::OutOfFocus),
            TriageVerdict::PoorSpread => Some(RejectReason::PoorSpread),
            TriageVerdict::Overexposed => Some(RejectReason::Overexposed),
            TriageVerdict::Underexposed => Some(RejectReason::Underexposed),
            TriageVerdict::Unusable => Some(RejectReason::Unsupported),
        };
        Assessment { quality: seen.quality, refused: reason.map(|reason| (reason, seen.verdict.words().into())) }
    }
}
