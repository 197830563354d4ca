//! The arithmetic: how many chromosomes a line's abnormalities add up to.
//!
//! 22 x ploidy autosomes, the sex chromosomes listed, +1 for a gain, -1 for a loss; an unsigned abnormality that
//! fuses chromosomes takes what it replaces. The complement lists the normal sex chromosomes that are left, so
//! an abnormal X or Y adds one and a lost one is not taken off again, unless the complement is constitutional.

use super::model::*;

/// Sum over one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum {
    /// The count it should state.
    pub expected: i64,
    /// False for composites, ranges and incomplete lines: then any count goes.
    pub exact: bool,
}

/// Ploidy level: as stated, else the nearest to the count (up to 34: 1, 35 to 57: 2, 58 to 80: 3, ...).
pub(super) fn ploidy(line: &CellLine) -> u32 {
    line.ploidy.unwrap_or_else(|| (line.count.low.saturating_add(11) / 23).max(1))
}

/// Whether the line is written relative to another one.
pub(super) fn is_relative(base: &Base) -> bool {
    matches!(base, Base::Idem(_) | Base::Stemline(_) | Base::Sideline { .. })
}

/// Whether the sex complement is the constitutional one.
pub(super) fn constitutional_complement(base: &Base) -> bool {
    matches!(base, Base::Sex(SexComplement { constitutional: Some(_), .. }))
}

/// The line another one is relative to; an error in words when there is none.
pub(super) fn reference(lines: &[CellLine], at: usize) -> Result<Option<usize>, String> {
    match lines[at].base {
        Base::Sex(_) | Base::NoNormalSex => Ok(None),
        _ if at == 0 => Err("idem, sl and sdl refer to an earlier line: the first has none".into()),
        Base::Idem(_) | Base::Stemline(_) => Ok(Some(0)),
        Base::Sideline { number: None, .. } => Ok(Some(at - 1)),
        Base::Sideline { number: Some(number), .. } => match number as usize {
            n if n >= 1 && n < at => Ok(Some(n)),
            _ => Err(format!("sdl{number} refers to a sideline that is not there yet")),
        },
    }
}

/// Sums of all lines, in order.
pub(super) fn sums(lines: &[CellLine], partial: &[bool]) -> Vec<Sum> {
    let mut sums: Vec<Sum> = Vec::with_capacity(lines.len());
    for (at, line) in lines.iter().enumerate() {
        let (start, mut exact) = match (&line.base, reference(lines, at)) {
            (Base::Sex(sex), _) => (i64::from(22 * ploidy(line) + sex.chromosomes.number()), true),
            (Base::Idem(times) | Base::Stemline(times) | Base::Sideline { times, .. }, Ok(Some(other))) => {
                (i64::from(*times).saturating_mul(sums[other].expected), sums[other].exact)
            }
            _ => (i64::from(22 * ploidy(line)), true),
        };
        exact &= !partial[at] && line.count.high.is_none() && !line.cells.is_some_and(|c| c.composite);
        let mut expected = start;
        for item in &line.items {
            match change(item, line) {
                Some(change) => expected = expected.saturating_add(change),
                None => exact = false,
            }
        }
        // What an inexact line hands on to those relative to it is its stated count.
        sums.push(Sum { expected: if exact { expected } else { i64::from(line.count.low) }, exact });
    }
    sums
}

/// What one abnormality adds; none when that cannot be said.
pub(super) fn change(item: &Item, line: &CellLine) -> Option<i64> {
    let absolute = !is_relative(&line.base);
    let complement_is_what_is_left = absolute && !constitutional_complement(&line.base);
    let times = i64::from(item.times.unwrap_or(1));
    let signed = |sign| match sign {
        Sign::Gain => times,
        Sign::Loss => -times,
    };
    match item.body() {
        Body::Whole(chromosome) => match item.sign? {
            Sign::Loss if chromosome.is_sex() && complement_is_what_is_left => Some(0),
            sign => Some(signed(sign)),
        },
        Body::Structural(segments) => match item.sign {
            Some(sign) => Some(signed(sign)),
            None => Some(times * (abnormal_sex(item, line) - taken(&segments[0]))),
        },
        Body::Unidentified { kind: Unidentified::DoubleMinute, .. } | Body::Acentric { .. } => Some(0),
        Body::Unidentified { quantity, .. } => match quantity {
            Some(Span { high: Some(_), .. } | Span { rough: Some(_), .. }) => None,
            Some(Span { low, .. }) => Some(i64::from(*low).saturating_mul(signed(item.sign?))),
            None => Some(signed(item.sign?)),
        },
        Body::Variant { .. } => Some(abnormal_sex(item, line)),
        Body::ArmShorthand { chromosome, .. } => (!chromosome.is_sex()).then_some(0),
        Body::Incomplete => None,
    }
}

/// Chromosomes that an unsigned abnormality replaces beyond the one it is.
fn taken(head: &Segment) -> i64 {
    match head.kind {
        Abbreviation::Der | Abbreviation::Rob | Abbreviation::Dic | Abbreviation::Trc | Abbreviation::Ring => {
            head.chromosomes.len() as i64 - 1
        }
        _ => 0,
    }
}

/// Abnormal sex chromosomes that an unsigned abnormality names beside the complement.
pub(super) fn abnormal_sex(item: &Item, line: &CellLine) -> i64 {
    if is_relative(&line.base) || constitutional_complement(&line.base) || item.sign.is_some() {
        return 0;
    }
    match item.body() {
        Body::Structural(segments) if segments[0].kind.leaves_number() => 0,
        Body::Structural(segments) => segments[0].chromosomes.iter().filter(|c| c.is_sex()).count() as i64,
        Body::Variant { chromosome, .. } => i64::from(chromosome.is_sex()),
        _ => 0,
    }
}
