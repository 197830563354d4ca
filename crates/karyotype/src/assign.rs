//! The most probable karyotype of a cell under an open prior, and how sure that is.
//!
//! Every object takes one of 24 classes or none; every class has a true number, priced by how far it lies from
//! the normal one, and a price for each chromosome found too few (missed) or too many (boxed twice). For a fixed
//! ploidy and sex complement this is one min-cost flow with convex penalties, solved exactly; the few ploidies and sex
//! complements are tried one by one. Posteriors normalise over all karyotypes within two edits (one chromosome of
//! a class more or less) of the best of each.

use domain::{Chromosome, ChromosomeClass};

use super::{
    evidence::{Evidence, row},
    flow::{Flow, LABELS, OTHER, Row, solve},
    settings::{KaryotypeSettings, Penalties},
};

const AUTOSOMES: usize = 22;
const CLASSES: usize = ChromosomeClass::COUNT;
/// Highest number of one class that is considered.
const MAX_COPIES: usize = 8;

/// A class whose number is not the normal one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// The class.
    pub class: ChromosomeClass,
    /// Its number in the most probable karyotype.
    pub number: u8,
    /// The number that the ploidy makes normal.
    pub normal: u8,
    /// Posterior that the number deviates in this direction.
    pub posterior: f32,
}

/// The most probable karyotype of a cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// Class of each object, none for what is no (further) chromosome.
    pub classes: Vec<Option<ChromosomeClass>>,
    /// Probability of each object's label, given the whole cell.
    pub scores: Vec<f32>,
    /// Chromosomes of each class in the most probable karyotype, those not found included.
    pub copy_numbers: [u8; CLASSES],
    /// Chromosomes of each class that were found.
    pub found: [u8; CLASSES],
    /// Sets of chromosomes: 1 to 4.
    pub ploidy: u8,
    /// Posterior of `copy_numbers`.
    pub posterior: f32,
    /// Posterior of any normal karyotype (46,XX or 46,XY).
    pub normal: f32,
    /// Posterior of the sex complement (X and Y by number).
    pub sex_posterior: f32,
    /// Posterior of the ploidy.
    pub ploidy_posterior: f32,
    /// Autosomes whose number is not the ploidy's, in the most probable karyotype or with a posterior of 5 % or more.
    pub changes: Vec<Change>,
    /// Posterior of fewer and of more chromosomes of each autosome than the ploidy.
    pub marginals: [[f32; 2]; AUTOSOMES],
}

impl Assignment {
    /// What a person has settled: these classes, these copy numbers, without doubt. The ploidy is the usual number of
    /// an autosome.
    pub(super) fn certain(chromosomes: &[Chromosome], copy_numbers: [u8; CLASSES]) -> Self {
        let mut sorted = copy_numbers[..AUTOSOMES].to_vec();
        sorted.sort_unstable();
        let ploidy = sorted[AUTOSOMES / 2].clamp(1, 4);
        let deviating = |class: &ChromosomeClass| !class.is_sex() && copy_numbers[class.index()] != ploidy;
        let changes: Vec<Change> = ChromosomeClass::all()
            .filter(deviating)
            .map(|class| Change { class, number: copy_numbers[class.index()], normal: ploidy, posterior: 1.0 })
            .collect();
        let sex = (copy_numbers[ChromosomeClass::X.index()], copy_numbers[ChromosomeClass::Y.index()]);
        let normal = ploidy == 2 && changes.is_empty() && matches!(sex, (2, 0) | (1, 1));
        let side = |class: usize| {
            [copy_numbers[class] < ploidy, copy_numbers[class] > ploidy].map(|is| f32::from(u8::from(is)))
        };
        Self {
            marginals: std::array::from_fn(side),
            classes: chromosomes.iter().map(|c| c.class).collect(),
            scores: vec![1.0; chromosomes.len()],
            copy_numbers,
            found: copy_numbers,
            ploidy,
            posterior: 1.0,
            normal: f32::from(u8::from(normal)),
            sex_posterior: 1.0,
            ploidy_posterior: 1.0,
            changes,
        }
    }

    /// Chromosomes of the most probable karyotype that were not found.
    pub fn missing(&self) -> u32 {
        self.copy_numbers.iter().zip(self.found).map(|(t, d)| u32::from(t.saturating_sub(d))).sum()
    }

    /// X and Y in the most probable karyotype.
    pub fn sex(&self) -> (u8, u8) {
        (self.copy_numbers[ChromosomeClass::X.index()], self.copy_numbers[ChromosomeClass::Y.index()])
    }
}

/// Ploidy and sex complement that are tried.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Hypothesis {
    ploidy: usize,
    x: usize,
    y: usize,
    price: f64,
}

fn hypotheses(objects: usize, penalties: &Penalties) -> Vec<Hypothesis> {
    const ALL: [(usize, usize, usize, f64); 17] = [
        // ploidy, X, Y, steps from the usual
        (2, 2, 0, 0.0),
        (2, 1, 1, 0.0),
        (2, 1, 0, 1.0),
        (2, 3, 0, 1.0),
        (2, 2, 1, 1.0),
        (2, 1, 2, 1.0),
        (2, 4, 0, 2.0),
        (2, 3, 1, 2.0),
        (2, 2, 2, 2.0),
        (2, 4, 1, 3.0),
        (3, 3, 0, 0.0),
        (3, 2, 1, 0.0),
        (3, 1, 2, 0.5),
        (4, 4, 0, 0.0),
        (4, 2, 2, 0.0),
        (1, 1, 0, 0.0),
        (1, 0, 1, 0.5),
    ];
    let near = |ploidy: usize| (objects as f64 - 23.0 * ploidy as f64).abs() <= if ploidy == 1 { 5.0 } else { 14.0 };
    ALL.iter()
        .filter(|(ploidy, ..)| near(*ploidy) || *ploidy == 2)
        .map(|&(ploidy, x, y, steps)| Hypothesis {
            ploidy,
            x,
            y,
            price: steps * penalties.sex + std::f64::consts::LN_2 + (ploidy as f64 - 2.0).abs() * penalties.ploidy,
        })
        .collect()
}

/// Penalties under one hypothesis.
struct Loads<'a> {
    penalties: &'a Penalties,
    hypothesis: Hypothesis,
    /// Cheapest price of finding n of an autosome, and the true number that makes it so.
    open: [(f64, usize); 16],
}

impl<'a> Loads<'a> {
    fn new(penalties: &'a Penalties, hypothesis: Hypothesis) -> Self {
        let mut loads = Self { penalties, hypothesis, open: [(0.0, 0); 16] };
        for (n, slot) in loads.open.iter_mut().enumerate() {
            *slot = (0..=(hypothesis.ploidy + 2).min(MAX_COPIES))
                .map(|t| (deviation(penalties, hypothesis.ploidy, t) + gap(penalties, t, n), t))
                .min_by(|a, b| a.0.total_cmp(&b.0))
                .expect("there are numbers");
        }
        loads
    }

    /// Price of n objects under a label.
    fn load(&self, label: usize, n: usize) -> f64 {
        match label {
            OTHER => 0.0,
            l if l < AUTOSOMES => match self.open.get(n) {
                Some((price, _)) => *price,
                None => self.open[15].0 + self.penalties.duplicate * (n - 15) as f64,
            },
            l => gap(self.penalties, self.sex_number(l), n),
        }
    }

    fn sex_number(&self, label: usize) -> usize {
        if label == ChromosomeClass::X.index() { self.hypothesis.x } else { self.hypothesis.y }
    }

    /// True number of a class of which n were found.
    fn number(&self, class: usize, n: usize) -> usize {
        if class < AUTOSOMES { self.open[n.min(15)].1 } else { self.sex_number(class) }
    }
}

/// Price of t chromosomes of an autosome where `ploidy` are normal.
fn deviation(penalties: &Penalties, ploidy: usize, t: usize) -> f64 {
    if t > ploidy { (t - ploidy) as f64 * penalties.gain } else { (ploidy - t) as f64 * penalties.loss }
}

/// Price of finding n where t are.
fn gap(penalties: &Penalties, t: usize, n: usize) -> f64 {
    if n > t { (n - t) as f64 * penalties.duplicate } else { (t - n) as f64 * penalties.miss }
}

/// The most probable karyotype of a cell's objects. Exact; no object gives the empty karyotype.
pub fn assign(evidence: &[Evidence], settings: &KaryotypeSettings) -> Assignment {
    let rows: Vec<Row> = evidence.iter().map(|e| row(e, settings)).collect();
    assign_rows(&rows, settings)
}

pub(super) fn assign_rows(rows: &[Row], settings: &KaryotypeSettings) -> Assignment {
    let solved: Vec<(f64, Loads, Flow)> = hypotheses(rows.len(), &settings.penalties)
        .into_iter()
        .map(|hypothesis| {
            let loads = Loads::new(&settings.penalties, hypothesis);
            let flow = solve(rows, |l, n| loads.load(l, n));
            (hypothesis.price + flow.cost(rows, |l, n| loads.load(l, n)), loads, flow)
        })
        .collect();
    let (best_cost, loads, flow) =
        solved.iter().min_by(|a, b| a.0.total_cmp(&b.0)).expect("diploid hypotheses are always tried");
    let copy_numbers: [u8; CLASSES] = std::array::from_fn(|c| loads.number(c, flow.copy_numbers[c]) as u8);
    let mut posterior = Posterior::new(copy_numbers, loads.hypothesis);
    for (cost, loads, flow) in &solved {
        if cost - best_cost < 12.0 * settings.temperature {
            posterior.add(cost - best_cost, loads, flow, settings.temperature);
        }
    }
    let z = posterior.total;
    let ploidy = loads.hypothesis.ploidy;
    let mut changes = Vec::new();
    let mut marginals = [[0.0; 2]; AUTOSOMES];
    for class in ChromosomeClass::all().filter(|c| !c.is_sex()) {
        let masses = posterior.mass[class.index()];
        let over: f64 = masses[ploidy + 1..].iter().sum::<f64>() / z;
        let under: f64 = masses[..ploidy].iter().sum::<f64>() / z;
        marginals[class.index()] = [under as f32, over as f32];
        let number = copy_numbers[class.index()];
        let deviates = usize::from(number) != ploidy;
        let gained = if deviates { usize::from(number) > ploidy } else { over > under };
        let share = if gained { over } else { under };
        if deviates || share >= 0.05 {
            let number = if deviates {
                number
            } else if gained {
                ploidy as u8 + 1
            } else {
                ploidy as u8 - 1
            };
            changes.push(Change { class, number, normal: ploidy as u8, posterior: share as f32 });
        }
    }
    Assignment {
        classes: flow.labels.iter().map(|l| ChromosomeClass::from_index(*l)).collect(),
        scores: scores(rows, loads, flow, settings.temperature),
        copy_numbers,
        found: std::array::from_fn(|c| flow.copy_numbers[c].min(255) as u8),
        ploidy: ploidy as u8,
        posterior: (posterior.best / z) as f32,
        normal: (posterior.normal / z) as f32,
        sex_posterior: (posterior.same_sex / z) as f32,
        ploidy_posterior: (posterior.same_ploidy / z) as f32,
        changes,
        marginals,
    }
}

/// Sums of weights over karyotypes.
struct Posterior {
    copy_numbers: [u8; CLASSES],
    hypothesis: Hypothesis,
    total: f64,
    best: f64,
    normal: f64,
    same_sex: f64,
    same_ploidy: f64,
    /// Weight of each number of each autosome.
    mass: [[f64; MAX_COPIES + 1]; CLASSES],
}

impl Posterior {
    fn new(copy_numbers: [u8; CLASSES], hypothesis: Hypothesis) -> Self {
        Self {
            copy_numbers,
            hypothesis,
            total: 0.0,
            best: 0.0,
            normal: 0.0,
            same_sex: 0.0,
            same_ploidy: 0.0,
            mass: [[0.0; MAX_COPIES + 1]; CLASSES],
        }
    }

    /// Adds the best karyotype of a hypothesis, `cost` above the best of all, and those within two edits of it.
    fn add(&mut self, cost: f64, loads: &Loads, flow: &Flow, temperature: f64) {
        let weight = |c: f64| (-c / temperature).exp();
        let h = loads.hypothesis;
        let t: [usize; CLASSES] = std::array::from_fn(|c| loads.number(c, flow.copy_numbers[c]));
        let edits = Edits::new(loads, flow, &t);
        let deviations: usize = (0..AUTOSOMES).map(|c| t[c].abs_diff(2)).sum();
        let normal_sex = h.ploidy == 2 && (h.x, h.y) != (1, 0) && h.x + h.y == 2;
        // Of the overall best karyotype: how many edits lead there from this hypothesis' own best.
        let same_hypothesis = h == self.hypothesis;
        let distance: usize = (0..AUTOSOMES).map(|c| t[c].abs_diff(usize::from(self.copy_numbers[c]))).sum();
        debug_assert!(!same_hypothesis || distance == 0);
        let base = weight(cost);
        let mut sum = base;
        if normal_sex && deviations == 0 {
            self.normal += base;
        }
        if same_hypothesis {
            self.best += base;
        }
        // [class][0: one fewer, 1: one more]
        let mut edited = [[0.0; 2]; AUTOSOMES];
        let closer = |class: usize, up: bool| if up { t[class] < 2 } else { t[class] > 2 };
        for first in 0..2 * AUTOSOMES {
            let (a, a_up) = (first / 2, first % 2 == 1);
            if !edits.possible(a, a_up) {
                continue;
            }
            let one = weight(cost + edits.single[a][usize::from(a_up)]);
            sum += one;
            edited[a][usize::from(a_up)] += one;
            if normal_sex && deviations == 1 && closer(a, a_up) {
                self.normal += one;
            }
            for second in first + 1..2 * AUTOSOMES {
                let (b, b_up) = (second / 2, second % 2 == 1);
                if b == a || !edits.possible(b, b_up) {
                    continue;
                }
                let two = weight(cost + edits.pair((a, a_up), (b, b_up)));
                sum += two;
                edited[a][usize::from(a_up)] += two;
                edited[b][usize::from(b_up)] += two;
                if normal_sex && deviations == 2 && closer(a, a_up) && closer(b, b_up) {
                    self.normal += two;
                }
            }
        }
        for class in 0..AUTOSOMES {
            let [down, up] = edited[class];
            self.mass[class][t[class]] += sum - down - up;
            if down > 0.0 {
                self.mass[class][t[class] - 1] += down;
            }
            self.mass[class][t[class] + 1] += up;
        }
        self.total += sum;
        if (h.x, h.y) == (self.hypothesis.x, self.hypothesis.y) {
            self.same_sex += sum;
        }
        if h.ploidy == self.hypothesis.ploidy {
            self.same_ploidy += sum;
        }
    }
}

/// What one chromosome of an autosome more or less costs.
struct Edits<'a> {
    loads: &'a Loads<'a>,
    flow: &'a Flow,
    t: &'a [usize; CLASSES],
    transfers: [[f64; LABELS]; LABELS],
    single: [[f64; 2]; AUTOSOMES],
}

impl<'a> Edits<'a> {
    fn new(loads: &'a Loads<'a>, flow: &'a Flow, t: &'a [usize; CLASSES]) -> Self {
        let mut edits = Self { loads, flow, t, transfers: flow.transfers(), single: [[0.0; 2]; AUTOSOMES] };
        for class in 0..AUTOSOMES {
            for up in [false, true] {
                if edits.possible(class, up) {
                    edits.single[class][usize::from(up)] = edits.price(class, up);
                }
            }
        }
        edits
    }

    fn possible(&self, class: usize, up: bool) -> bool {
        if up { self.t[class] < MAX_COPIES } else { self.t[class] > 0 }
    }

    /// Change of the price of `t` true ones where n change to m found, the true number changing by the edit.
    fn gap_change(&self, label: usize, edit: isize, found: isize) -> f64 {
        if label == OTHER {
            return 0.0;
        }
        let (t, n) = (self.t[label], self.flow.copy_numbers[label]);
        let penalties = self.loads.penalties;
        gap(penalties, t.saturating_add_signed(edit), n.saturating_add_signed(found)) - gap(penalties, t, n)
    }

    fn prior_change(&self, class: usize, up: bool) -> f64 {
        let ploidy = self.loads.hypothesis.ploidy;
        let t = self.t[class];
        let after = if up { t + 1 } else { t - 1 };
        deviation(self.loads.penalties, ploidy, after) - deviation(self.loads.penalties, ploidy, t)
    }

    fn price(&self, class: usize, up: bool) -> f64 {
        let edit = if up { 1 } else { -1 };
        let mut cheapest = self.gap_change(class, edit, 0);
        for other in (0..LABELS).filter(|o| *o != class) {
            let moved = if up {
                self.transfers[other][class] + self.gap_change(other, 0, -1) + self.gap_change(class, edit, 1)
            } else {
                self.transfers[class][other] + self.gap_change(other, 0, 1) + self.gap_change(class, edit, -1)
            };
            cheapest = cheapest.min(moved);
        }
        self.prior_change(class, up) + cheapest
    }

    /// Two edits: each for itself, or one chromosome changing from the one class to the other.
    fn pair(&self, (a, a_up): (usize, bool), (b, b_up): (usize, bool)) -> f64 {
        let apart = self.single[a][usize::from(a_up)] + self.single[b][usize::from(b_up)];
        if a_up == b_up {
            return apart;
        }
        let (from, to) = if a_up { (b, a) } else { (a, b) };
        let changed = self.prior_change(from, false)
            + self.prior_change(to, true)
            + self.transfers[from][to]
            + self.gap_change(from, -1, -1)
            + self.gap_change(to, 1, 1);
        apart.min(changed)
    }
}

/// Probability of each object's label: against each other label with the rest of the cell making room as cheaply
/// as it can (min-marginals).
fn scores(rows: &[Row], loads: &Loads, flow: &Flow, temperature: f64) -> Vec<f32> {
    let transfers = flow.transfers();
    let step = |label: usize, more: bool| {
        let n = flow.copy_numbers[label];
        let m = if more { n + 1 } else { n.saturating_sub(1) };
        loads.load(label, m) - loads.load(label, n)
    };
    let more: [f64; LABELS] = std::array::from_fn(|l| step(l, true));
    rows.iter()
        .zip(&flow.labels)
        .map(|(row, &own)| {
            let fewer = step(own, false);
            let others: f64 = (0..LABELS)
                .filter(|l| *l != own)
                .map(|l| row[l] - row[own] + transfers[l][own].min(more[l] + fewer))
                .map(|price| (-price.max(0.0) / temperature).exp())
                .sum();
            (1.0 / (1.0 + others)) as f32
        })
        .collect()
}

/// The closed assignment: exactly two of each autosome and XX or XY as far as the objects go, for comparison with
/// published figures. Every object gets a class.
pub fn assign_closed(evidence: &[Evidence], settings: &KaryotypeSettings) -> Vec<ChromosomeClass> {
    const FORBIDDEN: f64 = 1e6;
    let mut rows: Vec<Row> = evidence.iter().map(|e| row(e, settings)).collect();
    rows.iter_mut().for_each(|row| row[OTHER] = FORBIDDEN * 100.0);
    let solved = [(2, 0), (1, 1)].map(|(x, y)| {
        let load = move |label: usize, n: usize| {
            let wanted = match label {
                OTHER => return 0.0,
                l if l == ChromosomeClass::X.index() => x,
                l if l == ChromosomeClass::Y.index() => y,
                _ => 2,
            };
            FORBIDDEN * n.abs_diff(wanted) as f64
        };
        let flow = solve(&rows, load);
        (flow.cost(&rows, load), flow)
    });
    let [a, b] = solved;
    let flow = if a.0 <= b.0 { a.1 } else { b.1 };
    flow.labels.iter().filter_map(|l| ChromosomeClass::from_index(*l)).collect()
}

#[cfg(test)]
#[path = "assign_tests.rs"]
pub(crate) mod tests;
