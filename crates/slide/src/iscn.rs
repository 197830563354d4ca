//! From a karyotype in ISCN to the chromosomes of its cells.

use domain::ChromosomeClass;
use karyotype::iscn::{
    Abbreviation, Arm, Base, Body, Breakpoint, CellLine, Item, Karyotype, Segment, SexChromosomes, Sign, Unidentified,
};

use super::{
    SlideError,
    genome::{ChromosomePlan, ChromosomeSegment},
    ideogram,
};

/// One cell line: what it is, how frequent, what its cells hold.
#[derive(Debug, Clone)]
pub struct Line {
    /// In ISCN, without the number of cells.
    pub text: String,
    /// Cells in brackets, 1 without.
    pub weight: f32,
    /// The chromosomes of one cell.
    pub plans: Vec<ChromosomePlan>,
}

/// The cell lines of a karyotype.
///
/// # Errors
/// When the text is no karyotype, or holds what the slide cannot draw.
pub fn lines(text: &str) -> Result<Vec<Line>, SlideError> {
    let karyotype: Karyotype = text.trim().parse()?;
    karyotype
        .lines
        .iter()
        .map(|line| {
            let plans =
                plans(line).map_err(|what| SlideError::CannotDraw { karyotype: text.trim().to_owned(), what })?;
            let mut bare = line.clone();
            bare.cells = None;
            Ok(Line { text: bare.to_string(), weight: line.cells.map_or(1.0, |c| c.number as f32), plans })
        })
        .collect()
}

/// The chromosomes of a line, or what of it cannot be drawn.
fn plans(line: &CellLine) -> Result<Vec<ChromosomePlan>, String> {
    let ploidy = line.ploidy.unwrap_or(match line.count.low {
        0..=34 => 1,
        35..=57 => 2,
        58..=80 => 3,
        _ => 4,
    });
    let (x, y, constitutional) = match &line.base {
        Base::Sex(sex) => match sex.chromosomes {
            SexChromosomes::Known { x, y } => (x, y, sex.constitutional.is_some()),
            SexChromosomes::Undisclosed => (2, 0, true),
        },
        Base::NoNormalSex => (0, 0, false),
        _ => return Err("a line written relative to another".to_owned()),
    };
    let mut plans: Vec<ChromosomePlan> = ChromosomeClass::all()
        .flat_map(|class| {
            let copies = match class {
                ChromosomeClass::X => x,
                ChromosomeClass::Y => y,
                _ => ploidy,
            };
            std::iter::repeat_n(ChromosomePlan::normal(class), copies as usize)
        })
        .collect();
    for item in &line.items {
        apply(item, constitutional, &mut plans).ok_or_else(|| item.to_string())?;
    }
    Ok(plans)
}

/// Takes a normal copy away. The complement of an acquired line lists only the normal sex chromosomes left.
fn lose(class: ChromosomeClass, constitutional: bool, plans: &mut Vec<ChromosomePlan>) -> Option<()> {
    if class.is_sex() && !constitutional {
        return Some(());
    }
    let at = plans.iter().position(|plan| plan.class == class && plan.name.is_none())?;
    plans.remove(at);
    Some(())
}

fn apply(item: &Item, constitutional: bool, plans: &mut Vec<ChromosomePlan>) -> Option<()> {
    let constitutional = constitutional && item.constitutional.is_none();
    let times = item.times.unwrap_or(1);
    match item.body() {
        // Where it came from is not seen.
        Body::Structural(segments) if segments[0].kind == Abbreviation::Upd => Some(()),
        Body::Whole(chromosome) => {
            let class = chromosome.class?;
            for _ in 0..times {
                match item.sign? {
                    // `+X` is written into the complement unless that is the constitutional one.
                    Sign::Gain => plans.push(ChromosomePlan::normal(class)),
                    Sign::Loss => lose(class, constitutional, plans)?,
                }
            }
            Some(())
        }
        Body::Structural(segments) => {
            let name = segments.iter().map(ToString::to_string).collect::<String>();
            let made = rearranged(segments, &name)?;
            for _ in 0..times {
                if item.sign.is_none() {
                    for class in replaced(segments) {
                        lose(class, constitutional, plans)?;
                    }
                }
                plans.extend(made.iter().cloned());
            }
            (item.sign != Some(Sign::Loss)).then_some(())
        }
        Body::Unidentified { kind, quantity, .. } => {
            let copies = quantity.map_or(1, |q| q.low) * times;
            for i in 0..copies as usize {
                plans.push(unidentified(*kind, i)?);
            }
            Some(())
        }
        // Length variants of heterochromatin are left as they are; incomplete analysis changes nothing seen.
        Body::Variant { .. } | Body::Incomplete => Some(()),
        Body::ArmShorthand { .. } | Body::Acentric { .. } => None,
    }
}

/// Which normal chromosomes an unsigned rearrangement stands for.
fn replaced(segments: &[Segment]) -> Vec<ChromosomeClass> {
    segments[0].chromosomes.iter().filter_map(|c| c.class).collect()
}

/// A marker: a small segment around a centromere. Which one is unknown to the cytogeneticist, not to us.
fn unidentified(kind: Unidentified, number: usize) -> Option<ChromosomePlan> {
    let class = ChromosomeClass::autosome([15, 22, 8, 12, 18][number % 5])?;
    let middle = ideogram::centromere(class);
    let segment = ChromosomeSegment::new(class, middle * 0.4, middle + 1100.0);
    Some(match kind {
        Unidentified::Marker => ChromosomePlan::rearranged(class, [segment], "mar"),
        Unidentified::Ring => ChromosomePlan { ring: true, ..ChromosomePlan::rearranged(class, [segment], "r") },
        Unidentified::DoubleMinute => {
            let eight = ChromosomeClass::autosome(8)?;
            ChromosomePlan::rearranged(eight, [ChromosomeSegment::new(eight, 7000.0, 7500.0)], "dmin")
        }
    })
}

/// A breakpoint in ideogram units.
fn place(class: ChromosomeClass, point: &Breakpoint) -> Option<f32> {
    let arm = point.arm?;
    ideogram::place(class, &format!("{}{}", arm.letter(), point.band.trim_end_matches('?')))
}

/// From the end beyond the centromere to the break, and from the break to the near end.
fn broken(class: ChromosomeClass, point: &Breakpoint) -> Option<(ChromosomeSegment, ChromosomeSegment)> {
    let (at, length) = (place(class, point)?, ideogram::length(class));
    Some(match point.arm? {
        Arm::Short => (ChromosomeSegment::new(class, length, at), ChromosomeSegment::new(class, at, 0.0)),
        Arm::Long => (ChromosomeSegment::new(class, 0.0, at), ChromosomeSegment::new(class, at, length)),
    })
}

/// The chromosomes that a rearrangement makes.
fn rearranged(segments: &[Segment], name: &str) -> Option<Vec<ChromosomePlan>> {
    let first = segments.first()?;
    let classes: Vec<ChromosomeClass> = first.chromosomes.iter().map(|c| c.class).collect::<Option<_>>()?;
    let a = *classes.first()?;
    let point = |group: usize, k: usize| first.breakpoints.get(group).and_then(|g| g.get(k));
    let length = ideogram::length(a);
    let one = |segments: Vec<ChromosomeSegment>| Some(vec![ChromosomePlan::rearranged(a, segments, name)]);
    let two_places = || {
        let (p, q) = (place(a, point(0, 0)?)?, place(a, point(0, 1)?)?);
        Some(if p < q { (p, q) } else { (q, p) })
    };
    let one_segment = segments.len() == 1;
    match first.kind {
        Abbreviation::Del if one_segment && point(0, 1).is_none() => one(vec![broken(a, point(0, 0)?)?.0]),
        Abbreviation::Del if one_segment => {
            let (p, q) = two_places()?;
            one(vec![ChromosomeSegment::new(a, 0.0, p), ChromosomeSegment::new(a, q, length)])
        }
        Abbreviation::Dup if one_segment => {
            let (p, q) = two_places()?;
            one(vec![ChromosomeSegment::new(a, 0.0, q), ChromosomeSegment::new(a, p, length)])
        }
        Abbreviation::Inv if one_segment => {
            let (p, q) = two_places()?;
            one(vec![
                ChromosomeSegment::new(a, 0.0, p),
                ChromosomeSegment::new(a, q, p),
                ChromosomeSegment::new(a, q, length),
            ])
        }
        Abbreviation::Add if one_segment => {
            // Unknown material: a pale stretch of another chromosome.
            let unknown = ChromosomeClass::autosome(17)?;
            one(vec![broken(a, point(0, 0)?)?.0, ChromosomeSegment::new(unknown, 3100.0, 4900.0)])
        }
        Abbreviation::Iso | Abbreviation::Idic if one_segment => {
            let at = point(0, 0)?;
            let arm = match (first.kind, at.band.as_str(), at.arm?) {
                (Abbreviation::Iso, _, Arm::Long) => ChromosomeSegment::new(a, length, ideogram::centromere(a)),
                (Abbreviation::Iso, _, Arm::Short) => ChromosomeSegment::new(a, 0.0, ideogram::centromere(a)),
                _ => broken(a, at)?.0,
            };
            one(vec![arm, arm.reversed()])
        }
        Abbreviation::Ring if one_segment && classes.len() == 1 => {
            let (p, q) = two_places().unwrap_or((length * 0.05, length * 0.95));
            Some(vec![ChromosomePlan {
                ring: true,
                ..ChromosomePlan::rearranged(a, [ChromosomeSegment::new(a, p, q)], name)
            }])
        }
        Abbreviation::Trans if one_segment && classes.len() == 2 => translocated(first, &classes, name),
        Abbreviation::Dic | Abbreviation::Rob | Abbreviation::Der if one_segment && classes.len() == 2 => {
            let b = classes[1];
            let arm = |class: ChromosomeClass, point: &Breakpoint| {
                if point.band == "10" {
                    let end = if point.arm? == Arm::Long { ideogram::length(class) } else { 0.0 };
                    return Some(ChromosomeSegment::new(class, end, ideogram::centromere(class)));
                }
                Some(broken(class, point)?.0)
            };
            let (keep_a, keep_b) = (arm(a, point(0, 0)?)?, arm(b, point(1, 0)?)?);
            one(vec![keep_a, keep_b.reversed()])
        }
        Abbreviation::Der if segments.len() == 2 && classes.len() == 1 => derived(a, &segments[1], name),
        _ => None,
    }
}

/// Both products of a reciprocal translocation.
fn translocated(segment: &Segment, classes: &[ChromosomeClass], name: &str) -> Option<Vec<ChromosomePlan>> {
    let (a, b) = (classes[0], classes[1]);
    let point = |group: usize| segment.breakpoints.get(group).and_then(|g| g.first());
    let ((keep_a, lost_a), (keep_b, lost_b)) = (broken(a, point(0)?)?, broken(b, point(1)?)?);
    Some(vec![
        ChromosomePlan::rearranged(a, [keep_a, lost_b], format!("der({a}){name}")),
        ChromosomePlan::rearranged(b, [keep_b, lost_a], format!("der({b}){name}")),
    ])
}

/// The derivative of class `a` alone, from the one rearrangement that made it.
fn derived(a: ChromosomeClass, by: &Segment, name: &str) -> Option<Vec<ChromosomePlan>> {
    let inner = by.to_string();
    let made = rearranged(std::slice::from_ref(by), &inner)?;
    let mut plan = made.into_iter().find(|plan| plan.class == a)?;
    plan.name = Some(name.to_owned());
    Some(vec![plan])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Vec<ChromosomePlan> {
        lines(text).unwrap_or_else(|e| panic!("{e}")).remove(0).plans
    }

    fn count(plans: &[ChromosomePlan], class: &str) -> usize {
        plans.iter().filter(|p| p.class == class.parse().unwrap()).count()
    }

    #[test]
    fn a_cell_has_as_many_chromosomes_as_its_karyotype_says() {
        for text in [
            "46,XX",
            "46,XY",
            "47,XY,+21",
            "45,X",
            "47,XXY",
            "45,X,-Y",
            "69,XXY",
            "92,XXXX",
            "46,XX,del(5)(p14)",
            "46,X,i(X)(q10)",
            "45,XY,der(13;14)(q10;q10)",
            "46,XY,t(9;22)(q34;q11.2)",
            "46,XX,r(14)(p11q32)",
            "47,XY,+mar",
            "46,XY,inv(9)(p12q13)",
            "46,XX,der(5)t(5;7)(p15;q32)",
            "45,XX,dic(13;15)(q22;q24)",
            "48,XX,+8,+8",
            "44,XY,-5,-14",
            "46,XY,dup(1)(q21q32)",
            "46,XX,add(17)(p13)",
            "46,X,idic(X)(q22)",
        ] {
            let line: Karyotype = text.parse().unwrap();
            assert_eq!(one(text).len(), line.lines[0].count.low as usize, "{text}");
        }
    }

    #[test]
    fn classes_and_centromeres_are_those_of_the_karyotype() {
        assert_eq!(count(&one("47,XY,+21"), "21"), 3);
        let iso = one("46,X,i(X)(q10)");
        assert_eq!(count(&iso, "X"), 2);
        let made = iso.iter().find(|p| p.name.is_some()).unwrap();
        assert_eq!((made.centromeres().len(), made.name.as_deref()), (1, Some("i(X)(q10)")));
        assert!(one("45,XX,dic(13;15)(q22;q24)").iter().any(ChromosomePlan::is_dicentric));
        assert!(one("46,XX,r(14)(p11q32)").iter().any(|p| p.ring && p.centromeres().len() == 1));
        let philadelphia = one("46,XY,t(9;22)(q34;q11.2)");
        let small = philadelphia.iter().find(|p| p.name.as_deref() == Some("der(22)t(9;22)(q34;q11.2)")).unwrap();
        assert!(small.length() < ideogram::length("22".parse().unwrap()));
        let fused = one("45,XY,der(13;14)(q10;q10)");
        assert!(fused.iter().all(|p| p.centromeres().len() == 1));
    }

    #[test]
    fn what_cannot_be_drawn_is_refused_with_its_name() {
        let error = lines("46,XX,ins(2)(q13p13p23)").unwrap_err().to_string();
        assert!(error.contains("ins(2)"), "{error}");
        assert!(lines("46,XX,+21").is_err());
    }

    #[test]
    fn lines_keep_their_weights() {
        let lines = lines("mos 47,XX,+21[12]/46,XX[8]").unwrap();
        assert_eq!(lines.iter().map(|l| l.weight).collect::<Vec<_>>(), [12.0, 8.0]);
        assert_eq!(lines[0].text, "47,XX,+21");
    }
}
