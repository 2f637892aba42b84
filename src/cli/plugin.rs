//! The command line of the plugin of kubectl, for people.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "these docs are the help text"
)]

use super::parse::{parse, print_line};
use crate::command::{
    completion::{CompletionArgs, completion},
    exit::{Exit, Failure},
    explain::{ExplainArgs, explain},
    grants::{GrantsArgs, grants},
    report::{ReportArgs, report},
    session::ConnectionArgs,
};
use clap::{CommandFactory, Parser, Subcommand};
use std::{ffi::OsString, process::ExitCode};

/// Answers questions about CognitoUserPassword resources and their operator.
///
/// Is it installed right, why isn't a resource Ready, who may do what, and when may a pod start? Every command
/// reads as the caller, and says so where the caller lacks a right. No command prints a password.
///
/// Exit status: 0 if all is well, 1 if something was found, 2 for a wrong command line, 3 if something could not
/// be found out.
#[derive(Parser, Debug)]
#[command(
    name = "kubectl-cognito_password",
    bin_name = "kubectl cognito-password",
    version,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Say which namespaces may manage which users: test, who, diff
    Grants(GrantsArgs),
    /// Explain a reason of a condition, or an error code of AWS; without one, list all
    ///
    /// Says what happened, who acts next, and what to do, with the page that says more. Asks no cluster.
    ///
    /// Exit status: 0, or 2 for an unknown word.
    ///
    /// Example: kubectl cognito-password explain UserNotFoundException
    Explain(ExplainArgs),
    /// Write an archive for whoever helps: resources, grants, the operator's logs, metrics and settings
    ///
    /// Contains the CRDs, all resources and grants with their Events, and of each operator the Deployment, pods,
    /// leases, Events, logs, /readyz and /metrics; also versions, and your own rights. Contains no Secret, and
    /// neither values of variables that may be credentials, nor managed fields or last applied configurations. What
    /// you may not read is a line of index.md in the archive. Only you may read the file. Look at the files before
    /// you send them.
    ///
    /// Exit status: 0 if the archive is written, 2 if the file exists or for a wrong command line, 3 if no API
    /// server answers.
    ///
    /// Example: kubectl cognito-password report -o report.tar.gz
    Report(ReportArgs),
    /// Print the script by which a shell completes commands and flags
    Completion(CompletionArgs),
}

/// Runs the command line. A usage error prints one line on standard error and exits with 2.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match parse::<Cli>(args) {
        Ok(cli) => cli,
        Err(status) => return status,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(execute(cli)),
        Err(error) => Err(Failure::Unknown(error.to_string())),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            print_line(&format!("error: {failure}"));
            ExitCode::from(failure.status())
        }
    }
}

async fn execute(cli: Cli) -> Result<Exit, Failure> {
    let session = async || cli.connection.session().await;
    match cli.command {
        Command::Grants(args) => grants(args, &session().await?).await,
        Command::Explain(args) => explain(&args),
        Command::Report(args) => report(&args, &session().await?).await,
        Command::Completion(args) => completion(&args, Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
