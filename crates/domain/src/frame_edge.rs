//! How a cell lies at the edge of its frame, and what that puts in doubt.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a spread lies at the edge of its frame: whether chromosomes may lie outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FrameEdge {
    /// Share of the spread's outline (the convex hull of its chromosomes' boxes) that lies on the frame's edge, 0 to 1.
    pub outline: f32,
    /// Chromosomes that the edge cuts.
    pub cut: u32,
    /// Beside them, dark pieces on the edge that may be the rest of a chromosome.
    pub pieces: u32,
}

/// A spread reaches the edge where a larger share of its outline lies on it: a tight crop of a whole one has less.
const REACHED_OUTLINE: f32 = 0.08;

impl FrameEdge {
    /// The edge cuts at least one chromosome: the cell is not whole.
    pub fn is_cut(&self) -> bool {
        self.cut > 0
    }

    /// The spread reaches the edge, so that a chromosome that is not seen may lie outside.
    pub fn is_reached(&self) -> bool {
        self.cut > 0 || self.pieces > 0 || self.outline > REACHED_OUTLINE
    }

    /// Of two parts of one spread: the larger share, and what both cut.
    pub fn joined(&self, other: &Self) -> Self {
        Self { outline: self.outline.max(other.outline), cut: self.cut + other.cut, pieces: self.pieces + other.pieces }
    }
}

/// Why a cell may be incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// The edge of the frame cuts the spread, or a chromosome that is missing may lie beyond it.
    CutByFrame,
}

impl Doubt {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::CutByFrame];

    /// As written in messages and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::CutByFrame => "cut_by_frame",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_is_named_as_in_the_message() {
        for doubt in Doubt::ALL {
            assert_eq!(serde_json::to_value(doubt).unwrap(), doubt.name());
        }
    }
}
