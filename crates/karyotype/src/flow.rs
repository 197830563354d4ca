//! Assignment of objects to labels as a min-cost flow.
//!
//! Each object takes one label; a label's price grows convexly with the number of objects that take it. Objects
//! are sent one after the other along the cheapest augmenting path through the labels (successive shortest
//! paths), which keeps the assignment optimal at every step. With 25 labels the residual graph is tiny, so a cell
//! of 46 takes well under a millisecond.

/// Labels: 24 classes and "no chromosome".
pub(super) const LABELS: usize = 25;
/// The label of what is no chromosome, or one already boxed.
pub(super) const OTHER: usize = 24;

/// What an object costs under each label.
pub(super) type Row = [f64; LABELS];

/// An optimal assignment and its residual graph.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    /// Label of each object.
    pub labels: Vec<usize>,
    /// Objects under each label.
    pub copy_numbers: [usize; LABELS],
    /// Cheapest price of one object changing from the first label to the second; infinite where there is none. On the
    /// heap, for the search keeps a flow a level: ten kilobytes each would use up a thread's stack.
    moves: Box<[[f64; LABELS]; LABELS]>,
    movers: Box<[[usize; LABELS]; LABELS]>,
}

const NONE: usize = usize::MAX;
const TINY: f64 = 1e-9;

/// Assigns every object. `load(label, n)` is the price of n objects under a label, convex in n.
pub(super) fn solve(rows: &[Row], load: impl Fn(usize, usize) -> f64) -> Flow {
    let mut flow = Flow {
        labels: vec![NONE; rows.len()],
        copy_numbers: [0; LABELS],
        moves: Box::new([[f64::INFINITY; LABELS]; LABELS]),
        movers: Box::new([[NONE; LABELS]; LABELS]),
    };
    for new in 0..rows.len() {
        let mut distance = rows[new];
        let mut from = [NONE; LABELS];
        // Bellman-Ford: penalties of moves may be negative. There is no negative cycle, so paths are simple.
        for _ in 0..LABELS {
            let mut changed = false;
            for a in (0..LABELS).filter(|a| flow.copy_numbers[*a] > 0) {
                for b in 0..LABELS {
                    let through = distance[a] + flow.moves[a][b];
                    if through < distance[b] - TINY {
                        (distance[b], from[b], changed) = (through, a, true);
                    }
                }
            }
            if !changed {
                break;
            }
        }
        let end = (0..LABELS)
            .min_by(|a, b| {
                let price = |l: usize| distance[l] + load(l, flow.copy_numbers[l] + 1) - load(l, flow.copy_numbers[l]);
                price(*a).total_cmp(&price(*b))
            })
            .expect("there are labels");
        let mut at = end;
        let mut touched = vec![end];
        while from[at] != NONE && touched.len() <= LABELS {
            let before = from[at];
            flow.labels[flow.movers[before][at]] = at;
            at = before;
            touched.push(at);
        }
        flow.labels[new] = at;
        flow.copy_numbers[end] += 1;
        for label in touched {
            flow.refresh(rows, label);
        }
    }
    flow
}

impl Flow {
    fn refresh(&mut self, rows: &[Row], label: usize) {
        self.moves[label] = [f64::INFINITY; LABELS];
        for (i, _) in self.labels.iter().enumerate().filter(|(_, l)| **l == label) {
            for to in (0..LABELS).filter(|to| *to != label) {
                let price = rows[i][to] - rows[i][label];
                if price < self.moves[label][to] {
                    (self.moves[label][to], self.movers[label][to]) = (price, i);
                }
            }
        }
    }

    /// Takes an object out of its class for good (its row now forbids all classes) and makes the rest optimal again.
    /// One cheapest path into the place that it leaves is enough.
    pub fn forbid(&mut self, rows: &[Row], object: usize, load: impl Fn(usize, usize) -> f64) {
        let left = self.labels[object];
        if left == OTHER {
            return self.refresh(rows, OTHER);
        }
        self.labels[object] = OTHER;
        self.copy_numbers[left] -= 1;
        self.copy_numbers[OTHER] += 1;
        self.refresh(rows, left);
        self.refresh(rows, OTHER);
        // Cheapest ways from every label to the free place, backwards.
        let mut distance = [f64::INFINITY; LABELS];
        let mut next = [NONE; LABELS];
        distance[left] = 0.0;
        for _ in 0..LABELS {
            let mut changed = false;
            for a in (0..LABELS).filter(|a| self.copy_numbers[*a] > 0 && *a != left) {
                for b in 0..LABELS {
                    let through = self.moves[a][b] + distance[b];
                    if through < distance[a] - TINY {
                        (distance[a], next[a], changed) = (through, b, true);
                    }
                }
            }
            if !changed {
                break;
            }
        }
        let fewer = |l: usize| load(l, self.copy_numbers[l] - 1) - load(l, self.copy_numbers[l]);
        let start = (0..LABELS)
            .filter(|l| *l != left && next[*l] != NONE)
            .min_by(|a, b| (distance[*a] + fewer(*a)).total_cmp(&(distance[*b] + fewer(*b))));
        let Some(start) = start else { return };
        let gain = load(left, self.copy_numbers[left] + 1) - load(left, self.copy_numbers[left]);
        if distance[start] + fewer(start) + gain >= -TINY {
            return;
        }
        self.copy_numbers[start] -= 1;
        self.copy_numbers[left] += 1;
        let mut touched = vec![start];
        let mut at = start;
        while at != left && touched.len() <= LABELS {
            let to = next[at];
            self.labels[self.movers[at][to]] = to;
            touched.push(to);
            at = to;
        }
        for label in touched {
            self.refresh(rows, label);
        }
    }

    /// Price of all objects under their labels, loads included.
    pub fn cost(&self, rows: &[Row], load: impl Fn(usize, usize) -> f64) -> f64 {
        let objects: f64 = self.labels.iter().zip(rows).map(|(l, row)| row[*l]).sum();
        objects + (0..LABELS).map(|l| load(l, self.copy_numbers[l])).sum::<f64>()
    }

    /// Cheapest price of taking one object from the first label and giving one to the second, others making room
    /// on the way (Floyd and Warshall).
    pub fn transfers(&self) -> [[f64; LABELS]; LABELS] {
        let mut d = *self.moves;
        for (label, row) in d.iter_mut().enumerate() {
            row[label] = 0.0;
        }
        for k in 0..LABELS {
            for a in 0..LABELS {
                if d[a][k] < f64::INFINITY {
                    for b in 0..LABELS {
                        d[a][b] = d[a][b].min(d[a][k] + d[k][b]);
                    }
                }
            }
        }
        d
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same with a rectangular Hungarian assignment over explicit slots.
    fn by_hungarian(rows: &[Row], load: &dyn Fn(usize, usize) -> f64) -> f64 {
        use pathfinding::prelude::{Matrix, kuhn_munkres_min};
        let slots: Vec<(usize, usize)> = (0..LABELS).flat_map(|l| (1..=rows.len()).map(move |n| (l, n))).collect();
        let scale = 1e6;
        let matrix = Matrix::from_fn(rows.len(), slots.len(), |(i, s)| {
            let (label, n) = slots[s];
            ((rows[i][label] + load(label, n) - load(label, n - 1)) * scale).round() as i64
        });
        let empty: f64 = (0..LABELS).map(|l| load(l, 0)).sum();
        kuhn_munkres_min(&matrix).0 as f64 / scale + empty
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn taking_objects_out_one_by_one_stays_optimal(
            seed in prop::collection::vec(0.0..8.0_f64, LABELS * 12),
            expected in prop::collection::vec(0..3_usize, LABELS),
            over in 0.5..6.0_f64,
            under in 0.5..6.0_f64,
        ) {
            let mut rows: Vec<Row> = seed.chunks(LABELS).map(|c| c.try_into().unwrap()).collect();
            let load = |l: usize, n: usize| match l {
                OTHER => 0.0,
                _ if n > expected[l] => (n - expected[l]) as f64 * over,
                _ => (expected[l] - n) as f64 * under,
            };
            let mut flow = solve(&rows, load);
            for object in [3, 7, 1, 10] {
                rows[object][..OTHER].fill(1e6);
                flow.forbid(&rows, object, load);
                let anew = solve(&rows, load);
                prop_assert!((flow.cost(&rows, load) - anew.cost(&rows, load)).abs() < 1e-6);
                for l in 0..LABELS {
                    prop_assert_eq!(flow.copy_numbers[l], flow.labels.iter().filter(|x| **x == l).count());
                }
            }
        }

        #[test]
        #[test]
        fn the_flow_is_as_cheap_as_the_hungarian_assignment(
            seed in prop::collection::vec(0.0..8.0_f64, LABELS * 9),
            expected in prop::collection::vec(0..3_usize, LABELS),
            over in 0.5..6.0_f64,
            under in 0.5..6.0_f64,
        ) {
            let rows: Vec<Row> = seed.chunks(LABELS).map(|c| c.try_into().unwrap()).collect();
            let load = |l: usize, n: usize| {
                let gap = n as f64 - expected[l] as f64;
                if gap > 0.0 { gap * over } else { -gap * under }
            };
            let flow = solve(&rows, load);
            let best = by_hungarian(&rows, &load);
            prop_assert!((flow.cost(&rows, load) - best).abs() < 1e-4, "{} {best}", flow.cost(&rows, load));
            prop_assert_eq!(flow.copy_numbers.iter().sum::<usize>(), rows.len());
        }
    }
}
