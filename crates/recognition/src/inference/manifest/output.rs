//! What a network gives, and how its numbers become probabilities.

use serde::{Deserialize, Serialize};

use domain::Stain;

use super::names::{Decoding, ScoreChannel};

/// What a classifier that refines boxes gives after its logits: the logit that the refined box is a chromosome's, and how
/// far its left, top, right and bottom lie from those of the given box, in widths and heights of that.
pub const REFINEMENT: [&str; 5] = ["found", "left", "top", "right", "bottom"];

/// What a network of task anatomy draws: the chromosome, heat at its centromeres, and which half of the length ends with the
/// short arm's tip.
pub const ANATOMY_MAPS: [&str; 3] = ["mask", "centromere", "short-arm"];

/// What a network gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputSpec {
    /// How outputs are read.
    pub decoding: Decoding,
    /// Classifier: name of the logits' tensor.
    #[serde(default = "logits")]
    pub tensor: String,
    /// Detector: strides; the tensor of stride 8 is named `stride8`.
    #[serde(default)]
    pub strides: Vec<usize>,
    /// Class names, in the order of the channels; empty for a network without classes.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Anatomy: the maps, in order; [`ANATOMY_MAPS`].
    #[serde(default)]
    pub maps: Vec<String>,
    /// Anatomy: a map of `size` x `size` comes as `subpixel`² channels of `size / subpixel` pixels a side; row y, column x lies in
    /// channel `subpixel * (y mod subpixel) + x mod subpixel` of the map.
    #[serde(default = "whole_pixels")]
    pub subpixel: usize,
    /// Detector: names of further channels after the classes. Classifier: none, or [`REFINEMENT`].
    #[serde(default)]
    pub extra: Vec<String>,
    /// Classifier that refines boxes: no edge moves farther than this share of the box's side.
    #[serde(default = "reach")]
    pub reach: f32,
    /// Classifier: whether one more logit after the classes says that this is no single chromosome.
    #[serde(default)]
    pub other: bool,
    /// What is still to be applied to the outputs, in words; for people.
    #[serde(default)]
    pub activation: Option<String>,
}

/// What counts as found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// Score from which a box that overlaps no other is a chromosome, frozen on validation cells.
    pub score: f32,
    /// What boxes that overlap cost when both are accepted; none: nothing.
    pub overlap: Option<OverlapPrice>,
    /// Score from which a box is a candidate for the selection over the cell.
    pub candidate: f32,
    /// A box falls to a better one of any class above this overlap.
    pub nms_iou: f32,
    /// A box falls to a better one of its class above this overlap.
    pub nms_same_class_iou: f32,
    /// The score of a box.
    #[serde(rename = "use")]
    pub score_channel: ScoreChannel,
    /// Overlap from which a suppressed box's class scores are averaged into the box it fell to; none: not averaged.
    pub average_iou: Option<f32>,
    /// Weight of the detector's log class probabilities beside the classifier's.
    pub class_weight: f32,
    /// Power to which the classifier's probability of "a single chromosome" is raised; 0: its "other" counts for nothing.
    pub other_weight: f32,
    /// Anatomy: probability from which a pixel belongs to the chromosome.
    pub mask: f32,
    /// Anatomy: the same for single stains, where they have a cut of their own.
    pub mask_of: MaskOf,
    /// Anatomy: heat from which a place is a centromere.
    pub centromere: f32,
    /// Anatomy: of two centromeres nearer than so many pixels of the crop the weaker one is none.
    pub centromere_apart: f32,
    /// Anatomy: half the side of the square whose heat places a centromere, in pixels of the crop.
    pub centromere_reach: usize,
    /// Anatomy: weight of a single centromere's place in the way up, beside the network's half.
    pub way_centromere: f32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            score: 0.4,
            overlap: None,
            candidate: 0.02,
            nms_iou: 0.6,
            nms_same_class_iou: 0.5,
            score_channel: ScoreChannel::Objectness,
            average_iou: None,
            class_weight: 1.0,
            other_weight: 1.0,
            mask: 0.5,
            mask_of: MaskOf::default(),
            centromere: 0.3,
            centromere_apart: 3.0,
            centromere_reach: 6,
            way_centromere: 0.0,
        }
    }
}

/// Probability from which a pixel belongs to the chromosome, by stain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct MaskOf {
    /// G-bands.
    pub g_band: Option<f32>,
    /// Solid Giemsa.
    pub giemsa: Option<f32>,
    /// DAPI.
    pub dapi: Option<f32>,
    /// Q-bands.
    pub q_band: Option<f32>,
}

impl Thresholds {
    /// Anatomy: the probability from which a pixel of a slide of that stain belongs to the chromosome.
    pub fn mask_for(&self, stain: Stain) -> f32 {
        let of = &self.mask_of;
        let own = match stain {
            Stain::GBand => of.g_band,
            Stain::Giemsa => of.giemsa,
            Stain::Dapi => of.dapi,
            Stain::QBand => of.q_band,
        };
        own.unwrap_or(self.mask)
    }
}

/// What it costs to take two boxes that overlap for two chromosomes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverlapPrice {
    /// IoU up to which it costs nothing, 0 to 1.
    pub free: f32,
    /// Price at IoU 1, in logits of the score; in between it grows evenly.
    pub price: f32,
}

impl OverlapPrice {
    /// Price of an IoU.
    pub fn of(&self, iou: f32) -> f32 {
        (iou - self.free).max(0.0) / (1.0 - self.free) * self.price
    }
}

/// What turns scores into probabilities. Temperatures: logits are divided by them before the soft maximum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Calibration {
    /// Of the classifier's logits.
    pub temperature: f32,
    /// Of a detector's class logits.
    pub class_temperature: f32,
    /// Of detector and classifier logits together, after the weighted sum.
    pub combined_temperature: f32,
    /// Detector: `[slope, intercept, single]`: the logit of the probability that a candidate which no better one overlaps
    /// holds a chromosome is `slope` times the logit of its score, plus `single` times the logarithm of the classifier's
    /// probability of a single chromosome, plus `intercept`. The likeliest on validation cells.
    pub objectness: [f32; 3],
    /// Detector: weight in the same sum of the classifier's logit for its refined box, limited to
    /// [`MAX_IOU_LOGIT`] either way. `found` in the file.
    #[serde(rename = "found")]
    pub iou_weight: f32,
}

impl Default for Calibration {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            class_temperature: 1.0,
            combined_temperature: 1.0,
            objectness: [1.0, 0.0, 1.0],
            iou_weight: 0.0,
        }
    }
}

/// Beyond this a logit of a refined box says no more.
const MAX_IOU_LOGIT: f32 = 10.0;

impl Calibration {
    /// The probability that a candidate of this score holds a chromosome, if the classifier takes it for a single one with
    /// the probability `single`, all 0 to 1, and gives its refined box the logit `iou_logit` (0 where it refines none).
    pub fn probability(&self, score: f32, single: f32, iou_logit: f32) -> f32 {
        1.0 / (1.0 + (-self.logit(score, single, iou_logit)).exp())
    }

    /// The logit of that probability.
    pub fn logit(&self, score: f32, single: f32, iou_logit: f32) -> f32 {
        let score = score.clamp(1e-4, 1.0 - 1e-4);
        let [slope, intercept, weight] = self.objectness;
        let sum = slope * (score / (1.0 - score)).ln() + weight * single.clamp(1e-4, 1.0).ln() + intercept;
        sum + self.iou_weight * iou_logit.clamp(-MAX_IOU_LOGIT, MAX_IOU_LOGIT)
    }
}

/// Farthest that a refined edge moves, as a share of the box's side; the trainer (`classifier.py`) limits it alike.
const MAX_EDGE_SHIFT: f32 = 0.45;

fn reach() -> f32 {
    MAX_EDGE_SHIFT
}

fn whole_pixels() -> usize {
    1
}

fn logits() -> String {
    "logits".to_owned()
}
