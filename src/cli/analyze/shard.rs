//! One of several equal shares of the files, for archives that many machines work through.

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};

/// Share `index`, from 0, of `of` shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u64,
    of: u64,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("invalid shard '{text}': expected I/N with I from 0 to N - 1, such as 0/4");
        let (index, of) = text.split_once('/').ok_or_else(invalid)?;
        let shard = Self { index: index.parse().map_err(|_| invalid())?, of: of.parse().map_err(|_| invalid())? };
        if shard.index < shard.of { Ok(shard) } else { Err(invalid()) }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-of-{}", self.index, self.of)
    }
}

impl Shard {
    /// The other shares.
    pub fn others(self) -> impl Iterator<Item = Self> {
        (0..self.of).filter(move |index| *index != self.index).map(move |index| Self { index, ..self })
    }

    /// Whether the file of this name within its folder belongs to the share: the first 64 bits of the name's SHA-256, modulo the number of
    /// shares. The rule never changes, so that machines of different versions work together.
    pub fn holds(self, name: &str) -> bool {
        let hash = Sha256::digest(name.as_bytes());
        let number = hash.iter().take(8).fold(0u64, |n, byte| n << 8 | u64::from(*byte));
        number % self.of == self.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_disjoint_and_whole() {
        let names: Vec<String> = (0..200).map(|n| format!("slide/{n}.png")).collect();
        let shards: [Shard; 3] = ["0/3", "1/3", "2/3"].map(|text| text.parse().expect("a share"));
        for name in &names {
            assert_eq!(shards.iter().filter(|s| s.holds(name)).count(), 1);
        }
        for share in shards {
            assert!(names.iter().filter(|n| share.holds(n)).count() > 30, "about a third each");
        }
    }

    #[test]
    fn the_rule_is_the_same_for_ever() {
        let share = |name: &str, of: u64| (0..of).find(|index| Shard { index: *index, of }.holds(name));
        let names = ["slide/0.png", "slide/1.png", "a.tif", "K-17/cell 3.webp"];
        assert_eq!(names.map(|name| share(name, 4)), [0, 3, 0, 3].map(Some));
    }

    #[test]
    fn wrong_shares_are_refused() {
        for text in ["3/3", "1", "a/b", "-1/2", "0/0"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
