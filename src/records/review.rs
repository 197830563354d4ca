//! A person's correction of a cell: pure.

use super::{ClassScores, Scored};
use crate::{
    interpretation::edit::{self, EditError},
    station::{CommandError, ReviewAction},
};
use domain::{
    Cell, Chromosome, ChromosomeClass, Comment, Damage, DicentricRecord, Exclusion, Karyotype, PieceKind, Rejected,
    Review, Said, ScoredBy, ScoredPiece, Stance, Status, Verdict, frame::Pixels,
};
use dosimetry::dicentric::{correct_piece, kind_of, seen_as};
use karyotype::{FittedSettings, iscn, recount};

/// What a correction rests on beside the cell.
pub struct ReviewContext<'a> {
    /// Who corrects.
    pub by: &'a str,
    /// When, RFC 3339.
    pub time: &'a str,
    /// How a corrected karyotype is interpreted again.
    pub settings: &'a FittedSettings,
    /// The kept picture of the cell's frame; asked for where something is drawn.
    pub picture: &'a dyn Fn() -> Option<Pixels>,
    /// What the classifier says of redrawn chromosomes of a cell on that picture; none where no network is there.
    pub scores: &'a dyn Fn(&Cell, &Pixels, &[u32]) -> Option<ClassScores>,
    /// The cell as it was at a revision; asked for where one is taken back.
    pub earlier: &'a dyn Fn(u32) -> Option<Cell>,
}

/// A corrected cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Reviewed {
    /// At its next revision.
    pub cell: Cell,
    /// What changed, in words.
    pub words: String,
    /// Chromosomes whose pictures are to be cut again.
    pub recut: Vec<u32>,
}

/// The cell after a correction.
///
/// # Errors
/// When the correction names what is not there or makes no sense.
pub fn reviewed(cell: &Cell, change: &ReviewAction, context: &ReviewContext<'_>) -> Result<Reviewed, CommandError> {
    let ReviewContext { by, time, settings, .. } = *context;
    let by = by.trim();
    let mut recut = Vec::new();
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
            if edit::awaits_class(&next.chromosomes[at]) {
                // What a person drew and then said to be no chromosome waits for nothing more.
                next.chromosomes[at].objectness = 0.0;
            }
            next.chromosomes[at].evidence = Some(SEEN.into());
            if edit::is_unmeasured(&next.chromosomes[at])
                && let Some(pixels) = (context.picture)()
            {
                edit::measure_again(&mut next, &pixels, &[*index]);
            }
            if next.dicentric.is_none() {
                count_again(&mut next, settings);
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
                // What shows this damage already stays what it is: an accepted tricentric is no dicentric.
                let was = &cell.chromosomes[at];
                let kept = was.piece.map(|piece| piece.kind);
                let kept = kept.filter(|kind| *kind != PieceKind::Unclear && kind.damage() == *damage);
                set_piece(&mut next, was, at, kept.unwrap_or_else(|| PieceKind::from(*damage)))?;
                next.chromosomes[at].damage = *damage;
                count_damaged(&mut next);
            } else {
                count_again(&mut next, settings);
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
            set_piece(&mut next, &cell.chromosomes[at], at, seen_as(*seen))?;
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
            let before = set_piece(&mut next, &cell.chromosomes[at], at, *kind)?;
            format!("piece {index}: {} instead of {}", word(kind).replace('_', " "), word(&before).replace('_', " "))
        }
        ReviewAction::Verdict { verdict } => {
            let before = std::mem::replace(&mut next.karyotype.verdict, *verdict);
            next.karyotype.explain(Said::new("set_by", format!("set by {by}")).with("by", by));
            format!("verdict {} instead of {}", word(verdict), word(&before))
        }
        ReviewAction::Dicentric { record } => {
            let accepted = record.accepted_centromeres;
            let scored = record.counts.clone().record(accepted, record.first_division, ScoredBy::Review);
            // What selected the cell, and how complete cells are known, are the station's and stay; by QuickScan a person says by
            // scoring a cell that it looks complete.
            next.dicentric = Some(match cell.dicentric.clone() {
                None => scored,
                Some(before) => domain::DicentricRecord {
                    not_selected: before.not_selected,
                    ranked: before.ranked,
                    ..if before.quickscan { scored.by_look(true) } else { scored }
                },
            });
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
        ReviewAction::Comment { text } => comment(&mut next, by, text, time)?,
        ReviewAction::Status { index, status } => {
            let before = std::mem::replace(&mut next.chromosomes[place(*index)?].status, *status);
            format!("chromosome {index}: {} instead of {}", word(status), word(&before))
        }
        ReviewAction::Turn { .. } | ReviewAction::Flip { .. } => lay(&mut next, change)?,
        ReviewAction::Split { .. } | ReviewAction::Join { .. } | ReviewAction::Outline { .. } => {
            let words;
            (words, recut) = redraw(&mut next, change, context)?;
            words
        }
        ReviewAction::Revert { revision } => {
            let unknown = || CommandError::NotFound(format!("cell {} has no earlier revision {revision}", cell.cell));
            let earlier = (context.earlier)(*revision).filter(|_| *revision < cell.revision).ok_or_else(unknown)?;
            let same = |c: &&domain::Chromosome| {
                cell.chromosomes
                    .iter()
                    .any(|now| now.index == c.index && now.outline == c.outline && now.bounds == c.bounds)
            };
            recut = earlier.chromosomes.iter().filter(|c| !same(c)).map(|c| c.index).collect();
            // Where it belongs and what people noted is as it is now.
            let Cell { case, slide, colony, captured, comments, excluded, .. } = next;
            next = Cell { case, slide, colony, captured, comments, excluded, ..earlier };
            format!("back to revision {revision}")
        }
    };
    next.revision = cell.revision + 1;
    if !matches!(change, ReviewAction::Comment { .. }) {
        next.review = Some(Review { by: by.to_owned(), time: time.to_owned(), change: words.clone() });
    }
    Ok(Reviewed { cell: next, words, recut })
}

/// Adds a note.
fn comment(cell: &mut Cell, by: &str, text: &str, time: &str) -> Result<String, CommandError> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > LONGEST_COMMENT || text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(CommandError::Refused(format!(
            "invalid text: expected 1 to {LONGEST_COMMENT} characters without control characters"
        )));
    }
    cell.comments.push(Comment { by: by.to_owned(), time: time.to_owned(), text: text.to_owned() });
    Ok(format!("comment: {text}"))
}

/// Turns or mirrors a chromosome in the karyogram.
fn lay(cell: &mut Cell, change: &ReviewAction) -> Result<String, CommandError> {
    let (ReviewAction::Turn { index, .. } | ReviewAction::Flip { index, .. }) = change else {
        return Ok(String::new());
    };
    let missing = || CommandError::NotFound(format!("cell {} has no chromosome {index}", cell.cell));
    let at = cell.chromosomes.iter().position(|c| c.index == *index).ok_or_else(missing)?;
    let chromosome = &mut cell.chromosomes[at];
    let angle = chromosome.upright_angle.unwrap_or(0.0);
    let mut stance = chromosome.stance.unwrap_or(Stance { angle, mirrored: false });
    let words = match change {
        ReviewAction::Turn { angle, .. } => {
            if !(-180.0..=180.0).contains(angle) {
                return Err(CommandError::Refused(format!("invalid angle '{angle}': expected -180 to 180 degrees")));
            }
            let before = std::mem::replace(&mut stance.angle, *angle);
            // What was up is down: the middle line begins at the other end.
            if (angle - before).to_radians().cos() < 0.0 {
                chromosome.axis.reverse();
            }
            chromosome.upright_angle = Some(*angle);
            format!("chromosome {index}: turned to {angle:.0}°")
        }
        ReviewAction::Flip { flipped, .. } => {
            stance.mirrored = *flipped;
            format!("chromosome {index}: {}", if *flipped { "mirrored" } else { "not mirrored" })
        }
        _ => String::new(),
    };
    chromosome.stance = Some(stance);
    Ok(words)
}

/// Parts, joins or outlines chromosomes, measures them and counts the cell again. Gives the words and whose pictures change.
fn redraw(
    cell: &mut Cell,
    change: &ReviewAction,
    context: &ReviewContext<'_>,
) -> Result<(String, Vec<u32>), CommandError> {
    if cell.dicentric.is_some() {
        let text = "in the dicentric assay pieces are counted, not drawn: correct the counts of the cell";
        return Err(CommandError::Refused(text.into()));
    }
    let refused = |error: EditError| match error {
        EditError::NoChromosome(_) => CommandError::NotFound(error.to_string()),
        other => CommandError::Refused(other.to_string()),
    };
    let pixels = (context.picture)().ok_or(EditError::NoPicture).map_err(refused)?;
    let (words, changed) = match change {
        ReviewAction::Split { index, line } => {
            let [first, second] = edit::split(cell, &pixels, *index, line).map_err(refused)?;
            (format!("chromosome {index}: parted into {first} and {second}"), vec![first, second])
        }
        ReviewAction::Join { indices } => {
            let whole = edit::join(cell, &pixels, indices).map_err(refused)?;
            let names: Vec<String> = indices.iter().map(u32::to_string).collect();
            (format!("chromosomes {} joined as {whole}", names.join(", ")), vec![whole])
        }
        ReviewAction::Outline { index, rings } => {
            let drawn = edit::outline(cell, &pixels, *index, rings).map_err(refused)?;
            let words = if index.is_some() { "outline drawn" } else { "added" };
            (format!("chromosome {drawn}: {words}"), vec![drawn])
        }
        _ => (String::new(), Vec::new()),
    };
    edit::measure_again(cell, &pixels, &changed);
    if let Some(ClassScores { model, scored }) = (context.scores)(cell, &pixels, &changed) {
        for (index, Scored { classes, alternatives }) in changed.iter().zip(scored) {
            edit::enter_scores(cell, *index, &classes, alternatives, &model);
        }
    }
    count_again(cell, context.settings);
    Ok((words, changed))
}

/// Counts the cell by its classes. While something that a person drew has none, nothing can be said of the cell: what is missing of a
/// class may be just that.
fn count_again(cell: &mut Cell, settings: &FittedSettings) {
    recount(cell, settings.judged(cell.is_judged_in_context()));
    let waiting = cell.chromosomes.iter().filter(|c| edit::awaits_class(c)).count();
    if waiting > 0 {
        let text = match waiting {
            1 => "one redrawn chromosome has no class yet".into(),
            n => format!("{n} redrawn chromosomes have no class yet"),
        };
        cell.karyotype = Karyotype::unknown(Said::new("redrawn", text).with("count", waiting));
        cell.counts.normal += std::mem::take(&mut cell.counts.abnormal);
    }
}

/// Characters of a note at most.
const LONGEST_COMMENT: usize = 2000;

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
    cell.karyotype.explain(Said::new("written_by", format!("karyotype written by {by}")).with("by", by));
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
    cell.excluded = Some(Exclusion { by: by.to_owned(), time: time.to_owned(), reason: reason.to_owned() });
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
fn set_piece(next: &mut Cell, was: &Chromosome, at: usize, kind: PieceKind) -> Result<PieceKind, CommandError> {
    let Some(record) = &next.dicentric else { return Ok(kind) };
    let before = kind_of(was, &record.counts);
    let corrected = if before == kind { Some(record.clone()) } else { correct_piece(record, before, kind) };
    let mut revised = corrected.ok_or_else(|| {
        let before = word(&before).replace('_', " ");
        CommandError::Refused(format!(
            "the counts of cell {} hold no {before} that piece {} could be: correct the counts themselves",
            next.cell, was.index
        ))
    })?;
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
    Ok(before)
}

/// Notes that a person has judged a called dicentric. The cell counts as scored by a person once none is left.
fn judged(cell: &mut Cell, index: u32) {
    let Some(record) = &mut cell.dicentric else { return };
    if !record.reviewed.contains(&index) {
        record.reviewed.push(index);
        record.reviewed.sort_unstable();
    }
    let left = cell.chromosomes.iter().any(|c| c.damage == Damage::Dicentric && !record.reviewed.contains(&c.index));
    // Of a cell with unclear pieces a person has not seen all that the machine left open.
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

    fn review(cell: &Cell, change: &ReviewAction) -> Result<Reviewed, CommandError> {
        let settings = FittedSettings::default();
        let earlier = |revision: u32| (revision == 1).then(|| sample_cell(1, Some("7"), Verdict::Normal));
        let context = ReviewContext {
            by: " ana ",
            time: NOON,
            settings: &settings,
            picture: &|| None,
            scores: &|_, _, _| None,
            earlier: &earlier,
        };
        reviewed(cell, change, &context)
    }

    fn after(cell: &Cell, change: ReviewAction) -> Cell {
        review(cell, &change).expect("a review").cell
    }

    #[test]
    fn a_comment_changes_nothing_else() {
        let cell = after(&sample_cell(1, Some("7"), Verdict::Normal), ReviewAction::Confirm);
        let noted = review(&cell, &ReviewAction::Comment { text: " satellites \n long ".into() }).expect("a comment");
        assert_eq!(noted.words, "comment: satellites \n long");
        assert_eq!((noted.cell.comments.len(), noted.cell.revision), (1, cell.revision + 1));
        assert_eq!(noted.cell.review, cell.review, "who confirmed it has still done so");
        for text in [" ", "\u{7}"] {
            assert!(review(&cell, &ReviewAction::Comment { text: text.into() }).is_err());
        }
    }

    #[test]
    fn a_chromosome_is_turned_and_mirrored_and_the_rest_stays() {
        let mut cell = sample_cell(1, Some("7"), Verdict::Normal);
        cell.chromosomes[4].upright_angle = Some(20.0);
        cell.chromosomes[4].axis = vec![[1.0, 1.0], [1.0, 9.0]];
        let turned = after(&cell, ReviewAction::Turn { index: 4, angle: -160.0 });
        let chromosome = &turned.chromosomes[4];
        assert_eq!(chromosome.stance, Some(Stance { angle: -160.0, mirrored: false }));
        assert_eq!((chromosome.upright_angle, chromosome.axis[0]), (Some(-160.0), [1.0, 9.0]));
        assert_eq!(turned.karyotype, cell.karyotype);
        let flipped = after(&turned, ReviewAction::Flip { index: 4, flipped: true });
        assert_eq!(flipped.chromosomes[4].stance, Some(Stance { angle: -160.0, mirrored: true }));
        assert!(review(&cell, &ReviewAction::Turn { index: 4, angle: f32::NAN }).is_err());
        assert!(review(&cell, &ReviewAction::Turn { index: 99, angle: 0.0 }).is_err());
    }

    #[test]
    fn a_cell_goes_back_to_an_earlier_revision_and_keeps_its_comments() {
        let cell = sample_cell(1, Some("7"), Verdict::Normal);
        let moved = after(&cell, ReviewAction::Class { index: 3, class: None });
        let noted = after(&moved, ReviewAction::Comment { text: "seen".into() });
        let back = after(&noted, ReviewAction::Revert { revision: 1 });
        assert_eq!((back.revision, back.chromosomes[3].class), (4, cell.chromosomes[3].class));
        assert_eq!((back.karyotype.iscn, back.comments.len()), (cell.karyotype.iscn.clone(), 1));
        assert!(review(&cell, &ReviewAction::Revert { revision: 1 }).is_err(), "it is there");
        assert!(review(&noted, &ReviewAction::Revert { revision: 2 }).is_err(), "nobody knows it");
    }

    #[test]
    fn drawing_needs_a_picture_and_an_assay_with_classes() {
        let split = ReviewAction::Split { index: 3, line: vec![[0.0, 0.0], [9.0, 9.0]] };
        let refused = review(&sample_cell(1, None, Verdict::Normal), &split).expect_err("no picture").to_string();
        assert!(refused.starts_with("no picture of the cell was kept"), "{refused}");
        assert!(review(&called(), &split).expect_err("pieces").to_string().contains("correct the counts"));
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
        let refused = review(&cell, &ReviewAction::Confirm);
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
    fn a_piece_that_the_counts_do_not_hold_is_not_taken_out_of_them() {
        let mut cell = called();
        let record = cell.dicentric.as_mut().expect("a record");
        record.counts = AberrationCounts { monocentrics: 46, ..AberrationCounts::default() };
        let index = cell.chromosomes.iter().find(|c| c.damage == Damage::Dicentric).expect("a called one").index;
        let refused = review(&cell, &ReviewAction::Piece { index, kind: PieceKind::Monocentric });
        assert!(matches!(refused, Err(CommandError::Refused(why)) if why.contains("hold no dicentric")));
    }

    #[test]
    fn a_person_scores_a_cell_of_quickscan_by_its_look_and_cannot_select_it() {
        let mut cell = called();
        let record = cell.dicentric.take().expect("a record");
        cell.dicentric = Some(record.by_look(false));
        let counts = AberrationCounts { monocentrics: 40, dicentrics: 1, ..AberrationCounts::default() };
        let scored = ReviewAction::Dicentric { record: Box::new(counts.record([46, 46], None, ScoredBy::Review)) };
        let by_look = after(&cell, scored.clone()).dicentric.expect("a record");
        assert_eq!((by_look.quickscan, by_look.complete, by_look.counts.dicentrics), (true, true, 1));
        assert_eq!(dosimetry::dicentric::counted(&by_look), Ok(()));
        if let Some(record) = &mut cell.dicentric {
            record.not_selected = Some("it has 51 pieces".into());
        }
        let left_out = after(&cell, scored).dicentric.expect("a record");
        assert_eq!(left_out.not_selected.as_deref(), Some("it has 51 pieces"));
        // Naming a piece leaves the look of a cell as it was.
        let named =
            after(&cell, ReviewAction::Piece { index: 5, kind: PieceKind::Tricentric }).dicentric.expect("a record");
        assert_eq!((named.quickscan, named.complete), (true, false));
    }

    #[test]
    fn an_accepted_tricentric_stays_one() {
        let cell = after(&called(), ReviewAction::Piece { index: 5, kind: PieceKind::Tricentric });
        let counts = cell.dicentric.as_ref().expect("a record").counts.clone();
        let accepted = after(&cell, ReviewAction::Damage { index: 5, damage: Damage::Dicentric });
        assert_eq!(accepted.dicentric.expect("a record").counts, counts);
        assert_eq!(accepted.chromosomes[5].piece.map(|p| p.kind), Some(PieceKind::Tricentric));
        assert_eq!(accepted.review.expect("a review").change, "chromosome 5: accepted as dicentric");
    }

    #[test]
    fn a_cell_with_unclear_pieces_cannot_be_confirmed() {
        let cell = after(&called(), ReviewAction::Piece { index: 5, kind: PieceKind::Unclear });
        assert_eq!(cell.dicentric.as_ref().expect("a record").scored_by, ScoredBy::Machine);
        let refused = review(&cell, &ReviewAction::Confirm);
        assert!(matches!(refused, Err(CommandError::Refused(why)) if why.contains("1 piece is unclear")));
    }

    #[test]
    fn a_rejection_names_a_called_dicentric() {
        let change = ReviewAction::RejectDicentric { index: 4, seen: Rejected::OneChromosome };
        let refused = review(&called(), &change);
        assert!(matches!(refused, Err(CommandError::Refused(why)) if why.contains("not called a dicentric")));
        let nowhere = ReviewAction::RejectDicentric { index: 99, seen: Rejected::Unclear };
        assert!(review(&called(), &nowhere).is_err());
    }

    #[test]
    fn a_karyotype_written_by_hand_sets_the_verdict_and_a_wrong_one_is_refused() {
        let cell = sample_cell(1, Some("7"), Verdict::NotAssessable);
        let write = |text: &str| {
            let change = ReviewAction::Iscn { iscn: text.into() };
            review(&cell, &change).map(|reviewed| reviewed.cell)
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
            assert!(review(&cell, &change).is_err());
        }
    }

    #[test]
    fn a_person_may_confirm_all_at_once() {
        let cell = after(&called(), ReviewAction::Confirm);
        let record = cell.dicentric.expect("a record");
        assert_eq!((record.scored_by, &record.reviewed[..]), (ScoredBy::Review, &[3, 8][..]));
    }
}
