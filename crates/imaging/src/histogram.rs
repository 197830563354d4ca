//! Counts of grey levels and what is read from them.

/// How often each of 256 levels occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: [u32; 256],
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; 256] }
    }
}

impl Histogram {
    /// Of all samples. Four tables in turn, so that equal neighbours do not wait for each other.
    pub fn of(samples: &[u8]) -> Self {
        let mut tables = [[0u32; 256]; 4];
        let (quads, rest) = samples.as_chunks::<4>();
        for quad in quads {
            for (table, &v) in tables.iter_mut().zip(quad) {
                table[usize::from(v)] += 1;
            }
        }
        for &v in rest {
            tables[0][usize::from(v)] += 1;
        }
        let mut counts = [0; 256];
        for (i, c) in counts.iter_mut().enumerate() {
            *c = tables.iter().map(|t| t[i]).sum();
        }
        Self { counts }
    }

    /// From counts by level.
    pub fn from_counts(counts: [u32; 256]) -> Self {
        Self { counts }
    }

    /// Counts one more.
    pub fn add(&mut self, level: u8) {
        self.counts[usize::from(level)] += 1;
    }

    /// The counts by level.
    pub fn counts(&self) -> &[u32; 256] {
        &self.counts
    }

    /// Samples counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|&c| u64::from(c)).sum()
    }

    /// The lowest level that at least the share `q` (0 to 1) of the samples do not exceed; 0 of none.
    pub fn percentile(&self, q: f64) -> u8 {
        let goal = (q.clamp(0.0, 1.0) * self.total() as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (level, &c) in self.counts.iter().enumerate() {
            seen += u64::from(c);
            if seen >= goal {
                return level as u8;
            }
        }
        0
    }

    /// The most frequent level after a running mean over five levels.
    pub fn mode(&self) -> u8 {
        let sum = |i: usize| self.counts[i.saturating_sub(2)..=(i + 2).min(255)].iter().map(|&c| u64::from(c)).sum();
        (0..256usize).max_by_key(|&i| -> u64 { sum(i) }).unwrap_or(0) as u8
    }

    /// Mean level; 0 of none.
    pub fn mean(&self) -> f64 {
        let total = self.total();
        if total == 0 {
            return 0.0;
        }
        self.counts.iter().enumerate().map(|(i, &c)| i as f64 * f64::from(c)).sum::<f64>() / total as f64
    }

    /// The threshold t that parts the levels into < t and >= t with the largest variance between the two classes
    /// (Otsu 1979), looking at levels from `from` on; `None` when fewer than two levels occur.
    pub fn otsu(&self, from: u8) -> Option<u8> {
        let levels = || self.counts.iter().enumerate().skip(usize::from(from));
        let total: f64 = levels().map(|(_, &c)| f64::from(c)).sum();
        let sum: f64 = levels().map(|(i, &c)| i as f64 * f64::from(c)).sum();
        let (mut below, mut sum_below, mut best, mut at) = (0.0, 0.0, 0.0, None);
        for (i, &c) in levels() {
            if below > 0.0 && below < total {
                let gap = sum_below / below - (sum - sum_below) / (total - below);
                let between = below * (total - below) * gap * gap;
                if between > best {
                    (best, at) = (between, Some(i as u8));
                }
            }
            below += f64::from(c);
            sum_below += i as f64 * f64::from(c);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn otsu_parts_two_heaps() {
        let mut samples = vec![10u8; 900];
        samples.extend([12; 100]);
        samples.extend([200; 50]);
        let t = Histogram::of(&samples).otsu(0).expect("two heaps");
        assert!(t > 12 && t <= 200, "{t}");
        assert_eq!(Histogram::of(&[7; 9]).otsu(0), None);
        assert_eq!(Histogram::of(&[]).otsu(0), None);
    }

    #[test]
    fn percentiles_and_mode() {
        let samples: Vec<u8> = (0..=99).collect();
        let h = Histogram::of(&samples);
        assert_eq!(h.percentile(0.5), 49);
        assert_eq!(h.percentile(1.0), 99);
        assert!(Histogram::of(&[3, 3, 3, 200]).mode().abs_diff(3) <= 2);
    }
}
