//! Levels that part objects from background, and holes in what they leave.

use super::{components::Components, simd::vectorised};

/// Writes 1 where a sample is at least `level`, else 0; as many as the shorter slice holds.
pub fn threshold(input: &[u8], level: u8, out: &mut [u8]) {
    vectorised(
        #[inline(always)]
        || {
            for (o, &v) in out.iter_mut().zip(input) {
                *o = u8::from(v >= level);
            }
        },
    );
}

/// Fills holes smaller than `limit` pixels: background that does not hang together with the margin, which is the first
/// pixel's component. `mask` has `width` pixels a row and a free margin of one pixel.
pub(super) fn fill_holes_smaller(mask: &mut [u8], width: usize, limit: usize, holes: &mut Components) {
    holes.find_background(mask, width);
    for hole in (1..holes.len()).filter(|&i| holes.area(i) < limit) {
        holes.fill(hole, mask, width, 1);
    }
}

/// The largest darkness around every pixel, smoothed: taken in tiles of a quarter chromosome width, spread over one
/// width, read back by linear interpolation.
#[derive(Debug, Clone, Default)]
pub(super) struct LocalMaximum {
    tile: usize,
    columns: usize,
    rows: usize,
    level: Vec<f32>,
    work: Vec<f32>,
    line: Vec<f32>,
}

impl LocalMaximum {
    /// Looks at a dark picture of `w` x `h` outside of nuclei; no level passes `cap`.
    pub(super) fn find(&mut self, dark: &[u8], nuclei: &[u8], w: usize, h: usize, width: f32, cap: f32) {
        self.tile = ((width / 3.0) as usize).clamp(2, 16);
        let (t, columns, rows) = (self.tile, w.div_ceil(self.tile), h.div_ceil(self.tile));
        (self.columns, self.rows) = (columns, rows);
        self.level.clear();
        self.level.resize(columns * rows, 0.0);
        self.work.resize(columns * rows, 0.0);
        for y in 0..h {
            let out = &mut self.level[y / t * columns..(y / t + 1) * columns];
            let (line, skip) = (&dark[y * w..(y + 1) * w], &nuclei[y * w..(y + 1) * w]);
            for ((o, d), n) in out.iter_mut().zip(line.chunks(t)).zip(skip.chunks(t)) {
                let max = d.iter().zip(n).map(|(&d, &n)| d * (1 - n)).max().unwrap_or(0);
                *o = o.max(f32::from(max));
            }
        }
        for l in &mut self.level {
            *l = l.min(cap);
        }
        // Spread over about one chromosome width, then smooth.
        let reach = (width / t as f32).round().clamp(1.0, 8.0) as usize;
        for _ in 0..reach {
            pass3(&mut self.level, &mut self.work, columns, rows, f32::max, f32::max);
        }
        for _ in 0..reach.min(3) {
            pass3(&mut self.level, &mut self.work, columns, rows, |a, b| a + b, |s, m| (s + m) / 3.0);
        }
    }

    /// One row of it, between the tiles' middles.
    pub(super) fn row(&mut self, y: usize, w: usize) -> &[f32] {
        let t = self.tile as f32;
        let place = ((y as f32 + 0.5) / t - 0.5).max(0.0);
        let (top, f) = (place as usize, place.fract());
        let (top, bottom) = (top.min(self.rows - 1), (top + 1).min(self.rows - 1));
        let (a, b) = (&self.level[top * self.columns..], &self.level[bottom * self.columns..]);
        self.line.resize(w, 0.0);
        for (x, o) in self.line.iter_mut().enumerate() {
            let place = ((x as f32 + 0.5) / t - 0.5).max(0.0);
            let (left, g) = ((place as usize).min(self.columns - 1), place.fract());
            let right = (left + 1).min(self.columns - 1);
            let (above, below) = (a[left] + g * (a[right] - a[left]), b[left] + g * (b[right] - b[left]));
            *o = above + f * (below - above);
        }
        &self.line
    }
}

/// Along rows, then along columns: `last(join(left, right), middle)`.
fn pass3(
    level: &mut [f32],
    work: &mut [f32],
    w: usize,
    h: usize,
    join: impl Fn(f32, f32) -> f32,
    last: impl Fn(f32, f32) -> f32,
) {
    for (o, i) in work.chunks_exact_mut(w).zip(level.chunks_exact(w)) {
        for x in 0..w {
            o[x] = last(join(i[x.saturating_sub(1)], i[(x + 1).min(w - 1)]), i[x]);
        }
    }
    for y in 0..h {
        let (up, down) = (y.saturating_sub(1), (y + 1).min(h - 1));
        for x in 0..w {
            level[y * w + x] = last(join(work[up * w + x], work[down * w + x]), work[y * w + x]);
        }
    }
}
