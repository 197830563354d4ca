//! How real G-banded chromosomes look along their axis, by class: length, place of the centromere, bands, widths.
//!
//! `g_bands.txt` was learned from the chromosomes that lie alone in the training patients' metaphases of cil (CIL:54816, Tseng et al.
//! 2023) by `python -m metaphased_training slide-bands`: means of profiles that were brought over each other, no pixels of any person.

use std::sync::LazyLock;

use domain::ChromosomeClass;

use super::ideogram;

/// One line a chromosome: name, length (chromosome 1 is 1000), place of the centromere (thousandths of the length), then
/// densities and widths from pter to qter in hundredths of the cell's own.
const TABLE: &str = include_str!("g_bands.txt");
/// Length of chromosome 1 in ideogram units.
const LONGEST: f32 = 15_100.0;

/// What a class looks like along its axis, from pter to qter at even steps.
#[derive(Debug)]
pub struct Banding {
    /// Length on the scale of the ideogram.
    length: f32,
    /// Distance of the centromere from pter on that scale.
    centromere: f32,
    density: Vec<f32>,
    width: Vec<f32>,
}

static BANDING: LazyLock<Vec<Banding>> = LazyLock::new(|| TABLE.lines().filter_map(read_line).collect());

fn read_line(line: &str) -> Option<Banding> {
    let mut words = line.split(' ').skip(1);
    let mut thousandths = || Some(words.next()?.parse::<f32>().ok()? / 1000.0);
    let length = thousandths()? * LONGEST;
    let centromere = thousandths()? * length;
    let mut hundredths =
        || words.next()?.split(',').map(|v| v.parse::<f32>().ok().map(|v| v / 100.0)).collect::<Option<Vec<f32>>>();
    Some(Banding { length, centromere, density: hundredths()?, width: hundredths()? })
}

/// The banding of a class.
pub fn of(class: ChromosomeClass) -> &'static Banding {
    &BANDING[class.index()]
}

impl Banding {
    /// Density against the mean of the cell's chromosomes at a place on the measured scale.
    pub fn density(&self, place: f32) -> f32 {
        between(&self.density, place / self.length)
    }

    /// Width against that of the cell's chromosomes at a place on the measured scale.
    pub fn width(&self, place: f32) -> f32 {
        between(&self.width, place / self.length)
    }
}

/// The value at a part of a table's length, on a straight line between the samples (each the middle of its step).
fn between(table: &[f32], part: f32) -> f32 {
    let last = (table.len() - 1) as f32;
    let at = (part * table.len() as f32 - 0.5).clamp(0.0, last);
    let i = (at as usize).min(table.len() - 2);
    table[i] + (at - i as f32) * (table[i + 1] - table[i])
}

/// Where places of the ideogram lie on a chromosome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Where the ideogram has them.
    Drawn,
    /// Where real chromosomes have them: each arm as long as it was measured, and its places in proportion.
    Measured,
}

impl Scale {
    /// Distance from pter of the place `at`, which the ideogram counts from pter, both in its units.
    pub fn place(self, class: ChromosomeClass, at: f32) -> f32 {
        if self == Self::Drawn {
            return at;
        }
        let (real, middle, length) = (of(class), ideogram::centromere(class), ideogram::length(class));
        if at <= middle {
            at / middle * real.centromere
        } else {
            real.centromere + (at - middle) / (length - middle) * (real.length - real.centromere)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_banding_and_its_arms_keep_their_ends() {
        assert_eq!(BANDING.len(), ChromosomeClass::COUNT);
        for class in ChromosomeClass::all() {
            let banding = of(class);
            assert_eq!((banding.density.len(), banding.width.len()), (128, 128), "{class}");
            let place = |at| Scale::Measured.place(class, at);
            assert_eq!(place(0.0), 0.0);
            assert!((place(ideogram::length(class)) - banding.length).abs() < 0.5, "{class}");
            assert!((place(ideogram::centromere(class)) - banding.centromere).abs() < 0.5, "{class}");
            assert_eq!(Scale::Drawn.place(class, 77.0), 77.0);
        }
    }

    #[test]
    fn bands_lie_where_cytogeneticists_know_them() {
        let density = |name: &str, band: &str| {
            let class: ChromosomeClass = name.parse().unwrap();
            of(class).density(Scale::Measured.place(class, ideogram::place(class, band).unwrap()))
        };
        // Landmarks (ISCN): dark against pale.
        for (class, dark, pale) in [
            ("7", "q21.1", "q22"),
            ("9", "q21.1", "q34"),
            ("11", "q22", "q13"),
            ("17", "q24", "q21"),
            ("18", "q22", "q21.1"),
        ] {
            assert!(density(class, dark) > 1.2 * density(class, pale), "{class}{dark} {class}{pale}");
        }
    }
}
