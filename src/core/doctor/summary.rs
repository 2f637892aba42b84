//! Many resources at once: counted by reason, the worst first, each reason with its cure in a line.

use super::{
    chain::{grant, operator},
    cures,
    facts::{Listed, Surroundings},
    report::Report,
    subject::Subject,
    words::{count, shown, span},
};
use crate::{
    api::{Class, ConditionType, REQUESTED_AT, Reason, SUSPENDED_BECAUSE},
    core::checkup::{
        finding::{Cure, Finding, Level},
        layout::Layout,
        seen::Seen,
    },
};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How many names a line shows.
const NAMES: usize = 3;

/// The summary of many resources.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// How many resources there are.
    pub total: usize,
    /// How many of them are Ready, for their present spec.
    pub ready: usize,
    /// The states, the worst first.
    pub states: Vec<State>,
    /// What is wrong with the place that was asked about, the operator, the CRDs and the grants; and what the caller can't see of them.
    pub findings: Vec<Finding>,
    /// The reports on the resources that are not Ready, or suspended. Without a look at their Secrets.
    pub resources: Vec<Report>,
}

/// Where resources were looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place<'a> {
    /// In all namespaces.
    Everywhere,
    /// In a namespace, and whether the namespace exists; None if the caller may not see.
    Namespace(&'a str, Option<bool>),
    /// In all namespaces, the resources of a pool.
    Pool(&'a str),
}

/// The resources in one state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// A reason, or `Ready`, `Suspended`, `NotObserved`, `Unreadable`, or `OtherReason` for one of another version.
    pub state: &'static str,
    /// How bad the state is.
    pub level: Level,
    /// How many resources are in the state.
    pub count: usize,
    /// The resource that is in the state for longest.
    pub oldest: String,
    /// Since when. None if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Why the oldest one is suspended, as its annotation says. None for other states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Some of the resources.
    pub names: Vec<String>,
    /// What mends the resources. None if nothing must be mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<Cure>,
}

/// A state, in the order of badness.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Unreadable,
    NotObserved,
    Stalled(Reason),
    Waiting(Reason),
    Other,
    Unknown(Reason),
    Transient(Reason),
    SuspendedUnready,
    Suspended,
    Ready,
}

impl Kind {
    fn of(listed: &Listed) -> Self {
        let Some(resource) = listed.readable() else {
            return Self::Unreadable;
        };
        let subject = Subject::new(resource);
        if !subject.is_observed() {
            return Self::NotObserved;
        }
        if resource.spec.suspend {
            return if subject.is_ready() {
                Self::Suspended
            } else {
                Self::SuspendedUnready
            };
        }
        match subject.reason() {
            _ if subject.is_ready() => Self::Ready,
            None => Self::Other,
            Some(reason) => match reason.class() {
                Class::Stalled => Self::Stalled(reason),
                Class::Waiting => Self::Waiting(reason),
                Class::Unknown | Class::Settled
                    if subject.condition(ConditionType::Stalled).is_some() =>
                {
                    Self::Stalled(reason)
                }
                Class::Unknown | Class::Settled => Self::Unknown(reason),
                Class::Transient => Self::Transient(reason),
            },
        }
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Unreadable => 0,
            Self::NotObserved => 1,
            Self::Stalled(_) => 2,
            Self::Waiting(_) => 3,
            Self::Other => 4,
            Self::Unknown(_) => 5,
            Self::Transient(_) => 6,
            Self::SuspendedUnready => 7,
            Self::Suspended => 8,
            Self::Ready => 9,
        }
    }

    const fn level(self) -> Level {
        match self {
            Self::Suspended => Level::Warning,
            Self::Ready => Level::Well,
            Self::Unreadable
            | Self::NotObserved
            | Self::Stalled(_)
            | Self::Waiting(_)
            | Self::Other
            | Self::Unknown(_)
            | Self::Transient(_)
            | Self::SuspendedUnready => Level::Failed,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "Unreadable",
            Self::NotObserved => "NotObserved",
            Self::Other => "OtherReason",
            Self::SuspendedUnready | Self::Suspended => "Suspended",
            Self::Ready => "Ready",
            Self::Stalled(it) | Self::Waiting(it) | Self::Unknown(it) | Self::Transient(it) => {
                it.as_str()
            }
        }
    }

    fn cure(self, around: &Surroundings) -> Option<Cure> {
        let cure = match self {
            Self::Waiting(Reason::InvalidCredentials) if has_broken_role(around) => Cure::words(
                "mend the roles of the grants below first; for the resources without such a grant, give the operator an AWS identity",
            )
            .more(&cures::page(Reason::InvalidCredentials)),
            Self::Unreadable => Cure::words("correct the field that the report names"),
            Self::NotObserved => Cure::words(
                "see below what is wrong with the operator; if nothing is, wait a minute",
            )
            .more("runbooks.md#nothing-happens"),
            Self::Other => Cure::words("use the plugin of the operator's version"),
            Self::SuspendedUnready | Self::Suspended => Cure::words(
                "end the suspension, if its cause is gone: kubectl cognito-password resume NAME",
            ),
            Self::Ready => return None,
            Self::Stalled(it) | Self::Waiting(it) | Self::Unknown(it) | Self::Transient(it) => {
                if it.entry().cure.is_empty() {
                    return None;
                }
                Cure::words(&one_line(it)).more(&cures::page(it))
            }
        };
        Some(cure)
    }
}

/// Whether a grant names a role that the operator can't assume.
fn has_broken_role(around: &Surroundings) -> bool {
    let grants = around.grants.known().into_iter().flatten();
    let mut conditions = grants.flat_map(|it| &it.status.conditions);
    conditions.any(|it| it.reason == Reason::InvalidCredentials.as_str())
}

/// The table's cure, for many resources.
fn one_line(reason: Reason) -> String {
    let annotate = format!("run kubectl annotate cup NAME --overwrite {REQUESTED_AT}=$(date +%s)");
    let cure = reason.entry().cure;
    let asked = cure.replace(
        &annotate,
        "ask for a set (kubectl cognito-password set NAME)",
    );
    asked.replace(
        annotate.trim_start_matches("run "),
        "kubectl cognito-password set NAME",
    )
}

impl Summary {
    /// The summary of a list of resources.
    #[must_use]
    pub fn new(listed: &[Listed], around: &Surroundings) -> Self {
        let mut by_kind: BTreeMap<(u8, Kind), Vec<&Listed>> = BTreeMap::new();
        for it in listed {
            let kind = Kind::of(it);
            by_kind.entry((kind.rank(), kind)).or_default().push(it);
        }
        let is_ready = |it: &&Listed| {
            let resource = it.readable();
            resource.is_some_and(|it| Subject::new(it).is_ready())
        };
        let mut states: Vec<_> = (by_kind.iter())
            .map(|((rank, kind), all)| (*rank, state(*kind, all, around)))
            .collect();
        states.sort_by_key(|(rank, state)| (*rank, std::cmp::Reverse(state.count)));
        let unwell = by_kind
            .iter()
            .filter(|((_, kind), _)| *kind != Kind::Ready)
            .flat_map(|(_, all)| all);
        Self {
            total: listed.len(),
            ready: listed.iter().filter(is_ready).count(),
            states: states.into_iter().map(|(_, state)| state).collect(),
            findings: unwatched(listed, around)
                .into_iter()
                .chain(findings(around))
                .collect(),
            resources: unwell.map(|it| Report::new(it, None, around)).collect(),
        }
    }

    /// Says that no resource is in this place, where the caller perhaps meant another: a namespace that doesn't
    /// exist, or a pool that no resource names.
    pub fn nothing_in(&mut self, place: Place<'_>) {
        let (subject, text) = match place {
            Place::Namespace(name, Some(false)) => (
                "namespace",
                format!("the namespace {} doesn't exist", shown(name)),
            ),
            Place::Pool(pool) => (
                "pool",
                format!("no resource names the pool {}", shown(pool)),
            ),
            Place::Everywhere | Place::Namespace(_, Some(true) | None) => return,
        };
        self.findings
            .insert(0, Finding::new(subject, Level::Failed, text));
    }

    /// Whether all resources are Ready, and nothing else failed.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let all_ready = self.ready == self.total;
        all_ready && self.findings.iter().all(|it| it.level != Level::Failed)
    }

    /// The summary as text. `place` ends the first line, such as `in all namespaces`.
    #[must_use]
    pub fn text(&self, layout: &Layout, place: &str) -> String {
        let mut head = format!("{} {place}", count(self.total, "resource"));
        if self.total > 0 {
            head = format!("{head}: {} Ready", self.ready);
            let running = self.states.iter().find(|it| it.level == Level::Well);
            let suspended = self.ready - running.map_or(0, |it| it.count);
            if suspended > 0 {
                head = format!("{head}, {suspended} of them suspended");
            }
        }
        let rows = self.states.iter().map(State::finding);
        let rows: Vec<_> = rows.chain(self.findings.iter().cloned()).collect();
        let mut parts = vec![layout.wrapped(&head, 0), layout.findings(&rows)];
        if let Some(worst) = self.states.first().filter(|it| it.level != Level::Well) {
            parts.push(format!(
                "next: kubectl cognito-password doctor {}",
                worst.oldest
            ));
        }
        parts.retain(|it| !it.is_empty());
        parts.join("\n")
    }
}

impl State {
    fn finding(&self) -> Finding {
        let mut finding = Finding::new(self.state, self.level, String::new());
        let others = self.names.iter().filter(|it| **it != self.oldest);
        let others: Vec<_> = others.map(String::as_str).take(NAMES - 1).collect();
        let more = self.count.saturating_sub(others.len() + 1);
        finding.text = match self.level {
            Level::Well => self.count.to_string(),
            _ if self.count == 1 => format!("1: {}{}", self.oldest, self.age()),
            _ => {
                let more = if more == 0 {
                    String::new()
                } else {
                    format!(" and {more} more")
                };
                format!(
                    "{}: {}{}, {}{more}",
                    self.count,
                    self.oldest,
                    self.age(),
                    others.join(", ")
                )
            }
        };
        finding.cure.clone_from(&self.cure);
        finding
    }

    /// Since when the oldest one is in the state, and why it is suspended.
    fn age(&self) -> String {
        let since = self.since.map(|since| format!(" since {}", day(since)));
        let because = self.because.as_deref();
        let because = because.map(|why| format!(" (because: {:?})", shown(why)));
        format!(
            "{}{}",
            since.unwrap_or_default(),
            because.unwrap_or_default()
        )
    }
}

/// A time to the minute.
fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn because(kind: Kind, listed: &Listed) -> Option<String> {
    let is_suspended = matches!(kind, Kind::Suspended | Kind::SuspendedUnready);
    let resource = listed.readable().filter(|_| is_suspended)?;
    let annotations = resource.metadata.annotations.as_ref()?;
    annotations.get(SUSPENDED_BECAUSE).cloned()
}

fn state(kind: Kind, all: &[&Listed], around: &Surroundings) -> State {
    let since = |it: &&Listed| {
        let resource = it.readable()?;
        let subject = Subject::new(resource);
        let type_ = match kind {
            Kind::Suspended | Kind::SuspendedUnready => ConditionType::Suspended,
            _ => ConditionType::Ready,
        };
        let said = subject.condition(type_);
        let said = said.map(|it| it.last_transition_time.0);
        said.filter(|_| kind != Kind::NotObserved)
            .or_else(|| subject.changed())
    };
    let name = |it: &&Listed| {
        let (namespace, name) = it.key();
        format!("{namespace}/{name}")
    };
    // A resource without a time comes last.
    let oldest = all.iter().min_by_key(|it| {
        let since = since(it);
        (since.is_none(), since, it.key())
    });
    State {
        state: kind.name(),
        level: kind.level(),
        count: all.len(),
        oldest: oldest.map(name).unwrap_or_default(),
        since: oldest.and_then(since),
        because: oldest.and_then(|it| because(kind, it)),
        names: all.iter().take(NAMES).map(name).collect(),
        cure: kind.cure(around),
    }
}

/// The namespaces of resources that no operator watches, the first few of them.
fn unwatched(listed: &[Listed], around: &Surroundings) -> Vec<Finding> {
    let namespaces: BTreeSet<_> = listed.iter().map(|it| it.key().0).collect();
    let namespaces = namespaces.into_iter();
    let unwatched = namespaces.filter(|it| operator::is_unwatched(it, around));
    unwatched
        .take(NAMES)
        .flat_map(|it| operator::of_namespace(Some(it), around))
        .map(|it| it.finding)
        .collect()
}

/// What is wrong beside the resources.
fn findings(around: &Surroundings) -> Vec<Finding> {
    let operator = operator::of_namespace(None, around);
    let mut findings: Vec<_> = operator.into_iter().map(|it| it.finding).collect();
    findings.extend(operator::crds(around).map(|it| it.finding));
    match &around.grants {
        Seen::Known(grants) => findings.extend(grants.iter().filter_map(|it| {
            let (text, cure) = grant::trouble(it)?;
            let age = it
                .status
                .conditions
                .first()
                .map(|it| it.last_transition_time.0);
            let age = age.map(|at| format!(" for {}", span(around.now.duration_since(at))));
            let text = format!("{text}{}", age.unwrap_or_default());
            Some(Finding::new("grant", Level::Failed, text).cured_by(cure))
        })),
        unseen => findings.push(Finding::new(
            "grants",
            Level::Unknown,
            unseen.why_not().unwrap_or_default(),
        )),
    }
    findings
}
