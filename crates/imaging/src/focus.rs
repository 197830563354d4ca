//! Sharpness.

use super::plane::{GrayView, Rect};
use super::simd::vectorised;

/// Mean squared gradient over the mean squared contrast of the objects inside `bounds`, in units of 1 / pixel squared:
/// how many grey levels the picture climbs in a pixel against how many it spans (a normalised Tenengrad; Pertuz, Puig,
/// Garcia 2013 compare such measures). Objects are pixels more than `threshold` levels away from `background`, on either
/// side. Every second row is looked at; 0 when there is nothing to see.
pub fn sharpness(input: GrayView<'_>, bounds: Rect, background: u8, threshold: u8) -> f32 {
    let (left, right) = (bounds.left.max(1), bounds.right.min(input.width() - 1));
    let (top, bottom) = (bounds.top.max(1), bounds.bottom.min(input.height() - 1));
    let (mut steep, mut depth) = (0u64, 0u64);
    for y in (top..bottom).step_by(2) {
        if left >= right {
            break;
        }
        let above = &input.row(y - 1)[left..right];
        let below = &input.row(y + 1)[left..right];
        let here = &input.row(y)[left - 1..right + 1];
        let (s, d) = vectorised(
            #[inline(always)]
            || {
                let (mut s, mut d) = (0u32, 0u32);
                for (((&a, &b), &w), (&m, &e)) in
                    above.iter().zip(below).zip(here).zip(here[1..].iter().zip(&here[2..]))
                {
                    let contrast = u32::from(m.abs_diff(background));
                    let object = u32::from(contrast > u32::from(threshold));
                    let (dx, dy) = (u32::from(e.abs_diff(w)), u32::from(a.abs_diff(b)));
                    s += object * (dx * dx + dy * dy);
                    d += object * contrast * contrast;
                }
                (s, d)
            },
        );
        steep += u64::from(s);
        depth += u64::from(d);
    }
    if depth == 0 { 0.0 } else { (steep as f64 / 4.0 / depth as f64) as f32 }
}

/// Sharpness as a score from 0 to 1 at a known chromosome width in pixels: 0.5 where edges are a quarter of a width wide.
pub fn focus_score(sharpness: f32, chromosome_width: f32) -> f32 {
    let relative = sharpness * chromosome_width * chromosome_width;
    relative / (relative + 4.0)
}

/// Widths of the edges of dark or bright objects: how many pixels a picture takes from the background to an object.
#[derive(Debug, Clone)]
pub struct EdgeWidths {
    /// Steepness at half height, in 64ths of the object's contrast a pixel.
    counts: [u32; 64],
}

impl Default for EdgeWidths {
    fn default() -> Self {
        Self { counts: [0; 64] }
    }
}

impl EdgeWidths {
    /// Adds the outline of one object inside `bounds`: wherever a row or a column crosses half of the object's contrast (the
    /// 80th percentile of what is more than `threshold` levels away from `background`, on either side), the gradient there
    /// (Sobel) over that contrast.
    pub fn add(&mut self, input: GrayView<'_>, bounds: Rect, background: u8, threshold: u8) {
        let (left, right) = (bounds.left.max(1), bounds.right.min(input.width().saturating_sub(1)));
        let (top, bottom) = (bounds.top.max(1), bounds.bottom.min(input.height().saturating_sub(1)));
        if left + 2 > right || top + 2 > bottom {
            return;
        }
        let mut contrasts = [0u32; 256];
        let mut n = 0;
        for y in top..bottom {
            for &v in &input.row(y)[left..right] {
                let contrast = v.abs_diff(background);
                let object = u32::from(contrast > threshold);
                contrasts[usize::from(contrast)] += object;
                n += object;
            }
        }
        let (mut above, mut contrast) = (0, 255);
        while contrast > 0 && above + contrasts[contrast] <= n / 5 {
            above += contrasts[contrast];
            contrast -= 1;
        }
        if contrast < 8 {
            return;
        }
        let half = (contrast / 2) as u8;
        for y in top..bottom {
            let (a, b, c) = (input.row(y - 1), input.row(y), input.row(y + 1));
            for x in left..right {
                let inside = |v: u8| v.abs_diff(background) > half;
                let here = inside(b[x]);
                if here == inside(b[x + 1]) && here == inside(c[x]) {
                    continue;
                }
                let v = |row: &[u8], x: usize| i32::from(row[x]);
                let dx = v(a, x + 1) + 2 * v(b, x + 1) + v(c, x + 1) - v(a, x - 1) - 2 * v(b, x - 1) - v(c, x - 1);
                let dy = v(c, x - 1) + 2 * v(c, x) + v(c, x + 1) - v(a, x - 1) - 2 * v(a, x) - v(a, x + 1);
                let steep = ((dx * dx + dy * dy) as f32).sqrt() / 8.0 / contrast as f32;
                self.counts[((steep * 64.0) as usize).min(63)] += 1;
            }
        }
    }

    /// Median width in pixels (contrast over gradient), or none where fewer than 50 places were seen.
    pub fn median(&self) -> Option<f32> {
        let n: u32 = self.counts.iter().sum();
        if n < 50 {
            return None;
        }
        let (mut seen, mut at) = (0, 0);
        while seen + self.counts[at] <= n / 2 {
            seen += self.counts[at];
            at += 1;
        }
        let inside = (n as f32 / 2.0 - seen as f32) / self.counts[at] as f32;
        Some(64.0 / (at as f32 + inside).max(0.5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GrayImage;

    #[test]
    fn the_width_of_an_edge_is_that_of_its_ramp() {
        for ramp in [4usize, 8, 16] {
            // A bar 40 px wide that rises over `ramp` pixels on both sides.
            let row: Vec<u8> = (0..128i32)
                .map(|x| {
                    let depth = (20 + ramp as i32 / 2 - (x - 64).abs()).clamp(0, ramp as i32);
                    (220 - 160 * depth / ramp as i32) as u8
                })
                .collect();
            let image = GrayImage { width: 128, height: 60, data: row.repeat(60) };
            let mut edges = EdgeWidths::default();
            edges.add(image.view().unwrap(), Rect { left: 0, top: 0, right: 128, bottom: 60 }, 220, 20);
            let width = edges.median().expect("two long edges");
            assert!((width / ramp as f32 - 1.0).abs() < 0.25, "{ramp}: {width}");
        }
        assert_eq!(EdgeWidths::default().median(), None);
    }
}
