//! Uneven light: a smooth surface through the levels of the empty parts of a picture.

use super::plane::GrayView;

/// Side of the tiles whose level is looked at, in pixels.
const TILE: usize = 32;

/// A surface of second order: level = c0 + c1 x + c2 y + c3 x^2 + c4 x y + c5 y^2 with x and y from -1 to 1 over the picture.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Background {
    coefficients: [f64; 6],
    width: f64,
    height: f64,
}

/// Scratch of [`Background::estimate`].
#[derive(Debug, Clone, Default)]
pub struct BackgroundScratch {
    tiles: Vec<Tile>,
    levels: Vec<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Tile {
    terms: [f64; 6],
    level: f64,
}

impl Background {
    /// Fits the surface to the bright parts (75th percentile of tiles of 32 x 32 pixels) of a picture whose objects are
    /// darker than the background. Tiles filled by nuclei lie below the surface and lose their weight (Tukey's biweight,
    /// ten rounds). With few usable tiles the surface is level.
    pub fn estimate(input: GrayView<'_>, scratch: &mut BackgroundScratch) -> Self {
        let (w, h) = (input.width(), input.height());
        let surface = Self { width: w as f64, height: h as f64, ..Self::default() };
        scratch.tiles.clear();
        for top in (0..h).step_by(TILE) {
            for left in (0..w).step_by(TILE) {
                let (right, bottom) = ((left + TILE).min(w), (top + TILE).min(h));
                // Every second pixel of every second row is enough for a percentile.
                let mut counts = [0u32; 256];
                let mut n = 0;
                for y in (top..bottom).step_by(2) {
                    for &v in input.row(y)[left..right].iter().step_by(2) {
                        counts[usize::from(v)] += 1;
                        n += 1;
                    }
                }
                let (mut left_over, mut level) = (n / 4, 255);
                while level > 0 && counts[level] <= left_over {
                    left_over -= counts[level];
                    level -= 1;
                }
                let terms = surface.terms((left + right) as f64 / 2.0, (top + bottom) as f64 / 2.0);
                scratch.tiles.push(Tile { terms, level: level as f64 });
            }
        }
        scratch.levels.clear();
        scratch.levels.extend(scratch.tiles.iter().map(|t| t.level));
        scratch.levels.sort_unstable_by(f64::total_cmp);
        let start = scratch.levels[scratch.levels.len() * 7 / 10];
        let mut fitted = Self { coefficients: [start, 0.0, 0.0, 0.0, 0.0, 0.0], ..surface };
        if scratch.tiles.len() < 24 {
            return fitted;
        }
        for round in 0..10 {
            // The reach narrows: first what lies within 40 levels of the start, at last within 10.
            let reach = (40.0 - 4.0 * f64::from(round)).max(10.0);
            let mut normal = [[0.0; 7]; 6];
            let mut weight_sum = 0.0;
            for tile in &scratch.tiles {
                let r = (tile.level - fitted.dot(&tile.terms)) / reach;
                let weight = (1.0 - r * r).max(0.0).powi(2);
                weight_sum += weight;
                for i in 0..6 {
                    for j in 0..6 {
                        normal[i][j] += weight * tile.terms[i] * tile.terms[j];
                    }
                    normal[i][6] += weight * tile.terms[i] * tile.level;
                }
            }
            if weight_sum < scratch.tiles.len() as f64 * 0.15 {
                break;
            }
            match solve(normal) {
                Some(c) => fitted.coefficients = c,
                None => break,
            }
        }
        let mean = fitted.coefficients[0];
        let corners = [(0.0, 0.0), (w as f64, 0.0), (0.0, h as f64), (w as f64, h as f64)];
        // A surface that runs away where no tile held it is worse than none.
        if corners.iter().any(|&(x, y)| {
            let v = fitted.level(x, y);
            !(v > 0.3 * mean && v < 2.0 * mean)
        }) && mean > 20.0
        {
            fitted.coefficients = [start, 0.0, 0.0, 0.0, 0.0, 0.0];
        }
        fitted
    }

    fn terms(&self, x: f64, y: f64) -> [f64; 6] {
        let (u, v) = (2.0 * x / self.width - 1.0, 2.0 * y / self.height - 1.0);
        [1.0, u, v, u * u, u * v, v * v]
    }

    fn dot(&self, terms: &[f64; 6]) -> f64 {
        self.coefficients.iter().zip(terms).map(|(c, t)| c * t).sum()
    }

    /// Level at a place in pixels.
    pub fn level(&self, x: f64, y: f64) -> f64 {
        self.dot(&self.terms(x, y))
    }

    /// Level along row `y` as a quadratic in the column: `a + b x + c x^2`.
    pub(super) fn row(&self, y: usize) -> [f32; 3] {
        let c = &self.coefficients;
        let v = 2.0 * y as f64 / self.height - 1.0;
        let s = 2.0 / self.width;
        // u = s x - 1
        let (p, q, r) = (c[0] + c[2] * v + c[5] * v * v, c[1] + c[4] * v, c[3]);
        [(p - q + r) as f32, (s * (q - 2.0 * r)) as f32, (s * s * r) as f32]
    }
}

/// Gauss elimination with pivots; `None` when singular.
fn solve(mut a: [[f64; 7]; 6]) -> Option<[f64; 6]> {
    for i in 0..6 {
        let pivot = (i..6).max_by(|&p, &q| a[p][i].abs().total_cmp(&a[q][i].abs()))?;
        if a[pivot][i].abs() < 1e-9 {
            return None;
        }
        a.swap(i, pivot);
        let lead = a[i];
        for row in a.iter_mut().skip(i + 1) {
            let f = row[i] / lead[i];
            for (r, l) in row.iter_mut().zip(&lead).skip(i) {
                *r -= f * l;
            }
        }
    }
    let mut x = [0.0; 6];
    for i in (0..6).rev() {
        let known: f64 = (i + 1..6).map(|j| a[i][j] * x[j]).sum();
        x[i] = (a[i][6] - known) / a[i][i];
    }
    x.iter().all(|v| v.is_finite()).then_some(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GrayImage;

    #[test]
    fn vignetting_is_found_in_spite_of_a_large_nucleus() {
        let (w, h) = (640, 480);
        let mut image = GrayImage::new(w, h);
        let light = |x: f64, y: f64| 220.0 - 50.0 * ((x / 320.0 - 1.0).powi(2) + (y / 240.0 - 1.0).powi(2));
        for y in 0..h {
            for x in 0..w {
                let nucleus = (x as f64 - 200.0).hypot(y as f64 - 200.0) < 90.0;
                image.data[y * w + x] = if nucleus { 60 } else { light(x as f64, y as f64) as u8 };
            }
        }
        let b = Background::estimate(image.view().unwrap(), &mut BackgroundScratch::default());
        for (x, y) in [(200.0, 200.0), (600.0, 50.0), (320.0, 240.0)] {
            assert!((b.level(x, y) - light(x, y)).abs() < 6.0, "{} {}", b.level(x, y), light(x, y));
        }
        let [a, s, q] = b.row(50);
        assert!((f64::from(a + s * 600.0 + q * 360_000.0) - b.level(600.0, 50.0)).abs() < 0.5);
    }
}
