//! Measured light: what a camera sees where nothing lies, recorded once and divided out of every frame. Vignetting goes, and so
//! does dust, which stays with the camera while the slide moves.

use super::{
    components::Components,
    grey::luma,
    plane::{ImagingError, Rect},
    simd::vectorised,
};
use domain::frame::{PixelView, PixelViewMut, Pixels};

/// One in the fixed-point numbers of the gain.
const ONE: u32 = 4096;
/// Least light, as a share of the median, that is still divided out; what is darker is opaque and takes its neighbour's value.
const OPAQUE: f32 = 0.125;
/// Share of missing light against the surroundings from which a pixel is dust.
const DUST: f32 = 0.05;
/// Half the side of the square that a pixel is compared with, in pixels.
const SURROUNDINGS: usize = 24;
/// Fewest frames of a recording: of three the median forgets what one of them shows.
pub const FEWEST_FRAMES: usize = 3;

/// Why no flat field came of frames.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FlatFieldError {
    /// The pixels themselves.
    #[error(transparent)]
    Pixels(#[from] ImagingError),
    /// Too few to separate light from what lies in it.
    #[error(
        "{found} frames are too few: give at least {FEWEST_FRAMES} of empty places, better 16, the stage moved between them"
    )]
    TooFew {
        /// Frames given.
        found: usize,
    },
    /// Hardly any light.
    #[error("the field is dark (median {percent:.1} % of white): open the shutter, lengthen the exposure")]
    Dark {
        /// Median level in percent of white.
        percent: f32,
    },
    /// Clipped light cannot be measured.
    #[error("{percent:.0} % of the pixels are at white: shorten the exposure until none is")]
    Saturated {
        /// Pixels at white in percent.
        percent: f32,
    },
}

/// Collects frames of empty places; the median of each pixel over the frames is the light.
#[derive(Debug, Default)]
pub struct FlatFieldRecorder {
    width: usize,
    height: usize,
    frames: Vec<Vec<u16>>,
}

impl FlatFieldRecorder {
    /// Adds a frame, its median brought to the middle of 16 bits, so that a lamp that drifts does no harm. Colour counts by luma.
    ///
    /// # Errors
    /// When the size differs from the first frame's, or the frame is dark or clipped.
    pub fn add(&mut self, pixels: &Pixels) -> Result<(), FlatFieldError> {
        let (width, height) = (pixels.width(), pixels.height());
        if self.frames.is_empty() {
            (self.width, self.height) = (width, height);
        } else if (width, height) != (self.width, self.height) {
            let (expected_width, expected_height) = (self.width, self.height);
            return Err(ImagingError::Differs { expected_width, expected_height, width, height }.into());
        }
        let white = f32::from(u16::MAX >> (16 - pixels.valid_bits()));
        let mut levels: Vec<u16> = match pixels.view() {
            PixelView::Mono8(samples) => samples.iter().map(|v| u16::from(*v)).collect(),
            PixelView::Mono16(samples) => samples.to_vec(),
            PixelView::Rgb8(samples) => samples.as_chunks::<3>().0.iter().map(|c| u16::from(luma(*c))).collect(),
        };
        let clipped = levels.iter().filter(|v| f32::from(**v) >= white).count() as f32 / levels.len() as f32;
        if clipped > 0.01 {
            return Err(FlatFieldError::Saturated { percent: 100.0 * clipped });
        }
        let median = f32::from(median(&mut levels.clone()));
        if median < 0.02 * white {
            return Err(FlatFieldError::Dark { percent: 100.0 * median / white });
        }
        let gain = f32::from(FlatField::MIDDLE) / median;
        for v in &mut levels {
            *v = (f32::from(*v) * gain).round().min(f32::from(u16::MAX)) as u16;
        }
        self.frames.push(levels);
        Ok(())
    }

    /// Frames so far.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The flat field.
    ///
    /// # Errors
    /// When there are too few frames.
    pub fn finish(self) -> Result<FlatField, FlatFieldError> {
        if self.frames.len() < FEWEST_FRAMES {
            return Err(FlatFieldError::TooFew { found: self.frames.len() });
        }
        let mut column = vec![0; self.frames.len()];
        let levels = (0..self.width * self.height).map(|i| {
            column.iter_mut().zip(&self.frames).for_each(|(c, f)| *c = f[i]);
            median(&mut column)
        });
        FlatField::from_levels(levels.collect(), self.width, self.height)
    }
}

fn median(values: &mut [u16]) -> u16 {
    let middle = values.len() / 2;
    *values.select_nth_unstable(middle).1
}

/// The light of an empty field, and what undoes it.
#[derive(Debug, Clone, PartialEq)]
pub struct FlatField {
    width: usize,
    height: usize,
    levels: Vec<u16>,
    /// Factor for each pixel in 4096ths; 0 where no light comes through.
    gain: Vec<u16>,
}

impl FlatField {
    /// Level of the median of a recording.
    pub const MIDDLE: u16 = 1 << 15;

    /// From the levels of an empty field.
    ///
    /// # Errors
    /// When the levels do not fill the sides, or are dark in the median.
    pub fn from_levels(levels: Vec<u16>, width: usize, height: usize) -> Result<Self, FlatFieldError> {
        if width == 0 || height == 0 {
            return Err(ImagingError::Empty { width, height }.into());
        }
        if levels.len() != width * height {
            return Err(ImagingError::Length { width, height, found: levels.len() }.into());
        }
        let middle = f32::from(median(&mut levels.clone()));
        if middle < 8.0 {
            return Err(FlatFieldError::Dark { percent: 100.0 * middle / f32::from(u16::MAX) });
        }
        let gain = levels.iter().map(|&level| {
            let light = f32::from(level) / middle;
            if light < OPAQUE { 0 } else { (ONE as f32 / light).round().min(f32::from(u16::MAX)) as u16 }
        });
        Ok(Self { width, height, gain: gain.collect(), levels })
    }

    /// Pixels a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The light by pixel, its median near [`FlatField::MIDDLE`] in a recording.
    pub fn levels(&self) -> &[u16] {
        &self.levels
    }

    /// Light of the darkest hundredth of the pixels over that of the brightest hundredth, 0 to 1.
    pub fn evenness(&self) -> f32 {
        let mut sorted = self.levels.clone();
        sorted.sort_unstable();
        let at = |share: usize| f32::from(sorted[(sorted.len() - 1) * share / 100]);
        at(1) / at(99).max(1.0)
    }

    /// Where dust lies: pieces of at least 4 pixels that miss 5 % of the light of the square of 49 pixels around them.
    pub fn dust(&self) -> Vec<Rect> {
        let (w, h) = (self.width, self.height);
        // Sums of all that lies above and to the left.
        let mut sums = vec![0u64; (w + 1) * (h + 1)];
        for y in 0..h {
            let mut row = 0;
            for x in 0..w {
                row += u64::from(self.levels[y * w + x]);
                sums[(y + 1) * (w + 1) + x + 1] = sums[y * (w + 1) + x + 1] + row;
            }
        }
        let mut mask = vec![0u8; w * h];
        for y in 0..h {
            // The square stays in the middle of its pixel, so that light that falls off evenly is no dust at the border.
            let down = SURROUNDINGS.min(y).min(h - 1 - y);
            for x in 0..w {
                let across = SURROUNDINGS.min(x).min(w - 1 - x);
                let at = |y: usize, x: usize| sums[y * (w + 1) + x];
                let (top, bottom, left, right) = (y - down, y + down + 1, x - across, x + across + 1);
                let sum = at(bottom, right) + at(top, left) - at(top, right) - at(bottom, left);
                let mean = sum as f32 / ((bottom - top) * (right - left)) as f32;
                mask[y * w + x] = u8::from(f32::from(self.levels[y * w + x]) < (1.0 - DUST) * mean);
            }
        }
        let mut components = Components::default();
        components.find(&mask, w);
        (0..components.len()).filter(|i| components.area(*i) >= 4).map(|i| components.bounds(i)).collect()
    }

    /// Divides the light out of a frame, in its own depth.
    ///
    /// # Errors
    /// When the frame has another size.
    pub fn correct(&self, pixels: &mut Pixels) -> Result<(), ImagingError> {
        let (width, height) = (pixels.width(), pixels.height());
        if (width, height) != (self.width, self.height) {
            let (expected_width, expected_height) = (self.width, self.height);
            return Err(ImagingError::Differs { expected_width, expected_height, width, height });
        }
        let white = u32::from(u16::MAX >> (16 - pixels.valid_bits()));
        let gain = &self.gain[..];
        match pixels.view_mut() {
            PixelViewMut::Mono8(samples) => vectorised(
                #[inline(always)]
                || {
                    for (v, &g) in samples.iter_mut().zip(gain) {
                        *v = ((u32::from(*v) * u32::from(g) + ONE / 2) / ONE).min(255) as u8;
                    }
                },
            ),
            PixelViewMut::Mono16(samples) => vectorised(
                #[inline(always)]
                || {
                    for (v, &g) in samples.iter_mut().zip(gain) {
                        *v = ((u32::from(*v).min(white) * u32::from(g) + ONE / 2) / ONE).min(white) as u16;
                    }
                },
            ),
            PixelViewMut::Rgb8(samples) => {
                for (v, &g) in samples.as_chunks_mut::<3>().0.iter_mut().zip(gain) {
                    for c in v {
                        *c = ((u32::from(*c) * u32::from(g) + ONE / 2) / ONE).min(255) as u8;
                    }
                }
            }
        }
        self.cover(pixels);
        Ok(())
    }

    /// Gives what no light reaches the value to its left.
    fn cover(&self, pixels: &mut Pixels) {
        fn run<T: Copy>(samples: &mut [T], gain: &[u16], channels: usize) {
            for i in (1..gain.len()).filter(|i| gain[*i] == 0) {
                samples.copy_within((i - 1) * channels..i * channels, i * channels);
            }
        }
        match pixels.view_mut() {
            PixelViewMut::Mono8(samples) => run(samples, &self.gain, 1),
            PixelViewMut::Mono16(samples) => run(samples, &self.gain, 1),
            PixelViewMut::Rgb8(samples) => run(samples, &self.gain, 3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::frame::{PixelBuffer, PixelFormat};

    const SIZE: (usize, usize) = (160, 120);

    /// Light that falls off to the corners, with two specks of dust.
    fn light(x: usize, y: usize) -> f32 {
        let off = ((x as f32 - 80.0).powi(2) + (y as f32 - 60.0).powi(2)) / 10_000.0;
        let dust = if (40..46).contains(&x) && (30..36).contains(&y) { 0.7 } else { 1.0 };
        let hole = if (100..104).contains(&x) && (80..84).contains(&y) { 0.02 } else { 1.0 };
        (1.0 - 0.4 * off) * dust * hole
    }

    /// A field of 12 bits with a dark bar at `bar`, seen in that light.
    fn field(bar: usize, lamp: f32) -> Pixels {
        let samples: Vec<u16> = (0..SIZE.0 * SIZE.1)
            .map(|i| {
                let (x, y) = (i % SIZE.0, i / SIZE.0);
                let object = if (bar..bar + 20).contains(&x) && (20..100).contains(&y) { 0.3 } else { 1.0 };
                (3000.0 * lamp * object * light(x, y)) as u16
            })
            .collect();
        Pixels::new(PixelBuffer::from_words(&samples), PixelFormat::Mono16, SIZE.0, SIZE.1, 12).unwrap()
    }

    fn recorded() -> FlatField {
        let mut recorder = FlatFieldRecorder::default();
        for (k, lamp) in [0.9, 1.0, 1.1, 0.95, 1.05].into_iter().enumerate() {
            recorder.add(&field(20 + 25 * k, lamp)).unwrap();
        }
        recorder.finish().unwrap()
    }

    #[test]
    fn light_and_dust_go_and_what_moved_between_the_frames_leaves_no_trace() {
        let flat = recorded();
        let dust = flat.dust();
        assert!(dust.iter().any(|d| d.left.abs_diff(40) < 3 && d.top.abs_diff(30) < 3), "{dust:?}");
        assert!(dust.len() <= 3, "{dust:?}");
        assert!((0.5..0.8).contains(&flat.evenness()), "{}", flat.evenness());
        let mut frame = field(70, 1.0);
        flat.correct(&mut frame).unwrap();
        let PixelView::Mono16(samples) = frame.view() else { unreachable!() };
        let (mut background, mut object) = (Vec::new(), Vec::new());
        for (i, v) in samples.iter().enumerate() {
            let (x, y) = (i % SIZE.0, i / SIZE.0);
            if (70..90).contains(&x) && (20..100).contains(&y) { object.push(*v) } else { background.push(*v) }
        }
        for (levels, name) in [(&background, "background"), (&object, "object")] {
            let (low, high) = (levels.iter().min().unwrap(), levels.iter().max().unwrap());
            assert!(f32::from(*high) < 1.03 * f32::from(*low), "{name}: {low} to {high}");
        }
    }

    #[test]
    fn what_cannot_be_a_flat_field_is_refused_with_a_reason() {
        let mut recorder = FlatFieldRecorder::default();
        recorder.add(&field(20, 1.0)).unwrap();
        let grey = |level: u8, side: usize| {
            Pixels::new(PixelBuffer::from_bytes(&vec![level; side * side]), PixelFormat::Mono8, side, side, 8).unwrap()
        };
        assert!(matches!(recorder.add(&grey(100, 8)), Err(FlatFieldError::Pixels(ImagingError::Differs { .. }))));
        assert!(matches!(recorder.finish(), Err(FlatFieldError::TooFew { found: 1 })));
        let mut recorder = FlatFieldRecorder::default();
        assert!(matches!(recorder.add(&grey(255, 8)), Err(FlatFieldError::Saturated { .. })));
        assert!(matches!(recorder.add(&grey(2, 8)), Err(FlatFieldError::Dark { .. })));
        assert!(matches!(FlatField::from_levels(vec![9000; 5], 2, 3), Err(FlatFieldError::Pixels(_))));
        assert!(recorded().correct(&mut grey(100, 8)).is_err());
    }

    #[test]
    fn an_even_field_changes_nothing_in_any_format() {
        let flat = FlatField::from_levels(vec![30_000; 12], 4, 3).unwrap();
        let bytes: Vec<u8> = (0..36).map(|v| v * 7).collect();
        let mut rgb = Pixels::new(PixelBuffer::from_bytes(&bytes), PixelFormat::Rgb8, 4, 3, 8).unwrap();
        let mut grey = Pixels::new(PixelBuffer::from_bytes(&bytes[..12]), PixelFormat::Mono8, 4, 3, 8).unwrap();
        flat.correct(&mut rgb).unwrap();
        flat.correct(&mut grey).unwrap();
        assert!(matches!(rgb.view(), PixelView::Rgb8(v) if v == bytes));
        assert!(matches!(grey.view(), PixelView::Mono8(v) if v == &bytes[..12]));
        assert!(flat.dust().is_empty());
    }
}
