//! The grants and the resources, as the operator's conditions describe them.

use super::facts::Resources;
use crate::{
    api::{Class, ConditionStatus, Reason},
    core::{
        access::{
            found_grant::FoundGrant,
            why_not::{ListedGrant, Misfit},
        },
        checkup::{
            finding::{Cure, Finding, Level},
            seen::Seen,
        },
        text::legible,
        words::{count, first, span},
    },
};
use jiff::SignedDuration;

const GRANTS: &str = "grants";
const RESOURCES: &str = "resources";

/// How many failing grants have a finding of their own.
const NAMED: usize = 3;

/// The longest name of a grant that is printed, in characters.
const NAME: usize = 253;

/// The longest message of a condition that is printed, in characters.
const MESSAGE: usize = 500;

/// How many reasons the line about resources names.
const REASONS: usize = 4;

/// How long a resource may be suspended without a warning, in seconds.
const SUSPENDED: i64 = 86_400;

/// `admits_all`: without a grant, every namespace may manage every user.
pub(super) fn grants(grants: &Seen<Vec<FoundGrant>>, admits_all: bool) -> Vec<Finding> {
    let grants = match grants {
        Seen::Known(grants) => grants,
        unseen => {
            let why = unseen.why_not().unwrap_or_default();
            let text = format!("the grants are unknown: {why}");
            return vec![Finding::new(GRANTS, Level::Unknown, text)];
        }
    };
    if grants.is_empty() {
        return vec![if admits_all {
            let text = "there is no grant, and without one every namespace may manage every user";
            Finding::new(GRANTS, Level::Well, text.to_owned())
        } else {
            let text = "there is no grant, so no namespace may manage any user".to_owned();
            Finding::new(GRANTS, Level::Warning, text).cured_by(
                Cure::words(
                    "write a CognitoUserPoolGrant for each team, with the team's namespaces, its pool and its usernames",
                )
                .more("multi-tenancy.md"),
            )
        }];
    }
    let is = |it: &FoundGrant, status| it.ready().is_some_and(|it| it.status == status);
    let ready = grants.iter().filter(|it| is(it, ConditionStatus::True));
    let ready = ready.count();
    let failing = grants.iter().filter_map(|it| {
        let ready = it.ready()?;
        (ready.status == ConditionStatus::False).then_some((it, ready))
    });
    let failing: Vec<_> = failing.collect();
    let unjudged = grants.iter().filter(|it| {
        it.ready()
            .is_none_or(|it| it.status == ConditionStatus::Unknown)
    });
    let unjudged: Vec<_> = unjudged.map(|it| legible(&it.name, NAME)).collect();
    let mut findings = vec![if unjudged.is_empty() {
        let text = format!("{ready} of {} Ready", count(grants.len(), "grant"));
        Finding::new(GRANTS, Level::Well, text)
    } else {
        let text = format!(
            "{ready} of {} Ready; the operator has not judged {}",
            count(grants.len(), "grant"),
            first(&unjudged, NAMED, ", ")
        );
        Finding::new(GRANTS, Level::Warning, text)
    }];
    for (grant, ready) in failing.iter().take(NAMED) {
        let (reason, message) = (legible(&ready.reason, 64), legible(&ready.message, MESSAGE));
        let text = format!("{} is not Ready, {reason}: {message}", grant.name);
        let page = match ready.reason.as_str() {
            "InvalidCredentials" => "runbooks.md#a-role-cant-be-assumed",
            _ => "multi-tenancy.md",
        };
        let command = format!("kubectl describe cupg {}", grant.name);
        let cure = Cure::command("", command).more(page);
        findings.push(Finding::new(GRANTS, Level::Failed, text).cured_by(cure));
    }
    if failing.len() > NAMED {
        let text = format!("{} more are not Ready", failing.len() - NAMED);
        let command = "kubectl get cupg -o wide".to_owned();
        let finding = Finding::new(GRANTS, Level::Failed, text);
        findings.push(finding.cured_by(Cure::command("", command)));
    }
    findings.extend(unreadable(grants));
    findings
}

/// The grants that this version can't read, whatever the operator says of each.
fn unreadable(grants: &[FoundGrant]) -> Option<Finding> {
    let words = grants.iter().filter_map(|it| match &it.grant {
        ListedGrant::Spec(_) | ListedGrant::Deleting(_) => None,
        ListedGrant::Unreadable(why) => {
            let name = legible(&it.name, NAME);
            Some(format!("{name}: {}", Misfit::Unreadable(why.clone())))
        }
    });
    let words: Vec<_> = words.collect();
    let text = first(&words, NAMED, "; ");
    let cure = "use the program of the operator's version, or correct the field";
    (!words.is_empty())
        .then(|| Finding::new(GRANTS, Level::Warning, text).cured_by(Cure::words(cure)))
}

pub(super) fn resources(resources: &Seen<Resources>) -> Finding {
    let resources = match resources {
        Seen::Known(resources) => resources,
        unseen => {
            let why = unseen.why_not().unwrap_or_default();
            let text = format!("the resources are unknown: {why}");
            return Finding::new(RESOURCES, Level::Unknown, text);
        }
    };
    let mut reasons: Vec<_> = resources.unready.iter().collect();
    reasons.sort_by_key(|(reason, number)| (weight(reason), std::cmp::Reverse(**number)));
    let names: Vec<_> = reasons
        .iter()
        .map(|(reason, number)| match reason.as_str() {
            "" => format!("{number} not reconciled yet"),
            reason => format!("{number} {}", legible(reason, 64)),
        })
        .collect();
    let mut parts = vec![format!("{} Ready", resources.ready)];
    parts.extend((!names.is_empty()).then(|| first(&names, REASONS, ", ")));
    let longest = resources.longest_suspended.as_ref();
    if let Some(it) = longest {
        // Before the operator has observed a suspension, nothing says since when.
        let since = SignedDuration::from_secs(it.since);
        let since = (it.since > 0).then(|| format!(", {} for {}", it.name, span(since)));
        let because = it.because.as_deref().filter(|_| it.since > 0);
        let because = because.map(|why| format!(" (because: {:?})", legible(why, 128)));
        parts.push(format!(
            "{} suspended{}{}",
            resources.suspended,
            since.unwrap_or_default(),
            because.unwrap_or_default()
        ));
    }
    let needs_somebody = reasons.iter().any(|(reason, _)| weight(reason) < TRANSIENT)
        || longest.is_some_and(|it| it.since > SUSPENDED);
    let text = parts.join("; ");
    if needs_somebody {
        let command = "kubectl cognito-password doctor -A".to_owned();
        let cure = Cure::command("the causes, worst first", command);
        return Finding::new(RESOURCES, Level::Warning, text).cured_by(cure);
    }
    Finding::new(RESOURCES, Level::Well, text)
}

/// The weight of reasons that pass by themselves.
const TRANSIENT: u8 = 3;

/// The worst reasons have the least weight.
fn weight(reason: &str) -> u8 {
    match Reason::parse(reason).map(Reason::class) {
        Some(Class::Stalled) => 0,
        Some(Class::Waiting) => 1,
        // A reason that only another version knows.
        None if !reason.is_empty() => 2,
        Some(Class::Unknown | Class::Transient | Class::Settled) | None => TRANSIENT,
    }
}
