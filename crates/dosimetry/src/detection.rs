//! What a scorer finds and what it calls wrongly, and the curve of another's counts as it would see them.

use nalgebra::Matrix3;

use super::{About, Curve, DosimetryError, Scoring, Uncertainty};

/// What a scorer found of known dicentrics, and what it called on cells without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detection {
    /// Known dicentrics that it called.
    pub found: u64,
    /// Known dicentrics.
    pub of: u64,
    /// Pieces that it called and that are none.
    pub false_calls: u64,
    /// Cells in which it called them.
    pub cells: u64,
}

impl Detection {
    /// Checks the counts.
    ///
    /// # Errors
    /// Without known dicentrics or cells, or with more found than there are.
    pub fn new(found: u64, of: u64, false_calls: u64, cells: u64) -> Result<Self, DosimetryError> {
        if of == 0 || found > of {
            return Err(DosimetryError::NotApplicable(format!(
                "invalid sensitivity '{found}/{of}': expected dicentrics found of those known, such as 34/67"
            )));
        }
        if cells == 0 {
            return Err(DosimetryError::NotApplicable(format!(
                "invalid false calls '{false_calls}/{cells}': expected false calls in a number of cells, such as 41/60"
            )));
        }
        Ok(Self { found, of, false_calls, cells })
    }

    /// Share found, with its variance: mean and variance of the distribution that Jeffreys' prior leaves (Beta with found + 1/2 and
    /// missed + 1/2), so that neither 0 nor all of a few is taken for certain.
    pub fn sensitivity(&self) -> (f64, f64) {
        let n = self.of as f64;
        let share = (self.found as f64 + 0.5) / (n + 1.0);
        (share, share * (1.0 - share) / (n + 2.0))
    }

    /// False calls a cell, with their variance: as above (Gamma with calls + 1/2).
    pub fn false_yield(&self) -> (f64, f64) {
        let (calls, cells) = (self.false_calls as f64 + 0.5, self.cells as f64);
        (calls / cells, calls / (cells * cells))
    }
}

impl Curve {
    /// The curve of the same exposures as a scorer sees them, which finds the share `s` of the dicentrics and calls `f` others a cell:
    /// `Y' = f + s Y`. Its covariance is `(s^2 + var s) V + var(s) k k' + var(f) e e'` with the coefficients `k = (c, alpha, beta)`
    /// and `e = (1, 0, 0)`: that of a product and a sum of independent estimates. Poisson counts stay Poisson when each is found
    /// with the same chance, so the estimates take it as any other.
    ///
    /// # Errors
    /// Where this curve has no errors (the stated ones would be the scorer's alone), is itself a machine's, or the result is no curve.
    pub fn seen_by(&self, detection: &Detection, id: &str, scorer: String) -> Result<Self, DosimetryError> {
        let refuse = |why: String| Err(DosimetryError::NotApplicable(format!("curve {}: {why}", self.id())));
        if self.uncertainty() == Uncertainty::None {
            return refuse("it has no errors, so that the error of a corrected curve cannot be stated".into());
        }
        if let Some(own) = &self.about().scorer {
            return refuse(format!("it was made with the scorer '{own}': expected a curve of people's counts"));
        }
        let ((s, var_s), (f, var_f)) = (detection.sensitivity(), detection.false_yield());
        let [c, alpha, beta] = self.coefficients();
        let k = self.coefficients;
        let mut covariance: Matrix3<f64> = self.covariance * (s * s + var_s) + k * k.transpose() * var_s;
        covariance[(0, 0)] += var_f;
        let Detection { found, of, false_calls, cells } = detection;
        let about = About {
            scoring: Some(Scoring::Automatic),
            scorer: Some(scorer),
            correction: Some(format!(
                "curve {} corrected for a scorer that found {found} of {of} dicentrics and called {false_calls} others in {cells} \
                 cells: Y' = {f:.4} + {s:.4} Y, errors of both included",
                self.id()
            )),
            built_in: false,
            ..self.about().clone()
        };
        let rows = std::array::from_fn(|i| std::array::from_fn(|j| covariance[(i, j)]));
        Self::new(id, self.assay(), [f + s * c, s * alpha, s * beta], Some(rows), self.dose_range(), about)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gray, Sample, Settings, built_in, estimate};

    fn people() -> Curve {
        built_in("co60_barquinero1995").expect("curve")
    }

    #[test]
    fn the_corrected_curve_is_the_sum_of_what_is_found_and_what_is_false() {
        let detection = Detection::new(339, 678, 59, 1000).expect("counts");
        let seen = people().seen_by(&detection, "ours", "axis".into()).expect("curve");
        let ((s, _), (f, var_f)) = (detection.sensitivity(), detection.false_yield());
        assert!((s - 0.5).abs() < 1e-9 && (f - 0.0595).abs() < 1e-9);
        let ([c, a, b], before) = (seen.coefficients(), people().coefficients());
        for (found, expected) in [(c, f + s * before[0]), (a, s * before[1]), (b, s * before[2])] {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert!(seen.covariance()[0][0] > var_f && seen.covariance()[1][1] > s * s * people().covariance()[1][1]);
        assert_eq!((seen.about().scoring, seen.about().scorer.as_deref()), (Some(Scoring::Automatic), Some("axis")));
        assert!(seen.about().correction.as_deref().is_some_and(|words| words.contains("339 of 678")));
    }

    #[test]
    fn counts_of_the_scorer_give_back_the_dose_and_few_known_ones_widen_its_limits() {
        // 2 Gy: the yield of the curve, half of it found, 0.06 false a cell.
        let y = people().acute().yield_at(Gray::clamped(2.0)).value();
        let cells = 2000;
        let counted = Sample::from_totals(cells, ((0.06 + 0.5 * y) * cells as f64).round() as u64).expect("counts");
        let of = |known: u64| {
            let detection = Detection::new(known / 2, known, 60, 1000).expect("counts");
            let curve = people().seen_by(&detection, "ours", "axis".into()).expect("curve");
            estimate(&counted, &curve, &Settings::default()).expect("a dose").dose_gy
        };
        let (many, few) = (of(4000), of(60));
        assert!((many.value - 2.0).abs() < 0.05, "{many:?}");
        assert!(
            few.high.expect("high") - few.low.expect("low") > 1.3 * (many.high.expect("high") - many.low.expect("low"))
        );
        assert!(few.low.expect("low") < 2.0 && few.high.expect("high") > 2.0, "{few:?}");
    }

    #[test]
    fn counts_that_say_nothing_and_curves_that_are_a_machines_are_refused() {
        for (found, of, calls, cells) in [(1, 0, 0, 10), (5, 4, 0, 10), (1, 2, 1, 0)] {
            assert!(Detection::new(found, of, calls, cells).is_err());
        }
        let detection = Detection::new(1, 2, 0, 10).expect("counts");
        let own = people().with_about(About { scorer: Some("a".into()), ..About::default() });
        assert!(own.seen_by(&detection, "x", "b".into()).expect_err("refused").to_string().contains("people's counts"));
    }
}
