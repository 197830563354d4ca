//! A person's correction of a cell: pure.

use crate::station::{CommandError, ReviewAction};
use domain::{
    Cell, Chromosome, ChromosomeClass, Damage, DicentricRecord, Exclusion, PieceKind, Rejected, Review, ScoredBy,
    ScoredPiece, Status, Verdict,
};
use dosimetry::dicentric::{correct_piece, kind_of, seen_as};
use karyotype::{KaryotypeSettings, iscn, recount};

/// The cell after a correction, at its next revision, and what changed in words. `time` is RFC 3339.
///
/// # Errors
/// When the correction names what is not there.
pub fn reviewed(
    cell: &Cell,
    by: &str,
    change: &ReviewAction,
    settings: &KaryotypeSettings,
    time: &str,
) -> Result<Cell, CommandError> {
    let mut next = cell.clone();
    let place = |index: u32| {
        cell.chromosomes
            .iter()
            .position(|c| c.index == index)
            .ok_or_else(|| CommandError::NotFound(format!("cell {} has no chromosome {index}", cell.cell)))
    };
    let words = match change {
        ReviewAction::Class { index, class } => {
            let at = place(*index)?;
            let before = std::mem::replace(&mut next.chromosomes[at].class, *class);
            next.chromosomes[at].score = 1.0;
            next.chromosomes[at].evidence = Some(SEEN.into());
            if next.dicentric.is_none() {
                recount(&mut next, settings);
            }
            format!("chromosome {index}: {} instead of {}", named(*class), named(before))
        }
        ReviewAction::Damage { index, damage } => {
            let at = place(*index)?;
            let before = std::mem::replace(&mut next.chromosomes[at].damage, *damage);
            if next.dicentric.is_none() {
                // From now on it is what a person saw, no candidate.
                next.chromosomes[at].evidence = Some(SEEN.into());
            }
            if next.dicentric.is_some() {
                set_piece(&mut next, &cell.chromosomes[at], at, PieceKind::from(*damage));
                next.chromosomes[at].damage = *damage;
                count_damaged(&mut next);
            } else {
                recount(&mut next, settings);
            }
            if before == *damage {
                format!("chromosome {index}: accepted as {}", word(damage))
            } else {
                format!("chromosome {index}: damage {} instead of {}", word(damage), word(&before))
            }
        }
        ReviewAction::RejectDicentric { index, seen } => {
            let at = place(*index)?;
            if cell.dicentric.is_none() || cell.chromosomes[at].damage != Damage::Dicentric {
                let text = format!("chromosome {index} of cell {} is not called a dicentric", cell.cell);
                return Err(CommandError::Refused(text));
            }
            set_piece(&mut next, &cell.chromosomes[at], at, seen_as(*seen));
            if *seen == Rejected::Unclear {
                next.chromosomes[at].status = Status::Unclear;
            }
            format!("chromosome {index}: no dicentric, {}", word(seen).replace('_', " "))
        }
        ReviewAction::Piece { index, kind } => {
            let at = place(*index)?;
            if cell.dicentric.is_none() {
                return Err(CommandError::Refused(format!("cell {} is not of the dicentric assay", cell.cell)));
            }
            let before = set_piece(&mut next, &cell.chromosomes[at], at, *kind);
            format!("piece {index}: {} instead of {}", word(kind).replace('_', " "), word(&before).replace('_', " "))
        }
        ReviewAction::Verdict { verdict } => {
            let before = std::mem::replace(&mut next.karyotype.verdict, *verdict);
            next.karyotype.reason = format!("set by {}", by.trim());
            format!("verdict {} instead of {}", word(verdict), word(&before))
        }
        ReviewAction::Dicentric { record } => {
            let accepted = record.accepted_centromeres;
            next.dicentric = Some(record.counts.clone().record(accepted, record.first_division, ScoredBy::Review));
            "aberrations scored".into()
        }
        ReviewAction::Iscn { iscn } => write_karyotype(&mut next, by, iscn)?,
        ReviewAction::Exclude { reason } => exclude(&mut next, by, reason.as_deref(), time)?,
        ReviewAction::Confirm => {
            if let Some(record) = &mut next.dicentric {
                if let Some(why) = still_open(record) {
                    return Err(CommandError::Refused(format!("cell {} cannot be confirmed: {why}", cell.cell)));
                }
                record.reviewed =
                    cell.chromosomes.iter().filter(|c| c.damage == Damage::Dicentric).map(|c| c.index).collect();
                record.scored_by = ScoredBy::Review;
            }
            "confirmed".into()
        }
    };
    next.revision = cell.revision + 1;
    next.review = Some(Review { by: by.trim().to_owned(), time: time.to_owned(), change: words });
    Ok(next)
}

/// Sets the karyotype that a person wrote, with the verdict that follows from it.
fn write_karyotype(cell: &mut Cell, by: &str, text: &str) -> Result<String, CommandError> {
    let text = text.trim();
    let refused = |why: &str| {
        CommandError::Refused(format!(
            "invalid iscn '{text}': expected one cell line such as 46,XX or 47,XY,+21 ({why})"
        ))
    };
    let report = iscn::check(text);
    if report.severity == Some(iscn::Severity::Fatal) {
        return Err(refused(report.reason.as_deref().unwrap_or("it cannot be read")));
    }
    if report.modal_count.contains('/') {
        return Err(refused("a cell has one cell line"));
    }
    let normal = matches!(text, "46,XX" | "46,XY" | "46,U");
    let before = cell.karyotype.iscn.replace(text.to_owned()).unwrap_or_else(|| "none".into());
    cell.karyotype.posterior = None;
    cell.karyotype.verdict = if normal { Verdict::Normal } else { Verdict::Abnormal };
    cell.karyotype.reason = format!("karyotype written by {}", by.trim());
    Ok(format!("karyotype {text} instead of {before}"))
}

/// Excludes a cell for a reason, or counts it again without one.
fn exclude(cell: &mut Cell, by: &str, reason: Option<&str>, time: &str) -> Result<String, CommandError> {
    let Some(reason) = reason.map(str::trim) else {
        return match cell.excluded.take() {
            Some(_) => Ok("counted again".into()),
            None => Err(CommandError::Refused(format!("cell {} is not excluded", cell.cell))),
        };
    };
    if reason.is_empty() {
        return Err(CommandError::Refused("invalid reason '': expected why the cell does not count".into()));
    }
    cell.excluded = Some(Exclusion { by: by.trim().to_owned(), time: time.to_owned(), reason: reason.to_owned() });
    Ok(format!("excluded: {reason}"))
}

/// Evidence of what a person corrected.
const SEEN: &str = "as a person saw it";

/// Why a person cannot confirm the counts of a cell as they stand.
fn still_open(record: &DicentricRecord) -> Option<String> {
    if record.not_scored.is_some() {
        return Some("nobody has scored it yet; score its pieces, or exclude it".into());
    }
    let unclear = record.counts.unclear;
    let pieces = if unclear == 1 { "piece is" } else { "pieces are" };
    (unclear > 0).then(|| format!("{unclear} {pieces} unclear; say what they are, or exclude the cell"))
}

/// Enters what a person saw a piece to be, in the chromosome and in the counts; what it was before comes back. A cell that nobody
/// had scored is scored once a person has said of each piece what it is.
fn set_piece(next: &mut Cell, was: &Chromosome, at: usize, kind: PieceKind) -> PieceKind {
    let Some(record) = &next.dicentric else { return kind };
    let before = kind_of(was, &record.counts);
    let mut revised = correct_piece(record, before, kind);
    let chromosome = &mut next.chromosomes[at];
    chromosome.piece = Some(ScoredPiece { kind, score: 1.0, scored_by: ScoredBy::Review });
    chromosome.damage = kind.damage();
    chromosome.evidence = Some(SEEN.into());
    if next.chromosomes.iter().all(|c| c.piece.is_some_and(|p| p.kind != PieceKind::Unclear)) {
        revised.not_scored = None;
    }
    next.counts.unclear = revised.counts.unclear;
    next.dicentric = Some(revised);
    judged(next, was.index);
    count_damaged(next);
    before
}

/// Notes that a person has judged a called dicentric. The cell counts as scored by a person once none is left.
fn judged(cell: &mut Cell, index: u32) {
    let Some(record) = &mut cell.dicentric else { return };
    if !record.reviewed.contains(&index) {
        record.reviewed.push(index);
        record.reviewed.sort_unstable();
    }
    let left = cell.chromosomes.iter().any(|c| c.damage == Damage::Dicentric && !record.reviewed.contains(&c.index));
    // Of a cell with unclear pieces a person has not seen all that the machine could not tell.
    if !left && still_open(record).is_none() {
        record.scored_by = ScoredBy::Review;
    }
}

fn count_damaged(cell: &mut Cell) {
    cell.counts.damaged = cell.chromosomes.iter().filter(|c| c.damage != Damage::None).count() as u32;
}

fn named(class: Option<ChromosomeClass>) -> String {
    class.map_or_else(|| "no single chromosome".into(), |class| class.to_string())
}

/// The word that a value has in messages.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::AberrationCounts;
    use testing::sample_cell;

    const NOON: &str = "2026-11-22T12:00:00Z";

    /// A cell in which a machine called chromosomes 3 and 8 dicentrics.
    fn called() -> Cell {
        let mut cell = sample_cell(1, Some("7"), Verdict::NotAssessable);
        for index in [3, 8] {
            cell.chromosomes[index].damage = Damage::Dicentric;
        }
        let counts = AberrationCounts { monocentrics: 42, dicentrics: 2, fragments: 2, ..AberrationCounts::default() };
        cell.dicentric = Some(counts.record([46, 46], None, ScoredBy::Machine));
        cell
    }

    fn after(cell: &Cell, change: ReviewAction) -> Cell {
        reviewed(cell, "ana", &change, &KaryotypeSettings::default(), NOON).expect("a review")
    }

    #[test]
    fn a_cell_counts_as_reviewed_when_every_called_dicentric_was_judged() {
        let one = after(&called(), ReviewAction::Damage { index: 3, damage: Damage::Dicentric });
        let record = one.dicentric.as_ref().expect("a record");
        assert_eq!(
            (record.scored_by, record.counts.dicentrics, &record.reviewed[..]),
            (ScoredBy::Machine, 2, &[3][..])
        );
        assert_eq!(one.review.as_ref().expect("a review").change, "chromosome 3: accepted as dicentric");
        let both = after(&one, ReviewAction::RejectDicentric { index: 8, seen: Rejected::TwoChromosomes });
        let record = both.dicentric.as_ref().expect("a record");
        assert_eq!((record.scored_by, record.counts.dicentrics, record.complete), (ScoredBy::Review, 1, true));
        assert_eq!((both.revision, both.counts.damaged, both.chromosomes[8].damage), (3, 1, Damage::None));
    }

    #[test]
    fn a_rejection_that_is_taken_back_leaves_the_counts_as_they_were() {
        let before = called().dicentric.expect("a record");
        for seen in [Rejected::OneChromosome, Rejected::TwoChromosomes, Rejected::Unclear] {
            let rejected = after(&called(), ReviewAction::RejectDicentric { index: 8, seen });
            assert_ne!(rejected.dicentric.as_ref().expect("a record").counts, before.counts);
            let back = after(&rejected, ReviewAction::Damage { index: 8, damage: Damage::Dicentric });
            let record = back.dicentric.as_ref().expect("a record");
            assert_eq!((&record.counts, record.complete), (&before.counts, true), "{seen:?}");
            assert_eq!(back.chromosomes[8].damage, Damage::Dicentric);
        }
    }

    #[test]
    fn a_cell_that_nobody_scored_is_scored_piece_by_piece_and_cannot_be_confirmed_before() {
        let mut cell = sample_cell(1, Some("7"), Verdict::NotAssessable);
        cell.chromosomes.iter_mut().for_each(|c| (c.class, c.damage) = (None, Damage::None));
        let n = cell.chromosomes.len() as u32;
        let counts = AberrationCounts { unclear: n, ..AberrationCounts::default() };
        let mut record = counts.record([46, 46], None, ScoredBy::Machine);
        record.not_scored = Some("no network has drawn its chromosomes".into());
        cell.dicentric = Some(record);
        let settings = KaryotypeSettings::default();
        let refused = reviewed(&cell, "ana", &ReviewAction::Confirm, &settings, NOON);
        assert!(matches!(refused, Err(CommandError::Refused(why)) if why.contains("nobody has scored it")));
        for index in 0..n {
            assert!(cell.dicentric.as_ref().is_some_and(|record| record.not_scored.is_some()));
            let kind = if index == 0 { PieceKind::Tricentric } else { PieceKind::Monocentric };
            cell = after(&cell, ReviewAction::Piece { index, kind });
        }
        let record = cell.dicentric.as_ref().expect("a record");
        assert_eq!((record.not_scored.as_deref(), record.scored_by), (None, ScoredBy::Review));
        assert_eq!((record.counts.tricentrics, record.counts.monocentrics, record.counts.unclear), (1, n - 1, 0));
        assert_eq!((record.centromeres, cell.chromosomes[0].damage), (n + 2, Damage::Dicentric));
        assert_eq!(
            cell.review.as_ref().expect("a review").change,
            format!("piece {}: monocentric instead of unclear", n - 1)
        );
        let confirmed = after(&cell, ReviewAction::Confirm);
        assert_eq!(confirmed.dicentric.expect("a record").scored_by, ScoredBy::Review);
    }

    #[test]
    fn a_cell_with_unclear_pieces_cannot_be_confirmed() {
        let cell = after(&called(), ReviewAction::Piece { index: 5, kind: PieceKind::Unclear });
        assert_eq!(cell.dicentric.as_ref().expect("a record").scored_by, ScoredBy::Machine);
        let refused = reviewed(&cell, "ana", &ReviewAction::Confirm, &KaryotypeSettings::default(), NOON);
        assert!(matches!(refused, Err(CommandError::Refused(why)) if why.contains("1 piece is unclear")));
    }

    #[test]
    fn a_rejection_names_a_called_dicentric() {
        let change = ReviewAction::RejectDicentric { index: 4, seen: Rejected::OneChromosome };
        let refused = reviewed(&called(), "ana", &change, &KaryotypeSettings::default(), NOON);
        assert!(matches!(refused, Err(CommandError::Refused(why)) if why.contains("not called a dicentric")));
        let nowhere = ReviewAction::RejectDicentric { index: 99, seen: Rejected::Unclear };
        assert!(reviewed(&called(), "ana", &nowhere, &KaryotypeSettings::default(), NOON).is_err());
    }

    #[test]
    fn a_karyotype_written_by_hand_sets_the_verdict_and_a_wrong_one_is_refused() {
        let cell = sample_cell(1, Some("7"), Verdict::NotAssessable);
        let write = |text: &str| {
            let change = ReviewAction::Iscn { iscn: text.into() };
            reviewed(&cell, "ana", &change, &KaryotypeSettings::default(), NOON)
        };
        let trisomy = write(" 47,XX,+21 ").expect("a review").karyotype;
        assert_eq!((trisomy.iscn.as_deref(), trisomy.verdict), (Some("47,XX,+21"), Verdict::Abnormal));
        assert_eq!((trisomy.posterior, trisomy.reason.as_str()), (None, "karyotype written by ana"));
        assert_eq!(write("46,XY").expect("a review").karyotype.verdict, Verdict::Normal);
        for (wrong, why) in [("46,XX,+21", "46"), ("mos 47,XX,+21[3]/46,XX[7]", "one cell line"), ("", "read")] {
            let refused = write(wrong).expect_err(wrong).to_string();
            assert!(refused.starts_with("invalid iscn '") && (refused.contains(why) || wrong.is_empty()), "{refused}");
        }
    }

    #[test]
    fn an_exclusion_has_a_reason_and_is_taken_back() {
        let cell = sample_cell(1, Some("7"), Verdict::Normal);
        let out = after(&cell, ReviewAction::Exclude { reason: Some(" two cells overlap ".into()) });
        assert_eq!(
            out.excluded.as_ref().map(|e| (e.by.as_str(), e.reason.as_str())),
            Some(("ana", "two cells overlap"))
        );
        assert_eq!(out.review.as_ref().expect("a review").change, "excluded: two cells overlap");
        let back = after(&out, ReviewAction::Exclude { reason: None });
        assert_eq!((back.excluded, back.revision), (None, 3));
        for change in [ReviewAction::Exclude { reason: None }, ReviewAction::Exclude { reason: Some(" ".into()) }] {
            assert!(reviewed(&cell, "ana", &change, &KaryotypeSettings::default(), NOON).is_err());
        }
    }

    #[test]
    fn a_person_may_confirm_all_at_once() {
        let cell = after(&called(), ReviewAction::Confirm);
        let record = cell.dicentric.expect("a record");
        assert_eq!((record.scored_by, &record.reviewed[..]), (ScoredBy::Review, &[3, 8][..]));
    }
}
