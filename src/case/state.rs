//! The `case/1` document: the summary of the karyotyped cells of a case. A pure function of its cells, so that
//! a review of one cell changes the case at once.

use std::{collections::BTreeSet, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    CellFacts,
    clones::{self, Chance, Counted},
    repeats::repeats,
};
use domain::{Cell, Coded, FindingKind, NOTICE, Said, SaidValues, Sample, Verdict};
use karyotype::syndrome;

/// How a case is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaseSettings {
    /// Cells to score when nothing unusual turns up; colonies of an in-situ culture.
    pub cells: u32,
    /// Kind of sample.
    pub sample: Sample,
}

impl Default for CaseSettings {
    fn default() -> Self {
        Self { cells: 20, sample: Sample::Constitutional }
    }
}

/// Numbers of cells of a case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaseCells {
    /// All, repeats included.
    pub seen: u32,
    /// Seen in another, overlapping field too, which counts: the one that holds the whole cell, else the first.
    pub repeats: u32,
    /// With a karyotype.
    pub assessable: u32,
    /// Of these: with nothing unusual.
    pub normal: u32,
    /// Of these: with a finding, clonal or not.
    pub abnormal: u32,
    /// Without.
    pub not_assessable: u32,
    /// Of these: cut by the edge of the frame.
    #[serde(default)]
    pub cut_by_frame: u32,
    /// Looked at by a person, excluded ones included.
    pub reviewed: u32,
    /// Excluded by a person, and not counted above.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub excluded: u32,
    /// Colonies that the cells with a karyotype come from, in an in-situ culture; cells that name none are one together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colonies: Option<u32>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A cell line of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Clone")]
pub struct CaseClone {
    /// Its karyotype.
    pub iscn: String,
    /// Number of its cells.
    pub cells: u32,
    /// Their ids.
    pub members: Vec<Uuid>,
    /// True for the line without finding.
    pub normal: bool,
    /// Common names that go with it: labels, no diagnosis.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub syndromes: Vec<String>,
}

/// A finding that too few cells show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChanceFinding {
    /// In ISCN form.
    pub iscn: String,
    /// Cells that show it.
    pub cells: Vec<Uuid>,
    /// Cells that would make it a clone; of an in-situ culture in two colonies at least.
    pub needed: u32,
    /// True when enough cells show it, but all of one colony.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub one_colony: bool,
}

/// A cell that a person should look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReviewRequest {
    /// Which.
    pub cell: Uuid,
    /// Why, in words.
    pub reason: String,
    /// The code of these words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    /// The values in these words.
    #[serde(default, skip_serializing_if = "SaidValues::is_empty")]
    pub reason_values: SaidValues,
}

/// The mosaicism that the normal cells exclude.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Excluded {
    /// Smallest share of a second cell line that is excluded, 0 to 1.
    pub share: f64,
    /// With this confidence.
    pub confidence: f64,
}

/// The `case/1` message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CaseState {
    /// `case/1`.
    pub schema: String,
    /// Station.
    pub station: String,
    /// Id of the case.
    pub case: String,
    /// Its slides.
    pub slides: Vec<String>,
    /// Consensus of the cells in ISCN form.
    pub iscn: Option<String>,
    /// Numbers of cells.
    pub cells: CaseCells,
    /// Cells aimed at: more where one cell was unusual. Colonies of an in-situ culture.
    pub cells_target: u32,
    /// Cells (colonies) still needed.
    pub cells_needed: u32,
    /// Why more than usual are aimed at.
    pub extended: Option<String>,
    /// The code of these words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended_code: Option<Coded>,
    /// Cell lines, in the order of the consensus.
    pub clones: Vec<CaseClone>,
    /// Findings of too few cells to count.
    pub chance_findings: Vec<ChanceFinding>,
    /// What the count excludes, in words.
    pub excludes: Option<String>,
    /// The same as numbers.
    pub excluded: Option<Excluded>,
    /// Cells that a person should look at, most pressing first.
    pub review: Vec<ReviewRequest>,
    /// Cells of it were drawn by the simulator.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub simulated: bool,
    /// Research use only.
    pub notice: String,
}

/// Extended counts after one unusual cell.
const EXTENDED: [u32; 2] = [30, 50];
const CONFIDENCE: f64 = 0.95;
/// Findings below this posterior are queued for review.
const CONFIDENT_POSTERIOR: f32 = 0.9;

/// The cells that count: no excluded one, and each metaphase once. Of one whose counting cell is excluded the next counts.
fn counting<'a>(cells: &'a [Arc<CellFacts>], repeated: &[Option<usize>]) -> Vec<&'a CellFacts> {
    let mut stood_in = BTreeSet::new();
    let mut counts = |of: &Option<usize>| match of {
        None => true,
        Some(of) => cells[*of].excluded && stood_in.insert(*of),
    };
    let counted = cells.iter().zip(repeated).filter(|(cell, of)| !cell.excluded && counts(of));
    counted.map(|(cell, _)| &**cell).collect()
}

impl CaseState {
    /// Name and major version of the message.
    pub const SCHEMA: &'static str = "case/1";

    /// What the cells of `case`, in the order in which they were taken, say together.
    pub fn of(station: &str, case: &str, cells: &[Cell], settings: &CaseSettings) -> Self {
        let facts: Vec<_> = cells.iter().map(|cell| Arc::new(CellFacts::of(cell, None))).collect();
        Self::over(station, case, &facts, &repeats(cells), settings)
    }

    /// The same of what a case keeps of its cells; `repeated`: for each the one that it repeats.
    pub fn over(
        station: &str,
        case: &str,
        cells: &[Arc<CellFacts>],
        repeated: &[Option<usize>],
        settings: &CaseSettings,
    ) -> Self {
        let all = cells.iter().filter(|c| !c.excluded).count();
        let unique = counting(cells, repeated);
        let counted: Vec<Counted> = unique
            .iter()
            .filter(|c| c.karyotype.verdict != Verdict::NotAssessable)
            .filter_map(|c| Counted::of(c))
            .collect();
        let (lines, chances) = clones::lines(&counted, settings.sample);
        let usual = clones::usual_sex(&counted);
        let consensus = clones::written(&lines, usual, settings.sample);
        let number = |verdict: Verdict| unique.iter().filter(|c| c.karyotype.verdict == verdict).count() as u32;
        let assessable = counted.len() as u32;
        let colonies = (settings.sample == Sample::InSitu).then(|| clones::colonies(counted.iter()) as u32);
        let independent = colonies.unwrap_or(assessable);
        let (target, extended) = target(settings.cells, independent, &chances, lines.len() > 1);
        let only_normal = !lines.is_empty() && lines.iter().all(|line| line.normal) && chances.is_empty();
        let excluded = only_normal.then(|| mosaicism_excluded(independent, CONFIDENCE));
        let slides: BTreeSet<&str> = cells.iter().filter_map(|c| c.slide.as_deref()).collect();
        let slides = slides.into_iter().map(str::to_owned).collect();
        let clones = lines
            .iter()
            .zip(consensus.iter().flat_map(|k| &k.lines))
            .map(|(line, written)| CaseClone {
                iscn: karyotype::iscn::CellLine { cells: None, ..written.clone() }.to_string(),
                cells: line.members.len() as u32,
                members: line.members.clone(),
                normal: line.normal,
                syndromes: line.codes().iter().filter_map(|code| syndrome(code)).map(|s| s.name.clone()).collect(),
            })
            .collect();
        Self {
            schema: Self::SCHEMA.into(),
            station: station.into(),
            case: case.into(),
            slides,
            iscn: consensus.map(|k| k.to_string()),
            cells: CaseCells {
                seen: cells.len() as u32,
                repeats: (all - unique.len()) as u32,
                assessable,
                normal: number(Verdict::Normal),
                abnormal: number(Verdict::Abnormal),
                not_assessable: unique.len() as u32 - assessable,
                cut_by_frame: unique.iter().filter(|c| c.cut_by_frame).count() as u32,
                reviewed: cells.iter().filter(|c| c.reviewed).count() as u32,
                excluded: (cells.len() - all) as u32,
                colonies,
            },
            cells_target: target,
            cells_needed: target.saturating_sub(independent),
            extended: extended.as_ref().map(|said| said.text.clone()),
            extended_code: extended.map(Said::coded),
            clones,
            excludes: excluded.map(|e| {
                format!(
                    "{independent} normal {} exclude mosaicism of {:.0} % or more at {:.0} %",
                    if colonies.is_some() { "colonies" } else { "cells" },
                    (100.0 * e.share).ceil(),
                    100.0 * e.confidence
                )
            }),
            excluded,
            review: review_queue(&unique, &chances),
            chance_findings: chances
                .into_iter()
                .map(|c| ChanceFinding {
                    iscn: c.text,
                    cells: c.members,
                    needed: c.needed as u32,
                    one_colony: c.one_colony,
                })
                .collect(),
            simulated: cells.iter().any(|cell| cell.simulated),
            notice: NOTICE.into(),
        }
    }
}

/// The smallest share of a second line that n cells without it exclude: 1 - (1 - confidence)^(1/n). Binomial; no
/// cell excludes nothing.
pub fn mosaicism_excluded(cells: u32, confidence: f64) -> Excluded {
    let share = if cells == 0 { 1.0 } else { 1.0 - (1.0 - confidence).powf(1.0 / f64::from(cells)) };
    Excluded { share, confidence }
}

/// Cells (colonies) aimed at, and why more than usual.
fn target(usual: u32, scored: u32, chances: &[Chance], mosaic: bool) -> (u32, Option<Said>) {
    // One cell with a gain or a structural change, or two with the same loss, may be the first of a clone; a single
    // loss mostly is not.
    let open: Vec<&Chance> = chances.iter().filter(|c| c.one_colony || c.members.len() + 1 == c.needed).collect();
    if let Some(chance) = open.first() {
        let known = ["8", "9", "13", "18", "21", "X", "Y"];
        let weighty = open.iter().any(|c| {
            known.iter().any(|k| c.text.split(',').next().is_some_and(|t| t.trim_start_matches(['+', '-']) == *k))
        }) || open.iter().any(|c| c.text.chars().all(|ch| matches!(ch, 'X' | 'Y')));
        let step = if scored >= EXTENDED[0] && weighty { EXTENDED[1] } else { EXTENDED[0] };
        let why = match chance.members.len() {
            _ if chance.one_colony => {
                Said::new("extended_colony", format!("one colony has {}: a second would make it a clone", chance.text))
            }
            1 => Said::new("extended_one", format!("one cell has {}: one more would make it a clone", chance.text)),
            _ => Said::new("extended_two", format!("two cells have {}: one more would make it a clone", chance.text)),
        };
        return (usual.max(step), Some(why.with("finding", &chance.text)));
    }
    if mosaic {
        let why = Said::new("extended_lines", "several cell lines: more cells show their proportions");
        return (usual.max(EXTENDED[0]), Some(why));
    }
    (usual, None)
}

fn review_queue(cells: &[&CellFacts], chances: &[Chance]) -> Vec<ReviewRequest> {
    let mut queue: Vec<(u32, ReviewRequest)> = Vec::new();
    for cell in cells.iter().filter(|c| !c.reviewed) {
        let mut ask = |urgency: u32, Said { text: reason, code, values: reason_values }: Said| {
            let reason_code = Some(code.to_owned());
            queue.push((urgency, ReviewRequest { cell: cell.cell, reason, reason_code, reason_values }));
        };
        let karyotype = &cell.karyotype;
        if let Some(chance) = chances.iter().find(|c| c.members.contains(&cell.cell)) {
            let shown = chance.members.len();
            let kind = if chance.loss { "as a loss" } else { "as a gain or structural change" };
            let text = &chance.text;
            let said = if chance.one_colony {
                let words = "needs a second colony to count";
                Said::new("chance_colony", format!("shows {text}, which {kind} {words}: {shown} cells of one so far"))
            } else {
                let needed = chance.needed;
                let words = format!("shows {text}, which {kind} needs {needed} cells to count: {shown} so far");
                Said::new("chance", words).with("needed", needed)
            };
            ask(0, said.with("finding", text).with("shown", shown));
            continue;
        }
        // Structural candidates are named for a person to look at, however weak; the others decide how sure a cell is.
        let (candidates, findings): (Vec<_>, Vec<_>) = karyotype
            .findings
            .iter()
            .partition(|f| f.kind == FindingKind::Structural && f.posterior < CONFIDENT_POSTERIOR);
        let weakest = findings.iter().map(|f| f.posterior).fold(1.0, f32::min);
        match karyotype.verdict {
            Verdict::Abnormal if weakest < CONFIDENT_POSTERIOR => {
                let share = format!("{:.0}", 100.0 * weakest);
                ask(1, Said::new("finding_unsure", format!("a finding is not sure ({share} %)")).with("share", share));
            }
            Verdict::NotAssessable if (42..=50).contains(&cell.detected) => {
                ask(2, Said::new("not_assessable", karyotype.reason.clone()));
            }
            Verdict::Normal if karyotype.posterior.is_some_and(|p| p < CONFIDENT_POSTERIOR) => {
                let share = format!("{:.0}", 100.0 * karyotype.posterior.unwrap_or_default());
                let text = format!("called normal, but not surely ({share} %)");
                ask(3, Said::new("normal_unsure", text).with("share", share));
            }
            Verdict::Normal | Verdict::Abnormal if !candidates.is_empty() => {
                let text = &candidates[0].text;
                ask(2, Said::new("candidate", format!("a candidate to look at: {text}")).with("finding", text));
            }
            _ => {}
        }
    }
    queue.sort_by_key(|(urgency, _)| *urgency);
    queue.into_iter().map(|(_, request)| request).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use karyotype::iscn;
    use testing::karyotyped_cell;

    fn cells(groups: &[(usize, &[(&str, usize)])]) -> Vec<Cell> {
        let mut cells = Vec::new();
        for (n, numbers) in groups {
            let alike = karyotyped_cell(numbers);
            for _ in 0..*n {
                let mut cell = alike.clone();
                let index = cells.len();
                cell.cell = Uuid::from_u128(index as u128 + 1);
                // Every cell lies differently.
                let mut seed = index as u32 + 1;
                let mut next = |range: u32| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    ((seed >> 8) % range) as f32
                };
                for c in &mut cell.chromosomes {
                    c.bounds = domain::BoundingBox {
                        x: next(900),
                        y: next(900),
                        width: 10.0 + next(40),
                        height: 10.0 + next(50),
                    };
                }
                cells.push(cell);
            }
        }
        cells
    }

    fn state(groups: &[(usize, &[(&str, usize)])], sample: Sample) -> CaseState {
        CaseState::of("lab-1", "C1", &cells(groups), &CaseSettings { sample, ..CaseSettings::default() })
    }

    #[test]
    fn cases_are_written_by_the_conventions() {
        let constitutional: [(&[(usize, &[(&str, usize)])], &str); 8] = [
            (&[(20, &[])], "46,XX"),
            (&[(20, &[("X", 1), ("Y", 1)])], "46,XY"),
            (&[(20, &[("21", 3)])], "47,XX,+21"),
            (&[(12, &[("21", 3)]), (8, &[])], "mos 47,XX,+21[12]/46,XX[8]"),
            (&[(5, &[("X", 1)]), (15, &[])], "mos 45,X[5]/46,XX[15]"),
            (&[(5, &[("X", 1)]), (9, &[("X", 3)]), (6, &[])], "mos 47,XXX[9]/45,X[5]/46,XX[6]"),
            (&[(19, &[]), (1, &[("8", 3)])], "46,XX"),
            (&[(18, &[]), (2, &[("14", 1)])], "46,XX"),
        ];
        for (groups, wanted) in constitutional {
            let state = state(groups, Sample::Constitutional);
            assert_eq!(state.iscn.as_deref(), Some(wanted), "{state:?}");
            let report = iscn::check(wanted);
            assert!(report.valid, "{wanted}: {:?}", report.reason);
        }
        let neoplastic: [(&[(usize, &[(&str, usize)])], &str); 4] = [
            (&[(20, &[])], "46,XX[20]"),
            (&[(3, &[("14", 1)]), (17, &[])], "45,XX,-14[3]/46,XX[17]"),
            (&[(12, &[("8", 3)]), (4, &[("8", 3), ("9", 3)]), (4, &[])], "47,XX,+8[12]/48,XX,+8,+9[4]/46,XX[4]"),
            (&[(5, &[("X", 1)]), (15, &[])], "45,X,-X[5]/46,XX[15]"),
        ];
        for (groups, wanted) in neoplastic {
            let state = state(groups, Sample::Neoplastic);
            assert_eq!(state.iscn.as_deref(), Some(wanted), "{state:?}");
            let report = iscn::check(wanted);
            assert!(report.valid, "{wanted}: {:?}", report.reason);
        }
    }

    #[test]
    fn one_unusual_cell_extends_the_count_and_is_queued_for_review() {
        let state = state(&[(19, &[]), (1, &[("8", 3)])], Sample::Constitutional);
        assert_eq!((state.cells_target, state.cells_needed), (30, 10));
        assert!(state.extended.as_deref().unwrap().contains("+8"));
        assert_eq!(state.chance_findings[0].iscn, "+8");
        assert_eq!(state.review[0].cell, Uuid::from_u128(20));
        assert_eq!(state.excludes, None, "a possible clone is open");
        assert_eq!((state.clones.len(), state.clones[0].cells), (1, 19), "the normal line counts normal cells");
    }

    #[test]
    fn a_case_without_a_normal_cell_has_no_normal_line() {
        let state = state(&[(1, &[("8", 3)]), (1, &[("9", 1)])], Sample::Constitutional);
        assert_eq!((state.iscn, state.clones.len()), (None, 0));
        assert_eq!((state.cells.normal, state.chance_findings.len()), (0, 2));
    }

    #[test]
    fn a_chromosome_lost_twice_in_one_cell_is_one_chance_finding() {
        let state = state(&[(19, &[]), (1, &[("19", 0), ("8", 3)])], Sample::Constitutional);
        let texts: Vec<&str> = state.chance_findings.iter().map(|c| c.iscn.as_str()).collect();
        assert_eq!(texts, ["+8", "-19,-19"]);
    }

    #[test]
    fn a_case_is_not_named_by_a_karyotype_that_no_cell_has() {
        let odd = state(&[(1, &[("8", 3)]), (1, &[("5", 1)]), (1, &[("X", 1)])], Sample::Constitutional);
        assert_eq!((odd.iscn, odd.clones.len(), odd.chance_findings.len()), (None, 0, 3));
        let state = state(&[(1, &[]), (1, &[("8", 3)]), (1, &[("5", 1)])], Sample::Constitutional);
        assert_eq!((state.iscn.as_deref(), state.clones[0].cells), (Some("46,XX"), 1));
    }

    #[test]
    fn a_simulated_cell_makes_a_simulated_case() {
        let mut cells = cells(&[(2, &[])]);
        let simulated = |cells: &[Cell]| CaseState::of("lab-1", "C1", cells, &CaseSettings::default()).simulated;
        assert!(!simulated(&cells));
        cells[1].simulated = Some(domain::Simulated { karyotype: Some("46,XX".into()) });
        assert!(simulated(&cells));
    }

    #[test]
    fn a_single_loss_is_chance_and_extends_nothing() {
        let state = state(&[(19, &[]), (1, &[("19", 1)])], Sample::Constitutional);
        assert_eq!(state.cells_target, 20);
        assert_eq!(state.iscn.as_deref(), Some("46,XX"));
    }

    #[test]
    fn twenty_normal_cells_exclude_fourteen_percent() {
        let state = state(&[(20, &[])], Sample::Constitutional);
        assert_eq!(state.excludes.as_deref(), Some("20 normal cells exclude mosaicism of 14 % or more at 95 %"));
        assert_eq!(state.cells_needed, 0);
        assert!((mosaicism_excluded(20, 0.95).share - 0.139).abs() < 0.001);
        assert!((mosaicism_excluded(30, 0.99).share - 0.142).abs() < 0.001);
    }

    #[test]
    fn a_metaphase_seen_twice_counts_once() {
        let mut cells = cells(&[(3, &[])]);
        let mut again = cells[1].clone();
        again.cell = Uuid::from_u128(99);
        cells.push(again);
        let state = CaseState::of("lab-1", "C1", &cells, &CaseSettings::default());
        assert_eq!((state.cells.seen, state.cells.repeats, state.cells.assessable), (4, 1, 3));
        // Where a person excludes one of its pictures the other counts.
        let exclusion =
            domain::Exclusion { by: "ana".into(), time: "2026-11-22T12:00:00Z".into(), reason: "poor".into() };
        cells[1].excluded = Some(exclusion);
        let state = CaseState::of("lab-1", "C1", &cells, &CaseSettings::default());
        assert_eq!((state.cells.excluded, state.cells.repeats, state.cells.assessable), (1, 0, 3));
    }

    #[test]
    fn a_change_of_one_colony_names_no_case() {
        let in_situ = CaseSettings { cells: 15, sample: Sample::InSitu };
        let mut cells = cells(&[(3, &[("20", 3)]), (15, &[])]);
        for (n, cell) in cells.iter_mut().enumerate() {
            cell.colony = Some(if n < 3 { "a".into() } else { format!("b{n}") });
        }
        let state = CaseState::of("lab-1", "C1", &cells, &in_situ);
        assert_eq!(state.iscn.as_deref(), Some("46,XX"), "three cells of one colony are one event");
        assert_eq!((state.cells.assessable, state.cells.colonies), (18, Some(16)));
        assert!(state.chance_findings[0].one_colony);
        assert_eq!((state.cells_target, state.cells_needed), (30, 14));
        assert_eq!(state.extended.as_deref(), Some("one colony has +20: a second would make it a clone"));
        assert!(state.review[0].reason.contains("needs a second colony"), "{}", state.review[0].reason);
        assert_eq!(state.excludes, None);

        cells[2].colony = Some("c".into());
        let state = CaseState::of("lab-1", "C1", &cells, &in_situ);
        assert_eq!(state.iscn.as_deref(), Some("mos 47,XX,+20[3]/46,XX[15]"), "two colonies are independent");

        // The normal colonies exclude, not their cells.
        let state = CaseState::of("lab-1", "C1", &cells[3..], &in_situ);
        assert_eq!(state.excludes.as_deref(), Some("15 normal colonies exclude mosaicism of 19 % or more at 95 %"));
        cells.iter_mut().for_each(|cell| cell.colony = None);
        let state = CaseState::of("lab-1", "C1", &cells[3..], &in_situ);
        assert_eq!((state.cells.colonies, state.cells_needed), (Some(1), 14), "cells without a colony are one");
    }

    #[test]
    fn a_review_changes_the_case() {
        let mut cells = cells(&[(2, &[("21", 3)]), (18, &[])]);
        let before = CaseState::of("lab-1", "C1", &cells, &CaseSettings::default());
        assert_eq!(before.iscn.as_deref(), Some("mos 47,XX,+21[2]/46,XX[18]"));
        assert_eq!(before.clones[0].syndromes, ["Down syndrome"]);
        // A person finds that the third 21 of one cell is no chromosome.
        let third = cells[0].chromosomes.iter().rposition(|c| c.class.is_some_and(|c| c.name() == "21")).unwrap();
        cells[0].chromosomes[third].class = None;
        karyotype::recount(&mut cells[0], &Default::default());
        let after = CaseState::of("lab-1", "C1", &cells, &CaseSettings::default());
        assert_eq!(after.iscn.as_deref(), Some("46,XX"));
        assert_eq!(after.chance_findings[0].iscn, "+21");
    }

    #[test]
    fn an_excluded_cell_counts_in_nothing_but_its_number() {
        let mut cells = cells(&[(2, &[("21", 3)]), (18, &[])]);
        cells[0].excluded =
            Some(domain::Exclusion { by: "ana".into(), time: "2026-11-22T12:00:00Z".into(), reason: "poor".into() });
        let state = CaseState::of("lab-1", "C1", &cells, &CaseSettings::default());
        assert_eq!(state.iscn.as_deref(), Some("46,XX"));
        assert_eq!((state.cells.seen, state.cells.assessable, state.cells.excluded), (20, 19, 1));
    }

    #[test]
    fn a_structural_candidate_is_queued_in_its_own_words() {
        let mut cells = cells(&[(20, &[])]);
        cells[3].karyotype.findings.push(domain::Finding {
            kind: FindingKind::Structural,
            class: None,
            iscn: None,
            posterior: 0.1,
            text: "candidate: ring".into(),
            chromosomes: vec![7],
            syndrome: None,
        });
        let state = CaseState::of("lab-1", "C1", &cells, &CaseSettings::default());
        let asked: Vec<_> = state.review.iter().map(|r| (r.cell, r.reason.as_str())).collect();
        assert_eq!(asked, [(cells[3].cell, "a candidate to look at: candidate: ring")]);
    }

    #[test]
    fn no_cells_make_an_empty_case() {
        let state = CaseState::of("lab-1", "C1", &[], &CaseSettings::default());
        assert_eq!(state.iscn, None);
        assert_eq!(state.cells_needed, 20);
        let json = serde_json::to_value(&state).unwrap();
        assert_eq!(json["schema"], "case/1");
    }
}
