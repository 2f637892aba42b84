//! Cures in the cluster: of the Secret, of grants, and of duplicates.

use super::{
    cognito::patch_region,
    commands::{NEW_VALUE, Words},
    known::Known,
};
use crate::{
    api::{GROUP, Reason, VERSION},
    core::{
        checkup::finding::Cure,
        credential::password::InvalidValue,
        doctor::{
            subject::Subject,
            words::{shown, word},
        },
    },
};
use serde_json::json;

/// How many grants that fit are offered as the one to keep.
const MANY: usize = 4;

pub(super) fn of_secret(reason: Reason, words: &Words, known: &Known<'_>) -> Cure {
    let owner = known.secret.and_then(|it| it.owner.as_deref());
    let at_source = owner.map(|owner| {
        format!(
            ". {} makes the Secret, so mend the value at its source too",
            shown(owner)
        )
    });
    let at_source = at_source.unwrap_or_default();
    let key = |name: &str| json!({ "spec": { "passwordSecretRef": { "key": name } } });
    match (reason, known.secret) {
        (Reason::SecretNotFound, Some(found)) => {
            let selector = found.unfit.first().map(String::as_str);
            let selector = selector.or(known.selector).unwrap_or_default();
            Cure::command(
                &format!("give the Secret the labels that the operator looks for{at_source}"),
                label(words, selector),
            )
        }
        (Reason::SecretNotFound, None) => Cure::commands(
            "create the Secret, with the password from the shell's variable PASSWORD (read -rs PASSWORD)",
            [words.create_secret()]
                .into_iter()
                .chain(known.selector.map(|it| label(words, it))),
        )
        .or(
            "name the right Secret as SECRET",
            [words.patch(
                &json!({ "spec": { "passwordSecretRef": { "name": "SECRET" } } }),
            )],
        ),
        (Reason::SecretKeyNotFound, found) => {
            let add = format!(
                "add the key {}, with the password from the shell's variable PASSWORD (read -rs PASSWORD){at_source}",
                words.key
            );
            match found.map(|it| &*it.keys) {
                Some([only]) => {
                    Cure::command("name the key that the Secret has", words.patch(&key(only)))
                        .or(&add, [words.set_value()])
                }
                _ => Cure::command(&add, words.set_value()).or(
                    "name one of the Secret's keys as KEY",
                    [words.patch(&key("KEY"))],
                ),
            }
        }
        (_, found) => match found.and_then(|it| it.value) {
            Some(Err(InvalidValue::TrailingLineBreak)) => Cure::command(
                &format!("take the line break out of the value{at_source}"),
                words.strip_value(),
            ),
            _ => Cure::command(&format!("{NEW_VALUE}{at_source}"), words.set_value()),
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
) -> Cure {
    match reason {
        Reason::AmbiguousGrant => of_many(known.fitting),
        Reason::UnknownRegion => {
            let anew = words.anew("userPoolId", "POOL_ID");
            let rename = "name the pool as AWS does, as POOL_ID, which makes the resource anew";
            // Only a grant without a Region is invalid, so no grant names the pool.
            if known.needs_grants {
                Cure::command(
                    "ask your platform team for a CognitoUserPoolGrant that names the pool's Region as REGION; this command makes one, for who may",
                    create(&grant(subject, Some("REGION"))),
                )
                .or(rename, [anew])
            } else {
                Cure::command(rename, anew)
            }
        }
        _ => {
            if let Some(name) = known.without_region {
                return Cure::command(
                    "have the grant name the pool's Region as REGION",
                    patch_region(name),
                );
            }
            let create = create(&grant(subject, None));
            let ask = "ask your platform team for a CognitoUserPoolGrant; this command makes one, for who may. The operator acts as soon as the grant exists";
            let Some(pool) = known.other_pool else {
                return Cure::command(ask, create);
            };
            let rename = format!(
                "name the pool that a grant lets this namespace use, {}, which makes the resource anew",
                shown(pool.id)
            );
            let anew = words.anew("userPoolId", &word(pool.id, "POOL_ID"));
            if pool.is_likely {
                Cure::command(&rename, anew).or(ask, [create])
            } else {
                Cure::command(ask, create).or(&rename, [anew])
            }
        }
    }
}

/// Grants that fit, and disagree: each of them may be the one to keep.
fn of_many(fitting: &[String]) -> Cure {
    let names: Vec<_> = fitting.iter().map(|it| word(it, "GRANT")).collect();
    let delete_but = |kept: usize| {
        let others = names.iter().enumerate();
        let others = others.filter(move |(number, _)| *number != kept);
        others.map(|(_, it)| format!("kubectl delete cupg {it}"))
    };
    let Some(first) = names.first() else {
        return Cure::command(
            "ask your platform team to make the grants agree that fit, or to delete all but one",
            "kubectl get cupg -o wide".to_owned(),
        );
    };
    let cure = Cure::commands(
        &format!(
            "ask your platform team to make these grants agree, or to delete all but one: these commands show them, and keep {first}"
        ),
        [format!("kubectl get cupg {} -o wide", names.join(" "))]
            .into_iter()
            .chain(delete_but(0)),
    );
    let others = names.iter().enumerate().skip(1).take(MANY);
    others.fold(cure, |cure, (number, name)| {
        cure.or(&format!("keep {name}"), delete_but(number))
    })
}

/// The command that creates an object.
fn create(object: &str) -> String {
    // Not `echo`: in zsh and dash, `echo` would take a backslash of a username for an escape.
    format!("printf %s {} | kubectl create -f -", word(object, "GRANT"))
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

pub(super) fn of_duplicate(words: &Words, known: &Known<'_>) -> Cure {
    let cure = Cure::command("delete this resource", words.delete());
    match known.older.and_then(|it| it.split_once('/')) {
        Some((namespace, name)) => cure.or(
            "delete the older resource, after which this one sets its own value",
            [format!(
                "kubectl delete cup {} -n {}",
                word(name, "RESOURCE"),
                word(namespace, "NAMESPACE")
            )],
        ),
        None => cure.or(
            "delete the older resource, after which this one sets its own value; this command lists the resources of the pool",
            [format!(
                "kubectl get cup -A --field-selector spec.userPoolId={}",
                words.pool
            )],
        ),
    }
}
