//! What a network takes.

use serde::{Deserialize, Serialize};

use domain::Stain;

use super::names::{MaskRule, Polarity, SizeFeature, View};

/// What a network takes. Values are `(grey/255 - mean) / std` of 8-bit grey.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Name of the picture's tensor.
    pub tensor: String,
    /// Axes; only `nchw` is known.
    #[serde(default = "nchw")]
    pub layout: String,
    /// Channels: 1 grey, 2 grey and mask, 3 the same grey thrice (networks pre-trained on colour).
    pub channels: usize,
    /// Classifier: side of the square input in pixels.
    #[serde(default)]
    pub size: Option<usize>,
    /// Detector: sides are multiples of this.
    #[serde(default)]
    pub stride: Option<usize>,
    /// Detector: largest side; larger pictures are shrunk further.
    #[serde(default)]
    pub max_side: Option<usize>,
    /// Mean of the normalisation, on the scale 0 to 1.
    pub mean: f32,
    /// Standard deviation of the normalisation, on the scale 0 to 1.
    pub std: f32,
    /// Which way round.
    pub polarity: Polarity,
    /// Grey level of what is padded, 0 to 255.
    pub pad: f32,
    /// Stains the model serves.
    pub stains: Vec<Stain>,
    /// How the ground's grey level is brought to a fixed one; none: levels as they come.
    #[serde(default)]
    pub background: Option<Background>,
    /// Detector: how many input pixels a frame pixel becomes.
    #[serde(default)]
    pub scale: ScaleRule,
    /// Classifier: what the chromosomes are cut from; by default single ones where grey levels are spread one by one.
    #[serde(default)]
    pub view: Option<View>,
    /// Classifier: how much around a chromosome is cut out.
    #[serde(default)]
    pub crop: CropRule,
    /// Classifier of singles: rows and columns at the edges with no pixel of this grey level or darker are cut off.
    #[serde(default)]
    pub trim: Option<u8>,
    /// Classifier of singles: how their grey levels are spread.
    #[serde(default)]
    pub stretch: Option<Stretch>,
    /// Classifier: the second channel.
    #[serde(default = "no_mask")]
    pub mask: MaskRule,
    /// Classifier: name of the tensor of relative sizes, where there is one.
    #[serde(default)]
    pub size_tensor: Option<String>,
    /// Classifier: the relative sizes, in order.
    #[serde(default)]
    pub sizes: Vec<SizeFeature>,
    /// Classifier: what sizes are relative to; only `median-diagonal` is known.
    #[serde(default = "median_diagonal")]
    pub sizes_over: String,
    /// Classifier: what it looks at a second time; none: nothing.
    #[serde(default)]
    pub doubt: Option<Doubt>,
}

/// A chromosome whose best answer is less probable than `below` is looked at again in other orientations, and the log
/// probabilities of all views are averaged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doubt {
    /// Probability of the best answer, 0 to 1.
    pub below: f32,
    /// Orientations beside the first, 1 to 7: bit 0 mirrors left and right, bit 1 top and bottom, bit 2 transposes after that.
    pub turns: Vec<u8>,
}

/// Brings the ground to a fixed grey level: all levels are multiplied by `level` over the smallest level that a share
/// of `percentile` of the pixels does not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Background {
    /// Share of the pixels, 0 to 1.
    pub percentile: f32,
    /// Grey level of the ground afterwards, 1 to 255.
    pub level: f32,
}

/// Input pixels a frame pixel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScaleRule {
    /// The factor, for frames like those it was trained on.
    pub factor: f32,
    /// Width of a chromatid pair in frame pixels at which `factor` holds; other frames get
    /// `factor * reference_width_px / their width`. None: `factor` always.
    #[serde(default)]
    pub reference_width_px: Option<f32>,
    /// Pixel size in micrometres at which `factor` holds, for frames that state theirs.
    #[serde(default)]
    pub um_per_px: Option<f32>,
}

impl Default for ScaleRule {
    fn default() -> Self {
        Self { factor: 1.0, reference_width_px: None, um_per_px: None }
    }
}

/// The square around the middle of a box that the classifier sees: its side is the larger of `margin` times the box's
/// longer side and `floor` times the median diagonal of the boxes of the cell. It is sampled on a lattice `supersample`
/// times finer than the input and averaged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CropRule {
    /// Side over the box's longer side.
    pub margin: f32,
    /// Least side over the median diagonal of the cell.
    pub floor: f32,
    /// Lattice points a pixel and axis.
    #[serde(alias = "oversample")]
    pub supersample: usize,
}

impl Default for CropRule {
    fn default() -> Self {
        Self { margin: 1.12, floor: 0.75, supersample: 2 }
    }
}

/// Grey levels of a single chromosome (dark on white): the level that a share of `percentile` of its pixels does not
/// exceed goes to `level`, white stays white.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stretch {
    /// Grey level of the darkest pixels afterwards.
    #[serde(alias = "dark")]
    pub level: f32,
    /// Share of the pixels that count as darkest, 0 to 1.
    pub percentile: f32,
}

impl Default for Stretch {
    fn default() -> Self {
        Self { level: 20.0, percentile: 0.02 }
    }
}

fn nchw() -> String {
    "nchw".to_owned()
}

fn no_mask() -> MaskRule {
    MaskRule::None
}

pub(super) fn median_diagonal() -> String {
    "median-diagonal".to_owned()
}

impl InputSpec {
    /// What the chromosomes of a classifier were cut from.
    pub fn view(&self) -> View {
        self.view.unwrap_or(if self.stretch.is_some() { View::Single } else { View::Field })
    }
}
