//! Fitted numbers of the scorer for solid stains, on virtual slides and composed cells: models/training/dicentric/README.md. The last three
//! features of `dicentric_features` came after it.

use super::piece::Logistic;

/// Probability that a piece has two centromeres, by the features of `dicentric_features`: weight, mean, spread.
pub(super) const DICENTRIC: Logistic<18> = Logistic {
    offset: -5.0002,
    features: [
        (0.2136, 0.6218, 0.1311),
        (3.71, 0.1526, 0.2195),
        (0.1785, 0.2249, 0.1363),
        (0.3064, 0.1095, 0.0928),
        (0.3962, 0.1631, 0.1344),
        (0.4243, 0.0634, 0.0799),
        (-0.1939, 0.0131, 0.0381),
        (-1.1779, 1.2442, 0.3214),
        (1.1455, 1.2688, 0.3693),
        (-0.2627, 1.3471, 0.5448),
        (-0.3299, 0.7204, 0.2449),
        (0.7376, 1.2656, 0.4214),
        (-0.4252, 0.0379, 0.0757),
        (-0.1187, 0.1046, 0.0993),
        (-0.3469, 1.003, 0.0556),
        (0.0, 0.0, 1.0),
        (0.0, 0.0, 1.0),
        (0.0, 0.0, 1.0),
    ],
};

/// Probability that a piece has none, by the features of `acentric_features`: weight, mean, spread.
pub(super) const ACENTRIC: Logistic<7> = Logistic {
    offset: -4.5885,
    features: [
        (-2.5049, 0.598, 0.1342),
        (-0.6469, 0.2053, 0.1394),
        (0.1453, 0.1361, 0.1294),
        (0.0501, 0.8872, 0.1677),
        (-1.1548, 1.0398, 0.3036),
        (1.073, 1.0355, 0.3545),
        (-1.3361, 1.0741, 0.5036),
    ],
};
