//! Who counted the cells of a sample, and whether a curve holds for them.

use std::fmt;

use super::{Curve, Scoring};

/// Who counted the cells of a sample.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CountedBy {
    /// What counted the cells that a machine alone counted (version, strictness, selection of cells, networks), each once.
    pub scorers: Vec<String>,
    /// Cells that a machine alone counted.
    pub by_machine: u64,
    /// Of these: cells that do not say which scorer it was.
    pub unnamed: u64,
    /// All counted cells.
    pub cells: u64,
}

/// Why a dose by a curve does not hold for cells: somebody else counted for the curve than counted them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// A machine counted for the curve, another one counted the cells.
    OtherScorer {
        /// The curve's.
        of_curve: String,
        /// Those of the cells.
        others: Vec<String>,
    },
    /// A machine counted for the curve, people counted cells.
    ByPeople {
        /// The curve's.
        of_curve: String,
        /// So many.
        cells: u64,
        /// Of so many.
        of: u64,
    },
    /// People counted for the curve, a machine counted cells.
    ByMachine,
    /// A machine counted cells, and the curve does not say what counted for it.
    Unsaid,
}

impl Mismatch {
    /// Why it does not hold, in two or three words for a list.
    pub fn short(&self) -> &'static str {
        match self {
            Self::OtherScorer { .. } => "another scorer's curve",
            Self::ByPeople { .. } => "a machine's curve for people's counts",
            Self::ByMachine => "people's curve for a machine's counts",
            Self::Unsaid => "a curve of an unknown scorer",
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherScorer { of_curve, others } => write!(
                f,
                "no dose by this curve holds for these cells: it was made with the scorer '{of_curve}', the cells were scored by \
                 '{}'",
                others.join("' and '")
            ),
            Self::ByPeople { of_curve, cells, of } => write!(
                f,
                "people counted {cells} of the {of} counted cells, the curve was made with the scorer '{of_curve}': people find \
                 more dicentrics, so the dose is likely too high"
            ),
            Self::ByMachine => f.write_str(
                "a machine scored cells, the curve was made by people: a machine finds fewer dicentrics, so the dose is likely \
                 too low until each is reviewed",
            ),
            Self::Unsaid => f.write_str(
                "the curve does not say which scorer counted for it: a machine's counts need a curve of their own",
            ),
        }
    }
}

impl CountedBy {
    /// What counted the cells of a machine, in words: each scorer by its name, and how many cells name none.
    pub fn scorers_in_words(&self) -> Vec<String> {
        let unnamed = (self.unnamed > 0).then(|| format!("an unnamed scorer (in {} of the cells)", self.unnamed));
        self.scorers.iter().cloned().chain(unnamed).collect()
    }
}

impl Curve {
    /// Why a dose by this curve does not hold for cells, by who counted them; empty where it does.
    pub fn mismatches(&self, counted: &CountedBy) -> Vec<Mismatch> {
        let mut found = Vec::new();
        let about = self.about();
        if let Some(of_curve) = &about.scorer {
            let mut others = counted.scorers_in_words();
            others.retain(|scorer| scorer != of_curve);
            if !others.is_empty() {
                found.push(Mismatch::OtherScorer { of_curve: of_curve.clone(), others });
            }
            let by_people = counted.cells - counted.by_machine.min(counted.cells);
            if by_people > 0 {
                found.push(Mismatch::ByPeople { of_curve: of_curve.clone(), cells: by_people, of: counted.cells });
            }
        } else if counted.by_machine > 0 {
            found.push(if about.scoring == Some(Scoring::Manual) { Mismatch::ByMachine } else { Mismatch::Unsaid });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{About, built_in};

    fn curve(scoring: Option<Scoring>, scorer: Option<&str>) -> Curve {
        let curve = built_in("co60_barquinero1995").expect("curve");
        curve.with_about(About { scoring, scorer: scorer.map(Into::into), ..About::default() })
    }

    fn counted(scorers: &[&str], by_machine: u64) -> CountedBy {
        let unnamed = if scorers.is_empty() { by_machine } else { 0 };
        CountedBy { scorers: scorers.iter().map(|s| (*s).to_owned()).collect(), by_machine, unnamed, cells: 50 }
    }

    #[test]
    fn a_curve_holds_for_cells_of_its_own_scorer_alone() {
        let own = curve(Some(Scoring::Automatic), Some("a"));
        assert_eq!(own.mismatches(&counted(&["a"], 50)), []);
        let other = own.mismatches(&counted(&["a", "b"], 50));
        assert!(matches!(&other[..], [Mismatch::OtherScorer { others, .. }] if others == &["b"]), "{other:?}");
        assert!(other[0].to_string().contains("no dose by this curve holds"));
        let unnamed = own.mismatches(&counted(&[], 50));
        assert!(matches!(&unnamed[..], [Mismatch::OtherScorer { .. }]), "{unnamed:?}");
        // One that names no scorer among many that do.
        let partly = own.mismatches(&CountedBy { unnamed: 1, ..counted(&["a"], 50) });
        assert!(partly[0].to_string().ends_with("by 'an unnamed scorer (in 1 of the cells)'"), "{partly:?}");
    }

    #[test]
    fn people_and_machines_do_not_share_a_curve() {
        let machine = curve(Some(Scoring::Automatic), Some("a")).mismatches(&counted(&["a"], 20));
        assert!(matches!(machine[..], [Mismatch::ByPeople { cells: 30, of: 50, .. }]), "{machine:?}");
        let people = curve(Some(Scoring::Manual), None);
        assert_eq!(people.mismatches(&counted(&["a"], 1)), [Mismatch::ByMachine]);
        assert_eq!(people.mismatches(&counted(&[], 0)), []);
        assert_eq!(curve(None, None).mismatches(&counted(&["a"], 1)), [Mismatch::Unsaid]);
    }
}
