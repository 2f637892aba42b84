//! A pool: its users by every name that finds them, and what each user was like earlier.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Moment;
use super::listing::Listing;
use super::user::{Origin, User, UserState};

#[derive(Debug)]
pub(crate) struct Pool {
    /// By username, in the order of `ListUsers`.
    pub(super) slots: BTreeMap<String, Slot>,
    /// The usernames by their lower case, by sub, and by alias.
    folded: HashMap<String, String>,
    pub(super) subs: HashMap<String, String>,
    aliases: HashMap<String, String>,
    pub(crate) is_case_insensitive: bool,
    pub(crate) listing: Listing,
    /// `TemporaryPasswordValidityDays`; None if the policy does not have the field.
    pub(crate) temporary_validity_days: Option<u32>,
    /// The pool's own history instead of the one of all pools.
    pub(crate) history: Option<usize>,
    /// The pool's own minimum length instead of the one of all pools.
    pub(crate) minimum_length: Option<usize>,
    /// A value that the pool refuses with `InvalidParameterException`.
    pub(crate) refused: Option<String>,
}

/// A username, with its user and the earlier states that `ListUsers` may still return.
#[derive(Debug)]
pub(super) struct Slot {
    user: Option<User>,
    /// The oldest first, the current state last.
    versions: Vec<Version>,
}

/// A user's state from a moment on; no state: no user.
#[derive(Debug)]
struct Version {
    /// None: always.
    since: Option<Instant>,
    state: Option<UserState>,
}

impl Slot {
    fn new(user: User) -> Self {
        Self {
            user: Some(user),
            versions: Vec::new(),
        }
    }

    /// Records the state from this moment on; None forgets the earlier states.
    fn record(&mut self, since: Option<Instant>) {
        if since.is_none() {
            self.versions.clear();
        }
        let state = self.user.as_ref().map(|user| user.state.clone());
        self.versions.push(Version { since, state });
    }

    /// The state of `lag` ago.
    pub(super) fn listed(&self, now: Instant, lag: Duration) -> Option<&UserState> {
        let is_visible = |version: &Version| version.since.is_none_or(|since| since + lag <= now);
        let count = self.versions.partition_point(is_visible);
        let version = self.versions.get(count.checked_sub(1)?)?;
        version.state.as_ref()
    }
}

impl Pool {
    pub(super) fn without_users() -> Self {
        Self {
            slots: BTreeMap::new(),
            folded: HashMap::new(),
            subs: HashMap::new(),
            aliases: HashMap::new(),
            is_case_insensitive: false,
            listing: Listing::default(),
            temporary_validity_days: Some(7),
            history: None,
            minimum_length: None,
            refused: None,
        }
    }

    pub(super) fn refuses(&self, value: &str) -> bool {
        self.refused.as_deref() == Some(value)
    }

    /// The user with this username, sub or alias. In a case-insensitive pool, the username's case does not
    /// matter.
    pub(super) fn user(&self, name: &str) -> Option<&User> {
        self.slots.get(self.stored(name)?)?.user.as_ref()
    }

    /// The username as `ListUsers` returns it.
    pub(super) fn stored(&self, name: &str) -> Option<&str> {
        let exists = |name: &&str| {
            let slot = self.slots.get(*name);
            slot.is_some_and(|slot| slot.user.is_some())
        };
        let folded = || {
            let lower_case = self.is_case_insensitive.then(|| name.to_lowercase())?;
            self.folded.get(&lower_case).map(String::as_str)
        };
        // The map has the subs of earlier users, too.
        let by_sub = || {
            let stored = self.subs.get(name)?;
            let user = self.slots.get(stored)?.user.as_ref()?;
            (user.state.sub == name).then_some(&**stored)
        };
        let exact = self.slots.get_key_value(name);
        exact
            .map(|(stored, _)| &**stored)
            .filter(exists)
            .or_else(|| folded().filter(exists))
            .or_else(|| by_sub().filter(exists))
            .or_else(|| self.aliases.get(name).map(String::as_str).filter(exists))
    }

    fn slot_mut(&mut self, name: &str) -> &mut Slot {
        let stored = self.stored(name).map(str::to_owned);
        stored
            .and_then(|stored| self.slots.get_mut(&stored))
            .unwrap_or_else(|| panic!("no user {name:?} was added before"))
    }

    /// From when on `ListUsers` returns a change of this moment; None if at once.
    fn since(&self, moment: Moment) -> Option<Instant> {
        (!self.listing.lag.is_zero()).then_some(moment.instant)
    }

    pub(super) fn add(&mut self, username: &str, created: Timestamp) {
        if self.user(username).is_none() {
            self.insert(username, User::new(Origin::Administrator, created), None);
        }
    }

    pub(super) fn recreate(&mut self, username: &str, origin: Origin, moment: Moment) {
        let stored = self.stored(username).unwrap_or(username).to_owned();
        let since = self.since(moment);
        self.insert(&stored, User::new(origin, moment.date), since);
    }

    fn insert(&mut self, username: &str, user: User, since: Option<Instant>) {
        let sub = user.state.sub.clone();
        self.subs.insert(sub, username.to_owned());
        self.folded
            .insert(username.to_lowercase(), username.to_owned());
        if let Some(slot) = self.slots.get_mut(username) {
            slot.user = Some(user);
            slot.record(since);
        } else {
            let mut slot = Slot::new(user);
            slot.record(since);
            self.slots.insert(username.to_owned(), slot);
        }
    }

    /// Deletes the user, if the user exists.
    pub(super) fn delete(&mut self, name: &str, moment: Moment) {
        let Some(stored) = self.stored(name).map(str::to_owned) else {
            return;
        };
        let since = self.since(moment);
        if since.is_none() {
            self.slots.remove(&stored);
        } else if let Some(slot) = self.slots.get_mut(&stored) {
            slot.user = None;
            slot.record(since);
        }
    }

    pub(super) fn change<T>(
        &mut self,
        name: &str,
        moment: Moment,
        act: impl FnOnce(&mut User) -> T,
    ) -> T {
        let since = self.since(moment);
        let slot = self.slot_mut(name);
        let user = slot
            .user
            .as_mut()
            .expect("a slot that was found has a user");
        let before = user.state.clone();
        let result = act(user);
        if user.state != before {
            slot.record(since);
        }
        result
    }

    pub(super) fn set_created(&mut self, name: &str, at: Timestamp) {
        self.rewrite(name, |state| state.created = at);
    }

    pub(super) fn set_modified(&mut self, name: &str, at: Timestamp) {
        self.rewrite(name, |state| state.modified = at);
    }

    /// Changes the user's current state, and every earlier state of the same user.
    fn rewrite(&mut self, name: &str, act: impl Fn(&mut UserState)) {
        let slot = self.slot_mut(name);
        let user = slot
            .user
            .as_mut()
            .expect("a slot that was found has a user");
        act(&mut user.state);
        let sub = &user.state.sub;
        let states = slot.versions.iter_mut();
        let states = states.filter_map(|version| version.state.as_mut());
        states.filter(|state| state.sub == *sub).for_each(act);
    }

    /// Lets operations on one user find the user by another name. `ListUsers` does not filter by aliases.
    pub(crate) fn add_alias(&mut self, username: &str, alias: &str) {
        self.aliases.insert(alias.to_owned(), username.to_owned());
    }
}
