use uuid::Uuid;

use super::*;
use crate::assign::tests::cell as objects;
use domain::{BoundingBox, Captured, FrameEdge, Status};

/// A cell whose chromosomes are the given objects.
pub(crate) fn record(evidence: &[Evidence]) -> Cell {
    let chromosome = |(index, e): (usize, &Evidence)| Chromosome {
        status: Status::Single,
        relative_length: e.relative_length,
        centromere_index: e.centromere_index,
        ..Chromosome::at(
            index as u32,
            BoundingBox { x: 10.0 * index as f32, y: 0.0, width: 8.0, height: 20.0 },
            e.objectness,
        )
    };
    let captured = Captured::at("2026-11-22T00:00:00Z", 0, [1000, 1000]);
    let chromosomes = evidence.iter().enumerate().map(chromosome).collect();
    Cell { chromosomes, ..Cell::new(Uuid::nil(), "test", "test", captured) }
}

fn interpreted(numbers: &[(&str, usize)], settings: &KaryotypeSettings) -> Cell {
    let evidence = objects(numbers, 0.0001);
    let mut cell = record(&evidence);
    interpret(&mut cell, &evidence, &Unselected::default(), settings);
    cell
}

#[test]
fn cells_are_named_as_a_cytogeneticist_would() {
    let settings = KaryotypeSettings::default();
    for (numbers, iscn, verdict) in [
        (vec![], "46,XX", Verdict::Normal),
        (vec![("X", 1), ("Y", 1)], "46,XY", Verdict::Normal),
        (vec![("21", 3)], "47,XX,+21", Verdict::Abnormal),
        (vec![("X", 1)], "45,X", Verdict::Abnormal),
        (vec![("X", 2), ("Y", 1)], "47,XXY", Verdict::Abnormal),
        (vec![("8", 3), ("21", 1)], "46,XX,+8,-21", Verdict::Abnormal),
        (vec![("7", 1), ("X", 1), ("Y", 1)], "45,XY,-7", Verdict::Abnormal),
        (vec![("X", 1), ("21", 3)], "46,X,+21", Verdict::Abnormal),
    ] {
        let cell = interpreted(&numbers, &settings);
        assert_eq!(cell.karyotype.iscn.as_deref(), Some(iscn), "{:?}", cell.karyotype);
        assert_eq!(cell.karyotype.verdict, verdict);
        assert!(crate::iscn::check(iscn).valid);
        assert!(!cell.karyotype.reason.is_empty());
    }
}

#[test]
fn a_trisomy_carries_its_common_name_and_its_chromosomes() {
    let cell = interpreted(&[("21", 3)], &KaryotypeSettings::default());
    let finding = &cell.karyotype.findings[0];
    assert_eq!(finding.syndrome.as_deref(), Some("Down syndrome"));
    assert_eq!(finding.chromosomes.len(), 3);
    assert_eq!((cell.counts.abnormal, cell.counts.normal, cell.counts.detected), (3, 44, 47));
}

#[test]
fn without_a_classifier_nothing_is_claimed() {
    let evidence = objects(&[], 0.05);
    let mut cell = record(&evidence);
    interpret(&mut cell, &[], &Unselected::default(), &KaryotypeSettings::default());
    assert_eq!(cell.karyotype.verdict, Verdict::NotAssessable);
    assert!(cell.karyotype.reason.contains("46 objects"));
    assert_eq!(cell.karyotype.iscn, None);
    assert_eq!((cell.counts.detected, cell.counts.unclear), (46, 46));
}

#[test]
fn an_incomplete_cell_is_not_assessable_rather_than_monosomic() {
    let cell = interpreted(&[("3", 1), ("9", 1), ("14", 1), ("20", 1)], &KaryotypeSettings::default());
    assert_eq!(cell.karyotype.verdict, Verdict::NotAssessable);
    assert!(cell.karyotype.reason.starts_with("incomplete"), "{}", cell.karyotype.reason);
    let piece = interpreted(&[("X", 0)], &KaryotypeSettings::default());
    assert_ne!(piece.karyotype.verdict, Verdict::Normal);
}

#[test]
fn a_triploid_cell_is_told_as_such() {
    let names: Vec<&str> = ChromosomeClass::all().filter(|c| !c.is_sex()).map(|c| c.name()).collect();
    let mut numbers: Vec<(&str, usize)> = names.iter().map(|n| (*n, 3)).collect();
    numbers.extend([("X", 2), ("Y", 1)]);
    let cell = interpreted(&numbers, &KaryotypeSettings::default());
    assert_eq!(cell.karyotype.iscn.as_deref(), Some("69,XXY"));
    assert_eq!(cell.karyotype.findings[0].syndrome.as_deref(), Some("Triploidy"));
}

#[test]
fn undisclosed_sex_is_nowhere_in_the_record() {
    let settings = KaryotypeSettings { sex: SexDisclosure::Undisclosed, ..Default::default() };
    for numbers in [vec![("X", 1), ("Y", 1), ("21", 3)], vec![("X", 2), ("Y", 1)], vec![("X", 1)]] {
        let cell = interpreted(&numbers, &settings);
        let text = serde_json::to_string(&(&cell.karyotype, &cell.chromosomes)).unwrap();
        assert!(!text.contains("\"X\"") && !text.contains("\"Y\""), "{text}");
        assert!(!text.contains("Turner") && !text.contains("Klinefelter"));
        assert!(!text.contains("XX") && !text.contains("XY"));
    }
    let cell = interpreted(&[("X", 1), ("Y", 1), ("21", 3)], &settings);
    assert_eq!(cell.karyotype.iscn.as_deref(), Some("47,U,+21"));
}

#[test]
fn a_long_acrocentric_beside_a_lost_one_is_a_fusion_and_no_monosomy() {
    let mut evidence = objects(&[("21", 1)], 0.05);
    for e in &mut evidence {
        e.relative_length = Some(crate::morphology(e.best().0).relative_length);
    }
    let carrier = evidence.iter().position(|e| e.best().0.name() == "14").unwrap();
    evidence[carrier].relative_length = Some(3.56 * 0.81 + 1.9 * 0.69);
    let mut cell = record(&evidence);
    interpret(&mut cell, &evidence, &Unselected::default(), &KaryotypeSettings::default());
    assert_eq!(cell.karyotype.iscn.as_deref(), Some("45,XX,?der(14;21)(q10;q10)"), "{:?}", cell.karyotype);
    assert!(cell.karyotype.findings.iter().all(|f| f.kind == FindingKind::Structural));
    assert!(cell.karyotype.findings[0].text.contains("candidate"));
}

#[test]
fn a_person_who_moves_a_chromosome_changes_the_karyotype() {
    let settings = KaryotypeSettings::default();
    let mut cell = interpreted(&[], &settings);
    let of_22 = cell.chromosomes.iter().position(|c| c.class.is_some_and(|c| c.name() == "22")).unwrap();
    cell.chromosomes[of_22].class = ChromosomeClass::autosome(21);
    recount(&mut cell, &settings);
    assert_eq!(cell.karyotype.iscn.as_deref(), Some("46,XX,+21,-22"));
    assert_eq!(cell.karyotype.verdict, Verdict::Abnormal);
    cell.chromosomes[of_22].class = ChromosomeClass::autosome(22);
    recount(&mut cell, &settings);
    assert_eq!(cell.karyotype.iscn.as_deref(), Some("46,XX"));
    assert_eq!(cell.karyotype.verdict, Verdict::Normal);
}

/// The cell at the edge of its frame.
fn at_edge(numbers: &[(&str, usize)], edge: FrameEdge, settings: &KaryotypeSettings) -> Cell {
    let evidence = objects(numbers, 0.0001);
    let mut cell = record(&evidence);
    cell.frame_edge = Some(edge);
    interpret(&mut cell, &evidence, &Unselected::default(), settings);
    cell
}

#[test]
fn a_cell_that_the_frame_cuts_is_not_assessable_and_lacks_nothing() {
    let settings = KaryotypeSettings::default();
    let cut = FrameEdge { outline: 0.2, cut: 2, pieces: 0 };
    for numbers in [vec![], vec![("18", 1)], vec![("21", 1), ("X", 1)], vec![("X", 1), ("Y", 1)]] {
        let cell = at_edge(&numbers, cut, &settings);
        assert_eq!((cell.karyotype.verdict, cell.karyotype.iscn.as_deref()), (Verdict::NotAssessable, None));
        assert_eq!(cell.doubts, [Doubt::CutByFrame]);
        assert!(cell.karyotype.reason.contains("cut by the frame"), "{}", cell.karyotype.reason);
        assert!(cell.karyotype.findings.is_empty(), "{:?}", cell.karyotype.findings);
    }
    // What is there too often is there.
    let gained = at_edge(&[("21", 3)], cut, &settings);
    assert_eq!(gained.karyotype.findings.len(), 1);
    assert_eq!(gained.karyotype.verdict, Verdict::NotAssessable);
}

#[test]
fn a_spread_that_reaches_the_edge_may_be_normal_but_lacks_nothing() {
    let settings = KaryotypeSettings::default();
    for edge in [FrameEdge { outline: 0.1, ..FrameEdge::default() }, FrameEdge { pieces: 1, ..FrameEdge::default() }] {
        let whole = at_edge(&[], edge, &settings);
        assert_eq!((whole.karyotype.verdict, whole.doubts.len()), (Verdict::Normal, 0));
        let gained = at_edge(&[("21", 3)], edge, &settings);
        assert_eq!(gained.karyotype.verdict, Verdict::Abnormal);
        let mut lacking = at_edge(&[("18", 1)], edge, &settings);
        assert_eq!(
            (lacking.karyotype.verdict, &lacking.doubts[..]),
            (Verdict::NotAssessable, &[Doubt::CutByFrame][..])
        );
        assert!(lacking.karyotype.findings.is_empty() && lacking.karyotype.reason.contains("loss of chromosome 18"));
        // A person who finds the second 18 lifts the doubt.
        let of_17 = lacking.chromosomes.iter().position(|c| c.class.is_some_and(|c| c.name() == "17")).unwrap();
        lacking
            .chromosomes
            .push(Chromosome { class: ChromosomeClass::autosome(18), ..lacking.chromosomes[of_17].clone() });
        recount(&mut lacking, &settings);
        assert_eq!((lacking.karyotype.verdict, lacking.doubts.len()), (Verdict::Normal, 0));
    }
    let away = at_edge(&[("18", 1)], FrameEdge { outline: 0.05, ..FrameEdge::default() }, &settings);
    assert_eq!(away.karyotype.iscn.as_deref(), Some("45,XX,-18"));
}

#[test]
fn a_haploid_reading_is_an_abnormality_of_a_neoplasm_alone() {
    let names: Vec<&str> = ChromosomeClass::all().map(|c| c.name()).collect();
    for sample in [Sample::Constitutional, Sample::InSitu, Sample::Neoplastic] {
        let settings = KaryotypeSettings { sample, ..KaryotypeSettings::default() };
        for extra in [None, Some("8")] {
            let number = |name: &&str| usize::from(*name != "Y") + usize::from(Some(*name) == extra);
            let numbers: Vec<(&str, usize)> = names.iter().map(|name| (*name, number(name))).collect();
            let cell = interpreted(&numbers, &settings);
            if sample == Sample::Neoplastic {
                assert_eq!(cell.karyotype.verdict, Verdict::Abnormal, "{:?}", cell.karyotype);
            } else {
                assert_eq!(cell.karyotype.verdict, Verdict::NotAssessable, "{:?}", cell.karyotype);
                assert!(cell.karyotype.findings.is_empty(), "{:?}", cell.karyotype.findings);
                assert!(cell.karyotype.reason.contains("part of a cell"), "{}", cell.karyotype.reason);
            }
        }
    }
}
