//! The network that judges the candidates of a cell together: how probable each is a chromosome of its own, given all the others.
//!
//! A classifier of boxes brings it in its folder (`[context]` in model.toml). It sees no pixels: boxes, scores, classes, and of every
//! pair how the boxes lie to each other. The features are those of the trainer (`models/training/metaphased_training/context.py`):
//! change both or neither.

use domain::{BoundingBox, ChromosomeClass};

use super::{
    Candidate,
    classifier::median_diagonal,
    decode::{log_softmax, logit},
};
use crate::inference::{
    Calibration, CpuEngine, Engine, EngineError, Input, Merging, ModelError, ModelFolder, Session, Tensor,
};

/// Most candidates that are looked at together: those that are surest by themselves.
const MOST: usize = 100;
/// Logit of the candidates beyond them.
const LEAST: f32 = -9.9;
/// Numbers of a candidate: score, single, refined box, all three together, 24 probabilities and 24 logarithms of classes, three sizes,
/// and how much of its class the cell has.
const FEATURES: usize = 8 + 2 * ChromosomeClass::COUNT;
/// Numbers of a pair.
const PAIR_FEATURES: usize = 9;
/// Overlap from which two boxes of one class count as likely doubles.
const OVERLAPS: f32 = 0.1;

/// A network of context that is ready to run. It runs on the processor, whatever engine runs the others: what ships is the mean of
/// three networks of 74,000 weights.
pub struct ContextNetwork {
    session: Box<dyn Session>,
    model: String,
    label: String,
    calibration: Calibration,
    merging: Option<Merging>,
    features: Vec<f32>,
    pairs: Vec<f32>,
}

impl ContextNetwork {
    /// The network that a classifier brings, run once on a made-up candidate; none where it brings none.
    ///
    /// # Errors
    /// When its file is missing, altered, or not such a network.
    pub fn load(classifier: &ModelFolder) -> Result<Option<Self>, EngineError> {
        let Some(spec) = &classifier.manifest.context else { return Ok(None) };
        classifier.verify(&spec.file)?;
        let session = CpuEngine::new(1).load(classifier, &spec.file)?;
        let mut network = Self {
            session,
            model: classifier.name().to_owned(),
            label: format!("{}/context@{}", classifier.name(), &spec.file.sha256[..12]),
            calibration: spec.calibration,
            merging: spec.merging,
            features: Vec::new(),
            pairs: Vec::new(),
        };
        network.features = vec![0.0; FEATURES];
        network.pairs = vec![0.0; PAIR_FEATURES];
        network.run(1)?;
        Ok(Some(network))
    }

    /// `classifier/context@hash12`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// How doubles leave the cells that it judges.
    pub fn merging(&self) -> Option<&Merging> {
        self.merging.as_ref()
    }

    /// The probability of a candidate by itself.
    pub fn alone(&self, candidate: &Candidate) -> f32 {
        self.calibration.probability(candidate.objectness, candidate.p_single, candidate.iou_logit)
    }

    /// Sets the probability of every candidate to that of being a chromosome of its own. Candidates without classes are left as they are.
    ///
    /// # Errors
    /// When the engine fails or gives another number of logits.
    pub fn judge(&mut self, candidates: &mut [Candidate]) -> Result<(), EngineError> {
        let alone = |c: &Candidate| self.calibration.logit(c.objectness, c.p_single, c.iou_logit);
        let mut order: Vec<(usize, f32)> =
            candidates.iter().enumerate().filter(|(_, c)| c.log_probs.is_some()).map(|(i, c)| (i, alone(c))).collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1));
        for (beyond, _) in order.iter().skip(MOST) {
            candidates[*beyond].probability = sigmoid(LEAST);
        }
        order.truncate(MOST);
        if order.is_empty() {
            return Ok(());
        }
        let seen: Vec<Seen> = order.iter().map(|(i, alone)| Seen::of(&candidates[*i], *alone)).collect();
        describe(&seen, &mut self.features, &mut self.pairs);
        let logits = self.run(seen.len())?;
        for ((i, _), logit) in order.iter().zip(logits.data) {
            candidates[*i].probability = sigmoid(logit);
        }
        Ok(())
    }

    /// The logits of `n` candidates whose features stand ready.
    fn run(&mut self, n: usize) -> Result<Tensor, EngineError> {
        let inputs = [
            Input { name: "candidates", shape: &[1, n, FEATURES], data: &self.features },
            Input { name: "pairs", shape: &[1, n, n, PAIR_FEATURES], data: &self.pairs },
        ];
        let outputs = self.session.run(&inputs)?;
        let found = outputs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let logits = outputs.into_iter().find(|(name, _)| name == "logits").map(|(_, tensor)| tensor);
        let logits = logits.ok_or(ModelError::MissingTensor {
            model: self.model.clone(),
            tensor: "logits".to_owned(),
            found,
        })?;
        if logits.data.len() != n || logits.data.iter().any(|logit| !logit.is_finite()) {
            let reason = format!(
                "its network of context gives {:?} for {n} candidates, expected a finite logit each",
                logits.shape
            );
            return Err(EngineError::Run { engine: "cpu", model: self.model.clone(), reason });
        }
        Ok(logits)
    }
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// What is known of one candidate.
struct Seen {
    bounds: BoundingBox,
    score: f32,
    single: f32,
    refined: f32,
    /// Logit by itself.
    alone: f32,
    log_class: [f32; ChromosomeClass::COUNT],
    class: [f32; ChromosomeClass::COUNT],
}

impl Seen {
    fn of(candidate: &Candidate, alone: f32) -> Self {
        let mut log_class = [0.0; ChromosomeClass::COUNT];
        if let Some(log_probs) = &candidate.log_probs {
            log_class.copy_from_slice(&log_probs[..ChromosomeClass::COUNT]);
        }
        log_softmax(&mut log_class, 1.0);
        Self {
            bounds: candidate.bounds,
            score: logit(candidate.objectness.clamp(1e-4, 1.0 - 1e-4)),
            single: candidate.p_single.clamp(1e-4, 1.0).ln(),
            refined: candidate.iou_logit.clamp(-10.0, 10.0),
            alone,
            log_class,
            class: log_class.map(f32::exp),
        }
    }

    fn diagonal(&self) -> f32 {
        self.bounds.width.hypot(self.bounds.height)
    }

    /// Probability that two are of one class.
    fn same(&self, other: &Self) -> f32 {
        self.class.iter().zip(&other.class).map(|(a, b)| a * b).sum()
    }
}

/// The features of candidates and pairs, row after row.
fn describe(seen: &[Seen], features: &mut Vec<f32>, pairs: &mut Vec<f32>) {
    features.clear();
    pairs.clear();
    // Of the candidates that are likely by themselves; of all where they are few.
    let likely = || seen.iter().filter(|s| s.alone > 0.0).map(|s| &s.bounds);
    let median =
        if likely().count() > 5 { median_diagonal(likely()) } else { median_diagonal(seen.iter().map(|s| &s.bounds)) };
    for a in seen {
        let mut of_its_class = 0.0;
        for b in seen {
            let same = a.same(b);
            of_its_class += same * sigmoid(b.alone);
            pairs.extend(pair(a, b, same, median));
        }
        features.extend([a.score / 3.0, a.single / 2.0, a.refined / 3.0, a.alone / 4.0]);
        features.extend(a.class);
        features.extend(a.log_class.map(|log| log.clamp(-8.0, 0.0) / 4.0 + 1.0));
        features.extend([a.diagonal(), a.bounds.width, a.bounds.height].map(|side| (side.max(1.0) / median).ln()));
        features.push(of_its_class - 2.0);
    }
}

/// How two candidates lie to each other, `a`'s view.
fn pair(a: &Seen, b: &Seen, same: f32, median: f32) -> [f32; PAIR_FEATURES] {
    let area = |of: &Seen| of.bounds.width * of.bounds.height;
    let inner = a.bounds.intersection(&b.bounds);
    let iou = inner / (area(a) + area(b) - inner).max(1e-6);
    let middle = |of: &Seen| [of.bounds.x + of.bounds.width / 2.0, of.bounds.y + of.bounds.height / 2.0];
    let ([ax, ay], [bx, by]) = (middle(a), middle(b));
    let apart = (ax - bx).hypot(ay - by) / median;
    [
        iou,
        inner / area(a).max(1.0),
        inner / area(b).max(1.0),
        same,
        if iou > OVERLAPS { same } else { 0.0 },
        (-apart).exp(),
        ((b.alone - a.alone) / 4.0).tanh(),
        if b.alone > a.alone { iou } else { 0.0 },
        iou.sqrt(),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use domain::Status;

    fn candidate(bounds: BoundingBox, objectness: f32, class: usize) -> Candidate {
        let mut log_probs = [(0.02f32 / 24.0).ln(); 25];
        log_probs[class] = 0.98f32.ln();
        Candidate {
            bounds,
            objectness,
            p_single: 0.99,
            iou_logit: 5.0,
            probability: 0.5,
            accepted: true,
            log_probs: Some(log_probs),
            status: Status::Single,
            drawn: None,
        }
    }

    /// 46 chromosomes side by side.
    fn cell() -> Vec<Candidate> {
        let place =
            |i: usize| BoundingBox { x: 60.0 * (i % 8) as f32, y: 100.0 * (i / 8) as f32, width: 40.0, height: 70.0 };
        (0..46).map(|i| candidate(place(i), 0.75 + 0.002 * i as f32, (i / 2).min(22))).collect()
    }

    fn shipped() -> ModelFolder {
        ModelFolder::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/classifier-metaphase")).unwrap()
    }

    fn judged(mut candidates: Vec<Candidate>) -> Vec<f32> {
        let mut network = ContextNetwork::load(&shipped()).unwrap().expect("it ships");
        network.judge(&mut candidates).unwrap();
        candidates.iter().map(|c| c.probability).collect()
    }

    #[derive(serde::Deserialize)]
    struct Example {
        candidates: Vec<ExampleCandidate>,
        features: Vec<Vec<f32>>,
        pairs_of_the_fourth: Vec<Vec<f32>>,
        logits: Vec<f32>,
    }

    #[derive(serde::Deserialize)]
    struct ExampleCandidate {
        r#box: [f32; 4],
        score: f32,
        single: f32,
        found: f32,
        logs: Vec<f32>,
    }

    /// Candidates, their features and the network's logits as the trainer has them (`models/training/tests/test_networks.py` writes the file).
    fn example() -> (Example, Vec<Candidate>) {
        let example: Example = serde_json::from_str(include_str!("../tests/data/context_example.json")).unwrap();
        let of = |e: &ExampleCandidate| {
            let [x, y, width, height] = e.r#box;
            let mut it = candidate(BoundingBox { x, y, width, height }, e.score, 0);
            (it.p_single, it.iou_logit) = (e.single, e.found);
            it.log_probs = Some(std::array::from_fn(|i| e.logs[i]));
            it
        };
        let candidates = example.candidates.iter().map(of).collect();
        (example, candidates)
    }

    #[test]
    fn features_are_the_trainers() {
        let (example, candidates) = example();
        let calibration = shipped().manifest.context.unwrap().calibration;
        let seen: Vec<Seen> =
            candidates.iter().map(|c| Seen::of(c, calibration.logit(c.objectness, c.p_single, c.iou_logit))).collect();
        let (mut features, mut pairs) = (Vec::new(), Vec::new());
        describe(&seen, &mut features, &mut pairs);
        let close = |found: &[f32], expected: &[Vec<f32>]| {
            let expected: Vec<f32> = expected.iter().flatten().copied().collect();
            assert_eq!(found.len(), expected.len());
            for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
                assert!((a - b).abs() < 2e-4, "number {i}: {a}, expected {b}");
            }
        };
        close(&features, &example.features);
        let row = seen.len() * PAIR_FEATURES;
        close(&pairs[3 * row..4 * row], &example.pairs_of_the_fourth);
    }

    #[test]
    fn what_ships_says_what_the_trainer_says() {
        let (example, candidates) = example();
        for (found, logit) in judged(candidates).iter().zip(&example.logits) {
            assert!((found - sigmoid(*logit)).abs() < 1e-3, "{found}, expected {}", sigmoid(*logit));
        }
    }

    #[test]
    fn of_two_boxes_on_one_chromosome_one_is_believed() {
        let mut candidates = cell();
        let mut double = candidates[10].clone();
        (double.bounds.y, double.objectness, double.iou_logit) = (double.bounds.y + 10.0, 0.4, 2.0);
        candidates.push(double);
        let found = judged(candidates);
        assert!(found[46] < 0.5, "the double: {}", found[46]);
        assert!(found[..46].iter().all(|p| *p > 0.9), "{found:?}");
    }

    #[test]
    fn the_order_of_candidates_changes_nothing() {
        let mut candidates = cell();
        candidates[7].objectness = 0.2;
        let mut turned = candidates.clone();
        turned.rotate_left(13);
        let (mut found, other) = (judged(candidates), judged(turned));
        found.rotate_left(13);
        assert!(found.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?} {other:?}");
    }

    #[test]
    fn more_candidates_than_it_looks_at_and_none_at_all_are_no_fault() {
        let crowd: Vec<Candidate> = (0..3)
            .flat_map(|shift| {
                cell().into_iter().map(move |mut c| {
                    c.bounds.x += 500.0 * shift as f32;
                    c.objectness -= 0.2 * shift as f32;
                    c
                })
            })
            .collect();
        let found = judged(crowd);
        assert!(found.iter().all(|p| (0.0..=1.0).contains(p)));
        assert_eq!(found.iter().filter(|p| **p == sigmoid(LEAST)).count(), 38);
        assert!(judged(Vec::new()).is_empty());
    }

    #[test]
    fn candidates_without_classes_are_left_as_they_are() {
        let mut candidates = cell();
        candidates[3].log_probs = None;
        let found = judged(candidates);
        assert_eq!(found[3], 0.5);
        assert_ne!(found[2], 0.5);
    }

    #[test]
    fn an_altered_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut model = shipped();
        std::fs::write(folder.path().join("context.onnx"), b"another").unwrap();
        model.path = folder.path().to_owned();
        let error = ContextNetwork::load(&model).err().expect("another hash").to_string();
        assert!(error.contains("context.onnx") && error.contains("copy it again"), "{error}");
    }
}
