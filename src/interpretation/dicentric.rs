//! The aberration record of a cell in the dicentric assay.

use domain::{
    AberrationCounts, BoundingBox, Cell, Chromosome, Counts, Damage, DicentricRecord, Doubt, Karyotype, PieceKind,
    Ranked, Said, ScoredBy, ScoredPiece, ScorerUsed, TrueCell,
};
use dosimetry::dicentric::{Fit, Judged, count_pieces, score_pieces};

use super::InterpretationSettings;

/// Least overlap with which a chromosome is the one that the simulator drew an aberration on.
const MIN_ABERRATION_IOU: f32 = 0.5;

/// Least share of a cell's objects that could be measured for the machine to score it.
const LEAST_MEASURED: f32 = 0.8;

/// What the machine sees of a cell.
#[derive(Debug)]
pub(super) struct Seen {
    /// The fitted numbers that its pieces were judged by.
    pub(super) fit: Fit,
    /// What each piece is by itself; none where it could not be measured.
    pub(super) judged: Vec<Option<Judged>>,
    /// Objects that were left out as seen twice.
    pub(super) doubles: u32,
    /// How far the sizes of its pieces lie from those of a whole cell; none where too few could be measured.
    pub(super) distance: Option<f32>,
}

/// Enters the aberration record: what a simulated source knows, else what the machine makes of the pieces. A cell of which too
/// little could be measured is not scored.
pub(super) fn score(
    cell: &mut Cell,
    truth: &[TrueCell],
    Seen { fit, judged, doubles, distance }: Seen,
    settings: &InterpretationSettings,
) {
    let detected = cell.chromosomes.len() as u32;
    const NO_CLASSES: &str = "the dicentric assay names no classes";
    cell.karyotype = Karyotype::unknown(if cell.doubts.contains(&Doubt::CutByFrame) {
        let cut = "the frame's edge cuts this cell, so that chromosomes may lie outside";
        Said::new("no_classes_and_cut", format!("{NO_CLASSES}; {cut}"))
    } else {
        Said::new("no_classes", NO_CLASSES)
    });
    let accepted = settings.accepted_centromeres;
    let truth = truth_of(truth, &cell.region);
    let mut record = match truth.and_then(|truth| truth.dicentric.as_ref()) {
        Some(record) => {
            truth.iter().flat_map(|t| &t.aberrations).for_each(|(place, kind)| mark(cell, place, *kind));
            let record = record.counts.clone().record(accepted, record.first_division, ScoredBy::Truth);
            if settings.scorer.quickscan { record.by_look(true) } else { record }
        }
        None => selected(by_machine(cell, fit, &judged, settings), detected, distance, settings),
    };
    record.doubles = doubles;
    cell.counts = Counts {
        detected,
        damaged: cell.chromosomes.iter().filter(|c| c.damage != Damage::None).count() as u32,
        unclear: if record.not_scored.is_some() { detected } else { record.counts.unclear },
        ..Counts::default()
    };
    cell.dicentric = Some(record);
}

/// What the machine makes of a cell's pieces.
fn by_machine(
    cell: &mut Cell,
    fit: Fit,
    judged: &[Option<Judged>],
    settings: &InterpretationSettings,
) -> DicentricRecord {
    let accepted = settings.accepted_centromeres;
    let measured = judged.iter().flatten().count();
    if (measured as f32) < LEAST_MEASURED * judged.len() as f32 || judged.is_empty() {
        let counts = AberrationCounts { unclear: judged.len() as u32, ..AberrationCounts::default() };
        let mut record = counts.record(accepted, None, ScoredBy::Machine);
        record.not_scored = Some(match measured {
            0 => "no network has drawn its chromosomes, so that a person has to score it".into(),
            n => format!("{n} of its {} pieces could be measured: a person has to score it", judged.len()),
        });
        return record;
    }
    for ((chromosome, (kind, score)), judged) in cell.chromosomes.iter_mut().zip(score_pieces(judged)).zip(judged) {
        let score = (score * 1e3).round() / 1e3;
        chromosome.piece = Some(ScoredPiece { kind, score, scored_by: ScoredBy::Machine });
        chromosome.damage = kind.damage();
        chromosome.evidence = evidence(kind, judged.as_ref()).map(Into::into);
    }
    let mut record = count_pieces(&cell.chromosomes).record(accepted, None, ScoredBy::Machine);
    let models = cell.models.iter().filter(|(task, _)| matches!(task.as_str(), "anatomy" | "detector"));
    record.scorer = Some(ScorerUsed {
        scorer: fit.scorer().into(),
        strictness: settings.scorer.strictness,
        selection: settings.scorer.selection_words(accepted),
        models: models.map(|(task, label)| format!("{task}: {label}")).collect::<Vec<_>>().join(", "),
    });
    record.flags = flags(&record.counts);
    record
}

/// The machine's record with what QuickScan and the selection of cells make of it.
fn selected(
    record: DicentricRecord,
    pieces: u32,
    distance: Option<f32>,
    settings: &InterpretationSettings,
) -> DicentricRecord {
    let scorer = &settings.scorer;
    let [low, high] = scorer.complete_look();
    let record = if scorer.quickscan { record.by_look((low..=high).contains(&pieces)) } else { record };
    let rule = scorer.selection;
    DicentricRecord {
        not_selected: rule.leaves_out(pieces, distance),
        ranked: rule.best.zip(distance).map(|(best, distance)| Ranked { distance, best }),
        ..record
    }
}

/// What a person should look at in counts that do not go together.
fn flags(counts: &AberrationCounts) -> Vec<String> {
    let (expected, found) = (counts.fragments_expected(), counts.fragments);
    let words = || format!("fragments found: {found}; belonging to its dicentrics and rings: {expected}");
    (found != expected).then(words).into_iter().collect()
}

/// What a piece's kind rests on, in words; nothing for the usual chromosome.
fn evidence(kind: PieceKind, judged: Option<&Judged>) -> Option<String> {
    let judged = judged?;
    match kind {
        PieceKind::Dicentric | PieceKind::Tricentric => {
            Some(format!("{} centromeres seen, score {:.2}", judged.called, judged.dicentric))
        }
        PieceKind::Ring => Some("it encloses a hole".into()),
        PieceKind::Fragment => Some(format!("no centromere seen, score {:.2}", judged.acentric)),
        PieceKind::Unclear if !judged.struck.is_empty() => {
            let why: Vec<&str> = judged.struck.iter().map(|filter| filter.words()).collect();
            Some(format!("it looks like a dicentric (score {:.2}), but {}", judged.dicentric, why.join(", and ")))
        }
        PieceKind::Unclear if judged.doubtful => {
            Some(format!("it may be a dicentric (score {:.2}), too weak to be called", judged.dicentric))
        }
        PieceKind::Unclear => {
            Some(format!("no centromere seen (score {:.2}), and no fragment is missing", judged.acentric))
        }
        PieceKind::Monocentric | PieceKind::TwoMonocentrics => None,
    }
}

/// The true cell that lies in a region, where there is one.
pub(super) fn truth_of<'t>(truth: &'t [TrueCell], region: &BoundingBox) -> Option<&'t TrueCell> {
    truth
        .iter()
        .map(|cell| (cell.region.intersection(region), cell))
        .filter(|(shared, _)| *shared > 0.0)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, cell)| cell)
}

/// Marks the chromosome that lies where the simulator drew an aberration; one that was not found apart stays unmarked.
fn mark(cell: &mut Cell, place: &BoundingBox, kind: PieceKind) {
    let overlap = |c: &Chromosome| c.bounds.iou(place);
    let nearest = cell.chromosomes.iter_mut().max_by(|a, b| overlap(a).total_cmp(&overlap(b)));
    if let Some(chromosome) = nearest.filter(|c| overlap(c) >= MIN_ABERRATION_IOU) {
        chromosome.damage = kind.damage();
        chromosome.piece = Some(ScoredPiece { kind, score: 1.0, scored_by: ScoredBy::Truth });
        chromosome.evidence = Some("as the simulator drew it".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::AberrationCounts;
    use testing::sample_cell;

    const REGION: BoundingBox = BoundingBox { x: 0.0, y: 0.0, width: 900.0, height: 900.0 };

    fn found() -> Cell {
        let mut cell = sample_cell(1, Some("7"), domain::Verdict::NotAssessable);
        cell.region = REGION;
        cell.dicentric = None;
        cell
    }

    fn settings() -> InterpretationSettings {
        InterpretationSettings {
            assay: domain::Assay::Dicentric,
            karyotype: Default::default(),
            accepted_centromeres: [46, 46],
            scorer: Default::default(),
            threads: 1,
        }
    }

    fn seen(judged: Vec<Option<Judged>>, doubles: u32) -> Seen {
        Seen { fit: Fit::Solid, judged, doubles, distance: None }
    }

    /// A piece with a dicentric's and an acentric's probability.
    fn piece(dicentric: f32, acentric: f32) -> Option<Judged> {
        let called = if dicentric > 0.5 { 2 } else { 1 };
        Some(Judged { dicentric, acentric, called, doubtful: false, ring: false, struck: Vec::new() })
    }

    #[test]
    fn a_cell_that_nobody_could_score_says_so_and_is_not_free_of_dicentrics() {
        let mut cell = found();
        let n = cell.chromosomes.len() as u32;
        score(&mut cell, &[], seen(vec![None; n as usize], 0), &settings());
        let record = cell.dicentric.expect("a record");
        assert!(record.not_scored.as_deref().is_some_and(|why| why.contains("no network")));
        assert_eq!((record.counts.monocentrics, record.counts.unclear, record.complete), (0, n, false));
        assert_eq!(dosimetry::dicentric::counted(&record), Err(dosimetry::dicentric::NotCounted::NotScored));
        assert_eq!((cell.counts.unclear, cell.counts.detected), (n, n));
    }

    #[test]
    fn a_machine_scores_a_cell_by_its_pieces_and_says_which_scorer_it_was() {
        let mut cell = found();
        cell.models.insert("anatomy".into(), "anatomy@0123456789ab".into());
        cell.chromosomes.truncate(46);
        let mut judged = vec![piece(0.01, 0.02); 46];
        (judged[7], judged[11]) = (piece(0.93, 0.01), piece(0.01, 0.6));
        score(&mut cell, &[], seen(judged, 2), &settings());
        let record = cell.dicentric.expect("a record");
        let counts = &record.counts;
        assert_eq!((counts.monocentrics, counts.dicentrics, counts.fragments, counts.unclear), (44, 1, 1, 0));
        assert!(record.complete && record.flags.is_empty() && record.not_scored.is_none());
        assert_eq!((record.scored_by, record.doubles), (ScoredBy::Machine, 2));
        let scorer = record.scorer.expect("the scorer");
        assert_eq!((scorer.scorer.as_str(), scorer.models.as_str()), ("axis-2", "anatomy: anatomy@0123456789ab"));
        assert_eq!((cell.chromosomes[7].damage, cell.chromosomes[11].damage), (Damage::Dicentric, Damage::Fragment));
        assert!(String::from(cell.chromosomes[7].evidence.clone().expect("why")).contains("2 centromeres"));
    }

    #[test]
    fn a_dicentric_without_its_fragment_is_flagged() {
        let mut cell = found();
        cell.chromosomes.truncate(45);
        let mut judged = vec![piece(0.01, 0.01); 45];
        judged[7] = piece(0.93, 0.01);
        score(&mut cell, &[], seen(judged, 0), &settings());
        let record = cell.dicentric.expect("a record");
        assert_eq!((record.centromeres, record.counts.fragments), (46, 0));
        assert_eq!(record.flags, ["fragments found: 0; belonging to its dicentrics and rings: 1"]);
    }

    #[test]
    fn the_truth_of_a_simulated_source_marks_the_chromosomes_it_was_drawn_on() {
        let mut cell = found();
        let counts = AberrationCounts { monocentrics: 44, dicentrics: 1, ..AberrationCounts::default() };
        let truth = TrueCell {
            region: REGION,
            karyotype: "46,XY".into(),
            dicentric: Some(counts.record([46, 46], None, ScoredBy::Truth)),
            aberrations: vec![
                (cell.chromosomes[3].bounds, PieceKind::Dicentric),
                (cell.chromosomes[5].bounds, PieceKind::Tricentric),
            ],
        };
        score(&mut cell, &[truth], seen(Vec::new(), 0), &settings());
        let record = cell.dicentric.as_ref().expect("a record");
        assert_eq!((record.scored_by, record.counts.dicentrics, record.complete), (ScoredBy::Truth, 1, true));
        assert_eq!((cell.chromosomes[3].damage, cell.counts.damaged), (Damage::Dicentric, 2));
        let kind = |i: usize| cell.chromosomes[i].piece.map(|piece| piece.kind);
        assert_eq!((kind(3), kind(5)), (Some(PieceKind::Dicentric), Some(PieceKind::Tricentric)));
    }

    #[test]
    fn quickscan_takes_a_cell_by_its_look_and_says_so() {
        let mut quick = settings();
        quick.scorer.quickscan = true;
        let of = |pieces: usize, settings: &InterpretationSettings| {
            let mut cell = found();
            let one = cell.chromosomes[0].clone();
            cell.chromosomes.resize(pieces, one);
            score(&mut cell, &[], seen(vec![piece(0.01, 0.02); pieces], 0), settings);
            cell.dicentric.expect("a record")
        };
        let (full, looks, crowd) = (of(44, &settings()), of(44, &quick), of(55, &quick));
        assert_eq!((full.complete, full.quickscan), (false, false));
        assert_eq!((looks.complete, looks.quickscan, crowd.complete), (true, true, false));
        assert!(looks.scorer.expect("a scorer").selection.starts_with("QuickScan of 42 to 50 pieces"));
        assert_eq!(dosimetry::dicentric::counted(&of(44, &quick)), Ok(()));
    }

    #[test]
    fn a_cell_that_the_selection_leaves_out_says_why_and_one_that_is_ranked_says_where_it_stands() {
        let mut picky = settings();
        picky.scorer.selection =
            dosimetry::dicentric::SelectionRule { pieces: None, distance: Some(4.0), best: Some(20) };
        let of = |distance| {
            let mut cell = found();
            cell.chromosomes.truncate(46);
            let seen = Seen { distance, ..seen(vec![piece(0.01, 0.02); 46], 0) };
            score(&mut cell, &[], seen, &picky);
            cell.dicentric.expect("a record")
        };
        let (good, far, unknown) = (of(Some(2.5)), of(Some(6.0)), of(None));
        assert_eq!((good.not_selected, good.ranked), (None, Some(Ranked { distance: 2.5, best: 20 })));
        assert!(far.not_selected.expect("left out").contains("group distance is 6.0"));
        assert!(unknown.not_selected.expect("left out").contains("could not be measured"));
    }
}
