//! What the questions about grants share: the user, the notes, and the resources.

#![allow(
    clippy::doc_markdown,
    reason = "the docs of the arguments are the help text"
)]

use crate::{
    cluster::inspect::{grants as inspect, operator},
    command::{exit::Failure, object_names, session::Session},
    core::{
        checkup::{
            finding::{Finding, Level},
            installed::Installed,
            seen::Seen,
        },
        grants::who::ListedResource,
        names::target::{InvalidTarget, Target},
    },
};
use clap::Args;

/// The user that a question is about.
#[derive(Args, Debug)]
pub(super) struct UserArgs {
    /// The username, as the resource spells it
    #[arg(long, value_name = "USERNAME", allow_hyphen_values = true)]
    user: String,

    /// The id of the user pool
    #[arg(long, value_name = "ID")]
    pool: String,
}

impl UserArgs {
    /// The user.
    ///
    /// # Errors
    /// Which flag is wrong, and why.
    pub(super) fn target(&self) -> Result<Target, Failure> {
        Target::parse(&self.pool, &self.user).map_err(|wrong| {
            let flag = match wrong {
                InvalidTarget::PoolId => "--pool",
                InvalidTarget::Username => "--user",
            };
            Failure::Usage(format!("{flag}: {wrong}"))
        })
    }
}

/// The operator whose settings decide.
#[derive(Args, Debug)]
pub(super) struct OperatorArgs {
    /// The namespace of the operator whose settings count [default: all operators that can be found]
    #[arg(long, value_name = "NAMESPACE", value_parser = object_names::namespace)]
    operator_namespace: Option<String>,
}

impl OperatorArgs {
    /// The operators that count.
    pub(super) async fn installed(&self, session: &Session) -> Seen<Vec<Installed>> {
        let own = self.operator_namespace.as_deref();
        operator::installed(&session.client, own).await
    }
}

/// What the answer assumes, or what the caller could not see.
pub(super) fn notes(notes: &[String]) -> impl Iterator<Item = Finding> {
    notes
        .iter()
        .map(|text| Finding::new("note", Level::Unknown, text.clone()))
}

/// The fact; None if the caller could not see, which a note says.
pub(super) fn seen_or_said<T>(seen: Seen<T>, what: &str, said: &mut Vec<String>) -> Option<T> {
    let why = seen.why_not();
    match seen {
        Seen::Known(fact) => Some(fact),
        Seen::Denied(_) | Seen::Failed(_) => {
            said.push(format!("you don't see {what}: {}", why.unwrap_or_default()));
            None
        }
    }
}

/// The resources of all namespaces, or of the session's namespace for a caller who may list no more.
pub(super) async fn resources(session: &Session, said: &mut Vec<String>) -> Vec<ListedResource> {
    let all = inspect::resources(&session.client, None).await;
    // Where all can't be listed for another cause than a right, one namespace can't be listed either.
    let is_denied = matches!(all, Seen::Denied(_));
    if let Some(all) = seen_or_said(all, "the resources of all namespaces", said) {
        return all;
    }
    if !is_denied {
        return Vec::new();
    }
    let own = inspect::resources(&session.client, Some(&session.namespace)).await;
    let what = format!("the resources of {}", session.namespace);
    seen_or_said(own, &what, said).unwrap_or_default()
}
