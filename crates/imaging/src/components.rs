//! Connected components by runs: one pass over the mask, joined through a forest of runs.
//!
//! The only code that follows connected pixels. Foreground joins through 8 neighbours where objects are looked for,
//! through 4 where a bridge of corners alone must not join; background joins through 4, the dual of the 8 of objects.

use super::plane::Rect;

/// A stretch of foreground in one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Run {
    /// Row.
    pub y: u32,
    /// First column.
    pub start: u32,
    /// Column after the last.
    pub end: u32,
}

/// The components of a mask; buffers are kept from call to call.
#[derive(Debug, Clone, Default)]
pub struct Components {
    runs: Vec<Run>,
    parent: Vec<u32>,
    sorted: Vec<Run>,
    starts: Vec<u32>,
    areas: Vec<u32>,
    bounds: Vec<Rect>,
    label: Vec<u32>,
}

impl Components {
    /// Finds the components of `mask` (anything but 0 is foreground), `width` pixels a row, 8 neighbours joined.
    pub fn find(&mut self, mask: &[u8], width: usize) {
        self.join_runs(mask, width, 1, runs_of_row);
    }

    /// As [`Components::find`], with 4 neighbours joined: pixels that meet at a corner alone stay apart.
    pub fn find_4_connected(&mut self, mask: &[u8], width: usize) {
        self.join_runs(mask, width, 0, runs_of_row);
    }

    /// Finds the components of what is 0 in `mask`, `width` pixels a row, 4 neighbours joined. Holes are those that do
    /// not reach the edge.
    pub fn find_background(&mut self, mask: &[u8], width: usize) {
        self.join_runs(mask, width, 0, zero_runs_of_row);
    }

    /// Joins the runs that `runs_of_row` finds; `reach` is how many columns beside a run the row above still touches.
    fn join_runs(&mut self, mask: &[u8], width: usize, reach: u32, runs_of_row: fn(&[u8], u32, &mut Vec<Run>)) {
        self.runs.clear();
        self.parent.clear();
        let mut above = 0..0;
        for (y, row) in mask.chunks_exact(width.max(1)).enumerate() {
            let first = self.runs.len();
            runs_of_row(row, y as u32, &mut self.runs);
            for i in first..self.runs.len() {
                self.parent.push(i as u32);
            }
            let mut j = above.start;
            for i in first..self.runs.len() {
                let run = self.runs[i];
                // A run's end is the column after its last: with a reach of 0 columns must be shared.
                while j < above.end && self.runs[j].end + reach <= run.start {
                    j += 1;
                }
                let mut k = j;
                while k < above.end && self.runs[k].start < run.end + reach {
                    self.join(i as u32, k as u32);
                    k += 1;
                }
            }
            above = first..self.runs.len();
        }
        self.collect();
    }

    fn root(&mut self, mut i: u32) -> u32 {
        while self.parent[i as usize] != i {
            let up = self.parent[self.parent[i as usize] as usize];
            self.parent[i as usize] = up;
            i = up;
        }
        i
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        // The lower index wins, so a root is the first run of its component.
        let (low, high) = (a.min(b), a.max(b));
        self.parent[high as usize] = low;
    }

    fn collect(&mut self) {
        let n = self.runs.len();
        self.label.clear();
        self.label.resize(n, 0);
        self.areas.clear();
        self.bounds.clear();
        self.starts.clear();
        for i in 0..n {
            let root = self.root(i as u32) as usize;
            if root == i {
                self.label[i] = self.areas.len() as u32;
                self.areas.push(0);
                self.starts.push(0);
                self.bounds.push(Rect { left: usize::MAX, top: self.runs[i].y as usize, right: 0, bottom: 0 });
            } else {
                self.label[i] = self.label[root];
            }
            let l = self.label[i] as usize;
            let run = self.runs[i];
            self.areas[l] += run.end - run.start;
            self.starts[l] += 1;
            let b = &mut self.bounds[l];
            b.left = b.left.min(run.start as usize);
            b.right = b.right.max(run.end as usize);
            b.bottom = b.bottom.max(run.y as usize + 1);
        }
        // Counting sort of the runs by label.
        let mut at = 0;
        for s in &mut self.starts {
            (*s, at) = (at, at + *s);
        }
        self.starts.push(at);
        self.sorted.clear();
        self.sorted.resize(n, Run::default());
        for i in 0..n {
            let l = self.label[i] as usize;
            self.sorted[self.starts[l] as usize] = self.runs[i];
            self.starts[l] += 1;
        }
        // Each start has moved on to its end: shift back.
        for l in (1..self.starts.len()).rev() {
            self.starts[l] = self.starts[l - 1];
        }
        if let Some(first) = self.starts.first_mut() {
            *first = 0;
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.areas.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.areas.is_empty()
    }

    /// Pixels of component `i`.
    pub fn area(&self, i: usize) -> usize {
        self.areas[i] as usize
    }

    /// The smallest rectangle around component `i`.
    pub fn bounds(&self, i: usize) -> Rect {
        self.bounds[i]
    }

    /// The runs of component `i` from top to bottom.
    pub fn runs(&self, i: usize) -> &[Run] {
        &self.sorted[self.starts[i] as usize..self.starts[i + 1] as usize]
    }

    /// The component that holds the pixel at (`x`, `y`); none where it belongs to none.
    pub fn at(&self, x: usize, y: usize) -> Option<usize> {
        let holds = |r: &Run| r.y as usize == y && (r.start as usize..r.end as usize).contains(&x);
        (0..self.len()).find(|&i| self.runs(i).iter().any(holds))
    }

    /// Sets the pixels of component `i` to `value` in `plane`, which has `width` pixels a row.
    pub fn fill(&self, i: usize, plane: &mut [u8], width: usize, value: u8) {
        for run in self.runs(i) {
            let row = run.y as usize * width;
            plane[row + run.start as usize..row + run.end as usize].fill(value);
        }
    }

    /// Writes component `i` as ones into `out` (zeros elsewhere), which becomes `bounds(i)` grown by `margin` on each
    /// side, the picture's edges disregarded: pixel (x, y) of the mask lands at (x - left + margin, y - top + margin).
    pub fn paint(&self, i: usize, margin: usize, out: &mut Vec<u8>) -> (usize, usize) {
        let b = self.bounds[i];
        let (w, h) = (b.width() + 2 * margin, b.height() + 2 * margin);
        out.clear();
        out.resize(w * h, 0);
        for run in self.runs(i) {
            let row = (run.y as usize - b.top + margin) * w;
            let shift = margin + row;
            out[run.start as usize - b.left + shift..run.end as usize - b.left + shift].fill(1);
        }
        (w, h)
    }
}

/// Appends the runs of one row. Empty stretches are passed eight pixels at a time.
fn runs_of_row(row: &[u8], y: u32, runs: &mut Vec<Run>) {
    let mut x = 0;
    while x < row.len() {
        while let Some(eight) = row.get(x..x + 8) {
            if u64::from_ne_bytes([eight[0], eight[1], eight[2], eight[3], eight[4], eight[5], eight[6], eight[7]]) != 0
            {
                break;
            }
            x += 8;
        }
        while x < row.len() && row[x] == 0 {
            x += 1;
        }
        if x == row.len() {
            break;
        }
        let start = x;
        while x < row.len() && row[x] != 0 {
            x += 1;
        }
        runs.push(Run { y, start: start as u32, end: x as u32 });
    }
}

/// Appends the runs of what is 0 in one row.
fn zero_runs_of_row(row: &[u8], y: u32, runs: &mut Vec<Run>) {
    let mut x = 0;
    while let Some(skip) = row[x..].iter().position(|&v| v == 0) {
        let start = x + skip;
        x = row[start..].iter().position(|&v| v != 0).map_or(row.len(), |n| start + n);
        runs.push(Run { y, start: start as u32, end: x as u32 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FOUR: &[(isize, isize)] = &[(0, -1), (-1, 0), (1, 0), (0, 1)];
    const EIGHT: &[(isize, isize)] = &[(-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1)];

    fn flood(mask: &[u8], w: usize, neighbours: &[(isize, isize)]) -> usize {
        let h = mask.len() / w;
        let mut seen = vec![false; mask.len()];
        let mut n = 0;
        for i in 0..mask.len() {
            if mask[i] == 0 || seen[i] {
                continue;
            }
            n += 1;
            let mut todo = vec![i];
            seen[i] = true;
            while let Some(p) = todo.pop() {
                let (x, y) = ((p % w) as isize, (p / w) as isize);
                for (dx, dy) in neighbours {
                    let (a, b) = (x + dx, y + dy);
                    if a >= 0 && b >= 0 && a < w as isize && b < h as isize {
                        let q = b as usize * w + a as usize;
                        if mask[q] != 0 && !seen[q] {
                            seen[q] = true;
                            todo.push(q);
                        }
                    }
                }
            }
        }
        n
    }

    proptest! {
        #[test]
        fn as_many_as_flooding_finds_and_no_pixel_is_lost(w in 1usize..40, rows in 1usize..30, seed in any::<u64>(), density in 1u64..9) {
            let mut s = seed | 1;
            let mask: Vec<u8> = (0..w * rows).map(|_| { s ^= s << 13; s ^= s >> 7; s ^= s << 17; u8::from(s % 10 < density) }).collect();
            let mut c = Components::default();
            c.find_4_connected(&mask, w);
            prop_assert_eq!(c.len(), flood(&mask, w, FOUR));
            let inverse: Vec<u8> = mask.iter().map(|m| 1 - m).collect();
            c.find_background(&inverse, w);
            prop_assert_eq!(c.len(), flood(&mask, w, FOUR));
            c.find(&mask, w);
            prop_assert_eq!(c.len(), flood(&mask, w, EIGHT));
            let total: usize = (0..c.len()).map(|i| c.area(i)).sum();
            prop_assert_eq!(total, mask.iter().filter(|&&v| v != 0).count());
            let mut again = vec![0u8; mask.len()];
            for i in 0..c.len() {
                c.fill(i, &mut again, w, 1);
                let first = c.runs(i)[0];
                prop_assert_eq!(c.at(first.start as usize, first.y as usize), Some(i));
            }
            prop_assert_eq!(again, mask);
        }
    }

    #[test]
    fn an_empty_mask_has_none() {
        let mut c = Components::default();
        c.find(&[], 0);
        assert!(c.is_empty());
        c.find(&[0; 12], 4);
        assert_eq!(c.len(), 0);
    }
}
