//! What the questions about grants share: the user, the notes, the grants, and the resources.

#![allow(
    clippy::doc_markdown,
    reason = "the docs of the arguments are the help text"
)]

use crate::{
    cluster::inspect::{grants, namespaces, operator, resources},
    command::{exit::Failure, object_names, output::OutputArgs, session::Session},
    core::{
        checkup::{
            finding::{Finding, Level},
            installed::Installed,
            seen::Seen,
        },
        grants::{
            book::ListedGrants,
            who::{Cluster, ListedResource, Namespaces},
        },
        names::target::{InvalidTarget, Target},
    },
};
use clap::Args;
use kube::Client;

/// The arguments of a question about a user.
#[derive(Args, Debug)]
pub(super) struct QuestionArgs {
    /// The username, as the resource spells it
    #[arg(long, value_name = "USERNAME", allow_hyphen_values = true)]
    user: String,

    /// The id of the user pool
    #[arg(long, value_name = "ID")]
    pool: String,

    #[command(flatten)]
    pub(super) operator: OperatorArgs,

    #[command(flatten)]
    pub(super) output: OutputArgs,
}

impl QuestionArgs {
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

/// The grants by name; None if the caller could not see, which a note says.
pub(super) async fn listed_grants(client: &Client, said: &mut Vec<String>) -> Option<ListedGrants> {
    let found = grants::grants(client).await;
    let found = found.map(|found| found.into_iter().map(|it| (it.name, it.grant)).collect());
    seen_or_said(found, "the grants", said)
}

/// The namespaces and the resources, as far as the caller may list them.
pub(super) struct Listed {
    namespaces: Option<Namespaces>,
    resources: Vec<ListedResource>,
    /// Whether the caller may list the resources of all namespaces.
    pub(super) has_all_resources: bool,
}

impl Listed {
    /// Reads the namespaces and the resources.
    pub(super) async fn read(session: &Session, said: &mut Vec<String>) -> Self {
        let namespaces = namespaces::all_labels(&session.client).await;
        let namespaces = seen_or_said(namespaces, "all namespaces", said);
        let before = said.len();
        let resources = resources(session, said).await;
        Self {
            namespaces,
            resources,
            has_all_resources: said.len() == before,
        }
    }

    /// Whether there may be more namespaces or resources, which a note says.
    pub(super) const fn is_partial(&self) -> bool {
        self.namespaces.is_none() || !self.has_all_resources
    }

    pub(super) fn cluster(&self) -> Cluster<'_> {
        Cluster {
            namespaces: self.namespaces.as_ref(),
            resources: &self.resources,
        }
    }
}

/// The resources of all namespaces, or of the session's namespace for a caller who may list no more.
async fn resources(session: &Session, said: &mut Vec<String>) -> Vec<ListedResource> {
    let all = resources::targets(&session.client, None).await;
    // Where all can't be listed for another cause than a right, one namespace can't be listed either.
    let is_denied = matches!(all, Seen::Denied(_));
    if let Some(all) = seen_or_said(all, "the resources of all namespaces", said) {
        return all;
    }
    if !is_denied {
        return Vec::new();
    }
    let own = resources::targets(&session.client, Some(&session.namespace)).await;
    let what = format!("the resources of {}", session.namespace);
    seen_or_said(own, &what, said).unwrap_or_default()
}
