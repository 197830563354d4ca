//! Which end of a chromosome is the short arm's: a logistic regression a class.

use std::{error::Error, path::Path};

use domain::ChromosomeClass;
use imaging::{ChromosomeProfile, Crop};
use karyotype::measure::{POLARITY_FEATURES, polarity_features};

use crate::{
    Outcome,
    output::{decimal, write_rust},
};

/// Steps of the descent; momentum and step size were not searched.
const STEPS: usize = 600;
const RIDGE: f32 = 0.002;

/// One chromosome of pki3.
struct Single {
    patient: String,
    class: ChromosomeClass,
    features: [f32; POLARITY_FEATURES],
}

/// Learns on four fifths of the patients, prints the accuracy on the others, and writes the weights where that is asked
/// for.
pub fn run(data: &Path, write: bool) -> Outcome {
    let singles = read(data)?;
    let mut rows = Vec::new();
    let (mut right, mut all) = (0, 0);
    for class in ChromosomeClass::all() {
        let (held, train): (Vec<&Single>, Vec<&Single>) =
            singles.iter().filter(|s| s.class == class).partition(|s| is_held_out(&s.patient));
        let weights = learn(&train);
        let logit = |s: &Single| s.features.iter().zip(&weights).map(|(f, w)| f * w).sum::<f32>();
        let of_class = held.iter().filter(|s| logit(s) > 0.0).count();
        println!("{class:>2} {:.3} of {}", of_class as f64 / held.len().max(1) as f64, held.len());
        (right, all) = (right + of_class, all + held.len());
        rows.push(format!("[{}]", weights.map(|w| decimal(f64::from(w), 3)).join(", ")));
    }
    println!("polarity {:.4} of {all} chromosomes of patients left out", f64::from(right as u32) / all.max(1) as f64);
    if !write {
        return Ok(());
    }
    let body = format!(
        "pub(crate) const POLARITY_WEIGHTS: [[f32; {POLARITY_FEATURES}]; {}] = [{}];\n",
        rows.len(),
        rows.join(",\n")
    );
    let what = "Weights of the polarity of each class, in the order 1 to 22, X, Y.";
    write_rust("crates/karyotype/src/fitted/polarity.rs", what, "polarity DATA --write", &body)
}

/// Every chromosome of pki3, upright, with its patient.
fn read(data: &Path) -> Result<Vec<Single>, Box<dyn Error>> {
    let folder = data.join("pki3");
    let mut rows = csv::Reader::from_path(folder.join("index.csv"))?;
    let mut sheet = (String::new(), image::GrayImage::new(1, 1));
    let mut singles = Vec::new();
    for row in rows.records() {
        let row = row?;
        let Ok(class) = row[3].parse() else { continue };
        if sheet.0 != row[0] {
            sheet = (row[0].to_owned(), image::open(folder.join(&row[0]))?.to_luma8());
        }
        let [left, top, width, height] = [row[5].parse()?, row[6].parse()?, row[7].parse()?, row[8].parse::<u32>()?];
        let pixels = image::imageops::crop_imm(&sheet.1, left, top, width, height).to_image().into_raw();
        let mask = pixels.iter().map(|p| u8::from(*p < 255)).collect();
        let crop = Crop { width: width as usize, height: height as usize, pixels, mask, bright: false };
        if let Some(profile) = ChromosomeProfile::of(&crop) {
            // The truth is that the crop stands upright: the end that lies up comes first.
            let profile = if profile.angle.abs() > 90.0 { profile.flipped() } else { profile };
            singles.push(Single { patient: row[2].to_owned(), class, features: polarity_features(&profile) });
        }
    }
    Ok(singles)
}

/// A fifth of the patients, by a hash (FNV-1a) of the name.
fn is_held_out(patient: &str) -> bool {
    let hash = patient.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    (hash >> 20) % 5 == 0
}

/// Full-batch gradient steps with momentum on the logistic loss, ridge against noise. Every sample is upright: the
/// flipped half follows from antisymmetry.
fn learn(samples: &[&Single]) -> [f32; POLARITY_FEATURES] {
    let mut weights = [0.0_f32; POLARITY_FEATURES];
    let mut velocity = [0.0_f32; POLARITY_FEATURES];
    let n = samples.len() as f32;
    for _ in 0..STEPS {
        let mut gradient = [0.0_f32; POLARITY_FEATURES];
        for sample in samples {
            let z: f32 = sample.features.iter().zip(&weights).map(|(a, b)| a * b).sum();
            let p = 1.0 / (1.0 + z.exp());
            gradient.iter_mut().zip(&sample.features).for_each(|(g, x)| *g += p * x / n);
        }
        for i in 0..POLARITY_FEATURES {
            velocity[i] = 0.9 * velocity[i] + 0.1 * (gradient[i] - RIDGE * weights[i]);
            weights[i] += velocity[i];
        }
    }
    weights
}
