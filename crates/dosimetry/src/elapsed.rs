//! Time between exposure and sampling.

use super::{DosimetryError, Yield};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How dicentrics are lost between exposure and sampling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fading {
    /// With one half-life in months.
    HalfLife(f64),
    /// As patients lost them whose blood was drawn for 30 years.
    ByDelay,
}

impl Default for Fading {
    fn default() -> Self {
        FadingLaw::default().into()
    }
}

impl Fading {
    /// What is left after so many months.
    ///
    /// # Errors
    /// For a delay or a half-life out of range, or so long a delay that nothing can be concluded.
    pub fn remaining(self, months: f64) -> Result<Remaining, DosimetryError> {
        match self {
            Self::HalfLife(half_life) => Remaining::after(months, half_life),
            Self::ByDelay => Remaining::by_delay(months),
        }
    }
}

/// Names of the ways to fade, as in the configuration and on the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FadingLaw {
    /// One half-life: 36 months unless it is given.
    #[default]
    HalfLife,
    /// By the delay, as in patients that were followed for 30 years.
    ByDelay,
}

impl From<FadingLaw> for Fading {
    fn from(law: FadingLaw) -> Self {
        law.with(Remaining::HALF_LIFE_MONTHS)
    }
}

impl FadingLaw {
    /// Both with their names.
    pub const NAMES: [(&str, Self); 2] = [("half-life", Self::HalfLife), ("by-delay", Self::ByDelay)];

    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, law)| law)
    }

    /// The way with this half-life in months, where it has one.
    pub fn with(self, half_life_months: f64) -> Fading {
        match self {
            Self::HalfLife => Fading::HalfLife(half_life_months),
            Self::ByDelay => Fading::ByDelay,
        }
    }
}

/// Share of the induced dicentrics that is left when the blood is drawn.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Remaining(f64);

impl Remaining {
    /// Half-life used by Beaton-Green et al. (2016): 36 months. Uncertain, and shorter after high doses.
    pub const HALF_LIFE_MONTHS: f64 = 36.0;

    /// Months in which patients lost none: 20 weeks.
    const PLATEAU_MONTHS: f64 = 140.0 / (365.2425 / 12.0);
    /// Months after the plateau in which they lost 43 % a year, and 14 % a year from then on.
    const FAST_MONTHS: f64 = 48.0;

    /// `2^(-months/half_life)`.
    pub fn after(months: f64, half_life_months: f64) -> Result<Self, DosimetryError> {
        Self::check(months)?;
        if !(half_life_months.is_finite() && half_life_months >= 1.0) {
            return Err(DosimetryError::Quantity {
                what: "half-life in months",
                found: half_life_months,
                allowed: "1 or more",
            });
        }
        Self::of(months, (-months / half_life_months * std::f64::consts::LN_2).exp())
    }

    /// A plateau of 20 weeks, then a loss of 43 % a year for four years, then of 14 % a year: patients after radiotherapy whose blood
    /// was drawn for 30 years (IAEA 2011, 9.7.4.4, which calls one half-time of three years inappropriate within the first year).
    pub fn by_delay(months: f64) -> Result<Self, DosimetryError> {
        Self::check(months)?;
        let fast = (months - Self::PLATEAU_MONTHS).clamp(0.0, Self::FAST_MONTHS);
        let slow = (months - Self::PLATEAU_MONTHS - Self::FAST_MONTHS).max(0.0);
        Self::of(months, 0.57_f64.powf(fast / 12.0) * 0.86_f64.powf(slow / 12.0))
    }

    fn check(months: f64) -> Result<(), DosimetryError> {
        if !(0.0..=1200.0).contains(&months) {
            return Err(DosimetryError::Quantity {
                what: "months between exposure and sampling",
                found: months,
                allowed: "0 to 1200",
            });
        }
        Ok(())
    }

    fn of(months: f64, share: f64) -> Result<Self, DosimetryError> {
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
    fn patients_kept_all_for_20_weeks_and_then_lost_by_the_year() {
        let left = |months| Remaining::by_delay(months).expect("share").value();
        let plateau = Remaining::PLATEAU_MONTHS;
        assert_eq!((left(0.0), left(4.5)), (1.0, 1.0));
        assert!((left(plateau + 12.0) - 0.57).abs() < 1e-12);
        assert!((left(plateau + 48.0) - 0.57_f64.powi(4)).abs() < 1e-12);
        assert!((left(plateau + 72.0) - 0.57_f64.powi(4) * 0.86_f64.powi(2)).abs() < 1e-12);
        assert!(Remaining::by_delay(-1.0).is_err() && Remaining::by_delay(600.0).is_err());
        assert_eq!(Fading::default().remaining(36.0).expect("share").value(), 0.5);
    }

    #[test]
    fn the_names_of_the_ways_are_those_of_the_configuration() {
        for (name, law) in FadingLaw::NAMES {
            assert_eq!(serde_json::to_value(law).expect("JSON"), name);
            assert_eq!(FadingLaw::parse(name), Some(law));
        }
        assert_eq!(FadingLaw::parse("never"), None);
    }

    #[test]
    fn decades_are_refused_for_dicentrics() {
        assert!(Remaining::after(600.0, 36.0).is_err());
        assert!(Remaining::after(-1.0, 36.0).is_err());
        assert!(Remaining::after(f64::NAN, 36.0).is_err());
    }
}
