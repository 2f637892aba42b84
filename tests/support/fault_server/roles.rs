//! The roles of STS and the record of their use. A role that no test allows can't be assumed.

use std::time::Duration;

use super::{AssumeRole, Failure, FaultServer};

impl FaultServer {
    /// Allows sessions of one hour for callers with this external id; without one, for all callers.
    pub(crate) fn allow_role(&self, arn: &str, external_id: Option<&str>) {
        self.allow_role_for(arn, external_id, Duration::from_hours(1));
    }

    /// Allows sessions of this length.
    pub(crate) fn allow_role_for(&self, arn: &str, external_id: Option<&str>, lifetime: Duration) {
        self.shared
            .update(|state| state.sts.allow(arn, external_id, lifetime));
    }

    /// Answers requests for this role with this error and HTTP 403.
    pub(crate) fn refuse_role(&self, arn: &str, code: &str, message: &str) {
        let failure = Failure::new(403, code, message);
        self.shared.update(|state| state.sts.refuse(arn, failure));
    }

    /// Leaves requests for this role without an answer, until the role is allowed or refused.
    pub(crate) fn hang_role(&self, arn: &str) {
        self.shared.update(|state| state.sts.hang(arn));
    }

    /// Refuses every request that is signed with the operator's own credentials, with this code
    /// (`ExpiredToken`) and message. None ends the refusals.
    pub(crate) fn refuse_own_identity(&self, answer: Option<(&str, &str)>) {
        let failure = answer.map(|(code, message)| Failure::new(403, code, message));
        self.shared.update(|state| state.sts.refuse_all(failure));
    }

    /// Every `AssumeRole`, in the order of arrival.
    pub(crate) fn assumed(&self) -> Vec<AssumeRole> {
        self.shared.read(|state| state.sts.record().to_vec())
    }

    /// Every `AssumeRole` for one role.
    pub(crate) fn assumed_role(&self, arn: &str) -> Vec<AssumeRole> {
        let mut assumed = self.assumed();
        assumed.retain(|call| call.arn == arn);
        assumed
    }

    /// The number of `GetCallerIdentity` requests.
    pub(crate) fn caller_identities(&self) -> usize {
        self.shared.read(|state| state.sts.caller_identities())
    }

    /// Waits until `count` `AssumeRole` have arrived; they may not be answered yet. Panics after `deadline`.
    pub(crate) async fn wait_for_assumed(&self, count: usize, deadline: Duration) {
        let what = format!("{count} AssumeRole");
        let enough = |assumed: &[AssumeRole]| assumed.len() >= count;
        self.wait_until_assumed(&what, deadline, enough).await;
    }

    /// Waits until all `AssumeRole` so far, answered or not, match `wanted`. Panics after `deadline`.
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
