//! A Cognito in memory, with the faults that a test wants.

use super::super::panic_tests::scene::lock;
use crate::{
    cognito::Cognito,
    core::{
        access::authority::Authority,
        credential::{failure::CredentialsFailure, password::Password},
        look::user::{User, UserFilter, UserPage, UserQuery, UserState},
        names::{
            region::Regions,
            target::{Account, PoolId, Target},
        },
        protocol::reply::{Reply, ServiceError},
    },
};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many calls of `AdminSetUserPassword` may be under way.
const SETS_MAX: u32 = 1_000;

/// More lookups of credentials than any test needs. A loop of lookups would not let the paused clock go on.
const AUTHENTICATIONS_MAX: usize = 100_000;

/// The state of the operator's credentials.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Credentials {
    #[default]
    Work,
    /// None are found.
    Missing,
    /// AWS refuses them in each call.
    Refused,
}

/// A call that the pool got.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Call {
    Set(String),
    /// `ListUsers` for the user of this name.
    Lookup(String),
    /// `ListUsers` for all users.
    Page,
    SignOut(String),
    /// `DescribeUserPool`.
    Policy,
}

/// A pool with every user that anybody asks for. A page lists nobody, so that a pass looks up each user.
pub struct Pool {
    pub credentials: Mutex<Credentials>,
    /// `ListUsers` does not answer, so that each call ends without a reply after 5 s.
    pub hangs: AtomicBool,
    /// No user has signed in yet: each has a temporary password.
    pub are_new: AtomicBool,
    /// The name of the user whose lookups Cognito refuses, because of the filter.
    pub refused_filter: Mutex<Option<&'static str>>,
    /// The code with which Cognito refuses sets.
    pub refuses_sets: Mutex<Option<&'static str>>,
    /// All calls, in order.
    pub calls: Mutex<Vec<Call>>,
    /// How often somebody asked for credentials.
    pub authentications: AtomicUsize,
    /// A set under way holds a permit.
    sets: Semaphore,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            credentials: Mutex::default(),
            hangs: AtomicBool::default(),
            are_new: AtomicBool::default(),
            refused_filter: Mutex::default(),
            refuses_sets: Mutex::default(),
            calls: Mutex::default(),
            authentications: AtomicUsize::default(),
            sets: Semaphore::new(SETS_MAX as usize),
        }
    }
}

impl Pool {
    pub fn with(credentials: Credentials) -> Self {
        let pool = Self::default();
        pool.give(credentials);
        pool
    }

    pub fn give(&self, credentials: Credentials) {
        *lock(&self.credentials) = credentials;
    }

    /// Holds the replies to sets back, until the value is dropped.
    pub fn hold_sets(&self) -> SemaphorePermit<'_> {
        let held = self.sets.try_acquire_many(SETS_MAX);
        held.expect("no set under way")
    }

    /// The number of calls that are like this.
    pub fn count(&self, is_like: impl Fn(&Call) -> bool) -> usize {
        lock(&self.calls).iter().filter(|it| is_like(it)).count()
    }

    pub fn sets(&self) -> usize {
        self.count(|call| matches!(call, Call::Set(_)))
    }

    pub fn lookups(&self) -> usize {
        self.count(|call| matches!(call, Call::Lookup(_)))
    }

    pub fn sign_outs(&self) -> usize {
        self.count(|call| matches!(call, Call::SignOut(_)))
    }

    /// The reply to a call that has no other fault.
    fn reply<T>(&self, call: Call, output: T) -> Reply<T> {
        lock(&self.calls).push(call);
        match *lock(&self.credentials) {
            Credentials::Work => Reply::Success {
                output,
                request_id: None,
                answered_at: None,
            },
            Credentials::Missing | Credentials::Refused => refused("UnrecognizedClientException"),
        }
    }
}

fn refused<T>(code: &str) -> Reply<T> {
    Reply::ServiceError(ServiceError {
        status: 400,
        code: Some(code.to_owned()),
        message: None,
        request_id: None,
    })
}

/// A confirmed user of the distant past.
pub fn user(name: &str) -> User {
    User {
        username: name.to_owned(),
        sub: None,
        state: UserState::Confirmed,
        enabled: true,
        created: Some("2020-01-01T00:00:00Z".parse().expect("a time")),
        modified: None,
    }
}

impl Cognito for Pool {
    fn regions(&self) -> Regions {
        Regions::OfAws
    }

    async fn authenticate(&self, _: &Authority) -> Result<Account, CredentialsFailure> {
        let count = self.authentications.fetch_add(1, Ordering::Relaxed);
        assert!(count < AUTHENTICATIONS_MAX, "an endless loop");
        match *lock(&self.credentials) {
            Credentials::Missing => Err(CredentialsFailure("none".to_owned())),
            Credentials::Work | Credentials::Refused => Ok(Account::OfSource),
        }
    }

    async fn admin_set_user_password(
        &self,
        _: &Authority,
        target: &Target,
        _: &Password,
        _: bool,
    ) -> Reply {
        let reply = self.reply(Call::Set(target.username.to_string()), ());
        let _under_way = self.sets.acquire().await;
        let code = *lock(&self.refuses_sets);
        code.map_or(reply, refused)
    }

    async fn list_users(&self, _: &Authority, _: &PoolId, query: &UserQuery) -> Reply<UserPage> {
        let page = |users| UserPage {
            users,
            next_token: None,
        };
        let name = match &query.filter {
            UserFilter::All => None,
            UserFilter::Username(name) | UserFilter::Sub(name) => Some(name),
        };
        let call = name.map_or(Call::Page, |name| Call::Lookup(name.clone()));
        let mut users: Vec<_> = name.map(|name| user(name)).into_iter().collect();
        if self.are_new.load(Ordering::Relaxed) {
            for user in &mut users {
                user.state = UserState::ForceChangePassword;
            }
        }
        let reply = self.reply(call, page(users));
        if self.hangs.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_secs(5)).await;
            return Reply::NoReply {
                detail: "a hanging call".to_owned(),
            };
        }
        if name.is_some_and(|name| *lock(&self.refused_filter) == Some(name)) {
            return refused("InvalidParameterException");
        }
        reply
    }

    async fn admin_user_global_sign_out(&self, _: &Authority, target: &Target) -> Reply {
        self.reply(Call::SignOut(target.username.to_string()), ())
    }

    async fn temporary_password_validity_days(
        &self,
        _: &Authority,
        _: &PoolId,
    ) -> Reply<Option<u32>> {
        self.reply(Call::Policy, Some(30))
    }

    fn retain(&self, _: &dyn Fn(&Authority) -> bool) {}
}
