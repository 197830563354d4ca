//! One chromosome, several, dirt or a piece? A small network over figures of shape: 18 figures, 20 hidden units,
//! 4 answers, fitted on regions of G-banded training cells against their boxes (docs/reference/imaging.md).

#[path = "fitted/single_weights.rs"]
mod weights;

use super::Shape;

/// Probabilities of what a region is; they sum to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ObjectProbabilities {
    /// One whole chromosome.
    pub single: f32,
    /// Two or more.
    pub cluster: f32,
    /// No chromosome.
    pub debris: f32,
    /// A piece of one.
    pub fragment: f32,
}

impl ObjectProbabilities {
    /// What a region of this shape is, where chromosomes are `width` pixels wide and `threshold` grey levels darker than
    /// the background at their outline.
    pub fn of(shape: &Shape, width: f32, threshold: f32) -> Self {
        let mut x = features(shape, width, threshold);
        // Unbounded figures on a scale of ratios, as in the fit.
        x[0] = x[0].ln_1p();
        x[1] = x[1].ln_1p();
        x[8] = x[8].max(1.0).ln();
        x[16] = x[16].clamp(0.0, 5.0);
        let row = |weights: &[f32], inputs: &[f32]| -> f32 {
            weights.iter().zip(inputs).map(|(w, v)| w * v).sum::<f32>() + weights.last().copied().unwrap_or(0.0)
        };
        let hidden = weights::HIDDEN.map(|w| row(&w, &x).max(0.0));
        let out = weights::OUTPUT.map(|w| row(&w, &hidden));
        let top = out.iter().copied().fold(f32::MIN, f32::max);
        let e = out.map(|v| (v - top).exp());
        let sum: f32 = e.iter().sum();
        Self { single: e[0] / sum, cluster: e[1] / sum, debris: e[2] / sum, fragment: e[3] / sum }
    }
}

/// Inputs of the network: lengths in chromosome widths, darkness in thresholds.
pub fn features(shape: &Shape, width: f32, threshold: f32) -> [f32; 18] {
    let w = width.max(1.0);
    [
        shape.area / (w * w),
        shape.length / w,
        f32::from(shape.ends.min(12)),
        f32::from(shape.forks.min(12)),
        f32::from(shape.holes.min(6)),
        shape.solidity,
        shape.deepest_bay / w,
        shape.second_bay / w,
        shape.elongation,
        shape.roundness,
        shape.width / w,
        shape.thickest / w,
        shape.width_spread,
        shape.area / (shape.length * shape.width).max(1.0),
        shape.texture / shape.darkness.max(1.0),
        shape.edge,
        shape.darkness / threshold.max(1.0),
        shape.cut,
    ]
}
