//! The medial axis of one chromosome: a line that follows its bends, its length, the width along it, and the picture
//! straightened by it.

use super::{
    BACKGROUND,
    distance::FewDistances,
    plane::{GrayImage, GrayView, Rect},
    resample::sample,
    skeleton::around,
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
    distances: FewDistances,
    walk: Walk,
    from_first: Vec<u32>,
    from_last: Vec<u32>,
    sums: Vec<[f32; 3]>,
    line: Vec<[f32; 2]>,
    spare: Vec<[f32; 2]>,
}

/// How often the line is moved to the middle between both sides of the outline.
const PASSES: usize = 3;
/// Pixels of the way between two rough points of the line.
const ROUGH_STEP: f32 = 1.5;
/// In widths of the chromosome: how far the line is smoothed and its direction taken, how far from the tips it is followed before it is drawn
/// out to them, over how long a stretch its direction there is taken, how far across the outline is looked for, and how far a point is moved at once.
const SMOOTHED: f32 = 0.35;
const TANGENT: f32 = 0.4;
const CUT: f32 = 0.45;
const TIP_DIRECTION: f32 = 0.8;
const ACROSS: f32 = 1.3;
const MOVED: f32 = 0.3;

impl MedialAxis {
    /// Median of the widths along the axis, in pixels; none for an empty axis.
    pub fn usual_width(&self) -> Option<f32> {
        let mut widths = self.widths.clone();
        widths.sort_unstable_by(f32::total_cmp);
        widths.get(widths.len() / 2).copied()
    }

    /// Traces the axis of a mask (zeros and ones over `bounds`). Empty for an empty mask; of several pieces the thickest.
    ///
    /// The tips are the two pixels farthest from each other by ways inside the mask. What lies as much nearer to one than to the other is a
    /// front across the chromosome; their middles are the rough line. It is then moved to the middle between both sides of the outline, and
    /// drawn out to the outline at both ends.
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
        s.distances.read(&s.mask, stride);
        let wide = s.rough_line(stride);
        let inside = |p: [f32; 2]| {
            // A cast to 32 bits is a third of the work of one to 64.
            let (x, y) = ((p[0] + 0.5).max(0.0) as u32 as usize, (p[1] + 0.5).max(0.0) as u32 as usize);
            x < stride && s.mask.get(y * stride + x).is_some_and(|m| *m != 0)
        };
        let scaled = |share: f32, least: usize| ((share * wide).round() as usize).max(least);
        for _ in 0..PASSES {
            resample(&s.line, &mut s.spare);
            centre(&s.spare, wide, scaled(TANGENT, 2), inside, &mut s.line);
            mean_along(&s.line, scaled(SMOOTHED, 1), &mut s.spare);
            std::mem::swap(&mut s.line, &mut s.spare);
        }
        resample(&s.line, &mut s.spare);
        let reach = scaled(TIP_DIRECTION, 3);
        s.line.clear();
        tip(s.spare.iter(), reach, wide, inside, &mut s.line);
        s.line.reverse();
        s.line.extend_from_slice(&s.spare);
        tip(s.spare.iter().rev(), reach, wide, inside, &mut s.line);
        let shift = [bounds.left as f32 - 1.0, bounds.top as f32 - 1.0];
        for (i, q) in s.line.iter().enumerate() {
            let at = q[1].round().clamp(0.0, h as f32 + 1.0) as usize * stride
                + q[0].round().clamp(0.0, stride as f32 - 1.0) as usize;
            self.widths.push((2.0 * (s.distances.of(at) as f32).sqrt() - 1.0).max(0.0));
            self.points.push([q[0] + shift[0], q[1] + shift[1]]);
            if i > 0 {
                let p = s.line[i - 1];
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

impl AxisScratch {
    /// Enters the rough line of the piece with the deepest pixel of `mask`, without its ends; returns how wide the piece is, in pixels.
    fn rough_line(&mut self, stride: usize) -> f32 {
        let (deepest, _) = self.distances.deepest();
        let first = self.walk.from(&self.mask, stride, deepest, &mut self.from_first);
        let last = self.walk.from(&self.mask, stride, first, &mut self.from_first);
        self.walk.from(&self.mask, stride, last, &mut self.from_last);
        let whole = self.from_first[last] as f32;
        let fronts = ((whole / (STRAIGHT as f32 * ROUGH_STEP)).round() as usize).max(1);
        self.sums.clear();
        self.sums.resize(fronts, [0.0; 3]);
        let mut area = 0.0;
        let ways = self.from_first.iter().zip(&self.from_last).zip(&self.mask);
        for (i, ((&a, &b), &m)) in ways.enumerate() {
            if m == 0 || a == u32::MAX {
                continue;
            }
            area += 1.0;
            let share = 0.5 + (a as f32 - b as f32) / (2.0 * whole.max(1.0));
            let front = &mut self.sums[((share * fronts as f32) as usize).min(fronts - 1)];
            *front = [front[0] + (i % stride) as f32, front[1] + (i / stride) as f32, front[2] + 1.0];
        }
        let wide = area / (whole / STRAIGHT as f32 + 1.0);
        self.spare.clear();
        self.spare.extend(self.sums.iter().filter(|s| s[2] > 0.0).map(|s| [s[0] / s[2], s[1] / s[2]]));
        let cut = (CUT * wide / ROUGH_STEP) as usize;
        if self.spare.len() > 2 * cut + 4 {
            self.spare.truncate(self.spare.len() - cut);
            self.spare.drain(..cut);
        }
        mean_along(&self.spare, ((TANGENT * wide / ROUGH_STEP).round() as usize).max(1), &mut self.line);
        wide
    }
}

/// Lengths of steps beside and across corners.
const STRAIGHT: u32 = 5;
const DIAGONAL: u32 = 7;

/// Shortest ways through a mask, by steps of [`STRAIGHT`] and [`DIAGONAL`].
#[derive(Debug, Clone, Default)]
struct Walk {
    /// Pixels to be visited by the length of their way, which is within one step of the shortest unvisited one.
    waiting: [Vec<u32>; DIAGONAL as usize + 1],
}

impl Walk {
    /// Enters how far every pixel of the mask lies from `start` (`u32::MAX` where no way leads; 0 outside the mask), and returns the
    /// farthest. The mask's edge is 0.
    fn from(&mut self, mask: &[u8], stride: usize, start: usize, ways: &mut Vec<u32>) -> usize {
        // Outside the mask no way is shorter than 0, so that none is entered.
        ways.clear();
        ways.extend(mask.iter().map(|m| if *m != 0 { u32::MAX } else { 0 }));
        self.waiting.iter_mut().for_each(Vec::clear);
        ways[start] = 0;
        self.waiting[0].push(start as u32);
        let (mut farthest, mut left, mut way) = (start, 1_usize, 0_u32);
        const SLOTS: usize = DIAGONAL as usize + 1;
        while left > 0 {
            // What is found from here waits in other slots.
            let slot = way as usize % SLOTS;
            let mut here = std::mem::take(&mut self.waiting[slot]);
            left -= here.len();
            for p in here.iter().rev() {
                let p = *p as usize;
                if ways[p] != way {
                    // A shorter way was found since.
                    continue;
                }
                farthest = p;
                for (k, q) in around(p, stride).into_iter().enumerate() {
                    let longer = way + if k % 2 == 0 { STRAIGHT } else { DIAGONAL };
                    if longer < ways[q] {
                        ways[q] = longer;
                        self.waiting[longer as usize % SLOTS].push(q as u32);
                        left += 1;
                    }
                }
            }
            here.clear();
            self.waiting[slot] = here;
            way += 1;
        }
        farthest
    }
}

/// A point about every pixel of a line, its ends among them.
fn resample(line: &[[f32; 2]], out: &mut Vec<[f32; 2]>) {
    out.clear();
    let Some(&first) = line.first() else { return };
    out.push(first);
    let apart = |p: [f32; 2], q: [f32; 2]| (q[0] - p[0]).hypot(q[1] - p[1]);
    let whole: f32 = line.windows(2).map(|pair| apart(pair[0], pair[1])).sum();
    let steps = whole.round().max(1.0);
    let step = whole / steps;
    let (mut done, mut next) = (0.0, step);
    for pair in line.windows(2) {
        let d = apart(pair[0], pair[1]);
        while d > 0.0 && next <= done + d && (out.len() as f32) < steps {
            let t = (next - done) / d;
            out.push([0, 1].map(|axis| pair[0][axis] + t * (pair[1][axis] - pair[0][axis])));
            next += step;
        }
        done += d;
    }
    if line.len() > 1 && whole > 0.0 {
        out.push(line[line.len() - 1]);
    }
}

/// Each point of a line moved towards the middle between both sides of the outline; the direction of the line is taken over `reach` points on
/// either side.
fn centre(line: &[[f32; 2]], wide: f32, reach: usize, inside: impl Fn([f32; 2]) -> bool, out: &mut Vec<[f32; 2]>) {
    out.clear();
    let most = ((ACROSS * wide + 1.0) * 2.0) as usize;
    for (i, p) in line.iter().enumerate() {
        let (a, b) = (line[i.saturating_sub(reach)], line[(i + reach).min(line.len() - 1)]);
        let d = (b[0] - a[0]).hypot(b[1] - a[1]).max(1e-6);
        let across = [(b[1] - a[1]) / d, (a[0] - b[0]) / d];
        let side = |sign: f32| {
            let outside = |k: &usize| {
                let off = sign * 0.5 * *k as f32;
                !inside([p[0] + off * across[0], p[1] + off * across[1]])
            };
            (0..most).find(outside).unwrap_or(most) as f32 * 0.5
        };
        let off = (0.5 * (side(1.0) - side(-1.0))).clamp(-MOVED * wide, MOVED * wide);
        out.push([p[0] + off * across[0], p[1] + off * across[1]]);
    }
}

/// From a line's first point on to the outline, in the direction in which its first `reach` points lead there: points from the line outwards.
fn tip<'a>(
    mut line: impl Iterator<Item = &'a [f32; 2]>,
    reach: usize,
    wide: f32,
    inside: impl Fn([f32; 2]) -> bool,
    out: &mut Vec<[f32; 2]>,
) {
    let Some(&first) = line.next() else { return };
    let back = line.take(reach).last().copied().unwrap_or([first[0], first[1] + 1.0]);
    let d = (first[0] - back[0]).hypot(first[1] - back[1]).max(1e-6);
    let step = [0.5 * (first[0] - back[0]) / d, 0.5 * (first[1] - back[1]) / d];
    let mut at = first;
    for _ in 0..(1.5 * wide) as usize + 2 {
        at = [at[0] + step[0], at[1] + step[1]];
        if !inside(at) {
            break;
        }
        out.push(at);
    }
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

    /// A band of the given width along a line of corners.
    fn along(corners: &[[f32; 2]], width: f32, size: (usize, usize)) -> Vec<u8> {
        let off = |x: f32, y: f32| {
            let pairs = corners.windows(2).map(|pair| {
                let (a, b) = (pair[0], pair[1]);
                let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
                let t = (((x - a[0]) * dx + (y - a[1]) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
                (a[0] + t * dx - x).hypot(a[1] + t * dy - y)
            });
            pairs.fold(f32::MAX, f32::min)
        };
        (0..size.0 * size.1).map(|i| u8::from(off((i % size.0) as f32, (i / size.0) as f32) <= width / 2.0)).collect()
    }

    #[test]
    fn a_hooked_tip_belongs_to_the_line_and_short_ones_are_as_long_as_they_are() {
        // Straight up, round a half circle of radius 9, and a little way back down.
        let turn = (0..=16).map(|k| (k as f32 / 16.0 * std::f32::consts::PI).sin_cos());
        let mut hook = vec![[20.0, 90.0]];
        hook.extend(turn.map(|(sin, cos)| [29.0 - 9.0 * cos, 30.0 - 9.0 * sin]));
        hook.push([38.0, 40.0]);
        let slanted = vec![[20.0, 20.0], [32.0, 26.0]];
        for (line, width) in [(hook, 10.0), (slanted, 11.0)] {
            let (w, h) = (60, 110);
            let mut axis = MedialAxis::default();
            let bounds = Rect { left: 0, top: 0, right: w, bottom: h };
            axis.trace(&along(&line, width, (w, h)), bounds, &mut AxisScratch::default());
            let apart = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
            let whole: f32 = line.windows(2).map(|pair| apart(pair[0], pair[1])).sum::<f32>() + width;
            assert!((axis.length / whole - 1.0).abs() < 0.06, "{} for {whole}", axis.length);
            for corner in &line {
                let nearest = axis.points.iter().map(|p| apart(*p, *corner)).fold(f32::MAX, f32::min);
                assert!(nearest < 1.6, "{corner:?} is {nearest} from {:?}", axis.points);
            }
        }
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
