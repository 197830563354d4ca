//! Counts of a cell from its marked chromosomes, and what a person's corrections make of them.

use domain::{AberrationCounts, Chromosome, DicentricRecord, PieceKind, Rejected};

/// What a chromosome of a cell counts as: what it was scored as, else what its damage says. While a record holds unclear pieces, one
/// of which nothing is said is one of these.
pub fn kind_of(chromosome: &Chromosome, counts: &AberrationCounts) -> PieceKind {
    match (chromosome.piece, PieceKind::from(chromosome.damage)) {
        (Some(piece), _) => piece.kind,
        (None, PieceKind::Monocentric) if counts.unclear > 0 => PieceKind::Unclear,
        (None, kind) => kind,
    }
}

/// The counts of a cell's chromosomes by what each was scored as; one that nobody has scored is unclear.
pub fn count_pieces(chromosomes: &[Chromosome]) -> AberrationCounts {
    let mut counts = AberrationCounts::default();
    chromosomes.iter().for_each(|c| counts.add(c.piece.map_or(PieceKind::Unclear, |piece| piece.kind)));
    counts
}

/// The record with these counts in place of its own; what else it says stays. One of QuickScan stays as complete as it looked.
pub fn with_counts(record: &DicentricRecord, counts: AberrationCounts) -> DicentricRecord {
    let revised = counts.record(record.accepted_centromeres, record.first_division, record.scored_by);
    DicentricRecord {
        counts: revised.counts,
        centromeres: revised.centromeres,
        complete: if record.quickscan { record.complete } else { revised.complete },
        ..record.clone()
    }
}

/// The record after a piece turned out to be of another kind: what it was counted as is taken out, what it is is added.
/// None where the counts hold no piece of the kind that it was: a person has written them, and they know nothing of this piece.
pub fn correct_piece(record: &DicentricRecord, before: PieceKind, now: PieceKind) -> Option<DicentricRecord> {
    let mut counts = record.counts.clone();
    if !counts.remove(before) {
        return None;
    }
    counts.add(now);
    Some(with_counts(record, counts))
}

/// What a person's word on a called dicentric makes of it.
pub fn seen_as(seen: Rejected) -> PieceKind {
    match seen {
        Rejected::OneChromosome => PieceKind::Monocentric,
        Rejected::TwoChromosomes => PieceKind::TwoMonocentrics,
        Rejected::Unclear => PieceKind::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{BoundingBox, Damage, ScoredBy};

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
        let called = with_dicentrics(1, 44);
        let reject = |seen| correct_piece(&called, PieceKind::Dicentric, seen_as(seen)).expect("a dicentric");
        let two = reject(Rejected::TwoChromosomes);
        assert!(two.complete && two.counts.dicentric_equivalents() == 0);
        let one = reject(Rejected::OneChromosome);
        assert_eq!((one.centromeres, one.complete), (45, false));
        assert_eq!(reject(Rejected::Unclear).counts.unclear, 1);
    }

    #[test]
    fn a_rejection_that_is_taken_back_leaves_the_record_as_it_was() {
        let called = with_dicentrics(2, 42);
        for seen in [Rejected::OneChromosome, Rejected::TwoChromosomes, Rejected::Unclear] {
            let rejected = correct_piece(&called, PieceKind::Dicentric, seen_as(seen)).expect("a dicentric");
            assert_ne!(rejected, called);
            assert_eq!(
                correct_piece(&rejected, seen_as(seen), PieceKind::Dicentric).as_ref(),
                Some(&called),
                "{seen:?}"
            );
        }
    }

    #[test]
    fn a_ring_taken_for_a_dicentric_leaves_the_other_pieces_alone() {
        let found = correct_piece(&with_dicentrics(2, 42), PieceKind::Dicentric, PieceKind::Ring).expect("a dicentric");
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
        let piece = Chromosome::at(0, BoundingBox::from_corners(0.0, 0.0, 9.0, 9.0), 1.0);
        assert_eq!(kind_of(&piece, &unseen.counts), PieceKind::Unclear);
        let found =
            correct_piece(&unseen, kind_of(&piece, &unseen.counts), PieceKind::Dicentric).expect("an unclear one");
        assert_eq!((found.counts.unclear, found.counts.dicentrics, found.centromeres), (45, 1, 2));
        let marked = Chromosome { damage: Damage::Ring, ..piece };
        assert_eq!(kind_of(&marked, &unseen.counts), PieceKind::Ring);
    }
}
