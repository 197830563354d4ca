//! How a stain makes chromosomes look: the numbers behind the picture.

use domain::Stain;

use super::{ideogram::BandStain, random::SlideRng};

/// What chromatin looks like close by.
#[derive(Debug, Clone, Copy)]
pub struct Surface {
    /// How ragged the outline is, relative to the girth.
    pub fuzz: f32,
    /// How uneven the density, relative (standard deviation).
    pub grain: f32,
    /// Density lost from a chromatid's middle to its edge, relative; negative where the rim is darker.
    pub edge_loss: f32,
    /// Width over which the chromatin thins out at its edge, in um.
    pub soft: f32,
    /// How far bands run up and down across the chromatid, in um (standard deviation).
    pub waver: f32,
}

/// Looks of the chromosomes of one cell. Lengths in micrometres, densities in natural optical density
/// (bright field) or in parts of full fluorescence.
#[derive(Debug, Clone, Copy)]
pub struct StainLook {
    /// Micrometres an ideogram unit.
    pub condensation: f32,
    /// Half width of a chromatid.
    pub chromatid: f32,
    /// Distance of a chromatid's axis from the chromosome's, in half widths, beside the centromere.
    pub spacing: f32,
    /// How much the chromatids part towards the ends, in half widths.
    pub parting: f32,
    /// How deep the centromere is constricted, 0 to 1.
    pub constriction: f32,
    /// Density of the lightest band.
    pub light: f32,
    /// Density of the darkest band.
    pub dark: f32,
    /// Bands closer than this run into each other (standard deviation).
    pub band_blur: f32,
    /// Bend over the length, in radians (standard deviation), for a chromosome of 5 um.
    pub bend: f32,
    /// Roughness of the outline, relative: slow swellings along the chromosome.
    pub rough: f32,
    /// How much each chromatid wanders from the other's course, relative to a half width.
    pub wander: f32,
    /// What the chromatin looks like close by.
    pub surface: Surface,
    /// The stain.
    pub stain: Stain,
}

impl StainLook {
    /// Draws the look of a cell on a slide whose cells are condensed like `slide_length` (length of chromosome 1 in um).
    pub fn draw(stain: Stain, slide_length: f32, rng: &mut SlideRng) -> Self {
        let length = rng.around(slide_length, 0.12);
        // Shorter chromosomes are wider: the chromatin must go somewhere.
        let width = |at: f32| at * libm::powf(7.5 / length, 0.4);
        let condensation = length / 15_100.0;
        match stain {
            Stain::GBand => Self {
                condensation,
                chromatid: width(0.35) * rng.around(1.0, 0.08),
                spacing: rng.between(0.5, 0.68),
                parting: rng.between(0.0, 0.1),
                constriction: rng.between(0.08, 0.32),
                light: rng.between(0.26, 0.48),
                dark: rng.between(0.8, 1.45),
                band_blur: rng.between(0.07, 0.12),
                bend: rng.between(0.12, 0.5),
                rough: 0.06,
                wander: 0.05,
                surface: Surface {
                    fuzz: rng.between(0.05, 0.12),
                    grain: rng.between(0.08, 0.2),
                    edge_loss: rng.between(-0.2, 0.15),
                    soft: rng.between(0.02, 0.1),
                    waver: rng.between(0.02, 0.06),
                },
                stain,
            },
            Stain::Giemsa => Self {
                condensation,
                chromatid: width(0.325) * rng.around(1.0, 0.07),
                spacing: rng.between(1.1, 1.4),
                parting: rng.between(0.0, 0.1) + if rng.chance(0.25) { rng.between(0.2, 0.6) } else { 0.0 },
                constriction: rng.between(0.3, 0.55),
                light: rng.between(1.1, 1.35),
                dark: rng.between(1.3, 1.55),
                band_blur: 0.2,
                bend: rng.between(0.05, 0.22),
                rough: 0.08,
                wander: if rng.chance(0.3) { 0.08 } else { 0.02 },
                surface: Surface {
                    fuzz: rng.between(0.12, 0.28),
                    grain: rng.between(0.06, 0.14),
                    edge_loss: rng.between(0.1, 0.3),
                    soft: rng.between(0.08, 0.3),
                    waver: rng.between(0.02, 0.04),
                },
                stain,
            },
            Stain::Dapi | Stain::QBand => Self {
                condensation,
                chromatid: width(0.36) * rng.around(1.0, 0.07),
                spacing: rng.between(0.5, 0.9),
                parting: rng.between(0.0, 0.15),
                constriction: rng.between(0.1, 0.35),
                light: if stain == Stain::Dapi { rng.between(0.28, 0.55) } else { rng.between(0.2, 0.32) },
                dark: rng.between(0.6, 1.0),
                band_blur: rng.between(0.12, 0.2),
                bend: rng.between(0.15, 0.5),
                rough: 0.06,
                wander: 0.05,
                surface: Surface {
                    fuzz: rng.between(0.05, 0.12),
                    grain: rng.between(0.05, 0.12),
                    edge_loss: rng.between(-0.1, 0.25),
                    soft: rng.between(0.02, 0.15),
                    waver: rng.between(0.02, 0.06),
                },
                stain,
            },
        }
    }

    /// How strongly a band stains between the lightest (0) and the darkest (1); heterochromatin may pass 1.
    pub fn level(&self, class: domain::ChromosomeClass, band: BandStain) -> f32 {
        let number = class.index() + 1;
        match (self.stain, band) {
            (Stain::Giemsa, BandStain::Stalk) => 0.0,
            (Stain::Giemsa, _) => 0.7,
            (_, BandStain::Stalk) => -0.3,
            (_, BandStain::Grey(0)) => 0.0,
            (_, BandStain::Grey(grey)) => 0.16 + 0.21 * f32::from(grey),
            (Stain::GBand, BandStain::Centromere) => 0.75,
            // 9q12 is pale after trypsin, 1q12, 16q11 and Yq12 are dark.
            (Stain::GBand, BandStain::Variable) => match number {
                9 => 0.3,
                1 | 16 | 24 => 1.0,
                _ => 0.55,
            },
            (Stain::Dapi, BandStain::Centromere) => 0.8,
            (Stain::Dapi, BandStain::Variable) => match number {
                1 | 9 | 15 | 16 | 24 => 1.25,
                _ => 0.8,
            },
            (Stain::QBand, BandStain::Centromere) => match number {
                3 | 4 => 1.3,
                _ => 0.4,
            },
            (Stain::QBand, BandStain::Variable) => match number {
                24 => 1.9,
                13 | 14 | 15 | 21 | 22 => 1.1,
                _ => 0.1,
            },
        }
    }
}

/// Length of chromosome 1 on a slide, in um, as the harvest of that slide left it.
pub fn slide_length(stain: Stain, rng: &mut SlideRng) -> f32 {
    match stain {
        Stain::GBand => rng.around(9.6, 0.14),
        Stain::Giemsa => rng.around(5.5, 0.16),
        Stain::Dapi | Stain::QBand => rng.around(6.4, 0.18),
    }
}
