//! How long each class is and where its centromere lies.

use domain::ChromosomeClass;

/// Expected shape of a class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Morphology {
    /// Length in percent of the haploid autosome length.
    pub relative_length: f32,
    /// Its standard deviation over cells.
    pub relative_length_sd: f32,
    /// Short arm over whole length, 0 to 0.5.
    pub centromere_index: f32,
    /// Its standard deviation over cells.
    pub centromere_index_sd: f32,
}

/// Relative length, its deviation, centromere index, its deviation (all in percent) in the order 1..22, X, Y:
/// measurements of the Paris Conference (1971) as printed in older ISCN editions, from memory; the deviations are
/// unconfirmed.
const TABLE: [[f32; 4]; ChromosomeClass::COUNT] = [
    [8.44, 0.433, 48.36, 1.166],
    [8.02, 0.397, 39.23, 1.824],
    [6.83, 0.315, 46.95, 1.557],
    [6.30, 0.284, 29.07, 1.867],
    [6.08, 0.305, 29.25, 1.739],
    [5.90, 0.264, 39.05, 1.665],
    [5.36, 0.271, 39.05, 1.771],
    [4.93, 0.261, 34.08, 1.975],
    [4.80, 0.244, 35.43, 2.559],
    [4.59, 0.221, 33.95, 2.243],
    [4.61, 0.227, 40.14, 2.328],
    [4.66, 0.212, 30.16, 2.339],
    [3.74, 0.236, 17.08, 3.227],
    [3.56, 0.229, 18.74, 3.596],
    [3.46, 0.214, 20.30, 3.702],
    [3.36, 0.183, 41.33, 2.740],
    [3.25, 0.189, 33.86, 2.771],
    [2.93, 0.164, 30.93, 3.044],
    [2.67, 0.174, 46.54, 2.299],
    [2.56, 0.165, 45.45, 2.526],
    [1.90, 0.170, 30.89, 5.002],
    [2.04, 0.182, 30.48, 4.932],
    [5.12, 0.261, 40.12, 2.117],
    [2.15, 0.137, 27.17, 3.182],
];

/// The expected shape of `class`.
pub fn morphology(class: ChromosomeClass) -> Morphology {
    let [relative_length, relative_length_sd, centromere_index, centromere_index_sd] = TABLE[class.index()];
    Morphology {
        relative_length,
        relative_length_sd,
        centromere_index: centromere_index / 100.0,
        centromere_index_sd: centromere_index_sd / 100.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_autosomes_make_up_one_haploid_set() {
        let sum: f32 = ChromosomeClass::all().filter(|c| !c.is_sex()).map(|c| morphology(c).relative_length).sum();
        assert!((sum - 100.0).abs() < 0.1, "{sum}");
    }
}
