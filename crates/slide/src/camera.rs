//! From density to samples: transmission or glow, focus, illumination, dust, noise, quantisation.

use domain::frame::Bayer;

use super::{
    draw::Plane,
    random::SlideRng,
    texture::{Texture, WhiteNoise},
};

/// Samples to fill, row by row, without padding.
#[derive(Debug)]
pub enum Samples<'a> {
    /// 8-bit grey.
    Mono8(&'a mut [u8]),
    /// 16-bit grey, right-aligned: white is `2^bits - 1`.
    Mono16(&'a mut [u16]),
}

impl Samples<'_> {
    /// How many samples there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Mono8(samples) => samples.len(),
            Self::Mono16(samples) => samples.len(),
        }
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Light and sensor.
#[derive(Debug, Clone, Copy)]
pub struct Exposed {
    /// True when the dye glows on dark ground.
    pub fluorescence: bool,
    /// Signal of an empty field (bright field) or of density 1 (fluorescence), as a part of white.
    pub gain: f32,
    /// Signal without light, as a part of white.
    pub black: f32,
    /// Electrons at white.
    pub full_well: f32,
    /// Read noise in electrons.
    pub read_noise: f32,
    /// Blur of lens and defocus, standard deviation in pixels.
    pub blur_px: f32,
    /// How strongly the camera sharpens, 0 to 1.
    pub sharpen: f32,
    /// How far the stage moves during the exposure, in pixels.
    pub motion_px: [f32; 2],
    /// Part of the light that strays over the field.
    pub haze: f32,
    /// The filter before the sensor of a colour camera.
    pub filter: Option<Bayer>,
}

/// How much of what the dye takes from green light it takes from red, green and blue: Giemsa looks purple. A round
/// choice, no measurement.
const DYE: [f32; 3] = [0.75, 1.0, 0.55];
/// What the sensor makes of an empty bright field behind each colour, against green.
const LAMP: [f32; 3] = [0.85, 1.0, 0.7];
/// The same of a dye that glows blue.
const GLOW: [f32; 3] = [0.05, 0.25, 1.0];

/// The light of a row behind the filter.
fn behind(filter: Bayer, y: usize, fluorescence: bool, line: &mut [f32]) {
    for (x, light) in line.iter_mut().enumerate() {
        let colour = filter.channel(x, y);
        *light = if fluorescence { GLOW[colour] * *light } else { LAMP[colour] * (1.0 - DYE[colour] * (1.0 - *light)) };
    }
}

/// The camera and its lamp: what does not move with the slide.
#[derive(Debug)]
pub struct Camera {
    width: usize,
    height: usize,
    flat: Vec<f32>,
    noise: WhiteNoise,
    blurred: Vec<f32>,
    line: Vec<f32>,
    glow: Glow,
}

/// Widest blur in pixels.
const WIDEST: f32 = 12.0;

impl Camera {
    /// A camera with its own uneven light and its own dust.
    pub fn new(width: usize, height: usize, rng: &mut SlideRng) -> Self {
        let mut flat = vec![1.0f32; width * height];
        let vignette = rng.between(0.01, 0.08);
        let (cx, cy) = (rng.between(0.4, 0.6), rng.between(0.4, 0.6));
        let (tx, ty) = (rng.normal_within(0.0, 0.008), rng.normal_within(0.0, 0.008));
        for y in 0..height {
            let v = y as f32 / height as f32;
            for x in 0..width {
                let u = x as f32 / width as f32;
                let r2 = (u - cx) * (u - cx) + (v - cy) * (v - cy);
                flat[y * width + x] = 1.0 - vignette * 2.0 * r2 + tx * (u - 0.5) + ty * (v - 0.5);
            }
        }
        for _ in 0..4 + rng.below(6) {
            dust(&mut flat, width, height, rng);
        }
        let noise = WhiteNoise::new(rng, width);
        Self { width, height, flat, noise, blurred: vec![0.0; width * height], line: Vec::new(), glow: Glow::default() }
    }

    /// Takes the picture of a plane. `rng` gives this exposure's noise.
    pub fn expose(&mut self, plane: &Plane, exposed: &Exposed, bits: u8, rng: &mut SlideRng, out: &mut Samples<'_>) {
        let kernel = point_spread(exposed.blur_px.clamp(0.0, WIDEST), exposed.sharpen);
        let reach = kernel.len() - 1;
        let shift = smear(exposed.motion_px[0]);
        for (row, target) in self.blurred.chunks_exact_mut(self.width).enumerate() {
            let source = &plane.density[row * self.width..(row + 1) * self.width];
            self.line.clear();
            self.line.resize(self.width + 2 * reach, 0.0);
            if exposed.fluorescence {
                self.line[reach..reach + self.width].copy_from_slice(source);
            } else {
                for (light, density) in self.line[reach..].iter_mut().zip(source) {
                    *light = transmitted(*density);
                }
            }
            if shift > 0 {
                smear_line(&mut self.line[reach..reach + self.width], shift);
            }
            let (first, last) = (self.line[reach], self.line[reach + self.width - 1]);
            self.line[..reach].fill(first);
            self.line[reach + self.width..].fill(last);
            convolve(&self.line, &kernel, target);
        }
        self.glow.fill(&self.blurred, self.width, self.height);
        let white = ((1u32 << bits) - 1) as f32;
        let down = smear(exposed.motion_px[1]);
        self.line.resize(self.width.max(self.line.len()), 0.0);
        for y in 0..self.height {
            let line = &mut self.line[..self.width];
            column_blur(&self.blurred, self.width, self.height, y, &kernel, down, line);
            if let Some(filter) = exposed.filter {
                behind(filter, y, exposed.fluorescence, line);
            }
            let noise = self.noise.row(rng.bits(), self.width);
            let flat = &self.flat[y * self.width..(y + 1) * self.width];
            let glow = self.glow.row(y, self.width);
            for (((light, flat), noise), glow) in line.iter_mut().zip(flat).zip(noise).zip(glow) {
                let signal = exposed.black + exposed.gain * flat * (*light + exposed.haze * (glow - *light));
                let electrons = signal.max(0.0) * exposed.full_well;
                let spread = (electrons + exposed.read_noise * exposed.read_noise).sqrt() / exposed.full_well;
                *light = ((signal + spread * noise) * white + 0.5).clamp(0.0, white);
            }
            let place = y * self.width..(y + 1) * self.width;
            match out {
                Samples::Mono8(samples) => {
                    for (sample, value) in samples[place].iter_mut().zip(line) {
                        *sample = *value as u8;
                    }
                }
                Samples::Mono16(samples) => {
                    for (sample, value) in samples[place].iter_mut().zip(line) {
                        *sample = *value as u16;
                    }
                }
            }
        }
    }
}

/// Light that strays: the picture averaged over some dozens of pixels.
#[derive(Debug, Default)]
struct Glow {
    columns: usize,
    rows: usize,
    means: Vec<f32>,
    old: Vec<f32>,
    line: Vec<f32>,
}

/// Side of the squares over which stray light is averaged, in pixels.
const SQUARE: usize = 32;

impl Glow {
    /// Averages a picture over squares, and over their neighbours twice.
    fn fill(&mut self, picture: &[f32], width: usize, height: usize) {
        (self.columns, self.rows) = (width.div_ceil(SQUARE), height.div_ceil(SQUARE));
        self.means.clear();
        self.means.resize(self.columns * self.rows, 0.0);
        for (y, row) in picture.chunks_exact(width).enumerate() {
            let means = &mut self.means[y / SQUARE * self.columns..][..self.columns];
            let tall = SQUARE.min(height - y / SQUARE * SQUARE) as f32;
            for (mean, square) in means.iter_mut().zip(row.chunks(SQUARE)) {
                *mean += square.iter().sum::<f32>() / (square.len() as f32 * tall);
            }
        }
        for _ in 0..2 {
            self.old.clone_from(&self.means);
            for y in 0..self.rows {
                for x in 0..self.columns {
                    let (mut sum, mut count) = (0.0, 0.0);
                    for near in y.saturating_sub(1)..(y + 2).min(self.rows) {
                        for beside in x.saturating_sub(1)..(x + 2).min(self.columns) {
                            sum += self.old[near * self.columns + beside];
                            count += 1.0;
                        }
                    }
                    self.means[y * self.columns + x] = sum / count;
                }
            }
        }
    }

    /// One row of it, between the squares' middles.
    fn row(&mut self, y: usize, width: usize) -> &[f32] {
        let between = |at: usize, squares: usize| {
            let place = ((at as f32 + 0.5) / SQUARE as f32 - 0.5).clamp(0.0, (squares - 1) as f32);
            let i = place as usize;
            (i, (i + 1).min(squares - 1), place - i as f32)
        };
        let (above, below, ty) = between(y, self.rows);
        let at = |x: usize| {
            let (a, b) = (self.means[above * self.columns + x], self.means[below * self.columns + x]);
            a + ty * (b - a)
        };
        self.line.resize(width, 0.0);
        for x in 0..width {
            let (left, right, tx) = between(x, self.columns);
            let (a, b) = (at(left), at(right));
            self.line[x] = a + tx * (b - a);
        }
        &self.line
    }
}

/// `exp(-density)` by nine squarings, within 0.5 % of the light for densities up to 2.5: enough for a picture, the same everywhere, and
/// the compiler makes vectors of it.
fn transmitted(density: f32) -> f32 {
    let mut light = 1.0 - density.clamp(-1.0, 8.0) * (1.0 / 512.0);
    for _ in 0..9 {
        light *= light;
    }
    light
}

/// Half of a symmetric kernel, from its middle; the whole sums to 1. A Gaussian, less a part of one twice as wide
/// where the camera sharpens.
fn point_spread(sigma: f32, sharpen: f32) -> Vec<f32> {
    if sigma < 0.2 {
        return vec![1.0];
    }
    let reach = (sigma * if sharpen > 0.0 { 4.0 } else { 2.6 }) as usize + 1;
    let bell = |k: usize, sigma: f32| libm::expf(-0.5 * (k as f32 / sigma) * (k as f32 / sigma)) / sigma;
    let mut half: Vec<f32> =
        (0..=reach).map(|k| (1.0 + sharpen) * bell(k, sigma) - sharpen * bell(k, 2.0 * sigma)).collect();
    let total = half[0] + 2.0 * half[1..].iter().sum::<f32>();
    half.iter_mut().for_each(|w| *w /= total);
    half
}

/// Convolves a padded line with a symmetric kernel.
fn convolve(padded: &[f32], half: &[f32], out: &mut [f32]) {
    let (reach, n) = (half.len() - 1, out.len());
    for (value, source) in out.iter_mut().zip(&padded[reach..]) {
        *value = half[0] * source;
    }
    for (k, weight) in half.iter().enumerate().skip(1) {
        let (before, after) = (&padded[reach - k..reach - k + n], &padded[reach + k..reach + k + n]);
        for ((value, a), b) in out.iter_mut().zip(before).zip(after) {
            *value += weight * (a + b);
        }
    }
}

/// One row of the vertical blur; `down` further rows are averaged for a stage that moves.
fn column_blur(plane: &[f32], width: usize, height: usize, y: usize, half: &[f32], down: usize, out: &mut [f32]) {
    let row = |at: isize| {
        let at = at.clamp(0, height as isize - 1) as usize;
        &plane[at * width..(at + 1) * width]
    };
    out.fill(0.0);
    let share = 1.0 / (down + 1) as f32;
    for extra in 0..=down {
        let middle = (y + extra) as isize;
        for (value, source) in out.iter_mut().zip(row(middle)) {
            *value += half[0] * share * source;
        }
        for (k, weight) in half.iter().enumerate().skip(1) {
            let weight = weight * share;
            for ((value, a), b) in out.iter_mut().zip(row(middle - k as isize)).zip(row(middle + k as isize)) {
                *value += weight * (a + b);
            }
        }
    }
}

/// Pixels that a motion of `px` smears over, besides the first.
fn smear(px: f32) -> usize {
    (px.abs().min(32.0) + 0.5) as usize
}

/// Averages each sample with the `over` after it.
fn smear_line(line: &mut [f32], over: usize) {
    let last = line[line.len() - 1];
    let share = 1.0 / (over + 1) as f32;
    for i in 0..line.len() {
        let sum: f32 = (i..=i + over).map(|k| line.get(k).copied().unwrap_or(last)).sum();
        line[i] = sum * share;
    }
}

/// A grain of dust on the sensor's window: a soft disc, sometimes with a bright rim.
fn dust(flat: &mut [f32], width: usize, height: usize, rng: &mut SlideRng) {
    let (cx, cy) = (rng.uniform() * width as f32, rng.uniform() * height as f32);
    let radius = rng.between(3.0, 16.0);
    let depth = rng.between(0.01, 0.06);
    let ring = rng.chance(0.4);
    let reach = radius * 1.5;
    for y in (cy - reach).max(0.0) as usize..((cy + reach) as usize).min(height) {
        for x in (cx - reach).max(0.0) as usize..((cx + reach) as usize).min(width) {
            let r = libm::hypotf(x as f32 - cx, y as f32 - cy) / radius;
            let shade = (1.2 - r).clamp(0.0, 0.4) / 0.4;
            let rim = if ring { (1.0 - (r - 1.2).abs() / 0.2).max(0.0) * 0.6 } else { 0.0 };
            flat[y * width + x] *= 1.0 - depth * (shade - rim);
        }
    }
}

/// The texture of the ground and of nuclei belongs to the slide; made here with the other tables.
pub fn slide_texture(seed: u64) -> Texture {
    Texture::new(&mut SlideRng::new(seed, super::stream::TEXTURE))
}
