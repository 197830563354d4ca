//! How well a chromosome's bands and length fit a class: as it should be, without the end of an arm, with more at an end, or
//! with one arm twice.
//!
//! Every form foretells bands and a length. Bands count as so many independent observations whose misfit is Gaussian, lengths
//! as one; the sum is a log likelihood up to a constant, so that forms can be compared.

use std::array;

use domain::ChromosomeClass;
use imaging::PROFILE_SAMPLES;

use super::{fitted::profiles::CLASS_PROFILES, iscn::Arm, morphology};

/// Darkness from end to end, the short arm's tip first where it is known.
pub(crate) type Bands = [f32; PROFILE_SAMPLES];

/// Places along a chromosome at which bands are compared; the ends, whose edge is the same in all, are left out.
const PLACES: usize = 46;
const FIRST_PLACE: f32 = 0.05;
const LAST_PLACE: f32 = 0.95;
/// How many independent observations the bands of a whole chromosome are worth.
const OBSERVATIONS: f32 = 14.0;
/// A fit counts up to here: nothing is more alike than two homologs of a cell.
const MAX_FIT: f32 = 0.97;
/// Deviations of the length that count at the most, and the least spread of a class.
const MAX_DEVIATION: f32 = 6.0;
const MIN_SPREAD: f32 = 0.05;
/// Least part of an arm that is lost.
const MIN_LOST: f32 = 0.3;
/// Least part of an arm that is gained.
const MIN_GAINED: f32 = 0.25;
/// Short arms below this share of the length, and those of acrocentric chromosomes, lose nothing that could be seen.
const MIN_SHORT_ARM: f32 = 0.22;
/// How finely places of a break are tried, as shares of the length, and how short the rest may be.
const STEP: f32 = 0.025;
const MIN_KEPT: f32 = 0.3;
const MIN_OWN: f32 = 0.45;

/// What may have become of a chromosome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As its class is.
    Whole,
    /// The end of an arm is missing.
    Deletion,
    /// More follows after the end of an arm.
    Addition,
    /// One arm and its mirror image.
    Isochromosome,
}

/// The best account of a chromosome in one form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Account {
    pub form: Form,
    pub class: ChromosomeClass,
    /// The arm that lost, gained or is there twice; the long one where nothing changed.
    pub arm: Arm,
    /// Part of the arm that was lost or gained, 0 where nothing changed.
    pub share: f32,
    /// Correlation of the bands with what the form foretells, -1 to 1.
    pub fit: f32,
    /// Relative length of the class as it should be, in percent of the haploid autosome length.
    pub usual: f32,
    /// Length against the one that the form foretells, in spreads of the class.
    pub deviation: f32,
    /// Where the form has its centromere, as a share of the length from the first end of the bands that were compared.
    pub centromere: f32,
    /// Log likelihood up to a constant that all forms share, in nats.
    pub nats: f32,
}

/// Bands at a place from 0 to 1.
pub(crate) fn at(bands: &Bands, place: f32) -> f32 {
    let at = (place * PROFILE_SAMPLES as f32 - 0.5).clamp(0.0, (PROFILE_SAMPLES - 1) as f32);
    let (low, share) = (at as usize, at.fract());
    bands[low] * (1.0 - share) + bands[(low + 1).min(PROFILE_SAMPLES - 1)] * share
}

/// Correlation of two rows of as many samples.
pub(crate) fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len().max(1) as f32;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (x - ma, y - mb);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    ab / (aa * bb).sqrt().max(1e-6)
}

fn places() -> [f32; PLACES] {
    array::from_fn(|i| FIRST_PLACE + (LAST_PLACE - FIRST_PLACE) * i as f32 / (PLACES - 1) as f32)
}

/// One chromosome's bands and length against one class.
struct Comparison<'a> {
    bands: &'a Bands,
    class: ChromosomeClass,
    /// Usual relative length of the class, and the chromosome's over it.
    usual: f32,
    length: f32,
    spread: f32,
    best: [Option<Account>; 4],
}

impl Comparison<'_> {
    /// Takes one form into account: `own` are the places of the chromosome that `usual` places of the class explain; it foretells a length
    /// and, from the short arm's end, a centromere.
    fn try_form(
        &mut self,
        (form, arm, share): (Form, Arm, f32),
        (foretold, centromere): (f32, f32),
        weight: f32,
        own: &[f32; PLACES],
        usual: &[f32; PLACES],
    ) {
        let of_class = usual.map(|u| at(&CLASS_PROFILES[self.class.index()].bands, u));
        let deviation = (self.length / foretold).ln() / self.spread;
        for turned in [false, true] {
            let seen = own.map(|u| at(self.bands, if turned { 1.0 - u } else { u }));
            let fit = correlation(&seen, &of_class);
            let explained = fit.clamp(0.0, MAX_FIT).powi(2);
            let far = deviation.abs().min(MAX_DEVIATION);
            let nats = -0.5 * OBSERVATIONS * weight * (1.0 - explained).ln() - 0.5 * far * far;
            let best = &mut self.best[form as usize];
            if best.is_none_or(|b| nats > b.nats) {
                let (class, usual) = (self.class, self.usual);
                let centromere = if turned { 1.0 - centromere } else { centromere };
                *best = Some(Account { form, class, arm, share, fit, usual, deviation, centromere, nats });
            }
        }
    }

    fn whole(&mut self, centromere: f32) {
        self.try_form((Form::Whole, Arm::Long, 0.0), (1.0, centromere), 1.0, &places(), &places());
    }

    fn deletions(&mut self, centromere: f32) {
        let has_short_arm = centromere > MIN_SHORT_ARM && !self.class.is_acrocentric();
        for kept in (0..).map(|k| MIN_KEPT + STEP * k as f32).take_while(|kept| *kept < LAST_PLACE) {
            let lost = 1.0 - kept;
            if kept > centromere + 0.05 && lost >= MIN_LOST * (1.0 - centromere) {
                let share = lost / (1.0 - centromere);
                let usual = places().map(|u| u * kept);
                self.try_form((Form::Deletion, Arm::Long, share), (kept, centromere / kept), 1.0, &places(), &usual);
            }
            if has_short_arm && lost < centromere - 0.02 && lost >= MIN_LOST * centromere {
                let usual = places().map(|u| lost + u * kept);
                let foretold = (kept, (centromere - lost) / kept);
                self.try_form((Form::Deletion, Arm::Short, lost / centromere), foretold, 1.0, &places(), &usual);
            }
        }
    }

    /// The chromosome as it should be takes a part of the length; what lies beyond is not explained.
    fn additions(&mut self, centromere: f32) {
        // With so short a long arm the satellites of either end are more.
        if self.class.is_acrocentric() && self.class.denver_group() == 'G' {
            return;
        }
        for own in (0..).map(|k| MIN_OWN + STEP * k as f32).take_while(|own| *own < 0.96) {
            let gained = 1.0 / own - 1.0;
            let usual: [f32; PLACES] = array::from_fn(|i| FIRST_PLACE + (0.97 - FIRST_PLACE) * i as f32 / 45.0);
            let share = gained / (1.0 - centromere);
            if share >= MIN_GAINED {
                let seen = usual.map(|u| u * own);
                self.try_form((Form::Addition, Arm::Long, share), (1.0 / own, centromere * own), own, &seen, &usual);
            }
            // The short arms of acrocentric chromosomes differ from person to person: more there is no change.
            let share = gained / centromere.max(0.2);
            if share >= MIN_GAINED && !self.class.is_acrocentric() {
                let (seen, usual) = (usual.map(|u| 1.0 - u * own), usual.map(|u| 1.0 - u));
                let foretold = (1.0 / own, 1.0 - (1.0 - centromere) * own);
                self.try_form((Form::Addition, Arm::Short, share), foretold, own, &seen, &usual);
            }
        }
    }

    fn isochromosomes(&mut self, centromere: f32) {
        // 0 at the centromere in the middle, 1 at both ends.
        let out = places().map(|u| (2.0 * u - 1.0).abs());
        let long = out.map(|o| centromere + (1.0 - centromere) * o);
        let short = out.map(|o| centromere * (1.0 - o));
        let form = Form::Isochromosome;
        self.try_form((form, Arm::Long, 1.0), (2.0 * (1.0 - centromere), 0.5), 1.0, &places(), &long);
        // Two short arms of an acrocentric chromosome are no more than a speck.
        if !self.class.is_acrocentric() {
            self.try_form((form, Arm::Short, 1.0), (2.0 * centromere, 0.5), 1.0, &places(), &short);
        }
    }
}

/// Accounts of a chromosome as one of `class`: first as a whole one, then, if `changed`, in every other form that the class can
/// take. `length` is its relative length; none where the class has no profile.
pub(crate) fn accounts(bands: &Bands, length: f32, class: ChromosomeClass, changed: bool) -> Vec<Account> {
    let Some(profile) = CLASS_PROFILES.get(class.index()) else { return Vec::new() };
    let shape = morphology(class);
    let usual = profile.ratio * shape.relative_length;
    let spread = profile.spread.max(MIN_SPREAD);
    let mut comparison = Comparison { bands, class, usual, length: length / usual, spread, best: [None; 4] };
    comparison.whole(shape.centromere_index);
    if changed {
        comparison.deletions(shape.centromere_index);
        comparison.additions(shape.centromere_index);
        comparison.isochromosomes(shape.centromere_index);
    }
    comparison.best.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use imaging::standardise;

    fn of(class: u8, places: impl Fn(f32) -> f32) -> Bands {
        let profile = &CLASS_PROFILES[ChromosomeClass::autosome(class).unwrap().index()];
        let mut bands: Bands =
            array::from_fn(|i| at(&profile.bands, places((i as f32 + 0.5) / PROFILE_SAMPLES as f32)));
        standardise(&mut bands);
        bands
    }

    fn best(bands: &Bands, class: u8, length: f32) -> Account {
        let class = ChromosomeClass::autosome(class).unwrap();
        let usual = CLASS_PROFILES[class.index()].ratio * morphology(class).relative_length;
        let all = accounts(bands, length * usual, class, true);
        all.into_iter().max_by(|a, b| a.nats.total_cmp(&b.nats)).unwrap()
    }

    #[test]
    fn every_form_is_found_from_either_end() {
        let whole = best(&of(5, |u| u), 5, 1.0);
        assert_eq!((whole.form, whole.share), (Form::Whole, 0.0));
        let turned = best(&of(5, |u| 1.0 - u), 5, 1.0);
        assert_eq!(turned.form, Form::Whole);

        let deleted = best(&of(5, |u| 0.6 * u), 5, 0.6);
        assert_eq!((deleted.form, deleted.arm), (Form::Deletion, Arm::Long));
        assert!((deleted.share - 0.4 / 0.7075).abs() < 0.06, "{deleted:?}");

        let short = best(&of(3, |u| 0.3 + 0.7 * u), 3, 0.7);
        assert_eq!((short.form, short.arm), (Form::Deletion, Arm::Short));

        let added = best(&of(7, |u| if u < 0.7 { u / 0.7 } else { 0.31 }), 7, 1.0 / 0.7);
        assert_eq!((added.form, added.arm), (Form::Addition, Arm::Long), "{added:?}");

        let ci = morphology(ChromosomeClass::autosome(17).unwrap()).centromere_index;
        let doubled = best(&of(17, |u| ci + (1.0 - ci) * (2.0 * u - 1.0).abs()), 17, 2.0 * (1.0 - ci));
        assert_eq!((doubled.form, doubled.arm), (Form::Isochromosome, Arm::Long));
    }

    #[test]
    fn longer_short_arms_of_acrocentrics_are_no_additions_there() {
        let class = ChromosomeClass::autosome(14).unwrap();
        let accounts = accounts(&of(14, |u| (u - 0.2).max(0.0) / 0.8), 1.25 * 3.6, class, true);
        assert!(accounts.iter().all(|a| a.form != Form::Addition || a.arm == Arm::Long));
    }
}
