//! Which namespaces may manage a user, and which resources do: the answer of `grants who`.

use super::book::{Answer, GrantBook, ListedGrants, NamespaceLabels, Standing, authority_words};
use crate::core::{
    access::{
        grant::Admission,
        why_not::{Fit, ListedGrant, listed},
    },
    checkup::finding::{Finding, Level},
    names::target::{Target, User},
    text::legible,
};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The namespaces of the cluster, with their labels.
pub type Namespaces = BTreeMap<String, NamespaceLabels>;

/// A resource, as a list of the API server shows the resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedResource {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The uid, which breaks ties between resources of the same second.
    pub uid: String,
    /// When the API server made the resource.
    pub created: Timestamp,
    /// The user that the resource names; `None` if the spec names no valid user.
    pub target: Option<Target>,
    /// The reason of the Ready condition; empty without one.
    pub reason: String,
}

/// What the caller can see.
#[derive(Clone, Copy, Debug)]
pub struct Cluster<'a> {
    /// The namespaces; `None` if the caller may not list them.
    pub namespaces: Option<&'a Namespaces>,
    /// The resources of all namespaces, or of those that the caller may list.
    pub resources: &'a [ListedResource],
}

/// The answer, also for programs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Holders {
    /// The pool.
    pub user_pool_id: String,
    /// The username.
    pub username: String,
    /// Whether every namespace may manage the user, because no grant names the pool and `--ungranted` is `allow`.
    pub everybody: bool,
    /// The namespaces that may manage the user, or have a resource for the user.
    pub namespaces: Vec<Holder>,
    /// The resource that manages the user, of those that the caller may list: `NAMESPACE/NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    /// Grants whose selectors choose namespaces that the caller may not list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_labels: Vec<String>,
    /// What the answer assumes, and what the caller could not see.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whether there may be resources that the caller may not list. An older one of these would manage the user.
    #[serde(skip)]
    pub is_partial: bool,
    /// Whether the caller may not list the grants.
    #[serde(skip)]
    is_blind: bool,
}

/// One namespace.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// The name of the namespace.
    pub namespace: String,
    /// Whether the namespace exists; left out if the caller may not list namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
    /// Whether the namespace's resources may manage the user.
    #[serde(flatten)]
    pub standing: Standing,
    /// The grants that fit.
    pub grants: Vec<String>,
    /// The resources for the user.
    pub resources: Vec<HeldBy>,
    #[serde(skip)]
    words: String,
}

/// One resource for the user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldBy {
    /// The name of the resource.
    pub name: String,
    /// The reason of the Ready condition; empty without one.
    pub reason: String,
    /// Whether this resource manages the user.
    pub manages: bool,
}

/// The namespaces that may manage the user, and those with a resource for the user.
#[must_use]
pub fn holders(book: &GrantBook<'_>, target: &Target, cluster: Cluster<'_>) -> Holders {
    let user = target.user();
    let of_user: Vec<_> = cluster
        .resources
        .iter()
        .filter(|it| is_for(it, &user))
        .collect();
    let manager = manager(book, &of_user, cluster.namespaces);
    let mut names: BTreeSet<&str> = of_user.iter().map(|it| &*it.namespace).collect();
    names.extend(
        cluster
            .namespaces
            .into_iter()
            .flatten()
            .map(|(name, _)| &**name),
    );
    names.extend(named(book.listed));
    names.extend(book.rules.watched.iter().map(|name| &**name));
    let mut by_labels = BTreeSet::new();
    let is_everybody = book.rules.watched.is_empty() && {
        let nowhere = book.ask(target, "", Some(&NamespaceLabels::new()));
        nowhere.is_granted() && nowhere.by.is_empty()
    };
    let namespaces = names.into_iter().filter_map(|name| {
        let answer = book.ask(target, name, labels_of(cluster.namespaces, name).as_ref());
        let resources = of_user.iter().filter(|it| it.namespace == name);
        let resources: Vec<_> = resources
            .map(|it| HeldBy {
                name: it.name.clone(),
                reason: it.reason.clone(),
                manages: manager.is_some_and(|manager| manager == *it),
            })
            .collect();
        let may = answer.is_granted() && !is_everybody;
        let is_worth_a_line = may || !answer.by.is_empty() || !resources.is_empty();
        is_worth_a_line.then(|| holder(name, cluster.namespaces, &answer, resources))
    });
    let namespaces = namespaces.collect();
    if cluster.namespaces.is_none() && book.rules.watched.is_empty() {
        by_labels.extend(selecting(book, target));
    }
    Holders {
        user_pool_id: target.pool.as_str().to_owned(),
        username: target.username.as_str().to_owned(),
        everybody: is_everybody,
        namespaces,
        manager: manager.map(|it| format!("{}/{}", it.namespace, it.name)),
        by_labels: by_labels.into_iter().collect(),
        notes: Vec::new(),
        is_partial: false,
        is_blind: false,
    }
}

fn holder(
    name: &str,
    namespaces: Option<&Namespaces>,
    answer: &Answer,
    resources: Vec<HeldBy>,
) -> Holder {
    let grants: Vec<_> = answer.by.iter().map(|(name, _)| name.clone()).collect();
    let by = if grants.is_empty() {
        String::new()
    } else {
        format!("by {}, ", listed(&grants))
    };
    let words = match &answer.admission {
        Admission::Granted(authority) => format!("{by}{}", authority_words(authority)),
        Admission::NotGranted if !answer.is_watched => {
            "may not: the operator doesn't watch the namespace".to_owned()
        }
        Admission::NotGranted => "may not: no grant fits".to_owned(),
        Admission::Ambiguous => {
            format!(
                "may not: {} name different roles or Regions",
                listed(&grants)
            )
        }
        Admission::UnknownRegion => "may not: the pool's id names no AWS Region".to_owned(),
        Admission::Unknown => {
            format!("unknown: {} decide by labels", listed(&answer.by_labels))
        }
    };
    Holder {
        namespace: name.to_owned(),
        exists: namespaces.map(|known| known.contains_key(name)),
        standing: answer.standing(),
        grants,
        resources,
        words,
    }
}

/// The labels of a namespace. A namespace that doesn't exist would have one label if it were made now.
pub(super) fn labels_of(namespaces: Option<&Namespaces>, name: &str) -> Option<NamespaceLabels> {
    let known = namespaces?;
    Some(
        known
            .get(name)
            .cloned()
            .unwrap_or_else(|| labels_of_new(name)),
    )
}

/// The label that the API server gives to each namespace.
#[must_use]
pub fn labels_of_new(name: &str) -> NamespaceLabels {
    [("kubernetes.io/metadata.name".to_owned(), name.to_owned())].into()
}

/// The namespaces that grants name.
pub(super) fn named(grants: &ListedGrants) -> impl Iterator<Item = &str> {
    let specs = grants.values().filter_map(|grant| match grant {
        ListedGrant::Spec(spec) => Some(spec),
        ListedGrant::Deleting(_) | ListedGrant::Unreadable(_) => None,
    });
    specs.flat_map(|spec| spec.namespaces.names.iter().flatten().map(|name| &**name))
}

/// The grants that choose namespaces for the user by labels.
fn selecting(book: &GrantBook<'_>, target: &Target) -> Vec<String> {
    let by_labels = book.listed.iter().filter(|(_, grant)| {
        matches!(
            grant.fit(target, "", None, book.rules.regions),
            Fit::ByLabels(_)
        )
    });
    by_labels.map(|(name, _)| name.clone()).collect()
}

fn is_for(resource: &ListedResource, user: &User) -> bool {
    resource
        .target
        .as_ref()
        .is_some_and(|target| target.user() == *user)
}

/// Of the admitted resources, the oldest one manages the user; the uid breaks ties.
fn manager<'a>(
    book: &GrantBook<'_>,
    of_user: &[&'a ListedResource],
    namespaces: Option<&Namespaces>,
) -> Option<&'a ListedResource> {
    let admitted = of_user.iter().filter(|it| {
        let labels = labels_of(namespaces, &it.namespace);
        let asked = it
            .target
            .as_ref()
            .map(|target| book.ask(target, &it.namespace, labels.as_ref()));
        asked.is_some_and(|answer| answer.is_granted())
    });
    admitted
        .min_by(|a, b| (a.created, &a.uid).cmp(&(b.created, &b.uid)))
        .copied()
}

impl Holders {
    /// Without the grants, only the resources for the user are known.
    pub fn forget_grants(&mut self) {
        self.is_blind = true;
        self.everybody = false;
        self.manager = None;
        self.namespaces.retain(|it| !it.resources.is_empty());
        for holder in &mut self.namespaces {
            holder.standing = Standing::from(&Admission::Unknown);
            "unknown without the grants".clone_into(&mut holder.words);
            for resource in &mut holder.resources {
                resource.manages = false;
            }
        }
    }

    /// Whether a right decides that the caller lacks.
    fn is_undecided(&self) -> bool {
        let is_unknown = |holder: &Holder| holder.standing.admission == "Unknown";
        self.is_blind || !self.by_labels.is_empty() || self.namespaces.iter().any(is_unknown)
    }

    /// Whether a namespace may manage the user.
    #[must_use]
    pub fn is_anybody(&self) -> bool {
        let is_granted = |holder: &Holder| holder.standing.admission == "Granted";
        self.everybody || self.namespaces.iter().any(is_granted)
    }

    /// The answer as findings.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let user = legible(&self.username, 128);
        let mut findings = Vec::new();
        if self.everybody {
            let text = format!(
                "every namespace may manage {user}, because no grant names the pool and --ungranted is allow"
            );
            findings.push(Finding::new("answer", Level::Warning, text));
        } else if !self.is_anybody() {
            let pool = &self.user_pool_id;
            findings.push(if self.is_undecided() {
                let text = format!("whether a namespace may manage {user} of {pool} is unknown");
                Finding::new("answer", Level::Unknown, text)
            } else {
                let text = format!("no namespace may manage {user} of {pool}");
                Finding::new("answer", Level::Failed, text)
            });
        }
        for holder in &self.namespaces {
            let (level, words) = (holder.level(), &holder.words);
            let missing = if holder.exists == Some(false) {
                " (no such namespace yet)"
            } else {
                ""
            };
            let name = legible(&holder.namespace, 63);
            let text = format!("{name}{missing}: {words}{}", holder.resource_words());
            findings.push(Finding::new("namespace", level, text));
        }
        findings.extend(self.by_labels.iter().map(|grant| {
            let text =
                format!("{grant} chooses namespaces by labels, and the namespaces can't be listed");
            Finding::new("grant", Level::Unknown, text)
        }));
        let (level, manager) = match &self.manager {
            Some(manager) if self.is_partial => (
                Level::Well,
                format!(
                    "of the resources that you may list, {} manages {user}",
                    legible(manager, 320)
                ),
            ),
            Some(manager) => (
                Level::Well,
                format!("{} manages {user}", legible(manager, 320)),
            ),
            None if self.is_undecided() => (
                Level::Unknown,
                format!("which resource manages {user} is unknown"),
            ),
            None => (
                Level::Well,
                format!("no resource that you may list manages {user}"),
            ),
        };
        findings.push(Finding::new("manager", level, manager));
        findings
    }
}

impl Holder {
    fn level(&self) -> Level {
        match self.standing.admission {
            "Granted" => Level::Well,
            "Unknown" => Level::Unknown,
            "NotGranted" => Level::Warning,
            _ => Level::Failed,
        }
    }

    fn resource_words(&self) -> String {
        let resources = self.resources.iter().map(|it| {
            let reason = if it.reason.is_empty() {
                "no status"
            } else {
                &it.reason
            };
            let manages = if it.manages { ", manages the user" } else { "" };
            format!(
                "{} ({}{manages})",
                legible(&it.name, 253),
                legible(reason, 63)
            )
        });
        let resources: Vec<_> = resources.collect();
        match resources.len() {
            0 => String::new(),
            1 => format!("; resource {}", resources[0]),
            // A tenant can make thousands of resources for one user.
            more if more > 5 => format!(
                "; resources {} and {} more",
                resources[..5].join(", "),
                more - 5
            ),
            _ => format!("; resources {}", resources.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests;
