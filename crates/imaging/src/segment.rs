//! A prepared plane becomes regions: chromosomes, clumps of them, nuclei, debris.

use super::{
    BACKGROUND, Components, FilterScratch, Histogram, ObjectProbabilities, Polarity, Prepared, Shape, ShapeScratch,
    binomial3,
    distance::{DistanceScratch, squared_distance},
    plane::{GrayImage, GrayView},
    region::{Region, RegionKind, Segmentation},
    simd::vectorised,
    split::{ClumpSplitter, Surroundings},
    threshold::{LocalMaximum, fill_holes_smaller, threshold},
};

/// What [`Segmenter::segment`] is asked to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SegmentOptions {
    /// Typical width of a chromosome in pixels, where known; else it is estimated.
    pub chromosome_width: Option<f32>,
    /// Share of the darkness of the surroundings that a pixel must reach, 0 to 1.
    pub local_share: f32,
    /// How far the background between objects raises the threshold, in its own darkness; 0 where the background is even. Glow
    /// of fluorescence fills the gaps between chromosomes that lie close.
    pub background_share: f32,
    /// Share of the global (Otsu) threshold that a pixel must reach, 0 to 1.
    pub global_share: f32,
    /// Radius of a disc that fits into nuclei and not into clumps, in chromosome widths.
    pub nucleus_core: f32,
    /// Share of a nucleus that may be paler than half its darkest tenth.
    pub nucleus_pale: f64,
    /// Whether the network of shape may call a region debris. It learned dirt of transmitted light; in fluorescence it
    /// takes dim chromosomes for dirt, so there size alone decides.
    pub reject_debris: bool,
    /// Whether clumps are parted.
    pub part: bool,
}

impl SegmentOptions {
    /// The options that fit a prepared picture.
    pub fn of(prepared: &Prepared) -> Self {
        match prepared.polarity {
            Polarity::BrightOnDark => {
                Self { reject_debris: false, background_share: 1.0, local_share: 0.4, ..Self::default() }
            }
            _ => Self::default(),
        }
    }
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self {
            chromosome_width: None,
            local_share: 0.5,
            background_share: 0.0,
            global_share: 0.4,
            nucleus_core: 1.6,
            nucleus_pale: 0.15,
            reject_debris: true,
            part: true,
        }
    }
}

/// Finds regions; keeps its buffers.
#[derive(Debug, Clone, Default)]
pub struct Segmenter {
    segmentation: Segmentation,
    smooth: GrayImage,
    mask: Vec<u8>,
    relative: Vec<u8>,
    splitter: ClumpSplitter,
    nuclei: Vec<u8>,
    local: LocalMaximum,
    inverse: Vec<u8>,
    between: LocalMaximum,
    filter: FilterScratch,
    components: Components,
    holes: Components,
    crop: Vec<u8>,
    distance: Vec<u32>,
    distance_scratch: DistanceScratch,
    shape: ShapeScratch,
    widths: Vec<(f32, f32)>,
}

impl Segmenter {
    /// Finds the regions of a prepared plane (chromosomes dark on [`BACKGROUND`]); the answer lives until the next call.
    /// An empty plane gives no regions.
    pub fn segment(&mut self, plane: GrayView<'_>, options: &SegmentOptions) -> &Segmentation {
        self.segmentation.clear();
        let (w, h) = (plane.width(), plane.height());
        binomial3(plane, &mut self.smooth, &mut self.filter);
        // From here on the plane holds darkness: 0 is background.
        let dark = &mut self.smooth.data;
        vectorised(
            #[inline(always)]
            || dark.iter_mut().for_each(|v| *v = BACKGROUND.saturating_sub(*v)),
        );
        let histogram = Histogram::of(dark);
        let Some(otsu) = histogram.otsu(0).filter(|&t| t >= 6) else {
            return &self.segmentation;
        };
        self.mask.resize(w * h, 0);
        threshold(dark, otsu, &mut self.mask);
        self.components.find(&self.mask, w);
        let width = options.chromosome_width.or_else(|| self.estimate_width());
        let Some(width) = width else {
            self.segmentation.threshold = otsu;
            return &self.segmentation;
        };
        let low = (f32::from(otsu) * options.global_share).max(5.0) as u8;
        threshold(&self.smooth.data, low, &mut self.mask);
        self.components.find(&self.mask, w);
        self.find_nuclei(plane, width, options);
        let otsu = self.threshold_beside_nuclei(otsu);
        self.local_threshold(otsu, width, w, options);
        // What a chromosome's darkness is compared with: usually the threshold, less where most objects are dimmer.
        let reference = f32::from(otsu).min(f32::from(self.median_darkness()) / 1.7).max(3.0);
        self.components.find(&self.mask, w);
        for i in 0..self.components.len() {
            self.take(i, plane, width, reference, options, None);
        }
        self.components.find(&self.nuclei, w);
        for i in 0..self.components.len() {
            self.take(i, plane, width, reference, options, Some(RegionKind::Nucleus));
        }
        if options.reject_debris {
            self.reject_dirt(width, reference);
        } else {
            self.reject_glow(reference);
        }
        self.segmentation.regions.sort_unstable_by_key(|r| (r.bounds.top, r.bounds.left));
        self.segmentation.chromosome_width = Some(width);
        self.segmentation.threshold = otsu;
        &self.segmentation
    }

    /// Marks as debris what stands by itself and looks neither like a whole chromosome nor like several. The rest of a
    /// parted clump may be a piece; it stays.
    fn reject_dirt(&mut self, width: f32, threshold: f32) {
        let lost = |region: &Region| {
            let likeness = ObjectProbabilities::of(&region.shape, width, threshold);
            likeness.debris + likeness.fragment
        };
        let regions = &mut self.segmentation.regions;
        let alone = |region: &&mut Region| region.kind.is_chromosome() && !region.parted;
        let (mut dirty, mut all) = (0.0, 0.0);
        for region in regions.iter_mut().filter(alone) {
            all += 1.0;
            dirty += f32::from(u8::from(lost(region) > DIRT));
        }
        if dirty > MOST_DIRT * all {
            return;
        }
        for region in regions.iter_mut().filter(alone) {
            let lost = lost(region);
            if lost > DIRT {
                (region.kind, region.score) = (RegionKind::Debris, lost);
            }
        }
    }

    /// Marks as debris what no chromosome of fluorescence is: cut by the picture's edge (a nucleus, as a rule), without an
    /// edge of its own, or dim. Limits are the 1st or 99th percentile of chromosomes of training cells.
    fn reject_glow(&mut self, threshold: f32) {
        for region in self.segmentation.regions.iter_mut().filter(|region| region.kind.is_chromosome()) {
            let shape = &region.shape;
            if shape.cut > 0.03 || shape.edge > 0.9 || shape.darkness < 0.45 * threshold {
                (region.kind, region.score) = (RegionKind::Debris, 0.7);
            }
        }
    }

    /// The last answer.
    pub fn segmentation(&self) -> &Segmentation {
        &self.segmentation
    }

    /// Median of the local width along the ridges of all components. Ridges are long in chromosomes and short in
    /// nuclei and dirt, so these weigh little.
    fn estimate_width(&mut self) -> Option<f32> {
        self.widths.clear();
        for i in 0..self.components.len() {
            if self.components.area(i) < 25 {
                continue;
            }
            let (w, _) = self.components.paint(i, 1, &mut self.crop);
            squared_distance(&self.crop, w, &mut self.distance, &mut self.distance_scratch);
            let (mut n, mut sum, mut largest) = (0f32, 0f32, 0u32);
            for (k, &d) in self.distance.iter().enumerate() {
                largest = largest.max(d);
                if d >= 2 && super::skeleton::around(k, w).iter().all(|&j| self.distance[j] <= d) {
                    n += 1.0;
                    sum += (d as f32).sqrt();
                }
            }
            // A ridge that is no longer than it is wide belongs to a speck or a disc.
            if n > 0.0 {
                let width = 2.0 * sum / n - 1.0;
                let long = self.components.area(i) as f32 / width;
                let thick = 2.0 * (largest as f32).sqrt();
                if long > 1.3 * width && thick < 3.0 * width && self.components.area(i) > 40 {
                    self.widths.push((width, long));
                }
            }
        }
        weighted_median(&mut self.widths)
    }

    /// Marks what is thicker than clumps of chromosomes get and fills its own outline.
    fn find_nuclei(&mut self, plane: GrayView<'_>, width: f32, options: &SegmentOptions) {
        let (w, h) = (plane.width(), plane.height());
        self.nuclei.clear();
        self.nuclei.resize(w * h, 0);
        let core = options.nucleus_core * width;
        for i in 0..self.components.len() {
            if (self.components.area(i) as f32) < 7.0 * width * width {
                continue;
            }
            let b = self.components.bounds(i);
            let (cw, _) = self.components.paint(i, 1, &mut self.crop);
            fill_holes_smaller(&mut self.crop, cw, (0.5 * width * width) as usize, &mut self.holes);
            squared_distance(&self.crop, cw, &mut self.distance, &mut self.distance_scratch);
            // The region opened by a disc of radius `core`: every pixel within `core` of one that deep.
            if !self.distance.iter().any(|&d| d as f32 > core * core) {
                continue;
            }
            for v in self.crop.iter_mut().zip(&self.distance) {
                *v.0 = u8::from(*v.1 as f32 <= core * core);
            }
            squared_distance(&self.crop, cw, &mut self.distance, &mut self.distance_scratch);
            let reach = (core + 0.3 * width).powi(2);
            // Light between the objects gives a clump of chromosomes away: a nucleus is dark throughout. Each disc-opened
            // piece would deserve its own look; nuclei that touch clumps are rare.
            let mut darkness = Histogram::default();
            for y in 0..b.height() {
                for x in 0..b.width() {
                    if (self.distance[(y + 1) * cw + x + 1] as f32) < core * core {
                        darkness.add(self.smooth.data[(b.top + y) * w + b.left + x]);
                    }
                }
            }
            let half = darkness.percentile(0.9) / 2;
            let pale: u32 = darkness.counts()[..usize::from(half)].iter().sum();
            if f64::from(pale) > options.nucleus_pale * darkness.total() as f64 {
                continue;
            }
            for y in 0..b.height() {
                for x in 0..b.width() {
                    let k = (y + 1) * cw + x + 1;
                    if self.crop[k] == 0 || (self.distance[k] as f32) < reach {
                        self.nuclei[(b.top + y) * w + b.left + x] = 1;
                    }
                }
            }
        }
    }

    /// Otsu's threshold over what is no nucleus.
    fn threshold_beside_nuclei(&mut self, otsu: u8) -> u8 {
        let mut counts = [0u32; 256];
        for (&d, &n) in self.smooth.data.iter().zip(&self.nuclei) {
            counts[usize::from(d)] += u32::from(n == 0);
        }
        Histogram::from_counts(counts).otsu(0).filter(|&t| t >= 6).unwrap_or(otsu)
    }

    /// Median darkness of the mask's pixels.
    fn median_darkness(&self) -> u8 {
        let mut counts = [0u32; 256];
        for (&d, &m) in self.smooth.data.iter().zip(&self.mask) {
            counts[usize::from(d)] += u32::from(m);
        }
        Histogram::from_counts(counts).percentile(0.5)
    }

    fn local_threshold(&mut self, otsu: u8, width: f32, w: usize, options: &SegmentOptions) {
        let h = self.smooth.height;
        // Darkness of nuclei must not raise the threshold of what lies beside them: they are capped.
        let low = (f32::from(otsu) * options.global_share).max(5.0);
        self.local.find(&self.smooth.data, &self.nuclei, w, h, width, f32::from(otsu) * 2.2);
        let (share, background_share) = (options.local_share, options.background_share);
        if background_share > 0.0 {
            self.inverse.clear();
            self.inverse.extend(self.smooth.data.iter().map(|d| 255 - d));
            self.between.find(&self.inverse, &self.nuclei, w, h, width, 255.0);
        }
        self.relative.resize(w * h, 0);
        let rows =
            self.mask.chunks_exact_mut(w).zip(self.relative.chunks_exact_mut(w)).zip(self.smooth.data.chunks_exact(w));
        for (y, ((line, relative), dark)) in rows.enumerate().take(h) {
            let level = self.local.row(y, w);
            if background_share > 0.0 {
                let between = self.between.row(y, w);
                for ((((m, r), &d), &l), &b) in line.iter_mut().zip(relative).zip(dark).zip(level).zip(between) {
                    let (d, g) = (f32::from(d), 255.0 - b);
                    *m = u8::from(d >= (background_share * g + share * (l - g)).min(0.8 * l).max(low));
                    *r = (d / l.max(1.0) * 128.0).min(255.0) as u8;
                }
                continue;
            }
            vectorised(
                #[inline(always)]
                || {
                    for (((m, r), &d), &l) in line.iter_mut().zip(relative).zip(dark).zip(level) {
                        let d = f32::from(d);
                        *m = u8::from(d >= (l * share).max(low));
                        *r = (d / l.max(1.0) * 128.0).min(255.0) as u8;
                    }
                },
            );
        }
        // Nuclei become regions of their own: one pixel of gap parts them from what touches them.
        for (m, &n) in self.mask.iter_mut().zip(&self.nuclei) {
            *m &= 1 - n;
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn take(
        &mut self,
        i: usize,
        plane: GrayView<'_>,
        width: f32,
        threshold: f32,
        options: &SegmentOptions,
        known: Option<RegionKind>,
    ) {
        let area = self.components.area(i);
        if (area as f32) < 0.25 * width * width || area < 12 {
            return;
        }
        let bounds = self.components.bounds(i);
        let (cw, _) = self.components.paint(i, 1, &mut self.crop);
        // Pale bands leave holes; what lies between crossing chromosomes is larger.
        fill_holes_smaller(&mut self.crop, cw, (0.25 * width * width) as usize, &mut self.holes);
        let shape = Shape::measure(&self.crop, cw, bounds, plane, BACKGROUND, &mut self.shape);
        let area = shape.area as usize;
        let region = Region { bounds, area, kind: RegionKind::Nucleus, score: 0.9, parted: false, shape, mask_at: 0 };
        if known.is_some() || (shape.thickest > 2.6 * width && shape.solidity > 0.8) {
            return self.segmentation.push(region, &self.crop);
        }
        let likeness = ObjectProbabilities::of(&shape, width, threshold);
        let debris = if options.reject_debris { likeness.debris > 0.5 } else { shape.area < 0.6 * width * width };
        if debris {
            let region = Region { kind: RegionKind::Debris, score: likeness.debris, ..region };
            return self.segmentation.push(region, &self.crop);
        }
        if !options.part {
            let kind = if likeness.cluster > likeness.single { RegionKind::Touching } else { RegionKind::Single };
            let score = if kind == RegionKind::Single { likeness.single } else { likeness.cluster };
            return self.segmentation.push(Region { kind, score, ..region }, &self.crop);
        }
        let surroundings = Surroundings { plane, relative: &self.relative, width, threshold };
        self.splitter.split(&self.crop, bounds, shape, likeness, surroundings);
        for (piece, mask) in self.splitter.parts() {
            let l = piece.likeness;
            let kind = if options.reject_debris && l.debris > 0.6 {
                RegionKind::Debris
            } else if piece.crossing {
                RegionKind::Crossing
            } else if piece.parted || l.cluster > l.single {
                RegionKind::Touching
            } else {
                RegionKind::Single
            };
            let score = if kind == RegionKind::Debris { l.debris } else { l.single };
            let (bounds, area, parted) = (piece.bounds, piece.shape.area as usize, piece.parted);
            self.segmentation.push(Region { bounds, area, kind, score, parted, shape: piece.shape, mask_at: 0 }, mask);
        }
    }
}

/// Likelihood of dirt or a piece beyond which a region by itself is no chromosome; chosen on training cells.
const DIRT: f32 = 0.5;
/// Share of regions that may look like dirt; where more do, the network does not know the stain and has no say.
const MOST_DIRT: f32 = 0.2;

/// Typical width of the chromosomes of a prepared plane in pixels, or none when nothing like a chromosome is there.
pub fn chromosome_width(plane: GrayView<'_>, segmenter: &mut Segmenter) -> Option<f32> {
    segmenter.segment(plane, &SegmentOptions { part: false, ..SegmentOptions::default() }).chromosome_width
}

/// The value below which half of the weight lies.
fn weighted_median(pairs: &mut [(f32, f32)]) -> Option<f32> {
    pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let half = pairs.iter().map(|p| p.1).sum::<f32>() / 2.0;
    let mut seen = 0.0;
    pairs.iter().find_map(|&(value, weight)| {
        seen += weight;
        (seen >= half).then_some(value)
    })
}
