//! Fitted numbers of the scorer for banded stains, on real and composed cells: models/training/dicentric/README.md.

use super::piece::Logistic;

/// Probability that a piece has two centromeres, by the features of `dicentric_features`: weight, mean, spread.
pub(super) const DICENTRIC: Logistic<18> = Logistic {
    offset: -4.2369,
    features: [
        (0.1663, 0.5147, 0.1392),
        (0.3875, 0.1989, 0.1366),
        (0.4435, 0.1911, 0.1147),
        (0.6961, 0.0772, 0.0723),
        (0.4802, 0.15, 0.1129),
        (-0.0795, 0.0514, 0.0615),
        (-0.0051, 0.01, 0.0182),
        (1.0677, 1.0984, 0.3736),
        (0.6853, 1.0823, 0.3739),
        (-1.7249, 1.078, 0.3947),
        (-0.1608, 0.9214, 0.182),
        (1.2033, 1.8185, 0.5555),
        (-0.4507, 0.0231, 0.0491),
        (-0.643, 0.0899, 0.0834),
        (0.0943, 1.009, 0.1427),
        (-1.5057, 5.7799, 1.6714),
        (-1.2257, 0.1794, 0.3837),
        (0.8373, 0.0947, 0.0689),
    ],
};

/// Probability that a piece has none, by the features of `acentric_features`: weight, mean, spread.
pub(super) const ACENTRIC: Logistic<7> = Logistic {
    offset: -4.2008,
    features: [
        (-0.8196, 0.5268, 0.139),
        (-1.5544, 0.1893, 0.1162),
        (0.7298, 0.1481, 0.1146),
        (0.4419, 0.9263, 0.1664),
        (-1.8362, 1.0175, 0.3917),
        (1.4472, 0.9996, 0.3958),
        (-0.3265, 0.9939, 0.4175),
    ],
};
