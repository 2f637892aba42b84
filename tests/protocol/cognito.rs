//! A model of Cognito: one user of one pool, with a password policy and an optional history that includes the
//! current password. Each call gets the effect of its fault. Others reset, disable, delete and recreate the user,
//! and the user signs in. A look shows the user as the user was some time ago.

use cognito_password_operator::core::{
    look::user::{User as Listed, UserState},
    protocol::reply::{NotSent, Reply, ServiceError},
};
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
    /// The request takes effect, is answered, and takes effect again 10 s later. A set is made once.
    Twice,
}

/// What somebody else does to the user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// An administrator, or threat protection, resets the password.
    Reset,
    Disable,
    Enable,
    Delete,
    /// The user is deleted, and there is a new one of the same name.
    Recreate(Newcomer),
    /// An attribute changes.
    Attribute,
    /// The user signs in with the password in force.
    SignIn,
}

/// How a user came to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Newcomer {
    /// An administrator created the user, with a temporary password.
    ByAdministrator,
    /// Somebody signed up, and is not confirmed yet.
    Unconfirmed,
    /// Somebody signed up, and is confirmed.
    SignedUp,
    /// Somebody signed in with another identity provider.
    Federated,
}

/// The result of looks until another one is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LookResult {
    /// The user as the user was this many seconds ago.
    Lagging(u8),
    /// The user is not listed.
    Missed,
    /// IAM refuses.
    Denied,
    /// "Rate exceeded".
    Throttled,
}

/// The user without the password.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    pub state: UserState,
    pub enabled: bool,
    pub created: Timestamp,
    pub modified: Timestamp,
    pub is_stranger: bool,
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
    flying_sign_outs: Vec<Timestamp>,
    /// The faults of the next calls.
    pub faults: VecDeque<Fault>,
    pub user: Option<User>,
    /// The user since each change.
    views: Vec<(Timestamp, Option<User>)>,
    pub look_result: LookResult,
    /// The sessions that are alive, each by the moment at which it began.
    pub sessions: Vec<u32>,
    /// When the operator last set the password.
    pub set_at: u32,
    /// Counts what must be told apart although the clock stands still.
    pub moment: u32,
}

impl Cognito {
    pub fn new(history: Option<usize>, now: Timestamp) -> Self {
        let initial = "chosen by the user at sign-up".to_owned();
        let created = now - SignedDuration::from_hours(24 * 60);
        let user = Some(User {
            state: UserState::Confirmed,
            enabled: true,
            created,
            modified: created,
            is_stranger: false,
        });
        Self {
            user: user.clone(),
            views: vec![(created, user)],
            look_result: LookResult::Lagging(0),
            sessions: Vec::new(),
            set_at: 0,
            moment: 0,
            flying_sign_outs: Vec::new(),
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
            None | Some(Fault::Twice) => self.apply(password, permanent, now),
            Some(Fault::LostBefore) => lost(),
            Some(Fault::LostAfter) => {
                self.apply(password, permanent, now);
                lost()
            }
            Some(Fault::Late(seconds)) => {
                let at = now + SignedDuration::from_secs(i64::from(seconds));
                self.flying.push((at, password.to_owned(), permanent));
                lost()
            }
            Some(Fault::Error500After) => {
                self.apply(password, permanent, now);
                error(500, "InternalErrorException")
            }
            Some(Fault::Error500Before) => error(500, "InternalErrorException"),
            Some(Fault::Throttled) => error(400, "TooManyRequestsException"),
            Some(Fault::NotSent) => not_sent(NotSent::Connect),
            Some(Fault::NoCredentials) => not_sent(NotSent::Credentials),
            Some(Fault::Denied) => error(400, "AccessDeniedException"),
            // With a temporary password this is a residual risk: the password may be set twice.
            Some(Fault::UserNotFoundAfter) if permanent => {
                self.apply(password, permanent, now);
                error(400, "UserNotFoundException")
            }
            Some(Fault::UserNotFoundAfter | Fault::UserNotFoundBefore) => {
                error(400, "UserNotFoundException")
            }
            Some(Fault::Teapot) => error(400, "TeapotException"),
        }
    }

    /// One call of `AdminUserGlobalSignOut`.
    pub fn sign_out(&mut self, now: Timestamp) -> Reply {
        let lost = || Reply::NoReply {
            detail: "connection closed".to_owned(),
        };
        let not_sent = |cause| Reply::NotSent {
            cause,
            detail: "never left".to_owned(),
        };
        let later = |seconds: u8| now + SignedDuration::from_secs(seconds.into());
        match self.faults.pop_front() {
            None => self.end_sessions(now),
            Some(Fault::Twice) => {
                self.flying_sign_outs.push(later(10));
                self.end_sessions(now)
            }
            Some(Fault::LostBefore) => lost(),
            Some(Fault::LostAfter) => {
                self.end_sessions(now);
                lost()
            }
            Some(Fault::Late(seconds)) => {
                self.flying_sign_outs.push(later(seconds));
                lost()
            }
            Some(Fault::Error500After) => {
                self.end_sessions(now);
                error(500, "InternalErrorException")
            }
            Some(Fault::Error500Before) => error(500, "InternalErrorException"),
            Some(Fault::Throttled) => error(400, "TooManyRequestsException"),
            Some(Fault::NotSent) => not_sent(NotSent::Connect),
            Some(Fault::NoCredentials) => not_sent(NotSent::Credentials),
            Some(Fault::Denied) => error(400, "AccessDeniedException"),
            // A sign-out of a user by an alias is no different from one by name.
            Some(Fault::UserNotFoundAfter | Fault::UserNotFoundBefore) => {
                self.end_sessions(now);
                error(400, "UserNotFoundException")
            }
            Some(Fault::Teapot) => error(400, "TeapotException"),
        }
    }

    fn end_sessions(&mut self, now: Timestamp) -> Reply {
        self.sessions.clear();
        if self.user.is_none() {
            return error(400, "UserNotFoundException");
        }
        Reply::Success {
            output: (),
            request_id: None,
            answered_at: Some(now),
        }
    }

    /// The user as `ListUsers` shows the user in a call that began at this time.
    pub fn list(&self, begun: Timestamp) -> Result<Option<Listed>, &'static str> {
        let lag = match self.look_result {
            LookResult::Lagging(seconds) => SignedDuration::from_secs(seconds.into()),
            LookResult::Missed => return Ok(None),
            LookResult::Denied => return Err("AccessDeniedException"),
            LookResult::Throttled => return Err("TooManyRequestsException"),
        };
        let at = begun - lag;
        let view = self.views.iter().rev().find(|(since, _)| *since <= at);
        let user = view.and_then(|(_, user)| user.as_ref());
        Ok(user.map(|user| Listed {
            username: "ci-bot".to_owned(),
            sub: None,
            state: user.state,
            enabled: user.enabled,
            created: Some(user.created),
            modified: Some(user.modified),
        }))
    }

    /// Somebody else does something to the user. Returns whether the operator's password may not be in force any
    /// more.
    pub fn act(&mut self, act: Act, now: Timestamp) -> bool {
        let before = self.user.clone();
        match act {
            Act::Recreate(newcomer) => self.recreate(newcomer, now),
            Act::Delete => {
                self.user = None;
                self.current = ("of no user".to_owned(), true);
                (self.chosen, self.foreign) = (false, true);
                self.past.clear();
                self.sessions.clear();
            }
            Act::SignIn => self.sign_in(),
            Act::Reset | Act::Disable | Act::Enable | Act::Attribute => {
                let Some(user) = &mut self.user else {
                    return false;
                };
                match act {
                    Act::Disable => {
                        user.enabled = false;
                        self.sessions.clear();
                    }
                    Act::Enable => user.enabled = true,
                    // Cognito resets no password that is temporary, and none of a disabled user.
                    Act::Reset if user.enabled && user.state == UserState::Confirmed => {
                        user.state = UserState::ResetRequired;
                        self.current = ("unusable after a reset".to_owned(), true);
                        (self.chosen, self.foreign) = (false, true);
                    }
                    _ => {}
                }
                user.modified = now;
            }
        }
        self.show(before.as_ref(), now);
        before != self.user && !matches!(act, Act::Attribute)
    }

    fn recreate(&mut self, newcomer: Newcomer, now: Timestamp) {
        let (state, is_stranger) = match newcomer {
            Newcomer::ByAdministrator => (UserState::ForceChangePassword, false),
            Newcomer::Unconfirmed => (UserState::Unconfirmed, true),
            Newcomer::SignedUp => (UserState::Confirmed, true),
            Newcomer::Federated => (UserState::ExternalProvider, true),
        };
        self.user = Some(User {
            state,
            enabled: true,
            created: now,
            modified: now,
            is_stranger,
        });
        let password = format!("of a new user, {newcomer:?}");
        self.current = (password.clone(), newcomer != Newcomer::ByAdministrator);
        self.past = vec![password];
        (self.chosen, self.foreign) = (false, true);
        self.sessions.clear();
    }

    /// The user signs in, if there is a password that lets the user in.
    fn sign_in(&mut self) {
        let user = self.user.as_ref().filter(|user| user.enabled);
        let may = user.is_some_and(|user| {
            matches!(
                user.state,
                UserState::Confirmed | UserState::ExternalProvider
            )
        });
        if may {
            self.moment += 1;
            self.sessions.push(self.moment);
        }
    }

    fn show(&mut self, before: Option<&User>, now: Timestamp) {
        if before != self.user.as_ref() {
            self.views.push((now, self.user.clone()));
        }
    }

    /// The user chooses a new password, if Cognito asks for one: after a sign-in with a temporary password, or
    /// after a reset.
    pub fn choose(&mut self, now: Timestamp) {
        let before = self.user.clone();
        let Some(user) = self.user.as_mut().filter(|user| user.enabled) else {
            return;
        };
        let password = format!("chosen by the user after {} others", self.past.len());
        if user.state == UserState::ResetRequired {
            self.current = (password.clone(), true);
        } else if !self.current.1 && !self.chosen {
            self.chosen = true;
        } else {
            return;
        }
        user.state = UserState::Confirmed;
        self.past.push(password);
        self.show(before.as_ref(), now);
    }

    /// Another program sets a permanent password, unless the history refuses.
    pub fn meddle(&mut self, password: &str, now: Timestamp) {
        let before = self.user.clone();
        if let Some(user) = self.user.as_mut()
            && !self
                .history
                .is_some_and(|kept| self.past.iter().rev().take(kept).any(|p| p == password))
        {
            user.state = UserState::Confirmed;
            self.current = (password.to_owned(), true);
            self.chosen = false;
            self.foreign = true;
            self.past.push(password.to_owned());
            self.show(before.as_ref(), now);
        }
    }

    /// Late requests take effect. Returns whether there was one.
    pub fn land(&mut self, now: Timestamp) -> bool {
        self.flying.sort_by_key(|(at, _, _)| *at);
        let still_flying = self.flying.partition_point(|(at, _, _)| *at <= now);
        let landing: Vec<_> = self.flying.drain(..still_flying).collect();
        for (_, password, permanent) in &landing {
            self.apply(password, *permanent, now);
        }
        let before = self.flying_sign_outs.len();
        self.flying_sign_outs.retain(|at| *at > now);
        let lands = self.flying_sign_outs.len() < before;
        if lands {
            self.end_sessions(now);
        }
        lands || !landing.is_empty()
    }

    /// Late requests never arrive.
    pub fn lose_flying(&mut self) {
        self.flying.clear();
    }

    pub fn is_flying(&self) -> bool {
        !self.flying.is_empty() || !self.flying_sign_outs.is_empty()
    }

    fn apply(&mut self, password: &str, permanent: bool, now: Timestamp) -> Reply {
        let before = self.user.clone();
        if before.is_none() {
            return error(400, "UserNotFoundException");
        }
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
        self.moment += 1;
        self.set_at = self.moment;
        if let Some(user) = &mut self.user {
            user.state = if permanent {
                UserState::Confirmed
            } else {
                UserState::ForceChangePassword
            };
        }
        self.show(before.as_ref(), now);
        Reply::Success {
            output: (),
            request_id: None,
            answered_at: Some(now),
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
