//! Narrow places of a chromosome along its axis: where a centromere may be.

use super::{
    chromosome::ChromosomeMask,
    profile::{ChromosomeProfile, PROFILE_SAMPLES},
};

/// Waists shallower than this are noise of the outline.
const LEAST_DEPTH: f32 = 0.04;

/// A narrow place, compared with the nearest wider ones on either side of it (the lower of the two).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Waist {
    /// Where along the axis, as a share of the length from the profile's first end.
    pub share: f32,
    /// How much narrower it is: 0 not at all, 1 no width is left.
    pub depth: f32,
    /// The same on the side of the axis that narrows less: a spot or a bend narrows one side alone.
    pub both: f32,
    /// How much less darkness lies across it in all.
    pub mass: f32,
    /// Mean darkness across it in units of the chromosome's own: below 1 where light shows between two that only touch.
    pub tone: f32,
}

/// A chromosome's width along its axis, on either side of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Widths {
    left: [f32; PROFILE_SAMPLES],
    right: [f32; PROFILE_SAMPLES],
    width: [f32; PROFILE_SAMPLES],
    mass: [f32; PROFILE_SAMPLES],
    tone: [f32; PROFILE_SAMPLES],
    /// Mean width in pixels.
    pub mean: f32,
}

impl Widths {
    /// Measures across the path of a profile of the same crop.
    pub fn of(mask: &ChromosomeMask, profile: &ChromosomeProfile) -> Self {
        let mut all = Self {
            left: [0.0; PROFILE_SAMPLES],
            right: [0.0; PROFILE_SAMPLES],
            width: [0.0; PROFILE_SAMPLES],
            mass: [0.0; PROFILE_SAMPLES],
            tone: [0.0; PROFILE_SAMPLES],
            mean: mask.area() as f32 / profile.length.max(1.0),
        };
        let path = &profile.path;
        for i in 0..PROFILE_SAMPLES {
            let (before, after) = (path[i.saturating_sub(2)], path[(i + 2).min(PROFILE_SAMPLES - 1)]);
            let (tx, ty) = (after[0] - before[0], after[1] - before[1]);
            let norm = tx.hypot(ty).max(1e-3);
            let (nx, ny) = (ty / norm, -tx / norm);
            let reach = (3.0 * all.mean).ceil() as i32;
            for step in -reach..=reach {
                let s = step as f32 / 2.0;
                let Some(dark) = mask.darkness(path[i][0] + nx * s, path[i][1] + ny * s) else { continue };
                all.mass[i] += dark / 2.0;
                // The middle step belongs to both halves.
                let half = if step == 0 { 0.25 } else { 0.5 };
                if step <= 0 {
                    all.left[i] += half;
                }
                if step >= 0 {
                    all.right[i] += half;
                }
            }
        }
        for values in [&mut all.left, &mut all.right, &mut all.mass] {
            smooth(values);
        }
        for i in 0..PROFILE_SAMPLES {
            all.width[i] = all.left[i] + all.right[i];
            all.tone[i] = all.mass[i] / all.width[i].max(0.5);
        }
        let mean_tone = all.mass.iter().sum::<f32>() / all.width.iter().sum::<f32>().max(1.0);
        all.tone.iter_mut().for_each(|tone| *tone /= mean_tone.max(1.0));
        all
    }

    /// Every narrow place, from the first end.
    pub fn waists(&self) -> Vec<Waist> {
        (1..PROFILE_SAMPLES - 1).filter(|&i| self.is_lowest_near(i)).filter_map(|i| self.waist_at(i)).collect()
    }

    /// What lies across the place at a share of the length, whether it is narrow or not; depths are 0 where it is not.
    pub fn across(&self, share: f32) -> Waist {
        let i = ((share * PROFILE_SAMPLES as f32) as usize).min(PROFILE_SAMPLES - 1);
        let [depth, both, mass] = self.depths(i).map(|depth| depth.max(0.0));
        Waist { share, depth, both, mass, tone: self.tone[i] }
    }

    fn is_lowest_near(&self, i: usize) -> bool {
        let near = i.saturating_sub(2)..(i + 3).min(PROFILE_SAMPLES);
        // Of equal ones the first.
        near.clone().all(|j| self.width[j] >= self.width[i])
            && near.into_iter().all(|j| j >= i || self.width[j] > self.width[i])
    }

    fn waist_at(&self, i: usize) -> Option<Waist> {
        let [depth, both, mass] = self.depths(i);
        let share = (i as f32 + 0.5) / PROFILE_SAMPLES as f32;
        (depth >= LEAST_DEPTH).then_some(Waist { share, depth, both, mass, tone: self.tone[i] })
    }

    /// Depths of width, of the side that narrows less, and of darkness, against what is widest on either side before it is narrower again.
    fn depths(&self, i: usize) -> [f32; 3] {
        let lower = |j: &usize| self.width[*j] < self.width[i] - 1e-3;
        let first = (0..i).rev().find(lower).map_or(0, |j| j + 1);
        let last = (i + 1..PROFILE_SAMPLES).find(lower).map_or(PROFILE_SAMPLES, |j| j);
        let depth = |values: &[f32; PROFILE_SAMPLES]| {
            let widest = |range: std::ops::Range<usize>| values[range].iter().copied().fold(values[i], f32::max);
            let beside = widest(first..i).min(widest(i + 1..last));
            if beside > 0.0 { 1.0 - values[i] / beside } else { 0.0 }
        };
        [depth(&self.width), depth(&self.left).min(depth(&self.right)), depth(&self.mass)]
    }
}

/// Mean of three neighbours, ends kept.
fn smooth(values: &mut [f32; PROFILE_SAMPLES]) {
    let raw = *values;
    for i in 1..PROFILE_SAMPLES - 1 {
        values[i] = (raw[i - 1] + raw[i] + raw[i + 1]) / 3.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Crop;

    /// An upright bar of width 18 from 10 to 110 with places where it is narrower on the left and on the right.
    fn bar(narrow: &[(f32, f32, f32)]) -> Widths {
        let (width, height) = (60_usize, 120_usize);
        let mut pixels = vec![230; width * height];
        for y in 10..110 {
            let bite = |side: fn(&(f32, f32, f32)) -> f32| {
                let near = narrow.iter().filter(|n| (n.0 - y as f32).abs() < 4.0);
                near.map(side).fold(0.0, f32::max)
            };
            let (left, right) = (9.0 - bite(|n| n.1), 9.0 - bite(|n| n.2));
            for x in 0..width {
                let off = x as f32 + 0.5 - 30.0;
                if off > -left && off < right {
                    pixels[y * width + x] = 90;
                }
            }
        }
        let crop = Crop { width, height, pixels, mask: Vec::new(), bright: false };
        Widths::of(&crop.chromosome_mask().unwrap(), &ChromosomeProfile::by_rows(&crop).unwrap())
    }

    #[test]
    fn two_constrictions_are_two_waists_in_their_places() {
        let waists = bar(&[(35.0, 5.0, 5.0), (85.0, 4.0, 4.0)]).waists();
        let deep: Vec<_> = waists.iter().filter(|w| w.depth > 0.2).collect();
        let [upper, lower] = deep[..] else { panic!("{waists:?}") };
        assert!((upper.share - 0.25).abs() < 0.04 && (lower.share - 0.75).abs() < 0.04, "{waists:?}");
        assert!(upper.depth > 0.4 && upper.both > 0.3 && upper.mass > 0.3, "{upper:?}");
        assert!(lower.depth < upper.depth);
    }

    #[test]
    fn a_bite_from_one_side_narrows_one_side() {
        let widths = bar(&[(60.0, 8.0, 0.0)]);
        let deepest = widths.waists().into_iter().max_by(|a, b| a.depth.total_cmp(&b.depth)).unwrap();
        assert!(deepest.depth > 0.3 && deepest.both < 0.15, "{deepest:?}");
    }

    #[test]
    fn a_plain_bar_has_no_waist() {
        let widths = bar(&[]);
        assert!(widths.waists().iter().all(|w| w.depth < 0.1), "{:?}", widths.waists());
        assert!(widths.across(0.5).depth < 0.1 && (widths.across(0.5).tone - 1.0).abs() < 0.1);
        assert!((widths.mean - 18.0).abs() < 2.5, "{}", widths.mean);
    }
}
