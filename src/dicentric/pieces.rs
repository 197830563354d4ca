//! From the pieces of a cell to its record.

use crate::cell::{Chromosome, Damage, DicentricRecord, Rejected, Status};

/// The pieces of one cell by their centromeres.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pieces {
    /// With one centromere, rings not counted.
    pub monocentrics: u32,
    /// With two.
    pub dicentrics: u32,
    /// With three.
    pub tricentrics: u32,
    /// Centromeres of each piece with four or more.
    pub higher: Vec<u32>,
    /// Centric rings.
    pub rings: u32,
    /// Without centromere.
    pub fragments: u32,
    /// That could not be told.
    pub unclear: u32,
}

impl Pieces {
    /// The pieces as recognition marked them: damage tells dicentrics, rings and fragments, an unclear or crossing
    /// object without damage counts as unclear, everything else as one chromosome.
    pub fn of(chromosomes: &[Chromosome]) -> Self {
        let mut pieces = Self::default();
        for chromosome in chromosomes {
            match (chromosome.damage, chromosome.status) {
                (Damage::Dicentric, _) => pieces.dicentrics += 1,
                (Damage::Ring, _) => pieces.rings += 1,
                (Damage::Fragment, _) => pieces.fragments += 1,
                (_, Status::Unclear) if chromosome.class.is_none() => pieces.unclear += 1,
                _ => pieces.monocentrics += 1,
            }
        }
        pieces
    }

    /// Sum of centromeres: a k-centric counts k, a ring one, a fragment none.
    pub fn centromeres(&self) -> u32 {
        self.monocentrics + 2 * self.dicentrics + 3 * self.tricentrics + self.higher.iter().sum::<u32>() + self.rings
    }

    /// The record of the cell. `accepted` is the range of centromere sums that counts as complete and travels with
    /// the record, for it decides which cells are counted; `scored_by` is `machine`, `review`, `import` or `truth`.
    pub fn record(self, accepted: [u32; 2], first_division: Option<bool>, scored_by: &str) -> DicentricRecord {
        let centromeres = self.centromeres();
        DicentricRecord {
            monocentrics: self.monocentrics,
            dicentrics: self.dicentrics,
            tricentrics: self.tricentrics,
            higher: self.higher,
            rings: self.rings,
            fragments: self.fragments,
            unclear: self.unclear,
            centromeres,
            complete: (accepted[0]..=accepted[1]).contains(&centromeres),
            accepted_centromeres: accepted,
            first_division,
            scored_by: scored_by.into(),
            reviewed: Vec::new(),
        }
    }

    /// The record with these pieces in place of its own.
    fn revised(self, record: &DicentricRecord) -> DicentricRecord {
        let reviewed = record.reviewed.clone();
        DicentricRecord {
            reviewed,
            ..self.record(record.accepted_centromeres, record.first_division, &record.scored_by)
        }
    }
}

impl From<&DicentricRecord> for Pieces {
    fn from(record: &DicentricRecord) -> Self {
        Self {
            monocentrics: record.monocentrics,
            dicentrics: record.dicentrics,
            tricentrics: record.tricentrics,
            higher: record.higher.clone(),
            rings: record.rings,
            fragments: record.fragments,
            unclear: record.unclear,
        }
    }
}

/// The record after a person rejected one called dicentric; none where it holds no dicentric. Who scored it stays.
pub fn reject_dicentric(record: &DicentricRecord, seen: Rejected) -> Option<DicentricRecord> {
    let mut pieces = Pieces::from(record);
    pieces.dicentrics = pieces.dicentrics.checked_sub(1)?;
    match seen {
        Rejected::OneChromosome => pieces.monocentrics += 1,
        Rejected::TwoChromosomes => pieces.monocentrics += 2,
        Rejected::Unclear => pieces.unclear += 1,
    }
    Some(pieces.revised(record))
}

/// The record after a person saw that a piece is damaged in another way than was thought. The rest of the record
/// stays: it may rest on more than the boxes show.
pub fn correct_damage(record: &DicentricRecord, before: Damage, now: Damage) -> DicentricRecord {
    let mut pieces = Pieces::from(record);
    let gone = match before {
        Damage::Dicentric => &mut pieces.dicentrics,
        Damage::Ring => &mut pieces.rings,
        Damage::Fragment => &mut pieces.fragments,
        // A piece that nobody could tell so far is told now.
        _ if pieces.monocentrics == 0 => &mut pieces.unclear,
        _ => &mut pieces.monocentrics,
    };
    *gone = gone.saturating_sub(1);
    match now {
        Damage::Dicentric => pieces.dicentrics += 1,
        Damage::Ring => pieces.rings += 1,
        Damage::Fragment => pieces.fragments += 1,
        _ => pieces.monocentrics += 1,
    }
    pieces.revised(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_dicentrics(dicentrics: u32, monocentrics: u32) -> DicentricRecord {
        Pieces { monocentrics, dicentrics, fragments: dicentrics, ..Pieces::default() }.record(
            [46, 46],
            None,
            "machine",
        )
    }

    #[test]
    fn a_cell_with_one_dicentric_is_complete_with_45_centric_pieces() {
        let record = with_dicentrics(1, 44);
        assert!(record.complete);
        assert_eq!((record.centromeres, record.dicentric_equivalents()), (46, 1));
        assert!(!with_dicentrics(1, 45).complete);
    }

    #[test]
    fn the_accepted_range_is_a_setting_that_travels_with_the_record() {
        let pieces = Pieces { monocentrics: 45, ..Pieces::default() };
        assert!(!pieces.clone().record([46, 46], None, "review").complete);
        let record = pieces.record([45, 46], None, "review");
        assert!(record.complete);
        assert_eq!(record.accepted_centromeres, [45, 46]);
    }

    #[test]
    fn a_rejected_dicentric_gives_its_centromeres_to_what_was_seen() {
        let two = with_dicentrics(1, 44);
        let seen = reject_dicentric(&two, Rejected::TwoChromosomes).expect("a dicentric to reject");
        assert!(seen.complete && seen.dicentric_equivalents() == 0);
        let one = reject_dicentric(&two, Rejected::OneChromosome).expect("a dicentric to reject");
        assert_eq!((one.centromeres, one.complete), (45, false));
        assert_eq!(reject_dicentric(&seen, Rejected::Unclear), None);
    }

    #[test]
    fn a_ring_taken_for_a_dicentric_leaves_the_other_pieces_alone() {
        let found = correct_damage(&with_dicentrics(2, 42), Damage::Dicentric, Damage::Ring);
        assert_eq!((found.dicentrics, found.rings, found.monocentrics, found.centromeres), (1, 1, 42, 45));
        assert!(!found.complete);
    }

    #[test]
    fn a_piece_that_nobody_had_looked_at_is_told() {
        let unseen = Pieces { unclear: 46, ..Pieces::default() }.record([46, 46], None, "machine");
        let found = correct_damage(&unseen, Damage::None, Damage::Dicentric);
        assert_eq!((found.unclear, found.dicentrics, found.centromeres), (45, 1, 2));
    }
}
