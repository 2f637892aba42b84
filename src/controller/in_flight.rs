//! One call in flight for a user of a pool, also where two resources name the same one: which of
//! two overlapping calls is applied last, nobody could tell.

use crate::core::target::{PoolId, Target};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Pool and username, case-folded: Cognito's usernames may be case-insensitive.
type User = (PoolId, String);

/// Who is being called for.
#[derive(Clone, Default)]
pub struct InFlight(Arc<Mutex<HashSet<User>>>);

/// The right to call for a user, given back when it is dropped.
pub struct Turn {
    users: InFlight,
    user: User,
}

impl InFlight {
    /// The turn for this user; none while somebody has it.
    #[must_use]
    pub fn enter(&self, target: &Target) -> Option<Turn> {
        let user = (target.pool.clone(), target.username.as_str().to_lowercase());
        self.lock().insert(user.clone()).then(|| Turn {
            users: self.clone(),
            user,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<User>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.users.lock().remove(&self.user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_for_a_user_and_all_at_once_for_others() {
        let target = |user| Target::parse("eu-west-1_a", user).expect("valid");
        let users = InFlight::default();
        let turn = users.enter(&target("Bot"));
        assert!(turn.is_some());
        assert!(users.enter(&target("bot")).is_none());
        assert!(users.enter(&target("other")).is_some());
        drop(turn);
        assert!(users.enter(&target("bot")).is_some());
    }
}
