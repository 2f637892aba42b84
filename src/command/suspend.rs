//! `suspend` and `resume`: `spec.suspend`, and the annotation that says why.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "the docs of the arguments are the help text"
)]

use super::{
    entries::{Entries, Entry, State, exit_of, print_line, say},
    exit::{Exit, Failure},
    output::{Format, OutputArgs},
    select::SelectArgs,
    session::Session,
};
use crate::{
    cluster::{inspect::observed::Sight, request},
    core::ask::{
        observed::ObservedResource,
        suspension::{Change, because},
    },
};
use clap::Args;

/// Which resources to suspend, and why.
#[derive(Args, Debug)]
pub struct SuspendArgs {
    #[command(flatten)]
    select: SelectArgs,

    /// Why, in one line, such as INC-4711: the annotation cognito-password-operator.io/suspended-because
    #[arg(long, value_name = "TEXT", value_parser = because)]
    reason: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

/// Which resources to resume.
#[derive(Args, Debug)]
pub struct ResumeArgs {
    #[command(flatten)]
    select: SelectArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// Suspends resources.
///
/// # Errors
/// The caller may not list or patch, or the API server can't be asked.
pub async fn suspend(args: &SuspendArgs, session: &Session) -> Result<Exit, Failure> {
    let change = Change::Suspend(args.reason.clone());
    change_all(&change, &args.select, args.output, session).await
}

/// Resumes resources.
///
/// # Errors
/// The caller may not list or patch, or the API server can't be asked.
pub async fn resume(args: &ResumeArgs, session: &Session) -> Result<Exit, Failure> {
    change_all(&Change::Resume, &args.select, args.output, session).await
}

async fn change_all(
    change: &Change,
    select: &SelectArgs,
    output: OutputArgs,
    session: &Session,
) -> Result<Exit, Failure> {
    let mut selected = select.read(session).await?;
    selected.keep_patchable(session).await?;
    let is_text = output.output == Format::Text;
    let mut entries = Vec::new();
    if is_text && selected.found.is_empty() && selected.missing.is_empty() {
        print_line("no resource was found")?;
    }
    for entry in selected.missing {
        if is_text {
            entry.print()?;
        }
        entries.push(entry);
    }
    for resource in &selected.found {
        let entry = change_one(change, resource, session).await;
        if is_text {
            entry.print()?;
        }
        if let Some(owner) = entry.owner {
            let name = resource.full_name();
            say(&format!(
                "warning: {name} is applied by {owner}: {}",
                owner.takes_back()
            ));
        }
        entries.push(entry);
    }
    let exit = exit_of(&entries);
    if is_text {
        return Ok(exit);
    }
    let kind = match change {
        Change::Suspend(_) => "Suspend",
        Change::Resume => "Resume",
    };
    let content = Entries {
        resources: &entries,
    };
    output.print(kind, exit, &content, |_| String::new())
}

async fn change_one(change: &Change, resource: &ObservedResource, session: &Session) -> Entry {
    let entry = |state| Entry::new(&resource.namespace, &resource.name, state);
    let Some(write) = change.write(resource) else {
        return entry(State::Unchanged).message(match change {
            Change::Suspend(_) => "suspended already",
            Change::Resume => "not suspended",
        });
    };
    let sight = request::suspend(&session.client, resource, &write).await;
    let failed = Entry::of_sight(&resource.namespace, &resource.name, &sight);
    failed.unwrap_or_else(|| {
        let state = match change {
            Change::Suspend(_) => State::Suspended,
            Change::Resume => State::Resumed,
        };
        let mut entry = entry(state).message(write.because.unwrap_or_default());
        if let Sight::Present(written) = &sight {
            entry.owner = written.owner;
        }
        entry
    })
}
