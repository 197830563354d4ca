//! `metaphased dose plot`.

use super::counts::{CountArgs, fit_points};
use super::estimate::SettingsArgs;
use super::{bad_data, write};
use crate::case::report::DosePlot;
use crate::cli::{Exit, Failure, Global};
use clap::Args;
use dosimetry::{Level, estimate};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Plot {
    #[command(flatten)]
    counts: CountArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Calibration points to draw: a CSV file as for `dose fit`.
    #[arg(long, value_name = "FILE")]
    points: Option<PathBuf>,
    /// File to write; its ending, .svg or .png, is the format.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Title above the drawing.
    #[arg(long, value_name = "WORDS")]
    title: Option<String>,
    /// Width in pixels.
    #[arg(long, default_value_t = 900, value_parser = clap::value_parser!(u32).range(300..=8000))]
    width: u32,
    /// Height in pixels.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(200..=8000))]
    height: u32,
    /// Highest dose drawn, in Gy.
    #[arg(long, value_name = "GY", value_parser = super::parse::gray)]
    to: Option<dosimetry::Gray>,
}

impl Plot {
    pub fn run(&self, global: &Global) -> Result<Exit, Failure> {
        let ending = self.out.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
        if !matches!(ending.as_str(), "svg" | "png") {
            return Err(Failure::usage(format!("--out {}: the ending must be .svg or .png", self.out.display())));
        }
        let (curve, settings) = self.settings.resolve(false)?;
        let settings = dosimetry::Settings { assay: curve.assay(), ..settings };
        let found = if self.counts.given() {
            let samples = self.counts.samples(global)?;
            if samples.len() != 1 {
                return Err(Failure::bad_data("invalid input for a drawing: expected one sample, found several"));
            }
            let notes = samples[0].holds(&curve, &settings).map_err(bad_data)?;
            let (sample, settings) = samples[0].of_person(&curve, &settings).map_err(bad_data)?;
            let mut found = estimate(&sample, &curve, &settings).map_err(bad_data)?;
            found.warnings.extend(notes);
            Some(found)
        } else {
            None
        };
        let points = self.points.as_deref().map(fit_points).transpose()?.unwrap_or_default();
        let picture = DosePlot {
            response: curve.at(settings.protraction),
            band: Level::P95,
            points: &points,
            estimate: found.as_ref(),
            title: self.title.clone().unwrap_or_else(|| curve.id().to_owned()),
            to: self.to,
            size: (self.width, self.height),
        };
        let drawn = if ending == "svg" { picture.svg().map(String::into_bytes) } else { picture.png() };
        let bytes = drawn.map_err(|error| Failure::new(Exit::Internal, error))?;
        write(&self.out, &bytes)?;
        eprintln!("wrote {}", self.out.display());
        if let Some(found) = &found {
            found.warnings.iter().for_each(|w| eprintln!("note: {w}"));
        }
        Ok(Exit::Done)
    }
}
