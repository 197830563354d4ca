//! The same metaphase seen in two overlapping fields counts once.

use std::{
    collections::{BTreeSet, HashMap, VecDeque, hash_map::DefaultHasher},
    convert::Infallible,
    hash::{Hash, Hasher},
};

use domain::{BoundingBox, Captured, Cell, StagePosition};

/// Share of boxes that must find their counterpart where the stage says that the fields overlap.
const LIKE_NEAR: f32 = 0.6;
/// The same where nothing is known of the stage.
const LIKE_ANYWHERE: f32 = 0.85;
/// Fewest boxes for which likeness is judged.
const MIN_COMMON_BOXES: usize = 15;
/// Largest boxes of each cell that propose a shift.
const PROPOSING: usize = 4;
/// The same where a frame cuts one of the cells: some of them may lie outside.
const PROPOSING_WHERE_CUT: usize = 12;

/// Cells that a new one is compared with box by box: the latest that repeat no other. A usual case has fewer.
const COMPARED: usize = 200;
/// Older cells of overlapping fields, and older cells whose largest chromosomes lie alike, that are compared as well.
const COMPARED_OLDER: usize = 16;
/// Largest chromosomes whose triples an older cell is found by.
const LANDMARKS: usize = 5;
/// Triples of them.
const TRIPLES: usize = 10;
/// Step, in pixels, in which their distances are written down, and how far they may move between two pictures.
const LANDMARK_STEP: f32 = 16.0;
const LANDMARK_SLACK: f32 = 4.0;

/// What is compared of a cell.
#[derive(Debug)]
struct Shape {
    slide: Option<String>,
    um_per_px: Option<f64>,
    stage_um: Option<StagePosition>,
    size: [u32; 2],
    /// Chromosomes that the frame cuts.
    cut: u32,
    /// By their left edges.
    boxes: Vec<BoundingBox>,
    /// The largest boxes are the safest to recognise.
    largest: Vec<BoundingBox>,
}

impl Shape {
    fn of(cell: &Cell) -> Self {
        // As the store gives them back: a case is the same after a restart.
        let mut boxes: Vec<BoundingBox> = cell.chromosomes.iter().map(|c| <[f32; 4]>::from(c.bounds).into()).collect();
        let mut largest = boxes.clone();
        largest.sort_by(|p, q| q.area().total_cmp(&p.area()));
        largest.truncate(PROPOSING_WHERE_CUT);
        boxes.sort_by(|p, q| p.x.total_cmp(&q.x));
        let Captured { um_per_px, stage_um, size, .. } = cell.captured;
        let cut = cell.frame_edge.map_or(0, |edge| edge.cut);
        Self { slide: cell.slide.clone(), um_per_px, stage_um, size, cut, boxes, largest }
    }

    /// Names slide and scale: cells of others are never compared.
    fn place(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.slide, self.um_per_px.map(f64::to_bits)).hash(&mut hasher);
        hasher.finish()
    }

    /// Side of the field in micrometres as a power of two that is not smaller, and the stage; where both are known.
    fn on_stage(&self) -> Option<(i32, StagePosition)> {
        let side = f64::from(self.size[0].max(self.size[1])) * self.um_per_px?;
        let exponent = side.log2().ceil();
        exponent.is_finite().then_some((exponent as i32, self.stage_um?))
    }

    /// Where the largest three, four, five chromosomes lie to each other, as hashes of their coarse distances. With
    /// `slack` also the neighbouring ones, which a slightly different picture of the same metaphase would have.
    fn landmarks(&self, slack: f32) -> Vec<u32> {
        let mut found = Vec::new();
        if self.boxes.len() < MIN_COMMON_BOXES {
            return found;
        }
        let place = self.place();
        let steps = |distance: f32| {
            let step = |d: f32| (d / LANDMARK_STEP).floor() as i32;
            (step(distance - slack), step(distance + slack))
        };
        let centres: Vec<(f32, f32)> = self.largest.iter().take(LANDMARKS).map(centre).collect();
        for i in 0..centres.len() {
            for j in i + 1..centres.len() {
                for k in j + 1..centres.len() {
                    let mut three = [centres[i], centres[j], centres[k]];
                    three.sort_by(|p, q| p.0.total_cmp(&q.0));
                    let [a, b, c] = three;
                    let ranges = [b.0 - a.0, b.1 - a.1, c.0 - a.0, c.1 - a.1].map(steps);
                    for choice in 0..16_u32 {
                        // A distance within one step has one choice, not two.
                        if (0..4).any(|n| choice >> n & 1 == 1 && ranges[n as usize].0 == ranges[n as usize].1) {
                            continue;
                        }
                        let mut hasher = DefaultHasher::new();
                        place.hash(&mut hasher);
                        for (n, (low, high)) in ranges.into_iter().enumerate() {
                            (if choice >> n & 1 == 1 { high } else { low }).hash(&mut hasher);
                        }
                        found.push(hasher.finish() as u32);
                    }
                }
            }
        }
        found
    }
}

/// The cells of a case in their order, with what each repeats: of the pictures of one metaphase the one that its frame
/// cuts least counts, of equal ones the first. A cell repeats another of the same slide when their chromosomes lie
/// alike, and the stage, where both know it, stood near enough for the fields to overlap.
///
/// The work per new cell does not grow with the case: it is compared with the latest [`COMPARED`] distinct cells, and
/// of the older ones with those that may be the same metaphase. Up to [`COMPARED`] distinct cells that is the same as
/// comparing it with each; beyond, an older cell is found when the stage stood there, or when three of the five largest
/// chromosomes lie within four pixels as they did then.
#[derive(Debug, Default)]
pub struct Repeats {
    of: Vec<Option<usize>>,
    /// Those of the latest distinct cells, in order.
    latest: VecDeque<(usize, Shape)>,
    /// Distinct cells with landmarks, in order, each with [`TRIPLES`] entries in `chain`.
    marked: Vec<u32>,
    /// The last entry of a landmark in `chain`, and for each entry the one before, both plus one.
    landmarks: HashMap<u32, u32>,
    chain: Vec<u32>,
    /// Distinct cells by place, side and position of their fields.
    fields: HashMap<(u64, i32, i64, i64), Vec<u32>>,
    sides: BTreeSet<i32>,
}

impl Repeats {
    /// For each cell the one that it repeats and that counts in its place.
    pub fn of(&self) -> &[Option<usize>] {
        &self.of
    }

    /// Adds the next cell. `fetch` gives an older cell again, by its place in the order.
    ///
    /// # Errors
    /// Those of `fetch`; the cell is not added then.
    pub fn add<E>(&mut self, cell: &Cell, fetch: impl FnMut(usize) -> Result<Option<Cell>, E>) -> Result<(), E> {
        let shape = Shape::of(cell);
        let found = self.find(&shape, fetch)?;
        let number = self.of.len();
        match found {
            Some((counts, cut)) if shape.cut < cut => {
                self.replace(counts, number);
                self.keep(number, shape);
            }
            Some((counts, _)) => self.of.push(Some(counts)),
            None => {
                self.of.push(None);
                self.keep(number, shape);
            }
        }
        Ok(())
    }

    /// Cell `by`, the next, counts in the place of `counts`.
    fn replace(&mut self, counts: usize, by: usize) {
        for of in self.of.iter_mut().filter(|of| **of == Some(counts)) {
            *of = Some(by);
        }
        self.of[counts] = Some(by);
        self.of.push(None);
        self.latest.retain(|(number, _)| *number != counts);
    }

    /// The cell that is the same metaphase, and how many chromosomes its frame cuts.
    fn find<E>(
        &self,
        shape: &Shape,
        mut fetch: impl FnMut(usize) -> Result<Option<Cell>, E>,
    ) -> Result<Option<(usize, u32)>, E> {
        let first = self.latest.front().map_or(0, |(number, _)| *number);
        for older in self.older(shape).into_iter().filter(|older| *older < first && self.of[*older].is_none()) {
            let Some(earlier) = fetch(older)?.map(|cell| Shape::of(&cell)) else { continue };
            if same_metaphase(&earlier, shape) {
                return Ok(Some((older, earlier.cut)));
            }
        }
        let found = self.latest.iter().find(|(_, earlier)| same_metaphase(earlier, shape));
        Ok(found.map(|(number, earlier)| (*number, earlier.cut)))
    }

    /// Distinct cells that may be the same metaphase, in order.
    fn older(&self, shape: &Shape) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        if self.latest.len() < COMPARED {
            return found;
        }
        let mut alike: BTreeSet<u32> = BTreeSet::new();
        for landmark in shape.landmarks(LANDMARK_SLACK) {
            let mut entry = self.landmarks.get(&landmark).copied().unwrap_or(0);
            for _ in 0..COMPARED_OLDER {
                let Some(at) = entry.checked_sub(1) else { break };
                alike.insert(self.marked[at as usize / TRIPLES]);
                entry = self.chain[at as usize];
            }
        }
        found.extend(alike.into_iter().rev().take(COMPARED_OLDER).map(|number| number as usize));
        if let Some((_, stage)) = shape.on_stage() {
            let mut near: BTreeSet<u32> = BTreeSet::new();
            for &side in &self.sides {
                let (x, y) = field(side, &stage);
                for (dx, dy) in (-1..=1).flat_map(|dx| (-1..=1).map(move |dy| (dx, dy))) {
                    let there = self.fields.get(&(shape.place(), side, x + dx, y + dy));
                    near.extend(there.into_iter().flat_map(|all| all.iter().rev().take(COMPARED_OLDER)));
                }
            }
            found.extend(near.into_iter().rev().take(COMPARED_OLDER).map(|number| number as usize));
        }
        found
    }

    fn keep(&mut self, number: usize, shape: Shape) {
        let landmarks = shape.landmarks(0.0);
        if !landmarks.is_empty() {
            self.marked.push(number as u32);
            for landmark in landmarks {
                let before = self.landmarks.insert(landmark, self.chain.len() as u32 + 1).unwrap_or(0);
                self.chain.push(before);
            }
        }
        if let Some((side, stage)) = shape.on_stage() {
            let (x, y) = field(side, &stage);
            self.sides.insert(side);
            self.fields.entry((shape.place(), side, x, y)).or_default().push(number as u32);
        }
        self.latest.push_back((number, shape));
        if self.latest.len() > COMPARED {
            self.latest.pop_front();
        }
    }
}

/// Which square of side 2^`side` micrometres the stage stands in.
fn field(side: i32, stage: &StagePosition) -> (i64, i64) {
    let step = 2_f64.powi(side);
    ((stage.x / step).floor() as i64, (stage.y / step).floor() as i64)
}

/// For each cell of a case that is in memory, the one that it repeats.
pub(super) fn repeats(cells: &[Cell]) -> Vec<Option<usize>> {
    let mut found = Repeats::default();
    for cell in cells {
        let Ok(()) = found.add::<Infallible>(cell, |older| Ok(cells.get(older).cloned()));
    }
    found.of
}

fn same_metaphase(a: &Shape, b: &Shape) -> bool {
    if a.slide != b.slide || a.um_per_px != b.um_per_px {
        return false;
    }
    let wanted = match (a.stage_um, b.stage_um, a.um_per_px) {
        (Some(p), Some(q), Some(um)) => {
            let apart = |d: f64, side: u32| d.abs() > f64::from(side) * um;
            if apart(p.x - q.x, a.size[0]) || apart(p.y - q.y, a.size[1]) {
                return false;
            }
            LIKE_NEAR
        }
        _ => LIKE_ANYWHERE,
    };
    are_alike(a, b, wanted)
}

fn centre(r: &BoundingBox) -> (f32, f32) {
    (r.x + r.width / 2.0, r.y + r.height / 2.0)
}

/// Whether a share of at least `wanted` (0 to 1) of the boxes of the larger cell has a counterpart in the other, both
/// laid over each other; of a cell that its frame cuts only the part that is there can have one. The fields may be
/// shifted, not turned.
fn are_alike(a: &Shape, b: &Shape, wanted: f32) -> bool {
    let most = a.boxes.len().max(b.boxes.len());
    let fewest = a.boxes.len().min(b.boxes.len());
    let either_cut = a.cut + b.cut > 0;
    if fewest < MIN_COMMON_BOXES || !either_cut && most - fewest > most / 4 {
        return false;
    }
    let all = if either_cut { fewest } else { most };
    let needed = (0..=all).find(|n| *n as f32 / all as f32 >= wanted).unwrap_or(all);
    let Some(may_miss) = b.boxes.len().checked_sub(needed) else { return false };
    // Each pair of the largest boxes proposes a shift.
    let proposing = if either_cut { PROPOSING_WHERE_CUT } else { PROPOSING };
    let pairs = a.largest.iter().take(proposing).flat_map(|p| b.largest.iter().take(proposing).map(move |q| (p, q)));
    for (p, q) in pairs {
        let (pc, qc) = (centre(p), centre(q));
        let (dx, dy) = (pc.0 - qc.0, pc.1 - qc.1);
        if p.iou(&BoundingBox { x: q.x + dx, y: q.y + dy, ..*q }) < 0.7 {
            continue;
        }
        let has_counterpart = |r: &BoundingBox| {
            let moved = BoundingBox { x: r.x + dx, y: r.y + dy, ..*r };
            // A box that shares so much begins within two thirds of the width.
            let near = 0.67 * moved.width + 0.1;
            let first = a.boxes.partition_point(|other| other.x < moved.x - near);
            a.boxes[first..].iter().take_while(|other| other.x <= moved.x + near).any(|other| other.iou(&moved) >= 0.6)
        };
        // Most pairs of cells are unlike: that shows after the first few boxes.
        if b.boxes.iter().filter(|r| !has_counterpart(r)).nth(may_miss).is_none() {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::FrameEdge;
    use testing::karyotyped_cell;

    /// Boxes strewn by a small linear congruence, so that no two cells look alike.
    fn strewn(mut seed: u32, shift: (f32, f32)) -> Cell {
        let mut cell = karyotyped_cell(&[]);
        for c in &mut cell.chromosomes {
            let mut next = |range: u32| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((seed >> 8) % range) as f32
            };
            c.bounds = BoundingBox {
                x: next(600) + shift.0,
                y: next(600) + shift.1,
                width: 10.0 + next(40),
                height: 10.0 + next(60),
            };
        }
        cell
    }

    fn at(mut cell: Cell, x: f64) -> Cell {
        cell.captured.um_per_px = Some(0.1);
        cell.captured.stage_um = Some(StagePosition { x, y: 0.0, z: None });
        cell
    }

    /// The old way: each cell with each.
    fn each_with_each(cells: &[Cell]) -> Vec<Option<usize>> {
        let shapes: Vec<Shape> = cells.iter().map(Shape::of).collect();
        let mut of: Vec<Option<usize>> = vec![None; cells.len()];
        for later in 1..cells.len() {
            let alike = |earlier: &usize| of[*earlier].is_none() && was_alike(&shapes[*earlier], &shapes[later]);
            let Some(counts) = (0..later).find(alike) else { continue };
            if shapes[later].cut < shapes[counts].cut {
                of.iter_mut().filter(|of| **of == Some(counts)).for_each(|of| *of = Some(later));
                of[counts] = Some(later);
            } else {
                of[later] = Some(counts);
            }
        }
        of
    }

    /// Likeness as it was first written: the best share over all proposals.
    fn was_alike(a: &Shape, b: &Shape) -> bool {
        if a.slide != b.slide || a.um_per_px != b.um_per_px {
            return false;
        }
        let wanted = match (a.stage_um, b.stage_um, a.um_per_px) {
            (Some(p), Some(q), Some(um)) => {
                let (w, h) = (f64::from(a.size[0]) * um, f64::from(a.size[1]) * um);
                if (p.x - q.x).abs() > w || (p.y - q.y).abs() > h {
                    return false;
                }
                LIKE_NEAR
            }
            _ => LIKE_ANYWHERE,
        };
        let (most, fewest) = (a.boxes.len().max(b.boxes.len()), a.boxes.len().min(b.boxes.len()));
        let either_cut = a.cut + b.cut > 0;
        if fewest < MIN_COMMON_BOXES || !either_cut && most - fewest > most / 4 {
            return false;
        }
        let mut best = 0;
        let looked_at = if either_cut { 12 } else { 4 };
        for p in a.largest.iter().take(looked_at) {
            for q in b.largest.iter().take(looked_at) {
                let (dx, dy) = (centre(p).0 - centre(q).0, centre(p).1 - centre(q).1);
                let moved = |r: &BoundingBox| BoundingBox { x: r.x + dx, y: r.y + dy, ..*r };
                if p.iou(&moved(q)) >= 0.7 {
                    let alike = |r: &&BoundingBox| a.boxes.iter().any(|other| other.iou(&moved(r)) >= 0.6);
                    best = best.max(b.boxes.iter().filter(alike).count());
                }
            }
        }
        best as f32 / if either_cut { fewest } else { most } as f32 >= wanted
    }

    /// The cell as another picture shows it: each box moved and resized by up to `jitter` pixels, some left out.
    fn again(cell: &Cell, seed: u32, jitter: u32, lost: usize) -> Cell {
        let mut cell = cell.clone();
        let mut seed = seed.wrapping_mul(747_796_405).wrapping_add(1);
        let mut next = |range: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((seed >> 8) % (range * 10 + 1)) as f32 / 10.0
        };
        let shift = (next(200), next(200));
        for c in &mut cell.chromosomes {
            c.bounds.x += shift.0 + next(jitter);
            c.bounds.y += shift.1 + next(jitter);
            c.bounds.width += next(jitter);
            c.bounds.height += next(jitter);
        }
        for n in 0..lost {
            cell.chromosomes.remove((n * 7 + seed as usize) % cell.chromosomes.len());
        }
        cell
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(10))]
        #[test]
        fn a_small_case_is_as_if_each_cell_were_compared_with_each(
            plan in proptest::collection::vec((0..25_u32, 0..3_u32, 0..12_u32, 0..4_usize, 0..4_u32, 0..3_u32), 1..60)
        ) {
            let cells: Vec<Cell> = plan.iter().enumerate().map(|(n, (seed, kind, jitter, lost, field, cut))| {
                let mut cell = again(&strewn(*seed, (0.0, 0.0)), n as u32, *jitter, *lost);
                if *kind > 0 {
                    cell = at(cell, f64::from(*field) * 60.0);
                }
                if *kind > 1 {
                    cell.captured.stage_um = None;
                }
                cell.frame_edge = Some(FrameEdge { outline: 0.1, cut: *cut, pieces: 0 });
                cell
            }).collect();
            proptest::prop_assert_eq!(repeats(&cells), each_with_each(&cells));
        }
    }

    #[test]
    fn a_metaphase_is_known_again_after_hundreds_of_others() {
        let mut cells: Vec<Cell> = (0..300).map(|n| strewn(n + 1, (0.0, 0.0))).collect();
        let first: Vec<usize> = (0..40).map(|n| n * 2).collect();
        let seen: Vec<Cell> = first.iter().map(|&n| again(&cells[n], n as u32, 2, n % 3)).collect();
        cells.extend(seen);
        let found = repeats(&cells);
        assert!(found[..300].iter().all(Option::is_none), "no two of them are alike");
        let known = found[300..].iter().zip(&first).filter(|(found, first)| **found == Some(**first)).count();
        assert!(known >= 39, "{known} of 40");

        // Where the stage is known, the field decides, however much of the cell lies outside.
        let mut cells: Vec<Cell> = (0..300).map(|n| at(strewn(n + 1, (0.0, 0.0)), f64::from(n) * 150.0)).collect();
        let seen: Vec<Cell> = first.iter().map(|&n| again(&cells[n], n as u32, 6, 9)).collect();
        cells.extend(seen);
        let found = repeats(&cells);
        let wanted: Vec<Option<usize>> = first.iter().map(|n| Some(*n)).collect();
        let far = each_with_each(&cells[..])[300..].to_vec();
        assert_eq!(found[300..].to_vec(), far);
        assert!(far.iter().zip(&wanted).filter(|(a, b)| a == b).count() > 30, "most are alike at all: {far:?}");
    }

    #[test]
    fn a_metaphase_in_two_overlapping_fields_is_one() {
        let (a, b) = (at(strewn(1, (0.0, 0.0)), 0.0), at(strewn(1, (300.0, 10.0)), 30.0));
        assert_eq!(repeats(&[a, b]), [None, Some(0)]);
    }

    #[test]
    fn the_field_that_holds_the_whole_cell_takes_its_place() {
        let whole = at(strewn(1, (300.0, 10.0)), 30.0);
        let mut half = at(strewn(1, (0.0, 0.0)), 0.0);
        half.chromosomes.retain(|c| c.bounds.x + c.bounds.width / 2.0 < 400.0);
        half.frame_edge = Some(FrameEdge { outline: 0.3, cut: 4, pieces: 0 });
        let left = half.chromosomes.len();
        assert!((20..40).contains(&left), "{left}");
        let mut less = half.clone();
        less.frame_edge = Some(FrameEdge { outline: 0.3, cut: 2, pieces: 0 });
        assert_eq!(repeats(&[half.clone(), whole.clone()]), [Some(1), None]);
        assert_eq!(repeats(&[whole.clone(), half.clone()]), [None, Some(0)]);
        assert_eq!(repeats(&[half.clone(), less, whole]), [Some(2), Some(2), None]);
        let other = at(strewn(2, (300.0, 10.0)), 30.0);
        assert_eq!(repeats(&[half, other]), [None, None]);
    }

    #[test]
    fn other_metaphases_and_far_fields_are_not() {
        let (a, b) = (strewn(1, (0.0, 0.0)), strewn(2, (0.0, 0.0)));
        assert_eq!(repeats(&[a, b]), [None, None]);
        let (a, far) = (at(strewn(1, (0.0, 0.0)), 0.0), at(strewn(1, (0.0, 0.0)), 5000.0));
        assert_eq!(repeats(&[a.clone(), far]), [None, None]);
        let mut other_slide = at(strewn(1, (0.0, 0.0)), 0.0);
        other_slide.slide = Some("2".into());
        assert_eq!(repeats(&[a, other_slide]), [None, None]);
    }
}
