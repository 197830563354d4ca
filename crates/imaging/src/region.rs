//! What segmentation finds: regions of a kind, with their masks.

use super::{Shape, plane::Rect};

/// What a region is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RegionKind {
    /// One chromosome.
    #[default]
    Single,
    /// Chromosomes that touch.
    Touching,
    /// Chromosomes that lie over each other.
    Crossing,
    /// An interphase nucleus.
    Nucleus,
    /// Dirt, stain, the edge of a cell.
    Debris,
}

impl RegionKind {
    /// Whether chromosomes are in it.
    pub fn is_chromosome(self) -> bool {
        matches!(self, Self::Single | Self::Touching | Self::Crossing)
    }

    /// `single`, `touching`, `crossing`, `nucleus` or `debris`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Touching => "touching",
            Self::Crossing => "crossing",
            Self::Nucleus => "nucleus",
            Self::Debris => "debris",
        }
    }
}

/// A part of the picture that belongs together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Region {
    /// The smallest rectangle around it.
    pub bounds: Rect,
    /// Pixels.
    pub area: usize,
    /// What it is.
    pub kind: RegionKind,
    /// How sure that is, 0 to 1.
    pub score: f32,
    /// Whether it was parted from a clump.
    pub parted: bool,
    /// Figures of shape and texture.
    pub shape: Shape,
    pub(super) mask_at: usize,
}

/// The regions of a picture with their masks.
#[derive(Debug, Clone, Default)]
pub struct Segmentation {
    /// Regions from top to bottom.
    pub regions: Vec<Region>,
    /// Typical chromosome width in pixels; none when nothing like a chromosome was found.
    pub chromosome_width: Option<f32>,
    /// Darkness below the background that parts objects from background (Otsu), 0 to 255.
    pub threshold: u8,
    masks: Vec<u8>,
}

impl Segmentation {
    /// The mask of a region: `bounds.width() * bounds.height()` zeros and ones, row by row.
    pub fn mask(&self, region: &Region) -> &[u8] {
        &self.masks[region.mask_at..region.mask_at + region.bounds.area()]
    }

    /// The regions that hold chromosomes.
    pub fn chromosomes(&self) -> impl Iterator<Item = &Region> {
        self.regions.iter().filter(|r| r.kind.is_chromosome())
    }

    pub(super) fn clear(&mut self) {
        self.regions.clear();
        self.masks.clear();
        self.chromosome_width = None;
        self.threshold = 0;
    }

    /// Adds a region from a mask with a margin of one pixel around `bounds`.
    pub(super) fn push(&mut self, mut region: Region, padded: &[u8]) {
        region.mask_at = self.masks.len();
        let stride = region.bounds.width() + 2;
        for line in padded.chunks_exact(stride).skip(1).take(region.bounds.height()) {
            self.masks.extend_from_slice(&line[1..stride - 1]);
        }
        self.regions.push(region);
    }
}
