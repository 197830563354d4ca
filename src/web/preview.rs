//! A small 8-bit copy of a frame for the page, and what its grey values say about the exposure.

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};
use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use domain::frame::{PixelView, Pixels};

/// Longest side of a preview in pixels: sharp on a large screen, about 150 kB as JPEG.
const LONGEST_SIDE: usize = 1400;

/// Quality of the preview's JPEG, 1 to 100.
const JPEG_QUALITY: u8 = 82;

/// A frame, reduced to at most 1400 pixels on its longer side and to 8 bits a sample.
#[derive(Debug)]
pub struct Preview {
    samples: Vec<u8>,
    width: u32,
    height: u32,
    channels: u8,
}

/// How the light of a frame fits the range of the camera. Shares run from 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Exposure")]
pub struct FrameExposure {
    /// Share of pixels at the top of the range: their detail is lost.
    pub saturated: f32,
    /// Share of pixels at zero.
    pub black: f32,
    /// Grey value that 1 % of the pixels do not exceed, as a share of the range.
    pub low: f32,
    /// Median grey value, as a share of the range.
    pub median: f32,
    /// Grey value that 99 % of the pixels do not exceed, as a share of the range.
    pub high: f32,
}

/// A picture that could not be written as JPEG.
#[derive(Debug, thiserror::Error)]
#[error("the picture of {width} x {height} pixels could not be written as JPEG: {why}")]
pub struct JpegError {
    width: u32,
    height: u32,
    why: String,
}

impl Preview {
    /// The reduced copy of `pixels`, with the exposure of the whole frame. 16-bit frames are spread over the 8 bits
    /// from their 0.1 to their 99.9 % grey value, so that a dim fluorescent field can be seen; the exposure is that
    /// of the unspread frame. None where the frame cannot be reduced (a side beyond 2^32 pixels).
    pub fn of(pixels: &Pixels) -> Option<(Self, FrameExposure)> {
        let (width, height) = (u32::try_from(pixels.width()).ok()?, u32::try_from(pixels.height()).ok()?);
        let longest = pixels.width().max(pixels.height());
        let scale = (LONGEST_SIDE as f64 / longest as f64).min(1.0);
        let side = |n: u32| ((f64::from(n) * scale).round() as u32).max(1);
        let (out_width, out_height) = (side(width), side(height));
        let (bytes, kind, channels) = match pixels.view() {
            PixelView::Mono8(bytes) => (bytes, PixelType::U8, 1),
            PixelView::Rgb8(bytes) => (bytes, PixelType::U8x3, 3),
            PixelView::Mono16(words) => (bytemuck::cast_slice(words), PixelType::U16, 1),
        };
        let source = ImageRef::new(width, height, bytes, kind).ok()?;
        let mut reduced = Image::new(out_width, out_height, kind);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Box));
        Resizer::new().resize(&source, &mut reduced, &options).ok()?;

        let top = (1_u32 << pixels.valid_bits()) - 1;
        let exposure = Histogram::of(pixels, top).exposure();
        let samples = match kind {
            PixelType::U16 => spread(bytemuck::pod_collect_to_vec::<u8, u16>(reduced.buffer())),
            _ => reduced.into_vec(),
        };
        Some((Self { samples, width: out_width, height: out_height, channels }, exposure))
    }

    /// As JPEG.
    ///
    /// # Errors
    /// When the encoder refuses the picture (a side over 65535).
    pub fn jpeg(&self) -> Result<Vec<u8>, JpegError> {
        let mut out = Vec::with_capacity(self.samples.len() / 6);
        let colour = if self.channels == 3 { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 };
        JpegEncoder::new_with_quality(&mut out, JPEG_QUALITY)
            .write_image(&self.samples, self.width, self.height, colour)
            .map_err(|e| JpegError { width: self.width, height: self.height, why: e.to_string() })?;
        Ok(out)
    }
}

/// 16-bit samples spread over 8 bits from their 0.1 to their 99.9 % value.
pub(super) fn spread(words: Vec<u16>) -> Vec<u8> {
    let mut counts = vec![0_u32; 1 << 16];
    for &word in &words {
        counts[usize::from(word)] += 1;
    }
    let quantile = |share: f64| {
        let wanted = (share * words.len() as f64) as u32;
        let mut seen = 0;
        counts.iter().position(|&n| {
            seen += n;
            seen > wanted
        })
    };
    let low = quantile(0.001).unwrap_or(0) as f32;
    let high = quantile(0.999).unwrap_or(0) as f32;
    let factor = 255.0 / (high - low).max(1.0);
    words.into_iter().map(|word| ((f32::from(word) - low) * factor).clamp(0.0, 255.0) as u8).collect()
}

/// Grey values of a frame in 256 steps, with the two ends counted apart.
struct Histogram {
    counts: [u32; 256],
    saturated: u32,
    black: u32,
    total: u32,
}

impl Histogram {
    /// Looks at every seventh sample: enough for shares, and cheap on a large frame. `top` is the value of white.
    fn of(pixels: &Pixels, top: u32) -> Self {
        const STEP: usize = 7;
        let mut histogram = Self { counts: [0; 256], saturated: 0, black: 0, total: 0 };
        match pixels.view() {
            PixelView::Mono8(bytes) => {
                bytes.iter().step_by(STEP).for_each(|&v| histogram.add(u32::from(v), top));
            }
            PixelView::Mono16(words) => {
                words.iter().step_by(STEP).for_each(|&v| histogram.add(u32::from(v), top));
            }
            // The brightest channel of a pixel decides whether detail is lost.
            PixelView::Rgb8(bytes) => bytes
                .chunks_exact(3)
                .step_by(STEP)
                .for_each(|p| histogram.add(u32::from(p[0].max(p[1]).max(p[2])), top)),
        }
        histogram
    }

    fn add(&mut self, value: u32, top: u32) {
        self.counts[(value.min(top) * 255 / top) as usize] += 1;
        self.saturated += u32::from(value >= top);
        self.black += u32::from(value == 0);
        self.total += 1;
    }

    fn exposure(&self) -> FrameExposure {
        let total = self.total.max(1) as f32;
        let quantile = |share: f32| {
            let mut seen = 0.0;
            let step = self.counts.iter().position(|&n| {
                seen += n as f32;
                seen >= share * total
            });
            step.unwrap_or(255) as f32 / 255.0
        };
        FrameExposure {
            saturated: self.saturated as f32 / total,
            black: self.black as f32 / total,
            low: quantile(0.01),
            median: quantile(0.5),
            high: quantile(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::frame::{PixelBuffer, PixelFormat};

    fn mono8(width: usize, height: usize, value: impl Fn(usize) -> u8) -> Pixels {
        let bytes: Vec<u8> = (0..width * height).map(value).collect();
        Pixels::new(PixelBuffer::from_bytes(&bytes), PixelFormat::Mono8, width, height, 8).expect("fits")
    }

    #[test]
    fn a_large_frame_is_reduced_and_keeps_its_shape() {
        let (preview, _) = Preview::of(&mono8(2800, 2000, |_| 100)).expect("reduced");
        assert_eq!((preview.width, preview.height), (1400, 1000));
        let decoded = image::load_from_memory(&preview.jpeg().expect("encoded")).expect("a JPEG");
        assert_eq!((decoded.width(), decoded.height()), (1400, 1000));
    }

    #[test]
    fn a_small_frame_is_left_as_it_is() {
        let (preview, _) = Preview::of(&mono8(64, 48, |i| i as u8)).expect("copied");
        assert_eq!((preview.width, preview.height), (64, 48));
        assert_eq!(preview.samples[5], 5);
    }

    #[test]
    fn saturation_is_the_share_of_white_pixels() {
        let (_, exposure) = Preview::of(&mono8(700, 100, |i| if i % 700 < 140 { 255 } else { 128 })).expect("reduced");
        assert!((exposure.saturated - 0.2).abs() < 0.01, "{exposure:?}");
        assert!((exposure.median - 0.5).abs() < 0.01, "{exposure:?}");
    }

    #[test]
    fn a_dim_sixteen_bit_frame_can_be_seen_yet_counts_as_dim() {
        let words: Vec<u16> = (0..100 * 100).map(|i| if i % 2 == 0 { 20 } else { 60 }).collect();
        let pixels = Pixels::new(PixelBuffer::from_words(&words), PixelFormat::Mono16, 100, 100, 12).expect("fits");
        let (preview, exposure) = Preview::of(&pixels).expect("copied");
        assert_eq!((preview.samples[0], preview.samples[1]), (0, 255));
        assert!(exposure.high < 0.05, "{exposure:?}");
    }
}
