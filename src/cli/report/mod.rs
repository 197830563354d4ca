//! `report`: over many cases. The report of one case is `case report`.

mod xlsx;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};
use jiff::{Timestamp, civil::Date};
use minijinja::context;

use super::{Exit, Failure, Global, config, output::print, run::state_folder};
use crate::{
    case::{
        population::{CaseLine, Population},
        report::Layout,
    },
    config::Config,
    laboratory::Laboratory,
    store::StoreReader,
};

/// Arguments of `report`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  metaphased report population --from 2026-10-01 --to 2026-12-31 --format html --out quarter.html
  metaphased report population --from 2026-01-01 --to 2026-12-31 --store a --store b > year.csv")]
pub struct ReportCommand {
    #[command(subcommand)]
    report: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// All cases of a period, of one store or several: doses with limits, findings, trends by month, control charts, outliers.
    Population(PopulationArgs),
}

/// Form of the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line a case.
    #[default]
    Csv,
    /// A workbook: cases, months, controls, outliers.
    Xlsx,
    /// A page to read and print, in the laboratory's layout.
    Html,
}

/// Arguments of `report population`.
#[derive(Debug, Args)]
struct PopulationArgs {
    /// First day, UTC: cases opened on it or later.
    #[arg(long, value_name = "DATE")]
    from: Date,
    /// Last day, UTC.
    #[arg(long, value_name = "DATE")]
    to: Date,
    /// A store's folder, any number of times; by default that of the configuration.
    #[arg(long, value_name = "DIR")]
    store: Vec<PathBuf>,
    /// Form of the file.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// How the names of control slides begin: they get a chart and stay out of the trends.
    #[arg(long, value_name = "PREFIX")]
    control: Option<String>,
    /// The file; without it CSV and HTML go to the standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl ReportCommand {
    /// Does what was asked.
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let config = config::load(global, None)?.config;
        let Kind::Population(args) = self.report;
        args.run(&config)
    }
}

impl PopulationArgs {
    fn run(self, config: &Config) -> Result<Exit, Failure> {
        if self.from > self.to {
            return Err(Failure::usage(format!(
                "invalid period {} to {}: expected --from no later than --to",
                self.from, self.to
            )));
        }
        let stores = if self.store.is_empty() { vec![state_folder(config)?] } else { self.store.clone() };
        let mut lines = Vec::new();
        let mut read = BTreeSet::new();
        for folder in &stores {
            // The same store by another path is the same store: its cases count once.
            if !read.insert(folder.canonicalize().unwrap_or_else(|_| folder.clone())) {
                eprintln!("{} was given before: it is read once", folder.display());
                continue;
            }
            let name = folder.display().to_string();
            let cases = StoreReader::open(folder)?.cases()?;
            // Subject data go out only where the configuration lets them out.
            lines.extend(cases.iter().map(|case| CaseLine::of(&name, case, config.dose.publish_subject)));
        }
        let (from, to) = (self.from.to_string(), self.to.to_string());
        let found = Population::of(lines, &from, &to, self.control.as_deref());
        let file =
            |path: &Path, bytes: &[u8]| std::fs::write(path, bytes).map_err(|error| Failure::writing(path, error));
        let text = match self.format {
            Format::Csv => csv_of(&found)?,
            Format::Html => html_of(config, &found)?,
            Format::Xlsx => {
                let path =
                    self.out.as_deref().ok_or_else(|| Failure::usage("a workbook is no text: give --out FILE"))?;
                file(path, &xlsx::workbook(&sheets(&found)))?;
                String::new()
            }
        };
        match &self.out {
            Some(_) if self.format == Format::Xlsx => {}
            Some(path) => file(path, text.as_bytes())?,
            None => print(&text)?,
        }
        eprintln!("{} cases, {} outliers", found.cases.len(), found.outliers.len());
        Ok(Exit::Done)
    }
}

/// A value of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Field {
    Text(String),
    Number(f64),
    Nothing,
}

impl Field {
    fn number(value: Option<f64>) -> Self {
        value.map_or(Self::Nothing, Self::Number)
    }

    fn count(value: Option<u64>) -> Self {
        value.map_or(Self::Nothing, |n| Self::Number(n as f64))
    }

    fn text(value: impl Into<String>) -> Self {
        Self::Text(value.into())
    }
}

/// A table with its name and the names of its columns.
pub(super) struct Sheet {
    pub name: &'static str,
    pub head: &'static [&'static str],
    pub rows: Vec<Vec<Field>>,
}

const CASES: &[&str] = &[
    "store",
    "station",
    "case",
    "opened",
    "closed",
    "cells",
    "reviewed",
    "excluded",
    "karyotype",
    "findings",
    "not_assessable",
    "counted",
    "dicentrics",
    "dose_gy",
    "low_gy",
    "high_gy",
    "dispersion_u",
    "alarm",
    "age",
    "exposed",
    "sampled",
    "does_not_hold",
];

fn sheets(found: &Population) -> [Sheet; 4] {
    let case = |c: &CaseLine| {
        let subject = c.subject.unwrap_or_default();
        let day = |date: Option<Date>| date.map_or(Field::Nothing, |date| Field::Text(date.to_string()));
        let optional = |text: &Option<String>| text.clone().map_or(Field::Nothing, Field::Text);
        vec![
            Field::text(&c.store),
            Field::text(&c.station),
            Field::text(&c.case),
            Field::text(&c.opened),
            optional(&c.closed),
            Field::count(Some(c.cells)),
            Field::count(Some(c.reviewed)),
            Field::count(Some(c.excluded)),
            optional(&c.iscn),
            Field::text(c.findings.join("; ")),
            Field::count(c.not_assessable),
            Field::count(c.counted),
            // Of a case without a counted cell no number of dicentrics is known.
            Field::count(c.dicentrics.filter(|_| c.counted != Some(0))),
            Field::number(c.dose),
            Field::number(c.low),
            Field::number(c.high),
            Field::number(c.dispersion_u),
            optional(&c.alarm),
            Field::number(subject.age),
            day(subject.exposed),
            day(subject.sampled),
            optional(&c.mismatch),
        ]
    };
    let months = found.months.iter().map(|m| {
        vec![
            Field::text(&m.month),
            Field::count(Some(m.cases)),
            Field::count(Some(m.cells)),
            Field::count(Some(m.abnormal)),
            Field::number(m.not_assessable),
            Field::count(Some(m.doses)),
            Field::number(m.yield_),
        ]
    });
    let controls = found.controls.iter().flat_map(|chart| {
        chart.points.iter().map(|p| {
            let out = if p.out { "out" } else { "" };
            vec![
                Field::text(&p.case),
                Field::text(&p.opened),
                Field::text(chart.of),
                Field::count(Some(p.cells)),
                Field::Number(p.rate),
                Field::Number(chart.mean),
                Field::Number(p.low),
                Field::Number(p.high),
                Field::Number(p.z),
                Field::text(out),
            ]
        })
    });
    let outliers = found.outliers.iter().map(|o| {
        vec![Field::text(&o.case), Field::text(o.of), Field::Number(o.value), Field::number(o.mean), Field::Number(o.z)]
    });
    [
        Sheet { name: "cases", head: CASES, rows: found.cases.iter().map(case).collect() },
        Sheet {
            name: "months",
            head: &["month", "cases", "cells", "abnormal_cases", "not_assessable_share", "doses", "dicentrics_a_cell"],
            rows: months.collect(),
        },
        Sheet {
            name: "controls",
            head: &["case", "opened", "of", "cells", "rate", "mean", "low", "high", "z", "outside"],
            rows: controls.collect(),
        },
        Sheet { name: "outliers", head: &["case", "of", "value", "mean", "z"], rows: outliers.collect() },
    ]
}

fn csv_of(found: &Population) -> Result<String, Failure> {
    let [cases, ..] = sheets(found);
    let failed = |error: csv::Error| Failure::new(Exit::Internal, error);
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(cases.head).map_err(failed)?;
    for row in cases.rows {
        let fields = row.into_iter().map(|field| match field {
            Field::Text(text) => text,
            Field::Number(n) => n.to_string(),
            Field::Nothing => String::new(),
        });
        table.write_record(fields).map_err(failed)?;
    }
    let bytes = table.into_inner().map_err(|error| Failure::new(Exit::Internal, error))?;
    String::from_utf8(bytes).map_err(|error| Failure::new(Exit::Internal, error))
}

fn html_of(config: &Config, found: &Population) -> Result<String, Failure> {
    let layout = Layout::new(Laboratory::read(config.report.folder.as_deref())?)?;
    let charts: Vec<String> = found.controls.iter().map(drawing).collect();
    let charts: Vec<minijinja::Value> = charts.into_iter().map(minijinja::Value::from_safe_string).collect();
    let with_subject = found.cases.iter().any(|case| case.subject.is_some());
    Ok(layout.write(
        "population.html",
        context! {
            population => found, charts, with_subject, station => config.station,
            printed => Timestamp::now().to_string(),
        },
    )?)
}

/// A control chart as SVG: points in order, mean and limits.
fn drawing(chart: &crate::case::population::Chart) -> String {
    use std::fmt::Write as _;
    const SIZE: [f64; 2] = [860.0, 200.0];
    const LEFT: f64 = 60.0;
    let top = chart.points.iter().map(|p| p.high.max(p.rate)).fold(1e-9, f64::max) * 1.05;
    let x = |i: usize| LEFT + (SIZE[0] - LEFT - 20.0) * (i as f64 + 0.5) / chart.points.len().max(1) as f64;
    let y = |rate: f64| 10.0 + (SIZE[1] - 30.0) * (1.0 - rate / top);
    let mut out = format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Control chart of {} slides, mean {:.4}\" font-size=\"11\">\
         <path d=\"M{LEFT} {:.1}H{}\" stroke=\"#1c7049\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{:.3}</text>",
        SIZE[0],
        SIZE[1],
        chart.points.len(),
        chart.mean,
        y(chart.mean),
        SIZE[0] - 20.0,
        LEFT - 6.0,
        y(chart.mean) + 4.0,
        chart.mean
    );
    for (i, p) in chart.points.iter().enumerate() {
        let half = (SIZE[0] - LEFT - 20.0) / chart.points.len() as f64 / 2.0;
        for limit in [p.low, p.high] {
            let _ = write!(
                out,
                "<path d=\"M{:.1} {:.1}h{:.1}\" stroke=\"#8a5200\" stroke-dasharray=\"4 3\"/>",
                x(i) - half,
                y(limit),
                2.0 * half
            );
        }
        let (fill, r) = if p.out { ("#b0261d", 6.0) } else { ("#5a3e9b", 4.0) };
        let _ = write!(out, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{r}\" fill=\"{fill}\"/>", x(i), y(p.rate));
    }
    out.push_str("</svg>");
    out
}
