//! One chromosome cut out and turned upright.

use crate::imaging::{AxisScratch, BACKGROUND, GrayImage, MedialAxis, Rect};

/// A grey crop around one chromosome, as recognition cut it.
#[derive(Debug, Clone, PartialEq)]
pub struct Crop {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Grey samples, row by row.
    pub pixels: Vec<u8>,
    /// Non-zero where the chromosome is; empty when it was not cut out (then the dark or bright piece in the middle
    /// is taken).
    pub mask: Vec<u8>,
    /// True for bright chromosomes on dark ground (fluorescence); they are printed dark on white.
    pub bright: bool,
}

/// Ground darker than this belongs to fluorescence.
const DARK_GROUND: u8 = 110;

/// A chromosome upright, dark on white, with its outline as alpha.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Upright {
    pub width: usize,
    pub height: usize,
    /// Grey and alpha, interleaved.
    pub samples: Vec<u8>,
}

/// The chromosome of a crop, cut out: dark on light.
pub(crate) struct Piece {
    width: usize,
    height: usize,
    grey: Vec<u8>,
    mask: Vec<bool>,
}

impl Crop {
    /// A crop without mask. Bright chromosomes on dark ground are told by the tone at its edge.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Self {
        let at_edge = |i: &usize| {
            let (x, y) = (i % width, i / width);
            x == 0 || y == 0 || x + 1 == width || y + 1 == height
        };
        let mut edge: Vec<u8> = (0..pixels.len()).filter(at_edge).map(|i| pixels[i]).collect();
        edge.sort_unstable();
        let bright = edge.get(edge.len() / 2).is_some_and(|tone| *tone < DARK_GROUND);
        Self { width, height, pixels, mask: Vec::new(), bright }
    }

    /// Where it is clearly darker than the ground.
    pub(super) fn dark(&self) -> Vec<bool> {
        let tone = |p: &u8| if self.bright { 255 - p } else { *p };
        let grey: Vec<u8> = self.pixels.iter().map(tone).collect();
        let threshold = ground_level(&grey);
        grey.iter().map(|g| *g <= threshold).collect()
    }

    /// Cuts the chromosome out, by its mask or as the dark piece in the middle; none for a crop of no size.
    pub(crate) fn piece(&self) -> Option<Piece> {
        let area = self.width.checked_mul(self.height)?;
        if area == 0 || self.pixels.len() != area {
            return None;
        }
        let grey: Vec<u8> =
            if self.bright { self.pixels.iter().map(|p| 255 - p).collect() } else { self.pixels.clone() };
        let mask = if self.mask.len() == area {
            self.mask.iter().map(|m| *m > 0).collect()
        } else {
            piece_in_the_middle(&grey, self.width, self.height)
        };
        Some(Piece { width: self.width, height: self.height, grey, mask })
    }
}

impl Piece {
    /// Its pixels.
    pub fn inside(&self) -> impl Iterator<Item = (f32, f32)> {
        let places = self.mask.iter().enumerate().filter(|(_, m)| **m);
        places.map(|(i, _)| ((i % self.width) as f32, (i / self.width) as f32))
    }

    /// Number of its pixels.
    pub fn area(&self) -> usize {
        self.mask.iter().filter(|m| **m).count()
    }

    /// Its centre and the angle of its long axis from the vertical, clockwise, in radians.
    pub fn axis(&self) -> Option<((f32, f32), f32)> {
        axis(&self.mask, self.width)
    }

    /// The line along its middle, following its bends; none where the piece is about as wide as long.
    pub fn middle_line(&self) -> Option<MedialAxis> {
        let mask: Vec<u8> = self.mask.iter().map(|m| u8::from(*m)).collect();
        let mut axis = MedialAxis::default();
        let bounds = Rect { left: 0, top: 0, right: self.width, bottom: self.height };
        axis.trace(&mask, bounds, &mut AxisScratch::default());
        let (first, last) = (axis.points.first()?, axis.points.last()?);
        let widest = axis.widths.iter().copied().fold(0.0, f32::max);
        let apart = (first[0] - last[0]).hypot(first[1] - last[1]);
        (apart >= widest && axis.length >= 2.0 * widest).then_some(axis)
    }

    /// Whether it reaches no edge of the crop and fills it: nearer to each side than `margin` pixels. Else a neighbour hangs on
    /// to it, or a part is missing.
    pub fn is_apart(&self, margin: f32) -> bool {
        let (mut left, mut right, mut top, mut bottom) = (self.width, 0, self.height, 0);
        for (i, _) in self.mask.iter().enumerate().filter(|(_, m)| **m) {
            let (x, y) = (i % self.width, i / self.width);
            (left, right, top, bottom) = (left.min(x), right.max(x + 1), top.min(y), bottom.max(y + 1));
        }
        let sides = [left, top, self.width.saturating_sub(right), self.height.saturating_sub(bottom)];
        sides.iter().all(|side| *side > 0 && *side as f32 <= margin)
    }

    /// Area of the largest hole that it encloses, in units of its own area.
    pub fn hole(&self) -> f32 {
        let mut seen = self.mask.clone();
        let mut largest = 0;
        // What is open to the edge is no hole.
        let mut stack = Vec::new();
        for start in 0..seen.len() {
            if seen[start] {
                continue;
            }
            seen[start] = true;
            stack.push(start);
            let (mut size, mut open) = (0_usize, false);
            while let Some(i) = stack.pop() {
                size += 1;
                let (x, y) = (i % self.width, i / self.width);
                open |= x == 0 || y == 0 || x + 1 == self.width || y + 1 == self.height;
                for j in neighbours(i, self.width, self.height) {
                    if !seen[j] {
                        seen[j] = true;
                        stack.push(j);
                    }
                }
            }
            if !open {
                largest = largest.max(size);
            }
        }
        largest as f32 / self.area().max(1) as f32
    }

    /// Darkness at a place (255 - grey); none outside.
    pub fn darkness(&self, x: f32, y: f32) -> Option<f32> {
        let (x, y) = (x.round(), y.round());
        if x < 0.0 || y < 0.0 || x as usize >= self.width || y as usize >= self.height {
            return None;
        }
        let i = y as usize * self.width + x as usize;
        self.mask[i].then(|| 255.0 - f32::from(self.grey[i]))
    }
}

impl Upright {
    /// Turns the crop clockwise by `degrees`; none: so that its long axis stands.
    pub fn of(crop: &Crop, degrees: Option<f32>) -> Option<Self> {
        let piece = crop.piece()?;
        let (centre, axis) = piece.axis()?;
        // The angle was measured on the piece in the middle of the box; one that was cut out better stands by its own axis, the
        // same end up.
        let upside_down = degrees.is_some_and(|d| (d.to_radians() + axis).cos() < 0.0);
        let turn = if upside_down { std::f32::consts::PI - axis } else { -axis };
        Some(turned(&piece.grey, &piece.mask, piece.width, piece.height, centre, turn))
    }

    /// Unbent along its middle line, the end up that `degrees` (clockwise) would bring up; none: the upper one. What has
    /// no such line is only turned.
    pub fn straight(crop: &Crop, degrees: Option<f32>) -> Option<Self> {
        let piece = crop.piece()?;
        let (width, height) = (piece.width, piece.height);
        let Some(axis) = piece.middle_line() else { return Self::of(crop, degrees) };
        let (first, last) = (axis.points.first()?, axis.points.last()?);
        let (dx, dy) = (first[0] - last[0], first[1] - last[1]);
        // Where the first end lies once the crop is turned; y runs down.
        let turn = degrees.unwrap_or(0.0).to_radians();
        let upside_down = dx * turn.sin() + dy * turn.cos() > 0.0;
        let half = (0.8 * axis.usual_width()?).ceil() as usize + 2;
        let along = |plane: Vec<u8>| {
            let mut out = GrayImage::default();
            let plane = GrayImage { width, height, data: plane };
            axis.straighten(plane.view().ok()?, half, &mut out);
            Some(out)
        };
        let grey = along(piece.grey.clone())?;
        // Outside of the crop the plane reads as background: so does what is not the chromosome's.
        let outside = along(piece.mask.iter().map(|m| if *m { 0 } else { BACKGROUND }).collect())?;
        let opaque = |v: u8| ((1.0 - f32::from(v) / f32::from(BACKGROUND)).clamp(0.0, 1.0) * 255.0).round() as u8;
        let mut pixels: Vec<[u8; 2]> = grey.data.iter().zip(&outside.data).map(|(g, o)| [*g, opaque(*o)]).collect();
        if upside_down {
            pixels.reverse();
        }
        Some(trimmed(pixels.as_flattened(), grey.width, grey.height))
    }

    /// Grey and alpha at a place.
    pub fn at(&self, x: usize, y: usize) -> (u8, u8) {
        let i = 2 * (y * self.width + x);
        (self.samples[i], self.samples[i + 1])
    }
}

/// The dark piece nearest to the middle: clearly darker than the ground, connected, a little grown.
fn piece_in_the_middle(grey: &[u8], width: usize, height: usize) -> Vec<bool> {
    let threshold = ground_level(grey);
    let dark: Vec<bool> = grey.iter().map(|g| *g <= threshold).collect();
    let middle = (width as f32 / 2.0, height as f32 / 2.0);
    let distance = |i: usize| {
        let (x, y) = ((i % width) as f32, (i / width) as f32);
        (x - middle.0).powi(2) + (y - middle.1).powi(2)
    };
    let mut piece = vec![false; grey.len()];
    let Some(seed) = (0..grey.len()).filter(|i| dark[*i]).min_by(|a, b| distance(*a).total_cmp(&distance(*b))) else {
        return vec![true; grey.len()];
    };
    let mut stack = vec![seed];
    piece[seed] = true;
    while let Some(i) = stack.pop() {
        for j in neighbours(i, width, height) {
            if dark[j] && !piece[j] {
                piece[j] = true;
                stack.push(j);
            }
        }
    }
    let grown: Vec<usize> =
        (0..grey.len()).filter(|i| !piece[*i] && neighbours(*i, width, height).any(|j| piece[j])).collect();
    grown.into_iter().for_each(|i| piece[i] = true);
    piece
}

/// Places above, below and beside one.
pub(super) fn neighbours(i: usize, width: usize, height: usize) -> impl Iterator<Item = usize> {
    let (x, y) = (i % width, i / width);
    [
        (x > 0).then(|| i - 1),
        (x + 1 < width).then(|| i + 1),
        (y > 0).then(|| i.wrapping_sub(width)),
        (y + 1 < height).then(|| i + width),
    ]
    .into_iter()
    .flatten()
}

/// Everything clearly darker than the ground: light bands belong to the chromosome too.
fn ground_level(grey: &[u8]) -> u8 {
    let mut sorted = grey.to_vec();
    sorted.sort_unstable();
    let at = |share: f32| f32::from(sorted[((sorted.len() - 1) as f32 * share) as usize]);
    let (dark, ground) = (at(0.05), at(0.95));
    (ground - 0.3 * (ground - dark)) as u8
}

/// Centre of a mask and the angle of its long axis from the vertical, clockwise, in radians.
fn axis(mask: &[bool], width: usize) -> Option<((f32, f32), f32)> {
    let inside: Vec<(f64, f64)> =
        mask.iter().enumerate().filter(|(_, m)| **m).map(|(i, _)| ((i % width) as f64, (i / width) as f64)).collect();
    if inside.is_empty() {
        return None;
    }
    let n = inside.len() as f64;
    let (cx, cy) = (inside.iter().map(|p| p.0).sum::<f64>() / n, inside.iter().map(|p| p.1).sum::<f64>() / n);
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in inside {
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

/// Turned clockwise by `turn` radians about its centre (bilinear) and trimmed to its outline.
fn turned(grey: &[u8], mask: &[bool], width: usize, height: usize, centre: (f32, f32), turn: f32) -> Upright {
    let side = ((width * width + height * height) as f32).sqrt().ceil() as usize + 3;
    let half = side as f32 / 2.0;
    let (sin, cos) = turn.sin_cos();
    let sample = |plane: &dyn Fn(usize) -> f32, x: f32, y: f32, outside: f32| -> f32 {
        let (fx, fy) = (x.floor(), y.floor());
        let mut value = 0.0;
        for (dx, dy) in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] {
            let (px, py) = (fx + dx, fy + dy);
            let weight = (1.0 - (x - px).abs()).max(0.0) * (1.0 - (y - py).abs()).max(0.0);
            let inside = px >= 0.0 && py >= 0.0 && (px as usize) < width && (py as usize) < height;
            value += weight * if inside { plane(py as usize * width + px as usize) } else { outside };
        }
        value
    };
    let mut samples = vec![0_u8; 2 * side * side];
    for y in 0..side {
        for x in 0..side {
            // Clockwise by `turn` on the screen (y down): the source lies turned back.
            let (dx, dy) = (x as f32 - half, y as f32 - half);
            let (sx, sy) = (centre.0 + dx * cos + dy * sin, centre.1 - dx * sin + dy * cos);
            let alpha = sample(&|i| f32::from(u8::from(mask[i])), sx, sy, 0.0);
            let i = 2 * (y * side + x);
            samples[i] = sample(&|i| f32::from(grey[i]), sx, sy, 255.0).round().clamp(0.0, 255.0) as u8;
            samples[i + 1] = (255.0 * alpha).round().clamp(0.0, 255.0) as u8;
        }
    }
    trimmed(&samples, side, side)
}

/// The part of a picture (grey and alpha) that holds the chromosome.
fn trimmed(samples: &[u8], width: usize, height: usize) -> Upright {
    let (mut left, mut right, mut top, mut bottom) = (width, 0, height, 0);
    for y in 0..height {
        for x in (0..width).filter(|x| samples[2 * (y * width + x) + 1] > 64) {
            (left, right, top, bottom) = (left.min(x), right.max(x + 1), top.min(y), bottom.max(y + 1));
        }
    }
    let (w, h) = (right.saturating_sub(left).max(1), bottom.saturating_sub(top).max(1));
    let (left, top) = (left.min(width - w), top.min(height - h));
    let rows =
        (top..top + h).flat_map(|y| samples[2 * (y * width + left)..2 * (y * width + left + w)].to_vec()).collect();
    Upright { width: w, height: h, samples: rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bar lying at `degrees` from the vertical, clockwise, with a white mark near its upper end.
    fn bar(degrees: f32) -> Crop {
        let side = 80_usize;
        let (sin, cos) = degrees.to_radians().sin_cos();
        let mut pixels = vec![230; side * side];
        for y in 0..side {
            for x in 0..side {
                let (dx, dy) = (x as f32 - 40.0, y as f32 - 40.0);
                // Along the bar (up is negative) and across it.
                let (across, along) = (dx * cos + dy * sin, -dx * sin + dy * cos);
                if across.abs() < 6.0 && along.abs() < 28.0 {
                    pixels[y * side + x] = if (-24.0..-16.0).contains(&along) { 150 } else { 40 };
                }
            }
        }
        Crop { width: side, height: side, pixels, mask: Vec::new(), bright: false }
    }

    #[test]
    fn a_slanted_chromosome_stands_upright_with_its_upper_end_up() {
        for degrees in [0.0_f32, 30.0, -50.0, 80.0, 150.0] {
            let upright = Upright::of(&bar(degrees), Some(-degrees)).unwrap();
            assert!((54..=61).contains(&upright.height), "{degrees}: {}", upright.height);
            assert!((10..=16).contains(&upright.width), "{degrees}: {}", upright.width);
            let (mark, _) = upright.at(upright.width / 2, 8);
            let (foot, _) = upright.at(upright.width / 2, upright.height - 9);
            assert!(mark > 110 && foot < 70, "{degrees}: {mark} {foot}");
        }
    }

    #[test]
    fn without_an_angle_the_long_axis_stands() {
        for degrees in [25.0, -65.0, 90.0] {
            let upright = Upright::of(&bar(degrees), None).unwrap();
            assert!(upright.height > 3 * upright.width, "{degrees}");
        }
    }

    #[test]
    fn a_bent_chromosome_is_made_straight_with_the_same_end_up() {
        // A quarter of a circle from the right (lighter) up to the top.
        let side = 90_usize;
        let mut pixels = vec![230; side * side];
        for y in 0..side {
            for x in 0..side {
                let (dx, dy) = (x as f32 - 15.0, 75.0 - y as f32);
                let angle = dy.atan2(dx);
                if (dx.hypot(dy) - 50.0).abs() < 6.0 && (0.0..1.6).contains(&angle) {
                    pixels[y * side + x] = if angle < 0.5 { 150 } else { 40 };
                }
            }
        }
        let crop = Crop { width: side, height: side, pixels, mask: Vec::new(), bright: false };
        for (degrees, light_is_up) in [(None, false), (Some(0.0), false), (Some(180.0), true), (Some(-90.0), true)] {
            let straight = Upright::straight(&crop, degrees).unwrap();
            assert!(
                (70..=92).contains(&straight.height) && straight.width < 22,
                "{} {}",
                straight.width,
                straight.height
            );
            let (up, _) = straight.at(straight.width / 2, 10);
            let (down, _) = straight.at(straight.width / 2, straight.height - 11);
            assert_eq!(up > down, light_is_up, "{degrees:?}: {up} {down}");
        }
    }

    #[test]
    fn a_crop_that_is_none_gives_nothing() {
        let crop = Crop { width: 3, height: 3, pixels: vec![0; 8], mask: Vec::new(), bright: false };
        assert!(Upright::of(&crop, None).is_none());
    }
}
