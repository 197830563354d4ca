//! What speaks for a structural change, by logistic regression on training patients' cells, edited and as they are
//! (docs/reference/karyotype.md). Fitted once outside of `tools/fit`, by hand.

use crate::structure_screen::SIGNS;

/// Weights of the signs, then the constant, for a deletion, additional material and an isochromosome.
pub(crate) const CHANGE_WEIGHTS: [[f32; SIGNS + 1]; 3] = [
    [
        0.211, 3.042, -3.451, -0.317, -0.427, 0.506, 0.102, 0.314, -1.343, 0.292, 1.683, 1.411, -4.088, -5.071, -5.552,
        0.668, -0.470, 3.369, 6.913,
    ],
    [
        0.274, 1.733, -2.089, 0.520, 0.321, 0.397, 0.310, 0.503, -0.635, 0.261, -0.774, 4.395, -3.541, -8.124, -4.289,
        0.897, -0.923, -1.279, 7.685,
    ],
    [
        0.344, 3.890, -3.374, 0.000, 0.258, -2.171, -1.003, 0.000, -0.620, 1.171, 1.936, 7.478, -25.264, -2.995,
        -13.273, 0.937, 0.071, 2.262, 15.815,
    ],
];
