//! Logistic regression, and how well a score separates two groups.

use nalgebra::{DMatrix, DVector};

/// Newton's steps of a fit.
const STEPS: usize = 50;

/// Weights of a logistic regression by Newton's method; `ridge` shrinks all but the last weight (the bias) where
/// `bias_is_free`, else all. Rows of `x` are samples; `y` holds 0 or 1.
pub fn logistic(x: &DMatrix<f64>, y: &DVector<f64>, ridge: f64, bias_is_free: bool) -> Option<DVector<f64>> {
    let n = x.ncols();
    let mut shrink = DMatrix::from_diagonal_element(n, n, ridge);
    if bias_is_free {
        shrink[(n - 1, n - 1)] = 0.0;
    }
    let mut weights = DVector::zeros(n);
    for _ in 0..STEPS {
        let p = (x * &weights).map(|z| 1.0 / (1.0 + (-z).exp()));
        let gradient = x.transpose() * (&p - y) + &shrink * &weights;
        let mut weighted = x.clone();
        for (mut row, p) in weighted.row_iter_mut().zip(p.iter()) {
            row *= p * (1.0 - p);
        }
        let curvature = x.transpose() * weighted + &shrink;
        weights -= curvature.lu().solve(&gradient)?;
    }
    Some(weights)
}

/// Area under the ROC curve: the share of pairs in which the higher score is that of the first group; ties count half.
pub fn auc(positive: &[f64], negative: &[f64]) -> f64 {
    let wins = |a: f64| negative.iter().map(move |&b| f64::from(u8::from(a > b)) + 0.5 * f64::from(u8::from(a == b)));
    positive.iter().flat_map(|&a| wins(a)).sum::<f64>() / (positive.len() * negative.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regression_finds_the_odds_of_two_groups() {
        // 3 of 4 where the figure is 1, 1 of 4 where it is 0: log odds of ln 3 and -ln 3.
        let x = DMatrix::from_fn(8, 2, |row, column| if column == 1 || row < 4 { 1.0 } else { 0.0 });
        let y = DVector::from_vec(vec![1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        let weights = logistic(&x, &y, 1e-9, true).unwrap();
        assert!((weights[1] + 3_f64.ln()).abs() < 1e-6 && (weights[0] - 2.0 * 3_f64.ln()).abs() < 1e-6, "{weights}");
    }

    #[test]
    fn the_area_is_one_where_the_groups_are_apart_and_ties_count_half() {
        assert_eq!(auc(&[2.0, 3.0], &[0.0, 1.0]), 1.0);
        assert_eq!(auc(&[1.0], &[1.0]), 0.5);
    }
}
