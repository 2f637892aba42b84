//! `wait`: waits until resources are Ready, or have another condition. For init containers, pipelines and people.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "the docs of the arguments are the help text"
)]

use super::{
    entries::{Entries, Entry, State, exit_of, print_line},
    exit::{Exit, Failure},
    following::{Followed, interrupted, span},
    object_names,
    output::{Format, OutputArgs},
    session::Session,
};
use crate::{api::ConditionType, core::ask::awaited::Goal};
use clap::Args;
use futures::{StreamExt, stream::FuturesUnordered};
use std::time::Duration;
use tokio::time::Instant;

/// What to wait for, and for how long.
#[derive(Args, Debug)]
pub struct WaitArgs {
    /// The names of CognitoUserPassword resources, as NAME or NAMESPACE/NAME
    #[arg(required = true, value_name = "NAME", value_parser = object_names::resource)]
    names: Vec<String>,

    /// The condition that is to be True for the resource's current generation: Ready, Verified, Suspended, Stalled
    /// or Reconciling. Ready and Verified also wait for the answer to a request (annotation requestedAt)
    #[arg(
        long = "for",
        value_name = "CONDITION",
        default_value = "Ready",
        value_parser = condition_type
    )]
    condition: ConditionType,

    /// How long to wait, such as 30s, 5m or 90 (seconds). 0 checks once
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = span)]
    timeout: Duration,

    /// End with 1 as soon as a resource is Stalled or suspended, instead of waiting until a person acts. Not for init
    /// containers: the status may still describe the previous value
    #[arg(long)]
    fail_fast: bool,

    #[command(flatten)]
    output: OutputArgs,
}

/// The type of a condition, in upper or lower case.
fn condition_type(text: &str) -> Result<ConditionType, String> {
    let mut known = ConditionType::ALL.into_iter();
    known
        .find(|it| it.as_str().eq_ignore_ascii_case(text))
        .ok_or_else(|| {
            let names = ConditionType::ALL.map(ConditionType::as_str).join(", ");
            format!("a condition is needed, one of {names}")
        })
}

/// Waits. Says each change on standard error, and each resource that has the condition on standard output.
///
/// # Errors
/// A signal ended the wait, or standard output is closed.
pub async fn wait(args: &WaitArgs, session: &Session) -> Result<Exit, Failure> {
    tokio::select! {
        entries = entries(args, session) => {
            let entries = entries?;
            let exit = exit_of(&entries);
            match args.output.output {
                Format::Text => Ok(exit),
                Format::Json | Format::Yaml => {
                    let content = Entries { resources: &entries };
                    args.output.print("Wait", exit, &content, |_| String::new())
                }
            }
        }
        () = interrupted() => Err(Failure::Unknown("a signal ended the wait".to_owned())),
    }
}

async fn entries(args: &WaitArgs, session: &Session) -> Result<Vec<Entry>, Failure> {
    let goal = Goal {
        condition: args.condition,
        fail_fast: args.fail_fast,
    };
    let until = Instant::now() + args.timeout;
    let followed = args
        .names
        .iter()
        .enumerate()
        .map(|(place, name)| async move {
            let (namespace, name) = session.resource(name);
            let followed = Followed {
                client: &session.client,
                namespace,
                name,
                goal: goal.condition.as_str(),
                until,
            };
            let judge = |resource: Option<&_>| goal.judge(resource);
            (place, followed.follow(State::Met, judge).await)
        });
    let mut followed: FuturesUnordered<_> = followed.collect();
    let named = args.names.iter().map(|name| session.resource(name));
    let mut entries: Vec<_> = named
        .map(|(namespace, name)| Entry::new(namespace, name, State::Waiting))
        .collect();
    while let Some((place, entry)) = followed.next().await {
        print(args, &entry)?;
        let has_failed = entry.state == State::Failed;
        entries[place] = entry;
        if has_failed {
            break;
        }
    }
    Ok(entries)
}

fn print(args: &WaitArgs, entry: &Entry) -> Result<(), Failure> {
    match (args.output.output, entry.state) {
        // As kubectl wait says it.
        (Format::Text, State::Met) => print_line(&format!(
            "cognitouserpassword.cognito-password-operator.io/{} condition met",
            entry.name
        )),
        (Format::Text, _) => entry.print(),
        (Format::Json | Format::Yaml, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("Ready", Some(ConditionType::Ready))]
    #[case("verified", Some(ConditionType::Verified))]
    #[case("condition=Ready", None)]
    #[case("Gone", None)]
    fn a_condition_is_one_of_the_operators(
        #[case] text: &str,
        #[case] wanted: Option<ConditionType>,
    ) {
        assert_eq!(condition_type(text).ok(), wanted);
    }
}
