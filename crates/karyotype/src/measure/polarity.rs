//! Which end is up: the short arm, told by the class's bands and constriction.
//!
//! For each class a logistic regression on what the profile from one end has over the profile from the other
//! (bands and widths): antisymmetric, so that a flipped chromosome gives the opposite answer. Weights in
//! `polarity.txt`, learned on the training patients of pki3 (docs/reference/karyotype.md).

use std::sync::LazyLock;

use super::straighten::{SAMPLES, Shape};
use domain::ChromosomeClass;

/// Numbers that a class's answer rests on.
pub(super) const FEATURES: usize = SAMPLES;

const TABLE: &str = include_str!("polarity.txt");

static WEIGHTS: LazyLock<Vec<Vec<f32>>> = LazyLock::new(|| {
    TABLE
        .lines()
        .map(|line| line.split(' ').filter_map(|w| w.parse::<i32>().ok()).map(|w| w as f32 / 1000.0).collect())
        .collect()
});

/// What the first end has over the last: bands, then widths.
pub(super) fn features(shape: &Shape) -> [f32; FEATURES] {
    std::array::from_fn(|i| {
        let half = SAMPLES / 2;
        let (profile, i, scale) = if i < half { (&shape.bands, i, 1.0) } else { (&shape.widths, i - half, 2.0) };
        // Neighbours together: single samples are noisy.
        let near = |j: usize| {
            let window = &profile[j.saturating_sub(1)..(j + 2).min(SAMPLES)];
            window.iter().sum::<f32>() / window.len() as f32
        };
        scale * (near(i) - near(SAMPLES - 1 - i))
    })
}

/// Logit of the probability that the first end is the short arm's, for a chromosome of `class`; 0 when unknown.
pub fn polarity(shape: &Shape, class: ChromosomeClass) -> f32 {
    let Some(weights) = WEIGHTS.get(class.index()).filter(|w| w.len() == FEATURES) else { return 0.0 };
    features(shape).iter().zip(weights).map(|(f, w)| f * w).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::karyogram::Crop;

    struct Single {
        patient: String,
        class: ChromosomeClass,
        shape: Shape,
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
            if let Some(shape) = Shape::of(&crop) {
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

    /// Learns the weights from the training patients and writes them.
    #[test]
    #[ignore = "writes polarity.txt"]
    fn learn_polarity() {
        let Some(folder) = testing::shared_data() else { return testing::skipped("learn_polarity") };
        let all = singles(&folder);
        let mut lines = Vec::new();
        for class in ChromosomeClass::all() {
            let samples: Vec<[f32; FEATURES]> =
                all.iter().filter(|s| s.class == class && !held_out(&s.patient)).map(|s| features(&s.shape)).collect();
            // Full-batch gradient steps with momentum on the logistic loss, ridge against noise. Every sample is
            // upright: the flipped half follows from antisymmetry.
            let mut w = [0.0_f32; FEATURES];
            let mut velocity = [0.0_f32; FEATURES];
            let n = samples.len() as f32;
            for _ in 0..600 {
                let mut gradient = [0.0_f32; FEATURES];
                for x in &samples {
                    let z: f32 = x.iter().zip(&w).map(|(a, b)| a * b).sum();
                    let p = 1.0 / (1.0 + z.exp());
                    gradient.iter_mut().zip(x).for_each(|(g, x)| *g += p * x / n);
                }
                for i in 0..FEATURES {
                    velocity[i] = 0.9 * velocity[i] + 0.1 * (gradient[i] - 0.002 * w[i]);
                    w[i] += velocity[i];
                }
            }
            lines.push(w.map(|w| ((w * 1000.0).round() as i32).to_string()).join(" "));
        }
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/measure/polarity.txt");
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
    }
}
