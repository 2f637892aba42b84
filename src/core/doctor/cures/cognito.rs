//! Cures in AWS: of the user, of the operator's identity, and of what Cognito replied.

use super::{
    commands::{NEW_VALUE, Words},
    known::Known,
};
use crate::{
    api::{FIELD_MANAGER, Reason},
    core::doctor::words::{shown, word},
};
use serde_json::json;

pub(super) fn of_user(reason: Reason, words: &Words) -> (String, Vec<String>) {
    let get = words.user("admin-get-user");
    match reason {
        Reason::UserDisabled => (
            "enable the user, or suspend this resource; the operator looks again by itself"
                .to_owned(),
            vec![
                words.user("admin-enable-user"),
                words.patch(&json!({ "spec": { "suspend": true } })),
            ],
        ),
        Reason::UserGone => (
            "create the user again, and then ask for a set; or delete this resource".to_owned(),
            vec![
                words.user("admin-create-user") + " --message-action SUPPRESS",
                words.request(),
                format!("kubectl delete cup {} -n {}", words.name, words.namespace),
            ],
        ),
        Reason::UserUnconfirmed => (
            "make sure that the user is the one that this resource means, otherwise delete the user and create the right one; then ask for a set".to_owned(),
            vec![get, words.user("admin-delete-user"), words.request()],
        ),
        Reason::PasswordReset => (
            "ask for a set, or have the operator correct the password by itself from now on"
                .to_owned(),
            vec![
                words.request(),
                words.patch(&json!({ "spec": { "drift": "Correct" } })),
            ],
        ),
        Reason::FederatedUser => (
            "name a native user, in a new resource; or let the operator make this user a native one, and ask for a set".to_owned(),
            vec![
                get,
                words.patch(&json!({ "spec": { "federatedUser": "Allow" } })),
                words.request(),
            ],
        ),
        Reason::Contested => (
            "find out who changes the user, and then ask for a set".to_owned(),
            vec![
                format!(
                    "aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=AdminResetUserPassword{}",
                    words.region
                ),
                format!(
                    "aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=AdminSetUserPassword{}",
                    words.region
                ),
                words.request(),
            ],
        ),
        Reason::TemporaryPasswordExpired => (
            "ask for a set of the same value, or put a new value into the Secret, from the shell's variable PASSWORD (read -rs PASSWORD)".to_owned(),
            vec![words.request(), words.set_value()],
        ),
        // UserRecreated.
        _ => (
            "make sure that the present user is the one that this resource means, and then ask for a set".to_owned(),
            vec![get, words.request()],
        ),
    }
}

pub(super) fn of_identity(
    reason: Reason,
    words: &Words,
    known: &Known<'_>,
) -> (String, Vec<String>) {
    let (namespace, deployment) = known.operator.unwrap_or((FIELD_MANAGER, FIELD_MANAGER));
    let of_role = known.role.map(|role| {
        let name = role.rsplit('/').next().unwrap_or_default();
        word(name, "ROLE")
    });
    match (reason, of_role) {
        (Reason::AccessDenied, role) => {
            let refused = known.refused_role.map(|it| word(it, "ROLE"));
            let role = refused.or(role).unwrap_or_else(|| "ROLE".to_owned());
            (
                "allow the action that the message names on the pool, in the policy of the role that the message names, and then ask for a set. The second command prints the policy".to_owned(),
                vec![
                    format!("aws iam list-role-policies --role-name {role}"),
                    format!(
                        "kubectl exec -n {namespace} deploy/{deployment} -- /cognito-password-operator iam-policy --pool-arn $({} --query UserPool.Arn --output text)",
                        words.pool("describe-user-pool")
                    ),
                    words.request(),
                ],
            )
        }
        (Reason::InvalidCredentials, Some(role)) => (
            "let the trust policy of the grant's role name the operator's identity, and let the operator's own policy allow sts:AssumeRole on the role; the operator tries again by itself".to_owned(),
            vec![
                format!("aws iam get-role --role-name {role} --query Role.AssumeRolePolicyDocument"),
                "kubectl get cupg -o wide".to_owned(),
            ],
        ),
        (Reason::InvalidCredentials, None) => (
            "give the operator's ServiceAccount a role by EKS Pod Identity or IRSA, and restart its pods: one of these variables must be there".to_owned(),
            vec![
                format!(
                    "kubectl get pods -n {namespace} -o yaml | grep -E 'AWS_ROLE_ARN|AWS_CONTAINER_CREDENTIALS_FULL_URI'"
                ),
                format!("kubectl rollout restart deployment/{deployment} -n {namespace}"),
            ],
        ),
        // Unreachable.
        _ => {
            let region = words.region.trim_start_matches(" --region ");
            let region = if region.is_empty() { "REGION" } else { region };
            let next = known.next_try.map(|it| format!(", {it}"));
            (
                format!(
                    "let the operator's pods reach cognito-idp.{region}.amazonaws.com:443: DNS, proxy, NetworkPolicy, CA certificates; the operator tries again by itself{}",
                    next.unwrap_or_default()
                ),
                vec![
                    format!("kubectl get networkpolicies -n {namespace} -o wide"),
                    format!(
                        "kubectl run dns-test --rm -i --restart=Never --image=busybox -n {namespace} -- nslookup cognito-idp.{region}.amazonaws.com"
                    ),
                ],
            )
        }
    }
}

pub(super) fn of_reply(reason: Reason, words: &Words, known: &Known<'_>) -> (String, Vec<String>) {
    let describe = words.pool("describe-user-pool");
    match reason {
        Reason::InvalidPassword => (
            format!("{NEW_VALUE} that fits the policy; or change the policy, and then ask for a set"),
            vec![
                format!("{describe} --query UserPool.Policies.PasswordPolicy"),
                words.set_value(),
                words.request(),
            ],
        ),
        Reason::InvalidParameter => (
            "correct the value in the Secret, from the shell's variable PASSWORD (read -rs PASSWORD), if the message speaks of the password; for another pool or username, make a new resource".to_owned(),
            vec![words.set_value()],
        ),
        Reason::NotAuthorized => (
            "enable the user, or correct the pool; the operator tries again by itself, and at once if you ask".to_owned(),
            vec![words.user("admin-enable-user"), words.request()],
        ),
        Reason::OperationNotEnabled => (
            "use the pool's primary Region (in a new resource, or by the grant's spec.region), or correct the pool's configuration; then ask for a set".to_owned(),
            vec![describe, words.request()],
        ),
        Reason::ResourceNotFound => {
            let of_role = known.role.map_or_else(
                || "the operator's own account; a pool of another account needs a grant with spec.roleArn".to_owned(),
                |role| format!("the account of {}", shown(role)),
            );
            (
                format!(
                    "correct spec.userPoolId (in a new resource), or create the pool. The operator looks in {of_role}"
                ),
                vec![describe, words.request()],
            )
        }
        Reason::UserNotFound => (
            "create the user, and then ask for a set. If the user exists, the name is an alias: use the username or the sub that the first command prints, in a new resource".to_owned(),
            vec![
                words.user("admin-get-user"),
                words.user("admin-create-user") + " --message-action SUPPRESS",
                words.request(),
            ],
        ),
        Reason::OutcomeUnknown => (
            format!("if the user can't sign in, {NEW_VALUE}, or have the operator send this value again"),
            vec![words.set_value(), words.request()],
        ),
        Reason::Progressing | Reason::TooManyRequests | Reason::UnhandledError => (
            "read the message above, and then ask for a set".to_owned(),
            vec![words.request()],
        ),
        // PasswordHistoryPolicyViolation, NotConfirmed, InternalError, RevokingSessions.
        _ => (NEW_VALUE.to_owned(), vec![words.set_value()]),
    }
}
