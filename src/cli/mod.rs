//! What a person types: one file per command; arguments in, library calls, text or JSON out.

mod analyze;
mod bench;
mod bench_engines;
mod bench_imaging;
mod bench_pipeline;
mod cameras;
mod case;
mod completions;
mod config;
mod doctor;
mod dose;
mod evaluate;
mod exit;
mod flat_field;
#[cfg(feature = "tensorrt")]
mod gpu_check;
mod iscn;
mod karyogram;
mod man;
mod output;
mod progress;
mod report;
mod run;
mod schema;
mod simulate;
mod status;
mod user;
mod views;
mod words;

pub use exit::{Exit, Failure};
use karyogram::{write_karyogram, write_outlines};

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Configuration file (TOML).
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Inference engine.
    #[arg(long, global = true, value_name = "NAME", value_parser = ["auto", "cpu", "onnxruntime", "tensorrt", "kserve"])]
    pub engine: Option<String>,
    /// Folder that holds the model folders.
    #[arg(long, global = true, value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// Log level: error, warn, info, debug, trace, or a filter such as `metaphased=debug`.
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log: Option<String>,
}

/// A daemon for microscopes: finds metaphases, classifies chromosomes, publishes findings over MQTT.
#[derive(Debug, Parser)]
#[command(name = "metaphased", version, about, propagate_version = true)]
#[command(after_help = "Examples:
  metaphased                                            a first run: virtual slide, page, broker
  metaphased --config /etc/metaphased/metaphased.toml
  metaphased analyze slides/
  metaphased doctor                                     what is here, and what is missing")]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do; without one, `run`.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands. Each has its own file in this folder.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon (what happens without a command, too).
    Run,
    /// Benchmark this machine.
    Bench(bench::Bench),
    /// Run files and folders through the daemon's own stages.
    Analyze(analyze::Analyze),
    /// List the available cameras.
    Cameras,
    /// Check a configuration file and report all its mistakes at once.
    CheckConfig(config::CheckConfig),
    /// Print the configuration in force and where each value came from.
    PrintConfig(config::PrintConfig),
    /// Estimate absorbed dose from counts of dicentrics.
    Dose(dose::Dose),
    /// Record the light of the empty field, to be divided out of every frame.
    FlatField(flat_field::FlatFieldCommand),
    /// Report what is available, what will be used and why, what is missing and how to get it.
    Doctor(doctor::Doctor),
    /// Measure the daemon's stages on annotated cells.
    Evaluate(evaluate::Evaluate),
    /// Work with karyotype strings (ISCN).
    Iscn(iscn::Iscn),
    /// Draw a virtual slide: images, Pascal VOC boxes, masks and truth.jsonl.
    Simulate(simulate::Simulate),
    /// Show the health of the running daemon.
    Status(status::StatusCommand),
    /// Add, change, remove and list the people who may log in to the page.
    User(user::UserCommand),
    /// List, show, export, review, close or erase the cases in the store.
    Case(case::CaseCommand),
    /// Report on many cases: a period, one store or several.
    Report(report::ReportCommand),
    /// Print the JSON Schemas of the messages and of the configuration.
    Schema(schema::SchemaCommand),
    /// Print a script with which a shell completes commands and options.
    Completions(completions::CompletionsCommand),
    /// Print the manual page, or write a page for each command.
    Man(man::ManCommand),
}

/// Reads the command line and does what it asks.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no mistakes.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            let _ = error.print();
            return exit;
        }
    };
    match run(cli) {
        Ok(exit) => exit,
        Err(failure) => {
            eprintln!("metaphased: {failure}");
            failure.exit
        }
    }
}

fn run(cli: Cli) -> Result<Exit, Failure> {
    match cli.command {
        None | Some(Command::Run) => run::run(&cli.global),
        Some(Command::Bench(args)) => args.run(&cli.global),
        Some(Command::Analyze(args)) => args.run(&cli.global),
        Some(Command::Cameras) => cameras::run(),
        Some(Command::CheckConfig(args)) => args.run(&cli.global),
        Some(Command::PrintConfig(args)) => args.run(&cli.global),
        Some(Command::Dose(args)) => args.run(&cli.global),
        Some(Command::Doctor(args)) => args.run(&cli.global),
        Some(Command::FlatField(args)) => args.run(&cli.global),
        Some(Command::Evaluate(args)) => args.run(&cli.global),
        Some(Command::Iscn(args)) => args.run(),
        Some(Command::Simulate(args)) => args.run(),
        Some(Command::Status(args)) => args.run(&cli.global),
        Some(Command::User(args)) => args.run(&cli.global),
        Some(Command::Case(args)) => args.run(&cli.global),
        Some(Command::Report(args)) => args.run(&cli.global),
        Some(Command::Schema(args)) => args.run(),
        Some(Command::Completions(args)) => args.run(),
        Some(Command::Man(args)) => args.run(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Lines of a terminal that a page of help may take.
    const SCREEN: usize = 52;

    /// The short help of a command and of those below it, 100 columns wide.
    fn pages(mut command: clap::Command, pages: &mut Vec<(String, String)>) {
        pages.push((command.get_name().to_owned(), command.clone().term_width(100).render_help().to_string()));
        command.build();
        for below in command.get_subcommands().filter(|c| c.get_name() != "help") {
            self::pages(below.clone(), pages);
        }
    }

    #[test]
    fn the_short_help_of_every_command_fits_a_screen() {
        let mut all = Vec::new();
        pages(Cli::command(), &mut all);
        assert!(all.len() > 20, "{}", all.len());
        for (name, page) in all {
            let lines = page.lines().count();
            assert!(lines <= SCREEN, "{name}: {lines} lines\n{page}");
        }
    }
}
