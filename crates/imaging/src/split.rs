//! Parting clumps: markers that grow back (darker cores, deeper cores) and arms about a fork, judged by how much each
//! part looks like one whole chromosome.

use super::{
    BACKGROUND, Components, ObjectProbabilities, Shape, ShapeScratch,
    plane::{GrayView, Rect},
    skeleton::{around, crossings},
};

/// A part of a clump on its way: its mask (margin of one pixel around `bounds`) lies in an arena.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Part {
    pub bounds: Rect,
    pub shape: Shape,
    pub likeness: ObjectProbabilities,
    pub crossing: bool,
    pub parted: bool,
    depth: u8,
    at: usize,
    len: usize,
}

/// Parts clumps; keeps its buffers.
#[derive(Debug, Clone, Default)]
pub(super) struct ClumpSplitter {
    queue: Vec<Part>,
    queue_masks: Vec<u8>,
    best: Vec<Part>,
    best_masks: Vec<u8>,
    trial: Vec<Part>,
    trial_masks: Vec<u8>,
    done: Vec<Part>,
    done_masks: Vec<u8>,
    mask: Vec<u8>,
    marks: Vec<u8>,
    labels: Vec<u16>,
    front: Vec<u32>,
    painted: Vec<u8>,
    distance: Vec<u32>,
    skeleton: Vec<u8>,
    forks: Vec<u32>,
    components: Components,
    shape: ShapeScratch,
}

/// What parts are judged by.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    /// The prepared picture.
    pub plane: GrayView<'a>,
    /// Darkness over the local threshold's level, 255 = 2.
    pub relative: &'a [u8],
    /// Chromosome width in pixels.
    pub width: f32,
    /// Darkness at outlines.
    pub threshold: f32,
}

impl ClumpSplitter {
    /// Parts the clump with the given mask (margin of one pixel around `bounds`).
    pub(super) fn split(
        &mut self,
        mask: &[u8],
        bounds: Rect,
        shape: Shape,
        likeness: ObjectProbabilities,
        surroundings: Surroundings<'_>,
    ) {
        self.queue.clear();
        self.queue_masks.clear();
        self.done.clear();
        self.done_masks.clear();
        self.queue_masks.extend_from_slice(mask);
        self.queue.push(Part { bounds, shape, likeness, len: mask.len(), ..Part::default() });
        while let Some(part) = self.queue.pop() {
            self.mask.clear();
            self.mask.extend_from_slice(&self.queue_masks[part.at..part.at + part.len]);
            self.queue_masks.truncate(part.at);
            let small = part.shape.area < 1.6 * surroundings.width * surroundings.width;
            if part.depth >= 8 || part.likeness.single > 0.8 || small || !self.improve(&part, surroundings) {
                let at = self.done_masks.len();
                self.done_masks.extend_from_slice(&self.mask);
                self.done.push(Part { at, ..part });
                continue;
            }
            for b in &self.best {
                let at = self.queue_masks.len();
                self.queue_masks.extend_from_slice(&self.best_masks[b.at..b.at + b.len]);
                self.queue.push(Part {
                    at,
                    depth: part.depth + 1,
                    parted: true,
                    crossing: b.crossing || part.crossing,
                    ..*b
                });
            }
        }
    }

    /// The parts of the last clump with their masks.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&Part, &[u8])> {
        self.done.iter().map(|p| (p, &self.done_masks[p.at..p.at + p.len]))
    }

    /// Leaves the best way to part `self.mask` in `self.best`; false when none is better than leaving it whole.
    fn improve(&mut self, part: &Part, surroundings: Surroundings<'_>) -> bool {
        let stride = part.bounds.width() + 2;
        let worth = |l: &ObjectProbabilities| l.single;
        let mut goal = worth(&part.likeness) + LEAST_GAIN;
        let start = goal;
        // The distance map and the skeleton of this part.
        Shape::measure(&self.mask, stride, part.bounds, surroundings.plane, BACKGROUND, &mut self.shape);
        self.distance.clone_from(&self.shape.distance);
        self.skeleton.clone_from(&self.shape.skeleton);
        for level in [74u8, 84, 94, 104] {
            self.marks.clear();
            self.marks.resize(self.mask.len(), 0);
            for y in 0..part.bounds.height() {
                let from = (part.bounds.top + y) * surroundings.plane.width() + part.bounds.left;
                let to = (y + 1) * stride + 1;
                for x in 0..part.bounds.width() {
                    self.marks[to + x] = self.mask[to + x] & u8::from(surroundings.relative[from + x] >= level);
                }
            }
            self.try_marks(part, surroundings, 0.35, &mut goal);
        }
        for depth in [0.5f32, 0.65, 0.8, 0.95] {
            let least = (depth * surroundings.width / 2.0).powi(2);
            self.marks.clear();
            self.marks.extend(self.distance.iter().map(|&d| u8::from(d as f32 > least)));
            self.try_marks(part, surroundings, 0.12, &mut goal);
        }
        self.try_forks(part, surroundings, &mut goal);
        goal > start
    }

    /// Takes the marks' components as cores, lets them grow over the mask and keeps the parts when they are better.
    fn try_marks(&mut self, part: &Part, surroundings: Surroundings<'_>, least_core: f32, goal: &mut f32) {
        let stride = part.bounds.width() + 2;
        let least = (least_core * surroundings.width * surroundings.width).max(4.0);
        self.components.find(&self.marks, stride);
        self.labels.clear();
        self.labels.resize(self.mask.len(), 0);
        self.front.clear();
        let mut n = 0u16;
        for i in 0..self.components.len() {
            if (self.components.area(i) as f32) < least || n >= 24 {
                continue;
            }
            n += 1;
            for run in self.components.runs(i) {
                for x in run.start..run.end {
                    let p = run.y as usize * stride + x as usize;
                    self.labels[p] = n;
                    self.front.push(p as u32);
                }
            }
        }
        if n < 2 {
            return;
        }
        let mut next = 0;
        while next < self.front.len() {
            let p = self.front[next] as usize;
            next += 1;
            for q in [p - 1, p + 1, p - stride, p + stride] {
                if self.mask[q] != 0 && self.labels[q] == 0 {
                    self.labels[q] = self.labels[p];
                    self.front.push(q as u32);
                }
            }
        }
        self.begin();
        for label in 1..=n {
            self.painted.clear();
            self.painted.extend(self.labels.iter().map(|&l| u8::from(l == label)));
            self.add(part, surroundings, false);
        }
        self.keep(goal);
    }

    fn begin(&mut self) {
        self.trial.clear();
        self.trial_masks.clear();
    }

    /// Adds `self.painted` (the size of the part's mask) to the trial.
    fn add(&mut self, part: &Part, surroundings: Surroundings<'_>, crossing: bool) {
        let stride = part.bounds.width() + 2;
        let (mut left, mut right, mut top, mut bottom) = (usize::MAX, 0, usize::MAX, 0);
        for (y, line) in self.painted.chunks_exact(stride).enumerate() {
            let Some(first) = line.iter().position(|&m| m != 0) else { continue };
            let last = line.iter().rposition(|&m| m != 0).unwrap_or(first);
            left = left.min(first);
            right = right.max(last + 1);
            top = top.min(y);
            bottom = bottom.max(y + 1);
        }
        if left >= right {
            return;
        }
        let at = self.trial_masks.len();
        for y in top - 1..=bottom {
            self.trial_masks.extend_from_slice(&self.painted[y * stride + left - 1..=y * stride + right]);
        }
        let bounds = Rect {
            left: part.bounds.left + left - 1,
            top: part.bounds.top + top - 1,
            right: part.bounds.left + right - 1,
            bottom: part.bounds.top + bottom - 1,
        };
        let mask = &self.trial_masks[at..];
        let shape = Shape::measure(mask, right - left + 2, bounds, surroundings.plane, BACKGROUND, &mut self.shape);
        let likeness = ObjectProbabilities::of(&shape, surroundings.width, surroundings.threshold);
        let len = self.trial_masks.len() - at;
        self.trial.push(Part { bounds, shape, likeness, crossing, at, len, parted: true, depth: 0 });
    }

    /// Keeps the trial when the area lies in parts that look whole by more than `goal`.
    fn keep(&mut self, goal: &mut f32) {
        let area: f32 = self.trial.iter().map(|p| p.shape.area).sum();
        let value = self.trial.iter().map(|p| p.shape.area * p.likeness.single).sum::<f32>() / area.max(1.0);
        if self.trial.len() >= 2 && value > *goal {
            *goal = value;
            std::mem::swap(&mut self.trial, &mut self.best);
            std::mem::swap(&mut self.trial_masks, &mut self.best_masks);
        }
    }

    /// Takes away a disc about each fork of the skeleton and joins the arms that are left in twos and ones.
    fn try_forks(&mut self, part: &Part, surroundings: Surroundings<'_>, goal: &mut f32) {
        let stride = part.bounds.width() + 2;
        self.forks.clear();
        for (p, &s) in self.skeleton.iter().enumerate() {
            if s != 0 && crossings(&around(p, stride).map(|q| self.skeleton[q])) >= 3 {
                self.forks.push(p as u32);
            }
        }
        let place = |p: u32| ((p as usize % stride) as f32, (p as usize / stride) as f32);
        // Forks closer than 0.8 widths are one crossing: keep their mean.
        let mut used = 0u64;
        let mut tried = 0;
        for i in 0..self.forks.len().min(64) {
            if used >> i & 1 != 0 || tried >= 6 {
                continue;
            }
            let (x0, y0) = place(self.forks[i]);
            let (mut sx, mut sy, mut n, mut deepest) = (0.0, 0.0, 0.0f32, 0u32);
            for (j, &fork) in self.forks.iter().enumerate().take(64) {
                let (x, y) = place(fork);
                if used >> j & 1 == 0 && (x - x0).hypot(y - y0) < 0.9 * surroundings.width {
                    used |= 1 << j;
                    (sx, sy, n) = (sx + x, sy + y, n + 1.0);
                    deepest = deepest.max(self.distance[fork as usize]);
                }
            }
            tried += 1;
            let (cx, cy) = (sx / n, sy / n);
            let radius = (deepest as f32).sqrt().max(0.5 * surroundings.width)
                + 1.0
                + if n > 1.0 { 0.25 * surroundings.width } else { 0.0 };
            self.try_arms(part, surroundings, (cx, cy), radius, goal);
        }
    }

    fn try_arms(
        &mut self,
        part: &Part,
        surroundings: Surroundings<'_>,
        centre: (f32, f32),
        radius: f32,
        goal: &mut f32,
    ) {
        let stride = part.bounds.width() + 2;
        let offset = |p: usize| ((p % stride) as f32 - centre.0, (p / stride) as f32 - centre.1);
        self.marks.clear();
        self.marks.extend_from_slice(&self.mask);
        for (p, m) in self.marks.iter_mut().enumerate() {
            let (dx, dy) = offset(p);
            if dx * dx + dy * dy < radius * radius {
                *m = 0;
            }
        }
        self.components.find(&self.marks, stride);
        // Arms: what is left, large enough, with the direction in which it meets the disc.
        let mut arms = [(0usize, 0f32, 0f32); 5];
        let mut n = 0;
        for i in 0..self.components.len() {
            if (self.components.area(i) as f32) < 0.2 * surroundings.width * surroundings.width {
                continue;
            }
            let (mut sx, mut sy, mut near) = (0.0, 0.0, 0.0f32);
            for run in self.components.runs(i) {
                for x in run.start..run.end {
                    let (dx, dy) = offset(run.y as usize * stride + x as usize);
                    if dx * dx + dy * dy < (radius + 2.0).powi(2) {
                        (sx, sy, near) = (sx + dx, sy + dy, near + 1.0);
                    }
                }
            }
            if near > 0.0 && n < arms.len() {
                arms[n] = (i, sx / near, sy / near);
                n += 1;
            }
        }
        if n < 2 {
            return;
        }
        // Each way: a set of arms against the rest, by bits; a set and its complement are one way.
        for set in 1u32..1 << (n - 1) {
            let sides = [set, !set & ((1 << n) - 1)];
            if sides.iter().any(|s| s.count_ones() > 2) && n < 4 {
                continue;
            }
            // Two chromosomes that cross both own the middle; an arm that only touches ends at the disc.
            let crossing = sides.iter().all(|s| s.count_ones() == 2);
            self.begin();
            for side in sides {
                self.painted.clear();
                self.painted.resize(self.mask.len(), 0);
                for (k, arm) in arms[..n].iter().enumerate() {
                    if side >> k & 1 != 0 {
                        for run in self.components.runs(arm.0) {
                            let row = run.y as usize * stride;
                            self.painted[row + run.start as usize..row + run.end as usize].fill(1);
                        }
                    }
                }
                self.bridge(stride, centre, radius, &arms[..n], side, surroundings.width / 2.0);
                self.add(part, surroundings, crossing);
            }
            self.keep(goal);
        }
    }

    /// Gives the arms of `side` their share of the disc: the pixels within half a width of the lines between them, or
    /// of a lone arm's first half radius.
    fn bridge(
        &mut self,
        stride: usize,
        centre: (f32, f32),
        radius: f32,
        arms: &[(usize, f32, f32)],
        side: u32,
        half: f32,
    ) {
        let chosen = || arms.iter().enumerate().filter(|(k, _)| side >> k & 1 != 0).map(|(_, a)| (a.1, a.2));
        let alone = side.count_ones() == 1;
        let reach = radius.ceil() as isize;
        let (cx, cy) = (centre.0 as isize, centre.1 as isize);
        for y in cy - reach..=cy + reach {
            for x in cx - reach..=cx + reach {
                if x < 1 || y < 1 || x as usize + 1 >= stride || (y as usize + 1) * stride >= self.mask.len() {
                    continue;
                }
                let p = y as usize * stride + x as usize;
                let (dx, dy) = (x as f32 - centre.0, y as f32 - centre.1);
                if self.mask[p] == 0 || self.painted[p] != 0 || dx * dx + dy * dy >= (radius + 1.0).powi(2) {
                    continue;
                }
                let near = if alone {
                    chosen().any(|a| distance_to_segment((dx, dy), a, (a.0 * 0.45, a.1 * 0.45)) <= half)
                } else {
                    chosen().any(|a| chosen().any(|b| a != b && distance_to_segment((dx, dy), a, b) <= half))
                };
                self.painted[p] = u8::from(near);
            }
        }
    }
}

/// By how much the mean likeness of one whole chromosome must rise for a clump to be parted; fitted on training cells.
const LEAST_GAIN: f32 = 0.1;

fn distance_to_segment(p: (f32, f32), a: (f32, f32), b: (f32, f32)) -> f32 {
    let (ex, ey) = (b.0 - a.0, b.1 - a.1);
    let t = (((p.0 - a.0) * ex + (p.1 - a.1) * ey) / (ex * ex + ey * ey).max(1e-6)).clamp(0.0, 1.0);
    (p.0 - a.0 - t * ex).hypot(p.1 - a.1 - t * ey)
}
