//! What a virtual slide is made from.

use domain::{Assay, ErrorKind, HasKind, Stain, frame::Bayer};

use super::{Exposure, camera::Samples};

/// What lies on the slide and what looks at it.
#[derive(Debug, Clone, PartialEq)]
pub struct SlideSettings {
    /// The same seed gives the same slide, pixel for pixel.
    pub seed: u64,
    /// Karyotype: chromosomes as they are. Dicentric: damaged by `exposure`.
    pub assay: Assay,
    /// Stain.
    pub stain: Stain,
    /// Karyotype of the cells in ISCN, several lines weighed by their cells. None: a person by seed, mostly normal cells,
    /// one in five with a gain or a loss.
    pub karyotype: Option<String>,
    /// Exposure, in the dicentric assay.
    pub exposure: Exposure,
    /// Pixels a row, 1 to 16,384.
    pub width: u32,
    /// Rows, 1 to 16,384.
    pub height: u32,
    /// Bits of a sample, 8 to 16.
    pub bits: u8,
    /// Filter before the sensor; the samples are raw then.
    pub filter: Option<Bayer>,
    /// Pixel size in um through the working objective.
    pub um_per_px: f64,
    /// Metaphases on the slide; none: it has no end.
    pub cells: Option<u32>,
    /// Share of chromosomes that touch or cross others where they fall, 0 to 1; 0.25 is an ordinary spread.
    pub crowding: f32,
}

impl Default for SlideSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            assay: Assay::Karyotype,
            stain: Stain::GBand,
            karyotype: None,
            exposure: Exposure { dose_gy: 0.0, fraction: 1.0 },
            width: 1360,
            height: 1024,
            bits: 8,
            filter: None,
            um_per_px: 0.0645,
            cells: Some(20),
            crowding: 0.25,
        }
    }
}

/// The lens in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Objective {
    /// High magnification (100x-like), oil, aperture 1.3.
    #[default]
    Working,
    /// A tenth of it, for finding metaphases: aperture 0.3.
    Search,
}

impl Objective {
    /// How many times larger a pixel is on the slide than through the working objective.
    pub fn reduction(self) -> f64 {
        match self {
            Self::Working => 1.0,
            Self::Search => 10.0,
        }
    }

    pub(super) fn aperture(self) -> f32 {
        match self {
            Self::Working => 1.3,
            Self::Search => 0.3,
        }
    }
}

/// Why a slide cannot be made or seen.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SlideError {
    /// A number out of range.
    #[error("invalid {what} '{found}': expected {expected}")]
    OutOfRange {
        /// Which setting.
        what: &'static str,
        /// What was given.
        found: f64,
        /// What would be right.
        expected: &'static str,
    },
    /// A buffer of the wrong size or depth.
    #[error(
        "a frame of {width} x {height} at {bits} bits needs {needed} samples of {kind}, the buffer has {found} of {found_kind}"
    )]
    Buffer {
        /// Pixels a row.
        width: u32,
        /// Rows.
        height: u32,
        /// Bits of a sample.
        bits: u8,
        /// Samples needed.
        needed: usize,
        /// Their kind.
        kind: &'static str,
        /// Samples found.
        found: usize,
        /// Their kind.
        found_kind: &'static str,
    },
    /// A karyotype that cannot be read.
    #[error(transparent)]
    Karyotype(#[from] karyotype::iscn::ParseKaryotypeError),
    /// An exposure that no calibration curve covers.
    #[error(transparent)]
    Exposure(#[from] dosimetry::DosimetryError),
    /// A karyotype that is right but that the slide cannot draw.
    #[error(
        "the virtual slide cannot draw {what} of '{karyotype}': it knows gains, losses, del, dup, inv, i, idic, r, t, dic, rob, whole-arm der, der with one t, add, mar, dmin"
    )]
    CannotDraw {
        /// The karyotype.
        karyotype: String,
        /// Which part of it.
        what: String,
    },
}

impl HasKind for SlideError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::OutOfRange { .. } => ErrorKind::Usage,
            Self::Buffer { .. } => ErrorKind::Internal,
            Self::Karyotype(_) | Self::CannotDraw { .. } => ErrorKind::BadData,
            Self::Exposure(error) => error.kind(),
        }
    }
}

impl SlideSettings {
    pub(super) fn check(&self) -> Result<(), SlideError> {
        let range = |what, found: f64, ok: bool, expected| {
            if ok { Ok(()) } else { Err(SlideError::OutOfRange { what, found, expected }) }
        };
        let side = "1 to 16384 pixels";
        range("width", self.width.into(), (1..=16_384).contains(&self.width), side)?;
        range("height", self.height.into(), (1..=16_384).contains(&self.height), side)?;
        range("bits", self.bits.into(), (8..=16).contains(&self.bits), "8 to 16")?;
        let px = self.um_per_px;
        range("um_per_px", px, (0.01..=10.0).contains(&px), "0.01 to 10 um")?;
        let Exposure { dose_gy, fraction } = self.exposure;
        range("dose", dose_gy, (0.0..=20.0).contains(&dose_gy), "0 to 20 Gy")?;
        range("exposed fraction", fraction, (0.0..=1.0).contains(&fraction), "0 to 1")?;
        range("crowding", self.crowding.into(), (0.0..=1.0).contains(&self.crowding), "0 to 1")
    }

    pub(super) fn fits_length(&self, found: usize) -> Result<(), SlideError> {
        self.fits_kind(found, self.kind())
    }

    pub(super) fn fits(&self, out: &Samples<'_>) -> Result<(), SlideError> {
        let kind = match out {
            Samples::Mono8(_) => "u8",
            Samples::Mono16(_) => "u16",
        };
        self.fits_kind(out.len(), kind)
    }

    fn kind(&self) -> &'static str {
        if self.bits > 8 { "u16" } else { "u8" }
    }

    fn fits_kind(&self, found: usize, found_kind: &'static str) -> Result<(), SlideError> {
        let needed = self.width as usize * self.height as usize;
        if found == needed && found_kind == self.kind() {
            return Ok(());
        }
        let (width, height, bits, kind) = (self.width, self.height, self.bits, self.kind());
        Err(SlideError::Buffer { width, height, bits, needed, kind, found, found_kind })
    }
}
