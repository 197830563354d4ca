//! The validator: breakpoints, arithmetic, order, conventions.

use std::collections::HashSet;

use domain::ChromosomeClass;

use super::{
    Fault, Severity, bands,
    count::{abnormal_sex, constitutional_complement, is_relative, ploidy, reference, sums},
    model::*,
};

/// All faults of a karyotype whose text could be read. `partial` marks lines of which something was left out.
pub(super) fn faults(karyotype: &Karyotype, partial: &[bool]) -> Vec<Fault> {
    let mut faults = Vec::new();
    structure(karyotype, &mut faults);
    let mut known = HashSet::new();
    for line in &karyotype.lines {
        for item in &line.items {
            breakpoints(item, &mut known, &mut faults);
        }
        order(line, &mut faults);
        conventions(line, &mut faults);
    }
    arithmetic(&karyotype.lines, partial, &mut faults);
    let lines = &karyotype.lines;
    let (recipient, donor) = lines.split_at(karyotype.recipient_lines.unwrap_or(lines.len()).min(lines.len()));
    for side in [recipient, donor] {
        clone_order(side, karyotype.origin, &mut faults);
    }
    faults
}

fn structure(karyotype: &Karyotype, faults: &mut Vec<Fault>) {
    let lines = &karyotype.lines;
    if let Some(origin) = karyotype.origin
        && lines.len() < 2
    {
        let word = if origin == Origin::Mosaic { "mos" } else { "chi" };
        faults.push(Fault::fatal(format!("{word} needs at least two cell lines")));
    }
    for at in 0..lines.len() {
        if let Err(reason) = reference(lines, at) {
            faults.push(Fault::fatal(reason));
        }
    }
    if lines.len() > 1 && lines.iter().any(|line| line.cells.is_none()) {
        faults.push(Fault::convention("cell numbers missing: each of several cell lines has its number in brackets"));
    }
}

// --- breakpoints -----------------------------------------------------------------------------------------

fn breakpoints(item: &Item, known: &mut HashSet<String>, faults: &mut Vec<Fault>) {
    for body in &item.readings {
        let Body::Structural(segments) = body else { continue };
        for (i, segment) in segments.iter().enumerate() {
            let described = i == 0 && segments.len() > 1;
            if let Err(reason) = segment_breakpoints(segment, described, known) {
                faults.push(Fault::fatal(reason));
            }
            if segment.kind == Abbreviation::Iso
                && segment.breakpoints.iter().flatten().any(|b| b.band != "10" && !b.band.contains('?'))
            {
                faults.push(Fault::convention("an isochromosome's breakpoint is p10 or q10 (idic otherwise)"));
            }
            if segment.kind == Abbreviation::Upd && item.inheritance.is_none() {
                faults.push(Fault::convention(format!("{} says whose both are: mat or pat", segment.head())));
            }
            let unsaid = segment.breakpoints.is_empty()
                && segment.detailed.is_none()
                && !described
                && !known.contains(&segment.head());
            if segment.kind == Abbreviation::Ring && unsaid && item.sign.is_none() {
                faults.push(Fault::convention(format!(
                    "breakpoints missing at the first mention of {}: (p?q?) where they are not known",
                    segment.head()
                )));
            }
            if segment.kind.is_breakage() {
                faults.push(Fault::convention(format!(
                    "{} is no part of a karyotype: breaks, gaps and exchanges belong to the aberration record",
                    segment.head()
                )));
            }
            if segment.kind == Abbreviation::Rob
                && segment.chromosomes.iter().any(|c| c.class.is_some_and(|class| !class.is_acrocentric()))
            {
                faults.push(Fault::convention("rob is for acrocentric chromosomes: 13 to 15, 21, 22"));
            }
            if segment.chromosomes.iter().any(|c| c.arm.is_some()) && !described && !in_recombinant(segments) {
                faults.push(Fault::convention(format!(
                    "old shorthand: the arm goes with the breakpoint, {}(..)(p.. or q..)",
                    segment.kind.name()
                )));
            }
        }
        // `der(22)t(11;22)(...)` may be mentioned again as `der(22)` or by its whole head.
        let mut head: String = segments.iter().map(Segment::head).collect();
        known.insert(std::mem::take(&mut head));
        if segments.len() > 1 {
            known.insert(segments[0].head());
        }
        for segment in segments.iter().filter(|s| !s.breakpoints.is_empty() || s.detailed.is_some()) {
            known.insert(segment.head());
        }
    }
}

fn in_recombinant(segments: &[Segment]) -> bool {
    segments.len() > 1 && matches!(segments[0].kind, Abbreviation::Rec | Abbreviation::Der)
}

/// How many breakpoints each chromosome takes: least and most.
fn takes(segment: &Segment, at: usize) -> (usize, usize) {
    use Abbreviation as A;
    let chromosomes = segment.chromosomes.len();
    match segment.kind {
        A::Del => (1, 2),
        A::Dup | A::Trp | A::Qdp | A::Inv | A::Ring if chromosomes == 1 => (2, 2),
        A::Ins if chromosomes == 1 => (3, 3),
        A::Ins if chromosomes == 2 && at == 0 => (1, 1),
        A::Ins => (2, 2),
        A::Trc if at == 1 => (2, 2),
        A::Complex | A::Var => (1, 2),
        A::Upd => (0, 0),
        A::Trans | A::Dic | A::Tas if chromosomes > 2 => (1, 2),
        A::Hsr => (1, 4),
        A::Neo => (1, 2),
        _ => (1, 1),
    }
}

fn chromosomes_fit(segment: &Segment) -> Result<(), String> {
    use Abbreviation as A;
    let number = segment.chromosomes.len();
    let name = segment.kind.name();
    let fits = match segment.kind {
        A::Trans | A::Tas => number >= 2,
        A::Dic => {
            if number == 1 {
                return Err("dic needs two chromosomes; idic for one".into());
            }
            true
        }
        A::Rob => number == 2,
        A::Trc => number == 3,
        A::Ins => number <= 3,
        A::Chte | A::Chre | A::Quadriradial | A::Complex => number >= 2,
        A::Triradial => (2..=3).contains(&number),
        A::Der | A::Ring | A::Rec => true,
        _ => number == 1,
    };
    if fits { Ok(()) } else { Err(format!("{name} does not go with {number} chromosome(s)")) }
}

fn segment_breakpoints(segment: &Segment, described: bool, known: &HashSet<String>) -> Result<(), String> {
    let name = segment.kind.name();
    chromosomes_fit(segment)?;
    if let Some(detailed) = &segment.detailed {
        for (class, arm, band) in &detailed.bands {
            if let Some(class) = class.filter(|_| !band.contains('?')) {
                band_exists(class, *arm, band)?;
            }
        }
        return Ok(());
    }
    let single_derivative =
        matches!(segment.kind, Abbreviation::Der | Abbreviation::Rec) && segment.chromosomes.len() == 1;
    if segment.breakpoints.is_empty() {
        let arms_say_enough = segment.chromosomes.iter().all(|c| c.arm.is_some());
        if segment.kind == Abbreviation::Upd || segment.kind == Abbreviation::Ring {
            return Ok(());
        }
        if described || arms_say_enough || known.contains(&segment.head()) {
            return Ok(());
        }
        return Err(if single_derivative {
            format!("{} does not say what made it", segment.head())
        } else {
            format!("breakpoints missing at the first mention of {}", segment.head())
        });
    }
    if single_derivative {
        return Err(format!("{} is followed by what made it, not by breakpoints", segment.head()));
    }
    let (groups, chromosomes) = (segment.breakpoints.len(), segment.chromosomes.len());
    if groups != chromosomes {
        return Err(match (segment.kind, chromosomes) {
            (Abbreviation::Ins, 2) => "donor breakpoints missing: ins(5;2)(p14;q22q32)".into(),
            (_, 1) => format!("no semicolon inside one chromosome: {name} has {groups} groups of breakpoints"),
            _ => format!("{groups} breakpoint(s) for {chromosomes} chromosomes"),
        });
    }
    for (at, (group, chromosome)) in segment.breakpoints.iter().zip(&segment.chromosomes).enumerate() {
        let (least, most) = takes(segment, at);
        let unknown = group.iter().any(|b| b.arm.is_none() || b.uncertain);
        if group.len() > most || (group.len() < least && !unknown) {
            let needed = match (least, most) {
                (1, 1) => "one breakpoint".to_owned(),
                (2, 2) => "two breakpoints needed".to_owned(),
                (3, 3) => "three breakpoints needed".to_owned(),
                (least, most) => format!("{least} to {most} breakpoints"),
            };
            return Err(format!("{name}: {needed}, {} given", group.len()));
        }
        let Some(class) = chromosome.class else { continue };
        let mut places = Vec::with_capacity(group.len());
        for breakpoint in group {
            places.extend(bands_exist(class, breakpoint)?);
        }
        let directed = matches!(segment.kind, Abbreviation::Del | Abbreviation::Inv | Abbreviation::Ring);
        if directed && places.windows(2).any(|w| w[0] > w[1]) {
            return Err(format!("breakpoints of {name} run from pter to qter"));
        }
    }
    Ok(())
}

/// The place of a breakpoint along its chromosome, when it is wholly known.
fn bands_exist(class: ChromosomeClass, breakpoint: &Breakpoint) -> Result<Option<f32>, String> {
    let mut place = None;
    if let Some(arm) = breakpoint.arm
        && !breakpoint.band.contains('?')
    {
        place = Some(band_exists(class, arm, &breakpoint.band)?);
    }
    if let Some((arm, band)) = &breakpoint.until
        && !band.contains('?')
    {
        let end = band_exists(class, *arm, band)?;
        if place == Some(end) {
            return Err(format!("the interval at {class}{}{band} has no length", arm.letter()));
        }
    }
    if let Some(other) = &breakpoint.or {
        bands_exist(class, other)?;
    }
    Ok(place)
}

fn band_exists(class: ChromosomeClass, arm: Arm, band: &str) -> Result<f32, String> {
    bands::place(class, arm, band).ok_or_else(|| format!("no such band: {class}{}{band}", arm.letter()))
}

// --- arithmetic ------------------------------------------------------------------------------------------

fn arithmetic(lines: &[CellLine], partial: &[bool], faults: &mut Vec<Fault>) {
    for (line, sum) in lines.iter().zip(sums(lines, partial)) {
        let stated = i64::from(line.count.low);
        let lost_sex = sex_losses(line);
        if !sum.exact {
            continue;
        }
        if stated == sum.expected {
            if lost_sex > 0 && sex_before_losses(line) > i64::from(ploidy(line)) {
                faults.push(Fault::convention(left_over_sex(line)));
            }
            continue;
        }
        let difference = stated - sum.expected;
        let named_losses = replaced_named_as_lost(line);
        let misplaced = misordered_sex(line);
        faults.push(if lost_sex > 0 && difference == -lost_sex {
            Fault::convention(left_over_sex(line))
        } else if named_losses > 0 && difference == named_losses {
            Fault::convention("chromosomes that a fused one replaces are not written as losses")
        } else if misplaced > 0 && difference < 0 && -difference <= misplaced {
            Fault::convention("and the complement lists only the normal sex chromosomes left")
        } else {
            Fault::fatal(format!("count must be {}{}", sum.expected, why(line)))
        });
    }
}

/// What people forget most, said with the count.
fn why(line: &CellLine) -> &'static str {
    let has = |wanted: fn(&Body) -> bool| line.items.iter().any(|i| i.sign.is_none() && wanted(i.body()));
    if has(|b| matches!(b, Body::Unidentified { kind: Unidentified::DoubleMinute, .. } | Body::Acentric { .. })) {
        ": double minutes and fragments are not counted"
    } else if line.items.iter().any(|item| abnormal_sex(item, line) > 0) {
        ": the complement lists the normal sex chromosomes, the abnormal one counts beside it"
    } else if has(|b| {
        matches!(b, Body::Structural(s) if s[0].chromosomes.len() > 1
        && matches!(s[0].kind, Abbreviation::Der | Abbreviation::Rob | Abbreviation::Dic | Abbreviation::Trc))
    }) {
        ": one fused chromosome replaces two"
    } else {
        ""
    }
}

fn left_over_sex(line: &CellLine) -> String {
    let Base::Sex(SexComplement { chromosomes: SexChromosomes::Known { mut x, mut y }, .. }) = line.base else {
        return "the complement lists what is left".into();
    };
    for item in &line.items {
        if let (Some(Sign::Loss), Body::Whole(chromosome)) = (item.sign, item.body()) {
            match chromosome.class {
                Some(ChromosomeClass::X) => x = x.saturating_sub(1),
                Some(ChromosomeClass::Y) => y = y.saturating_sub(1),
                _ => {}
            }
        }
    }
    let left = SexChromosomes::Known { x, y };
    format!("the complement lists what is left: write {left} before the lost sex chromosome")
}

fn sex_losses(line: &CellLine) -> i64 {
    if is_relative(&line.base) || constitutional_complement(&line.base) {
        return 0;
    }
    let lost = |item: &&Item| {
        item.sign == Some(Sign::Loss) && matches!(item.body(), Body::Whole(chromosome) if chromosome.is_sex())
    };
    line.items.iter().filter(lost).map(|item| i64::from(item.times.unwrap_or(1))).sum()
}

/// Sex chromosomes before any was lost: listed, abnormal, and lost.
fn sex_before_losses(line: &CellLine) -> i64 {
    let listed = match line.base {
        Base::Sex(sex) => i64::from(sex.chromosomes.number()),
        _ => 0,
    };
    listed + sex_losses(line) + line.items.iter().map(|item| abnormal_sex(item, line)).sum::<i64>()
}

/// Losses of chromosomes that an unsigned fused chromosome of the same line already replaces.
fn replaced_named_as_lost(line: &CellLine) -> i64 {
    let fused = |class: Option<ChromosomeClass>| {
        line.items.iter().any(|item| {
            matches!(item.body(), Body::Structural(s) if item.sign.is_none() && s[0].chromosomes.len() > 1
                && s[0].chromosomes.iter().any(|c| c.class == class && class.is_some()))
        })
    };
    let lost = |item: &&Item| {
        item.sign == Some(Sign::Loss) && matches!(item.body(), Body::Whole(chromosome) if fused(chromosome.class))
    };
    line.items.iter().filter(lost).count() as i64
}

/// Abnormal sex chromosomes named where the order is wrong too.
fn misordered_sex(line: &CellLine) -> i64 {
    let mut scratch = Vec::new();
    order(line, &mut scratch);
    if scratch.is_empty() { 0 } else { line.items.iter().map(|item| abnormal_sex(item, line)).sum() }
}

// --- order -----------------------------------------------------------------------------------------------

/// X, Y, 1 to 22.
fn rank(class: ChromosomeClass) -> u32 {
    match class {
        ChromosomeClass::X => 0,
        ChromosomeClass::Y => 1,
        class => class.index() as u32 + 2,
    }
}

/// Key that items of a line ascend by: place, constitutional first, gain, loss, structural by alphabet.
fn key(item: &Item) -> (u32, bool, u32, &'static str) {
    const UNKNOWN: u32 = 100;
    let of = |chromosome: &ChromosomeRef| chromosome.class.map_or(UNKNOWN, rank);
    let acquired = item.constitutional.is_none();
    match item.body() {
        Body::Whole(chromosome) => (of(chromosome), acquired, u32::from(item.sign == Some(Sign::Loss)), ""),
        Body::Structural(segments) => (of(&segments[0].chromosomes[0]), acquired, 2, segments[0].kind.name()),
        Body::Variant { chromosome, .. } | Body::ArmShorthand { chromosome, .. } => (of(chromosome), acquired, 2, ""),
        Body::Unidentified { kind, .. } => (UNKNOWN + 1 + *kind as u32, true, 0, ""),
        Body::Acentric { .. } => (UNKNOWN + 5, true, 0, ""),
        Body::Incomplete => (UNKNOWN + 6, true, 0, ""),
    }
}

fn order(line: &CellLine, faults: &mut Vec<Fault>) {
    for pair in line.items.windows(2) {
        if key(&pair[0]) > key(&pair[1]) {
            let (a, b) = (&pair[0], &pair[1]);
            let rule = match (key(a), key(b)) {
                (a, b) if a.0 > 100 || b.0 > 100 => {
                    "derivatives of unknown origin, rings, markers, double minutes come last, in this order"
                }
                (a, b) if a.0 != b.0 => "X, then Y, then autosomes by number",
                (a, b) if a.1 != b.1 => "constitutional before acquired",
                _ => "gain, then loss, then structural by alphabet",
            };
            faults.push(Fault::convention(format!("{b} before {a}: {rule}")));
            break;
        }
    }
    for item in &line.items {
        for body in &item.readings {
            let Body::Structural(segments) = body else { continue };
            if let Some(segment) = segments.iter().find(|s| !first_is_lowest(s)) {
                faults
                    .push(Fault::convention(format!("lower number (X, Y before all) first inside {}", segment.head())));
            }
        }
    }
}

fn first_is_lowest(segment: &Segment) -> bool {
    use Abbreviation as A;
    // In trc the order is that of the pieces; in psu dic the active centromere comes first; ins names the recipient first.
    if segment.pseudo
        || !matches!(segment.kind, A::Chte | A::Chre | A::Quadriradial | A::Trans | A::Der | A::Dic | A::Rob | A::Tas)
    {
        return true;
    }
    let ranks: Option<Vec<u32>> = segment.chromosomes.iter().map(|c| c.class.map(rank)).collect();
    ranks.is_none_or(|ranks| ranks.iter().all(|r| *r >= ranks[0]))
}

// --- conventions -----------------------------------------------------------------------------------------

fn conventions(line: &CellLine, faults: &mut Vec<Fault>) {
    let counted = line.cells.is_some();
    let composite = line.cells.is_some_and(|c| c.composite);
    let constitutional =
        constitutional_complement(&line.base) || line.items.iter().any(|item| item.constitutional.is_some());
    if constitutional && !counted {
        faults.push(Fault::convention("c is for neoplastic samples, which carry a cell number"));
    }
    if line.count.high.is_some() && !composite {
        faults.push(Fault::convention("a range of counts belongs to a composite: [cp..]"));
    }
    if line.items.iter().any(|item| item.cells.is_some()) && !composite {
        faults.push(Fault::convention("cell numbers of single abnormalities belong to a composite: [cp..]"));
    }
    for item in &line.items {
        match (item.body(), item.sign) {
            (Body::Whole(chromosome), Some(_)) if chromosome.is_sex() && !counted && !constitutional => {
                faults.push(Fault::convention(
                    "constitutional sex aneuploidy takes no sign: 47,XXX (the signed form needs a cell number)",
                ));
            }
            (Body::Acentric { .. }, _) => faults.push(Fault::convention(
                "acentric fragments (ace, min) are no part of the karyotype: they belong to the aberration record",
            )),
            (Body::Structural(segments), Some(Sign::Gain)) => {
                let head = &segments[0];
                let replaced = |other: &Item| {
                    other.sign == Some(Sign::Loss)
                        && matches!(other.body(), Body::Whole(c) if c.class.is_some() && head.chromosomes.iter().any(|h| h.class == c.class))
                };
                if head.kind == Abbreviation::Der && line.items.iter().any(replaced) {
                    faults.push(Fault::convention(format!(
                        "{} replaces what it is made of: neither the minus nor the plus is written",
                        head.head()
                    )));
                }
            }
            _ => {}
        }
    }
}

// --- order of cell lines ---------------------------------------------------------------------------------

/// No acquired abnormality: a normal line, or the constitutional one.
fn is_background(line: &CellLine) -> bool {
    match line.base {
        Base::Sex(sex) => {
            let normal = match sex.chromosomes {
                SexChromosomes::Undisclosed => true,
                SexChromosomes::Known { x, y } => x + y == 2 && y < 2,
            };
            line.items.iter().all(|item| item.constitutional.is_some()) && (normal || sex.constitutional.is_some())
        }
        _ => false,
    }
}

fn clone_order(lines: &[CellLine], origin: Option<Origin>, faults: &mut Vec<Fault>) {
    if lines.len() < 2 {
        return;
    }
    let first_background = lines.iter().position(is_background).unwrap_or(lines.len());
    if lines[first_background..].iter().any(|line| !is_background(line)) {
        faults.push(Fault::convention("abnormal cell lines first, the normal one last"));
    }
    for (a, b) in pairs(lines) {
        let (Some(in_a), Some(in_b)) = (a.cells, b.cells) else { continue };
        if is_background(a) != is_background(b) || is_relative(&a.base) || is_relative(&b.base) {
            continue;
        }
        let related = a.items.iter().any(|item| b.items.iter().any(|other| heads(item) == heads(other)));
        if related && origin.is_none() {
            if a.items.len() > b.items.len() {
                faults.push(Fault::convention("related clones go from the simpler to the more complex"));
            }
        } else if in_a.number < in_b.number {
            faults.push(Fault::convention("larger cell line first"));
        } else if in_a.number == in_b.number {
            let gain = |line: &CellLine| line.items.is_empty() && line.count.low > 46;
            let loss = |line: &CellLine| line.items.is_empty() && line.count.low < 46;
            if loss(a) && gain(b) {
                faults.push(Fault::convention("of lines of equal size the gain comes before the loss"));
            }
            if is_background(a) && has_y(a) && !has_y(b) {
                faults.push(Fault::convention("of lines of equal size XX comes before XY"));
            }
        }
    }
}

fn pairs(lines: &[CellLine]) -> impl Iterator<Item = (&CellLine, &CellLine)> {
    lines.iter().enumerate().flat_map(|(i, a)| lines[i + 1..].iter().map(move |b| (a, b)))
}

fn has_y(line: &CellLine) -> bool {
    matches!(line.base, Base::Sex(SexComplement { chromosomes: SexChromosomes::Known { y, .. }, .. }) if y > 0)
}

/// What an abnormality is, apart from its breakpoints.
fn heads(item: &Item) -> (Option<Sign>, String) {
    let text = match item.body() {
        Body::Structural(segments) => segments.iter().map(Segment::head).collect(),
        body => body.to_string(),
    };
    (item.sign, text)
}

/// Worst of the faults.
pub(super) fn worst(faults: &[Fault]) -> Option<Severity> {
    faults.iter().map(|f| f.severity).max()
}

/// Puts abnormalities into the order in which they are written.
pub fn sort_items(items: &mut [Item]) {
    items.sort_by(|a, b| key(a).cmp(&key(b)));
}
