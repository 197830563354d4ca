//! How a stain makes chromosomes look: the numbers behind the picture.

use domain::Stain;

use super::{banding::Scale, ideogram::BandStain, random::SlideRng};

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
    /// How much of the thinner one's density is added where the two chromatids lie upon each other: they lie side by side, mostly.
    pub upon: f32,
    /// How far bands run up and down across the chromatid, in um (standard deviation).
    pub waver: f32,
}

/// Where a stain's bands come from. Densities as in [`StainLook`].
#[derive(Debug, Clone, Copy)]
pub enum Bands {
    /// From the ideogram: each band has a level between the lightest and the darkest.
    Drawn {
        /// Density of the lightest band.
        light: f32,
        /// Density of the darkest band.
        dark: f32,
        /// Bands closer than this run into each other (standard deviation, um).
        blur: f32,
    },
    /// As real chromosomes have them ([`super::banding`]).
    Measured {
        /// Mean density of the cell's chromosomes.
        tone: f32,
        /// How far bands stand off from it, against the mean of cells.
        contrast: f32,
    },
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
    /// Where its bands come from.
    pub bands: Bands,
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
        let length = rng.around(slide_length, if stain == Stain::GBand { 0.1 } else { 0.12 });
        // Shorter chromosomes are wider: the chromatin must go somewhere.
        let width = |at: f32| at * libm::powf(7.5 / length, 0.4);
        let condensation = length / 15_100.0;
        match stain {
            Stain::GBand => Self::g_banded(condensation, rng),
            Stain::Giemsa => Self {
                condensation,
                chromatid: width(0.325) * rng.around(1.0, 0.07),
                spacing: rng.between(1.1, 1.4),
                parting: rng.between(0.0, 0.1) + if rng.chance(0.25) { rng.between(0.2, 0.6) } else { 0.0 },
                constriction: rng.between(0.3, 0.55),
                bands: Bands::Drawn { light: rng.between(1.1, 1.35), dark: rng.between(1.3, 1.55), blur: 0.2 },
                bend: rng.between(0.05, 0.22),
                rough: 0.08,
                wander: if rng.chance(0.3) { 0.08 } else { 0.02 },
                surface: Surface {
                    fuzz: rng.between(0.12, 0.28),
                    grain: rng.between(0.06, 0.14),
                    edge_loss: rng.between(0.1, 0.3),
                    soft: rng.between(0.08, 0.3),
                    upon: 0.25,
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
                bands: Bands::Drawn {
                    light: if stain == Stain::Dapi { rng.between(0.28, 0.55) } else { rng.between(0.2, 0.32) },
                    dark: rng.between(0.6, 1.0),
                    blur: rng.between(0.12, 0.2),
                },
                bend: rng.between(0.15, 0.5),
                rough: 0.06,
                wander: 0.05,
                surface: Surface {
                    fuzz: rng.between(0.05, 0.12),
                    grain: rng.between(0.05, 0.12),
                    edge_loss: rng.between(-0.1, 0.25),
                    soft: rng.between(0.02, 0.15),
                    upon: 0.25,
                    waver: rng.between(0.02, 0.06),
                },
                stain,
            },
        }
    }

    /// G-banding. Width and length of real cells go their own ways (correlation 0.04).
    fn g_banded(condensation: f32, rng: &mut SlideRng) -> Self {
        let spacing = rng.between(0.5, 0.68);
        Self {
            condensation,
            chromatid: 0.97 * rng.around(1.0, 0.1) / (2.0 + 2.0 * spacing),
            spacing,
            parting: rng.between(0.0, 0.1),
            constriction: rng.between(0.0, 0.1),
            bands: Bands::Measured { tone: rng.around(0.66, 0.22), contrast: rng.around(1.0, 0.1) },
            bend: rng.between(0.2, 0.7),
            rough: 0.04,
            wander: 0.04,
            surface: Surface {
                fuzz: rng.between(0.03, 0.09),
                grain: rng.between(0.05, 0.12),
                edge_loss: rng.between(-0.25, 0.0),
                soft: rng.between(0.02, 0.1),
                upon: 0.05,
                waver: rng.between(0.01, 0.04),
            },
            stain: Stain::GBand,
        }
    }

    /// On which scale the lengths of chromosomes are counted.
    pub fn scale(&self) -> Scale {
        match self.bands {
            Bands::Drawn { .. } => Scale::Drawn,
            Bands::Measured { .. } => Scale::Measured,
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
            // G-bands are measured ones.
            (Stain::GBand, _) => 0.7,
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
        Stain::GBand => rng.around(10.4, 0.1),
        Stain::Giemsa => rng.around(5.5, 0.16),
        Stain::Dapi | Stain::QBand => rng.around(6.4, 0.18),
    }
}
