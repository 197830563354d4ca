//! The aberration record of a cell in the dicentric assay.

use domain::{BoundingBox, Cell, Chromosome, Counts, Damage, Doubt, Karyotype, ScoredBy, TrueCell};
use dosimetry::dicentric::count_aberrations;

/// Least overlap with which a chromosome is the one that the simulator drew an aberration on.
const MIN_ABERRATION_IOU: f32 = 0.5;

/// Enters the aberration record. A simulated source knows the truth; no network scores dicentrics yet, so otherwise
/// every chromosome is unclear until a person has looked at it.
pub(super) fn score(cell: &mut Cell, truth: &[TrueCell], accepted_centromeres: [u32; 2]) {
    let detected = cell.chromosomes.len() as u32;
    cell.counts = Counts { detected, unclear: detected, ..Counts::default() };
    let mut reason = "the dicentric assay names no classes".to_owned();
    if cell.doubts.contains(&Doubt::CutByFrame) {
        reason.push_str("; the frame's edge cuts this cell, so that chromosomes may lie outside");
    }
    cell.karyotype = Karyotype { reason, ..Karyotype::default() };
    let truth = truth_of(truth, &cell.region);
    match truth.and_then(|truth| truth.dicentric.as_ref()) {
        Some(record) => {
            let counts = record.counts.clone();
            cell.dicentric = Some(counts.record(accepted_centromeres, record.first_division, ScoredBy::Truth));
            truth.iter().flat_map(|t| &t.aberrations).for_each(|(place, damage)| mark(cell, place, *damage));
            cell.counts.damaged = cell.chromosomes.iter().filter(|c| c.damage != Damage::None).count() as u32;
        }
        None => {
            let mut counts = count_aberrations(&cell.chromosomes);
            // What nobody has looked at is unclear: it must not count as a cell without dicentrics.
            counts.unclear += std::mem::take(&mut counts.monocentrics);
            cell.dicentric = Some(counts.record(accepted_centromeres, None, ScoredBy::Machine));
        }
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
fn mark(cell: &mut Cell, place: &BoundingBox, damage: Damage) {
    let overlap = |c: &Chromosome| c.bounds.iou(place);
    let nearest = cell.chromosomes.iter_mut().max_by(|a, b| overlap(a).total_cmp(&overlap(b)));
    if let Some(chromosome) = nearest.filter(|c| overlap(c) >= MIN_ABERRATION_IOU) {
        chromosome.damage = damage;
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

    #[test]
    fn a_cell_that_nobody_scored_is_unclear_and_not_free_of_dicentrics() {
        let mut cell = found();
        let n = cell.chromosomes.len() as u32;
        score(&mut cell, &[], [46, 46]);
        let record = cell.dicentric.expect("a record");
        assert_eq!((record.scored_by, record.counts.monocentrics, record.counts.unclear), (ScoredBy::Machine, 0, n));
        assert!(!record.complete);
        assert_eq!((cell.counts.unclear, cell.counts.detected), (n, n));
    }

    #[test]
    fn the_truth_of_a_simulated_source_marks_the_chromosomes_it_was_drawn_on() {
        let mut cell = found();
        let counts = AberrationCounts { monocentrics: 44, dicentrics: 1, ..AberrationCounts::default() };
        let truth = TrueCell {
            region: REGION,
            karyotype: "46,XY".into(),
            dicentric: Some(counts.record([46, 46], None, ScoredBy::Truth)),
            aberrations: vec![(cell.chromosomes[3].bounds, Damage::Dicentric)],
        };
        score(&mut cell, &[truth], [46, 46]);
        let record = cell.dicentric.as_ref().expect("a record");
        assert_eq!((record.scored_by, record.counts.dicentrics, record.complete), (ScoredBy::Truth, 1, true));
        assert_eq!((cell.chromosomes[3].damage, cell.counts.damaged), (Damage::Dicentric, 1));
    }
}
