//! Counts of a cell from its marked chromosomes, and what a person's corrections make of them.

use domain::{AberrationCounts, Chromosome, Damage, DicentricRecord, Rejected, Status};

/// The chromosomes as recognition or a person marked them: a dicentric, ring or fragment by its damage, an object
/// without class and damage whose status is unclear as unclear, everything else as one chromosome.
pub fn count_aberrations(chromosomes: &[Chromosome]) -> AberrationCounts {
    let mut counts = AberrationCounts::default();
    for chromosome in chromosomes {
        match (chromosome.damage, chromosome.status) {
            (Damage::Dicentric, _) => counts.dicentrics += 1,
            (Damage::Ring, _) => counts.rings += 1,
            (Damage::Fragment, _) => counts.fragments += 1,
            (_, Status::Unclear) if chromosome.class.is_none() => counts.unclear += 1,
            _ => counts.monocentrics += 1,
        }
    }
    counts
}

/// The record with these counts in place of its own.
fn revised(record: &DicentricRecord, counts: AberrationCounts) -> DicentricRecord {
    let revised = counts.record(record.accepted_centromeres, record.first_division, record.scored_by);
    DicentricRecord { reviewed: record.reviewed.clone(), ..revised }
}

/// The record after a person rejected one called dicentric; none where it holds no dicentric. Who scored it stays.
pub fn reject_dicentric(record: &DicentricRecord, seen: Rejected) -> Option<DicentricRecord> {
    let mut counts = record.counts.clone();
    counts.dicentrics = counts.dicentrics.checked_sub(1)?;
    match seen {
        Rejected::OneChromosome => counts.monocentrics += 1,
        Rejected::TwoChromosomes => counts.monocentrics += 2,
        Rejected::Unclear => counts.unclear += 1,
    }
    Some(revised(record, counts))
}

/// The record after a person saw that a piece is damaged in another way than was thought. The rest of the record
/// stays: it may rest on more than the boxes show.
pub fn correct_damage(record: &DicentricRecord, before: Damage, now: Damage) -> DicentricRecord {
    let mut counts = record.counts.clone();
    let gone = match before {
        Damage::Dicentric => &mut counts.dicentrics,
        Damage::Ring => &mut counts.rings,
        Damage::Fragment => &mut counts.fragments,
        // A piece that was unclear so far is known now.
        _ if counts.monocentrics == 0 => &mut counts.unclear,
        _ => &mut counts.monocentrics,
    };
    *gone = gone.saturating_sub(1);
    match now {
        Damage::Dicentric => counts.dicentrics += 1,
        Damage::Ring => counts.rings += 1,
        Damage::Fragment => counts.fragments += 1,
        _ => counts.monocentrics += 1,
    }
    revised(record, counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ScoredBy;

    fn with_dicentrics(dicentrics: u32, monocentrics: u32) -> DicentricRecord {
        AberrationCounts { monocentrics, dicentrics, fragments: dicentrics, ..AberrationCounts::default() }.record(
            [46, 46],
            None,
            ScoredBy::Machine,
        )
    }

    #[test]
    fn a_cell_with_one_dicentric_is_complete_with_45_centric_pieces() {
        let record = with_dicentrics(1, 44);
        assert!(record.complete);
        assert_eq!((record.centromeres, record.counts.dicentric_equivalents()), (46, 1));
        assert!(!with_dicentrics(1, 45).complete);
    }

    #[test]
    fn the_accepted_range_is_a_setting_that_travels_with_the_record() {
        let counts = AberrationCounts { monocentrics: 45, ..AberrationCounts::default() };
        assert!(!counts.clone().record([46, 46], None, ScoredBy::Review).complete);
        let record = counts.record([45, 46], None, ScoredBy::Review);
        assert!(record.complete);
        assert_eq!(record.accepted_centromeres, [45, 46]);
    }

    #[test]
    fn a_rejected_dicentric_gives_its_centromeres_to_what_was_seen() {
        let two = with_dicentrics(1, 44);
        let seen = reject_dicentric(&two, Rejected::TwoChromosomes).expect("a dicentric to reject");
        assert!(seen.complete && seen.counts.dicentric_equivalents() == 0);
        let one = reject_dicentric(&two, Rejected::OneChromosome).expect("a dicentric to reject");
        assert_eq!((one.centromeres, one.complete), (45, false));
        assert_eq!(reject_dicentric(&seen, Rejected::Unclear), None);
    }

    #[test]
    fn a_ring_taken_for_a_dicentric_leaves_the_other_pieces_alone() {
        let found = correct_damage(&with_dicentrics(2, 42), Damage::Dicentric, Damage::Ring);
        assert_eq!(
            (found.counts.dicentrics, found.counts.rings, found.counts.monocentrics, found.centromeres),
            (1, 1, 42, 45)
        );
        assert!(!found.complete);
    }

    #[test]
    fn a_piece_that_nobody_had_looked_at_is_counted() {
        let unseen =
            AberrationCounts { unclear: 46, ..AberrationCounts::default() }.record([46, 46], None, ScoredBy::Machine);
        let found = correct_damage(&unseen, Damage::None, Damage::Dicentric);
        assert_eq!((found.counts.unclear, found.counts.dicentrics, found.centromeres), (45, 1, 2));
    }
}
