//! Counts from options and CSV files.

use super::{bad_data, read};
use crate::case::{DoseTally, with_earlier};
use crate::cli::{Failure, Global, config, run::state_folder};
use crate::store::{CaseRecord, StoreError, StoreReader};
use clap::Args;
use dosimetry::Subject;
use dosimetry::{
    Assay, CountRow, CountTable, CountedBy, Curve, DosimetryError, FitPoint, Mismatch, Remaining, Sample, Scoring,
    Settings, whole_number,
};
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
    /// Who counted, of a stored case.
    pub counted_by: CountedBy,
    /// Counted by QuickScan, of a stored case.
    pub quickscan: bool,
    /// What a person should know of the row.
    pub warnings: Vec<String>,
}

impl Named {
    fn anonymous(id: Option<String>, sample: Sample) -> Self {
        Self {
            id,
            sample,
            subject: Subject::default(),
            counted_by: CountedBy::default(),
            quickscan: false,
            warnings: Vec::new(),
        }
    }

    /// Why a dose by this curve does not hold for the cells, by who counted them, as notes.
    ///
    /// # Errors
    /// Where another scorer than the curve's counted, and where `--scoring` or `--quickscan` says of a case's counts what they are not.
    pub fn holds(&self, curve: &Curve, settings: &Settings) -> Result<Vec<String>, DosimetryError> {
        if let Some(said) = settings.scoring.filter(|said| *said != Scoring::Automatic)
            && self.counted_by.by_machine > 0
        {
            return Err(DosimetryError::NotApplicable(format!(
                "invalid --scoring '{said}': a machine alone counted {} of its {} cells",
                self.counted_by.by_machine, self.counted_by.cells
            )));
        }
        if settings.quickscan && !self.quickscan && self.counted_by.cells > 0 {
            return Err(DosimetryError::NotApplicable(
                "invalid --quickscan: the cells of this case were counted by 46 centromeres".into(),
            ));
        }
        if let Some(scorer) = curve.about().scorer.as_ref().filter(|_| self.counted_by.cells == 0) {
            return Ok(vec![format!(
                "the curve holds for cells that the scorer '{scorer}' counted; who counted these is not known"
            )]);
        }
        let found = curve.mismatches(&self.counted_by);
        match found.iter().find(|why| matches!(why, Mismatch::OtherScorer { .. })) {
            Some(why) => {
                let text = format!("{why}: take a curve of the same scorer instead of {}", curve.id());
                Err(DosimetryError::NotApplicable(text))
            }
            None => Ok(found.iter().map(ToString::to_string).collect()),
        }
    }

    /// The sample and the settings with what is known of the person: time since the exposure (where no option gives
    /// it) and what an earlier exposure has left; and with how complete cells were known.
    ///
    /// # Errors
    /// Where time or an earlier dose cannot be reckoned with.
    pub fn of_person(&self, curve: &Curve, settings: &Settings) -> Result<(Sample, Settings), DosimetryError> {
        let mut settings = settings.clone();
        settings.quickscan |= self.quickscan;
        if settings.remaining == Remaining::default() {
            settings.remaining = self.subject.remaining(settings.fading)?;
        }
        let dicentrics = matches!(curve.assay(), Assay::Dicentrics | Assay::DicentricsAndRings);
        if self.subject.earlier_gy.is_some() && !dicentrics {
            return Err(DosimetryError::NotApplicable(format!(
                "what an earlier exposure has left is known for dicentrics, not for {}: give it as --expected-background",
                curve.assay()
            )));
        }
        let sample = with_earlier(self.sample.clone(), curve, &self.subject, settings.fading)?;
        Ok((sample, settings))
    }
}

impl CountArgs {
    /// The samples; at least one.
    pub fn samples(&self, global: &Global) -> Result<Vec<Named>, Failure> {
        if let Some(id) = &self.case {
            let Stored { sample, subject, counted_by, quickscan } = stored(global, id)?;
            return Ok(vec![Named { subject, counted_by, quickscan, ..Named::anonymous(Some(id.clone()), sample) }]);
        }
        if let Some(path) = &self.csv {
            let named = |row: CountRow| Named { warnings: row.warnings, ..Named::anonymous(row.id, row.sample) };
            return Ok(table(path)?.rows.into_iter().map(named).collect());
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

/// The counted cells of a stored case.
pub struct Stored {
    /// The sample.
    pub sample: Sample,
    /// Who it is of.
    pub subject: Subject,
    /// Who counted.
    pub counted_by: CountedBy,
    /// Whether they were counted by QuickScan.
    pub quickscan: bool,
}

/// The counted cells of a stored case, and its subject data.
pub fn stored(global: &Global, id: &str) -> Result<Stored, Failure> {
    let store = reader(global)?;
    let subject = subject_in(&record(&store, id)?)?;
    let mut tally = DoseTally::default();
    for row in store.cells_of_case(id)? {
        let cell = row.cell()?;
        if let Some(record) = cell.dicentric.filter(|_| cell.excluded.is_none()) {
            tally.add(&record);
        }
    }
    let (counted_by, cells) = (tally.counted_by(), tally.cells());
    if cells.counted == 0 {
        let text =
            format!("case {id}: none of its {} scored cells counts (complete, in the first division)", cells.seen);
        return Err(Failure::bad_data(text));
    }
    let sample = tally.sample().map_err(|error| Failure::from(error).about(format!("case {id}")))?;
    Ok(Stored { sample, subject, counted_by, quickscan: cells.quickscan > 0 })
}

/// A count: text that is no number is wrong usage, a number that is no count is bad data.
pub fn count(what: &str, text: &str) -> Result<u64, Failure> {
    whole_number(text).map_err(|error| Failure::from(error).about(what))
}

/// Several counts, such as 20,50,100.
pub fn counts(what: &str, text: &str) -> Result<Vec<u64>, Failure> {
    text.split(',').map(|part| count(what, part)).collect()
}

/// The calibration points of a CSV file: a `dose` column and c0,c1,... or cells,dicentrics. What a person should know
/// of the table goes to standard error.
pub fn fit_points(path: &Path) -> Result<Vec<FitPoint>, Failure> {
    let table = table(path)?;
    for warning in table.rows.iter().flat_map(|row| &row.warnings) {
        eprintln!("note: {}: {warning}", path.display());
    }
    let points = table.with_doses().map_err(|error| Failure::from(error).about(path.display()))?;
    Ok(points.into_iter().map(|(dose, sample)| FitPoint { dose, sample }).collect())
}

fn table(path: &Path) -> Result<CountTable, Failure> {
    CountTable::read(&read(path)?).map_err(|error| Failure::from(error).about(path.display()))
}
