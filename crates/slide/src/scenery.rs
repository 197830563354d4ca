//! What else lies on a slide: nuclei, debris, stain deposits, borders of cells, the ground itself.

use domain::Stain;

use super::{
    draw::{PixelBox, Plane},
    random::SlideRng,
    texture::{self, Texture},
};

/// Directions in which a blob's outline is kept.
const RAYS: usize = 64;

/// A blob with an uneven outline: a nucleus, a clump, a speck.
#[derive(Debug, Clone)]
pub struct Blob {
    /// Centre in um on the slide.
    pub centre: [f64; 2],
    /// Distance of the outline by direction in um, the first again at the end.
    outline: Vec<f32>,
    /// Largest of them.
    pub reach: f32,
    /// Density.
    density: f32,
    /// Standard deviation of the texture, relative.
    grain: f32,
    /// Samples of texture a um.
    fineness: f32,
    /// Width over which the edge fades, in um.
    edge: f32,
    /// Bright spots (chromocentres; nucleoli where negative): place relative to the centre, radius, density.
    spots: Vec<([f32; 2], f32, f32)>,
    /// Where in the texture it lies.
    offset: usize,
    /// True for a drop or bubble: a dark rim around a bright middle.
    bubble: bool,
    /// True for an interphase nucleus.
    pub nucleus: bool,
}

fn outline(rng: &mut SlideRng, radius: f32, uneven: f32, stretch: f32) -> Vec<f32> {
    let wave: Vec<(f32, f32)> =
        (2..8).map(|k| (uneven * rng.normal_within(0.0, 1.0) / k as f32, rng.between(0.0, 6.3))).collect();
    let lean = rng.between(0.0, 6.3);
    (0..=RAYS)
        .map(|i| {
            let angle = std::f32::consts::TAU * (i % RAYS) as f32 / RAYS as f32;
            let rough: f32 =
                wave.iter().enumerate().map(|(k, (a, p))| a * libm::cosf((k + 2) as f32 * angle + p)).sum();
            radius * (1.0 + rough + stretch * libm::cosf(2.0 * (angle - lean))).max(0.2)
        })
        .collect()
}

impl Blob {
    fn new(rng: &mut SlideRng, centre: [f64; 2], radius: f32, uneven: f32, stretch: f32, density: f32) -> Self {
        let outline = outline(rng, radius, uneven, stretch);
        let reach = outline.iter().fold(0.0f32, |a, b| a.max(*b));
        Self {
            centre,
            outline,
            reach,
            density,
            grain: 0.1,
            fineness: 11.0,
            edge: 0.15,
            spots: Vec::new(),
            offset: rng.below(1 << 16),
            bubble: false,
            nucleus: false,
        }
    }

    /// An interphase nucleus.
    pub fn nucleus(stain: Stain, centre: [f64; 2], rng: &mut SlideRng) -> Self {
        let (radius, density, grain) = match stain {
            Stain::GBand => (rng.around(6.5, 0.25), rng.between(0.55, 0.95), rng.between(0.1, 0.2)),
            Stain::Giemsa => (rng.around(6.0, 0.2), rng.between(0.9, 2.4), rng.between(0.04, 0.12)),
            Stain::Dapi | Stain::QBand => (rng.around(7.0, 0.2), rng.between(0.35, 0.9), rng.between(0.08, 0.2)),
        };
        let (uneven, stretch) = (rng.between(0.01, 0.05), rng.between(0.0, 0.2));
        let mut blob = Self::new(rng, centre, radius, uneven, stretch, density);
        blob.grain = grain;
        blob.edge = 0.4;
        blob.nucleus = true;
        for _ in 0..rng.below(if stain.is_fluorescence() { 16 } else { 6 }) {
            let out = rng.uniform().sqrt() * radius * 0.8;
            let angle = rng.between(0.0, 6.3);
            let strength = if rng.chance(0.75) { rng.between(0.05, 0.3) } else { rng.between(-0.3, -0.1) };
            let size = if strength > 0.0 { rng.between(0.3, 0.9) } else { rng.between(0.8, 1.8) };
            blob.spots.push(([out * libm::cosf(angle), out * libm::sinf(angle)], size, strength * density));
        }
        blob
    }

    /// A speck of debris or a grain of stain.
    pub fn speck(stain: Stain, centre: [f64; 2], rng: &mut SlideRng) -> Self {
        // A clean G-banded slide has none as large as a chromosome.
        let radius = rng.around(0.22, if stain == Stain::GBand { 0.4 } else { 0.6 });
        if !stain.is_fluorescence() && rng.chance(0.04) {
            let rim = rng.between(0.2, 0.6);
            let mut drop = Self::new(rng, centre, radius.min(0.35) * 2.0, 0.05, 0.0, rim);
            drop.bubble = true;
            return drop;
        }
        let faint = rng.chance(0.6);
        let density = match (stain.is_fluorescence(), faint) {
            (false, true) => rng.between(0.05, 0.3),
            (false, false) => rng.between(0.4, 2.0),
            (true, true) => rng.between(0.02, 0.08),
            (true, false) => rng.between(0.1, 0.6),
        };
        // What lies above the focal plane is large and pale.
        let high = faint && rng.chance(0.3);
        let (size, weak) = if high { (4.0, 0.3) } else { (1.0, 1.0) };
        let (uneven, stretch) = (rng.between(0.0, 0.5), rng.between(0.0, 0.4));
        let mut blob = Self::new(rng, centre, radius * size, uneven, stretch, density * weak);
        blob.edge = if high { radius * 2.5 } else { 0.1 };
        blob
    }

    /// What is left of the cytoplasm around a metaphase: pale, wide, uneven.
    pub fn cytoplasm(stain: Stain, centre: [f64; 2], radius: f32, rng: &mut SlideRng) -> Self {
        let density = if stain.is_fluorescence() { rng.between(0.005, 0.03) } else { rng.between(0.02, 0.09) };
        let mut blob = Self::new(rng, centre, radius, 0.12, 0.1, density);
        blob.edge = radius * 0.3;
        blob.grain = 0.3;
        blob.fineness = 4.0;
        blob
    }

    /// Adds the blob to the plane.
    pub fn draw(&self, plane: &mut Plane, texture: &Texture) -> Option<PixelBox> {
        let scale = (1.0 / plane.um_per_px) as f32;
        let [cx, cy] = plane.pixel(self.centre, [0.0, 0.0]);
        let reach = (self.reach + self.edge) * scale + 1.0;
        let area = PixelBox::clipped(cx - reach, cy - reach, cx + reach, cy + reach, plane.width, plane.height)?;
        let um = plane.um_per_px as f32;
        let soft = (self.edge * scale).max(0.7);
        let least = self.outline.iter().fold(f32::MAX, |a, b| a.min(*b)) * scale - soft;
        for y in area.top..area.bottom {
            let dy = y as f32 + 0.5 - cy;
            for x in area.left..area.right {
                let dx = x as f32 + 0.5 - cx;
                let r = (dx * dx + dy * dy).sqrt();
                if r > reach {
                    continue;
                }
                let cover = if r < least {
                    1.0
                } else {
                    let ray = turn(dx, dy) * RAYS as f32;
                    let k = (ray as usize).min(RAYS - 1);
                    let edge = self.outline[k] + (ray - k as f32) * (self.outline[k + 1] - self.outline[k]);
                    ((edge * scale - r) / soft + 0.5).clamp(0.0, 1.0)
                };
                if cover <= 0.0 {
                    continue;
                }
                let mut density = self.density;
                if self.grain > 0.0 {
                    let (u, v) = ((dx + reach) * um * self.fineness, (dy + reach) * um * self.fineness);
                    density *= 1.0 + self.grain * texture.at(u as usize + self.offset, v as usize + self.offset / 512);
                }
                if self.bubble && r < 0.62 * least {
                    density = -0.4 * self.density;
                }
                for (at, size, strength) in &self.spots {
                    let (ex, ey) = (dx * um - at[0], dy * um - at[1]);
                    let q = 1.0 - (ex * ex + ey * ey) / (size * size);
                    if q > 0.0 {
                        density += strength * q * q;
                    }
                }
                plane.density[y * plane.width + x] += cover * density;
            }
        }
        Some(area)
    }
}

/// Direction of a vector as a part of a full turn, 0 to 1, to about 1/500 turn.
fn turn(dx: f32, dy: f32) -> f32 {
    let (ax, ay) = (dx.abs(), dy.abs());
    let t = if ax > ay { ay / ax } else { ax / ay.max(1e-9) };
    let eighth = t * (0.125 + 0.0345 * (1.0 - t));
    let quarter = if ax > ay { eighth } else { 0.25 - eighth };
    let half = if dx < 0.0 { 0.5 - quarter } else { quarter };
    if dy < 0.0 { 1.0 - half } else { half }
}

/// A faint line: the border of a burst cell, a scratch, a fibre.
#[derive(Debug, Clone)]
pub struct Border {
    points: Vec<[f64; 2]>,
    width: f32,
    density: f32,
}

impl Border {
    /// A wandering line through `start`.
    pub fn new(start: [f64; 2], stain: Stain, rng: &mut SlideRng) -> Self {
        let mut heading = rng.between(0.0, 6.3);
        let mut at = start;
        let turn = rng.normal(0.0, 0.06);
        let points = (0..40)
            .map(|_| {
                heading += turn + rng.normal(0.0, 0.15);
                at = [at[0] + 2.0 * f64::from(libm::cosf(heading)), at[1] + 2.0 * f64::from(libm::sinf(heading))];
                at
            })
            .collect();
        let density = if stain.is_fluorescence() { rng.between(0.003, 0.01) } else { rng.between(0.02, 0.07) };
        Self { points, width: rng.between(0.4, 2.0), density }
    }

    /// Adds the line to the plane.
    pub fn draw(&self, plane: &mut Plane, texture: &Texture) {
        let scale = (1.0 / plane.um_per_px) as f32;
        let width = (self.width * scale).max(0.7);
        for (i, pair) in self.points.windows(2).enumerate() {
            let (a, b) = (plane.pixel(pair[0], [0.0, 0.0]), plane.pixel(pair[1], [0.0, 0.0]));
            let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
            let length2 = (dx * dx + dy * dy).max(1e-6);
            let Some(area) = PixelBox::clipped(
                a[0].min(b[0]) - width,
                a[1].min(b[1]) - width,
                a[0].max(b[0]) + width,
                a[1].max(b[1]) + width,
                plane.width,
                plane.height,
            ) else {
                continue;
            };
            let strength = self.density * (1.0 + 0.5 * texture.at(i * 11, 3));
            for y in area.top..area.bottom {
                for x in area.left..area.right {
                    let (px, py) = (x as f32 + 0.5 - a[0], y as f32 + 0.5 - a[1]);
                    let t = (px * dx + py * dy) / length2;
                    // Each segment answers for its own stretch, so that joints are not drawn twice.
                    if !(0.0..1.0).contains(&t) {
                        continue;
                    }
                    let (ex, ey) = (px - t * dx, py - t * dy);
                    let q = 1.0 - (ex * ex + ey * ey) / (width * width);
                    if q > 0.0 {
                        plane.density[y * plane.width + x] += strength * q;
                    }
                }
            }
        }
    }
}

/// Fills the plane with the ground: cytoplasm and dried fixative, uneven over some um with standard deviation `depth`,
/// and curdled over parts of a um with `fine`.
pub fn ground(plane: &mut Plane, texture: &Texture, level: f32, depth: f32, fine: f32) {
    const CELL: usize = 8;
    let (columns, rows) = (plane.width.div_ceil(CELL) + 1, plane.height.div_ceil(CELL) + 1);
    let line = |row: usize| -> Vec<f32> {
        let y = plane.top + (row * CELL) as f64 * plane.um_per_px;
        (0..columns)
            .map(|column| {
                let x = plane.left + (column * CELL) as f64 * plane.um_per_px;
                let far = texture.smooth(x * 0.6, y * 0.6);
                let near = texture.smooth(x * 2.3 + 77.0, y * 2.3 + 31.0);
                (level + depth * (0.8 * far + 0.4 * near)).max(0.0)
            })
            .collect()
    };
    let mut above = line(0);
    for row in 0..rows - 1 {
        let below = line(row + 1);
        for y in row * CELL..((row + 1) * CELL).min(plane.height) {
            let ty = (y % CELL) as f32 / CELL as f32;
            let out = &mut plane.density[y * plane.width..(y + 1) * plane.width];
            for (column, cell) in out.chunks_mut(CELL).enumerate() {
                let a = above[column] + ty * (below[column] - above[column]);
                let b = above[column + 1] + ty * (below[column + 1] - above[column + 1]);
                let step = (b - a) / CELL as f32;
                for (i, value) in cell.iter_mut().enumerate() {
                    *value = a + step * i as f32;
                }
            }
            if fine > 0.0 {
                curdle(out, plane.left, plane.top + y as f64 * plane.um_per_px, plane.um_per_px, texture, fine);
            }
        }
        above = below;
    }
}

/// Adds fine texture to a row of ground. Samples of texture are taken as they lie, for speed.
fn curdle(row: &mut [f32], left: f64, top: f64, um_per_px: f64, texture: &Texture, fine: f32) {
    const FINENESS: f64 = 9.0;
    let wrap = |um: f64| libm::floor(um * FINENESS).rem_euclid(texture::SIDE as f64) as f32;
    let (mut x, y, step) = (wrap(left), wrap(top) as usize, (um_per_px * FINENESS) as f32);
    for value in row {
        *value += fine * texture.at(x as usize, y);
        x += step;
    }
}
