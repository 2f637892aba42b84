//! Cures in the cluster: of the Secret, of grants, and of duplicates.

use super::{
    cognito::patch_region,
    commands::{NEW_VALUE, Words},
    known::Known,
};
use crate::{
    api::{GROUP, Reason, VERSION},
    core::{
        access::why_not::ListedGrant,
        checkup::finding::Cure,
        credential::password::InvalidValue,
        doctor::{
            facts::FoundGrant,
            subject::Subject,
            words::{shown, word},
        },
        words::digest,
    },
};
use serde_json::json;

/// The most characters of a grant's name, before a number that makes the name free.
const NAME_MAX: usize = 240;

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
        (_, found) => match found.filter(|it| it.is_well_without_end) {
            Some(found) if found.value == Some(Err(InvalidValue::TrailingLineBreak)) => Cure::command(
                &format!("take the line break out of the value{at_source}"),
                words.strip_value(),
            ),
            _ => Cure::command(&format!("{NEW_VALUE}{at_source}"), words.set_value()),
        },
    }
}

/// The command that gives the Secret the labels of a selector such as `a=b,c in (d,e),!f`.
fn label(words: &Words, selector: &str) -> String {
    let (secret, namespace) = (&words.secret, &words.namespace);
    let labels: Vec<_> = requirements(selector)
        .into_iter()
        .map(|it| word(&change(it), "LABEL=VALUE"))
        .collect();
    let labels = if labels.is_empty() {
        "LABEL=VALUE".to_owned()
    } else {
        labels.join(" ")
    };
    format!("kubectl label secret {secret} -n {namespace} --overwrite {labels}")
}

/// The requirements of a selector: the parts between the commas outside of parentheses.
fn requirements(selector: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_u32, 0, Vec::new());
    for (at, c) in selector.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&selector[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&selector[start..]);
    let parts = parts.into_iter().map(str::trim);
    parts.filter(|it| !it.is_empty()).collect()
}

/// What `kubectl label` does to meet a requirement: `key=value`, or `key-`, which takes a label away.
fn change(requirement: &str) -> String {
    if let Some(key) = requirement.strip_prefix('!') {
        return format!("{}-", key.trim());
    }
    if let Some((key, _)) = requirement.split_once("!=") {
        return format!("{}-", key.trim());
    }
    if let Some((key, value)) = requirement.split_once('=') {
        return format!("{}={}", key.trim(), value.trim_start_matches('=').trim());
    }
    let mut tokens = requirement.split_whitespace();
    let key = tokens.next().unwrap_or_default();
    match tokens
        .next()
        .map(|it| it.split('(').next().unwrap_or_default())
    {
        Some("notin") => format!("{key}-"),
        Some("in") => {
            let values = requirement.split_once('(').map_or("", |(_, values)| values);
            let first = values.split([',', ')']).next().unwrap_or_default();
            format!("{key}={}", first.trim())
        }
        _ => format!("{key}=true"),
    }
}

pub(super) fn of_grant(
    reason: Reason,
    subject: &Subject<'_>,
    words: &Words,
    known: &Known<'_>,
) -> Cure {
    match reason {
        Reason::AmbiguousGrant => of_many(known),
        Reason::UnknownRegion => {
            let anew = words.anew_with("userPoolId", "POOL_ID");
            let rename =
                "set POOL_ID to the pool's id as AWS has it; the command makes the resource anew";
            // Only a grant without a Region is invalid, so no grant names the pool.
            if known.needs_grants {
                Cure::command(
                    "ask your platform team for a CognitoUserPoolGrant that names the pool's Region as REGION; if you may create grants, this command makes one",
                    create(&grant(subject, known, Some("REGION"))),
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
            let create = create(&grant(subject, known, None));
            let ask = "ask your platform team for a CognitoUserPoolGrant; if you may create grants, this command makes one. The operator acts as soon as the grant exists";
            let Some(pool) = known.other_pool else {
                return Cure::command(ask, create);
            };
            let rename = format!(
                "if you mean the pool {}, which a grant lets this namespace use, make the resource anew with that pool",
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

/// Grants that fit, and disagree: each of them may be the right one. The first choice is the one that admits most
/// resources. No grant is deleted, because other resources may live on each of them.
fn of_many(known: &Known<'_>) -> Cure {
    let fits = |it: &&FoundGrant| known.fitting.contains(&it.name);
    let mut fitting: Vec<_> = known.grants.iter().filter(fits).collect();
    fitting.sort_by_key(|it| std::cmp::Reverse(it.status.resources.unwrap_or_default()));
    let Some(first) = fitting.first() else {
        return Cure::command(
            "ask your platform team to make the grants agree that fit",
            "kubectl get cupg -o wide".to_owned(),
        );
    };
    let names: Vec<_> = fitting.iter().map(|it| word(&it.name, "GRANT")).collect();
    let cure = Cure::commands(
        &format!(
            "ask your platform team which of these grants is right: these commands show them, and give the others the role and the Region of {}",
            shown(&first.name)
        ),
        [format!("kubectl get cupg {} -o wide", names.join(" "))]
            .into_iter()
            .chain(agree(first, &fitting)),
    );
    let others = fitting.iter().skip(1).take(MANY);
    others.fold(cure, |cure, it| {
        let text = format!(
            "give the others the role and the Region of {}",
            shown(&it.name)
        );
        cure.or(&text, agree(it, &fitting))
    })
}

/// The commands that give all grants the role and the Region of one.
fn agree(right: &FoundGrant, all: &[&FoundGrant]) -> Vec<String> {
    let ListedGrant::Spec(spec) = &right.grant else {
        return Vec::new();
    };
    // Null takes a field away.
    let patch = json!({ "spec": {
        "roleArn": spec.role_arn, "externalId": spec.external_id, "region": spec.region,
    } });
    let patch = word(&patch.to_string(), "PATCH");
    let others = all.iter().filter(|it| it.name != right.name);
    others
        .map(|it| {
            let name = word(&it.name, "GRANT");
            format!("kubectl patch cupg {name} --type=merge -p {patch}")
        })
        .collect()
}

/// The command that creates an object.
fn create(object: &str) -> String {
    // Not `echo`: in zsh and dash, `echo` would take a backslash of a username for an escape.
    format!("printf %s {} | kubectl create -f -", word(object, "GRANT"))
}

/// A grant for exactly this user and namespace, as JSON.
fn grant(subject: &Subject<'_>, known: &Known<'_>, region: Option<&str>) -> String {
    let spec = &subject.resource.spec;
    // In a grant, these two characters are wildcards.
    let username = spec.username.replace(['*'], "?");
    let mut name = format!("{}.{}", subject.namespace, subject.name);
    // A name has at most 253 characters, and a number may follow.
    if name.len() > NAME_MAX {
        let digest = digest([&*name]);
        name.truncate(NAME_MAX - 9);
        name = format!("{}-{digest}", name.trim_end_matches(['.', '-']));
    }
    let names = std::iter::once(name.clone()).chain((2..).map(|number| format!("{name}-{number}")));
    let is_free = |name: &String| known.grants.iter().all(|it| it.name != *name);
    let name = names.into_iter().find(is_free).unwrap_or(name);
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

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("a=b", &["a=b"])]
    #[case("a==b, c = d", &["a=b", "c=d"])]
    #[case("team in (a,b),x!=y", &["team=a", "x-"])]
    #[case("team in(a, b),!skip", &["team=a", "skip-"])]
    #[case("tier notin (x,y),example.com/watched", &["tier-", "example.com/watched=true"])]
    #[case("", &[])]
    fn a_selector_becomes_labels(#[case] selector: &str, #[case] labels: &[&str]) {
        let changes: Vec<_> = requirements(selector).into_iter().map(change).collect();
        assert_eq!(changes, labels);
    }
}
