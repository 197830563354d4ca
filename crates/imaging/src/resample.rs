//! Other sizes and angles of a picture.

use super::{
    plane::{GrayImage, GrayView, Rect},
    simd::vectorised,
};

/// Mean over squares of `factor` pixels a side (1 to 16); what is left over at the right and bottom edges is dropped
/// unless nothing would remain.
pub fn downscale(input: GrayView<'_>, factor: usize, out: &mut GrayImage) {
    let factor = factor.clamp(1, 16);
    let (w, h) = ((input.width() / factor).max(1), (input.height() / factor).max(1));
    out.reshape(w, h);
    if factor == 1 || input.width() < factor || input.height() < factor {
        for (o, y) in out.data.chunks_exact_mut(w).zip(0..) {
            for (x, v) in o.iter_mut().enumerate() {
                *v = input.at((x * factor).min(input.width() - 1), (y * factor).min(input.height() - 1));
            }
        }
        return;
    }
    if factor == 2 {
        for (y, o) in out.data.chunks_exact_mut(w).enumerate() {
            let (a, b) = (input.row(2 * y), input.row(2 * y + 1));
            vectorised(
                #[inline(always)]
                || {
                    for ((o, a), b) in o.iter_mut().zip(a.as_chunks::<2>().0).zip(b.as_chunks::<2>().0) {
                        *o = ((u16::from(a[0]) + u16::from(a[1]) + u16::from(b[0]) + u16::from(b[1]) + 2) >> 2) as u8;
                    }
                },
            );
        }
        return;
    }
    let (n, half) = ((factor * factor) as u32, (factor * factor / 2) as u32);
    for (y, o) in out.data.chunks_exact_mut(w).enumerate() {
        for (x, o) in o.iter_mut().enumerate() {
            let sum: u32 = (0..factor)
                .map(|k| {
                    input.row(y * factor + k)[x * factor..(x + 1) * factor].iter().map(|&v| u32::from(v)).sum::<u32>()
                })
                .sum();
            *o = ((sum + half) / n) as u8;
        }
    }
}

/// The part of a picture inside `bounds`, which is cut to the picture first; at least one pixel.
pub fn crop(input: GrayView<'_>, bounds: Rect, out: &mut GrayImage) {
    let left = bounds.left.min(input.width() - 1);
    let top = bounds.top.min(input.height() - 1);
    let right = bounds.right.clamp(left + 1, input.width());
    let bottom = bounds.bottom.clamp(top + 1, input.height());
    out.reshape(right - left, bottom - top);
    for (o, y) in out.data.chunks_exact_mut(right - left).zip(top..) {
        o.copy_from_slice(&input.row(y)[left..right]);
    }
}

/// Turns a picture clockwise by `degrees` about its centre into one that holds all of it; what it does not cover gets
/// the level `fill`. Linear interpolation.
pub fn rotate(input: GrayView<'_>, degrees: f32, fill: u8, out: &mut GrayImage) {
    let (w, h) = (input.width() as f32, input.height() as f32);
    let (sin, cos) = degrees.to_radians().sin_cos();
    // A hair less, so that a right angle does not gain a row.
    let new_w = ((w * cos.abs() + h * sin.abs()) - 1e-3).ceil().max(1.0);
    let new_h = ((w * sin.abs() + h * cos.abs()) - 1e-3).ceil().max(1.0);
    out.reshape(new_w as usize, new_h as usize);
    for y in 0..out.height {
        for x in 0..out.width {
            let (dx, dy) = (x as f32 + 0.5 - new_w / 2.0, y as f32 + 0.5 - new_h / 2.0);
            let sx = cos * dx + sin * dy + w / 2.0 - 0.5;
            let sy = -sin * dx + cos * dy + h / 2.0 - 0.5;
            out.data[y * out.width + x] = sample(input, sx, sy, fill).round() as u8;
        }
    }
}

/// Brings a picture to another size: areas are averaged when it shrinks, linear interpolation when it grows.
pub fn scale_to(input: GrayView<'_>, width: usize, height: usize, out: &mut GrayImage) {
    let (width, height) = (width.max(1), height.max(1));
    let (sx, sy) = (input.width() as f32 / width as f32, input.height() as f32 / height as f32);
    out.reshape(width, height);
    let (nx, ny) = ((sx.ceil() as usize).max(1), (sy.ceil() as usize).max(1));
    for y in 0..height {
        for x in 0..width {
            let mut sum = 0.0;
            for j in 0..ny {
                for i in 0..nx {
                    let px = (x as f32 + (i as f32 + 0.5) / nx as f32) * sx - 0.5;
                    let py = (y as f32 + (j as f32 + 0.5) / ny as f32) * sy - 0.5;
                    let px = px.clamp(0.0, input.width() as f32 - 1.0);
                    let py = py.clamp(0.0, input.height() as f32 - 1.0);
                    sum += sample(input, px, py, 0);
                }
            }
            out.data[y * width + x] = (sum / (nx * ny) as f32 + 0.5) as u8;
        }
    }
}

/// Linear interpolation; beyond half a pixel outside the picture the level is `fill`.
pub(super) fn sample(input: GrayView<'_>, x: f32, y: f32, fill: u8) -> f32 {
    let (w, h) = (input.width() as f32, input.height() as f32);
    if !(x > -0.501 && y > -0.501 && x < w - 0.499 && y < h - 0.499) {
        return f32::from(fill);
    }
    let (x, y) = (x.clamp(0.0, w - 1.0), y.clamp(0.0, h - 1.0));
    let (left, top) = (x as usize, y as usize);
    let (right, bottom) = ((left + 1).min(input.width() - 1), (top + 1).min(input.height() - 1));
    let (f, g) = (x - left as f32, y - top as f32);
    let at = |x, y| f32::from(input.at(x, y));
    let above = at(left, top) + f * (at(right, top) - at(left, top));
    let below = at(left, bottom) + f * (at(right, bottom) - at(left, bottom));
    above + g * (below - above)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_turn_moves_every_pixel() {
        let image = GrayImage { width: 3, height: 2, data: vec![1, 2, 3, 4, 5, 6] };
        let mut out = GrayImage::default();
        rotate(image.view().unwrap(), 90.0, 0, &mut out);
        assert_eq!((out.width, out.height), (2, 3));
        assert_eq!(out.data, [4, 1, 5, 2, 6, 3]);
    }

    #[test]
    fn half_the_size_is_the_mean_of_four() {
        let image = GrayImage { width: 4, height: 2, data: vec![0, 4, 8, 8, 4, 8, 8, 8] };
        let mut out = GrayImage::default();
        downscale(image.view().unwrap(), 2, &mut out);
        assert_eq!(out.data, [4, 8]);
        let mut small = GrayImage::default();
        downscale(image.view().unwrap(), 9, &mut small);
        assert_eq!((small.width, small.height), (1, 1));
        scale_to(image.view().unwrap(), 2, 1, &mut small);
        assert_eq!(small.data, [4, 8]);
    }
}
