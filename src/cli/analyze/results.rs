//! Where the results of `analyze` go, and in which form.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use comfy_table::{Table, presets};

use super::shard::Shard;
use crate::{
    cli::{Exit, Failure, output::fit_terminal},
    mqtt::Rejected,
};
use domain::{Cell, DicentricRecord};

/// Form of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One message a line.
    Jsonl,
    /// A table for programs.
    Csv,
    /// A table for people.
    Table,
}

/// An open output.
pub struct Results {
    form: Form,
    to: Box<dyn Write>,
}

enum Form {
    Jsonl,
    Csv { head: bool },
    Table(Box<Table>),
}

const COLUMNS: [&str; 10] =
    ["file", "cell", "chromosomes", "iscn", "verdict", "posterior", "focus", "metaphase", "reason", "cut"];

impl Format {
    /// The file of results in `folder`; one for each share of the files where there are shares.
    pub fn path(self, folder: &Path, shard: Option<Shard>) -> PathBuf {
        let extension = match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Table => "txt",
        };
        let share = shard.map(|shard| format!("-{shard}")).unwrap_or_default();
        folder.join(format!("cells{share}.{extension}"))
    }
}

impl Results {
    /// Standard output, or a file, whose folder is made where it is missing; it begins with `lines`.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn open(format: Format, path: Option<&Path>, lines: &str) -> Result<Self, Failure> {
        let form = match format {
            Format::Jsonl => Form::Jsonl,
            Format::Csv => Form::Csv { head: true },
            Format::Table => {
                let mut table = Table::new();
                table.load_style(presets::NOTHING).set_header(COLUMNS);
                if path.is_none() {
                    fit_terminal(&mut table);
                }
                Form::Table(Box::new(table))
            }
        };
        let to: Box<dyn Write> = match path {
            None => Box::new(io::stdout().lock()),
            Some(path) => {
                let create = || {
                    let folder = path.parent().unwrap_or(Path::new("."));
                    fs::create_dir_all(folder)?;
                    // Whoever is ended here leaves what an earlier run had.
                    let new = path.with_extension("new");
                    let mut file = fs::File::create(&new)?;
                    file.write_all(lines.as_bytes())?;
                    fs::rename(&new, path)?;
                    Ok(file)
                };
                let file = create().map_err(|e: io::Error| {
                    Failure::new(Exit::CannotCreate, format!("cannot create {}: {e}", path.display()))
                })?;
                Box::new(io::BufWriter::new(file))
            }
        };
        Ok(Self { form, to })
    }

    /// Writes a cell.
    ///
    /// # Errors
    /// When nobody reads any more, or the disk is full.
    pub fn cell(&mut self, cell: &Cell) -> Result<(), Failure> {
        if matches!(self.form, Form::Jsonl) {
            return self.line(cell);
        }
        let k = &cell.karyotype;
        self.row([
            cell.captured.file.clone().unwrap_or_default(),
            cell.cell.to_string(),
            cell.counts.detected.to_string(),
            k.iscn.clone().unwrap_or_default(),
            k.verdict.name().to_owned(),
            k.posterior.map(|p| format!("{p:.3}")).unwrap_or_default(),
            format!("{:.2}", cell.quality.focus),
            format!("{:.2}", cell.quality.metaphase),
            cell.dicentric.as_ref().map_or_else(|| k.reason.clone(), dicentric_words),
            cell.frame_edge.map(|edge| edge.cut.to_string()).unwrap_or_default(),
        ])
    }

    /// Writes a rejection.
    ///
    /// # Errors
    /// As for a cell.
    pub fn rejected(&mut self, rejected: &Rejected) -> Result<(), Failure> {
        if matches!(self.form, Form::Jsonl) {
            return self.line(rejected);
        }
        let mut row = COLUMNS.map(|_| String::new());
        row[0] = rejected.file.clone().unwrap_or_default();
        row[4] = "rejected".into();
        row[8] = format!("{}: {}", rejected.reason, rejected.text);
        self.row(row)
    }

    fn line(&mut self, what: &impl serde::Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.to, what).map_err(|e| cannot_write(&e.into()))?;
        self.to.write_all(b"\n").and_then(|()| self.to.flush()).map_err(|e| cannot_write(&e))
    }

    fn row(&mut self, row: [String; COLUMNS.len()]) -> Result<(), Failure> {
        match &mut self.form {
            Form::Table(table) => {
                table.add_row(row);
                Ok(())
            }
            Form::Csv { head } => {
                let mut writer = csv::Writer::from_writer(Vec::new());
                if std::mem::take(head) {
                    writer.write_record(COLUMNS).map_err(|e| cannot_write(&e.into()))?;
                }
                writer.write_record(&row).map_err(|e| cannot_write(&e.into()))?;
                let bytes = writer.into_inner().map_err(|e| cannot_write(&io::Error::other(e.to_string())))?;
                self.to.write_all(&bytes).and_then(|()| self.to.flush()).map_err(|e| cannot_write(&e))
            }
            Form::Jsonl => Ok(()),
        }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// As for a cell.
    pub fn finish(&mut self) -> Result<(), Failure> {
        if let Form::Table(table) = &self.form {
            writeln!(self.to, "{table}").map_err(|e| cannot_write(&e))?;
        }
        self.to.flush().map_err(|e| cannot_write(&e))
    }
}

fn cannot_write(error: &io::Error) -> Failure {
    Failure::new(Exit::Io, format!("cannot write the results: {error}"))
}

/// What was counted of a cell of the dicentric assay, and what a person should look at.
fn dicentric_words(record: &DicentricRecord) -> String {
    let mut words = vec![record.headline()];
    words.extend(record.not_scored.clone());
    words.extend(record.flags.iter().cloned());
    words.join("; ")
}
