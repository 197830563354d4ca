//! What radiation does to a cell's chromosomes: breaks joined wrongly, drawn by dose.

use crate::cell::ChromosomeClass;

use super::{
    genome::{Piece, Plan},
    ideogram,
    random::Draw,
};

/// Exposure of the person whose cells lie on the slide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exposure {
    /// Absorbed dose of the exposed cells in gray, 0 to 20.
    pub dose_gy: f64,
    /// Share of the scored cells that were exposed, 0 to 1.
    pub fraction: f64,
}

/// Mean dicentrics per exposed cell: `0.0013 + 0.0210 D + 0.0631 D^2`, cobalt-60 gamma rays (Barquinero et al. 1995,
/// the low-LET example of IAEA EPR-Biodosimetry 2011).
pub fn mean_dicentrics(dose_gy: f64) -> f64 {
    0.0013 + 0.0210 * dose_gy + 0.0631 * dose_gy * dose_gy
}

/// Centric rings per dicentric; about 1 in 10 after low-LET radiation (IAEA 2011).
const RINGS_PER_DICENTRIC: f64 = 0.1;
/// Excess acentric fragments (terminal deletions) per dicentric; of the order of one half after low-LET radiation.
const DELETIONS_PER_DICENTRIC: f64 = 0.5;

/// Damages the chromosomes of one cell.
pub fn expose(plans: &mut Vec<Plan>, exposure: Exposure, draw: &mut Draw) {
    let exposed = f64::from(draw.uniform()) < exposure.fraction;
    let dicentrics = mean_dicentrics(if exposed { exposure.dose_gy } else { 0.0 });
    for _ in 0..draw.poisson(dicentrics) {
        join_two(plans, draw);
    }
    for _ in 0..draw.poisson(dicentrics * RINGS_PER_DICENTRIC) {
        close_ring(plans, draw);
    }
    for _ in 0..draw.poisson(dicentrics * DELETIONS_PER_DICENTRIC) {
        lose_end(plans, draw);
    }
}

/// Takes out a random undamaged chromosome, the longer the likelier.
fn take(plans: &mut Vec<Plan>, draw: &mut Draw) -> Option<Plan> {
    let total: f32 = plans.iter().filter(|p| p.name.is_none()).map(Plan::length).sum();
    let mut at = draw.uniform() * total;
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
fn break_arm(class: ChromosomeClass, draw: &mut Draw) -> (Piece, Piece, f32) {
    let (length, middle) = (ideogram::length(class), ideogram::centromere(class));
    let short_arm = draw.uniform() * length < middle - 0.25 * length;
    let (gap, reach) = (0.1 * length, draw.between(0.0, 0.9));
    if short_arm {
        let at = (middle - gap) * (1.0 - reach);
        (Piece::new(class, length, at), Piece::new(class, at, 0.0), at)
    } else {
        let at = middle + gap + (length - middle - gap) * reach;
        (Piece::new(class, 0.0, at), Piece::new(class, at, length), at)
    }
}

/// Which band was hit, in words for the name.
fn band(class: ChromosomeClass, at: f32) -> &'static str {
    ideogram::band_at(class, at).name
}

fn join_two(plans: &mut Vec<Plan>, draw: &mut Draw) {
    let Some(first) = take(plans, draw) else { return };
    let Some(second) = take(plans, draw) else {
        plans.push(first);
        return;
    };
    let (keep_a, lost_a, at_a) = break_arm(first.class, draw);
    let (keep_b, lost_b, at_b) = break_arm(second.class, draw);
    let (mut a, mut b) = ((first.class, at_a), (second.class, at_b));
    if b.0 < a.0 {
        std::mem::swap(&mut a, &mut b);
    }
    let name = format!("dic({};{})({};{})", a.0, b.0, band(a.0, a.1), band(b.0, b.1));
    let class = if keep_a.length() >= keep_b.length() { first.class } else { second.class };
    plans.push(Plan::rearranged(class, [keep_a, keep_b.reversed()], name));
    let class = if lost_a.length() >= lost_b.length() { first.class } else { second.class };
    plans.push(Plan::rearranged(class, [lost_a.reversed(), lost_b], "ace"));
}

fn close_ring(plans: &mut Vec<Plan>, draw: &mut Draw) {
    let Some(plan) = take(plans, draw) else { return };
    let class = plan.class;
    let (length, middle) = (ideogram::length(class), ideogram::centromere(class));
    let low = middle * draw.between(0.05, 0.6);
    let high = length - (length - middle) * draw.between(0.05, 0.6);
    let name = format!("r({class})({}{})", band(class, low), band(class, high));
    plans.push(Plan { ring: true, ..Plan::rearranged(class, [Piece::new(class, low, high)], name) });
    plans.push(Plan::rearranged(class, [Piece::new(class, low, 0.0), Piece::new(class, length, high)], "ace"));
}

fn lose_end(plans: &mut Vec<Plan>, draw: &mut Draw) {
    let Some(plan) = take(plans, draw) else { return };
    let class = plan.class;
    let (keep, lost, at) = break_arm(class, draw);
    plans.push(Plan::rearranged(class, [keep], format!("del({class})({})", band(class, at))));
    plans.push(Plan::rearranged(class, [lost], "ace"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cell::Sex, slide::genome::normal_cell};

    fn counts(exposure: Exposure, cells: u64) -> (f64, usize) {
        let mut dicentrics = 0;
        let mut worst = 0;
        for cell in 0..cells {
            let mut plans = normal_cell(Sex::Male);
            let before: usize = plans.iter().map(|p| p.centromeres().len()).sum();
            let dna: f32 = plans.iter().map(Plan::length).sum();
            expose(&mut plans, exposure, &mut Draw::new(7, cell));
            let after: usize = plans.iter().map(|p| p.centromeres().len()).sum();
            assert_eq!(before, after, "no centromere is lost or made");
            let kept: f32 = plans.iter().map(Plan::length).sum();
            assert!((kept / dna - 1.0).abs() < 1e-3, "no chromatin is lost: {kept} of {dna}");
            dicentrics += plans.iter().filter(|p| p.is_dicentric()).count();
            worst = worst.max(plans.len());
        }
        (dicentrics as f64 / cells as f64, worst)
    }

    #[test]
    fn dicentrics_follow_the_dose() {
        for dose in [0.5, 2.0, 4.0] {
            let mean = mean_dicentrics(dose);
            let (found, _) = counts(Exposure { dose_gy: dose, fraction: 1.0 }, 1500);
            // Four standard errors of a Poisson mean.
            assert!((found - mean).abs() < 4.0 * (mean / 1500.0).sqrt() + 0.01, "{found} for {mean} at {dose} Gy");
        }
    }

    #[test]
    fn half_a_body_gives_half_the_mean() {
        let whole = mean_dicentrics(3.0);
        let (found, _) = counts(Exposure { dose_gy: 3.0, fraction: 0.5 }, 2000);
        assert!((found / whole - 0.5).abs() < 0.1, "{found} of {whole}");
    }

    #[test]
    fn twenty_gray_do_not_run_out_of_chromosomes() {
        let (found, _) = counts(Exposure { dose_gy: 20.0, fraction: 1.0 }, 50);
        assert!(found > 8.0, "{found}");
    }
}
