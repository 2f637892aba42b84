//! What was found out about an installation: the facts that the judgement takes. A missing fact says why it is
//! missing.

use super::super::{
    installed::Installed, lease::Lease, metrics::Metrics, right::Right, schema::StoredCrd,
    scrape::Scrape, seen::Seen,
};
use crate::core::access::found_grant::FoundGrant;
use std::collections::BTreeMap;

/// Each asked right, and whether its holder has the right.
pub type Answers = Vec<(Right, Result<bool, String>)>;

/// What was found out. Whoever doesn't ask for a fact leaves the fact out by None.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The version of this program.
    pub program: String,
    /// The API server.
    pub kubernetes: Result<Kubernetes, String>,
    /// The CRDs.
    pub crds: Crds,
    /// Every Deployment of the operator. None if the operator's own program checks itself.
    pub installed: Option<Seen<Vec<Installed>>>,
    /// Each operator that was looked at.
    pub operators: Vec<OperatorFacts>,
    /// The grants. None where no operator uses grants.
    pub grants: Option<Seen<Vec<FoundGrant>>>,
    /// The resources.
    pub resources: Option<Seen<Resources>>,
}

/// The API server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kubernetes {
    /// The major version, as the API server says it.
    pub major: String,
    /// The minor version, as the API server says it.
    pub minor: String,
    /// Whether the API server streams lists. None if that is unknown.
    pub watch_list: Option<bool>,
}

/// The CRDs.
#[derive(Clone, Debug)]
pub struct Crds {
    /// The plural names of the resources that the API server serves in this version of our group, with
    /// subresources after a slash; empty without the CRDs.
    pub kinds: Result<Vec<String>, String>,
    /// The CRDs themselves: those that exist. None if nobody asked for them.
    pub stored: Option<Seen<Vec<StoredCrd>>>,
    /// Without the CRDs themselves, what the served schemas lack, by the plural name of each kind. None if that is
    /// unknown.
    pub lacks: Option<BTreeMap<String, Vec<String>>>,
}

impl Crds {
    /// Whether the API server serves nothing of our group.
    #[must_use]
    pub fn are_missing(&self) -> bool {
        matches!(&self.kinds, Ok(kinds) if kinds.is_empty())
    }

    /// The plural names of our kinds that the API server surely doesn't serve in this version.
    #[must_use]
    pub fn unserved(&self) -> Vec<&'static str> {
        let kinds = ["cognitouserpasswords", "cognitouserpoolgrants"].into_iter();
        let is_unserved = |name: &&str| match &self.kinds {
            Ok(served) => served.iter().all(|it| it != name),
            Err(_) => false,
        };
        kinds.filter(is_unserved).collect()
    }

    /// The fields of this version that the CRDs lack, such as `status.signOutOwed`, as far as known.
    #[must_use]
    pub fn missing_fields(&self) -> Vec<String> {
        let stored = self.stored.as_ref().and_then(Seen::known);
        let of_stored = stored
            .into_iter()
            .flatten()
            .map(|it| &it.difference.missing);
        let of_served = self.lacks.iter().flat_map(BTreeMap::values);
        of_stored.chain(of_served).flatten().cloned().collect()
    }
}

/// One operator.
#[derive(Clone, Debug)]
pub struct OperatorFacts {
    /// The Deployment. None if the operator's own program checks itself.
    pub deployed: Option<Deployed>,
    /// Each right that the operator needs, and whether the operator has the right.
    pub rights: Seen<Answers>,
    /// The Lease. None without an election.
    pub lease: Option<Seen<Option<Lease>>>,
    /// The pages of the operator's port. None if nobody asked for the pages.
    pub pages: Option<Pages>,
}

/// What belongs to a Deployment of the operator.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// The Deployment.
    pub installed: Installed,
    /// The names of the pods.
    pub pods: Seen<Vec<String>>,
    /// Who scrapes the metrics. None inside: nobody who can be found.
    pub scrape: Seen<Option<Scrape>>,
}

/// The answer of a page: status and text, or why there is none.
pub type Answer = Result<(u16, String), String>;

/// The pages of one pod, or of the address that the caller named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// The name of the pod, or the address.
    pub of: String,
    /// The answer of `/readyz`.
    pub readyz: Answer,
    /// The answer of `/metrics`.
    pub metrics: Answer,
}

impl Page {
    /// What `/metrics` says; None without a good answer.
    #[must_use]
    pub fn metrics(&self) -> Option<Metrics> {
        match &self.metrics {
            Ok((200, text)) => Some(Metrics::parse(text)),
            Ok(_) | Err(_) => None,
        }
    }
}

/// The pages of an operator's port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pages {
    /// At an address that the caller named.
    At(Page),
    /// Of each pod, through the API server's proxy.
    Proxied(Seen<Vec<Page>>),
}

impl Pages {
    /// The pages that were asked for.
    #[must_use]
    pub fn asked(&self) -> &[Page] {
        match self {
            Self::At(page) => std::slice::from_ref(page),
            Self::Proxied(pages) => pages.known().map_or(&[], |pages| pages),
        }
    }
}

/// How many resources there are in each state.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Resources {
    /// How many are Ready.
    pub ready: usize,
    /// How many aren't Ready, by the reason of the Ready condition; the reason is empty before the first
    /// reconcile. Suspended resources don't count.
    pub unready: BTreeMap<String, usize>,
    /// How many are suspended.
    pub suspended: usize,
    /// Of the suspended resources the one that was suspended first, and for how many seconds.
    pub longest_suspended: Option<Suspension>,
}

/// A suspended resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Suspension {
    /// `namespace/name`.
    pub name: String,
    /// For how long, in seconds; 0 before the operator has observed the suspension.
    pub since: i64,
    /// Why, as the annotation says.
    pub because: Option<String>,
}
