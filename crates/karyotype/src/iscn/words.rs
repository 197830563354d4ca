//! A karyotype in plain words.

use super::{count::is_relative, model::*};
use domain::ChromosomeClass;

/// The abnormalities of all lines, in plain words; empty for a normal karyotype.
pub(super) fn abnormalities(karyotype: &Karyotype) -> Vec<String> {
    let several = karyotype.lines.len() > 1;
    let mut words = Vec::new();
    for line in &karyotype.lines {
        let mut of_line = line_words(line);
        if let (true, Some(cells)) = (several, line.cells) {
            if of_line.is_empty() {
                of_line.push("normal".into());
            }
            of_line.iter_mut().for_each(|w| w.push_str(&format!(" in {} cells", cells.number)));
        }
        words.extend(of_line);
    }
    words
}

fn line_words(line: &CellLine) -> Vec<String> {
    let mut words = Vec::new();
    let ploidy = super::count::ploidy(line);
    if !is_relative(&line.base) {
        match ploidy {
            1 if line.items.is_empty() => words.push("haploid".into()),
            1 => words.push("near-haploid".into()),
            2 => {}
            3 => words.push("triploid".into()),
            4 => words.push("tetraploid".into()),
            n => words.push(format!("{n} sets of chromosomes")),
        }
    }
    if let Base::Sex(sex) = line.base {
        let explained = line.items.iter().any(|item| concerns_sex(item.body()));
        match sex.chromosomes {
            SexChromosomes::Undisclosed => words.push("sex not disclosed".into()),
            SexChromosomes::Known { x, y } if ploidy == 2 && !explained => words.extend(sex_words(x, y)),
            SexChromosomes::Known { .. } => {}
        }
    }
    words.extend(line.items.iter().map(item_words));
    words
}

fn concerns_sex(body: &Body) -> bool {
    match body {
        Body::Whole(chromosome) | Body::Variant { chromosome, .. } => chromosome.is_sex(),
        Body::Structural(segments) => segments[0].chromosomes.iter().any(ChromosomeRef::is_sex),
        _ => false,
    }
}

/// What is unusual about so many X and Y in a diploid cell.
fn sex_words(x: u32, y: u32) -> Option<String> {
    let extra = |n: u32, what: &str| match n {
        0 => None,
        1 => Some(format!("extra {what}")),
        2 => Some(format!("two extra {what}")),
        3 => Some(format!("three extra {what}")),
        n => Some(format!("{n} extra {what}")),
    };
    match (x, y) {
        (2, 0) | (1, 1) => None,
        (1, 0) => Some("one X only".into()),
        (0, _) => Some("no X".into()),
        (x, 0) => extra(x - 2, "X"),
        (1, y) => extra(y - 1, "Y"),
        (x, 1) => extra(x - 1, "X").map(|w| w + " with a Y"),
        (x, y) => Some(format!("{} and {}", extra(x - 1, "X")?, extra(y - 1, "Y")?)),
    }
}

fn item_words(item: &Item) -> String {
    let mut words: Vec<String> = item.readings.iter().map(|body| body_words(item, body)).collect();
    let mut text = words.remove(0);
    for other in words {
        text.push_str(" or ");
        text.push_str(&other);
    }
    if item.uncertain {
        text = format!("probably {text}");
    }
    if item.constitutional.is_some() {
        text = format!("constitutional {text}");
    }
    if let Some(times) = item.times {
        text.push_str(&format!(", {times} copies"));
    }
    text.push_str(match item.inheritance {
        None => "",
        Some(Inheritance::Maternal | Inheritance::DerivedMaternal) => ", maternal",
        Some(Inheritance::Paternal | Inheritance::DerivedPaternal) => ", paternal",
        Some(Inheritance::Inherited | Inheritance::DerivedInherited) => ", inherited",
        Some(Inheritance::DeNovo) => ", de novo",
    });
    if let Some(cells) = item.cells {
        text.push_str(&format!(" in {cells} cells"));
    }
    text
}

fn body_words(item: &Item, body: &Body) -> String {
    let signed = |plain: String| match item.sign {
        Some(Sign::Gain) => format!("extra {plain}"),
        Some(Sign::Loss) => format!("missing {plain}"),
        None => plain,
    };
    match body {
        Body::Whole(chromosome) => match item.sign {
            Some(Sign::Loss) => format!("loss of {chromosome}"),
            _ => format!("gain of {chromosome}"),
        },
        Body::Structural(segments) => signed(structural_words(segments)),
        Body::Unidentified { kind, quantity, index } => {
            let name = match kind {
                Unidentified::Ring => "ring",
                Unidentified::Marker => "marker",
                Unidentified::DoubleMinute => "double minutes",
            };
            match (quantity, index) {
                (Some(q), _) => format!("{q} {name}{}", if *kind == Unidentified::DoubleMinute { "" } else { "s" }),
                (None, Some(i)) => format!("{name} {i}"),
                (None, None) => name.into(),
            }
        }
        Body::Variant { chromosome, parts } => {
            let parts: Vec<String> = parts.iter().map(|part| variant_words(chromosome, part)).collect();
            format!("{} (heteromorphism)", parts.join(" and "))
        }
        Body::Incomplete => "incomplete analysis".into(),
        Body::ArmShorthand { chromosome, arm, longer } => {
            let what = if *longer { "added material on" } else { "deletion of" };
            format!("{what} {chromosome}{}", arm.letter())
        }
        Body::Acentric { minute: true, .. } => "minute acentric fragment".into(),
        Body::Acentric { .. } => "acentric fragment".into(),
    }
}

fn variant_words(chromosome: &ChromosomeRef, part: &Variant) -> String {
    let size = match part.larger {
        Some(true) => "longer ",
        Some(false) => "shorter ",
        None => "",
    };
    let feature = match part.feature {
        VariantFeature::Heterochromatin => "heterochromatin",
        VariantFeature::Stalk => "stalk",
        VariantFeature::Satellite => "satellite",
    };
    let arm = part.arm.map_or(String::new(), |arm| arm.letter().to_string());
    let band = part.band.as_deref().unwrap_or_default();
    format!("{size}{}{feature} of {chromosome}{arm}{band}", if part.double { "double " } else { "" })
}

fn structural_words(segments: &[Segment]) -> String {
    use Abbreviation as A;
    let head = &segments[0];
    let chromosomes = |s: &Segment| s.chromosomes.iter().map(ToString::to_string).collect::<Vec<_>>().join(";");
    let short = head.breakpoints.iter().flatten().filter_map(|b| b.arm);
    let arms: Vec<char> = short.chain(head.detailed.iter().flat_map(Detailed::arms)).map(Arm::letter).collect();
    let one_arm = match arms.as_slice() {
        [first, rest @ ..] if rest.iter().all(|a| a == first) => first.to_string(),
        _ => String::new(),
    };
    let pseudo = if head.pseudo { "pseudo" } else { "" };
    match head.kind {
        A::Der if head.chromosomes.len() > 1 => {
            let acrocentric = |c: &ChromosomeRef| c.class.is_some_and(ChromosomeClass::is_acrocentric);
            let what = if head.chromosomes.iter().all(acrocentric) { "Robertsonian" } else { "whole-arm derivative" };
            format!("{what} {}", chromosomes(head))
        }
        A::Der | A::Rec | A::Ider if segments.len() > 1 => {
            let from: Vec<String> = segments[1..]
                .iter()
                .map(|s| format!("{}{} {}", if s.uncertain { "probable " } else { "" }, s.kind.words(), chromosomes(s)))
                .collect();
            format!("{} {} from {}", head.kind.words(), chromosomes(head), from.join(" and "))
        }
        A::Del | A::Dup | A::Trp | A::Qdp | A::Add | A::Iso | A::Hsr if head.chromosomes.len() == 1 => {
            format!("{} of {}{one_arm}", head.kind.words(), chromosomes(head)).replace("material of", "material on")
        }
        kind => format!("{pseudo}{} {}", kind.words(), chromosomes(head)),
    }
}
