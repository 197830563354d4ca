//! The grey plane that every step of recognition works on: 8-bit, right polarity, background at a fixed level.

use crate::inference::{Background, InputSpec, Polarity};
use domain::{
    BoundingBox, Stain,
    frame::{PixelView, Pixels},
};
use imaging::{full_range, luma_row};

/// An 8-bit grey picture of a part of a frame.
#[derive(Debug, Clone, Default)]
pub struct Plane {
    /// Rows of `width` samples.
    pub data: Vec<u8>,
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Column of the frame at which the plane begins.
    pub left: usize,
    /// Row of the frame at which the plane begins.
    pub top: usize,
}

impl Plane {
    /// Fills the plane with the part of `pixels` under `window` (clipped to the frame; the whole frame when nothing is
    /// left), turned to the polarity that `spec` wants and with its background brought to the level that `spec` names.
    /// The plane's memory is reused.
    pub fn fill(&mut self, pixels: &Pixels, window: &BoundingBox, stain: Stain, spec: &InputSpec) {
        let frame_width = pixels.width();
        (self.left, self.top, self.width, self.height) = pixels_under(window, frame_width, pixels.height());
        let (left, top, right, bottom) = (self.left, self.top, self.left + self.width, self.top + self.height);
        self.data.clear();
        self.data.reserve(self.width * self.height);
        let rows = top..bottom;
        match pixels.view() {
            PixelView::Mono8(samples) => {
                for y in rows {
                    self.data.extend_from_slice(&samples[y * frame_width + left..y * frame_width + right]);
                }
            }
            PixelView::Mono16(samples) => {
                let bits = pixels.valid_bits();
                for y in rows {
                    let row = &samples[y * frame_width + left..y * frame_width + right];
                    self.data.extend(row.iter().map(|v| full_range(*v, bits)));
                }
            }
            PixelView::Rgb8(samples) => {
                let (colours, _) = samples.as_chunks::<3>();
                self.data.resize(self.width * self.height, 0);
                for (y, line) in rows.zip(self.data.chunks_exact_mut(self.width.max(1))) {
                    luma_row(&colours[y * frame_width + left..y * frame_width + right], line);
                }
            }
        }
        self.normalise(must_invert(stain, spec), spec.background);
    }

    fn normalise(&mut self, invert: bool, background: Option<Background>) {
        let mut table: [u8; 256] = std::array::from_fn(|v| if invert { 255 - v as u8 } else { v as u8 });
        if let Some(background) = background {
            let measured = background_level(&self.data, &table, background.percentile).max(1);
            let gain = background.level / f32::from(measured);
            for value in &mut table {
                *value = (f32::from(*value) * gain).round_ties_even().clamp(0.0, 255.0) as u8;
            }
        }
        for value in &mut self.data {
            *value = table[usize::from(*value)];
        }
    }

    /// The sample at a place of the plane, or `pad` outside.
    pub fn at(&self, x: isize, y: isize, pad: u8) -> u8 {
        if x >= 0 && y >= 0 && (x as usize) < self.width && (y as usize) < self.height {
            self.data[y as usize * self.width + x as usize]
        } else {
            pad
        }
    }

    /// Resizes the plane to `width` x `height` values of `(grey/255 - mean) / std`, written to the upper left corner of
    /// `out`, whose rows are `stride` values long. Area averaging when it shrinks, linear interpolation when it grows.
    pub fn resize_into(&self, out: &mut [f32], stride: usize, (width, height): (usize, usize), mean: f32, std: f32) {
        let columns = taps(self.width, width);
        let rows = taps(self.height, height);
        let (gain, shift) = (1.0 / (255.0 * std), -mean / std);
        let mut line = vec![0.0f32; self.width];
        for (y, (first, weights)) in rows.iter().enumerate() {
            line.fill(0.0);
            for (dy, weight) in weights.iter().enumerate() {
                let source = &self.data[(first + dy) * self.width..(first + dy + 1) * self.width];
                for (sum, value) in line.iter_mut().zip(source) {
                    *sum += weight * f32::from(*value);
                }
            }
            let target = &mut out[y * stride..y * stride + width];
            for (value, (first, weights)) in target.iter_mut().zip(&columns) {
                let sum: f32 = weights.iter().zip(&line[*first..]).map(|(w, v)| w * v).sum();
                *value = sum * gain + shift;
            }
        }
    }
}

/// The pixels of a frame under a window: left, top, width, height; the whole frame when nothing is left.
pub(super) fn pixels_under(
    window: &BoundingBox,
    frame_width: usize,
    frame_height: usize,
) -> (usize, usize, usize, usize) {
    let inside = window.clipped(frame_width as f32, frame_height as f32);
    let (left, top) = (inside.x.floor() as usize, inside.y.floor() as usize);
    let right = (inside.right().ceil() as usize).min(frame_width);
    let bottom = (inside.bottom().ceil() as usize).min(frame_height);
    if left >= right || top >= bottom {
        return (0, 0, frame_width, frame_height);
    }
    (left, top, right - left, bottom - top)
}

/// Whether a frame of that stain must be inverted for a model.
pub(super) fn must_invert(stain: Stain, spec: &InputSpec) -> bool {
    stain.is_fluorescence() == (spec.polarity == Polarity::DarkOnBright)
}

/// Smallest level (after `table`) that at least a share of `percentile` of the samples does not exceed.
fn background_level(samples: &[u8], table: &[u8; 256], percentile: f32) -> u8 {
    let mut histogram = [0u32; 256];
    for value in samples {
        histogram[usize::from(table[usize::from(*value)])] += 1;
    }
    let wanted = f64::from(percentile) * samples.len() as f64;
    let mut sum = 0u64;
    for (level, count) in histogram.iter().enumerate() {
        sum += u64::from(*count);
        if sum as f64 >= wanted {
            return level as u8;
        }
    }
    255
}

/// For each of `to` samples: the first of `from` samples it draws on and their weights, which sum to 1.
fn taps(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    let ratio = from as f64 / to.max(1) as f64;
    (0..to)
        .map(|i| {
            if ratio <= 1.0 {
                // Linear interpolation between sample centres; the edge sample repeats.
                let at = ((i as f64 + 0.5) * ratio - 0.5).clamp(0.0, from as f64 - 1.0);
                let first = (at.floor() as usize).min(from.saturating_sub(2));
                let share = (at - first as f64) as f32;
                return if from < 2 { (0, vec![1.0]) } else { (first, vec![1.0 - share, share]) };
            }
            let (begin, end) = (i as f64 * ratio, ((i + 1) as f64 * ratio).min(from as f64));
            let first = begin.floor() as usize;
            let last = (end.ceil() as usize).clamp(first + 1, from);
            let weights = (first..last)
                .map(|j| ((end.min(j as f64 + 1.0) - begin.max(j as f64)) / (end - begin)).max(0.0) as f32)
                .collect();
            (first, weights)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::Manifest;
    use domain::{frame::PixelBuffer, frame::PixelFormat};

    fn spec() -> InputSpec {
        let text = include_str!("../../../tests/data/models/tiny-detector/model.toml");
        Manifest::parse(text).unwrap().input
    }

    fn whole() -> BoundingBox {
        BoundingBox::from_corners(0.0, 0.0, 1e6, 1e6)
    }

    #[test]
    fn the_background_is_brought_to_its_level_in_every_format_and_polarity() {
        // Nine of ten samples are background at 200 of 255, one is dark.
        let grey: Vec<u8> = (0..100).map(|i| if i % 10 == 0 { 50 } else { 200 }).collect();
        let mono8 = Pixels::new(PixelBuffer::from_bytes(&grey), PixelFormat::Mono8, 10, 10, 8).unwrap();
        let words: Vec<u16> = grey.iter().map(|v| (u32::from(*v) * 4095 / 255) as u16).collect();
        let mono16 = Pixels::new(PixelBuffer::from_words(&words), PixelFormat::Mono16, 10, 10, 12).unwrap();
        let rgb: Vec<u8> = grey.iter().flat_map(|v| [*v; 3]).collect();
        let rgb8 = Pixels::new(PixelBuffer::from_bytes(&rgb), PixelFormat::Rgb8, 10, 10, 8).unwrap();
        let inverted: Vec<u8> = grey.iter().map(|v| 255 - v).collect();
        let dapi = Pixels::new(PixelBuffer::from_bytes(&inverted), PixelFormat::Mono8, 10, 10, 8).unwrap();
        for (pixels, stain) in
            [(mono8, Stain::GBand), (mono16, Stain::GBand), (rgb8, Stain::GBand), (dapi, Stain::Dapi)]
        {
            let mut plane = Plane::default();
            plane.fill(&pixels, &whole(), stain, &spec());
            assert_eq!((plane.data[1], plane.data[0]), (220, 55), "{stain:?} {:?}", pixels.format());
        }
    }

    #[test]
    fn shrinking_averages_areas_and_growing_interpolates() {
        let plane = Plane { data: vec![0, 90, 180, 0, 90, 180], width: 3, height: 2, left: 0, top: 0 };
        let mut out = vec![-1.0; 4];
        plane.resize_into(&mut out, 4, (2, 1), 0.0, 1.0 / 255.0);
        assert!((out[0] - 30.0).abs() < 1e-3 && (out[1] - 150.0).abs() < 1e-3, "{out:?}");
        assert_eq!(out[2], -1.0, "what lies beyond the width is left alone");
        let mut out = vec![0.0; 12];
        plane.resize_into(&mut out, 6, (6, 2), 0.0, 1.0 / 255.0);
        let row: Vec<i32> = out[..6].iter().map(|v| v.round() as i32).collect();
        assert_eq!(row, [0, 23, 68, 113, 158, 180]);
    }

    #[test]
    fn a_window_is_cut_out_at_its_place() {
        let grey: Vec<u8> = (0..100).collect();
        let pixels = Pixels::new(PixelBuffer::from_bytes(&grey), PixelFormat::Mono8, 10, 10, 8).unwrap();
        let mut plane = Plane::default();
        let raw = InputSpec { background: None, ..spec() };
        plane.fill(&pixels, &BoundingBox::from_corners(2.2, 3.0, 5.0, 20.0), Stain::GBand, &raw);
        assert_eq!((plane.left, plane.top, plane.width, plane.height), (2, 3, 3, 7));
        assert_eq!(&plane.data[..4], &[32, 33, 34, 42]);
        assert_eq!(plane.at(-1, 0, 7), 7);
    }
}
