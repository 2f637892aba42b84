//! `grants test`: may resources of a namespace manage a user?

use super::question::{QuestionArgs, listed_grants, notes};
use crate::{
    cluster::inspect::namespaces,
    command::{
        exit::{Exit, Failure},
        session::Session,
    },
    core::{
        access::grant::Admission,
        checkup::seen::Seen,
        grants::{
            book::{GrantBook, ListedGrants},
            rules::rules_of,
            test::Tested,
            who::labels_of_new,
        },
    },
};

pub(super) async fn test(args: &QuestionArgs, session: &Session) -> Result<Exit, Failure> {
    let target = args.target()?;
    let (client, namespace) = (&session.client, &*session.namespace);
    session.reach().await?;
    let installed = args.operator.installed(session).await;
    let (rules, mut said) = rules_of(&installed, Some(namespace));
    let (mut listed, mut is_blind) = (ListedGrants::new(), false);
    let mut labels = None;
    let mut exists = None;
    // An operator of some namespaces uses no grants.
    if rules.watched.is_empty() {
        match listed_grants(client, &mut said).await {
            Some(grants) => listed = grants,
            None => is_blind = true,
        }
        match namespaces::labels(client, namespace).await {
            Seen::Known(Some(known)) => (labels, exists) = (Some(known), Some(true)),
            Seen::Known(None) => {
                said.push(format!(
                    "there is no namespace {namespace}; the answer is for a new one without labels of its own"
                ));
                (labels, exists) = (Some(labels_of_new(namespace)), Some(false));
            }
            seen @ (Seen::Denied(_) | Seen::Failed(_)) => {
                let why = seen.why_not().unwrap_or_default();
                said.push(format!("you don't see the labels of {namespace}: {why}"));
            }
        }
    }
    let mut answer = GrantBook::new(&listed, &rules).ask(&target, namespace, labels.as_ref());
    if is_blind {
        answer.admission = Admission::Unknown;
    }
    let exit = match &answer.admission {
        Admission::Granted(_) => Exit::Well,
        Admission::NotGranted | Admission::Ambiguous | Admission::UnknownRegion => Exit::Found,
        Admission::Unknown => Exit::Unknown,
    };
    let tested = Tested {
        namespace,
        exists,
        is_blind,
        target: &target,
        answer,
    };
    args.output
        .print("GrantTest", exit, &tested.report(&said), |layout| {
            let mut findings = tested.findings(&rules);
            findings.extend(notes(&said));
            layout.findings(&findings)
        })
}
