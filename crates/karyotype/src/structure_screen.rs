//! Structural candidates by the look of one chromosome: rings, isochromosomes, deletions, additions, fragments. Named with
//! what they rest on, for a person to look at; never a diagnosis.
//!
//! Only chromosomes that lie apart are judged (about a third of a real cell's), and thresholds are so strict that a normal
//! real cell has a candidate in less than one case of ten (docs/reference/karyotype.md).

use std::sync::LazyLock;

use super::{
    interpret::{is_withheld, tell_candidates},
    iscn::Arm,
    measure::{SAMPLES, Shape, standardise},
};
use domain::{Cell, Chromosome, ChromosomeClass, Damage, Status};

/// A hole from this share of the chromosome's area on is a ring's.
const RING: f32 = 0.05;
/// Deviations of length in units of its usual spread.
const SHORT: f32 = -4.0;
const LONG: f32 = 4.5;
/// A length is odd only together with bands that fit the class less than this (correlation).
const UNLIKE: f32 = 0.6;
/// An isochromosome fits one arm and its mirror image so well, and so much better than the class as it should be.
const MIRRORED: f32 = 0.75;
const BETTER: f32 = 0.1;
/// A piece without class that is shorter than this, in percent of the haploid autosome length (21 has 1.9).
const FRAGMENT: f32 = 1.2;
/// Surer than this of its class, or nothing is said of how it departs from it.
const MIN_CLASS_SCORE: f32 = 0.8;
/// More bent ones are measured less well.
const STRAIGHT: f32 = 0.12;

/// What a class looks like: learned on training cells of cil (`learn_profiles`).
struct Profile {
    /// Its relative length over the textbook's: median, and spread over cells.
    ratio: f32,
    spread: f32,
    /// Its bands, mean 0 and spread 1, from the short arm's end.
    bands: [f32; SAMPLES],
}

impl Profile {
    /// One arm of the class and its mirror image: an isochromosome's bands.
    fn mirrored(&self, class: ChromosomeClass, arm: Arm) -> [f32; SAMPLES] {
        let constriction = super::morphology(class).centromere_index;
        let at = |place: f32| {
            let at = (place * SAMPLES as f32 - 0.5).clamp(0.0, (SAMPLES - 1) as f32);
            let (low, share) = (at as usize, at.fract());
            self.bands[low] * (1.0 - share) + self.bands[(low + 1).min(SAMPLES - 1)] * share
        };
        let mut bands: [f32; SAMPLES] = std::array::from_fn(|i| {
            // 0 at the centromere in the middle, 1 at both ends.
            let out = (2.0 * (i as f32 + 0.5) / SAMPLES as f32 - 1.0).abs();
            match arm {
                Arm::Long => at(constriction + (1.0 - constriction) * out),
                Arm::Short => at(constriction * (1.0 - out)),
            }
        });
        standardise(&mut bands);
        bands
    }
}

static PROFILES: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    let read = |line: &str| {
        let mut numbers = line.split(' ').filter_map(|n| n.parse::<f32>().ok()).map(|n| n / 1000.0);
        let (ratio, spread) = (numbers.next()?, numbers.next()?);
        let bands: Vec<f32> = numbers.collect();
        Some(Profile { ratio, spread, bands: bands.try_into().ok()? })
    };
    include_str!("profiles.txt").lines().filter_map(read).collect()
});

/// Looks at every chromosome of an interpreted, measured cell and marks candidates: `damage`, `evidence`, findings and the
/// reason; the verdict stays.
/// `shapes` go with `cell.chromosomes`. Marks of a person or of another stage stay.
pub fn screen_structure(cell: &mut Cell, shapes: &[Option<Shape>]) {
    // Where nothing was classified nothing is unlike its class.
    if cell.chromosomes.iter().all(|c| c.class.is_none()) {
        return;
    }
    for (chromosome, shape) in cell.chromosomes.iter_mut().zip(shapes) {
        let Some(shape) = shape else { continue };
        if chromosome.damage != Damage::None || is_withheld(chromosome) {
            continue;
        }
        if let Some((damage, text)) = candidate(chromosome, shape) {
            chromosome.damage = damage;
            chromosome.evidence = Some(format!("{CANDIDATE}{text}"));
        }
    }
    tell_candidates(cell);
}

/// How the evidence of a candidate begins.
pub(super) const CANDIDATE: &str = "candidate ";

fn candidate(chromosome: &Chromosome, shape: &Shape) -> Option<(Damage, String)> {
    if !shape.apart || matches!(chromosome.status, Status::Crossing) {
        return None;
    }
    if shape.hole >= RING {
        return Some((Damage::Ring, format!("ring: it encloses a hole of {:.0} % of its area", 100.0 * shape.hole)));
    }
    if shape.bend > STRAIGHT || shape.hole > 0.01 {
        return None;
    }
    let length = chromosome.relative_length?;
    let Some(class) = chromosome.class.filter(|_| chromosome.score >= MIN_CLASS_SCORE) else {
        let small = length < FRAGMENT && chromosome.class.is_none() && chromosome.objectness > 0.5;
        return small.then(|| (Damage::Fragment, format!("fragment or marker: {length:.1} % long, like no class")));
    };
    let profile = PROFILES.get(class.index())?;
    let usual = profile.ratio * super::morphology(class).relative_length;
    let off = (length / usual - 1.0) * profile.ratio / profile.spread;
    let fits = correlation(&shape.bands, &profile.bands).max(correlation(&shape.flipped().bands, &profile.bands));
    let bands = format!("its bands fit the class with {fits:.2}");
    for arm in [Arm::Long, Arm::Short] {
        let alike = correlation(&shape.bands, &profile.mirrored(class, arm));
        if alike > MIRRORED && alike > fits + BETTER {
            let arm = arm.letter();
            let text = format!("isochromosome of {class}{arm}: two arms like {class}{arm} ({alike:.2}), {bands}");
            return Some((Damage::Other, text));
        }
    }
    let told = format!("{length:.1} % long where {usual:.1} are usual, {bands}");
    if fits < UNLIKE && off < SHORT {
        return Some((Damage::Other, format!("deletion of {class}: {told}")));
    }
    (fits < UNLIKE && off > LONG).then(|| (Damage::Other, format!("additional material on {class}: {told}")))
}

/// Correlation of two profiles that both have mean 0 and spread 1.
fn correlation(a: &[f32; SAMPLES], b: &[f32; SAMPLES]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>() / SAMPLES as f32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{karyogram::Crop, measure, morphology, tests_support::cell_with};

    /// A chromosome as its class looks.
    fn typical(class: ChromosomeClass) -> Shape {
        let profile = &PROFILES[class.index()];
        Shape {
            length: 20.0 * morphology(class).relative_length * profile.ratio,
            angle: 0.0,
            bands: profile.bands,
            widths: [1.0; SAMPLES],
            apart: true,
            hole: 0.0,
            bend: 0.02,
        }
    }

    fn looked_at(change: impl Fn(usize, &mut Shape)) -> Cell {
        let mut cell = cell_with(&[]);
        let mut shapes: Vec<Option<Shape>> = cell.chromosomes.iter().map(|c| Some(typical(c.class.unwrap()))).collect();
        for (i, shape) in shapes.iter_mut().enumerate() {
            change(i, shape.as_mut().unwrap());
        }
        measure::lengths(&mut cell, &shapes);
        screen_structure(&mut cell, &shapes);
        cell
    }

    #[test]
    fn what_looks_like_its_class_is_no_candidate() {
        assert_eq!(PROFILES.len(), 24);
        let cell = looked_at(|_, _| {});
        assert!(cell.chromosomes.iter().all(|c| c.damage == Damage::None), "{:?}", cell.chromosomes);
    }

    #[test]
    fn rings_isochromosomes_and_deletions_are_named_with_their_evidence() {
        let cell = looked_at(|i, shape| match i {
            0 => shape.hole = 0.3,
            // The long arm of a 7 twice.
            12 => {
                let seven = ChromosomeClass::autosome(7).unwrap();
                shape.bands = PROFILES[seven.index()].mirrored(seven, Arm::Long);
            }
            // Half of a 5 alone.
            8 => {
                shape.length *= 0.5;
                let all = shape.bands;
                shape.bands = std::array::from_fn(|k| all[k / 2]);
                standardise(&mut shape.bands);
            }
            _ => {}
        });
        let told = |i: usize| cell.chromosomes[i].evidence.clone().unwrap_or_default();
        assert_eq!(cell.chromosomes[0].damage, Damage::Ring);
        assert!(told(0).contains("ring") && told(8).contains("deletion of 5"), "{} {}", told(0), told(8));
        assert!(told(12).contains("isochromosome of 7q"), "{}", told(12));
        let marked = cell.chromosomes.iter().filter(|c| c.damage != Damage::None).count();
        assert_eq!(marked, 3);
    }

    #[test]
    fn what_touches_a_neighbour_is_not_judged() {
        let cell = looked_at(|i, shape| {
            shape.apart = i > 3;
            if i < 3 {
                (shape.hole, shape.length) = (0.4, shape.length * 0.3);
            }
        });
        assert!(cell.chromosomes.iter().all(|c| c.damage == Damage::None));
    }

    /// Learns the profiles from boxes of training cells of cil and writes them.
    #[test]
    #[ignore = "writes profiles.txt"]
    fn learn_profiles() {
        let Some(folder) = testing::shared_data() else { return testing::skipped("learn_profiles") };
        let folder = folder.join("cil");
        let rows = |path: std::path::PathBuf| {
            let mut reader = csv::Reader::from_path(path).unwrap();
            reader.records().map(Result::unwrap).collect::<Vec<_>>()
        };
        let splits = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/training/splits/cil.csv");
        let train: Vec<String> =
            rows(splits).into_iter().filter(|r| &r[2] == "train").map(|r| r[0].to_owned()).collect();
        // Normal, diploid by its boxes, nothing drawn in.
        let normal: Vec<String> = rows(folder.join("cells.csv"))
            .into_iter()
            .filter(|r| &r[5] == "normal" && r[10].is_empty() && matches!(&r[13], "" | "0"))
            .map(|r| r[0].to_owned())
            .collect();
        let mut boxes: BTreeMap<String, Vec<(ChromosomeClass, [u32; 4])>> = BTreeMap::new();
        for r in rows(folder.join("annotations.csv")) {
            let n = |i: usize| r[i].parse::<i32>().unwrap().max(0).cast_unsigned();
            boxes.entry(r[0].to_owned()).or_default().push((r[1].parse().unwrap(), [n(2), n(3), n(4), n(5)]));
        }
        let mut ratios: Vec<Vec<f32>> = vec![Vec::new(); 24];
        let mut bands: Vec<Vec<[f32; SAMPLES]>> = vec![Vec::new(); 24];
        for name in normal.iter().filter(|n| train.contains(n)).step_by(8) {
            let picture = image::open(folder.join("images").join(name)).unwrap().to_luma8();
            let clear: Vec<(ChromosomeClass, Shape)> = boxes[name]
                .iter()
                .filter_map(|(class, [x0, y0, x1, y1])| {
                    let (w, h) = (x1.min(&picture.width()) - x0, y1.min(&picture.height()) - y0);
                    let crop = image::imageops::crop_imm(&picture, *x0, *y0, w, h).to_image();
                    Some((*class, Shape::of(&Crop::new(w as usize, h as usize, crop.into_raw()))?))
                })
                .filter(|(_, shape)| shape.apart && shape.hole < 0.01 && shape.bend < STRAIGHT)
                .collect();
            let autosomes = || clear.iter().filter(|(class, _)| !class.is_sex());
            let measured: f32 = autosomes().map(|(_, shape)| shape.length).sum();
            let usual: f32 = autosomes().map(|(class, _)| morphology(*class).relative_length).sum();
            if usual < 30.0 {
                continue;
            }
            for (class, shape) in clear {
                ratios[class.index()].push(shape.length * usual / measured / morphology(class).relative_length);
                let upright = if measure::polarity(&shape, class) < 0.0 { shape.flipped() } else { shape };
                bands[class.index()].push(upright.bands);
            }
        }
        let middle = |values: &mut Vec<f32>| {
            values.sort_by(f32::total_cmp);
            values[values.len() / 2]
        };
        let mut text = String::new();
        for (ratios, bands) in ratios.iter_mut().zip(&bands) {
            let ratio = middle(ratios);
            let mut off: Vec<f32> = ratios.iter().map(|r| (r - ratio).abs()).collect();
            let spread = 1.4826 * middle(&mut off);
            let mut mean = [0.0_f32; SAMPLES];
            bands.iter().for_each(|own| mean.iter_mut().zip(own).for_each(|(m, b)| *m += b));
            standardise(&mut mean);
            let numbers = [ratio, spread].into_iter().chain(mean).map(|v| format!("{:.0}", 1000.0 * v));
            text.push_str(&(numbers.collect::<Vec<_>>().join(" ") + "\n"));
            println!("{} chromosomes, ratio {ratio:.3}, spread {spread:.3}", bands.len());
        }
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/profiles.txt");
        std::fs::write(path, text).unwrap();
    }
}
