//! `grants test`: may resources of a namespace manage a user?

use super::question::{OperatorArgs, UserArgs, notes};
use crate::{
    cluster::inspect::{grants as inspect, namespaces},
    command::{
        exit::{Exit, Failure},
        output::OutputArgs,
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
use clap::Args;

#[derive(Args, Debug)]
pub(super) struct TestArgs {
    #[command(flatten)]
    user: UserArgs,

    #[command(flatten)]
    operator: OperatorArgs,

    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn test(args: TestArgs, session: &Session) -> Result<Exit, Failure> {
    let target = args.user.target()?;
    let (client, namespace) = (&session.client, &*session.namespace);
    session.reach().await?;
    let installed = args.operator.installed(session).await;
    let (rules, mut said) = rules_of(&installed, Some(namespace));
    let (mut listed, mut is_blind) = (ListedGrants::new(), false);
    let mut labels = None;
    let mut exists = None;
    // An operator of some namespaces uses no grants.
    if rules.watched.is_empty() {
        match inspect::grants(client).await {
            Seen::Known(grants) => listed = grants,
            seen @ (Seen::Denied(_) | Seen::Failed(_)) => {
                let why = seen.why_not().unwrap_or_default();
                said.push(format!("the grants are unknown: {why}"));
                is_blind = true;
            }
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
                said.push(format!("the labels of {namespace} are unknown: {why}"));
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
