//! Grey pictures, owned and borrowed, and what a frame becomes.

use domain::frame::{PixelView, Pixels};

use super::{
    grey::luma_row,
    simd::{nearest, vectorised},
};

/// Sides beyond this are refused: no sensor of a microscope has them, and 32-bit counts stay safe.
const LONGEST_SIDE: usize = 32_768;

/// Why pixels cannot be worked on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImagingError {
    /// A side of length zero.
    #[error("the picture is empty ({width} x {height} pixels); both sides need at least 1 pixel")]
    Empty {
        /// Width found.
        width: usize,
        /// Height found.
        height: usize,
    },
    /// A side that no sensor has.
    #[error("the picture has {width} x {height} pixels; at most {LONGEST_SIDE} a side are handled")]
    TooLarge {
        /// Width found.
        width: usize,
        /// Height found.
        height: usize,
    },
    /// The samples do not fill the sides.
    #[error("{width} x {height} pixels need {} samples, {found} were given", width * height)]
    Length {
        /// Width stated.
        width: usize,
        /// Height stated.
        height: usize,
        /// Samples given.
        found: usize,
    },
    /// Two pictures that should have the same size do not.
    #[error("expected {expected_width} x {expected_height} pixels, found {width} x {height}")]
    Differs {
        /// Width expected.
        expected_width: usize,
        /// Height expected.
        expected_height: usize,
        /// Width found.
        width: usize,
        /// Height found.
        height: usize,
    },
    /// Too few pixels for what looks at neighbours.
    #[error("the picture has {width} x {height} pixels; at least {least} a side are needed")]
    Small {
        /// Fewest pixels a side.
        least: usize,
        /// Width found.
        width: usize,
        /// Height found.
        height: usize,
    },
    /// A raw picture has one sample a pixel.
    #[error(
        "the picture is in colour already; only grey frames can be raw samples behind a Bayer filter: leave `bayer` out"
    )]
    Colour,
    /// Every pixel has the same value.
    #[error("all pixels have the value {value}: a closed shutter, no light or a saturated sensor")]
    Constant {
        /// The value.
        value: u8,
    },
}

/// Whole pixels: left and top inclusive, right and bottom exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rect {
    /// Left edge.
    pub left: usize,
    /// Top edge.
    pub top: usize,
    /// Right edge, exclusive.
    pub right: usize,
    /// Bottom edge, exclusive.
    pub bottom: usize,
}

impl Rect {
    /// Pixels a row.
    pub fn width(&self) -> usize {
        self.right.saturating_sub(self.left)
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.bottom.saturating_sub(self.top)
    }

    /// Pixels in all.
    pub fn area(&self) -> usize {
        self.width() * self.height()
    }

    /// Grown by `margin` pixels on each side, kept inside `width` x `height`.
    pub fn grown(&self, margin: usize, width: usize, height: usize) -> Self {
        Self {
            left: self.left.saturating_sub(margin).min(width),
            top: self.top.saturating_sub(margin).min(height),
            right: (self.right + margin).min(width),
            bottom: (self.bottom + margin).min(height),
        }
    }

    /// The smallest rectangle that holds both.
    pub fn union(&self, other: &Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }
}

/// A grey picture that owns its samples; rows are dense.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrayImage {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` samples.
    pub data: Vec<u8>,
}

/// A borrowed grey picture; rows are dense.
#[derive(Debug, Clone, Copy)]
pub struct GrayView<'a> {
    width: usize,
    height: usize,
    data: &'a [u8],
}

impl<'a> GrayView<'a> {
    /// Wraps `width * height` samples.
    ///
    /// # Errors
    /// When a side is zero or beyond 32,768, or the samples do not fill the sides.
    pub fn new(data: &'a [u8], width: usize, height: usize) -> Result<Self, ImagingError> {
        check_size(width, height)?;
        if data.len() != width * height {
            return Err(ImagingError::Length { width, height, found: data.len() });
        }
        Ok(Self { width, height, data })
    }

    /// Pixels a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// All samples, row by row.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Row `y`.
    pub fn row(&self, y: usize) -> &'a [u8] {
        &self.data[y * self.width..(y + 1) * self.width]
    }

    /// The sample at `x`, `y`.
    pub fn at(&self, x: usize, y: usize) -> u8 {
        self.data[y * self.width + x]
    }
}

fn check_size(width: usize, height: usize) -> Result<(), ImagingError> {
    if width == 0 || height == 0 {
        return Err(ImagingError::Empty { width, height });
    }
    if width > LONGEST_SIDE || height > LONGEST_SIDE {
        return Err(ImagingError::TooLarge { width, height });
    }
    Ok(())
}

impl GrayImage {
    /// A black picture.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, data: vec![0; width * height] }
    }

    /// Borrows it.
    ///
    /// # Errors
    /// As [`GrayView::new`].
    pub fn view(&self) -> Result<GrayView<'_>, ImagingError> {
        GrayView::new(&self.data, self.width, self.height)
    }

    /// Takes another size; memory is kept, contents are arbitrary.
    pub fn reshape(&mut self, width: usize, height: usize) {
        self.width = width;
        self.height = height;
        self.data.resize(width * height, 0);
    }

    /// Becomes the grey picture of a frame: 8-bit samples as they are; colour by [`luma`](super::luma); 16-bit samples
    /// divided so that the sample below which 99.95 % of the pixels lie becomes 250, and never by less than what makes
    /// the sensor's full range 255 times 1/16 (a dark frame is brightened at most sixteen-fold). Zero stays zero, so
    /// that a transmission stays a transmission.
    pub fn read_frame(&mut self, pixels: &Pixels) {
        self.read(pixels.view(), pixels.width(), pixels.height(), pixels.valid_bits());
    }

    /// As [`GrayImage::read_frame`], from the parts. Samples that are missing count as black.
    pub fn read(&mut self, view: PixelView<'_>, width: usize, height: usize, valid_bits: u8) {
        self.reshape(width, height);
        let out = &mut self.data[..];
        let given = match view {
            PixelView::Mono8(samples) => samples.len(),
            PixelView::Rgb8(samples) => samples.len() / 3,
            PixelView::Mono16(samples) => samples.len(),
        };
        if let Some(missing) = out.get_mut(given..) {
            missing.fill(0);
        }
        match view {
            PixelView::Mono8(samples) => {
                let n = samples.len().min(out.len());
                out[..n].copy_from_slice(&samples[..n]);
            }
            PixelView::Rgb8(samples) => luma_row(samples.as_chunks::<3>().0, out),
            PixelView::Mono16(samples) => {
                let scale = window(samples, valid_bits);
                vectorised(
                    #[inline(always)]
                    || {
                        for (o, &v) in out.iter_mut().zip(samples) {
                            *o = nearest((f32::from(v) * scale).min(255.0));
                        }
                    },
                );
            }
        }
    }
}

/// Factor from a 16-bit sample to 8 bits. Counts in 4096 bins on every 7th sample.
fn window(samples: &[u16], valid_bits: u8) -> f32 {
    let bits = u32::from(valid_bits.clamp(8, 16));
    let full = ((1u32 << bits) - 1) as f32;
    let shift = bits.saturating_sub(12);
    let mut bins = [0u32; 4096];
    let mut n = 0u32;
    for &v in samples.iter().step_by(7) {
        bins[((u32::from(v) >> shift) as usize).min(4095)] += 1;
        n += 1;
    }
    let over = n / 2000;
    let mut seen = 0;
    let mut level = 4095;
    while level > 0 && seen + bins[level] <= over {
        seen += bins[level];
        level -= 1;
    }
    let white = (((level as u32 + 1) << shift) as f32).max(full / 16.0);
    250.0 / white
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_of_the_wrong_length_is_refused() {
        assert_eq!(GrayView::new(&[0; 5], 2, 3).unwrap_err(), ImagingError::Length { width: 2, height: 3, found: 5 });
        assert!(matches!(GrayView::new(&[], 0, 3), Err(ImagingError::Empty { .. })));
        assert!(matches!(GrayView::new(&[], 1 << 20, 1), Err(ImagingError::TooLarge { .. })));
    }

    #[test]
    fn twelve_bits_in_sixteen_use_the_whole_range() {
        let samples: Vec<u16> = (0..10_000).map(|i| (i % 3000) as u16).collect();
        let mut image = GrayImage::default();
        image.read(PixelView::Mono16(&samples), 100, 100, 12);
        let top = image.data.iter().copied().max().expect("not empty");
        assert!((245..=255).contains(&top), "{top}");
        assert_eq!(image.data[0], 0);
    }

    #[test]
    fn a_dim_camera_is_brightened_at_most_sixteenfold() {
        let mut image = GrayImage::default();
        image.read(PixelView::Mono16(&[3; 64]), 8, 8, 16);
        assert_eq!(image.data, [0; 64]);
    }

    #[test]
    fn what_a_frame_lacks_is_black_and_not_the_frame_before() {
        let mut image = GrayImage::default();
        image.read(PixelView::Mono8(&[9; 12]), 4, 3, 8);
        image.read(PixelView::Mono8(&[7; 5]), 4, 3, 8);
        assert_eq!(image.data, [7, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn colour_becomes_luma() {
        let mut image = GrayImage::default();
        image.read(PixelView::Rgb8(&[255, 255, 255, 0, 0, 0, 255, 0, 0]), 3, 1, 8);
        assert_eq!(image.data, [255, 0, 76]);
    }
}
