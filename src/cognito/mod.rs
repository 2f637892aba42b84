//! The port to AWS. The controller knows the trait [`Cognito`]. Only the module [`aws`] imports the SDK.
//!
//! Imports [`crate::core`] only.

pub mod aws;

use crate::core::{
    access::authority::Authority,
    credential::{failure::CredentialsFailure, password::Password},
    look::user::{UserPage, UserQuery},
    names::{
        region::Regions,
        target::{Account, PoolId, Target},
    },
    protocol::reply::Reply,
};
use std::future::Future;

/// The calls of Amazon Cognito that the controller needs. An implementation does I/O and decides nothing.
///
/// Each operation makes exactly one request: no retries, 2 s to connect, 5 s in all. If AWS refuses the
/// credentials of the call, the next [`authenticate`](Self::authenticate) resolves the credentials again.
///
/// Another operation also needs its action in `core::access::iam` and its label in the metrics
/// (`cognito_call`). Check `LEASE_FOR_A_CALL` and `SHUTDOWN_MAX` too: both assume one call of 5 s.
pub trait Cognito: Send + Sync + 'static {
    /// The Regions in which Cognito can be called.
    fn regions(&self) -> Regions;

    /// Makes sure that there are credentials for a call by this authority, so that a broken identity never
    /// leaves an open attempt. Cheap while the credentials are cached and valid. Returns the account whose
    /// quota counts the calls.
    ///
    /// # Errors
    /// [`CredentialsFailure`] if there are no credentials.
    fn authenticate(
        &self,
        authority: &Authority,
    ) -> impl Future<Output = Result<Account, CredentialsFailure>> + Send;

    /// Why [`authenticate`](Self::authenticate) takes long for this authority, if the reason is that other
    /// authorities came first. None if the service that gives the credentials had time to answer.
    fn queue_delay(&self, _authority: &Authority) -> Option<CredentialsFailure> {
        None
    }

    /// Calls `AdminSetUserPassword`.
    fn admin_set_user_password(
        &self,
        authority: &Authority,
        target: &Target,
        password: &Password,
        permanent: bool,
    ) -> impl Future<Output = Reply> + Send;

    /// Calls `ListUsers` for one page or one user. Asks for no attribute but the sub.
    fn list_users(
        &self,
        authority: &Authority,
        pool: &PoolId,
        query: &UserQuery,
    ) -> impl Future<Output = Reply<UserPage>> + Send;

    /// Calls `AdminUserGlobalSignOut`, which revokes the user's sessions.
    fn admin_user_global_sign_out(
        &self,
        authority: &Authority,
        target: &Target,
    ) -> impl Future<Output = Reply> + Send;

    /// Calls `DescribeUserPool`. Returns the `TemporaryPasswordValidityDays` of the pool's password policy,
    /// in days; None if the policy does not say.
    fn temporary_password_validity_days(
        &self,
        authority: &Authority,
        pool: &PoolId,
    ) -> impl Future<Output = Reply<Option<u32>>> + Send;

    /// Drops the credentials of every authority that is not `needed`. The operator's own identity stays. If
    /// credentials are dropped too early, the next [`authenticate`](Self::authenticate) resolves the
    /// credentials again. `needed` must not call methods of this trait.
    fn retain(&self, needed: &dyn Fn(&Authority) -> bool);
}
