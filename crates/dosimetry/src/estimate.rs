//! Everything that is said about one sample at once: what `metaphased dose estimate` prints and a station publishes.

use super::whole_body::{WholeBody, YieldError};
use super::{
    About, Assay, Bounded, CharacteristicLimits, Control, Curve, Dispersion, DosimetryError, Gray, Level, Method,
    PartialBody, PartialBodyWhen, Remaining, Response, Sample, Scoring, Settings, Uncertainty, Yield,
    characteristic_limits, compatibility, delta, dolphin, likelihood, merkle, merkle_of_overdispersed,
    merkle_scaled_by_dispersion,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The counts as they were given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Input {
    /// Cells scored.
    pub cells: u64,
    /// Aberrations in them.
    pub dicentrics: u64,
    /// Cells with 0, 1, 2, ... aberrations, where known.
    pub counts: Option<Vec<u64>>,
    /// What was counted.
    pub assay: Assay,
    /// Factor on beta for an exposure that took time.
    pub protraction: f64,
    /// Share of the aberrations left at sampling; none where it is not given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remaining: Option<f64>,
    /// Share of the genome in which aberrations are seen.
    pub genome_factor: f64,
    /// Aberrations expected without the exposure; none where they are not given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub background: Option<f64>,
}

/// The curve behind a dose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CurveUsed {
    /// Its name.
    pub id: String,
    /// Radiation.
    pub radiation: String,
    /// c per cell.
    pub c: f64,
    /// alpha per cell and Gy.
    pub alpha: f64,
    /// beta per cell and Gy^2.
    pub beta: f64,
    /// Whether errors and covariances of the coefficients are known.
    pub uncertainty: Uncertainty,
    /// Covariance of (c, alpha, beta), where there is one: with it the band can be drawn again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub covariance: Option<[[f64; 3]; 3]>,
    /// How its cells were scored.
    pub scoring: Option<Scoring>,
    /// The scorer that counted for it, where a machine did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scorer: Option<String>,
    /// Whether its cells were counted by QuickScan.
    #[serde(skip_serializing_if = "is_false", default)]
    pub quickscan: bool,
    /// Calibrated doses in Gy.
    pub dose_range_gy: Option<[f64; 2]>,
    /// Where it comes from.
    pub source: String,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl From<&Curve> for CurveUsed {
    fn from(curve: &Curve) -> Self {
        let [c, alpha, beta] = curve.coefficients();
        Self {
            id: curve.id().into(),
            radiation: curve.about().radiation.clone(),
            c,
            alpha,
            beta,
            uncertainty: curve.uncertainty(),
            covariance: (curve.uncertainty() != Uncertainty::None).then(|| curve.covariance()),
            scoring: curve.about().scoring,
            scorer: curve.about().scorer.clone(),
            quickscan: curve.about().quickscan,
            dose_range_gy: curve.dose_range().map(|(low, high)| [low.value(), high.value()]),
            source: curve.about().source.clone(),
        }
    }
}

impl CurveUsed {
    /// The curve again, to draw it.
    ///
    /// # Errors
    /// When the numbers make no curve.
    pub fn curve(&self, assay: Assay) -> Result<Curve, DosimetryError> {
        let range = match self.dose_range_gy {
            Some([low, high]) => Some((Gray::new(low)?, Gray::new(high)?)),
            None => None,
        };
        let about = About {
            radiation: self.radiation.clone(),
            scoring: self.scoring,
            scorer: self.scorer.clone(),
            quickscan: self.quickscan,
            source: self.source.clone(),
            ..About::default()
        };
        Curve::new(self.id.clone(), assay, [self.c, self.alpha, self.beta], self.covariance, range, about)
    }
}

/// Whole-body dose with its limits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DoseLimits {
    /// Best estimate in Gy.
    pub value: f64,
    /// Lower limit in Gy.
    pub low: Option<f64>,
    /// Upper limit in Gy; none where the curve or the counts do not bound it.
    pub high: Option<f64>,
    /// Level of the limits as asked. In Merkle's method that of each of its two errors: 83 % twice is about 95 %.
    pub level: f64,
    /// Level of the band of the curve, in Merkle's method.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub level_curve: Option<f64>,
    /// How the limits were found.
    pub method: Method,
}

/// Partial-body estimate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PartialBodyEstimate {
    /// Share of the cells irradiated at the start (F), selection by cell death put right.
    pub fraction: Bounded<f64>,
    /// Dose to the exposed part in Gy.
    pub dose_gy: Bounded<f64>,
    /// Yield of the exposed part.
    #[serde(rename = "yield")]
    pub yield_: Bounded<f64>,
    /// Share of the scored cells that were irradiated (f).
    pub scored_fraction: Bounded<f64>,
    /// `dolphin`.
    pub method: PartialMethod,
    /// D0 of cell survival in Gy.
    pub d0_gy: f64,
}

/// How a partial-body estimate was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PartialMethod {
    /// Contaminated Poisson.
    Dolphin,
}

/// Smallest counts that mean something at this number of cells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LimitsFound {
    /// Decision threshold: largest count that is not above the background significantly.
    pub decision: u64,
    /// Detection limit: expected count that is missed with probability beta.
    pub detection: f64,
    /// Dose of one more than the decision threshold, in Gy.
    pub decision_gy: Option<f64>,
    /// Dose of the detection limit, in Gy.
    pub detection_gy: Option<f64>,
    /// Whether the sample is above the threshold.
    pub exceeded: bool,
}

/// What one sample says about the dose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// The counts.
    pub input: Input,
    /// The curve.
    pub curve: CurveUsed,
    /// Aberrations per cell.
    #[serde(rename = "yield")]
    pub yield_: Bounded<f64>,
    /// The yield carried back to the time of exposure, where time had passed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub yield_at_exposure: Option<f64>,
    /// Whole-body dose.
    pub dose_gy: DoseLimits,
    /// The dose without the correction for time, where time had passed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dose_gy_uncorrected: Option<f64>,
    /// Dispersion and u; none where not defined.
    pub dispersion: Dispersion,
    /// Partial-body estimate, where there is one.
    pub partial_body: Option<PartialBodyEstimate>,
    /// Decision threshold and detection limit.
    pub limits: LimitsFound,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Estimates the dose of a sample: whole body with limits, dispersion, part of the body where it applies, limits of
/// detection, and every warning that belongs to them.
pub fn estimate(sample: &Sample, curve: &Curve, settings: &Settings) -> Result<Estimate, DosimetryError> {
    if curve.assay() != settings.assay {
        return Err(DosimetryError::AssayMismatch {
            id: curve.id().into(),
            curve: curve.assay(),
            sample: settings.assay,
        });
    }
    if let (Some(of_curve), Some(of_sample)) = (curve.about().scoring, settings.scoring)
        && of_curve != of_sample
    {
        return Err(DosimetryError::ScoringMismatch { id: curve.id().into(), curve: of_curve, sample: of_sample });
    }
    if curve.about().quickscan != settings.quickscan {
        return Err(DosimetryError::QuickScanMismatch { id: curve.id().into(), curve: curve.about().quickscan });
    }
    let response = curve.at(settings.protraction).with_remaining(settings.remaining);
    let mut warnings = curve.warnings();
    if settings.quickscan {
        warnings.push(
            "counted by QuickScan: cells complete by their look, without the count of 46 centromeres; for a first sort of people"
                .into(),
        );
    }
    let (whole, dose_gy) = whole_body(sample, response, settings, &mut warnings)?;
    let partial_body = partial_body(sample, response, settings, &mut warnings);
    let limits = limits(sample, curve, response, settings)?;
    warn_of_sample(sample, response, &whole, settings, &mut warnings);

    let faded = settings.remaining != Remaining::default();
    let c = Yield::of(curve.coefficients()[0].max(0.0));
    let uncorrected = || curve.at(settings.protraction).dose_of(sample.mean()).ok().map(Gray::value);
    Ok(Estimate {
        input: Input {
            cells: sample.cells(),
            dicentrics: sample.aberrations(),
            counts: sample.histogram().map(<[u64]>::to_vec),
            assay: settings.assay,
            protraction: settings.protraction.value(),
            remaining: Some(settings.remaining.value()),
            genome_factor: sample.genome_factor(),
            background: Some(sample.background()),
        },
        curve: curve.into(),
        yield_: whole.yield_.map(Yield::value),
        yield_at_exposure: faded.then(|| settings.remaining.corrected(sample.mean(), c).value()),
        dose_gy,
        dose_gy_uncorrected: if faded { uncorrected() } else { None },
        dispersion: sample.dispersion(),
        partial_body,
        limits,
        warnings,
    })
}

fn whole_body(
    sample: &Sample,
    response: Response<'_>,
    settings: &Settings,
    warnings: &mut Vec<String>,
) -> Result<(WholeBody, DoseLimits), DosimetryError> {
    let method = settings.method;
    let mut level = settings.level.unwrap_or(method.usual_level());
    // Without a band the yield's limits are all there is: 83 % would be just that.
    if method == Method::Merkle && settings.level.is_none() && response.curve().uncertainty() == Uncertainty::None {
        level = Level::P95;
    }
    let level_curve = settings.level_curve.unwrap_or(level);
    let translocations = sample.genome_factor() != 1.0;
    let whole = match (method, settings.as_biodosetools) {
        (Method::Likelihood, _) => likelihood(sample, response, level)?,
        (Method::Merkle, false) if settings.overdispersed_limits => {
            if sample.dispersion().over() {
                warnings.push(
                    "u exceeds 1.96, so each limit of the count was multiplied by (limit/count)^sqrt(index) (IAEA 2011, eq. 9). The \
                     rule has a gate and no slope: just below u = 1.96 the upper limit would be lower by about half of itself"
                        .into(),
                );
            }
            merkle_of_overdispersed(sample, response, level, level_curve)?
        }
        (Method::Merkle, false) => merkle(sample, response, level, level_curve)?,
        (Method::Merkle, true) => merkle_scaled_by_dispersion(sample, response, level, level_curve)?,
        (Method::Delta, true) if translocations => compatibility::translocation_delta(sample, response, level)?,
        (Method::Delta, _) => delta(sample, response, level, YieldError::Automatic)?,
    };
    if method == Method::Delta && sample.aberrations() < 5 {
        warnings.push("fewer than 5 aberrations: the delta method is not reliable, use likelihood or merkle".into());
    }
    if whole.dose.high.is_none() {
        warnings.push(if method == Method::Delta {
            "the delta method gives no upper limit here: use likelihood or merkle".into()
        } else {
            format!("the upper limit is not bounded by curve {}", response.curve().id())
        });
    }
    if whole.dose.high.is_some_and(|high| high.value() <= 0.0) {
        warnings.push(format!(
            "even the upper limit of the yield lies below the background of curve {}: its background does not fit these \
             cells",
            response.curve().id()
        ));
    }
    let limits = DoseLimits {
        value: whole.dose.value.value(),
        low: whole.dose.low.map(Gray::value),
        high: whole.dose.high.map(Gray::value),
        level: level.value(),
        level_curve: (method == Method::Merkle).then_some(level_curve.value()),
        method,
    };
    Ok((whole, limits))
}

fn partial_body(
    sample: &Sample,
    response: Response<'_>,
    settings: &Settings,
    warnings: &mut Vec<String>,
) -> Option<PartialBodyEstimate> {
    let over = sample.dispersion().over();
    let asked = settings.partial_body == PartialBodyWhen::Always;
    if !(over || asked) {
        return None;
    }
    let method = if settings.as_biodosetools && sample.genome_factor() != 1.0 {
        compatibility::translocation_dolphin
    } else {
        dolphin
    };
    let level = Level::P95;
    match method(sample, response, settings.survival, level) {
        Ok(PartialBody { yield_, dose, scored_fraction, fraction }) => {
            if asked && !over {
                warnings.push(
                    "u does not exceed 1.96: nothing speaks for an exposure of a part of the body, its estimate is \
                     given because it was asked for"
                        .into(),
                );
            }
            if sample.background() > 0.0 {
                warnings.push(
                    "the partial-body estimate counts the aberrations that were there before the exposure, too".into(),
                );
            }
            Some(PartialBodyEstimate {
                fraction,
                dose_gy: dose.map(Gray::value),
                yield_: yield_.map(Yield::value),
                scored_fraction,
                method: PartialMethod::Dolphin,
                d0_gy: settings.survival.d0().value(),
            })
        }
        Err(error) => {
            warnings.push(format!("no partial-body estimate: {error}"));
            None
        }
    }
}

fn limits(
    sample: &Sample,
    curve: &Curve,
    response: Response<'_>,
    settings: &Settings,
) -> Result<LimitsFound, DosimetryError> {
    let background = curve.coefficients()[0].max(0.0) + sample.background() / sample.full_genome_cells();
    let control = settings
        .control
        .clone()
        .unwrap_or_else(|| Control::Rate(Yield::of(background.min(1.0) * sample.genome_factor())));
    let CharacteristicLimits { decision_threshold, detection_limit, .. } =
        characteristic_limits(&control, sample.cells(), settings.alpha, settings.beta, None)?;
    let dose = |count: f64| response.dose_of(sample.yield_of(count)).ok().map(Gray::value);
    Ok(LimitsFound {
        decision: decision_threshold,
        detection: detection_limit,
        decision_gy: dose(decision_threshold as f64 + 1.0),
        detection_gy: dose(detection_limit),
        exceeded: sample.aberrations() > decision_threshold,
    })
}

fn warn_of_sample(
    sample: &Sample,
    response: Response<'_>,
    whole: &WholeBody,
    settings: &Settings,
    warnings: &mut Vec<String>,
) {
    let dispersion = sample.dispersion();
    if dispersion.over() {
        warnings.push(
            "u exceeds 1.96: the aberrations are not Poisson, as after exposure of a part of the body, to several \
             doses or to high LET; the whole-body dose and its limits do not hold then"
                .into(),
        );
    } else if dispersion.under() {
        warnings.push("u is below -1.96: fewer cells with several aberrations than chance; check the scoring".into());
    }
    if sample.histogram().is_none() {
        warnings.push("only totals were given: dispersion and partial-body exposure cannot be assessed".into());
    }
    if sample.cells() < 20 {
        warnings.push(format!("{} cells are too few even for triage: score 50 or more", sample.cells()));
    } else if sample.cells() < 50 {
        warnings.push(format!("{} cells: fewer than the 50 of a triage score", sample.cells()));
    }
    let y = whole.yield_.value.value();
    if y <= response.curve().coefficients()[0] {
        warnings
            .push("the yield does not exceed the background of the curve: the dose is 0 with an upper limit".into());
    } else if !response.calibrated_at(whole.dose.value) {
        warnings.push(format!(
            "{:.2} lies outside the doses that curve {} was calibrated for: extrapolated",
            whole.dose.value,
            response.curve().id()
        ));
    }
    if settings.remaining.value() < 0.85 {
        warnings.push(
            "sampling was months after the exposure: the correction for fading dicentrics is uncertain; \
             translocations are the assay for old exposures"
                .into(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::built_in;

    fn sample(counts: &[u64]) -> Sample {
        Sample::from_histogram(counts.to_vec()).expect("counts")
    }

    #[test]
    fn an_overdispersed_sample_gets_a_partial_body_estimate_and_an_even_one_does_not() {
        let curve = built_in("co60_barquinero1995").expect("curve");
        let settings = Settings::default();
        let over = estimate(&sample(&[302, 28, 22, 8, 1, 0]), &curve, &settings).expect("estimate");
        assert!((over.partial_body.expect("partial body").dose_gy.value - 4.138).abs() < 1e-3);
        assert!(over.warnings.iter().any(|w| w.contains("u exceeds 1.96")));
        let even = estimate(&sample(&[475, 25]), &curve, &settings).expect("estimate");
        assert_eq!(even.partial_body, None);
        let asked = Settings { partial_body: PartialBodyWhen::Always, ..settings };
        assert_eq!(estimate(&sample(&[475, 25]), &curve, &asked).expect("estimate").partial_body, None);
    }

    #[test]
    fn a_curve_for_another_aberration_or_way_of_scoring_is_refused() {
        let curve = built_in("co60_rodriguez2004_fullgenome").expect("curve");
        let found = estimate(&sample(&[475, 25]), &curve, &Settings::default());
        assert!(matches!(found, Err(DosimetryError::AssayMismatch { .. })));
        let curve = built_in("co60_barquinero1995").expect("curve");
        let settings = Settings { scoring: Some(Scoring::Automatic), ..Settings::default() };
        assert!(matches!(
            estimate(&sample(&[475, 25]), &curve, &settings),
            Err(DosimetryError::ScoringMismatch { .. })
        ));
    }

    #[test]
    fn a_curve_of_full_scoring_is_refused_for_quickscan_and_the_other_way() {
        let full = built_in("co60_barquinero1995").expect("curve");
        let quick = full.clone().with_about(About { quickscan: true, ..full.about().clone() });
        let quickly = Settings { quickscan: true, ..Settings::default() };
        let cells = sample(&[140, 9, 1]);
        for (curve, settings) in [(&full, &quickly), (&quick, &Settings::default())] {
            let error = estimate(&cells, curve, settings).expect_err("refused").to_string();
            assert!(error.contains("QuickScan") && error.contains("same mode"), "{error}");
        }
        let found = estimate(&cells, &quick, &quickly).expect("a dose");
        assert!(found.curve.quickscan && found.warnings.iter().any(|w| w.contains("QuickScan")));
    }

    #[test]
    fn the_manuals_limits_of_overdispersed_counts_are_given_by_their_name_and_say_that_they_jump() {
        let curve = built_in("co60_barquinero1995").expect("curve");
        let usual = Settings { method: Method::Merkle, ..Settings::default() };
        let manual = Settings { overdispersed_limits: true, ..usual.clone() };
        let high = |cells: &Sample, settings| {
            let found = estimate(cells, &curve, settings).expect("estimate");
            (found.dose_gy.high.expect("bounded"), found.warnings.iter().any(|w| w.contains("just below u = 1.96")))
        };
        let over = sample(&[478, 19, 3]);
        assert!(high(&over, &manual).0 > 1.15 * high(&over, &usual).0 && high(&over, &manual).1);
        let even = sample(&[475, 25]);
        assert_eq!(high(&even, &manual), high(&even, &usual));
    }

    #[test]
    fn a_borrowed_curve_is_said_plainly() {
        let curve = built_in("co60_barquinero1995").expect("curve");
        let found = estimate(&sample(&[475, 25]), &curve, &Settings::default()).expect("estimate");
        assert!(found.warnings.iter().any(|w| w.contains("another laboratory")));
        // 0.64 expected: three or more have a probability of 0.027, two or more of 0.135.
        assert_eq!(found.limits.decision, 2);
        assert!(found.limits.exceeded);
    }
}
