//! Exact Euclidean distance to the nearest background pixel (Meijster, Roerdink, Hesselink 2000), squared, in integers.

use super::simd::vectorised;

/// Scratch of [`squared_distance`].
#[derive(Debug, Clone, Default)]
pub struct DistanceScratch {
    column: Vec<u32>,
    site: Vec<usize>,
    from: Vec<i32>,
}

/// Squared distance in pixels of every foreground pixel (not 0) of `mask` to the nearest background pixel; 0 on the
/// background. Beyond the edges counts as foreground, so give the mask a margin of one. Sides up to 16,384.
pub fn squared_distance(mask: &[u8], width: usize, out: &mut Vec<u32>, scratch: &mut DistanceScratch) {
    let height = mask.len().checked_div(width).unwrap_or(0);
    out.clear();
    out.resize(width * height, 0);
    if out.is_empty() {
        return;
    }
    let column = &mut scratch.column;
    along_columns(mask, width, column);
    scratch.site.resize(width, 0);
    scratch.from.resize(width, 0);
    let (site, from) = (&mut scratch.site, &mut scratch.from);
    for (g, row) in column.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        // Between two pixels of the background what lies beyond them is never nearer: each run of the foreground by itself.
        let mut start = 0;
        while let Some(first) = g[start..].iter().position(|v| *v != 0).map(|n| start + n) {
            let end = g[first..].iter().position(|v| *v == 0).map_or(width, |n| first + n);
            let (left, right) = (first.saturating_sub(1), (end + 1).min(width));
            along_row(&g[left..right], &mut row[left..right], site, from);
            start = end;
        }
    }
}

/// How far every pixel lies from the background above or below it; 0 on the background.
fn along_columns(mask: &[u8], width: usize, column: &mut Vec<u32>) {
    let height = mask.len() / width;
    let far = (width + height) as u32;
    column.clear();
    column.resize(width * height, 0);
    // Down and up, a row at a time so that the loops run along memory.
    vectorised(
        #[inline(always)]
        || {
            for y in 0..height {
                let (done, rest) = column.split_at_mut(y * width);
                let here = &mut rest[..width];
                let line = &mask[y * width..(y + 1) * width];
                if y == 0 {
                    for (h, &m) in here.iter_mut().zip(line) {
                        *h = if m == 0 { 0 } else { far };
                    }
                } else {
                    let above = &done[(y - 1) * width..];
                    for ((h, &m), &a) in here.iter_mut().zip(line).zip(above) {
                        *h = if m == 0 { 0 } else { (a + 1).min(far) };
                    }
                }
            }
            for y in (0..height - 1).rev() {
                let (head, tail) = column.split_at_mut((y + 1) * width);
                for (h, &b) in head[y * width..].iter_mut().zip(&tail[..width]) {
                    *h = (*h).min(b + 1);
                }
            }
        },
    );
}

/// The same distances for those who want few of them: a pixel's is found when it is asked for.
#[derive(Debug, Clone)]
pub(super) struct FewDistances {
    column: Vec<u32>,
    width: usize,
}

impl Default for FewDistances {
    fn default() -> Self {
        Self { column: Vec::new(), width: 1 }
    }
}

impl FewDistances {
    /// Of a mask as [`squared_distance`] takes it.
    pub fn read(&mut self, mask: &[u8], width: usize) {
        self.width = width.max(1);
        if mask.is_empty() {
            self.column.clear();
        } else {
            along_columns(mask, self.width, &mut self.column);
        }
    }

    /// Squared distance of a pixel to the nearest background pixel.
    pub fn of(&self, pixel: usize) -> u32 {
        let x = pixel % self.width;
        at_least(&self.column[pixel - x..][..self.width], x, 0).unwrap_or(0)
    }

    /// The pixel farthest from the background, the last of several, and its squared distance; the first and 0 for an empty mask.
    pub fn deepest(&self) -> (usize, u32) {
        // One that is likely to be far bounds the search: most pixels are then done with a look.
        let likely = (0..self.column.len()).max_by_key(|i| self.column[*i]);
        let (mut at, mut most) = (0, likely.map_or(0, |pixel| self.of(pixel)));
        for (row, first) in self.column.chunks_exact(self.width).zip((0..).step_by(self.width)) {
            for x in 0..row.len() {
                if let Some(distance) = at_least(row, x, most) {
                    (at, most) = (first + x, distance);
                }
            }
        }
        (at, most)
    }
}

/// Squared distance of a pixel by the distances along the columns of its row; none where it is less than `least`.
fn at_least(row: &[u32], x: usize, least: u32) -> Option<u32> {
    let mut best = row[x].pow(2);
    if best < least {
        return None;
    }
    for step in 1..row.len() {
        let aside = (step * step) as u32;
        if aside >= best {
            break;
        }
        let beside = |x: usize| row.get(x).map_or(u32::MAX, |d| aside + d.pow(2));
        best = best.min(beside(x.wrapping_sub(step))).min(beside(x + step));
        if best < least {
            return None;
        }
    }
    Some(best)
}

/// The lower envelope of the columns' distances `g` along a row: the last step.
fn along_row(g: &[u32], out: &mut [u32], site: &mut [usize], from: &mut [i32]) {
    let width = g.len();
    // Squares of sides up to 16,384 and of distances up to twice that fit.
    let at = |x: i32, i: usize| (x - i as i32).pow(2) + (g[i] as i32).pow(2);
    let mut q = 0;
    (site[0], from[0]) = (0, 0);
    for u in 1..width {
        let mut k = q as isize;
        while k >= 0 && at(from[k as usize], site[k as usize]) > at(from[k as usize], u) {
            k -= 1;
        }
        if k < 0 {
            q = 0;
            (site[0], from[0]) = (u, 0);
        } else {
            q = k as usize;
            let i = site[q];
            let (ii, uu) = (i as i32, u as i32);
            let (gi, gu) = (g[i] as i32, g[u] as i32);
            let w = 1 + (uu * uu - ii * ii + gu * gu - gi * gi).div_euclid(2 * (uu - ii));
            if w < width as i32 {
                q += 1;
                (site[q], from[q]) = (u, w);
            }
        }
    }
    for x in (0..width).rev() {
        if g[x] != 0 {
            out[x] = at(x as i32, site[q]) as u32;
        }
        if x as i32 == from[q] && q > 0 {
            q -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_far_as_the_nearest_background(w in 2usize..24, h in 2usize..24, seed in any::<u64>()) {
            let mut s = seed | 1;
            let mut mask: Vec<u8> = (0..w * h).map(|_| { s ^= s << 13; s ^= s >> 7; s ^= s << 17; u8::from(s % 8 != 0) }).collect();
            mask[0] = 0;
            let mut out = Vec::new();
            squared_distance(&mask, w, &mut out, &mut DistanceScratch::default());
            for i in 0..w * h {
                let mut best = u32::MAX;
                for j in 0..w * h {
                    if mask[j] == 0 {
                        let (dx, dy) = ((i % w).abs_diff(j % w), (i / w).abs_diff(j / w));
                        best = best.min((dx * dx + dy * dy) as u32);
                    }
                }
                prop_assert_eq!(out[i], best);
            }
            let mut few = FewDistances::default();
            few.read(&mask, w);
            prop_assert_eq!((0..w * h).map(|i| few.of(i)).collect::<Vec<u32>>(), &out[..]);
            let deepest = out.iter().enumerate().max_by_key(|&(_, d)| *d).map(|(i, d)| (i, *d));
            prop_assert_eq!(Some(few.deepest()), deepest);
        }
    }
}
