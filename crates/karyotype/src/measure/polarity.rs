//! Which end is up: the short arm, by the class's bands and constriction.
//!
//! For each class a logistic regression on what the profile from one end has over the profile from the other
//! (bands and widths): antisymmetric, so that a flipped chromosome gives the opposite answer. Weights in
//! `fitted/polarity.rs`, learned on the training patients of pki3 (docs/reference/karyotype.md).

use domain::ChromosomeClass;
use imaging::{ChromosomeProfile, PROFILE_SAMPLES};

use crate::fitted::polarity::POLARITY_WEIGHTS;

/// Numbers that a class's answer rests on.
pub const POLARITY_FEATURES: usize = PROFILE_SAMPLES;

/// What the first end has over the last: bands, then widths.
pub fn polarity_features(profile: &ChromosomeProfile) -> [f32; POLARITY_FEATURES] {
    std::array::from_fn(|i| {
        let half = PROFILE_SAMPLES / 2;
        let (values, i, scale) = if i < half { (&profile.bands, i, 1.0) } else { (&profile.widths, i - half, 2.0) };
        // Neighbours together: single samples are noisy.
        let near = |j: usize| {
            let window = &values[j.saturating_sub(1)..(j + 2).min(PROFILE_SAMPLES)];
            window.iter().sum::<f32>() / window.len() as f32
        };
        scale * (near(i) - near(PROFILE_SAMPLES - 1 - i))
    })
}

/// Logit of the probability that the first end is the short arm's, for a chromosome of `class`; 0 when unknown.
pub fn polarity(profile: &ChromosomeProfile, class: ChromosomeClass) -> f32 {
    let Some(weights) = POLARITY_WEIGHTS.get(class.index()) else { return 0.0 };
    polarity_features(profile).iter().zip(weights).map(|(f, w)| f * w).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use imaging::Crop;

    struct Single {
        patient: String,
        class: ChromosomeClass,
        shape: ChromosomeProfile,
    }

    /// Every chromosome of pki3, upright, with its patient.
    fn singles(folder: &std::path::Path) -> Vec<Single> {
        let mut rows = csv::Reader::from_path(folder.join("pki3/index.csv")).unwrap();
        let mut sheet = (String::new(), image::GrayImage::new(1, 1));
        let mut singles = Vec::new();
        for row in rows.records().map(Result::unwrap) {
            let Ok(class) = row[3].parse() else { continue };
            if sheet.0 != row[0] {
                sheet = (row[0].to_owned(), image::open(folder.join("pki3").join(&row[0])).unwrap().to_luma8());
            }
            let n = |i: usize| row[i].parse::<u32>().unwrap();
            let (w, h) = (n(7), n(8));
            let pixels = image::imageops::crop_imm(&sheet.1, n(5), n(6), w, h).to_image().into_raw();
            let mask = pixels.iter().map(|p| u8::from(*p < 255)).collect();
            let crop = Crop { width: w as usize, height: h as usize, pixels, mask, bright: false };
            if let Some(shape) = ChromosomeProfile::of(&crop) {
                // The truth is that the crop stands upright: the end that lies up comes first.
                let shape = if shape.angle.abs() > 90.0 { shape.flipped() } else { shape };
                singles.push(Single { patient: row[2].to_owned(), class, shape });
            }
        }
        singles
    }

    /// A fifth of the patients, by a hash of the name.
    fn held_out(patient: &str) -> bool {
        let hash =
            patient.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        (hash >> 20) % 5 == 0
    }

    fn accuracy(singles: &[&Single]) -> (f64, BTreeMap<ChromosomeClass, (u32, u32)>) {
        let mut by_class: BTreeMap<ChromosomeClass, (u32, u32)> = BTreeMap::new();
        for s in singles {
            let of = by_class.entry(s.class).or_default();
            of.0 += u32::from(polarity(&s.shape, s.class) > 0.0);
            of.1 += 1;
        }
        let right: u32 = by_class.values().map(|c| c.0).sum();
        (f64::from(right) / singles.len() as f64, by_class)
    }

    /// Polarity on patients that the weights have not seen.
    #[test]
    fn the_short_arm_is_found_on_patients_not_trained_on() {
        let Some(folder) = testing::shared_data() else { return testing::skipped("polarity on pki3") };
        let all = singles(&folder);
        let held: Vec<&Single> = all.iter().filter(|s| held_out(&s.patient)).collect();
        let (share, by_class) = accuracy(&held);
        println!("polarity {share:.4} of {} chromosomes", held.len());
        for (class, (right, n)) in &by_class {
            println!("  {class:>2} {:.3} of {n}", f64::from(*right) / f64::from(*n));
        }
        assert!(share > 0.95, "{share}");
    }
}
