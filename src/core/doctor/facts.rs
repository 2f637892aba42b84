//! What `doctor` judges: the facts that were read, each perhaps missing.

pub use crate::core::access::found_grant::FoundGrant;

use crate::{
    api::CognitoUserPassword,
    core::{
        checkup::{
            installed::{Installed, Settings},
            judge::facts::{Answers, Crds},
            lease::Lease,
            metrics::Metrics,
            right::Right,
            seen::Seen,
        },
        credential::password::InvalidValue,
        names::target::{Target, User},
    },
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// A resource in a list.
#[derive(Clone, PartialEq, Debug)]
pub enum Listed {
    /// A resource that this version can read.
    Readable(Box<CognitoUserPassword>),
    /// A resource that this version can't read, and why.
    Unreadable {
        /// The namespace of the resource.
        namespace: String,
        /// The name of the resource.
        name: String,
        /// Why, in one line.
        why: String,
    },
}

impl Listed {
    /// The namespace and the name.
    #[must_use]
    pub fn key(&self) -> (&str, &str) {
        match self {
            Self::Readable(it) => {
                let metadata = &it.metadata;
                let namespace = metadata.namespace.as_deref();
                (
                    namespace.unwrap_or_default(),
                    metadata.name.as_deref().unwrap_or_default(),
                )
            }
            Self::Unreadable {
                namespace, name, ..
            } => (namespace, name),
        }
    }

    /// The resource, if this version can read it.
    #[must_use]
    pub fn readable(&self) -> Option<&CognitoUserPassword> {
        match self {
            Self::Readable(it) => Some(it),
            Self::Unreadable { .. } => None,
        }
    }
}

/// The facts that all resources share.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The caller's time.
    pub now: Timestamp,
    /// What the API server serves of our group.
    pub crds: Crds,
    /// The operators, found by their Deployments, or by the Lease alone.
    pub operators: Vec<Operator>,
    /// Whether all Deployments of the operator could be looked for, or why not.
    pub deployments: Seen<()>,
    /// All grants.
    pub grants: Seen<Vec<FoundGrant>>,
    /// The labels of namespaces, by the name of the namespace.
    pub labels: BTreeMap<String, Seen<BTreeMap<String, String>>>,
    /// The resources among which duplicates are looked for.
    pub rivals: Rivals,
}

/// The resources among which duplicates, and resources that share a Secret, are looked for.
#[derive(Clone, Debug, Default)]
pub struct Rivals {
    resources: Vec<CognitoUserPassword>,
    by_user: BTreeMap<User, Vec<usize>>,
    /// The names of the resources that read one key, in their order.
    by_key: BTreeMap<Key, BTreeSet<String>>,
    /// Why other namespaces are not in the list. None if the list has all namespaces.
    pub missing: Option<Missing>,
}

/// The namespace, the name of a Secret, and a key of the Secret.
type Key = (String, String, String);

fn key_of(resource: &CognitoUserPassword) -> Key {
    let namespace = resource.metadata.namespace.clone();
    let reference = resource.spec.password_secret_ref.clone();
    (namespace.unwrap_or_default(), reference.name, reference.key)
}

impl Rivals {
    /// These resources, found by their users and by their Secrets.
    #[must_use]
    pub fn new(resources: Vec<CognitoUserPassword>, missing: Option<Missing>) -> Self {
        let mut by_user: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut by_key: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (number, it) in resources.iter().enumerate() {
            if let Ok(target) = Target::parse(&it.spec.user_pool_id, &it.spec.username) {
                by_user.entry(target.user()).or_default().push(number);
            }
            let names = by_key.entry(key_of(it)).or_default();
            names.extend(it.metadata.name.clone());
        }
        Self {
            resources,
            by_user,
            by_key,
            missing,
        }
    }

    /// How many other resources read the same key of the same Secret, and the names of the first `most`.
    #[must_use]
    pub fn of_key(&self, resource: &CognitoUserPassword, most: usize) -> (usize, Vec<String>) {
        let Some(names) = self.by_key.get(&key_of(resource)) else {
            return (0, Vec::new());
        };
        let own = resource.metadata.name.as_ref();
        let is_listed = own.is_some_and(|own| names.contains(own));
        let others = names.iter().filter(|it| Some(*it) != own);
        let first = others.take(most).cloned().collect();
        (names.len() - usize::from(is_listed), first)
    }

    /// The resources that name this user.
    pub fn of<'a>(
        &'a self,
        user: &User,
    ) -> impl Iterator<Item = &'a CognitoUserPassword> + use<'a> {
        let numbers = self.by_user.get(user).into_iter().flatten();
        numbers.filter_map(|number| self.resources.get(*number))
    }
}

/// Why a fact is missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Missing {
    /// This right.
    Right(Right),
    /// Another reason, in one line.
    Why(String),
}

/// An operator.
#[derive(Clone, Debug)]
pub struct Operator {
    /// The operator's own namespace.
    pub namespace: String,
    /// The Deployment. None if only the Lease was found, or looked for.
    pub installed: Option<Installed>,
    /// The Lease of the election. None inside: there is no Lease, or no election.
    pub lease: Seen<Option<Lease>>,
    /// The metrics of each pod that answered, by the pod's name; or why there are none.
    pub metrics: Seen<Vec<(String, Metrics)>>,
    /// Whether the operator's `ServiceAccount` has each right that it needs; empty without a Deployment.
    pub rights: Seen<Answers>,
}

impl Operator {
    /// The settings of `run`; the defaults if no Deployment tells them.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let installed = self.installed.as_ref();
        installed.map_or_else(Settings::default, |it| it.settings.clone())
    }

    /// Whether the operator watches a namespace.
    #[must_use]
    pub fn watches(&self, namespace: &str) -> bool {
        let installed = self.installed.as_ref();
        let watched = installed.map_or(&[][..], |it| &it.settings.watch_namespaces);
        watched.is_empty() || watched.iter().any(|it| it == namespace)
    }
}

/// A Secret, without any of its values.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FoundSecret {
    /// The uid.
    pub uid: String,
    /// The `resourceVersion`.
    pub version: String,
    /// The keys.
    pub keys: Vec<String>,
    /// Why the value of the resource's key can't be a password. None if the key isn't there.
    pub value: Option<Result<(), InvalidValue>>,
    /// Whether the value can be a password once the line breaks at its end are gone.
    pub is_well_without_end: bool,
    /// Whether the API server refuses each change of the data.
    pub is_immutable: bool,
    /// The operators' selectors that the Secret's labels don't fit.
    pub unfit: Vec<String>,
    /// The object that made the Secret, such as `ExternalSecret/ci-bot`.
    pub owner: Option<String>,
}
