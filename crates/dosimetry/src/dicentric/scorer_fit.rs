//! Fitted numbers of the scorer, on virtual slides and composed cells: models/training/dicentric/README.md.

use super::piece::Logistic;

/// Probability that a piece has two centromeres, by the features of `dicentric_features`: weight, mean, spread.
pub(super) const DICENTRIC: Logistic<15> = Logistic {
    offset: -3.1075,
    features: [
        (0.4478, 0.4508, 0.1271),
        (0.7261, 0.135, 0.1357),
        (0.0541, 0.2125, 0.1318),
        (0.2648, 0.0906, 0.089),
        (-0.1052, 0.1508, 0.1286),
        (0.1923, 0.0465, 0.0686),
        (0.2863, 0.0064, 0.0173),
        (-0.9211, 1.2252, 0.3615),
        (1.9975, 1.2308, 0.3903),
        (-0.6063, 1.3136, 0.5683),
        (-0.5464, 0.7173, 0.2742),
        (0.4345, 1.3034, 0.4459),
        (-0.3276, 0.0321, 0.0685),
        (-0.6995, 0.0877, 0.0816),
        (0.2732, 1.0023, 0.0688),
    ],
};

/// Probability that a piece has none, by the features of `acentric_features`: weight, mean, spread.
pub(super) const ACENTRIC: Logistic<7> = Logistic {
    offset: -4.2799,
    features: [
        (-1.7652, 0.4658, 0.1209),
        (-0.6477, 0.2042, 0.1355),
        (0.5299, 0.1381, 0.1293),
        (-0.1825, 0.8938, 0.1611),
        (-0.9465, 1.0478, 0.3215),
        (1.6676, 1.0459, 0.3491),
        (-2.2267, 1.1049, 0.5064),
    ],
};
