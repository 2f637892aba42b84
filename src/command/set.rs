//! `set`: asks the operator to set passwords now, by the annotation `requestedAt`.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "the docs of the arguments are the help text"
)]

use super::{
    entries::{Entry, State, exit_of, print_line},
    exit::{Exit, Failure},
    following::{Followed, interrupted, span},
    object_names,
    output::{Format, OutputArgs, layout},
    select::SelectArgs,
    session::Session,
};
use crate::{
    cluster::{inspect::operator::installed, request},
    core::{
        ask::{
            awaited::judge_answer,
            budget::Budget,
            observed::ObservedResource,
            plan::{Plan, RegionPlan, Spared},
        },
        checkup::seen::Seen,
    },
};
use clap::Args;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;

/// How many resources are written, or followed, at a time.
const AT_ONCE: usize = 8;

/// How long `--wait` waits after the time that the calls take.
const WAIT: Duration = Duration::from_mins(5);

/// Which resources to ask, and whether to wait.
#[derive(Args, Debug)]
pub struct SetArgs {
    #[command(flatten)]
    select: SelectArgs,

    /// Ask for temporary passwords too (permanent: false): their users must choose a password once more
    #[arg(long)]
    include_temporary: bool,

    /// Print the plan, and ask for nothing
    #[arg(long)]
    dry_run: bool,

    /// Wait until the operator has answered each request, and print each answer
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,

    /// With --wait: how long to wait, such as 30s or 10m [default: the time that the calls take, and 5m]
    #[arg(long, value_name = "TIME", requires = "wait", value_parser = span)]
    timeout: Option<Duration>,

    /// The namespace of the operator whose rate limit counts [default: all operators that can be found]
    #[arg(long, value_name = "NAMESPACE", value_parser = object_names::namespace)]
    operator_namespace: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

/// The document for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_at: Option<&'a str>,
    seconds: u64,
    budget: &'a Budget,
    regions: &'a [RegionPlan],
    resources: &'a [Entry],
}

/// Asks, and perhaps waits. The plan comes first.
///
/// # Errors
/// The caller may not list or patch, the API server can't be asked, or a signal ended the wait.
pub async fn set(args: &SetArgs, session: &Session) -> Result<Exit, Failure> {
    let mut selected = args.select.read(session).await?;
    if !args.dry_run {
        selected.keep_patchable(session).await?;
    }
    let own = args.operator_namespace.as_deref();
    let budget = budget(&selected.found, own, session).await;
    let plan = Plan::of(selected.found, args.include_temporary, &budget);
    let printer = Printer {
        is_text: args.output.output == Format::Text,
    };
    printer.text(&layout().wrapped(&plan.summary(&budget), 0))?;
    let mut entries = selected.missing;
    entries.extend(plan.spared.iter().map(|it| spared(it, selected.is_by_name)));
    entries.iter().try_for_each(|it| printer.entry(it))?;

    let at = Timestamp::now().to_string();
    let asked = if args.dry_run {
        would_be_asked(&plan.asked)
    } else {
        ask(&plan.asked, &at, session, printer).await?
    };
    let asked = if args.wait {
        let limit = Duration::from_secs(plan.seconds) + WAIT;
        let until = Instant::now() + args.timeout.unwrap_or(limit);
        tokio::select! {
            answered = answers(asked, &at, until, session, printer) => answered?,
            () = interrupted() => return Err(Failure::Unknown("a signal ended the wait".to_owned())),
        }
    } else {
        asked
            .iter()
            .filter(|_| args.dry_run)
            .try_for_each(|it| printer.entry(it))?;
        asked
    };
    entries.extend(asked);

    let exit = exit_of(&entries);
    if printer.is_text {
        return Ok(exit);
    }
    let content = Content {
        dry_run: args.dry_run,
        requested_at: (!args.dry_run).then_some(&at),
        seconds: plan.seconds,
        budget: &budget,
        regions: &plan.regions,
        resources: &entries,
    };
    args.output.print("Set", exit, &content, |_| String::new())
}

/// Prints lines for people, and nothing for programs.
#[derive(Clone, Copy)]
struct Printer {
    is_text: bool,
}

impl Printer {
    fn text(self, text: &str) -> Result<(), Failure> {
        if self.is_text {
            print_line(text)
        } else {
            Ok(())
        }
    }

    fn entry(self, entry: &Entry) -> Result<(), Failure> {
        if self.is_text { entry.print() } else { Ok(()) }
    }
}

/// The operator's settings, if there is anything to set.
async fn budget(found: &[ObservedResource], own: Option<&str>, session: &Session) -> Budget {
    let namespaces: BTreeSet<_> = found.iter().map(|it| &*it.namespace).collect();
    let namespaces: Vec<_> = namespaces.into_iter().collect();
    let operators = if found.is_empty() {
        Seen::Failed("there is nothing to set".to_owned())
    } else {
        installed(&session.client, own).await
    };
    Budget::of(&operators, &namespaces)
}

/// A resource that the caller named and that isn't asked is a finding. One of many is not.
fn spared(spared: &Spared, is_by_name: bool) -> Entry {
    let mut entry = Entry::new(&spared.namespace, &spared.name, State::Spared);
    entry.reason.clone_from(&spared.reason);
    entry.message.clone_from(&spared.message);
    if is_by_name {
        entry.exit = Exit::Found;
    }
    entry
}

fn would_be_asked(resources: &[ObservedResource]) -> Vec<Entry> {
    let entry = |it: &ObservedResource| Entry::new(&it.namespace, &it.name, State::WouldBeAsked);
    resources.iter().map(entry).collect()
}

/// Asks for all of them, in their order.
async fn ask(
    resources: &[ObservedResource],
    at: &str,
    session: &Session,
    printer: Printer,
) -> Result<Vec<Entry>, Failure> {
    let asked = stream::iter(resources).map(|resource| async move {
        let sight = request::ask(&session.client, resource, at).await;
        let (namespace, name) = (&resource.namespace, &resource.name);
        let failed = Entry::of_sight(namespace, name, &sight);
        failed.unwrap_or_else(|| Entry::new(namespace, name, State::Asked))
    });
    let mut asked = asked.buffered(AT_ONCE);
    let mut entries = Vec::new();
    while let Some(entry) = asked.next().await {
        printer.entry(&entry)?;
        entries.push(entry);
    }
    Ok(entries)
}

/// Waits for the answers. Each resource is read at least once, so that the last line about each is true.
async fn answers(
    asked: Vec<Entry>,
    at: &str,
    until: Instant,
    session: &Session,
    printer: Printer,
) -> Result<Vec<Entry>, Failure> {
    let answers = stream::iter(asked).map(|entry| async move {
        if entry.state != State::Asked {
            return (entry, false);
        }
        let followed = Followed {
            client: &session.client,
            namespace: &entry.namespace,
            name: &entry.name,
            goal: "the answer",
            until,
        };
        let judge = |resource: Option<&_>| judge_answer(at, resource);
        (followed.follow(State::Answered, judge).await, true)
    });
    let mut answers = answers.buffer_unordered(AT_ONCE);
    let mut entries = Vec::new();
    while let Some((entry, is_new)) = answers.next().await {
        if is_new {
            printer.entry(&entry)?;
        }
        entries.push(entry);
    }
    Ok(entries)
}
