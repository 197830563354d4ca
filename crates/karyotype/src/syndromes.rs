//! Common names beside a karyotype: labels, never a diagnosis.

use std::sync::LazyLock;

/// A finding that has a common name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syndrome {
    /// The finding as this crate writes it: `+21`, `XXY`, `3n`, `der(14;21),+21`.
    pub code: String,
    /// The common name.
    pub name: String,
    /// One neutral sentence. Unchecked by a clinician.
    pub description: String,
}

static TABLE: LazyLock<Vec<Syndrome>> = LazyLock::new(|| {
    let mut reader = csv::Reader::from_reader(include_bytes!("syndromes.csv").as_slice());
    reader
        .records()
        .filter_map(Result::ok)
        .map(|row| {
            let column = |i: usize| row.get(i).unwrap_or_default().to_owned();
            Syndrome { code: column(1), name: column(2), description: column(4) }
        })
        .collect()
});

/// All findings with a common name.
pub fn syndromes() -> &'static [Syndrome] {
    &TABLE
}

/// The name that goes with a finding's code: `+21`, a sex complement such as `X` or `XXY`, `3n`.
pub fn syndrome(code: &str) -> Option<&'static Syndrome> {
    TABLE.iter().find(|s| s.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_ones_are_there() {
        assert_eq!(syndromes().len(), 18);
        assert_eq!(syndrome("+21").unwrap().name, "Down syndrome");
        assert_eq!(syndrome("X").unwrap().name, "Turner syndrome");
        assert!(syndrome("XX").is_none());
        assert!(syndromes().iter().all(|s| !s.description.is_empty()));
    }
}
