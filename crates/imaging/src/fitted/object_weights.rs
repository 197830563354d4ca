//! Weights of the logistic model of objects. Written by `cargo run --release -p metaphased-fit -- shapes CLUSTERS --write`;
//! do not edit.

pub(super) const BIAS: f32 = 1.1264;
pub(super) const WEIGHTS: [f32; 25] = [
    0.072252, 0.062368, 0.35342, -0.024633, -0.005322, -1.8042, 0.60282, 0.36143, -1.5584, -1.8808, -0.37768, -0.15006,
    -1.454, -0.55717, 5.7828, -7.464, -0.23875, -3.7639, 0.31729, 0.49887, 3.1439, -0.19096, 0.29678, 0.13566,
    0.064913,
];
