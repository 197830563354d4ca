//! The medial axis of one chromosome: a line that follows its bends, its length, the width along it, and the picture
//! straightened by it.

use super::{
    BACKGROUND,
    distance::{DistanceScratch, squared_distance},
    plane::{GrayImage, GrayView, Rect},
    resample::sample,
    skeleton::{SkeletonScratch, around, thin},
};

/// A line along the middle of a chromosome, a point about every pixel.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MedialAxis {
    /// Points from end to end in pixels of the picture (pixel centres at whole numbers).
    pub points: Vec<[f32; 2]>,
    /// Full width across the axis at each point, in pixels.
    pub widths: Vec<f32>,
    /// Length from tip to tip in pixels.
    pub length: f32,
}

/// Scratch of [`MedialAxis::trace`].
#[derive(Debug, Clone, Default)]
pub struct AxisScratch {
    mask: Vec<u8>,
    skeleton: Vec<u8>,
    distance: Vec<u32>,
    from: Vec<u32>,
    queue: Vec<u32>,
    path: Vec<[f32; 2]>,
    smooth: Vec<[f32; 2]>,
    thinning: SkeletonScratch,
    distances: DistanceScratch,
}

impl MedialAxis {
    /// Median of the widths along the axis, in pixels; none for an empty axis.
    pub fn usual_width(&self) -> Option<f32> {
        let mut widths = self.widths.clone();
        widths.sort_unstable_by(f32::total_cmp);
        widths.get(widths.len() / 2).copied()
    }

    /// Traces the axis of a mask (zeros and ones over `bounds`): the longest way through the skeleton, smoothed over one
    /// width, drawn out to the outline at both ends. Empty for an empty mask.
    pub fn trace(&mut self, mask: &[u8], bounds: Rect, scratch: &mut AxisScratch) {
        self.points.clear();
        self.widths.clear();
        self.length = 0.0;
        let (w, h) = (bounds.width(), bounds.height());
        if mask.len() != w * h || !mask.iter().any(|&m| m != 0) {
            return;
        }
        let stride = w + 2;
        let s = scratch;
        s.mask.clear();
        s.mask.resize(stride * (h + 2), 0);
        for (line, y) in mask.chunks_exact(w).zip(1..) {
            for (o, &m) in s.mask[y * stride + 1..].iter_mut().zip(line) {
                *o = u8::from(m != 0);
            }
        }
        squared_distance(&s.mask, stride, &mut s.distance, &mut s.distances);
        s.skeleton.clone_from(&s.mask);
        thin(&mut s.skeleton, stride, &mut s.thinning);
        // Thinning leaves nothing of a square of two: its deepest pixel stands for it.
        if s.skeleton.iter().all(|&v| v == 0) {
            let deepest = s.distance.iter().enumerate().max_by_key(|&(_, d)| *d);
            s.skeleton[deepest.map_or(0, |(i, _)| i)] = 1;
        }
        let Some(start) = s.skeleton.iter().position(|&v| v != 0) else { return };
        // The farthest from anywhere, then the farthest from there: the ends of the longest way.
        let a = farthest(&s.skeleton, stride, start, &mut s.from, &mut s.queue);
        let b = farthest(&s.skeleton, stride, a, &mut s.from, &mut s.queue);
        s.path.clear();
        let mut p = b;
        loop {
            s.path.push([(p % stride) as f32, (p / stride) as f32]);
            if p == a {
                break;
            }
            p = s.from[p] as usize;
        }
        let deepest = s.distance.iter().copied().max().unwrap_or(1) as f32;
        let reach = (deepest.sqrt() * 0.8).max(1.0) as usize;
        // The skeleton bends into corners near the ends: they are cut off and drawn anew.
        let cut = (deepest.sqrt() * 0.7) as usize;
        if s.path.len() > 2 * cut + 4 {
            s.path.truncate(s.path.len() - cut);
            s.path.drain(..cut);
        }
        for _ in 0..2 {
            mean_along(&s.path, reach, &mut s.smooth);
            std::mem::swap(&mut s.path, &mut s.smooth);
        }
        let inside = |p: [f32; 2]| {
            let (x, y) = (p[0].round(), p[1].round());
            x >= 0.0
                && y >= 0.0
                && (x as usize) < stride
                && (y as usize) < h + 2
                && s.mask[y as usize * stride + x as usize] != 0
        };
        // Drawn out in both directions.
        s.smooth.clear();
        for forward in [false, true] {
            let n = s.path.len();
            let (tip, back) =
                if forward { (n - 1, n.saturating_sub(1 + 2 * reach)) } else { (0, (2 * reach).min(n - 1)) };
            let (t, u) = (s.path[tip], s.path[back]);
            let d = (t[0] - u[0]).hypot(t[1] - u[1]);
            let step =
                if d > 0.5 { [(t[0] - u[0]) / d, (t[1] - u[1]) / d] } else { [0.0, if forward { 1.0 } else { -1.0 }] };
            let mut q = t;
            let from = s.smooth.len();
            for _ in 0..(2.0 * deepest.sqrt()) as usize + 2 {
                q = [q[0] + step[0], q[1] + step[1]];
                if !inside(q) {
                    break;
                }
                s.smooth.push(q);
            }
            if !forward {
                s.smooth[from..].reverse();
                s.smooth.extend_from_slice(&s.path);
            }
        }
        let shift = [bounds.left as f32 - 1.0, bounds.top as f32 - 1.0];
        for (i, q) in s.smooth.iter().enumerate() {
            let at = q[1].round().clamp(0.0, h as f32 + 1.0) as usize * stride
                + q[0].round().clamp(0.0, stride as f32 - 1.0) as usize;
            self.widths.push((2.0 * (s.distance[at] as f32).sqrt() - 1.0).max(0.0));
            self.points.push([q[0] + shift[0], q[1] + shift[1]]);
            if i > 0 {
                let p = s.smooth[i - 1];
                self.length += (q[0] - p[0]).hypot(q[1] - p[1]);
            }
        }
        // Half a pixel of outline at each tip.
        self.length += 1.0;
    }

    /// The point after `along` pixels of the way and the unit tangent there.
    pub fn at(&self, along: f32) -> Option<([f32; 2], [f32; 2])> {
        let mut left = along.max(0.0);
        for pair in self.points.windows(2) {
            let (p, q) = (pair[0], pair[1]);
            let d = (q[0] - p[0]).hypot(q[1] - p[1]);
            if left <= d && d > 0.0 {
                let t = left / d;
                return Some((
                    [p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])],
                    [(q[0] - p[0]) / d, (q[1] - p[1]) / d],
                ));
            }
            left -= d;
        }
        None
    }

    /// The picture along the axis: row i lies i pixels from the first tip, `2 * half + 1` columns across. Rows that the
    /// axis does not reach are background.
    pub fn straighten(&self, plane: GrayView<'_>, half: usize, out: &mut GrayImage) {
        let columns = 2 * half + 1;
        out.reshape(columns, (self.length.round() as usize).max(1));
        out.data.fill(BACKGROUND);
        // The tangent over a few pixels, so that the rows do not jump.
        let reach = 2.0;
        for (y, row) in out.data.chunks_exact_mut(columns).enumerate() {
            let along = y as f32;
            let Some((p, t)) = self.at(along) else { continue };
            let ahead = self.at(along + reach).map_or(p, |a| a.0);
            let behind = self.at((along - reach).max(0.0)).map_or(p, |a| a.0);
            let (dx, dy) = (ahead[0] - behind[0], ahead[1] - behind[1]);
            let d = dx.hypot(dy);
            let tangent = if d > 0.5 { [dx / d, dy / d] } else { t };
            for (x, v) in row.iter_mut().enumerate() {
                let off = x as f32 - half as f32;
                *v = (sample(plane, p[0] - tangent[1] * off, p[1] + tangent[0] * off, BACKGROUND) + 0.5) as u8;
            }
        }
    }
}

/// The last pixel that a walk through the skeleton from `start` reaches; `from` leads back.
fn farthest(skeleton: &[u8], stride: usize, start: usize, from: &mut Vec<u32>, queue: &mut Vec<u32>) -> usize {
    from.clear();
    from.resize(skeleton.len(), u32::MAX);
    queue.clear();
    queue.push(start as u32);
    from[start] = start as u32;
    let mut next = 0;
    while next < queue.len() {
        let p = queue[next] as usize;
        next += 1;
        let ring = around(p, stride);
        // Straight steps before diagonal ones, so that the way is even.
        for k in [0, 2, 4, 6, 1, 3, 5, 7] {
            let q = ring[k];
            if skeleton[q] != 0 && from[q] == u32::MAX {
                from[q] = p as u32;
                queue.push(q as u32);
            }
        }
    }
    queue.last().map_or(start, |&p| p as usize)
}

/// Running mean over `reach` points on each side, fewer at the ends.
fn mean_along(path: &[[f32; 2]], reach: usize, out: &mut Vec<[f32; 2]>) {
    out.clear();
    for i in 0..path.len() {
        let r = reach.min(i).min(path.len() - 1 - i);
        let window = &path[i - r..=i + r];
        let n = window.len() as f32;
        out.push([window.iter().map(|p| p[0]).sum::<f32>() / n, window.iter().map(|p| p[1]).sum::<f32>() / n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A band of width 9 along a half circle of radius 40.
    fn arch() -> (Vec<u8>, Rect) {
        let (w, h) = (100, 52);
        let mut mask = vec![0u8; w * h];
        for y in 0..h {
            for x in 0..w {
                let r = (x as f32 - 50.0).hypot(y as f32 - 48.0);
                mask[y * w + x] = u8::from((r - 40.0).abs() <= 4.5 && y <= 48);
            }
        }
        (mask, Rect { left: 0, top: 0, right: w, bottom: h })
    }

    #[test]
    fn a_bent_chromosome_is_as_long_as_its_arc_and_as_wide_as_its_band() {
        let (mask, bounds) = arch();
        let mut axis = MedialAxis::default();
        axis.trace(&mask, bounds, &mut AxisScratch::default());
        let arc = std::f32::consts::PI * 40.0;
        assert!((axis.length / arc - 1.0).abs() < 0.05, "{} for {arc}", axis.length);
        let middle = axis.widths[axis.widths.len() / 2];
        assert!((middle - 9.0).abs() <= 1.5, "{middle}");
    }

    #[test]
    fn straightening_an_arch_gives_a_bar() {
        let (mask, bounds) = arch();
        let plane = GrayImage {
            width: 100,
            height: 52,
            data: mask.iter().map(|&m| if m == 0 { BACKGROUND } else { 90 }).collect(),
        };
        let mut axis = MedialAxis::default();
        axis.trace(&mask, bounds, &mut AxisScratch::default());
        let mut out = GrayImage::default();
        axis.straighten(plane.view().unwrap(), 10, &mut out);
        assert_eq!((out.width, out.height), (21, axis.length.round() as usize));
        for row in out.data.chunks_exact(21).skip(8).take(out.height - 16) {
            assert!(row[10] < 100 && row[7] < 120 && row[13] < 120 && row[1] > 200 && row[19] > 200, "{row:?}");
        }
    }

    #[test]
    fn specks_and_nothing_have_an_axis_too() {
        let mut axis = MedialAxis::default();
        let one = Rect { left: 3, top: 3, right: 4, bottom: 4 };
        axis.trace(&[1], one, &mut AxisScratch::default());
        assert!(axis.length >= 1.0 && axis.length.is_finite());
        axis.trace(&[0], one, &mut AxisScratch::default());
        assert!(axis.points.is_empty());
    }
}
