//! One chromosome along its own axis: length, width and darkness from end to end.

use super::{
    axis::{AxisScratch, MedialAxis},
    chromosome::{ChromosomeMask, Crop},
    plane::Rect,
    row_line::row_line,
};

/// What lies farther apart across the path than so many half pixels is another part of a chromosome that bends back on itself.
const LARGEST_GAP: u32 = 3;
/// What is measured across the path, in widths of the chromosome to either side.
const REACH: f32 = 1.5;
/// A line shorter than this, in pixels, is no chromosome's.
const MIN_LENGTH: f32 = 7.0;

/// Samples along the axis.
pub const PROFILE_SAMPLES: usize = 64;

/// A chromosome along its axis, from the end that lies up in the crop once it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ChromosomeProfile {
    /// Length along the axis in pixels of the crop.
    pub length: f32,
    /// Degrees to turn the crop clockwise so that the axis stands, first end up; -180 to 180.
    pub angle: f32,
    /// Darkness across the chromosome from end to end, mean 0 and spread 1.
    pub bands: [f32; PROFILE_SAMPLES],
    /// Width from end to end in units of its mean.
    pub widths: [f32; PROFILE_SAMPLES],
    /// It lies apart from its neighbours and fills its box, so that its length is its own.
    pub apart: bool,
    /// Area of the largest hole it encloses, in units of its own area: 0 for most, a ring's is large.
    pub hole: f32,
    /// How far the axis departs from a straight line, in units of its length: 0 straight, above 0.2 clearly bent.
    pub bend: f32,
    /// The line that the samples lie on, `[x, y]` in pixels of the crop (the middle of the first pixel at 0), from the first end.
    pub path: [[f32; 2]; PROFILE_SAMPLES],
    /// Its outline is one that is known to be its own, so that its length is, too, whatever touches it. The maker of the crop says so.
    pub sure: bool,
}

impl ChromosomeProfile {
    /// Measures a crop; none when nothing in it could be one chromosome.
    pub fn of(crop: &Crop) -> Option<Self> {
        let chromosome = crop.chromosome_mask()?;
        let (_, axis) = chromosome.axis()?;
        let mut line = MedialAxis::default();
        let bounds = Rect { left: 0, top: 0, right: chromosome.width, bottom: chromosome.height };
        line.trace(&chromosome.mask, bounds, &mut AxisScratch::default());
        let up = [-axis.sin(), axis.cos()];
        let along = |p: &[f32; 2]| p[0] * up[0] + p[1] * up[1];
        if line.points.first().zip(line.points.last()).is_some_and(|(a, b)| along(a) > along(b)) {
            line.points.reverse();
        }
        let (path, _, bend) = equal_steps(&line.points).filter(|steps| steps.1 >= MIN_LENGTH)?;
        Self::along(&chromosome, axis, path, line.length, bend)
    }

    /// Measures a crop along the middles of its rows, as short and thick chromosomes are; none when nothing in it could be one chromosome.
    pub fn by_rows(crop: &Crop) -> Option<Self> {
        let chromosome = crop.chromosome_mask()?;
        let (_, axis) = chromosome.axis()?;
        let (path, length, bend) = row_line(&chromosome)?;
        Self::along(&chromosome, axis, path, length, bend)
    }

    fn along(
        chromosome: &ChromosomeMask,
        axis: f32,
        path: [[f32; 2]; PROFILE_SAMPLES],
        length: f32,
        bend: f32,
    ) -> Option<Self> {
        let reach = (REACH * chromosome.area() as f32 / length).max(3.0);
        let mut bands = [0.0; PROFILE_SAMPLES];
        let mut widths = [0.0; PROFILE_SAMPLES];
        for i in 0..PROFILE_SAMPLES {
            (bands[i], widths[i]) = across(chromosome, &path, i, reach);
        }
        let mean_width = widths.iter().sum::<f32>() / PROFILE_SAMPLES as f32;
        if mean_width <= 0.0 {
            return None;
        }
        widths.iter_mut().for_each(|w| *w /= mean_width);
        standardise(&mut bands);
        let apart = chromosome.is_apart(chromosome.area() as f32 / length);
        let hole = chromosome.hole();
        Some(Self { length, angle: -axis.to_degrees(), bands, widths, apart, hole, bend, path, sure: false })
    }

    /// Whether its length is its own: it lies apart, or its outline is known.
    pub fn is_whole(&self) -> bool {
        self.apart || self.sure
    }

    /// Middles of the first half of the path and of the last.
    pub fn halves(&self) -> [[f32; 2]; 2] {
        let (first, last) = self.path.split_at(PROFILE_SAMPLES / 2);
        [first, last].map(|half| [0, 1].map(|axis| half.iter().map(|p| p[axis]).sum::<f32>() / half.len() as f32))
    }

    /// How surely the first end is the short arm's by a direction that leads from the long arm's half to the short arm's: 1 where it is
    /// as long as the halves are apart, 0 where it says nothing, below 0 for the last end.
    pub fn upness(&self, short_arm: [f32; 2]) -> f32 {
        let [first, last] = self.halves();
        let way = [first[0] - last[0], first[1] - last[1]];
        let apart = way[0] * way[0] + way[1] * way[1];
        if apart < 1.0 {
            return 0.0;
        }
        ((short_arm[0] * way[0] + short_arm[1] * way[1]) / apart).clamp(-1.0, 1.0)
    }

    /// How far along the path from the first end a place of the crop lies, as a share of the length.
    pub fn share_at(&self, place: [f32; 2]) -> f32 {
        let mut best = (f32::MAX, 0.0);
        for (i, pair) in self.path.windows(2).enumerate() {
            let (dx, dy) = (pair[1][0] - pair[0][0], pair[1][1] - pair[0][1]);
            let length = (dx * dx + dy * dy).max(1e-6);
            let along = (((place[0] - pair[0][0]) * dx + (place[1] - pair[0][1]) * dy) / length).clamp(0.0, 1.0);
            let off = (pair[0][0] + along * dx - place[0]).powi(2) + (pair[0][1] + along * dy - place[1]).powi(2);
            if off < best.0 {
                best = (off, (i as f32 + 0.5 + along) / PROFILE_SAMPLES as f32);
            }
        }
        best.1
    }

    /// The same seen from the other end.
    pub fn flipped(&self) -> Self {
        let mut flipped = self.clone();
        flipped.bands.reverse();
        flipped.widths.reverse();
        flipped.path.reverse();
        flipped.angle = if self.angle > 0.0 { self.angle - 180.0 } else { self.angle + 180.0 };
        flipped
    }

    /// Where the constriction lies, as a share of the length from the first end, and how deep it is (0 to 1).
    pub fn constriction(&self) -> (f32, f32) {
        let smooth = |i: usize| {
            let window = &self.widths[i.saturating_sub(2)..(i + 3).min(PROFILE_SAMPLES)];
            window.iter().sum::<f32>() / window.len() as f32
        };
        let from = PROFILE_SAMPLES / 10;
        let narrowest = (from..PROFILE_SAMPLES - from)
            .min_by(|a, b| smooth(*a).total_cmp(&smooth(*b)))
            .expect("the range is not empty");
        ((narrowest as f32 + 0.5) / PROFILE_SAMPLES as f32, (1.0 - smooth(narrowest)).clamp(0.0, 1.0))
    }
}

/// Mean darkness and width in pixels across the path at its sample `i`, no farther than `reach` pixels to either side and only as far as the
/// chromosome goes on.
fn across(chromosome: &ChromosomeMask, path: &[[f32; 2]; PROFILE_SAMPLES], i: usize, reach: f32) -> (f32, f32) {
    let (before, after) = (path[i.saturating_sub(2)], path[(i + 2).min(PROFILE_SAMPLES - 1)]);
    let (tx, ty) = (after[0] - before[0], after[1] - before[1]);
    let norm = tx.hypot(ty).max(1e-3);
    let (nx, ny) = (ty / norm, -tx / norm);
    let (mut dark, mut n) = (0.0, 0.0);
    for (side, first) in [(0.5, 0), (-0.5, 1)] {
        let mut gap = 0;
        for step in first..=(2.0 * reach).ceil() as usize {
            let s = side * step as f32;
            match chromosome.darkness(path[i][0] + nx * s, path[i][1] + ny * s) {
                Some(grey) => {
                    dark += grey;
                    n += 1.0;
                    gap = 0;
                }
                None if gap == LARGEST_GAP => break,
                None => gap += 1,
            }
        }
    }
    (if n > 0.0 { dark / n } else { 0.0 }, n / 2.0)
}

/// A line of 64 equal steps, the length of the one that it was made of, and how far that bends away from its chord, in its lengths.
pub(super) type Steps = ([[f32; 2]; PROFILE_SAMPLES], f32, f32);

/// Equal steps along a line; none without two points that lie apart.
pub(super) fn equal_steps(points: &[[f32; 2]]) -> Option<Steps> {
    let (first, last) = (points.first()?, points.last()?);
    let mut along = Vec::with_capacity(points.len());
    let mut length = 0.0_f32;
    along.push(length);
    for pair in points.windows(2) {
        length += (pair[1][0] - pair[0][0]).hypot(pair[1][1] - pair[0][1]);
        along.push(length);
    }
    if length <= 0.0 {
        return None;
    }
    let mut path = [[0.0; 2]; PROFILE_SAMPLES];
    let mut at = 0;
    for (i, place) in path.iter_mut().enumerate() {
        let wanted = length * (i as f32 + 0.5) / PROFILE_SAMPLES as f32;
        while at + 2 < along.len() && along[at + 1] < wanted {
            at += 1;
        }
        let share = ((wanted - along[at]) / (along[at + 1] - along[at]).max(1e-6)).clamp(0.0, 1.0);
        let (a, b) = (points[at], points[at + 1]);
        *place = [0, 1].map(|axis| a[axis] + share * (b[axis] - a[axis]));
    }
    let chord = (last[0] - first[0]).hypot(last[1] - first[1]).max(1.0);
    let off = |p: &[f32; 2]| {
        ((last[0] - first[0]) * (p[1] - first[1]) - (last[1] - first[1]) * (p[0] - first[0])).abs() / chord
    };
    Some((path, length, points.iter().map(off).fold(0.0, f32::max) / length))
}

/// Brings values to mean 0 and spread 1.
pub fn standardise(values: &mut [f32]) {
    let n = values.len() as f32;
    let mean = values.iter().sum::<f32>() / n;
    let spread = (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt().max(1e-3);
    values.iter_mut().for_each(|v| *v = (*v - mean) / spread);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An arc of the given bend with a dark band near its upper end and a constriction at `constriction`, as wide everywhere else and cut off
    /// across at both ends.
    fn arc(bend: f32, constriction: f32) -> Crop {
        let (width, height) = (100_usize, 120_usize);
        let line: Vec<[f32; 2]> = (0..=400)
            .map(|k| k as f32 / 400.0)
            .map(|t| [40.0 + bend * (1.0 - (2.0 * t - 1.0).powi(2)), 5.0 + 100.0 * t])
            .collect();
        let mut pixels = vec![240; width * height];
        for (i, pixel) in pixels.iter_mut().enumerate() {
            let off = |p: &[f32; 2]| (p[0] - (i % width) as f32).hypot(p[1] - (i / width) as f32);
            let nearest = (0..line.len()).min_by(|a, b| off(&line[*a]).total_cmp(&off(&line[*b]))).unwrap();
            let t = nearest as f32 / 400.0;
            let half = if (t - constriction).abs() < 0.04 { 4.0 } else { 8.0 };
            let beyond = (nearest == 0 || nearest == 400) && off(&line[nearest]) > 1.0;
            if off(&line[nearest]) < half && !beyond {
                *pixel = if (0.1..0.2).contains(&t) { 20 } else { 110 };
            }
        }
        Crop { width, height, pixels, mask: Vec::new(), bright: false }
    }

    #[test]
    fn length_constriction_and_bands_follow_the_axis() {
        for bend in [0.0, 12.0, 25.0] {
            let shape = ChromosomeProfile::of(&arc(bend, 0.35)).unwrap();
            let arc_length = 100.0 * (1.0 + 8.0 / 3.0 * (bend / 100.0_f32).powi(2));
            assert!((shape.length - arc_length).abs() < 8.0, "{bend}: {} {arc_length}", shape.length);
            let (constriction, depth) = shape.constriction();
            let from_an_end = constriction.min(1.0 - constriction);
            assert!((from_an_end - 0.35).abs() < 0.05, "{bend}: {constriction}");
            assert!(depth > 0.15);
        }
        assert!(
            ChromosomeProfile::of(&arc(25.0, 0.4)).unwrap().bend
                > ChromosomeProfile::of(&arc(0.0, 0.4)).unwrap().bend + 0.1
        );
    }

    #[test]
    fn the_first_end_is_the_upper_one_and_a_flip_turns_it() {
        let shape = ChromosomeProfile::of(&arc(0.0, 0.35)).unwrap();
        let darkest = shape.bands.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        assert!(darkest < PROFILE_SAMPLES / 3, "{darkest}");
        let flipped = shape.flipped();
        assert!(flipped.bands[PROFILE_SAMPLES - 1 - darkest] == shape.bands[darkest]);
        assert!((flipped.angle - shape.angle).abs() > 179.0);
    }

    #[test]
    fn places_and_ways_are_read_along_the_path() {
        for bend in [0.0, 25.0] {
            let shape = ChromosomeProfile::of(&arc(bend, 0.35)).unwrap();
            // The constriction lies at 40 of 5 to 105.
            let middle = 40.0 + bend * (1.0 - (2.0 * 0.35 - 1.0_f32).powi(2));
            let share = shape.share_at([middle, 40.0]);
            assert!((share.min(1.0 - share) - 0.35).abs() < 0.04, "{bend}: {share}");
            assert!((shape.flipped().share_at([middle, 40.0]) - (1.0 - share)).abs() < 0.01);
            // Upward: the first end is the upper one.
            assert!((shape.upness([0.0, -50.0]) - 1.0).abs() < 0.1, "{}", shape.upness([0.0, -50.0]));
            assert!(shape.flipped().upness([0.0, -50.0]) < -0.9);
            assert_eq!(shape.upness([0.0, 0.0]), 0.0);
        }
    }

    #[test]
    fn specks_and_empty_crops_are_no_chromosomes() {
        let blank = Crop { width: 10, height: 10, pixels: vec![255; 100], mask: Vec::new(), bright: false };
        let speck = Crop { width: 4, height: 4, pixels: vec![0; 16], mask: vec![1; 16], bright: false };
        assert!(ChromosomeProfile::of(&speck).is_none());
        let _ = ChromosomeProfile::of(&blank);
    }
}
