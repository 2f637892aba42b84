//! Cures in the cluster: of the Secret, of grants, and of duplicates.

use super::{
    commands::{NEW_VALUE, Words},
    known::Known,
};
use crate::{
    api::{GROUP, Reason, VERSION},
    core::{
        credential::password::InvalidValue,
        doctor::{
            subject::Subject,
            words::{shown, word},
        },
    },
};
use serde_json::json;

pub(super) fn of_secret(reason: Reason, words: &Words, known: &Known<'_>) -> (String, Vec<String>) {
    let owner = known.secret.and_then(|it| it.owner.as_deref());
    let at_source = owner.map(|owner| {
        format!(
            ". {} makes the Secret, so mend the value at its source too",
            shown(owner)
        )
    });
    let at_source = at_source.unwrap_or_default();
    match reason {
        Reason::SecretNotFound => {
            let unfit = known.secret.and_then(|it| it.unfit.first());
            match (unfit, known.secret) {
                (Some(selector), _) => (
                    format!("give the Secret the labels that the operator looks for{at_source}"),
                    vec![label(words, selector)],
                ),
                (None, Some(_)) => (
                    format!("give the Secret the labels that the operator looks for{at_source}"),
                    vec![label(words, known.selector.unwrap_or_default())],
                ),
                (None, None) => (
                    "create the Secret, with the password from the shell's variable PASSWORD (read -rs PASSWORD), or correct spec.passwordSecretRef.name".to_owned(),
                    [words.create_secret()]
                        .into_iter()
                        .chain(known.selector.map(|it| label(words, it)))
                        .collect(),
                ),
            }
        }
        Reason::SecretKeyNotFound => {
            if let Some([only]) = known.secret.map(|it| &*it.keys) {
                let reference = json!({ "spec": { "passwordSecretRef": { "key": only } } });
                (
                    format!(
                        "name the key that the Secret has, or add the key {} with the password from the shell's variable PASSWORD (read -rs PASSWORD){at_source}",
                        words.key
                    ),
                    vec![words.patch(&reference), words.set_value()],
                )
            } else {
                let reference = json!({ "spec": { "passwordSecretRef": { "key": "KEY" } } });
                (
                    format!(
                        "name one of the Secret's keys as KEY, or add the key, with the password from the shell's variable PASSWORD (read -rs PASSWORD){at_source}"
                    ),
                    vec![words.patch(&reference), words.set_value()],
                )
            }
        }
        _ => match known.secret.and_then(|it| it.value) {
            Some(Err(InvalidValue::TrailingLineBreak)) => (
                format!("take the line break out of the value{at_source}"),
                vec![words.strip_value()],
            ),
            _ => (format!("{NEW_VALUE}{at_source}"), vec![words.set_value()]),
        },
    }
}

/// The command that gives the Secret the labels of a selector such as `a=b,c=d`.
fn label(words: &Words, selector: &str) -> String {
    let (secret, namespace) = (&words.secret, &words.namespace);
    let is_plain = !selector.is_empty() && !selector.contains(['(', '!', ' ']);
    let labels: Vec<_> = if is_plain {
        let parts = selector.split(',');
        parts
            .map(|part| match part.split_once('=') {
                Some((key, value)) => word(
                    &format!("{key}={}", value.trim_start_matches('=')),
                    "LABEL=VALUE",
                ),
                None => word(&format!("{part}=true"), "LABEL=VALUE"),
            })
            .collect()
    } else {
        vec!["LABEL=VALUE".to_owned()]
    };
    format!(
        "kubectl label secret {secret} -n {namespace} {}",
        labels.join(" ")
    )
}

pub(super) fn of_grant(
    reason: Reason,
    subject: &Subject<'_>,
    words: &Words,
    known: &Known<'_>,
) -> (String, Vec<String>) {
    match reason {
        Reason::AmbiguousGrant => {
            let names = known.fitting.iter().map(|it| word(it, "GRANT"));
            let names = names.collect::<Vec<_>>().join(" ");
            let mut commands = vec![format!("kubectl get cupg {names} -o wide").replace("  ", " ")];
            commands.extend(
                known
                    .fitting
                    .iter()
                    .skip(1)
                    .map(|it| format!("kubectl delete cupg {}", word(it, "GRANT"))),
            );
            (
                "ask your platform team to make these grants agree, or to delete all but one"
                    .to_owned(),
                commands,
            )
        }
        // No grant names the pool: the operator needs none, or a grant without a Region would be invalid.
        Reason::UnknownRegion => (
            "name the pool as AWS does (in a new resource), or make a grant that names the pool's Region as REGION"
                .to_owned(),
            vec![create(&grant(subject, Some("REGION")))],
        ),
        _ => {
            let (namespace, username, pool) = (&words.namespace, &words.username, &words.pool);
            (
                "ask your platform team for a CognitoUserPoolGrant; the second command makes one, for who may. The operator acts as soon as the grant exists".to_owned(),
                vec![
                    format!(
                        "kubectl cognito-password grants test -n {namespace} --user {username} --pool {pool}"
                    ),
                    create(&grant(subject, None)),
                ],
            )
        }
    }
}

/// The command that creates a grant.
fn create(grant: &str) -> String {
    // Not `echo`: in zsh and dash, `echo` would take a backslash of a username for an escape.
    let grant = word(grant, "GRANT");
    format!("printf %s {grant} | kubectl create -f -")
}

/// A grant for exactly this user and namespace, as JSON.
fn grant(subject: &Subject<'_>, region: Option<&str>) -> String {
    let spec = &subject.resource.spec;
    // In a grant, these two characters are wildcards.
    let username = spec.username.replace(['*'], "?");
    let name = format!("{}.{}", subject.namespace, subject.name);
    let mut grant = json!({
        "apiVersion": format!("{}/{}", GROUP, VERSION),
        "kind": "CognitoUserPoolGrant",
        "metadata": { "name": name },
        "spec": {
            "userPoolId": spec.user_pool_id,
            "usernames": [username],
            "namespaces": { "names": [subject.namespace] },
        },
    });
    if let Some(region) = region {
        grant["spec"]["region"] = json!(region);
    }
    grant.to_string()
}

pub(super) fn of_duplicate(words: &Words, known: &Known<'_>) -> (String, Vec<String>) {
    let (name, namespace) = (&words.name, &words.namespace);
    let this = format!("kubectl delete cup {name} -n {namespace}");
    match known.older.and_then(|it| it.split_once('/')) {
        // The commands are a choice: both together would delete both resources.
        Some((namespace, name)) => (
            "delete one of the two, not both: the first command deletes this one; the second deletes the older one, after which this one sets its own value".to_owned(),
            vec![
                this,
                format!(
                    "kubectl delete cup {} -n {}",
                    word(name, "RESOURCE"),
                    word(namespace, "NAMESPACE")
                ),
            ],
        ),
        None => (
            "delete this one, or the older one, after which this one sets its own value; the second command lists the resources of the pool".to_owned(),
            vec![
                this,
                format!(
                    "kubectl get cup -A --field-selector spec.userPoolId={}",
                    words.pool
                ),
            ],
        ),
    }
}
