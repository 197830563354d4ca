//! Cutting a chromosome out of a plane, as the classifier wants to see it. Pure.

use crate::inference::{InputSpec, MaskRule};
use domain::BoundingBox;

use super::{classifier::Item, plane::Plane};

/// Side in pixels of the square that is cut out around a box.
pub(super) fn crop_side(bounds: &BoundingBox, median: f32, spec: &InputSpec) -> f32 {
    (spec.crop.margin * bounds.width.max(bounds.height)).max(spec.crop.floor * median).max(1.0)
}

/// Cuts crops; keeps its buffers from crop to crop.
///
/// A value of a crop is the mean of `supersample` x `supersample` places, each interpolated between the middles of four
/// pixels. The places form a lattice, so that a crop is made in two passes: along the rows of the plane, then down the
/// columns.
#[derive(Default)]
pub(super) struct Cutter {
    columns: Vec<(isize, f32)>,
    padded: Vec<f32>,
    lines: Vec<f32>,
}

impl Cutter {
    /// Writes the crop of one chromosome, after the model's crop rule: `side` x `side` values a channel, every value of `out`.
    pub(super) fn cut(&mut self, item: &Item<'_>, median: f32, side: usize, spec: &InputSpec, out: &mut [f32]) {
        let b = &item.bounds;
        let square = crop_side(b, median, spec);
        let (cx, cy) = (b.x - item.plane.left as f32 + b.width / 2.0, b.y - item.plane.top as f32 + b.height / 2.0);
        let n = spec.crop.supersample;
        let step = square / (side * n) as f32;
        let turn = if item.flipped { -1.0 } else { 1.0 };
        let middle = (side * n) as f32 / 2.0;
        let place = |centre: f32, i: usize| split(centre + turn * (i as f32 + 0.5 - middle) * step);
        self.columns.clear();
        self.columns.extend((0..side * n).map(|i| place(cx, i)));
        let (first, last) = ends(place(cy, 0).0, place(cy, side * n - 1).0);
        self.shrink_rows(item.plane, first..last, side, n, spec.pad.clamp(0.0, 255.0) as u8);

        let gain = 1.0 / (255.0 * spec.std * (n * n) as f32);
        let shift = -spec.mean / spec.std;
        let area = side * side;
        for (y, line) in out[..area].chunks_exact_mut(side).enumerate() {
            line.fill(0.0);
            for (row, below) in (y * n..(y + 1) * n).map(|j| place(cy, j)) {
                let at = (row - first) as usize * side;
                let (upper, lower) = self.lines[at..at + 2 * side].split_at(side);
                for ((value, upper), lower) in line.iter_mut().zip(upper).zip(lower) {
                    *value += upper * (1.0 - below) + lower * below;
                }
            }
            for value in line {
                *value = *value * gain + shift;
            }
        }
        match spec.mask {
            MaskRule::None => {
                for channel in 1..spec.channels {
                    out.copy_within(..area, channel * area);
                }
            }
            MaskRule::Box => {
                let distance = |i: usize| (((i as f32 + 0.5) / side as f32 - 0.5) * square).abs();
                self.padded.clear();
                self.padded.extend((0..side).map(|x| f32::from(distance(x) <= b.width / 2.0)));
                let (mask, others) = out[area..].split_at_mut(area);
                for (y, line) in mask.chunks_exact_mut(side).enumerate() {
                    if distance(y) <= b.height / 2.0 {
                        line.copy_from_slice(&self.padded);
                    } else {
                        line.fill(0.0);
                    }
                }
                others.fill(0.0);
            }
        }
    }

    /// One line of `side` sums over `n` places for each of `rows` of the plane; what lies outside has the level `pad`.
    fn shrink_rows(&mut self, plane: &Plane, rows: std::ops::Range<isize>, side: usize, n: usize, pad: u8) {
        let (first, last) = ends(self.columns[0].0, self.columns[side * n - 1].0);
        for (column, _) in &mut self.columns {
            *column -= first;
        }
        self.lines.clear();
        self.lines.resize(rows.len() * side, f32::from(pad) * n as f32);
        self.padded.clear();
        self.padded.resize((last - first) as usize, f32::from(pad));
        // Where the plane lies in a padded row.
        let from = (-first).clamp(0, last - first) as usize;
        let to = (plane.width as isize - first).clamp(0, last - first) as usize;
        for (y, line) in rows.zip(self.lines.chunks_exact_mut(side)) {
            if y < 0 || y as usize >= plane.height || from >= to {
                continue;
            }
            let begin = y as usize * plane.width + (first + from as isize) as usize;
            let source = &plane.data[begin..begin + (to - from)];
            self.padded[from..to].iter_mut().zip(source).for_each(|(value, grey)| *value = f32::from(*grey));
            for (value, places) in line.iter_mut().zip(self.columns.chunks_exact(n)) {
                let between = |(x, right): &(isize, f32)| {
                    let pair = &self.padded[*x as usize..*x as usize + 2];
                    pair[0] * (1.0 - right) + pair[1] * right
                };
                *value = places.iter().map(between).sum();
            }
        }
    }
}

/// First pixel and the one after the last that places between two ends draw on, whichever end comes first.
fn ends(a: isize, b: isize) -> (isize, isize) {
    (a.min(b), a.max(b) + 2)
}

/// A place on an axis as the pixel whose middle lies before it and the share of the next one.
fn split(place: f32) -> (isize, f32) {
    let before = (place - 0.5).floor();
    (before as isize, place - 0.5 - before)
}

/// Brings a square of `side` values into an orientation: bit 0 mirrors left and right, bit 1 top and bottom, bit 2
/// transposes after that.
pub(super) fn turn(channel: &mut [f32], side: usize, orientation: u8) {
    if orientation & 1 != 0 {
        channel.chunks_exact_mut(side).for_each(<[f32]>::reverse);
    }
    if orientation & 2 != 0 {
        let (upper, lower) = channel.split_at_mut(side / 2 * side);
        upper.chunks_exact_mut(side).zip(lower.rchunks_exact_mut(side)).for_each(|(a, b)| a.swap_with_slice(b));
    }
    if orientation & 4 != 0 {
        for y in 0..side {
            for x in 0..y {
                channel.swap(y * side + x, x * side + y);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::{CropRule, Manifest};
    use proptest::prelude::*;

    fn spec(side: usize, supersample: usize) -> InputSpec {
        let manifest = Manifest::parse(include_str!("../../../tests/data/models/tiny-classifier/model.toml")).unwrap();
        let crop = CropRule { margin: 2.0, floor: 0.0, supersample };
        InputSpec { mean: 0.0, std: 1.0 / 255.0, size: Some(side), crop, ..manifest.input }
    }

    /// The mean over the lattice, place by place.
    fn slowly(item: &Item<'_>, side: usize, spec: &InputSpec) -> Vec<f32> {
        let (b, n) = (&item.bounds, spec.crop.supersample);
        let step = crop_side(b, 1.0, spec) / (side * n) as f32;
        let turn = if item.flipped { -1.0 } else { 1.0 };
        let offset = |i: usize| turn * (i as f32 + 0.5 - (side * n) as f32 / 2.0) * step;
        let (cx, cy) = (b.x - item.plane.left as f32 + b.width / 2.0, b.y - item.plane.top as f32 + b.height / 2.0);
        let at = |x: isize, y: isize| f32::from(item.plane.at(x, y, spec.pad as u8));
        let value = |x: f32, y: f32| {
            let ((x, wx), (y, wy)) = (split(x), split(y));
            let upper = at(x, y) * (1.0 - wx) + at(x + 1, y) * wx;
            let lower = at(x, y + 1) * (1.0 - wx) + at(x + 1, y + 1) * wx;
            upper * (1.0 - wy) + lower * wy
        };
        let mean = |i: usize| {
            let (x, y) = (i % side, i / side);
            let places = (0..n * n).map(|k| value(cx + offset(x * n + k % n), cy + offset(y * n + k / n)));
            places.sum::<f32>() / (n * n) as f32
        };
        (0..side * side).map(mean).collect()
    }

    proptest! {
        #[test]
        fn two_passes_give_what_the_lattice_gives(
            (x, y) in (-30.0f32..60.0, -30.0f32..60.0), (width, height) in (0.5f32..60.0, 0.5f32..60.0),
            flipped: bool, supersample in 1usize..4, seed in 1u32..1000,
        ) {
            let data = (0..30u32 * 20).map(|i| (i.wrapping_mul(seed).wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let plane = Plane { data, width: 30, height: 20, left: 7, top: 3 };
            let item = Item { plane: &plane, bounds: BoundingBox { x, y, width, height }, flipped };
            let spec = spec(12, supersample);
            let mut out = vec![0.0; 2 * 144];
            Cutter::default().cut(&item, 1.0, 12, &spec, &mut out);
            let expected = slowly(&item, 12, &spec);
            for (a, b) in out.iter().zip(&expected) {
                prop_assert!((a - b).abs() < 2e-2, "{} {}", a, b);
            }
        }
    }

    #[test]
    fn a_turn_mirrors_first_and_transposes_then() {
        let square: Vec<f32> = (0..9).map(|i| i as f32).collect();
        let after = |orientation| {
            let mut square = square.clone();
            turn(&mut square, 3, orientation);
            square.iter().map(|v| *v as u8).collect::<Vec<_>>()
        };
        assert_eq!(after(0), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(after(1), [2, 1, 0, 5, 4, 3, 8, 7, 6]);
        assert_eq!(after(2), [6, 7, 8, 3, 4, 5, 0, 1, 2]);
        assert_eq!(after(3), [8, 7, 6, 5, 4, 3, 2, 1, 0]);
        assert_eq!(after(4), [0, 3, 6, 1, 4, 7, 2, 5, 8]);
        assert_eq!(after(5), [2, 5, 8, 1, 4, 7, 0, 3, 6]);
    }

    #[test]
    fn a_crop_is_centred_on_its_box_and_its_mask_is_the_box() {
        let mut plane = Plane { data: vec![220; 400], width: 20, height: 20, left: 100, top: 50 };
        for y in 8..12 {
            for x in 6..14 {
                plane.data[y * 20 + x] = 20;
            }
        }
        let manifest = Manifest::parse(include_str!("../../../tests/data/models/tiny-classifier/model.toml")).unwrap();
        let crop = CropRule { margin: 2.0, floor: 0.0, supersample: 2 };
        let spec = InputSpec { mean: 0.0, std: 1.0 / 255.0, size: Some(16), crop, ..manifest.input };
        let bounds = BoundingBox { x: 106.0, y: 58.0, width: 8.0, height: 4.0 };
        let mut out = vec![0.0; 2 * 256];
        Cutter::default().cut(&Item { plane: &plane, bounds, flipped: false }, 1.0, 16, &spec, &mut out);
        let dark = |x: usize, y: usize| out[y * 16 + x] < 80.0;
        assert!(dark(4, 6) && dark(11, 9) && !dark(3, 6) && !dark(4, 5) && !dark(12, 9));
        let mask: f32 = out[256..].iter().sum();
        assert_eq!(mask, 32.0);
        assert!(out[256 + 6 * 16 + 4] == 1.0 && out[256 + 5 * 16 + 4] == 0.0);
        let mut turned = vec![0.0; 2 * 256];
        Cutter::default().cut(&Item { plane: &plane, bounds, flipped: true }, 1.0, 16, &spec, &mut turned);
        let back: Vec<f32> = turned[..256].iter().rev().copied().collect();
        assert!(out[..256].iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-3));
    }
}
