//! Is there any exposure at all: decision threshold, detection limit, odds of two doses.

use super::curve::Response;
use super::poisson::{conditional_binomial, poisson_test};
use super::{DosimetryError, Gray, MAX_CELLS, Sample, Yield, numeric};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is known of unexposed people.
#[derive(Debug, Clone, PartialEq)]
pub enum Control {
    /// A control group that was scored.
    Counted(Sample),
    /// A background rate taken as known.
    Rate(Yield),
}

impl Control {
    fn rate(&self) -> f64 {
        match self {
            Self::Counted(sample) => sample.aberrations() as f64 / sample.cells() as f64,
            Self::Rate(rate) => rate.value(),
        }
    }

    fn p_value(&self, count: u64, cells: u64) -> f64 {
        match self {
            Self::Counted(s) => conditional_binomial(count, cells, s.aberrations(), s.cells()),
            Self::Rate(rate) => poisson_test(count, rate.value() * cells as f64),
        }
    }
}

/// Characteristic limits of a sample of some size (ISO 19238, annex F; ISO 11929).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CharacteristicLimits {
    /// Largest count that is NOT significantly above the control at `alpha`, two-sided.
    pub decision_threshold: u64,
    /// Expected count that is missed with probability `beta` at most: `chi2(1 - beta, 2(threshold + 1))/2`.
    pub detection_limit: f64,
    /// Dose of one more than the threshold: the smallest that can be distinguished from none; none where the curve has none.
    pub dose_at_decision: Option<Gray>,
    /// Dose of the detection limit.
    pub dose_at_detection: Option<Gray>,
}

/// Decision threshold and detection limit for `cells` cells. `alpha` is the two-sided error of the first kind
/// (so at most half of it one-sided), `beta` that of the second.
pub fn characteristic_limits(
    control: &Control,
    cells: u64,
    alpha: f64,
    beta: f64,
    response: Option<Response<'_>>,
) -> Result<CharacteristicLimits, DosimetryError> {
    for (what, found) in [("alpha", alpha), ("beta", beta)] {
        if !(1e-6..=0.5).contains(&found) {
            return Err(DosimetryError::Quantity { what, found, allowed: "0.000001 to 0.5, such as 0.05" });
        }
    }
    if cells == 0 {
        return Err(DosimetryError::NoCells);
    }
    if cells > MAX_CELLS {
        return Err(DosimetryError::TooMany { found: cells, most: MAX_CELLS });
    }
    let rate = control.rate();
    if rate > 10.0 {
        return Err(DosimetryError::Quantity {
            what: "background per cell",
            found: rate,
            allowed: "a yield per cell of unexposed people, usually 0.0005 to 0.002",
        });
    }
    let expected = rate * cells as f64;
    let first = (expected.floor() as u64..=MAX_CELLS * 20)
        .find(|&count| count as f64 > expected && control.p_value(count, cells) < alpha)
        .ok_or(DosimetryError::NoCells)?;
    let threshold = first.saturating_sub(1);
    let detection = numeric::chi_square_quantile(1.0 - beta, 2.0 * first as f64) / 2.0;
    let dose = |count: f64| response.and_then(|r| r.dose_of(Yield::of(count / cells as f64)).ok());
    Ok(CharacteristicLimits {
        decision_threshold: threshold,
        detection_limit: detection,
        dose_at_decision: dose(first as f64),
        dose_at_detection: dose(detection),
    })
}

/// Logarithm of the odds of dose `a` against dose `b` for a count: `X ln(Ya/Yb) - N (Ya - Yb)`, the ratio of the two
/// Poisson likelihoods (IAEA 2011; ISO 19238, annex E). For a badge claim `a` is 0 and `b` the badge's dose.
pub fn ln_odds(sample: &Sample, response: Response<'_>, a: Gray, b: Gray) -> Result<f64, DosimetryError> {
    let n = sample.full_genome_cells();
    let mean = |dose: Gray| response.y(dose.value()) + sample.background() / n;
    let (ya, yb) = (mean(a), mean(b));
    let x = sample.aberrations() as f64;
    for (dose, y) in [(a, ya), (b, yb)] {
        if y < 0.0 || (y == 0.0 && x > 0.0) {
            return Err(DosimetryError::NotApplicable(format!(
                "curve {} expects no aberration at {dose}, yet {x} were seen: the odds are infinite",
                response.curve().id()
            )));
        }
    }
    let ratio = if x > 0.0 { x * (ya / yb).ln() } else { 0.0 };
    Ok(ratio - n * (ya - yb))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::built_in;

    #[test]
    fn four_in_a_thousand_controls() {
        let control = Control::Counted(Sample::from_totals(1000, 4).expect("control"));
        let curve = built_in("co60_barquinero1995").expect("curve");
        let found = characteristic_limits(&control, 500, 0.05, 0.1, Some(curve.acute())).expect("limits");
        assert_eq!(found.decision_threshold, 7);
        assert!((found.detection_limit - 11.770_914_461_5).abs() < 1e-8);
        assert!((found.dose_at_decision.expect("dose").value() - 0.344_362_294_2).abs() < 1e-8);
    }

    #[test]
    fn a_control_without_dicentrics_still_gives_a_threshold() {
        let control = Control::Counted(Sample::from_totals(1000, 0).expect("control"));
        let found = characteristic_limits(&control, 50, 0.05, 0.1, None).expect("limits");
        assert!(found.decision_threshold <= 2 && found.detection_limit > 0.0, "{found:?}");
        let none = characteristic_limits(&Control::Rate(Yield::of(0.0)), 50, 0.05, 0.1, None).expect("limits");
        assert_eq!(none.decision_threshold, 0);
    }

    #[test]
    fn odds_of_nothing_seen_favour_no_dose() {
        let curve = built_in("co60_barquinero1995").expect("curve");
        let sample = Sample::from_totals(500, 0).expect("counts");
        let ln = ln_odds(&sample, curve.acute(), Gray::ZERO, Gray::clamped(0.1)).expect("odds");
        assert!((ln - 1.367_098_886_6).abs() < 1e-9);
        let none = built_in("proton_4_9mev").expect("curve");
        let one = Sample::from_totals(500, 1).expect("counts");
        assert!(ln_odds(&one, none.acute(), Gray::ZERO, Gray::clamped(0.1)).is_err());
    }
}
