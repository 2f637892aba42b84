//! What tests say of roles, and see of how they were assumed. A role that nothing is said of can't be.

use std::time::Duration;

use super::{AssumeRole, Failure, FaultServer};

impl FaultServer {
    /// Sessions of an hour for whoever names this external id, if there is one.
    pub(crate) fn allow_role(&self, arn: &str, external_id: Option<&str>) {
        self.allow_role_for(arn, external_id, Duration::from_hours(1));
    }

    /// Sessions of this length.
    pub(crate) fn allow_role_for(&self, arn: &str, external_id: Option<&str>, lifetime: Duration) {
        self.shared
            .update(|state| state.sts.allow(arn, external_id, lifetime));
    }

    /// STS answers a request for this role with this error (and HTTP 403).
    pub(crate) fn refuse_role(&self, arn: &str, code: &str, message: &str) {
        let failure = Failure::new(403, code, message);
        self.shared.update(|state| state.sts.refuse(arn, failure));
    }

    /// STS says nothing to a request for this role, till it is allowed or refused.
    pub(crate) fn hang_role(&self, arn: &str) {
        self.shared.update(|state| state.sts.hang(arn));
    }

    /// STS refuses whatever it is asked with the operator's own credentials: with this code
    /// (`ExpiredToken`) and message, till this is called with none.
    pub(crate) fn refuse_own_identity(&self, answer: Option<(&str, &str)>) {
        let failure = answer.map(|(code, message)| Failure::new(403, code, message));
        self.shared.update(|state| state.sts.refuse_all(failure));
    }

    /// Every `AssumeRole`, in the order of their arrival.
    pub(crate) fn assumed(&self) -> Vec<AssumeRole> {
        self.shared.read(|state| state.sts.record().to_vec())
    }

    /// Those for one role.
    pub(crate) fn assumed_role(&self, arn: &str) -> Vec<AssumeRole> {
        let mut assumed = self.assumed();
        assumed.retain(|call| call.arn == arn);
        assumed
    }

    /// How often somebody asked who they are.
    pub(crate) fn caller_identities(&self) -> usize {
        self.shared.read(|state| state.sts.caller_identities())
    }

    /// Waits till `count` `AssumeRole` have arrived (not: been answered). Panics after `deadline`.
    pub(crate) async fn wait_for_assumed(&self, count: usize, deadline: Duration) {
        let what = format!("{count} AssumeRole");
        let enough = |assumed: &[AssumeRole]| assumed.len() >= count;
        self.wait_until_assumed(&what, deadline, enough).await;
    }

    /// Waits till every `AssumeRole` so far, answered or not, are as `wanted`. Panics after `deadline`.
    pub(crate) async fn wait_until_assumed(
        &self,
        what: &str,
        deadline: Duration,
        wanted: impl Fn(&[AssumeRole]) -> bool,
    ) {
        let holds = || self.shared.read(|state| wanted(state.sts.record()));
        self.wait(what, deadline, holds).await;
    }
}
