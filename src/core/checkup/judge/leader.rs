//! The leader: by the Lease, by the pods, and by what the pods say of themselves.

use super::facts::{Deployed, OperatorFacts, Page, Pages};
use crate::core::{
    checkup::{
        finding::{Cure, Finding, Level},
        installed::Installed,
        lease::{Leader, Lease},
        seen::Seen,
    },
    words::span,
};

const SUBJECT: &str = "leader";

pub(super) fn judge(operator: &OperatorFacts) -> Vec<Finding> {
    let pages = operator.pages.as_ref().map_or(&[][..], Pages::asked);
    let several = leaders(pages);
    if several.len() > 1 {
        let text = format!("{} lead at once: {}", several.len(), several.join(", "));
        let cure = match &operator.deployed {
            Some(deployed) => one_election(&deployed.installed),
            None => Cure::words(
                "give each installation a Lease of its own, and one operator to each namespace",
            )
            .more("install.md#two-installations-in-one-namespace"),
        };
        return vec![Finding::new(SUBJECT, Level::Failed, text).cured_by(cure)];
    }
    let lease = match &operator.lease {
        None => return Vec::new(),
        Some(Seen::Known(lease)) => lease.as_ref(),
        Some(unseen) => {
            let why = unseen.why_not().unwrap_or_default();
            let text = format!("the Lease can't be read: {why}");
            return vec![Finding::new(SUBJECT, Level::Unknown, text)];
        }
    };
    vec![by_lease(lease, operator)]
}

/// What ends the second leader among the pods of one Deployment, which take part in one election once all have the
/// same settings.
pub(in crate::core) fn one_election(installed: &Installed) -> Cure {
    Cure::command(
        "start the pods again: all then have the same settings, and take part in one election",
        format!(
            "kubectl rollout restart deployment/{} -n {}",
            installed.name, installed.namespace
        ),
    )
    .more("operations.md#replicas")
}

/// The pods that call themselves the leader.
fn leaders(pages: &[Page]) -> Vec<String> {
    let leads = |page: &&Page| page.metrics().is_some_and(|it| it.leads == Some(true));
    pages.iter().filter(leads).map(|it| it.of.clone()).collect()
}

fn by_lease(lease: Option<&Lease>, operator: &OperatorFacts) -> Finding {
    let failed = |text: String| {
        let finding = Finding::new(SUBJECT, Level::Failed, text);
        finding.cured_by(log_of(operator.deployed.as_ref()))
    };
    let Some(lease) = lease else {
        return failed("there is no Lease: no pod has led yet".to_owned());
    };
    let holder = lease.pod();
    let leader = lease.leader();
    match leader {
        Leader::Released => return failed("nobody holds the Lease".to_owned()),
        Leader::Timeless => {
            return failed(format!(
                "{holder} holds the Lease, which has no time of renewal"
            ));
        }
        Leader::Gone(age) => {
            return failed(format!(
                "{holder} held the Lease and renewed it last {} ago, which is longer than the {} s for which a renewal counts",
                span(age),
                lease.duration.as_secs()
            ));
        }
        Leader::Holder(_) | Leader::HolderByOtherClock(_) => {}
    }
    let stranger = operator.deployed.as_ref().filter(|deployed| {
        let pods = deployed.pods.known();
        pods.is_some_and(|pods| !pods.is_empty() && !pods.contains(&holder))
    });
    if let Some(deployed) = stranger {
        let it = &deployed.installed;
        let text = format!(
            "{holder} holds the Lease {} and is no pod of {}/{}: another operator takes part in the election",
            it.settings.lease_name, it.namespace, it.name
        );
        let cure = Cure::words(
            "give the other operator a Lease of its own, by --lease-name, and other namespaces",
        );
        let cure = cure.more("install.md#two-installations-in-one-namespace");
        return Finding::new(SUBJECT, Level::Failed, text).cured_by(cure);
    }
    if let Leader::HolderByOtherClock(by) = leader {
        let text = format!(
            "{holder} leads, and renewed the Lease just now; the time in the Lease differs by {} from this machine's clock",
            span(by)
        );
        return Finding::new(SUBJECT, Level::Warning, text).cured_by(Cure::words(
            "set the clocks of this machine and of the nodes",
        ));
    }
    let age = span(lease.age.unwrap_or_default());
    let text = format!("{holder} leads, and renewed the Lease {age} ago");
    Finding::new(SUBJECT, Level::Well, text)
}

fn log_of(deployed: Option<&Deployed>) -> Cure {
    let text = "read the log of the operator's pods; /readyz names what a pod lacks";
    match deployed {
        None => Cure::words(text),
        Some(deployed) => {
            let it = &deployed.installed;
            let command = format!("kubectl logs -n {} deployment/{}", it.namespace, it.name);
            Cure::command(text, command)
        }
    }
    .more("runbooks.md#nothing-happens")
}
