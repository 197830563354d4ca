//! `model.toml`: what a model is, what it takes and what it gives.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{cell::ChromosomeClass, config::Stain};

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// The name in files and messages.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(format!("'{text}' is none of: {}", [$($text),+].join(", "))),
                }
            }
        }
    };
}

named! {
    /// What a model does.
    Task {
        /// Finds chromosomes in a field.
        Detector = "detector",
        /// Gives a single chromosome its class.
        Classifier = "classifier",
        /// Counts centromeres.
        Dicentric = "dicentric",
        /// Tells fields with metaphases from others.
        Triage = "triage",
    }
}

named! {
    /// Number format of a network file. Inputs and outputs are 32-bit floats in every one.
    Precision {
        /// 32-bit floats.
        F32 = "f32",
        /// 16-bit floats.
        F16 = "f16",
        /// 16-bit brain floats.
        Bf16 = "bf16",
        /// 8-bit integers (symmetric QDQ).
        Int8 = "int8",
    }
}

named! {
    /// Which way round the network wants its pictures.
    Polarity {
        /// Dark chromosomes on bright ground (fluorescence is inverted before).
        DarkOnBright = "dark-on-bright",
        /// Bright chromosomes on dark ground (bright field is inverted before).
        BrightOnDark = "bright-on-dark",
    }
}

named! {
    /// How outputs are read.
    Decoding {
        /// A map a stride: distances left, top, right, bottom from the middle of the map's cell in input pixels,
        /// objectness logit, class logits, further channels.
        LtrbGrid = "ltrb-grid",
        /// One row of logits an item.
        Logits = "logits",
    }
}

named! {
    /// Which channel of a detector is the score of a box.
    ScoreChannel {
        /// The objectness: several cells of the map answer for one chromosome, suppression thins them.
        Objectness = "objectness",
        /// The further channel `single`: one cell answers for one chromosome.
        Single = "single",
    }
}

named! {
    /// What the second channel of a classifier's input holds.
    MaskRule {
        /// Nothing: there is no second channel.
        None = "none",
        /// 1 where a pixel's middle lies inside the chromosome's box, 0 in the context around it.
        Box = "box",
    }
}

named! {
    /// What the chromosomes of a classifier were cut from.
    View {
        /// Boxes in a field: neighbours intrude, the way up is unknown.
        Field = "field",
        /// Cleaned single chromosomes on an even ground, as in a karyogram.
        Single = "single",
    }
}

named! {
    /// A number that tells the classifier how large a chromosome is within its cell: the natural logarithm of a measure
    /// of its box over the median diagonal of the boxes of the cell.
    SizeFeature {
        /// Diagonal of the box.
        Diagonal = "diagonal",
        /// Width of the box.
        Width = "width",
        /// Height of the box.
        Height = "height",
    }
}

/// The contents of model.toml. Unknown keys are errors, apart from `[trained]` and `[figures]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What the model does.
    pub task: Task,
    /// Its name in messages.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// The network files.
    #[serde(default)]
    pub file: Vec<FileEntry>,
    /// What it takes.
    pub input: InputSpec,
    /// What it gives.
    pub output: OutputSpec,
    /// Detector: what counts as found.
    #[serde(default)]
    pub thresholds: Thresholds,
    /// Temperatures.
    #[serde(default)]
    pub calibration: Calibration,
    /// How it came to be; free form.
    #[serde(default)]
    pub trained: serde_json::Map<String, serde_json::Value>,
    /// What it reached; free form.
    #[serde(default)]
    pub figures: serde_json::Map<String, serde_json::Value>,
}

/// One network file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Path within the folder.
    pub path: String,
    /// Number format.
    pub precision: Precision,
    /// SHA-256 in hexadecimal, 64 digits.
    pub sha256: String,
    /// ONNX operator set.
    #[serde(default)]
    pub opset: Option<u32>,
}

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

/// What a classifier that refines boxes gives after its logits: the logit that the refined box is a chromosome's, and how
/// far its left, top, right and bottom lie from those of the given box, in widths and heights of that.
pub const REFINEMENT: [&str; 5] = ["found", "left", "top", "right", "bottom"];

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
    /// Class names, in the order of the channels; empty for a detector without classes.
    pub classes: Vec<String>,
    /// Detector: names of further channels after the classes. Classifier: none, or [`REFINEMENT`].
    #[serde(default)]
    pub extra: Vec<String>,
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
    /// Score from which a box is a chromosome, frozen on validation cells.
    pub score: f32,
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
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            score: 0.4,
            candidate: 0.02,
            nms_iou: 0.6,
            nms_same_class_iou: 0.5,
            score_channel: ScoreChannel::Objectness,
            average_iou: None,
            class_weight: 1.0,
            other_weight: 1.0,
        }
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
    /// Detector: beside a classifier that refines boxes, its logit that the refined box is a chromosome's counts so much in
    /// the same sum.
    pub found: f32,
}

impl Default for Calibration {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            class_temperature: 1.0,
            combined_temperature: 1.0,
            objectness: [1.0, 0.0, 1.0],
            found: 0.0,
        }
    }
}

impl Calibration {
    /// The probability that a candidate of this score holds a chromosome, if the classifier takes it for a single one with
    /// the probability `single`, all 0 to 1, and gives its refined box the logit `found` (0 where it refines none).
    pub fn probability(&self, score: f32, single: f32, found: f32) -> f32 {
        let score = score.clamp(1e-4, 1.0 - 1e-4);
        let [slope, intercept, weight] = self.objectness;
        let sum = slope * (score / (1.0 - score)).ln() + weight * single.clamp(1e-4, 1.0).ln() + intercept;
        let logit = sum + self.found * found.clamp(-10.0, 10.0);
        1.0 / (1.0 + (-logit).exp())
    }
}

fn nchw() -> String {
    "nchw".to_owned()
}

fn logits() -> String {
    "logits".to_owned()
}

fn no_mask() -> MaskRule {
    MaskRule::None
}

fn median_diagonal() -> String {
    "median-diagonal".to_owned()
}

impl InputSpec {
    /// What the chromosomes of a classifier were cut from.
    pub fn view(&self) -> View {
        self.view.unwrap_or(if self.stretch.is_some() { View::Single } else { View::Field })
    }
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// In words, with line and column for what the TOML parser refuses, and the key for what does not fit together.
    pub fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = toml_edit::de::from_str(text).map_err(|error| {
            let place = error.span().map(|span| place_of(text, span.start));
            let (line, column) = place.unwrap_or((1, 1));
            format!("line {line}, column {column}: {}", error.message())
        })?;
        manifest.check().map(|()| manifest)
    }

    /// The chromosome class of every channel.
    ///
    /// # Errors
    /// When a name is none of the 24 human classes; such models serve other lists and give no karyotype.
    pub fn chromosome_classes(&self) -> Result<Vec<ChromosomeClass>, String> {
        self.output
            .classes
            .iter()
            .map(|name| name.parse().map_err(|error: crate::cell::ParseClassError| error.to_string()))
            .collect()
    }

    fn check(&self) -> Result<(), String> {
        let wrong = |key: &str, text: String| Err(format!("{key}: {text}"));
        if self.file.is_empty() {
            return wrong("[[file]]", "expected at least one network file, found none".into());
        }
        for file in &self.file {
            if file.sha256.len() != 64 || !file.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
                return wrong(
                    "[[file]] sha256",
                    format!("expected 64 hexadecimal digits, found '{}' for {}", file.sha256, file.path),
                );
            }
            if std::path::Path::new(&file.path).components().any(|c| !matches!(c, std::path::Component::Normal(_))) {
                return wrong("[[file]] path", format!("'{}' must lie within the model folder", file.path));
            }
        }
        let input = &self.input;
        if input.layout != "nchw" {
            return wrong("[input] layout", format!("expected 'nchw', found '{}'", input.layout));
        }
        if !(input.std > 0.0 && input.std.is_finite() && input.mean.is_finite()) {
            return wrong("[input] std", format!("expected a number above 0, found {}", input.std));
        }
        if !(input.scale.factor > 0.0 && input.scale.factor.is_finite()) {
            return wrong("[input] scale.factor", format!("expected above 0, found {}", input.scale.factor));
        }
        if let Some(width) = input.scale.reference_width_px
            && !(width > 0.0 && width.is_finite())
        {
            return wrong("[input] scale.reference_width_px", format!("expected above 0, found {width}"));
        }
        if let Some(Background { percentile, level }) = input.background
            && !(percentile > 0.0 && percentile <= 1.0 && (1.0..=255.0).contains(&level))
        {
            return wrong(
                "[input] background",
                format!("expected percentile in (0, 1] and level in 1..255, found {percentile} and {level}"),
            );
        }
        match (self.task, self.output.decoding) {
            (Task::Detector, Decoding::LtrbGrid) => {
                if input.stride.is_none_or(|stride| stride == 0) {
                    return wrong("[input] stride", "a detector needs the multiple its sides must be".into());
                }
                if !matches!(input.channels, 1 | 3) {
                    return wrong(
                        "[input] channels",
                        format!("expected 1 or 3 for a detector, found {}", input.channels),
                    );
                }
                if self.output.strides.is_empty() || self.output.strides.contains(&0) {
                    return wrong("[output] strides", "a detector needs at least one stride above 0".into());
                }
                if self.thresholds.score_channel == ScoreChannel::Single && self.single_channel().is_none() {
                    return wrong("[thresholds] use", "'single' needs [output] extra = [\"single\"]".into());
                }
            }
            (Task::Classifier | Task::Triage | Task::Dicentric, Decoding::Logits) => {
                if input.size.is_none_or(|size| size == 0) {
                    return wrong("[input] size", format!("a {} needs the side of its square input", self.task));
                }
                let expected = 1 + usize::from(input.mask != MaskRule::None);
                if input.channels != expected && !(input.channels == 3 && expected == 1) {
                    return wrong(
                        "[input] channels",
                        format!("expected {expected} with mask = '{}', found {}", input.mask, input.channels),
                    );
                }
                if input.sizes_over != median_diagonal() {
                    return wrong(
                        "[input] sizes_over",
                        format!("expected 'median-diagonal', found '{}'", input.sizes_over),
                    );
                }
                let crop = input.crop;
                if !(crop.margin > 0.0 && crop.floor >= 0.0 && (1..=8).contains(&crop.supersample)) {
                    return wrong(
                        "[input] crop",
                        format!("expected margin > 0, floor >= 0, supersample 1..8, found {crop:?}"),
                    );
                }
                if let Some(doubt) = &input.doubt
                    && !((0.0..=1.0).contains(&doubt.below) && doubt.turns.iter().all(|turn| (1..=7).contains(turn)))
                {
                    return wrong(
                        "[input] doubt",
                        format!("expected below in 0..1 and turns in 1..7, found {doubt:?}"),
                    );
                }
                if input.size_tensor.is_some() == input.sizes.is_empty() {
                    return wrong("[input] sizes", "size_tensor and sizes go together: give both or neither".into());
                }
            }
            (task, decoding) => {
                return wrong("[output] decoding", format!("a {task} cannot be read as '{decoding}'"));
            }
        }
        if self.task == Task::Classifier && !self.output.extra.is_empty() && !self.refines() {
            let expected = REFINEMENT.join(", ");
            return wrong(
                "[output] extra",
                format!("expected {expected} or nothing, found {}", self.output.extra.join(", ")),
            );
        }
        if self.task == Task::Classifier && self.output.classes.is_empty() {
            return wrong("[output] classes", "a classifier needs its class names".into());
        }
        let t = &self.thresholds;
        let positive = [
            ("[thresholds] nms_iou", t.nms_iou),
            ("[thresholds] nms_same_class_iou", t.nms_same_class_iou),
            ("[calibration] temperature", self.calibration.temperature),
            ("[calibration] class_temperature", self.calibration.class_temperature),
            ("[calibration] combined_temperature", self.calibration.combined_temperature),
            ("[calibration] objectness (slope)", self.calibration.objectness[0]),
        ];
        for (key, value) in positive {
            if !(value > 0.0 && value.is_finite()) {
                return wrong(key, format!("expected above 0, found {value}"));
            }
        }
        if !self.calibration.objectness[1].is_finite() || !(0.0..=100.0).contains(&self.calibration.objectness[2]) {
            return wrong("[calibration] objectness", "expected [slope, intercept, single], single in 0..100".into());
        }
        if !(0.0..=100.0).contains(&self.calibration.found) {
            return wrong("[calibration] found", format!("expected 0..100, found {}", self.calibration.found));
        }
        if !(t.other_weight >= 0.0 && t.other_weight.is_finite()) {
            return wrong("[thresholds] other_weight", format!("expected 0 or above, found {}", t.other_weight));
        }
        if !(0.0..=1.0).contains(&t.score) || !(0.0..=1.0).contains(&t.candidate) {
            return wrong("[thresholds]", format!("scores lie in 0..1, found {} and {}", t.score, t.candidate));
        }
        Ok(())
    }

    /// Channel (after the four distances, the objectness and the classes) of the one-answer score, where there is one.
    pub fn single_channel(&self) -> Option<usize> {
        self.output.extra.iter().position(|name| name == "single")
    }

    /// Whether this classifier refines boxes.
    pub fn refines(&self) -> bool {
        self.task == Task::Classifier && self.output.extra == REFINEMENT
    }

    /// Channels of a detector's map.
    pub fn map_channels(&self) -> usize {
        5 + self.output.classes.len() + self.output.extra.len()
    }
}

fn place_of(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    (line, column)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const DETECTOR: &str = r#"
task = "detector"
name = "tiny-detector"
version = "1"
[[file]]
path = "model.onnx"
precision = "f32"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
[input]
tensor = "image"
channels = 1
stride = 8
mean = 0.5
std = 0.5
polarity = "dark-on-bright"
pad = 220
stains = ["g-band"]
background = { percentile = 0.9, level = 220 }
scale = { factor = 1.0 }
[output]
decoding = "ltrb-grid"
strides = [8]
classes = ["1", "2"]
"#;

    #[test]
    fn a_manifest_is_read() {
        let manifest = Manifest::parse(DETECTOR).unwrap();
        assert_eq!(manifest.task, Task::Detector);
        assert_eq!(manifest.map_channels(), 7);
        assert_eq!(manifest.thresholds.nms_iou, 0.6);
        assert_eq!(manifest.input.stains, [Stain::GBand]);
    }

    #[test]
    fn a_classifier_refines_boxes_or_says_nothing_more_than_classes() {
        let text = include_str!("../../tests/data/models/tiny-classifier/model.toml");
        let with = |extra: &str| Manifest::parse(&text.replace("[output]\n", &format!("[output]\nextra = {extra}\n")));
        assert!(!Manifest::parse(text).unwrap().refines());
        assert!(with(r#"["found", "left", "top", "right", "bottom"]"#).unwrap().refines());
        let error = with(r#"["left"]"#).unwrap_err();
        assert!(error.contains("[output] extra") && error.contains("found, left, top, right, bottom"), "{error}");
    }

    #[test]
    fn what_is_found_and_refined_raises_a_probability() {
        let calibration = Calibration { objectness: [1.0, 0.0, 1.0], found: 0.5, ..Default::default() };
        assert!((calibration.probability(0.5, 1.0, 0.0) - 0.5).abs() < 1e-6);
        assert!((calibration.probability(0.5, 1.0, 2.0) - 0.731_058_6).abs() < 1e-5);
    }

    #[test]
    fn a_slip_in_the_manifest_is_told_with_line_and_key() {
        let error = Manifest::parse(&DETECTOR.replace("channels = 1", "chanels = 1")).unwrap_err();
        assert!(error.contains("line 11") && error.contains("chanels"), "{error}");
        let error = Manifest::parse(&DETECTOR.replace("\"g-band\"", "\"h-band\"")).unwrap_err();
        assert!(error.contains("line 17") && error.contains("h-band"), "{error}");
        for (was, is, says) in [
            ("stride = 8\n", "", "[input] stride"),
            ("std = 0.5", "std = 0.0", "[input] std"),
            ("strides = [8]", "strides = []", "[output] strides"),
            ("\"ltrb-grid\"", "\"logits\"", "[output] decoding"),
            ("path = \"model.onnx\"", "path = \"../model.onnx\"", "[[file]] path"),
            ("level = 220", "level = 0", "[input] background"),
        ] {
            assert!(DETECTOR.contains(was), "{was}");
            let error = Manifest::parse(&DETECTOR.replace(was, is)).unwrap_err();
            assert!(error.contains(says), "{was} -> {is}: {error}");
        }
    }
}
