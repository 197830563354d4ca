//! Tables of counts: a row a sample, a row a calibration dose, or a row a cell.

use domain::{ErrorKind, HasKind};

use super::{
    DosimetryError, Gray, Sample,
    numbers::{NumberError, decimal_number, whole_number},
};

/// Dicentrics that a cell of 46 centromeres can hold at most.
const MAX_PER_CELL: u64 = 45;
/// Columns that follow from the counts: they may stand beside them and are not read.
const DERIVED: [&str; 12] =
    ["mean", "y", "yield", "variance", "var", "sd", "se", "std_err", "di", "dispersion", "u", "total"];

/// Why a table of counts is not read; `line` counts from 1, the header included.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CountTableError {
    /// It is no table.
    #[error("{0}")]
    NoTable(String),
    /// No rows below the header.
    #[error("no rows below the header")]
    Empty,
    /// The columns do not say what was counted.
    #[error("found the columns {found}; expected c0,c1,... or cells,dicentrics")]
    NoCounts {
        /// As found.
        found: String,
    },
    /// No doses where they are needed.
    #[error("found the columns {found}; expected a column dose")]
    NoDose {
        /// As found.
        found: String,
    },
    /// A column is there twice.
    #[error("column '{column}' is there twice: expected it once")]
    Twice {
        /// Its name.
        column: String,
    },
    /// A column holds cells of several numbers of aberrations.
    #[error(
        "column '{column}' pools cells with several numbers of aberrations: expected a column for each number, or the totals cells,dicentrics"
    )]
    Pooled {
        /// Its name.
        column: String,
    },
    /// A number of aberrations is left out between two that are there.
    #[error(
        "column 'c{missing}' is missing before 'c{next}': expected a column for each number of aberrations, 0 where no cell holds it"
    )]
    Hole {
        /// The number left out.
        missing: usize,
        /// The next one that is there.
        next: usize,
    },
    /// A column nobody knows holds numbers: they may be counts.
    #[error(
        "column '{column}' is not known and holds numbers ('{value}'): expected id, dose, cells, dicentrics or c0,c1,...; remove it or begin its name with #"
    )]
    Unknown {
        /// Its name.
        column: String,
        /// The first number in it.
        value: String,
    },
    /// A field is no count or no dose.
    #[error("line {line}, column '{column}': {source}")]
    Field {
        /// The line.
        line: u64,
        /// The column.
        column: String,
        /// What is wrong.
        source: NumberError,
    },
    /// A cell with more dicentrics than it can hold.
    #[error("line {line}: {found} dicentrics in one cell: expected at most 45")]
    TooManyInCell {
        /// The line.
        line: u64,
        /// As given.
        found: u64,
    },
    /// The counts of a row are no sample.
    #[error("line {line}: {source}")]
    Row {
        /// The line.
        line: u64,
        /// What is wrong.
        source: DosimetryError,
    },
}

impl HasKind for CountTableError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::BadData
    }
}

/// One sample of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct CountRow {
    /// Its line; of a table with a row a cell the first.
    pub line: u64,
    /// The name that its row gives it.
    pub id: Option<String>,
    /// The dose in its row.
    pub dose: Option<Gray>,
    /// What was counted.
    pub sample: Sample,
    /// What a person should know: columns that contradict each other, and which were taken.
    pub warnings: Vec<String>,
}

/// A table that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct CountTable {
    /// Its samples, in order.
    pub rows: Vec<CountRow>,
}

impl CountTable {
    /// Reads CSV with commas, semicolons or tabs; the header names the columns.
    ///
    /// # Errors
    /// The first thing that cannot be read as it is meant, with its line and column.
    pub fn read(text: &str) -> Result<Self, CountTableError> {
        let grid = Grid::read(text)?;
        let columns = Columns::of(&grid)?;
        if columns.row_per_cell() {
            return Ok(Self { rows: vec![columns.cells(&grid)?] });
        }
        let rows = grid.rows.iter().map(|(line, row)| columns.row(&grid, *line, row)).collect::<Result<_, _>>()?;
        Ok(Self { rows })
    }

    /// The doses and samples of a calibration.
    ///
    /// # Errors
    /// When a row has no dose.
    pub fn with_doses(&self) -> Result<Vec<(Gray, Sample)>, CountTableError> {
        let no_dose = || CountTableError::NoDose { found: "without dose".into() };
        self.rows.iter().map(|row| Ok((row.dose.ok_or_else(no_dose)?, row.sample.clone()))).collect()
    }
}

/// The fields as text.
struct Grid {
    /// Names as written.
    names: Vec<String>,
    rows: Vec<(u64, Vec<String>)>,
    /// A comma may be a decimal sign: it does not separate the columns.
    comma_free: bool,
}

impl Grid {
    fn read(text: &str) -> Result<Self, CountTableError> {
        let text = text.trim_start_matches('\u{feff}');
        let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#')).unwrap_or_default();
        let delimiter = [b';', b'\t', b','].into_iter().find(|d| first.as_bytes().contains(d)).unwrap_or(b',');
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .trim(csv::Trim::All)
            .comment(Some(b'#'))
            .from_reader(text.as_bytes());
        let broken = |error: csv::Error| CountTableError::NoTable(error.to_string());
        let names = reader.headers().map_err(broken)?.iter().map(str::to_owned).collect();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(broken)?;
            let line = record.position().map_or(0, csv::Position::line);
            if record.iter().any(|field| !field.is_empty()) {
                rows.push((line, record.iter().map(str::to_owned).collect()));
            }
        }
        if rows.is_empty() {
            Err(CountTableError::Empty)
        } else {
            Ok(Self { names, rows, comma_free: delimiter != b',' })
        }
    }

    fn found(&self) -> String {
        self.names.join(",")
    }

    fn count(&self, line: u64, row: &[String], column: usize) -> Result<u64, CountTableError> {
        whole_number(row.get(column).map_or("", String::as_str)).map_err(|source| CountTableError::Field {
            line,
            column: self.names[column].clone(),
            source,
        })
    }
}

/// Which column holds what.
#[derive(Default)]
struct Columns {
    id: Option<usize>,
    dose: Option<usize>,
    cells: Option<usize>,
    dicentrics: Option<usize>,
    /// Cells with 0, 1, 2, ... aberrations.
    distribution: Vec<usize>,
}

impl Columns {
    fn of(grid: &Grid) -> Result<Self, CountTableError> {
        let mut columns = Self::default();
        let mut numbered: Vec<(usize, usize)> = Vec::new();
        for (at, name) in grid.names.iter().enumerate() {
            let lower = name.to_lowercase();
            let place = match lower.as_str() {
                "id" | "sample" | "case" | "name" => &mut columns.id,
                "dose" | "d" | "dose_gy" | "dose (gy)" | "gy" => &mut columns.dose,
                "cells" | "n" => &mut columns.cells,
                "dicentrics" | "x" | "aberrations" | "dic" | "translocations" => &mut columns.dicentrics,
                other => {
                    match class_of(other) {
                        Some(Class::Exactly(k)) => numbered.push((k, at)),
                        Some(Class::AtLeast) => return Err(CountTableError::Pooled { column: name.clone() }),
                        None => refuse_numbers(grid, at)?,
                    }
                    continue;
                }
            };
            if place.replace(at).is_some() {
                return Err(CountTableError::Twice { column: name.clone() });
            }
        }
        numbered.sort_unstable();
        for (expected, (k, at)) in numbered.into_iter().enumerate() {
            if k < expected {
                return Err(CountTableError::Twice { column: grid.names[at].clone() });
            }
            if k > expected {
                return Err(CountTableError::Hole { missing: expected, next: k });
            }
            columns.distribution.push(at);
        }
        Ok(columns)
    }

    fn row_per_cell(&self) -> bool {
        self.distribution.is_empty() && self.cells.is_none() && self.dicentrics.is_some()
    }

    /// All rows as the cells of one sample.
    fn cells(&self, grid: &Grid) -> Result<CountRow, CountTableError> {
        let column = self.dicentrics.ok_or_else(|| CountTableError::NoCounts { found: grid.found() })?;
        let mut distribution = Vec::new();
        for (line, row) in &grid.rows {
            let found = grid.count(*line, row, column)?;
            if found > MAX_PER_CELL {
                return Err(CountTableError::TooManyInCell { line: *line, found });
            }
            let k = found as usize;
            if distribution.len() <= k {
                distribution.resize(k + 1, 0);
            }
            distribution[k] += 1;
        }
        let line = grid.rows[0].0;
        let sample = Sample::from_histogram(distribution).map_err(|source| CountTableError::Row { line, source })?;
        Ok(CountRow { line, id: None, dose: None, sample, warnings: Vec::new() })
    }

    fn row(&self, grid: &Grid, line: u64, row: &[String]) -> Result<CountRow, CountTableError> {
        let mut warnings = Vec::new();
        let id = self.id.and_then(|i| row.get(i)).filter(|id| !id.is_empty()).cloned();
        let dose = self.dose.map(|column| dose(grid, line, row, column)).transpose()?;
        let totals = self.cells.zip(self.dicentrics);
        let sample = if self.distribution.is_empty() {
            let (cells, dicentrics) = totals.ok_or_else(|| CountTableError::NoCounts { found: grid.found() })?;
            Sample::from_totals(grid.count(line, row, cells)?, grid.count(line, row, dicentrics)?)
        } else {
            Sample::from_histogram(self.distribution(grid, line, row)?)
        };
        let sample = sample.map_err(|source| CountTableError::Row { line, source })?;
        if !self.distribution.is_empty() {
            for (column, sum) in [(self.cells, sample.cells()), (self.dicentrics, sample.aberrations())] {
                let Some(column) = column.filter(|c| row.get(*c).is_some_and(|text| !text.is_empty())) else {
                    continue;
                };
                let stated = grid.count(line, row, column)?;
                if stated != sum {
                    let (name, last) = (&grid.names[column], self.distribution.len() - 1);
                    warnings.push(format!(
                        "line {line}: column '{name}' says {stated}, c0 to c{last} add up to {sum}: the distribution is taken"
                    ));
                }
            }
        }
        Ok(CountRow { line, id, dose, sample, warnings })
    }

    /// Cells with 0, 1, 2, ... aberrations; empty fields at the end are none.
    fn distribution(&self, grid: &Grid, line: u64, row: &[String]) -> Result<Vec<u64>, CountTableError> {
        let empty = |column: &usize| row.get(*column).is_none_or(|text| text.is_empty());
        let filled = self.distribution.len() - self.distribution.iter().rev().take_while(|c| empty(c)).count();
        self.distribution[..filled].iter().map(|column| grid.count(line, row, *column)).collect()
    }
}

fn dose(grid: &Grid, line: u64, row: &[String], column: usize) -> Result<Gray, CountTableError> {
    let text = row.get(column).map_or("", String::as_str);
    let value = decimal_number(text, grid.comma_free).map_err(|source| CountTableError::Field {
        line,
        column: grid.names[column].clone(),
        source,
    })?;
    Gray::new(value).map_err(|source| CountTableError::Row { line, source })
}

enum Class {
    Exactly(usize),
    AtLeast,
}

/// `c3` and `3` are cells with three; `c3+`, `>=3`, `3 or more` are pooled.
fn class_of(name: &str) -> Option<Class> {
    let bare: String = name.chars().filter(|c| !c.is_whitespace()).collect();
    let pooled = ['+', '>', '<', '\u{2265}', '\u{2264}', '-', '\u{2013}'].iter().any(|sign| bare.contains(*sign))
        || bare.contains("ormore")
        || bare.contains("plus");
    let digits: String = bare.chars().filter(char::is_ascii_digit).collect();
    let letters: String = bare.chars().filter(|c| c.is_ascii_alphabetic()).collect();
    if digits.is_empty()
        || !matches!(letters.as_str(), "" | "c" | "dic" | "ormore" | "cormore" | "plus" | "cplus" | "corc")
    {
        return None;
    }
    if pooled {
        return Some(Class::AtLeast);
    }
    let number = bare.trim_start_matches("dic").trim_start_matches('c');
    number.parse().ok().filter(|k| *k < 100).map(Class::Exactly)
}

/// A column that nobody knows may hold words, or what follows from the counts.
fn refuse_numbers(grid: &Grid, at: usize) -> Result<(), CountTableError> {
    let name = &grid.names[at];
    if name.starts_with('#') || DERIVED.contains(&name.to_lowercase().as_str()) {
        return Ok(());
    }
    let number = |text: &&String| whole_number(text).is_ok() || decimal_number(text, true).is_ok();
    match grid.rows.iter().filter_map(|(_, row)| row.get(at)).find(number) {
        Some(value) => Err(CountTableError::Unknown { column: name.clone(), value: value.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(text: &str) -> Vec<(u64, u64)> {
        let table = CountTable::read(text).expect("a table");
        table.rows.iter().map(|row| (row.sample.cells(), row.sample.aberrations())).collect()
    }

    fn refused(text: &str) -> String {
        CountTable::read(text).expect_err("a refusal").to_string()
    }

    #[test]
    fn tables_are_read_in_every_form() {
        assert_eq!(totals("id,c0,c1,c2\nA,475,24,1\n"), [(500, 26)]);
        assert_eq!(totals("ID\t0\t1\t2\nA\t475\t24\t1\n"), [(500, 26)]);
        assert_eq!(totals("\u{feff}id;N;X\nA;1 000;3\nB;500;2\n"), [(1000, 3), (500, 2)]);
        assert_eq!(totals("dicentrics\n0\n0\n2\n"), [(3, 2)]);
        assert_eq!(totals("id,c0,c1,c2,note\nA,475,24,,first slide\n"), [(499, 24)]);
        assert_eq!(totals("id,c0,c1,mean,u\nA,475,25,0.05,-0.8\n"), [(500, 25)]);
    }

    #[test]
    fn semicolons_go_with_decimal_commas() {
        let table = CountTable::read("\u{feff}dose;N;X\n0;5000;10\n0,25;2000;32\n").expect("a table");
        let doses: Vec<f64> = table.with_doses().expect("doses").iter().map(|(dose, _)| dose.value()).collect();
        assert_eq!(doses, [0.0, 0.25]);
        assert!(CountTable::read("N,X\n500,3\n").expect("a table").with_doses().is_err());
    }

    #[test]
    fn counts_that_may_mean_two_things_are_refused() {
        assert!(refused("id;cells;dicentrics\nA;1.000;3\n").contains("'cells'"));
        assert!(refused("ID,C0,C1,C2,C3+\nexample,300,30,20,10\n").contains("'C3+' pools"));
        for name in ["3+", ">=3", "\u{2265}3", "3 or more", "c3-5", "C3plus"] {
            assert!(refused(&format!("id,c0,c1,c2,{name}\nA,300,30,20,10\n")).contains("pools"), "{name}");
        }
        assert!(refused("dose,C0,C1,C2,C4\n0,5000,10,0,0\n").contains("'c3' is missing"));
        assert!(refused("id,c0,c1,c2\nA,300,,20\n").contains("column 'c1'"), "a hole in a row");
        assert!(refused("cells,n,x\n500,500,3\n").contains("twice"));
        assert!(refused("c0,c1,c1\n500,3,3\n").contains("twice"));
        assert!(refused("id,cells,dicentrics,unscorable\nA,500,3,12\n").contains("'unscorable'"));
        assert!(refused("id,cells\nA,500\n").contains("expected c0,c1"));
        assert_eq!(refused("id,cells,dicentrics\n"), "no rows below the header");
    }

    #[test]
    fn totals_beside_a_distribution_are_held_against_it() {
        let table = CountTable::read("ID,N,X,C0,C1,C2,C3\nexample,500,45,430,40,1,0\n").expect("a table");
        let CountRow { sample, warnings, .. } = &table.rows[0];
        assert_eq!((sample.cells(), warnings.len()), (471, 2));
        assert!(warnings[0].contains("says 500") && warnings[0].contains("471"), "{warnings:?}");
        let agrees = CountTable::read("ID,N,X,C0,C1,C2\nexample,471,42,430,40,1\n").expect("a table");
        assert!(agrees.rows[0].warnings.is_empty());
    }
}
