//! The luminance of a picture taken through a Bayer filter, at every pixel.
//!
//! A quarter of red, half of green and a quarter of blue, each estimated by the linear filters of Malvar, He and Cutler
//! ("High-quality linear interpolation for demosaicing of Bayer-patterned color images", ICASSP 2004). Their sum over the
//! three colours is one filter of 5 x 5 for the pixels behind green and one for the others, so it matters only where
//! green lies. A grey scene comes out as it is, without the pattern.

use super::{plane::ImagingError, simd::vectorised};
use domain::frame::{Bayer, PixelViewMut, Pixels};

/// Turns raw samples behind a Bayer filter into luminance; keeps some rows of memory between frames.
#[derive(Debug, Default)]
pub struct Demosaic {
    bytes: Scratch<u8>,
    words: Scratch<u16>,
}

/// What is kept of one depth.
#[derive(Debug, Default)]
struct Scratch<T: Sample> {
    /// The raw rows from two above to two below the one that is computed, padded; row `y` at place `y % 5`.
    rows: Vec<T::Wide>,
    /// 1 and -1 in turn: a sign that is loaded costs less than one that is chosen by the number of the column.
    signs: Vec<T::Wide>,
}

impl Demosaic {
    /// Replaces the raw samples of a grey frame by their luminance, in the frame's own depth. Edges are mirrored.
    ///
    /// # Errors
    /// When the frame is in colour already, or a side is shorter than three pixels.
    pub fn luminance(&mut self, pixels: &mut Pixels, pattern: Bayer) -> Result<(), ImagingError> {
        let (width, height) = (pixels.width(), pixels.height());
        if width < 3 || height < 3 {
            return Err(ImagingError::Small { least: 3, width, height });
        }
        let white = i32::from(u16::MAX >> (16 - pixels.valid_bits()));
        match pixels.view_mut() {
            PixelViewMut::Mono8(samples) => whole(samples, &mut self.bytes, width, 255, pattern),
            PixelViewMut::Mono16(samples) => whole(samples, &mut self.words, width, white, pattern),
            PixelViewMut::Rgb8(_) => return Err(ImagingError::Colour),
        }
        Ok(())
    }
}

/// A sample of 8 or 16 bits, and the narrowest whole numbers that hold its filters: more of them fit into a vector.
trait Sample: Copy + Default {
    type Wide: Copy
        + Default
        + std::fmt::Debug
        + From<i8>
        + std::ops::Add<Output = Self::Wide>
        + std::ops::Sub<Output = Self::Wide>
        + std::ops::Mul<Output = Self::Wide>
        + std::ops::Shr<u32, Output = Self::Wide>
        + Ord;

    fn wide(self) -> Self::Wide;
    fn of(value: Self::Wide) -> Self;
}

impl Sample for u8 {
    /// The filters of 8-bit samples lie between -7140 and 23460.
    type Wide = i16;

    #[inline(always)]
    fn wide(self) -> i16 {
        i16::from(self)
    }

    #[inline(always)]
    fn of(value: i16) -> Self {
        value as Self
    }
}

impl Sample for u16 {
    type Wide = i32;

    #[inline(always)]
    fn wide(self) -> i32 {
        i32::from(self)
    }

    #[inline(always)]
    fn of(value: i32) -> Self {
        value as Self
    }
}

/// Pixels beyond each edge that the filters look at.
const REACH: usize = 2;

fn whole<T: Sample>(samples: &mut [T], scratch: &mut Scratch<T>, width: usize, white: T::Wide, pattern: Bayer) {
    const ROWS: usize = 2 * REACH + 1;
    // Rows with two pixels more on each side: mirrored, so that every pixel keeps its colour.
    let (height, wide) = (samples.len() / width, width + 2 * REACH);
    let Scratch { rows, signs } = scratch;
    rows.resize(ROWS * wide, T::Wide::default());
    if signs.len() <= width {
        let of = |x: usize| T::Wide::from(if x.is_multiple_of(2) { 1 } else { -1 });
        *signs = (0..=width).map(of).collect();
    }
    let last = height as isize - 1;
    vectorised(
        #[inline(always)]
        || {
            let mut known = 0;
            for y in 0..height {
                while known < height.min(y + REACH + 1) {
                    pad(&samples[known * width..][..width], &mut rows[known % ROWS * wide..][..wide]);
                    known += 1;
                }
                let around = std::array::from_fn(|k| {
                    let at = y as isize + k as isize - REACH as isize;
                    let within = if at > last { 2 * last - at } else { at.abs() };
                    &rows[within as usize % ROWS * wide..][..wide]
                });
                let green_first = pattern.green_first() == (y % 2 == 0);
                row(around, &signs[usize::from(!green_first)..], &mut samples[y * width..][..width], white);
            }
        },
    );
}

#[inline(always)]
fn pad<T: Sample>(row: &[T], padded: &mut [T::Wide]) {
    let (width, wide) = (row.len(), padded.len());
    for (to, sample) in padded[REACH..].iter_mut().zip(row) {
        *to = sample.wide();
    }
    (padded[0], padded[1]) = (row[2].wide(), row[1].wide());
    (padded[wide - 2], padded[wide - 1]) = (row[width - 2].wide(), row[width - 3].wide());
}

/// One row; `rows` are those from two above to two below, padded. The sign is 1 behind green.
#[inline(always)]
fn row<T: Sample>(rows: [&[T::Wide]; 5], signs: &[T::Wide], out: &mut [T], white: T::Wide) {
    let n = out.len();
    let [above2, above, own, below, below2] = rows.map(|r| &r[..n + 2 * REACH]);
    let signs = &signs[..n];
    let k = |number: i8| T::Wide::from(number);
    for x in 0..n {
        let beside = above[x + 2] + own[x + 1] + own[x + 3] + below[x + 2];
        let corners = above[x + 1] + above[x + 3] + below[x + 1] + below[x + 3];
        let far = above2[x + 2] + own[x] + own[x + 4] + below2[x + 2];
        let middle = own[x + 2];
        // In 64ths, a quarter, a half and a quarter of Malvar's three filters: behind green
        // 52 middle + 8 beside - 4 corners - far, elsewhere 44 middle + 8 beside + 4 corners - 7 far.
        let mean = k(48) * middle + k(8) * beside - k(4) * far;
        let difference = k(4) * (middle - corners) + k(3) * far;
        let value = mean + signs[x] * difference;
        out[x] = T::of(((value + k(32)) >> 6).clamp(k(0), white));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::frame::{PixelBuffer, PixelFormat};

    const PATTERNS: [Bayer; 4] = [Bayer::Rggb, Bayer::Grbg, Bayer::Gbrg, Bayer::Bggr];

    /// A scene through the filter: red, green and blue at a place.
    fn raw(width: usize, height: usize, pattern: Bayer, scene: impl Fn(usize, usize) -> [f32; 3]) -> Pixels {
        let words: Vec<u16> = (0..width * height)
            .map(|i| {
                let (x, y) = (i % width, i / width);
                scene(x, y)[pattern.channel(x, y)].round() as u16
            })
            .collect();
        Pixels::new(PixelBuffer::from_words(&words), PixelFormat::Mono16, width, height, 12).unwrap()
    }

    fn words(pixels: &Pixels) -> Vec<u16> {
        let domain::frame::PixelView::Mono16(words) = pixels.view() else { panic!("16 bits") };
        words.to_vec()
    }

    #[test]
    fn one_colour_is_one_level_whatever_the_pattern() {
        for pattern in PATTERNS {
            let mut pixels = raw(17, 12, pattern, |_, _| [800.0, 2000.0, 400.0]);
            Demosaic::default().luminance(&mut pixels, pattern).unwrap();
            assert!(words(&pixels).iter().all(|v| *v == 1300), "{pattern:?}: {:?}", words(&pixels));
        }
    }

    #[test]
    fn a_coloured_slope_keeps_its_luminance() {
        let scene = |x: usize, y: usize| [500.0 + 20.0 * x as f32, 900.0 + 10.0 * y as f32, 300.0 + 12.0 * x as f32];
        for pattern in PATTERNS {
            let mut pixels = raw(31, 24, pattern, scene);
            Demosaic::default().luminance(&mut pixels, pattern).unwrap();
            let found = words(&pixels);
            for y in 3..21 {
                for x in 3..28 {
                    let [r, g, b] = scene(x, y);
                    let expected = (r + 2.0 * g + b) / 4.0;
                    assert!((f32::from(found[y * 31 + x]) - expected).abs() < 1.5, "{pattern:?} {x} {y}");
                }
            }
        }
    }

    #[test]
    fn samples_of_eight_bits_come_out_as_in_sixteen() {
        // Black and white without order, where the filters reach furthest, then every level.
        let mut state = 7u32;
        let samples: Vec<u8> = (0..64 * 40)
            .map(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let byte = (state >> 24) as u8;
                if i < 64 * 20 { if byte & 1 == 0 { 0 } else { 255 } } else { byte }
            })
            .collect();
        let deep: Vec<u16> = samples.iter().map(|s| u16::from(*s)).collect();
        for pattern in PATTERNS {
            let mut small = Pixels::new(PixelBuffer::from_bytes(&samples), PixelFormat::Mono8, 64, 40, 8).unwrap();
            let mut large = Pixels::new(PixelBuffer::from_words(&deep), PixelFormat::Mono16, 64, 40, 8).unwrap();
            Demosaic::default().luminance(&mut small, pattern).unwrap();
            Demosaic::default().luminance(&mut large, pattern).unwrap();
            let domain::frame::PixelView::Mono8(bytes) = small.view() else { panic!("8 bits") };
            assert_eq!(bytes.iter().map(|b| u16::from(*b)).collect::<Vec<_>>(), words(&large), "{pattern:?}");
        }
    }

    #[test]
    fn what_is_no_raw_picture_is_refused() {
        let mut small = raw(2, 8, Bayer::Rggb, |_, _| [1.0; 3]);
        assert!(Demosaic::default().luminance(&mut small, Bayer::Rggb).unwrap_err().to_string().contains("2 x 8"));
        let colour = Pixels::new(PixelBuffer::from_bytes(&[9; 48]), PixelFormat::Rgb8, 4, 4, 8);
        let error = Demosaic::default().luminance(&mut colour.unwrap(), Bayer::Rggb).unwrap_err();
        assert!(error.to_string().contains("colour"), "{error}");
    }
}
