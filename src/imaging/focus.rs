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
