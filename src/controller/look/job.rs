//! The work of the looker: passes over pools, and lookups of single users.

use crate::{
    controller::{
        schedule::permits::{Payer, Turns, Waiter},
        state::key::Key,
    },
    core::{
        access::authority::Authority,
        look::{
            found::Look,
            sweep::{Sweep, Wanted},
        },
        names::target::{Account, PoolId},
        schedule::rate_limit::{Category, Urgency},
    },
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::{sync::mpsc::UnboundedSender, time::Instant};

/// One piece of work, which waits for a permit for each of its calls.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Job {
    /// A lookup of the user of one resource.
    Lookup(Key),
    /// A pass over the users of one pool.
    Pass(Arc<PassId>),
    /// A read of the policy of one pool, for the validity of temporary passwords.
    Policy(Arc<PassId>),
}

/// The pool of a pass, and the authority that looks at the pool. Grants may give users of one pool to several
/// authorities.
#[derive(PartialEq, Eq, Hash, Debug)]
pub(super) struct PassId {
    pub(super) authority: Authority,
    pub(super) pool: PoolId,
}

/// The state of a job between its calls.
pub(super) struct Progress {
    pub(super) id: Arc<PassId>,
    pub(super) sweep: Sweep<Key>,
    /// A resource of the job, which stands for all of them at the credential gate.
    pub(super) speaker: Key,
    /// When the job began.
    pub(super) began: Instant,
    /// Whether a call of the job is under way.
    pub(super) is_calling: bool,
    /// How often the present call has failed.
    pub(super) failures: u32,
    /// Looks that are judged by the validity of temporary passwords, which is not known yet.
    pub(super) held: Vec<(Wanted<Key>, Look)>,
    /// Whether a call of the job failed for good.
    pub(super) has_failed: bool,
}

impl Progress {
    /// A job that begins now.
    pub(super) fn new(id: Arc<PassId>, sweep: Sweep<Key>, speaker: Key) -> Self {
        Self {
            id,
            sweep,
            speaker,
            began: Instant::now(),
            is_calling: false,
            failures: 0,
            held: Vec::new(),
            has_failed: false,
        }
    }
}

impl Job {
    /// The job under which the progress of this job is kept.
    pub(super) fn of_progress(&self) -> Self {
        match self {
            Self::Lookup(_) | Self::Pass(_) => self.clone(),
            Self::Policy(id) => Self::Pass(id.clone()),
        }
    }

    /// The quota that the calls of this job use.
    pub(super) fn payer(&self, id: &PassId, account: Account) -> Payer {
        let category = match self {
            Self::Lookup(_) | Self::Pass(_) => Category::UserList,
            Self::Policy(_) => Category::UserPoolRead,
        };
        let region = id.authority.region.clone();
        Payer {
            account,
            region,
            category,
        }
    }

    /// The urgency of this job. A first set may wait for a lookup. Nobody waits for a pass.
    pub(super) const fn urgency(&self) -> Urgency {
        match self {
            Self::Lookup(_) => Urgency::Requested,
            Self::Pass(_) | Self::Policy(_) => Urgency::Retry,
        }
    }
}

impl Waiter for Job {
    /// Namespaces take turns, so that the new resources of one tenant don't keep the lookups of another waiting.
    /// Passes serve all tenants, and take turns as one namespace.
    fn namespace(&self) -> &str {
        match self {
            Self::Lookup(key) => key.namespace(),
            Self::Pass(_) | Self::Policy(_) => "",
        }
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup(key) => write!(f, "{key}"),
            Self::Pass(id) | Self::Policy(id) => write!(f, "{}", id.pool),
        }
    }
}

/// Sends the jobs that were given a permit to the looker.
pub(super) struct ToLooker(pub(super) UnboundedSender<Job>);

impl Turns<Job> for ToLooker {
    fn first(&self, job: Job) {
        // An error means that the looker has ended.
        let _ = self.0.send(job);
    }

    fn after(&self, job: Job, wait: Duration) {
        let sender = self.0.clone();
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let _ = sender.send(job);
        });
    }
}
