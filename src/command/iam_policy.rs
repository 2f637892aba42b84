//! `iam-policy`: prints one policy document on standard output, as input for the AWS CLI.

#![allow(
    clippy::doc_markdown,
    reason = "the docs of the arguments are the help text"
)]

use super::{
    exit::{Exit, Failure},
    object_names::{namespace, service_account},
    output::write_line,
};
use crate::core::{
    access::{
        authority::ExternalId,
        iam::{Document, Permissions, PoolSwitches, ServiceAccount, Trust},
    },
    names::arn::{ClusterArn, OidcProviderArn, PoolArn, RoleArn},
};
use clap::{Args, Subcommand};

/// The arguments.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct IamPolicyArgs {
    #[command(subcommand)]
    command: Option<IamPolicyCommand>,

    /// The user pools whose users' passwords the role sets: several times, or separated by commas
    #[arg(
        long,
        value_name = "ARN",
        value_delimiter = ',',
        value_parser = PoolArn::parse,
        required_unless_present = "assume_role_arn"
    )]
    pool_arn: Vec<PoolArn>,

    #[command(flatten)]
    switches: PoolSwitchArgs,

    /// The roles that the operator assumes for its grants: several times
    #[arg(long, value_name = "ARN", value_parser = RoleArn::parse)]
    assume_role_arn: Vec<RoleArn>,

    /// The operator's own identity comes from EKS Pod Identity, which passes its session tags on to the roles
    /// that the operator assumes
    #[arg(long)]
    pod_identity: bool,
}

#[derive(Args, Debug)]
struct PoolSwitchArgs {
    /// Also look at the pools' users, for spec.drift and spec.federatedUser: cognito-idp:ListUsers, which reads
    /// every attribute of every user
    #[arg(long, requires = "pool_arn")]
    drift: bool,

    /// Also end a user's sessions after each set, for spec.revokeSessions: cognito-idp:AdminUserGlobalSignOut
    #[arg(long, requires = "pool_arn")]
    revoke_sessions: bool,

    /// Also read after how many days a temporary password expires, which --drift alone doesn't allow:
    /// cognito-idp:DescribeUserPool, which shows the pool's whole configuration
    #[arg(long, requires = "pool_arn")]
    temporary_expiry: bool,
}

impl From<PoolSwitchArgs> for PoolSwitches {
    fn from(args: PoolSwitchArgs) -> Self {
        Self {
            see_users: args.drift,
            revoke_sessions: args.revoke_sessions,
            read_pool: args.temporary_expiry,
        }
    }
}

#[derive(Subcommand, Debug)]
enum IamPolicyCommand {
    /// Print a role's trust policy: the identities that may assume the role
    #[command(subcommand)]
    Trust(TrustCommand),
}

#[derive(Subcommand, Debug)]
enum TrustCommand {
    /// Print the trust policy of the operator's own role, for IAM roles for service accounts (IRSA)
    #[command(after_help = concat!(
        "Exit status: 0, or 2 for a wrong command line.\n\n",
        "Example:\n  provider=arn:aws:iam::111122223333:oidc-provider/oidc.example/id\n  ",
        "kubectl cognito-password iam-policy trust irsa --oidc-provider $provider"
    ))]
    Irsa {
        /// The cluster's IAM OIDC provider
        #[arg(long, value_name = "ARN", value_parser = OidcProviderArn::parse)]
        oidc_provider: OidcProviderArn,

        #[command(flatten)]
        service_account: ServiceAccountArgs,
    },
    /// Print the trust policy of the operator's own role, for EKS Pod Identity
    #[command(after_help = concat!(
        "Exit status: 0, or 2 for a wrong command line.\n\n",
        "Example:\n  kubectl cognito-password iam-policy trust pod-identity"
    ))]
    PodIdentity {
        /// The only cluster in which the operator may run [default: any cluster of the account]
        #[arg(long, value_name = "ARN", value_parser = ClusterArn::parse)]
        cluster_arn: Option<ClusterArn>,

        #[command(flatten)]
        service_account: ServiceAccountArgs,
    },
    /// Print the trust policy of a role that a grant names, so that the operator may assume the role
    #[command(after_help = concat!(
        "Exit status: 0, or 2 for a wrong command line.\n\n",
        "Example:\n  role=arn:aws:iam::111122223333:role/cognito-password-operator\n  ",
        "kubectl cognito-password iam-policy trust operator --operator-role-arn $role"
    ))]
    Operator {
        /// The operator's own role
        #[arg(long, value_name = "ARN", value_parser = RoleArn::parse)]
        operator_role_arn: RoleArn,

        /// The grant's spec.externalId, which the trust policy then requires
        #[arg(long, value_name = "ID", value_parser = external_id)]
        external_id: Option<String>,

        /// The operator's own identity comes from EKS Pod Identity, which passes its session tags on
        #[arg(long)]
        pod_identity: bool,
    },
}

#[derive(Args, Debug)]
struct ServiceAccountArgs {
    /// The operator's namespace
    #[arg(long, default_value = "cognito-password-operator", value_parser = namespace)]
    namespace: String,

    /// The operator's ServiceAccount
    #[arg(
        long,
        value_name = "NAME",
        default_value = "cognito-password-operator",
        value_parser = service_account
    )]
    service_account: String,
}

impl From<ServiceAccountArgs> for ServiceAccount {
    fn from(args: ServiceAccountArgs) -> Self {
        Self {
            namespace: args.namespace,
            name: args.service_account,
        }
    }
}

/// Prints the policy document for these arguments on standard output.
///
/// # Errors
/// [`Failure::Unknown`] if standard output fails.
pub fn iam_policy(args: IamPolicyArgs) -> Result<Exit, Failure> {
    write_line(&document(args).to_string())
        .map(|()| Exit::Well)
        .map_err(|error| Failure::Unknown(format!("the output failed: {error}")))
}

/// The policy document for these arguments.
fn document(args: IamPolicyArgs) -> Document {
    let Some(IamPolicyCommand::Trust(trust)) = args.command else {
        let permissions = Permissions {
            pools: args.pool_arn.into_iter().collect(),
            switches: args.switches.into(),
            roles: args.assume_role_arn.into_iter().collect(),
            session_tags: args.pod_identity,
        };
        return permissions.document();
    };
    let trust = match trust {
        TrustCommand::Irsa {
            oidc_provider,
            service_account,
        } => Trust::Irsa {
            provider: oidc_provider,
            service_account: service_account.into(),
        },
        TrustCommand::PodIdentity {
            cluster_arn,
            service_account,
        } => Trust::PodIdentity {
            service_account: service_account.into(),
            cluster: cluster_arn,
        },
        TrustCommand::Operator {
            operator_role_arn,
            external_id,
            pod_identity,
        } => Trust::Operator {
            role: operator_role_arn,
            external_id,
            session_tags: pod_identity,
        },
    };
    trust.document()
}

/// Checks an external id by the rule of STS.
fn external_id(text: &str) -> Result<String, String> {
    let parsed = ExternalId::parse(text).map(|id| id.as_str().to_owned());
    parsed.map_err(|_| "an external id has 2 to 1224 letters, digits and _+=,.@:/-".to_owned())
}
