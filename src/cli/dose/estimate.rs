//! `metaphased dose estimate`.

use super::counts::{self, CountArgs, Named};
use super::extras::{Extras, ExtrasArgs};
use super::{bad_data, bad_option, curve, parse, show};
use crate::cli::{
    Exit, Failure, Global,
    output::{print, print_json},
};
use clap::{
    Args, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use dosimetry::{
    Assay, Bounded, CellSurvival, Control, Curve, Estimate, FadingLaw, Gray, Level, Method, PartialBodyWhen,
    Protraction, Remaining, Sample, Scoring, Settings, Yield, estimate,
};
use serde::Serialize;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  metaphased dose estimate --cells 500 --dicentrics 25
  metaphased dose estimate --counts 475,24,1 --curve co60_barquinero1995
  metaphased dose estimate --csv samples.csv --curve laboratory.toml --json
  metaphased dose estimate --case K1                      the counted cells of a stored case")]
pub struct EstimateArgs {
    #[command(flatten)]
    pub counts: CountArgs,
    #[command(flatten)]
    pub settings: SettingsArgs,
    #[command(flatten)]
    extras: ExtrasArgs,
    /// Use the subject data of this stored case (age, dates, earlier dose) for counts from elsewhere.
    #[arg(long, value_name = "ID", conflicts_with = "case")]
    subject: Option<String>,
    /// One JSON object for each sample.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum MethodArg {
    /// Inverted exact test, about 95 % whatever the counts: the default.
    Likelihood,
    /// Exact Poisson limits against the band of the curve; 83 % each unless --level says otherwise.
    Merkle,
    /// Errors carried by derivatives.
    Delta,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ScoringArg {
    Manual,
    SemiAutomatic,
    Automatic,
}

/// Curve, method and circumstances of the exposure.
#[derive(Debug, Args)]
pub struct SettingsArgs {
    /// Calibration curve: a built-in name (`metaphased dose curves`) or a curve file.
    #[arg(long, value_name = "ID|FILE")]
    pub curve: Option<String>,
    /// How the limits of the whole-body dose are found.
    #[arg(long, value_enum, default_value = "likelihood")]
    method: MethodArg,
    /// Level of the limits, such as 0.95; in Merkle's method of yield and curve alike. Without it 0.95, or 0.83 twice
    /// for Merkle's method.
    #[arg(long, value_name = "LEVEL", value_parser = parse::level)]
    level: Option<Level>,
    /// Level of the band of the curve in Merkle's method, where it is to differ.
    #[arg(hide_short_help = true, long, value_name = "LEVEL", value_parser = parse::level)]
    level_curve: Option<Level>,
    /// What was counted: dicentrics, dicentrics+rings, translocations, micronuclei.
    #[arg(long, value_name = "KIND", value_parser = assay)]
    assay: Option<Assay>,
    /// How the sample was scored; a curve scored another way is refused.
    #[arg(long, value_enum)]
    scoring: Option<ScoringArg>,
    /// The cells were counted by QuickScan: complete by their look, without the count of 46 centromeres. A curve of full scoring is refused.
    #[arg(long)]
    quickscan: bool,
    /// Hours that the irradiation took (acute without it).
    #[arg(hide_short_help = true, long, value_name = "HOURS", value_parser = parse::number, allow_hyphen_values = true)]
    irradiation_hours: Option<f64>,
    /// Mean time between a lesion and its repair, in hours.
    #[arg(hide_short_help = true, long, value_name = "HOURS", value_parser = parse::number, default_value = "2")]
    repair_hours: f64,
    /// Equal short fractions instead of a continuous irradiation.
    #[arg(
        hide_short_help = true,
        long,
        value_name = "N",
        requires = "fraction_interval",
        conflicts_with = "irradiation_hours"
    )]
    fractions: Option<u32>,
    /// Hours between fractions.
    #[arg(hide_short_help = true, long, value_name = "HOURS", value_parser = parse::number, requires = "fractions")]
    fraction_interval: Option<f64>,
    /// Months between exposure and sampling: corrects for the dicentrics lost since.
    #[arg(long, value_name = "MONTHS", value_parser = parse::number, allow_hyphen_values = true)]
    months_since: Option<f64>,
    /// Half-life of dicentrics in months: 36 unless it is given.
    #[arg(hide_short_help = true, long, value_name = "MONTHS", value_parser = parse::number)]
    half_life_months: Option<f64>,
    /// How dicentrics are lost: with the half-life, or by the delay, as in patients followed for 30 years (a plateau of 20 weeks, -43 % a
    /// year for four years, then -14 % a year).
    #[arg(hide_short_help = true, long, value_name = "LAW", value_parser = fading(), default_value = "half-life")]
    fading: FadingLaw,
    /// With --method merkle: limits of a count with u > 1.96 as the IAEA manual widens them (2011, eq. 9); they jump at that gate.
    #[arg(hide_short_help = true, long, conflicts_with = "compatibility")]
    overdispersed_limits: bool,
    /// Give a partial-body estimate even when u does not exceed 1.96.
    #[arg(long)]
    partial_body: bool,
    /// Dose that leaves 37 % of the cells able to reach metaphase, in Gy (2.7 to 3.5).
    #[arg(hide_short_help = true, long, value_name = "GY", value_parser = parse::gray, default_value = "2.7")]
    d0: Gray,
    /// Cells of a control group, for the decision threshold (without it the background of the curve serves).
    #[arg(
        hide_short_help = true,
        long,
        value_name = "N",
        requires = "control_dicentrics",
        conflicts_with = "background"
    )]
    control_cells: Option<u64>,
    /// Dicentrics in the control group.
    #[arg(hide_short_help = true, long, value_name = "X", requires = "control_cells")]
    control_dicentrics: Option<u64>,
    /// Background per cell of unexposed people, for the decision threshold.
    #[arg(hide_short_help = true, long, value_name = "RATE", value_parser = parse::rate)]
    background: Option<Yield>,
    /// Compute as this program does, flaws included: biodosetools-3.7.
    #[arg(hide_short_help = true, long, value_name = "PROGRAM", value_parser = ["biodosetools-3.7"])]
    compatibility: Option<String>,
}

fn assay(text: &str) -> Result<Assay, String> {
    Assay::parse(text).ok_or_else(|| {
        let names: Vec<&str> = Assay::NAMES.iter().map(|(name, _)| *name).collect();
        format!("invalid kind of aberration '{text}': expected one of {}", names.join(", "))
    })
}

fn fading() -> impl TypedValueParser<Value = FadingLaw> {
    let unknown = |name: &str| format!("invalid way to fade '{name}'");
    PossibleValuesParser::new(FadingLaw::NAMES.map(|(name, _)| name))
        .try_map(move |name| FadingLaw::parse(&name).ok_or_else(|| unknown(&name)))
}

impl SettingsArgs {
    /// The curve and the settings; `translocations` when the options speak of painting.
    pub fn resolve(&self, translocations: bool) -> Result<(Curve, Settings), Failure> {
        let curve = curve::load(self.curve.as_deref())?;
        let protraction = match (self.irradiation_hours, self.fractions, self.fraction_interval) {
            (Some(hours), ..) => Protraction::lea_catcheside(hours, self.repair_hours).map_err(bad_option)?,
            (_, Some(n), Some(dt)) => Protraction::fractions(n, dt, self.repair_hours).map_err(bad_option)?,
            _ => Protraction::ACUTE,
        };
        if self.overdispersed_limits && !matches!(self.method, MethodArg::Merkle) {
            return Err(Failure::usage(
                "--overdispersed-limits: a rule of Merkle's method, give --method merkle with it",
            ));
        }
        let fading = match (self.fading, self.half_life_months) {
            (FadingLaw::ByDelay, Some(months)) => {
                return Err(Failure::usage(format!(
                    "invalid --half-life-months '{months}': expected --fading half-life with it, by-delay has no half-life"
                )));
            }
            (law, months) => law.with(months.unwrap_or(Remaining::HALF_LIFE_MONTHS)),
        };
        let remaining = match self.months_since {
            Some(months) => fading.remaining(months).map_err(bad_option)?,
            None => Remaining::default(),
        };
        let control = match (self.control_cells, self.control_dicentrics, self.background) {
            (Some(n), Some(x), _) => Some(Control::Counted(Sample::from_totals(n, x).map_err(bad_data)?)),
            (_, _, Some(rate)) => Some(Control::Rate(rate)),
            _ => None,
        };
        let usual = if translocations { Assay::Translocations } else { Assay::Dicentrics };
        let settings = Settings {
            method: match self.method {
                MethodArg::Likelihood => Method::Likelihood,
                MethodArg::Merkle => Method::Merkle,
                MethodArg::Delta => Method::Delta,
            },
            level: self.level,
            level_curve: self.level_curve,
            protraction,
            remaining,
            survival: CellSurvival::from_d0(self.d0).map_err(bad_option)?,
            partial_body: if self.partial_body { PartialBodyWhen::Always } else { PartialBodyWhen::Overdispersed },
            control,
            assay: self.assay.unwrap_or(usual),
            scoring: self.scoring.map(|s| match s {
                ScoringArg::Manual => Scoring::Manual,
                ScoringArg::SemiAutomatic => Scoring::SemiAutomatic,
                ScoringArg::Automatic => Scoring::Automatic,
            }),
            fading,
            quickscan: self.quickscan,
            overdispersed_limits: self.overdispersed_limits,
            as_biodosetools: self.compatibility.is_some(),
            ..Settings::default()
        };
        Ok((curve, settings))
    }
}

#[derive(Serialize)]
struct Output<'a> {
    schema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(flatten)]
    estimate: &'a Estimate,
    #[serde(flatten)]
    extras: &'a Extras,
    notice: &'static str,
}

impl EstimateArgs {
    pub fn run(&self, global: &Global) -> Result<Exit, Failure> {
        let mut samples = self.counts.samples(global)?;
        if let Some(id) = &self.subject {
            let subject = counts::subject(global, id)?;
            samples.iter_mut().for_each(|named| named.subject = subject);
        }
        let (curve, usual) = self.settings.resolve(self.extras.translocations())?;
        for sample in samples {
            let id = sample.id.clone();
            let named = |failure: Failure| match &id {
                Some(id) => failure.about(format!("sample {id}")),
                None => failure,
            };
            let Named { sample: scored, subject, .. } = &sample;
            let painted = self.extras.with_genome(scored.clone(), subject.age, curve.assay()).map_err(named)?;
            let mut warnings = sample.warnings.clone();
            warnings.extend(sample.holds(&curve, &usual).map_err(bad_data).map_err(named)?);
            let sample = Named { sample: painted, ..sample };
            let (sample, settings) = sample.of_person(&curve, &usual).map_err(bad_data).map_err(named)?;
            let mut found = estimate(&sample, &curve, &settings).map_err(bad_data).map_err(named)?;
            found.warnings.extend(warnings);
            let extras = self.extras.compute(&sample, &curve, &settings, &mut found.warnings).map_err(named)?;
            if self.json {
                let notice = domain::NOTICE;
                let output =
                    Output { schema: "dose-estimate/1", id: id.as_deref(), estimate: &found, extras: &extras, notice };
                print_json(&output)?;
            } else {
                if let Some(id) = &id {
                    print(id)?;
                }
                print(&(lines(&found) + &extras.lines()))?;
                found.warnings.iter().for_each(|w| eprintln!("note: {w}"));
            }
        }
        if !self.json {
            eprintln!("{}", domain::NOTICE);
        }
        Ok(Exit::Done)
    }
}

/// A value with its limits, for people.
pub fn range(b: Bounded<f64>) -> String {
    format!("{} ({} to {})", show(Some(b.value)), show(b.low), show(b.high))
}

/// The same with a fixed number of decimals.
fn range_to(b: Bounded<f64>, digits: usize) -> String {
    let show = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.digits$}"));
    format!("{} ({} to {})", show(Some(b.value)), show(b.low), show(b.high))
}

fn lines(e: &Estimate) -> String {
    let d = &e.dose_gy;
    let method = match d.method {
        Method::Likelihood => format!("likelihood, {} %", percent(d.level)),
        Method::Merkle => {
            format!("Merkle, {} % and {} %", percent(d.level), percent(d.level_curve.unwrap_or(d.level)))
        }
        Method::Delta => format!("delta, {} %", percent(d.level)),
    };
    let mut text = String::new();
    let mut row = |name: &str, value: String| text += &format!("{name:<22}{value}\n");
    let radiation = Some(&e.curve.radiation).filter(|r| !r.is_empty()).map(|r| format!(" ({r})")).unwrap_or_default();
    row("curve", format!("{}{radiation}", e.curve.id));
    row("cells", e.input.cells.to_string());
    row(e.input.assay.name(), e.input.dicentrics.to_string());
    row("yield per cell", range(e.yield_));
    if let Some(y) = e.yield_at_exposure {
        row("yield at exposure", show(Some(y)));
    }
    let upper = d.high.map_or("not bounded by this curve".into(), |h| format!("{h:.2}"));
    let lower = d.low.map_or("-".into(), |l| format!("{l:.2}"));
    row("whole-body dose, Gy", format!("{:.2} ({lower} to {upper}; {method})", d.value));
    if let Some(uncorrected) = e.dose_gy_uncorrected {
        row("  without correction", format!("{uncorrected:.2}"));
    }
    let dispersion = match (e.dispersion.index, e.dispersion.u) {
        (Some(index), Some(u)) => format!("{index:.3}, u = {u:.2}"),
        (Some(index), None) => format!("{index:.3}, u not available"),
        _ => "not available".into(),
    };
    row("dispersion index", dispersion);
    if let Some(p) = &e.partial_body {
        row("partial-body dose, Gy", format!("{} (Dolphin, 95 %)", range_to(p.dose_gy, 2)));
        row("  fraction of body", range_to(p.fraction, 2));
    }
    let verdict = if e.limits.exceeded { "exceeded" } else { "not exceeded" };
    row("decision threshold", format!("{} ({verdict}; {} Gy)", e.limits.decision, show(e.limits.decision_gy)));
    row("detection limit", format!("{} ({} Gy)", show(Some(e.limits.detection)), show(e.limits.detection_gy)));
    text
}

fn percent(level: f64) -> f64 {
    (level * 1e5).round() / 1e3
}
