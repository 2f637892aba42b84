//! `completion`: prints the script by which a shell completes the commands and flags.

use super::exit::{Exit, Failure};
use clap::{Args, Command, ValueEnum};
use clap_complete::{Shell, generate};
use std::io::{ErrorKind, Write};

/// The arguments.
#[derive(Args, Debug)]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: CompletedShell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CompletedShell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script for `command`.
///
/// # Errors
/// Standard output is closed.
pub fn completion(args: &CompletionArgs, mut command: Command) -> Result<Exit, Failure> {
    let shell = match args.shell {
        CompletedShell::Bash => Shell::Bash,
        CompletedShell::Zsh => Shell::Zsh,
        CompletedShell::Fish => Shell::Fish,
    };
    let (mut script, name) = (Vec::new(), command.get_name().to_owned());
    generate(shell, &mut command, name, &mut script);
    match std::io::stdout().write_all(&script) {
        Ok(()) => Ok(Exit::Well),
        // Whoever reads no further has enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Well),
        Err(error) => Err(Failure::Unknown(format!("the output failed: {error}"))),
    }
}
