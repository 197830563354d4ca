//! A small 8-bit copy of a frame for the page, and what its grey values say about the exposure.

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};
use image::ExtendedColorType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use domain::frame::{PixelView, Pixels};
use imaging::{LightLevels, stretched};

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

        let exposure = LightLevels::of(pixels).into();
        let samples = match kind {
            PixelType::U16 => stretched(&bytemuck::pod_collect_to_vec::<u8, u16>(reduced.buffer())),
            _ => reduced.into_vec(),
        };
        Some((Self { samples, width: out_width, height: out_height, channels }, exposure))
    }

    /// As JPEG.
    ///
    /// # Errors
    /// When the encoder refuses the picture (a side over 65535).
    pub fn jpeg(&self) -> Result<Vec<u8>, JpegError> {
        let colour = if self.channels == 3 { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 };
        imaging::jpeg_of(&self.samples, [self.width, self.height], colour, JPEG_QUALITY).map_err(|e| JpegError {
            width: self.width,
            height: self.height,
            why: e.to_string(),
        })
    }
}

impl From<LightLevels> for FrameExposure {
    fn from(light: LightLevels) -> Self {
        let LightLevels { saturated, black, low, median, high } = light;
        Self { saturated, black, low, median, high }
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
