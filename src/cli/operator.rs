//! The command line of the operator. Each flag of `run` can be given by an environment variable too.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "these docs are the help text"
)]

use super::parse::{parse, print_line, usage};
use crate::{
    api::{Drift, FIELD_MANAGER, LEASE},
    cluster::selector,
    command::{
        check,
        crd::{CrdArgs, crd},
        exit::{Exit, Failure},
        following::span,
        iam_policy::{IamPolicyArgs, iam_policy},
        object_names::{lease_name, namespace},
        output::OutputArgs,
        session::ConnectionArgs,
        wait::{WaitArgs, wait},
    },
    core::{access::grant::UngrantedPolicy, schedule::rate_limit::RateLimits},
    ops::logging,
    run,
};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;
use kube::core::Selector;
use std::{ffi::OsString, net::SocketAddr, process::ExitCode, time::Duration};

/// The shortest and the longest time between two looks at a user.
const DRIFT_INTERVAL_MIN: Duration = Duration::from_mins(5);
const DRIFT_INTERVAL_MAX: Duration = Duration::from_hours(168);

/// Keeps the passwords of Amazon Cognito users equal to the values in Kubernetes Secrets.
///
/// A CognitoUserPassword resource names a user and a key of a Secret in its own namespace. When the value of
/// the key changes, the operator calls AdminSetUserPassword. The resource's Ready condition has the result.
#[derive(Parser, Debug)]
#[command(
    name = "cognito-password-operator",
    version,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const RUN_ENDS: &str = "\
Exit status: 0 after SIGTERM or SIGINT, 2 when a setting is wrong, 3 when the operator has lost its lease to another operator or couldn't renew its lease, 1 after any other failure.";

const CHECK_ENDS: &str = "\
Exit status: 0 if nothing failed (warnings don't count), 1 if something failed, 2 when a setting is wrong, 3 if something could not be found out.

Example:
  cognito-password-operator check --operator-namespace cognito --wait 2m";

const WAIT_ENDS: &str = "\
Exit status: 0 if every resource has the condition, 1 if the time has passed or --fail-fast ended the wait, 2 for a wrong argument, 3 if a resource can't be read.

Example:
  cognito-password-operator wait ci-bot --timeout=10m";

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the controller
    ///
    /// The API server is found as kubectl finds it: KUBECONFIG, ~/.kube/config, or the pod's ServiceAccount.
    /// AWS is found as the AWS SDKs find it: credentials from the environment, a profile, a web identity
    /// token (IRSA), EKS Pod Identity or the instance metadata service; Cognito's endpoint from
    /// AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER, if that is set; the Region from each pool's id.
    /// AWS_CA_BUNDLE names CA certificates to trust besides the system's.
    #[command(after_long_help = RUN_ENDS)]
    Run(Box<RunArgs>),
    /// Print the CustomResourceDefinitions as YAML
    Crd(CrdArgs),
    /// Print what the operator's AWS roles need: a policy of their rights, or a trust policy
    ///
    /// Prints one JSON document on standard output, with the fewest rights that work. Calls neither a cluster
    /// nor AWS. With pools or roles, the document is the policy of a role's rights; with `trust`, a role's
    /// trust policy.
    IamPolicy(IamPolicyArgs),
    /// Check an installation: CRDs, the operator's rights, the leader, /readyz, AWS credentials, grants, resources
    ///
    /// Asks the API server as the caller, so run the check as the operator's ServiceAccount: `helm test` does
    /// so, in a pod. The plugin of kubectl checks more, as a person. Reads no Secret, writes nothing, and doesn't
    /// call AWS: the operator's metrics say how many resources wait for credentials. The API server is found as
    /// kubectl finds it. Give the same settings as to `run`, by flags or variables.
    #[command(after_long_help = CHECK_ENDS)]
    #[command(mut_arg("watch_namespaces", |it| it.help(
        "The namespaces that the operator watches, separated by commas [default: all namespaces]"
    )))]
    #[command(mut_arg("leader_elect", |it| it.help(
        "Whether the operator takes part in an election: without one, no Lease is checked"
    )))]
    #[command(mut_arg("lease_name", |it| it.help(
        "The Lease of the operator's election, in its own namespace"
    )))]
    Check(CheckArgs),
    /// Wait until CognitoUserPassword resources are Ready, in an init container of a pod that uses the password
    ///
    /// Waits until Ready is True for the resource's current generation and, where the annotation requestedAt asks for
    /// a set, until the operator has answered. Also waits for a resource that doesn't exist yet, and while the API
    /// server is away. Says each change on standard error. The ServiceAccount of the pod needs the right to get the
    /// named resources; watch saves requests.
    #[command(after_long_help = WAIT_ENDS)]
    #[command(mut_arg("namespace", |it| it.help(
        "The namespace of the resources [default: the pod's, or the context's]"
    )))]
    Wait(Box<WaitCommand>),
}

#[derive(Args, Debug)]
struct WaitCommand {
    #[command(flatten)]
    wait: WaitArgs,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// The settings that `run` and `check` share: where the operator works.
#[derive(Args, Debug)]
struct InstallationArgs {
    /// Watch these namespaces only, separated by commas [default: all namespaces]
    #[arg(
        long,
        env = "CPO_WATCH_NAMESPACES",
        value_name = "NAMESPACES",
        value_delimiter = ',',
        value_parser = namespace
    )]
    watch_namespaces: Vec<String>,

    /// The operator's own namespace, which has the Secret with its fingerprint keys [default: POD_NAMESPACE]
    #[arg(
        long,
        env = "CPO_OPERATOR_NAMESPACE",
        value_name = "NAMESPACE",
        value_parser = namespace
    )]
    operator_namespace: Option<String>,

    /// Take part in the election, so that one of several operators acts and the others stand by; false for an
    /// operator that runs alone
    #[arg(
        long,
        env = "CPO_LEADER_ELECT",
        value_name = "BOOL",
        num_args = 0..=1,
        default_value_t = true,
        default_missing_value = "true",
        action = ArgAction::Set
    )]
    leader_elect: bool,

    /// The Lease of the election, in the operator's own namespace. Two installations in one namespace need
    /// two Leases
    #[arg(
        long,
        env = "CPO_LEASE_NAME",
        value_name = "NAME",
        default_value = LEASE,
        value_parser = lease_name
    )]
    lease_name: String,
}

#[derive(Args, Debug)]
struct RunArgs {
    #[command(flatten)]
    installation: InstallationArgs,

    /// Watch and read only Secrets with these labels, in kubectl's syntax, such as password-operator=yes or
    /// team in (a,b) [default: all Secrets]
    #[arg(
        long,
        env = "CPO_SECRET_SELECTOR",
        value_name = "SELECTOR",
        value_parser = selector::parse
    )]
    secret_selector: Option<Selector>,

    /// The rule for users of a pool that no CognitoUserPoolGrant names: no namespace may manage these users
    /// (deny), or every namespace may, with the operator's own identity (allow). With --watch-namespaces
    /// there are no grants, and every watched namespace may manage every user [default: deny]
    #[arg(long, env = "CPO_UNGRANTED", value_name = "RULE", value_enum)]
    ungranted: Option<Rule>,

    /// How many sets a second Cognito gets in the long run, for each account and Region. The sets count
    /// against the 30 calls that AWS grants, and your end users' own password recovery needs some of the 30: with N
    /// clusters on one account, use 20/N. Looks and sign-outs have quotas of their own, and get 3 and 5 where sets
    /// get 10
    #[arg(
        long,
        env = "CPO_COGNITO_RPS",
        value_name = "CALLS",
        default_value = "10",
        value_parser = cognito_rps
    )]
    cognito_rps: f64,

    /// How many sets Cognito gets at once after a pause
    #[arg(
        long,
        env = "CPO_COGNITO_BURST",
        value_name = "CALLS",
        default_value = "10",
        value_parser = cognito_burst
    )]
    cognito_burst: u32,

    /// Whether the operator looks at the users of resources without spec.drift, and whether the operator sets a
    /// password again that an administrator reset
    #[arg(
        long,
        env = "CPO_DRIFT",
        value_name = "RULE",
        value_enum,
        default_value_t = DriftRule::Ignore
    )]
    drift: DriftRule,

    /// How often the operator looks at each user, such as 15m or 1h; at least 5m
    #[arg(
        long,
        env = "CPO_DRIFT_INTERVAL",
        value_name = "TIME",
        default_value = "15m",
        value_parser = drift_interval
    )]
    drift_interval: Duration,

    /// The address of /livez, /readyz and /metrics. [::] is every address, IPv6 and IPv4 (IPv4 alone on a
    /// machine without IPv6); 0.0.0.0 is every IPv4 address
    #[arg(
        long,
        env = "CPO_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "[::]:8080",
        value_parser = listen
    )]
    listen: SocketAddr,

    /// How log lines are written, on standard error
    #[arg(
        long,
        env = "CPO_LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        default_value_t
    )]
    log_format: logging::Format,

    /// The level of the log: error, warn, info, debug or trace, also by module
    /// (info,cognito_password_operator=debug). Modules that could print a password stay capped at every level
    #[arg(
        long,
        env = "CPO_LOG",
        value_name = "LEVELS",
        default_value = "info",
        value_parser = logging::parse_filter
    )]
    log: logging::Filter,
}

#[derive(Args, Debug)]
struct CheckArgs {
    #[command(flatten)]
    installation: InstallationArgs,

    /// The address of the operator's Service, such as http://cognito-password-operator:8080 [default: /readyz
    /// and /metrics aren't asked]
    #[arg(long, value_name = "URL", value_parser = check::http_url)]
    url: Option<String>,

    /// Say what can be known before an installation: whether the caller may create what an installation needs,
    /// and what is there already
    #[arg(long, conflicts_with = "url")]
    pre: bool,

    /// Check again while something fails or is unknown, for at most this long, such as 2m, or a number of seconds
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = span)]
    wait: Duration,

    #[command(flatten)]
    output: OutputArgs,
}

/// Whether the operator looks at users.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum DriftRule {
    /// Don't look
    Ignore,
    /// Look, and say in the conditions what a look found
    Report,
    /// Look, say what a look found, and set the password again where that is safe
    Correct,
}

impl From<DriftRule> for Drift {
    fn from(rule: DriftRule) -> Self {
        match rule {
            DriftRule::Ignore => Self::Ignore,
            DriftRule::Report => Self::Report,
            DriftRule::Correct => Self::Correct,
        }
    }
}

/// The rule for users of a pool that no grant names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Rule {
    /// Set no password without a grant
    Deny,
    /// Set every password
    Allow,
}

/// Runs the command line. A usage error prints one line on standard error and exits with 2.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match parse::<Cli>(args) {
        Ok(cli) => execute(cli.command),
        Err(status) => status,
    }
}

fn execute(command: Command) -> ExitCode {
    match command {
        Command::Crd(args) => ended(crd(&args)),
        Command::IamPolicy(args) => ended(iam_policy(args)),
        Command::Check(args) => match check_settings(args) {
            Ok(settings) => ended(check::main(&settings)),
            Err(why) => usage(&why),
        },
        Command::Wait(args) => ended(wait_for(&args)),
        Command::Run(args) => match settings(*args) {
            Ok(settings) => match run::main(settings) {
                Ok(()) => ExitCode::SUCCESS,
                Err(run::StartError::Settings(why)) => usage(&why),
                Err(run::StartError::Failed(why)) => {
                    print_line(&format!("error: {why}"));
                    ExitCode::FAILURE
                }
            },
            Err(why) => usage(&why),
        },
    }
}

fn ended(result: Result<Exit, Failure>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            print_line(&format!("error: {failure}"));
            ExitCode::from(failure.status())
        }
    }
}

fn wait_for(args: &WaitCommand) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Unknown(error.to_string()))?;
    runtime.block_on(async { wait(&args.wait, &args.connection.session().await?).await })
}

/// A variable that the downward API sets.
fn of_pod(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The operator's own namespace: the flag's, or the pod's.
fn operator_namespace(flag: Option<String>) -> Result<String, String> {
    match flag.or_else(|| of_pod("POD_NAMESPACE")) {
        Some(name) => namespace(&name).map_err(|why| format!("POD_NAMESPACE: {why}")),
        None => Err(
            "the operator's own namespace isn't known: set --operator-namespace or POD_NAMESPACE"
                .to_owned(),
        ),
    }
}

fn check_settings(args: CheckArgs) -> Result<check::Settings, String> {
    let own = match operator_namespace(args.installation.operator_namespace) {
        // Nothing is installed yet, so the namespace of deploy/ is as good as any.
        Err(_) if args.pre && of_pod("POD_NAMESPACE").is_none() => FIELD_MANAGER.to_owned(),
        own => own?,
    };
    Ok(check::Settings {
        operator_namespace: own,
        watch_namespaces: args.installation.watch_namespaces,
        lease_name: args
            .installation
            .leader_elect
            .then_some(args.installation.lease_name),
        url: args.url,
        pre: args.pre,
        wait: args.wait,
        output: args.output,
    })
}

fn settings(args: RunArgs) -> Result<run::Settings, String> {
    let operator_namespace = operator_namespace(args.installation.operator_namespace)?;
    let ungranted = match (
        args.ungranted,
        args.installation.watch_namespaces.is_empty(),
    ) {
        (Some(Rule::Deny), false) => {
            return Err(
                "--ungranted=deny needs grants, which belong to the whole cluster: leave --watch-namespaces out, or say --ungranted=allow"
                    .to_owned(),
            );
        }
        (Some(Rule::Allow) | None, false) => None,
        (Some(Rule::Allow), true) => Some(UngrantedPolicy::Allow),
        (Some(Rule::Deny) | None, true) => Some(UngrantedPolicy::Deny),
    };
    Ok(run::Settings {
        watch_namespaces: args.installation.watch_namespaces,
        operator_namespace,
        rules: run::Rules {
            ungranted,
            secret_selector: args.secret_selector,
            budget: RateLimits {
                rps: args.cognito_rps,
                burst: args.cognito_burst,
            },
            drift: args.drift.into(),
            drift_interval: args.drift_interval,
        },
        leader_elect: args.installation.leader_elect,
        lease_name: args.installation.lease_name,
        pod_name: of_pod("POD_NAME"),
        pod_uid: of_pod("POD_UID"),
        listen: args.listen,
        log_format: args.log_format,
        log: args.log,
    })
}

fn cognito_rps(text: &str) -> Result<f64, String> {
    let rps = text.parse().ok();
    rps.filter(|rps| (0.01..=10_000.0).contains(rps))
        .ok_or_else(|| "a number of calls a second is needed, 0.01 to 10000, such as 10".to_owned())
}

fn cognito_burst(text: &str) -> Result<u32, String> {
    let burst = text.parse().ok();
    burst
        .filter(|burst| (1..=10_000).contains(burst))
        .ok_or_else(|| "a number of calls is needed, 1 to 10000, such as 10".to_owned())
}

/// A span such as 15m or 1h30m, from 5 minutes to 7 days.
fn drift_interval(text: &str) -> Result<Duration, String> {
    let span: Option<SignedDuration> = text.parse().ok();
    let interval = span.and_then(|span| Duration::try_from(span).ok());
    interval
        .filter(|interval| (DRIFT_INTERVAL_MIN..=DRIFT_INTERVAL_MAX).contains(interval))
        .ok_or_else(|| "a time from 5m to 168h is needed, such as 15m".to_owned())
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "an address and a port are needed, such as [::]:8080, 0.0.0.0:8080 or 127.0.0.1:8080"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::parse::{command, one_line},
        *,
    };
    use clap::CommandFactory;
    use rstest::rstest;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_of_run_has_its_environment_variable() {
        let command = Cli::command();
        let run = command.find_subcommand("run").expect("there is a run");
        for flag in run.get_arguments().filter(|a| a.get_id() != "help") {
            let long = flag.get_long().expect("a long name");
            let variable = format!("CPO_{}", long.replace('-', "_").to_uppercase());
            let env = flag.get_env().and_then(|name| name.to_str());
            assert_eq!(env, Some(variable.as_str()), "--{long}");
        }
    }

    #[rstest]
    #[case(&["run", "--listen", "8080"], "[::]:8080")]
    #[case(&["run", "--cognito-rps", "0"], "0.01 to 10000")]
    #[case(&["run", "--cognito-rps", "NaN"], "0.01 to 10000")]
    #[case(&["run", "--cognito-rps", "a few"], "0.01 to 10000")]
    #[case(&["run", "--cognito-burst", "0"], "1 to 10000")]
    #[case(&["run", "--cognito-burst", "2.5"], "1 to 10000")]
    #[case(&["run", "--log-format", "xml"], "text, json")]
    #[case(&["run", "--log", "loud"], "info")]
    #[case(&["run", "--watch-namespaces", "Team_A"], "lower case")]
    #[case(&["run", "--watch-namespaces", ""], "lower case")]
    #[case(&["run", "--watch-namespace", "a"], "--watch-namespaces")]
    #[case(&["walk"], "walk")]
    fn a_wrong_flag_is_reported_on_one_line_with_the_right_form(
        #[case] args: &[&str],
        #[case] right: &str,
    ) {
        let args = std::iter::once("cognito-password-operator").chain(args.iter().copied());
        let error = Cli::try_parse_from(args).expect_err("it is wrong");
        let line = one_line(&error);
        assert!(!line.contains('\n') && line.contains(right), "{line}");
    }

    #[rstest]
    #[case(&["run", "--listen", "8080"], "cognito-password-operator run")]
    #[case(&["iam-policy", "trust", "irsa", "x"], "cognito-password-operator iam-policy trust irsa")]
    #[case(&["--version", "run"], "cognito-password-operator")]
    fn the_error_points_to_the_help_of_the_command(#[case] args: &[&str], #[case] called: &str) {
        let args = std::iter::once(&"x").chain(args).map(OsString::from);
        assert_eq!(command::<Cli>(&args.collect::<Vec<_>>()), called);
    }
}
