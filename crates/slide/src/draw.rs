//! Draws chromosomes into a plane of optical density, each within its own box.

use super::{
    shape::{STEP, Shape},
    texture::Texture,
};

/// A plane of optical density (bright field) or brightness (fluorescence), and where it lies on the slide.
#[derive(Debug, Default)]
pub struct Plane {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Row by row.
    pub density: Vec<f32>,
    /// Left edge on the slide in um.
    pub left: f64,
    /// Top edge on the slide in um.
    pub top: f64,
    /// Pixel size in um.
    pub um_per_px: f64,
}

impl Plane {
    /// Pixel coordinates of a place in um relative to `centre` on the slide.
    pub fn pixel(&self, centre: [f64; 2], place: [f32; 2]) -> [f32; 2] {
        [
            ((centre[0] + f64::from(place[0]) - self.left) / self.um_per_px) as f32,
            ((centre[1] + f64::from(place[1]) - self.top) / self.um_per_px) as f32,
        ]
    }
}

/// A box of whole pixels inside a plane: left, top, right, bottom (exclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelBox {
    /// Left edge.
    pub left: usize,
    /// Top edge.
    pub top: usize,
    /// Exclusive right edge.
    pub right: usize,
    /// Exclusive bottom edge.
    pub bottom: usize,
}

impl PixelBox {
    /// The part of a box of real coordinates that lies in `width` x `height`; none when empty.
    pub fn clipped(left: f32, top: f32, right: f32, bottom: f32, width: usize, height: usize) -> Option<Self> {
        let clip = |v: f32, most: usize| v.clamp(0.0, most as f32) as usize;
        let b = Self {
            left: clip(libm::floorf(left), width),
            top: clip(libm::floorf(top), height),
            right: clip(libm::ceilf(right), width),
            bottom: clip(libm::ceilf(bottom), height),
        };
        (b.left < b.right && b.top < b.bottom).then_some(b)
    }
}

/// Draws chromosomes; its scratch memory is used again and again.
#[derive(Debug, Default)]
pub struct Pen {
    nearest: Vec<f32>,
    along: Vec<f32>,
    patch: Vec<f32>,
}

/// Part of the chromosome's own lightest density from which a pixel belongs to it.
const EDGE: f32 = 0.35;
/// Samples of texture a um: of the grain of chromatin, and of the raggedness of its edge.
const GRAIN: f32 = 12.0;
/// See [`GRAIN`].
const FUZZ: f32 = 40.0;

impl Pen {
    /// Adds a chromosome of the cell at `centre` to the plane, and calls `each` for every pixel that belongs to it. Gives the
    /// smallest box of these pixels; none when it lies outside.
    pub fn chromosome(
        &mut self,
        plane: &mut Plane,
        centre: [f64; 2],
        shape: &Shape,
        texture: &Texture,
        mut each: impl FnMut(usize),
    ) -> Option<PixelBox> {
        let scale = (1.0 / plane.um_per_px) as f32;
        let um = plane.um_per_px as f32;
        let surface = shape.surface;
        let waver = surface.waver / STEP;
        let soft = (surface.soft * scale).max(1.0);
        let mut corners = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
        for p in shape.chromatids.iter().flatten() {
            let [x, y] = plane.pixel(centre, *p);
            corners = [corners[0].min(x), corners[1].min(y), corners[2].max(x), corners[3].max(y)];
        }
        let widest = shape.profile.girth.iter().fold(0.0f32, |a, b| a.max(*b)) * scale;
        let margin = widest * (1.0 + 2.5 * surface.fuzz) + 1.0 + soft;
        let area = PixelBox::clipped(
            corners[0] - margin,
            corners[1] - margin,
            corners[2] + margin,
            corners[3] + margin,
            plane.width,
            plane.height,
        )?;
        let (w, h) = (area.right - area.left, area.bottom - area.top);
        self.patch.clear();
        self.patch.resize(w * h, 0.0);
        for (side, chromatid) in shape.chromatids.iter().enumerate() {
            self.trace(plane, centre, chromatid, area, margin);
            let profile = &shape.profile;
            let last = profile.girth.len() - 1;
            let (points, lead) = ((chromatid.len() - 1) as f32, profile.lead / shape.length);
            let to_sample = last as f32 / (points * (1.0 + 2.0 * lead));
            let beyond = lead * points;
            for y in 0..h {
                let v = (y as f32 * um * FUZZ) as usize + side * 131;
                for x in 0..w {
                    let i = y * w + x;
                    let d2 = self.nearest[i];
                    if d2 == f32::MAX {
                        continue;
                    }
                    let ragged = texture.at((x as f32 * um * FUZZ) as usize + shape.grain, v + shape.grain / 512);
                    let along = self.along[i].clamp(-beyond, points + beyond) + beyond;
                    let at = (along * to_sample + ragged * waver).clamp(0.0, last as f32);
                    let k = (at as usize).min(last);
                    let (f, next) = (at - k as f32, (k + 1).min(last));
                    let girth = (profile.girth[k] + f * (profile.girth[next] - profile.girth[k])) * scale;
                    let girth = girth * (1.0 + surface.fuzz * ragged);
                    let distance = d2.sqrt();
                    let cover = ((girth - distance) / soft + 0.5).clamp(0.0, 1.0).min(2.0 * girth);
                    if cover <= 0.0 {
                        continue;
                    }
                    let q = distance / girth.max(0.5);
                    let body = 1.0 - surface.edge_loss * (1.0 - (1.0 - q * q).max(0.0).sqrt());
                    let density = profile.density[k] + f * (profile.density[next] - profile.density[k]);
                    let value = cover * body * density;
                    let old = self.patch[i];
                    // The second chromatid lies beside the first, hardly upon it.
                    self.patch[i] = if side == 0 { value } else { value.max(old) + surface.upon * value.min(old) };
                }
            }
        }
        let level = shape.profile.density.iter().fold(f32::MAX, |a, b| a.min(*b)) * EDGE;
        let mut found = PixelBox { left: usize::MAX, top: usize::MAX, right: 0, bottom: 0 };
        for y in 0..h {
            let row = (y + area.top) * plane.width + area.left;
            let v = (y as f32 * um * GRAIN) as usize + shape.grain / 512;
            for x in 0..w {
                let value = self.patch[y * w + x];
                if value <= 0.0 {
                    continue;
                }
                // Chromatin is grainy.
                let grain = 1.0 + surface.grain * texture.at((x as f32 * um * GRAIN) as usize + shape.grain, v);
                plane.density[row + x] += value * grain;
                if value > level {
                    found.left = found.left.min(area.left + x);
                    found.right = found.right.max(area.left + x + 1);
                    found.top = found.top.min(area.top + y);
                    found.bottom = area.top + y + 1;
                    each(row + x);
                }
            }
        }
        (found.left < found.right).then_some(found)
    }

    /// For each pixel of the area: squared distance to the line, and where along it (in points) the nearest place is; beyond the ends,
    /// how far beyond.
    fn trace(&mut self, plane: &Plane, centre: [f64; 2], line: &[[f32; 2]], area: PixelBox, reach: f32) {
        let (w, h) = (area.right - area.left, area.bottom - area.top);
        self.nearest.clear();
        self.nearest.resize(w * h, f32::MAX);
        self.along.resize(w * h, 0.0);
        let offset = [area.left as f32 - 0.5, area.top as f32 - 0.5];
        let mut a = plane.pixel(centre, line[0]);
        for (k, point) in line.iter().enumerate().skip(1) {
            let b = plane.pixel(centre, *point);
            let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
            let low = if k == 1 { f32::MIN } else { 0.0 };
            let high = if k + 1 == line.len() { f32::MAX } else { 1.0 };
            let inverse = 1.0 / (dx * dx + dy * dy).max(1e-6);
            let local = PixelBox::clipped(
                a[0].min(b[0]) - reach - offset[0],
                a[1].min(b[1]) - reach - offset[1],
                a[0].max(b[0]) + reach - offset[0],
                a[1].max(b[1]) + reach - offset[1],
                w,
                h,
            );
            if let Some(local) = local {
                for y in local.top..local.bottom {
                    let py = y as f32 + offset[1] + 1.0 - a[1];
                    let row = y * w;
                    let nearest = &mut self.nearest[row + local.left..row + local.right];
                    let along = &mut self.along[row + local.left..row + local.right];
                    for (x, (near, place)) in nearest.iter_mut().zip(along).enumerate() {
                        let px = (x + local.left) as f32 + offset[0] + 1.0 - a[0];
                        let free = (px * dx + py * dy) * inverse;
                        let t = free.clamp(0.0, 1.0);
                        let (ex, ey) = (px - t * dx, py - t * dy);
                        let d2 = ex * ex + ey * ey;
                        let closer = d2 < *near;
                        *near = if closer { d2 } else { *near };
                        *place = if closer { (k - 1) as f32 + free.clamp(low, high) } else { *place };
                    }
                }
            }
            a = b;
        }
        let limit = reach * reach;
        for near in &mut self.nearest {
            if *near > limit {
                *near = f32::MAX;
            }
        }
    }
}
