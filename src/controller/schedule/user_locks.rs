//! User locks: at most one call is in flight for a user of a pool, also if two resources name the same user.
//! Of two overlapping calls, nobody could tell which call Cognito applies last.
//!
//! A call without a reply may land later. Until that is ruled out, no other resource sends a different value
//! for the same user. The status of the same resource delays that resource's own next value.
//!
//! The locks are in memory only. After a restart, the status of each existing resource shows the calls
//! without a reply.

use crate::core::{
    names::target::{Target, User},
    protocol::quarantine::QUARANTINE,
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The locks of all users. Cheap to clone.
#[derive(Clone, Default)]
pub struct UserLocks(Arc<Mutex<Users>>);

/// The users with a call in flight, and the users with calls that may still land.
#[derive(Default)]
struct Users {
    busy: HashSet<User>,
    lost: HashMap<User, Vec<LostCall>>,
}

/// A call that got no reply.
struct LostCall {
    sent: CallIdentity,
    /// The time after which the call can no longer land.
    until: Instant,
}

/// The resource and the value of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallIdentity {
    /// The uid of the resource that sends the value.
    pub uid: String,
    /// The fingerprint of the value.
    pub fingerprint: String,
}

/// Why a user cannot be locked now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockError {
    /// A call for this user is in flight.
    Busy,
    /// A lost call of another resource may still land, for this long.
    Landing(Duration),
}

/// The right to call for a user, until this value is dropped. A call that has begun and is not answered by
/// then counts as lost.
pub struct UserLock {
    users: UserLocks,
    user: User,
    sent: CallIdentity,
    began: Option<Instant>,
}

impl UserLocks {
    /// Locks a user.
    ///
    /// # Errors
    /// [`LockError`]
    pub fn enter(
        &self,
        target: &Target,
        sent: CallIdentity,
        now: Instant,
    ) -> Result<UserLock, LockError> {
        let user = target.user();
        self.lock().enter(&user, &sent, now)?;
        Ok(UserLock {
            users: self.clone(),
            user,
            sent,
            began: None,
        })
    }

    /// The number of users with a call in flight, plus the number of users with calls that may still land.
    #[must_use]
    pub fn len(&self, now: Instant) -> usize {
        let mut users = self.lock();
        users.forget_landed(now);
        users.busy.len() + users.lost.len()
    }

    fn lock(&self) -> MutexGuard<'_, Users> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UserLock {
    /// Marks that the call begins now.
    pub fn begin(&mut self, now: Instant) {
        self.began = Some(now);
    }

    /// Marks that the call can no longer land: a reply came, or the call was never sent.
    pub fn answered(&mut self) {
        self.began = None;
    }
}

impl Drop for UserLock {
    fn drop(&mut self) {
        let lost = self.began.map(|began| LostCall {
            sent: self.sent.clone(),
            until: began + QUARANTINE.unsigned_abs(),
        });
        self.users.lock().leave(&self.user, lost);
    }
}

impl Users {
    fn enter(&mut self, user: &User, sent: &CallIdentity, now: Instant) -> Result<(), LockError> {
        self.forget_landed(now);
        if self.busy.contains(user) {
            return Err(LockError::Busy);
        }
        let lost = self.lost.get(user).into_iter().flatten();
        let others = lost
            .filter(|call| call.sent.uid != sent.uid && call.sent.fingerprint != sent.fingerprint);
        if let Some(until) = others.map(|call| call.until).max() {
            return Err(LockError::Landing(until - now));
        }
        self.busy.insert(user.clone());
        Ok(())
    }

    fn forget_landed(&mut self, now: Instant) {
        self.lost.retain(|_, calls| {
            calls.retain(|call| call.until > now);
            !calls.is_empty()
        });
    }

    fn leave(&mut self, user: &User, lost: Option<LostCall>) {
        self.busy.remove(user);
        if let Some(lost) = lost {
            self.lost.entry(user.clone()).or_default().push(lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVER: Duration = QUARANTINE.unsigned_abs();

    fn target(username: &str) -> Target {
        Target::parse("eu-west-1_a", username).expect("valid")
    }

    fn sent(uid: &str, fingerprint: &str) -> CallIdentity {
        CallIdentity {
            uid: uid.to_owned(),
            fingerprint: fingerprint.to_owned(),
        }
    }

    /// The error of locking the user for `later`, after a call of `first` was lost.
    fn after_loss(first: CallIdentity, later: CallIdentity, after: Duration) -> Option<LockError> {
        let users = UserLocks::default();
        let start = Instant::now();
        let mut lock = users.enter(&target("bot"), first, start).expect("free");
        lock.begin(start);
        drop(lock);
        users.enter(&target("Bot"), later, start + after).err()
    }

    #[test]
    fn one_call_at_a_time_per_user_and_calls_for_other_users_at_once() {
        let now = Instant::now();
        let users = UserLocks::default();
        let enter = |username| users.enter(&target(username), sent("a", "x"), now);
        let lock = enter("Bot");
        assert!(lock.is_ok());
        assert_eq!(enter("bot").err(), Some(LockError::Busy));
        assert!(enter("other").is_ok());
        drop(lock);
        assert!(enter("bot").is_ok());
    }

    #[test]
    fn a_different_value_of_another_resource_waits_until_a_lost_call_can_no_longer_land() {
        let later = Duration::from_secs(10);
        let (first, other) = (sent("a", "x"), sent("b", "y"));
        assert_eq!(
            after_loss(first.clone(), other.clone(), later),
            Some(LockError::Landing(Duration::from_secs(20)))
        );
        assert_eq!(after_loss(first.clone(), other, OVER), None);
        assert_eq!(
            after_loss(first.clone(), sent("b", "x"), later),
            None,
            "the same value does no harm"
        );
        assert_eq!(
            after_loss(first, sent("a", "y"), later),
            None,
            "its own status sees to that"
        );
    }

    #[test]
    fn an_answered_or_unsent_call_delays_no_other_resource() {
        let now = Instant::now();
        let users = UserLocks::default();
        let enter = |uid| users.enter(&target("bot"), sent(uid, uid), now);
        drop(enter("a"));
        let mut lock = enter("b").expect("nothing was sent");
        lock.begin(now);
        lock.answered();
        drop(lock);
        assert!(enter("c").is_ok());
    }

    #[test]
    fn the_last_of_several_lost_calls_counts_and_none_is_kept_for_ever() {
        let users = UserLocks::default();
        let start = Instant::now();
        for (uid, second) in [("a", 0), ("a", 5), ("a", 2)] {
            let at = start + Duration::from_secs(second);
            let lock = users.enter(&target("bot"), sent(uid, "x"), at);
            lock.expect("its own").begin(at);
        }
        let enter = |at| users.enter(&target("bot"), sent("b", "y"), at);
        let waits = enter(start + Duration::from_secs(30)).err();
        assert_eq!(waits, Some(LockError::Landing(Duration::from_secs(5))));
        assert!(enter(start + Duration::from_secs(35)).is_ok());
        assert!(users.lock().lost.is_empty());
    }
}
