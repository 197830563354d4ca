//! From a detector's map to boxes, and from many boxes to one a chromosome. Pure.

use crate::inference::{Manifest, ScoreChannel, Tensor, Thresholds};
use domain::{BoundingBox, ChromosomeClass};

use super::classifier::IMPOSSIBLE;

/// Log probabilities over the 24 classes.
pub type ClassLogProbs = [f32; ChromosomeClass::COUNT];

/// A box that the detector gives for a chromosome.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// Where, in the pixels that the caller works in.
    pub bounds: BoundingBox,
    /// The score of the configured channel, 0 to 1.
    pub score: f32,
    /// Natural logarithms of the class probabilities, where the detector knows classes.
    pub classes: Option<ClassLogProbs>,
    /// Selected as a chromosome by [`select_detections`](super::select_detections()).
    pub accepted: bool,
}

impl Detection {
    /// The most likely class.
    pub fn class(&self) -> Option<usize> {
        self.classes.as_ref().map(|classes| argmax(classes))
    }
}

/// Place of the largest value; 0 for none.
pub fn argmax(values: &[f32]) -> usize {
    values.iter().enumerate().fold((0, f32::NEG_INFINITY), |best, (i, v)| if *v > best.1 { (i, *v) } else { best }).0
}

/// Natural logarithm of the soft maximum of `logits / temperature`, in place.
pub fn log_softmax(logits: &mut [f32], temperature: f32) {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|v| ((v - top) / temperature).exp()).sum();
    let shift = sum.ln();
    for value in logits {
        *value = (*value - top) / temperature - shift;
    }
}

/// Most detections of a frame that suppression looks at: the best ones.
pub(super) const MAX_DETECTIONS: usize = 1000;

/// Every detection of one picture's map with a score of at least `floor`, best first. Boxes are in input pixels.
///
/// `map` has the shape `[1, channels, rows, columns]`, `channel_class[i]` is the class of class channel i.
pub fn decode(
    map: &Tensor,
    stride: usize,
    manifest: &Manifest,
    channel_class: &[ChromosomeClass],
    floor: f32,
) -> Vec<Detection> {
    let [_, channels, rows, columns] = map.shape[..] else { return Vec::new() };
    let cells = rows * columns;
    let channel = |c: usize| &map.data[c * cells..(c + 1) * cells];
    let classes = manifest.output.classes.len();
    let score_channel = score_channel(manifest);
    if channels < 5 + classes || channels <= score_channel {
        return Vec::new();
    }
    let scores = channel(score_channel);
    // Compared as logits: most cells are far below the floor.
    let least = logit(floor);
    let mut order: Vec<usize> = (0..cells).filter(|&i| scores[i] >= least).collect();
    order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    order.truncate(MAX_DETECTIONS);
    order
        .into_iter()
        .map(|i| {
            let x = ((i % columns) as f32 + 0.5) * stride as f32;
            let y = ((i / columns) as f32 + 0.5) * stride as f32;
            let reach: [f32; 4] = std::array::from_fn(|side| channel(side)[i]);
            let class_log_probs = (classes > 0).then(|| {
                let mut logits: Vec<f32> = (0..classes).map(|c| channel(5 + c)[i]).collect();
                log_softmax(&mut logits, manifest.calibration.class_temperature);
                let mut all = [IMPOSSIBLE; ChromosomeClass::COUNT];
                for (class, value) in channel_class.iter().zip(&logits) {
                    all[class.index()] = value.max(IMPOSSIBLE);
                }
                all
            });
            Detection {
                bounds: BoundingBox::from_corners(x - reach[0], y - reach[1], x + reach[2], y + reach[3]),
                score: 1.0 / (1.0 + (-scores[i]).exp()),
                classes: class_log_probs,
                accepted: false,
            }
        })
        .collect()
}

/// The channel of a map that holds the score.
pub(super) fn score_channel(manifest: &Manifest) -> usize {
    match manifest.thresholds.score_channel {
        ScoreChannel::Objectness => 4,
        ScoreChannel::Single => 5 + manifest.output.classes.len() + manifest.single_channel().unwrap_or(0),
    }
}

/// The logit of a score, which is kept a little away from 0 and 1.
pub(super) fn logit(score: f32) -> f32 {
    let score = score.clamp(1e-6, 1.0 - 1e-6);
    (score / (1.0 - score)).ln()
}

/// Greedy suppression, best first: a box falls to a better one of any class above `nms_iou`, and to a better one of its
/// own class above `nms_same_class_iou`. With `average_iou`, what falls at that overlap or above lends its class
/// probabilities, weighted by score, to the one it fell to. `detections` must be sorted, best first.
pub fn suppress(detections: &[Detection], thresholds: &Thresholds) -> Vec<Detection> {
    let mut kept: Vec<Detection> = Vec::new();
    let mut kept_class: Vec<Option<usize>> = Vec::new();
    let mut lent: Vec<(ClassLogProbs, f32)> = Vec::new();
    for detection in detections {
        let class = detection.class();
        let mut fell_to = None;
        for (k, winner) in kept.iter().enumerate() {
            let overlap = winner.bounds.iou(&detection.bounds);
            let same = class.is_some() && class == kept_class[k];
            let limit = if same { thresholds.nms_same_class_iou.min(thresholds.nms_iou) } else { thresholds.nms_iou };
            if overlap > limit {
                fell_to = Some((k, overlap));
                break;
            }
        }
        match fell_to {
            None => {
                lent.push((
                    detection.classes.map_or([0.0; ChromosomeClass::COUNT], |c| c.map(|v| v.exp() * detection.score)),
                    detection.score,
                ));
                kept.push(detection.clone());
                kept_class.push(class);
            }
            Some((k, overlap)) => {
                if let (Some(least), Some(classes)) = (thresholds.average_iou, detection.classes)
                    && overlap >= least
                {
                    for (sum, value) in lent[k].0.iter_mut().zip(classes) {
                        *sum += value.exp() * detection.score;
                    }
                    lent[k].1 += detection.score;
                }
            }
        }
    }
    if thresholds.average_iou.is_some() {
        for (detection, (sum, weight)) in kept.iter_mut().zip(lent) {
            if let Some(classes) = &mut detection.classes
                && weight > 0.0
            {
                *classes = sum.map(|v| (v / weight).max(1e-13).ln());
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn manifest() -> Manifest {
        Manifest::parse(include_str!("../../../tests/data/models/tiny-detector/model.toml")).unwrap()
    }

    fn detection(x: f32, y: f32, w: f32, h: f32, score: f32, class: usize) -> Detection {
        let mut classes = [0.01f32.ln(); ChromosomeClass::COUNT];
        classes[class] = 0.77f32.ln();
        Detection { bounds: BoundingBox { x, y, width: w, height: h }, score, classes: Some(classes), accepted: false }
    }

    #[test]
    fn a_cell_of_the_map_becomes_the_box_it_describes() {
        // One row of two cells, 30 channels; the second cell answers.
        let mut data = vec![0.0; 60];
        let mut set = |channel: usize, value: f32| data[channel * 2 + 1] = value;
        for (side, reach) in [3.0, 4.0, 5.0, 6.0].into_iter().enumerate() {
            set(side, reach);
        }
        set(4, 2.0);
        set(5 + 20, 9.0);
        data[8] = -20.0;
        let map = Tensor { shape: vec![1, 30, 1, 2], data };
        let classes: Vec<_> = ChromosomeClass::all().collect();
        let found = decode(&map, 8, &manifest(), &classes, 0.5);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].bounds, BoundingBox::from_corners(9.0, 0.0, 17.0, 10.0));
        assert!((found[0].score - 0.880797).abs() < 1e-5);
        assert_eq!(found[0].class(), Some(20));
    }

    #[test]
    fn two_crossing_chromosomes_both_stay_and_doubles_fall() {
        let t = Thresholds { nms_iou: 0.6, nms_same_class_iou: 0.5, ..Default::default() };
        // IoU 0.54 between different classes: stays. The same with one class: falls.
        let crossing = [detection(0.0, 0.0, 10.0, 10.0, 0.9, 0), detection(3.0, 0.0, 10.0, 10.0, 0.8, 5)];
        assert_eq!(suppress(&crossing, &t).len(), 2);
        let double = [detection(0.0, 0.0, 10.0, 10.0, 0.9, 0), detection(3.0, 0.0, 10.0, 10.0, 0.8, 0)];
        assert_eq!(suppress(&double, &t).len(), 1);
        let same_place = [detection(0.0, 0.0, 10.0, 10.0, 0.9, 0), detection(1.0, 0.0, 10.0, 10.0, 0.8, 5)];
        assert_eq!(suppress(&same_place, &t).len(), 1);
    }

    #[test]
    fn what_falls_lends_its_classes_when_asked() {
        let t = Thresholds { average_iou: Some(0.7), ..Default::default() };
        let answers = [
            detection(0.0, 0.0, 10.0, 10.0, 0.5, 3),
            detection(0.0, 0.0, 10.0, 10.0, 0.45, 4),
            detection(0.0, 0.5, 10.0, 10.0, 0.45, 4),
        ];
        let kept = suppress(&answers, &t);
        assert_eq!((kept.len(), kept[0].class()), (1, Some(4)));
        let total: f32 = kept[0].classes.unwrap().iter().map(|v| v.exp()).sum();
        assert!((total - 1.0).abs() < 1e-4, "{total}");
    }

    proptest! {
        #[test]
        fn nothing_that_is_kept_overlaps_more_than_allowed(boxes in prop::collection::vec(
            (0.0f32..50.0, 0.0f32..50.0, 1.0f32..30.0, 1.0f32..30.0, 0.01f32..1.0, 0usize..24), 0..40)) {
            let mut found: Vec<_> = boxes.into_iter().map(|(x, y, w, h, s, c)| detection(x, y, w, h, s, c)).collect();
            found.sort_by(|a, b| b.score.total_cmp(&a.score));
            let kept = suppress(&found, &Thresholds::default());
            for (i, a) in kept.iter().enumerate() {
                for b in &kept[..i] {
                    let limit = if a.class() == b.class() { 0.5 } else { 0.6 };
                    prop_assert!(a.bounds.iou(&b.bounds) <= limit);
                }
            }
            prop_assert_eq!(kept.is_empty(), found.is_empty());
        }
    }
}
