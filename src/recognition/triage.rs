//! Is there a metaphase in a frame, is it in focus, is it spread: a few milliseconds on every frame.
//!
//! The frame is looked at on a plane of about 700 pixels a side: dark objects of like thickness that lie close together
//! make a spread. Two spreads in a field are two cells.

use std::fmt;

use crate::{
    cell::{BoundingBox, Quality},
    imaging::{
        BACKGROUND, Components, Exposure, GrayImage, GrayView, Histogram, ImagingError, Polarity, PrepareOptions,
        Preparer, Rect, downscale, focus_score, sharpness,
    },
};

/// What triage decides, with why.
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

    /// Whether the frame goes on.
    pub fn is_accepted(self) -> bool {
        self == Self::Metaphase
    }
}

impl TriageVerdict {
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
    /// Which way chromosomes differ from the background.
    pub polarity: Polarity,
}

impl Default for TriageOptions {
    fn default() -> Self {
        Self { metaphase: 0.5, focus: 0.2, spread: 0.1, polarity: Polarity::Auto }
    }
}

/// One spread of chromosomes: one cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Where in the frame, in pixels of the frame.
    pub bounds: BoundingBox,
    /// Its scores.
    pub quality: Quality,
    /// Chromosomes it seems to hold, by area.
    pub chromosomes: f32,
    /// What was measured: the input of the score.
    pub features: SpreadFeatures,
}

/// What is measured of a group of objects.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SpreadFeatures {
    /// Objects in the group.
    pub objects: f32,
    /// Chromosomes by area: sum of area / (4.5 thickness^2), at least one an object.
    pub chromosomes: f32,
    /// Share of the area in objects the size of one chromosome.
    pub single_share: f32,
    /// Dark area over the area of the group's box.
    pub fill: f32,
    /// Spread of the objects' thickness over its mean.
    pub thickness_spread: f32,
    /// Mean elongation of the objects: area / thickness^2.
    pub elongation: f32,
    /// Typical thickness in pixels of the frame.
    pub thickness: f32,
    /// Mean darkness of the objects.
    pub darkness: f32,
}

/// What triage says of a frame.
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

#[derive(Debug, Clone, Copy, Default)]
struct Object {
    bounds: Rect,
    area: f32,
    thickness: f32,
    darkness: f32,
    group: u32,
    candidate: bool,
}

/// Looks at frames; keeps its buffers, so that the second frame of a size allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct Triage {
    small: GrayImage,
    preparer: Preparer,
    mask: Vec<u8>,
    components: Components,
    objects: Vec<Object>,
    order: Vec<(f32, f32)>,
    assessment: Assessment,
}

/// Objects looked at; more than this is dirt.
const MOST_OBJECTS: usize = 600;

impl Triage {
    /// Looks at a frame; the answer lives until the next call.
    pub fn assess(&mut self, frame: GrayView<'_>, options: &TriageOptions) -> &Assessment {
        self.assessment.spreads.clear();
        self.assessment.quality = Quality::default();
        self.assessment.chromosome_width = None;
        self.assessment.verdict = match self.look(frame, options) {
            Ok(verdict) => verdict,
            Err(ImagingError::Constant { value: 255 }) => TriageVerdict::Overexposed,
            Err(ImagingError::Constant { .. }) => TriageVerdict::Empty,
            Err(_) => TriageVerdict::Unusable,
        };
        &self.assessment
    }

    fn look(&mut self, frame: GrayView<'_>, options: &TriageOptions) -> Result<TriageVerdict, ImagingError> {
        let factor = ((frame.width().max(frame.height()) + 350) / 700).clamp(1, 8);
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
        let contrast = BACKGROUND.saturating_sub(histogram.percentile(0.002));
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
        let (w, h) = (prepared.plane.width, prepared.plane.height);
        self.components.find(&self.mask, w);
        self.measure(w, h);
        let Some(thickness) = self.group() else {
            let any = self.objects.iter().any(|o| o.area > 20.0);
            return Ok(if any { TriageVerdict::NoMetaphase } else { TriageVerdict::Empty });
        };
        let scale = factor as f32;
        self.assessment.chromosome_width = Some(thickness * scale);
        self.rate(frame, options, scale, threshold, thickness);
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

    /// Area, thickness and darkness of every component.
    fn measure(&mut self, w: usize, h: usize) {
        self.objects.clear();
        let plane = self.preparer.prepared();
        for i in 0..self.components.len() {
            let area = self.components.area(i);
            if area < 6 || self.objects.len() >= MOST_OBJECTS {
                continue;
            }
            let (mut border, mut dark) = (0u32, 0u64);
            for run in self.components.runs(i) {
                let (y, from, to) = (run.y as usize, run.start as usize, run.end as usize);
                border += 2.min(run.end - run.start);
                dark += plane.plane.data[y * w + from..y * w + to]
                    .iter()
                    .map(|&v| u64::from(BACKGROUND.saturating_sub(v)))
                    .sum::<u64>();
                if to - from > 2 {
                    let inner = from + 1..to - 1;
                    for x in inner {
                        let closed =
                            y > 0 && y + 1 < h && self.mask[(y - 1) * w + x] != 0 && self.mask[(y + 1) * w + x] != 0;
                        border += u32::from(!closed);
                    }
                }
            }
            self.objects.push(Object {
                bounds: self.components.bounds(i),
                area: area as f32,
                thickness: 2.0 * area as f32 / border as f32,
                darkness: dark as f32 / area as f32,
                group: 0,
                candidate: false,
            });
        }
    }

    /// Finds the typical thickness, marks what may be chromosomes and joins those that lie close. None when nothing
    /// may be.
    fn group(&mut self) -> Option<f32> {
        self.order.clear();
        for o in &self.objects {
            let long = o.area / (o.thickness * o.thickness);
            if long > 1.2 && o.thickness >= 1.5 && o.thickness < 30.0 {
                self.order.push((o.thickness, (o.area / o.thickness).min(60.0 * o.thickness)));
            }
        }
        self.order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let half = self.order.iter().map(|p| p.1).sum::<f32>() / 2.0;
        let mut seen = 0.0;
        let thickness = self.order.iter().find_map(|p| {
            seen += p.1;
            (seen >= half).then_some(p.0)
        })?;
        for (i, o) in self.objects.iter_mut().enumerate() {
            o.group = i as u32;
            let long = o.area / (o.thickness * o.thickness);
            o.candidate =
                (0.5..1.8).contains(&(o.thickness / thickness)) && o.area > 0.8 * thickness * thickness && long > 0.7;
        }
        let reach = (3.5 * thickness) as usize + 1;
        for i in 0..self.objects.len() {
            for j in 0..i {
                let (a, b) = (self.objects[i], self.objects[j]);
                if !(a.candidate && b.candidate) || a.group == b.group {
                    continue;
                }
                let gap = |l: usize, r: usize, l2: usize, r2: usize| l.saturating_sub(r2).max(l2.saturating_sub(r));
                let (dx, dy) = (
                    gap(a.bounds.left, a.bounds.right, b.bounds.left, b.bounds.right),
                    gap(a.bounds.top, a.bounds.bottom, b.bounds.top, b.bounds.bottom),
                );
                if dx.max(dy) <= reach {
                    let (low, high) = (a.group.min(b.group), a.group.max(b.group));
                    for o in &mut self.objects {
                        if o.group == high {
                            o.group = low;
                        }
                    }
                }
            }
        }
        Some(thickness)
    }

    fn rate(&mut self, frame: GrayView<'_>, options: &TriageOptions, scale: f32, threshold: u8, thickness: f32) {
        for g in 0..self.objects.len() as u32 {
            let members = || self.objects.iter().filter(|o| o.candidate && o.group == g);
            let objects = members().count() as f32;
            if objects == 0.0 {
                continue;
            }
            let area: f32 = members().map(|o| o.area).sum();
            let one = 4.5 * thickness * thickness;
            let chromosomes: f32 = members().map(|o| (o.area / one).max(1.0)).sum();
            let single: f32 = members().filter(|o| o.area < 2.2 * one).map(|o| o.area).sum();
            let bounds = members().map(|o| o.bounds).reduce(|a, b| a.union(&b)).unwrap_or_default();
            let mean = members().map(|o| o.thickness).sum::<f32>() / objects;
            let spread = (members().map(|o| (o.thickness - mean).powi(2)).sum::<f32>() / objects).sqrt() / mean;
            let features = SpreadFeatures {
                objects,
                chromosomes,
                single_share: single / area,
                fill: area / bounds.area().max(1) as f32,
                thickness_spread: spread,
                elongation: members().map(|o| o.area / (o.thickness * o.thickness)).sum::<f32>() / objects,
                thickness: thickness * scale,
                darkness: members().map(|o| o.darkness * o.area).sum::<f32>() / area,
            };
            let metaphase = features.score();
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
            let raw_threshold = (f32::from(threshold) * f32::from(self.assessment.exposure.background)
                / f32::from(BACKGROUND))
            .max(4.0);
            let sharp = sharpness(frame, inside, self.assessment.exposure.background, raw_threshold as u8);
            let quality =
                Quality { focus: focus_score(sharp, thickness * scale), metaphase, spread: features.single_share };
            self.assessment.spreads.push(Spread { bounds: place, quality, chromosomes, features });
        }
        self.assessment.spreads.sort_unstable_by(|a, b| b.quality.metaphase.total_cmp(&a.quality.metaphase));
    }
}

impl SpreadFeatures {
    /// Probability of being a metaphase, 0 to 1: a logistic fit on the windows of tests/data/triage_windows.csv
    /// (docs/reference/imaging.md). Beyond about 70 chromosomes more of them speak against it: dirt or noise.
    pub fn score(&self) -> f32 {
        let z = -11.26 + 3.54 * self.chromosomes.min(60.0).ln_1p() - 2.58 * self.fill
            + 2.52 * self.thickness_spread
            + 4.97 * self.darkness.min(110.0) / 100.0
            - 5.18 * (self.chromosomes.max(70.0) / 70.0).ln();
        1.0 / (1.0 + (-z).exp())
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
        assert!(!triage.assess(one.view().unwrap(), &options).verdict.is_accepted());
        let noise = field(640, 480, &[], &[]);
        assert_eq!(triage.assess(noise.view().unwrap(), &options).verdict, TriageVerdict::Empty);
    }
}
