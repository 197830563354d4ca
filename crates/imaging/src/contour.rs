//! Lines around what is positive on a map, and back from lines to pixels. Places are those of a picture in which the middle of the
//! first pixel is at (0.5, 0.5).

use super::plane::Rect;

/// Closed lines around the positive part of a map; keeps its buffers.
#[derive(Debug, Clone, Default)]
pub struct Contours {
    /// The part of the map that is looked at: left, top, width, height.
    window: [usize; 4],
    /// That part with a border that is negative.
    framed: Vec<f32>,
    /// The largest connected piece, framed as well.
    piece: Vec<bool>,
    /// Positive pixels that no piece has taken yet.
    free: Vec<bool>,
    /// The pixels of the piece that is looked at, and of the largest so far.
    found: Vec<u32>,
    largest: Vec<u32>,
    /// From each crossing of a side of the grid to the next, inside on the left.
    next: Vec<u32>,
    line: Vec<[f32; 2]>,
}

const NOWHERE: u32 = u32::MAX;

impl Contours {
    /// Keeps of the positive pixels of `map` (`width` a row) the largest connected piece (eight neighbours) and hands every line
    /// around it to `ring`: first the one around the piece, then those around its holes, in pixels of the map. Between the middles
    /// of pixels the values are interpolated. Answers how many pixels the piece has.
    pub fn trace(&mut self, map: &[f32], width: usize, mut ring: impl FnMut(&[[f32; 2]])) -> usize {
        if !self.look_at_positive(map, width) {
            return 0;
        }
        let stride = self.window[2] + 2;
        self.frame(map, width);
        let area = self.keep_largest(stride);
        if area == 0 {
            return 0;
        }
        self.link(stride);
        // The uppermost crossing lies on the line around the whole.
        for start in 0..self.next.len() {
            if self.next[start] == NOWHERE {
                continue;
            }
            self.line.clear();
            let mut at = start;
            while self.next[at] != NOWHERE {
                self.line.push(self.place(at, stride));
                at = std::mem::replace(&mut self.next[at], NOWHERE) as usize;
            }
            ring(&self.line);
        }
        area
    }

    /// The part of a row of the map in which the piece that was traced last may have pixels: its first column, and whether each belongs.
    pub fn row(&self, y: usize) -> (usize, &[bool]) {
        let [left, top, width, height] = self.window;
        let y = y.wrapping_sub(top);
        let begin = (y.wrapping_add(1)).wrapping_mul(width + 2).wrapping_add(1);
        (left, if y < height { &self.piece[begin..begin + width] } else { &[] })
    }

    /// Sets the window to what is positive with a pixel around; false where nothing is.
    fn look_at_positive(&mut self, map: &[f32], width: usize) -> bool {
        let (mut left, mut right, mut top, mut bottom) = (width, 0, usize::MAX, 0);
        for (y, row) in map.chunks_exact(width.max(1)).enumerate() {
            // Most rows have none: all of them at once is less work than one after the other.
            if !row.iter().fold(false, |any, v| any | (*v > 0.0)) {
                continue;
            }
            let Some(first) = row.iter().position(|v| *v > 0.0) else { continue };
            let last = row.iter().rposition(|v| *v > 0.0).unwrap_or(first);
            (left, right) = (left.min(first), right.max(last + 1));
            (top, bottom) = (top.min(y), y + 1);
        }
        if right == 0 {
            self.window = [0; 4];
            return false;
        }
        let height = map.len() / width;
        let (left, top) = (left.saturating_sub(1), top.saturating_sub(1));
        self.window = [left, top, (right + 1).min(width) - left, (bottom + 1).min(height) - top];
        true
    }

    /// The window in a border that mirrors its edge with the other sign, so that lines close at the edge of the map.
    fn frame(&mut self, map: &[f32], map_width: usize) {
        let [left, top, width, height] = self.window;
        let stride = width + 2;
        self.framed.clear();
        self.framed.resize(stride * (height + 2), -1.0);
        let rows = map.chunks_exact(map_width).skip(top).take(height);
        for (row, line) in rows.zip(self.framed.chunks_exact_mut(stride).skip(1)) {
            let row = &row[left..left + width];
            line[1..=width].copy_from_slice(row);
            line[0] = -row[0].abs().max(1e-6);
            line[width + 1] = -row[width - 1].abs().max(1e-6);
        }
        for x in 0..stride {
            self.framed[x] = -self.framed[stride + x].abs().max(1e-6);
            self.framed[(height + 1) * stride + x] = -self.framed[height * stride + x].abs().max(1e-6);
        }
    }

    /// Finds the pieces, keeps the largest and makes the others negative; its number of pixels.
    fn keep_largest(&mut self, stride: usize) -> usize {
        let n = self.framed.len();
        self.free.clear();
        self.free.extend(self.framed.iter().map(|v| *v > 0.0));
        self.piece.clear();
        self.piece.resize(n, false);
        self.largest.clear();
        for start in 0..n {
            if self.free[start] {
                self.flood(start, stride);
                if self.found.len() > self.largest.len() {
                    std::mem::swap(&mut self.found, &mut self.largest);
                }
            }
        }
        self.largest.iter().for_each(|at| self.piece[*at as usize] = true);
        for (value, own) in self.framed.iter_mut().zip(&self.piece) {
            if *value > 0.0 && !own {
                *value = -1e-3;
            }
        }
        self.largest.len()
    }

    /// Finds the positive pixels that hang together with `start`.
    fn flood(&mut self, start: usize, stride: usize) {
        self.found.clear();
        self.found.push(start as u32);
        self.free[start] = false;
        let mut looked_at = 0;
        while let Some(at) = self.found.get(looked_at) {
            let at = *at as usize;
            looked_at += 1;
            // The border is negative, so that no neighbour lies outside.
            for row in [at - stride, at, at + stride] {
                for next in row - 1..=row + 1 {
                    if self.free[next] {
                        self.free[next] = false;
                        self.found.push(next as u32);
                    }
                }
            }
        }
    }

    /// Links the crossings. The side from a pixel to the one on its right has the pixel's number, the side to the one below that
    /// number and the number of pixels more.
    fn link(&mut self, stride: usize) {
        let n = self.framed.len();
        self.next.clear();
        self.next.resize(2 * n, NOWHERE);
        let rows = n / stride;
        for y in 0..rows - 1 {
            let [upper, lower] = [y, y + 1].map(|y| &self.piece[y * stride..(y + 1) * stride]);
            for (x, (upper, lower)) in upper.windows(2).zip(lower.windows(2)).enumerate() {
                let i = y * stride + x;
                let inside = [upper[0], upper[1], lower[1], lower[0]];
                let kind = inside.iter().enumerate().fold(0, |kind, (k, own)| kind | u8::from(*own) << k);
                if kind == 0 || kind == 15 {
                    continue;
                }
                let (top, right, bottom, left) = (i, n + i + 1, i + stride, n + i);
                let mut join = |from: usize, to: usize| self.next[from] = to as u32;
                // Corners from the upper left clockwise; whoever follows a line has the inside on the left.
                match kind {
                    1 => join(left, top),
                    2 => join(top, right),
                    3 => join(left, right),
                    4 => join(right, bottom),
                    6 => join(top, bottom),
                    7 => join(left, bottom),
                    8 => join(bottom, left),
                    9 => join(bottom, top),
                    11 => join(bottom, right),
                    12 => join(right, left),
                    13 => join(right, top),
                    14 => join(top, left),
                    // Two opposite corners hang together, as eight neighbours do.
                    5 => {
                        join(left, bottom);
                        join(right, top);
                    }
                    _ => {
                        join(top, left);
                        join(bottom, right);
                    }
                }
            }
        }
    }

    /// Where the map is zero on a side.
    fn place(&self, side: usize, stride: usize) -> [f32; 2] {
        let n = self.framed.len();
        let (i, beyond) = if side < n { (side, side + 1) } else { (side - n, side - n + stride) };
        let (a, b) = (self.framed[i], self.framed[beyond]);
        let share = a / (a - b);
        // Pixel 1 of the framed window is its pixel 0, whose middle is at a half.
        let [left, top, ..] = self.window.map(|v| v as f32);
        let (x, y) = (left + (i % stride) as f32 - 0.5, top + (i / stride) as f32 - 0.5);
        if side < n { [x + share, y] } else { [x, y + share] }
    }
}

/// Area inside a closed line, 0 or more.
pub fn ring_area(ring: &[[f32; 2]]) -> f32 {
    let next = ring.iter().cycle().skip(1);
    (ring.iter().zip(next).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum::<f32>() / 2.0).abs()
}

/// How far a corner of an outline may lie from the line without it, in pixels.
const OUTLINE_TOLERANCE: f32 = 0.25;

/// A closed line in pixels as a record holds it: to a tenth, without corners that it does not need.
pub fn ring_corners(ring: impl Iterator<Item = [f32; 2]>) -> Vec<[f32; 2]> {
    let mut closed: Vec<[f32; 2]> = ring.collect();
    closed.extend(closed.first().copied());
    let mut corners: Vec<[f32; 2]> =
        simplified(&closed, OUTLINE_TOLERANCE).into_iter().map(|p| p.map(domain::to_tenths)).collect();
    corners.pop();
    corners.dedup();
    corners
}

/// Corners of a line without those that lie nearer than `tolerance` to the line through the others (Douglas and Peucker, 1973). The
/// first and the last stay; a closed line is given with its first corner again at the end.
pub fn simplified(line: &[[f32; 2]], tolerance: f32) -> Vec<[f32; 2]> {
    if line.len() < 3 {
        return line.to_vec();
    }
    let mut kept = vec![false; line.len()];
    (kept[0], kept[line.len() - 1]) = (true, true);
    let mut open = vec![(0, line.len() - 1)];
    while let Some((first, last)) = open.pop() {
        let (a, b) = (line[first], line[last]);
        let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
        let length = dx.hypot(dy);
        let off = |p: &[f32; 2]| {
            if length > 1e-6 {
                (dx * (p[1] - a[1]) - dy * (p[0] - a[0])).abs() / length
            } else {
                (p[0] - a[0]).hypot(p[1] - a[1])
            }
        };
        let between = (first + 1..last).map(|i| (i, off(&line[i]))).max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((i, distance)) = between
            && distance > tolerance
        {
            kept[i] = true;
            open.push((first, i));
            open.push((i, last));
        }
    }
    line.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(p, _)| *p).collect()
}

/// Marks the pixels of `bounds` whose middles lie inside an odd number of closed lines: zeros and ones, row by row.
pub fn fill_rings(rings: &[Vec<[f32; 2]>], bounds: Rect) -> Vec<u8> {
    let (width, height) = (bounds.width(), bounds.height());
    let mut mask = vec![0_u8; width * height];
    // First the pixels before which a line is crossed an odd number of times, then what lies between two of them.
    for ring in rings {
        for (a, b) in ring.iter().zip(ring.iter().cycle().skip(1)) {
            let (upper, lower) = if a[1] < b[1] { (a, b) } else { (b, a) };
            let shifted = |y: f32| y - bounds.top as f32 - 0.5;
            let first = shifted(upper[1]).ceil().max(0.0);
            let end = shifted(lower[1]).ceil().min(height as f32);
            let mut row = first;
            // A middle on the upper end counts, one on the lower end does not: corners count once.
            while row < end {
                let y = row + bounds.top as f32 + 0.5;
                let share = (y - upper[1]) / (lower[1] - upper[1]);
                let x = upper[0] + share * (lower[0] - upper[0]) - bounds.left as f32 - 0.5;
                let column = x.ceil().clamp(0.0, width as f32) as usize;
                if column < width {
                    mask[row as usize * width + column] ^= 1;
                }
                row += 1.0;
            }
        }
    }
    for row in mask.chunks_exact_mut(width.max(1)) {
        row.iter_mut().fold(0, |inside, pixel| {
            *pixel ^= inside;
            *pixel
        });
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Signed distance to a disc, positive inside.
    fn disc(width: usize, centre: [f32; 2], radius: f32) -> Vec<f32> {
        let pixel = |i: usize| ((i % width) as f32 + 0.5, (i / width) as f32 + 0.5);
        (0..width * width)
            .map(|i| {
                let (x, y) = pixel(i);
                radius - (x - centre[0]).hypot(y - centre[1])
            })
            .collect()
    }

    fn rings_of(map: &[f32], width: usize) -> (usize, Vec<Vec<[f32; 2]>>) {
        let mut rings = Vec::new();
        let area = Contours::default().trace(map, width, |ring| rings.push(ring.to_vec()));
        (area, rings)
    }

    #[test]
    fn a_line_lies_where_the_map_is_zero() {
        let (area, rings) = rings_of(&disc(40, [18.3, 21.7], 11.4), 40);
        assert_eq!(rings.len(), 1);
        for p in &rings[0] {
            let off = (p[0] - 18.3).hypot(p[1] - 21.7) - 11.4;
            assert!(off.abs() < 0.1, "{p:?} {off}");
        }
        assert!((ring_area(&rings[0]) - std::f32::consts::PI * 11.4 * 11.4).abs() < 3.0);
        assert!((area as f32 - ring_area(&rings[0])).abs() < 8.0);
    }

    #[test]
    fn the_largest_piece_is_kept_and_its_hole_has_a_line_of_its_own() {
        let mut map = disc(40, [16.0, 16.0], 12.0);
        for (value, hole) in map.iter_mut().zip(disc(40, [16.0, 16.0], 4.0)) {
            *value = value.min(-hole);
        }
        for (value, other) in map.iter_mut().zip(disc(40, [35.0, 35.0], 3.0)) {
            *value = value.max(other);
        }
        let (_, rings) = rings_of(&map, 40);
        assert_eq!(rings.len(), 2);
        assert!(ring_area(&rings[0]) > 400.0 && (ring_area(&rings[1]) - 50.0).abs() < 4.0);
        let mask = fill_rings(&rings, Rect { left: 0, top: 0, right: 40, bottom: 40 });
        assert_eq!((mask[16 * 40 + 16], mask[16 * 40 + 8], mask[35 * 40 + 35]), (0, 1, 0));
    }

    #[test]
    fn what_reaches_the_edge_is_closed_there_and_nothing_has_no_line() {
        let (area, rings) = rings_of(&[5.0; 64], 8);
        assert_eq!((area, rings.len()), (64, 1));
        let bounds = Rect { left: 0, top: 0, right: 8, bottom: 8 };
        assert!(fill_rings(&rings, bounds).iter().all(|m| *m == 1), "{rings:?}");
        assert_eq!(rings_of(&[-1.0; 64], 8).1.len(), 0);
    }

    #[test]
    fn corners_that_meet_hang_together() {
        let mut map = vec![-1.0; 36];
        for (x, y) in [(1, 1), (2, 2), (3, 1), (4, 4)] {
            map[y * 6 + x] = 1.0;
        }
        let (area, rings) = rings_of(&map, 6);
        assert_eq!((area, rings.len()), (3, 1));
    }

    #[test]
    fn a_straight_line_needs_its_ends_alone() {
        let line: Vec<[f32; 2]> = (0..20).map(|i| [i as f32, 2.0 * i as f32 + 0.01 * (i % 2) as f32]).collect();
        assert_eq!(simplified(&line, 0.1).len(), 2);
        let bent = [[0.0, 0.0], [5.0, 0.0], [5.0, 5.0]];
        assert_eq!(simplified(&bent, 0.1), bent);
    }

    proptest! {
        /// Lines and back give the pixels from which they came, whatever the map.
        #[test]
        fn lines_and_back_give_the_same_pixels(values in prop::collection::vec(-1.0f32..1.0, 144)) {
            let values: Vec<f32> = values.into_iter().map(|v| if v.abs() < 0.05 { 0.3 } else { v }).collect();
            let mut contours = Contours::default();
            let mut rings = Vec::new();
            contours.trace(&values, 12, |ring| rings.push(ring.to_vec()));
            let mask = fill_rings(&rings, Rect { left: 0, top: 0, right: 12, bottom: 12 });
            for (i, own) in mask.iter().enumerate() {
                let (left, piece) = contours.row(i / 12);
                let held = piece.get((i % 12).wrapping_sub(left)).is_some_and(|own| *own);
                prop_assert_eq!(*own == 1, held, "pixel {}", i);
            }
        }
    }
}
