//! Which detections are accepted as chromosomes, classes left aside. Pure.
//!
//! A plain threshold cannot distinguish two chromosomes that cross from one that was boxed twice. Here a set of boxes is
//! selected as a whole: each is worth the logit of its score over that of the threshold, and each overlap costs what the model says.

use crate::inference::{OverlapPrice, Thresholds};

use super::{Detection, decode::logit};

/// Most steps of the search among boxes that overlap in one chain; the best set so far is taken then.
const MAX_SEARCH_STEPS: usize = 10_000;

/// Marks the detections that are accepted: of all sets of detections the one that is worth most. Exact unless more of them
/// overlap in one chain than the search can try; without a price of overlaps in the model, every detection from
/// `thresholds.score` on.
pub fn select_detections(detections: &mut [Detection], thresholds: &Thresholds) {
    let Some(price) = thresholds.overlap else {
        detections.iter_mut().for_each(|d| d.accepted = d.score >= thresholds.score);
        return;
    };
    detections.iter_mut().for_each(|d| d.accepted = false);
    let mut open: Vec<usize> = (0..detections.len()).filter(|i| detections[*i].score >= thresholds.score).collect();
    open.sort_by(|a, b| detections[*b].score.total_cmp(&detections[*a].score));
    while let Some(&first) = open.first() {
        let chain = chain_of(first, &mut open, detections, &price);
        let mut search = Search::new(&chain, detections, thresholds.score, &price);
        search.extend_set(0, 0.0);
        for (row, i) in chain.into_iter().enumerate() {
            detections[i].accepted = search.best[row];
        }
    }
}

/// Takes `first` and all that hang together with it by overlaps that cost something out of `open`; the order stays.
fn chain_of(first: usize, open: &mut Vec<usize>, detections: &[Detection], price: &OverlapPrice) -> Vec<usize> {
    let mut chain = vec![first];
    let mut next = 0;
    while let Some(&of) = chain.get(next) {
        let cost = |i: usize| price.of(detections[of].bounds.iou(&detections[i].bounds));
        chain.extend(open.iter().copied().filter(|i| cost(*i) > 0.0 && !chain.contains(i)).collect::<Vec<_>>());
        next += 1;
    }
    chain.sort_by(|a, b| detections[*b].score.total_cmp(&detections[*a].score));
    open.retain(|i| !chain.contains(i));
    chain
}

/// Branch and bound over the boxes of one chain, best first: each with, then without.
struct Search {
    /// What each is worth by itself.
    worth: Vec<f32>,
    /// What all from a row on are worth together.
    rest: Vec<f32>,
    /// `cost[a][b]` of accepting both.
    cost: Vec<Vec<f32>>,
    taken: Vec<bool>,
    best: Vec<bool>,
    best_value: f32,
    steps: usize,
}

impl Search {
    fn new(chain: &[usize], detections: &[Detection], threshold: f32, price: &OverlapPrice) -> Self {
        let worth: Vec<f32> = chain.iter().map(|i| logit(detections[*i].score) - logit(threshold)).collect();
        let mut rest = vec![0.0; chain.len() + 1];
        for row in (0..chain.len()).rev() {
            rest[row] = rest[row + 1] + worth[row];
        }
        let cost_of = |a: &usize, b: &usize| price.of(detections[*a].bounds.iou(&detections[*b].bounds));
        let cost = chain.iter().map(|a| chain.iter().map(|b| cost_of(a, b)).collect()).collect();
        // The surest of a chain is accepted even where nothing else is worth anything.
        let best: Vec<bool> = (0..chain.len()).map(|row| row == 0).collect();
        Self { best_value: worth[0], worth, rest, cost, taken: vec![false; chain.len()], best, steps: MAX_SEARCH_STEPS }
    }

    /// Tries every set that continues the taken ones, worth `value` so far, with boxes from `row` on.
    fn extend_set(&mut self, row: usize, value: f32) {
        self.steps = self.steps.saturating_sub(1);
        if value > self.best_value {
            self.best_value = value;
            self.best.clone_from(&self.taken);
        }
        if row == self.worth.len() || value + self.rest[row] <= self.best_value || self.steps == 0 {
            return;
        }
        let cost: f32 = (0..row).filter(|other| self.taken[*other]).map(|other| self.cost[row][other]).sum();
        let gain = self.worth[row] - cost;
        if gain > 0.0 {
            self.taken[row] = true;
            self.extend_set(row + 1, value + gain);
            self.taken[row] = false;
        }
        self.extend_set(row + 1, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::BoundingBox;
    use proptest::prelude::*;

    fn detection(x: f32, width: f32, score: f32) -> Detection {
        Detection { bounds: BoundingBox { x, y: 0.0, width, height: 10.0 }, score, classes: None, accepted: false }
    }

    fn thresholds(price: Option<f32>) -> Thresholds {
        let overlap = price.map(|price| OverlapPrice { free: 0.3, price });
        Thresholds { score: 0.3, overlap, ..Default::default() }
    }

    fn accepted(mut detections: Vec<Detection>, price: Option<f32>) -> Vec<bool> {
        select_detections(&mut detections, &thresholds(price));
        detections.iter().map(|d| d.accepted).collect()
    }

    #[test]
    fn without_a_price_the_threshold_decides() {
        assert_eq!(
            accepted(vec![detection(0.0, 10.0, 0.9), detection(1.0, 10.0, 0.3), detection(2.0, 10.0, 0.29)], None),
            [true, true, false]
        );
    }

    #[test]
    fn a_weak_double_goes_and_two_sure_ones_that_cross_stay() {
        // IoU 0.54, which costs 1.7 of 5.
        assert_eq!(accepted(vec![detection(0.0, 10.0, 0.95), detection(3.0, 10.0, 0.5)], Some(5.0)), [true, false]);
        assert_eq!(accepted(vec![detection(0.0, 10.0, 0.95), detection(3.0, 10.0, 0.9)], Some(5.0)), [true, true]);
        assert_eq!(
            accepted(vec![detection(0.0, 10.0, 0.95), detection(30.0, 10.0, 0.31)], Some(5.0)),
            [true, true],
            "alone"
        );
    }

    #[test]
    fn a_box_over_two_chromosomes_yields_to_both_though_it_is_surer_than_each() {
        let detections = vec![detection(0.0, 20.0, 0.93), detection(0.0, 10.5, 0.9), detection(9.5, 10.5, 0.9)];
        assert_eq!(accepted(detections, Some(30.0)), [false, true, true]);
    }

    #[test]
    fn the_surest_is_accepted_even_at_the_threshold() {
        assert_eq!(accepted(vec![detection(0.0, 10.0, 0.3)], Some(5.0)), [true]);
    }

    #[test]
    fn a_crowd_ends_in_time() {
        let crowd: Vec<Detection> =
            (0..400).map(|i| detection(i as f32 * 0.5, 10.0, 0.99 - 0.001 * i as f32)).collect();
        let begun = std::time::Instant::now();
        let accepted = accepted(crowd, Some(0.1));
        assert!(accepted.iter().any(|t| *t) && begun.elapsed().as_secs() < 5);
    }

    proptest! {
        /// No single box can be added to or taken from the selected set with profit.
        #[test]
        fn no_single_box_improves_the_selected_set(places in prop::collection::vec((0.0f32..60.0, 4.0f32..20.0, 0.05f32..0.999), 1..14), price in 0.5f32..20.0) {
            let mut detections: Vec<Detection> = places.iter().map(|(x, w, s)| detection(*x, *w, *s)).collect();
            select_detections(&mut detections, &thresholds(Some(price)));
            let overlap = OverlapPrice { free: 0.3, price };
            for (i, one) in detections.iter().enumerate() {
                let others = detections.iter().enumerate().filter(|(k, other)| *k != i && other.accepted);
                let cost: f32 = others.map(|(_, other)| overlap.of(one.bounds.iou(&other.bounds))).sum();
                let gain = logit(one.score) - logit(0.3) - cost;
                prop_assert!(if one.accepted { gain >= -1e-3 } else { gain <= 1e-3 }, "{one:?} {gain}");
            }
        }
    }
}
