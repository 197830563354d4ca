//! What radiation does to a cell's chromosomes: breaks joined wrongly, drawn by dose.

use domain::ChromosomeClass;
use dosimetry::{self, CellSurvival, DosimetryError, Gray};

use super::{
    genome::{ChromosomePlan, ChromosomeSegment},
    ideogram,
    random::SlideRng,
};

/// Exposure of the person whose cells lie on the slide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exposure {
    /// Absorbed dose of the exposed part in gray, 0 to 20.
    pub dose_gy: f64,
    /// Share of the body that was exposed, 0 to 1. Fewer of its cells come to metaphase.
    pub fraction: f64,
}

impl Exposure {
    /// The exposure by the built-in calibration curve.
    ///
    /// # Errors
    /// When dose or share are out of range.
    pub fn by_default_curve(self) -> Result<dosimetry::Exposure, DosimetryError> {
        let curve = dosimetry::built_in(dosimetry::DEFAULT_CURVE)?;
        dosimetry::Exposure::new(&curve, Gray::new(self.dose_gy)?, self.fraction, CellSurvival::default())
    }
}

/// Damages the chromosomes of one cell as the exposure draws it.
pub fn expose(plans: &mut Vec<ChromosomePlan>, exposure: &dosimetry::Exposure, rng: &mut SlideRng) {
    let counts = exposure.draw(rng.generator()).counts;
    let polycentric = std::iter::repeat_n(2, counts.dicentrics as usize)
        .chain(std::iter::repeat_n(3, counts.tricentrics as usize))
        .chain(counts.higher.iter().copied());
    for centromeres in polycentric {
        join(plans, centromeres as usize, rng);
    }
    for _ in 0..counts.rings {
        close_ring(plans, rng);
    }
    // Each exchange has left its fragment; the others are ends lost without an exchange.
    for _ in counts.dicentric_equivalents() + counts.rings..counts.fragments {
        lose_end(plans, rng);
    }
}

/// Takes out a random undamaged chromosome, the longer the likelier.
fn take(plans: &mut Vec<ChromosomePlan>, rng: &mut SlideRng) -> Option<ChromosomePlan> {
    let total: f32 = plans.iter().filter(|p| p.name.is_none()).map(ChromosomePlan::length).sum();
    let mut at = rng.uniform() * total;
    let hit = plans.iter().position(|plan| {
        if plan.name.is_none() {
            at -= plan.length();
        }
        plan.name.is_none() && at <= 0.0
    })?;
    Some(plans.swap_remove(hit))
}

/// Breaks an arm at random: (what keeps the centromere with the break at its end, the lost end beginning at the break).
/// The break lies at least a tenth of the chromosome from the centromere, so that two centromeres stay apart.
fn break_arm(class: ChromosomeClass, rng: &mut SlideRng) -> (ChromosomeSegment, ChromosomeSegment, f32) {
    let (length, middle) = (ideogram::length(class), ideogram::centromere(class));
    let short_arm = rng.uniform() * length < middle - 0.25 * length;
    let (gap, reach) = (0.1 * length, rng.between(0.0, 0.9));
    if short_arm {
        let at = (middle - gap) * (1.0 - reach);
        (ChromosomeSegment::new(class, length, at), ChromosomeSegment::new(class, at, 0.0), at)
    } else {
        let at = middle + gap + (length - middle - gap) * reach;
        (ChromosomeSegment::new(class, 0.0, at), ChromosomeSegment::new(class, at, length), at)
    }
}

/// Which band was hit, in words for the name.
fn band(class: ChromosomeClass, at: f32) -> &'static str {
    ideogram::band_at(class, at).name
}

/// Joins `count` chromosomes into one with as many centromeres; the lost ends join in pairs to fragments.
fn join(plans: &mut Vec<ChromosomePlan>, count: usize, rng: &mut SlideRng) {
    let taken: Vec<ChromosomePlan> = (0..count).map_while(|_| take(plans, rng)).collect();
    if taken.len() < count {
        plans.extend(taken);
        return;
    }
    let (mut kept, mut lost, mut breaks) = (Vec::new(), Vec::new(), Vec::new());
    for (i, plan) in taken.iter().enumerate() {
        let class = plan.class;
        if i == 0 || i + 1 == count {
            let (keep, end, at) = break_arm(class, rng);
            kept.push(if i == 0 { keep } else { keep.reversed() });
            lost.push(end);
            breaks.push((class, band(class, at).to_owned()));
        } else {
            let (length, middle) = (ideogram::length(class), ideogram::centromere(class));
            let (low, high) = (middle * rng.between(0.0, 0.6), length - (length - middle) * rng.between(0.0, 0.6));
            kept.push(ChromosomeSegment::new(class, low, high));
            lost.extend([ChromosomeSegment::new(class, low, 0.0), ChromosomeSegment::new(class, high, length)]);
            breaks.push((class, format!("{}{}", band(class, low), band(class, high))));
        }
    }
    if count == 2 {
        // A dicentric is written with the lower number first.
        breaks.sort_by_key(|(class, _)| *class);
    }
    let join = |parts: Vec<String>| parts.join(";");
    let name = format!(
        "{}({})({})",
        if count == 2 { "dic" } else { "polycentric" },
        join(breaks.iter().map(|(class, _)| class.to_string()).collect()),
        join(breaks.iter().map(|(_, band)| band.clone()).collect()),
    );
    plans.push(ChromosomePlan::rearranged(longest(&kept), kept, name));
    for ends in lost.chunks(2) {
        let segments = ends.iter().enumerate().map(|(i, end)| if i == 0 { end.reversed() } else { *end });
        plans.push(ChromosomePlan::rearranged(longest(ends), segments, "ace"));
    }
}

/// Class of the longest segment.
fn longest(segments: &[ChromosomeSegment]) -> ChromosomeClass {
    segments.iter().max_by(|a, b| a.length().total_cmp(&b.length())).map_or(ChromosomeClass::X, |segment| segment.class)
}

fn close_ring(plans: &mut Vec<ChromosomePlan>, rng: &mut SlideRng) {
    let Some(plan) = take(plans, rng) else { return };
    let class = plan.class;
    let (length, middle) = (ideogram::length(class), ideogram::centromere(class));
    let low = middle * rng.between(0.05, 0.6);
    let high = length - (length - middle) * rng.between(0.05, 0.6);
    let name = format!("r({class})({}{})", band(class, low), band(class, high));
    plans.push(ChromosomePlan {
        ring: true,
        ..ChromosomePlan::rearranged(class, [ChromosomeSegment::new(class, low, high)], name)
    });
    plans.push(ChromosomePlan::rearranged(
        class,
        [ChromosomeSegment::new(class, low, 0.0), ChromosomeSegment::new(class, length, high)],
        "ace",
    ));
}

fn lose_end(plans: &mut Vec<ChromosomePlan>, rng: &mut SlideRng) {
    let Some(plan) = take(plans, rng) else { return };
    let class = plan.class;
    let (keep, lost, at) = break_arm(class, rng);
    plans.push(ChromosomePlan::rearranged(class, [keep], format!("del({class})({})", band(class, at))));
    plans.push(ChromosomePlan::rearranged(class, [lost], "ace"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genome::normal_cell;
    use domain::Sex;

    /// Dicentric equivalents a cell, over so many cells.
    fn mean_found(exposure: Exposure, cells: u64) -> (f64, f64) {
        let exposure = exposure.by_default_curve().unwrap();
        let mut found = 0;
        for cell in 0..cells {
            let mut plans = normal_cell(Sex::Male);
            let before: usize = plans.iter().map(|p| p.centromeres().len()).sum();
            let chromatin: f32 = plans.iter().map(ChromosomePlan::length).sum();
            expose(&mut plans, &exposure, &mut SlideRng::new(7, cell));
            let after: usize = plans.iter().map(|p| p.centromeres().len()).sum();
            assert_eq!(before, after, "no centromere is lost or made");
            let kept: f32 = plans.iter().map(ChromosomePlan::length).sum();
            assert!((kept / chromatin - 1.0).abs() < 1e-3, "no chromatin is lost: {kept} of {chromatin}");
            found += plans.iter().map(|p| p.centromeres().len().saturating_sub(1)).sum::<usize>();
        }
        (found as f64 / cells as f64, exposure.expected_yield())
    }

    #[test]
    fn dicentrics_follow_the_dose_and_the_share_of_the_body() {
        for (dose_gy, fraction) in [(0.5, 1.0), (2.0, 1.0), (4.0, 1.0), (4.0, 0.5)] {
            let (found, expected) = mean_found(Exposure { dose_gy, fraction }, 1500);
            // Four standard errors, with room for the overdispersion of a partial exposure.
            let error = 4.0 * (2.5 * expected / 1500.0).sqrt();
            assert!((found - expected).abs() < error, "{found} for {expected} at {dose_gy} Gy, share {fraction}");
        }
    }

    #[test]
    fn twenty_gray_do_not_run_out_of_chromosomes() {
        let (found, _) = mean_found(Exposure { dose_gy: 20.0, fraction: 1.0 }, 50);
        assert!(found > 8.0, "{found}");
    }
}
