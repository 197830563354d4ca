//! The composed recognizer: detector, suppression, selection and classifier, one step after the other, on any engine.

use std::{collections::BTreeMap, time::Instant};

use crate::{
    inference::InferenceConfig,
    inference::{ChosenEngine, ModelError, ModelFolder, ModelLibrary, Precision, ScaleRule, Task, Thresholds, View},
};
use domain::{BoundingBox, Cell, ChromosomeClass, Stain, Status, frame::Frame};
use imaging::GrayImage;

use super::{
    AnatomyNetwork, Candidate, Classification, Classifier, ContextNetwork, Detection, Detector, DrawnChromosome, Item,
    Plane, Provenance, Recognised, RecognitionError, Recognizer, Region, Segmented, Triage, TriageOptions, combine,
    grouping::{group_into_cells, with_margin},
    median_diagonal,
    merge::merge,
    select_detections, suppress,
};

/// How the frames of a source are to be recognised.
#[derive(Debug, Clone, Default)]
pub struct Recognition {
    /// Name of the detector; none: the first that serves the stain.
    pub detector: Option<String>,
    /// Name of the classifier; none: the first that serves the stain.
    pub classifier: Option<String>,
    /// Name of the network that draws outlines; none: the first that serves the stain, and segmentation where none does.
    pub anatomy: Option<String>,
    /// Stain of the source.
    pub stain: Stain,
    /// Number format of the network files; none: what the engine runs best.
    pub precision: Option<Precision>,
    /// The assay names no classes: that no classifier serves the stain is nothing to report.
    pub classes_unused: bool,
}

impl Recognition {
    /// As configured, for a source of that stain.
    pub fn configured(inference: &InferenceConfig, stain: Stain) -> Self {
        let (detector, classifier) = (inference.detector.clone(), inference.classifier.clone());
        Self { detector, classifier, anatomy: inference.anatomy.clone(), stain, ..Self::default() }
    }
}

/// Detector, suppression and classifier on the host.
pub struct ComposedRecognizer {
    detector: Option<Detector>,
    classifier: Option<Classifier>,
    context: Option<ContextNetwork>,
    anatomy: Option<AnatomyNetwork>,
    stain: Stain,
    provenance: Provenance,
    floor: Option<f32>,
    plane: Plane,
    segmented: Segmented,
    triage: Triage,
    grey: GrayImage,
    /// The steps on the engine's device, where it has one.
    #[cfg(any(test, feature = "tensorrt"))]
    on_device: Option<super::on_device::OnDevice>,
    /// A second plane, where the classifier wants other levels than the detector.
    crops_plane: Plane,
}

impl ComposedRecognizer {
    /// Loads the models that serve the stain (or the named ones) and gets ready.
    ///
    /// # Errors
    /// When a named model is missing, or a model is broken. That no model serves the stain is no error: segmentation
    /// alone runs then, and the provenance says so.
    pub fn open(
        recognition: &Recognition,
        library: &ModelLibrary,
        chosen: &ChosenEngine,
    ) -> Result<Self, RecognitionError> {
        let (library_name, stain) = (chosen.engine.describe(), recognition.stain);
        let mut provenance = Provenance { library: library_name, stain, ..Provenance::default() };
        provenance.notes.extend(chosen.fell_back.iter().map(|reason| format!("engine cpu runs instead: {reason}")));
        let engine = &*chosen.engine;
        let detector =
            match open_model(library, recognition.detector.as_deref(), Task::Detector, stain, &mut provenance)? {
                Some(model) => Some(Detector::load(engine, &model, recognition.precision)?),
                None => None,
            };
        let noted = provenance.notes.len();
        let (classifier, context) =
            match open_model(library, recognition.classifier.as_deref(), Task::Classifier, stain, &mut provenance)? {
                Some(model) => {
                    let context = open_context(&model, detector.as_ref(), &mut provenance)?;
                    (Some(Classifier::load(engine, &model, recognition.precision)?), context)
                }
                None => (None, None),
            };
        if recognition.classes_unused && classifier.is_none() {
            provenance.notes.truncate(noted);
        }
        let anatomy = match open_model(library, recognition.anatomy.as_deref(), Task::Anatomy, stain, &mut provenance)?
        {
            // Outlines are those of boxes: segmentation alone draws its own.
            Some(model) if detector.is_some() => {
                Some(AnatomyNetwork::load(engine, &model, recognition.precision, stain)?)
            }
            _ => None,
        };
        if let Some(detector) = &detector {
            provenance.models.insert(Task::Detector.to_string(), detector.label().to_owned());
        }
        if let Some(classifier) = &classifier {
            provenance.models.insert(Task::Classifier.to_string(), classifier.label().to_owned());
        }
        if let Some(context) = &context {
            provenance.models.insert(Cell::CONTEXT.to_owned(), context.label().to_owned());
        }
        if let Some(anatomy) = &anatomy {
            provenance.models.insert(Task::Anatomy.to_string(), anatomy.label().to_owned());
        }
        provenance.engine = if provenance.models.is_empty() { "segmentation" } else { chosen.engine.name() }.into();
        Ok(Self {
            #[cfg(any(test, feature = "tensorrt"))]
            on_device: super::on_device::OnDevice::open(engine, detector.as_ref(), classifier.as_ref()),
            detector,
            classifier,
            context,
            anatomy,
            stain,
            provenance,
            floor: None,
            plane: Plane::default(),
            segmented: Segmented::default(),
            triage: Triage::default(),
            grey: GrayImage::default(),
            crops_plane: Plane::default(),
        })
    }

    /// The detector, where there is one.
    pub fn detector(&mut self) -> Option<&mut Detector> {
        self.detector.as_mut()
    }

    /// The classifier, where there is one.
    pub fn classifier(&mut self) -> Option<&mut Classifier> {
        self.classifier.as_mut()
    }

    /// The network that draws outlines, where there is one.
    pub fn anatomy(&mut self) -> Option<&mut AnatomyNetwork> {
        self.anatomy.as_mut()
    }

    /// Draws the chromosomes of boxes that are given, in order; nothing without a network of outlines. For measuring it apart from the
    /// detector.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn draw_boxes(
        &mut self,
        frame: &Frame,
        boxes: &[BoundingBox],
    ) -> Result<Vec<Option<DrawnChromosome>>, RecognitionError> {
        let Some(anatomy) = &mut self.anatomy else { return Ok(Vec::new()) };
        let (width, height) = (frame.pixels.width() as f32, frame.pixels.height() as f32);
        let whole = BoundingBox::from_corners(0.0, 0.0, width, height);
        self.crops_plane.fill(&frame.pixels, &whole, self.stain, &anatomy.manifest().input);
        Ok(anatomy.draw(&self.crops_plane, boxes, median_diagonal(boxes.iter()))?)
    }

    /// Keeps candidates down to this score, where the model's own floor is higher. Only those above the model's own go
    /// through the classifier. For measuring average precision.
    pub fn set_floor(&mut self, floor: f32) {
        self.floor = Some(floor);
    }

    /// Every detection on the whole frame with a score of at least `floor`, best first, before suppression;
    /// none without a detector. `thickness_px` is triage's measure of the chromosomes; where it is not given and the
    /// model's scale depends on it, triage measures it now.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn detect(
        &mut self,
        frame: &Frame,
        window: &BoundingBox,
        thickness_px: Option<f32>,
        floor: f32,
    ) -> Result<Vec<Detection>, RecognitionError> {
        let scale = self.scale(frame, thickness_px);
        let Some(detector) = &mut self.detector else { return Ok(Vec::new()) };
        self.plane.fill(&frame.pixels, window, self.stain, &detector.manifest().input);
        Ok(detector.detect(&self.plane, scale, floor)?)
    }

    /// Input pixels of the detector for a frame pixel.
    fn scale(&mut self, frame: &Frame, thickness_px: Option<f32>) -> f32 {
        let Some(detector) = &self.detector else { return 1.0 };
        let rule = detector.manifest().input.scale;
        let known = rule.um_per_px.is_some() && frame.info.um_per_px.is_some();
        let width = match thickness_px {
            _ if known || rule.reference_width_px.is_none() => None,
            Some(thickness) => Some(thickness),
            None => {
                self.grey.read_frame(&frame.pixels);
                let width_of = |view| self.triage.assess(view, &TriageOptions::default()).chromosome_width;
                self.grey.view().ok().and_then(width_of)
            }
        };
        scale_for(&rule, frame.info.um_per_px, width)
    }

    /// Detections after suppression: on the engine's device where it has one, else step by step on the host.
    fn detect_objects(
        &mut self,
        frame: &Frame,
        window: &BoundingBox,
        thickness_px: Option<f32>,
        floor: f32,
        thresholds: &Thresholds,
    ) -> Result<Vec<Detection>, RecognitionError> {
        #[cfg(any(test, feature = "tensorrt"))]
        if self.on_device.is_some() {
            let scale = self.scale(frame, thickness_px);
            if let (Some(on_device), Some(detector)) = (&mut self.on_device, &mut self.detector) {
                return Ok(on_device.detect_objects(detector, frame, window, self.stain, scale, floor, thresholds)?);
            }
        }
        let detections = self.detect(frame, window, thickness_px, floor)?;
        Ok(suppress(&detections, thresholds))
    }

    /// What the classifier says of boxes, one batch.
    fn classify(
        &mut self,
        frame: &Frame,
        window: &BoundingBox,
        boxes: &[BoundingBox],
        median: f32,
    ) -> Result<Vec<Classification>, RecognitionError> {
        let Some(classifier) = &mut self.classifier else { return Ok(Vec::new()) };
        let spec = &classifier.manifest().input;
        let same = self.detector.as_ref().is_some_and(|detector| {
            let other = &detector.manifest().input;
            (other.polarity, other.background) == (spec.polarity, spec.background)
        });
        #[cfg(any(test, feature = "tensorrt"))]
        if let Some(on_device) = &mut self.on_device {
            return Ok(on_device.classify(classifier, frame, window, self.stain, same, boxes, median)?);
        }
        let plane = if same {
            &self.plane
        } else {
            self.crops_plane.fill(&frame.pixels, window, self.stain, spec);
            &self.crops_plane
        };
        let items: Vec<Item<'_>> = boxes.iter().map(|bounds| Item { plane, bounds: *bounds, flipped: false }).collect();
        Ok(classifier.classify(&items, median)?)
    }

    fn recognise_with_detector(
        &mut self,
        frame: &Frame,
        regions: &[Region],
    ) -> Result<Vec<Recognised>, RecognitionError> {
        let (width, height) = (frame.pixels.width() as f32, frame.pixels.height() as f32);
        let window = regions.iter().map(|region| with_margin(&region.bounds, width, height)).reduce(|a, b| a.union(&b));
        let window = window.unwrap_or_else(|| BoundingBox::from_corners(0.0, 0.0, width, height));
        let Some(thresholds) = self.detector.as_ref().map(|detector| detector.manifest().thresholds) else {
            return Ok(Vec::new());
        };
        let started = Instant::now();
        let floor = self.floor.map_or(thresholds.candidate, |floor| floor.min(thresholds.candidate));
        let thickness = regions.iter().find_map(|region| region.thickness_px);
        let merging = self.context.as_ref().and_then(|context| context.merging().copied());
        let lenient = merging.map_or(thresholds, |m| Thresholds {
            nms_iou: m.nms_iou,
            nms_same_class_iou: m.nms_same_class_iou,
            ..thresholds
        });
        let mut kept = self.detect_objects(frame, &window, thickness, floor, &lenient)?;
        accept(&mut kept, &thresholds, merging.is_some());
        let detected = started.elapsed();
        let grouped = group_into_cells(kept, regions, width, height);
        let mut cells = Vec::with_capacity(grouped.len());
        for (region, group) in grouped {
            let mut timing = BTreeMap::new();
            if cells.is_empty() {
                timing.insert("detect", detected);
            }
            let started = Instant::now();
            let considered = group.iter().take_while(|d| d.score >= thresholds.candidate).count();
            let boxes: Vec<BoundingBox> = group.iter().take(considered).map(|d| d.bounds).collect();
            let median = median_diagonal(group.iter().filter(|d| d.accepted).map(|d| &d.bounds));
            let classifications = self.classify(frame, &window, &boxes, median)?;
            let mut candidates = self.candidates_of(frame, group, &classifications, &thresholds);
            timing.insert("classify", started.elapsed());
            let mut crops: Vec<usize> = (0..considered).collect();
            if let Some(context) = &mut self.context {
                let started = Instant::now();
                if let Some(rule) = context.merging() {
                    let merged = merge(&candidates[..considered], rule, |candidate| context.alone(candidate));
                    crops = merged.iter().map(|(i, _)| *i).collect();
                    candidates.splice(..considered, merged.into_iter().map(|(_, candidate)| candidate));
                }
                context.judge(&mut candidates[..crops.len()])?;
                timing.insert("context", started.elapsed());
            }
            let considered = crops.len();
            set_statuses(&mut candidates);
            if self.anatomy.is_some() {
                let started = Instant::now();
                self.draw(frame, &window, &boxes, &crops, median, &mut candidates)?;
                timing.insert("outline", started.elapsed());
            }
            let bounds = candidates
                .iter()
                .filter(|candidate| candidate.accepted)
                .fold(region.bounds, |all, candidate| all.union(&candidate.bounds))
                .clipped(width, height);
            cells.push(Recognised {
                region: bounds,
                quality: region.quality,
                considered,
                in_context: self.context.is_some(),
                candidates,
                chromosome_width_px: None,
                timing,
            });
        }
        Ok(cells)
    }

    /// Draws the likely ones of a cell's candidates, one batch, from the crops that the classifier has cut where they serve.
    /// `boxes` are those that the classifier saw, as the detector gave them; `crops` says which of them the first candidates are.
    fn draw(
        &mut self,
        frame: &Frame,
        window: &BoundingBox,
        boxes: &[BoundingBox],
        crops: &[usize],
        median: f32,
        candidates: &mut [Candidate],
    ) -> Result<(), RecognitionError> {
        let Some(anatomy) = &mut self.anatomy else { return Ok(()) };
        let wanted = likely(candidates, crops.len());
        let chosen: Vec<BoundingBox> = wanted.iter().map(|i| boxes[crops[*i]]).collect();
        #[cfg(any(test, feature = "tensorrt"))]
        let on_host = self.on_device.is_none();
        #[cfg(not(any(test, feature = "tensorrt")))]
        let on_host = true;
        let cut = self.classifier.as_mut().filter(|c| on_host && anatomy.takes_crops_of(&c.manifest().input));
        let drawn = match cut {
            Some(classifier) if !boxes.is_empty() => {
                let one = classifier.crops.len() / boxes.len();
                for (to, from) in wanted.iter().map(|i| crops[*i]).enumerate().filter(|(to, from)| to != from) {
                    classifier.crops.copy_within(from * one..(from + 1) * one, to * one);
                }
                anatomy.draw_crops(&classifier.crops[..wanted.len() * one], &chosen, median)?
            }
            _ => {
                self.crops_plane.fill(&frame.pixels, window, self.stain, &anatomy.manifest().input);
                anatomy.draw(&self.crops_plane, &chosen, median)?
            }
        };
        for (i, drawn) in wanted.into_iter().zip(drawn) {
            candidates[i].drawn = drawn;
        }
        Ok(())
    }

    /// The detector's boxes and classes joined with those of the classifier.
    fn candidates_of(
        &self,
        frame: &Frame,
        detections: Vec<Detection>,
        classifications: &[Classification],
        thresholds: &Thresholds,
    ) -> Vec<Candidate> {
        let calibration = self.detector.as_ref().map_or_else(Default::default, |d| d.manifest().calibration);
        let (width, height) = (frame.pixels.width() as f32, frame.pixels.height() as f32);
        let place = |i: usize, detection: &Detection| match classifications
            .get(i)
            .and_then(|classification| classification.refined)
        {
            Some(refined) => refined.applied(&detection.bounds).clipped(width, height),
            None => detection.bounds,
        };
        let candidates = detections.into_iter().enumerate().map(|(i, detection)| {
            let classification = classifications.get(i);
            let classifier = classification.map(|classification| &classification.log_probs);
            let refined = classification.and_then(|classification| classification.refined);
            let iou_logit = refined.map_or(0.0, |refined| refined.iou_logit);
            let temperature = if classifier.is_some() { calibration.combined_temperature } else { 1.0 };
            let p_single = classifier.map_or(1.0, |c| 1.0 - c[ChromosomeClass::COUNT].exp());
            Candidate {
                bounds: place(i, &detection),
                objectness: detection.score,
                p_single,
                iou_logit,
                probability: calibration.probability(detection.score, p_single, iou_logit),
                accepted: detection.accepted,
                log_probs: combine(detection.classes.as_ref(), classifier, thresholds, temperature),
                status: Status::Unclear,
                drawn: None,
            }
        });
        candidates.collect()
    }
}

impl Recognizer for ComposedRecognizer {
    fn recognise(&mut self, frame: &Frame, regions: &[Region]) -> Result<Vec<Recognised>, RecognitionError> {
        if self.detector.is_none() {
            return Ok(self.segmented.recognise(frame, self.stain, regions));
        }
        self.recognise_with_detector(frame, regions)
    }

    #[cfg(any(test, feature = "tensorrt"))]
    fn supports_prefetch(&self) -> bool {
        self.on_device.is_some()
    }

    #[cfg(any(test, feature = "tensorrt"))]
    fn prefetch(&mut self, frame: &Frame) {
        if let Some(on_device) = &mut self.on_device {
            on_device.prefetch(frame);
        }
    }

    fn provenance(&self) -> &Provenance {
        &self.provenance
    }
}

/// Most chromosomes of a cell that are drawn.
const MOST_DRAWN: usize = 80;
/// Probability from which a candidate is drawn.
const LEAST_DRAWN: f32 = 0.1;

/// Places of the candidates that are drawn, of the first `considered`: those that the detector accepts and all that are likely.
fn likely(candidates: &[Candidate], considered: usize) -> Vec<usize> {
    let worth = |i: &usize| candidates[*i].accepted || candidates[*i].probability >= LEAST_DRAWN;
    let mut wanted: Vec<usize> = (0..considered.min(candidates.len())).filter(worth).collect();
    if wanted.len() > MOST_DRAWN {
        wanted.sort_by(|a, b| candidates[*b].probability.total_cmp(&candidates[*a].probability));
        wanted.truncate(MOST_DRAWN);
        wanted.sort_unstable();
    }
    wanted
}

/// Marks what the detector accepts by itself: of all its detections, or of those that outlive its own suppression where a more lenient one went before.
fn accept(detections: &mut [Detection], thresholds: &Thresholds, lenient: bool) {
    if !lenient {
        return select_detections(detections, thresholds);
    }
    let mut own = suppress(detections, thresholds);
    select_detections(&mut own, thresholds);
    let mut own = own.iter().peekable();
    for detection in detections {
        // Both are in the same order.
        if let Some(survivor) = own.next_if(|survivor| survivor.bounds == detection.bounds) {
            detection.accepted = survivor.accepted;
        }
    }
}

/// Sets of every candidate how it lies among the accepted ones.
fn set_statuses(candidates: &mut [Candidate]) {
    let accepted: Vec<BoundingBox> = candidates.iter().filter(|c| c.accepted).map(|c| c.bounds).collect();
    for candidate in candidates {
        candidate.status = status_of(&candidate.bounds, &accepted);
    }
}

/// A box that no other touches holds a chromosome that lies alone; for the others boxes alone do not decide it.
fn status_of(bounds: &BoundingBox, accepted: &[BoundingBox]) -> Status {
    let others = accepted.iter().filter(|other| *other != bounds && other.intersection(bounds) > 0.0).count();
    if others == 0 { Status::Single } else { Status::Unclear }
}

/// The model for a task: the named one (an error when it is missing), else the first that serves the stain.
fn open_model(
    library: &ModelLibrary,
    name: Option<&str>,
    task: Task,
    stain: Stain,
    provenance: &mut Provenance,
) -> Result<Option<ModelFolder>, ModelError> {
    if let Some(name) = name {
        let model = library.named(name)?;
        if !model.manifest.input.stains.contains(&stain) {
            let served: Vec<&str> = model.manifest.input.stains.iter().map(|stain| stain.name()).collect();
            let (name, served, stain) = (model.name(), served.join(", "), stain.name());
            provenance.notes.push(format!("model '{name}' was made for {served}, the source is stained {stain}"));
        }
        return Ok(Some(model.for_stain(stain)));
    }
    match library.serving(task, stain, View::Field) {
        Ok(model) => Ok(Some(model.for_stain(stain))),
        Err(error @ ModelError::NoneForStain { .. }) => {
            let effect = match task {
                Task::Detector => "segmentation alone finds the chromosomes",
                // Its absence is no fault: records say which models ran.
                Task::Anatomy => return Ok(None),
                _ => "classes come from the detector alone",
            };
            provenance.notes.push(format!("{effect}: {error}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The network of context that a classifier brings, where the detector is the one that it was made for and the stain one of the classifier's.
fn open_context(
    classifier: &ModelFolder,
    detector: Option<&Detector>,
    provenance: &mut Provenance,
) -> Result<Option<ContextNetwork>, RecognitionError> {
    let (Some(spec), Some(detector)) = (&classifier.manifest.context, detector) else { return Ok(None) };
    if !classifier.manifest.input.stains.contains(&provenance.stain) {
        return Ok(None);
    }
    let found = &detector.manifest().name;
    if *found != spec.detector {
        let (classifier, expected) = (classifier.name(), &spec.detector);
        provenance.notes.push(format!(
            "candidates are judged one by one: the network of context of '{classifier}' was made for the detector '{expected}', '{found}' runs"
        ));
        return Ok(None);
    }
    Ok(ContextNetwork::load(classifier)?)
}

/// Width of a chromosome (twice the largest inscribed radius, as models state it) over the thickness that triage
/// measures: 18.4 px by the trainer over 16.5 px, medians on validation cells of one camera.
const WIDTH_OVER_THICKNESS: f32 = 1.115;

/// Input pixels for a frame pixel.
fn scale_for(rule: &ScaleRule, um_per_px: Option<f64>, thickness_px: Option<f32>) -> f32 {
    let factor = match (rule.um_per_px, um_per_px, rule.reference_width_px, thickness_px) {
        (Some(reference), Some(actual), _, _) if actual > 0.0 => rule.factor * actual as f32 / reference,
        (_, _, Some(reference), Some(thickness)) if thickness > 0.0 => {
            // Condensation and staining alone make chromosomes a third thicker or thinner; only another camera or
            // objective makes more of it, and only then is the picture scaled otherwise.
            let ratio = reference / (thickness * WIDTH_OVER_THICKNESS);
            if (0.7..=1.4).contains(&ratio) { rule.factor } else { rule.factor * ratio }
        }
        _ => rule.factor,
    };
    factor.clamp(0.05, 8.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detector_accepts_the_same_boxes_after_a_more_lenient_suppression() {
        let strict = Thresholds { nms_iou: 0.7, nms_same_class_iou: 0.6, score: 0.3, ..Thresholds::default() };
        let lenient = Thresholds { nms_iou: 0.85, nms_same_class_iou: 0.8, ..strict };
        let at = |x: f32, score: f32| Detection {
            bounds: BoundingBox { x, y: 0.0, width: 100.0, height: 40.0 },
            score,
            classes: None,
            accepted: false,
        };
        let found = [at(0.0, 0.9), at(300.0, 0.8), at(12.0, 0.7), at(305.0, 0.6), at(600.0, 0.5), at(900.0, 0.1)];
        let accepted = |limits: &Thresholds| {
            let mut kept = suppress(&found, limits);
            accept(&mut kept, &strict, limits != &strict);
            kept.into_iter().filter(|d| d.accepted).map(|d| d.bounds.x).collect::<Vec<_>>()
        };
        assert_eq!(suppress(&found, &lenient).len(), 5, "one double stays to be looked at");
        assert_eq!(accepted(&lenient), [0.0, 300.0, 600.0]);
        assert_eq!(accepted(&lenient), accepted(&strict));
    }

    #[test]
    fn another_cameras_scale_is_followed_and_a_cells_own_thickness_is_not() {
        let rule = ScaleRule { factor: 0.66, reference_width_px: Some(18.4), um_per_px: None };
        assert_eq!(scale_for(&rule, None, Some(13.0)), 0.66);
        assert_eq!(scale_for(&rule, None, Some(20.6)), 0.66);
        assert_eq!(scale_for(&rule, None, None), 0.66);
        assert!((scale_for(&rule, None, Some(33.0)) - 0.33).abs() < 0.01);
        let measured = ScaleRule { um_per_px: Some(0.1), ..rule };
        assert!((scale_for(&measured, Some(0.05), Some(33.0)) - 0.33).abs() < 1e-6);
    }
}
