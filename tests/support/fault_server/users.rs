//! Events in the life of users that others cause, and what a pool is like. Every method panics if the user
//! does not exist, unless the method says otherwise.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use super::FaultServer;
use super::model::{Key, Listing, Origin, Session, User, UserState, UserStatus};

impl FaultServer {
    // Events by others. Each moves the user's modified date to now, unless the method says otherwise.

    /// `AdminResetUserPassword`, or Cognito after a compromised password: `RESET_REQUIRED`. The password is no
    /// longer valid. Sessions continue.
    pub(crate) fn reset_user(&self, pool: &str, username: &str) {
        self.change((pool, username), User::reset);
        self.record("AdminResetUserPassword", username);
    }

    /// `AdminDisableUser`: nobody signs in, and the sessions end.
    pub(crate) fn disable_user(&self, pool: &str, username: &str) {
        self.change((pool, username), |user, at| user.set_enabled(false, at));
    }

    pub(crate) fn enable_user(&self, pool: &str, username: &str) {
        self.change((pool, username), |user, at| user.set_enabled(true, at));
    }

    /// Deletes the user with sessions and password history, if the user exists.
    pub(crate) fn delete_user(&self, pool: &str, username: &str) {
        self.shared
            .update(|state| state.model.delete_user(&Key::new(pool, username)));
    }

    /// Makes a user now, with a new sub and without a password. Deletes an existing user of this name.
    pub(crate) fn recreate_user(&self, pool: &str, username: &str, origin: Origin) {
        let key = Key::new(pool, username);
        self.shared
            .update(|state| state.model.recreate_user(&key, origin));
    }

    /// Another owner's `AdminSetUserPassword`, which is not in the record of calls and which no policy
    /// refuses.
    pub(crate) fn set_elsewhere(
        &self,
        (pool, username): (&str, &str),
        password: &str,
        permanent: bool,
    ) {
        self.change((pool, username), |user, at| {
            user.set_password(password, permanent, Some(at));
        });
        self.record("AdminSetUserPassword", username);
    }

    /// Changes the password without a call of `AdminSetUserPassword`, as when a person chooses a password.
    pub(crate) fn change_password(&self, pool: &str, username: &str, password: &str) {
        self.set_elsewhere((pool, username), password, true);
    }

    /// `AdminUpdateUserAttributes`, as by a Lambda function at each sign-in: moves the modified date, and
    /// nothing else.
    pub(crate) fn write_attributes(&self, pool: &str, username: &str) {
        self.change((pool, username), User::write_attributes);
    }

    /// `EXTERNAL_PROVIDER`: a person who signs in elsewhere. The password is no longer valid.
    pub(crate) fn make_federated(&self, pool: &str, username: &str) {
        self.change((pool, username), User::federate);
    }

    /// Gives the user any status.
    pub(crate) fn set_status(&self, (pool, username): (&str, &str), status: UserStatus) {
        self.change((pool, username), |user, at| user.set_status(status, at));
    }

    /// The user signs in with the current password. False if Cognito would refuse: for a disabled user, or a
    /// user without a permanent password. Moves no date.
    pub(crate) fn begin_session(&self, pool: &str, username: &str) -> bool {
        self.change((pool, username), |user, _| user.begin_session())
    }

    /// Shows the event of another in `CloudTrail`.
    fn record(&self, name: &'static str, username: &str) {
        self.shared.update(|state| {
            let at = state.model.date();
            state.trail.record(name, username, at);
        });
    }

    fn change<T>(
        &self,
        (pool, username): (&str, &str),
        act: impl FnOnce(&mut User, Timestamp) -> T,
    ) -> T {
        let key = Key::new(pool, username);
        self.shared.update(|state| state.model.change(&key, act))
    }

    // What the tests read.

    /// The state as of now, whatever the lag of `ListUsers`. None if the user does not exist.
    pub(crate) fn user_state(&self, pool: &str, username: &str) -> Option<UserState> {
        self.user((pool, username), |user| user.state().clone())
    }

    /// The sessions that have not ended, the oldest first.
    pub(crate) fn live_sessions(&self, pool: &str, username: &str) -> Vec<Session> {
        let mut sessions = self.session_log(pool, username);
        sessions.retain(|session| session.ended.is_none());
        sessions
    }

    /// All sessions of the user, the oldest first.
    pub(crate) fn session_log(&self, pool: &str, username: &str) -> Vec<Session> {
        let sessions = self.user((pool, username), |user| user.sessions().to_vec());
        sessions.unwrap_or_default()
    }

    /// Whether a sign-in with this password gives tokens.
    pub(crate) fn can_sign_in(&self, (pool, username): (&str, &str), password: &str) -> bool {
        let can = self.user((pool, username), |user| user.can_sign_in(password));
        can == Some(true)
    }

    /// None if the user does not exist, or has no password that is valid.
    pub(crate) fn password_of(&self, pool: &str, username: &str) -> Option<String> {
        self.user((pool, username), |user| user.current().map(str::to_owned))?
    }

    /// Whether the current password was set as permanent.
    pub(crate) fn is_permanent(&self, pool: &str, username: &str) -> Option<bool> {
        self.user((pool, username), User::is_permanent)?
    }

    /// Every password of the user with the time of its set, the oldest first. Setting the same password again
    /// adds a line.
    pub(crate) fn password_log(&self, pool: &str, username: &str) -> Vec<(Instant, String)> {
        let log = self.user((pool, username), User::log);
        log.unwrap_or_default()
    }

    fn user<T>(&self, (pool, username): (&str, &str), read: impl FnOnce(&User) -> T) -> Option<T> {
        let key = Key::new(pool, username);
        self.shared.read(|state| state.model.user(&key).map(read))
    }

    // Dates and clocks.

    /// Sets `UserCreateDate`, by AWS's clock. `ListUsers` shows the new date at once.
    pub(crate) fn set_created(&self, (pool, username): (&str, &str), at: Timestamp) {
        let key = Key::new(pool, username);
        self.shared
            .update(|state| state.model.set_created(&key, at));
    }

    /// Sets `UserLastModifiedDate`, by AWS's clock. `ListUsers` shows the new date at once.
    pub(crate) fn set_modified(&self, (pool, username): (&str, &str), at: Timestamp) {
        let key = Key::new(pool, username);
        self.shared
            .update(|state| state.model.set_modified(&key, at));
    }

    /// The time by AWS's clock, from which users have their dates and replies their `Date`.
    pub(crate) fn date(&self) -> Timestamp {
        self.shared.read(|state| state.model.date())
    }

    /// Sets AWS's clock, for dates from now on: AWS's clock minus the clock of this machine.
    pub(crate) fn set_clock_offset(&self, offset: SignedDuration) {
        self.shared
            .update(|state| state.model.clock_offset = offset);
    }

    /// Whether replies have no `Date`, as from behind some proxies. The default is false.
    pub(crate) fn omit_date(&self, omit: bool) {
        self.shared.update(|state| state.model.omits_date = omit);
    }

    /// Whether `AdminSetUserPassword` leaves the modified date as it is. The default is false.
    pub(crate) fn keep_modified_on_set(&self, keep: bool) {
        self.shared
            .update(|state| state.model.sets_keep_modified = keep);
    }

    /// Whether `AdminSetUserPassword` refuses disabled users. The default is false.
    pub(crate) fn refuse_disabled(&self, refuse: bool) {
        self.shared
            .update(|state| state.model.refuses_disabled = refuse);
    }

    // Pools. Each method adds a pool that does not exist.

    /// In a case-insensitive pool, `CI-Bot` finds the user `ci-bot` in every operation but `ListUsers`.
    pub(crate) fn set_case_insensitive(&self, pool: &str, is: bool) {
        self.shared
            .update(|state| state.model.pool_mut(pool).is_case_insensitive = is);
    }

    /// Lets every operation but `ListUsers` find the user by an alias, for example an email address. The user
    /// needn't exist.
    pub(crate) fn add_alias(&self, (pool, username): (&str, &str), alias: &str) {
        self.shared
            .update(|state| state.model.pool_mut(pool).add_alias(username, alias));
    }

    /// How `ListUsers` answers for this pool. Panics if no page would ever have a user.
    pub(crate) fn set_listing(&self, pool: &str, listing: Listing) {
        assert!(listing.page_size > 0, "every page would be empty");
        self.shared
            .update(|state| state.model.pool_mut(pool).listing = listing);
    }

    /// This pool's own [`set_history`](Self::set_history).
    pub(crate) fn set_history_of(&self, pool: &str, count: usize) {
        self.shared
            .update(|state| state.model.pool_mut(pool).history = Some(count));
    }

    /// This pool's own [`set_minimum_length`](Self::set_minimum_length).
    pub(crate) fn set_minimum_length_of(&self, pool: &str, characters: usize) {
        self.shared
            .update(|state| state.model.pool_mut(pool).minimum_length = Some(characters));
    }

    /// The pool refuses this value with `InvalidParameterException`.
    pub(crate) fn refuse_value(&self, pool: &str, value: &str) {
        let value = Some(value.to_owned());
        self.shared
            .update(|state| state.model.pool_mut(pool).refused = value);
    }

    /// The validity of temporary passwords; None: the pool's policy does not say. The default is 7.
    pub(crate) fn set_temporary_validity_days(&self, pool: &str, days: Option<u32>) {
        self.shared
            .update(|state| state.model.pool_mut(pool).temporary_validity_days = days);
    }
}
