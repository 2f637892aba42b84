//! Which resources claim which user: of two for one user that are let in the oldest manages it, and
//! when it goes, or is let in no longer, the next oldest. A synchronous index: it is told what there is
//! and answers with the resources to look at.

use super::{few::Few, key::Key, packed::Text};
use crate::{
    api::CognitoUserPassword,
    core::target::{PoolId, Target, User},
};
use jiff::Timestamp;
use std::{collections::HashMap, sync::Arc};

/// See the module.
#[derive(Default)]
pub struct Claims {
    /// Oldest first, let in or not.
    users: HashMap<User, Few<Claimant>>,
    resources: HashMap<Key, Standing>,
}

/// A resource's claim on its user. Both are immutable in one object; under one name they change
/// when it is deleted and made anew. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Claim(Arc<Terms>);

/// Older ones come first.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Terms {
    seniority: Seniority,
    target: Target,
}

/// In this order: the API server's creation times are whole seconds, and uids are unique.
pub(super) type Seniority = (Timestamp, Text);

/// A resource among those that claim one user; the key only tells which it is.
type Claimant = (Claim, Key);

/// Where a resource stands.
#[derive(PartialEq, Eq)]
struct Standing {
    claim: Claim,
    /// Whether the grants let it in: whoever they don't, keeps nobody else from managing the user.
    admitted: bool,
}

impl Claim {
    /// The claim of a resource; none if it names no user that there could be.
    #[must_use]
    pub fn of(resource: &CognitoUserPassword) -> Option<Self> {
        let spec = &resource.spec;
        let target = Target::parse(&spec.user_pool_id, &spec.username).ok()?;
        let metadata = &resource.metadata;
        let created = metadata.creation_timestamp.as_ref();
        let created = created.map_or(Timestamp::MAX, |created| created.0);
        let uid = Text::of(metadata.uid.as_deref().unwrap_or_default());
        Some(Self::new(target, (created, uid)))
    }

    pub(super) fn new(target: Target, seniority: Seniority) -> Self {
        Self(Arc::new(Terms { seniority, target }))
    }

    /// The same; the pool's id in a place where others have it, too.
    #[must_use]
    pub fn sharing(self, pool: &PoolId) -> Self {
        let Terms { seniority, target } = &*self.0;
        let target = Target {
            pool: pool.clone(),
            username: target.username.clone(),
        };
        Self::new(target, seniority.clone())
    }

    /// Who is claimed.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.0.target
    }

    fn user(&self) -> User {
        self.target().user()
    }
}

impl Claims {
    /// A resource is there, with this claim or without one. Answers with the resources to look at:
    /// all others of a user who is managed by another one now.
    pub fn apply(&mut self, resource: &Key, claim: Option<Claim>, admitted: bool) -> Vec<Key> {
        let standing = claim.map(|claim| Standing { claim, admitted });
        if self.resources.get(resource) == standing.as_ref() {
            return Vec::new();
        }
        let mut affected = self.remove(resource);
        if let Some(standing) = standing {
            let user = standing.claim.user();
            affected.extend(self.change(&user, resource, |claims| {
                let claimants = claims.users.entry(user.clone()).or_default();
                claimants.insert((standing.claim.clone(), resource.clone()));
                claims.resources.insert(resource.clone(), standing);
            }));
        }
        affected
    }

    /// A resource is gone. Answers with the resources to look at, as [`apply`](Self::apply) does.
    pub fn remove(&mut self, resource: &Key) -> Vec<Key> {
        let Some(user) = self.resources.get(resource).map(|it| it.claim.user()) else {
            return Vec::new();
        };
        self.change(&user, resource, |claims| {
            let standing = claims.resources.remove(resource);
            if let (Some(standing), Some(claimants)) = (standing, claims.users.get_mut(&user)) {
                claimants.remove(&(standing.claim, resource.clone()));
                if claimants.is_empty() {
                    claims.users.remove(&user);
                }
            }
        })
    }

    /// The grants let a resource in, or no longer do. Answers with the resources to look at, as
    /// [`apply`](Self::apply) does.
    pub fn admit(&mut self, resource: &Key, admitted: bool) -> Vec<Key> {
        let Some(user) = self.resources.get(resource).map(|it| it.claim.user()) else {
            return Vec::new();
        };
        self.change(&user, resource, |claims| {
            if let Some(standing) = claims.resources.get_mut(resource) {
                standing.admitted = admitted;
            }
        })
    }

    /// How many entries there are, by what of.
    pub fn entries(&self) -> [(&'static str, usize); 2] {
        [
            ("claims", self.resources.len()),
            ("users", self.users.len()),
        ]
    }

    /// Makes a change to the claims on a user, by one resource.
    fn change(&mut self, user: &User, by: &Key, change: impl FnOnce(&mut Self)) -> Vec<Key> {
        let before = self.managers(user).next().cloned();
        change(self);
        if self.managers(user).next() == before.as_ref() {
            return Vec::new();
        }
        self.managers(user)
            .filter(|key| *key != by)
            .cloned()
            .collect()
    }

    /// Those who are let in, oldest first: the first one manages the user.
    fn managers(&self, user: &User) -> impl Iterator<Item = &Key> {
        let claimants = self.users.get(user).into_iter().flat_map(Few::iter);
        claimants
            .map(|(_, key)| key)
            .filter(|key| self.is_admitted(key))
    }

    fn is_admitted(&self, resource: &Key) -> bool {
        self.resources.get(resource).is_some_and(|it| it.admitted)
    }

    /// The resource that manages the user instead of this one, if it isn't this one itself. What
    /// is known of an earlier one of the same name doesn't count: it is gone.
    #[must_use]
    pub fn older(&self, resource: &Key, claim: &Claim) -> Option<&Key> {
        self.users
            .get(&claim.user())?
            .iter()
            .take_while(|(other, _)| other.0.seniority < claim.0.seniority)
            .map(|(_, key)| key)
            .find(|key| *key != resource && self.is_admitted(key))
    }

    /// Who must know of what this resource did: the older one that manages its user, and those who
    /// aren't let in at the moment, because what they did counts no longer.
    pub fn concerned(&self, resource: &Key, claim: &Claim) -> impl Iterator<Item = &Key> {
        let outside = self
            .rivals(resource, claim)
            .filter(|key| !self.is_admitted(key));
        self.older(resource, claim).into_iter().chain(outside)
    }

    /// The other resources for the same user.
    pub fn rivals(&self, resource: &Key, claim: &Claim) -> impl Iterator<Item = &Key> {
        let claimants = self.users.get(&claim.user());
        let claimants = claimants.into_iter().flat_map(Few::iter);
        claimants
            .map(|(_, key)| key)
            .filter(move |key| *key != resource)
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::key;
    use super::*;
    use proptest::prelude::*;

    fn claim(username: &str, created: i64, uid: &str) -> Claim {
        let target = Target::parse("eu-west-1_a", username).expect("valid");
        let created = Timestamp::from_second(created).expect("a time");
        Claim::new(target, (created, Text::of(uid)))
    }

    impl Claims {
        fn is_empty(&self) -> bool {
            self.users.is_empty() && self.resources.is_empty()
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
        let rivals: Vec<_> = claims.rivals(&key("late"), &late).collect();
        assert_eq!(rivals, [&key("old"), &key("young")]);
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
        // Only the later event is seen: of another user.
        let anew = claim("other", 3, "c");
        let affected = claims.apply(&key("old"), Some(anew.clone()), true);
        assert_eq!(affected, [key("waiting")]);
        assert_eq!(claims.older(&key("waiting"), &waiting), None);
        assert_eq!(claims.older(&key("old"), &anew), None);
        // And again, of the first user.
        let again = claim("bot", 4, "d");
        assert_eq!(claims.apply(&key("old"), Some(again.clone()), true), []);
        assert_eq!(claims.older(&key("old"), &again), Some(&key("waiting")));
    }

    #[test]
    fn one_made_anew_is_no_duplicate_of_itself() {
        let mut claims = Claims::default();
        claims.apply(&key("bot"), Some(claim("bot", 1, "a")), true);
        // It was read; the watch hasn't told of it yet.
        assert_eq!(claims.older(&key("bot"), &claim("bot", 2, "b")), None);
    }

    #[test]
    fn one_that_can_no_longer_be_a_claim_lets_go() {
        let mut claims = Claims::default();
        claims.apply(&key("old"), Some(claim("bot", 1, "a")), true);
        claims.apply(&key("next"), Some(claim("bot", 2, "b")), true);
        assert_eq!(claims.apply(&key("old"), None, true), [key("next")]);
    }

    proptest! {
        /// Held against the plain way: all that there is, looked through each time.
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
                    // The one that this is about is looked at in any case.
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
}
