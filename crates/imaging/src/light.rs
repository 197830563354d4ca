//! How the light of a frame fits the range of the camera.

use domain::frame::{PixelView, Pixels};

use super::Histogram;

/// Every how many samples one is counted: enough for shares, and cheap on a large frame.
const STEP: usize = 7;

/// Levels of a frame as shares of the camera's range, 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LightLevels {
    /// Share of pixels at the top of the range: their detail is lost.
    pub saturated: f32,
    /// Share of pixels at zero.
    pub black: f32,
    /// Level that 1 % of the pixels do not exceed.
    pub low: f32,
    /// Median level.
    pub median: f32,
    /// Level that 99 % of the pixels do not exceed.
    pub high: f32,
}

impl LightLevels {
    /// Of a frame. A coloured pixel counts by its brightest channel, which decides whether detail is lost.
    pub fn of(pixels: &Pixels) -> Self {
        let top = (1_u32 << pixels.valid_bits()) - 1;
        match pixels.view() {
            PixelView::Mono8(samples) => Self::counted(samples.iter().step_by(STEP).map(|&v| u32::from(v)), top),
            PixelView::Mono16(samples) => Self::counted(samples.iter().step_by(STEP).map(|&v| u32::from(v)), top),
            PixelView::Rgb8(samples) => {
                let brightest = |p: &[u8; 3]| u32::from(p[0].max(p[1]).max(p[2]));
                Self::counted(samples.as_chunks::<3>().0.iter().step_by(STEP).map(brightest), top)
            }
        }
    }

    fn counted(samples: impl Iterator<Item = u32>, top: u32) -> Self {
        let mut histogram = Histogram::default();
        let (mut saturated, mut black) = (0_u32, 0_u32);
        for sample in samples {
            histogram.add((sample.min(top) * 255 / top) as u8);
            saturated += u32::from(sample >= top);
            black += u32::from(sample == 0);
        }
        let total = histogram.total().max(1) as f32;
        let level = |share: f64| f32::from(histogram.percentile(share)) / 255.0;
        Self {
            saturated: saturated as f32 / total,
            black: black as f32 / total,
            low: level(0.01),
            median: level(0.5),
            high: level(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::frame::{PixelBuffer, PixelFormat};

    #[test]
    fn shares_and_levels_are_those_of_the_frame() {
        let samples: Vec<u8> = (0..7000).map(|i| if i % 700 < 140 { 255 } else { 128 }).collect();
        let pixels = Pixels::new(PixelBuffer::from_bytes(&samples), PixelFormat::Mono8, 700, 10, 8).unwrap();
        let light = LightLevels::of(&pixels);
        assert!((light.saturated - 0.2).abs() < 0.01 && light.black == 0.0, "{light:?}");
        assert!((light.median - 0.5).abs() < 0.01 && light.high == 1.0, "{light:?}");
    }

    #[test]
    fn a_colour_is_saturated_by_its_brightest_channel() {
        let pixels =
            Pixels::new(PixelBuffer::from_bytes(&[255, 0, 0].repeat(70)), PixelFormat::Rgb8, 10, 7, 8).unwrap();
        assert_eq!(LightLevels::of(&pixels).saturated, 1.0);
    }
}
