//! One chromosome turned upright, or made straight.

use imaging::{BACKGROUND, ChromosomeMask, Crop, GrayImage, MedialAxis};

/// A chromosome upright, dark on white, with its outline as alpha.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Upright {
    pub width: usize,
    pub height: usize,
    /// Grey and alpha, interleaved.
    pub samples: Vec<u8>,
    /// Row of the place that was asked about, from the top; none where none was.
    pub spot: Option<f32>,
}

/// A place in a crop (the middle of the first pixel at 0), such as a centromere's.
pub(super) type Spot = [f32; 2];

impl Upright {
    /// Turns the crop clockwise by `degrees`; none: so that its long axis stands.
    pub fn of(crop: &Crop, degrees: Option<f32>, spot: Option<Spot>) -> Option<Self> {
        let chromosome = crop.chromosome_mask()?;
        let (centre, axis) = chromosome.axis()?;
        // The angle was measured on the object in the middle of the box; one that was cut out better stands by its own
        // axis, the same end up.
        let upside_down = degrees.is_some_and(|d| (d.to_radians() + axis).cos() < 0.0);
        let turn = if upside_down { std::f32::consts::PI - axis } else { -axis };
        Some(turned(&chromosome, centre, turn, spot))
    }

    /// Turns the crop clockwise by just these degrees, as a person has turned it.
    pub fn exactly(crop: &Crop, degrees: f32, spot: Option<Spot>) -> Option<Self> {
        let chromosome = crop.chromosome_mask()?;
        let (centre, _) = chromosome.axis()?;
        Some(turned(&chromosome, centre, degrees.to_radians(), spot))
    }

    /// Left and right exchanged.
    pub fn mirrored(mut self) -> Self {
        self.samples.chunks_exact_mut(2 * self.width.max(1)).for_each(|row| {
            let (pixels, _) = row.as_chunks_mut::<2>();
            pixels.reverse();
        });
        self
    }

    /// Unbent along its middle line, the end up that `degrees` (clockwise) would bring up; none: the upper one. What has
    /// no such line is only turned.
    pub fn straight(crop: &Crop, degrees: Option<f32>, spot: Option<Spot>) -> Option<Self> {
        let chromosome = crop.chromosome_mask()?;
        let (width, height) = (chromosome.width, chromosome.height);
        let Some(axis) = chromosome.middle_line() else { return Self::of(crop, degrees, spot) };
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
        let grey = along(on_white(&chromosome.grey))?;
        // Outside of the crop the plane reads as background: so does what is not the chromosome's.
        let soft = softened(&chromosome.mask, width);
        let outside = along(soft.iter().map(|m| ((1.0 - m) * f32::from(BACKGROUND)).round() as u8).collect())?;
        let opaque = |v: u8| ((1.0 - f32::from(v) / f32::from(BACKGROUND)).clamp(0.0, 1.0) * 255.0).round() as u8;
        let row = spot.and_then(|spot| row_along(&axis, spot));
        let mut pixels: Vec<[u8; 2]> = grey.data.iter().zip(&outside.data).map(|(g, o)| [*g, opaque(*o)]).collect();
        let row = if upside_down { row.map(|row| (grey.height as f32 - row).max(0.0)) } else { row };
        if upside_down {
            pixels.reverse();
        }
        Some(trimmed(pixels.as_flattened(), grey.width, grey.height, row))
    }

    /// Grey and alpha at a place.
    pub fn at(&self, x: usize, y: usize) -> (u8, u8) {
        let i = 2 * (y * self.width + x);
        (self.samples[i], self.samples[i + 1])
    }
}

/// Ground that is darker than white in a picture: levels are raised so that it becomes white.
fn on_white(grey: &[u8]) -> Vec<u8> {
    let mut sorted = grey.to_vec();
    sorted.sort_unstable();
    let ground = f32::from(sorted.get(sorted.len() * 19 / 20).copied().unwrap_or(255)).max(1.0);
    grey.iter().map(|v| (f32::from(*v) * 255.0 / ground).min(255.0).round() as u8).collect()
}

/// A mask with an edge that fades over about a pixel, 0 to 1.
fn softened(mask: &[u8], width: usize) -> Vec<f32> {
    let height = mask.len() / width.max(1);
    let mean = |i: usize| {
        let (x, y) = (i % width, i / width);
        let rows = y.saturating_sub(1)..(y + 2).min(height);
        let (mut sum, mut n) = (0.0, 0.0);
        for y in rows {
            for m in &mask[y * width + x.saturating_sub(1)..y * width + (x + 2).min(width)] {
                sum += f32::from(u8::from(*m > 0));
                n += 1.0;
            }
        }
        sum / n
    };
    (0..mask.len()).map(|i| ((mean(i) - 0.15) / 0.6).clamp(0.0, 1.0)).collect()
}

/// How far along a middle line the place on it nearest to a spot lies, in pixels.
fn row_along(axis: &MedialAxis, spot: Spot) -> Option<f32> {
    let off = |p: &[f32; 2]| (p[0] - spot[0]).hypot(p[1] - spot[1]);
    let nearest = axis.points.iter().enumerate().min_by(|a, b| off(a.1).total_cmp(&off(b.1)))?.0;
    Some(axis.points[..=nearest].windows(2).map(|pair| (pair[1][0] - pair[0][0]).hypot(pair[1][1] - pair[0][1])).sum())
}

/// Turned clockwise by `turn` radians about its centre (bilinear) and trimmed to its outline.
fn turned(chromosome: &ChromosomeMask, centre: (f32, f32), turn: f32, spot: Option<Spot>) -> Upright {
    let (width, height) = (chromosome.width, chromosome.height);
    let (grey, mask) = (on_white(&chromosome.grey), softened(&chromosome.mask, width));
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
            let alpha = sample(&|i| mask[i], sx, sy, 0.0);
            let i = 2 * (y * side + x);
            samples[i] = sample(&|i| f32::from(grey[i]), sx, sy, 255.0).round().clamp(0.0, 255.0) as u8;
            samples[i + 1] = (255.0 * alpha).round().clamp(0.0, 255.0) as u8;
        }
    }
    let row = spot.map(|[x, y]| half + (x - centre.0) * sin + (y - centre.1) * cos);
    trimmed(&samples, side, side, row)
}

/// The part of a picture (grey and alpha) that holds the chromosome.
fn trimmed(samples: &[u8], width: usize, height: usize, spot: Option<f32>) -> Upright {
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
    let spot = spot.map(|row| (row - top as f32).clamp(0.0, h as f32));
    Upright { width: w, height: h, samples: rows, spot }
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
            let upright = Upright::of(&bar(degrees), Some(-degrees), None).unwrap();
            assert!((54..=61).contains(&upright.height), "{degrees}: {}", upright.height);
            assert!((10..=16).contains(&upright.width), "{degrees}: {}", upright.width);
            let (mark, _) = upright.at(upright.width / 2, 8);
            let (foot, _) = upright.at(upright.width / 2, upright.height - 9);
            assert!(mark > 110 && foot < 70, "{degrees}: {mark} {foot}");
        }
    }

    #[test]
    fn a_spot_of_the_crop_lies_in_its_row_of_the_upright_picture() {
        for degrees in [0.0_f32, 40.0, 150.0] {
            let crop = bar(degrees);
            // 15 of 58 pixels from the marked end.
            let (sin, cos) = degrees.to_radians().sin_cos();
            let middle = (crop.width as f32 - 1.0) / 2.0;
            let spot = [middle + 14.0 * sin, middle - 14.0 * cos];
            for standing in [Upright::of, Upright::straight] {
                let upright = standing(&crop, Some(-degrees), Some(spot)).unwrap();
                let row = upright.spot.unwrap();
                assert!(
                    (row - (upright.height as f32 / 2.0 - 14.0)).abs() < 2.5,
                    "{degrees}: {row} of {}",
                    upright.height
                );
            }
        }
    }

    #[test]
    fn without_an_angle_the_long_axis_stands() {
        for degrees in [25.0, -65.0, 90.0] {
            let upright = Upright::of(&bar(degrees), None, None).unwrap();
            assert!(upright.height > 3 * upright.width, "{degrees}");
        }
    }

    #[test]
    fn a_person_turns_a_chromosome_by_just_as_much_as_they_say_and_mirrors_it() {
        let lying = Upright::exactly(&bar(0.0), 90.0, None).unwrap();
        assert!((54..=61).contains(&lying.width) && lying.height < 17, "{} {}", lying.width, lying.height);
        // The marked end was up: turned clockwise it lies on the right.
        let middle = lying.height / 2;
        assert!(lying.at(lying.width - 9, middle).0 > 110 && lying.at(8, middle).0 < 70);
        let mirrored = lying.clone().mirrored();
        assert_eq!(mirrored.at(8, middle), lying.at(lying.width - 9, middle));
        assert_eq!(mirrored.mirrored(), lying);
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
            let straight = Upright::straight(&crop, degrees, None).unwrap();
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
        assert!(Upright::of(&crop, None, None).is_none());
    }
}
