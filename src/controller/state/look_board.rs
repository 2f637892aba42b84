//! What looks at users found, and which looks are asked for. A restart forgets all of this.
//!
//! A resource at rest has no entry, so 10,000 resources whose users are as they should be take no memory here.

use super::key::Key;
use crate::core::{
    look::found::{Look, LookFailure, Looks, Validity},
    names::target::PoolId,
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// How many users of one pool may be corrected within [`CORRECTION_WINDOW`].
const CORRECTIONS_MAX: usize = 10;

/// The time in which the corrections of a pool are counted.
const CORRECTION_WINDOW: Duration = Duration::from_hours(1);

/// See the module.
#[derive(Default)]
pub struct LookBoard {
    state: Mutex<State>,
    asked: Notify,
}

#[derive(Default)]
struct State {
    looks: HashMap<Key, Entry>,
    /// The lookups that are asked for, by due time.
    due: BTreeMap<(Instant, u64), Key>,
    places: HashMap<Key, (Instant, u64)>,
    last: u64,
    /// When users were last modified, as this process has reported it.
    modified: HashMap<Key, Timestamp>,
    /// When users of each pool were corrected within the last hour.
    corrections: HashMap<PoolId, VecDeque<Instant>>,
    /// When the last complete pass over each pool began, or when the operator began to look at the pool.
    passes: HashMap<PoolId, Instant>,
}

struct Entry {
    /// The uid of the resource: a resource that was created anew may name another user.
    uid: String,
    looks: Looks,
}

impl LookBoard {
    /// What looks found of the resource's user. Empty if the entry has another uid.
    #[must_use]
    pub fn recall(&self, key: &Key, uid: &str) -> Looks {
        let state = self.lock();
        let entry = state.looks.get(key).filter(|entry| entry.uid == uid);
        entry.map(|entry| entry.looks.clone()).unwrap_or_default()
    }

    /// Adds a look. `validity` is that of temporary passwords in the pool, if the look needed it.
    pub fn add(&self, key: &Key, uid: &str, look: Look, validity: Validity) {
        self.update(key, uid, |looks| {
            looks.add(look);
            if validity != Validity::NotRead {
                looks.validity = validity;
            }
        });
    }

    /// Adds a look that failed.
    pub fn fail(&self, key: &Key, uid: &str, failure: LookFailure) {
        self.update(key, uid, |looks| looks.fail(failure));
    }

    /// Drops what looks found of a resource at rest: the status says all of it.
    pub fn rest(&self, key: &Key) {
        self.lock().looks.remove(key);
    }

    /// Drops everything about a deleted resource.
    pub fn forget(&self, key: &Key) {
        let mut state = self.lock();
        state.looks.remove(key);
        state.modified.remove(key);
        if let Some(place) = state.places.remove(key) {
            state.due.remove(&place);
        }
    }

    /// Remembers when the resource's user was last modified. Returns whether that is news.
    #[must_use]
    pub fn is_news(&self, key: &Key, modified: Timestamp) -> bool {
        let mut state = self.lock();
        state.modified.insert(key.clone(), modified) != Some(modified)
    }

    /// Asks for a lookup of the resource's user after this time. A lookup that is asked for already comes at the
    /// earlier of both times.
    pub fn ask(&self, key: &Key, after: Duration) {
        let mut state = self.lock();
        let at = Instant::now() + after;
        if let Some(place) = state.places.get(key).copied() {
            if place.0 <= at {
                return;
            }
            state.due.remove(&place);
        }
        state.last += 1;
        let place = (at, state.last);
        state.places.insert(key.clone(), place);
        state.due.insert(place, key.clone());
        drop(state);
        self.asked.notify_one();
    }

    /// Waits for the next lookup that is due, and removes the lookup. No lookup is lost if the wait is cancelled.
    pub async fn next_asked(&self) -> Key {
        loop {
            let asked = self.asked.notified();
            let next = {
                let mut state = self.lock();
                match state.due.first_key_value().map(|(place, _)| *place) {
                    Some(place) if place.0 <= Instant::now() => {
                        if let Some(key) = state.due.remove(&place) {
                            state.places.remove(&key);
                            return key;
                        }
                        None
                    }
                    Some(place) => Some(place.0),
                    None => None,
                }
            };
            match next {
                Some(at) => tokio::select! {
                    () = asked => {}
                    () = sleep_until(at) => {}
                },
                None => asked.await,
            }
        }
    }

    /// Whether another user of the pool may be corrected now.
    #[must_use]
    pub fn has_corrections_left(&self, pool: &PoolId) -> bool {
        let mut state = self.lock();
        let Some(times) = state.corrections.get_mut(pool) else {
            return true;
        };
        while times
            .front()
            .is_some_and(|at| at.elapsed() >= CORRECTION_WINDOW)
        {
            times.pop_front();
        }
        let count = times.len();
        if count == 0 {
            state.corrections.remove(pool);
        }
        count < CORRECTIONS_MAX
    }

    /// Counts a correction in the pool that is about to be made. False: there are too many, and none is counted.
    /// Many reconciles decide at the same time, so each of them asks again just before its set.
    #[must_use]
    pub fn begin_correction(&self, pool: &PoolId) -> bool {
        if !self.has_corrections_left(pool) {
            return false;
        }
        let mut state = self.lock();
        let times = state.corrections.entry(pool.clone()).or_default();
        let has_room = times.len() < CORRECTIONS_MAX;
        if has_room {
            times.push_back(Instant::now());
        }
        has_room
    }

    /// Takes back the last correction that was counted, because the set was not made.
    pub fn cancel_correction(&self, pool: &PoolId) {
        if let Some(times) = self.lock().corrections.get_mut(pool) {
            times.pop_back();
        }
    }

    /// Notes that the operator looks at this pool, if that is new.
    pub fn began_to_look(&self, pool: &PoolId) {
        let mut state = self.lock();
        if !state.passes.contains_key(pool) {
            state.passes.insert(pool.clone(), Instant::now());
        }
    }

    /// Notes a complete pass over this pool.
    pub fn passed(&self, pool: &PoolId, began: Instant) {
        self.lock().passes.insert(pool.clone(), began);
    }

    /// How long ago the last complete pass over this pool began.
    #[must_use]
    pub fn age(&self, pool: &PoolId) -> Option<Duration> {
        self.lock().passes.get(pool).map(Instant::elapsed)
    }

    /// Forgets the pools that the operator no longer looks at.
    pub fn retain_pools(&self, is_looked_at: impl Fn(&PoolId) -> bool) {
        self.lock().passes.retain(|pool, _| is_looked_at(pool));
    }

    /// How long ago the oldest of the last complete passes over each pool began. Zero if there is no pool.
    #[must_use]
    pub fn oldest_pass(&self) -> Duration {
        let state = self.lock();
        let oldest = state.passes.values().min();
        oldest.map(Instant::elapsed).unwrap_or_default()
    }

    /// The number of entries of each collection, for the gauges.
    #[must_use]
    pub fn entries(&self) -> [(&'static str, usize); 4] {
        let state = self.lock();
        [
            ("looks", state.looks.len()),
            ("modified_users", state.modified.len()),
            ("asked_looks", state.places.len()),
            ("corrected_pools", state.corrections.len()),
        ]
    }

    fn update(&self, key: &Key, uid: &str, change: impl FnOnce(&mut Looks)) {
        let mut state = self.lock();
        let entry = state.looks.entry(key.clone()).or_insert_with(|| Entry {
            uid: uid.to_owned(),
            looks: Looks::default(),
        });
        if entry.uid != uid {
            uid.clone_into(&mut entry.uid);
            entry.looks = Looks::default();
        }
        change(&mut entry.looks);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No method panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controller::state::key::key,
        core::look::found::{Found, LookKind},
    };
    use futures::FutureExt;
    use tokio::time::{advance, sleep};

    fn look() -> Look {
        Look {
            found: Found::NotFound,
            begun: Timestamp::UNIX_EPOCH,
            kind: LookKind::Lookup,
        }
    }

    #[test]
    fn a_resource_created_anew_begins_without_looks() {
        let board = LookBoard::default();
        board.add(&key("bot"), "old", look(), Validity::NotRead);
        assert!(board.recall(&key("bot"), "old").latest().is_some());
        assert_eq!(board.recall(&key("bot"), "new"), Looks::default());
        board.add(&key("bot"), "new", look(), Validity::Days(3));
        assert_eq!(board.recall(&key("bot"), "new").validity, Validity::Days(3));
        assert_eq!(board.recall(&key("bot"), "old"), Looks::default());
        board.forget(&key("bot"));
        assert_eq!(board.entries().map(|(_, count)| count), [0; 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_lookup_is_due_once_at_the_earliest_time_that_was_asked_for() {
        let board = LookBoard::default();
        let second = Duration::from_secs(1);
        board.ask(&key("bot"), second * 60);
        board.ask(&key("bot"), second * 10);
        board.ask(&key("bot"), second * 90);
        board.ask(&key("gone"), second);
        board.forget(&key("gone"));
        let began = Instant::now();
        assert_eq!(board.next_asked().await, key("bot"));
        assert_eq!(began.elapsed(), second * 10);
        sleep(second * 100).await;
        assert!(board.next_asked().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pool_has_ten_corrections_an_hour() {
        let board = LookBoard::default();
        let pool = PoolId::parse("eu-west-1_a").expect("a pool");
        let other = PoolId::parse("eu-west-1_b").expect("a pool");
        for _ in 0..10 {
            assert!(board.has_corrections_left(&pool));
            assert!(board.begin_correction(&pool));
        }
        assert!(!board.has_corrections_left(&pool));
        assert!(
            !board.begin_correction(&pool),
            "of those that decide at the same time"
        );
        board.cancel_correction(&pool);
        assert!(board.begin_correction(&pool));
        assert!(!board.begin_correction(&pool));
        assert!(board.has_corrections_left(&other));
        advance(CORRECTION_WINDOW).await;
        assert!(board.has_corrections_left(&pool));
        assert_eq!(board.entries()[3].1, 0, "nothing is kept");
    }
}
