//! The report on one resource: the chain, the operator's own words, and the cure.

use super::{
    chain::{
        chain, duplicate,
        grant::{self, Admissions, Admitted},
        operator,
        resource::next_try,
    },
    cures::{
        self,
        known::{Known, OtherPool},
        refusal::Refusal,
    },
    facts::{FoundSecret, Listed, Surroundings},
    link::Link,
    names::is_mistyped,
    subject::Subject,
    words::{shown, span},
};
use crate::{
    api::{ConditionStatus, ConditionType, FIELD_MANAGER, Reason},
    core::{
        access::{
            authority::ExternalId,
            grant::{Admission, InvalidGrant},
            why_not::Misfit,
        },
        checkup::{
            finding::{Cure, Finding, Level},
            layout::Layout,
            seen::Seen,
        },
        text::legible,
    },
};
use jiff::Timestamp;
use serde::Serialize;

/// The report on one resource.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The namespace of the resource.
    pub namespace: String,
    /// The name of the resource.
    pub name: String,
    /// The condition Ready. None if the resource has none, or can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// Whether the resource is suspended.
    pub suspended: bool,
    /// The links of the chain.
    pub chain: Vec<Finding>,
    /// The reason that the cure is for: the operator's own, or what the chain shows if the operator has not acted
    /// yet. None if nothing is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// What mends the resource. Links that this cure doesn't mend have cures of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<Cure>,
}

/// The condition Ready.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ready {
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// The reason.
    pub reason: String,
    /// When the status last changed.
    pub since: Timestamp,
    /// What the operator says, with the resource's own name in its commands.
    pub message: String,
    /// Whether the condition describes the present spec.
    pub is_observed: bool,
    /// How long ago `since` was, as kubectl writes ages.
    #[serde(skip)]
    pub age: String,
}

impl Report {
    /// The report on a resource. `secret` is None where the Secret was not looked at.
    #[must_use]
    pub fn new(
        listed: &Listed,
        secret: Option<&Seen<Option<FoundSecret>>>,
        around: &Surroundings,
    ) -> Self {
        match listed {
            Listed::Readable(resource) => of_readable(&Subject::new(resource), secret, around),
            Listed::Unreadable {
                namespace,
                name,
                why,
            } => unreadable(namespace, name, why),
        }
    }

    /// Whether the resource is Ready and no link is broken.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let is_true = |it: &Ready| it.status == ConditionStatus::True && it.is_observed;
        let is_ready = self.ready.as_ref().is_some_and(is_true);
        is_ready && self.chain.iter().all(|it| it.level != Level::Failed)
    }

    /// The report as text.
    #[must_use]
    pub fn text(&self, layout: &Layout) -> String {
        let mut head = format!("CognitoUserPassword {}/{}", self.namespace, self.name);
        match &self.ready {
            Some(ready) => {
                let status = match ready.status {
                    ConditionStatus::True => "True",
                    ConditionStatus::False => "False",
                    ConditionStatus::Unknown => "Unknown",
                };
                let stale = if ready.is_observed {
                    ""
                } else {
                    ", of an earlier spec"
                };
                head = format!(
                    "{head}  Ready={status}  {}  for {}{stale}",
                    shown(&ready.reason),
                    ready.age
                );
            }
            None => head.push_str("  no Ready condition"),
        }
        let mut parts = vec![layout.wrapped(&head, 0), layout.findings(&self.chain)];
        let is_true = |it: &&Ready| it.status == ConditionStatus::True;
        if let Some(ready) = self.ready.as_ref().filter(|it| !is_true(it)) {
            parts.push(layout.wrapped(&format!("says: {}", ready.message), 0));
        }
        parts.extend(self.cure.as_ref().map(|cure| layout.cure(cure, 0)));
        parts.join("\n")
    }
}

fn unreadable(namespace: &str, name: &str, why: &str) -> Report {
    let text = format!(
        "this version can't read the resource: {}",
        legible(why, 300)
    );
    let cure = Cure::command(
        "correct the field, or use the plugin of the operator's version",
        format!("kubectl get cup {name} -n {namespace} -o yaml"),
    );
    Report {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ready: None,
        suspended: false,
        chain: vec![Finding::new("resource", Level::Failed, text)],
        reason: None,
        cure: Some(cure.more("runbooks.md#nothing-happens")),
    }
}

fn of_readable(
    subject: &Subject<'_>,
    secret: Option<&Seen<Option<FoundSecret>>>,
    around: &Surroundings,
) -> Report {
    let mut links = chain(subject, secret, around);
    let reason = reason_to_mend(subject, &links);
    // Where nobody acts, nothing else is to be mended first.
    let reason = reason.filter(|_| !operator::is_unwatched(subject.namespace, around));
    let admitted = Admissions::new(around).of(subject);
    let fitting = match &admitted {
        Admitted::Decided { fitting, .. } => &**fitting,
        _ => &[],
    };
    let authority = match &admitted {
        Admitted::Decided {
            admission: Admission::Granted(authority),
            ..
        } => Some(authority),
        _ => None,
    };
    let region = authority.map(|it| it.region.as_str());
    let role = authority.and_then(|it| it.role.as_ref());
    let external_id = role.and_then(|it| it.external_id.as_ref());
    let older = duplicate::older(subject, around).map(duplicate::name_of);
    let next = next_try(subject, around.now);
    let installed = around.operators.iter().find_map(|it| it.installed.as_ref());
    let selector = selector(subject, around);
    let message = subject.condition(ConditionType::Ready);
    let message = message.map_or("", |it| &*it.message);
    let other_pool = grant::other_pool(subject, around).map(|(_, pool)| pool.as_str().to_owned());
    let (shared, names) = around.rivals.of_key(subject.resource, cures::SHARED);
    let known = Known {
        shared,
        shared_with: &names,
        selector: selector.as_deref(),
        secret: secret.and_then(Seen::known).and_then(Option::as_ref),
        grants: around.grants.known().map_or(&[], Vec::as_slice),
        fitting,
        older: older.as_deref(),
        operator: installed.map(|it| (&*it.namespace, &*it.name)),
        service_account: installed.map(|it| &*it.service_account),
        role: role.map(|it| it.arn.as_str()),
        external_id: external_id.map(ExternalId::as_str),
        refusal: Refusal::parse(message),
        role_words: role.and_then(|it| role_words(it.arn.as_str(), message, fitting, around)),
        other_pool: other_pool.as_deref().map(|id| OtherPool {
            id,
            is_likely: !is_pool_named(&admitted)
                && is_mistyped(&subject.resource.spec.user_pool_id, id),
        }),
        needs_grants: admitted != Admitted::NoGrantsNeeded,
        without_region: without_region(&admitted),
        is_mended: reason.is_some_and(|it| is_mended(it, &admitted, &links)),
        region,
        is_stalled: subject.condition(ConditionType::Stalled).is_some(),
        next_try: next.as_deref(),
    };
    // A broken link that the cure below doesn't mend gets a cure of its own.
    for link in &mut links {
        let own = link.reason.filter(|it| Some(*it) != reason);
        if let Some(own) = own.filter(|_| link.finding.cure.is_none()) {
            let known = Known {
                is_mended: false,
                ..known
            };
            link.finding.cure = cures::cure(own, subject, &known);
        }
    }
    let is_unexplained = reason.is_none()
        && links
            .iter()
            .all(|it| it.finding.level != Level::Failed || it.finding.subject == "resource");
    if is_unexplained && links[0].finding.level == Level::Failed {
        links[0].finding.cure = Some(who_acts(subject));
    }
    Report {
        namespace: subject.namespace.to_owned(),
        name: subject.name.to_owned(),
        ready: ready(subject, around.now),
        suspended: subject.resource.spec.suspend,
        chain: links.into_iter().map(|it| it.finding).collect(),
        reason: reason.map(Reason::as_str),
        cure: reason.and_then(|it| cures::cure(it, subject, &known)),
    }
}

/// The reason to mend: the operator's own. If the operator has not acted on the present spec, or says that all is
/// well, the first broken link's.
fn reason_to_mend(subject: &Subject<'_>, links: &[Link]) -> Option<Reason> {
    if subject.resource.spec.suspend {
        // First the suspension must end.
        return None;
    }
    let found = links.iter().find_map(|it| it.reason);
    match subject.reason() {
        Some(Reason::PasswordSet | Reason::AppliedAfterLostReply) | None => found,
        Some(Reason::Progressing) => found.or(Some(Reason::Progressing)),
        said => said,
    }
}

fn ready(subject: &Subject<'_>, now: Timestamp) -> Option<Ready> {
    let ready = subject.condition(ConditionType::Ready)?;
    let since = ready.last_transition_time.0;
    Some(Ready {
        status: ready.status,
        reason: legible(&ready.reason, 128),
        since,
        message: message(subject, &ready.message),
        is_observed: subject.is_observed(),
        age: span(now.duration_since(since)),
    })
}

/// The operator's words. The cure of the table goes, because a concrete one follows.
fn message(subject: &Subject<'_>, message: &str) -> String {
    let entry = subject.reason().map(Reason::entry);
    let cure = entry.map(|it| format!(": {}.", it.cure));
    let without = cure.and_then(|it| message.strip_suffix(&*it));
    let text = without.map_or_else(|| message.to_owned(), |it| format!("{it}."));
    let own = format!(
        "kubectl annotate cup {} -n {} ",
        subject.name, subject.namespace
    );
    legible(&text.replace("kubectl annotate cup NAME ", &own), 1_200)
}

/// The labels that the operator looks for: by the operator's settings, or by the message of the status.
fn selector(subject: &Subject<'_>, around: &Surroundings) -> Option<String> {
    let mut acting = grant::acting(subject.namespace, around);
    let of_settings = acting.find_map(|it| it.settings().secret_selector);
    of_settings.or_else(|| {
        let ready = subject.condition(ConditionType::Ready)?;
        let ready = Some(ready).filter(|_| subject.reason() == Some(Reason::SecretNotFound))?;
        let (_, rest) = ready.message.split_once("--secret-selector requires (")?;
        Some(rest.split_once("): ")?.0.to_owned())
    })
}

/// Whether a grant names the resource's pool.
fn is_pool_named(admitted: &Admitted) -> bool {
    let Admitted::Decided {
        fitting, others, ..
    } = admitted
    else {
        return false;
    };
    !fitting.is_empty() || !others.is_empty()
}

/// The grant that only lacks the Region of its pool.
fn without_region(admitted: &Admitted) -> Option<&str> {
    let Admitted::Decided { others, .. } = admitted else {
        return None;
    };
    let found = others.iter().find(|(_, misfits)| {
        matches!(
            misfits[..],
            [Misfit::Invalid(InvalidGrant::UnknownRegion(_))]
        )
    });
    found.map(|(name, _)| &**name)
}

/// The words about a role that can't be assumed: those of the resource's status, or of the grant's.
fn role_words<'a>(
    role: &str,
    message: &'a str,
    fitting: &[String],
    around: &'a Surroundings,
) -> Option<&'a str> {
    if message.contains(role) || message.contains("sts:AssumeRole") {
        return Some(message);
    }
    let grants = around.grants.known().into_iter().flatten();
    let mut fit = grants.filter(|it| fitting.contains(&it.name));
    fit.find_map(|it| {
        let mut conditions = it.status.conditions.iter();
        let refused = conditions.find(|it| it.reason == Reason::InvalidCredentials.as_str())?;
        Some(&*refused.message)
    })
}

/// Whether the facts say that the cause of a reason is gone, although the status still names the reason.
fn is_mended(reason: Reason, admitted: &Admitted, links: &[Link]) -> bool {
    let link = match reason {
        // Without grants, the pool's own name decides about the Region, and a name doesn't change.
        Reason::UnknownRegion if *admitted == Admitted::NoGrantsNeeded => return false,
        _ if reason.is_about_grants() => "grant",
        Reason::SecretNotFound | Reason::SecretKeyNotFound | Reason::InvalidSecretValue => "secret",
        Reason::DuplicateUser => "duplicate",
        _ => return false,
    };
    let mut of_cause = links.iter().filter(|it| it.finding.subject == link);
    of_cause.any(|it| matches!(it.finding.level, Level::Well | Level::Warning))
}

/// Nothing that the caller can see explains why nobody acts.
fn who_acts(subject: &Subject<'_>) -> Cure {
    Cure::commands(
        &format!(
            "ask your platform team whether the operator runs, leads, and watches {}",
            subject.namespace
        ),
        [
            "kubectl cognito-password check".to_owned(),
            format!("kubectl get deployments -A -l app.kubernetes.io/name={FIELD_MANAGER}"),
        ],
    )
    .more("runbooks.md#nothing-happens")
}
