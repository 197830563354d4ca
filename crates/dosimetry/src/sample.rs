//! What was counted: cells and the aberrations in them.

use super::{DosimetryError, Yield};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// More cells or aberrations than any laboratory scores; beyond it the input is a mistake.
pub const MAX_CELLS: u64 = 10_000_000;
/// A human cell of 46 centromeres cannot hold more dicentrics than this on average (45 in one chromosome).
const MOST_PER_CELL: u64 = 45;

/// The counts of one blood sample (or one dose point of a calibration).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    cells: u64,
    aberrations: u64,
    histogram: Option<Vec<u64>>,
    genome_factor: f64,
    background: f64,
}

impl Sample {
    /// From totals alone: dispersion and partial-body methods then have nothing to work on.
    pub fn from_totals(cells: u64, aberrations: u64) -> Result<Self, DosimetryError> {
        Self::checked(cells, aberrations, None)
    }

    /// From the distribution: `histogram[k]` cells hold k aberrations each.
    pub fn from_histogram(histogram: Vec<u64>) -> Result<Self, DosimetryError> {
        let mut cells = 0u64;
        let mut aberrations = 0u64;
        for (k, &count) in histogram.iter().enumerate() {
            if count > MAX_CELLS {
                return Err(DosimetryError::TooMany { found: count, most: MAX_CELLS });
            }
            cells += count;
            aberrations += count * k as u64;
        }
        Self::checked(cells, aberrations, Some(histogram))
    }

    fn checked(cells: u64, aberrations: u64, histogram: Option<Vec<u64>>) -> Result<Self, DosimetryError> {
        if cells == 0 {
            return Err(DosimetryError::NoCells);
        }
        if cells.max(aberrations) > MAX_CELLS {
            return Err(DosimetryError::TooMany { found: cells.max(aberrations), most: MAX_CELLS });
        }
        if aberrations > MOST_PER_CELL * cells {
            return Err(DosimetryError::ImpossibleYield { aberrations, cells, most: MOST_PER_CELL });
        }
        Ok(Self { cells, aberrations, histogram, genome_factor: 1.0, background: 0.0 })
    }

    /// The same counts of an assay that sees the share `genome_factor` of all aberrations (painted translocations),
    /// of which `background` were there before the exposure. Yields are then of the full genome.
    pub fn with_genome(self, genome_factor: f64, background: f64) -> Result<Self, DosimetryError> {
        if !(genome_factor > 0.0 && genome_factor <= 1.0) {
            return Err(DosimetryError::Quantity {
                what: "genome factor",
                found: genome_factor,
                allowed: "above 0 and at most 1",
            });
        }
        if !(background.is_finite() && background >= 0.0) {
            return Err(DosimetryError::Quantity {
                what: "expected background aberrations",
                found: background,
                allowed: "0 or more",
            });
        }
        Ok(Self { genome_factor, background, ..self })
    }

    /// Cells scored (N), at least 1.
    pub fn cells(&self) -> u64 {
        self.cells
    }

    /// Aberrations in them (X).
    pub fn aberrations(&self) -> u64 {
        self.aberrations
    }

    /// Cells with 0, 1, 2, ... aberrations, where known.
    pub fn histogram(&self) -> Option<&[u64]> {
        self.histogram.as_deref()
    }

    /// Share of all aberrations that the assay sees: 1 but for painted translocations.
    pub fn genome_factor(&self) -> f64 {
        self.genome_factor
    }

    /// Aberrations expected without the exposure.
    pub fn background(&self) -> f64 {
        self.background
    }

    /// Cells of which all aberrations would have been seen: N times the genome factor.
    pub fn full_genome_cells(&self) -> f64 {
        self.cells as f64 * self.genome_factor
    }

    /// Aberrations per cell: X/N, or `(X - background)/(N factor)`, 0 where the background is more.
    pub fn mean(&self) -> Yield {
        self.yield_of(self.aberrations as f64)
    }

    /// The yield that `count` aberrations in these cells would be.
    pub(super) fn yield_of(&self, count: f64) -> Yield {
        Yield::of((count - self.background) / self.full_genome_cells())
    }

    /// Cells without an aberration (C_0), where the distribution is known.
    pub fn cells_without(&self) -> Option<u64> {
        self.histogram.as_ref().map(|h| h.first().copied().unwrap_or(0))
    }

    /// Variance of aberrations per cell, `(sum k^2 C_k - X^2/N)/(N - 1)`; none for one cell or totals alone.
    pub fn variance(&self) -> Option<f64> {
        let histogram = self.histogram.as_ref()?;
        if self.cells < 2 {
            return None;
        }
        let (n, x) = (self.cells as f64, self.aberrations as f64);
        let squares: f64 = histogram.iter().enumerate().map(|(k, &c)| (k * k) as f64 * c as f64).sum();
        Some(((squares - x * x / n) / (n - 1.0)).max(0.0))
    }

    /// Dispersion index and u, each none where it is not defined.
    pub fn dispersion(&self) -> Dispersion {
        let Some(variance) = self.variance() else { return Dispersion::default() };
        let x = self.aberrations as f64;
        // One cell type only or a single aberration says nothing about a spread: u divides by 1 - 1/X.
        if self.aberrations < 2 {
            let index = (self.aberrations == 1).then(|| variance * self.cells as f64 / x);
            return Dispersion { index, u: None };
        }
        let index = variance * self.cells as f64 / x;
        let u = (index - 1.0) * ((self.cells as f64 - 1.0) / (2.0 * (1.0 - 1.0 / x))).sqrt();
        Dispersion { index: Some(index), u: Some(u) }
    }
}

/// How the aberrations spread over the cells, against Poisson (IAEA 2011, p. 48; Savage 1970).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dispersion {
    /// Variance over mean: 1 for Poisson.
    pub index: Option<f64>,
    /// Normal deviate of the index.
    pub u: Option<f64>,
}

impl Dispersion {
    /// |u| beyond this is not Poisson at 5 %.
    pub const CRITICAL_U: f64 = 1.96;

    /// u > 1.96: part of the body, several doses or high LET.
    pub fn over(&self) -> bool {
        self.u.is_some_and(|u| u > Self::CRITICAL_U)
    }

    /// u < -1.96: rare; seen above some 5 Gy, or when cells were chosen.
    pub fn under(&self) -> bool {
        self.u.is_some_and(|u| u < -Self::CRITICAL_U)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overdispersed_counts_are_recognised() {
        let sample = Sample::from_histogram(vec![302, 28, 22, 8, 1, 0]).expect("counts");
        let Dispersion { index, u } = sample.dispersion();
        assert_eq!((sample.cells(), sample.aberrations()), (361, 100));
        assert!((index.expect("index") - 1.767_888_888_9).abs() < 1e-9);
        assert!((u.expect("u") - 10.354_211_665_5).abs() < 1e-9);
        assert!(sample.dispersion().over());
    }

    #[test]
    fn u_is_not_available_rather_than_nought_without_a_second_dicentric() {
        for counts in [vec![500], vec![499, 1], vec![1]] {
            assert_eq!(Sample::from_histogram(counts).expect("counts").dispersion().u, None);
        }
        assert_eq!(Sample::from_totals(500, 25).expect("totals").dispersion(), Dispersion::default());
    }

    #[test]
    fn impossible_counts_are_refused() {
        assert_eq!(Sample::from_totals(0, 0), Err(DosimetryError::NoCells));
        assert!(matches!(Sample::from_totals(10, 5000), Err(DosimetryError::ImpossibleYield { .. })));
        assert!(matches!(Sample::from_histogram(vec![0, u64::MAX]), Err(DosimetryError::TooMany { .. })));
        assert_eq!(Sample::from_histogram(vec![]), Err(DosimetryError::NoCells));
    }
}
