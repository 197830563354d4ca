//! A picture as every later step wants it: chromosomes dark, background at one level, light even; with its figures of
//! exposure and noise.

use super::{
    Background, BackgroundScratch, FilterScratch, Histogram, median3,
    plane::{GrayImage, GrayView, ImagingError, Rect},
    simd::{nearest, vectorised},
};

/// Level of the background in a prepared plane.
pub const BACKGROUND: u8 = 220;

/// Darkness below [`BACKGROUND`] that the chromosomes of a fluorescence picture are brought to (their median).
const FLUORESCENCE_DARKNESS: f32 = 110.0;

/// Which way the objects differ from the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Polarity {
    /// Decided from the picture: the side of the background's level with the longer tail.
    #[default]
    Auto,
    /// Stained, in transmitted light.
    DarkOnBright,
    /// Fluorescence.
    BrightOnDark,
}

/// Noise removal before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Denoise {
    /// None: bands keep all their contrast.
    #[default]
    None,
    /// Median of 3 x 3: for sensors with hot pixels.
    Median,
}

/// What [`Preparer::prepare`] is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PrepareOptions {
    /// Which way the objects differ.
    pub polarity: Polarity,
    /// Noise removal.
    pub denoise: Denoise,
}

/// How the sensor was exposed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Exposure {
    /// Share of pixels at the highest level, 0 to 1.
    pub saturated: f32,
    /// Share of pixels at the lowest level, 0 to 1.
    pub black: f32,
    /// Level of the background, 0 to 255.
    pub background: u8,
    /// Distance of the background from the 1st (or 99th) percentile on the objects' side, 0 to 255.
    pub contrast: u8,
}

impl Exposure {
    /// What a person at the microscope should change, or none when the exposure will do. A clipped background of a
    /// transmitted-light picture costs nothing of the chromosomes, a clipped chromosome of fluorescence does.
    pub fn hint(&self, polarity: Polarity) -> Option<&'static str> {
        match polarity {
            Polarity::BrightOnDark if self.saturated > 0.02 => Some("over-exposed: shorten the exposure"),
            Polarity::BrightOnDark if self.contrast < 12 => Some("under-exposed: lengthen the exposure"),
            Polarity::DarkOnBright if self.saturated > 0.98 => Some("over-exposed: the frame is white"),
            Polarity::DarkOnBright if self.background < 60 => {
                Some("under-exposed: lengthen the exposure or raise the lamp")
            }
            _ => None,
        }
    }
}

/// A prepared picture.
#[derive(Debug, Clone, Default)]
pub struct Prepared {
    /// Chromosomes dark, background at [`BACKGROUND`].
    pub plane: GrayImage,
    /// Polarity that was used; never `Auto`.
    pub polarity: Polarity,
    /// The light that was evened out, on the scale of the (for fluorescence inverted) input.
    pub background: Background,
    /// Exposure figures of the input.
    pub exposure: Exposure,
    /// Standard deviation of the noise in grey levels of the plane (Immerkaer 1996).
    pub noise: f32,
    /// The scanner's burnt-in number, painted over with background.
    pub number: Option<Rect>,
}

/// Prepares pictures; keeps its buffers.
#[derive(Debug, Clone, Default)]
pub struct Preparer {
    prepared: Prepared,
    work: GrayImage,
    background: BackgroundScratch,
    filter: FilterScratch,
}

impl Preparer {
    /// The last answer.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// Prepares `input`; the answer lives until the next call.
    ///
    /// # Errors
    /// When all pixels are equal.
    pub fn prepare(&mut self, input: GrayView<'_>, options: &PrepareOptions) -> Result<&Prepared, ImagingError> {
        let (w, h) = (input.width(), input.height());
        let number = burnt_in_number(input);
        let mut histogram = Histogram::of(input.data());
        let counts = histogram.counts();
        let total = histogram.total() as f32;
        if let Some(value) = counts.iter().position(|&c| u64::from(c) == histogram.total()) {
            return Err(ImagingError::Constant { value: value as u8 });
        }
        let (saturated, black) = (counts[255] as f32 / total, counts[0] as f32 / total);
        let polarity = match options.polarity {
            Polarity::Auto => polarity_of(&histogram),
            given => given,
        };
        // The input with objects dark, the number painted over.
        let work = &mut self.work;
        match options.denoise {
            Denoise::None => {
                work.reshape(w, h);
                work.data.copy_from_slice(input.data());
            }
            Denoise::Median => median3(input, work, &mut self.filter),
        }
        if polarity == Polarity::BrightOnDark {
            vectorised(
                #[inline(always)]
                || work.data.iter_mut().for_each(|v| *v = 255 - *v),
            );
            histogram = Histogram::of(&work.data);
        }
        let level = histogram.mode();
        if let Some(number) = number {
            for y in number.top..number.bottom {
                work.data[y * w + number.left..y * w + number.right].fill(level);
            }
        }
        let exposure = Exposure {
            saturated,
            black,
            background: if polarity == Polarity::BrightOnDark { 255 - level } else { level },
            contrast: level.saturating_sub(histogram.percentile(0.01)),
        };
        let view = GrayView::new(&work.data, w, h)?;
        let background = Background::estimate(view, &mut self.background);
        let out = &mut self.prepared;
        out.plane.reshape(w, h);
        if polarity == Polarity::BrightOnDark {
            let gain = fluorescence_gain(&histogram, level);
            for (y, (o, v)) in out.plane.data.chunks_exact_mut(w).zip(work.data.chunks_exact(w)).enumerate() {
                let row = background.row(y);
                vectorised(
                    #[inline(always)]
                    || difference_row(v, row, gain, o),
                );
            }
        } else {
            for (y, (o, v)) in out.plane.data.chunks_exact_mut(w).zip(work.data.chunks_exact(w)).enumerate() {
                let row = background.row(y);
                vectorised(
                    #[inline(always)]
                    || ratio_row(v, row, o),
                );
            }
        }
        out.noise = noise(GrayView::new(&out.plane.data, w, h)?);
        (out.polarity, out.background, out.exposure, out.number) = (polarity, background, exposure, number);
        Ok(out)
    }
}

/// Which side of the most frequent level has the longer tail.
fn polarity_of(histogram: &Histogram) -> Polarity {
    let mode = f64::from(histogram.mode());
    let (mut bright, mut dark) = (0.0, 0.0);
    for (level, &c) in histogram.counts().iter().enumerate() {
        let d = level as f64 - mode;
        // Squared, so that noise around the mode weighs little against objects.
        if d > 0.0 {
            bright += d * d * f64::from(c);
        } else {
            dark += d * d * f64::from(c);
        }
    }
    if bright > dark { Polarity::BrightOnDark } else { Polarity::DarkOnBright }
}

/// Factor that brings the median of what Otsu's threshold calls an object to [`FLUORESCENCE_DARKNESS`].
fn fluorescence_gain(histogram: &Histogram, level: u8) -> f32 {
    let mut counts = [0u32; 256];
    for (v, &c) in histogram.counts().iter().enumerate() {
        counts[usize::from(level.saturating_sub(v as u8))] += c;
    }
    let Some(first) = Histogram::from_counts(counts).otsu(0) else { return 1.0 };
    let mut object = counts;
    object[..usize::from(first)].fill(0);
    let median = Histogram::from_counts(object).percentile(0.5);
    (FLUORESCENCE_DARKNESS / f32::from(median.max(1))).clamp(0.6, 8.0)
}

#[inline(always)]
fn ratio_row(input: &[u8], [a, b, c]: [f32; 3], out: &mut [u8]) {
    let level = f32::from(BACKGROUND);
    let n = input.len().min(out.len());
    let (input, out) = (&input[..n], &mut out[..n]);
    for x in 0..n {
        let place = x as i32 as f32;
        let light = (a + place * (b + place * c)).max(8.0);
        out[x] = nearest((f32::from(input[x]) * level / light).min(255.0));
    }
}

#[inline(always)]
fn difference_row(input: &[u8], [a, b, c]: [f32; 3], gain: f32, out: &mut [u8]) {
    let level = f32::from(BACKGROUND);
    let n = input.len().min(out.len());
    let (input, out) = (&input[..n], &mut out[..n]);
    for x in 0..n {
        let place = x as i32 as f32;
        let light = a + place * (b + place * c);
        out[x] = nearest((level - gain * (light - f32::from(input[x]))).clamp(0.0, 255.0));
    }
}

/// Standard deviation of the noise: mean response to the difference of two Laplacians (Immerkaer, "Fast noise variance
/// estimation", 1996) on every fourth row.
fn noise(input: GrayView<'_>) -> f32 {
    let (w, h) = (input.width(), input.height());
    if w < 3 || h < 3 {
        return 0.0;
    }
    let (mut sum, mut n) = (0u64, 0u64);
    for y in (1..h - 1).step_by(4) {
        let (a, b, c) = (input.row(y - 1), input.row(y), input.row(y + 1));
        let row: u32 = vectorised(
            #[inline(always)]
            || {
                let mut row = 0u32;
                for x in 1..w - 1 {
                    let corners = i32::from(a[x - 1]) + i32::from(a[x + 1]) + i32::from(c[x - 1]) + i32::from(c[x + 1]);
                    let sides = i32::from(a[x]) + i32::from(c[x]) + i32::from(b[x - 1]) + i32::from(b[x + 1]);
                    row += (corners - 2 * sides + 4 * i32::from(b[x])).unsigned_abs();
                }
                row
            },
        );
        sum += u64::from(row);
        n += (w - 2) as u64;
    }
    (std::f64::consts::FRAC_PI_2.sqrt() / 6.0 * sum as f64 / n.max(1) as f64) as f32
}

/// The number that a scanner burns into the top left corner: a grey ramp that is equal along its first columns, row by
/// row, and ends at a straight edge. At most 160 x 48 pixels.
pub fn burnt_in_number(input: GrayView<'_>) -> Option<Rect> {
    let (w, h) = (input.width().min(160), input.height().min(48));
    if w < 24 || h < 8 || input.width() < 200 {
        return None;
    }
    let flat = |y: usize| {
        let row = input.row(y);
        (1..w).find(|&x| row[x].abs_diff(row[0]) > 6).unwrap_or(w)
    };
    let right = flat(0);
    if !(16..w).contains(&right)
        || (0..3).any(|y| flat(y).abs_diff(right) > 2 || input.at(right + 4, y).abs_diff(input.at(0, y)) < 20)
    {
        return None;
    }
    // Down the first columns the ramp rises slowly; its lower edge is a step.
    let bottom = (1..h).find(|&y| {
        let (here, above) = (input.at(1, y), input.at(1, y - 1));
        here.abs_diff(above) > 14 || input.at(1, y).abs_diff(input.at(5, y)) > 6
    })?;
    (bottom >= 6).then_some(Rect {
        left: 0,
        top: 0,
        right: (right + 3).min(input.width()),
        bottom: (bottom + 3).min(input.height()),
    })
}
