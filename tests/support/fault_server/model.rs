//! The pools and their users, and Cognito's answers.

mod listing;
mod person;
mod pool;
mod user;

use std::collections::HashMap;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::faults::Failure;
pub(super) use listing::{Filter, Listed, Position, parse_filter};
use pool::Pool;

pub(crate) use listing::Listing;
pub(crate) use user::{Origin, Session, User, UserState, UserStatus};

/// A user of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(super) pool: String,
    pub(super) username: String,
}

impl Key {
    pub(super) fn new(pool: &str, username: &str) -> Self {
        Self {
            pool: pool.to_owned(),
            username: username.to_owned(),
        }
    }
}

/// The same moment on the tests' clock and on AWS's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    instant: Instant,
    date: Timestamp,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pools: HashMap<String, Pool>,
    pub(super) history: usize,
    pub(super) minimum_length: usize,
    /// Whether `AdminSetUserPassword` leaves the modified date as it is.
    pub(super) sets_keep_modified: bool,
    /// Whether `AdminSetUserPassword` refuses disabled users.
    pub(super) refuses_disabled: bool,
    /// AWS's clock minus the tests' clock.
    pub(super) clock_offset: SignedDuration,
    /// Whether replies have no `Date`.
    pub(super) omits_date: bool,
}

impl Model {
    /// The time by AWS's clock.
    pub(super) fn date(&self) -> Timestamp {
        Timestamp::now() + self.clock_offset
    }

    fn moment(&self) -> Moment {
        Moment {
            instant: Instant::now(),
            date: self.date(),
        }
    }

    // Pools and users.

    pub(super) fn add_pool(&mut self, pool: &str) {
        self.pool_mut(pool);
    }

    /// The pool, which is added if it does not exist.
    pub(super) fn pool_mut(&mut self, pool: &str) -> &mut Pool {
        self.pools
            .entry(pool.to_owned())
            .or_insert_with(Pool::without_users)
    }

    /// Adds a user who has always been there, unless the user exists.
    pub(super) fn add_user(&mut self, key: &Key) {
        let date = self.date();
        self.pool_mut(&key.pool).add(&key.username, date);
    }

    pub(super) fn delete_user(&mut self, key: &Key) {
        let moment = self.moment();
        self.pool_mut(&key.pool).delete(&key.username, moment);
    }

    /// Replaces the user, if there is one, by a new user of the same name.
    pub(super) fn recreate_user(&mut self, key: &Key, origin: Origin) {
        let moment = self.moment();
        self.pool_mut(&key.pool)
            .recreate(&key.username, origin, moment);
    }

    /// Changes a user. Panics if the user does not exist.
    pub(super) fn change<T>(
        &mut self,
        key: &Key,
        act: impl FnOnce(&mut User, Timestamp) -> T,
    ) -> T {
        let moment = self.moment();
        let pool = self.pool_mut(&key.pool);
        pool.change(&key.username, moment, |user| act(user, moment.date))
    }

    /// Changes a date without a change of the user. Panics if the user does not exist.
    pub(super) fn set_created(&mut self, key: &Key, at: Timestamp) {
        self.pool_mut(&key.pool).set_created(&key.username, at);
    }

    /// As [`set_created`](Self::set_created).
    pub(super) fn set_modified(&mut self, key: &Key, at: Timestamp) {
        self.pool_mut(&key.pool).set_modified(&key.username, at);
    }

    // Operations.

    /// `AdminSetUserPassword`: sets the password, or returns Cognito's refusal.
    pub(super) fn set(&mut self, key: &Key, value: &str, permanent: bool) -> Result<(), Failure> {
        if !fits_the_pattern(value) {
            return Err(refusal(
                "InvalidParameterException",
                "1 validation error detected: Value at 'password' failed to satisfy constraint: \
                 Member must satisfy regular expression pattern: ^[\\S]+.*[\\S]+$",
            ));
        }
        let user = self.find(key)?;
        if self.refuses_disabled && !user.state.enabled {
            return Err(refusal("NotAuthorizedException", "User is disabled."));
        }
        if self.pool(&key.pool)?.refuses(value) {
            return Err(refusal(
                "InvalidParameterException",
                "The pool's configuration does not take this parameter.",
            ));
        }
        if value.chars().count() < self.minimum_length_of(&key.pool)? {
            return Err(refusal(
                "InvalidPasswordException",
                "Password did not conform with policy: Password not long enough",
            ));
        }
        let history = self.pool(&key.pool)?.history.unwrap_or(self.history);
        if user.had(value, history) {
            return Err(refusal(
                "PasswordHistoryPolicyViolationException",
                "Password has previously been used",
            ));
        }
        let keeps_modified = self.sets_keep_modified;
        self.change(key, |user, date| {
            let modified = (!keeps_modified).then_some(date);
            user.set_password(value, permanent, modified);
        });
        Ok(())
    }

    /// `ListUsers`: a page, or the user of a lookup.
    pub(super) fn list(&self, listed: &Listed) -> Result<Value, Failure> {
        let pool = self.pool(&listed.pool)?;
        Ok(pool.list(listed, Instant::now()))
    }

    /// `AdminUserGlobalSignOut`: ends the sessions that exist now.
    pub(super) fn sign_out(&mut self, key: &Key) -> Result<(), Failure> {
        self.find(key)?;
        self.change(key, |user, _| user.end_sessions());
        Ok(())
    }

    /// `DescribeUserPool`: the pool's id, its ARN and its password policy.
    pub(super) fn describe(&self, pool: &str) -> Result<Value, Failure> {
        let validity = self.pool(pool)?.temporary_validity_days;
        let mut policy = json!({ "MinimumLength": self.minimum_length_of(pool)?.max(6) });
        if let Some(days) = validity {
            policy["TemporaryPasswordValidityDays"] = json!(days);
        }
        Ok(json!({ "UserPool": {
            "Id": pool,
            "Arn": pool_arn(pool),
            "Policies": { "PasswordPolicy": policy },
        } }))
    }

    fn minimum_length_of(&self, pool: &str) -> Result<usize, Failure> {
        let own = self.pool(pool)?.minimum_length;
        Ok(own.unwrap_or(self.minimum_length))
    }

    fn pool(&self, pool: &str) -> Result<&Pool, Failure> {
        self.pools.get(pool).ok_or_else(|| {
            let message = format!("User pool {pool} does not exist.");
            refusal("ResourceNotFoundException", &message)
        })
    }

    fn find(&self, key: &Key) -> Result<&User, Failure> {
        let user = self.pool(&key.pool)?.user(&key.username);
        user.ok_or_else(|| refusal("UserNotFoundException", "User does not exist."))
    }

    // What the tests read.

    /// The user, if the user exists.
    pub(super) fn user(&self, key: &Key) -> Option<&User> {
        self.find(key).ok()
    }
}

/// The service's pattern `^[\S]+.*[\S]+$`: at least two characters, no white space at the ends, no line break
/// inside, because `.` matches no line break. At most 256 characters.
fn fits_the_pattern(value: &str) -> bool {
    let mut characters = value.chars();
    let ends = (characters.next(), characters.next_back());
    let (Some(first), Some(last)) = ends else {
        return false;
    };
    !first.is_whitespace()
        && !last.is_whitespace()
        && !value.contains(['\n', '\r'])
        && value.chars().count() <= 256
}

/// The ARN of a pool. All pools are in one account.
pub(crate) fn pool_arn(pool: &str) -> String {
    let region = pool.split('_').next().unwrap_or_default();
    format!("arn:aws:cognito-idp:{region}:123456789012:userpool/{pool}")
}

pub(super) fn refusal(code: &str, message: &str) -> Failure {
    Failure::new(400, code, message)
}
