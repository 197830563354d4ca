//! Simulated exposure: what the cells of an irradiated person would hold.

use domain::{AberrationCounts, DicentricRecord, ScoredBy};

use super::{CellSurvival, Curve, DosimetryError, Gray};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, Poisson};

/// Chromosomes of a human cell.
const CHROMOSOMES: u32 = 46;
/// Centric rings for each induced dicentric. Between a twentieth and a tenth in human lymphocytes; an assumption of
/// the simulator, not used for any dose.
const RINGS_PER_DICENTRIC: f64 = 0.06;
/// Excess acentric fragments for each induced dicentric; an assumption of the simulator likewise.
const EXCESS_FRAGMENTS_PER_DICENTRIC: f64 = 0.6;

/// What one cell holds after an exposure: truth for the virtual slide and the simulator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExposedCell {
    /// Whether it was in the irradiated part of the body.
    pub irradiated: bool,
    /// Its chromosomes; of fragments one for each dicentric equivalent and ring, and excess ones. 46 centromeres, for
    /// exchanges lose none.
    pub counts: AberrationCounts,
}

impl ExposedCell {
    /// The record of the cell: complete, in its first division, scored by the slide itself.
    pub fn record(&self) -> DicentricRecord {
        self.counts.clone().record([CHROMOSOMES; 2], Some(true), ScoredBy::Truth)
    }
}

/// An acute exposure of the whole body or a part of it, by a curve.
#[derive(Debug, Clone)]
pub struct Exposure {
    exposed_yield: f64,
    background: f64,
    scored_fraction: f64,
}

impl Exposure {
    /// `dose` to the share `fraction` (0 to 1) of the body; cells of that part come to metaphase with the share
    /// `survival` gives. Aberrations of a cell are Poisson by the curve, the rest of the body holds its background.
    pub fn new(curve: &Curve, dose: Gray, fraction: f64, survival: CellSurvival) -> Result<Self, DosimetryError> {
        if !(0.0..=1.0).contains(&fraction) {
            return Err(DosimetryError::Quantity {
                what: "irradiated fraction of the body",
                found: fraction,
                allowed: "0 to 1",
            });
        }
        if dose.value() > 50.0 {
            return Err(DosimetryError::Quantity {
                what: "simulated dose in Gy",
                found: dose.value(),
                allowed: "0 to 50",
            });
        }
        let survived = survival.at(dose);
        let scored_fraction = fraction * survived / (1.0 - fraction + fraction * survived);
        let response = curve.acute();
        Ok(Self {
            exposed_yield: response.yield_at(dose).value(),
            background: response.yield_at(Gray::ZERO).value(),
            scored_fraction,
        })
    }

    /// Share of the scored cells that were irradiated.
    pub fn scored_fraction(&self) -> f64 {
        self.scored_fraction
    }

    /// Expected dicentrics per scored cell.
    pub fn expected_yield(&self) -> f64 {
        self.scored_fraction * self.exposed_yield + (1.0 - self.scored_fraction) * self.background
    }

    /// Draws one scored cell. The same generator state gives the same cell.
    pub fn draw(&self, rng: &mut impl Rng) -> ExposedCell {
        let irradiated = rng.random::<f64>() < self.scored_fraction;
        let mean = if irradiated { self.exposed_yield } else { self.background };
        let induced = (mean - self.background).max(0.0);
        let equivalents = poisson(mean, rng).min(30);
        let rings = poisson(RINGS_PER_DICENTRIC * induced, rng).min(4);
        let excess = poisson(EXCESS_FRAGMENTS_PER_DICENTRIC * induced, rng).min(30);

        // Each exchange joins two chromosomes taken at random; one that is dicentric already makes a tricentric.
        let mut polycentric: Vec<u32> = Vec::new();
        let mut free = CHROMOSOMES - rings;
        for _ in 0..equivalents {
            let pieces = free + polycentric.len() as u32;
            let pick = rng.random_range(0..pieces.max(1));
            match polycentric.get_mut(pick as usize) {
                Some(centromeres) if free >= 1 => {
                    *centromeres += 1;
                    free -= 1;
                }
                _ if free >= 2 => {
                    polycentric.push(2);
                    free -= 2;
                }
                _ => break,
            }
        }
        let count = |k: u32| polycentric.iter().filter(|c| **c == k).count() as u32;
        let mut counts = AberrationCounts {
            monocentrics: free,
            dicentrics: count(2),
            tricentrics: count(3),
            higher: polycentric.iter().copied().filter(|c| *c > 3).collect(),
            rings,
            fragments: 0,
            unclear: 0,
        };
        counts.fragments = counts.fragments_expected() + excess;
        ExposedCell { irradiated, counts }
    }
}

fn poisson(mean: f64, rng: &mut impl Rng) -> u32 {
    if mean <= 0.0 {
        return 0;
    }
    Poisson::new(mean).map_or(0, |d| d.sample(rng) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::built_in;
    use rand::SeedableRng;

    fn draw(dose: f64, fraction: f64, cells: usize) -> (Exposure, Vec<ExposedCell>) {
        let curve = built_in("co60_barquinero1995").expect("curve");
        let exposure = Exposure::new(&curve, Gray::clamped(dose), fraction, CellSurvival::default()).expect("exposure");
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(16);
        let drawn = (0..cells).map(|_| exposure.draw(&mut rng)).collect();
        (exposure, drawn)
    }

    #[test]
    fn every_cell_keeps_its_46_centromeres() {
        for dose in [0.0, 1.0, 4.0, 20.0] {
            assert!(draw(dose, 1.0, 500).1.iter().all(|c| c.counts.centromeres() == 46), "{dose} Gy");
        }
    }

    #[test]
    fn cells_hold_the_yield_of_the_curve() {
        let (exposure, cells) = draw(3.0, 1.0, 20_000);
        let mean = cells.iter().map(|c| f64::from(c.counts.dicentric_equivalents())).sum::<f64>() / cells.len() as f64;
        let error = (exposure.expected_yield() / cells.len() as f64).sqrt();
        assert!((mean - exposure.expected_yield()).abs() < 4.0 * error, "{mean}");
        assert!(cells.iter().any(|c| c.counts.tricentrics > 0) && cells.iter().any(|c| c.counts.rings > 0));
    }

    #[test]
    fn irradiated_cells_are_rarer_among_those_scored() {
        let (exposure, cells) = draw(4.0, 0.5, 20_000);
        let share = cells.iter().filter(|c| c.irradiated).count() as f64 / cells.len() as f64;
        assert!(exposure.scored_fraction() < 0.2);
        assert!((share - exposure.scored_fraction()).abs() < 0.01, "{share}");
    }

    #[test]
    fn shares_and_doses_that_cannot_be_are_refused() {
        let curve = built_in("co60_barquinero1995").expect("curve");
        for (dose, fraction) in [(1.0, 1.5), (1.0, -0.1), (1.0, f64::NAN), (60.0, 1.0)] {
            assert!(Exposure::new(&curve, Gray::clamped(dose), fraction, CellSurvival::default()).is_err());
        }
    }
}
