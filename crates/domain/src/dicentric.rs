//! What the dicentric assay counts in a cell.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BoundingBox, Damage};

/// Chromosomes of one cell by their centromeres, and the pieces without.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AberrationCounts {
    /// Chromosomes with one centromere, rings not counted.
    pub monocentrics: u32,
    /// Chromosomes with two centromeres.
    pub dicentrics: u32,
    /// Chromosomes with three centromeres.
    pub tricentrics: u32,
    /// Chromosomes with four or more centromeres, as their centromere counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub higher: Vec<u32>,
    /// Centric rings.
    pub rings: u32,
    /// Acentric fragments.
    pub fragments: u32,
    /// Pieces whose centromeres could not be counted.
    pub unclear: u32,
}

impl AberrationCounts {
    /// Sum of centromeres: a k-centric counts k, a ring one, a fragment none.
    pub fn centromeres(&self) -> u32 {
        self.monocentrics + 2 * self.dicentrics + 3 * self.tricentrics + self.higher.iter().sum::<u32>() + self.rings
    }

    /// Dicentric equivalents: a chromosome with k centromeres counts k - 1 (IAEA 2011; docs/guide/radiation.md).
    pub fn dicentric_equivalents(&self) -> u32 {
        self.dicentrics + 2 * self.tricentrics + self.higher.iter().map(|k| k.saturating_sub(1)).sum::<u32>()
    }

    /// The record of the cell. `accepted` is the lowest and highest sum of centromeres that counts as complete; it
    /// travels with the record, for it decides which cells are counted.
    pub fn record(self, accepted: [u32; 2], first_division: Option<bool>, scored_by: ScoredBy) -> DicentricRecord {
        let centromeres = self.centromeres();
        DicentricRecord {
            counts: self,
            centromeres,
            complete: (accepted[0]..=accepted[1]).contains(&centromeres),
            accepted_centromeres: accepted,
            first_division,
            scored_by,
            reviewed: Vec::new(),
        }
    }
}

/// Who counted the aberrations of a cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScoredBy {
    /// The program.
    #[default]
    Machine,
    /// A person, here.
    Review,
    /// The virtual slide, which knows.
    Truth,
    /// Somebody elsewhere; the counts were imported.
    Import,
}

impl ScoredBy {
    /// As written in messages and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Review => "review",
            Self::Truth => "truth",
            Self::Import => "import",
        }
    }
}

/// The aberration record of a cell in the dicentric assay.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DicentricRecord {
    /// What was counted.
    #[serde(flatten)]
    pub counts: AberrationCounts,
    /// Sum of centromeres.
    pub centromeres: u32,
    /// Whether the cell counts as complete under the accepted range of centromeres.
    pub complete: bool,
    /// The accepted range of centromeres, lowest and highest, that `complete` used.
    pub accepted_centromeres: [u32; 2],
    /// Whether the cell is in its first division after exposure, where known.
    pub first_division: Option<bool>,
    /// Who counted.
    pub scored_by: ScoredBy,
    /// Called dicentrics that a person has accepted or rejected, by their `index` in the cell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviewed: Vec<u32>,
}

/// What a person saw where a dicentric was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rejected {
    /// One chromosome with one centromere.
    OneChromosome,
    /// Two chromosomes that lie end to end or across each other.
    TwoChromosomes,
    /// Nothing that can be decided.
    Unclear,
}

/// A cell as the virtual slide made it: what a simulated source knows beside its pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrueCell {
    /// Where it lies in the frame.
    pub region: BoundingBox,
    /// Its karyotype in ISCN.
    pub karyotype: String,
    /// Its aberrations, in the dicentric assay.
    pub dicentric: Option<DicentricRecord>,
    /// Where its dicentrics, rings and fragments lie.
    pub aberrations: Vec<(BoundingBox, Damage)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tricentric_counts_as_two_dicentrics() {
        let record = AberrationCounts { dicentrics: 3, tricentrics: 1, higher: vec![4], ..Default::default() };
        assert_eq!(record.dicentric_equivalents(), 3 + 2 + 3);
    }
}
