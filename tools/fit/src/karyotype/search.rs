//! Searches over settings, without networks.

use std::thread;

use domain::{Captured, Cell, ChromosomeClass, Verdict};
use karyotype::{Assignment, KaryotypeSettings};
use metaphased::{
    evaluate::{
        Edit,
        karyotype::{Faults, RecognisedCell, reported},
    },
    interpretation::{SelectedBoxes, each_of},
};
use uuid::Uuid;

/// Goals of gain sensitivity, loss sensitivity and specificity, and what a shortfall of each costs in coverage. A false alarm weighs most.
const GOALS: [(f64, f64); 3] = [(0.92, 4.0), (0.85, 4.0), (0.98, 12.0)];

/// Rounds after which a search stops, wherever it is: few cells may have no best place.
const ROUNDS: usize = 200;

/// A number that is searched.
struct Parameter {
    get: fn(&mut KaryotypeSettings) -> &mut f64,
    step: f64,
    range: (f64, f64),
}

const SELECTION: &[Parameter] = &[
    Parameter { get: |s| &mut s.penalties.missing, step: 1.0, range: (0.5, 12.0) },
    Parameter { get: |s| &mut s.penalties.extra, step: 1.0, range: (0.5, 12.0) },
    Parameter { get: |s| &mut s.penalties.rivals, step: 2.0, range: (0.0, 30.0) },
    Parameter { get: |s| &mut s.rival_iou, step: 0.1, range: (0.05, 0.8) },
];

const KARYOTYPES: &[Parameter] = &[
    Parameter { get: |s| &mut s.penalties.gain, step: 1.0, range: (1.0, 12.0) },
    Parameter { get: |s| &mut s.penalties.loss, step: 1.0, range: (1.0, 12.0) },
    Parameter { get: |s| &mut s.penalties.miss, step: 1.0, range: (1.5, 12.0) },
    Parameter { get: |s| &mut s.penalties.unselected, step: 1.0, range: (0.0, 8.0) },
    Parameter { get: |s| &mut s.penalties.duplicate, step: 1.0, range: (1.0, 14.0) },
    Parameter { get: |s| &mut s.class_temperature, step: 0.2, range: (0.5, 4.0) },
    Parameter { get: |s| &mut s.temperature, step: 0.2, range: (0.4, 4.0) },
];

/// The settings that serve these cells best, searched from `start`; with `hold_selection` those by which boxes are selected stay.
pub fn fitted(cells: &[&RecognisedCell], start: &KaryotypeSettings, hold_selection: bool) -> KaryotypeSettings {
    let of_selection = if hold_selection { &[] } else { SELECTION };
    let settings = search(start.clone(), of_selection, 3, |s| {
        let faults =
            every(cells, |seen| fault_price(&Faults::of(&SelectedBoxes::of(&seen.recognised, s), &seen.boxes)));
        faults.iter().sum::<f64>() / faults.len() as f64
    });
    let selected = every(cells, |seen| SelectedBoxes::of(&seen.recognised, &settings));
    let pairs: Vec<(&RecognisedCell, &SelectedBoxes)> = cells.iter().copied().zip(&selected).collect();
    let settings = search(settings, KARYOTYPES, 4, |s| {
        let losses = every(&pairs, |(seen, selected)| log_loss(seen, selected, s));
        losses.iter().sum::<f64>() / losses.len() as f64
    });
    with_thresholds(cells, settings)
}

/// Wrong boxes and classes of a cell as one number: a cell that is wholly right is worth two of them, and a hopeless
/// one weighs no more than a bad one.
fn fault_price(faults: &Faults) -> f64 {
    let n = faults.missing.len() + faults.extra.len() + faults.mistaken.len();
    n.min(5) as f64 + if n > 0 { 2.0 } else { 0.0 }
}

/// Minus the logarithm of the probability that the stage gives to what is true: of each autosome fewer, as many or
/// more, and of the cell whether it is normal. Capped, for annotations err too.
fn log_loss(seen: &RecognisedCell, selected: &SelectedBoxes, settings: &KaryotypeSettings) -> f64 {
    let Some(assignment) = selected.assess(settings) else { return 0.0 };
    let price = |p: f64| -p.clamp(2e-3, 1.0).ln();
    let normal = f64::from(assignment.normal);
    let mut loss = price(if seen.truth.is_empty() { normal } else { 1.0 - normal });
    for class in ChromosomeClass::all().filter(|c| !c.is_sex()) {
        let [fewer, more] = assignment.marginals[class.index()].map(f64::from);
        loss += price(match seen.truth.get(&class).copied().unwrap_or(0) {
            0 => 1.0 - fewer - more,
            extra if extra < 0 => fewer,
            _ => more,
        });
    }
    loss
}

/// The thresholds with the most coverage of edited cells whose sensitivities and specificity reach the goals; where
/// none does, those that come nearest. Untouched cells without a known change count for the specificity, too.
fn with_thresholds(cells: &[&RecognisedCell], settings: KaryotypeSettings) -> KaryotypeSettings {
    let known: Vec<&RecognisedCell> =
        cells.iter().copied().filter(|c| c.edit.is_some() || c.truth.is_empty()).collect();
    let prepared: Vec<Option<(SelectedBoxes, Assignment)>> = every(&known, |seen| {
        let selected = SelectedBoxes::of(&seen.recognised, &settings);
        let assignment = selected.assess(&settings)?;
        Some((selected, assignment))
    });
    let mut best: Option<(f64, KaryotypeSettings)> = None;
    for gain_posterior in [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] {
        for finding_posterior in [0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9] {
            for normal_posterior in [0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97] {
                let tried =
                    KaryotypeSettings { gain_posterior, finding_posterior, normal_posterior, ..settings.clone() };
                let value = threshold_value(&known, &prepared, &tried);
                if best.as_ref().is_none_or(|(most, _)| value > *most) {
                    best = Some((value, tried));
                }
            }
        }
    }
    best.map_or(settings, |(_, settings)| settings)
}

/// Coverage of edited cells, less what it costs that sensitivities and specificity fall short of their goals.
fn threshold_value(
    known: &[&RecognisedCell],
    prepared: &[Option<(SelectedBoxes, Assignment)>],
    settings: &KaryotypeSettings,
) -> f64 {
    let mut sums = [(0.0, 0.0); 3];
    let mut covered = 0.0;
    let blank = Cell::new(Uuid::nil(), "fit", "fit", Captured::at("", 0, [0; 2]));
    for (seen, prepared) in known.iter().zip(prepared) {
        let Some((selected, assignment)) = prepared else { continue };
        let mut cell = blank.clone();
        selected.conclude(&mut cell, assignment, settings);
        if cell.karyotype.verdict == Verdict::NotAssessable {
            continue;
        }
        covered += f64::from(u8::from(seen.edit.is_some()));
        let change = |class| reported(&cell).get(&class).copied().unwrap_or(0);
        let (at, right) = match seen.edit.map(|applied| (applied.edit, applied.class)) {
            Some((Edit::Gain, class)) => (0, change(class) > 0),
            Some((Edit::Loss, class)) => (1, change(class) < 0),
            Some((Edit::Sham, _)) | None => (2, cell.karyotype.verdict == Verdict::Normal),
        };
        sums[at].0 += f64::from(u8::from(right));
        sums[at].1 += 1.0;
    }
    let shortfall: f64 = sums
        .iter()
        .zip(GOALS)
        .map(|((right, all), (goal, cost))| cost * (goal - right / f64::max(*all, 1.0)).max(0.0))
        .sum();
    let edited = known.iter().filter(|seen| seen.edit.is_some()).count();
    covered / edited.max(1) as f64 - shortfall
}

/// Pattern search: every parameter a step up or down while that helps, then steps of half the size.
fn search(
    start: KaryotypeSettings,
    parameters: &[Parameter],
    halvings: i32,
    cost: impl Fn(&KaryotypeSettings) -> f64,
) -> KaryotypeSettings {
    let mut best = (cost(&start), start);
    for halving in 0..halvings {
        for _ in 0..ROUNDS {
            let before = best.0;
            for parameter in parameters {
                for direction in [1.0, -1.0] {
                    let mut tried = best.1.clone();
                    let value = (parameter.get)(&mut tried);
                    let moved = *value + direction * parameter.step / 2_f64.powi(halving);
                    *value = (moved.clamp(parameter.range.0, parameter.range.1) * 1e3).round() / 1e3;
                    let price = cost(&tried);
                    if price < best.0 {
                        best = (price, tried);
                        break;
                    }
                }
            }
            if before - best.0 < 2e-3 || !before.is_finite() {
                break;
            }
        }
    }
    best.1
}

/// One value an item, in order, worked out on all cores.
fn every<I: Sync, T: Send>(items: &[I], one: impl Fn(&I) -> T + Sync) -> Vec<T> {
    each_of(items, thread::available_parallelism().map_or(1, usize::from), one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_finds_the_bottom_of_a_bowl() {
        let cost = |s: &KaryotypeSettings| {
            (s.penalties.missing - 2.5).powi(2) + (s.penalties.extra - 6.0).powi(2) + (s.rival_iou - 0.2).powi(2) * 40.0
        };
        let found = search(KaryotypeSettings::default(), SELECTION, 5, cost);
        assert!(cost(&found) < 0.05, "{found:?}");
    }
}
