//! One user: state, dates, passwords and sessions.

use std::time::Instant;

use jiff::Timestamp;

/// `UserStatus` of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UserStatus {
    Unconfirmed,
    Confirmed,
    ExternalProvider,
    ResetRequired,
    ForceChangePassword,
    /// A status that the operator does not know.
    Other(String),
}

impl UserStatus {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Unconfirmed => "UNCONFIRMED",
            Self::Confirmed => "CONFIRMED",
            Self::ExternalProvider => "EXTERNAL_PROVIDER",
            Self::ResetRequired => "RESET_REQUIRED",
            Self::ForceChangePassword => "FORCE_CHANGE_PASSWORD",
            Self::Other(status) => status,
        }
    }
}

/// Who makes a user. Decides the status of the new user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `AdminCreateUser`: `FORCE_CHANGE_PASSWORD`.
    Administrator,
    /// `SignUp`: `UNCONFIRMED`.
    SignUp,
    /// `SignUp` and the confirmation: `CONFIRMED`.
    ConfirmedSignUp,
}

impl Origin {
    fn status(self) -> UserStatus {
        match self {
            Self::Administrator => UserStatus::ForceChangePassword,
            Self::SignUp => UserStatus::Unconfirmed,
            Self::ConfirmedSignUp => UserStatus::Confirmed,
        }
    }
}

/// What `ListUsers` says about a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserState {
    pub(crate) status: UserStatus,
    pub(crate) enabled: bool,
    /// A UUID that no other user has or had, also no earlier user of the same name.
    pub(crate) sub: String,
    /// By AWS's clock.
    pub(crate) created: Timestamp,
    /// By AWS's clock.
    pub(crate) modified: Timestamp,
}

/// A session of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) began: Instant,
    /// None: the session lives.
    pub(crate) ended: Option<Instant>,
    /// The password that the user signed in with.
    pub(crate) password: String,
}

#[derive(Debug)]
pub(crate) struct User {
    pub(super) state: UserState,
    /// Every password that the user ever had, the last one at the end.
    passwords: Vec<Password>,
    /// Whether the last password is still valid.
    has_password: bool,
    sessions: Vec<Session>,
}

#[derive(Clone, Debug)]
struct Password {
    value: String,
    permanent: bool,
    since: Instant,
}

impl User {
    /// A user without a password.
    pub(super) fn new(origin: Origin, created: Timestamp) -> Self {
        Self {
            state: UserState {
                status: origin.status(),
                enabled: true,
                sub: random_uuid(),
                created,
                modified: created,
            },
            passwords: Vec::new(),
            has_password: false,
            sessions: Vec::new(),
        }
    }

    // What others and operations do with the user.

    /// Sets the password as `AdminSetUserPassword` does. None keeps the modified date.
    pub(crate) fn set_password(
        &mut self,
        value: &str,
        permanent: bool,
        modified: Option<Timestamp>,
    ) {
        self.passwords.push(Password {
            value: value.to_owned(),
            permanent,
            since: Instant::now(),
        });
        self.has_password = true;
        self.state.status = if permanent {
            UserStatus::Confirmed
        } else {
            UserStatus::ForceChangePassword
        };
        if let Some(modified) = modified {
            self.state.modified = modified;
        }
    }

    /// `AdminResetUserPassword`: the password is no longer valid. Sessions continue.
    pub(crate) fn reset(&mut self, at: Timestamp) {
        self.has_password = false;
        self.set_status(UserStatus::ResetRequired, at);
    }

    /// A user of an external provider, who has no password.
    pub(crate) fn federate(&mut self, at: Timestamp) {
        self.has_password = false;
        self.set_status(UserStatus::ExternalProvider, at);
    }

    pub(crate) fn set_status(&mut self, status: UserStatus, at: Timestamp) {
        self.state.status = status;
        self.state.modified = at;
    }

    /// `AdminEnableUser`, or `AdminDisableUser`, which ends the sessions.
    pub(crate) fn set_enabled(&mut self, enabled: bool, at: Timestamp) {
        self.state.enabled = enabled;
        self.state.modified = at;
        if !enabled {
            self.end_sessions();
        }
    }

    pub(crate) fn write_attributes(&mut self, at: Timestamp) {
        self.state.modified = at;
    }

    // Sign-in.

    /// Whether a sign-in with this password gives tokens.
    pub(crate) fn can_sign_in(&self, password: &str) -> bool {
        self.state.enabled
            && self.state.status == UserStatus::Confirmed
            && self.current() == Some(password)
    }

    /// Begins a session with the current password, unless the user can't sign in.
    pub(crate) fn begin_session(&mut self) -> bool {
        let password = self.current().map(str::to_owned);
        let Some(password) = password.filter(|password| self.can_sign_in(password)) else {
            return false;
        };
        self.sessions.push(Session {
            began: Instant::now(),
            ended: None,
            password,
        });
        true
    }

    pub(crate) fn end_sessions(&mut self) {
        let now = Instant::now();
        for session in &mut self.sessions {
            session.ended.get_or_insert(now);
        }
    }

    // What the tests read.

    pub(crate) fn state(&self) -> &UserState {
        &self.state
    }

    /// All sessions, the oldest first.
    pub(crate) fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// Whether this is one of the last `count` passwords.
    pub(super) fn had(&self, value: &str, count: usize) -> bool {
        let mut remembered = self.passwords.iter().rev().take(count);
        remembered.any(|password| password.value == value)
    }

    fn in_force(&self) -> Option<&Password> {
        self.passwords.last().filter(|_| self.has_password)
    }

    pub(crate) fn current(&self) -> Option<&str> {
        self.in_force().map(|password| &*password.value)
    }

    /// Whether the current password was set as permanent.
    pub(crate) fn is_permanent(&self) -> Option<bool> {
        self.in_force().map(|password| password.permanent)
    }

    pub(crate) fn log(&self) -> Vec<(Instant, String)> {
        let line = |password: &Password| (password.since, password.value.clone());
        self.passwords.iter().map(line).collect()
    }
}

/// A random UUID (version 4).
fn random_uuid() -> String {
    let random = || getrandom::u64().expect("the system has randomness");
    let (high, low) = (random(), random());
    let (time, middle) = (high >> 32, (high >> 16) & 0xffff);
    let version = 0x4000 | (high & 0x0fff);
    let variant = 0x8000 | ((low >> 48) & 0x3fff);
    let node = low & 0xffff_ffff_ffff;
    format!("{time:08x}-{middle:04x}-{version:04x}-{variant:04x}-{node:012x}")
}
