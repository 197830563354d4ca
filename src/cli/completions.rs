//! `completions`: scripts with which shells complete commands and options.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Exit, Failure, output::print};

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  metaphased completions bash > ~/.local/share/bash-completion/completions/metaphased
  metaphased completions fish > ~/.config/fish/completions/metaphased.fish
  metaphased completions zsh > ~/.zfunc/_metaphased")]
pub struct CompletionsCommand {
    /// The shell.
    shell: Shell,
}

impl CompletionsCommand {
    /// Prints the script on stdout.
    pub fn run(&self) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "metaphased", &mut script);
        print(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Done)
    }
}
