//! The classifier: crops of the chromosomes of a cell in, log probabilities out; one batch a cell.

use crate::{
    cell::{BoundingBox, ChromosomeClass},
    inference::{
        Engine, EngineError, Input, InputSpec, Manifest, MaskRule, ModelError, ModelFolder, Precision, Session,
        SizeFeature, Task, Thresholds, load,
    },
};

use super::{decode::log_softmax, plane::Plane};

/// Natural logarithms of the probabilities of the 24 classes and, last, of being no single chromosome.
pub type LogProbs = [f32; ChromosomeClass::COUNT + 1];

/// A classifier that is ready to run.
pub struct Classifier {
    pub(super) session: Box<dyn Session>,
    pub(super) manifest: Manifest,
    classes: Vec<ChromosomeClass>,
    label: String,
    crops: Vec<f32>,
    pub(super) sizes: Vec<f32>,
}

/// A look at a chromosome: its place in the list, and its orientation as in [`Doubt::turns`](crate::inference::Doubt::turns).
pub(super) type Look = (usize, u8);

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
        let mut classifier =
            Self { session, classes, label: model.label(), manifest, crops: Vec::new(), sizes: Vec::new() };
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

    /// Log probabilities of each of the chromosomes, in order, in one batch; where the model says so, those in doubt are
    /// looked at again in other orientations, all in one more batch. `median` is the median diagonal of the boxes of
    /// their cell in pixels ([`median_diagonal`]): sizes are told relative to it.
    ///
    /// # Errors
    /// When the engine fails or gives another shape than the manifest says.
    pub fn classify(&mut self, items: &[Item<'_>], median: f32) -> Result<Vec<LogProbs>, EngineError> {
        self.twice_in_doubt(items.len(), |classifier, views| classifier.look(items, views, median))
    }

    /// Looks at all, and at those in doubt again, with `look`: one batch each.
    pub(super) fn twice_in_doubt(
        &mut self,
        count: usize,
        mut look: impl FnMut(&mut Self, &[Look]) -> Result<Vec<LogProbs>, EngineError>,
    ) -> Result<Vec<LogProbs>, EngineError> {
        let first: Vec<Look> = (0..count).map(|i| (i, 0)).collect();
        let mut answers = look(self, &first)?;
        let Some(doubt) = self.manifest.input.doubt.clone() else { return Ok(answers) };
        let least = doubt.below.ln();
        let doubtful: Vec<usize> =
            (0..answers.len()).filter(|i| answers[*i].iter().all(|log_prob| *log_prob < least)).collect();
        let again: Vec<Look> = doubtful.iter().flat_map(|i| doubt.turns.iter().map(|turn| (*i, *turn))).collect();
        let views = look(self, &again)?;
        for (i, views) in doubtful.iter().zip(views.chunks(doubt.turns.len().max(1))) {
            let answer = &mut answers[*i];
            for view in views {
                answer.iter_mut().zip(view).for_each(|(sum, log_prob)| *sum += log_prob);
            }
            // The mean over the views, normalised.
            log_softmax(answer, (1 + views.len()) as f32);
        }
        Ok(answers)
    }

    /// One batch.
    fn look(&mut self, items: &[Item<'_>], views: &[Look], median: f32) -> Result<Vec<LogProbs>, EngineError> {
        if views.is_empty() {
            return Ok(Vec::new());
        }
        let spec = &self.manifest.input;
        let side = spec.size.unwrap_or(96);
        let one = spec.channels * side * side;
        self.crops.clear();
        self.crops.resize(views.len() * one, 0.0);
        for ((i, orientation), crop) in views.iter().zip(self.crops.chunks_exact_mut(one)) {
            cut(&items[*i], median, side, spec, crop);
            crop.chunks_exact_mut(side * side).for_each(|channel| turn(channel, side, *orientation));
        }
        self.measure(views.iter().map(|(i, orientation)| (&items[*i].bounds, *orientation)), median);
        let spec = &self.manifest.input;
        let crop_shape = [views.len(), spec.channels, side, side];
        let size_shape = [views.len(), spec.sizes.len()];
        let mut inputs = vec![Input { name: &spec.tensor, shape: &crop_shape, data: &self.crops }];
        if let Some(name) = &spec.size_tensor {
            inputs.push(Input { name, shape: &size_shape, data: &self.sizes });
        }
        let outputs = self.session.run(&inputs)?;
        let tensor = &self.manifest.output.tensor;
        let logits = outputs.iter().find(|(name, _)| name == tensor).map(|(_, logits)| logits).ok_or_else(|| {
            let names: Vec<&str> = outputs.iter().map(|(output, _)| output.as_str()).collect();
            ModelError::MissingTensor {
                model: self.manifest.name.clone(),
                tensor: tensor.clone(),
                found: names.join(", "),
            }
        })?;
        self.read(&logits.shape, &logits.data, views.len())
    }

    /// Relative sizes of boxes in their orientations: the second input.
    pub(super) fn measure<'a>(&mut self, boxes: impl Iterator<Item = (&'a BoundingBox, u8)>, median: f32) {
        self.sizes.clear();
        for (bounds, orientation) in boxes {
            let size = |feature: &SizeFeature| relative_size(bounds, turned(*feature, orientation), median);
            self.sizes.extend(self.manifest.input.sizes.iter().map(size));
        }
    }

    /// Log probabilities from the logits of `count` crops.
    pub(super) fn read(&self, shape: &[usize], logits: &[f32], count: usize) -> Result<Vec<LogProbs>, EngineError> {
        let expected = self.classes.len() + usize::from(self.manifest.output.other);
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
        Ok(logits.chunks_exact(expected).map(|row| self.log_probs(row)).collect())
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

/// Side in pixels of the square that is cut out around a box.
pub(super) fn crop_side(bounds: &BoundingBox, median: f32, spec: &InputSpec) -> f32 {
    (spec.crop.margin * bounds.width.max(bounds.height)).max(spec.crop.floor * median).max(1.0)
}

/// Cuts one chromosome out, after the model's crop rule.
fn cut(item: &Item<'_>, median: f32, side: usize, spec: &InputSpec, out: &mut [f32]) {
    let b = &item.bounds;
    let square = crop_side(b, median, spec);
    let (cx, cy) = (b.x - item.plane.left as f32 + b.width / 2.0, b.y - item.plane.top as f32 + b.height / 2.0);
    let n = spec.crop.supersample;
    let step = square / (side * n) as f32;
    let turn = if item.flipped { -1.0 } else { 1.0 };
    let middle = (side * n) as f32 / 2.0;
    let gain = 1.0 / (255.0 * spec.std * (n * n) as f32);
    let shift = -spec.mean / spec.std;
    let pad = spec.pad.clamp(0.0, 255.0) as u8;
    let area = side * side;
    // Columns of the lattice are the same in every row.
    let columns: Vec<(isize, f32)> =
        (0..side * n).map(|i| split(cx + turn * (i as f32 + 0.5 - middle) * step)).collect();
    for y in 0..side {
        for j in 0..n {
            let row = split(cy + turn * ((y * n + j) as f32 + 0.5 - middle) * step);
            let line = &mut out[y * side..(y + 1) * side];
            for (value, columns) in line.iter_mut().zip(columns.chunks_exact(n)) {
                *value += columns.iter().map(|column| bilinear(item.plane, *column, row, pad)).sum::<f32>();
            }
        }
    }
    for value in &mut out[..area] {
        *value = *value * gain + shift;
    }
    match spec.mask {
        MaskRule::None => {
            for channel in 1..spec.channels {
                out.copy_within(..area, channel * area);
            }
        }
        MaskRule::Box => {
            let distance = |i: usize| (((i as f32 + 0.5) / side as f32 - 0.5) * square).abs();
            for y in 0..side {
                for x in 0..side {
                    let inside = distance(y) <= b.height / 2.0 && distance(x) <= b.width / 2.0;
                    out[area + y * side + x] = f32::from(inside);
                }
            }
        }
    }
}

/// Brings a square of `side` values into an orientation: bit 0 mirrors left and right, bit 1 top and bottom, bit 2
/// transposes after that.
fn turn(channel: &mut [f32], side: usize, orientation: u8) {
    if orientation & 1 != 0 {
        channel.chunks_exact_mut(side).for_each(<[f32]>::reverse);
    }
    if orientation & 2 != 0 {
        let (upper, lower) = channel.split_at_mut(side / 2 * side);
        upper.chunks_exact_mut(side).zip(lower.rchunks_exact_mut(side)).for_each(|(a, b)| a.swap_with_slice(b));
    }
    if orientation & 4 != 0 {
        for y in 0..side {
            for x in 0..y {
                channel.swap(y * side + x, x * side + y);
            }
        }
    }
}

/// What a measure of the upright box is called after the turn.
fn turned(feature: SizeFeature, orientation: u8) -> SizeFeature {
    match feature {
        SizeFeature::Width if orientation & 4 != 0 => SizeFeature::Height,
        SizeFeature::Height if orientation & 4 != 0 => SizeFeature::Width,
        same => same,
    }
}

/// A place on an axis as the pixel whose middle lies before it and the share of the next one.
fn split(place: f32) -> (isize, f32) {
    let before = (place - 0.5).floor();
    (before as isize, place - 0.5 - before)
}

/// Linear interpolation between the middles of four pixels.
fn bilinear(plane: &Plane, (x, wx): (isize, f32), (y, wy): (isize, f32), pad: u8) -> f32 {
    let value = |dx: isize, dy: isize| f32::from(plane.at(x + dx, y + dy, pad));
    let upper = value(0, 0) * (1.0 - wx) + value(1, 0) * wx;
    let lower = value(0, 1) * (1.0 - wx) + value(1, 1) * wx;
    upper * (1.0 - wy) + lower * wy
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
    fn a_turn_mirrors_first_and_transposes_then() {
        let square: Vec<f32> = (0..9).map(|i| i as f32).collect();
        let after = |orientation| {
            let mut square = square.clone();
            turn(&mut square, 3, orientation);
            square.iter().map(|v| *v as u8).collect::<Vec<_>>()
        };
        assert_eq!(after(0), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(after(1), [2, 1, 0, 5, 4, 3, 8, 7, 6]);
        assert_eq!(after(2), [6, 7, 8, 3, 4, 5, 0, 1, 2]);
        assert_eq!(after(3), [8, 7, 6, 5, 4, 3, 2, 1, 0]);
        assert_eq!(after(4), [0, 3, 6, 1, 4, 7, 2, 5, 8]);
        assert_eq!(after(5), [2, 5, 8, 1, 4, 7, 0, 3, 6]);
        assert_eq!(turned(SizeFeature::Width, 5), SizeFeature::Height);
        assert_eq!(turned(SizeFeature::Width, 3), SizeFeature::Width);
    }

    #[test]
    fn a_crop_is_centred_on_its_box_and_its_mask_is_the_box() {
        let mut plane = Plane { data: vec![220; 400], width: 20, height: 20, left: 100, top: 50 };
        for y in 8..12 {
            for x in 6..14 {
                plane.data[y * 20 + x] = 20;
            }
        }
        let manifest = Manifest::parse(include_str!("../../tests/data/models/tiny-classifier/model.toml")).unwrap();
        let crop = crate::inference::CropRule { margin: 2.0, floor: 0.0, supersample: 2 };
        let spec = InputSpec { mean: 0.0, std: 1.0 / 255.0, size: Some(16), crop, ..manifest.input };
        let bounds = BoundingBox { x: 106.0, y: 58.0, width: 8.0, height: 4.0 };
        let mut out = vec![0.0; 2 * 256];
        cut(&Item { plane: &plane, bounds, flipped: false }, 1.0, 16, &spec, &mut out);
        let dark = |x: usize, y: usize| out[y * 16 + x] < 80.0;
        assert!(dark(4, 6) && dark(11, 9) && !dark(3, 6) && !dark(4, 5) && !dark(12, 9));
        let mask: f32 = out[256..].iter().sum();
        assert_eq!(mask, 32.0);
        assert!(out[256 + 6 * 16 + 4] == 1.0 && out[256 + 5 * 16 + 4] == 0.0);
        let mut turned = vec![0.0; 2 * 256];
        cut(&Item { plane: &plane, bounds, flipped: true }, 1.0, 16, &spec, &mut turned);
        let back: Vec<f32> = turned[..256].iter().rev().copied().collect();
        assert!(out[..256].iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-3));
    }

    #[test]
    fn what_is_in_doubt_is_looked_at_again_and_the_views_are_averaged() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models/tiny-classifier");
        let model = ModelFolder::open(&folder).unwrap();
        let data = (0..400).map(|i| (i * 37 % 200) as u8).collect();
        let plane = Plane { data, width: 20, height: 20, left: 0, top: 0 };
        let bounds = BoundingBox { x: 4.0, y: 6.0, width: 12.0, height: 5.0 };
        let ask = |doubt: Option<Doubt>, flipped: bool| {
            let mut classifier = Classifier::load(&CpuEngine::new(1), &model, None).unwrap();
            classifier.manifest.input.doubt = doubt;
            classifier.classify(&[Item { plane: &plane, bounds, flipped }], 13.0).unwrap()[0]
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
    fn sizes_are_relative_to_the_cell() {
        let boxes = [3.0, 6.0, 12.0].map(|w| BoundingBox { x: 0.0, y: 0.0, width: w, height: w * 4.0 / 3.0 });
        let median = median_diagonal(boxes.iter());
        assert_eq!(median, 10.0);
        assert!((relative_size(&boxes[2], SizeFeature::Diagonal, median) - 2.0f32.ln()).abs() < 1e-6);
        assert!((relative_size(&boxes[1], SizeFeature::Width, median) - 0.6f32.ln()).abs() < 1e-6);
        assert_eq!(median_diagonal([].iter()), 1.0);
    }
}
