//! `man`: the manual pages, made from the same text as `--help`.

use std::{fs, path::PathBuf};

use clap::{Args, CommandFactory};
use clap_mangen::Man;

use super::{Cli, Exit, Failure, output::print};

/// Arguments of `man`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  metaphased man | man -l -
  metaphased man --out /usr/local/share/man/man1")]
pub struct ManCommand {
    /// Write a page for each command into this folder; without it the page of `metaphased` itself goes to stdout.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl ManCommand {
    /// Prints or writes the pages.
    pub fn run(&self) -> Result<Exit, Failure> {
        match &self.out {
            None => {
                let mut page = Vec::new();
                Man::new(Cli::command())
                    .manual("metaphased")
                    .render(&mut page)
                    .map_err(|error| Failure::new(Exit::Internal, error))?;
                print(&String::from_utf8_lossy(&page))?;
            }
            Some(folder) => fs::create_dir_all(folder)
                .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
                .map_err(|error| Failure::writing(folder, error))?,
        }
        Ok(Exit::Done)
    }
}
