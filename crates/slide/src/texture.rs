//! Tables of noise, made once: a tile of smooth texture and a strip of white noise.

use super::random::SlideRng;

/// Samples a side of the tile.
pub const SIDE: usize = 512;
const STRIP: usize = 1 << 16;

/// A tile of band-limited noise that repeats without a seam; mean 0, standard deviation 1.
#[derive(Debug)]
pub struct Texture(Vec<f32>);

impl Texture {
    /// A tile with detail from 3 to 48 samples, the coarse stronger than the fine.
    pub fn new(rng: &mut SlideRng) -> Self {
        let mut tile = vec![0.0f32; SIDE * SIDE];
        for (cell, weight) in [(64usize, 0.8f32), (32, 0.8), (16, 0.7), (8, 0.6), (4, 0.45)] {
            let n = SIDE / cell;
            let knots: Vec<f32> = (0..n * n).map(|_| weight * rng.normal(0.0, 1.0)).collect();
            let ease: Vec<f32> = (0..cell)
                .map(|i| {
                    let t = i as f32 / cell as f32;
                    t * t * (3.0 - 2.0 * t)
                })
                .collect();
            for y in 0..SIDE {
                let (ky, ty) = (y / cell, ease[y % cell]);
                let (top, bottom) = (ky * n, (ky + 1) % n * n);
                for x in 0..SIDE {
                    let (kx, tx) = (x / cell, ease[x % cell]);
                    let right = (kx + 1) % n;
                    let a = knots[top + kx] + tx * (knots[top + right] - knots[top + kx]);
                    let b = knots[bottom + kx] + tx * (knots[bottom + right] - knots[bottom + kx]);
                    tile[y * SIDE + x] += a + ty * (b - a);
                }
            }
        }
        let n = tile.len() as f32;
        let mean = tile.iter().sum::<f32>() / n;
        let sd = (tile.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n).sqrt().max(1e-6);
        tile.iter_mut().for_each(|v| *v = (*v - mean) / sd);
        Self(tile)
    }

    /// The value at a sample; coordinates wrap around.
    pub fn at(&self, x: usize, y: usize) -> f32 {
        self.0[(y % SIDE) * SIDE + x % SIDE]
    }

    /// The value between samples; coordinates wrap around and may be negative.
    pub fn smooth(&self, x: f64, y: f64) -> f32 {
        let (fx, fy) = (libm::floor(x), libm::floor(y));
        let (tx, ty) = ((x - fx) as f32, (y - fy) as f32);
        let (ix, iy) = ((fx as i64).rem_euclid(SIDE as i64) as usize, (fy as i64).rem_euclid(SIDE as i64) as usize);
        let a = self.at(ix, iy) + tx * (self.at(ix + 1, iy) - self.at(ix, iy));
        let b = self.at(ix, iy + 1) + tx * (self.at(ix + 1, iy + 1) - self.at(ix, iy + 1));
        a + ty * (b - a)
    }
}

/// A strip of white Gaussian noise, mean 0, standard deviation 1, to start reading at any place.
#[derive(Debug)]
pub struct WhiteNoise(Vec<f32>);

impl WhiteNoise {
    /// Noise for rows of up to `longest` samples.
    pub fn new(rng: &mut SlideRng, longest: usize) -> Self {
        let mut strip: Vec<f32> = (0..STRIP).map(|_| rng.normal(0.0, 1.0)).collect();
        strip.extend_from_within(..longest.min(STRIP));
        while strip.len() < STRIP + longest {
            strip.push(rng.normal(0.0, 1.0));
        }
        Self(strip)
    }

    /// `length` samples from a place that `bits` chooses.
    pub fn row(&self, bits: u32, length: usize) -> &[f32] {
        let start = bits as usize % STRIP;
        &self.0[start..start + length]
    }
}
