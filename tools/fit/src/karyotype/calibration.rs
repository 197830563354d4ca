//! The calibration of the detector's candidates.

use metaphased::evaluate::{karyotype::RecognisedCell, match_greedily};
use recognition::inference::Calibration;

/// Rounds after which the search stops, wherever it is.
const ROUNDS: usize = 200;

/// Score from which a candidate is a better one for those below.
const BETTER_OBJECTNESS: f32 = 0.3;

/// Slope, intercept and weights of the classifier (single, found) with which the matches of all candidates are likeliest, and
/// how many candidates there are. How far a better candidate overlaps is a fifth term, which the selection prices by itself.
pub fn likeliest(cells: &[&RecognisedCell], start: &Calibration) -> ([f64; 4], usize) {
    let mut candidates: Vec<([f64; 5], bool)> = Vec::new();
    // An edited cell shows the same chromosomes once more.
    for seen in cells.iter().filter(|c| c.edit.is_none()) {
        let all = &seen.recognised.candidates;
        let boxes: Vec<_> = all.iter().map(|c| c.bounds).collect();
        let truth: Vec<_> = seen.boxes.iter().map(|t| t.bounds).collect();
        for (i, hit) in match_greedily(&boxes, &truth, 0.5).into_iter().enumerate() {
            let score = f64::from(all[i].objectness).clamp(1e-4, 1.0 - 1e-4);
            let better = all[..i].iter().filter(|c| c.objectness >= BETTER_OBJECTNESS);
            let overlap = better.map(|c| c.bounds.iou(&boxes[i])).fold(0.0, f32::max);
            let single = f64::from(all[i].p_single).clamp(1e-4, 1.0).ln();
            let found = f64::from(all[i].iou_logit).clamp(-10.0, 10.0);
            candidates.push(([(score / (1.0 - score)).ln(), 1.0, single, found, f64::from(overlap)], hit.is_some()));
        }
    }
    let cost = |weights: &[f64; 5]| -> f64 {
        let each = candidates.iter().map(|(terms, hit)| {
            let logit: f64 = terms.iter().zip(weights).map(|(t, w)| t * w).sum();
            (if *hit { -logit } else { logit }).exp().ln_1p()
        });
        each.sum()
    };
    let [slope, intercept, single] = start.objectness.map(f64::from);
    let mut best = [slope, intercept, single, f64::from(start.iou_weight), -4.0];
    let mut least = cost(&best);
    let mut step = 0.5;
    for _ in 0..ROUNDS {
        let before = least;
        for i in 0..best.len() {
            for direction in [step, -step] {
                let mut tried = best;
                tried[i] += direction;
                let price = cost(&tried);
                if price < least {
                    (least, best) = (price, tried);
                }
            }
        }
        if before - least <= 1e-4 * before {
            step /= 2.0;
        }
    }
    ([best[0], best[1], best[2], best[3]].map(|v| (v * 1e3).round() / 1e3), candidates.len())
}
