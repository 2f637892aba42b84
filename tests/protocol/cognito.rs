//! A model of Cognito: one user of one pool, with a password policy and an optional history that includes the
//! current password. Each call gets the effect of its fault.

use cognito_password_operator::core::protocol::reply::{NotSent, Reply, ServiceError};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeSet, VecDeque};

/// The value that the pool's policy refuses.
pub const WEAK: u8 = 4;

/// A value from the small set of Secret values; its text is easy to find in printed output.
pub fn text(value: u8) -> String {
    format!("PLAINTEXT-{value}-aA1!")
}

/// The fault of one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The connection dropped before Cognito got the request.
    LostBefore,
    /// The reply was lost.
    LostAfter,
    /// No reply in time; the request takes effect this many seconds later.
    Late(u8),
    /// An internal error after the set.
    Error500After,
    /// An internal error instead of the set.
    Error500Before,
    /// "Rate exceeded".
    Throttled,
    /// No connection.
    NotSent,
    /// The credentials were gone right before the call.
    NoCredentials,
    /// IAM refuses.
    Denied,
    /// As with an alias: "no such user", although the password was set.
    UserNotFoundAfter,
    /// There is no such user.
    UserNotFoundBefore,
    /// An unknown error code.
    Teapot,
}

/// The user's password, and the requests in flight that may change it.
#[derive(Clone, Debug)]
pub struct Cognito {
    /// The last password that an administrator's call set, and whether the password is permanent.
    pub current: (String, bool),
    /// Whether the user has chosen another password since, as after a temporary password.
    pub chosen: bool,
    /// Whether another program, and not a call, set the current password.
    pub foreign: bool,
    /// How many passwords the history contains, including the current one.
    pub history: Option<usize>,
    past: Vec<String>,
    /// Passwords that the history has refused; the history may have dropped them since.
    pub refused: BTreeSet<String>,
    flying: Vec<(Timestamp, String, bool)>,
    /// The faults of the next calls.
    pub faults: VecDeque<Fault>,
}

impl Cognito {
    pub fn new(history: Option<usize>) -> Self {
        let initial = "chosen by the user at sign-up".to_owned();
        Self {
            current: (initial.clone(), true),
            chosen: false,
            foreign: false,
            history,
            past: vec![initial],
            refused: BTreeSet::new(),
            flying: Vec::new(),
            faults: VecDeque::new(),
        }
    }

    /// Whether the history refuses this password.
    pub fn in_history(&self, password: &str) -> bool {
        self.history
            .is_some_and(|kept| self.past.iter().rev().take(kept).any(|p| p == password))
    }

    /// One call of `AdminSetUserPassword`.
    pub fn call(&mut self, password: &str, permanent: bool, now: Timestamp) -> Reply {
        let lost = || Reply::NoReply {
            detail: "connection closed".to_owned(),
        };
        let not_sent = |cause| Reply::NotSent {
            cause,
            detail: "never left".to_owned(),
        };
        match self.faults.pop_front() {
            None => self.apply(password, permanent),
            Some(Fault::LostBefore) => lost(),
            Some(Fault::LostAfter) => {
                self.apply(password, permanent);
                lost()
            }
            Some(Fault::Late(seconds)) => {
                let at = now + SignedDuration::from_secs(i64::from(seconds));
                self.flying.push((at, password.to_owned(), permanent));
                lost()
            }
            Some(Fault::Error500After) => {
                self.apply(password, permanent);
                error(500, "InternalErrorException")
            }
            Some(Fault::Error500Before) => error(500, "InternalErrorException"),
            Some(Fault::Throttled) => error(400, "TooManyRequestsException"),
            Some(Fault::NotSent) => not_sent(NotSent::Connect),
            Some(Fault::NoCredentials) => not_sent(NotSent::Credentials),
            Some(Fault::Denied) => error(400, "AccessDeniedException"),
            // With a temporary password this is a residual risk: the password may be set twice.
            Some(Fault::UserNotFoundAfter) if permanent => {
                self.apply(password, permanent);
                error(400, "UserNotFoundException")
            }
            Some(Fault::UserNotFoundAfter | Fault::UserNotFoundBefore) => {
                error(400, "UserNotFoundException")
            }
            Some(Fault::Teapot) => error(400, "TeapotException"),
        }
    }

    /// The user signs in with a temporary password, and must choose a new one.
    pub fn choose(&mut self) {
        if !self.current.1 && !self.chosen {
            self.chosen = true;
            self.past.push(format!(
                "chosen by the user after {} others",
                self.past.len()
            ));
        }
    }

    /// Another program sets a permanent password, unless the history refuses.
    pub fn meddle(&mut self, password: &str) {
        if !self.in_history(password) {
            self.current = (password.to_owned(), true);
            self.chosen = false;
            self.foreign = true;
            self.past.push(password.to_owned());
        }
    }

    /// Late requests take effect. Returns whether there was one.
    pub fn land(&mut self, now: Timestamp) -> bool {
        self.flying.sort_by_key(|(at, _, _)| *at);
        let still_flying = self.flying.partition_point(|(at, _, _)| *at <= now);
        let landing: Vec<_> = self.flying.drain(..still_flying).collect();
        for (_, password, permanent) in &landing {
            self.apply(password, *permanent);
        }
        !landing.is_empty()
    }

    /// Late requests never arrive.
    pub fn lose_flying(&mut self) {
        self.flying.clear();
    }

    pub fn is_flying(&self) -> bool {
        !self.flying.is_empty()
    }

    fn apply(&mut self, password: &str, permanent: bool) -> Reply {
        if password == text(WEAK) {
            return error(400, "InvalidPasswordException");
        }
        if self.in_history(password) {
            self.refused.insert(password.to_owned());
            return error(400, "PasswordHistoryPolicyViolationException");
        }
        self.current = (password.to_owned(), permanent);
        self.chosen = false;
        self.foreign = false;
        self.past.push(password.to_owned());
        Reply::Success {
            output: (),
            request_id: None,
            answered_at: None,
        }
    }
}

fn error(status: u16, code: &str) -> Reply {
    Reply::ServiceError(ServiceError {
        status,
        code: Some(code.to_owned()),
        message: Some("in AWS's words".to_owned()),
        request_id: None,
    })
}
