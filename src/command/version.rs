//! `version`: the versions of this program, of the operators and of the CRDs, and how they fit together.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "the docs of the arguments are the help text"
)]

use super::{
    check::{exit, installation::visible},
    exit::{Exit, Failure},
    object_names,
    output::OutputArgs,
    session::Session,
};
use crate::{
    cluster::inspect::{crds::stored_crds, installation::reach},
    core::checkup::{seen::Seen, versions::versions},
};
use clap::Args;

/// The arguments.
#[derive(Args, Debug)]
pub struct VersionArgs {
    /// The operator's own namespace [default: all operators that can be found]
    #[arg(long, value_name = "NAMESPACE", value_parser = object_names::namespace)]
    operator_namespace: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

/// Prints the versions, and the verdict on each.
///
/// # Errors
/// Standard output is closed.
pub async fn version(args: &VersionArgs, session: &Session) -> Result<Exit, Failure> {
    let client = &session.client;
    let own = args.operator_namespace.as_deref();
    let (installed, stored) = match reach(client).await {
        Ok(()) => {
            let installed = visible(client, own, &session.namespace).await;
            // After a time-out, the next read would wait in vain too.
            let stored = match &installed {
                Seen::Failed(why) => Seen::Failed(why.clone()),
                Seen::Known(_) | Seen::Denied(_) => stored_crds(client).await,
            };
            (installed, stored)
        }
        Err(why) => (Seen::Failed(why.clone()), Seen::Failed(why)),
    };
    let versions = versions(env!("CARGO_PKG_VERSION"), &installed, &stored);
    let exit = exit(&versions.findings);
    args.output.print("Version", exit, &versions, |layout| {
        layout.findings(&versions.findings)
    })
}
