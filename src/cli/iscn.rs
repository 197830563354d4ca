//! `metaphased iscn check`: read, count and explain karyotype strings.

use std::io::{self, BufRead, Write};

use clap::{Args, Subcommand};

use super::{Exit, Failure};
use karyotype::iscn::{Report, check};

/// Work with karyotype strings (ISCN).
#[derive(Debug, Args)]
pub struct Iscn {
    #[command(subcommand)]
    command: IscnCommand,
}

#[derive(Debug, Subcommand)]
enum IscnCommand {
    /// Parse, count and explain karyotype strings; exit 65 when one is not valid.
    Check(Check),
}

#[derive(Debug, Args)]
struct Check {
    /// Karyotypes such as `47,XX,+21`; without any, one per line from standard input.
    #[arg(value_name = "STRING")]
    strings: Vec<String>,
    /// One JSON object per string.
    #[arg(long)]
    json: bool,
}

impl Iscn {
    /// Does what the subcommand asks.
    pub fn run(&self) -> Result<Exit, Failure> {
        let IscnCommand::Check(args) = &self.command;
        let mut out = io::stdout().lock();
        let mut all_valid = true;
        let mut report = |text: &str| {
            let found = check(text);
            all_valid &= found.valid;
            if args.json { json_line(&mut out, &found) } else { human(&mut out, &found) }
        };
        let done = if args.strings.is_empty() {
            io::stdin().lock().lines().try_for_each(|line| report(line?.trim_end_matches('\r')))
        } else {
            args.strings.iter().try_for_each(|text| report(text))
        };
        match done {
            // A closed pipe (`| head`) is no failure.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(Failure::bad_data("standard input is not UTF-8 text"));
            }
            Err(error) => {
                return Err(Failure::new(Exit::Io, format!("karyotypes could not be read or printed: {error}")));
            }
            Ok(()) => {}
        }
        Ok(if all_valid { Exit::Done } else { Exit::Data })
    }
}

fn json_line(out: &mut impl Write, report: &Report) -> io::Result<()> {
    serde_json::to_writer(&mut *out, report)?;
    writeln!(out)
}

fn human(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let verdict = match report.severity {
        None => "valid".to_owned(),
        Some(severity) => format!("not valid ({severity}): {}", report.reason.as_deref().unwrap_or_default()),
    };
    writeln!(out, "{}\n  {verdict}", if report.string.is_empty() { "(empty)" } else { &report.string })?;
    if !report.modal_count.is_empty() {
        let sex = if report.sex_complement.is_empty() { "none listed" } else { &report.sex_complement };
        writeln!(out, "  chromosomes {}, sex chromosomes {sex}", report.modal_count)?;
    }
    if !report.abnormalities.is_empty() {
        writeln!(out, "  {}", report.abnormalities.join("; "))?;
    }
    Ok(())
}
