//! The operations of Cognito, and the faults, limits and rights of each.

use super::model::Key;
use super::{Fault, FaultServer, Shared};

/// An operation that the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Operation {
    AdminSetUserPassword,
    ListUsers,
    AdminUserGlobalSignOut,
    DescribeUserPool,
    // The operator never calls these. Persons do.
    AdminGetUser,
    AdminEnableUser,
    AdminCreateUser,
    AdminDeleteUser,
}

impl Operation {
    const ALL: [Self; 8] = [
        Self::AdminSetUserPassword,
        Self::ListUsers,
        Self::AdminUserGlobalSignOut,
        Self::DescribeUserPool,
        Self::AdminGetUser,
        Self::AdminEnableUser,
        Self::AdminCreateUser,
        Self::AdminDeleteUser,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AdminSetUserPassword => "AdminSetUserPassword",
            Self::ListUsers => "ListUsers",
            Self::AdminUserGlobalSignOut => "AdminUserGlobalSignOut",
            Self::DescribeUserPool => "DescribeUserPool",
            Self::AdminGetUser => "AdminGetUser",
            Self::AdminEnableUser => "AdminEnableUser",
            Self::AdminCreateUser => "AdminCreateUser",
            Self::AdminDeleteUser => "AdminDeleteUser",
        }
    }

    /// IAM's name of the action.
    pub(crate) fn action(self) -> String {
        format!("cognito-idp:{}", self.name())
    }

    /// The operation of this `X-Amz-Target`.
    pub(super) fn of_target(target: &str) -> Option<Self> {
        let name = target.strip_prefix("AWSCognitoIdentityProviderService.")?;
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// The script of one operation; see [`FaultServer::of`].
#[derive(Debug)]
pub(crate) struct Script<'a> {
    shared: &'a Shared,
    operation: Operation,
}

impl FaultServer {
    /// The faults, the limit and the rights of one operation. The methods of the same names of [`FaultServer`]
    /// are about `AdminSetUserPassword`.
    pub(crate) fn of(&self, operation: Operation) -> Script<'_> {
        Script {
            shared: &self.shared,
            operation,
        }
    }
}

impl Script<'_> {
    /// The next calls of any user get these faults, one each, in this order.
    pub(crate) fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.script(|script| script.next.extend(faults));
    }

    /// The next calls for this user get these faults. Has priority over [`next`](Self::next). For `ListUsers`,
    /// the username is what is looked up, a username or a sub; an empty username stands for pages. For
    /// `DescribeUserPool`, the username is empty.
    pub(crate) fn next_for(
        &self,
        (pool, username): (&str, &str),
        faults: impl IntoIterator<Item = Fault>,
    ) {
        let key = Key::new(pool, username);
        self.script(|script| script.next_for.entry(key).or_default().extend(faults));
    }

    /// Every call from now on gets this fault, until [`heal`](Self::heal).
    pub(crate) fn always(&self, fault: Fault) {
        self.script(|script| script.always = Some(fault));
    }

    /// Every call for this user gets this fault. The username is as for [`next_for`](Self::next_for).
    pub(crate) fn always_for(&self, (pool, username): (&str, &str), fault: Fault) {
        let key = Key::new(pool, username);
        self.script(|script| script.always_for.insert(key, fault));
    }

    /// No faults for this user from now on.
    pub(crate) fn heal_for(&self, (pool, username): (&str, &str)) {
        let key = Key::new(pool, username);
        self.script(|script| {
            script.always_for.remove(&key);
            script.next_for.remove(&key);
        });
    }

    /// Every call about this pool gets this fault.
    pub(crate) fn always_in(&self, pool: &str, fault: Fault) {
        self.script(|script| script.always_in.insert(pool.to_owned(), fault));
    }

    /// Each call gets at most one of these faults, each with its probability; the probabilities sum up to at
    /// most 1. The same seed and the same order of calls give the same faults.
    pub(crate) fn chance(&self, seed: u64, faults: impl IntoIterator<Item = (Fault, f64)>) {
        let faults: Vec<_> = faults.into_iter().collect();
        self.script(|script| script.set_chance(seed, faults));
    }

    /// No faults of this operation from now on. Calls that hang continue to hang.
    pub(crate) fn heal(&self) {
        self.script(|script| *script = super::faults::Faults::default());
    }

    /// More calls than this within one second are throttled, over all users.
    pub(crate) fn set_calls_per_second(&self, limit: Option<usize>) {
        self.shared.update(|state| {
            let it = state.limits.entry(self.operation).or_default();
            it.calls_per_second = limit;
        });
    }

    /// Takes the right to this operation away, until [`allow`](Self::allow): `AccessDeniedException`. The other
    /// operations keep their rights. A fault that was scripted for a denied call is lost.
    pub(crate) fn deny(&self) {
        self.shared
            .update(|state| state.denied.insert(self.operation));
    }

    pub(crate) fn allow(&self) {
        self.shared
            .update(|state| state.denied.remove(&self.operation));
    }

    fn script<T>(&self, act: impl FnOnce(&mut super::faults::Faults) -> T) {
        self.shared
            .update(|state| act(state.faults.entry(self.operation).or_default()));
    }
}
