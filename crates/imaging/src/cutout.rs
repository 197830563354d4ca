//! Chromosomes of a cell as pixels of its field: how they lie to one another, and what is dark beside them all.

use domain::Leftover;

use super::{
    chromosome::Crop,
    components::Components,
    contour::{Contours, fill_rings, ring_area, ring_corners},
    distance::FewDistances,
    histogram::Histogram,
    plane::Rect,
};

/// The pixels of one chromosome.
#[derive(Debug, Clone, PartialEq)]
pub struct Cutout {
    /// The rectangle that holds them, in pixels of the field.
    pub bounds: Rect,
    /// `bounds.width() * bounds.height()` zeros and ones.
    pub mask: Vec<u8>,
}

/// How a chromosome lies among others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// It meets none.
    Alone,
    /// It meets one, and they hardly share pixels.
    Touching,
    /// It shares pixels with one: they lie on one another.
    Crossing,
}

/// Share of the smaller one's area from which two lie on one another.
const CROSSING_SHARE: f32 = 0.06;

impl Cutout {
    /// From an outline; none where it holds no pixel of a field of `width` x `height`.
    pub fn of(rings: &[Vec<[f32; 2]>], width: usize, height: usize) -> Option<Self> {
        let points = || rings.iter().flatten();
        let fold = |axis: usize, start: f32, pick: fn(f32, f32) -> f32| points().map(|p| p[axis]).fold(start, pick);
        let low = |axis| fold(axis, f32::MAX, f32::min).max(0.0).floor();
        let high = |axis, most: usize| fold(axis, f32::MIN, f32::max).ceil().min(most as f32);
        let (left, top, right, bottom) = (low(0), low(1), high(0, width), high(1, height));
        if !(right > left && bottom > top) {
            return None;
        }
        let bounds = Rect { left: left as usize, top: top as usize, right: right as usize, bottom: bottom as usize };
        let mask = fill_rings(rings, bounds);
        mask.contains(&1).then_some(Self { bounds, mask })
    }

    /// All pixels of a rectangle.
    pub fn full(bounds: Rect) -> Self {
        Self { bounds, mask: vec![1; bounds.area()] }
    }

    /// Number of its pixels.
    pub fn area(&self) -> usize {
        self.mask.iter().map(|m| usize::from(*m)).sum()
    }

    /// Whether a pixel of the field belongs to it.
    fn holds(&self, x: usize, y: usize) -> bool {
        let b = &self.bounds;
        (b.left..b.right).contains(&x)
            && (b.top..b.bottom).contains(&y)
            && self.mask[(y - b.top) * b.width() + x - b.left] != 0
    }

    /// Places of its pixels in the field.
    pub fn inside(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let b = self.bounds;
        let rows = self.mask.chunks_exact(b.width().max(1)).zip(b.top..);
        rows.flat_map(move |(row, y)| row.iter().zip(b.left..).filter(|(m, _)| **m != 0).map(move |(_, x)| (x, y)))
    }

    /// Pixels that it shares with another, and whether they meet at all (a pixel beside or at a corner).
    pub fn meets(&self, other: &Self) -> (usize, bool) {
        let (a, b) = (&self.bounds, &other.bounds);
        // Only pixels within one of the other's rectangle can meet it.
        let near = |a0: usize, a1: usize, b0: usize, b1: usize| a0.max(b0.saturating_sub(1))..a1.min(b1 + 1);
        let columns = near(a.left, a.right, b.left, b.right);
        let (mut shared, mut meets) = (0, false);
        for y in near(a.top, a.bottom, b.top, b.bottom) {
            for x in columns.clone().filter(|x| self.holds(*x, y)) {
                shared += usize::from(other.holds(x, y));
                meets = meets
                    || (y.saturating_sub(1)..=y + 1).any(|y| (x.saturating_sub(1)..=x + 1).any(|x| other.holds(x, y)));
            }
        }
        (shared, meets)
    }
}

impl Cutout {
    /// The pixels of both and those between them where they lie within a pixel of each other, and the middle of the place where
    /// they meet (the middle of the first pixel at 0.5); none where they do not meet.
    pub fn joined(&self, other: &Self) -> Option<(Self, [f32; 2])> {
        let (a, b) = (&self.bounds, &other.bounds);
        let near = |a0: usize, a1: usize, b0: usize, b1: usize| a0 <= b1 + 1 && b0 <= a1 + 1;
        if !near(a.left, a.right, b.left, b.right) || !near(a.top, a.bottom, b.top, b.bottom) {
            return None;
        }
        let bounds = Rect {
            left: a.left.min(b.left),
            top: a.top.min(b.top),
            right: a.right.max(b.right),
            bottom: a.bottom.max(b.bottom),
        };
        let (width, height) = (bounds.width(), bounds.height());
        let plane = |c: &Self| {
            let mut plane = vec![0_u8; width * height];
            c.inside().for_each(|(x, y)| plane[(y - bounds.top) * width + x - bounds.left] = 1);
            plane
        };
        let (first, second) = (plane(self), plane(other));
        let around = |plane: &[u8], x: usize, y: usize| {
            let columns = x.saturating_sub(1)..(x + 2).min(width);
            (y.saturating_sub(1)..(y + 2).min(height)).any(|y| columns.clone().any(|x| plane[y * width + x] > 0))
        };
        let (mut mask, mut sum, mut n) = (vec![0_u8; width * height], [0.0_f32; 2], 0.0_f32);
        for (i, m) in mask.iter_mut().enumerate() {
            let (x, y) = (i % width, i / width);
            let meet = around(&first, x, y) && around(&second, x, y);
            *m = u8::from(first[i] > 0 || second[i] > 0 || meet);
            if meet {
                sum = [sum[0] + x as f32, sum[1] + y as f32];
                n += 1.0;
            }
        }
        let middle = [sum[0] / n + bounds.left as f32 + 0.5, sum[1] / n + bounds.top as f32 + 0.5];
        (n > 0.0).then_some((Self { bounds, mask }, middle))
    }

    /// Closed lines around its pixels in pixels of the field, the longest first: what [`Cutout::of`] takes.
    pub fn outline(&self) -> Vec<Vec<[f32; 2]>> {
        // The tracer takes squares, and wants ground around.
        let width = self.bounds.width();
        let side = width.max(self.bounds.height()) + 2;
        let mut map = vec![-1.0_f32; side * side];
        for i in (0..self.mask.len()).filter(|i| self.mask[*i] > 0) {
            map[(i / width + 1) * side + i % width + 1] = 1.0;
        }
        let mut rings: Vec<Vec<[f32; 2]>> = Vec::new();
        Contours::default().trace(&map, side, |ring| rings.push(ring.to_vec()));
        rings.sort_by(|a, b| ring_area(b).abs().total_cmp(&ring_area(a).abs()));
        let corner = [self.bounds.left as f32 - 1.0, self.bounds.top as f32 - 1.0];
        let in_field = |ring: &Vec<[f32; 2]>| ring_corners(ring.iter().map(|p| [p[0] + corner[0], p[1] + corner[1]]));
        rings.iter().map(in_field).filter(|ring| ring.len() >= 3).collect()
    }
}

/// How each of a cell's chromosomes lies among the others; none where there is no cut-out.
pub fn lies(cutouts: &[Option<Cutout>]) -> Vec<Option<Lie>> {
    let mut lies: Vec<Option<Lie>> = cutouts.iter().map(|c| c.as_ref().map(|_| Lie::Alone)).collect();
    for (i, a) in cutouts.iter().enumerate() {
        for (j, b) in cutouts.iter().enumerate().take(i) {
            let (Some(a), Some(b)) = (a, b) else { continue };
            let (shared, meets) = a.meets(b);
            if !meets {
                continue;
            }
            let smaller = a.area().min(b.area()) as f32;
            let crossing = shared as f32 >= CROSSING_SHARE * smaller;
            for k in [i, j] {
                match lies[k] {
                    Some(Lie::Crossing) => {}
                    _ if crossing => lies[k] = Some(Lie::Crossing),
                    _ => lies[k] = Some(Lie::Touching),
                }
            }
        }
    }
    lies
}

/// How far around cut-outs dark pixels are still theirs, in pixels.
const HALO: usize = 2;
/// A pixel is as dark as chromosomes from this share of the way from the ground to their median tone on.
const DARK_SHARE: f32 = 0.5;
/// Share of the field's pixels that are not brighter than the ground.
const GROUND_SHARE: f32 = 0.8;
/// Pieces larger than so many median chromosomes are nuclei or dirt, smaller ones than this share of it grain.
const PIECE_AREAS: std::ops::RangeInclusive<f32> = 0.08..=2.5;
/// Pieces much thicker than chromosomes are nuclei or dirt, much thinner ones the rims of outlines. In median thicknesses.
const PIECE_THICKNESSES: std::ops::RangeInclusive<f32> = 0.3..=1.2;

/// What is as dark as chromosomes in `field` and belongs to none of the cut-outs (in pixels of the field); none where there are too
/// few of them to say how dark chromosomes are.
pub fn leftover(field: &Crop, cutouts: &[Cutout]) -> Option<Leftover> {
    let (width, height) = (field.width, field.height);
    let grey = field.dark_on_light();
    if cutouts.len() < 5 || grey.len() != width * height {
        return None;
    }
    let mut areas: Vec<usize> = cutouts.iter().map(Cutout::area).collect();
    areas.sort_unstable();
    let median = areas[areas.len() / 2].max(1) as f32;
    let mut tones = [0_u32; 256];
    let mut taken = vec![0_u8; grey.len()];
    for cutout in cutouts {
        for (x, y) in cutout.inside().filter(|(x, y)| *x < width && *y < height) {
            let i = y * width + x;
            tones[usize::from(grey[i])] += u32::from(taken[i] == 0);
            taken[i] = 1;
        }
    }
    let own: u32 = tones.iter().sum();
    let quantile = |counts: &[u32], share: f32| {
        let all: u32 = counts.iter().sum();
        let mut below = 0;
        counts.iter().position(|n| {
            below += n;
            below as f32 > share * all as f32
        })
    };
    let tone = quantile(&tones, 0.5)? as f32;
    let ground = quantile(Histogram::of(&grey).counts(), GROUND_SHARE)? as f32;
    let threshold = ground - DARK_SHARE * (ground - tone);
    if threshold <= tone {
        return None;
    }
    grow_by(&mut taken, width, HALO);
    let free: Vec<u8> =
        grey.iter().zip(&taken).map(|(g, taken)| u8::from(*taken == 0 && f32::from(*g) <= threshold)).collect();
    let pieces = chromosome_like(&free, width, cutouts, median);
    // Of nothing `sum` makes -0.
    let free = pieces.iter().fold(0.0, |sum, piece| sum + piece) * median;
    let largest = pieces.iter().copied().fold(0.0, f32::max);
    Some(Leftover { share: free / (free + own as f32).max(1.0), largest })
}

/// Areas, in medians, of those pieces of a mask that are as large and as thick as chromosomes or parts of them.
fn chromosome_like(free: &[u8], width: usize, cutouts: &[Cutout], median: f32) -> Vec<f32> {
    let mut pieces = Components::default();
    pieces.find_4_connected(free, width);
    let area = |i: usize| pieces.area(i) as f32 / median;
    let large: Vec<usize> = (0..pieces.len()).filter(|i| PIECE_AREAS.contains(&area(*i))).collect();
    if large.is_empty() {
        // Of most cells: how thick its chromosomes are is not asked then.
        return Vec::new();
    }
    let mut distances = FewDistances::default();
    let mut widths: Vec<f32> = cutouts.iter().map(|c| thickness(&c.mask, c.bounds.width(), &mut distances)).collect();
    widths.sort_unstable_by(f32::total_cmp);
    let usual = widths.get(widths.len() / 2).copied().unwrap_or(1.0).max(1.0);
    let mut own = Vec::new();
    let is_like_one = |i: &usize| {
        let b = pieces.bounds(*i);
        own.clear();
        own.extend((b.top..b.bottom).flat_map(|y| &free[y * width + b.left..y * width + b.right]));
        PIECE_THICKNESSES.contains(&(thickness(&own, b.width(), &mut distances) / usual))
    };
    large.into_iter().filter(is_like_one).map(area).collect()
}

/// Twice the radius of the largest disc in a mask of `width` pixels a row, in pixels.
fn thickness(mask: &[u8], width: usize, distances: &mut FewDistances) -> f32 {
    let stride = width + 2;
    let mut framed = vec![0; stride * (mask.len() / width.max(1) + 2)];
    for (y, row) in mask.chunks_exact(width.max(1)).enumerate() {
        framed[(y + 1) * stride + 1..][..width].copy_from_slice(row);
    }
    distances.read(&framed, stride);
    2.0 * (distances.deepest().1 as f32).sqrt()
}

/// Adds all pixels within `reach` rows and columns of a mask's.
fn grow_by(mask: &mut [u8], width: usize, reach: usize) {
    let join = |to: &mut [u8], from: &[u8]| to.iter_mut().zip(from).for_each(|(m, n)| *m |= n);
    let mut line = Vec::with_capacity(width);
    for row in mask.chunks_exact_mut(width.max(1)) {
        line.clear();
        line.extend_from_slice(row);
        for step in 1..=reach.min(width) {
            join(&mut row[step..], &line);
            join(row, &line[step..]);
        }
    }
    let height = mask.len() / width.max(1);
    let source = mask.to_vec();
    for y in 0..height {
        for other in y.saturating_sub(reach)..(y + reach + 1).min(height) {
            let (to, from) = (y * width, other * width);
            join(&mut mask[to..to + width], &source[from..from + width]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(left: usize, top: usize, right: usize, bottom: usize) -> Cutout {
        Cutout::full(Rect { left, top, right, bottom })
    }

    #[test]
    fn what_shares_pixels_crosses_and_what_only_meets_touches() {
        let all = [
            Some(bar(0, 0, 8, 40)),
            Some(bar(8, 0, 16, 40)),
            Some(bar(20, 10, 28, 50)),
            Some(bar(10, 30, 60, 38)),
            Some(bar(80, 0, 88, 40)),
            None,
        ];
        let lies = lies(&all);
        use Lie::{Alone, Crossing, Touching};
        assert_eq!(lies, [Some(Touching), Some(Crossing), Some(Crossing), Some(Crossing), Some(Alone), None]);
    }

    #[test]
    fn two_that_meet_are_joined_where_they_meet_and_come_back_from_their_outline() {
        // A pixel of ground lies between them.
        let (upper, lower) = (bar(10, 5, 18, 25), bar(11, 26, 17, 50));
        let (both, contact) = upper.joined(&lower).unwrap();
        assert_eq!(both.area(), 8 * 20 + 6 * 24 + 8);
        assert!((contact[0] - 14.0).abs() < 0.6 && (contact[1] - 25.5).abs() < 0.6, "{contact:?}");
        let back = Cutout::of(&both.outline(), 60, 60).unwrap();
        let same = both.inside().filter(|(x, y)| back.holds(*x, *y)).count();
        assert!(same + 8 >= both.area() && back.area() <= both.area() + 8, "{same} of {}", both.area());
        assert!(upper.joined(&bar(40, 5, 48, 25)).is_none());
        assert!(upper.joined(&bar(10, 29, 18, 50)).is_none());
    }

    #[test]
    fn an_outline_becomes_the_pixels_whose_middles_it_holds_clipped_to_the_field() {
        let ring = vec![vec![[-3.0, 2.4], [5.6, 2.4], [5.6, 7.0], [-3.0, 7.0]]];
        let cutout = Cutout::of(&ring, 50, 50).unwrap();
        assert_eq!(cutout.area(), 6 * 5);
        assert!(cutout.inside().all(|(x, y)| x < 6 && (2..7).contains(&y)));
        assert!(Cutout::of(&ring, 50, 2).is_none());
        assert!(Cutout::of(&[], 50, 50).is_none());
    }

    #[test]
    fn a_chromosome_that_nothing_explains_is_left_over_and_specks_nuclei_and_hairs_are_not() {
        let (w, h) = (200, 200);
        let mut pixels = vec![225_u8; w * h];
        let mut all = Vec::new();
        for k in 0..10 {
            all.push(bar(10 + 18 * k, 20, 20 + 18 * k, 60));
        }
        let missed = bar(100, 120, 110, 150);
        let speck = bar(40, 150, 43, 153);
        // As large as a chromosome or two, and as thick as a nucleus; and a hair.
        let nucleus = bar(20, 80, 48, 104);
        let hair = bar(20, 190, 120, 191);
        for one in all.iter().chain([&missed, &speck, &nucleus, &hair]) {
            for (x, y) in one.inside() {
                pixels[y * w + x] = 90;
            }
        }
        let field = Crop::new(w, h, pixels);
        let found = leftover(&field, &all).unwrap();
        assert!((found.largest - 0.75).abs() < 0.01, "{found:?}");
        assert!((found.share - 300.0 / 4300.0).abs() < 0.005, "{found:?}");
        all.push(missed);
        assert_eq!(leftover(&field, &all).unwrap(), Leftover { share: 0.0, largest: 0.0 });
        assert!(leftover(&field, &all[..3]).is_none());
    }
}
