//! `user`: the people who may log in to the page.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};

use super::{
    Exit, Failure, Global, config,
    output::{fit_terminal, print},
    words::one_of,
};
use crate::web::{Role, User, UserList, UsersError, check_user_name, hash_password, read_users, write_users};

/// Arguments of `user`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sudo -u metaphased metaphased --config /etc/metaphased/metaphased.toml user add 'K. Berg' --role review
  metaphased user list --file users

A password is typed without being shown, or read as one line from the standard input. A running daemon takes a change
over within a second; a new password, like a removal, ends the person's sessions.")]
pub struct UserCommand {
    #[command(subcommand)]
    what: What,
    /// File of the users; by default web.users_file of the configuration.
    #[arg(long, global = true, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Add a person.
    Add {
        /// Name; every change is kept under it.
        name: String,
        /// What they may do.
        #[arg(long, value_parser = one_of(&Role::ALL, Role::name))]
        role: Role,
        /// They come in by the proxy alone (web.user_header).
        #[arg(long)]
        no_password: bool,
    },
    /// Give a person another password.
    Password {
        /// Name.
        name: String,
    },
    /// Give a person another role.
    Role {
        /// Name.
        name: String,
        /// What they may do from now on.
        #[arg(value_parser = one_of(&Role::ALL, Role::name))]
        role: Role,
    },
    /// Remove a person.
    Remove {
        /// Name.
        name: String,
    },
    /// List the people with their roles.
    List,
}

impl UserCommand {
    /// Does what was asked.
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let file = match self.file {
            Some(file) => file,
            None => config::load(global, None)?.config.web.users_file.ok_or_else(|| {
                Failure::usage("there is no users' file: give --file FILE, or a configuration with web.users_file")
            })?,
        };
        let file = &crate::config::credential(&file);
        match self.what {
            What::Add { name, role, no_password } => add(file, name, role, no_password)?,
            What::Password { name } => {
                // Asked first: the file is read and written at once, so that no change made meanwhile is undone.
                read_users(file)?.get(&name).ok_or_else(|| unknown(&name))?;
                let hash = hash_password(&ask_password(&name)?)?;
                change(file, &name, |user| user.hash = Some(hash))?;
                eprintln!("'{name}' has another password");
            }
            What::Role { name, role } => {
                change(file, &name, |user| user.role = role)?;
                eprintln!("'{name}' has the role {}", role.name());
            }
            What::Remove { name } => {
                let mut users = read_users(file)?;
                users.remove(&name).ok_or_else(|| unknown(&name))?;
                write_users(file, &users)?;
                eprintln!("'{name}' is removed");
            }
            What::List => print(&table(&read_users(file)?))?,
        }
        Ok(Exit::Done)
    }
}

fn unknown(name: &str) -> Failure {
    Failure::new(Exit::NoInput, format!("unknown user '{name}': expected one of `metaphased user list`"))
}

fn add(file: &Path, name: String, role: Role, no_password: bool) -> Result<(), Failure> {
    check_user_name(&name)?;
    let others = || -> Result<UserList, Failure> {
        let users = match read_users(file) {
            Err(UsersError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => UserList::new(),
            read => read?,
        };
        if users.contains_key(&name) {
            let text = format!("'{name}' is there already: `metaphased user password` or `role` changes it");
            return Err(Failure::new(Exit::Data, text));
        }
        Ok(users)
    };
    others()?;
    let hash = if no_password { None } else { Some(hash_password(&ask_password(&name)?)?) };
    // Read again: no change made while the password was typed is undone.
    let mut users = others()?;
    users.insert(name.clone(), User { name: name.clone(), role, hash });
    write_users(file, &users)?;
    eprintln!("'{name}' is added with the role {}", role.name());
    Ok(())
}

fn change(file: &Path, name: &str, change: impl FnOnce(&mut User)) -> Result<(), Failure> {
    let mut users = read_users(file)?;
    change(users.get_mut(name).ok_or_else(|| unknown(name))?);
    Ok(write_users(file, &users)?)
}

fn table(users: &UserList) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    fit_terminal(&mut table);
    table.set_header(["user", "role", "comes in by"]);
    for user in users.values() {
        let way = if user.hash.is_some() { "password" } else { "proxy alone" };
        table.add_row([&user.name, user.role.name(), way]);
    }
    table.to_string()
}

/// Asks twice on a terminal, without showing what is typed; elsewhere it is one line of the standard input.
fn ask_password(name: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return line();
    }
    let password = typed(&format!("Password of {name}: "))?;
    if typed("Once more: ")? != password {
        return Err(Failure::new(Exit::Data, "the two passwords differ: nothing was changed"));
    }
    Ok(password)
}

fn line() -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::new(Exit::Io, format!("cannot read the password: {error}"));
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(failed)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(unix)]
fn typed(question: &str) -> Result<String, Failure> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let failed =
        |error: io::Error| Failure::new(Exit::Io, format!("the terminal does not hide what is typed: {error}"));
    let terminal = io::stdin();
    let before = tcgetattr(&terminal).map_err(|error| failed(error.into()))?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    eprint!("{question}");
    io::stderr().flush().map_err(failed)?;
    tcsetattr(&terminal, OptionalActions::Flush, &quiet).map_err(|error| failed(error.into()))?;
    let found = line();
    let restored = tcsetattr(&terminal, OptionalActions::Flush, &before);
    eprintln!();
    restored.map_err(|error| failed(error.into()))?;
    found
}

#[cfg(not(unix))]
fn typed(_: &str) -> Result<String, Failure> {
    Err(Failure::new(Exit::Unavailable, "a password can be typed on Unix alone: give it on the standard input"))
}
