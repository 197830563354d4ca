//! `model.toml`: what a model is, what it takes and what it gives.

mod check;
mod input;
mod names;
mod output;

use serde::{Deserialize, Serialize};

pub use input::*;
pub use names::*;
pub use output::*;

use domain::{ChromosomeClass, Stain};

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
    /// Classifier of boxes: the network that judges the candidates of a cell together, made for this classifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextSpec>,
    /// How it came to be; free form.
    #[serde(default)]
    pub trained: serde_json::Map<String, serde_json::Value>,
    /// What it reached; free form.
    #[serde(default)]
    pub figures: serde_json::Map<String, serde_json::Value>,
}

/// A network that judges the candidates of a cell together: [`ContextNetwork`](crate::ContextNetwork).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextSpec {
    /// Its file, in 32-bit floats.
    pub file: FileEntry,
    /// Name of the detector whose boxes it was made for. With another one the candidates are judged one by one.
    pub detector: String,
    /// `objectness` and `found`: how sure a candidate is by itself, the start of what the network says.
    pub calibration: Calibration,
    /// How doubles leave the cell once the classifier has drawn the boxes; none: suppression alone thins them, before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merging: Option<Merging>,
}

/// Doubles among the boxes that a classifier refines. The detector's boxes are suppressed leniently, the classifier looks at what stays, and then
/// what lies on one another is merged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merging {
    /// A box of the detector falls to a better one of any class above this overlap, in place of the detector's own `nms_iou`.
    pub nms_iou: f32,
    /// The same for a better one of its class, in place of `nms_same_class_iou`.
    pub nms_same_class_iou: f32,
    /// A refined box falls to a likelier one of any class above this overlap.
    pub iou: f32,
    /// A refined box falls to a likelier one of its class above this overlap.
    pub same_class_iou: f32,
    /// Candidates less likely than this by themselves go.
    pub least: f32,
    /// Overlap from which boxes share in the edges and classes of the one that stays.
    pub lend_iou: f32,
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
    /// Stains on which this file has been found as good as the first, of those that the model serves; empty: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stains: Vec<Stain>,
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
            .map(|name| name.parse().map_err(|error: domain::ParseClassError| error.to_string()))
            .collect()
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
        let text = include_str!("../../../../../tests/data/models/tiny-classifier/model.toml");
        let with = |extra: &str| Manifest::parse(&text.replace("[output]\n", &format!("[output]\nextra = {extra}\n")));
        assert!(!Manifest::parse(text).unwrap().refines());
        assert!(with(r#"["found", "left", "top", "right", "bottom"]"#).unwrap().refines());
        let error = with(r#"["left"]"#).unwrap_err();
        assert!(error.contains("[output] extra") && error.contains("found, left, top, right, bottom"), "{error}");
    }

    #[test]
    fn overlaps_at_which_doubles_merge_lie_between_0_and_1() {
        let text = include_str!("../../../../../models/classifier-metaphase/model.toml");
        let merging = Manifest::parse(text).unwrap().context.and_then(|context| context.merging).expect("it ships");
        assert!(merging.nms_iou > merging.nms_same_class_iou && merging.least > 0.0);
        let written = format!("nms_iou = {}", merging.nms_iou);
        assert!(text.contains(&written), "{text}");
        for wrong in ["nms_iou = 0.0", "nms_iou = 1.5", "nms_iou = nan"] {
            let error = Manifest::parse(&text.replacen(&written, wrong, 1)).unwrap_err();
            assert!(error.contains("[context] merging") && error.contains("expected overlaps"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_refined_box_that_meets_a_chromosome_raises_its_probability() {
        let calibration = Calibration { objectness: [1.0, 0.0, 1.0], iou_weight: 0.5, ..Default::default() };
        assert!((calibration.probability(0.5, 1.0, 0.0) - 0.5).abs() < 1e-6);
        assert!((calibration.probability(0.5, 1.0, 2.0) - 0.731_058_6).abs() < 1e-5);
    }

    #[test]
    fn a_slip_in_the_manifest_is_reported_with_line_and_key() {
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
