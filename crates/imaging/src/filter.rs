//! Smoothing: binomial, median of 3 x 3.

use super::{
    plane::{GrayImage, GrayView},
    simd::vectorised,
};

/// Scratch of the filters.
#[derive(Debug, Clone, Default)]
pub struct FilterScratch {
    row: Vec<u16>,
    padded: Vec<u8>,
}

/// Convolves with the 3 x 3 binomial kernel (1 2 1; sigma 0.71 px), edges repeated.
pub fn binomial3(input: GrayView<'_>, out: &mut GrayImage, scratch: &mut FilterScratch) {
    let (w, h) = (input.width(), input.height());
    out.reshape(w, h);
    scratch.row.resize(w + 2, 0);
    let row = &mut scratch.row[..];
    for y in 0..h {
        let above = input.row(y.saturating_sub(1));
        let here = input.row(y);
        let below = input.row((y + 1).min(h - 1));
        let target = &mut out.data[y * w..(y + 1) * w];
        vectorised(
            #[inline(always)]
            || binomial_row(above, here, below, row, target),
        );
    }
}

#[inline(always)]
fn binomial_row(above: &[u8], here: &[u8], below: &[u8], row: &mut [u16], out: &mut [u8]) {
    let w = out.len();
    for (((r, &a), &b), &c) in row[1..=w].iter_mut().zip(above).zip(here).zip(below) {
        *r = u16::from(a) + 2 * u16::from(b) + u16::from(c);
    }
    row[0] = row[1];
    row[w + 1] = row[w];
    for (((o, &a), &b), &c) in out.iter_mut().zip(&row[..w]).zip(&row[1..=w]).zip(&row[2..]) {
        *o = ((a + 2 * b + c + 8) >> 4) as u8;
    }
}

/// Median of 3 x 3, edges repeated: the sorting network of nine values (Paeth 1990), a vector at a time.
pub fn median3(input: GrayView<'_>, out: &mut GrayImage, scratch: &mut FilterScratch) {
    let (w, h) = (input.width(), input.height());
    out.reshape(w, h);
    let stride = w + 2;
    scratch.padded.resize(stride * 3, 0);
    for y in 0..h {
        for (k, from) in [y.saturating_sub(1), y, (y + 1).min(h - 1)].into_iter().enumerate() {
            let line = &mut scratch.padded[k * stride..(k + 1) * stride];
            let source = input.row(from);
            line[1..=w].copy_from_slice(source);
            line[0] = source[0];
            line[w + 1] = source[w - 1];
        }
        let (a, rest) = scratch.padded.split_at(stride);
        let (b, c) = rest.split_at(stride);
        let target = &mut out.data[y * w..(y + 1) * w];
        vectorised(
            #[inline(always)]
            || median_row(a, b, c, target),
        );
    }
}

#[inline(always)]
fn median_row(a: &[u8], b: &[u8], c: &[u8], out: &mut [u8]) {
    let w = out.len();
    let (a, b, c) = (&a[..w + 2], &b[..w + 2], &c[..w + 2]);
    for x in 0..w {
        // Sort the columns, then the median is the median of: largest of the lows, median of the middles, smallest of the highs.
        let sort = |i: usize| {
            let (lo, hi) = (a[i].min(b[i]), a[i].max(b[i]));
            let (mid, high) = (hi.min(c[i]), hi.max(c[i]));
            (lo.min(mid), lo.max(mid), high)
        };
        let (l, m, r) = (sort(x), sort(x + 1), sort(x + 2));
        let low = l.0.max(m.0).max(r.0);
        let mid = median_of(l.1, m.1, r.1);
        let high = l.2.min(m.2).min(r.2);
        out[x] = median_of(low, mid, high);
    }
}

#[inline(always)]
fn median_of(a: u8, b: u8, c: u8) -> u8 {
    a.min(b).max(a.max(b).min(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(w: usize, h: usize) -> GrayImage {
        let mut state = 1u32;
        let data = (0..w * h).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        GrayImage { width: w, height: h, data: data.collect() }
    }

    #[test]
    fn the_median_is_the_fifth_of_nine() {
        let image = noise(37, 11);
        let mut out = GrayImage::default();
        median3(image.view().unwrap(), &mut out, &mut FilterScratch::default());
        for y in 0..11isize {
            for x in 0..37isize {
                let mut nine = Vec::new();
                for dy in -1..=1 {
                    for dx in -1..=1 {
                        nine.push(
                            image.view().unwrap().at((x + dx).clamp(0, 36) as usize, (y + dy).clamp(0, 10) as usize),
                        );
                    }
                }
                nine.sort();
                assert_eq!(out.data[(y * 37 + x) as usize], nine[4]);
            }
        }
    }

    #[test]
    fn means_of_a_flat_picture_stay_flat() {
        let image = GrayImage { width: 9, height: 5, data: vec![77; 45] };
        let (mut a, mut s) = Default::default();
        binomial3(image.view().unwrap(), &mut a, &mut s);
        assert_eq!(a.data, vec![77; 45]);
    }
}
