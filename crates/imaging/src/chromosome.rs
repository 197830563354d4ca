//! One chromosome in a crop of a frame: its mask, axis, middle line and holes.

use super::{
    axis::{AxisScratch, MedialAxis},
    components::Components,
    contour::fill_rings,
    histogram::Histogram,
    plane::Rect,
};

/// A background darker than this belongs to fluorescence.
const DARK_BACKGROUND: u8 = 110;

/// A grey crop around one chromosome.
#[derive(Debug, Clone, PartialEq)]
pub struct Crop {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Grey samples, row by row.
    pub pixels: Vec<u8>,
    /// Non-zero where the chromosome is; empty when it was not cut out (then the dark or bright object in the middle is
    /// taken).
    pub mask: Vec<u8>,
    /// True for bright chromosomes on a dark background (fluorescence).
    pub bright: bool,
}

/// The chromosome of a crop, cut out: dark on a light background.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChromosomeMask {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Grey samples, row by row; the chromosome is dark.
    pub grey: Vec<u8>,
    /// 1 where the chromosome is, else 0.
    pub mask: Vec<u8>,
}

impl Crop {
    /// A crop without mask. The tone at its edge decides whether it shows bright chromosomes on a dark background.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Self {
        let mut edge: Vec<u8> = Vec::with_capacity(2 * (width + height));
        for (y, row) in pixels.chunks_exact(width.max(1)).enumerate() {
            match row {
                [first, .., last] if y > 0 && y + 1 < height => edge.extend([first, last]),
                row => edge.extend(row),
            }
        }
        let middle = edge.len() / 2;
        let bright = !edge.is_empty() && *edge.select_nth_unstable(middle).1 < DARK_BACKGROUND;
        Self { width, height, pixels, mask: Vec::new(), bright }
    }

    /// The same with the chromosome's outline as mask: closed lines in pixels of a frame of which the crop's first pixel is
    /// (`left`, `top`). Lines that enclose no pixel leave it without mask.
    #[must_use]
    pub fn within(mut self, rings: &[Vec<[f32; 2]>], left: usize, top: usize) -> Self {
        let bounds = Rect { left, top, right: left + self.width, bottom: top + self.height };
        let mask = fill_rings(rings, bounds);
        if mask.contains(&1) {
            self.mask = mask;
        }
        self
    }

    /// Its samples with the chromosome dark.
    pub(super) fn dark_on_light(&self) -> Vec<u8> {
        if self.bright { self.pixels.iter().map(|p| 255 - p).collect() } else { self.pixels.clone() }
    }

    /// Cuts the chromosome out, by its mask or as the dark object in the middle; none for a crop of no size.
    pub fn chromosome_mask(&self) -> Option<ChromosomeMask> {
        let area = self.width.checked_mul(self.height)?;
        if area == 0 || self.pixels.len() != area {
            return None;
        }
        let grey = self.dark_on_light();
        let mask = if self.mask.len() == area {
            self.mask.iter().map(|m| u8::from(*m > 0)).collect()
        } else {
            middle_object(&grey, self.width, self.height)
        };
        Some(ChromosomeMask { width: self.width, height: self.height, grey, mask })
    }
}

impl ChromosomeMask {
    /// Places of its pixels: column and row.
    pub fn inside(&self) -> impl Iterator<Item = (usize, usize)> {
        let rows = self.mask.chunks_exact(self.width.max(1)).enumerate();
        rows.flat_map(|(y, row)| row.iter().enumerate().filter(|(_, m)| **m > 0).map(move |(x, _)| (x, y)))
    }

    /// Number of its pixels.
    pub fn area(&self) -> usize {
        self.mask.iter().filter(|m| **m > 0).count()
    }

    /// Its centre and the angle of its long axis from the vertical, clockwise, in radians.
    pub fn axis(&self) -> Option<((f32, f32), f32)> {
        let (n, sum_x, sum_y) =
            self.inside().fold((0, 0, 0), |(n, sum_x, sum_y), (x, y)| (n + 1, sum_x + x, sum_y + y));
        if n == 0 {
            return None;
        }
        let (cx, cy) = (sum_x as f64 / n as f64, sum_y as f64 / n as f64);
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        for (x, y) in self.inside().map(|(x, y)| (x as f64, y as f64)) {
            xx += (x - cx).powi(2);
            xy += (x - cx) * (y - cy);
            yy += (y - cy).powi(2);
        }
        // Direction of the long axis from the horizontal, y down; then from the vertical.
        let from_horizontal = 0.5 * (2.0 * xy).atan2(xx - yy);
        let mut angle = from_horizontal + std::f64::consts::FRAC_PI_2;
        if angle > std::f64::consts::FRAC_PI_2 {
            angle -= std::f64::consts::PI;
        }
        Some(((cx as f32, cy as f32), angle as f32))
    }

    /// The line along its middle, following its bends; none where the chromosome is about as wide as long.
    pub fn middle_line(&self) -> Option<MedialAxis> {
        let mut axis = MedialAxis::default();
        let bounds = Rect { left: 0, top: 0, right: self.width, bottom: self.height };
        axis.trace(&self.mask, bounds, &mut AxisScratch::default());
        let (first, last) = (axis.points.first()?, axis.points.last()?);
        let widest = axis.widths.iter().copied().fold(0.0, f32::max);
        let apart = (first[0] - last[0]).hypot(first[1] - last[1]);
        (apart >= widest && axis.length >= 2.0 * widest).then_some(axis)
    }

    /// Whether it reaches no edge of the crop and fills it: nearer to each side than `margin` pixels. Else a neighbour
    /// hangs on to it, or a part is missing.
    pub fn is_apart(&self, margin: f32) -> bool {
        let (mut left, mut right, mut top, mut bottom) = (self.width, 0, self.height, 0);
        for (x, y) in self.inside() {
            (left, right, top, bottom) = (left.min(x), right.max(x + 1), top.min(y), bottom.max(y + 1));
        }
        let sides = [left, top, self.width.saturating_sub(right), self.height.saturating_sub(bottom)];
        sides.iter().all(|side| *side > 0 && *side as f32 <= margin)
    }

    /// Area of the largest hole that it encloses, in units of its own area.
    pub fn hole(&self) -> f32 {
        let mut free = Components::default();
        free.find_background(&self.mask, self.width);
        let open = |r: Rect| r.left == 0 || r.top == 0 || r.right == self.width || r.bottom == self.height;
        let holes = (0..free.len()).filter(|&i| !open(free.bounds(i)));
        holes.map(|i| free.area(i)).max().unwrap_or(0) as f32 / self.area().max(1) as f32
    }

    /// Darkness at the pixel nearest to a place (255 - grey); none outside.
    pub fn darkness(&self, x: f32, y: f32) -> Option<f32> {
        if x <= -0.5 || y <= -0.5 {
            return None;
        }
        let (x, y) = ((x + 0.5) as u32 as usize, (y + 0.5) as u32 as usize);
        if x >= self.width || y >= self.height {
            return None;
        }
        let i = y * self.width + x;
        (self.mask[i] > 0).then(|| 255.0 - f32::from(self.grey[i]))
    }
}

/// The dark object nearest to the middle: clearly darker than the background, connected, a pixel grown.
fn middle_object(grey: &[u8], width: usize, height: usize) -> Vec<u8> {
    let dark = darker_than_background(grey);
    let middle = (width as f32 / 2.0, height as f32 / 2.0);
    let from_middle = |i: usize| ((i % width) as f32 - middle.0).powi(2) + ((i / width) as f32 - middle.1).powi(2);
    let seeds = (0..dark.len()).filter(|&i| dark[i] > 0);
    let Some(seed) = seeds.min_by(|a, b| from_middle(*a).total_cmp(&from_middle(*b))) else {
        return vec![1; grey.len()];
    };
    let mut components = Components::default();
    components.find_4_connected(&dark, width);
    let mut object = vec![0; dark.len()];
    if let Some(found) = components.at(seed % width, seed / width) {
        components.fill(found, &mut object, width, 1);
    }
    grow(&mut object, width, |_| true);
    object
}

/// Adds those neighbours (above, below, beside) of a mask's pixels that are wanted.
pub(super) fn grow(mask: &mut [u8], width: usize, wanted: impl Fn(usize) -> bool) {
    let height = mask.len() / width.max(1);
    let beside = |i: usize| {
        let (x, y) = (i % width, i / width);
        (x > 0 && mask[i - 1] > 0)
            || (x + 1 < width && mask[i + 1] > 0)
            || (y > 0 && mask[i - width] > 0)
            || (y + 1 < height && mask[i + width] > 0)
    };
    let added: Vec<usize> = (0..mask.len()).filter(|&i| mask[i] == 0 && wanted(i) && beside(i)).collect();
    added.into_iter().for_each(|i| mask[i] = 1);
}

/// Marks everything clearly darker than the background: light bands belong to the chromosome too.
pub(super) fn darker_than_background(grey: &[u8]) -> Vec<u8> {
    let histogram = Histogram::of(grey);
    let at = |share: f32| {
        let rank = (grey.len().saturating_sub(1) as f32 * share) as u64;
        let mut below = 0;
        let level = histogram.counts().iter().position(|n| {
            below += u64::from(*n);
            below > rank
        });
        level.unwrap_or(0) as f32
    };
    let (dark, background) = (at(0.05), at(0.95));
    let threshold = (background - 0.3 * (background - dark)) as u8;
    grey.iter().map(|g| u8::from(*g <= threshold)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crop of `rows`: `#` is dark.
    fn drawn(rows: &[&str]) -> Crop {
        let pixels = rows.iter().flat_map(|row| row.bytes().map(|b| if b == b'#' { 20 } else { 240 })).collect();
        Crop { width: rows[0].len(), height: rows.len(), pixels, mask: Vec::new(), bright: false }
    }

    #[test]
    fn the_object_in_the_middle_is_taken_and_what_meets_it_at_a_corner_alone_is_not() {
        let crop = drawn(&["#......", ".......", "...#...", "...#...", "....##.", ".......", "......."]);
        let object = crop.chromosome_mask().unwrap();
        assert_eq!(object.area(), 8, "two pixels and their neighbours");
        assert_eq!(object.darkness(3.0, 2.0), Some(235.0));
        assert_eq!(object.darkness(5.0, 4.0), None);
    }

    #[test]
    fn a_hole_is_what_does_not_reach_the_edge() {
        let mask = |rows: &[&str]| {
            let mask = rows.iter().flat_map(|row| row.bytes().map(|b| u8::from(b == b'#'))).collect();
            Crop { mask, ..drawn(rows) }.chromosome_mask().unwrap().hole()
        };
        assert_eq!(mask(&["####", "#..#", "####"]), 0.2);
        assert_eq!(mask(&["####", "#...", "####"]), 0.0);
    }

    #[test]
    fn a_crop_without_pixels_has_no_chromosome() {
        let crop = Crop { width: 3, height: 3, pixels: vec![0; 8], mask: Vec::new(), bright: false };
        assert!(crop.chromosome_mask().is_none());
    }
}
