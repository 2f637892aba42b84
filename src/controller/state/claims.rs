//! The claims: which resources name which user. Of the admitted resources, the most senior one manages the
//! user. If the manager is deleted or is no longer admitted, the next in seniority manages the user.
//!
//! The index is synchronous: each change returns the affected resources, which are to be decided on again.
//!
//! A tenant who may create resources can create thousands for one user. So the costs are bounded:
//!
//! - An operation takes O(log n) in the number of resources for a user.
//! - A resource that is not admitted is in no ordered set of the user.
//! - If more than 32 admitted resources claim the user, a change of the manager wakes only the new and the
//!   former manager at once. The messages of the other claimants name the manager, so these claimants are
//!   woken later, in portions: see [`Claims::take_stale`].

use super::{compact_record::Text, key::Key, small_set::SmallSet};
use crate::{
    api::CognitoUserPassword,
    core::names::target::{PoolId, Target, User},
};
use jiff::Timestamp;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

/// A change of the manager wakes all admitted claimants of the user at once if there are at most this many.
const WOKEN_AT_ONCE: usize = 32;

/// All claims, by user and by resource; see the module.
#[derive(Default)]
pub struct Claims {
    users: HashMap<User, Claimants>,
    resources: HashMap<Key, ClaimantEntry>,
    /// The users whose claimants are still to be woken, each with the last claimant that was woken.
    stale: VecDeque<(User, Option<Claimant>)>,
    /// The users in `stale`, so that no user is in the queue twice.
    is_stale: HashSet<User>,
    /// How many resources of each pool have a user that the operator looks at.
    looked_at: HashMap<PoolId, usize>,
}

/// The claimants of one user.
#[derive(Default)]
struct Claimants {
    /// The admitted claimants, the most senior first.
    admitted: SmallSet<Claimant>,
    /// When each resource last set the user's password, or tried to with an unknown outcome.
    acts: SmallSet<(Timestamp, Key)>,
}

/// The claim of one resource for one user. User and seniority never change for one object. If a resource is
/// deleted and created again under its name, the new object has another claim. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Claim(Arc<Terms>);

/// Ordered by seniority first: the most senior claim is the least.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Terms {
    seniority: Seniority,
    target: Target,
}

/// The age of a claim: creation time, then uid. The smaller seniority is the older claim.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Seniority {
    /// When the API server made the resource, in whole seconds: two resources may have the same time.
    pub(crate) created: Timestamp,
    /// The uid of the resource breaks ties. [`Text`] orders uuids like their texts.
    pub(crate) uid: Text,
}

/// One admitted resource in the set of its user. The claim alone gives the order; the key names the
/// resource.
type Claimant = (Claim, Key);

/// The claim of a resource, and whether the claim counts.
struct ClaimantEntry {
    claim: Claim,
    /// Whether the grants admit the resource. A resource that is not admitted keeps no other from the user.
    admitted: bool,
    /// Whether the operator looks at the user, as far as the spec says. Takes no memory: `admitted` leaves
    /// seven bytes unused.
    is_looked_at: bool,
}

impl Claim {
    /// The claim of a resource, or `None` if pool or username is invalid.
    #[must_use]
    pub fn of(resource: &CognitoUserPassword) -> Option<Self> {
        let spec = &resource.spec;
        let target = Target::parse(&spec.user_pool_id, &spec.username).ok()?;
        let metadata = &resource.metadata;
        let created = metadata.creation_timestamp.as_ref();
        let created = created.map_or(Timestamp::MAX, |created| created.0);
        let uid = Text::of(metadata.uid.as_deref().unwrap_or_default());
        Some(Self::new(target, Seniority { created, uid }))
    }

    pub(crate) fn new(target: Target, seniority: Seniority) -> Self {
        Self(Arc::new(Terms { seniority, target }))
    }

    /// The same claim with a clone of `pool`, so that all claims for a pool share one allocation of its id.
    #[must_use]
    pub fn sharing(self, pool: &PoolId) -> Self {
        let Terms { seniority, target } = &*self.0;
        let target = Target {
            pool: pool.clone(),
            username: target.username.clone(),
        };
        Self::new(target, seniority.clone())
    }

    /// The pool and username that are claimed.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.0.target
    }

    fn user(&self) -> User {
        self.target().user()
    }
}

impl Claims {
    /// Sets or removes the claim of a resource. Returns the affected resources: other claimants of a user
    /// whose manager changed. Of more than 32 claimants, these are only the new and the former manager.
    pub fn apply(&mut self, resource: &Key, claim: Option<Claim>, admitted: bool) -> Vec<Key> {
        let known = self.resources.get(resource);
        if known.map(|it| (&it.claim, it.admitted)) == claim.as_ref().map(|it| (it, admitted)) {
            return Vec::new();
        }
        let mut affected = self.remove(resource);
        if let Some(claim) = claim {
            let user = claim.user();
            let entry = ClaimantEntry {
                claim,
                admitted,
                is_looked_at: false,
            };
            affected.extend(self.change(&user, resource, |claims| {
                if entry.admitted {
                    let claimants = claims.users.entry(user.clone()).or_default();
                    let claimant = (entry.claim.clone(), resource.clone());
                    claimants.admitted.insert(claimant);
                }
                claims.resources.insert(resource.clone(), entry);
            }));
        }
        affected
    }

    /// Removes a resource. Returns the affected resources, as [`apply`](Self::apply) does.
    pub fn remove(&mut self, resource: &Key) -> Vec<Key> {
        let Some(user) = self.resources.get(resource).map(|it| it.claim.user()) else {
            return Vec::new();
        };
        self.look_at(resource, false);
        self.change(&user, resource, |claims| {
            let entry = claims.resources.remove(resource);
            if let (Some(entry), Some(claimants)) = (entry, claims.users.get_mut(&user)) {
                let claimant = (entry.claim, resource.clone());
                claimants.admitted.remove(&claimant);
                claimants.forget_acts(resource);
            }
        })
    }

    /// Notes whether the grants admit the resource. Returns the affected resources, as
    /// [`apply`](Self::apply) does.
    pub fn admit(&mut self, resource: &Key, admitted: bool) -> Vec<Key> {
        let Some(entry) = self.resources.get_mut(resource) else {
            return Vec::new();
        };
        entry.admitted = admitted;
        let user = entry.claim.user();
        let claimant = (entry.claim.clone(), resource.clone());
        self.change(&user, resource, |claims| {
            let claimants = claims.users.entry(user.clone()).or_default();
            if admitted {
                claimants.admitted.insert(claimant);
            } else {
                claimants.admitted.remove(&claimant);
            }
        })
    }

    /// Replaces the times at which a resource set its user's password, and tried to with an unknown
    /// outcome, as returned by [`sent`](super::compact_record::sent).
    pub fn acted(&mut self, resource: &Key, acts: [Option<Timestamp>; 2]) {
        let Some(entry) = self.resources.get(resource) else {
            return;
        };
        let user = entry.claim.user();
        if acts == [None; 2] && !self.users.contains_key(&user) {
            return;
        }
        let claimants = self.users.entry(user.clone()).or_default();
        claimants.forget_acts(resource);
        for at in acts.into_iter().flatten() {
            claimants.acts.insert((at, resource.clone()));
        }
        self.forget_empty(&user);
    }

    /// Notes whether the operator looks at the user of this resource. A new claim begins without looks.
    pub fn look_at(&mut self, resource: &Key, is_looked_at: bool) {
        let Some(entry) = self.resources.get_mut(resource) else {
            return;
        };
        if entry.is_looked_at == is_looked_at {
            return;
        }
        entry.is_looked_at = is_looked_at;
        let pool = &entry.claim.target().pool;
        let count = self.looked_at.entry(pool.clone()).or_default();
        if is_looked_at {
            *count += 1;
            return;
        }
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.looked_at.remove(pool);
        }
    }

    /// The user that a resource claims.
    pub fn target(&self, resource: &Key) -> Option<&Target> {
        Some(self.resources.get(resource)?.claim.target())
    }

    /// Whether the operator looks at the user of this resource, as far as the spec says.
    #[must_use]
    pub fn is_looked_at(&self, resource: &Key) -> bool {
        let entry = self.resources.get(resource);
        entry.is_some_and(|entry| entry.is_looked_at)
    }

    /// The pools with at least one user that the operator looks at.
    pub fn pools_looked_at(&self) -> impl Iterator<Item = &PoolId> {
        self.looked_at.keys()
    }

    /// The number of entries of each collection, for the gauges.
    pub fn entries(&self) -> [(&'static str, usize); 2] {
        [
            ("claims", self.resources.len()),
            ("users", self.users.len() + self.stale.len()),
        ]
    }

    /// Applies `change`, which resource `by` causes, to the claims for a user. Returns the affected
    /// resources.
    fn change(&mut self, user: &User, by: &Key, change: impl FnOnce(&mut Self)) -> Vec<Key> {
        let before = self.manager(user).cloned();
        change(self);
        let affected = self.affected(user, by, before);
        self.forget_empty(user);
        affected
    }

    /// The resources to decide on again after a change, if the manager changed from `before`.
    fn affected(&mut self, user: &User, by: &Key, before: Option<Key>) -> Vec<Key> {
        let Some(claimants) = self.users.get(user) else {
            return Vec::new();
        };
        let manager = self.manager(user);
        if manager == before.as_ref() {
            return Vec::new();
        }
        let keys = claimants.admitted.iter().map(|(_, key)| key);
        if claimants.admitted.len() <= WOKEN_AT_ONCE {
            return keys.filter(|key| *key != by).cloned().collect();
        }
        // The former manager is a duplicate from now on, and must report that at once.
        let former = before.filter(|key| self.is_admitted(key));
        let affected = manager.cloned().into_iter().chain(former);
        let affected = affected.filter(|key| key != by).collect();
        if self.is_stale.insert(user.clone()) {
            self.stale.push_back((user.clone(), None));
        } else if let Some((_, woken)) = self.stale.iter_mut().find(|(of, _)| of == user) {
            *woken = None;
        }
        affected
    }

    fn forget_empty(&mut self, user: &User) {
        let is_empty = |it: &Claimants| it.admitted.is_empty() && it.acts.is_empty();
        if self.users.get(user).is_some_and(is_empty) {
            self.users.remove(user);
        }
    }

    /// At most `max` claimants of a user whose manager changed. Their messages may name the former manager.
    /// The next calls return the other claimants.
    pub fn take_stale(&mut self, max: usize) -> Vec<Key> {
        let Some((user, woken)) = self.stale.pop_front() else {
            return Vec::new();
        };
        // Remove the user from both collections first. If a line below panics, a later change of the
        // manager can put the user into the queue again.
        self.is_stale.remove(&user);
        let waiting = self.users.get(&user).map(|it| it.admitted.iter());
        let waiting = waiting.into_iter().flatten();
        let next: Vec<_> = waiting
            .skip_while(|claimant| woken.as_ref().is_some_and(|woken| *claimant <= woken))
            .take(max)
            .cloned()
            .collect();
        #[cfg(test)]
        for (_, key) in &next {
            crate::controller::panic_tests::panic_at("stale", key);
        }
        if next.len() == max {
            self.is_stale.insert(user.clone());
            self.stale.push_back((user, next.last().cloned()));
        }
        next.into_iter().map(|(_, key)| key).collect()
    }

    /// Whether [`take_stale`](Self::take_stale) has claimants to return.
    #[must_use]
    pub fn has_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// The most senior admitted resource.
    fn manager(&self, user: &User) -> Option<&Key> {
        let claimants = self.users.get(user)?;
        claimants.admitted.iter().map(|(_, key)| key).next()
    }

    fn is_admitted(&self, resource: &Key) -> bool {
        self.resources.get(resource).is_some_and(|it| it.admitted)
    }

    /// The older resource that manages the user, or `None` if `resource` manages the user itself. A claim
    /// under the same key does not count: it belongs to an earlier object of that name, which has been
    /// deleted.
    #[must_use]
    pub fn older(&self, resource: &Key, claim: &Claim) -> Option<&Key> {
        let claimants = self.users.get(&claim.user())?;
        claimants
            .admitted
            .iter()
            .take_while(|(other, _)| other.0.seniority < claim.0.seniority)
            .map(|(_, key)| key)
            .find(|key| *key != resource)
    }

    /// When a rival last set the user's password, or tried to with an unknown outcome. A time after `now`
    /// comes from another clock and is skipped, so that it hides no earlier time.
    #[must_use]
    pub fn rival_at(&self, resource: &Key, claim: &Claim, now: Timestamp) -> Option<Timestamp> {
        let acts = &self.users.get(&claim.user())?.acts;
        let mut past = acts.iter().rev().filter(|(at, _)| *at <= now);
        past.find(|(_, key)| key != resource).map(|(at, _)| *at)
    }

    /// The resources to decide on again because `resource` set the user, or tried to: the older resource
    /// that manages the user, and every resource that had set the user and is not admitted at the moment.
    /// The value that such a resource had set may be overwritten.
    pub fn affected_by_call(&self, resource: &Key, claim: &Claim) -> impl Iterator<Item = &Key> {
        let claimants = self.users.get(&claim.user());
        let acts = claimants.into_iter().flat_map(|it| it.acts.iter());
        let outside = acts
            .map(|(_, key)| key)
            .filter(move |key| *key != resource && !self.is_admitted(key));
        self.older(resource, claim).into_iter().chain(outside)
    }
}

impl Claimants {
    fn forget_acts(&mut self, resource: &Key) {
        let acts = self.acts.iter().filter(|(_, key)| key == resource);
        let acts: Vec<_> = acts.cloned().collect();
        for act in acts {
            self.acts.remove(&act);
        }
    }
}

#[cfg(test)]
mod tests;
