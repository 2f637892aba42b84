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
#[derive(PartialEq, Eq)]
struct ClaimantEntry {
    claim: Claim,
    /// Whether the grants admit the resource. A resource that is not admitted keeps no other from the user.
    admitted: bool,
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
        let standing = claim.map(|claim| ClaimantEntry { claim, admitted });
        if self.resources.get(resource) == standing.as_ref() {
            return Vec::new();
        }
        let mut affected = self.remove(resource);
        if let Some(standing) = standing {
            let user = standing.claim.user();
            affected.extend(self.change(&user, resource, |claims| {
                if standing.admitted {
                    let claimants = claims.users.entry(user.clone()).or_default();
                    let claimant = (standing.claim.clone(), resource.clone());
                    claimants.admitted.insert(claimant);
                }
                claims.resources.insert(resource.clone(), standing);
            }));
        }
        affected
    }

    /// Removes a resource. Returns the affected resources, as [`apply`](Self::apply) does.
    pub fn remove(&mut self, resource: &Key) -> Vec<Key> {
        let Some(user) = self.resources.get(resource).map(|it| it.claim.user()) else {
            return Vec::new();
        };
        self.change(&user, resource, |claims| {
            let standing = claims.resources.remove(resource);
            if let (Some(standing), Some(claimants)) = (standing, claims.users.get_mut(&user)) {
                let claimant = (standing.claim, resource.clone());
                claimants.admitted.remove(&claimant);
                claimants.forget_acts(resource);
            }
        })
    }

    /// Notes whether the grants admit the resource. Returns the affected resources, as
    /// [`apply`](Self::apply) does.
    pub fn admit(&mut self, resource: &Key, admitted: bool) -> Vec<Key> {
        let Some(standing) = self.resources.get_mut(resource) else {
            return Vec::new();
        };
        standing.admitted = admitted;
        let user = standing.claim.user();
        let claimant = (standing.claim.clone(), resource.clone());
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
        let Some(standing) = self.resources.get(resource) else {
            return;
        };
        let user = standing.claim.user();
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
    pub fn concerned(&self, resource: &Key, claim: &Claim) -> impl Iterator<Item = &Key> {
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
mod tests {
    use super::{super::key::key, *};
    use proptest::prelude::*;

    fn claim(username: &str, created: i64, uid: &str) -> Claim {
        let target = Target::parse("eu-west-1_a", username).expect("valid");
        let created = Timestamp::from_second(created).expect("a time");
        let uid = Text::of(uid);
        Claim::new(target, Seniority { created, uid })
    }

    impl Claims {
        fn is_empty(&self) -> bool {
            self.users.is_empty()
                && self.resources.is_empty()
                && self.stale.is_empty()
                && self.is_stale.is_empty()
        }
    }

    #[test]
    fn the_oldest_manages_the_user_and_then_the_lower_uid() {
        let mut claims = Claims::default();
        let young = claim("bot", 2, "a");
        let late = claim("Bot", 1, "c");
        let old = claim("BOT", 1, "b");
        assert_eq!(claims.apply(&key("young"), Some(young.clone()), true), []);
        assert_eq!(claims.older(&key("young"), &young), None);
        assert_eq!(
            claims.apply(&key("late"), Some(late.clone()), true),
            [key("young")]
        );
        let affected = claims.apply(&key("old"), Some(old.clone()), true);
        assert_eq!(affected, [key("late"), key("young")]);
        assert_eq!(claims.older(&key("old"), &old), None);
        assert_eq!(claims.older(&key("late"), &late), Some(&key("old")));
        assert_eq!(claims.older(&key("young"), &young), Some(&key("old")));
        assert_eq!(
            claims.apply(&key("old"), Some(old), true),
            [],
            "known already"
        );
    }

    #[test]
    fn a_younger_one_disturbs_nobody_neither_when_it_comes_nor_when_it_goes() {
        let mut claims = Claims::default();
        claims.apply(&key("old"), Some(claim("bot", 1, "a")), true);
        assert_eq!(
            claims.apply(&key("young"), Some(claim("bot", 2, "b")), true),
            []
        );
        assert_eq!(claims.remove(&key("young")), []);
        assert_eq!(
            claims.apply(&key("other"), Some(claim("other", 0, "c")), true),
            []
        );
    }

    #[test]
    fn when_the_oldest_goes_the_others_are_looked_at() {
        let mut claims = Claims::default();
        let next = claim("bot", 2, "b");
        claims.apply(&key("old"), Some(claim("bot", 1, "a")), true);
        claims.apply(&key("next"), Some(next.clone()), true);
        claims.apply(&key("last"), Some(claim("bot", 3, "c")), true);
        assert_eq!(claims.remove(&key("old")), [key("next"), key("last")]);
        assert_eq!(claims.older(&key("next"), &next), None);
    }

    #[test]
    fn one_made_anew_under_its_name_leaves_its_former_user_and_its_age() {
        let mut claims = Claims::default();
        let former = claim("bot", 1, "a");
        let waiting = claim("bot", 2, "b");
        claims.apply(&key("old"), Some(former), true);
        claims.apply(&key("waiting"), Some(waiting.clone()), true);
        // The watch skips the deletion and shows only the new object, which names another user.
        let anew = claim("other", 3, "c");
        let affected = claims.apply(&key("old"), Some(anew.clone()), true);
        assert_eq!(affected, [key("waiting")]);
        assert_eq!(claims.older(&key("waiting"), &waiting), None);
        assert_eq!(claims.older(&key("old"), &anew), None);
        // The object is created anew once more, for the first user.
        let again = claim("bot", 4, "d");
        assert_eq!(claims.apply(&key("old"), Some(again.clone()), true), []);
        assert_eq!(claims.older(&key("old"), &again), Some(&key("waiting")));
    }

    #[test]
    fn one_made_anew_is_no_duplicate_of_itself() {
        let mut claims = Claims::default();
        claims.apply(&key("bot"), Some(claim("bot", 1, "a")), true);
        // The caller has read the new object; the watch still shows the former one.
        assert_eq!(claims.older(&key("bot"), &claim("bot", 2, "b")), None);
    }

    #[test]
    fn one_that_can_no_longer_be_a_claim_lets_go() {
        let mut claims = Claims::default();
        claims.apply(&key("old"), Some(claim("bot", 1, "a")), true);
        claims.apply(&key("next"), Some(claim("bot", 2, "b")), true);
        assert_eq!(claims.apply(&key("old"), None, true), [key("next")]);
    }

    #[test]
    fn whoever_is_not_let_in_costs_the_manager_nothing() {
        let mut claims = Claims::default();
        let manager = claim("bot", 9_999, "m");
        claims.apply(&key("manager"), Some(manager.clone()), true);
        for n in 0..5_000 {
            let older = claim("bot", n, &format!("{n:05}"));
            let affected = claims.apply(&key(&format!("r{n}")), Some(older), false);
            assert_eq!(affected, []);
        }
        let user = manager.user();
        assert_eq!(claims.users[&user].admitted.len(), 1);
        assert_eq!(claims.older(&key("manager"), &manager), None);
        assert_eq!(claims.concerned(&key("manager"), &manager).count(), 0);
        assert_eq!(claims.admit(&key("r7"), true), [key("manager")]);
        assert_eq!(claims.older(&key("manager"), &manager), Some(&key("r7")));
        assert_eq!(claims.remove(&key("r7")), [key("manager")]);
    }

    #[test]
    fn of_many_that_wait_few_are_woken_at_once_and_each_of_the_others_once_by_and_by() {
        let mut claims = Claims::default();
        for n in 0..500 {
            let it = claim("bot", n, &format!("{n:05}"));
            claims.apply(&key(&format!("r{n:03}")), Some(it), true);
        }
        while claims.has_stale() {
            claims.take_stale(64);
        }
        assert_eq!(claims.remove(&key("r000")), [key("r001")]);
        assert_eq!(claims.take_stale(100).len(), 100);
        // A change of the manager restarts the portions.
        assert_eq!(claims.remove(&key("r001")), [key("r002")]);
        let mut woken = Vec::new();
        while claims.has_stale() {
            woken.extend(claims.take_stale(64));
        }
        let all: Vec<_> = (2..500).map(|n| key(&format!("r{n:03}"))).collect();
        assert_eq!(woken, all);
    }

    #[test]
    fn when_a_rival_acted_is_known_whatever_clocks_say() {
        let mut claims = Claims::default();
        let [one, two] = [claim("bot", 1, "a"), claim("bot", 2, "b")];
        claims.apply(&key("one"), Some(one.clone()), true);
        claims.apply(&key("two"), Some(two), true);
        let at = |second| Timestamp::from_second(second).expect("a time");
        let rival_at = |claims: &Claims| claims.rival_at(&key("one"), &one, at(100));
        claims.acted(&key("one"), [Some(at(99)), Some(at(98))]);
        assert_eq!(rival_at(&claims), None);
        claims.acted(&key("two"), [Some(at(50)), Some(at(500))]);
        assert_eq!(rival_at(&claims), Some(at(50)), "not what is to come");
        claims.acted(&key("two"), [Some(at(60)), None]);
        assert_eq!(rival_at(&claims), Some(at(60)));
        // The acts of `two` still count after `two` lost its admission, and `two` must learn of acts of
        // others.
        claims.admit(&key("two"), false);
        assert_eq!(rival_at(&claims), Some(at(60)));
        let concerned: Vec<_> = claims.concerned(&key("one"), &one).collect();
        assert_eq!(concerned, [&key("two")]);
        claims.remove(&key("two"));
        assert_eq!(rival_at(&claims), None);
        claims.remove(&key("one"));
        assert!(claims.is_empty());
    }

    proptest! {
        /// Compares the index with a scan of all resources after each event.
        #[test]
        fn whoever_manages_a_user_is_known_and_told(
            events in proptest::collection::vec((0_u8..5, proptest::option::of((0_u8..2, 0_i64..4))), 1..40)
        ) {
            let mut claims = Claims::default();
            let mut there: HashMap<Key, Claim> = HashMap::new();
            let manager = |there: &HashMap<Key, Claim>, of: &Claim| {
                let rivals = there.iter().filter(|(_, it)| it.user() == of.user());
                rivals.min_by_key(|(_, it)| it.0.seniority.clone()).map(|(key, _)| key.clone())
            };
            for (number, (name, what)) in events.into_iter().enumerate() {
                let name = key(&format!("r{name}"));
                let claimed = what.map(|(user, created)| claim(&format!("u{user}"), created, &format!("{number:02}")));
                let before = there.clone();
                let affected = if let Some(claimed) = &claimed {
                    there.insert(name.clone(), claimed.clone());
                    claims.apply(&name, Some(claimed.clone()), true)
                } else {
                    there.remove(&name);
                    claims.remove(&name)
                };
                for (resource, claim) in &there {
                    let now = manager(&there, claim).filter(|manager| manager != resource);
                    prop_assert_eq!(claims.older(resource, claim), now.as_ref());
                    let was = manager(&before, claim);
                    // The caller decides on the changed resource itself in any case.
                    if was != manager(&there, claim) && *resource != name {
                        prop_assert!(affected.contains(resource), "{} wasn't told", resource);
                    }
                }
            }
            for name in 0..5 {
                claims.remove(&key(&format!("r{name}")));
            }
            prop_assert!(claims.is_empty(), "something is left behind");
        }
    }

    proptest! {
        #[test]
        fn of_two_resources_made_in_one_second_the_uids_texts_tell_which_is_older(
            [one, other] in proptest::array::uniform2("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
        ) {
            let seniority = |uid: &str| Seniority {
                created: Timestamp::UNIX_EPOCH,
                uid: Text::of(uid),
            };
            prop_assert_eq!(seniority(&one).cmp(&seniority(&other)), one.cmp(&other));
        }
    }
}
