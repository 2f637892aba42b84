//! `grants`: which namespaces may manage which users, by the code that decides in the operator.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "the docs of the arguments are the help text"
)]

mod diff;
mod question;
mod test;
mod who;

use super::{
    exit::{Exit, Failure},
    session::Session,
};
use clap::{Args, Subcommand};
use question::QuestionArgs;

/// The arguments of `grants`.
#[derive(Args, Debug)]
pub struct GrantsArgs {
    #[command(subcommand)]
    command: GrantsCommand,
}

const TEST: &str = "\
Exit status: 0 for yes, 1 for no, 2 for a wrong command line, 3 if what decides can't be read.

Example:
  kubectl cognito-password grants test -n team-a --user ci-bot \\
    --pool eu-west-1_AbCdEf123";

const WHO: &str = "\
Exit status: 0 if a namespace may manage the user, 1 if none may, 2 for a wrong command line, 3 if what decides can't be read.

Example:
  kubectl cognito-password grants who --user ci-bot --pool eu-west-1_AbCdEf123";

const DIFF: &str = "\
Exit status: 0 if nothing changes, 1 if something changes, 2 for a bad file or command line, 3 if what decides can't be read.

Example:
  kubectl cognito-password grants diff -f grant.yaml --delete old-grant";

#[derive(Subcommand, Debug)]
enum GrantsCommand {
    /// May resources of a namespace manage a user?
    ///
    /// -n names the namespace. The answer yes has the grants that fit, and the role and Region of the calls. The answer
    /// no says of each grant that names the pool why the grant doesn't fit. Reads the grants, the labels of the
    /// namespace, and the settings of the operator.
    #[command(after_long_help = TEST)]
    Test(QuestionArgs),
    /// Which namespaces may manage a user, and which resource does?
    ///
    /// Lists each namespace that may manage the user, the grants that say so, and the namespace's resources for the
    /// user. Also lists resources for the user that no grant admits. Reads the grants, all namespaces and all resources.
    #[command(after_long_help = WHO)]
    Who(QuestionArgs),
    /// Who would gain and who would lose by a change of grants?
    ///
    /// Compares the grants of the cluster with the same grants after `kubectl apply -f FILE` and after deletions, for
    /// the resources that exist, and for each namespace and each pattern of usernames. Changes nothing. The file is
    /// checked as the CRD checks a grant. Reads the grants, all namespaces and all resources.
    #[command(after_long_help = DIFF)]
    Diff(diff::DiffArgs),
}

/// Runs one of the commands about grants.
///
/// # Errors
/// A wrong argument, a bad file, or no API server.
pub async fn grants(args: GrantsArgs, session: &Session) -> Result<Exit, Failure> {
    match args.command {
        GrantsCommand::Test(args) => test::test(&args, session).await,
        GrantsCommand::Who(args) => who::who(&args, session).await,
        GrantsCommand::Diff(args) => diff::diff(args, session).await,
    }
}
