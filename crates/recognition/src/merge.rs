//! Doubles, once the classifier has drawn the boxes: the detector offers several boxes for a chromosome, the classifier looks at each,
//! and the likeliest of those that come to lie on one another stays. What lies nearly where it lies says with it where its edges and
//! what its classes are. Pure.

use crate::inference::Merging;

use super::{Candidate, decode::log_softmax};

/// The candidates that stay, each with its place in `candidates`, in their order. `probability` is that of a candidate by itself.
pub(super) fn merge(
    candidates: &[Candidate],
    rule: &Merging,
    probability: impl Fn(&Candidate) -> f32,
) -> Vec<(usize, Candidate)> {
    let probabilities: Vec<f32> = candidates.iter().map(probability).collect();
    let mut order: Vec<usize> = (0..candidates.len()).filter(|i| probabilities[*i] >= rule.least).collect();
    order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]).then(a.cmp(b)));
    let classes: Vec<_> = candidates.iter().map(|c| c.class().map(|(class, _)| class)).collect();
    let mut kept: Vec<(usize, bool)> = Vec::new();
    for i in order {
        let falls_to = |k: &&mut (usize, bool)| {
            let same = classes[i].is_some() && classes[i] == classes[k.0];
            let limit = if same { rule.same_class_iou.min(rule.iou) } else { rule.iou };
            candidates[k.0].bounds.iou(&candidates[i].bounds) > limit
        };
        match kept.iter_mut().find(falls_to) {
            Some(winner) => winner.1 |= candidates[i].accepted,
            None => kept.push((i, candidates[i].accepted)),
        }
    }
    kept.sort_unstable();
    let agreed = |(i, accepted)| (i, Candidate { accepted, ..agreement(i, candidates, &probabilities, rule.lend_iou) });
    kept.into_iter().map(agreed).collect()
}

/// The `i`-th candidate with edges and classes averaged over all that overlap it by `least` or more, each weighted by its probability and
/// the square of the overlap.
fn agreement(i: usize, candidates: &[Candidate], probabilities: &[f32], least: f32) -> Candidate {
    let mut agreed = candidates[i].clone();
    let (mut total, mut edges) = (0.0, [0.0; 4]);
    let mut classes = agreed.log_probs.map(|logs| (0.0, logs.map(|_| 0.0)));
    for (other, probability) in candidates.iter().zip(probabilities) {
        let overlap = candidates[i].bounds.iou(&other.bounds);
        if overlap < least {
            continue;
        }
        let weight = probability * overlap * overlap;
        let b = other.bounds;
        total += weight;
        for (sum, edge) in edges.iter_mut().zip([b.x, b.y, b.right(), b.bottom()]) {
            *sum += weight * edge;
        }
        if let (Some((total, sums)), Some(logs)) = (&mut classes, &other.log_probs) {
            *total += weight;
            sums.iter_mut().zip(logs).for_each(|(sum, log)| *sum += weight * log);
        }
    }
    if total > 0.0 {
        let [left, top, right, bottom] = edges.map(|edge| edge / total);
        agreed.bounds = domain::BoundingBox::from_corners(left, top, right, bottom);
    }
    if let Some((total, mut logs)) = classes
        && total > 0.0
    {
        log_softmax(&mut logs, total);
        agreed.log_probs = Some(logs);
    }
    agreed
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{BoundingBox, Status};

    fn candidate(x: f32, probability: f32, class: usize, accepted: bool) -> Candidate {
        let mut logs = [(0.1f32 / 24.0).ln(); 25];
        logs[class] = 0.9f32.ln();
        Candidate {
            bounds: BoundingBox { x, y: 0.0, width: 100.0, height: 50.0 },
            objectness: probability,
            p_single: 1.0,
            iou_logit: 0.0,
            probability,
            accepted,
            log_probs: Some(logs),
            status: Status::Single,
            drawn: None,
        }
    }

    const RULE: Merging =
        Merging { nms_iou: 0.85, nms_same_class_iou: 0.8, iou: 0.85, same_class_iou: 0.75, least: 0.02, lend_iou: 0.8 };

    #[test]
    fn the_likelier_of_two_boxes_on_one_chromosome_stays_with_both_opinions() {
        let found = [candidate(0.0, 0.5, 3, true), candidate(4.0, 0.9, 4, false), candidate(300.0, 0.8, 3, true)];
        let merged = merge(&found, &RULE, |c| c.probability);
        assert_eq!(merged.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [1, 2]);
        let agreed = &merged[0].1;
        assert!(agreed.accepted, "the detector accepts the box that fell, and so the chromosome");
        assert!((agreed.bounds.x - 4.0 * 0.9 / (0.9 + 0.5 * 0.923f32.powi(2))).abs() < 0.01, "{:?}", agreed.bounds);
        let logs = agreed.log_probs.unwrap();
        assert!((logs.iter().map(|log| log.exp()).sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(logs[4] > logs[3] && logs[3] > found[1].log_probs.unwrap()[3]);
        assert_eq!(merged[1].1.bounds, found[2].bounds);
    }

    #[test]
    fn boxes_that_lie_apart_stay_as_they_are_and_unlikely_ones_go() {
        let found = [candidate(0.0, 0.9, 3, true), candidate(20.0, 0.4, 4, false), candidate(200.0, 0.01, 4, false)];
        let merged = merge(&found, &RULE, |c| c.probability);
        assert_eq!(merged.len(), 2);
        for (i, agreed) in merged {
            assert_eq!(agreed.bounds, found[i].bounds);
            let difference = |(a, b): (&f32, &f32)| (a - b).abs();
            let logs = (agreed.log_probs.unwrap(), found[i].log_probs.unwrap());
            assert!(logs.0.iter().zip(&logs.1).map(difference).all(|d| d < 1e-5));
        }
    }
}
