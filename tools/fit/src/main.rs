//! Fits the numbers that metaphased carries, and measures what its formulas and its outbox reach.
//!
//! A fit prints what it reaches; with `--write` it writes its numbers into the folder `fitted` of the crate that uses
//! them, with the command in the file's head.

mod classes;
mod karyotype;
mod measure;
mod output;
mod polarity;
mod regression;
mod shapes;
mod two_cells;

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// What every command returns.
type Outcome = Result<(), Box<dyn Error>>;

/// Fits the numbers that metaphased carries, and measures what it reaches.
#[derive(Parser)]
#[command(name = "metaphased-fit")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One chromosome or several in a cut-out object: a logistic model, with each case left out in turn.
    Shapes {
        /// The set `clusters` (objects.csv).
        clusters: PathBuf,
        /// Write crates/imaging/src/fitted/object_weights.rs.
        #[arg(long)]
        write: bool,
    },
    /// Two cells that touch against one, for triage: prints the weights of `recognition::spreads`.
    TwoCells {
        /// The set `cil`.
        cil: PathBuf,
        /// Its split.
        #[arg(default_value = "models/training/splits/cil.csv")]
        split: PathBuf,
    },
    /// Which end of a chromosome is the short arm's, by class.
    Polarity {
        /// The folder of data sets, with pki3.
        data: PathBuf,
        /// Write crates/karyotype/src/fitted/polarity.rs.
        #[arg(long)]
        write: bool,
    },
    /// Length and bands of each class, for structural candidates.
    Profiles {
        /// The folder of data sets, with cil.
        data: PathBuf,
        /// The split of cil.
        #[arg(default_value = "models/training/splits/cil.csv")]
        split: PathBuf,
        /// What `metaphased analyze` wrote of training cells, a cell a line.
        #[arg(long)]
        cells: PathBuf,
        /// Write crates/karyotype/src/fitted/profiles.rs.
        #[arg(long)]
        write: bool,
    },
    /// Settings of the karyotype stage, for new weights of the networks.
    Karyotype(karyotype::Karyotype),
    /// Measures that fit nothing.
    #[command(subcommand)]
    Measure(measure::Measure),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Shapes { clusters, write } => shapes::run(&clusters, write),
        Command::TwoCells { cil, split } => two_cells::run(&cil, &split),
        Command::Polarity { data, write } => polarity::run(&data, write),
        Command::Profiles { data, split, cells, write } => classes::run(&data, &split, &cells, write),
        Command::Karyotype(karyotype) => karyotype.run(),
        Command::Measure(measure) => measure.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("metaphased-fit: {error}");
            ExitCode::FAILURE
        }
    }
}
