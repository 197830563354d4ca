//! One chromosome cut out and turned upright.

use imaging::{AxisScratch, BACKGROUND, GrayImage, MedialAxis, Rect};

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
pub struct ChromosomeMask {
    width: usize,
    height: usize,
    grey: Vec<u8>,
    mask: Vec<bool>,
}

impl Crop {
    /// A crop without mask. Bright chromosomes on dark ground are told by the tone at its edge.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Self {
        let mut edge: Vec<u8> = Vec::with_capacity(2 * (width + height));
        for (y, row) in pixels.chunks_exact(width.max(1)).enumerate() {
            match row {
                [first, .., last] if y > 0 && y + 1 < height => edge.extend([first, last]),
                row => edge.extend(row),
            }
        }
        edge.sort_unstable();
        let bright = edge.get(edge.len() / 2).is_some_and(|tone| *tone < DARK_GROUND);
        Self { width, height, pixels, mask: Vec::new(), bright }
    }

    /// Where it is clearly darker than the ground.
    pub(super) fn dark(&self) -> Vec<bool> {
        let tone = |p: &u8| if self.bright { 255 - p } else { *p };
        let grey: Vec<u8> = self.pixels.iter().map(tone).collect();
        let threshold = background_level(&grey);
        grey.iter().map(|g| *g <= threshold).collect()
    }

    /// Cuts the chromosome out, by its mask or as the dark piece in the middle; none for a crop of no size.
    pub fn chromosome_mask(&self) -> Option<ChromosomeMask> {
        let area = self.width.checked_mul(self.height)?;
        if area == 0 || self.pixels.len() != area {
            return None;
        }
        let grey: Vec<u8> =
            if self.bright { self.pixels.iter().map(|p| 255 - p).collect() } else { self.pixels.clone() };
        let mask = if self.mask.len() == area {
            self.mask.iter().map(|m| *m > 0).collect()
        } else {
            middle_object(&grey, self.width, self.height)
        };
        Some(ChromosomeMask { width: self.width, height: self.height, grey, mask })
    }
}

impl ChromosomeMask {
    /// Its pixels.
    pub fn inside(&self) -> impl Iterator<Item = (f32, f32)> {
        places(&self.mask, self.width).map(|(x, y)| (x as f32, y as f32))
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
        for (x, y) in places(&self.mask, self.width) {
            (left, right, top, bottom) = (left.min(x), right.max(x + 1), top.min(y), bottom.max(y + 1));
        }
        let sides = [left, top, self.width.saturating_sub(right), self.height.saturating_sub(bottom)];
        sides.iter().all(|side| *side > 0 && *side as f32 <= margin)
    }

    /// Area of the largest hole that it encloses, in units of its own area.
    pub fn hole(&self) -> f32 {
        // A free ring around the crop joins all that is open to its edge: no hole.
        let ringed = Margin { width: self.width + 2, height: self.height + 2 };
        let mut free = ringed.around((0..ringed.height).flat_map(|y| {
            let row = y.checked_sub(1).and_then(|y| self.mask.chunks_exact(self.width).nth(y));
            (0..ringed.width).map(move |x| {
                let taken = row.zip(x.checked_sub(1)).and_then(|(row, x)| row.get(x));
                !taken.is_some_and(|taken| *taken)
            })
        }));
        let mut stack = Vec::new();
        let mut flooded = |start: usize, free: &mut [bool]| {
            let mut size = 0_usize;
            ringed.flood(start, free, &mut stack, |_| size += 1);
            size
        };
        flooded(ringed.first(), &mut free);
        let mut largest = 0;
        for start in 0..free.len() {
            if free[start] {
                largest = largest.max(flooded(start, &mut free));
            }
        }
        largest as f32 / self.area().max(1) as f32
    }

    /// Darkness at a place (255 - grey); none outside.
    pub fn darkness(&self, x: f32, y: f32) -> Option<f32> {
        // The nearest pixel.
        if x <= -0.5 || y <= -0.5 {
            return None;
        }
        let (x, y) = ((x + 0.5) as usize, (y + 0.5) as usize);
        if x >= self.width || y >= self.height {
            return None;
        }
        let i = y * self.width + x;
        self.mask[i].then(|| 255.0 - f32::from(self.grey[i]))
    }
}

impl Upright {
    /// Turns the crop clockwise by `degrees`; none: so that its long axis stands.
    pub fn of(crop: &Crop, degrees: Option<f32>) -> Option<Self> {
        let piece = crop.chromosome_mask()?;
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
        let piece = crop.chromosome_mask()?;
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

/// Places of a mask that are set: column and row.
fn places(mask: &[bool], width: usize) -> impl Iterator<Item = (usize, usize)> {
    let rows = mask.chunks_exact(width.max(1)).enumerate();
    rows.flat_map(|(y, row)| row.iter().enumerate().filter(|(_, m)| **m).map(move |(x, _)| (x, y)))
}

/// A picture with a margin of one pixel, so that every pixel in it has four neighbours.
#[derive(Clone, Copy)]
struct Margin {
    width: usize,
    height: usize,
}

impl Margin {
    fn stride(self) -> usize {
        self.width + 2
    }

    /// Where the first pixel lies.
    fn first(self) -> usize {
        self.stride() + 1
    }

    fn neighbours(self, i: usize) -> [usize; 4] {
        [i - 1, i + 1, i - self.stride(), i + self.stride()]
    }

    /// The values of a picture, row by row, with nothing around them; all must be of `width * height`.
    fn around(self, mut values: impl Iterator<Item = bool>) -> Vec<bool> {
        let mut with = vec![false; self.stride() * (self.height + 2)];
        for row in with.chunks_exact_mut(self.stride()).skip(1).take(self.height) {
            row[1..=self.width].iter_mut().for_each(|v| *v = values.next().unwrap_or(false));
        }
        with
    }

    /// Takes away what hangs together with `start`, and tells each place.
    fn flood(self, start: usize, open: &mut [bool], stack: &mut Vec<usize>, mut found: impl FnMut(usize)) {
        open[start] = false;
        stack.push(start);
        while let Some(i) = stack.pop() {
            found(i);
            for j in self.neighbours(i) {
                if open[j] {
                    open[j] = false;
                    stack.push(j);
                }
            }
        }
    }
}

/// The dark piece nearest to the middle: clearly darker than the ground, connected, a little grown.
fn middle_object(grey: &[u8], width: usize, height: usize) -> Vec<bool> {
    let threshold = background_level(grey);
    let margin = Margin { width, height };
    let mut dark = margin.around(grey.iter().map(|g| *g <= threshold));
    let middle = (width as f32 / 2.0, height as f32 / 2.0);
    let mut nearest = (f32::INFINITY, None);
    for (y, row) in grey.chunks_exact(width).enumerate() {
        let dy = (y as f32 - middle.1).powi(2);
        for (x, _) in row.iter().enumerate().filter(|(_, g)| **g <= threshold) {
            let distance = (x as f32 - middle.0).powi(2) + dy;
            if distance < nearest.0 {
                nearest = (distance, Some(margin.first() + y * margin.stride() + x));
            }
        }
    }
    let Some(seed) = nearest.1 else { return vec![true; grey.len()] };
    let mut piece = vec![false; dark.len()];
    margin.flood(seed, &mut dark, &mut Vec::new(), |i| piece[i] = true);
    let rows = (0..height).map(|y| margin.first() + y * margin.stride());
    let grown = |i: usize| piece[i] || margin.neighbours(i).iter().any(|j| piece[*j]);
    rows.flat_map(|start| (start..start + width).map(grown)).collect()
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
fn background_level(grey: &[u8]) -> u8 {
    let mut counts = [0_usize; 256];
    grey.iter().for_each(|g| counts[usize::from(*g)] += 1);
    let at = |share: f32| {
        let rank = (grey.len().saturating_sub(1) as f32 * share) as usize;
        let mut below = 0;
        let level = counts.iter().position(|n| {
            below += n;
            below > rank
        });
        level.unwrap_or(0) as f32
    };
    let (dark, ground) = (at(0.05), at(0.95));
    (ground - 0.3 * (ground - dark)) as u8
}

/// Centre of a mask and the angle of its long axis from the vertical, clockwise, in radians.
fn axis(mask: &[bool], width: usize) -> Option<((f32, f32), f32)> {
    let inside: Vec<(f64, f64)> = places(mask, width).map(|(x, y)| (x as f64, y as f64)).collect();
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
