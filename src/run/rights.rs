//! One check at the start, in the background: has the operator more rights on Secrets than it needs?

use super::settings::Settings;
use crate::{
    cluster::{CallError, rights},
    core::access::rights::{
        Answer, Place, Question, Verb, Verdict, command, judge, questions, to_report,
    },
    ops::metrics::Metrics,
};
use kube::Client;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use tracing::{debug, info, warn};

/// The pauses before each retry, for all questions together. After the last pause, the remaining answers stay
/// unknown.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(5),
];

/// Asks the API server, and reports unneeded rights first in the log, then in the metric. No other task waits
/// for this check.
pub(super) fn check(
    client: Client,
    settings: &Settings,
    metrics: Arc<Metrics>,
) -> impl Future<Output = ()> + Send + use<> {
    let own = settings.operator_namespace.clone();
    let questions = questions(&settings.watch_namespaces, &own);
    async move {
        let findings = judge(&answers(&client, &own, questions).await);
        let reports = to_report(&findings);
        let username = if reports.is_empty() {
            None
        } else {
            // Without the username the command in the log has a placeholder. The report is useful anyway.
            rights::username(&client).await.unwrap_or_default()
        };
        for (place, verbs) in reports {
            report(place, verbs, &own, username.as_deref());
        }
        for finding in findings {
            let place = finding.place.label();
            match finding.verdict {
                Verdict::Unneeded(_) => metrics.unneeded_secret_access(place, true),
                Verdict::Fit => metrics.unneeded_secret_access(place, false),
                // No sample: the metric shows only what is known.
                Verdict::Unknown => {}
            }
        }
    }
}

/// Asks each question. Returns one answer per question.
async fn answers(client: &Client, own: &str, questions: Vec<Question>) -> Vec<(Question, Answer)> {
    let mut answers = Vec::new();
    let mut pauses = PAUSES.into_iter();
    let mut is_given_up = false;
    for question in questions {
        let answer = if is_given_up {
            Answer::Unknown
        } else {
            let asked = ask_with_retries(client, own, question, &mut pauses).await;
            asked.unwrap_or_else(|error| {
                is_given_up = true;
                info!(%error, "the operator couldn't find out whether it has rights on Secrets that it doesn't need");
                Answer::Unknown
            })
        };
        debug!(?question, ?answer, "checked a right on Secrets");
        answers.push((question, answer));
    }
    answers
}

/// Asks again after a failure, while pauses are left. A refusal is final.
async fn ask_with_retries(
    client: &Client,
    own: &str,
    question: Question,
    pauses: &mut impl Iterator<Item = Duration>,
) -> Result<Answer, CallError> {
    loop {
        match rights::ask(client, own, question).await {
            Err(error @ (CallError::Failed(_) | CallError::TimedOut(_))) => {
                let Some(pause) = pauses.next() else {
                    return Err(error);
                };
                debug!(%error, ?pause, "a right on Secrets could not be checked; checking again");
                sleep(pause).await;
            }
            answer => return answer,
        }
    }
}

fn report(place: Place, verbs: &[Verb], own: &str, username: Option<&str>) {
    let words: Vec<_> = verbs.iter().map(|verb| verb.word()).collect();
    let verbs_text = words.join(",");
    let Some(verb) = verbs.first() else {
        return;
    };
    let check = command(place, own, *verb, username);
    match place {
        Place::AllNamespaces => warn!(
            verbs = verbs_text,
            check,
            "the operator may read every Secret of the cluster, and needs only those of --watch-namespaces: \
             look for a ClusterRoleBinding, such as that of deploy/all-namespaces, and delete it"
        ),
        Place::OwnNamespace => warn!(
            namespace = own,
            verbs = verbs_text,
            check,
            "the operator may read every Secret of its own namespace, and needs only its fingerprint keys \
             there: compare the Roles and RoleBindings of this namespace with deploy/base/rbac.yaml, and \
             delete what was meant for a watched namespace"
        ),
    }
}
