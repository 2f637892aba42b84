//! All grants, ready to be asked.

use crate::core::{
    access::{
        authority::Authority,
        grant::{Admission, InvalidGrant, Namespace, UngrantedPolicy, admit},
        grant_index::GrantIndex,
        why_not::{Fit, ListedGrant, Misfit},
    },
    names::{
        region::Regions,
        target::{PoolId, Target},
    },
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// Grants by name, as a list of the API server shows the grants.
pub type ListedGrants = BTreeMap<String, ListedGrant>;

/// The labels of a namespace.
pub type NamespaceLabels = BTreeMap<String, String>;

/// The operator's settings that decide beside the grants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// What holds for pools that no grant names.
    pub ungranted: UngrantedPolicy,
    /// The watched namespaces; empty for all. An operator with watched namespaces doesn't use grants: each watched
    /// namespace may manage each user.
    pub watched: BTreeSet<String>,
    /// The Regions in which the operator calls Cognito.
    pub regions: Regions,
}

impl Default for Rules {
    /// The rules of an operator without settings.
    fn default() -> Self {
        Self {
            ungranted: UngrantedPolicy::Deny,
            watched: BTreeSet::new(),
            regions: Regions::OfAws,
        }
    }
}

/// All grants, indexed as the operator indexes grants.
pub struct GrantBook<'a> {
    /// The rules of the operator.
    pub rules: &'a Rules,
    /// The grants.
    pub listed: &'a ListedGrants,
    pools: HashMap<PoolId, GrantIndex<String>>,
    /// Whether a grant may name any pool.
    is_any_unreadable: bool,
}

/// Whether a namespace may manage a user, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The operator's decision. [`Admission::Unknown`] if labels decide that the caller may not read.
    pub admission: Admission,
    /// Whether the operator watches the namespace. An operator doesn't act for resources elsewhere.
    pub is_watched: bool,
    /// The grants that let the namespace manage the user, each with its authority.
    pub by: Vec<(String, Authority)>,
    /// The grants that would, if the labels of the namespace fit. Empty if the labels are known.
    pub by_labels: Vec<String>,
    /// The grants that name the pool, or may name any pool, and don't fit, each with the reasons.
    pub misfits: Vec<(String, Vec<Misfit>)>,
}

/// An [`Admission`] in a document for programs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// `Granted`, `NotGranted`, `AmbiguousGrant`, `UnknownRegion` or `Unknown`.
    pub admission: &'static str,
    /// The Region and the role of the calls, where the admission is `Granted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<ShownAuthority>,
}

/// An [`Authority`] in a document for programs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownAuthority {
    /// The Region in which the operator calls Cognito.
    pub region: String,
    /// The role that the operator assumes. None: the operator's own identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The role's external id, which is no secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

impl<'a> GrantBook<'a> {
    /// Indexes the grants.
    #[must_use]
    pub fn new(listed: &'a ListedGrants, rules: &'a Rules) -> Self {
        let mut pools: HashMap<PoolId, GrantIndex<String>> = HashMap::new();
        let mut is_any_unreadable = false;
        for (name, grant) in listed {
            let spec = match grant {
                ListedGrant::Spec(spec) => spec,
                ListedGrant::Deleting(_) => continue,
                ListedGrant::Unreadable(_) => {
                    is_any_unreadable = true;
                    continue;
                }
            };
            // A grant that is otherwise invalid still names its pool.
            match PoolId::parse(&spec.user_pool_id) {
                Ok(pool) => {
                    let parsed = grant.parse(rules.regions).ok().map(Arc::new);
                    pools.entry(pool).or_default().insert(name.clone(), parsed);
                }
                Err(_) => is_any_unreadable = true,
            }
        }
        Self {
            rules,
            listed,
            pools,
            is_any_unreadable,
        }
    }

    /// Whether a grant names the pool, or may name any pool.
    #[must_use]
    pub fn names(&self, pool: &PoolId) -> bool {
        self.is_any_unreadable || self.pools.contains_key(pool)
    }

    /// Whether resources of a namespace may manage a user. `labels` are the namespace's labels; `None` if the caller
    /// may not read them.
    #[must_use]
    pub fn ask(
        &self,
        target: &Target,
        namespace: &str,
        labels: Option<&NamespaceLabels>,
    ) -> Answer {
        let regions = self.rules.regions;
        if !self.rules.watched.is_empty() {
            let is_watched = self.rules.watched.contains(namespace);
            let own = Admission::Granted(Authority::own(target.pool.region())).within(regions);
            return Answer {
                admission: if is_watched {
                    own
                } else {
                    Admission::NotGranted
                },
                is_watched,
                by: Vec::new(),
                by_labels: Vec::new(),
                misfits: Vec::new(),
            };
        }
        let mut answer = Answer {
            admission: Admission::Unknown,
            is_watched: true,
            by: Vec::new(),
            by_labels: Vec::new(),
            misfits: Vec::new(),
        };
        let mut possible = Vec::new();
        for (name, grant) in self.listed {
            match grant.fit(target, namespace, labels, regions) {
                Fit::OtherPool => {}
                Fit::Admits(by) => answer.by.push((name.clone(), by)),
                Fit::ByLabels(by) => {
                    answer.by_labels.push(name.clone());
                    possible.push(by);
                }
                Fit::Misfits(misfits) => answer.misfits.push((name.clone(), misfits)),
            }
        }
        answer.admission = match labels {
            Some(labels) => self.admission(target, namespace, labels),
            None => self.admission_without_labels(target, &answer.by, &possible),
        };
        answer
    }

    /// The operator's own decision.
    fn admission(&self, target: &Target, name: &str, labels: &NamespaceLabels) -> Admission {
        let of_pool = self.pools.get(&target.pool);
        let place = Namespace { name, labels };
        let fitting = of_pool.map(|grants| grants.fitting(target, place));
        let fitting = fitting.unwrap_or_default();
        let named = self.names(&target.pool);
        admit(fitting.into_values(), named, self.rules.ungranted, target).within(self.rules.regions)
    }

    /// The decision, if it is the same for whichever of the `possible` grants fit.
    fn admission_without_labels(
        &self,
        target: &Target,
        by: &[(String, Authority)],
        possible: &[Authority],
    ) -> Admission {
        let mut certain = by.iter().map(|(_, authority)| authority);
        let Some(first) = certain.next() else {
            return match (possible, self.rules.ungranted) {
                ([], UngrantedPolicy::Allow) if !self.names(&target.pool) => {
                    Admission::Granted(Authority::own(target.pool.region()))
                        .within(self.rules.regions)
                }
                ([], _) => Admission::NotGranted,
                _ => Admission::Unknown,
            };
        };
        if certain.any(|other| other != first) {
            Admission::Ambiguous
        } else if possible.iter().all(|other| other == first) {
            Admission::Granted(first.clone()).within(self.rules.regions)
        } else {
            Admission::Unknown
        }
    }
}

impl Answer {
    /// The admission, for programs.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing::from(&self.admission)
    }

    /// Whether the resources of the namespace may manage the user.
    #[must_use]
    pub const fn is_granted(&self) -> bool {
        matches!(self.admission, Admission::Granted(_))
    }

    /// Whether no grant can fit, because this version can't read one of the grants.
    #[must_use]
    pub fn is_any_unreadable(&self) -> bool {
        self.misfits
            .iter()
            .flat_map(|(_, misfits)| misfits)
            .any(|misfit| {
                matches!(
                    misfit,
                    Misfit::Unreadable(_) | Misfit::Invalid(InvalidGrant::PoolId)
                )
            })
    }
}

impl From<&Admission> for Standing {
    fn from(admission: &Admission) -> Self {
        let (word, authority) = match admission {
            Admission::Granted(authority) => ("Granted", Some(authority.into())),
            Admission::NotGranted => ("NotGranted", None),
            Admission::Ambiguous => ("AmbiguousGrant", None),
            Admission::UnknownRegion => ("UnknownRegion", None),
            Admission::Unknown => ("Unknown", None),
        };
        Self {
            admission: word,
            authority,
        }
    }
}

impl From<&Authority> for ShownAuthority {
    fn from(authority: &Authority) -> Self {
        let role = authority.role.as_deref();
        Self {
            region: authority.region.as_str().to_owned(),
            role_arn: role.map(|role| role.arn.as_str().to_owned()),
            external_id: role
                .and_then(|role| role.external_id.as_ref())
                .map(|id| id.as_str().to_owned()),
        }
    }
}

/// `eu-west-1, as arn:... with external id team-a`, or `eu-west-1, by the operator's own identity`.
#[must_use]
pub fn authority_words(authority: &Authority) -> String {
    let region = authority.region.as_str();
    let Some(role) = &authority.role else {
        return format!("in {region}, by the operator's own identity");
    };
    let id = role.external_id.as_ref();
    let id = id.map_or_else(String::new, |id| {
        format!(" with external id {}", id.as_str())
    });
    format!("in {region}, as {}{id}", role.arn)
}

#[cfg(test)]
mod tests;
