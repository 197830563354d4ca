//! From the assignment to findings, a verdict and a written karyotype: completes the record of a cell.

use domain::{
    Cell, Chromosome, ChromosomeClass, ChromosomeEvidence, Counts, Damage, Doubt, Finding, FindingKind, Karyotype,
    Said, Sample, ScoredClass, SexDisclosure, Verdict,
};

use super::{
    assign::{Assignment, assign},
    evidence::{Evidence, Unselected},
    iscn::{Base, CellLine, Item, SexChromosomes, SexComplement, Sign, Span},
    settings::KaryotypeSettings,
    structure::{self, Structural},
    syndromes::syndrome,
};

/// Fewest objects that are looked at as a cell.
const MIN_CHROMOSOMES: usize = 20;
/// From so many unexplained losses on a cell counts as incomplete.
const INCOMPLETE: u32 = 3;

/// Completes a cell's record: classes and scores of its chromosomes, karyotype with findings and verdict, counts.
///
/// `evidence` goes with `cell.chromosomes`, one each. Without class evidence (segmentation alone: an empty
/// slice, or one of another length) the cell is not assessable, which is said; what is counted is counted.
///
/// `unselected` makes a loss less sure: the chromosome may be there, but not chosen or not found.
pub fn interpret(cell: &mut Cell, evidence: &[Evidence], unselected: &Unselected, settings: &KaryotypeSettings) {
    if evidence.len() != cell.chromosomes.len() || evidence.is_empty() {
        let found = cell.chromosomes.len();
        let reason = match found {
            0 => Said::new("no_chromosome", "no chromosome was found"),
            n => {
                let text = format!("no class evidence: {n} objects were found, but no classifier has looked at them");
                Said::new("no_classifier", text).with("found", n)
            }
        };
        cell.karyotype = Karyotype::unknown(reason);
        cell.counts = Counts { detected: found as u32, unclear: found as u32, ..Counts::default() };
        return;
    }
    conclude(cell, evidence, &assess(evidence, unselected, settings), settings);
}

/// Completes a cell's record from the assignment of its chromosomes; `evidence` goes with them, one each.
pub fn conclude(cell: &mut Cell, evidence: &[Evidence], assignment: &Assignment, settings: &KaryotypeSettings) {
    for ((chromosome, evidence), (class, score)) in
        cell.chromosomes.iter_mut().zip(evidence).zip(assignment.classes.iter().zip(&assignment.scores))
    {
        chromosome.class = *class;
        chromosome.score = *score;
        chromosome.alternatives = alternatives(evidence);
        if class.is_none() && chromosome.evidence.is_none() {
            chromosome.evidence = Some("more probably no single chromosome, or one already boxed".into());
        }
    }
    complete(cell, assignment, settings);
}

/// The assignment of a cell's chosen objects, with what was left out taken into account: it makes a miss cheaper, and
/// what lies apart may be a chromosome that was not found.
pub fn assess(evidence: &[Evidence], unselected: &Unselected, settings: &KaryotypeSettings) -> Assignment {
    let all: Vec<Evidence> = evidence.iter().chain(&unselected.apart).cloned().collect();
    let settings = KaryotypeSettings { penalties: settings.penalties.with_unselected(unselected), ..settings.clone() };
    let mut assignment = assign(&all, &settings);
    // What the record does not show was not found.
    for class in assignment.classes.split_off(evidence.len()).into_iter().flatten() {
        assignment.found[class.index()] -= 1;
    }
    assignment.scores.truncate(evidence.len());
    assignment
}

/// Counts a cell anew from the classes that its chromosomes have now, each taken as certain: after a person has
/// moved a chromosome to another class (none: it is no single chromosome). Findings, verdict, written karyotype and
/// counts follow.
pub fn recount(cell: &mut Cell, settings: &KaryotypeSettings) {
    let mut numbers = [0_u8; ChromosomeClass::COUNT];
    let mut withheld = 0;
    for chromosome in &cell.chromosomes {
        match chromosome.class {
            Some(class) => numbers[class.index()] = numbers[class.index()].saturating_add(1),
            None => withheld += u8::from(is_withheld(chromosome)),
        }
    }
    // Withheld sex chromosomes are known in number only.
    numbers[ChromosomeClass::X.index()] += withheld;
    complete(cell, &Assignment::certain(&cell.chromosomes, numbers), settings);
}

/// The classes that a chromosome alone looks most like.
fn alternatives(evidence: &Evidence) -> Vec<ScoredClass> {
    let mut scored: Vec<ScoredClass> = ChromosomeClass::all()
        .zip(evidence.log_class)
        .map(|(class, log)| ScoredClass { class, score: log.exp().clamp(0.0, 1.0) })
        .collect();
    scored.sort_by(|a, b| b.score.total_cmp(&a.score));
    scored.retain(|s| s.score >= 0.01);
    scored.truncate(3);
    scored
}

/// Findings, verdict and counts of a cell whose chromosomes have their classes.
fn complete(cell: &mut Cell, assignment: &Assignment, settings: &KaryotypeSettings) {
    let structural = structure::candidates(&cell.chromosomes, assignment);
    let mut findings = numerical(&cell.chromosomes, assignment, &structural, settings);
    findings.extend(structural.iter().map(|s| s.finding.clone()));
    findings.extend(damage(&cell.chromosomes, false));
    let (verdict, reason) = judge(cell, assignment, &findings, settings);
    let outside = beyond_the_frame(cell, &findings, settings);
    let (verdict, reason) = outside.clone().map_or((verdict, reason), |reason| (Verdict::NotAssessable, reason));
    doubt(cell, outside.is_some());
    if outside.is_some() || is_haploid(assignment, settings) {
        findings.retain(|f| !claims_a_loss(f) && (assignment.ploidy == 2 || f.kind == FindingKind::Damage));
    }
    findings.retain(|f| is_sure(f, settings) || in_karyotype(f, assignment));
    let iscn = (verdict != Verdict::NotAssessable).then(|| written(assignment, &findings, &structural, settings));
    let posterior = Some(assignment.posterior);
    cell.karyotype = Karyotype { iscn, posterior, verdict, findings, ..Karyotype::unknown(reason) };
    if settings.sex == SexDisclosure::Undisclosed {
        withhold_sex(cell);
    }
    report_candidates(cell);
}

/// Reports what the screen for structure saw beside the verdict, which rests on numbers alone: most candidates in normal cells are none, so
/// they ask for a look and decide nothing. Counts follow.
pub(super) fn report_candidates(cell: &mut Cell) {
    let candidates = damage(&cell.chromosomes, true);
    if !candidates.is_empty() {
        let texts: Vec<&str> = candidates.iter().map(|f| f.text.as_str()).collect();
        cell.karyotype.reason = format!("{}; for review: {}", cell.karyotype.reason, texts.join("; "));
        cell.karyotype.findings.extend(candidates);
    }
    cell.counts = counts(cell);
}

/// Enters or takes back that the frame's edge puts the cell's completeness in doubt.
fn doubt(cell: &mut Cell, cut: bool) {
    cell.doubts.retain(|doubt| *doubt != Doubt::CutByFrame);
    if cut {
        cell.doubts.push(Doubt::CutByFrame);
    }
}

/// Why nothing can be said of a cell at the edge of its frame; none where the edge matters nothing. A cell that the edge
/// cuts is not whole. One that only reaches it may be: what was found counts, a fusion included, and what was not may lie
/// outside.
fn beyond_the_frame(cell: &Cell, findings: &[Finding], settings: &KaryotypeSettings) -> Option<Said> {
    let edge = cell.frame_edge?;
    if edge.is_cut() {
        let cut = if edge.cut == 1 { "a chromosome".to_owned() } else { format!("{} chromosomes", edge.cut) };
        let text = format!("cut by the frame: its edge runs through {cut}, and others may lie outside");
        return Some(Said::new("cut_by_frame", text).with("cut", edge.cut));
    }
    let lost: Vec<&str> = findings
        .iter()
        .filter(|f| f.kind == FindingKind::Loss && is_sure(f, settings))
        .map(|f| f.text.as_str())
        .collect();
    (edge.is_reached() && !lost.is_empty()).then(|| {
        let lost = lost.join("; ");
        let text = format!("cut by the frame, perhaps: the spread reaches its edge, so this may lie beyond it: {lost}");
        Said::new("perhaps_cut_by_frame", text)
    })
}

/// Whether a finding rests on a chromosome that was not seen: a loss, or a fusion that explains one.
fn claims_a_loss(finding: &Finding) -> bool {
    matches!(finding.kind, FindingKind::Loss | FindingKind::Structural)
}

/// A haploid or near-haploid reading of a sample in which there are no haploid cells: the rest was not found.
fn is_haploid(assignment: &Assignment, settings: &KaryotypeSettings) -> bool {
    assignment.ploidy == 1 && settings.sample != Sample::Neoplastic
}

/// Whether a finding is sure enough to be reported.
fn is_sure(finding: &Finding, settings: &KaryotypeSettings) -> bool {
    let least = if finding.kind == FindingKind::Gain { settings.gain_posterior } else { settings.finding_posterior };
    f64::from(finding.posterior) >= least
}

/// Whether a gain or loss is part of the most probable karyotype, sure or not.
fn in_karyotype(finding: &Finding, assignment: &Assignment) -> bool {
    let deviates = |gain: bool| {
        finding.class.is_some_and(|class| {
            let number = assignment.copy_numbers[class.index()];
            class.is_sex() || if gain { number > assignment.ploidy } else { number < assignment.ploidy }
        })
    };
    match finding.kind {
        FindingKind::Gain => deviates(true),
        FindingKind::Loss => deviates(false),
        FindingKind::Ploidy => true,
        _ => true,
    }
}

/// Gains, losses and ploidy, with the structural candidates that explain some of them away.
fn numerical(
    chromosomes: &[Chromosome],
    assignment: &Assignment,
    structural: &[Structural],
    settings: &KaryotypeSettings,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let of_class = |class: ChromosomeClass| -> Vec<u32> {
        chromosomes.iter().filter(|c| c.class == Some(class)).map(|c| c.index).collect()
    };
    if assignment.ploidy != 2 {
        let code = format!("{}n", assignment.ploidy);
        let name = match assignment.ploidy {
            1 => "haploid".to_owned(),
            3 => "triploid".to_owned(),
            4 => "tetraploid".to_owned(),
            n => format!("{n} sets"),
        };
        findings.push(Finding {
            kind: FindingKind::Ploidy,
            class: None,
            iscn: Some(code.clone()),
            posterior: assignment.ploidy_posterior,
            text: format!("{name}: {} sets of chromosomes", assignment.ploidy),
            chromosomes: Vec::new(),
            syndrome: syndrome(&code).map(|s| s.name.clone()),
        });
    }
    if let Some(finding) = sex_finding(assignment, settings, &of_class) {
        findings.push(finding);
    }
    for change in &assignment.changes {
        let (class, number, normal) = (change.class, change.number, change.normal);
        let gained = number > normal;
        if !gained && structural.iter().any(|s| s.replaces.contains(&class)) {
            continue;
        }
        let times = number.abs_diff(normal);
        let sign = if gained { '+' } else { '-' };
        let code = format!("{sign}{class}");
        let mut text = format!(
            "{} of chromosome {class} ({number} {}, expected {normal})",
            if gained { "gain" } else { "loss" },
            if number == 1 { "copy" } else { "copies" }
        );
        if !gained && class.is_acrocentric() {
            text.push_str("; a fusion with another acrocentric chromosome is not excluded");
        }
        findings.push(Finding {
            kind: if gained { FindingKind::Gain } else { FindingKind::Loss },
            class: Some(class),
            iscn: Some(vec![code.as_str(); usize::from(times)].join(",")),
            posterior: change.posterior,
            text,
            chromosomes: of_class(class),
            syndrome: (normal == 2 && number == 3).then(|| syndrome(&code)).flatten().map(|s| s.name.clone()),
        });
    }
    findings
}

fn sex_finding(
    assignment: &Assignment,
    settings: &KaryotypeSettings,
    of_class: &impl Fn(ChromosomeClass) -> Vec<u32>,
) -> Option<Finding> {
    let (x, y) = assignment.sex();
    if x + y == assignment.ploidy && x > 0 {
        return None;
    }
    let few = x + y < assignment.ploidy;
    let kind = if few { FindingKind::Loss } else { FindingKind::Gain };
    if settings.sex == SexDisclosure::Undisclosed {
        return Some(Finding {
            kind,
            class: None,
            iscn: None,
            posterior: assignment.sex_posterior,
            text: "unusual number of sex chromosomes; which is not disclosed".into(),
            chromosomes: Vec::new(),
            syndrome: None,
        });
    }
    let complement = "X".repeat(x.into()) + &"Y".repeat(y.into());
    let class = if few || x > 1 && y == 0 || x > 1 && y < 2 { ChromosomeClass::X } else { ChromosomeClass::Y };
    let mut chromosomes = of_class(ChromosomeClass::X);
    chromosomes.extend(of_class(ChromosomeClass::Y));
    Some(Finding {
        kind,
        class: Some(class),
        iscn: Some(complement.clone()),
        posterior: assignment.sex_posterior,
        text: format!("sex chromosomes {complement} ({}, expected {})", x + y, assignment.ploidy),
        chromosomes,
        syndrome: syndrome(&complement).map(|s| s.name.clone()),
    })
}

/// Probability of a structural candidate by its look: they are rare, and normal cells have some.
const CANDIDATE_POSTERIOR: f32 = 0.1;

/// Damaged chromosomes: the candidates by their look, or those that a person or another stage has marked.
fn damage(chromosomes: &[Chromosome], candidates: bool) -> Vec<Finding> {
    let by_look = |c: &Chromosome| matches!(c.evidence, Some(ChromosomeEvidence::Candidate(_)));
    let damaged = chromosomes.iter().filter(|c| c.damage != Damage::None && by_look(c) == candidates);
    damaged
        .map(|c| {
            let kind = match c.damage {
                Damage::Break => "break",
                Damage::Gap => "gap",
                Damage::Exchange => "exchange",
                Damage::Dicentric => "dicentric",
                Damage::Ring => "ring",
                Damage::Fragment => "fragment",
                Damage::None | Damage::Other => "damage",
            };
            let place = c.class.map_or(String::new(), |class| format!(" on a {class}"));
            let why = c.evidence.as_ref().map_or(String::new(), |e| format!(": {e}"));
            let structural = candidates && c.damage == Damage::Other;
            Finding {
                kind: if structural { FindingKind::Structural } else { FindingKind::Damage },
                class: c.class,
                iscn: None,
                posterior: if candidates { CANDIDATE_POSTERIOR } else { c.score.clamp(0.0, 1.0) },
                text: if candidates {
                    c.evidence.as_ref().map(ToString::to_string).unwrap_or_default()
                } else {
                    format!("candidate {kind}{place}{why}")
                },
                chromosomes: vec![c.index],
                syndrome: None,
            }
        })
        .collect()
}

/// The verdict and why.
fn judge(cell: &Cell, assignment: &Assignment, findings: &[Finding], settings: &KaryotypeSettings) -> (Verdict, Said) {
    let not_assessable = |reason: Said| (Verdict::NotAssessable, reason);
    let found: u32 = assignment.found.iter().map(|n| u32::from(*n)).sum();
    let expected: u32 = assignment.copy_numbers.iter().map(|n| u32::from(*n)).sum();
    if (found as usize) < MIN_CHROMOSOMES {
        let text = format!("only {found} chromosomes were found: part of a cell");
        return not_assessable(Said::new("part_of_cell", text).with("found", found));
    }
    if is_haploid(assignment, settings) {
        let text = format!("only {found} chromosomes were found: part of a cell, for a haploid one does not live");
        return not_assessable(Said::new("haploid", text).with("found", found));
    }
    let losses: u32 = findings
        .iter()
        .filter(|f| f.kind == FindingKind::Loss && is_sure(f, settings))
        .map(|f| f.iscn.as_ref().map_or(1, |i| i.split(',').count() as u32))
        .sum();
    if losses + assignment.missing() >= INCOMPLETE {
        let text = format!("incomplete: {found} chromosomes found, several classes lack one; chance losses are likely");
        return not_assessable(Said::new("incomplete", text).with("found", found));
    }
    let strong: Vec<&Finding> = findings.iter().filter(|f| is_sure(f, settings)).collect();
    let only_losses = strong.iter().all(|f| f.kind == FindingKind::Loss);
    if assignment.missing() > 0 && only_losses {
        let absent: Vec<&str> = ChromosomeClass::all()
            .filter(|c| assignment.found[c.index()] < assignment.copy_numbers[c.index()])
            .map(|c| if c.is_sex() && settings.sex == SexDisclosure::Undisclosed { "sex chromosome" } else { c.name() })
            .collect();
        let absent = absent.join(", ");
        let text = format!("{found} of {expected} chromosomes found; probably not seen rather than lost: {absent}");
        let said = Said::new("not_seen", text).with("found", found).with("expected", expected);
        return not_assessable(said.with("classes", absent));
    }
    if !strong.is_empty() {
        let texts: Vec<&str> = strong.iter().map(|f| f.text.as_str()).collect();
        return (Verdict::Abnormal, Said::new("findings", texts.join("; ")));
    }
    if let Some(weak) = findings.iter().max_by(|a, b| a.posterior.total_cmp(&b.posterior))
        && f64::from(weak.posterior) > 1.0 - settings.normal_posterior
    {
        let share = format!("{:.0}", 100.0 * weak.posterior);
        let text = format!("{} is possible but not sure ({share} %)", weak.text);
        return not_assessable(Said::new("possible", text).with("finding", &weak.text).with("share", share));
    }
    if f64::from(assignment.normal) < settings.normal_posterior {
        let share = format!("{:.0}", 100.0 * assignment.normal);
        let text = format!("no confident karyotype (normal: {share} %)");
        return not_assessable(Said::new("unsure", text).with("share", share));
    }
    let unclear = cell.chromosomes.iter().filter(|c| c.class.is_none()).count();
    let beside = match unclear {
        0 => String::new(),
        1 => "; one object beside them is no chromosome".into(),
        n => format!("; {n} other objects are not chromosomes"),
    };
    let text = format!("{found} chromosomes, nothing unusual in number{beside}");
    (Verdict::Normal, Said::new("usual", text).with("found", found).with("beside", unclear))
}

/// The karyotype in ISCN form.
fn written(
    assignment: &Assignment,
    findings: &[Finding],
    structural: &[Structural],
    settings: &KaryotypeSettings,
) -> String {
    let mut items = Vec::new();
    for finding in findings {
        let sign = match finding.kind {
            FindingKind::Gain => Sign::Gain,
            FindingKind::Loss => Sign::Loss,
            _ => continue,
        };
        let Some(class) = finding.class.filter(|c| !c.is_sex()) else { continue };
        let times = finding.iscn.as_ref().map_or(1, |i| i.split(',').count());
        if !in_karyotype(finding, assignment) {
            continue;
        }
        // A question mark where the gain or loss is the most probable reading, but not a sure one.
        let uncertain = !is_sure(finding, settings);
        items.extend(std::iter::repeat_n(Item { uncertain, ..Item::whole(sign, class) }, times));
    }
    items.extend(structural.iter().filter_map(|s| s.item.clone()));
    let (x, y) = assignment.sex();
    let disclosed = SexChromosomes::Known { x: x.into(), y: y.into() };
    line(u32::from(assignment.ploidy), disclosed, items, settings.sex).to_string()
}

/// A cell line with its items in order and the count that they add up to.
pub(crate) fn line(ploidy: u32, sex: SexChromosomes, mut items: Vec<Item>, disclosure: SexDisclosure) -> CellLine {
    super::iscn::sort_items(&mut items);
    let chromosomes = match disclosure {
        SexDisclosure::Shown => sex,
        // U counts as two; an unusual number of sex chromosomes is not written.
        SexDisclosure::Undisclosed => SexChromosomes::Undisclosed,
    };
    let mut line = CellLine {
        count: Span::exact(23 * ploidy),
        ploidy: Some(ploidy),
        base: Base::Sex(SexComplement { chromosomes, constitutional: None }),
        items,
        cells: None,
    };
    let count = line.expected_count().unwrap_or(23 * ploidy);
    line.count = Span::exact(count);
    line.ploidy = None;
    if line.expected_count() != Some(count) {
        line.ploidy = Some(ploidy);
    }
    line
}

/// Takes everything out of the record that discloses the sex.
fn withhold_sex(cell: &mut Cell) {
    for chromosome in &mut cell.chromosomes {
        chromosome.alternatives.retain(|a| !a.class.is_sex());
        if chromosome.class.is_some_and(ChromosomeClass::is_sex) {
            chromosome.class = None;
            chromosome.evidence = Some(ChromosomeEvidence::SexWithheld);
        }
    }
    // What is withheld of a class must not be disclosed by its absence: indices of sex chromosomes go too.
    let sex: Vec<u32> = cell.chromosomes.iter().filter(|c| is_withheld(c)).map(|c| c.index).collect();
    for finding in &mut cell.karyotype.findings {
        if finding.class.is_some_and(ChromosomeClass::is_sex) {
            finding.class = None;
            finding.iscn = None;
            finding.syndrome = None;
            finding.text = "finding on a sex chromosome; which is not disclosed".into();
        }
        finding.chromosomes.retain(|i| !sex.contains(i));
    }
}

/// Whether this is a sex chromosome whose class is withheld by configuration.
pub fn is_withheld(chromosome: &Chromosome) -> bool {
    chromosome.class.is_none() && chromosome.evidence == Some(ChromosomeEvidence::SexWithheld)
}

fn counts(cell: &Cell) -> Counts {
    let mut counts = Counts { detected: cell.chromosomes.len() as u32, ..Counts::default() };
    for chromosome in &cell.chromosomes {
        if chromosome.class.is_none() && !is_withheld(chromosome) {
            counts.unclear += 1;
            continue;
        }
        let concerned = cell.karyotype.findings.iter().any(|f| {
            f.chromosomes.contains(&chromosome.index)
                && matches!(f.kind, FindingKind::Gain | FindingKind::Structural | FindingKind::Damage)
        });
        if concerned {
            counts.abnormal += 1
        } else {
            counts.normal += 1
        }
        if chromosome.damage == Damage::None { counts.undamaged += 1 } else { counts.damaged += 1 }
    }
    counts
}

#[cfg(test)]
#[path = "interpret_tests.rs"]
pub(crate) mod tests;
