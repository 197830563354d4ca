//! One object cut out of a picture: one chromosome, or several?

#[path = "fitted/object_weights.rs"]
mod weights;

use super::{
    Components, FilterScratch, Histogram, ObjectProbabilities, Shape, ShapeScratch, binomial3,
    plane::{GrayImage, GrayView, Rect},
    single::features,
};

/// Number of figures that decide between one chromosome and several.
pub const OBJECT_FEATURES: usize = 25;

/// Judges objects cut out of a picture (dark on bright, one object a crop); keeps its buffers.
#[derive(Debug, Clone, Default)]
pub struct ObjectJudge {
    smooth: GrayImage,
    filter: FilterScratch,
    mask: Vec<u8>,
    canvas: Vec<u8>,
    components: Components,
    areas: Vec<usize>,
    shape: ShapeScratch,
}

impl ObjectJudge {
    /// Width in pixels of what the crop shows, or none when nothing dark is on it.
    pub fn width(&mut self, crop: GrayView<'_>) -> Option<f32> {
        let (shape, ..) = self.measure(crop, 1.0)?;
        (shape.area > 25.0).then_some(shape.width)
    }

    /// Probability that the crop shows more than one chromosome, where chromosomes are `width` pixels wide; 0 when
    /// nothing dark is on it. A logistic fit (docs/reference/imaging.md).
    pub fn cluster(&mut self, crop: GrayView<'_>, width: f32) -> f32 {
        let Some(x) = self.features(crop, width) else { return 0.0 };
        let z: f32 = x.iter().zip(&weights::WEIGHTS).map(|(v, w)| v * w).sum::<f32>() + weights::BIAS;
        1.0 / (1.0 + (-z).exp())
    }

    /// The figures: those of the network of shape for all dark pixels together, how many pieces there are and how large the
    /// second is, and what the network says. None when nothing dark is there.
    pub fn features(&mut self, crop: GrayView<'_>, width: f32) -> Option<[f32; OBJECT_FEATURES]> {
        let width = width.max(2.0);
        let (shape, threshold, pieces, second) = self.measure(crop, width)?;
        let likeness = ObjectProbabilities::of(&shape, width, threshold);
        let mut x = [0.0; OBJECT_FEATURES];
        x[..18].copy_from_slice(&features(&shape, width, threshold));
        x[0] = x[0].max(0.0).ln_1p();
        x[1] = x[1].max(0.0).ln_1p();
        x[8] = x[8].max(1.0).ln();
        x[16] = x[16].clamp(0.0, 5.0);
        x[18] = f32::from(u8::from(pieces > 1));
        x[19] = (second / (width * width)).ln_1p();
        x[20] = second / shape.area.max(1.0);
        x[21] = (likeness.single.max(1e-3) / likeness.cluster.max(1e-3)).ln();
        x[22] = x[3].min(1.0);
        x[23] = (x[2] - 2.0).clamp(0.0, 3.0);
        x[24] = x[6] * x[7];
        Some(x)
    }

    /// Shape of all pieces together, darkness at the outline, number of pieces and area of the second largest. Pieces
    /// below a fifth of the width squared are specks.
    fn measure(&mut self, crop: GrayView<'_>, width: f32) -> Option<(Shape, f32, usize, f32)> {
        let (w, h) = (crop.width(), crop.height());
        let background = Histogram::of(crop.data()).percentile(0.98);
        binomial3(crop, &mut self.smooth, &mut self.filter);
        let dark = |v: u8| background.saturating_sub(v);
        let mut counts = [0u32; 256];
        self.smooth.data.iter().for_each(|v| counts[usize::from(dark(*v))] += 1);
        let otsu = f32::from(Histogram::from_counts(counts).otsu(0).filter(|t| *t >= 6)?);
        // Lower than Otsu's threshold, so that pale bands do not part a chromosome.
        let level = (SHARE * otsu) as u8;
        self.mask.clear();
        self.mask.extend(self.smooth.data.iter().map(|v| u8::from(dark(*v) >= level)));
        self.components.find(&self.mask, w);
        let least = (0.2 * width * width).max(8.0) as usize;
        self.areas.clear();
        self.canvas.clear();
        self.canvas.resize((w + 2) * (h + 2), 0);
        for i in 0..self.components.len() {
            if self.components.area(i) < least {
                continue;
            }
            self.areas.push(self.components.area(i));
            for run in self.components.runs(i) {
                let row = (run.y as usize + 1) * (w + 2) + 1;
                self.canvas[row + run.start as usize..row + run.end as usize].fill(1);
            }
        }
        if self.areas.is_empty() {
            return None;
        }
        self.areas.sort_unstable_by(|a, b| b.cmp(a));
        let all = Rect { left: 0, top: 0, right: w, bottom: h };
        let shape = Shape::measure(&self.canvas, w + 2, all, crop, background, &mut self.shape);
        let second = self.areas.get(1).copied().unwrap_or(0) as f32;
        Some((shape, otsu, self.areas.len(), second))
    }
}

/// Share of Otsu's threshold that separates an object from its background.
const SHARE: f32 = 0.45;
