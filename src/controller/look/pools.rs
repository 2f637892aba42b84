//! Which pools are due for a pass, and which users a pass looks for.

use super::job::PassId;
use crate::{
    api::{Drift, Reason, Status},
    cognito::Cognito,
    controller::{
        context::Context,
        reconcile::gather::Snapshot,
        schedule::pace::Pace,
        state::{key::Key, look_board::LookBoard},
    },
    core::{
        access::grant::Admission,
        look::{
            found::{MARGIN, Validity},
            sweep::{Habit, Wanted},
        },
        names::target::PoolId,
    },
};
use jiff::Timestamp;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// How many passes are under way at most.
const PASSES_MAX: usize = 32;

/// How many of these may be passes over pools whose last pass failed. Tenants can name any number of pools and
/// Regions that don't exist.
const FAILING_PASSES_MAX: usize = 8;

/// A pass that failed is made again after this share of the interval.
const FAILED_SHARE: u32 = 5;

/// When a pool without a user to look at is checked again: no set is old enough yet.
const NOBODY_YET: Duration = Duration::from_secs(15);

/// The longest time until such a pool is checked again. Tenants can name any number of pools that no grant gives
/// them.
const NOBODY_MAX: Duration = Duration::from_mins(4);

/// How long the validity of temporary passwords is taken from the last read of the pool's policy.
const POLICY_FRESH: Duration = Duration::from_hours(6);

/// The pools that the operator looks at, by their last pass.
pub(super) struct Pools {
    interval: Duration,
    by_id: HashMap<PoolId, Pool>,
    /// The habits of the passes, by pool and authority.
    habits: HashMap<Arc<PassId>, Habit>,
    /// The validity of temporary passwords, and when it was read.
    policies: HashMap<Arc<PassId>, (Instant, Validity)>,
    /// The passes that are under way.
    running: HashSet<Arc<PassId>>,
}

struct Pool {
    due: Instant,
    /// When the pool is checked again if nobody is to be looked at.
    patience: Duration,
    has_failed: bool,
}

impl Pools {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            by_id: HashMap::new(),
            habits: HashMap::new(),
            policies: HashMap::new(),
            running: HashSet::new(),
        }
    }

    /// The pools over which a pass begins now, the one that has been due for longest first. Forgets the pools that
    /// are not among `looked_at`.
    pub(super) fn due(&mut self, board: &LookBoard, looked_at: Vec<PoolId>) -> Vec<PoolId> {
        let now = Instant::now();
        let looked_at: HashSet<_> = looked_at.into_iter().collect();
        self.by_id.retain(|pool, _| looked_at.contains(pool));
        self.habits.retain(|id, _| looked_at.contains(&id.pool));
        self.policies.retain(|id, _| looked_at.contains(&id.pool));
        board.retain_pools(|pool| looked_at.contains(pool));
        for pool in looked_at {
            board.began_to_look(&pool);
            self.by_id.entry(pool).or_insert(Pool {
                due: now,
                patience: NOBODY_YET,
                has_failed: false,
            });
        }
        let is_running = |pool: &PoolId| self.running.iter().any(|id| id.pool == *pool);
        let mut due: Vec<_> = self
            .by_id
            .iter()
            .filter(|(_, pool)| pool.due <= now)
            .collect();
        due.sort_by_key(|(_, pool)| (pool.has_failed, pool.due));
        let has_failed = |pool: &PoolId| self.by_id.get(pool).is_some_and(|it| it.has_failed);
        let failing = self
            .running
            .iter()
            .filter(|id| has_failed(&id.pool))
            .count();
        let mut room = PASSES_MAX.saturating_sub(self.running.len());
        let mut failing_room = FAILING_PASSES_MAX.saturating_sub(failing);
        let mut begin = Vec::new();
        for (id, pool) in due {
            if room == 0 || is_running(id) {
                continue;
            }
            if pool.has_failed {
                if failing_room == 0 {
                    continue;
                }
                failing_room -= 1;
            }
            room -= 1;
            begin.push(id.clone());
        }
        for id in &begin {
            if let Some(pool) = self.by_id.get_mut(id) {
                pool.due = now + pool.patience;
                pool.patience = (2 * pool.patience).min(NOBODY_MAX);
            }
        }
        begin
    }

    /// The validity of temporary passwords by the last read; None if that is too old, or was never made.
    pub(super) fn validity(&self, id: &Arc<PassId>) -> Option<Validity> {
        let (at, validity) = self.policies.get(id)?;
        (at.elapsed() < POLICY_FRESH).then_some(*validity)
    }

    /// Notes the validity of temporary passwords.
    pub(super) fn read(&mut self, id: &Arc<PassId>, validity: Validity) {
        self.policies.insert(id.clone(), (Instant::now(), validity));
    }

    /// Notes that a pass begins, and returns its habit.
    pub(super) fn begun(&mut self, id: &Arc<PassId>) -> Habit {
        self.running.insert(id.clone());
        if let Some(pool) = self.by_id.get_mut(&id.pool) {
            pool.due = Instant::now() + self.interval;
            pool.patience = NOBODY_YET;
        }
        self.habits.get(id).copied().unwrap_or_default()
    }

    /// Notes the end of a pass. None: the pass was not complete.
    pub(super) fn ended(&mut self, id: &Arc<PassId>, habit: Option<Habit>) {
        self.running.remove(id);
        if let Some(pool) = self.by_id.get_mut(&id.pool) {
            pool.has_failed = habit.is_none();
            if pool.has_failed {
                pool.due = pool.due.min(Instant::now() + self.interval / FAILED_SHARE);
            }
        }
        if let Some(habit) = habit {
            self.habits.insert(id.clone(), habit);
        }
    }
}

/// A resource whose user can be looked at.
pub(super) struct Candidate {
    pub(super) id: Arc<PassId>,
    pub(super) wanted: Wanted<Key>,
    /// Whether a pass looks at the user: the last set is old enough, and no guard holds the first set back.
    is_for_passes: bool,
}

/// The user to look at for this resource. None if the operator doesn't look at the user now.
pub(super) fn candidate<C: Cognito>(context: &Context<C>, key: &Key) -> Option<Candidate> {
    let stored = context.index().resource(key)?;
    let resource = context.memory.freshest(key, stored);
    let snapshot = Snapshot::new(context, key, resource.clone());
    let drift = resource.spec.drift.unwrap_or(context.drift);
    if drift == Drift::Ignore || resource.spec.suspend {
        return None;
    }
    let target = snapshot.target()?;
    let Admission::Granted(authority) = snapshot.admission(context) else {
        return None;
    };
    if snapshot.older_resource(context).is_some() {
        return None;
    }
    // The index has the same text already.
    let known = context.index().target(key).filter(|it| it == target);
    let name = known.as_ref().unwrap_or(target).username.shared();
    let status = resource.status.as_ref();
    let synced = status.and_then(|status| status.synced.as_ref());
    let attempt = status.and_then(|status| status.attempt.as_ref());
    let is_old = |at: Timestamp| Timestamp::now().duration_since(at) > MARGIN;
    let is_about_user = status
        .and_then(Status::ready_reason)
        .is_some_and(Reason::is_about_user);
    let is_for_passes = synced.is_some_and(|synced| is_old(synced.at.0))
        && (attempt.is_none_or(|attempt| is_old(attempt.started_at.0)) || is_about_user);
    Some(Candidate {
        id: Arc::new(PassId {
            authority,
            pool: target.pool.clone(),
        }),
        wanted: Wanted {
            key: key.clone(),
            name,
            found_as: status
                .and_then(|status| status.found_as.as_deref())
                .filter(|it| *it != target.username.as_str())
                .map(Into::into),
        },
        is_for_passes,
    })
}

/// The users that a pass over this pool looks for, by authority.
pub(super) async fn collect<C: Cognito>(
    context: &Context<C>,
    pool: &PoolId,
) -> HashMap<PassId, Vec<Wanted<Key>>> {
    let keys = context.index().looked_at(pool);
    let mut wanted: HashMap<PassId, Vec<Wanted<Key>>> = HashMap::new();
    let mut pace = Pace::new();
    for key in keys {
        let find = || candidate(context, &key);
        let found = context.isolated(&key, "finding a user to look at", find);
        if let Some(found) = found.flatten().filter(|found| found.is_for_passes)
            && let Some(id) = Arc::into_inner(found.id)
        {
            wanted.entry(id).or_default().push(found.wanted);
        }
        pace.step().await;
    }
    wanted
}
