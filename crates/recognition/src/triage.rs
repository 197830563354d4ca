//! Is there a metaphase in a frame, is it in focus, is it spread: a few milliseconds on every frame.
//!
//! Triage works on a plane of about 700 pixels a side: dark objects of similar thickness that lie close together make a
//! spread. Two spreads in a field are two cells.

use std::fmt;

use domain::{BoundingBox, FrameEdge, Quality};
use imaging::{
    BACKGROUND, Components, EdgeWidths, Exposure, GrayImage, GrayView, Histogram, ImagingError, Outline, Polarity,
    PrepareOptions, Preparer, Rect, downscale, focus_score, sharpness,
};

use super::spreads::{Objects, SpreadFeatures, cut_objects};

/// What triage decides, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TriageVerdict {
    /// At least one spread is worth recognising.
    Metaphase,
    /// Nothing is there.
    #[default]
    Empty,
    /// Objects are there (nuclei, debris), but no metaphase.
    NoMetaphase,
    /// A metaphase is there, unsharp.
    OutOfFocus,
    /// A metaphase is there, its chromosomes in one heap.
    PoorSpread,
    /// The sensor is saturated.
    Overexposed,
    /// Too little light to see anything.
    Underexposed,
    /// The pixels cannot be used (empty, constant, too large).
    Unusable,
}

impl TriageVerdict {
    /// Stable label of metrics and messages.
    pub fn label(self) -> &'static str {
        match self {
            Self::Metaphase => "metaphase",
            Self::Empty => "empty",
            Self::NoMetaphase => "no_metaphase",
            Self::OutOfFocus => "out_of_focus",
            Self::PoorSpread => "poor_spread",
            Self::Overexposed => "overexposed",
            Self::Underexposed => "underexposed",
            Self::Unusable => "unusable",
        }
    }

    /// The verdict in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Metaphase => "a metaphase",
            Self::Empty => "nothing is on the frame",
            Self::NoMetaphase => "objects, but no metaphase",
            Self::OutOfFocus => "a metaphase out of focus",
            Self::PoorSpread => "a metaphase whose chromosomes lie in one heap",
            Self::Overexposed => "over-exposed",
            Self::Underexposed => "too little light",
            Self::Unusable => "pixels that cannot be used",
        }
    }
}

impl fmt::Display for TriageVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// What a frame must have to go on; each score from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TriageOptions {
    /// Least score of being a metaphase.
    pub metaphase: f32,
    /// Least score of focus.
    pub focus: f32,
    /// Least score of spread.
    pub spread: f32,
    /// Log odds of being two cells from which a group of chromosomes is split; infinite: never.
    pub two_cells: f32,
    /// Which way chromosomes differ from the background.
    pub polarity: Polarity,
    /// Pixel size in micrometres, for frames of a search lens: nuclei, which outnumber chromosomes there, are then too
    /// thick to be taken for them. None: by the picture alone.
    pub um_per_px: Option<f32>,
}

impl Default for TriageOptions {
    fn default() -> Self {
        Self { metaphase: 0.5, focus: 0.2, spread: 0.1, two_cells: 1.0, polarity: Polarity::Auto, um_per_px: None }
    }
}

/// One spread of chromosomes: one cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Where in the frame, in pixels of the frame.
    pub bounds: BoundingBox,
    /// Its scores.
    pub quality: Quality,
    /// How it lies at the edge of the frame, by its dark objects.
    pub edge: FrameEdge,
    /// Chromosomes it seems to hold, by area.
    pub chromosomes: f32,
    /// What was measured: the input of the score.
    pub features: SpreadFeatures,
}

/// Verdict and measures of a frame.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Assessment {
    /// The verdict; its `Display` is the reason in words.
    pub verdict: TriageVerdict,
    /// Scores of the best spread; zeros where there is none.
    pub quality: Quality,
    /// Spreads that pass the least score of being a metaphase, best first.
    pub spreads: Vec<Spread>,
    /// Exposure of the frame.
    pub exposure: Exposure,
    /// Which way the objects differ from the background.
    pub polarity: Polarity,
    /// Typical chromosome width in pixels of the frame, where anything like chromosomes is there.
    pub chromosome_width: Option<f32>,
}

/// Assesses frames; keeps its buffers, so that the second frame of a size allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct Triage {
    small: GrayImage,
    preparer: Preparer,
    mask: Vec<u8>,
    components: Components,
    objects: Objects,
    outline: Outline,
    assessment: Assessment,
}

/// Chromosomes thinner than this many pixels of the small plane are assessed again at the frame's own scale.
const FINE_THICKNESS_PX: f32 = 4.0;

/// A spread with less than this share of its area in objects the size of one chromosome is assessed again, too.
const CLUMPED_SINGLE_SHARE: f32 = 0.5;

/// Chromosomes are about so thick, and none is thicker than the second, in micrometres.
const THICKNESS_UM: (f32, f32) = (1.0, 3.0);

/// One or two objects are a cell in one heap from this many chromosomes' area on; below, a torn nucleus.
const MIN_CHROMOSOMES_OF_HEAP: f32 = 12.0;

/// Share of a plane's pixels that are dark at least where anything is there; of a plane larger than usual, one of a larger
/// frame, so many pixels: a spread is no larger there.
const LEAST_DARK: (f64, usize) = (0.002, 150);
/// Pixels of the largest usual plane.
const USUAL_PLANE: usize = 750 * 750;

fn least_dark_share(pixels: usize) -> f64 {
    let (share, dark) = LEAST_DARK;
    if pixels > USUAL_PLANE { share.min(dark as f64 / pixels as f64) } else { share }
}

/// Edges wider than this many pixels, or than this share of the thickness of objects where a camera samples more finely,
/// are out of focus. Of 22 Giemsa frames the one that its makers call out of focus has 13.3 px, the others 5.2 to 11.3.
const MAX_EDGE_WIDTH: (f32, f32) = (12.0, 0.3);

/// How far the width of edges speaks for focus, 0 to 1: half at the widest edge, steep, so that it says nothing of the rest.
fn edge_score(edge: f32, thickness: f32) -> f32 {
    let (px, share) = MAX_EDGE_WIDTH;
    1.0 / (1.0 + (edge / px.max(share * thickness)).powi(16))
}

impl Triage {
    /// Assesses a frame; the result is valid until the next call.
    pub fn assess(&mut self, frame: GrayView<'_>, options: &TriageOptions) -> &Assessment {
        self.assessment.spreads.clear();
        self.assessment.quality = Quality::default();
        self.assessment.chromosome_width = None;
        self.assessment.verdict = match self.assess_frame(frame, options) {
            Ok(verdict) => verdict,
            Err(ImagingError::Constant { value: 255 }) => TriageVerdict::Overexposed,
            Err(ImagingError::Constant { .. }) => TriageVerdict::Empty,
            Err(_) => TriageVerdict::Unusable,
        };
        &self.assessment
    }

    fn assess_frame(&mut self, frame: GrayView<'_>, options: &TriageOptions) -> Result<TriageVerdict, ImagingError> {
        let factor = ((frame.width().max(frame.height()) + 350) / 700).clamp(1, 8);
        let finest = options.um_per_px.map_or(f32::INFINITY, |um| THICKNESS_UM.0 / um / FINE_THICKNESS_PX);
        let factor = factor.min((finest as usize).max(1));
        let seen = self.assess_plane(frame, options, factor)?;
        // On a small plane the chromosomes of a search lens vanish, and those that lie close run together.
        let fine = self.objects.thickness().is_none_or(|thickness| thickness < FINE_THICKNESS_PX);
        let clumps = self.assessment.spreads.first().is_some_and(|best| best.quality.spread < CLUMPED_SINGLE_SHARE);
        if factor > 1 && self.objects.any() && (fine || clumps) {
            return self.assess_plane(frame, options, 1);
        }
        Ok(seen)
    }

    /// Assesses the frame on a plane shrunk by `factor`.
    fn assess_plane(
        &mut self,
        frame: GrayView<'_>,
        options: &TriageOptions,
        factor: usize,
    ) -> Result<TriageVerdict, ImagingError> {
        self.assessment.spreads.clear();
        self.objects.clear();
        downscale(frame, factor, &mut self.small);
        let prepared = self
            .preparer
            .prepare(self.small.view()?, &PrepareOptions { polarity: options.polarity, ..PrepareOptions::default() })?;
        self.assessment.exposure = prepared.exposure;
        self.assessment.polarity = prepared.polarity;
        let histogram = Histogram::of(&prepared.plane.data);
        let limit = histogram.otsu(0).unwrap_or(0);
        let noise = prepared.noise;
        // Between background and objects at least six times the noise and 24 levels must lie.
        let contrast = BACKGROUND.saturating_sub(histogram.percentile(least_dark_share(prepared.plane.data.len())));
        if f32::from(contrast) < (6.0 * noise).max(24.0) {
            return Ok(match prepared.exposure.hint(prepared.polarity) {
                Some(hint) if hint.starts_with("under") => TriageVerdict::Underexposed,
                Some(_) => TriageVerdict::Overexposed,
                None => TriageVerdict::Empty,
            });
        }
        // Otsu between black nuclei and the rest would lose pale chromosomes: two thirds of the way are enough.
        let threshold = (f32::from(BACKGROUND.saturating_sub(limit)) * 0.7).max(4.0 * noise).max(14.0) as u8;
        let level = BACKGROUND - threshold.min(BACKGROUND);
        self.mask.clear();
        self.mask.extend(prepared.plane.data.iter().map(|&v| u8::from(v < level)));
        self.components.find(&self.mask, prepared.plane.width);
        self.objects.measure(&prepared.plane, &self.mask, &self.components);
        let thickest = options.um_per_px.map_or(f32::INFINITY, |um| THICKNESS_UM.1 / (um * factor as f32));
        let Some(thickness) = self.objects.group(options.two_cells, thickest) else {
            return Ok(if self.objects.any() { TriageVerdict::NoMetaphase } else { TriageVerdict::Empty });
        };
        self.assessment.chromosome_width = Some(thickness * factor as f32);
        self.rate(frame, options, factor, threshold, thickness);
        let Some(best) = self.assessment.spreads.first() else {
            return Ok(TriageVerdict::NoMetaphase);
        };
        self.assessment.quality = best.quality;
        Ok(if best.quality.focus < options.focus {
            TriageVerdict::OutOfFocus
        } else if best.quality.spread < options.spread {
            TriageVerdict::PoorSpread
        } else {
            TriageVerdict::Metaphase
        })
    }

    fn rate(&mut self, frame: GrayView<'_>, options: &TriageOptions, factor: usize, threshold: u8, thickness: f32) {
        let scale = factor as f32;
        let background = self.assessment.exposure.background;
        let raw = (f32::from(threshold) * f32::from(background) / f32::from(BACKGROUND)).max(4.0) as u8;
        for (cell, features, bounds) in self.objects.cells(thickness, scale) {
            let scrap = cell.len() < 3 && features.chromosomes < MIN_CHROMOSOMES_OF_HEAP;
            // Half the score keeps it in its place among its like, and below what is accepted.
            let metaphase = features.score() * if scrap { 0.5 } else { 1.0 };
            if metaphase < options.metaphase {
                continue;
            }
            let margin = 2.0 * thickness;
            let place = BoundingBox::from_corners(
                (bounds.left as f32 - margin) * scale,
                (bounds.top as f32 - margin) * scale,
                (bounds.right as f32 + margin) * scale,
                (bounds.bottom as f32 + margin) * scale,
            )
            .clipped(frame.width() as f32, frame.height() as f32);
            let inside = Rect {
                left: place.x as usize,
                top: place.y as usize,
                right: place.right() as usize,
                bottom: place.bottom() as usize,
            };
            let sharp = sharpness(frame, inside, background, raw);
            let mut edges = EdgeWidths::default();
            for object in cell {
                let b = object.bounds;
                let own = Rect {
                    left: b.left * factor,
                    top: b.top * factor,
                    right: b.right * factor,
                    bottom: b.bottom * factor,
                };
                edges.add(frame, own.grown(2 * factor, frame.width(), frame.height()), background, raw);
            }
            let width = thickness * scale;
            let focus = focus_score(sharp, width) * edges.median().map_or(1.0, |edge| edge_score(edge, width));
            let quality = Quality { focus, metaphase, spread: features.single_share };
            let boxes = cell.iter().map(|object| {
                let b = object.bounds;
                BoundingBox::from_corners(b.left as f32, b.top as f32, b.right as f32, b.bottom as f32)
            });
            let (columns, rows) = (self.small.width as f32, self.small.height as f32);
            let edge = FrameEdge {
                outline: self.outline.on_edge(boxes, columns, rows, 0.0),
                cut: cut_objects(cell, thickness),
                pieces: 0,
            };
            self.assessment.spreads.push(Spread {
                bounds: place,
                quality,
                edge,
                chromosomes: features.chromosomes,
                features,
            });
        }
        self.assessment.spreads.sort_unstable_by(|a, b| b.quality.metaphase.total_cmp(&a.quality.metaphase));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(width: usize, height: usize, discs: &[(f32, f32, f32)], bars: &[(usize, usize)]) -> GrayImage {
        let mut image = GrayImage { width, height, data: vec![225; width * height] };
        for (i, v) in image.data.iter_mut().enumerate() {
            let (x, y) = ((i % width) as f32, (i / width) as f32);
            // A little noise, the same in every run.
            *v -= (((i * 2_654_435_761) >> 16) & 3) as u8;
            if discs.iter().any(|d| (x - d.0).hypot(y - d.1) < d.2) {
                *v = 60;
            }
        }
        for &(x, y) in bars {
            for row in y..y + 30 {
                image.data[row * width + x..row * width + x + 12].fill(90);
            }
        }
        image
    }

    fn spread(left: usize, top: usize, n: usize) -> Vec<(usize, usize)> {
        (0..n).map(|i| (left + i % 7 * 34 + i / 7 % 2 * 9, top + i / 7 * 46)).collect()
    }

    #[test]
    fn a_spread_is_found_and_nuclei_are_not_one() {
        let image = field(800, 600, &[(700.0, 100.0, 60.0)], &spread(150, 120, 42));
        let mut triage = Triage::default();
        let a = triage.assess(image.view().unwrap(), &TriageOptions::default());
        assert_eq!((a.verdict, a.spreads.len()), (TriageVerdict::Metaphase, 1), "{a:?}");
        let nuclei = field(800, 600, &[(200.0, 200.0, 60.0), (500.0, 300.0, 70.0)], &[]);
        let a = triage.assess(nuclei.view().unwrap(), &TriageOptions::default());
        assert_eq!(a.verdict, TriageVerdict::NoMetaphase, "{a:?}");
    }

    #[test]
    fn a_spread_that_leaves_the_frame_is_known_to() {
        let mut triage = Triage::default();
        let mut edge_of = |left: usize| {
            let image = field(800, 600, &[], &spread(left, 120, 42));
            triage.assess(image.view().unwrap(), &TriageOptions::default()).spreads[0].edge
        };
        assert_eq!(edge_of(150), FrameEdge::default());
        // The first column of bars lies on the edge.
        let cut = edge_of(0);
        assert!(cut.cut >= 3 && cut.outline > 0.1, "{cut:?}");
    }

    #[test]
    fn a_small_spread_on_a_very_large_frame_is_found() {
        let image = field(8000, 8000, &[], &spread(5200, 3100, 42));
        let mut triage = Triage::default();
        let a = triage.assess(image.view().unwrap(), &TriageOptions::default());
        assert_eq!((a.verdict, a.spreads.len()), (TriageVerdict::Metaphase, 1), "{a:?}");
        assert!((a.spreads[0].bounds.x - 5200.0).abs() < 60.0, "{a:?}");
    }

    #[test]
    fn two_spreads_in_a_field_are_two_cells() {
        let mut bars = spread(40, 60, 40);
        bars.extend(spread(820, 500, 40));
        let image = field(1200, 900, &[], &bars);
        let mut triage = Triage::default();
        assert_eq!(triage.assess(image.view().unwrap(), &TriageOptions::default()).spreads.len(), 2);
    }

    #[test]
    fn frames_without_a_picture_get_a_reason() {
        let mut triage = Triage::default();
        let options = TriageOptions::default();
        for (level, verdict) in
            [(255, TriageVerdict::Overexposed), (0, TriageVerdict::Empty), (128, TriageVerdict::Empty)]
        {
            let image = GrayImage { width: 64, height: 64, data: vec![level; 64 * 64] };
            assert_eq!(triage.assess(image.view().unwrap(), &options).verdict, verdict);
        }
        let one = GrayImage { width: 1, height: 1, data: vec![9] };
        assert_ne!(triage.assess(one.view().unwrap(), &options).verdict, TriageVerdict::Metaphase);
        let noise = field(640, 480, &[], &[]);
        assert_eq!(triage.assess(noise.view().unwrap(), &options).verdict, TriageVerdict::Empty);
    }
}
