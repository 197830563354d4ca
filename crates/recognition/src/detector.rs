//! The detector: a plane in, boxes with scores and classes out.

use crate::inference::{Engine, EngineError, Input, Manifest, ModelError, ModelFolder, Precision, Session, Task, load};
use domain::{BoundingBox, ChromosomeClass};

use super::{
    decode::{Detection, decode},
    plane::Plane,
};

/// A detector that is ready to run.
pub struct Detector {
    pub(super) session: Box<dyn Session>,
    pub(super) manifest: Manifest,
    pub(super) classes: Vec<ChromosomeClass>,
    label: String,
    input: Vec<f32>,
}

impl Detector {
    /// Loads a model folder and runs it once on an empty picture, so that a network that does not fit its manifest is
    /// found now and not at the first cell.
    ///
    /// # Errors
    /// When the model is no detector, its file is missing or altered, the engine refuses it, or the shapes or the number
    /// of classes differ from what the manifest says.
    pub fn load(engine: &dyn Engine, model: &ModelFolder, precision: Option<Precision>) -> Result<Self, EngineError> {
        let manifest = model.manifest.clone();
        if manifest.task != Task::Detector {
            return Err(ModelError::WrongTask {
                model: manifest.name,
                expected: Task::Detector.to_string(),
                found: manifest.task.to_string(),
            }
            .into());
        }
        let classes = manifest
            .chromosome_classes()
            .map_err(|reason| ModelError::Manifest { path: model.path.join("model.toml"), reason })?;
        let session = load(engine, model, precision)?;
        let mut detector = Self { session, classes, label: model.label(), manifest, input: Vec::new() };
        let side = detector.multiple() * 2;
        let empty = Plane { data: vec![220; side * side], width: side, height: side, left: 0, top: 0 };
        detector.detect(&empty, 1.0, 1.0)?;
        Ok(detector)
    }

    /// What the model says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// `name@hash12`.
    pub fn label(&self) -> &str {
        &self.label
    }

    fn multiple(&self) -> usize {
        self.manifest.input.stride.unwrap_or(32)
    }

    /// Width and height of a plane in the network's input, then those of the padded input.
    pub(super) fn input_size(&self, width: usize, height: usize, scale: f32) -> (usize, usize, usize, usize) {
        let longest = width.max(height).max(1) as f32;
        let scale = scale.min(self.manifest.input.max_side.unwrap_or(4096) as f32 / longest);
        let side = |pixels: usize| ((pixels as f32 * scale).round_ties_even() as usize).max(1);
        let (width, height, multiple) = (side(width), side(height), self.multiple());
        (width, height, width.next_multiple_of(multiple), height.next_multiple_of(multiple))
    }

    /// Every detection with a score of at least `floor`, best first, before suppression. Boxes are in pixels of the frame,
    /// clipped to the plane. `scale` is the number of input pixels for a pixel of the plane; planes that would grow
    /// beyond the model's largest side are shrunk further.
    ///
    /// # Errors
    /// When the engine fails or gives another shape than the manifest says.
    pub fn detect(&mut self, plane: &Plane, scale: f32, floor: f32) -> Result<Vec<Detection>, EngineError> {
        let (width, height, stride, rows) = self.input_size(plane.width, plane.height, scale);
        let spec = &self.manifest.input;
        let (mean, std) = (spec.mean, spec.std);
        self.input.clear();
        self.input.resize(stride * rows * spec.channels, (spec.pad / 255.0 - mean) / std);
        let area = stride * rows;
        plane.resize_into(&mut self.input[..area], stride, (width, height), mean, std);
        for channel in 1..spec.channels {
            self.input.copy_within(..area, channel * area);
        }
        let shape = [1, spec.channels, rows, stride];
        let outputs = self.session.run(&[Input { name: &spec.tensor, shape: &shape, data: &self.input }])?;

        let (back_x, back_y) = (plane.width as f32 / width as f32, plane.height as f32 / height as f32);
        let mut found = Vec::new();
        for &level in &self.manifest.output.strides {
            let name = format!("stride{level}");
            let map = outputs.iter().find(|(output, _)| *output == name).map(|(_, map)| map).ok_or_else(|| {
                let names: Vec<&str> = outputs.iter().map(|(output, _)| output.as_str()).collect();
                ModelError::MissingTensor {
                    model: self.manifest.name.clone(),
                    tensor: name.clone(),
                    found: names.join(", "),
                }
            })?;
            self.check(&name, &map.shape, [rows / level, stride / level])?;
            found.extend(decode(map, level, &self.manifest, &self.classes, floor));
        }
        if self.manifest.output.strides.len() > 1 {
            found.sort_by(|a, b| b.score.total_cmp(&a.score));
        }
        let (left, top) = (plane.left as f32, plane.top as f32);
        let (width, height) = (plane.width as f32, plane.height as f32);
        found.retain_mut(|detection| {
            let b = detection.bounds;
            let inside = BoundingBox::from_corners(b.x * back_x, b.y * back_y, b.right() * back_x, b.bottom() * back_y)
                .clipped(width, height);
            detection.bounds = BoundingBox { x: inside.x + left, y: inside.y + top, ..inside };
            inside.width >= 1.0 && inside.height >= 1.0 && detection.score.is_finite()
        });
        Ok(found)
    }

    pub(super) fn check(&self, tensor: &str, shape: &[usize], [rows, columns]: [usize; 2]) -> Result<(), EngineError> {
        let channels = self.manifest.map_channels();
        let model = self.manifest.name.clone();
        if let [1, found, ..] = shape[..]
            && found != channels
            && shape.len() == 4
        {
            let others = 5 + self.manifest.output.extra.len();
            let (expected, found) = (self.manifest.output.classes.len(), found.saturating_sub(others));
            return Err(ModelError::WrongClassCount { model, expected, found }.into());
        }
        if shape != [1, channels, rows, columns] {
            return Err(ModelError::WrongShape {
                model,
                tensor: tensor.to_owned(),
                expected: format!("[1, {channels}, {rows}, {columns}]"),
                found: format!("{shape:?}"),
            }
            .into());
        }
        Ok(())
    }
}
