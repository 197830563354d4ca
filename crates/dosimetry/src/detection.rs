//! What a scorer finds and what it calls wrongly, and the curve of another's counts as it would see them.

use nalgebra::Matrix3;

use super::{About, Curve, DosimetryError, Scoring, Uncertainty};

/// What a scorer makes of cells in which the dicentrics are known, as far as it counts these cells: a dose rests on counted cells alone,
/// and those of a scorer that leaves doubtful ones out hold fewer dicentrics than the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detection {
    /// Known dicentrics that it called in cells which it counts.
    pub found: u64,
    /// Known dicentrics of all cells that were measured.
    pub of: u64,
    /// Cells that it counts, and all that were measured, of the set in which these dicentrics are.
    pub counted: [u64; 2],
    /// Pieces that it called and that are none, and the counted cells in which it did.
    pub false_calls: [u64; 2],
}

impl Detection {
    /// Checks the counts.
    ///
    /// # Errors
    /// Without known dicentrics or cells, or with more found or counted than there are.
    pub fn new(found: u64, of: u64, counted: [u64; 2], false_calls: [u64; 2]) -> Result<Self, DosimetryError> {
        if of == 0 || found > of {
            return Err(DosimetryError::NotApplicable(format!(
                "invalid sensitivity '{found}/{of}': expected dicentrics found of those known, such as 34/67"
            )));
        }
        let [some, all] = counted;
        if some == 0 || some > all {
            return Err(DosimetryError::NotApplicable(format!(
                "invalid counted cells '{some}/{all}': expected cells that the scorer counts of those measured, such as 52/100"
            )));
        }
        let [calls, cells] = false_calls;
        if cells == 0 {
            return Err(DosimetryError::NotApplicable(format!(
                "invalid false calls '{calls}/{cells}': expected false calls in a number of counted cells, such as 41/60"
            )));
        }
        Ok(Self { found, of, counted, false_calls })
    }

    /// Dicentrics called in a counted cell for each one of a cell, with the variance: `s = p / q` with `p` the share of the known
    /// dicentrics that were called in counted cells and `q` the share of cells counted. Where each dicentric of a cell is by itself called,
    /// missed, or leaves the cell uncounted, the counted cells of Poisson's `Y` dicentrics a cell hold `s Y` called ones, whatever `Y` is.
    /// The share found of the dicentrics in counted cells would be more than that: cells in which one was doubtful are not among them.
    pub fn sensitivity(&self) -> (f64, f64) {
        let (p, var_p) = share(self.found, self.of);
        let (q, var_q) = share(self.counted[0], self.counted[1]);
        let s = p / q;
        (s, s * s * (var_p / (p * p) + var_q / (q * q)))
    }

    /// False calls in a counted cell, with their variance: mean and variance that Jeffreys' prior leaves (Gamma with calls + 1/2).
    pub fn false_yield(&self) -> (f64, f64) {
        let [calls, cells] = self.false_calls.map(|n| n as f64);
        ((calls + 0.5) / cells, (calls + 0.5) / (cells * cells))
    }
}

/// A share with its variance: mean and variance of the distribution that Jeffreys' prior leaves (Beta with found + 1/2 and missed + 1/2),
/// so that neither 0 nor all of a few is taken for certain.
fn share(found: u64, of: u64) -> (f64, f64) {
    let n = of as f64;
    let share = (found as f64 + 0.5) / (n + 1.0);
    (share, share * (1.0 - share) / (n + 2.0))
}

/// The scorer that a curve is corrected for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScorerNamed {
    /// Its name as doses state it.
    pub name: String,
    /// Whether it counts by QuickScan: cells that are complete by their look.
    pub quickscan: bool,
}

impl Curve {
    /// The curve of the same exposures as a scorer sees them, which finds the share `s` of the dicentrics and calls `f` others a cell:
    /// `Y' = f + s Y`. Its covariance is `(s^2 + var s) V + var(s) k k' + var(f) e e'` with the coefficients `k = (c, alpha, beta)`
    /// and `e = (1, 0, 0)`: that of a product and a sum of independent estimates. Poisson counts stay Poisson when each is found
    /// with the same chance, so the estimates take it as any other.
    ///
    /// # Errors
    /// Where this curve has no errors (the stated ones would be the scorer's alone), is itself a machine's or one of QuickScan for a
    /// scorer that counts by centromeres, or the result is no curve.
    pub fn seen_by(&self, detection: &Detection, id: &str, scorer: ScorerNamed) -> Result<Self, DosimetryError> {
        let refuse = |why: String| Err(DosimetryError::NotApplicable(format!("curve {}: {why}", self.id())));
        if self.uncertainty() == Uncertainty::None {
            return refuse("it has no errors, so that the error of a corrected curve cannot be stated".into());
        }
        if let Some(own) = &self.about().scorer {
            return refuse(format!("it was made with the scorer '{own}': expected a curve of people's counts"));
        }
        if self.about().quickscan && !scorer.quickscan {
            return refuse("people counted for it by QuickScan, the scorer counts cells by 46 centromeres".into());
        }
        let ((s, var_s), (f, var_f)) = (detection.sensitivity(), detection.false_yield());
        let [c, alpha, beta] = self.coefficients();
        let k = self.coefficients;
        let mut covariance: Matrix3<f64> = self.covariance * (s * s + var_s) + k * k.transpose() * var_s;
        covariance[(0, 0)] += var_f;
        let Detection { found, of, counted: [counted, measured], false_calls: [calls, cells] } = detection;
        let about = About {
            scoring: Some(Scoring::Automatic),
            scorer: Some(scorer.name),
            quickscan: scorer.quickscan,
            correction: Some(format!(
                "curve {} corrected for a scorer that called {found} of {of} dicentrics in the {counted} of {measured} cells that it \
                 counted, and {calls} others in {cells} counted cells: Y' = {f:.4} + {s:.4} Y, errors of both included",
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

    fn axis() -> ScorerNamed {
        ScorerNamed { name: "axis".into(), quickscan: false }
    }

    fn people() -> Curve {
        built_in("co60_barquinero1995").expect("curve")
    }

    #[test]
    fn the_corrected_curve_is_the_sum_of_what_is_found_and_what_is_false() {
        let detection = Detection::new(339, 678, [1000, 1000], [59, 1000]).expect("counts");
        let seen = people().seen_by(&detection, "ours", axis()).expect("curve");
        let ((s, _), (f, var_f)) = (detection.sensitivity(), detection.false_yield());
        assert!((s - 0.5).abs() < 1e-3 && (f - 0.0595).abs() < 1e-9);
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
            let detection = Detection::new(known / 2, known, [1000, 1000], [60, 1000]).expect("counts");
            let curve = people().seen_by(&detection, "ours", axis()).expect("curve");
            estimate(&counted, &curve, &Settings::default()).expect("a dose").dose_gy
        };
        let (many, few) = (of(4000), of(60));
        assert!((many.value - 2.0).abs() < 0.05, "{many:?}");
        assert!(
            few.high.expect("high") - few.low.expect("low") > 1.3 * (many.high.expect("high") - many.low.expect("low"))
        );
        assert!(few.low.expect("low") < 2.0 && few.high.expect("high") > 2.0, "{few:?}");
    }

    /// A scorer that calls 0.3 of the dicentrics, misses 0.3, and counts no cell in which one of the other 0.4 lies; what it counts of
    /// another dose gives that dose, although only a third of the cells are left at 2.5 Gy. By the share found among the counted
    /// cells alone (a half) it would be 1.9 Gy.
    #[test]
    fn a_scorer_that_leaves_out_doubtful_cells_gives_the_dose_of_all() {
        let left = |y: f64| (-0.4 * y).exp();
        let at = |dose| people().acute().yield_at(Gray::clamped(dose)).value();
        let whole = |x: f64| x.round() as u64;
        let (cells, known) = (100_000.0, at(4.0));
        let counted = cells * left(known);
        let detection = Detection::new(
            whole(counted * 0.3 * known),
            whole(cells * known),
            [whole(counted), whole(cells)],
            [2000, 100_000],
        );
        let curve = people().seen_by(&detection.expect("counts"), "ours", axis()).expect("curve");
        let y = at(2.5);
        let counted = 20_000.0 * left(y);
        let sample = Sample::from_totals(whole(counted), whole(counted * (0.02 + 0.3 * y))).expect("counts");
        let dose = estimate(&sample, &curve, &Settings::default()).expect("a dose").dose_gy;
        assert!((dose.value - 2.5).abs() < 0.02, "{dose:?}");
    }

    #[test]
    fn counts_that_say_nothing_and_curves_that_are_a_machines_are_refused() {
        for (found, of, counted, calls) in [
            (1, 0, [10, 10], [0, 10]),
            (5, 4, [10, 10], [0, 10]),
            (1, 2, [0, 10], [0, 10]),
            (1, 2, [11, 10], [0, 10]),
            (1, 2, [9, 10], [1, 0]),
        ] {
            assert!(Detection::new(found, of, counted, calls).is_err());
        }
        let detection = Detection::new(1, 2, [10, 10], [0, 10]).expect("counts");
        let own = people().with_about(About { scorer: Some("a".into()), ..About::default() });
        assert!(own.seen_by(&detection, "x", axis()).expect_err("refused").to_string().contains("people's counts"));
        let quick = people().with_about(About { quickscan: true, ..About::default() });
        assert!(quick.seen_by(&detection, "x", axis()).expect_err("refused").to_string().contains("QuickScan"));
        let quick_scorer = ScorerNamed { quickscan: true, ..axis() };
        assert!(people().seen_by(&detection, "x", quick_scorer).expect("a curve").about().quickscan);
    }
}
