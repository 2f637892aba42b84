//! `grants who`: which namespaces may manage a user, and which resource does?

use super::question::{OperatorArgs, UserArgs, notes, resources, seen_or_said};
use crate::{
    cluster::inspect::{grants as inspect, namespaces},
    command::{
        exit::{Exit, Failure},
        output::OutputArgs,
        session::Session,
    },
    core::{
        checkup::seen::Seen,
        grants::{
            book::{GrantBook, ListedGrants},
            rules::rules_of,
            who::{Cluster, holders},
        },
    },
};
use clap::Args;

#[derive(Args, Debug)]
pub(super) struct WhoArgs {
    #[command(flatten)]
    user: UserArgs,

    #[command(flatten)]
    operator: OperatorArgs,

    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn who(args: WhoArgs, session: &Session) -> Result<Exit, Failure> {
    let target = args.user.target()?;
    let client = &session.client;
    session.reach().await?;
    let installed = args.operator.installed(session).await;
    let (rules, mut said) = rules_of(&installed, None);
    let (mut listed, mut is_blind) = (ListedGrants::new(), false);
    if rules.watched.is_empty() {
        match inspect::grants(client).await {
            Seen::Known(grants) => listed = grants,
            seen @ (Seen::Denied(_) | Seen::Failed(_)) => {
                let why = seen.why_not().unwrap_or_default();
                said.push(format!("the grants are unknown: {why}"));
                is_blind = true;
            }
        }
    }
    let namespaces = seen_or_said(
        namespaces::all_labels(client).await,
        "all namespaces",
        &mut said,
    );
    let seen = said.len();
    let resources = resources(session, &mut said).await;
    let is_partial = said.len() > seen;
    let cluster = Cluster {
        namespaces: namespaces.as_ref(),
        resources: &resources,
    };
    if is_blind {
        // Without the grants, nothing is known of any namespace.
        let exit = Exit::Unknown;
        let content = serde_json::json!({
            "userPoolId": target.pool.as_str(),
            "username": target.username.as_str(),
            "notes": said,
        });
        return args.output.print("GrantHolders", exit, &content, |layout| {
            layout.findings(&notes(&said).collect::<Vec<_>>())
        });
    }
    let mut holders = holders(&GrantBook::new(&listed, &rules), &target, cluster);
    let exit = match (holders.is_anybody(), holders.by_labels.is_empty()) {
        (_, false) => Exit::Unknown,
        (true, true) => Exit::Well,
        (false, true) => Exit::Found,
    };
    holders.notes.clone_from(&said);
    holders.is_partial = is_partial;
    args.output.print("GrantHolders", exit, &holders, |layout| {
        let mut findings = holders.findings();
        findings.extend(notes(&said));
        layout.findings(&findings)
    })
}
