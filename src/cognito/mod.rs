//! The door to AWS. [`Cognito`] is the port that the controller knows; [`aws`] is the only module
//! that imports the SDK.

pub mod aws;

use crate::core::{
    access::authority::Authority,
    credential::{failure::CredentialsFailure, password::Password},
    names::{
        region::Regions,
        target::{Account, Target},
    },
    protocol::reply::Reply,
};
use std::future::Future;

/// What the controller asks of Amazon Cognito. It does I/O and decides nothing.
pub trait Cognito: Send + Sync + 'static {
    /// In which Regions it can be called.
    fn regions(&self) -> Regions;

    /// Makes sure that there are credentials for a call by this authority, so that a broken identity
    /// never leaves an open attempt. Cheap while they are cached and valid. Answers with the account
    /// whose quota calls count against.
    ///
    /// # Errors
    /// [`CredentialsFailure`] when there are none.
    fn authenticate(
        &self,
        authority: &Authority,
    ) -> impl Future<Output = Result<Account, CredentialsFailure>> + Send;

    /// Calls `AdminSetUserPassword` exactly once: no retries, 2 s to connect, 5 s for the whole.
    fn admin_set_user_password(
        &self,
        authority: &Authority,
        target: &Target,
        password: &Password,
        permanent: bool,
    ) -> impl Future<Output = Reply> + Send;

    /// Drops the credentials of all other authorities. The operator's own identity stays, and what is
    /// dropped too early comes back with the next [`authenticate`](Self::authenticate). `needed` must
    /// not call back.
    fn retain(&self, needed: &dyn Fn(&Authority) -> bool);
}
