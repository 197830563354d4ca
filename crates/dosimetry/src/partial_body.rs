//! Part of the body exposed: Dolphin's contaminated Poisson, and Qdr.

use super::curve::{MOST_GRAY, Response};
use super::{Bounded, DosimetryError, Gray, Level, Sample, Yield, numeric};
use nalgebra::{Matrix2, SMatrix, SVector};

/// Survival of irradiated lymphocytes to the metaphase: a share `exp(-D/D0)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellSurvival {
    d0: f64,
    gamma_error: f64,
}

impl CellSurvival {
    /// From D0, the dose that leaves 37 %: 2.7 to 3.5 Gy in the literature, 3.8 in one study with X-rays.
    pub fn from_d0(d0: Gray) -> Result<Self, DosimetryError> {
        Self::from_gamma(1.0 / d0.value(), 0.0)
    }

    /// From `gamma = 1/D0` per gray and its standard error.
    pub fn from_gamma(gamma: f64, error: f64) -> Result<Self, DosimetryError> {
        if !(0.01..=10.0).contains(&gamma) {
            return Err(DosimetryError::Quantity {
                what: "D0 of cell survival in Gy",
                found: 1.0 / gamma,
                allowed: "0.1 to 100, usually 2.7 to 3.5",
            });
        }
        if !(error.is_finite() && error >= 0.0) {
            return Err(DosimetryError::Quantity { what: "error of gamma", found: error, allowed: "0 or more" });
        }
        Ok(Self { d0: 1.0 / gamma, gamma_error: error })
    }

    /// D0.
    pub fn d0(self) -> Gray {
        Gray::clamped(self.d0)
    }

    pub(super) fn gamma(self) -> f64 {
        1.0 / self.d0
    }

    pub(super) fn gamma_error(self) -> f64 {
        self.gamma_error
    }

    /// Share of cells that reach metaphase after a dose.
    pub fn at(self, dose: Gray) -> f64 {
        (-dose.value() / self.d0).exp()
    }
}

impl Default for CellSurvival {
    /// D0 = 2.7 Gy.
    fn default() -> Self {
        Self { d0: 2.7, gamma_error: 0.0 }
    }
}

/// Yield and dose of the exposed part, and how large it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PartialBody {
    /// Yield of the irradiated cells.
    pub yield_: Bounded<Yield>,
    /// Dose to the exposed part.
    pub dose: Bounded<Gray>,
    /// Share of the scored cells that were irradiated (f).
    pub scored_fraction: Bounded<f64>,
    /// Share of the cells irradiated at the start (F), with selection by cell death put right.
    pub fraction: Bounded<f64>,
}

/// Mean of a Poisson distribution seen without its zeros: solves `Y/(1 - exp(-Y)) = mean` for `Y > 0`; 0 when the
/// mean of the cells with aberrations is 1, none below (no such cells).
pub fn zero_truncated_mean(mean: f64) -> Option<f64> {
    if !mean.is_finite() || mean < 1.0 - 1e-12 {
        return None;
    }
    if mean <= 1.0 + 1e-12 {
        return Some(0.0);
    }
    numeric::root_between(1e-12, mean.max(2.0), |y| y / -(-y).exp_m1() - mean)
}

/// Dolphin's method (Dolphin 1969; IAEA 2011, 9.7.4): cells with aberrations are irradiated cells, so their
/// zero-truncated mean gives the yield of the exposed part. Limits by the delta method with the information of
/// (Y, f). Needs the distribution, and at least one cell with two or more aberrations. `faded` painted yields are
/// carried to the full genome after f, which is of cells and not of aberrations.
pub fn dolphin(
    sample: &Sample,
    response: Response<'_>,
    survival: CellSurvival,
    level: Level,
) -> Result<PartialBody, DosimetryError> {
    let Some(without) = sample.cells_without() else {
        return Err(DosimetryError::NotApplicable(
            "a partial-body estimate needs the distribution over the cells (--counts C0,C1,...), not totals".into(),
        ));
    };
    let (n, x) = (sample.cells() as f64, sample.aberrations() as f64);
    let y = exposed_yield(sample, without)?;
    let f = (x / (y * n)).min(1.0);
    solve_dolphin(DolphinState { n, y, f, scale: sample.genome_factor() }, response, survival, level)
}

pub(super) fn exposed_yield(sample: &Sample, without: u64) -> Result<f64, DosimetryError> {
    let damaged = sample.cells() - without;
    let x = sample.aberrations();
    if x <= damaged {
        return Err(DosimetryError::NotApplicable(
            "no cell holds two or more aberrations: the exposed part cannot be separated from the rest".into(),
        ));
    }
    zero_truncated_mean(x as f64 / damaged as f64)
        .filter(|y| *y > 0.0)
        .ok_or_else(|| DosimetryError::NotApplicable("the yield of the exposed part cannot be solved".into()))
}

/// Cells, yield of the irradiated cells as seen, their share, and the factor that carries the yield to the genome.
pub(super) struct DolphinState {
    pub n: f64,
    pub y: f64,
    pub f: f64,
    pub scale: f64,
}

pub(super) fn solve_dolphin(
    DolphinState { n, y, f, scale }: DolphinState,
    response: Response<'_>,
    survival: CellSurvival,
    level: Level,
) -> Result<PartialBody, DosimetryError> {
    // Information of (Y, f); e is E = f + (1 - f) exp(Y), over exp(Y) so that high yields do not overflow.
    let e = f * (-y).exp() + (1.0 - f);
    let information = Matrix2::new(
        n * f * ((f - 1.0) * (-y).exp() / e + 1.0 / y),
        n * (-y).exp() / e,
        n * (-y).exp() / e,
        n * -(-y).exp_m1() / (f * e),
    );
    let of_counts = information.try_inverse().filter(|v| v[(0, 0)] > 0.0 && v[(1, 1)] > 0.0).ok_or_else(|| {
        DosimetryError::NotApplicable("too few cells with two or more aberrations for a partial-body estimate".into())
    })?;
    let y_full = y / scale;
    let d = response.d(y_full)?;
    let slope = response.slope(d);

    // One covariance of (c, alpha, beta, Y, f), with Y of the full genome.
    let mut covariance = SMatrix::<f64, 5, 5>::zeros();
    covariance.fixed_view_mut::<3, 3>(0, 0).copy_from(&response.curve().covariance);
    covariance[(3, 3)] = of_counts[(0, 0)] / (scale * scale);
    covariance[(4, 4)] = of_counts[(1, 1)];
    covariance[(3, 4)] = of_counts[(0, 1)] / scale;
    covariance[(4, 3)] = covariance[(3, 4)];

    let by_curve = response.gradient(d) / -slope;
    let of_dose = SVector::<f64, 5>::new(by_curve[0], by_curve[1], by_curve[2], 1.0 / slope, 0.0);
    let survived = survival.at(Gray::clamped(d));
    let under = survived * (1.0 - f) + f;
    let fraction = f / under;
    let by_d = f * (1.0 - f) * survived / survival.d0 / (under * under);
    let mut of_fraction = of_dose * by_d;
    of_fraction[4] = survived / (under * under);

    let z = numeric::normal_quantile(1.0 - level.tail());
    let error = |gradient: SVector<f64, 5>| (gradient.transpose() * covariance * gradient)[0].max(0.0).sqrt();
    let from_gamma = f * (1.0 - f) * survived * d / (under * under) * survival.gamma_error;
    let fraction_error = error(of_fraction).hypot(from_gamma);
    let dose_error = error(of_dose);
    let y_error = covariance[(3, 3)].sqrt();
    let f_error = covariance[(4, 4)].sqrt();
    let known = slope > 0.0 && dose_error.is_finite();
    let share = |value: f64, error: f64| Bounded {
        value: value.clamp(0.0, 1.0),
        low: error.is_finite().then_some((value - z * error).clamp(0.0, 1.0)),
        high: error.is_finite().then_some((value + z * error).clamp(0.0, 1.0)),
    };
    Ok(PartialBody {
        yield_: Bounded {
            value: Yield::of(y_full),
            low: Some(Yield::of(y_full - z * y_error)),
            high: Some(Yield::of(y_full + z * y_error)),
        },
        dose: Bounded {
            value: Gray::clamped(d),
            low: known.then(|| Gray::clamped(d - z * dose_error)),
            high: known.then(|| Gray::clamped(d + z * dose_error)),
        },
        scored_fraction: share(f, f_error),
        fraction: share(fraction, fraction_error),
    })
}

/// Qdr (Sasaki and Miyata 1968): dicentrics and rings over damaged cells,
/// `Qdr = Y1(D)/(1 - exp(-Y1(D) - Y2(D)))`, with the calibration curves of dicentrics (and rings) and of excess
/// acentrics; solves for D. None where the ratio is that of no dose at all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Qdr {
    /// Aberrations per damaged cell.
    pub ratio: f64,
    /// Dose to the exposed part.
    pub dose: Gray,
}

/// See [`Qdr`]. `aberrations` are the dicentrics and rings in the `damaged` cells; a damaged cell has any unstable
/// aberration, excess acentrics included.
pub fn qdr(
    aberrations: u64,
    damaged: u64,
    dicentrics: Response<'_>,
    acentrics: Response<'_>,
) -> Result<Qdr, DosimetryError> {
    if damaged == 0 {
        return Err(DosimetryError::NotApplicable("Qdr needs at least one damaged cell".into()));
    }
    let ratio = aberrations as f64 / damaged as f64;
    let expected = |d: f64| {
        let (y1, y2) = (dicentrics.y(d).max(0.0), acentrics.y(d).max(0.0));
        if y1 + y2 > 0.0 { y1 / -(-y1 - y2).exp_m1() } else { 0.0 }
    };
    let at_zero = expected(1e-9);
    if ratio <= at_zero {
        return Ok(Qdr { ratio, dose: Gray::ZERO });
    }
    numeric::first_reach(1e-9, 1.0, MOST_GRAY, |d| expected(d) - ratio)
        .map(|d| Qdr { ratio, dose: Gray::clamped(d) })
        .ok_or_else(|| DosimetryError::NotApplicable(format!("no dose gives {ratio:.3} aberrations a damaged cell")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::built_in;

    #[test]
    fn the_zero_truncated_mean_is_solved_over_its_whole_range() {
        for y in [1e-6f64, 0.01, 0.376, 1.0, 5.0, 30.0, 190.0] {
            let mean = y / -(-y).exp_m1();
            let found = zero_truncated_mean(mean).expect("a mean above 1");
            assert!((found - y).abs() < 1e-6 * y.max(1.0), "{y}: {found}");
        }
        assert_eq!(zero_truncated_mean(1.0), Some(0.0));
        assert_eq!(zero_truncated_mean(0.5), None);
    }

    #[test]
    fn cells_with_one_dicentric_at_most_say_nothing_about_a_part() {
        let curve = built_in("co60_barquinero1995").expect("curve");
        let sample = Sample::from_histogram(vec![495, 5]).expect("counts");
        let found = dolphin(&sample, curve.acute(), CellSurvival::default(), Level::P95);
        assert!(matches!(found, Err(DosimetryError::NotApplicable(_))));
    }

    #[test]
    fn expected_counts_of_half_a_body_give_its_dose_and_its_share() {
        // 4 Gy to half of the cells, of which exp(-4/2.7) come to metaphase.
        let curve = built_in("co60_barquinero1995").expect("curve");
        let y = curve.acute().yield_at(Gray::clamped(4.0)).value();
        let p = (-4.0f64 / 2.7).exp();
        let f = 0.5 * p / (0.5 + 0.5 * p);
        let n = 1e6;
        let mut pmf = (-y).exp();
        let counts: Vec<u64> = (0..15)
            .map(|k| {
                if k > 0 {
                    pmf *= y / f64::from(k);
                }
                (n * (f * pmf + if k == 0 { 1.0 - f } else { 0.0 })).round() as u64
            })
            .collect();
        let sample = Sample::from_histogram(counts).expect("counts");
        let found = dolphin(&sample, curve.acute(), CellSurvival::default(), Level::P95).expect("estimate");
        assert!((found.dose.value.value() - 4.0).abs() < 0.01, "{found:?}");
        assert!((found.fraction.value - 0.5).abs() < 0.01, "{found:?}");
    }
}
