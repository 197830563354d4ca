//! The figures. Each is a function of how often every patient counts, so that one definition serves the value and its
//! bootstrap interval.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use domain::BoundingBox;

/// A figure with its 95 % interval over patients and the number of things it is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    /// The value; none where there is nothing to measure.
    pub value: Option<f64>,
    /// Lower end of the interval.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
    /// Boxes, cells or chromosomes that it is drawn from.
    pub n: usize,
}

/// Draws for the intervals.
const DRAWS: usize = 500;

/// Resampling over patients: which patient each item belongs to.
pub struct Bootstrap {
    groups: usize,
    group_of: Vec<usize>,
}

impl Bootstrap {
    /// From the patient of every item.
    pub fn over<'a>(patients: impl IntoIterator<Item = &'a str>) -> Self {
        let mut known = std::collections::HashMap::new();
        let group_of: Vec<usize> = patients
            .into_iter()
            .map(|patient| {
                let next = known.len();
                *known.entry(patient).or_insert(next)
            })
            .collect();
        Self { groups: known.len(), group_of }
    }

    /// The figure: `measure` gets how often each item counts (1 for the value itself).
    pub fn figure(&self, n: usize, measure: impl Fn(&[u32]) -> f64) -> Figure {
        let finite = |value: f64| value.is_finite().then_some(value);
        let value = finite(measure(&vec![1; self.group_of.len()]));
        let mut draws = Vec::with_capacity(DRAWS);
        if value.is_some() && self.groups > 1 {
            let mut rng = ChaCha8Rng::seed_from_u64(2026);
            let mut times = vec![0u32; self.groups];
            for _ in 0..DRAWS {
                times.fill(0);
                for _ in 0..self.groups {
                    times[rng.random_range(0..self.groups)] += 1;
                }
                let weights: Vec<u32> = self.group_of.iter().map(|group| times[*group]).collect();
                draws.extend(finite(measure(&weights)));
            }
        }
        draws.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = (share * draws.len().saturating_sub(1) as f64).round() as usize;
            draws.get(place).copied()
        };
        Figure { value, low: at(0.025), high: at(0.975), n }
    }

    /// The weighted mean of one value an item; items without a value do not count.
    pub fn mean(&self, values: &[Option<f64>]) -> Figure {
        let n = values.iter().flatten().count();
        self.figure(n, |weights| {
            let (mut sum, mut total) = (0.0, 0.0);
            for (value, weight) in values.iter().zip(weights) {
                if let Some(value) = value {
                    sum += value * f64::from(*weight);
                    total += f64::from(*weight);
                }
            }
            sum / total
        })
    }

    /// A ratio of two sums over the items.
    pub fn ratio(&self, parts: &[(f64, f64)]) -> Figure {
        let n = parts.iter().map(|(_, whole)| whole).sum::<f64>() as usize;
        self.figure(n, |weights| {
            let (mut part, mut whole) = (0.0, 0.0);
            for ((p, w), weight) in parts.iter().zip(weights) {
                part += p * f64::from(*weight);
                whole += w * f64::from(*weight);
            }
            part / whole
        })
    }
}

/// One answer of a detector for the average precision.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// Place of its image in the list of items.
    pub item: usize,
    /// Score.
    pub score: f32,
    /// Whether it took a true box.
    pub hit: bool,
}

/// All-point interpolated average precision, pooled over images. `positives[item]` is the number of true boxes.
pub struct AveragePrecision {
    answers: Vec<Answer>,
    positives: Vec<u32>,
}

impl AveragePrecision {
    /// From all answers (any order) and the true boxes of each item.
    pub fn new(mut answers: Vec<Answer>, positives: Vec<u32>) -> Self {
        answers.sort_by(|a, b| b.score.total_cmp(&a.score));
        Self { answers, positives }
    }

    /// The average precision when item i counts `weights[i]` times; NaN without positives.
    pub fn value(&self, weights: &[u32]) -> f64 {
        let total: u64 = self.positives.iter().zip(weights).map(|(p, w)| u64::from(*p) * u64::from(*w)).sum();
        if total == 0 {
            return f64::NAN;
        }
        let (mut hits, mut seen) = (0u64, 0u64);
        let mut steps: Vec<(f64, u64)> = Vec::new();
        for answer in &self.answers {
            let weight = u64::from(weights[answer.item]);
            if weight == 0 {
                continue;
            }
            seen += weight;
            if answer.hit {
                hits += weight;
                steps.push((hits as f64 / seen as f64, weight));
            }
        }
        // Precision at a recall is the best at that recall or beyond.
        let (mut best, mut area) = (0.0f64, 0.0);
        for (precision, gained) in steps.into_iter().rev() {
            best = best.max(precision);
            area += best * gained as f64;
        }
        area / total as f64
    }
}

/// The value that a share of the total weight does not exceed, of `(value, weight)`; NaN for none. Sorts the pairs.
pub fn quantile(values: &mut [(f64, u32)], share: f64) -> f64 {
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let goal = share * values.iter().map(|v| f64::from(v.1)).sum::<f64>();
    let mut weight = 0.0;
    let found = values.iter().find(|v| {
        weight += f64::from(v.1);
        weight >= goal && v.1 > 0
    });
    found.map_or(f64::NAN, |v| v.0)
}

/// Area under the receiver operating characteristic: how often something true scores above something false, ties half.
/// Items are (score, true) with a weight each; NaN when one side is missing.
pub fn roc_auc(items: &[(f64, bool)], weights: &[u32]) -> f64 {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by(|a, b| items[*a].0.total_cmp(&items[*b].0));
    let (mut below, mut above, mut won) = (0.0, 0.0, 0.0);
    for tied in order.chunk_by(|a, b| items[*a].0 == items[*b].0) {
        let sum =
            |side: bool| -> f64 { tied.iter().filter(|i| items[**i].1 == side).map(|i| f64::from(weights[*i])).sum() };
        let (truths, others) = (sum(true), sum(false));
        won += truths * (below + others / 2.0);
        below += others;
        above += truths;
    }
    won / (below * above)
}

/// For boxes, best first: which true box each takes, greedily the one with the highest overlap that is still free and at
/// least `least`.
pub fn match_greedily(found: &[BoundingBox], truth: &[BoundingBox], least: f32) -> Vec<Option<usize>> {
    let mut free = vec![true; truth.len()];
    found
        .iter()
        .map(|bounds| {
            let best = truth
                .iter()
                .enumerate()
                .filter(|(t, _)| free[*t])
                .map(|(t, other)| (t, bounds.iou(other)))
                .fold((None, least), |best, (t, iou)| if iou >= best.1 { (Some(t), iou) } else { best })
                .0;
            if let Some(t) = best {
                free[t] = false;
            }
            best
        })
        .collect()
}

/// A one-to-one matching at an overlap of at least `least` that leaves nothing over on either side, where there is one:
/// for each found box its true box. Prefers pairs with `liked` when several matchings exist.
pub fn match_perfectly(
    found: &[BoundingBox],
    truth: &[BoundingBox],
    least: f32,
    liked: impl Fn(usize, usize) -> bool,
) -> Option<Vec<usize>> {
    if found.len() != truth.len() {
        return None;
    }
    let mut choices: Vec<Vec<usize>> =
        found.iter().map(|bounds| (0..truth.len()).filter(|t| bounds.iou(&truth[*t]) >= least).collect()).collect();
    for (f, list) in choices.iter_mut().enumerate() {
        // Stable: liked ones first, then by overlap.
        list.sort_by(|a, b| {
            let key = |t: usize| (!liked(f, t), -found[f].iou(&truth[t]));
            let (ka, kb) = (key(*a), key(*b));
            ka.0.cmp(&kb.0).then(ka.1.total_cmp(&kb.1))
        });
    }
    fn place(f: usize, choices: &[Vec<usize>], owner: &mut [Option<usize>], seen: &mut [bool]) -> bool {
        for &t in &choices[f] {
            if std::mem::replace(&mut seen[t], true) {
                continue;
            }
            let free = match owner[t] {
                None => true,
                Some(other) => place(other, choices, owner, seen),
            };
            if free {
                owner[t] = Some(f);
                return true;
            }
        }
        false
    }
    let mut owner = vec![None; truth.len()];
    for f in 0..found.len() {
        if !place(f, &choices, &mut owner, &mut vec![false; truth.len()]) {
            return None;
        }
    }
    let mut result = vec![0; found.len()];
    for (t, f) in owner.iter().enumerate() {
        result[(*f)?] = t;
    }
    Some(result)
}

/// Precision, recall and F1 of one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassFigures {
    /// The class.
    pub class: String,
    /// Share of the answers of this class that are right.
    pub precision: Option<f64>,
    /// Share of the chromosomes of this class that were named so.
    pub recall: Option<f64>,
    /// Harmonic mean of the two.
    pub f1: Option<f64>,
    /// Chromosomes of this class.
    pub support: u64,
}

/// Means of precision, recall and F1 over the classes that occur; a class that was never answered has a precision of 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Averages {
    /// Mean precision.
    pub precision: f64,
    /// Mean recall.
    pub recall: f64,
    /// Mean F1.
    pub f1: f64,
}

impl Averages {
    /// `macro` counts every class alike, `weighted` by its support; empty where no class occurs.
    pub fn of(classes: &[ClassFigures]) -> BTreeMap<&'static str, Self> {
        let mean = |weight: &dyn Fn(&ClassFigures) -> f64| {
            let total: f64 = classes.iter().map(weight).sum();
            let over = |pick: &dyn Fn(&ClassFigures) -> Option<f64>| {
                classes.iter().map(|c| weight(c) * pick(c).unwrap_or(0.0)).sum::<f64>() / total
            };
            (total > 0.0).then(|| Self {
                precision: over(&|c| c.precision),
                recall: over(&|c| c.recall),
                f1: over(&|c| c.f1),
            })
        };
        let each = mean(&|c| f64::from(u8::from(c.support > 0)));
        let weighted = mean(&|c| c.support as f64);
        [("macro", each), ("weighted", weighted)].into_iter().filter_map(|(name, m)| Some((name, m?))).collect()
    }
}

/// Counts of true class (row) against answered class (column).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Confusion {
    /// Names of rows and columns.
    pub classes: Vec<String>,
    /// `counts[truth][answer]`.
    pub counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// An empty table.
    pub fn new(classes: Vec<String>) -> Self {
        let n = classes.len();
        Self { classes, counts: vec![vec![0; n]; n] }
    }

    /// Counts one answer.
    pub fn add(&mut self, truth: usize, answer: usize) {
        self.counts[truth][answer] += 1;
    }

    /// Figures of every class that occurs.
    pub fn per_class(&self) -> Vec<ClassFigures> {
        (0..self.classes.len())
            .map(|c| {
                let right = self.counts[c][c] as f64;
                let support: u64 = self.counts[c].iter().sum();
                let answered: u64 = self.counts.iter().map(|row| row[c]).sum();
                let share = |whole: u64| (whole > 0).then(|| right / whole as f64);
                let (precision, recall) = (share(answered), share(support));
                let f1 = (support + answered > 0).then(|| 2.0 * right / (support + answered) as f64);
                ClassFigures { class: self.classes[c].clone(), precision, recall, f1, support }
            })
            .collect()
    }
}

/// Mean F1 over the classes that occur.
pub fn macro_f1(pairs: impl Iterator<Item = (usize, usize, u32)>, classes: usize) -> f64 {
    let (mut right, mut support, mut answered) = (vec![0u64; classes], vec![0u64; classes], vec![0u64; classes]);
    for (truth, answer, weight) in pairs {
        let weight = u64::from(weight);
        support[truth] += weight;
        answered[answer] += weight;
        if truth == answer {
            right[truth] += weight;
        }
    }
    let f1: Vec<f64> = (0..classes)
        .filter(|c| support[*c] > 0)
        .map(|c| 2.0 * right[c] as f64 / (support[c] + answered[c]) as f64)
        .collect();
    f1.iter().sum::<f64>() / f1.len() as f64
}

/// Expected calibration error over 15 bins of equal width (Guo et al. 2017): how far stated and reached confidence lie
/// apart, weighted by how many answers a bin holds.
pub fn calibration_error(answers: impl Iterator<Item = (f64, bool, u32)>) -> f64 {
    const BINS: usize = 15;
    let mut bins = [(0.0, 0.0, 0.0); BINS];
    for (confidence, right, weight) in answers {
        let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
        let weight = f64::from(weight);
        bin.0 += weight;
        bin.1 += confidence * weight;
        bin.2 += f64::from(u8::from(right)) * weight;
    }
    let total: f64 = bins.iter().map(|bin| bin.0).sum();
    bins.iter().map(|(_, confidence, right)| (confidence - right).abs()).sum::<f64>() / total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(x: f32) -> BoundingBox {
        BoundingBox { x, y: 0.0, width: 10.0, height: 10.0 }
    }

    #[test]
    fn average_precision_is_the_area_under_the_envelope() {
        // Hits at ranks 1, 3, 4 of four true boxes: precisions 1, 2/3, 3/4; the envelope lifts rank 3 to 3/4.
        let answers = [(0.9, true), (0.8, false), (0.7, true), (0.6, true), (0.5, false)].map(|(score, hit)| Answer {
            item: 0,
            score,
            hit,
        });
        let ap = AveragePrecision::new(answers.to_vec(), vec![4]);
        assert!((ap.value(&[1]) - (1.0 + 0.75 + 0.75) / 4.0).abs() < 1e-12);
        assert!((ap.value(&[3]) - ap.value(&[1])).abs() < 1e-12, "counting all twice changes nothing");
        assert!(AveragePrecision::new(vec![], vec![0]).value(&[1]).is_nan());
    }

    #[test]
    fn the_auc_counts_pairs_in_the_right_order() {
        let items = [(0.1, false), (0.4, true), (0.4, false), (0.9, true)];
        // Pairs: 0.4 against 0.1 won, against 0.4 half; 0.9 wins both.
        assert!((roc_auc(&items, &[1; 4]) - 3.5 / 4.0).abs() < 1e-12);
        // Without the last item 0.4 stands alone: one pair won, one half.
        assert!((roc_auc(&items, &[1, 1, 1, 0]) - 1.5 / 2.0).abs() < 1e-12);
        assert!(roc_auc(&items[..1], &[1]).is_nan());
    }

    #[test]
    fn a_true_box_is_taken_once() {
        let taken = match_greedily(&[square(0.0), square(1.0), square(40.0)], &[square(0.0), square(100.0)], 0.5);
        assert_eq!(taken, [Some(0), None, None]);
    }

    #[test]
    fn a_perfect_cell_is_found_where_greed_would_fail() {
        // The first found box overlaps both true ones; greed gives it the wrong one.
        let truth = [square(0.0), square(3.0)];
        let found = [square(2.0), square(5.0)];
        assert_eq!(match_greedily(&found, &truth, 0.5), [Some(1), None]);
        assert_eq!(match_perfectly(&found, &truth, 0.5, |_, _| false), Some(vec![0, 1]));
        assert_eq!(match_perfectly(&found[..1], &truth, 0.5, |_, _| false), None);
        assert_eq!(match_perfectly(&[square(0.0), square(50.0)], &truth, 0.5, |_, _| false), None);
    }

    #[test]
    fn intervals_hold_the_value_and_widen_with_fewer_patients() {
        let values: Vec<Option<f64>> = (0..200).map(|i| Some(f64::from(i % 4 == 0))).collect();
        let names: Vec<String> = (0..200).map(|i| format!("p{i}")).collect();
        let many = Bootstrap::over(names.iter().map(String::as_str)).mean(&values);
        let few_names: Vec<String> = (0..200).map(|i| format!("p{}", i / 20)).collect();
        let few = Bootstrap::over(few_names.iter().map(String::as_str)).mean(&values);
        let (low, high) = (many.low.unwrap(), many.high.unwrap());
        assert!(low < 0.25 && 0.25 < high && high - low < 0.15, "{many:?}");
        assert_eq!(few.value, Some(0.25));
        let one = Bootstrap::over(["a"; 3]).mean(&[Some(1.0), None, Some(0.0)]);
        assert_eq!((one.value, one.low, one.n), (Some(0.5), None, 2));
    }

    #[test]
    fn calibration_error_is_zero_for_the_honest_and_large_for_the_boastful() {
        let honest = (0..100).map(|i| (0.75, i % 4 != 0, 1));
        assert!(calibration_error(honest) < 1e-9);
        let boastful = (0..100).map(|i| (1.0, i % 2 == 0, 1));
        assert!((calibration_error(boastful) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn figures_of_a_class_follow_from_the_confusion() {
        let mut confusion = Confusion::new(vec!["a".into(), "b".into()]);
        for (t, a) in [(0, 0), (0, 0), (0, 1), (1, 1)] {
            confusion.add(t, a);
        }
        let per_class = confusion.per_class();
        assert_eq!(
            (per_class[0].precision, per_class[0].recall, per_class[0].support),
            (Some(1.0), Some(2.0 / 3.0), 3)
        );
        assert_eq!(per_class[1].f1, Some(2.0 / 3.0));
        let averages = Averages::of(&per_class);
        assert!((averages["macro"].recall - (2.0 / 3.0 + 1.0) / 2.0).abs() < 1e-12);
        assert!((averages["weighted"].recall - 0.75).abs() < 1e-12);
        assert!(Averages::of(&Confusion::new(vec!["a".into()]).per_class()).is_empty());
        let f1 = macro_f1([(0, 0, 2), (0, 1, 1), (1, 1, 1)].into_iter(), 2);
        assert!((f1 - (0.8 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
    }
}
