//! `metaphased dose fit`.

use super::{
    bad_data, bad_option,
    counts::{self, Stored},
    parse, show, write,
};
use crate::{
    cli::{
        Exit, Failure, Global,
        output::{print, print_json},
    },
    curve_files::write_curve,
};
use clap::{Args, ValueEnum};
use dosimetry::{
    About, Assay, Curve, CurveUsed, Dispersion, Family, FitOptions, FitPoint, Gray, Model, Scoring, design_warnings,
    fit,
};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ModelArg {
    /// c + alpha D + beta D^2.
    #[value(name = "lq", alias = "linear-quadratic")]
    LinearQuadratic,
    /// c + alpha D.
    #[value(name = "l", alias = "linear")]
    Linear,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FamilyArg {
    /// Errors widened where the points scatter more than Poisson.
    #[value(name = "auto", alias = "quasi-poisson", alias = "quasipoisson")]
    Auto,
    /// Poisson errors whatever the scatter.
    Poisson,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ScoringArg {
    Manual,
    SemiAutomatic,
    Automatic,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  metaphased dose fit --csv points.csv --id laboratory --out laboratory.toml
  metaphased dose fit --case control=0 --case low=0.5 --case high=3 --out laboratory.toml")]
pub struct Fit {
    /// CSV file with a column dose (Gy) and c0,c1,... or cells,dicentrics; a row a dose.
    #[arg(long, value_name = "FILE", required_unless_present = "case")]
    csv: Option<PathBuf>,
    /// A stored case of known dose as a point, such as calibration-2=0.5; once for each case.
    #[arg(long, value_name = "ID=GY")]
    case: Vec<String>,
    /// Shape of the curve.
    #[arg(long, value_enum, default_value = "lq")]
    model: ModelArg,
    /// Distribution of the counts.
    #[arg(long, value_enum, default_value = "auto")]
    family: FamilyArg,
    /// Let coefficients go below 0.
    #[arg(long)]
    unconstrained: bool,
    /// Translocations: share of the genome that the painting shows.
    #[arg(long, value_name = "FACTOR", value_parser = parse::number, default_value = "1")]
    genome_factor: f64,
    /// Name of the curve.
    #[arg(long, value_name = "NAME", default_value = "fitted")]
    id: String,
    /// What was counted: dicentrics, dicentrics+rings, translocations, micronuclei, acentrics.
    #[arg(long, value_name = "KIND", default_value = "dicentrics")]
    assay: String,
    /// Radiation, such as "60Co gamma".
    #[arg(long, value_name = "WORDS", default_value = "")]
    radiation: String,
    /// Dose rate, in words.
    #[arg(long, value_name = "WORDS")]
    dose_rate: Option<String>,
    /// How the cells were scored.
    #[arg(long, value_enum)]
    scoring: Option<ScoringArg>,
    /// The scorer that counted the cells of the file, where a machine did, as doses state it (`scorers`). Cases name their own.
    #[arg(long, value_name = "NAME", requires = "csv", conflicts_with = "case")]
    scorer: Option<String>,
    /// The cells were counted by QuickScan: complete by their look, without the count of 46 centromeres. The curve holds for such alone.
    #[arg(long)]
    quickscan: bool,
    /// Laboratory that made the points.
    #[arg(long, value_name = "WORDS")]
    laboratory: Option<String>,
    /// Write the curve to this file (TOML), for --curve.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Let a dispersion below 1 shrink the errors, as biodosetools-3.7 does.
    #[arg(long, value_name = "PROGRAM", value_parser = ["biodosetools-3.7"])]
    compatibility: Option<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Point<'a> {
    dose_gy: f64,
    cells: u64,
    dicentrics: u64,
    counts: Option<&'a [u64]>,
    #[serde(rename = "yield")]
    yield_: f64,
    dispersion: Dispersion,
    fitted_yield: f64,
}

#[derive(Serialize)]
struct Input<'a> {
    points: Vec<Point<'a>>,
    model: Model,
    family: Family,
    constrained: bool,
    genome_factor: f64,
}

#[derive(Serialize)]
struct Output<'a> {
    schema: &'static str,
    input: Input<'a>,
    curve: CurveUsed,
    fit: &'a dosimetry::Fit,
    warnings: Vec<String>,
}

impl Fit {
    pub fn run(&self, global: &Global) -> Result<Exit, Failure> {
        let assay = Assay::parse(&self.assay).ok_or_else(|| {
            Failure::usage(format!("invalid --assay '{}': expected a kind of aberration", self.assay))
        })?;
        if !(self.genome_factor > 0.0 && self.genome_factor <= 1.0) {
            return Err(Failure::usage("--genome-factor: give a share above 0 and at most 1"));
        }
        let (points, scorer, quickscan) = self.points(global)?;
        let options = self.options();
        let found = fit(&points, &options).map_err(bad_data)?;
        let curve = self.curve(&found, assay, &points, (scorer, quickscan))?;
        let mut warnings = design_warnings(&points, options.model);
        warnings.extend(found.warnings.iter().cloned());
        if let Some(path) = &self.out {
            write(path, write_curve(&curve).as_bytes())?;
            eprintln!("wrote {}", path.display());
        }
        if self.json {
            print_json(&Output {
                schema: "dose-fit/1",
                input: Input {
                    points: points.iter().map(|p| point(p, &curve, self.genome_factor)).collect(),
                    model: options.model,
                    family: options.family,
                    constrained: options.constrained,
                    genome_factor: options.genome_factor,
                },
                curve: (&curve).into(),
                fit: &found,
                warnings,
            })?;
        } else {
            self.show(&found, &points, &curve)?;
            warnings.iter().for_each(|w| eprintln!("note: {w}"));
        }
        Ok(Exit::Done)
    }

    /// The scorer that `--scorer` names of a file's counts.
    fn named_scorer(&self) -> Result<Option<String>, Failure> {
        if self.scorer.as_ref().is_some_and(|name| name.trim().is_empty()) {
            return Err(Failure::bad_data("invalid --scorer '': expected its name as doses state it"));
        }
        let by_people = matches!(self.scoring, Some(ScoringArg::Manual | ScoringArg::SemiAutomatic));
        if let Some(name) = self.scorer.as_ref().filter(|_| by_people) {
            return Err(Failure::bad_data(format!(
                "invalid --scoring beside --scorer '{name}': what a scorer counted is automatic"
            )));
        }
        Ok(self.scorer.clone())
    }

    /// The scorer that counted all cells of the cases, where a machine did.
    fn scorer(&self, cases: &[(String, Stored)]) -> Result<Option<String>, Failure> {
        let Some((first, of_first)) = cases.iter().find(|(_, case)| case.counted_by.by_machine > 0) else {
            return self.named_scorer();
        };
        let wrong = |what: &str| {
            let scorers = of_first.counted_by.scorers_in_words().join("' and '");
            Failure::bad_data(format!(
                "the points were not all counted alike: case {first} by '{scorers}', {what}. A curve holds for one scorer: fit those of one \
                 alone"
            ))
        };
        for (id, Stored { counted_by, .. }) in cases {
            let people = counted_by.cells - counted_by.by_machine;
            if people > 0 && counted_by.by_machine > 0 {
                return Err(wrong(&format!("case {id} in {people} of its {} cells by people", counted_by.cells)));
            }
            if people > 0 {
                return Err(wrong(&format!("case {id} by people")));
            }
            if counted_by.unnamed > 0 {
                let (unnamed, cells) = (counted_by.unnamed, counted_by.cells);
                return Err(wrong(&format!(
                    "case {id}: {unnamed} of its {cells} cells by a scorer that they do not name"
                )));
            }
            if let [one, another, ..] = &counted_by.scorers[..] {
                return Err(wrong(&format!("case {id} by '{one}' and '{another}'")));
            }
            if counted_by.scorers != of_first.counted_by.scorers {
                return Err(wrong(&format!("case {id} by '{}'", counted_by.scorers.join("' and '"))));
            }
        }
        if self.csv.is_some() {
            return Err(wrong("a file by somebody else"));
        }
        if let Some(said @ (ScoringArg::Manual | ScoringArg::SemiAutomatic)) = self.scoring {
            let name = said.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
            return Err(Failure::usage(format!(
                "invalid --scoring '{name}': a machine alone counted the cells of case {first}, which is automatic"
            )));
        }
        Ok(of_first.counted_by.scorers.first().cloned())
    }

    /// Points of the file, then those of the stored cases; the scorer that counted for these, and whether by QuickScan.
    fn points(&self, global: &Global) -> Result<(Vec<FitPoint>, Option<String>, bool), Failure> {
        let mut cases = Vec::new();
        let mut points = self.csv.as_deref().map(counts::fit_points).transpose()?.unwrap_or_default();
        for text in &self.case {
            let wrong = || Failure::usage(format!("--case {text}: give a case and its dose, such as 7=0.5"));
            let (id, dose) = text.rsplit_once('=').ok_or_else(wrong)?;
            let dose = parse::gray(dose).map_err(|_| wrong())?;
            let stored = counts::stored(global, id)?;
            points.push(FitPoint { dose, sample: stored.sample.clone() });
            cases.push((id.to_owned(), stored));
        }
        let quick = self.quickscan || cases.iter().any(|(_, case)| case.quickscan);
        if let Some((id, _)) = cases.iter().find(|(_, case)| quick && !case.quickscan) {
            return Err(Failure::bad_data(format!(
                "the points were not all counted alike: some by QuickScan, case {id} by centromeres. A curve holds for one mode: fit those \
                 of one alone"
            )));
        }
        if quick && !self.quickscan && self.csv.is_some() {
            return Err(Failure::usage("a case was counted by QuickScan: give --quickscan where the file was, too"));
        }
        Ok((points, self.scorer(&cases)?, quick))
    }

    fn options(&self) -> FitOptions {
        FitOptions {
            model: match self.model {
                ModelArg::Linear => Model::Linear,
                ModelArg::LinearQuadratic => Model::LinearQuadratic,
            },
            family: match (self.family, &self.compatibility) {
                (FamilyArg::Poisson, _) => Family::Poisson,
                (FamilyArg::Auto, None) => Family::QuasiPoisson,
                (FamilyArg::Auto, Some(_)) => Family::QuasiPoissonUnclamped,
            },
            constrained: !self.unconstrained,
            genome_factor: self.genome_factor,
        }
    }

    fn curve(
        &self,
        found: &dosimetry::Fit,
        assay: Assay,
        points: &[FitPoint],
        (scorer, quickscan): (Option<String>, bool),
    ) -> Result<Curve, Failure> {
        let doses = || points.iter().map(|p| p.dose.value());
        let low = doses().fold(f64::INFINITY, f64::min);
        let high = doses().fold(0.0, f64::max);
        let about = About {
            radiation: self.radiation.clone(),
            dose_rate: self.dose_rate.clone(),
            scoring: self
                .scoring
                .map(|s| match s {
                    ScoringArg::Manual => Scoring::Manual,
                    ScoringArg::SemiAutomatic => Scoring::SemiAutomatic,
                    ScoringArg::Automatic => Scoring::Automatic,
                })
                .or(scorer.is_some().then_some(Scoring::Automatic)),
            scorer,
            quickscan,
            correction: None,
            laboratory: self.laboratory.clone(),
            source: format!("fitted by metaphased {} to {}", env!("CARGO_PKG_VERSION"), self.origin()),
            fit: Some(if found.variance_factor == 1.0 {
                "Poisson, identity link".into()
            } else {
                format!("quasi-Poisson, identity link, dispersion {:.3}", found.variance_factor)
            }),
            note: None,
            built_in: false,
        };
        let gray = |d: f64| Gray::new(d).map_err(bad_option);
        found.clone().into_curve(self.id.clone(), assay, (gray(low)?, gray(high)?), about).map_err(bad_data)
    }

    /// Where the points come from, in words.
    fn origin(&self) -> String {
        let file = self.csv.as_ref().map(|path| path.display().to_string());
        let cases = (!self.case.is_empty()).then(|| format!("the cases {}", self.case.join(", ")));
        [file, cases].into_iter().flatten().collect::<Vec<_>>().join(" and ")
    }

    fn show(&self, found: &dosimetry::Fit, points: &[FitPoint], curve: &Curve) -> Result<(), Failure> {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING).set_header([
            "dose, Gy",
            "cells",
            "counted",
            "yield",
            "fitted",
            "dispersion",
            "u",
        ]);
        for p in points {
            let q = point(p, curve, self.genome_factor);
            table.add_row([
                q.dose_gy.to_string(),
                q.cells.to_string(),
                q.dicentrics.to_string(),
                show(Some(q.yield_)),
                show(Some(q.fitted_yield)),
                show(q.dispersion.index),
                show(q.dispersion.u),
            ]);
        }
        let mut coefficients = comfy_table::Table::new();
        coefficients.load_style(comfy_table::presets::NOTHING).set_header(["", "value", "standard error", "p"]);
        for (i, name) in ["c, per cell", "alpha, per Gy", "beta, per Gy²"].into_iter().enumerate() {
            coefficients.add_row([
                name.to_owned(),
                format!("{:.6}", found.coefficients[i]),
                format!("{:.6}", found.errors[i]),
                show(found.p_values[i]),
            ]);
        }
        let goodness = format!(
            "chi-square {:.2} on {} degrees of freedom, p = {}; errors times {:.3}\n",
            found.chi_square,
            found.degrees_of_freedom,
            show(found.goodness_p),
            found.variance_factor.sqrt(),
        );
        print(&format!("{table}\n{coefficients}\n{goodness}"))
    }
}

fn point<'a>(p: &'a FitPoint, curve: &Curve, genome_factor: f64) -> Point<'a> {
    let sample = &p.sample;
    Point {
        dose_gy: p.dose.value(),
        cells: sample.cells(),
        dicentrics: sample.aberrations(),
        counts: sample.histogram(),
        yield_: sample.mean().value() / genome_factor,
        dispersion: sample.dispersion(),
        fitted_yield: curve.acute().yield_at(p.dose).value(),
    }
}
