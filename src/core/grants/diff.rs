//! What a change of grants would change: the answer of `grants diff`.

use super::{
    book::{
        GrantBook, ListedGrants, NamespaceLabels, Rules, ShownAuthority, Standing, authority_words,
    },
    who::{Cluster, Namespaces, labels_of, named},
};
use crate::core::{
    access::{
        authority::Authority,
        grant::{Admission, Namespace, UngrantedPolicy},
        why_not::{ListedGrant, listed},
    },
    names::target::PoolId,
    text::legible,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The difference, also for programs.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The grants that are added, changed or deleted.
    pub grants: Vec<GrantChange>,
    /// The resources whose admission changes.
    pub resources: Vec<ResourceChange>,
    /// The patterns of usernames that namespaces gain or lose.
    pub patterns: Vec<PatternChange>,
    /// What else changes, what the answer assumes, and what the caller could not see.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What happens to a grant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantChange {
    /// The name of the grant.
    pub name: String,
    /// `Added`, `Changed` or `Deleted`.
    pub change: &'static str,
}

/// A resource whose admission changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceChange {
    /// The namespace of the resource.
    pub namespace: String,
    /// The name of the resource.
    pub name: String,
    /// The pool of its user.
    pub user_pool_id: String,
    /// Its user.
    pub username: String,
    /// `Gains`, `Loses`, or `Changes` if the operator uses another Region or role from the next call on.
    pub change: &'static str,
    /// The admission before.
    pub before: Standing,
    /// The admission after.
    pub after: Standing,
    #[serde(skip)]
    words: String,
}

/// A pattern that namespaces gain or lose.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PatternChange {
    /// `Gains` or `Loses`.
    pub change: &'static str,
    /// The pool.
    pub user_pool_id: String,
    /// The pattern, as the grant has the pattern.
    pub username: String,
    /// The Region and the role of the calls.
    pub authority: ShownAuthority,
    /// The namespaces. `*` stands for namespaces that a selector chooses and the caller may not list.
    pub namespaces: Vec<String>,
    #[serde(skip)]
    words: String,
}

/// A pattern of usernames of a pool that an authority manages.
type Offer = (PoolId, String, Authority);

/// The grants after these are applied and those deleted. A grant that is being deleted stays so.
#[must_use]
pub fn applied(before: &ListedGrants, apply: &ListedGrants, delete: &[String]) -> ListedGrants {
    let mut after = before.clone();
    for (name, grant) in apply {
        if !matches!(before.get(name), Some(ListedGrant::Deleting(_))) {
            after.insert(name.clone(), grant.clone());
        }
    }
    after.retain(|name, _| !delete.contains(name));
    after
}

/// What changes between two sets of grants.
#[must_use]
pub fn difference(
    before: &ListedGrants,
    after: &ListedGrants,
    rules: &Rules,
    cluster: Cluster<'_>,
) -> Difference {
    let grants = grant_changes(before, after);
    if !rules.watched.is_empty() {
        return Difference {
            grants,
            notes: vec![
                "the operator watches some namespaces only and uses no grants, so nothing changes"
                    .to_owned(),
            ],
            ..Difference::default()
        };
    }
    let (old, new) = (GrantBook::new(before, rules), GrantBook::new(after, rules));
    Difference {
        resources: resource_changes(&old, &new, cluster),
        patterns: pattern_changes(&old, &new, cluster.namespaces),
        notes: pool_notes(&old, &new),
        grants,
    }
}

fn grant_changes(before: &ListedGrants, after: &ListedGrants) -> Vec<GrantChange> {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changes = names.into_iter().filter_map(|name| {
        let change = match (before.get(name), after.get(name)) {
            (None, Some(_)) => "Added",
            (Some(_), None) => "Deleted",
            (Some(old), Some(new)) if old != new => "Changed",
            _ => return None,
        };
        Some(GrantChange {
            name: name.clone(),
            change,
        })
    });
    changes.collect()
}

fn resource_changes(
    old: &GrantBook<'_>,
    new: &GrantBook<'_>,
    cluster: Cluster<'_>,
) -> Vec<ResourceChange> {
    let changes = cluster.resources.iter().filter_map(|resource| {
        let target = resource.target.as_ref()?;
        let labels = labels_of(cluster.namespaces, &resource.namespace);
        let ask = |book: &GrantBook<'_>| {
            book.ask(target, &resource.namespace, labels.as_ref())
                .admission
        };
        let (before, after) = (ask(old), ask(new));
        let change = change(&before, &after)?;
        Some(ResourceChange {
            namespace: resource.namespace.clone(),
            name: resource.name.clone(),
            user_pool_id: target.pool.as_str().to_owned(),
            username: target.username.as_str().to_owned(),
            change,
            words: change_words(&before, &after),
            before: Standing::from(&before),
            after: Standing::from(&after),
        })
    });
    let mut changes: Vec<_> = changes.collect();
    changes.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    changes
}

/// What a resource gains or loses; `None` if its admission stays the same.
fn change(before: &Admission, after: &Admission) -> Option<&'static str> {
    let is_granted = |admission: &Admission| matches!(admission, Admission::Granted(_));
    match (is_granted(before), is_granted(after)) {
        _ if before == after => None,
        (false, true) => Some("Gains"),
        (true, false) => Some("Loses"),
        (true, true) | (false, false) => Some("Changes"),
    }
}

fn change_words(before: &Admission, after: &Admission) -> String {
    let words = |admission: &Admission| match admission {
        Admission::Granted(authority) => authority_words(authority),
        Admission::NotGranted => "NotGranted".to_owned(),
        Admission::Ambiguous => "AmbiguousGrant".to_owned(),
        Admission::UnknownRegion => "UnknownRegion".to_owned(),
        Admission::Unknown => "unknown, because the namespace's labels can't be read".to_owned(),
    };
    match (before, after) {
        (Admission::Granted(_), Admission::Granted(_)) => format!(
            "next call {}; before {}; no password is set again",
            words(after),
            words(before)
        ),
        (Admission::Granted(_), _) => words(after),
        _ => format!("{} instead of {}", words(after), words(before)),
    }
}

/// For each pattern of each grant, the namespaces that gain or lose the pattern. A namespace that has the same
/// pattern by another grant of the same authority neither gains nor loses.
fn pattern_changes(
    old: &GrantBook<'_>,
    new: &GrantBook<'_>,
    namespaces: Option<&Namespaces>,
) -> Vec<PatternChange> {
    let mut names: BTreeSet<&str> = named(old.listed).chain(named(new.listed)).collect();
    names.extend(namespaces.into_iter().flatten().map(|(name, _)| &**name));
    let mut changes: BTreeMap<(&'static str, Offer), Vec<String>> = BTreeMap::new();
    for name in names {
        let labels = labels_of(namespaces, name);
        let before = offers(old, name, labels.as_ref());
        let after = offers(new, name, labels.as_ref());
        for offer in after.difference(&before) {
            changes
                .entry(("Gains", offer.clone()))
                .or_default()
                .push(name.to_owned());
        }
        for offer in before.difference(&after) {
            changes
                .entry(("Loses", offer.clone()))
                .or_default()
                .push(name.to_owned());
        }
    }
    if namespaces.is_none() {
        let (before, after) = (selector_offers(old), selector_offers(new));
        for offer in after.difference(&before) {
            changes
                .entry(("Gains", offer.clone()))
                .or_default()
                .push("*".to_owned());
        }
        for offer in before.difference(&after) {
            changes
                .entry(("Loses", offer.clone()))
                .or_default()
                .push("*".to_owned());
        }
    }
    let changes = changes
        .into_iter()
        .map(
            |((change, (pool, username, authority)), namespaces)| PatternChange {
                change,
                user_pool_id: pool.as_str().to_owned(),
                username,
                authority: ShownAuthority::from(&authority),
                words: authority_words(&authority),
                namespaces,
            },
        );
    changes.collect()
}

/// What all valid grants together give to a namespace. Without labels, selectors choose nothing.
fn offers(book: &GrantBook<'_>, name: &str, labels: Option<&NamespaceLabels>) -> BTreeSet<Offer> {
    let mut offers = BTreeSet::new();
    for listed in book.listed.values() {
        let (ListedGrant::Spec(spec), Ok(grant)) = (listed, listed.parse(book.rules.regions))
        else {
            continue;
        };
        let is_chosen = match labels {
            Some(labels) => grant.chooses(Namespace { name, labels }),
            None => spec.namespaces.names.iter().flatten().any(|it| it == name),
        };
        if is_chosen {
            offers.extend(
                spec.usernames
                    .iter()
                    .map(|pattern| (grant.pool.clone(), pattern.clone(), grant.authority.clone())),
            );
        }
    }
    offers
}

/// What grants give to namespaces by labels.
fn selector_offers(book: &GrantBook<'_>) -> BTreeSet<Offer> {
    let mut offers = BTreeSet::new();
    for listed in book.listed.values() {
        let (ListedGrant::Spec(spec), Ok(grant)) = (listed, listed.parse(book.rules.regions))
        else {
            continue;
        };
        if spec.namespaces.selector.is_some() {
            offers.extend(
                spec.usernames
                    .iter()
                    .map(|pattern| (grant.pool.clone(), pattern.clone(), grant.authority.clone())),
            );
        }
    }
    offers
}

/// With `--ungranted=allow`, the first grant of a pool closes the pool for everybody else.
fn pool_notes(old: &GrantBook<'_>, new: &GrantBook<'_>) -> Vec<String> {
    if old.rules.ungranted == UngrantedPolicy::Deny {
        return Vec::new();
    }
    let specs = old.listed.values().chain(new.listed.values());
    let pools: BTreeSet<_> = specs
        .filter_map(|grant| match grant {
            ListedGrant::Spec(spec) | ListedGrant::Deleting(spec) => {
                PoolId::parse(&spec.user_pool_id).ok()
            }
            ListedGrant::Unreadable(_) => None,
        })
        .collect();
    let notes = pools.into_iter().filter_map(|pool| match (old.names(&pool), new.names(&pool)) {
        (false, true) => Some(format!(
            "every namespace may manage every user of {pool} now (--ungranted=allow), and only those that a grant names afterwards"
        )),
        (true, false) => Some(format!(
            "no grant names {pool} afterwards, so every namespace may manage every user (--ungranted=allow)"
        )),
        _ => None,
    });
    notes.collect()
}

impl Difference {
    /// Whether anything changes for a namespace or a resource.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.patterns.is_empty()
    }

    /// The difference as lines: `+` for what is gained, `-` for what is lost, `~` for another authority.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for grant in &self.grants {
            lines.push(format!(
                "grant {} would be {}",
                legible(&grant.name, 253),
                grant.change.to_lowercase()
            ));
        }
        if !self.patterns.is_empty() {
            lines.push("namespaces and usernames:".to_owned());
        }
        for it in &self.patterns {
            let mark = mark(it.change);
            let names: Vec<_> = it
                .namespaces
                .iter()
                .map(|name| match &**name {
                    "*" => "namespaces by labels".to_owned(),
                    name => name.to_owned(),
                })
                .collect();
            lines.push(format!(
                "{mark} {}: {} of {}, {}",
                listed(&names),
                legible(&it.username, 128),
                it.user_pool_id,
                it.words
            ));
        }
        if !self.resources.is_empty() {
            lines.push("resources:".to_owned());
        }
        for it in &self.resources {
            lines.push(format!(
                "{} {}/{} ({} of {}): {}",
                mark(it.change),
                it.namespace,
                it.name,
                legible(&it.username, 128),
                it.user_pool_id,
                it.words
            ));
        }
        if self.is_empty() {
            lines.push("nothing changes for any namespace or resource".to_owned());
        }
        lines
    }
}

fn mark(change: &str) -> &'static str {
    match change {
        "Gains" => "+",
        "Loses" => "-",
        _ => "~",
    }
}

#[cfg(test)]
mod tests;
