//! Counts from options and CSV files.

use super::{bad_data, read};
use crate::case::{DoseTally, with_earlier};
use crate::cli::{Failure, Global, config, run::state_folder};
use crate::store::{CaseRecord, StoreError, StoreReader};
use clap::Args;
use dosimetry::Subject;
use dosimetry::{Assay, Curve, DosimetryError, FitPoint, Gray, Remaining, Sample, Settings};
use std::path::{Path, PathBuf};

/// Where the counts of a sample come from.
#[derive(Debug, Args)]
pub struct CountArgs {
    /// Cells scored.
    #[arg(long, value_name = "N", allow_hyphen_values = true, conflicts_with_all = ["counts", "csv", "case"])]
    pub cells: Option<String>,
    /// Dicentrics (or other aberrations of the curve's kind) in them; a tricentric counts two.
    #[arg(long, value_name = "X", visible_alias = "aberrations", allow_hyphen_values = true, requires = "cells")]
    pub dicentrics: Option<String>,
    /// Cells with 0, 1, 2, ... dicentrics each, such as 475,24,1. Better than totals: dispersion and exposure of a part
    /// of the body can be recognised.
    #[arg(long, value_name = "C0,C1,...", allow_hyphen_values = true, conflicts_with_all = ["csv", "case"])]
    pub counts: Option<String>,
    /// CSV file: columns c0,c1,... or cells,dicentrics (a row a sample, with an optional id), or dicentrics alone (a row
    /// a cell).
    #[arg(long, value_name = "FILE", conflicts_with = "case")]
    pub csv: Option<PathBuf>,
    /// The counted cells of a stored case (the store of --config).
    #[arg(long, value_name = "ID")]
    pub case: Option<String>,
}

/// A sample, the name its row gave it, and what is known of the person.
pub struct Named {
    pub id: Option<String>,
    pub sample: Sample,
    pub subject: Subject,
}

impl Named {
    fn anonymous(id: Option<String>, sample: Sample) -> Self {
        Self { id, sample, subject: Subject::default() }
    }

    /// The sample and the settings with what is known of the person: time since the exposure (where no option gives
    /// it) and what an earlier exposure has left.
    pub fn of_person(&self, curve: &Curve, settings: &Settings) -> Result<(Sample, Settings), DosimetryError> {
        let mut settings = settings.clone();
        if settings.remaining == Remaining::default() {
            settings.remaining = self.subject.remaining()?;
        }
        let dicentrics = matches!(curve.assay(), Assay::Dicentrics | Assay::DicentricsAndRings);
        if self.subject.earlier_gy.is_some() && !dicentrics {
            return Err(DosimetryError::NotApplicable(format!(
                "what an earlier exposure has left is known for dicentrics, not for {}: give it as --expected-background",
                curve.assay()
            )));
        }
        let sample = with_earlier(self.sample.clone(), curve, &self.subject)?;
        Ok((sample, settings))
    }
}

impl CountArgs {
    /// The samples; at least one.
    pub fn samples(&self, global: &Global) -> Result<Vec<Named>, Failure> {
        if let Some(id) = &self.case {
            let (sample, subject) = stored(global, id)?;
            return Ok(vec![Named { id: Some(id.clone()), sample, subject }]);
        }
        if let Some(path) = &self.csv {
            return table(&read(path)?, path)?.samples();
        }
        let sample = match (&self.counts, &self.cells, &self.dicentrics) {
            (Some(text), ..) => {
                let counts = text.split(',').map(|part| count("--counts", part)).collect::<Result<Vec<_>, _>>()?;
                Sample::from_histogram(counts)
            }
            (None, Some(cells), Some(x)) => Sample::from_totals(count("--cells", cells)?, count("--dicentrics", x)?),
            (None, Some(_), None) => {
                return Err(Failure::usage("--cells requires --dicentrics"));
            }
            (None, None, _) => {
                return Err(Failure::usage(
                    "give counts: --cells N --dicentrics X, --counts C0,C1,..., --csv FILE or --case ID",
                ));
            }
        };
        Ok(vec![Named::anonymous(None, sample.map_err(bad_data)?)])
    }

    /// True when any counts were given.
    pub fn given(&self) -> bool {
        self.cells.is_some() || self.counts.is_some() || self.csv.is_some() || self.case.is_some()
    }
}

fn reader(global: &Global) -> Result<StoreReader, Failure> {
    Ok(StoreReader::open(&state_folder(&config::load(global, None)?.config)?)?)
}

fn record(store: &StoreReader, id: &str) -> Result<CaseRecord, Failure> {
    Ok(store.case(id)?.ok_or_else(|| StoreError::NoSuchCase(id.into()))?)
}

fn subject_in(record: &CaseRecord) -> Result<Subject, Failure> {
    let Some(text) = &record.subject else { return Ok(Subject::default()) };
    serde_json::from_str(text)
        .map_err(|error| Failure::bad_data(format!("case {}: its subject data: {error}", record.id)))
}

/// The subject data of a stored case.
pub fn subject(global: &Global, id: &str) -> Result<Subject, Failure> {
    subject_in(&record(&reader(global)?, id)?)
}

/// The counted cells of a stored case, and its subject data.
pub fn stored(global: &Global, id: &str) -> Result<(Sample, Subject), Failure> {
    let store = reader(global)?;
    let subject = subject_in(&record(&store, id)?)?;
    let mut tally = DoseTally::default();
    for row in store.cells_of_case(id)? {
        if let Some(record) = row.cell()?.dicentric {
            tally.add(&record);
        }
    }
    let seen = tally.cells().seen;
    let nothing = |_| {
        let text = format!("case {id}: none of its {seen} scored cells counts (complete, in the first division)");
        Failure::bad_data(text)
    };
    Ok((tally.sample().map_err(nothing)?, subject))
}

/// A count: text that is no number is wrong usage, a number that is no count is bad data.
pub fn count(what: &str, text: &str) -> Result<u64, Failure> {
    let text = text.trim();
    if let Ok(found) = text.parse::<u64>() {
        return Ok(found);
    }
    match text.parse::<f64>() {
        Ok(number) if number.fract() == 0.0 && (0.0..1e15).contains(&number) => Ok(number as u64),
        Ok(_) => {
            Err(Failure::bad_data(format!("invalid count '{text}' for {what}: expected a whole number, 0 or more")))
        }
        Err(_) => {
            let hint = if text.contains([';', ' ', ':']) { "; separate numbers by commas" } else { "" };
            Err(Failure::usage(format!("invalid number '{text}' for {what}: expected a whole number, 0 or more{hint}")))
        }
    }
}

/// Several counts, such as 20,50,100.
pub fn counts(what: &str, text: &str) -> Result<Vec<u64>, Failure> {
    text.split(',').map(|part| count(what, part)).collect()
}

/// The calibration points of a CSV file: a `dose` column and c0,c1,... or cells,dicentrics.
pub fn fit_points(path: &Path) -> Result<Vec<FitPoint>, Failure> {
    table(&read(path)?, path)?.points()
}

struct Table<'p> {
    path: &'p Path,
    header: Vec<String>,
    rows: Vec<(u64, Vec<String>)>,
}

fn table<'p>(text: &str, path: &'p Path) -> Result<Table<'p>, Failure> {
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#')).unwrap_or_default();
    let delimiter = [b';', b'\t', b','].into_iter().find(|d| first.as_bytes().contains(d)).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let bad = |error: csv::Error| Failure::bad_data(format!("{}: {error}", path.display()));
    let header = reader.headers().map_err(bad)?.iter().map(canonical).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(bad)?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.iter().any(|field| !field.is_empty()) {
            rows.push((line, record.iter().map(str::to_owned).collect()));
        }
    }
    if rows.is_empty() {
        return Err(Failure::bad_data(format!("{}: no rows", path.display())));
    }
    Ok(Table { path, header, rows })
}

fn canonical(name: &str) -> String {
    let name = name.trim().to_lowercase();
    match name.as_str() {
        "d" | "dose_gy" | "dose (gy)" | "gy" => "dose".into(),
        "n" => "cells".into(),
        "x" | "aberrations" | "dic" | "translocations" => "dicentrics".into(),
        "sample" | "case" | "name" => "id".into(),
        _ => name,
    }
}

impl Table<'_> {
    fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|h| h == name)
    }

    fn bad(&self, line: u64, problem: impl std::fmt::Display) -> Failure {
        Failure::bad_data(format!("{}:{line}: {problem}", self.path.display()))
    }

    fn count(&self, line: u64, row: &[String], column: usize) -> Result<u64, Failure> {
        let text = row.get(column).map_or("", String::as_str);
        // An empty cell at the end of a distribution is none.
        if text.is_empty() && self.header[column].starts_with('c') && self.header[column] != "cells" {
            return Ok(0);
        }
        count(&self.header[column], text).map_err(|failure| self.bad(line, failure))
    }

    /// Columns of c0, c1, ... in order.
    fn histogram_columns(&self) -> Vec<usize> {
        (0..100).map_while(|k| self.column(&format!("c{k}"))).collect()
    }

    fn sample(&self, line: u64, row: &[String]) -> Result<Sample, Failure> {
        let histogram = self.histogram_columns();
        let sample = if !histogram.is_empty() {
            let counts = histogram.iter().map(|&c| self.count(line, row, c)).collect::<Result<Vec<_>, _>>()?;
            Sample::from_histogram(counts)
        } else if let (Some(n), Some(x)) = (self.column("cells"), self.column("dicentrics")) {
            Sample::from_totals(self.count(line, row, n)?, self.count(line, row, x)?)
        } else {
            let needed = "columns c0,c1,... or cells,dicentrics";
            return Err(self.bad(1, format!("found the columns {}; {needed} are needed", self.header.join(","))));
        };
        sample.map_err(|error| self.bad(line, error))
    }

    fn samples(&self) -> Result<Vec<Named>, Failure> {
        let a_row_a_cell = self.histogram_columns().is_empty() && self.column("cells").is_none();
        if let (true, Some(column)) = (a_row_a_cell, self.column("dicentrics")) {
            let mut histogram = Vec::new();
            for (line, row) in &self.rows {
                let k = self.count(*line, row, column)?;
                let k = usize::try_from(k).ok().filter(|k| *k < 46);
                let k = k.ok_or_else(|| self.bad(*line, "more dicentrics than a cell can hold"))?;
                if histogram.len() <= k {
                    histogram.resize(k + 1, 0);
                }
                histogram[k] += 1;
            }
            let sample = Sample::from_histogram(histogram).map_err(bad_data)?;
            return Ok(vec![Named::anonymous(None, sample)]);
        }
        let id = self.column("id");
        self.rows
            .iter()
            .map(|(line, row)| {
                let id = id.and_then(|i| row.get(i)).filter(|id| !id.is_empty()).cloned();
                Ok(Named::anonymous(id, self.sample(*line, row)?))
            })
            .collect()
    }

    fn points(&self) -> Result<Vec<FitPoint>, Failure> {
        let Some(dose) = self.column("dose") else {
            return Err(self.bad(1, format!("no column `dose` among {}", self.header.join(","))));
        };
        self.rows
            .iter()
            .map(|(line, row)| {
                let text = row.get(dose).map_or("", String::as_str);
                let value: f64 =
                    text.parse().map_err(|_| self.bad(*line, format!("invalid dose '{text}': expected a number")))?;
                let dose = Gray::new(value).map_err(|error| self.bad(*line, error))?;
                Ok(FitPoint { dose, sample: self.sample(*line, row)? })
            })
            .collect()
    }
}
