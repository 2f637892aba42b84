//! Parses the arguments of a program. A mistake is one line on standard error, and exit status 2.

use clap::{Parser, error::ErrorKind};
use std::{ffi::OsString, io::Write, process::ExitCode};

/// The exit status for a wrong command line or a wrong setting.
pub(super) const USAGE: u8 = 2;

/// Parses the arguments. The error is the exit status of the program, after help, the version or the mistake
/// was printed.
pub(super) fn parse<C: Parser>(args: impl IntoIterator<Item = OsString>) -> Result<C, ExitCode> {
    let args: Vec<_> = args.into_iter().collect();
    C::try_parse_from(&args).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // An error here has no remedy: standard output is gone.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(USAGE)
        }
        _ => usage(&format!(
            "{} (see {} --help)",
            one_line(&error),
            command::<C>(&args)
        )),
    })
}

/// Prints a mistake. Returns the exit status for a mistake.
pub(super) fn usage(why: &str) -> ExitCode {
    print_line(&format!("error: {why}"));
    ExitCode::from(USAGE)
}

/// Prints a line on standard error.
pub(super) fn print_line(line: &str) {
    // An error here has no remedy: standard error is gone.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// clap's error without its usage section: what is wrong, and which form is right.
pub(super) fn one_line(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let lines = rendered
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .map(str::trim)
        // No command takes words that begin with a hyphen.
        .filter(|line| !line.is_empty() && !line.starts_with("tip: to pass "));
    let line = lines.collect::<Vec<_>>().join(" ");
    line.trim_start_matches("error:").trim().to_owned()
}

/// The subcommand that the arguments name, as far as the arguments name one.
pub(super) fn command<C: Parser>(args: &[OsString]) -> String {
    let cli = C::command();
    let name = cli.get_bin_name().unwrap_or_else(|| cli.get_name());
    let (mut command, mut path) = (&cli, name.to_owned());
    for arg in args.iter().skip(1) {
        let Some(inner) = command.find_subcommand(arg) else {
            break;
        };
        command = inner;
        path = format!("{path} {}", command.get_name());
    }
    path
}
