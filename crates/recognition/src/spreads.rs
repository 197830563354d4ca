//! From the dark objects of a plane to spreads: which may be chromosomes, which lie together, where two cells touch.
//! This grouping comes before any network; [`grouping`](super::grouping) corrects it by what the detector counts.

use imaging::{BACKGROUND, Components, GrayImage, Rect};

/// What is measured of a group of objects.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SpreadFeatures {
    /// Objects in the group.
    pub objects: f32,
    /// Chromosomes by area: sum of area / (4.5 thickness^2), at least one an object.
    pub chromosomes: f32,
    /// Share of the area in objects the size of one chromosome.
    pub single_share: f32,
    /// Dark area over the area of the group's box.
    pub fill: f32,
    /// Spread of the objects' thickness over its mean.
    pub thickness_spread: f32,
    /// Mean elongation of the objects: area / thickness^2.
    pub elongation: f32,
    /// Typical thickness in pixels of the frame.
    pub thickness: f32,
    /// Mean darkness of the objects.
    pub darkness: f32,
    /// Chromosomes by the area of an ordinary object (two fifths of them are smaller).
    pub counted: f32,
    /// Length of the plot over its width: the ratio of the standard deviations along its axes, 1 to 4.
    pub length: f32,
}

/// A dark object of the plane.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Object {
    /// The smallest rectangle around it, in pixels of the plane.
    pub bounds: Rect,
    area: f32,
    thickness: f32,
    darkness: f32,
    group: u32,
    /// Pixels of the plane's outermost rows or columns that it takes, on the side where it takes most.
    contact: u32,
    /// Place along the axis on which two cells lie farthest apart.
    along: f32,
}

impl Object {
    fn centre(&self) -> [f32; 2] {
        let b = self.bounds;
        [(b.left + b.right) as f32 / 2.0, (b.top + b.bottom) as f32 / 2.0]
    }

    /// Pixels between the boxes of two objects, along the axis on which they lie farther apart.
    fn gap(&self, other: &Self) -> f32 {
        let (a, b) = (self.bounds, other.bounds);
        let gap = |l: usize, r: usize, l2: usize, r2: usize| l.saturating_sub(r2).max(l2.saturating_sub(r));
        gap(a.left, a.right, b.left, b.right).max(gap(a.top, a.bottom, b.top, b.bottom)) as f32
    }
}

/// An object that takes this share of the chromosomes' thickness of the plane's edge is cut by it.
const CUT_CONTACT: f32 = 0.6;

/// Objects of a cell that the plane's edge cuts.
pub(super) fn cut_objects(cell: &[Object], thickness: f32) -> u32 {
    cell.iter().filter(|o| o.contact as f32 >= CUT_CONTACT * thickness).count() as u32
}

/// Groups that are gathered to one cell lie at most so many times the chromosomes' thickness apart.
const MAX_GAP_OF_ONE_CELL: f32 = 14.0;
/// They make at most so many chromosomes together, by [`chromosomes`] (which is right to a tenth or so).
const MAX_CHROMOSOMES_OF_ONE_CELL: f32 = 58.0;
/// Groups of fewer objects are dirt as likely as chromosomes and stay as they are.
const MIN_OBJECTS_TO_GATHER: usize = 3;

/// A field of more groups shows dirt, or many cells through a search lens; it would also take long.
const MAX_GROUPS_TO_GATHER: usize = 40;

/// Area of a chromosome: 4.5 squares of the thickness.
fn one_chromosome(thickness: f32) -> f32 {
    4.5 * thickness * thickness
}

/// Chromosomes by area, at least one an object.
fn chromosomes(group: &[Object], thickness: f32) -> f32 {
    let one = one_chromosome(thickness);
    group.iter().map(|o| (o.area / one).max(1.0)).sum()
}

/// The objects of a plane; keeps its buffers.
#[derive(Debug, Clone, Default)]
pub(super) struct Objects {
    all: Vec<Object>,
    parents: Vec<u32>,
    order: Vec<(f32, f32)>,
    thickness: Option<f32>,
    any: bool,
}

/// Objects looked at; more than this is dirt. A field of a search lens holds some ten cells.
const MAX_OBJECTS: usize = 4000;

/// Groups of fewer objects are one cell.
const MIN_OBJECTS_OF_TWO_CELLS: usize = 12;

impl Objects {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.all.clear();
        self.thickness = None;
        self.any = false;
    }

    /// Whether anything larger than a speck is there.
    pub fn any(&self) -> bool {
        self.any
    }

    /// Typical thickness of long objects in pixels of the plane.
    pub fn thickness(&self) -> Option<f32> {
        self.thickness
    }

    /// Area, thickness and darkness of every component of the plane's mask.
    pub fn measure(&mut self, plane: &GrayImage, mask: &[u8], components: &Components) {
        self.clear();
        let (w, h) = (plane.width, plane.height);
        for i in 0..components.len() {
            let area = components.area(i);
            if area < 6 || self.all.len() >= MAX_OBJECTS {
                continue;
            }
            let (mut border, mut dark) = (0u32, 0u64);
            let mut contact = [0u32; 4];
            for run in components.runs(i) {
                let (y, from, to) = (run.y as usize, run.start as usize, run.end as usize);
                border += 2.min(run.end - run.start);
                contact[0] += u32::from(from == 0);
                contact[1] += u32::from(to == w);
                contact[2] += if y == 0 { run.end - run.start } else { 0 };
                contact[3] += if y + 1 == h { run.end - run.start } else { 0 };
                dark += plane.data[y * w + from..y * w + to]
                    .iter()
                    .map(|&v| u64::from(BACKGROUND.saturating_sub(v)))
                    .sum::<u64>();
                if to - from > 2 {
                    for x in from + 1..to - 1 {
                        let closed = y > 0 && y + 1 < h && mask[(y - 1) * w + x] != 0 && mask[(y + 1) * w + x] != 0;
                        border += u32::from(!closed);
                    }
                }
            }
            self.all.push(Object {
                bounds: components.bounds(i),
                area: area as f32,
                thickness: 2.0 * area as f32 / border as f32,
                darkness: dark as f32 / area as f32,
                contact: contact.into_iter().max().unwrap_or(0),
                ..Object::default()
            });
        }
        self.any = self.all.iter().any(|o| o.area > 20.0);
    }

    /// Finds the typical thickness, keeps what may be chromosomes, joins those that lie close and splits two cells that
    /// touch, from these log odds on. The thickness in pixels of the plane; none when nothing may be a chromosome.
    pub fn group(&mut self, two_cells: f32, thickest: f32) -> Option<f32> {
        self.order.clear();
        for o in &self.all {
            let long = o.area / (o.thickness * o.thickness);
            if long > 1.2 && o.thickness >= 1.5 && o.thickness < thickest.min(30.0) {
                self.order.push((o.thickness, (o.area / o.thickness).min(60.0 * o.thickness)));
            }
        }
        self.order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let half = self.order.iter().map(|p| p.1).sum::<f32>() / 2.0;
        let mut seen = 0.0;
        let thickness = self.order.iter().find_map(|p| {
            seen += p.1;
            (seen >= half).then_some(p.0)
        })?;
        self.thickness = Some(thickness);
        self.all.retain(|o| {
            let long = o.area / (o.thickness * o.thickness);
            (0.5..1.8).contains(&(o.thickness / thickness)) && o.area > 0.8 * thickness * thickness && long > 0.7
        });
        self.join_near((3.5 * thickness).floor() + 1.0);
        self.gather(thickness);
        self.split_cells(thickness, two_cells);
        Some(thickness)
    }

    /// Gives objects whose boxes are at most `reach` apart one group, and sorts by group.
    fn join_near(&mut self, reach: f32) {
        self.parents.clear();
        self.parents.extend(0..self.all.len() as u32);
        let parents = &mut self.parents;
        let root = |parents: &mut [u32], mut i: u32| {
            while parents[i as usize] != i {
                parents[i as usize] = parents[parents[i as usize] as usize];
                i = parents[i as usize];
            }
            i
        };
        for i in 0..self.all.len() {
            for j in 0..i {
                if self.all[i].gap(&self.all[j]) <= reach {
                    let (one, other) = (root(parents, i as u32), root(parents, j as u32));
                    parents[one.max(other) as usize] = one.min(other);
                }
            }
        }
        for i in 0..self.all.len() {
            self.all[i].group = 2 * root(&mut self.parents, i as u32);
        }
        self.all.sort_unstable_by_key(|o| (o.group, o.bounds.top, o.bounds.left));
    }

    /// Joins groups that lie a little farther apart, nearest first, as long as they make no more than one cell together:
    /// a few chromosomes beside the others of a wide plot do not make a cell.
    fn gather(&mut self, thickness: f32) {
        let reach = MAX_GAP_OF_ONE_CELL * thickness;
        let groups = self.all.chunk_by(|a, b| a.group == b.group);
        if groups.filter(|group| group.len() >= MIN_OBJECTS_TO_GATHER).count() > MAX_GROUPS_TO_GATHER {
            return;
        }
        loop {
            let mut nearest: Option<(f32, u32, u32)> = None;
            for (a, one) in self.all.chunk_by(|a, b| a.group == b.group).enumerate() {
                let earlier = self.all.chunk_by(|a, b| a.group == b.group).take(a);
                if one.len() < MIN_OBJECTS_TO_GATHER {
                    continue;
                }
                for other in earlier.filter(|other| other.len() >= MIN_OBJECTS_TO_GATHER) {
                    if chromosomes(one, thickness) + chromosomes(other, thickness) > MAX_CHROMOSOMES_OF_ONE_CELL {
                        continue;
                    }
                    let apart = one.iter().flat_map(|o| other.iter().map(move |p| o.gap(p)));
                    let apart = apart.fold(f32::INFINITY, f32::min);
                    if apart <= reach && nearest.is_none_or(|(least, ..)| apart < least) {
                        nearest = Some((apart, other[0].group, one[0].group));
                    }
                }
            }
            let Some((_, keep, gone)) = nearest else { return };
            self.all.iter_mut().filter(|o| o.group == gone).for_each(|o| o.group = keep);
            self.all.sort_unstable_by_key(|o| (o.group, o.bounds.top, o.bounds.left));
        }
    }

    /// Splits groups that look like two cells.
    fn split_cells(&mut self, thickness: f32, two_cells: f32) {
        for cell in self.all.chunk_by_mut(|a, b| a.group == b.group) {
            if let Some(cut) = cut_between(cell, thickness, two_cells, &mut self.order) {
                cell.iter_mut().for_each(|o| o.group += u32::from(o.along > cut));
                cell.sort_unstable_by_key(|o| o.group);
            }
        }
    }

    /// Every group with its figures and the smallest rectangle around it, in pixels of the plane; `scale` is how many
    /// pixels of the frame make one of the plane.
    pub fn cells(&mut self, thickness: f32, scale: f32) -> impl Iterator<Item = (&[Object], SpreadFeatures, Rect)> {
        let order = &mut self.order;
        self.all.chunk_by(|a, b| a.group == b.group).map(move |cell| {
            let (features, bounds) = SpreadFeatures::measure(cell, thickness, scale, order);
            (cell, features, bounds)
        })
    }
}

/// Chromosomes of a group by the area of an ordinary object (clumps make the median one too large), and the length of its plot over its width.
fn count_and_length(cell: &[Object], thickness: f32, order: &mut Vec<(f32, f32)>) -> (f32, f32) {
    let area: f32 = cell.iter().map(|o| o.area).sum();
    order.clear();
    order.extend(cell.iter().map(|o| (o.area, 0.0)));
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let [x, y] = middle(cell);
    let (mut xx, mut xy, mut yy) = (thickness, 0.0, thickness);
    for o in cell {
        let share = o.area / area;
        let [dx, dy] = [o.centre()[0] - x, o.centre()[1] - y];
        xx += share * (dx * dx + (o.bounds.width() as f32).powi(2) / 12.0);
        yy += share * (dy * dy + (o.bounds.height() as f32).powi(2) / 12.0);
        xy += share * dx * dy;
    }
    let (mean, half) = ((xx + yy) / 2.0, (((xx - yy) / 2.0).powi(2) + xy * xy).sqrt());
    (area / order[order.len() * 2 / 5].0, ((mean + half) / (mean - half).max(1.0)).sqrt().min(4.0))
}

/// Centre of the area.
fn middle(cell: &[Object]) -> [f32; 2] {
    let area: f32 = cell.iter().map(|o| o.area).sum();
    [0, 1].map(|k| cell.iter().map(|o| o.area * o.centre()[k]).sum::<f32>() / area)
}

/// Log odds that a group is two cells: more chromosomes than a cell has, on a long plot. A logistic fit on cells of G-banding
/// and on pairs of them set side by side (`metaphased-fit two-cells`, docs/reference/imaging.md).
fn log_odds(counted: f32, length: f32) -> f32 {
    -69.63 + 4.2 * length + 14.55 * counted.ln()
}

/// Where on [`Object::along`] two cells meet, when a group looks like two and has a constriction.
fn cut_between(cell: &mut [Object], thickness: f32, least: f32, order: &mut Vec<(f32, f32)>) -> Option<f32> {
    if cell.len() < MIN_OBJECTS_OF_TWO_CELLS {
        return None;
    }
    let (counted, length) = count_and_length(cell, thickness, order);
    if log_odds(counted, length) < least {
        return None;
    }
    let area: f32 = cell.iter().map(|o| o.area).sum();
    let [x, y] = middle(cell);
    // The constriction: the axis and the cut on it that split the group into the two tightest heaps of at least a quarter.
    let mut best = (0.0, 0.0, 0.0, 0.0);
    for k in 0..24 {
        let (sin, cos) = (k as f32 * std::f32::consts::PI / 24.0).sin_cos();
        order.clear();
        order.extend(cell.iter().map(|o| ((o.centre()[0] - x) * cos + (o.centre()[1] - y) * sin, o.area)));
        order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let sum: f32 = order.iter().map(|p| p.0 * p.1).sum();
        let squares: f32 = order.iter().map(|p| p.0 * p.0 * p.1).sum();
        let (mut n, mut s, mut at) = (0.0, 0.0, (0.0, 0.0, 0.0));
        for pair in order.windows(2) {
            n += pair[0].1;
            s += pair[0].0 * pair[0].1;
            if !(0.25..0.75).contains(&(n / area)) {
                continue;
            }
            let (low, high) = (s / n, (sum - s) / (area - n));
            let between = (high - low).powi(2) * n * (area - n);
            if between > at.0 {
                let within = ((squares - n * low * low - (area - n) * high * high) / area).max(1.0).sqrt();
                at = (between, (high - low) / within, (pair[0].0 + pair[1].0) / 2.0);
            }
        }
        if at.1 > best.0 {
            best = (at.1, at.2, sin, cos);
        }
    }
    let (apart, cut, sin, cos) = best;
    if apart < MIN_CONSTRICTION {
        return None;
    }
    for o in cell.iter_mut() {
        o.along = (o.centre()[0] - x) * cos + (o.centre()[1] - y) * sin;
    }
    Some(cut)
}

/// Distance of the two heaps over their own spread (Ashman's D over the square root of two): 3.2 in a disc that is cut in half.
const MIN_CONSTRICTION: f32 = 4.05;

impl SpreadFeatures {
    fn measure(cell: &[Object], thickness: f32, scale: f32, order: &mut Vec<(f32, f32)>) -> (Self, Rect) {
        let (counted, length) = count_and_length(cell, thickness, order);
        let objects = cell.len() as f32;
        let area: f32 = cell.iter().map(|o| o.area).sum();
        let one = one_chromosome(thickness);
        let single: f32 = cell.iter().filter(|o| o.area < 2.2 * one).map(|o| o.area).sum();
        let bounds = cell.iter().map(|o| o.bounds).reduce(|a, b| a.union(&b)).unwrap_or_default();
        let mean = cell.iter().map(|o| o.thickness).sum::<f32>() / objects;
        let spread = (cell.iter().map(|o| (o.thickness - mean).powi(2)).sum::<f32>() / objects).sqrt() / mean;
        let features = Self {
            objects,
            chromosomes: chromosomes(cell, thickness),
            single_share: single / area,
            fill: area / bounds.area().max(1) as f32,
            thickness_spread: spread,
            elongation: cell.iter().map(|o| o.area / (o.thickness * o.thickness)).sum::<f32>() / objects,
            thickness: thickness * scale,
            darkness: cell.iter().map(|o| o.darkness * o.area).sum::<f32>() / area,
            counted,
            length,
        };
        (features, bounds)
    }

    /// Probability of being a metaphase, 0 to 1: a logistic fit on the windows of src/evaluate/triage_windows.csv
    /// (docs/reference/imaging.md). Beyond about 70 chromosomes more of them speak against it: dirt or noise.
    pub fn score(&self) -> f32 {
        let z = -11.26 + 3.54 * self.chromosomes.min(60.0).ln_1p() - 2.58 * self.fill
            + 2.52 * self.thickness_spread
            + 4.97 * self.darkness.min(110.0) / 100.0
            - 5.18 * (self.chromosomes.max(70.0) / 70.0).ln();
        1.0 / (1.0 + (-z).exp())
    }
}
