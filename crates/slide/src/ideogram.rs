//! The bands of the human chromosomes at the 550 level.
//!
//! From NCBI's ideogram of GRCh38 (public domain; CC0 copy in eweitz/ideogram), in its own length units, which are
//! on one scale for all chromosomes (chromosome 1 has 15,100).

use std::sync::LazyLock;

use domain::ChromosomeClass;

/// One line a chromosome: its name, then `band:end` with the stain's letter, from pter to qter.
const TABLE: &str = include_str!("bands.txt");

/// How a band takes the stain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BandStain {
    /// Negative or positive in G-banding: 0 light, 4 darkest.
    Grey(u8),
    /// Constitutive heterochromatin of variable length.
    Variable,
    /// Centromere.
    Centromere,
    /// Stalk of an acrocentric chromosome.
    Stalk,
}

/// One band.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    /// Name with its arm: `p36.3`.
    pub name: &'static str,
    /// Where it begins, in ideogram units from pter.
    pub start: f32,
    /// Where it ends.
    pub end: f32,
    /// How it stains.
    pub stain: BandStain,
}

static BANDS: LazyLock<Vec<Vec<Band>>> = LazyLock::new(|| TABLE.lines().map(read_line).collect());

fn read_line(line: &'static str) -> Vec<Band> {
    let mut start = 0.0;
    line.split(' ')
        .skip(1)
        .filter_map(|entry| {
            let (name, rest) = entry.split_once(':')?;
            let (end, letter) = rest.split_at_checked(rest.len() - 1)?;
            let stain = match letter {
                "v" => BandStain::Variable,
                "c" => BandStain::Centromere,
                "s" => BandStain::Stalk,
                grey => BandStain::Grey(grey.parse().ok()?),
            };
            let band = Band { name, start, end: end.parse().ok()?, stain };
            start = band.end;
            Some(band)
        })
        .collect()
}

/// The bands of a chromosome from pter to qter, without gaps.
pub fn bands(class: ChromosomeClass) -> &'static [Band] {
    &BANDS[class.index()]
}

/// Length in ideogram units.
pub fn length(class: ChromosomeClass) -> f32 {
    bands(class).last().map_or(0.0, |band| band.end)
}

/// Place of the centromere: the border of the arms, in units from pter.
pub fn centromere(class: ChromosomeClass) -> f32 {
    bands(class).iter().find(|band| band.name.starts_with('q')).map_or(0.0, |band| band.start)
}

/// The band at `place` units from pter; the last one beyond the end.
pub fn band_at(class: ChromosomeClass, place: f32) -> &'static Band {
    let bands = bands(class);
    let i = bands.partition_point(|band| band.end <= place).min(bands.len() - 1);
    &bands[i]
}

/// The middle of the band `name` (arm and number, `p15.2`), or of the bands that it stands for (`p15`), in units from pter. `ter` is
/// the arm's end, `10` its centromere side. None when the chromosome has no such band at the 550 level, nor one above it.
pub fn place(class: ChromosomeClass, name: &str) -> Option<f32> {
    match name {
        "pter" => return Some(0.0),
        "qter" => return Some(length(class)),
        "p10" | "q10" => return Some(centromere(class)),
        _ => {}
    }
    let mut wanted = name;
    // A name finer than the 550 level lies within its parent.
    while wanted.len() > 2 {
        let mut found = bands(class).iter().filter(|band| {
            band.name
                .strip_prefix(wanted)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || wanted.contains('.'))
        });
        if let Some(first) = found.next() {
            let end = found.next_back().unwrap_or(first).end;
            return Some((first.start + end) / 2.0);
        }
        wanted = &wanted[..wanted.len() - 1];
        wanted = wanted.strip_suffix('.').unwrap_or(wanted);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chromosome_has_bands_in_order_and_both_arms() {
        assert_eq!(BANDS.len(), ChromosomeClass::COUNT);
        let count: usize = ChromosomeClass::all().map(|class| bands(class).len()).sum();
        assert_eq!(count, 553);
        for class in ChromosomeClass::all() {
            assert!(bands(class).windows(2).all(|w| w[0].end == w[1].start && w[1].end > w[1].start), "{class}");
            let middle = centromere(class);
            assert!(middle > 0.0 && middle < 0.55 * length(class), "{class}: {middle}");
        }
    }

    #[test]
    fn a_band_is_found_by_its_name_its_parent_and_from_a_finer_name() {
        let five = ChromosomeClass::autosome(5).unwrap();
        assert!(place(five, "p14").unwrap() < place(five, "q13").unwrap());
        assert!(place(five, "p15.33").is_some() && place(five, "p15").is_some());
        assert_eq!(place(five, "q99"), None);
        assert_eq!(band_at(five, place(five, "q34").unwrap()).name.split('.').next(), Some("q34"));
    }
}
