//! The command line of the plugin of kubectl, for people.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "these docs are the help text"
)]

use super::parse::{parse, print_line};
use crate::command::{
    check::{CheckArgs, check},
    completion::{CompletionArgs, completion},
    doctor::{self, DoctorArgs, doctor},
    exit::{Exit, Failure},
    session::ConnectionArgs,
    version::{VersionArgs, version},
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
    /// Explain why a resource isn't Ready, and what makes it Ready
    ///
    /// Follows the chain link by link: the resource, the grant, duplicates, the Secret (what is wrong with its value,
    /// never the value), the record of the last set, the operator and its leader, and what the operator saw of the
    /// user. Then the cure follows, as commands with the resource's own names, and the page that says more. A line
    /// with a question mark names the right that you lack.
    ///
    /// With -A, -l or --pool, or without a name, many resources are counted by reason, the worst first.
    ///
    /// Exit status: 0 if all resources are Ready, 1 if one isn't or something is broken, 3 if the resources can't be
    /// read.
    #[command(after_long_help = doctor::EXAMPLES)]
    Doctor(DoctorArgs),
    /// Check an installation, or with --pre a cluster before an installation
    ///
    /// Answers whether the operator is installed right: the version of Kubernetes; the CRDs, served, stored, and
    /// with the schema of this version; the operator's pods, leader and version; each right that its
    /// ServiceAccount needs; /readyz of its pods; AWS credentials, by the operator's own count; who scrapes its
    /// metrics; grants and resources, by their conditions. Each fault has its cure.
    ///
    /// Reads Deployments, pods, Services, the Lease, CRDs, grants and resources. Asks for the ServiceAccount's
    /// rights by SubjectAccessReview. Reads no Secret, writes nothing, and doesn't call AWS. What you may not read
    /// is one line with a question mark.
    ///
    /// Exit status: 0 if all is well or only warned of, 1 if something failed, 2 for a wrong command line, 3 if
    /// something could not be found out.
    ///
    /// Example: kubectl cognito-password check --wait 2m
    Check(CheckArgs),
    /// Print the versions of this program, of the operator and of the CRDs, and whether they fit together
    ///
    /// Reads Deployments and CRDs. Exit status: 0 if the versions fit together or only warn, 1 if a CRD lacks
    /// fields of this version, 3 if a version could not be found out.
    ///
    /// Example: kubectl cognito-password version -o json
    Version(VersionArgs),
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
        Command::Doctor(args) => doctor(&args, &session().await?).await,
        Command::Check(args) => check(&args, &session().await?).await,
        Command::Version(args) => version(&args, &session().await?).await,
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
