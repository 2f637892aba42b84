//! Cures of AWS identities: the operator's own, and the roles that grants name.

use super::{
    commands::Words,
    known::Known,
    refusal::{Identity, Refusal},
};
use crate::{
    api::{Drift, FIELD_MANAGER},
    core::{checkup::finding::Cure, doctor::words::word},
};
use serde_json::json;

/// What makes the role of a grant assumable. `text` may have AWS's words about the refusal.
#[must_use]
pub fn of_role(grant: &str, role: &str, external_id: Option<&str>, text: &str) -> Cure {
    let refusal = Refusal::parse(text).filter(|it| it.action == "sts:AssumeRole");
    let operator = refusal.and_then(|it| it.role_arn());
    let operator = word(&operator.unwrap_or_default(), "OPERATOR_ROLE_ARN");
    let own_name = refusal.and_then(|it| match it.identity {
        Identity::Role(name) => Some(name),
        Identity::User(_) => None,
    });
    let own_name = word(own_name.unwrap_or_default(), "OPERATOR_ROLE");
    let name = word(role.rsplit('/').next().unwrap_or_default(), "ROLE");
    let external_id = external_id.map_or_else(String::new, |it| {
        format!(" --external-id {}", word(it, "EXTERNAL_ID"))
    });
    let (grant, role) = (word(grant, "GRANT"), word(role, "ROLE_ARN"));
    let correct = json!({ "spec": { "roleArn": "ROLE_ARN" } }).to_string();
    Cure::commands(
        "let the operator assume the role: the first command replaces the role's trust policy (aws iam get-role shows the present one), the second adds a policy to the operator's own role; the operator tries again by itself",
        [
            format!(
                "aws iam update-assume-role-policy --role-name {name} --policy-document \"$(kubectl cognito-password iam-policy trust operator --pod-identity --operator-role-arn {operator}{external_id})\""
            ),
            format!(
                "aws iam put-role-policy --role-name {own_name} --policy-name assume-{name} --policy-document \"$(kubectl cognito-password iam-policy --pod-identity --assume-role-arn {role})\""
            ),
        ],
    )
    .or(
        "if the grant names the wrong role, name the right one as ROLE_ARN",
        [format!(
            "kubectl patch cupg {grant} --type=merge -p {}",
            word(&correct, "PATCH")
        )],
    )
    .more("runbooks.md#a-role-cant-be-assumed")
}

/// What allows the operator's role the refused action on the pool.
pub(super) fn of_refusal(words: &Words, known: &Known<'_>, spec: Switches) -> Cure {
    let refusal = known.refusal;
    let identity = refusal.map(|it| it.identity);
    let of_grant = known.role.and_then(|it| it.rsplit('/').next());
    let (kind, name) = match identity {
        Some(Identity::User(name)) => ("user", word(name, "USER")),
        Some(Identity::Role(name)) => ("role", word(name, "ROLE")),
        None => ("role", word(of_grant.unwrap_or_default(), "ROLE")),
    };
    if refusal.is_some_and(|it| it.is_denied) {
        return Cure::commands(
            "remove the deny that the message names: no further policy can allow what a service control policy, a permissions boundary or an explicit deny refuses; then ask for a set",
            [words.request()],
        );
    }
    let arn = refusal.and_then(|it| it.pool_arn(&words.plain_pool));
    let arn = arn.map_or_else(
        || {
            format!(
                "\"$({} --query UserPool.Arn --output text)\"",
                words.pool("describe-user-pool")
            )
        },
        |arn| word(arn, "POOL_ARN"),
    );
    let action = refusal.map(|it| it.action);
    let drift = spec.sees_users || action == Some("cognito-idp:ListUsers");
    let sign_out = spec.revokes_sessions || action == Some("cognito-idp:AdminUserGlobalSignOut");
    let mut switches = String::new();
    for (switch, is_needed) in [("--drift", drift), ("--revoke-sessions", sign_out)] {
        if is_needed {
            switches = format!("{switches}{switch} ");
        }
    }
    Cure::commands(
        &format!(
            "allow the action that the message names, by a policy of the {kind} that the message names, and then ask for a set"
        ),
        [
            format!(
                "aws iam put-{kind}-policy --{kind}-name {name} --policy-name {FIELD_MANAGER}-{} --policy-document \"$(kubectl cognito-password iam-policy {switches}--pool-arn {arn})\"",
                words.pool
            ),
            words.request(),
        ],
    )
}

/// What the resource needs beside the right to set passwords.
#[derive(Clone, Copy, Debug)]
pub(super) struct Switches {
    /// Whether the operator looks at the user.
    sees_users: bool,
    /// Whether the operator ends the user's sessions.
    revokes_sessions: bool,
}

impl Switches {
    pub(super) fn of(spec: &crate::api::CognitoUserPasswordSpec) -> Self {
        Self {
            sees_users: spec.drift.is_some_and(|it| it != Drift::Ignore),
            revokes_sessions: spec.revoke_sessions,
        }
    }
}

/// What gives the operator itself credentials.
pub(super) fn of_operator(known: &Known<'_>) -> Cure {
    let (namespace, deployment) = known.operator.unwrap_or((FIELD_MANAGER, FIELD_MANAGER));
    let account = word(known.service_account.unwrap_or(FIELD_MANAGER), "NAME");
    let (namespace, deployment) = (word(namespace, "NAMESPACE"), word(deployment, "NAME"));
    let restart = format!("kubectl rollout restart deployment/{deployment} -n {namespace}");
    Cure::commands(
        "give the operator's ServiceAccount a role by EKS Pod Identity, and restart the operator; if the message speaks of the time, correct the clock of the operator's node instead",
        [
            format!(
                "aws eks create-pod-identity-association --cluster-name CLUSTER --namespace {namespace} --service-account {account} --role-arn ROLE_ARN"
            ),
            restart.clone(),
        ],
    )
    .or(
        "by IRSA, in a cluster with an IAM OIDC provider",
        [
            format!(
                "kubectl annotate serviceaccount {account} -n {namespace} --overwrite eks.amazonaws.com/role-arn=ROLE_ARN"
            ),
            restart,
        ],
    )
    .or(
        "if the Deployment sets keys, which come before a role: take the keys out, or set keys that work",
        [format!(
            "kubectl set env deployment/{deployment} -n {namespace} AWS_ACCESS_KEY_ID- AWS_SECRET_ACCESS_KEY- AWS_SESSION_TOKEN-"
        )],
    )
}
