//! The classifier: crops of the chromosomes of a cell in, log probabilities out; one batch a cell.

use crate::{
    cell::{BoundingBox, ChromosomeClass},
    inference::{
        Engine, EngineError, Input, InputSpec, Manifest, MaskRule, ModelError, ModelFolder, Precision, Session,
        SizeFeature, Task, load,
    },
};

use super::{decode::log_softmax, plane::Plane};

/// Natural logarithms of the probabilities of the 24 classes and, last, of being no single chromosome.
pub type LogProbs = [f32; ChromosomeClass::COUNT + 1];

/// A classifier that is ready to run.
pub struct Classifier {
    session: Box<dyn Session>,
    manifest: Manifest,
    classes: Vec<ChromosomeClass>,
    label: String,
    crops: Vec<f32>,
    sizes: Vec<f32>,
}

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
        classifier.classify(&[Item { plane: &empty, bounds, flipped: false }], 1.0)?;
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

    /// Log probabilities of each of the chromosomes of one cell, in order. `scale` is the number of crop pixels for a
    /// pixel of the plane. Sizes are relative to the cell, so all its chromosomes belong in one call.
    ///
    /// # Errors
    /// When the engine fails or gives another shape than the manifest says.
    pub fn classify(&mut self, items: &[Item<'_>], scale: f32) -> Result<Vec<LogProbs>, EngineError> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let spec = &self.manifest.input;
        let side = spec.size.unwrap_or(96);
        let one = spec.channels * side * side;
        self.crops.clear();
        self.crops.resize(items.len() * one, 0.0);
        for (item, crop) in items.iter().zip(self.crops.chunks_exact_mut(one)) {
            cut(item, scale, side, spec, crop);
        }
        relative_sizes(items, &spec.sizes, &mut self.sizes);
        let crop_shape = [items.len(), spec.channels, side, side];
        let size_shape = [items.len(), spec.sizes.len()];
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
        let expected = self.classes.len() + usize::from(self.manifest.output.other);
        let model = self.manifest.name.clone();
        match logits.shape[..] {
            [rows, found] if rows == items.len() && found == expected => {}
            [rows, found] if rows == items.len() => {
                return Err(ModelError::WrongClassCount { model, expected, found }.into());
            }
            _ => {
                return Err(ModelError::WrongShape {
                    model,
                    tensor: tensor.clone(),
                    expected: format!("[{}, {expected}]", items.len()),
                    found: format!("{:?}", logits.shape),
                }
                .into());
            }
        }
        Ok(logits.data.chunks_exact(expected).map(|row| self.log_probs(row)).collect())
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

/// Cuts one chromosome out: the crop is centred on its box and covers `side / scale` pixels of the plane.
fn cut(item: &Item<'_>, scale: f32, side: usize, spec: &InputSpec, out: &mut [f32]) {
    let b = &item.bounds;
    let (left, top) = (b.x - item.plane.left as f32, b.y - item.plane.top as f32);
    // A chromosome longer than the crop is shrunk to fit.
    let longest = b.width.max(b.height).max(1.0);
    let scale = scale.min(side as f32 / longest);
    let step = 1.0 / scale;
    let (cx, cy) = (left + b.width / 2.0, top + b.height / 2.0);
    let middle = side as f32 / 2.0;
    let turn = if item.flipped { -1.0 } else { 1.0 };
    // Position of the middle of pixel i of the crop on the plane.
    let at = |i: usize, centre: f32| centre + turn * (i as f32 + 0.5 - middle) * step;
    let area = side * side;
    for y in 0..side {
        let py = at(y, cy);
        for x in 0..side {
            let px = at(x, cx);
            let grey = sample(item.plane, px, py, step, spec.pad);
            out[y * side + x] = (grey / 255.0 - spec.mean) / spec.std;
        }
    }
    match spec.mask {
        MaskRule::None => {
            for channel in 1..spec.channels {
                out.copy_within(..area, channel * area);
            }
        }
        // The networks are trained with the box where no mask is known.
        MaskRule::Box | MaskRule::Segmentation => {
            for y in 0..side {
                let inside_y = (top..top + b.height).contains(&at(y, cy));
                for x in 0..side {
                    let inside = inside_y && (left..left + b.width).contains(&at(x, cx));
                    out[area + y * side + x] = f32::from(inside);
                }
            }
        }
    }
}

/// Grey value at a place of the plane: linear between pixels, averaged over a square of `step` pixels where it shrinks.
fn sample(plane: &Plane, x: f32, y: f32, step: f32, pad: f32) -> f32 {
    let n = (step.ceil() as usize).clamp(1, 4);
    let mut sum = 0.0;
    for j in 0..n {
        let sy = y + ((j as f32 + 0.5) / n as f32 - 0.5) * step;
        for i in 0..n {
            let sx = x + ((i as f32 + 0.5) / n as f32 - 0.5) * step;
            sum += bilinear(plane, sx, sy, pad);
        }
    }
    sum / (n * n) as f32
}

fn bilinear(plane: &Plane, x: f32, y: f32, pad: f32) -> f32 {
    let (fx, fy) = (x - 0.5, y - 0.5);
    let (x0, y0) = (fx.floor(), fy.floor());
    let (wx, wy) = (fx - x0, fy - y0);
    let (x0, y0) = (x0 as isize, y0 as isize);
    let pad = pad.clamp(0.0, 255.0) as u8;
    let value = |dx: isize, dy: isize| f32::from(plane.at(x0 + dx, y0 + dy, pad));
    let upper = value(0, 0) * (1.0 - wx) + value(1, 0) * wx;
    let lower = value(0, 1) * (1.0 - wx) + value(1, 1) * wx;
    upper * (1.0 - wy) + lower * wy
}

/// Natural logarithm of each measure over its median in the cell, row by row.
fn relative_sizes(items: &[Item<'_>], features: &[SizeFeature], out: &mut Vec<f32>) {
    out.clear();
    out.resize(items.len() * features.len(), 0.0);
    for (f, feature) in features.iter().enumerate() {
        let measures: Vec<f32> = items.iter().map(|item| measure(item, *feature).max(1.0)).collect();
        let mut sorted = measures.clone();
        sorted.sort_by(f32::total_cmp);
        let median = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
        for (i, value) in measures.iter().enumerate() {
            out[i * features.len() + f] = (value / median).ln();
        }
    }
}

fn measure(item: &Item<'_>, feature: SizeFeature) -> f32 {
    let b = &item.bounds;
    match feature {
        SizeFeature::Diagonal => b.width.hypot(b.height),
        SizeFeature::Width => b.width,
        SizeFeature::Height => b.height,
        SizeFeature::Longer => b.width.max(b.height),
        SizeFeature::Area => b.area(),
        SizeFeature::DarkArea => dark_area(item),
    }
}

fn dark_area(item: &Item<'_>) -> f32 {
    let (plane, b) = (item.plane, &item.bounds);
    let (left, top) = (b.x - plane.left as f32, b.y - plane.top as f32);
    let columns = left.round() as isize..(left + b.width).round() as isize;
    let rows = top.round() as isize..(top + b.height).round() as isize;
    let values: Vec<u8> =
        rows.flat_map(|y| columns.clone().map(move |x| (x, y))).map(|(x, y)| plane.at(x, y, 255)).collect();
    let (darkest, ground) = values.iter().fold((255u8, 0u8), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
    let limit = (u16::from(darkest) + u16::from(ground)) / 2;
    values.iter().filter(|v| u16::from(**v) < limit).count() as f32
}

/// Joins what detector and classifier say about one chromosome: the class probabilities multiply (the detector's to the
/// power of `weight`), the classifier alone says whether it is a single chromosome at all.
pub fn combine(
    detector: Option<&[f32; ChromosomeClass::COUNT]>,
    classifier: Option<&LogProbs>,
    weight: f32,
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
                *value = c[i] + weight * d[i];
            }
        }
    }
    log_softmax(&mut sum, temperature);
    // ln(1 - p_other), kept finite where the classifier is sure that this is no chromosome.
    let single = (1.0 - other.exp()).max(1e-9).ln();
    let mut all = [other.max(IMPOSSIBLE); N + 1];
    for (value, class) in all.iter_mut().zip(sum) {
        *value = (class + single).max(IMPOSSIBLE);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_probabilities_sum_to_one_and_follow_the_surer_network() {
        let mut detector = [(0.4f32 / 22.0).ln(); 24];
        detector[3] = 0.3f32.ln();
        detector[4] = 0.3f32.ln();
        let mut classifier = [(0.1f32 / 22.0).ln(); 25];
        classifier[4] = 0.6f32.ln();
        classifier[3] = 0.1f32.ln();
        classifier[24] = 0.2f32.ln();
        let joined = combine(Some(&detector), Some(&classifier), 1.0, 1.0).unwrap();
        let total: f32 = joined.iter().map(|v| v.exp()).sum();
        assert!((total - 1.0).abs() < 1e-4, "{total}");
        assert!((joined[24].exp() - 0.2).abs() < 1e-4);
        assert!(joined[4] > joined[3]);
        assert!(combine(None, None, 1.0, 1.0).is_none());
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
        let spec = InputSpec { mean: 0.0, std: 1.0 / 255.0, size: Some(16), ..manifest.input };
        let bounds = BoundingBox { x: 106.0, y: 58.0, width: 8.0, height: 4.0 };
        let mut out = vec![0.0; 2 * 256];
        cut(&Item { plane: &plane, bounds, flipped: false }, 1.0, 16, &spec, &mut out);
        let dark = |x: usize, y: usize| out[y * 16 + x] < 30.0;
        assert!(dark(4, 6) && dark(11, 9) && !dark(3, 6) && !dark(4, 5) && !dark(12, 9));
        let mask: f32 = out[256..].iter().sum();
        assert_eq!(mask, 32.0);
        assert!(out[256 + 6 * 16 + 4] == 1.0 && out[256 + 5 * 16 + 4] == 0.0);
    }

    #[test]
    fn sizes_are_relative_to_the_cell() {
        let plane = Plane::default();
        let item = |side: f32| Item {
            plane: &plane,
            bounds: BoundingBox { x: 0.0, y: 0.0, width: side, height: side },
            flipped: false,
        };
        let mut out = Vec::new();
        relative_sizes(&[item(10.0), item(20.0), item(40.0)], &[SizeFeature::Width, SizeFeature::Area], &mut out);
        let ln2 = std::f32::consts::LN_2;
        let expected = [-ln2, -2.0 * ln2, 0.0, 0.0, ln2, 2.0 * ln2];
        assert!(out.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{out:?}");
    }
}
