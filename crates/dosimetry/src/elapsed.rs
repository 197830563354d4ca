//! Time between exposure and sampling.

use super::{DosimetryError, Yield};

/// Share of the induced dicentrics that is left when the blood is drawn.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Remaining(f64);

impl Remaining {
    /// Half-life used by Beaton-Green et al. (2016): 36 months. Uncertain, and shorter after high doses.
    pub const HALF_LIFE_MONTHS: f64 = 36.0;

    /// `2^(-months/half_life)`.
    pub fn after(months: f64, half_life_months: f64) -> Result<Self, DosimetryError> {
        if !(0.0..=1200.0).contains(&months) {
            return Err(DosimetryError::Quantity {
                what: "months between exposure and sampling",
                found: months,
                allowed: "0 to 1200",
            });
        }
        if !(half_life_months.is_finite() && half_life_months >= 1.0) {
            return Err(DosimetryError::Quantity {
                what: "half-life in months",
                found: half_life_months,
                allowed: "1 or more",
            });
        }
        let share = (-months / half_life_months * std::f64::consts::LN_2).exp();
        if share < 1e-3 {
            return Err(DosimetryError::NotApplicable(format!(
                "after {months} months less than a thousandth of the dicentrics is left: use translocations"
            )));
        }
        Ok(Self(share))
    }

    /// The share, above 0 and up to 1.
    pub const fn value(self) -> f64 {
        self.0
    }

    /// The yield just after the exposure: `c + (observed - c) 2^(months/half-life)`; the background `c` does not fade.
    pub fn corrected(self, observed: Yield, background: Yield) -> Yield {
        let c = background.value();
        Yield::of(c + (observed.value() - c).max(0.0) / self.0)
    }
}

impl Default for Remaining {
    fn default() -> Self {
        Self(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Protraction, built_in};

    #[test]
    fn the_dose_from_a_faded_yield_is_the_dose_of_the_corrected_yield() {
        let curve = built_in("co60_barquinero1995").expect("curve");
        let left = Remaining::after(12.0, 36.0).expect("share");
        assert!((1.0 / left.value() - 1.259_921_049_9).abs() < 1e-9);
        let observed = Yield::of(0.05);
        let corrected = left.corrected(observed, Yield::of(curve.coefficients()[0]));
        let response = curve.at(Protraction::ACUTE);
        let by_yield = response.dose_of(corrected).expect("dose").value();
        let by_curve = response.with_remaining(left).dose_of(observed).expect("dose").value();
        assert!((by_yield - by_curve).abs() < 1e-12);
    }

    #[test]
    fn decades_are_refused_for_dicentrics() {
        assert!(Remaining::after(600.0, 36.0).is_err());
        assert!(Remaining::after(-1.0, 36.0).is_err());
        assert!(Remaining::after(f64::NAN, 36.0).is_err());
    }
}
