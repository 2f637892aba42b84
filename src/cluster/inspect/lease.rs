//! Reads the Lease of the election.

use super::{
    access::{right, seen_by},
    installation::has_right,
};
use crate::core::checkup::{lease::Lease, seen::Seen};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease as LeaseObject, LeaseSpec};
use kube::{Api, Client};
use std::time::Duration;

/// How often a Lease whose time is far from this machine's is read again, and the pause before each read. A leader
/// renews the Lease every 2 seconds.
const READS: usize = 6;
const PAUSE: Duration = Duration::from_secs(1);

/// The Lease of this name; None if there is none. If the Lease's time is far from this machine's, reads the Lease
/// again for some seconds, because a renewal meanwhile is proof that the holder leads.
pub async fn lease(client: &Client, namespace: &str, name: &str) -> Seen<Option<Lease>> {
    const GROUP: &str = "coordination.k8s.io";
    let needed = right("get", GROUP, "leases", Some(namespace), Some(name));
    if has_right(client, &needed).await == Ok(false) {
        return Seen::Denied(needed);
    }
    let leases: Api<LeaseObject> = Api::namespaced(client.clone(), namespace);
    let read = async || {
        let found = seen_by(needed.clone(), leases.get_opt(name)).await;
        found.map(|it| it.map(|it| it.spec.unwrap_or_default()))
    };
    let first = read().await;
    let far = |spec: &LeaseSpec| lease_of(name, spec, false).is_far();
    if let Seen::Known(Some(first)) = &first
        && far(first)
    {
        for _ in 0..READS {
            tokio::time::sleep(PAUSE).await;
            if let Seen::Known(Some(again)) = read().await
                && again.renew_time != first.renew_time
            {
                return Seen::Known(Some(lease_of(name, &again, true)));
            }
        }
    }
    first.map(|it| it.map(|it| lease_of(name, &it, false)))
}

fn lease_of(name: &str, spec: &LeaseSpec, is_renewed: bool) -> Lease {
    let now = Timestamp::now();
    let seconds = spec.lease_duration_seconds.unwrap_or_default();
    Lease {
        name: name.to_owned(),
        holder: spec.holder_identity.clone().unwrap_or_default(),
        held: spec
            .acquire_time
            .as_ref()
            .map(|it| now.duration_since(it.0)),
        age: spec.renew_time.as_ref().map(|it| now.duration_since(it.0)),
        duration: SignedDuration::from_secs(seconds.into()),
        is_renewed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cluster::inspect::fake, core::checkup::lease::Leader};

    #[tokio::test]
    async fn a_leader_with_another_clock_is_seen_at_work() {
        let client = fake::client(&[
            fake::MAY,
            (
                "leases/operator",
                200,
                r#"{"metadata":{"name":"operator"},"spec":{"holderIdentity":"pod-a","leaseDurationSeconds":15,"renewTime":"2020-01-01T00:00:00.000000Z"}}"#,
            ),
            (
                "leases/operator",
                200,
                r#"{"metadata":{"name":"operator"},"spec":{"holderIdentity":"pod-a","leaseDurationSeconds":15,"renewTime":"2020-01-01T00:00:02.000000Z"}}"#,
            ),
        ])
        .await;
        let found = lease(&client, "home", "operator").await;
        let found = found.known().and_then(Option::as_ref).expect("a Lease");
        let leader = found.leader();
        assert!(matches!(leader, Leader::HolderByOtherClock(_)), "{found:?}");
    }

    #[tokio::test]
    async fn without_a_lease_nothing_is_read_again() {
        let client = fake::client(&[fake::MAY]).await;
        assert_eq!(lease(&client, "home", "operator").await, Seen::Known(None));
    }
}
