//! The 24 human chromosome classes.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the 24 human chromosome classes: 1 to 22, X, Y. Written `1`..`22`, `X`, `Y`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^([1-9]|1[0-9]|2[0-2]|X|Y)$"))]
pub struct ChromosomeClass(u8);

/// Text that names no chromosome class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid chromosome class '{0}': expected 1 to 22, X or Y (a Denver letter before it is allowed: A1, G21)")]
pub struct ParseClassError(pub String);

/// Sex complement of a complete, normal cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Sex {
    /// Two X.
    Female,
    /// X and Y.
    Male,
}

impl ChromosomeClass {
    /// Number of classes.
    pub const COUNT: usize = 24;
    /// The X chromosome.
    pub const X: Self = Self(22);
    /// The Y chromosome.
    pub const Y: Self = Self(23);

    /// All classes in order 1..22, X, Y.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        (0..Self::COUNT as u8).map(Self)
    }

    /// From its place in the order 1..22, X, Y, counted from 0.
    pub fn from_index(index: usize) -> Option<Self> {
        (index < Self::COUNT).then_some(Self(index as u8))
    }

    /// Autosome by its number, 1 to 22.
    pub fn autosome(number: u8) -> Option<Self> {
        (1..=22).contains(&number).then(|| Self(number - 1))
    }

    /// Place in the order 1..22, X, Y, from 0.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// True for X and Y.
    pub fn is_sex(self) -> bool {
        self.0 >= 22
    }

    /// Denver group: A to G; X is in C, Y in G.
    pub fn denver_group(self) -> char {
        match self.0 + 1 {
            1..=3 => 'A',
            4..=5 => 'B',
            6..=12 | 23 => 'C',
            13..=15 => 'D',
            16..=18 => 'E',
            19..=20 => 'F',
            _ => 'G',
        }
    }

    /// True for 13-15, 21, 22: short arms with satellites.
    pub fn is_acrocentric(self) -> bool {
        matches!(self.0 + 1, 13..=15 | 21 | 22)
    }

    /// The short name: `1`..`22`, `X`, `Y`.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 24] = [
            "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19",
            "20", "21", "22", "X", "Y",
        ];
        NAMES[self.index()]
    }
}

impl fmt::Display for ChromosomeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ChromosomeClass {
    type Err = ParseClassError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let err = || ParseClassError(text.to_owned());
        match text {
            "X" | "x" => return Ok(Self::X),
            "Y" | "y" => return Ok(Self::Y),
            _ => {}
        }
        let (letter, digits) = match text.chars().next() {
            Some(c @ 'A'..='G') => (Some(c), &text[1..]),
            _ => (None, text),
        };
        if digits.starts_with(['+', '-']) {
            return Err(err());
        }
        let class = match digits {
            "X" => Self::X,
            "Y" => Self::Y,
            _ => digits.parse::<u8>().ok().and_then(Self::autosome).ok_or_else(err)?,
        };
        if letter.is_some_and(|l| l != class.denver_group()) {
            return Err(err());
        }
        Ok(class)
    }
}

impl TryFrom<String> for ChromosomeClass {
    type Error = ParseClassError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ChromosomeClass> for String {
    fn from(class: ChromosomeClass) -> Self {
        class.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_reads_back_with_and_without_its_denver_letter() {
        for class in ChromosomeClass::all() {
            assert_eq!(class.name().parse(), Ok(class));
            assert_eq!(format!("{}{}", class.denver_group(), class).parse(), Ok(class));
        }
    }

    #[test]
    fn wrong_names_are_refused() {
        for text in ["", "0", "23", "A21", "+3", "Z", "1 "] {
            assert!(text.parse::<ChromosomeClass>().is_err(), "{text:?}");
        }
    }
}
