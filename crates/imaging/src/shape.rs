//! Figures of one region's shape and texture.

use super::{
    DistanceScratch, SkeletonScratch,
    plane::{GrayView, Rect},
    skeleton::{around, crossings},
    squared_distance, thin,
};

/// Shape and texture of a region. Lengths in pixels, darkness in grey levels below the background.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Shape {
    /// Pixels.
    pub area: f32,
    /// Twice the mean distance to the border along the ridge: the typical width.
    pub width: f32,
    /// Twice the largest distance to the border.
    pub thickest: f32,
    /// Spread of the width along the ridge over its mean.
    pub width_spread: f32,
    /// Length of the skeleton, spurs shorter than half a width taken off, plus one width for its ends.
    pub length: f32,
    /// Ends of the skeleton.
    pub ends: u16,
    /// Places where the skeleton forks.
    pub forks: u16,
    /// Closed loops (holes).
    pub holes: u16,
    /// Area over the area of the convex hull, 0 to 1.
    pub solidity: f32,
    /// Depth of the deepest bay between the region and its convex hull.
    pub deepest_bay: f32,
    /// Depth of the second deepest bay, not next to the deepest.
    pub second_bay: f32,
    /// Square root of the ratio of the second moments' axes, >= 1.
    pub elongation: f32,
    /// 4 pi area over perimeter squared, 1 for a disc.
    pub roundness: f32,
    /// Mean darkness.
    pub darkness: f32,
    /// Standard deviation of the darkness.
    pub texture: f32,
    /// Largest darkness (95th percentile).
    pub darkest: f32,
    /// Mean darkness of the outline's pixels over the mean darkness inside: low for sharp edges.
    pub edge: f32,
    /// Share of the outline that lies on the picture's edge.
    pub cut: f32,
}

/// Scratch of [`Shape::measure`]; after a call it holds the distance map and the skeleton of the region.
#[derive(Debug, Clone, Default)]
pub struct ShapeScratch {
    pub(super) distance: Vec<u32>,
    pub(super) skeleton: Vec<u8>,
    distance_scratch: DistanceScratch,
    skeleton_scratch: SkeletonScratch,
    points: Vec<[i32; 2]>,
    hull: Vec<[i32; 2]>,
    path: Vec<u32>,
}

impl Shape {
    /// Measures the region whose `mask` (0 and 1, `mask_width` a row) has a margin of exactly one background pixel around
    /// `bounds`. `plane` is the prepared picture; `background` its level.
    pub fn measure(
        mask: &[u8],
        mask_width: usize,
        bounds: Rect,
        plane: GrayView<'_>,
        background: u8,
        scratch: &mut ShapeScratch,
    ) -> Self {
        let mut shape = Self::default();
        squared_distance(mask, mask_width, &mut scratch.distance, &mut scratch.distance_scratch);
        shape.moments(mask, mask_width, bounds, plane, background);
        shape.ridge(mask, mask_width, &scratch.distance);
        shape.hull(mask, mask_width, scratch);
        scratch.skeleton.clear();
        scratch.skeleton.extend_from_slice(mask);
        thin(&mut scratch.skeleton, mask_width, &mut scratch.skeleton_scratch);
        prune(&mut scratch.skeleton, mask_width, &scratch.distance, &mut scratch.path);
        shape.lines(mask_width, scratch);
        shape
    }

    fn moments(&mut self, mask: &[u8], mask_width: usize, bounds: Rect, plane: GrayView<'_>, background: u8) {
        let (mut n, mut sx, mut sy, mut sxx, mut syy, mut sxy) = (0f64, 0f64, 0f64, 0f64, 0f64, 0f64);
        let (mut sd, mut sdd) = (0f64, 0f64);
        let (mut edge_n, mut edge_sum, mut cut) = (0f64, 0f64, 0f64);
        let mut perimeter = 0f64;
        let mut levels = [0u32; 256];
        for y in 0..bounds.height() {
            let row = &plane.row(bounds.top + y)[bounds.left..bounds.right];
            let line = (y + 1) * mask_width + 1;
            for (x, &v) in row.iter().enumerate() {
                let i = line + x;
                if mask[i] == 0 {
                    continue;
                }
                let (fx, fy) = (x as f64, y as f64);
                n += 1.0;
                sx += fx;
                sy += fy;
                sxx += fx * fx;
                syy += fy * fy;
                sxy += fx * fy;
                let d = background.saturating_sub(v);
                levels[usize::from(d)] += 1;
                let d = f64::from(d);
                sd += d;
                sdd += d * d;
                let open = u8::from(mask[i - 1] == 0)
                    + u8::from(mask[i + 1] == 0)
                    + u8::from(mask[i - mask_width] == 0)
                    + u8::from(mask[i + mask_width] == 0);
                if open > 0 {
                    edge_n += 1.0;
                    edge_sum += d;
                    // A pixel with two open sides lies on a diagonal stretch of the outline.
                    perimeter += if open == 1 { 1.0 } else { std::f64::consts::SQRT_2 };
                    let (px, py) = (bounds.left + x, bounds.top + y);
                    if px == 0 || py == 0 || px + 1 == plane.width() || py + 1 == plane.height() {
                        cut += 1.0;
                    }
                }
            }
        }
        if n == 0.0 {
            return;
        }
        let (cxx, cyy, cxy) = (
            sxx / n - (sx / n).powi(2) + 1.0 / 12.0,
            syy / n - (sy / n).powi(2) + 1.0 / 12.0,
            sxy / n - sx * sy / (n * n),
        );
        let (half, root) = ((cxx + cyy) / 2.0, (((cxx - cyy) / 2.0).powi(2) + cxy * cxy).sqrt());
        self.area = n as f32;
        self.elongation = (((half + root) / (half - root).max(1.0 / 12.0)).sqrt()) as f32;
        self.darkness = (sd / n) as f32;
        self.texture = ((sdd / n - (sd / n).powi(2)).max(0.0).sqrt()) as f32;
        self.darkest = f32::from(super::Histogram::from_counts(levels).percentile(0.95));
        self.edge = (edge_sum / edge_n.max(1.0) / (sd / n).max(1.0)) as f32;
        self.roundness = (4.0 * std::f64::consts::PI * n / (perimeter * perimeter).max(1.0)).min(1.0) as f32;
        self.cut = (cut / edge_n.max(1.0)) as f32;
    }

    fn ridge(&mut self, mask: &[u8], mask_width: usize, distance: &[u32]) {
        let (mut n, mut sum, mut squares, mut largest) = (0f32, 0f32, 0f32, 0u32);
        for (i, &d) in distance.iter().enumerate() {
            if mask[i] == 0 {
                continue;
            }
            largest = largest.max(d);
            if d >= 2 && around(i, mask_width).iter().all(|&j| distance[j] <= d) {
                let r = (d as f32).sqrt();
                n += 1.0;
                sum += r;
                squares += r * r;
            }
        }
        self.thickest = 2.0 * (largest as f32).sqrt();
        if n > 0.0 {
            let mean = sum / n;
            self.width = 2.0 * mean - 1.0;
            self.width_spread = (squares / n - mean * mean).max(0.0).sqrt() / mean;
        } else {
            self.width = 1.0;
        }
    }

    fn hull(&mut self, mask: &[u8], mask_width: usize, scratch: &mut ShapeScratch) {
        let points = &mut scratch.points;
        points.clear();
        for (y, line) in mask.chunks_exact(mask_width).enumerate() {
            let Some(first) = line.iter().position(|&m| m != 0) else { continue };
            let last = line.iter().rposition(|&m| m != 0).unwrap_or(first) + 1;
            for (x, y) in [(first, y), (last, y), (first, y + 1), (last, y + 1)] {
                points.push([x as i32, y as i32]);
            }
        }
        convex_hull(points, &mut scratch.hull);
        let hull = &scratch.hull;
        let next = |i: usize| hull[(i + 1) % hull.len()];
        let twice: i64 = (0..hull.len())
            .map(|i| i64::from(hull[i][0]) * i64::from(next(i)[1]) - i64::from(next(i)[0]) * i64::from(hull[i][1]))
            .sum();
        let area = twice.unsigned_abs() as f32 / 2.0;
        self.solidity = if area > 0.0 { (self.area / area).min(1.0) } else { 1.0 };
        // Depth of a bay: how far the farthest hull-side background pixel next to the region lies inside the hull.
        let mut bays = [0f32; 2];
        let mut place = [0i32; 2];
        for pass in 0..2 {
            let mut best = 0f32;
            let mut at = [0, 0];
            for (i, &m) in mask.iter().enumerate() {
                if m == 0 || i < mask_width || i + mask_width >= mask.len() {
                    continue;
                }
                if mask[i - 1] != 0 && mask[i + 1] != 0 && mask[i - mask_width] != 0 && mask[i + mask_width] != 0 {
                    continue;
                }
                let p = [(i % mask_width) as i32, (i / mask_width) as i32];
                let reach = 1.2 * self.width.max(4.0);
                if pass == 1 && ((p[0] - place[0]) as f32).hypot((p[1] - place[1]) as f32) < reach {
                    continue;
                }
                let mut depth = f32::MAX;
                for k in 0..hull.len() {
                    let (a, b) = (hull[k], next(k));
                    let (ex, ey) = ((b[0] - a[0]) as f32, (b[1] - a[1]) as f32);
                    let cross = ex * (p[1] as f32 + 0.5 - a[1] as f32) - ey * (p[0] as f32 + 0.5 - a[0] as f32);
                    depth = depth.min(cross.abs() / ex.hypot(ey).max(1e-3));
                    if depth <= best {
                        break;
                    }
                }
                if depth > best && depth < f32::MAX {
                    best = depth;
                    at = p;
                }
            }
            bays[pass] = best;
            if pass == 0 {
                place = at;
            }
        }
        [self.deepest_bay, self.second_bay] = bays;
    }

    fn lines(&mut self, mask_width: usize, scratch: &ShapeScratch) {
        let skeleton = &scratch.skeleton;
        let (mut straight, mut diagonal, mut pixels) = (0u32, 0u32, 0u32);
        let mut euler = 0i32;
        for (i, &s) in skeleton.iter().enumerate() {
            if s == 0 {
                continue;
            }
            pixels += 1;
            let n = around(i, mask_width).map(|j| skeleton[j]);
            let count: u8 = n.iter().sum();
            if count <= 1 {
                self.ends += 1;
            } else if crossings(&n) >= 3 {
                self.forks += 1;
            }
            // Each link once: to the right and down; a diagonal only where no straight way leads round it.
            straight += u32::from(n[2]) + u32::from(n[4]);
            diagonal += u32::from(n[3] & (1 - n[2]) & (1 - n[4])) + u32::from(n[5] & (1 - n[4]) & (1 - n[6]));
            euler += i32::from(s);
        }
        euler -= (straight + diagonal) as i32;
        self.holes = (1 - euler).clamp(0, 1000) as u16;
        self.length =
            straight as f32 + diagonal as f32 * std::f32::consts::SQRT_2 + if pixels > 0 { self.width } else { 0.0 };
    }
}

/// Takes off branches that end within the thickness of what they branch from: ripples of the outline.
fn prune(skeleton: &mut [u8], width: usize, distance: &[u32], path: &mut Vec<u32>) {
    for i in 0..skeleton.len() {
        if skeleton[i] == 0 || around_count(skeleton, i, width) != 1 {
            continue;
        }
        path.clear();
        path.push(i as u32);
        let (mut here, mut before) = (i, usize::MAX);
        loop {
            let mut next = None;
            let mut choices = 0;
            for j in around(here, width) {
                if skeleton[j] != 0 && j != before && !path.contains(&(j as u32)) {
                    // Straight neighbours (side by side) come before diagonal ones.
                    let side = j.abs_diff(here) == 1 || j.abs_diff(here) == width;
                    if next.is_none() || side {
                        next = Some(j);
                    }
                    choices += 1;
                }
            }
            let Some(j) = next else { break };
            let ring = around(j, width).map(|k| skeleton[k]);
            if crossings(&ring) >= 3 || choices > 2 {
                // `j` is the fork. The spur counts as a ripple when it is no longer than the fork is deep.
                if (path.len() as f32) < (distance[j] as f32).sqrt() * 1.15 + 1.0 {
                    for &p in path.iter() {
                        skeleton[p as usize] = 0;
                    }
                }
                break;
            }
            if path.len() > 200 {
                break;
            }
            path.push(j as u32);
            (before, here) = (here, j);
        }
    }
}

fn around_count(skeleton: &[u8], i: usize, width: usize) -> u8 {
    around(i, width).iter().map(|&j| skeleton[j]).sum()
}

/// Andrew's monotone chain; `points` come sorted by row.
fn convex_hull(points: &mut [[i32; 2]], hull: &mut Vec<[i32; 2]>) {
    points.sort_unstable();
    hull.clear();
    let cross = |o: [i32; 2], a: [i32; 2], b: [i32; 2]| {
        i64::from(a[0] - o[0]) * i64::from(b[1] - o[1]) - i64::from(a[1] - o[1]) * i64::from(b[0] - o[0])
    };
    for half in 0..2 {
        let base = hull.len();
        let push = |p: [i32; 2], hull: &mut Vec<[i32; 2]>| {
            while hull.len() >= base + 2 && cross(hull[hull.len() - 2], hull[hull.len() - 1], p) <= 0 {
                hull.pop();
            }
            hull.push(p);
        };
        if half == 0 {
            points.iter().for_each(|&p| push(p, hull));
        } else {
            points.iter().rev().for_each(|&p| push(p, hull));
        }
        hull.pop();
    }
}
