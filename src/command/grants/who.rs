//! `grants who`: which namespaces may manage a user, and which resource does?

use super::question::{Listed, QuestionArgs, listed_grants, notes};
use crate::{
    command::{
        exit::{Exit, Failure},
        session::Session,
    },
    core::grants::{
        book::{GrantBook, ListedGrants},
        rules::rules_of,
        who::holders,
    },
};

pub(super) async fn who(args: &QuestionArgs, session: &Session) -> Result<Exit, Failure> {
    let target = args.target()?;
    let client = &session.client;
    session.reach().await?;
    let installed = args.operator.installed(session).await;
    let (rules, mut said) = rules_of(&installed, None);
    let (mut listed, mut is_blind) = (ListedGrants::new(), false);
    if rules.watched.is_empty() {
        match listed_grants(client, &mut said).await {
            Some(grants) => listed = grants,
            None => is_blind = true,
        }
    }
    let seen = Listed::read(session, &mut said).await;
    let mut holders = holders(&GrantBook::new(&listed, &rules), &target, seen.cluster());
    if is_blind {
        holders.forget_grants();
    }
    let exit = match (holders.is_anybody(), holders.by_labels.is_empty()) {
        _ if is_blind => Exit::Unknown,
        (_, false) => Exit::Unknown,
        (true, true) => Exit::Well,
        (false, true) => Exit::Found,
    };
    holders.notes.clone_from(&said);
    holders.is_partial = !seen.has_all_resources;
    args.output.print("GrantHolders", exit, &holders, |layout| {
        let mut findings = holders.findings();
        findings.extend(notes(&said));
        layout.findings(&findings)
    })
}
