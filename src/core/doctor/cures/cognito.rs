//! Cures in AWS: of the user, and of what Cognito replied.

use super::{
    commands::{NEW_VALUE, Words},
    known::Known,
};
use crate::{
    api::{FIELD_MANAGER, Reason},
    core::{
        checkup::finding::Cure,
        doctor::words::{shown, word},
    },
};
use serde_json::json;

pub(super) fn of_user(reason: Reason, words: &Words) -> Cure {
    let get = words.user("admin-get-user");
    match reason {
        Reason::UserDisabled => Cure::command(
            "enable the user; the operator looks again by itself",
            words.user("admin-enable-user"),
        )
        .or(
            "suspend this resource",
            [words.patch(&json!({ "spec": { "suspend": true } }))],
        ),
        Reason::UserGone => Cure::commands(
            "create the user again, and then ask for a set",
            [words.create_user(), words.request()],
        )
        .or("delete this resource", [words.delete()]),
        Reason::UserUnconfirmed => Cure::commands(
            "make sure that the user is the one that this resource means, and then ask for a set, which confirms the user",
            [get, words.request()],
        )
        .or(
            "if the user is a stranger, delete the user, create the right one, and ask for a set",
            [
                words.user("admin-delete-user"),
                words.create_user(),
                words.request(),
            ],
        ),
        Reason::PasswordReset => Cure::command("ask for a set", words.request()).or(
            "have the operator correct the password by itself from now on",
            [words.patch(&json!({ "spec": { "drift": "Correct" } }))],
        ),
        Reason::FederatedUser => Cure::commands(
            "let the operator make this user a native one, and ask for a set",
            [
                words.patch(&json!({ "spec": { "federatedUser": "Allow" } })),
                words.request(),
            ],
        )
        .or(
            "set USERNAME to a native user's name; the last command makes the resource anew",
            [get, words.anew_with("username", "USERNAME")],
        ),
        Reason::Contested => Cure::commands(
            "find out who changes the user, and then ask for a set",
            [
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
        Reason::TemporaryPasswordExpired => {
            Cure::command("ask for a set of the same value", words.request())
                .or(NEW_VALUE, [words.set_value()])
        }
        // UserRecreated.
        _ => Cure::commands(
            "make sure that the present user is the one that this resource means, and then ask for a set",
            [get, words.request()],
        ),
    }
}

/// The operator sent nothing, because it could not reach Cognito.
pub(super) fn of_network(words: &Words, known: &Known<'_>) -> Cure {
    let (namespace, deployment) = known.operator.unwrap_or((FIELD_MANAGER, FIELD_MANAGER));
    let (namespace, deployment) = (word(namespace, "NAMESPACE"), word(deployment, "NAME"));
    let region = words.region.trim_start_matches(" --region ");
    let region = if region.is_empty() { "REGION" } else { region };
    let next = known.next_try.map(|it| format!(", {it}"));
    Cure::commands(
        &format!(
            "let the operator's pods reach cognito-idp.{region}.amazonaws.com:443: DNS, proxy, NetworkPolicy, CA certificates; the operator tries again by itself{}",
            next.unwrap_or_default()
        ),
        [
            format!("kubectl get networkpolicies -n {namespace} -o wide"),
            // The variables of a proxy, of CA certificates and of endpoints.
            format!("kubectl set env deployment/{deployment} -n {namespace} --list"),
        ],
    )
}

pub(super) fn of_reply(reason: Reason, words: &Words, known: &Known<'_>) -> Cure {
    let describe = words.pool("describe-user-pool");
    match reason {
        Reason::InvalidPassword => Cure::commands(
            &format!("{NEW_VALUE} that fits the policy, which the first command prints"),
            [
                format!("{describe} --query UserPool.Policies.PasswordPolicy"),
                words.set_value(),
            ],
        )
        .or(
            "change the policy, and then ask for a set",
            [words.request()],
        ),
        Reason::InvalidParameter => Cure::command(
            "correct the value in the Secret, from the shell's variable PASSWORD (read -rs PASSWORD), if the message speaks of the password",
            words.set_value(),
        )
        .or(
            "set USERNAME to another user's name; the command makes the resource anew",
            [words.anew_with("username", "USERNAME")],
        ),
        Reason::NotAuthorized => Cure::commands(
            "enable the user, and then ask for a set; if the message speaks of the pool, correct the pool",
            [words.user("admin-enable-user"), words.request()],
        ),
        Reason::OperationNotEnabled => {
            let cure = Cure::commands(
                "correct the pool's configuration, which the first command prints, and then ask for a set",
                [describe, words.request()],
            );
            match known.fitting.first() {
                Some(grant) => cure.or(
                    "name the pool's primary Region as REGION",
                    [patch_region(grant)],
                ),
                None => cure,
            }
        }
        Reason::ResourceNotFound => {
            let of_role = known.role.map_or_else(
                || "the operator's own account; a pool of another account needs a grant with spec.roleArn".to_owned(),
                |role| format!("the account of {}", shown(role)),
            );
            let cure = Cure::command(
                &format!(
                    "correct spec.userPoolId: set POOL_ID to the pool's id; the command makes the resource anew. The operator looks in {of_role}"
                ),
                words.anew_with("userPoolId", "POOL_ID"),
            );
            let cure = match known.other_pool {
                Some(pool) => cure.or(
                    &format!(
                        "if you mean {}, which a grant lets this namespace use",
                        shown(pool.id)
                    ),
                    [words.anew("userPoolId", &word(pool.id, "POOL_ID"))],
                ),
                None => cure,
            };
            cure.or(
                "if the pool is there by now, ask for a set",
                [describe, words.request()],
            )
        }
        Reason::UserNotFound => Cure::commands(
            "create the user, and then ask for a set",
            [words.create_user(), words.request()],
        )
        .or(
            "if the user exists, the name is an alias: set USERNAME to the username or the sub that the first command prints; the second makes the resource anew",
            [
                words.user("admin-get-user"),
                words.anew_with("username", "USERNAME"),
            ],
        ),
        Reason::OutcomeUnknown => Cure::command(
            "have the operator send the same value again",
            words.request(),
        )
        .or(NEW_VALUE, [words.set_value()]),
        Reason::Progressing | Reason::TooManyRequests | Reason::UnhandledError => Cure::command(
            "read the message above, and then ask for a set",
            words.request(),
        ),
        // PasswordHistoryPolicyViolation, NotConfirmed, InternalError, RevokingSessions.
        _ => Cure::command(NEW_VALUE, words.set_value()),
    }
}

/// Has a grant name the Region of its pool.
pub(super) fn patch_region(grant: &str) -> String {
    let patch = json!({ "spec": { "region": "REGION" } }).to_string();
    format!(
        "kubectl patch cupg {} --type=merge -p {}",
        word(grant, "GRANT"),
        word(&patch, "PATCH")
    )
}
