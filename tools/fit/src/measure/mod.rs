//! Measures that fit nothing: of formulas, of the virtual slide, of triage, of the outbox.

mod dose_coverage;
mod dose_speed;
mod outbox_rate;
mod pictures;
mod search_lens;
mod slide_rate;

use std::path::PathBuf;

use clap::Subcommand;

use crate::Outcome;

#[derive(Subcommand)]
pub enum Measure {
    /// How often the stated 95 % interval of the dose holds the true dose.
    DoseCoverage {
        /// Samples drawn for each dose.
        #[arg(default_value_t = 20_000)]
        repeats: u32,
    },
    /// How long an estimate from counts and a fit of ten points take.
    DoseSpeed,
    /// Messages a second through the durable outbox to a broker on this machine (scripts/bench-mqtt).
    OutboxRate {
        /// Port of the broker on 127.0.0.1.
        port: u16,
        /// Messages to send.
        messages: u64,
        /// Bytes a message.
        bytes: usize,
        /// Have the messages read back from the store, as after a lost connection.
        #[arg(long)]
        read_back: bool,
    },
    /// What our readers make of image files (scripts/compare-readers).
    Pictures {
        /// The files.
        folder: PathBuf,
        /// Where samples are written.
        out: PathBuf,
    },
    /// Triage at the scale of a search lens.
    SearchLens {
        /// The folder of data sets.
        data: PathBuf,
    },
    /// Fields a second of the virtual slide, by stain.
    SlideRate,
}

impl Measure {
    /// Measures and prints.
    pub fn run(self) -> Outcome {
        match self {
            Self::DoseCoverage { repeats } => dose_coverage::run(repeats),
            Self::DoseSpeed => dose_speed::run(),
            Self::OutboxRate { port, messages, bytes, read_back } => outbox_rate::run(port, messages, bytes, read_back),
            Self::Pictures { folder, out } => pictures::run(&folder, &out),
            Self::SearchLens { data } => search_lens::run(&data),
            Self::SlideRate => slide_rate::run(),
        }
    }
}
