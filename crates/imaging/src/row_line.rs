//! The line of a short, thick chromosome, as solid Giemsa shows it: through the middles of its rows, or of its skeleton where it is bent.
//!
//! The scorer of the dicentric assay was fitted on this line. Along [`super::MedialAxis`], whose tips are the two pixels that lie farthest
//! apart, a chromosome hardly longer than wide is measured from corner to corner.

use super::{
    chromosome::ChromosomeMask,
    distance::{DistanceScratch, squared_distance},
    profile::{Steps, equal_steps},
    skeleton::{SkeletonScratch, around, thin},
};

/// From this bend on the line follows the skeleton.
const MIN_BEND: f32 = 0.06;

/// A line shorter than this, in pixels, is no chromosome's.
const MIN_LENGTH: f32 = 5.0;

/// The line of a chromosome from the end that lies up once its axis stands; none where it is too short.
pub fn row_line(chromosome: &ChromosomeMask) -> Option<Steps> {
    let (centre, axis) = chromosome.axis()?;
    let frame = AxisFrame { centre, sin: axis.sin(), cos: axis.cos() };
    let (path, length, bend) = path_along(chromosome, &frame)?;
    Some((path.map(|p| frame.back(p)), length, bend))
}

/// The chromosome turned upright about its centre: across its axis `u`, along it `v`.
struct AxisFrame {
    centre: (f32, f32),
    sin: f32,
    cos: f32,
}

impl AxisFrame {
    /// A place of the crop as `[u, v]`.
    fn turned(&self, x: f32, y: f32) -> [f32; 2] {
        let (dx, dy) = (x - self.centre.0, y - self.centre.1);
        [dx * self.cos + dy * self.sin, -dx * self.sin + dy * self.cos]
    }

    /// The place of the crop that is at `[u, v]`.
    fn back(&self, [u, v]: [f32; 2]) -> [f32; 2] {
        [self.centre.0 + u * self.cos - v * self.sin, self.centre.1 + u * self.sin + v * self.cos]
    }
}

/// The path in `[u, v]` from the first end to the last, its length and its bend; none where the chromosome is too short.
fn path_along(chromosome: &ChromosomeMask, frame: &AxisFrame) -> Option<Steps> {
    let inside = || chromosome.inside().map(|(x, y)| frame.turned(x as f32, y as f32));
    let reach = inside().map(|[_, v]| v.abs()).fold(0.0_f32, f32::max);
    if reach < 4.0 {
        return None;
    }
    let rows = (2.0 * reach).ceil() as usize + 1;
    let mut sums = vec![(0.0_f32, 0.0_f32); rows];
    for [u, v] in inside() {
        let row = ((v + reach).round() as usize).min(rows - 1);
        sums[row].0 += u;
        sums[row].1 += 1.0;
    }
    let by_rows = steps(&centre_line(&sums, reach))?;
    // Rows cross a bent chromosome aslant: there the line goes through the skeleton instead.
    if by_rows.2 > MIN_BEND
        && let Some(skeleton) = skeleton_line(chromosome)
    {
        let mut line: Vec<[f32; 2]> = skeleton.iter().map(|p| frame.turned(p[0], p[1])).collect();
        if line.first().zip(line.last()).is_some_and(|(a, b)| a[1] > b[1]) {
            line.reverse();
        }
        if let Some(traced) = steps(&line).filter(|t| t.1 > 0.8 * by_rows.1) {
            return Some(traced);
        }
    }
    Some(by_rows)
}

/// Middle of each row, gaps filled, smoothed: `[u, v]` from the first end to the last.
fn centre_line(sums: &[(f32, f32)], reach: f32) -> Vec<[f32; 2]> {
    let mut line: Vec<[f32; 2]> = sums
        .iter()
        .enumerate()
        .filter(|(_, (_, n))| *n > 0.0)
        .map(|(row, (u, n))| [u / n, row as f32 - reach])
        .collect();
    let window = (line.len() / 10).max(2);
    let raw = line.clone();
    for i in 0..line.len() {
        let (a, b) = (i.saturating_sub(window), (i + window + 1).min(raw.len()));
        line[i][0] = raw[a..b].iter().map(|p| p[0]).sum::<f32>() / (b - a) as f32;
    }
    line
}

/// Equal steps along the line; the length goes one pixel beyond the middle of the outermost rows.
fn steps(line: &[[f32; 2]]) -> Option<Steps> {
    let (path, length, bend) = equal_steps(line).filter(|steps| steps.1 >= MIN_LENGTH)?;
    Some((path, length + 1.0, bend))
}

/// The longest way through the skeleton, smoothed over one width and drawn out to the outline at both ends; none where the chromosome is
/// about as wide as long.
fn skeleton_line(chromosome: &ChromosomeMask) -> Option<Vec<[f32; 2]>> {
    let (w, h) = (chromosome.width, chromosome.height);
    let stride = w + 2;
    let mut mask = vec![0; stride * (h + 2)];
    for (line, y) in chromosome.mask.chunks_exact(w).zip(1..) {
        for (o, &m) in mask[y * stride + 1..].iter_mut().zip(line) {
            *o = u8::from(m != 0);
        }
    }
    let mut distance = Vec::new();
    squared_distance(&mask, stride, &mut distance, &mut DistanceScratch::default());
    let deepest = distance.iter().copied().max().unwrap_or(1) as f32;
    let mut skeleton = mask.clone();
    thin(&mut skeleton, stride, &mut SkeletonScratch::default());
    let start = skeleton.iter().position(|&v| v != 0)?;
    // The farthest from anywhere, then the farthest from there: the ends of the longest way.
    let (a, _) = farthest(&skeleton, stride, start);
    let (b, from) = farthest(&skeleton, stride, a);
    let mut path = vec![b];
    while path[path.len() - 1] != a {
        path.push(from[path[path.len() - 1]] as usize);
    }
    let mut path: Vec<[f32; 2]> = path.into_iter().map(|p| [(p % stride) as f32, (p / stride) as f32]).collect();
    let reach = (deepest.sqrt() * 0.8).max(1.0) as usize;
    // The skeleton bends into corners near the ends: they are cut off and drawn again.
    let cut = (deepest.sqrt() * 0.7) as usize;
    if path.len() > 2 * cut + 4 {
        path.truncate(path.len() - cut);
        path.drain(..cut);
    }
    for _ in 0..2 {
        path = mean_along(&path, reach);
    }
    let inside = |p: [f32; 2]| {
        let (x, y) = (p[0].round(), p[1].round());
        x >= 0.0
            && y >= 0.0
            && (x as usize) < stride
            && (y as usize) < h + 2
            && mask[y as usize * stride + x as usize] != 0
    };
    let drawn_out = |tip: [f32; 2], back: [f32; 2], still: [f32; 2]| {
        let d = (tip[0] - back[0]).hypot(tip[1] - back[1]);
        let step = if d > 0.5 { [(tip[0] - back[0]) / d, (tip[1] - back[1]) / d] } else { still };
        let ahead = std::iter::successors(Some([tip[0] + step[0], tip[1] + step[1]]), move |q| {
            Some([q[0] + step[0], q[1] + step[1]])
        });
        ahead.take((2.0 * deepest.sqrt()) as usize + 2).take_while(|q| inside(*q)).collect::<Vec<_>>()
    };
    let last = path.len() - 1;
    let mut line = drawn_out(path[0], path[(2 * reach).min(last)], [0.0, -1.0]);
    line.reverse();
    let after = drawn_out(path[last], path[last.saturating_sub(2 * reach)], [0.0, 1.0]);
    line.extend(path);
    line.extend(after);
    let width = |q: &[f32; 2]| {
        let (x, y) = (q[0].round().clamp(0.0, stride as f32 - 1.0), q[1].round().clamp(0.0, h as f32 + 1.0));
        (2.0 * (distance[y as usize * stride + x as usize] as f32).sqrt() - 1.0).max(0.0)
    };
    let widest = line.iter().map(width).fold(0.0, f32::max);
    let length = 1.0 + line.windows(2).map(|p| (p[1][0] - p[0][0]).hypot(p[1][1] - p[0][1])).sum::<f32>();
    let (first, end) = (line.first()?, line.last()?);
    let apart = (first[0] - end[0]).hypot(first[1] - end[1]);
    (apart >= widest && length >= 2.0 * widest).then(|| line.iter().map(|p| [p[0] - 1.0, p[1] - 1.0]).collect())
}

/// The last pixel that a walk through the skeleton from `start` reaches, and of each pixel the one before it.
fn farthest(skeleton: &[u8], stride: usize, start: usize) -> (usize, Vec<u32>) {
    let mut from = vec![u32::MAX; skeleton.len()];
    let mut queue = vec![start];
    from[start] = start as u32;
    let mut next = 0;
    while next < queue.len() {
        let p = queue[next];
        next += 1;
        let ring = around(p, stride);
        // Straight steps before diagonal ones, so that the way is even.
        for k in [0, 2, 4, 6, 1, 3, 5, 7] {
            let q = ring[k];
            if skeleton[q] != 0 && from[q] == u32::MAX {
                from[q] = p as u32;
                queue.push(q);
            }
        }
    }
    (queue.last().copied().unwrap_or(start), from)
}

/// Running mean over `reach` points on each side, fewer at the ends.
fn mean_along(path: &[[f32; 2]], reach: usize) -> Vec<[f32; 2]> {
    let mean = |i: usize| {
        let r = reach.min(i).min(path.len() - 1 - i);
        let near = &path[i - r..=i + r];
        [0, 1].map(|axis| near.iter().map(|p| p[axis]).sum::<f32>() / near.len() as f32)
    };
    (0..path.len()).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Crop;

    fn line_of(inside: impl Fn(usize, usize) -> bool) -> Steps {
        let (width, height) = (100, 60);
        let mask: Vec<u8> = (0..width * height).map(|i| u8::from(inside(i % width, i / width))).collect();
        let pixels = mask.iter().map(|m| if *m == 0 { 240 } else { 90 }).collect();
        row_line(&Crop { width, height, pixels, mask, bright: false }.chromosome_mask().expect("one")).expect("a line")
    }

    #[test]
    fn a_short_and_thick_one_is_measured_along_its_length_and_not_from_corner_to_corner() {
        let (path, length, bend) = line_of(|x, y| (40..60).contains(&x) && (10..38).contains(&y));
        assert!((length - 28.0).abs() < 1.5 && bend < 0.02, "{length} {bend}");
        assert!(path.iter().all(|p| (p[0] - 49.5).abs() < 1.0), "{path:?}");
    }

    #[test]
    fn a_bent_one_is_as_long_as_its_arc() {
        let (_, length, bend) =
            line_of(|x, y| ((x as f32 - 50.0).hypot(y as f32 - 52.0) - 40.0).abs() <= 4.5 && y <= 52);
        assert!((length / (std::f32::consts::PI * 40.0) - 1.0).abs() < 0.06 && bend > 0.2, "{length} {bend}");
    }
}
