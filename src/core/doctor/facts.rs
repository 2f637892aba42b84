//! What `doctor` judges: the facts that were read, each perhaps missing.

use super::metrics::Metrics;
use crate::{
    api::{CognitoUserPassword, GrantStatus},
    core::{
        access::why_not::ListedGrant,
        checkup::{
            installed::{Installed, Settings},
            judge::facts::Answers,
            right::Right,
            seen::Seen,
        },
        credential::password::InvalidValue,
        names::{
            region::Regions,
            target::{Target, User},
        },
    },
};
use jiff::Timestamp;
use std::collections::BTreeMap;

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
    pub crds: Result<Crds, String>,
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

/// The resources among which duplicates are looked for.
#[derive(Clone, Debug, Default)]
pub struct Rivals {
    resources: Vec<CognitoUserPassword>,
    by_user: BTreeMap<User, Vec<usize>>,
    /// Why other namespaces are not in the list. None if the list has all namespaces.
    pub missing: Option<Missing>,
}

impl Rivals {
    /// These resources, found by their users.
    #[must_use]
    pub fn new(resources: Vec<CognitoUserPassword>, missing: Option<Missing>) -> Self {
        let mut by_user: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (number, it) in resources.iter().enumerate() {
            if let Ok(target) = Target::parse(&it.spec.user_pool_id, &it.spec.username) {
                by_user.entry(target.user()).or_default().push(number);
            }
        }
        Self {
            resources,
            by_user,
            missing,
        }
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

/// What the API server serves of our group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Crds {
    /// The plural names of the kinds; empty without the CRDs.
    pub kinds: Vec<String>,
    /// The fields that this version knows and the served schema doesn't, such as `status.signOutOwed`. Empty if
    /// the schema can't be read.
    pub lacks: Vec<String>,
}

impl Crds {
    /// The plural names of our kinds that the API server doesn't serve in this version.
    #[must_use]
    pub fn unserved(&self) -> Vec<&'static str> {
        let is_served = |kind: &str| self.kinds.iter().any(|it| it == kind);
        let kinds = ["cognitouserpasswords", "cognitouserpoolgrants"];
        kinds.into_iter().filter(|it| !is_served(it)).collect()
    }
}

/// A grant of the cluster.
#[derive(Clone, PartialEq, Debug)]
pub struct FoundGrant {
    /// The name of the grant.
    pub name: String,
    /// Its spec, or why the spec can't be read.
    pub grant: ListedGrant,
    /// The ARN of the role, if the grant names one.
    pub role: Option<String>,
    /// The generation of the spec.
    pub generation: i64,
    /// Its status, as the operator last wrote it.
    pub status: GrantStatus,
}

/// An operator.
#[derive(Clone, Debug)]
pub struct Operator {
    /// The operator's own namespace.
    pub namespace: String,
    /// The Deployment. None if only the Lease was found, or looked for.
    pub installed: Option<Installed>,
    /// Whether the operator's environment has an endpoint for Cognito, such as an emulator's.
    pub regions: Regions,
    /// The Lease of the election.
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
        let watched = self.settings().watch_namespaces;
        watched.is_empty() || watched.iter().any(|it| it == namespace)
    }
}

/// Who leads, by the Lease.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lease {
    /// The name of the Lease.
    pub name: String,
    /// The holder; empty if the last leader released the Lease.
    pub holder: String,
    /// When the holder became the holder.
    pub acquired: Option<Timestamp>,
    /// When the holder last renewed the Lease.
    pub renewed: Option<Timestamp>,
    /// How long a renewal counts, in seconds.
    pub duration: i64,
}

/// A Secret, without any of its values.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FoundSecret {
    /// The keys.
    pub keys: Vec<String>,
    /// Why the value of the resource's key can't be a password. None if the key isn't there.
    pub value: Option<Result<(), InvalidValue>>,
    /// The operators' selectors that the Secret's labels don't fit.
    pub unfit: Vec<String>,
    /// The object that made the Secret, such as `ExternalSecret/ci-bot`.
    pub owner: Option<String>,
}
