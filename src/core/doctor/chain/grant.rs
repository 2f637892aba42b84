//! The link `grant`: which grants name the pool, which of these fit, and why each other one doesn't. The code
//! that decides in the operator decides here too.

use crate::{
    api::{ConditionStatus, Reason},
    core::{
        access::{
            grant::{Admission, UngrantedPolicy, admit},
            why_not::{Fit, ListedGrant, Misfit, listed},
        },
        checkup::{
            finding::{Cure, Level},
            seen::Seen,
        },
        doctor::{
            cures::role::of_role,
            facts::{FoundGrant, Operator, Surroundings},
            link::Link,
            subject::Subject,
            words::{count, shown, word},
        },
        names::{
            region::Regions,
            target::{PoolId, Target},
        },
    },
};
use std::collections::BTreeMap;

const SUBJECT: &str = "grant";

/// How many grants that don't fit are explained.
const EXPLAINED: usize = 5;

/// What the grants say of one resource.
#[derive(Clone, PartialEq, Debug)]
pub enum Admitted {
    /// The operator of this namespace needs no grants: the operator watches namespaces by name.
    NoGrantsNeeded,
    /// The caller can't see enough.
    Unseen(String),
    /// The spec has no valid user.
    InvalidTarget,
    /// The operator's own decision, and the grants that it follows from.
    Decided {
        /// The decision.
        admission: Admission,
        /// The grants that fit.
        fitting: Vec<String>,
        /// The grants that name the pool, or may name it, and don't fit.
        others: Vec<(String, Vec<Misfit>)>,
    },
}

/// Decides by the facts, for one resource after the other.
#[derive(Clone, Copy, Debug)]
pub struct Admissions<'a> {
    around: &'a Surroundings,
}

impl<'a> Admissions<'a> {
    /// By these facts.
    #[must_use]
    pub const fn new(around: &'a Surroundings) -> Self {
        Self { around }
    }

    /// What the grants say of a resource.
    #[must_use]
    pub fn of(&self, subject: &Subject<'_>) -> Admitted {
        let Some(target) = &subject.target else {
            return Admitted::InvalidTarget;
        };
        let acting: Vec<_> = acting(subject.namespace, self.around).collect();
        let by_name = |it: &&Operator| !it.settings().watch_namespaces.is_empty();
        if acting.iter().any(by_name) {
            return Admitted::NoGrantsNeeded;
        }
        let grants = match &self.around.grants {
            Seen::Known(grants) => grants,
            unseen => return Admitted::Unseen(unseen.why_not().unwrap_or_default()),
        };
        let regions = regions(self.around);
        let seen = self.around.labels.get(subject.namespace);
        let labels = seen.and_then(Seen::known);
        let (mut fitting, mut parsed, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let (mut undecided, mut is_named) = (None, false);
        for found in grants {
            let fit = found.grant.fit(target, subject.namespace, labels, regions);
            let is_deleting = matches!(found.grant, ListedGrant::Deleting(_));
            is_named |= !is_deleting && fit != Fit::OtherPool;
            match fit {
                Fit::OtherPool => {}
                Fit::Admits(_) => {
                    fitting.push(found.name.clone());
                    parsed.extend(found.grant.parse(regions).ok());
                }
                Fit::Misfits(misfits) => others.push((found.name.clone(), misfits)),
                Fit::ByLabels(_) => undecided = Some(&found.name),
            }
        }
        if let Some(name) = undecided {
            let why = seen.and_then(Seen::why_not);
            let why = why.unwrap_or_else(|| "the namespace's labels are unknown".to_owned());
            return Admitted::Unseen(format!("the labels decide about {}: {why}", shown(name)));
        }
        let allow = !acting.is_empty() && acting.iter().all(|it| it.settings().ungranted_allow);
        let policy = if allow {
            UngrantedPolicy::Allow
        } else {
            UngrantedPolicy::Deny
        };
        let admission = admit(&parsed, is_named, policy, target).within(regions);
        let says_otherwise = subject.reason().is_some_and(|it| !it.is_about_grants());
        if acting.is_empty() && admission == Admission::NotGranted && says_otherwise {
            let why = "no grant fits, but perhaps the operator has --watch-namespaces or --ungranted=allow, which you can't see here";
            return Admitted::Unseen(why.to_owned());
        }
        Admitted::Decided {
            admission,
            fitting,
            others,
        }
    }
}

/// The operators that watch a namespace.
pub fn acting<'a>(
    namespace: &'a str,
    around: &'a Surroundings,
) -> impl Iterator<Item = &'a Operator> {
    let operators = around.operators.iter();
    operators.filter(move |it| it.installed.is_some() && it.watches(namespace))
}

/// Any Region, if an operator has an endpoint of its own, or if no Deployment shows the operator's environment.
fn regions(around: &Surroundings) -> Regions {
    let mut shown = around
        .operators
        .iter()
        .filter_map(|it| it.installed.as_ref());
    let is_of_aws = shown.any(|it| it.settings.regions == Regions::OfAws);
    if is_of_aws {
        Regions::OfAws
    } else {
        Regions::Any
    }
}

/// The link.
#[must_use]
pub fn link(subject: &Subject<'_>, admitted: &Admitted, around: &Surroundings) -> Link {
    let (username, pool) = (
        shown(&subject.resource.spec.username),
        shown(&subject.resource.spec.user_pool_id),
    );
    match admitted {
        Admitted::NoGrantsNeeded => Link::new(
            SUBJECT,
            Level::Well,
            format!(
                "none needed: the operator watches {} by name",
                subject.namespace
            ),
        ),
        Admitted::InvalidTarget => Link::broken(
            SUBJECT,
            format!("the pool {pool} or the username {username:?} is not valid"),
            Reason::InvalidParameter,
        ),
        Admitted::Unseen(why) => {
            let also = match subject.reason() {
                Some(reason) if reason.is_about_grants() => {
                    format!("; status: {}", reason.as_str())
                }
                Some(_) => "; the operator acts for this resource".to_owned(),
                None => String::new(),
            };
            Link::new(SUBJECT, Level::Unknown, format!("{why}{also}"))
        }
        Admitted::Decided {
            admission,
            fitting,
            others,
        } => match admission {
            Admission::Granted(authority) if fitting.is_empty() => Link::new(
                SUBJECT,
                Level::Well,
                format!(
                    "no grant names {pool}, and --ungranted=allow lets every namespace manage its users, by the operator's own identity in {authority}"
                ),
            ),
            Admission::Granted(authority) => {
                let grants = listed(fitting);
                let (noun, verb) = match fitting.len() {
                    1 => ("grant", "lets"),
                    _ => ("grants", "let"),
                };
                let text = format!(
                    "the {noun} {grants} {verb} {} manage {username} in {authority}",
                    subject.namespace
                );
                let text = with_stale(text, subject, Reason::NotGranted);
                let unready = fitting.iter().find_map(|name| unready(name, around));
                match unready {
                    None => Link::new(SUBJECT, Level::Well, text),
                    Some((words, cure)) => {
                        let mut link =
                            Link::new(SUBJECT, Level::Warning, format!("{text}; {words}"));
                        if subject.reason() == Some(Reason::InvalidCredentials) {
                            link.finding.level = Level::Failed;
                            link.reason = Some(Reason::InvalidCredentials);
                        } else {
                            link.finding.cure = Some(cure);
                        }
                        link
                    }
                }
            }
            Admission::Ambiguous => Link::broken(
                SUBJECT,
                format!(
                    "{} grants fit, with different roles or Regions: {}",
                    fitting.len(),
                    authorities(fitting, subject, around)
                ),
                Reason::AmbiguousGrant,
            ),
            Admission::UnknownRegion => Link::broken(
                SUBJECT,
                format!("{pool} names no AWS Region, and no grant says in which Region it is"),
                Reason::UnknownRegion,
            ),
            Admission::NotGranted => Link::broken(
                SUBJECT,
                not_granted(subject, others, around),
                Reason::NotGranted,
            ),
            Admission::Unknown => Link::new(
                SUBJECT,
                Level::Unknown,
                "the grants are not known".to_owned(),
            ),
        },
    }
}

/// The text, and that the status says something else.
fn with_stale(text: String, subject: &Subject<'_>, reason: Reason) -> String {
    if subject.reason() == Some(reason) {
        format!("{text}; but the status still says {}", reason.as_str())
    } else {
        text
    }
}

fn authorities(fitting: &[String], subject: &Subject<'_>, around: &Surroundings) -> String {
    let regions = regions(around);
    let grants = around.grants.known().into_iter().flatten();
    let grants = grants.filter(|it| fitting.contains(&it.name) && subject.target.is_some());
    let words: Vec<_> = grants
        .filter_map(|it| {
            let grant = it.grant.parse(regions).ok()?;
            Some(format!("{}: {}", shown(&it.name), grant.authority))
        })
        .take(EXPLAINED)
        .collect();
    words.join("; ")
}

fn not_granted(
    subject: &Subject<'_>,
    others: &[(String, Vec<Misfit>)],
    around: &Surroundings,
) -> String {
    let spec = &subject.resource.spec;
    let (pool, username) = (shown(&spec.user_pool_id), shown(&spec.username));
    let namespace = subject.namespace;
    let mut text = if others.is_empty() {
        format!("no grant names the pool {pool}")
    } else {
        let verb = if others.len() == 1 { "names" } else { "name" };
        format!(
            "{} {verb} the pool {pool}, and none lets {namespace} manage {username}",
            count(others.len(), "grant")
        )
    };
    for (name, misfits) in others.iter().take(EXPLAINED) {
        let misfits: Vec<_> = misfits.iter().map(ToString::to_string).collect();
        text = format!("{text}; {}: {}", shown(name), misfits.join(", and "));
    }
    if let Some(more) = others.len().checked_sub(EXPLAINED).filter(|it| *it > 0) {
        text = format!("{text}; and {} more", count(more, "grant"));
    }
    match other_pool(subject, around) {
        Some((name, pool)) => format!(
            "{text}; the grant {} lets {namespace} manage this username in another pool, {}",
            shown(name),
            shown(pool.as_str())
        ),
        None => text,
    }
}

/// A grant that would fit if the resource named the grant's pool: the name of the grant, and the pool.
#[must_use]
pub fn other_pool<'a>(
    subject: &Subject<'_>,
    around: &'a Surroundings,
) -> Option<(&'a str, PoolId)> {
    let target = subject.target.as_ref()?;
    let empty = BTreeMap::new();
    let labels = around.labels.get(subject.namespace).and_then(Seen::known);
    let grants = around.grants.known().into_iter().flatten();
    grants.into_iter().find_map(|found| {
        let pool = found.grant.parse(regions(around)).ok()?.pool;
        let elsewhere = Target {
            pool: pool.clone(),
            username: target.username.clone(),
        };
        let labels = Some(labels.unwrap_or(&empty));
        let fit = found
            .grant
            .fit(&elsewhere, subject.namespace, labels, regions(around));
        (pool != target.pool && matches!(fit, Fit::Admits(_))).then_some((&*found.name, pool))
    })
}

/// What is wrong with a grant, by its own condition, and what mends it; None if the grant is Ready.
#[must_use]
pub fn trouble(found: &FoundGrant) -> Option<(String, Cure)> {
    let ready = found.ready()?;
    if ready.status == ConditionStatus::True {
        return None;
    }
    let name = shown(&found.name);
    let text = format!(
        "the grant {name} is {}: {}",
        shown(&ready.reason),
        crate::core::text::legible(&ready.message, 600)
    );
    Some((text, cure(found, &ready.reason, &ready.message)))
}

fn unready(name: &str, around: &Surroundings) -> Option<(String, Cure)> {
    let grants = around.grants.known()?;
    trouble(grants.iter().find(|it| it.name == name)?)
}

/// What mends a grant of this reason. `message` is the message of the grant's condition.
#[must_use]
pub fn cure(found: &FoundGrant, reason: &str, message: &str) -> Cure {
    let name = &*found.name;
    let grant = word(name, "GRANT");
    let external_id = match &found.grant {
        ListedGrant::Spec(spec) | ListedGrant::Deleting(spec) => spec.external_id.as_deref(),
        ListedGrant::Unreadable(_) => None,
    };
    match (reason, found.role.as_deref()) {
        ("InvalidCredentials", Some(role)) => of_role(name, role, external_id, message),
        _ => Cure::command(
            "correct the field that the message names",
            format!("kubectl edit cupg {grant}"),
        )
        .more("multi-tenancy.md#the-status-of-a-grant"),
    }
}
