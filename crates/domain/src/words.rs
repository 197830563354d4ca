//! What is looked at and how it is written: the assay, the stain, the kind of sample.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is scored on a slide.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Assay {
    /// Chromosomes are named and counted.
    #[default]
    Karyotype,
    /// Dicentrics are counted for an absorbed dose.
    Dicentric,
}

/// Stain and illumination of the slide: chooses the classifier and the polarity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stain {
    /// G-banding, bright field.
    #[default]
    GBand,
    /// Solid Giemsa, bright field.
    Giemsa,
    /// DAPI, fluorescence.
    Dapi,
    /// Q-banding, fluorescence.
    QBand,
}

impl Assay {
    /// Both.
    pub const ALL: &[Self] = &[Self::Karyotype, Self::Dicentric];

    /// As written in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Karyotype => "karyotype",
            Self::Dicentric => "dicentric",
        }
    }
}

impl Stain {
    /// All of them.
    pub const ALL: &[Self] = &[Self::GBand, Self::Giemsa, Self::Dapi, Self::QBand];

    /// As written in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::GBand => "g-band",
            Self::Giemsa => "giemsa",
            Self::Dapi => "dapi",
            Self::QBand => "q-band",
        }
    }

    /// True when chromosomes are bright on dark.
    pub fn is_fluorescence(self) -> bool {
        matches!(self, Self::Dapi | Self::QBand)
    }
}

/// What kind of sample a case is: how its karyotype is written and what makes a clone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sample {
    /// Of a person: `mos 47,XX,+21[12]/46,XX[8]`.
    #[default]
    Constitutional,
    /// Of a neoplasm: `47,XX,+8[12]/46,XX[8]`, lines from the simpler to the more complex.
    Neoplastic,
    /// Of a person, from colonies of an in-situ culture: a change counts in two colonies.
    InSitu,
}

/// Whether messages and reports name the sex chromosomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SexDisclosure {
    /// `46,XX`, `46,XY`.
    #[default]
    Shown,
    /// `46,U`, everywhere.
    Undisclosed,
}
