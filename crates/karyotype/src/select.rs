//! Joint selection: which of the detector's boxes are the cell's chromosomes, classes and overlaps weighed together.
//!
//! The detector hands over more boxes than it would accept by itself. A weak box is taken where the cell lacks just
//! its class; of two boxes on one chromosome one goes. Without overlaps this is the min-cost flow of the
//! assignment; pairs of overlapping boxes are settled by branch and bound over it (first, second or both, the
//! last at the price of the overlap), which is exact unless the bound on nodes is reached.

use domain::ChromosomeClass;

use super::{
    assign::assign_rows,
    evidence::{Candidate, row},
    flow::{Flow, LABELS, OTHER, Row, solve},
    settings::{KaryotypeSettings, Penalties},
};

/// The chosen boxes of a cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Indices into the candidates, ascending.
    pub chosen: Vec<usize>,
    /// Class of each chosen box.
    pub classes: Vec<ChromosomeClass>,
    /// Probability of each class, given the cell.
    pub scores: Vec<f32>,
    /// False when the search was cut short; the selection is then the best found.
    pub exact: bool,
}

/// Boxes below this probability are not looked at: a missing chromosome is cheaper.
const FLOOR: f32 = 0.001;
/// A box that overlaps a surer one by this much is its double.
const DOUBLE: f32 = 0.85;
/// Most boxes looked at.
const MAX_CANDIDATES: usize = 160;
/// Most nodes of the search for one cell.
const NODES: usize = 6000;
/// Overlap penalties below this are charged without a choice.
const NEGLIGIBLE: f64 = 0.3;
const FORBIDDEN: f64 = 1e6;

/// Chooses and classes the chromosomes among the detector's candidates.
pub fn select(candidates: &[Candidate], settings: &KaryotypeSettings) -> Selection {
    let considered = considered(candidates);
    let rows: Vec<Row> = considered.iter().map(|i| row(&candidates[*i].evidence, settings)).collect();
    let rivals = rivals(candidates, &considered, settings);
    let sure = considered.iter().filter(|i| candidates[**i].evidence.objectness >= 0.5).count();
    let ploidy = (sure as f64 / 23.0).round().clamp(2.0, 4.0);
    let mut search = Search { rows, rivals: &rivals, penalties: &settings.penalties, ploidy, best: None, nodes: 0 };
    let root = solve(&search.rows, |l, n| relaxed_load(&settings.penalties, ploidy, l, n));
    search.branch(root, &mut vec![false; rivals.len()], 0.0);
    let exact = search.nodes < NODES;
    let taken: Vec<usize> = match &search.best {
        Some((_, flow)) => (0..flow.labels.len()).filter(|i| flow.labels[*i] != OTHER).collect(),
        None => Vec::new(),
    };
    // The sex complement was relaxed in the search: the final classes come from the full assignment.
    let chosen_rows: Vec<Row> = taken.iter().map(|i| search.rows[*i]).collect();
    let assignment = assign_rows(&chosen_rows, settings);
    let mut kept: Vec<(usize, ChromosomeClass, f32)> = taken
        .iter()
        .zip(assignment.classes.iter().zip(&assignment.scores))
        .filter_map(|(i, (class, score))| class.map(|class| (considered[*i], class, *score)))
        .collect();
    kept.sort_by_key(|(index, ..)| *index);
    Selection {
        chosen: kept.iter().map(|(index, ..)| *index).collect(),
        classes: kept.iter().map(|(_, class, _)| *class).collect(),
        scores: kept.iter().map(|(.., score)| *score).collect(),
        exact,
    }
}

/// Candidates worth looking at, surest first, without plain doubles.
fn considered(candidates: &[Candidate]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).filter(|i| candidates[*i].evidence.objectness >= FLOOR).collect();
    order.sort_by(|a, b| candidates[*b].evidence.objectness.total_cmp(&candidates[*a].evidence.objectness));
    let mut kept: Vec<usize> = Vec::new();
    for i in order {
        if kept.len() == MAX_CANDIDATES {
            break;
        }
        if kept.iter().all(|k| candidates[*k].bounds.iou(&candidates[i].bounds) < DOUBLE) {
            kept.push(i);
        }
    }
    kept
}

/// Two boxes that may lie on one chromosome, and what taking both costs.
struct Rivals {
    first: usize,
    second: usize,
    price: f64,
}

fn rivals(candidates: &[Candidate], considered: &[usize], settings: &KaryotypeSettings) -> Vec<Rivals> {
    let mut rivals = Vec::new();
    for (first, i) in considered.iter().enumerate() {
        for (second, j) in considered.iter().enumerate().skip(first + 1) {
            let over = f64::from(candidates[*i].bounds.iou(&candidates[*j].bounds)) - settings.rival_iou;
            let price = over / (1.0 - settings.rival_iou) * settings.penalties.rivals;
            if price > NEGLIGIBLE {
                rivals.push(Rivals { first, second, price });
            }
        }
    }
    rivals.sort_by(|a, b| b.price.total_cmp(&a.price));
    rivals
}

struct Search<'a> {
    rows: Vec<Row>,
    rivals: &'a [Rivals],
    penalties: &'a Penalties,
    ploidy: f64,
    best: Option<(f64, Flow)>,
    nodes: usize,
}

impl Search<'_> {
    /// Branches on the dearest open pair of an optimal flow: without the lesser, with both, without the greater.
    fn branch(&mut self, flow: Flow, accepted: &mut [bool], charged: f64) {
        if self.nodes >= NODES {
            return;
        }
        self.nodes += 1;
        let (penalties, ploidy) = (self.penalties, self.ploidy);
        let load = |label: usize, n: usize| relaxed_load(penalties, ploidy, label, n);
        let cost = charged + flow.cost(&self.rows, load);
        if self.best.as_ref().is_some_and(|(best, _)| cost >= *best - 1e-9) {
            return;
        }
        let taken = |i: usize| flow.labels[i] != OTHER;
        let open =
            self.rivals.iter().enumerate().find(|(at, pair)| !accepted[*at] && taken(pair.first) && taken(pair.second));
        let Some((at, pair)) = open else {
            self.best = Some((cost, flow));
            return;
        };
        // What each is worth more than nothing: the lesser goes first.
        let worth = |i: usize| self.rows[i][OTHER] - self.rows[i][flow.labels[i]];
        let (lesser, greater) =
            if worth(pair.first) < worth(pair.second) { (pair.first, pair.second) } else { (pair.second, pair.first) };
        let price = pair.price;
        for out in [Some(lesser), None, Some(greater)] {
            let Some(out) = out else {
                accepted[at] = true;
                self.branch(flow.clone(), accepted, charged + price);
                accepted[at] = false;
                continue;
            };
            let row = self.rows[out];
            self.rows[out][..OTHER].fill(FORBIDDEN);
            let mut without = flow.clone();
            without.forbid(&self.rows, out, load);
            self.branch(without, accepted, charged);
            self.rows[out] = row;
        }
    }
}

/// Convex price of n of a class, sex chromosomes each for themselves.
fn relaxed_load(penalties: &Penalties, ploidy: f64, label: usize, n: usize) -> f64 {
    let n = n as f64;
    let (under, over) = (penalties.missing, penalties.extra);
    let between = |least: f64, usual: f64, less: f64, more: f64| {
        if n > usual {
            (n - usual) * more
        } else if n >= least {
            (usual - n) * less
        } else {
            (usual - least) * less + (least - n) * under
        }
    };
    debug_assert!(label < LABELS);
    match label {
        OTHER => 0.0,
        l if l == ChromosomeClass::X.index() => between(1.0, ploidy, 0.5, penalties.sex),
        l if l == ChromosomeClass::Y.index() => {
            let usual = (ploidy / 2.0).floor();
            if n > usual { usual * 0.5 + (n - usual) * penalties.sex } else { n * 0.5 }
        }
        _ => between(ploidy, ploidy, under, over),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Evidence, assign::tests::cell};
    use domain::BoundingBox;

    fn apart(evidence: Vec<Evidence>) -> Vec<Candidate> {
        evidence
            .into_iter()
            .enumerate()
            .map(|(i, evidence)| Candidate {
                bounds: BoundingBox { x: 40.0 * (i % 8) as f32, y: 60.0 * (i / 8) as f32, width: 20.0, height: 40.0 },
                evidence,
            })
            .collect()
    }

    fn settings() -> KaryotypeSettings {
        KaryotypeSettings::default()
    }

    #[test]
    fn all_chromosomes_of_a_clear_cell_are_chosen() {
        let candidates = apart(cell(&[], 0.05));
        let selection = select(&candidates, &settings());
        assert_eq!(selection.chosen, (0..46).collect::<Vec<_>>());
        assert!(selection.exact);
    }

    #[test]
    fn a_weak_box_is_taken_where_its_class_is_lacking_and_left_where_it_is_not() {
        for (missing, taken) in [(true, true), (false, false)] {
            let mut evidence = cell(&[("13", if missing { 1 } else { 2 })], 0.05);
            let mut weak = cell(&[], 0.1).into_iter().find(|e| e.best().0.name() == "13").unwrap();
            weak.objectness = 0.3;
            evidence.push(weak);
            let candidates = apart(evidence);
            let selection = select(&candidates, &settings());
            assert_eq!(selection.chosen.contains(&(candidates.len() - 1)), taken);
            assert_eq!(selection.chosen.len(), 46);
        }
    }

    #[test]
    fn of_two_boxes_on_one_chromosome_one_goes() {
        let mut candidates = apart(cell(&[], 0.05));
        let mut double = candidates[10].clone();
        double.bounds.y += 6.0;
        double.evidence.objectness = 0.7;
        candidates.push(double);
        let selection = select(&candidates, &settings());
        assert_eq!(selection.chosen, (0..46).collect::<Vec<_>>());
    }

    #[test]
    fn a_box_over_two_chromosomes_gives_way_to_both() {
        let mut candidates = apart(cell(&[], 0.05));
        let mut both = candidates[4].clone();
        candidates[5].bounds.x = candidates[4].bounds.x + 14.0;
        both.bounds = candidates[4].bounds.union(&candidates[5].bounds);
        both.evidence.objectness = 0.9;
        candidates.push(both);
        let selection = select(&candidates, &settings());
        assert_eq!(selection.chosen, (0..46).collect::<Vec<_>>());
    }

    /// What keeps the recursion and the time within bounds: at most `MAX_CANDIDATES` boxes, at most `NODES` nodes, one a level.
    #[test]
    fn hundreds_of_overlapping_boxes_neither_overflow_a_small_stack_nor_take_long() {
        let crowd: Vec<Candidate> = (0..600)
            .map(|i| {
                let mut evidence = cell(&[], 0.3).swap_remove(i % 46);
                evidence.objectness = 0.95 - 0.001 * i as f32;
                let (x, y) = (4.0 * (i % 25) as f32, 6.0 * (i / 25) as f32);
                Candidate { bounds: BoundingBox { x, y, width: 20.0, height: 40.0 }, evidence }
            })
            .collect();
        let begun = std::time::Instant::now();
        let small = std::thread::Builder::new().stack_size(1 << 20);
        let selection = small.spawn(move || select(&crowd, &settings())).unwrap().join().unwrap();
        assert!(!selection.exact, "the bound on nodes was not reached: the test tests nothing");
        assert!(!selection.chosen.is_empty());
        // Some 0.1 s in an unoptimised build on a quiet core.
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    }

    #[test]
    fn nothing_gives_nothing() {
        assert!(select(&[], &settings()).chosen.is_empty());
    }

    /// A figure for docs/reference/karyotype.md: `cargo test --release --lib selection_time -- --ignored --nocapture`.
    #[test]
    #[ignore = "measures time"]
    fn selection_time() {
        let mut candidates = apart(cell(&[("21", 3)], 0.3));
        for i in 0..30 {
            let mut double = candidates[i].clone();
            double.bounds.x += 5.0 + (i % 3) as f32;
            double.evidence.objectness = 0.05 + 0.02 * i as f32;
            candidates.push(double);
        }
        let evidence = cell(&[("21", 3)], 0.3);
        let cells = 100;
        let start = std::time::Instant::now();
        for _ in 0..cells {
            std::hint::black_box(select(&candidates, &settings()));
        }
        let selecting = start.elapsed() / cells;
        let start = std::time::Instant::now();
        for _ in 0..cells {
            std::hint::black_box(crate::assign(&evidence, &settings()));
        }
        println!("selection {selecting:?}, assignment {:?} a cell", start.elapsed() / cells);
    }
}
