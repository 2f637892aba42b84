//! A Cognito that misbehaves on request.
//!
//! The server speaks Cognito's wire protocol for `AdminSetUserPassword`, `ListUsers`, `AdminUserGlobalSignOut`
//! and `DescribeUserPool`, with features that no emulator has: password history, throttling, every error code,
//! replies that get lost before or after the call had its effect, and a `ListUsers` that is late, short or
//! shifted. Users have states, dates and sessions, and others may change the users: by the methods here, or by
//! the command line of AWS with `AdminGetUser`, `AdminEnableUser`, `AdminCreateUser` and `AdminDeleteUser`. The
//! server records every call. So tests can check what was called, how often, and that calls for one user never
//! overlap.
//!
//! Every other operation is answered with `UnknownOperationException`; see [`FaultServer::actions`].
//!
//! At the same URL the server is an STS, which lets roles be assumed, refuses them with any message, or
//! hangs; and a `CloudTrail`, which shows the changes by others.

mod faults;
mod in_flight;
mod model;
mod operation;
mod other_calls;
mod record;
mod reply;
mod request;
mod roles;
mod service;
mod sts;
mod trail;
mod users;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;

pub(crate) use faults::{Failure, Fault};
pub(crate) use model::{Listing, Origin, Session, UserState, UserStatus, pool_arn};
pub(crate) use operation::{Operation, Script};
pub(crate) use record::{
    Call, OtherCall, Outcome, Subject, most_calls_in_a_second, most_in_a_second,
};
pub(crate) use sts::{AssumeRole, OWN_ACCOUNT, session_key};
pub(crate) use trail::SOMEBODY_ELSE;

use super::process::lock;
use super::server::Server;
use faults::{Faults, Limit};
use model::{Key, Model};
use record::Record;
use sts::Sts;
use trail::Trail;

/// All connections close when this value is dropped.
#[derive(Debug)]
pub(crate) struct FaultServer {
    server: Server,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Changes with every arrival and every end of a call.
    changed: watch::Sender<u64>,
    /// Changes when hanging calls are released.
    released: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    model: Model,
    faults: HashMap<Operation, Faults>,
    limits: HashMap<Operation, Limit>,
    /// The operations that the caller has no right to.
    denied: BTreeSet<Operation>,
    record: Record,
    sts: Sts,
    trail: Trail,
    actions: BTreeSet<String>,
}

impl Shared {
    /// Every change of the state goes through this function, which then notifies `changed`.
    fn update<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let result = act(&mut lock(&self.state));
        self.changed.send_modify(|version| *version += 1);
        result
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&lock(&self.state))
    }
}

impl FaultServer {
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: watch::Sender::new(0),
            released: watch::Sender::new(0),
        });
        let state = Arc::clone(&shared);
        let server = Server::start("fault-server", move |stream| {
            serve(stream, Arc::clone(&state))
        });
        Self { server, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    // Users.

    /// Adds a user without a password, whom an administrator made, and the user's pool.
    pub(crate) fn add_user(&self, pool: &str, username: &str) {
        self.shared
            .update(|state| state.model.add_user(&Key::new(pool, username)));
    }

    /// Adds a pool without users: `UserNotFoundException` instead of `ResourceNotFoundException`.
    pub(crate) fn add_pool(&self, pool: &str) {
        self.shared.update(|state| state.model.add_pool(pool));
    }

    /// The last `count` passwords of a user, including the CURRENT password, can't be set again. Zero means
    /// no history (the default). For all pools that have none of their own.
    pub(crate) fn set_history(&self, count: usize) {
        self.shared.update(|state| state.model.history = count);
    }

    /// Shorter passwords are refused. Zero accepts every length (the default).
    pub(crate) fn set_minimum_length(&self, characters: usize) {
        self.shared
            .update(|state| state.model.minimum_length = characters);
    }

    /// More calls than this within one second are throttled, over all users.
    pub(crate) fn set_calls_per_second(&self, limit: Option<usize>) {
        self.sets().set_calls_per_second(limit);
    }

    // Faults of `AdminSetUserPassword`. [`of`](Self::of) has the faults of other operations.

    fn sets(&self) -> Script<'_> {
        self.of(Operation::AdminSetUserPassword)
    }

    /// The next calls of any user get these faults, one each, in this order.
    pub(crate) fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.sets().next(faults);
    }

    /// The next calls for this user get these faults. Has priority over [`next`](Self::next).
    pub(crate) fn next_for(&self, user: (&str, &str), faults: impl IntoIterator<Item = Fault>) {
        self.sets().next_for(user, faults);
    }

    /// Every call from now on gets this fault, until [`heal`](Self::heal).
    pub(crate) fn always(&self, fault: Fault) {
        self.sets().always(fault);
    }

    /// Every call for this user gets this fault.
    pub(crate) fn always_for(&self, user: (&str, &str), fault: Fault) {
        self.sets().always_for(user, fault);
    }

    /// Each call gets at most one of these faults, each with its probability; the probabilities sum up to at
    /// most 1. The same seed and the same order of calls give the same faults.
    pub(crate) fn chance(&self, seed: u64, faults: impl IntoIterator<Item = (Fault, f64)>) {
        self.sets().chance(seed, faults);
    }

    /// No faults of any operation from now on. Calls that hang continue to hang.
    pub(crate) fn heal(&self) {
        self.shared.update(|state| state.faults.clear());
    }

    /// All calls that hang now continue: a `HangBefore` is applied. Both kinds are answered if the client is
    /// still connected.
    pub(crate) fn release(&self) {
        self.shared.released.send_modify(|count| *count += 1);
    }

    // The record of calls.

    /// All calls of `AdminSetUserPassword` in the order of their arrival.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared.read(|state| state.record.calls().to_vec())
    }

    pub(crate) fn calls_for(&self, pool: &str, username: &str) -> Vec<Call> {
        let mut calls = self.calls();
        calls.retain(|call| call.pool == pool && call.username == username);
        calls
    }

    /// The actions of all requests but those of the command line of AWS, with IAM's names, including actions that
    /// this server does not have.
    pub(crate) fn actions(&self) -> BTreeSet<String> {
        self.shared.read(|state| state.actions.clone())
    }

    /// The number of calls, without a copy of all calls: for long runs.
    pub(crate) fn call_count(&self) -> usize {
        self.shared.read(|state| state.record.calls().len())
    }

    /// The most concurrent calls for one user. The operator promises at most one.
    pub(crate) fn max_in_flight_per_user(&self) -> usize {
        self.shared
            .read(|state| record::max_in_flight_per_user(state.record.calls()))
    }

    /// Waits until `count` calls have arrived; the calls may not be answered yet. Panics after `deadline`.
    pub(crate) async fn wait_for_calls(&self, count: usize, deadline: Duration) {
        let what = format!("{count} calls");
        self.wait_until(&what, deadline, |calls| calls.len() >= count)
            .await;
    }

    /// Waits until the calls so far match `wanted`; checks whenever a call arrives or ends.
    pub(crate) async fn wait_until(
        &self,
        what: &str,
        deadline: Duration,
        wanted: impl Fn(&[Call]) -> bool,
    ) {
        let holds = || self.shared.read(|state| wanted(state.record.calls()));
        self.wait(what, deadline, holds).await;
    }

    /// Waits until this is the user's password.
    pub(crate) async fn wait_for_password(
        &self,
        (pool, username): (&str, &str),
        password: &str,
        deadline: Duration,
    ) {
        let what = format!("password {password:?} for {username}");
        let holds = || self.password_of(pool, username).as_deref() == Some(password);
        self.wait(&what, deadline, holds).await;
    }

    async fn wait(&self, what: &str, deadline: Duration, holds: impl Fn() -> bool) {
        let mut changed = self.shared.changed.subscribe();
        let wait = tokio::time::timeout(deadline, changed.wait_for(|_| holds())).await;
        assert!(
            wait.is_ok(),
            "no {what} after {deadline:?}; the calls so far:\n{}",
            record::render(&self.calls())
        );
    }

    /// Clears users, faults, rights, settings and calls, like a new server. Hanging calls are released.
    pub(crate) fn reset(&self) {
        self.shared.update(|state| {
            state.model = Model::default();
            state.faults.clear();
            state.limits.clear();
            state.denied.clear();
            state.record.clear();
            state.sts = Sts::default();
            state.trail = Trail::default();
        });
        self.release();
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request| service::answer(Arc::clone(&shared), request));
    // The replies have AWS's date, or none.
    let mut http = http1::Builder::new();
    http.auto_date_header(false);
    // An error is a connection that this server drops on purpose, or a client that closed its connection.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}
