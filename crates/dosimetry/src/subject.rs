//! What a dose uses of a person, and nothing else.

use crate::{Curve, DosimetryError, Fading, Gray, Remaining};
use domain::{ErrorKind, HasKind};
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Subject data of a case. All optional; they stay in the store and go with the case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Subject {
    /// Age at sampling in years, for the translocations expected without an exposure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<f64>,
    /// Date of the exposure (or its middle).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub exposed: Option<Date>,
    /// Date on which the blood was drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub sampled: Option<Date>,
    /// Known dose of an earlier exposure in Gy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier_gy: Option<f64>,
    /// Date of the earlier exposure.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub earlier_exposed: Option<Date>,
}

/// Why subject data make no sense.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SubjectError {
    /// An age that nobody has.
    #[error("invalid age '{0}': expected 0 to 120 years")]
    Age(f64),
    /// Dates in the wrong order.
    #[error("{later} ({when}) lies before {earlier} ({than})")]
    Order {
        /// What should come later.
        later: &'static str,
        /// Its date.
        when: Date,
        /// What should come earlier.
        earlier: &'static str,
        /// Its date.
        than: Date,
    },
    /// An earlier dose of unknown age would be taken off in full, which could hide the dose asked for.
    #[error("an earlier dose needs its date and the date of sampling, for its dicentrics fade")]
    EarlierWithoutDates,
    /// An earlier date without its dose.
    #[error("the date of an earlier exposure is of use with its dose in Gy alone: give both")]
    EarlierWithoutDose,
    /// A value out of range.
    #[error(transparent)]
    Quantity(#[from] DosimetryError),
}

impl HasKind for SubjectError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::BadData
    }
}

/// Days of a mean month.
const DAYS_A_MONTH: f64 = 365.2425 / 12.0;

fn months(from: Date, to: Date) -> f64 {
    f64::from(to.duration_since(from).as_hours() as i32) / 24.0 / DAYS_A_MONTH
}

impl Subject {
    /// True when nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks ranges, the order of dates, and that enough dicentrics are left at sampling as `fading` has it.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(&self, fading: Fading) -> Result<(), SubjectError> {
        if let Some(age) = self.age.filter(|age| !(0.0..=120.0).contains(age)) {
            return Err(SubjectError::Age(age));
        }
        let dates = [
            ("the earlier exposure", self.earlier_exposed),
            ("the exposure", self.exposed),
            ("the sampling", self.sampled),
        ];
        let known: Vec<(&'static str, Date)> = dates.into_iter().filter_map(|(name, d)| Some((name, d?))).collect();
        for pair in known.windows(2) {
            let [(earlier, than), (later, when)] = [pair[0], pair[1]];
            if when < than {
                return Err(SubjectError::Order { later, when, earlier, than });
            }
        }
        match (self.earlier_gy, self.earlier_exposed, self.sampled) {
            (Some(dose), Some(_), Some(_)) => drop(Gray::new(dose)?),
            (Some(_), ..) => return Err(SubjectError::EarlierWithoutDates),
            (None, Some(_), _) => return Err(SubjectError::EarlierWithoutDose),
            (None, None, _) => {}
        }
        self.remaining(fading)?;
        Ok(())
    }

    /// Months between exposure and sampling, where both are known.
    pub fn months_since(&self) -> Option<f64> {
        Some(months(self.exposed?, self.sampled?))
    }

    /// Share of the induced dicentrics left at sampling; all of them where a date is not known.
    ///
    /// # Errors
    /// When so much time has passed that nothing can be concluded.
    pub fn remaining(&self, fading: Fading) -> Result<Remaining, DosimetryError> {
        match self.months_since() {
            Some(months) => fading.remaining(months),
            None => Ok(Remaining::default()),
        }
    }

    /// Dicentrics per cell that an earlier exposure has left at sampling: its induced yield by the curve (acute), faded
    /// since. None without one. Two exposures far apart in time add up, since breaks of the one are long repaired.
    pub fn earlier_yield(&self, curve: &Curve, fading: Fading) -> Option<f64> {
        let (dose, from, to) = (Gray::new(self.earlier_gy?).ok()?, self.earlier_exposed?, self.sampled?);
        let response = curve.acute();
        let induced = response.yield_at(dose).value() - response.yield_at(Gray::ZERO).value();
        // Beyond the range that fading is given for nothing is left.
        let left = fading.remaining(months(from, to)).map_or(0.0, Remaining::value);
        Some(induced.max(0.0) * left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::built_in;

    fn subject(text: &str) -> Subject {
        serde_json::from_str(text).expect("subject data")
    }

    #[test]
    fn a_year_and_a_half_leaves_seven_tenths_of_the_dicentrics() {
        let s = subject(r#"{"exposed":"2025-01-01","sampled":"2026-07-02"}"#);
        assert!((s.months_since().expect("months") - 17.97).abs() < 0.01);
        assert!((s.remaining(Fading::default()).expect("share").value() - 0.707).abs() < 1e-3);
        assert_eq!(subject("{}").remaining(Fading::default()).expect("all").value(), 1.0);
    }

    #[test]
    fn an_earlier_dose_leaves_its_faded_yield() {
        let curve = built_in("co60_barquinero1995").expect("curve");
        let s = subject(r#"{"sampled":"2026-01-01","earlier_gy":1.0,"earlier_exposed":"2023-01-01"}"#);
        let whole = curve.coefficients()[1] + curve.coefficients()[2];
        let left = s.earlier_yield(&curve, Fading::default()).expect("a yield");
        assert!((left / whole - 0.5).abs() < 1e-3, "{left} of {whole}");
        assert!(s.check(Fading::default()).is_ok());
    }

    #[test]
    fn data_that_make_no_sense_are_refused() {
        for (text, words) in [
            (r#"{"age":140}"#, "0 to 120"),
            (r#"{"exposed":"2026-03-01","sampled":"2026-02-01"}"#, "lies before"),
            (r#"{"earlier_gy":1}"#, "needs its date"),
            (r#"{"earlier_exposed":"2020-01-01"}"#, "its dose"),
            (r#"{"sampled":"2026-01-01","earlier_gy":-1,"earlier_exposed":"2023-01-01"}"#, "dose"),
            (r#"{"exposed":"1950-01-01","sampled":"2026-01-01"}"#, "translocations"),
        ] {
            let error = subject(text).check(Fading::default()).expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        // Thirty-five years: a thousandth is left after 29 with a half-life of 36 months, more as patients lost them.
        let late = subject(r#"{"exposed":"1991-01-01","sampled":"2026-01-01"}"#);
        assert!(late.check(Fading::default()).is_err());
        assert!(late.check(Fading::ByDelay).is_ok());
        assert!(serde_json::from_str::<Subject>(r#"{"name":"A. B."}"#).is_err(), "nothing else is taken");
        assert!(serde_json::from_str::<Subject>(r#"{"exposed":"2026-02-30"}"#).is_err());
    }
}
