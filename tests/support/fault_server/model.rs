//! The users, and Cognito's answers to new passwords.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::faults::Failure;

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

#[derive(Debug, Default)]
pub(crate) struct Model {
    pools: HashSet<String>,
    /// Every password that a user ever had, the current one last.
    users: HashMap<Key, Vec<Password>>,
    pub(super) history: usize,
    pub(super) minimum_length: usize,
    pub(super) calls_per_second: Option<usize>,
    recent: VecDeque<Instant>,
}

#[derive(Clone, Debug)]
struct Password {
    value: String,
    permanent: bool,
    since: Instant,
}

impl Model {
    pub(super) fn add_pool(&mut self, pool: &str) {
        self.pools.insert(pool.to_owned());
    }

    pub(super) fn add_user(&mut self, key: Key) {
        self.add_pool(&key.pool);
        self.users.entry(key).or_default();
    }

    pub(super) fn remove_user(&mut self, key: &Key) {
        self.users.remove(key);
    }

    /// Throttles on arrival: a throttled call has no other effect.
    pub(super) fn throttle(&mut self, now: Instant) -> Result<(), Failure> {
        let Some(limit) = self.calls_per_second else {
            return Ok(());
        };
        let window = Duration::from_secs(1);
        while let Some(first) = self.recent.front()
            && now.duration_since(*first) >= window
        {
            self.recent.pop_front();
        }
        if self.recent.len() >= limit {
            return Err(refusal("TooManyRequestsException", "Rate exceeded"));
        }
        self.recent.push_back(now);
        Ok(())
    }

    /// Sets the password, or returns Cognito's refusal.
    pub(super) fn set(
        &mut self,
        key: &Key,
        value: &str,
        permanent: bool,
        now: Instant,
    ) -> Result<(), Failure> {
        if !fits_the_pattern(value) {
            return Err(refusal(
                "InvalidParameterException",
                "1 validation error detected: Value at 'password' failed to satisfy constraint: \
                 Member must satisfy regular expression pattern: ^[\\S]+.*[\\S]+$",
            ));
        }
        if !self.pools.contains(&key.pool) {
            let message = format!("User pool {} does not exist.", key.pool);
            return Err(refusal("ResourceNotFoundException", &message));
        }
        let Some(passwords) = self.users.get_mut(key) else {
            return Err(refusal("UserNotFoundException", "User does not exist."));
        };
        if value.chars().count() < self.minimum_length {
            return Err(refusal(
                "InvalidPasswordException",
                "Password did not conform with policy: Password not long enough",
            ));
        }
        let mut remembered = passwords.iter().rev().take(self.history);
        if remembered.any(|password| password.value == value) {
            return Err(refusal(
                "PasswordHistoryPolicyViolationException",
                "Password has previously been used",
            ));
        }
        passwords.push(Password {
            value: value.to_owned(),
            permanent,
            since: now,
        });
        Ok(())
    }

    /// Sets the password without checking the policy.
    pub(super) fn force(&mut self, key: &Key, value: &str, now: Instant) {
        let passwords = self.users.get_mut(key).expect("the user was added before");
        passwords.push(Password {
            value: value.to_owned(),
            permanent: true,
            since: now,
        });
    }

    pub(super) fn current(&self, key: &Key) -> Option<String> {
        let password = self.users.get(key)?.last()?;
        Some(password.value.clone())
    }

    pub(super) fn is_permanent(&self, key: &Key) -> Option<bool> {
        let password = self.users.get(key)?.last()?;
        Some(password.permanent)
    }

    pub(super) fn log(&self, key: &Key) -> Vec<(Instant, String)> {
        let passwords = self.users.get(key).map_or(&[][..], Vec::as_slice);
        passwords
            .iter()
            .map(|password| (password.since, password.value.clone()))
            .collect()
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

fn refusal(code: &str, message: &str) -> Failure {
    Failure::new(400, code, message)
}
