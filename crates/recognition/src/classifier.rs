//! The classifier: crops of the chromosomes of a cell in, log probabilities out; one batch a cell.

use crate::inference::{
    Engine, EngineError, Input, Manifest, ModelError, ModelFolder, Precision, Session, SizeFeature, Task, Thresholds,
    load, output, run_over,
};
use domain::{BoundingBox, ChromosomeClass};

use super::{
    crop::{Cutter, turn},
    decode::log_softmax,
    plane::Plane,
};

/// Natural logarithms of the probabilities of the 24 classes and, last, of being no single chromosome.
pub type LogProbs = [f32; ChromosomeClass::COUNT + 1];

/// The classes of one box, and where its chromosome lies.
#[derive(Debug, Clone, PartialEq)]
pub struct Classification {
    /// Its classes.
    pub log_probs: LogProbs,
    /// Where the chromosome lies, by a classifier that refines boxes.
    pub refined: Option<Refined>,
}

/// Where a chromosome lies by the classifier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Refined {
    /// Logit that the refined box meets that of a chromosome (IoU).
    pub iou_logit: f32,
    /// How far left, top, right and bottom lie from those of the given box, in widths and heights of that.
    pub edges: [f32; 4],
}

impl Refined {
    /// The refined box.
    pub fn applied(&self, bounds: &BoundingBox) -> BoundingBox {
        let [left, top, right, bottom] = self.edges;
        BoundingBox::from_corners(
            bounds.x + left * bounds.width,
            bounds.y + top * bounds.height,
            bounds.right() + right * bounds.width,
            bounds.bottom() + bottom * bounds.height,
        )
    }
}

/// A classifier that is ready to run.
pub struct Classifier {
    pub(super) session: Box<dyn Session>,
    pub(super) manifest: Manifest,
    classes: Vec<ChromosomeClass>,
    label: String,
    pub(super) crops: Vec<f32>,
    cutter: Cutter,
    pub(super) sizes: Vec<f32>,
}

/// A box to classify: its place in the list, and its orientation as in [`Doubt::turns`](crate::inference::Doubt::turns).
pub(super) type OrientedBox = (usize, u8);

/// What a batch of crops is cut from.
pub struct Item<'a> {
    /// The plane the chromosome lies on.
    pub plane: &'a Plane,
    /// Its box in pixels of the frame (the plane knows where it begins).
    pub bounds: BoundingBox,
    /// Turned by 180 degrees: for measuring how much the way up matters.
    pub flipped: bool,
}

impl Classifier {
    /// Loads a model folder and runs it once on an empty crop.
    ///
    /// # Errors
    /// As for [`Detector::load`](super::Detector::load).
    pub fn load(engine: &dyn Engine, model: &ModelFolder, precision: Option<Precision>) -> Result<Self, EngineError> {
        let manifest = model.manifest.clone();
        if manifest.task != Task::Classifier {
            return Err(ModelError::WrongTask {
                model: manifest.name,
                expected: Task::Classifier.to_string(),
                found: manifest.task.to_string(),
            }
            .into());
        }
        let classes = manifest
            .chromosome_classes()
            .map_err(|reason| ModelError::Manifest { path: model.path.join("model.toml"), reason })?;
        let session = load(engine, model, precision)?;
        let mut classifier = Self {
            session,
            classes,
            label: model.label(),
            manifest,
            crops: Vec::new(),
            cutter: Cutter::default(),
            sizes: Vec::new(),
        };
        let empty = Plane { data: vec![220; 64], width: 8, height: 8, left: 0, top: 0 };
        let bounds = BoundingBox::from_corners(0.0, 0.0, 8.0, 8.0);
        classifier.classify(&[Item { plane: &empty, bounds, flipped: false }], 8.0)?;
        Ok(classifier)
    }

    /// What the model says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// `name@hash12`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The classes of each of the chromosomes, in order, in one batch; where the model asks for it, those in doubt are
    /// classified again in other orientations, all in one more batch. `median` is the median diagonal of the boxes of their
    /// cell in pixels ([`median_diagonal`]): sizes are relative to it.
    ///
    /// # Errors
    /// When the engine fails or gives another shape than the manifest says.
    pub fn classify(&mut self, items: &[Item<'_>], median: f32) -> Result<Vec<Classification>, EngineError> {
        self.repeat_in_doubt(items.len(), |classifier, views| classifier.classify_batch(items, views, median))
    }

    /// Classifies all, then those in doubt again in other orientations, with `classify_batch`: one batch each.
    pub(super) fn repeat_in_doubt(
        &mut self,
        count: usize,
        mut classify_batch: impl FnMut(&mut Self, &[OrientedBox]) -> Result<Vec<Classification>, EngineError>,
    ) -> Result<Vec<Classification>, EngineError> {
        let first: Vec<OrientedBox> = (0..count).map(|i| (i, 0)).collect();
        let mut answers = classify_batch(self, &first)?;
        let Some(doubt) = self.manifest.input.doubt.clone() else { return Ok(answers) };
        let least = doubt.below.ln();
        let unsure = |answer: &Classification| answer.log_probs.iter().all(|log_prob| *log_prob < least);
        let doubtful: Vec<usize> = (0..answers.len()).filter(|i| unsure(&answers[*i])).collect();
        let again: Vec<OrientedBox> =
            doubtful.iter().flat_map(|i| doubt.turns.iter().map(|turn| (*i, *turn))).collect();
        let views = classify_batch(self, &again)?;
        for (i, views) in doubtful.iter().zip(views.chunks(doubt.turns.len().max(1))) {
            let answer = &mut answers[*i].log_probs;
            for view in views {
                answer.iter_mut().zip(&view.log_probs).for_each(|(sum, log_prob)| *sum += log_prob);
            }
            // The mean over the views, normalised.
            log_softmax(answer, (1 + views.len()) as f32);
        }
        Ok(answers)
    }

    /// One batch.
    fn classify_batch(
        &mut self,
        items: &[Item<'_>],
        views: &[OrientedBox],
        median: f32,
    ) -> Result<Vec<Classification>, EngineError> {
        if views.is_empty() {
            return Ok(Vec::new());
        }
        let spec = &self.manifest.input;
        let side = spec.size.unwrap_or(96);
        let one = spec.channels * side * side;
        // All of it is written.
        self.crops.resize(views.len() * one, 0.0);
        for ((i, orientation), crop) in views.iter().zip(self.crops.chunks_exact_mut(one)) {
            self.cutter.cut(&items[*i], median, side, spec, crop);
            crop.chunks_exact_mut(side * side).for_each(|channel| turn(channel, side, *orientation));
        }
        self.set_sizes(views.iter().map(|(i, orientation)| (&items[*i].bounds, *orientation)), median);
        let spec = &self.manifest.input;
        let crop_shape = [views.len(), spec.channels, side, side];
        let size_shape = [views.len(), spec.sizes.len()];
        let mut inputs = vec![Input { name: &spec.tensor, shape: &crop_shape, data: &self.crops }];
        if let Some(name) = &spec.size_tensor {
            inputs.push(Input { name, shape: &size_shape, data: &self.sizes });
        }
        let mut parts = Vec::new();
        run_over(&mut *self.session, views.len(), &inputs, |_, count, outputs| {
            parts.push((count, outputs));
            Ok(())
        })?;
        let mut answers = Vec::with_capacity(views.len());
        for (count, outputs) in parts {
            let logits = output(&outputs, &self.manifest)?;
            answers.extend(self.read_outputs(&logits.shape, &logits.data, count)?);
        }
        Ok(answers)
    }

    /// Relative sizes of boxes in their orientations: the second input.
    pub(super) fn set_sizes<'a>(&mut self, boxes: impl Iterator<Item = (&'a BoundingBox, u8)>, median: f32) {
        self.sizes.clear();
        for (bounds, orientation) in boxes {
            let size = |feature: &SizeFeature| relative_size(bounds, turned(*feature, orientation), median);
            self.sizes.extend(self.manifest.input.sizes.iter().map(size));
        }
    }

    /// Classifications from the logits of `count` crops.
    pub(super) fn read_outputs(
        &self,
        shape: &[usize],
        logits: &[f32],
        count: usize,
    ) -> Result<Vec<Classification>, EngineError> {
        let classes = self.classes.len() + usize::from(self.manifest.output.other);
        let expected = classes + self.manifest.output.extra.len();
        let model = self.manifest.name.clone();
        match shape[..] {
            [rows, found] if rows == count && found == expected => {}
            [rows, found] if rows == count => {
                return Err(ModelError::WrongClassCount { model, expected, found }.into());
            }
            _ => {
                return Err(ModelError::WrongShape {
                    model,
                    tensor: self.manifest.output.tensor.clone(),
                    expected: format!("[{count}, {expected}]"),
                    found: format!("{shape:?}"),
                }
                .into());
            }
        }
        let reach = self.manifest.output.reach;
        let read = |row: &[f32]| {
            let (classes, more) = row.split_at(classes);
            let refined = match *more {
                [iou_logit, left, top, right, bottom] => {
                    let edges = [left, top, right, bottom].map(|edge| edge.clamp(-reach, reach));
                    Some(Refined { iou_logit, edges })
                }
                _ => None,
            };
            Classification { log_probs: self.log_probs(classes), refined }
        };
        Ok(logits.chunks_exact(expected).map(read).collect())
    }

    fn log_probs(&self, row: &[f32]) -> LogProbs {
        let mut row = row.to_vec();
        log_softmax(&mut row, self.manifest.calibration.temperature);
        let mut all = [IMPOSSIBLE; ChromosomeClass::COUNT + 1];
        for (class, value) in self.classes.iter().zip(&row) {
            all[class.index()] = value.max(IMPOSSIBLE);
        }
        if self.manifest.output.other {
            all[ChromosomeClass::COUNT] = row[self.classes.len()].max(IMPOSSIBLE);
        }
        all
    }
}

/// Logarithm that stands for probability 0, so that sums stay finite.
pub const IMPOSSIBLE: f32 = -30.0;

/// Which side of the turned box a measure of the upright box is.
fn turned(feature: SizeFeature, orientation: u8) -> SizeFeature {
    match feature {
        SizeFeature::Width if orientation & 4 != 0 => SizeFeature::Height,
        SizeFeature::Height if orientation & 4 != 0 => SizeFeature::Width,
        same => same,
    }
}

/// Median diagonal of boxes; 1 for none.
pub fn median_diagonal<'a>(boxes: impl Iterator<Item = &'a BoundingBox>) -> f32 {
    let mut diagonals: Vec<f32> = boxes.map(|b| b.width.hypot(b.height)).collect();
    if diagonals.is_empty() {
        return 1.0;
    }
    diagonals.sort_by(f32::total_cmp);
    ((diagonals[(diagonals.len() - 1) / 2] + diagonals[diagonals.len() / 2]) / 2.0).max(1.0)
}

fn relative_size(b: &BoundingBox, feature: SizeFeature, median: f32) -> f32 {
    let measure = match feature {
        SizeFeature::Diagonal => b.width.hypot(b.height),
        SizeFeature::Width => b.width,
        SizeFeature::Height => b.height,
    };
    (measure.max(0.1) / median.max(0.1)).ln()
}

/// Joins what detector and classifier say about one chromosome: the class probabilities multiply (the detector's to the
/// power of `class_weight`), the classifier alone says whether it is a single chromosome at all, its probability of that
/// to the power of `other_weight`.
pub fn combine(
    detector: Option<&[f32; ChromosomeClass::COUNT]>,
    classifier: Option<&LogProbs>,
    thresholds: &Thresholds,
    temperature: f32,
) -> Option<LogProbs> {
    const N: usize = ChromosomeClass::COUNT;
    let mut sum = [0.0; N];
    let other = classifier.map_or(IMPOSSIBLE, |c| c[N]);
    match (detector, classifier) {
        (None, None) => return None,
        (Some(d), None) => sum = *d,
        (None, Some(c)) => sum.copy_from_slice(&c[..N]),
        (Some(d), Some(c)) => {
            for (i, value) in sum.iter_mut().enumerate() {
                *value = c[i] + thresholds.class_weight * d[i];
            }
        }
    }
    log_softmax(&mut sum, temperature);
    // ln(1 - p_other), kept finite where the classifier is sure that this is no chromosome.
    let single = thresholds.other_weight * (1.0 - other.exp()).max(1e-9).ln();
    let mut all = [(1.0 - single.exp()).max(0.0).ln().max(IMPOSSIBLE); N + 1];
    for (value, class) in all.iter_mut().zip(sum) {
        *value = (class + single).max(IMPOSSIBLE);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::{CpuEngine, Doubt};

    #[test]
    fn joined_probabilities_sum_to_one_and_follow_the_surer_network() {
        let mut detector = [(0.4f32 / 22.0).ln(); 24];
        detector[3] = 0.3f32.ln();
        detector[4] = 0.3f32.ln();
        let mut classifier = [(0.1f32 / 22.0).ln(); 25];
        classifier[4] = 0.6f32.ln();
        classifier[3] = 0.1f32.ln();
        classifier[24] = 0.2f32.ln();
        let thresholds = Thresholds::default();
        let joined = combine(Some(&detector), Some(&classifier), &thresholds, 1.0).unwrap();
        let total: f32 = joined.iter().map(|v| v.exp()).sum();
        assert!((total - 1.0).abs() < 1e-4, "{total}");
        assert!((joined[24].exp() - 0.2).abs() < 1e-4);
        assert!(joined[4] > joined[3]);
        assert!(combine(None, None, &thresholds, 1.0).is_none());
        let doubted = combine(None, Some(&classifier), &Thresholds { other_weight: 2.0, ..thresholds }, 1.0).unwrap();
        assert!((doubted[24].exp() - (1.0 - 0.8 * 0.8)).abs() < 1e-4);
        let trusted = combine(None, Some(&classifier), &Thresholds { other_weight: 0.0, ..thresholds }, 1.0).unwrap();
        assert_eq!(trusted[24], IMPOSSIBLE);
    }

    #[test]
    fn a_box_in_doubt_is_classified_in_other_orientations_and_the_views_are_averaged() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/models/tiny-classifier");
        let model = ModelFolder::open(&folder).unwrap();
        let data = (0..400).map(|i| (i * 37 % 200) as u8).collect();
        let plane = Plane { data, width: 20, height: 20, left: 0, top: 0 };
        let bounds = BoundingBox { x: 4.0, y: 6.0, width: 12.0, height: 5.0 };
        let ask = |doubt: Option<Doubt>, flipped: bool| {
            let mut classifier = Classifier::load(&CpuEngine::new(1), &model, None).unwrap();
            classifier.manifest.input.doubt = doubt;
            classifier.classify(&[Item { plane: &plane, bounds, flipped }], 13.0).unwrap()[0].log_probs
        };
        let (upright, flipped) = (ask(None, false), ask(None, true));
        assert_ne!(upright, flipped);
        let sure = ask(Some(Doubt { below: 0.0, turns: vec![3] }), false);
        assert_eq!(sure, upright);
        let both = ask(Some(Doubt { below: 1.0, turns: vec![3] }), false);
        let mut mean: Vec<f32> = upright.iter().zip(flipped).map(|(a, b)| a + b).collect();
        log_softmax(&mut mean, 2.0);
        assert!(both.iter().zip(mean).all(|(a, b)| (a - b).abs() < 1e-3), "{both:?}");
    }

    #[test]
    fn a_refined_box_has_its_edges_moved() {
        let bounds = BoundingBox { x: 10.0, y: 20.0, width: 20.0, height: 40.0 };
        let refined = Refined { iou_logit: 1.0, edges: [-0.1, 0.25, 0.05, 0.45] };
        assert_eq!(refined.applied(&bounds), BoundingBox::from_corners(8.0, 30.0, 31.0, 78.0));
    }

    #[test]
    fn a_transposed_box_swaps_its_sides() {
        assert_eq!(turned(SizeFeature::Width, 5), SizeFeature::Height);
        assert_eq!(turned(SizeFeature::Width, 3), SizeFeature::Width);
    }

    #[test]
    fn sizes_are_relative_to_the_cell() {
        let boxes = [3.0, 6.0, 12.0].map(|w| BoundingBox { x: 0.0, y: 0.0, width: w, height: w * 4.0 / 3.0 });
        let median = median_diagonal(boxes.iter());
        assert_eq!(median, 10.0);
        assert!((relative_size(&boxes[2], SizeFeature::Diagonal, median) - 2.0f32.ln()).abs() < 1e-6);
        assert!((relative_size(&boxes[1], SizeFeature::Width, median) - 0.6f32.ln()).abs() < 1e-6);
        assert_eq!(median_diagonal([].iter()), 1.0);
    }
}
