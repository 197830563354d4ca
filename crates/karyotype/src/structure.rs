//! Structural candidates: chromosomes whose length or centromere is unlike their class. Never a diagnosis.

use domain::{Chromosome, ChromosomeClass, Finding, FindingKind};

use super::{
    assign::Assignment,
    iscn::{Abbreviation, Arm, Body, Breakpoint, ChromosomeRef, Item, Segment},
    morphology::morphology,
};

/// Natural logarithm of the likelihood ratio that a candidate needs at least.
const TEN_TO_ONE: f32 = 2.3;
/// How much rarer a fusion is than a chance loss, in nats.
const RARITY: f32 = 2.0;

/// A candidate and what it explains.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Structural {
    /// As reported.
    pub finding: Finding,
    /// As written in the karyotype, where it has a form.
    pub item: Option<Item>,
    /// Classes of which one is part of it, so that it is not lost.
    pub replaces: Vec<ChromosomeClass>,
}

/// Candidates of a cell. Needs relative lengths; without them there are none.
pub(super) fn candidates(chromosomes: &[Chromosome], assignment: &Assignment) -> Vec<Structural> {
    fusions(chromosomes, assignment)
}

/// A Robertsonian fusion looks like the loss of one acrocentric chromosome beside another one that is longer than
/// its class by the lost one's long arm.
fn fusions(chromosomes: &[Chromosome], assignment: &Assignment) -> Vec<Structural> {
    let lost = ChromosomeClass::all().filter(|c| c.is_acrocentric() && assignment.copy_numbers[c.index()] == 1);
    let mut found: Vec<Structural> = Vec::new();
    for lost in lost {
        let arm = morphology(lost).relative_length * (1.0 - morphology(lost).centromere_index);
        let carrier = chromosomes
            .iter()
            .filter(|c| c.class.is_some_and(ChromosomeClass::is_acrocentric))
            .filter_map(|c| {
                let class = c.class?;
                let length = c.relative_length?;
                let shape = morphology(class);
                // Both long arms, joined at their centromeres, against the chromosome as it should be.
                let fused = shape.relative_length * (1.0 - shape.centromere_index) + arm;
                let misfit = (length - fused).abs() / shape.relative_length_sd;
                let as_is = (length - shape.relative_length).abs() / shape.relative_length_sd;
                let evidence = (as_is * as_is - misfit * misfit) / 2.0;
                (misfit < 2.0 && length > shape.relative_length && evidence > TEN_TO_ONE)
                    .then_some((c, class, evidence, length))
            })
            .max_by(|a, b| a.2.total_cmp(&b.2));
        let Some((chromosome, class, evidence, length)) = carrier else { continue };
        if found.iter().any(|f| f.finding.chromosomes.contains(&chromosome.index)) {
            continue;
        }
        let (a, b) = if class < lost { (class, lost) } else { (lost, class) };
        let item = robertsonian(a, b);
        found.push(Structural {
            finding: Finding {
                kind: FindingKind::Structural,
                class: Some(class),
                iscn: Some(item.to_string()),
                posterior: 1.0 / (1.0 + (RARITY - evidence).exp()),
                text: format!(
                    "candidate Robertsonian fusion of {a} and {b}: one {lost} is missing and a {class} is {length:.1} % long \
                     ({:.1} % is usual)",
                    morphology(class).relative_length
                ),
                chromosomes: vec![chromosome.index],
                syndrome: None,
            },
            item: Some(item),
            replaces: vec![lost],
        });
    }
    found
}

/// `?der(a;b)(q10;q10)`.
fn robertsonian(a: ChromosomeClass, b: ChromosomeClass) -> Item {
    let centromere =
        || vec![Breakpoint { uncertain: false, arm: Some(Arm::Long), band: "10".into(), until: None, or: None }];
    let segment = Segment {
        uncertain: false,
        pseudo: false,
        kind: Abbreviation::Der,
        chromosomes: vec![ChromosomeRef::known(a), ChromosomeRef::known(b)],
        breakpoints: vec![centromere(), centromere()],
        detailed: None,
    };
    Item { uncertain: true, ..Item::new(None, Body::Structural(vec![segment])) }
}
