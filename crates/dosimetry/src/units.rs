//! Quantities with their units, so that no bare number passes for a dose.

use super::DosimetryError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Absorbed dose in gray; finite and not negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
#[schemars(with = "f64")]
pub struct Gray(f64);

impl Gray {
    /// No dose.
    pub const ZERO: Self = Self(0.0);

    /// A dose of `value` gray; an error unless finite and at least 0.
    pub fn new(value: f64) -> Result<Self, DosimetryError> {
        if value.is_finite() && value >= 0.0 {
            Ok(Self(value))
        } else {
            Err(DosimetryError::Quantity { what: "dose in Gy", found: value, allowed: "a finite number, 0 or more" })
        }
    }

    /// The dose of a finite number of gray; a negative one is 0.
    pub fn clamped(value: f64) -> Self {
        debug_assert!(value.is_finite(), "a dose must be finite");
        Self(value.max(0.0))
    }

    /// In gray.
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Gray {
    type Error = DosimetryError;
    fn try_from(value: f64) -> Result<Self, DosimetryError> {
        Self::new(value)
    }
}

impl From<Gray> for f64 {
    fn from(dose: Gray) -> f64 {
        dose.0
    }
}

impl fmt::Display for Gray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.*} Gy", f.precision().unwrap_or(2), self.0)
    }
}

/// Aberrations per cell; finite and not negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
#[schemars(with = "f64")]
pub struct Yield(f64);

impl Yield {
    /// A yield of `value` aberrations per cell; an error unless finite and at least 0.
    pub fn new(value: f64) -> Result<Self, DosimetryError> {
        if value.is_finite() && value >= 0.0 {
            Ok(Self(value))
        } else {
            Err(DosimetryError::Quantity {
                what: "yield per cell",
                found: value,
                allowed: "a finite number, 0 or more",
            })
        }
    }

    pub(crate) fn of(value: f64) -> Self {
        debug_assert!(value.is_finite(), "a yield must be finite");
        Self(value.max(0.0))
    }

    /// Aberrations per cell.
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Yield {
    type Error = DosimetryError;
    fn try_from(value: f64) -> Result<Self, DosimetryError> {
        Self::new(value)
    }
}

impl From<Yield> for f64 {
    fn from(value: Yield) -> f64 {
        value.0
    }
}

/// Confidence level: above 0 and below 1 (0.95 is 95 %).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
#[schemars(with = "f64")]
pub struct Level(f64);

impl Level {
    /// 95 %.
    pub const P95: Self = Self(0.95);
    /// 83 %: two independent limits of this level together serve as about 95 % (see [`super::merkle`]).
    pub const P83: Self = Self(0.83);

    /// A level from 0.5 up to below 1. Percent (95) is refused with a hint.
    pub fn new(value: f64) -> Result<Self, DosimetryError> {
        if (0.5..=0.999_999).contains(&value) {
            Ok(Self(value))
        } else {
            Err(DosimetryError::Quantity {
                what: "confidence level",
                found: value,
                allowed: "a share from 0.5 to 0.999999, such as 0.95 for 95 %",
            })
        }
    }

    /// As a share.
    pub const fn value(self) -> f64 {
        self.0
    }

    /// Half of what is left outside: 0.025 for 95 %.
    pub fn tail(self) -> f64 {
        (1.0 - self.0) / 2.0
    }
}

impl TryFrom<f64> for Level {
    type Error = DosimetryError;
    fn try_from(value: f64) -> Result<Self, DosimetryError> {
        Self::new(value)
    }
}

impl From<Level> for f64 {
    fn from(level: Level) -> f64 {
        level.0
    }
}

/// An estimate with its limits. A limit that the data or the curve do not give is none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bounded<T> {
    /// The estimate.
    pub value: T,
    /// Lower limit.
    pub low: Option<T>,
    /// Upper limit.
    pub high: Option<T>,
}

impl<T> Bounded<T> {
    /// An estimate without limits.
    pub const fn unbounded(value: T) -> Self {
        Self { value, low: None, high: None }
    }

    /// The same in another type.
    pub fn map<U>(self, f: impl Fn(T) -> U) -> Bounded<U> {
        Bounded { value: f(self.value), low: self.low.map(&f), high: self.high.map(&f) }
    }
}

/// The aberration that was counted. A curve serves one of them only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Assay {
    /// Dicentrics.
    #[default]
    #[serde(rename = "dicentrics")]
    Dicentrics,
    /// Dicentrics and centric rings together.
    #[serde(rename = "dicentrics+rings")]
    DicentricsAndRings,
    /// Translocations.
    #[serde(rename = "translocations")]
    Translocations,
    /// Micronuclei in binucleate cells.
    #[serde(rename = "micronuclei")]
    Micronuclei,
    /// Excess acentric fragments.
    #[serde(rename = "acentrics")]
    Acentrics,
    /// The source does not say.
    #[serde(rename = "not stated")]
    NotStated,
}

impl Assay {
    /// All of them, as written in curve files.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("dicentrics", Self::Dicentrics),
        ("dicentrics+rings", Self::DicentricsAndRings),
        ("translocations", Self::Translocations),
        ("micronuclei", Self::Micronuclei),
        ("acentrics", Self::Acentrics),
        ("not stated", Self::NotStated),
    ];

    /// The assay of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(n, _)| *n == name).map(|(_, assay)| assay)
    }

    /// Its name as in curve files.
    pub fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, a)| *a == self).map_or("not stated", |(n, _)| n)
    }
}

impl fmt::Display for Assay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How cells were scored. Machines find fewer dicentrics than people, so a curve serves one way only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scoring {
    /// By a person, every metaphase.
    Manual,
    /// Candidates by a machine, each confirmed by a person.
    SemiAutomatic,
    /// By a machine alone.
    Automatic,
}

impl fmt::Display for Scoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Manual => "manual",
            Self::SemiAutomatic => "semi-automatic",
            Self::Automatic => "automatic",
        })
    }
}
