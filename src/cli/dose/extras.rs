//! What `dose estimate` computes when asked: translocations, two doses, Qdr, odds, mixed fields.

use super::estimate::range;
use super::{bad_data, bad_option, curve, parse};
use crate::cli::Failure;
use clap::{Args, ValueEnum};
use dosimetry::{
    Assay, Bounded, Curve, GenomeSex, Gray, Level, Person, Sample, Settings, YIELD_FLOOR, Yield,
    expected_translocations, genome_factor, ln_odds, mixed_field, qdr, sigurdson_modifier, translocation_rate,
    two_doses,
};
use serde::Serialize;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SexArg {
    Female,
    Male,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Further estimates")]
pub struct ExtrasArgs {
    /// Two doses in one sample: mixed Poisson.
    #[arg(hide_short_help = true, long)]
    two_doses: bool,
    /// Lowest yield of the second part.
    #[arg(hide_short_help = true, long, value_name = "YIELD", default_value_t = YIELD_FLOOR, value_parser = parse::number, requires = "two_doses")]
    two_doses_floor: f64,
    /// Odds of the first dose against the second, in Gy, such as 0,0.5.
    #[arg(hide_short_help = true, long, value_name = "A,B")]
    odds: Option<String>,
    /// Qdr: curve of excess acentrics (a curve file with assay = "acentrics").
    #[arg(hide_short_help = true, long, value_name = "FILE", requires = "damaged_cells")]
    acentric_curve: Option<String>,
    /// Qdr: cells with any unstable aberration.
    #[arg(hide_short_help = true, long, value_name = "CU", requires = "acentric_curve")]
    damaged_cells: Option<u64>,
    /// Mixed field: curve of the neutrons; --curve is that of the gamma rays.
    #[arg(hide_short_help = true, long, value_name = "ID|FILE", requires = "gamma_neutron_ratio")]
    neutron_curve: Option<String>,
    /// Mixed field: gamma dose over neutron dose.
    #[arg(hide_short_help = true, long, value_name = "RATIO", value_parser = parse::number, requires = "neutron_curve")]
    gamma_neutron_ratio: Option<f64>,
    /// Mixed field: share of photons in the field that made the neutron curve.
    #[arg(hide_short_help = true, long, value_name = "SHARE", value_parser = parse::number, default_value = "0", requires = "neutron_curve")]
    photon_contamination: f64,
    /// Translocations: share of the genome that the painting shows.
    #[arg(hide_short_help = true, long, value_name = "FACTOR", value_parser = parse::number, conflicts_with = "painted")]
    genome_factor: Option<f64>,
    /// Translocations: painted chromosomes, colours apart by /, such as 1,2,4/3,5,6.
    #[arg(hide_short_help = true, long, value_name = "COLOURS", requires = "sex")]
    painted: Option<String>,
    /// Translocations: sex, for the share of DNA.
    #[arg(hide_short_help = true, long, value_enum)]
    sex: Option<SexArg>,
    /// Translocations: age in years, for those expected without the exposure (Sigurdson 2008).
    #[arg(hide_short_help = true, long, value_name = "YEARS", value_parser = parse::number, conflicts_with = "expected_background")]
    age: Option<f64>,
    /// Translocations: groups that modify the rate by age, such as female,smoker,western-europe.
    #[arg(hide_short_help = true, long, value_name = "GROUP,...", value_delimiter = ',')]
    groups: Vec<String>,
    /// Translocations: those expected in these cells without the exposure.
    #[arg(hide_short_help = true, long, value_name = "COUNT", value_parser = parse::number)]
    expected_background: Option<f64>,
}

/// One part of two.
#[derive(Debug, Serialize)]
struct Part {
    #[serde(rename = "yield")]
    yield_: Bounded<f64>,
    dose_gy: Bounded<f64>,
    fraction: f64,
}

#[derive(Debug, Serialize)]
struct TwoDosesFound {
    parts: [Part; 2],
    fraction_error: Option<f64>,
    scored_fraction: f64,
    second_indistinguishable_from_unexposed: bool,
    negative_log_likelihood: f64,
}

#[derive(Debug, Serialize)]
struct OddsFound {
    dose_a_gy: f64,
    dose_b_gy: f64,
    /// Likelihood of dose a over that of dose b; none where it overflows.
    ratio: Option<f64>,
    ln_ratio: f64,
}

#[derive(Debug, Serialize)]
struct QdrFound {
    ratio: f64,
    dose_gy: f64,
}

#[derive(Debug, Serialize)]
struct MixedFound {
    gamma_gy: Bounded<f64>,
    neutron_gy: Bounded<f64>,
    total_gy: Bounded<f64>,
}

/// What was asked for beyond the estimate.
#[derive(Debug, Default, Serialize)]
pub struct Extras {
    #[serde(skip_serializing_if = "Option::is_none")]
    two_doses: Option<TwoDosesFound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    odds: Option<OddsFound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qdr: Option<QdrFound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mixed_field: Option<MixedFound>,
}

impl ExtrasArgs {
    /// True when the options speak of painted translocations.
    pub fn translocations(&self) -> bool {
        self.genome_factor.is_some() || self.painted.is_some()
    }

    /// The sample with the share of the genome that was seen. `age` is that of the person, where it is known and no
    /// option gives it.
    pub fn with_genome(&self, sample: Sample, age: Option<f64>, assay: Assay) -> Result<Sample, Failure> {
        let known = age.filter(|_| assay == Assay::Translocations && self.expected_background.is_none());
        let factor = match (&self.painted, self.sex, self.genome_factor) {
            (Some(painted), Some(sex), _) => {
                let colours: Vec<Vec<&str>> = painted.split('/').map(|c| c.split(',').collect()).collect();
                let sex = match sex {
                    SexArg::Female => GenomeSex::Female,
                    SexArg::Male => GenomeSex::Male,
                };
                genome_factor(sex, &colours).map_err(bad_option)?
            }
            (_, _, Some(factor)) => factor,
            _ => 1.0,
        };
        let background = match self.age.or(known) {
            Some(age) => {
                let mut modifier = 1.0;
                for group in &self.groups {
                    modifier *= sigurdson_modifier(group).ok_or_else(|| {
                        Failure::usage(format!("invalid --groups '{group}': expected one of the groups of `--help`"))
                    })?;
                }
                let rate = translocation_rate(Person { age, modifier }).map_err(bad_option)?;
                expected_translocations(sample.cells(), factor, rate)
            }
            None if !self.groups.is_empty() => {
                return Err(Failure::usage("--groups modify the rate by age: give --age, too"));
            }
            None => self.expected_background.unwrap_or(0.0),
        };
        sample.with_genome(factor, background).map_err(bad_option)
    }

    /// Computes what was asked for.
    pub fn compute(
        &self,
        sample: &Sample,
        curve: &Curve,
        settings: &Settings,
        warnings: &mut Vec<String>,
    ) -> Result<Extras, Failure> {
        let response = curve.at(settings.protraction).with_remaining(settings.remaining);
        let level = Level::P95;
        let mut extras = Extras::default();
        if self.two_doses {
            let floor = Yield::new(self.two_doses_floor).map_err(bad_option)?;
            let found = two_doses(sample, response, settings.survival, floor, level).map_err(bad_data)?;
            if found.second_at_floor {
                warnings.push("two doses: the second part is not distinguishable from unexposed cells".into());
            }
            extras.two_doses = Some(TwoDosesFound {
                parts: [0, 1].map(|i| Part {
                    yield_: found.yields[i].map(Yield::value),
                    dose_gy: found.doses[i].map(Gray::value),
                    fraction: found.fractions[i],
                }),
                fraction_error: if settings.as_biodosetools {
                    dosimetry::compatibility::two_doses_fraction_error(&found, settings.survival)
                } else {
                    found.fraction_error
                },
                scored_fraction: found.scored_fraction,
                second_indistinguishable_from_unexposed: found.second_at_floor,
                negative_log_likelihood: found.negative_log_likelihood,
            });
        }
        if let Some(text) = &self.odds {
            let wrong = || Failure::usage(format!("--odds: {text:?}; give two doses such as 0,0.5"));
            let (a, b) = text.split_once(',').ok_or_else(wrong)?;
            let (a, b) = (parse::gray(a).map_err(|_| wrong())?, parse::gray(b).map_err(|_| wrong())?);
            let ln_ratio = ln_odds(sample, response, a, b).map_err(bad_data)?;
            let ratio = Some(ln_ratio.exp()).filter(|r| r.is_finite());
            extras.odds = Some(OddsFound { dose_a_gy: a.value(), dose_b_gy: b.value(), ratio, ln_ratio });
        }
        if let (Some(file), Some(damaged)) = (&self.acentric_curve, self.damaged_cells) {
            let acentrics = curve::load(Some(file))?;
            if acentrics.assay() != Assay::Acentrics {
                return Err(Failure::bad_data(format!(
                    "{file}: Qdr needs a curve of excess acentrics (assay = \"acentrics\")"
                )));
            }
            let acute = acentrics.at(settings.protraction);
            let found = qdr(sample.aberrations(), damaged, response, acute).map_err(bad_data)?;
            extras.qdr = Some(QdrFound { ratio: found.ratio, dose_gy: found.dose.value() });
        }
        if let (Some(neutron), Some(ratio)) = (&self.neutron_curve, self.gamma_neutron_ratio) {
            let neutron = curve::load(Some(neutron))?;
            let found = mixed_field(sample, curve, &neutron, ratio, self.photon_contamination, level);
            let found = found.map_err(bad_data)?;
            extras.mixed_field = Some(MixedFound {
                gamma_gy: found.gamma.map(Gray::value),
                neutron_gy: found.neutron.map(Gray::value),
                total_gy: found.total.map(Gray::value),
            });
        }
        Ok(extras)
    }
}

impl Extras {
    /// For people.
    pub fn lines(&self) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: String| text += &format!("{name:<22}{value}\n");
        if let Some(t) = &self.two_doses {
            for (i, part) in t.parts.iter().enumerate() {
                let share = format!("{:.0} % of the cells", part.fraction * 100.0);
                row(&format!("dose {}, Gy", i + 1), format!("{}, {share}", range(part.dose_gy)));
            }
        }
        if let Some(o) = &self.odds {
            let ratio = o.ratio.map_or_else(|| format!("e^{:.0}", o.ln_ratio), |r| format!("{r:.4e}"));
            row("odds", format!("{} Gy against {} Gy: {ratio}", o.dose_a_gy, o.dose_b_gy));
        }
        if let Some(q) = &self.qdr {
            row("Qdr dose, Gy", format!("{:.2} ({:.3} a damaged cell)", q.dose_gy, q.ratio));
        }
        if let Some(m) = &self.mixed_field {
            row("gamma dose, Gy", range(m.gamma_gy));
            row("neutron dose, Gy", range(m.neutron_gy));
            row("total dose, Gy", range(m.total_gy));
        }
        text
    }
}
