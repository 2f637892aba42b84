//! The end of the help of each command of the plugin: how the command ends, and examples. The order of a help is: what the command
//! is about, usage, arguments, flags, exit status, examples.

use crate::command::session::ConnectionArgs;
use clap::{Arg, Args as _, Command};

pub(super) const PLUGIN: &str = "\
Exit status: 0 if all is well, 1 if the command found something to mend, 2 for a wrong command line, 3 if something could not be found out.

Examples:
  kubectl cognito-password doctor ci-bot -n team-a
  kubectl cognito-password doctor -A
  kubectl cognito-password check";

pub(super) const DOCTOR: &str = "\
Exit status: 0 if all resources are Ready and nothing is broken, 1 otherwise, also for a name, a namespace or a pool that isn't there, 2 for a wrong command line, 3 if the resources can't be read.

Examples:
  kubectl cognito-password doctor ci-bot -n team-a
  kubectl cognito-password doctor team-a/ci-bot team-b/deploy
  kubectl cognito-password doctor -A -o json";

pub(super) const CHECK: &str = "\
Exit status: 0 if nothing failed (warnings don't count), 1 if something failed, 2 for a wrong command line, 3 if something could not be found out.

Examples:
  kubectl cognito-password check
  kubectl cognito-password check --wait 2m
  kubectl cognito-password check --pre --operator-namespace cognito";

pub(super) const VERSION: &str = "\
Exit status: 0 if the versions fit together or only warn, 1 if a CRD is missing or lacks fields of this version, 2 for a wrong command line, 3 if a version could not be found out.

Example:
  kubectl cognito-password version -o json";

pub(super) const WAIT: &str = "\
Exit status: 0 if every resource has the condition, 1 if the time has passed or --fail-fast ended the wait, 2 for a wrong command line, 3 if a right is missing or the API server doesn't answer at the end.

Examples:
  kubectl cognito-password wait ci-bot -n team-a --timeout=10m
  kubectl cognito-password wait team-a/ci-bot --for=Verified";

pub(super) const SET: &str = "\
Exit status: 0 if all were asked (with --wait: set), 1 if a resource failed, doesn't exist, or was named and left out, 2 for a wrong command line, 3 if a right is missing or the API server doesn't answer.

Examples:
  kubectl cognito-password set ci-bot -n team-a --wait
  kubectl cognito-password set --all -n team-a --dry-run";

pub(super) const SUSPEND: &str = "\
Exit status: 0 if all are suspended, 1 if a resource doesn't exist, 2 for a wrong command line, 3 if a right is missing or the API server doesn't answer.

Example:
  kubectl cognito-password suspend ci-bot -n team-a --reason INC-4711";

pub(super) const RESUME: &str = "\
Exit status: 0 if none is suspended any more, 1 if a resource doesn't exist, 2 for a wrong command line, 3 if a right is missing or the API server doesn't answer.

Examples:
  kubectl cognito-password resume ci-bot -n team-a
  kubectl cognito-password resume --all -n team-a";

pub(super) const EXPLAIN: &str = "\
Exit status: 0, or 2 for an unknown word.

Examples:
  kubectl cognito-password explain
  kubectl cognito-password explain UserNotFoundException";

pub(super) const REPORT: &str = "\
Exit status: 0 if the archive is written, even if parts are missing, 2 if the file exists or can't be written, or for a wrong command line, 3 if no API server answers.

Example:
  kubectl cognito-password report -o report.tar.gz";

pub(super) const CRD: &str = "\
Exit status: 0, or 2 for a wrong command line.

Examples:
  kubectl cognito-password crd |
    kubectl apply --server-side --force-conflicts -f -
  kubectl cognito-password crd cognitouserpoolgrants";

pub(super) const IAM_POLICY: &str = "\
Exit status: 0, or 2 for a wrong command line.

Examples:
  pool=arn:aws:cognito-idp:eu-west-1:111122223333:userpool/eu-west-1_AbCdEf123
  kubectl cognito-password iam-policy --pool-arn $pool
  kubectl cognito-password iam-policy trust pod-identity";

pub(super) const COMPLETION: &str = "\
Exit status: 0, or 2 for an unknown shell.

Examples:
  source <(kubectl cognito-password completion bash)
  kubectl cognito-password completion fish | source";

/// The flags that say which cluster, taken and not shown: for commands that ask no cluster.
pub(super) fn without_cluster() -> Vec<Arg> {
    let args = ConnectionArgs::augment_args(Command::new("hidden"));
    args.get_arguments()
        .cloned()
        .map(|arg| arg.hide(true))
        .collect()
}
