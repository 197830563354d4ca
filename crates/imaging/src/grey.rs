//! How colour becomes grey and how deep samples become 8 bits: one rule a purpose.
//!
//! - Colour, for every purpose: [`luma`], which the networks were trained on (`kernels/prepare.cu` has it, too). Cameras
//!   that send YUV weigh the same way.
//! - Depth, for networks and for pictures that are kept: [`full_range`]. The same light gives the same grey in every
//!   frame of a source.
//! - Depth, for triage and segmentation: [`GrayImage::read_frame`](super::GrayImage::read_frame), which scales by what
//!   the frame holds, so that thresholds work on a dim frame. Zero stays zero.
//! - Depth, for a person at the screen: [`stretched`], which spreads what the frame holds over all 8 bits.

use domain::frame::{PixelView, Pixels};

use super::{plane::Rect, simd::vectorised};

/// Luma of red, green and blue: ITU-R BT.601 (0.299, 0.587, 0.114) in 16-bit fixed point, rounded, as image libraries
/// compute it.
#[inline(always)]
pub fn luma(rgb: [u8; 3]) -> u8 {
    let [r, g, b] = rgb.map(u32::from);
    ((19_595 * r + 38_470 * g + 7_471 * b + (1 << 15)) >> 16) as u8
}

/// The [`luma`] of a row of colours, as many as `out` has samples.
pub fn luma_row(colours: &[[u8; 3]], out: &mut [u8]) {
    vectorised(
        #[inline(always)]
        || out.iter_mut().zip(colours).for_each(|(o, rgb)| *o = luma(*rgb)),
    );
}

/// As [`luma`], of 16-bit samples.
#[inline(always)]
pub fn luma16(rgb: [u16; 3]) -> u16 {
    let [r, g, b] = rgb.map(u32::from);
    ((19_595 * r + 38_470 * g + 7_471 * b + (1 << 15)) >> 16) as u16
}

/// A sample of `valid_bits` (8 to 16) bits on the scale of 0 to 255, rounded; samples beyond the range are white.
#[inline(always)]
pub fn full_range(sample: u16, valid_bits: u8) -> u8 {
    let white = (1u32 << valid_bits) - 1;
    ((u32::from(sample).min(white) * 255 + white / 2) / white) as u8
}

/// The grey levels of a rectangle of a frame, which holds it, every `step`th pixel of every `step`th row: what networks and kept
/// pictures show. Row by row.
pub fn grey_part(pixels: &Pixels, part: Rect, step: usize) -> Vec<u8> {
    let (stride, step) = (pixels.width(), step.max(1));
    let mut grey = Vec::with_capacity(part.width().div_ceil(step) * part.height().div_ceil(step));
    let rows = (part.top..part.bottom).step_by(step).map(|y| y * stride + part.left..y * stride + part.right);
    match pixels.view() {
        PixelView::Mono8(samples) if step == 1 => rows.for_each(|row| grey.extend_from_slice(&samples[row])),
        PixelView::Mono8(samples) => rows.for_each(|row| grey.extend(samples[row].iter().step_by(step))),
        PixelView::Mono16(samples) => {
            let level = |v: &u16| full_range(*v, pixels.valid_bits());
            if step == 1 {
                rows.for_each(|row| grey.extend(samples[row].iter().map(level)));
            } else {
                rows.for_each(|row| grey.extend(samples[row].iter().step_by(step).map(level)));
            }
        }
        PixelView::Rgb8(samples) => {
            let (colours, _) = samples.as_chunks::<3>();
            if step == 1 {
                grey.resize(part.width() * part.height(), 0);
                let lines = grey.chunks_exact_mut(part.width().max(1));
                rows.zip(lines).for_each(|(row, line)| luma_row(&colours[row], line));
            } else {
                rows.for_each(|row| grey.extend(colours[row].iter().step_by(step).map(|rgb| luma(*rgb))));
            }
        }
    }
    grey
}

/// Samples spread over 0 to 255 from their 0.1 to their 99.9 % value.
pub fn stretched(samples: &[u16]) -> Vec<u8> {
    let mut counts = vec![0_u32; 1 << 16];
    for &sample in samples {
        counts[usize::from(sample)] += 1;
    }
    let quantile = |share: f64| {
        let wanted = (share * samples.len() as f64) as u32;
        let mut seen = 0;
        counts.iter().position(|&n| {
            seen += n;
            seen > wanted
        })
    };
    let low = quantile(0.001).unwrap_or(0) as f32;
    let high = quantile(0.999).unwrap_or(0) as f32;
    let factor = 255.0 / (high - low).max(1.0);
    samples.iter().map(|&sample| ((f32::from(sample) - low) * factor).clamp(0.0, 255.0) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_frame_is_grey_by_the_same_rules_in_every_format() {
        use domain::frame::{PixelBuffer, PixelFormat};
        let grey: Vec<u8> = (0..70).map(|v| v * 3).collect();
        let words: Vec<u16> = grey.iter().map(|v| u16::from(*v) * 16).collect();
        let rgb: Vec<u8> = grey.iter().flat_map(|v| [*v, v / 2, 255 - v]).collect();
        let part = Rect { left: 2, top: 1, right: 9, bottom: 6 };
        for step in [1, 2, 3] {
            let places: Vec<usize> =
                (1..6).step_by(step).flat_map(|y| (2..9).step_by(step).map(move |x| y * 10 + x)).collect();
            let look = |buffer, format, bits| grey_part(&Pixels::new(buffer, format, 10, 7, bits).unwrap(), part, step);
            let expected = |level: &dyn Fn(usize) -> u8| places.iter().map(|i| level(*i)).collect::<Vec<u8>>();
            assert_eq!(look(PixelBuffer::from_bytes(&grey), PixelFormat::Mono8, 8), expected(&|i| grey[i]));
            let deep = look(PixelBuffer::from_words(&words), PixelFormat::Mono16, 12);
            assert_eq!(deep, expected(&|i| full_range(words[i], 12)));
            let colour = look(PixelBuffer::from_bytes(&rgb), PixelFormat::Rgb8, 8);
            assert_eq!(colour, expected(&|i| luma([rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]])));
        }
    }

    #[test]
    fn grey_keeps_its_level_and_colours_weigh_as_bt_601_says() {
        assert!((0..=255).all(|v| luma([v; 3]) == v));
        assert_eq!([luma([255, 0, 0]), luma([0, 255, 0]), luma([0, 0, 255])], [76, 150, 29]);
        assert!([0, 1, 1000, u16::MAX].iter().all(|&v| luma16([v; 3]) == v));
        assert_eq!(luma16([u16::MAX, 0, 0]), 19_595);
    }

    #[test]
    fn the_full_range_of_every_depth_becomes_0_to_255() {
        for bits in 8..=16 {
            let white = u16::MAX >> (16 - bits);
            assert_eq!([full_range(0, bits), full_range(white, bits)], [0, 255], "{bits} bits");
        }
        assert_eq!(full_range(5000, 12), 255, "beyond the range");
        assert_eq!(full_range(2048, 12), 128);
    }

    #[test]
    fn a_dim_picture_is_spread_over_all_levels() {
        let samples: Vec<u16> = (0..1000).map(|i| if i % 2 == 0 { 20 } else { 60 }).collect();
        assert_eq!(stretched(&samples)[..2], [0, 255]);
    }
}
