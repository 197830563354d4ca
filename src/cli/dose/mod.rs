//! `metaphased dose`: from counts of aberrations to absorbed dose.

mod correct;
mod counts;
mod curve;
mod curves;
mod estimate;
mod extras;
mod fit;
mod interlab;
mod limits;
mod plot;

use super::{Exit, Failure, Global};
use clap::{Args, Subcommand};
use dosimetry::{DosimetryError, Gray, Yield};
use std::path::Path;

/// Estimate absorbed dose from counts of dicentrics or translocations. Research use only.
#[derive(Debug, Args)]
pub struct Dose {
    #[command(subcommand)]
    command: DoseCommand,
}

#[derive(Debug, Subcommand)]
enum DoseCommand {
    /// Fit a calibration curve to counts at known doses.
    Fit(fit::Fit),
    /// The curve of another's counts as a scorer sees it that finds a known share of the dicentrics and calls a known number of others.
    Correct(correct::Correct),
    /// Compare several laboratories' results of the same samples: robust mean, z-scores, signals.
    Interlab(interlab::InterlabArgs),
    /// Dose of a sample with its limits.
    Estimate(Box<estimate::EstimateArgs>),
    /// Decision threshold, detection limit and comparison with a control.
    Limits(limits::Limits),
    /// Draw the curve with its band, the calibration points and the estimate as SVG or PNG.
    Plot(Box<plot::Plot>),
    /// List the built-in curves, or show one as a curve file.
    Curves(curves::Curves),
}

impl Dose {
    /// Does what the subcommand asks.
    pub fn run(&self, global: &Global) -> Result<Exit, Failure> {
        match &self.command {
            DoseCommand::Fit(args) => args.run(global),
            DoseCommand::Correct(args) => args.run(global),
            DoseCommand::Interlab(args) => args.run(),
            DoseCommand::Estimate(args) => args.run(global),
            DoseCommand::Limits(args) => args.run(),
            DoseCommand::Plot(args) => args.run(global),
            DoseCommand::Curves(args) => args.run(),
        }
    }
}

/// Data and curves that give no dose are bad data; a curve that is not there was not found.
fn bad_data(error: DosimetryError) -> Failure {
    error.into()
}

/// Results that cannot be compared are bad data.
fn bad_data_of(error: dosimetry::InterlabError) -> Failure {
    error.into()
}

/// Options that make no sense are wrong usage.
fn bad_option(error: DosimetryError) -> Failure {
    Failure::usage(error)
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::reading(path, &error))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|error| Failure::writing(path, error))
}

/// A number for people: 4 significant digits, `-` where there is none.
fn show(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(0.0) => "0".into(),
        Some(v) if v.abs() >= 1000.0 || v.abs() < 1e-4 => format!("{v:.3e}"),
        Some(v) => {
            let digits = (3 - v.abs().log10().floor() as i32).clamp(0, 8) as usize;
            format!("{v:.digits$}")
        }
    }
}

/// Parsers of option values: an error names the option.
mod parse {
    use super::{Gray, Yield};
    use dosimetry::Level;

    pub fn number(text: &str) -> Result<f64, String> {
        text.trim()
            .parse::<f64>()
            .ok()
            .filter(|v| v.is_finite())
            .ok_or_else(|| format!("invalid number '{text}': expected a decimal number"))
    }

    pub fn level(text: &str) -> Result<Level, String> {
        Level::new(number(text)?).map_err(|e| e.to_string())
    }

    pub fn gray(text: &str) -> Result<Gray, String> {
        Gray::new(number(text)?).map_err(|e| e.to_string())
    }

    pub fn rate(text: &str) -> Result<Yield, String> {
        Yield::new(number(text)?).map_err(|e| e.to_string())
    }
}
