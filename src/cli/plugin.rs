//! The command line of the plugin of kubectl, for people.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "these docs are the help text"
)]

use super::{
    complete,
    parse::{parse, print_line},
    plugin_help as help,
};
use crate::command::{
    check::{CheckArgs, check},
    completion::{CompletionArgs, completion},
    crd::{CrdArgs, crd},
    doctor::{DoctorArgs, doctor},
    exit::{Exit, Failure},
    explain::{ExplainArgs, explain},
    grants::{GrantsArgs, grants},
    iam_policy::{IamPolicyArgs, iam_policy},
    names,
    output::write_line,
    report::{ReportArgs, report},
    session::ConnectionArgs,
    set::{SetArgs, set},
    suspend::{ResumeArgs, SuspendArgs, resume, suspend},
    version::{VersionArgs, version},
    wait::{WaitArgs, wait},
};
use clap::{CommandFactory, Parser, Subcommand};
use std::{ffi::OsString, process::ExitCode};

/// Answers questions about CognitoUserPassword resources and their operator.
///
/// Is the operator installed right, why isn't a resource Ready, which namespace may manage which user, and when may a
/// pod start? Every command reads with the caller's rights, and names each right that the caller lacks. No command
/// prints a password. Only set, suspend and resume change the cluster.
#[derive(Parser, Debug)]
#[command(
    name = "kubectl-cognito_password",
    bin_name = "kubectl cognito-password",
    version,
    arg_required_else_help = true,
    after_long_help = help::PLUGIN
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
    /// never the value), the record of the last set, the operator with its leader and rights, and what the operator
    /// saw of the user. Then the cure follows, as commands with the resource's own names, and the page that says
    /// more. A line with a question mark names the right that you lack.
    ///
    /// With -A, -l or --pool, or without a name, many resources are counted by reason, the worst first.
    #[command(after_long_help = help::DOCTOR)]
    Doctor(DoctorArgs),
    /// Check an installation, or with --pre a cluster before an installation
    ///
    /// Answers whether the operator is installed right: the version of Kubernetes; the CRDs, served, stored, and
    /// with the schema of this version; the operator's pods, leader and version; each right that its
    /// ServiceAccount needs; /readyz of its pods; whether resources wait for AWS credentials; whether Prometheus scrapes
    /// the metrics; grants and resources, by their conditions. Each fault has its cure.
    ///
    /// Reads Deployments, pods, Services, the Lease, CRDs, grants and resources. Asks for the ServiceAccount's
    /// rights by SubjectAccessReview. Reads no Secret, writes nothing, and doesn't call AWS. What you may not read
    /// is one line with a question mark.
    #[command(after_long_help = help::CHECK)]
    Check(CheckArgs),
    /// Print the versions of this program, of the operator and of the CRDs, and whether they fit together
    ///
    /// Reads Deployments and CRDs.
    #[command(after_long_help = help::VERSION)]
    Version(VersionArgs),
    /// Wait until resources are Ready, or have another condition
    ///
    /// Waits until Ready is True for the resource's current generation and, where the annotation requestedAt asks for
    /// a set, until the operator has answered. Also waits for a resource that doesn't exist yet, and while the API
    /// server is away. Prints each change on standard error. Needs the right to get the named resources; the right to
    /// watch them saves requests.
    #[command(after_long_help = help::WAIT)]
    Wait(WaitArgs),
    /// Ask the operator to set passwords now, whether or not the Secrets changed
    ///
    /// Prints first how many calls follow and how long they take, by the operator's rate limit. Then writes the
    /// annotation requestedAt. Leaves out resources that are suspended, duplicates, or not granted: no call would
    /// follow. Leaves out temporary passwords without --include-temporary. With --wait, prints the outcome of each set.
    ///
    /// In a pool with a password history, Cognito refuses a password that is set already.
    #[command(after_long_help = help::SET)]
    Set(SetArgs),
    /// Suspend resources: the operator leaves their users' passwords alone
    ///
    /// Sets spec.suspend to true. The reason goes into the annotation
    /// cognito-password-operator.io/suspended-because, which `kubectl get cup -o wide` shows. Warns if a GitOps tool
    /// or Helm applies the resource.
    #[command(after_long_help = help::SUSPEND)]
    Suspend(SuspendArgs),
    /// Resume suspended resources, and remove the annotation that says why they were suspended
    #[command(after_long_help = help::RESUME)]
    Resume(ResumeArgs),
    /// Say which namespaces may manage which users: test, who, diff
    Grants(GrantsArgs),
    /// Explain a reason of a condition or an error code of AWS, or list all reasons
    ///
    /// Says what happened, who acts next, and what to do, with the page that says more. Asks no cluster.
    #[command(after_long_help = help::EXPLAIN, args = help::without_cluster())]
    Explain(ExplainArgs),
    /// Write an archive for a bug report: resources, grants, the operator's logs, metrics and settings
    ///
    /// Contains the CRDs, all resources and grants with their Events, and of each operator the Deployment, pods,
    /// leases, Events, logs, /readyz and /metrics; also versions, and your own rights. Leaves out Secrets, values of
    /// variables that may be credentials, managed fields and last-applied annotations. The archive's index.md lists
    /// what you have no right to read. Only you may read the file. Look at the files before you send them.
    #[command(after_long_help = help::REPORT)]
    Report(ReportArgs),
    /// Print the CustomResourceDefinitions of this version as YAML
    ///
    /// The first example installs the CRDs, or upgrades older ones. Asks no cluster.
    #[command(after_long_help = help::CRD, args = help::without_cluster())]
    Crd(CrdArgs),
    /// Print what the operator's AWS roles need: a policy of their rights, or a trust policy
    ///
    /// Prints one JSON document on standard output, with the fewest rights that work. With pools or roles, the document
    /// is the policy of a role's rights; with `trust`, a role's trust policy. Asks neither a cluster nor AWS.
    #[command(after_long_help = help::IAM_POLICY, args = help::without_cluster())]
    IamPolicy(IamPolicyArgs),
    /// Print the script by which a shell completes commands and flags
    ///
    /// The script completes kubectl-cognito_password. After `kubectl cognito-password`, kubectl's own completion asks
    /// kubectl_complete-cognito_password, which must be on the PATH: there, no script is needed.
    #[command(after_long_help = help::COMPLETION, args = help::without_cluster())]
    Completion(CompletionArgs),
}

/// Runs the command line. A usage error prints one line on standard error and exits with 2.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<_> = args.into_iter().collect();
    let result = match args.split_at_checked(2) {
        Some(([_, question], words)) if question == complete::QUESTION => run(answer(words)),
        _ => match parse::<Cli>(args) {
            Ok(cli) => run(execute(cli)),
            Err(status) => return status,
        },
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            print_line(&format!("error: {failure}"));
            ExitCode::from(failure.status())
        }
    }
}

fn run(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::Unknown(error.to_string()))?;
    runtime.block_on(command)
}

/// Where completion looks for names: the global flags alone.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct Connection {
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Prints what may stand in the place of the last word.
async fn answer(words: &[OsString]) -> Result<Exit, Failure> {
    let words = words.iter().map(|word| word.to_string_lossy().into_owned());
    let found = complete::complete(Cli::command(), &words.collect::<Vec<_>>());
    let connection = Connection::try_parse_from(&found.connection);
    let names = match (found.names, connection) {
        (Some(whose), Ok(it)) => names::names(whose, &it.connection).await,
        _ => Vec::new(),
    };
    write_line(&found.answer(names))
        .map(|()| Exit::Well)
        .map_err(|error| Failure::Unknown(format!("the output failed: {error}")))
}

async fn execute(cli: Cli) -> Result<Exit, Failure> {
    let session = async || cli.connection.session().await;
    match cli.command {
        Command::Doctor(args) => doctor(&args, &session().await?).await,
        Command::Check(args) => check(&args, &session().await?).await,
        Command::Version(args) => version(&args, &session().await?).await,
        Command::Wait(args) => wait(&args, &session().await?).await,
        Command::Set(args) => set(&args, &session().await?).await,
        Command::Suspend(args) => suspend(&args, &session().await?).await,
        Command::Resume(args) => resume(&args, &session().await?).await,
        Command::Grants(args) => grants(args, &session().await?).await,
        Command::Explain(args) => explain(&args),
        Command::Report(args) => report(&args, &session().await?).await,
        Command::Crd(args) => crd(&args),
        Command::IamPolicy(args) => iam_policy(args),
        Command::Completion(args) => completion(&args, Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[rstest]
    #[case("doctor team-a/ci-bot", true)]
    #[case("doctor team-a/ci-bot/status", false)]
    #[case("wait ci-bot", true)]
    #[case("wait team-a/ci-bot", true)]
    #[case("wait team-a/ci-bot/status", false)]
    #[case("set team-a/ci-bot/status", false)]
    #[case("suspend ci-bot?x --reason y", false)]
    #[case("resume team-a/..", false)]
    #[case("check -n team-a/x", false)]
    #[case("report -o r.tgz --operator-namespace a?b", false)]
    #[case("grants test --user -rf --pool eu-west-1_a", true)]
    #[case("doctor --pool eu-west-1_a", true)]
    #[case("doctor --pool nonsense", false)]
    #[case("doctor -l team=a,tier>2", true)]
    #[case("doctor -l team=(a", false)]
    #[case("set -l team=(a", false)]
    #[case("set -l=", false)]
    #[case("suspend -l a==b=c", false)]
    #[case("set ci-bot --operator-namespace a", true)]
    #[case("grants who --user a --pool eu-west-1_a --operator-namespace a", true)]
    #[case("grants diff --delete a --operator-namespace a?b", false)]
    #[case("version --as a --as-uid 7", true)]
    #[case("version --as-uid 7", false)]
    #[case("explain --context a -n b", true)]
    fn what_the_api_server_would_refuse_is_refused_before_any_request(
        #[case] line: &str,
        #[case] is_well: bool,
    ) {
        let args = ["kubectl-cognito_password"]
            .into_iter()
            .chain(line.split(' '));
        assert_eq!(Cli::try_parse_from(args).is_ok(), is_well);
    }
}
