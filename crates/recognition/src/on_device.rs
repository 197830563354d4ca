//! The steps of recognition on a device: the frame is uploaded once, kernels and networks work on it there, and only boxes,
//! scores and logits are downloaded. What each step computes is defined by its twin on the host (`plane`, `decode`,
//! `classifier`); a test below holds the two together with the kernels on emulated threads.

use std::sync::PoisonError;

use metaphased_cuda::{Answers, Buffer, Crop, Crops, Decode, Letterbox, Plane, Prepare};

use crate::inference::{Engine, EngineError, InputSpec, MaskRule, SharedDevice, Task, Thresholds};
use domain::{
    BoundingBox, ChromosomeClass, Stain,
    frame::{Frame, FrameId, PixelView, Pixels},
};

use super::{
    Classification, Classifier, Detection, Detector,
    classifier::OrientedBox,
    crop::crop_side,
    decode::{MAX_DETECTIONS, logit, score_channel},
    plane::{must_invert, pixels_under},
};

/// A window of a frame: left, top, width, height in pixels.
type Window = (usize, usize, usize, usize);

/// Buffers and networks on the device.
pub struct OnDevice {
    device: SharedDevice,
    /// The frame that is worked on, and one that was sent ahead.
    frames: [Buffer; 2],
    /// Which frames wait in `frames`.
    waiting: [Option<FrameKey>; 2],
    /// Where the frame lies that is worked on.
    current: usize,
    plane: Plane,
    /// A second plane, where the classifier wants other levels than the detector.
    crops_plane: Plane,
    window: Window,
    input: Buffer,
    map: Buffer,
    answers: Answers,
    list: Buffer,
    crops: Buffer,
    sizes: Buffer,
    logits: Buffer,
}

/// Identifies a frame while its pixels are kept: their address, and its number.
type FrameKey = (usize, FrameId);

fn key(frame: &Frame) -> FrameKey {
    let place = match frame.pixels.view() {
        PixelView::Mono8(samples) | PixelView::Rgb8(samples) => samples.as_ptr().addr(),
        PixelView::Mono16(samples) => samples.as_ptr().addr(),
    };
    (place, frame.info.id)
}

impl OnDevice {
    /// The device's steps, where the engine has a device and the models are of the kind that the kernels know: one map, at
    /// most 24 classes.
    pub fn open(engine: &dyn Engine, detector: Option<&Detector>, classifier: Option<&Classifier>) -> Option<Self> {
        let output = &detector?.manifest.output;
        let known = output.strides.len() == 1 && output.classes.len() <= ChromosomeClass::COUNT;
        if !known || classifier.is_some_and(|c| c.manifest.task != Task::Classifier) {
            return None;
        }
        Some(Self {
            device: engine.device()?,
            frames: Default::default(),
            waiting: [None; 2],
            current: 0,
            plane: Plane::default(),
            crops_plane: Plane::default(),
            window: (0, 0, 0, 0),
            input: Buffer::default(),
            map: Buffer::default(),
            answers: Answers::default(),
            list: Buffer::default(),
            crops: Buffer::default(),
            sizes: Buffer::default(),
            logits: Buffer::default(),
        })
    }

    /// Sends a frame to the device while it works on the present one. When that fails the frame is sent again in its turn,
    /// and the error is reported then.
    pub fn prefetch(&mut self, frame: &Frame) {
        let slot = usize::from(self.waiting[0].is_some());
        let mut device = self.device.lock().unwrap_or_else(PoisonError::into_inner);
        let buffer = &mut self.frames[slot];
        if self.waiting[slot].take().is_some() && device.follow().is_err() {
            return;
        }
        let sent = match frame.pixels.view() {
            PixelView::Mono8(samples) | PixelView::Rgb8(samples) => device.upload_ahead(buffer, samples),
            PixelView::Mono16(samples) => device.upload_ahead(buffer, samples),
        };
        self.waiting[slot] = sent.is_ok().then(|| key(frame));
    }

    /// Detects on a window of a frame and suppresses doubles by `thresholds`. Boxes are in pixels of the frame.
    #[allow(clippy::too_many_arguments, reason = "the same as the host's step takes")]
    pub fn detect_objects(
        &mut self,
        detector: &mut Detector,
        frame: &Frame,
        window: &BoundingBox,
        stain: Stain,
        scale: f32,
        floor: f32,
        thresholds: &Thresholds,
    ) -> Result<Vec<Detection>, EngineError> {
        let mut device = self.device.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = failure(&detector.manifest.name);
        let pixels = &frame.pixels;
        let prefetched = self.waiting.iter().position(|waiting| *waiting == Some(key(frame)));
        self.current = prefetched.unwrap_or_else(|| usize::from(self.waiting[0].is_some()));
        let buffer = &mut self.frames[self.current];
        // Also where this one replaces a frame that was sent ahead.
        if self.waiting[self.current].take().is_some() {
            device.follow().map_err(&failed)?;
        }
        match pixels.view() {
            _ if prefetched.is_some() => Ok(()),
            PixelView::Mono8(samples) | PixelView::Rgb8(samples) => device.upload(buffer, samples),
            PixelView::Mono16(samples) => device.upload(buffer, samples),
        }
        .map_err(&failed)?;
        self.window = pixels_under(window, pixels.width(), pixels.height());
        let (left, top, from_width, from_height) = self.window;
        let prepare = preparation(pixels, self.window, stain, &detector.manifest.input);
        device.prepare(&prepare, &self.frames[self.current], &mut self.plane).map_err(&failed)?;

        let (width, height, stride, rows) = detector.input_size(from_width, from_height, scale);
        let manifest = &detector.manifest;
        let spec = &manifest.input;
        let letterbox = Letterbox {
            from_width: from_width as u32,
            from_height: from_height as u32,
            to_width: width as u32,
            to_height: height as u32,
            stride: stride as u32,
            rows: rows as u32,
            channels: spec.channels as u32,
            mean: spec.mean,
            std: spec.std,
            pad: spec.pad,
        };
        device.letterbox(&letterbox, &self.plane, &mut self.input).map_err(&failed)?;
        let level = manifest.output.strides.first().copied().unwrap_or(8);
        let name = format!("stride{level}");
        let shape = [1, spec.channels, rows, stride];
        let inputs = [(spec.tensor.as_str(), &shape[..], &self.input)];
        let found = detector.session.run_on(&mut device, &inputs, &name, &mut self.map)?;
        detector.check(&name, &found, [rows / level, stride / level])?;

        let mut class_index = [0; 32];
        for (index, class) in class_index.iter_mut().zip(&detector.classes) {
            *index = class.index() as u8;
        }
        let decode = Decode {
            rows: (rows / level) as u32,
            columns: (stride / level) as u32,
            stride: level as u32,
            classes: manifest.output.classes.len() as u32,
            channels: manifest.map_channels() as u32,
            score_channel: score_channel(manifest) as u32,
            most: MAX_DETECTIONS as u32,
            least: logit(floor),
            class_temperature: manifest.calibration.class_temperature,
            back_x: from_width as f32 / width as f32,
            back_y: from_height as f32 / height as f32,
            width: from_width as f32,
            height: from_height as f32,
            left: left as f32,
            top: top as f32,
            iou: thresholds.nms_iou,
            same_class_iou: thresholds.nms_same_class_iou,
            average_iou: thresholds.average_iou.unwrap_or(-1.0),
            class_index,
        };
        let records = device.decode(&decode, &self.map, &mut self.answers).map_err(&failed)?;
        let knows_classes = !manifest.output.classes.is_empty();
        let detection = |r: &metaphased_cuda::Record| Detection {
            bounds: BoundingBox { x: r.x, y: r.y, width: r.width, height: r.height },
            score: r.score,
            classes: knows_classes.then_some(r.log_probs),
            accepted: false,
        };
        Ok(records.iter().map(detection).collect())
    }

    /// Classifies boxes on the window that [`detect_objects`](Self::detect_objects) worked on last. `same`: the classifier wants the same grey
    /// levels as the detector.
    #[allow(clippy::too_many_arguments, reason = "the same as the host's step takes")]
    pub fn classify(
        &mut self,
        classifier: &mut Classifier,
        frame: &Frame,
        window: &BoundingBox,
        stain: Stain,
        same: bool,
        boxes: &[BoundingBox],
        median: f32,
    ) -> Result<Vec<Classification>, EngineError> {
        if boxes.is_empty() {
            return Ok(Vec::new());
        }
        debug_assert_eq!(self.window, pixels_under(window, frame.pixels.width(), frame.pixels.height()));
        if !same {
            let prepare = preparation(&frame.pixels, self.window, stain, &classifier.manifest.input);
            let mut device = self.device.lock().unwrap_or_else(PoisonError::into_inner);
            device
                .prepare(&prepare, &self.frames[self.current], &mut self.crops_plane)
                .map_err(failure(&classifier.manifest.name))?;
        }
        classifier.repeat_in_doubt(boxes.len(), |classifier, views| {
            self.classify_batch(classifier, same, boxes, views, median)
        })
    }

    /// One batch of the classifier.
    fn classify_batch(
        &mut self,
        classifier: &mut Classifier,
        same: bool,
        boxes: &[BoundingBox],
        views: &[OrientedBox],
        median: f32,
    ) -> Result<Vec<Classification>, EngineError> {
        if views.is_empty() {
            return Ok(Vec::new());
        }
        let mut device = self.device.lock().unwrap_or_else(PoisonError::into_inner);
        classifier.set_sizes(views.iter().map(|(i, orientation)| (&boxes[*i], *orientation)), median);
        let failed = failure(&classifier.manifest.name);
        let spec = &classifier.manifest.input;
        let (left, top, width, height) = self.window;
        let plane = if same { &self.plane } else { &self.crops_plane };
        let side = spec.size.unwrap_or(96);
        let rule = Crops {
            side: side as u32,
            supersample: spec.crop.supersample as u32,
            channels: spec.channels as u32,
            mask_box: u32::from(spec.mask == MaskRule::Box),
            pad: spec.pad.clamp(0.0, 255.0) as u32,
            width: width as u32,
            height: height as u32,
            mean: spec.mean,
            std: spec.std,
        };
        let crop = |(i, orientation): &OrientedBox| {
            let b = &boxes[*i];
            Crop {
                x: b.x - left as f32 + b.width / 2.0,
                y: b.y - top as f32 + b.height / 2.0,
                square: crop_side(b, median, spec),
                half_width: b.width / 2.0,
                half_height: b.height / 2.0,
                turn: 1.0,
                orientation: u32::from(*orientation),
            }
        };
        let crops: Vec<Crop> = views.iter().map(crop).collect();
        device.crops(&rule, &crops, plane, &mut self.list, &mut self.crops).map_err(&failed)?;
        let crop_shape = [views.len(), spec.channels, side, side];
        let size_shape = [views.len(), spec.sizes.len()];
        let mut inputs = vec![(spec.tensor.as_str(), &crop_shape[..], &self.crops)];
        if let Some(name) = &spec.size_tensor {
            device.upload(&mut self.sizes, &classifier.sizes).map_err(&failed)?;
            inputs.push((name.as_str(), &size_shape[..], &self.sizes));
        }
        let tensor = &classifier.manifest.output.tensor;
        let shape = classifier.session.run_on(&mut device, &inputs, tensor, &mut self.logits)?;
        let logits: Vec<f32> = device.download(&self.logits, shape.iter().product()).map_err(&failed)?;
        classifier.read_outputs(&shape, &logits, views.len())
    }
}

fn failure(model: &str) -> impl Fn(metaphased_cuda::Error) -> EngineError {
    let model = model.to_owned();
    move |error| EngineError::Run { engine: "tensorrt", model: model.clone(), reason: error.to_string() }
}

fn preparation(pixels: &Pixels, window: Window, stain: Stain, spec: &InputSpec) -> Prepare {
    let (left, top, width, height) = window;
    let background = spec.background;
    Prepare {
        format: match pixels.view() {
            PixelView::Mono8(_) => 0,
            PixelView::Mono16(_) => 1,
            PixelView::Rgb8(_) => 2,
        },
        frame_width: pixels.width() as u32,
        left: left as u32,
        top: top as u32,
        width: width as u32,
        height: height as u32,
        white: (1u32 << pixels.valid_bits()) - 1,
        invert: u32::from(must_invert(stain, spec)),
        has_background: u32::from(background.is_some()),
        percentile: background.map_or(0.0, |b| b.percentile),
        level: background.map_or(0.0, |b| b.level),
    }
}

#[cfg(test)]
mod tests;
