//! The pages of the operator's port: `/readyz`, and what `/metrics` says of AWS credentials.

use super::facts::{Answer, Deployed, Page, Pages, Resources};
use crate::{
    api::{Class, Reason},
    core::{
        checkup::{
            finding::{Cure, Finding, Level},
            seen::Seen,
        },
        text::legible,
        words::count,
    },
};

const NETWORK: &str = "network";
const IDENTITY: &str = "identity";

/// The longest answer of `/readyz` that is printed, in characters.
const ANSWER: usize = 600;

/// The sample of resources that wait for credentials.
pub(super) const WITHOUT_CREDENTIALS: &str =
    "cognito_password_operator_resources{reason=\"InvalidCredentials\"}";

pub(super) fn network(pages: &Pages) -> Vec<Finding> {
    match pages {
        // The caller named the address, so an address that doesn't answer is a fault.
        Pages::At(page) => vec![at(page)],
        Pages::Proxied(Seen::Known(pages)) if pages.is_empty() => {
            let text = "there is no pod whose /readyz could be asked".to_owned();
            vec![Finding::new(NETWORK, Level::Unknown, text)]
        }
        Pages::Proxied(Seen::Known(pages)) => proxied(pages),
        Pages::Proxied(unseen) => {
            let why = unseen.why_not().unwrap_or_default();
            let text = format!("/readyz and /metrics are unknown: {why}");
            let cure = Cure::words("name the address by --url, perhaps of kubectl port-forward");
            vec![Finding::new(NETWORK, Level::Unknown, text).cured_by(cure)]
        }
    }
}

fn at(page: &Page) -> Finding {
    match &page.readyz {
        Ok((200, _)) => Finding::new(NETWORK, Level::Well, "/readyz answers ok".to_owned()),
        Ok((status, body)) => unready("/readyz", *status, body),
        Err(why) => {
            let text = format!("/readyz doesn't answer: {why}");
            let command = "kubectl get pods -A -l app.kubernetes.io/name=cognito-password-operator";
            Finding::new(NETWORK, Level::Failed, text).cured_by(
                Cure::command(
                    "a NetworkPolicy may keep this caller out",
                    command.to_owned(),
                )
                .more("network.md"),
            )
        }
    }
}

fn unready(what: &str, status: u16, body: &str) -> Finding {
    let lines = legible(&body.trim().replace('\n', "; "), ANSWER);
    let text = format!("{what} answers {status}: {lines}");
    Finding::new(NETWORK, Level::Failed, text)
        .cured_by(Cure::words("mend what /readyz names; no restart is needed"))
}

fn proxied(pages: &[Page]) -> Vec<Finding> {
    let is_well = |page: &&Page| matches!(page.readyz, Ok((200, _)));
    let well = pages.iter().filter(is_well).count();
    let mut findings = Vec::new();
    for page in pages {
        match &page.readyz {
            Ok((200, _)) => {}
            Ok((status, body)) => {
                findings.push(unready(&format!("/readyz of {}", page.of), *status, body));
            }
            Err(why) => {
                let why = legible(why, ANSWER);
                let text = format!("/readyz of {} is unknown: {why}", page.of);
                findings.push(Finding::new(NETWORK, Level::Unknown, text));
            }
        }
    }
    if findings.is_empty() {
        let text = format!(
            "/readyz of {} answers ok, through the API server",
            count(well, "pod")
        );
        findings.push(Finding::new(NETWORK, Level::Well, text));
    }
    findings
}

/// Whether resources wait for AWS credentials, by the operator's own count, or by the resources' reasons. Nobody
/// but the operator can try its credentials.
pub(super) fn identity(
    pages: Option<&Pages>,
    resources: Option<&Seen<Resources>>,
) -> Option<Finding> {
    let pages = pages?;
    let answers: Vec<_> = pages
        .asked()
        .iter()
        .map(|it| waiting(&it.metrics))
        .collect();
    // Every pod counts all resources, also a pod that stands by.
    let counted = answers.iter().filter_map(|it| it.as_ref().ok()).max();
    let seen = resources.and_then(Seen::known).map(|it| {
        let of_reason = it.unready.get("InvalidCredentials");
        of_reason.copied().unwrap_or_default()
    });
    let Some(number) = counted.copied().or(seen) else {
        let why = answers.into_iter().find_map(Result::err);
        let why = why.map_or_else(
            || "no pod was asked".to_owned(),
            |why| legible(&why, ANSWER),
        );
        let text = format!("/metrics doesn't say whether AWS credentials work: {why}");
        return Some(Finding::new(IDENTITY, Level::Unknown, text));
    };
    if number == 0 {
        let are_tried = answers_of(pages).any(has_set) || is_any_ready(resources);
        return Some(if are_tried {
            let text = "no resource waits for AWS credentials".to_owned();
            Finding::new(IDENTITY, Level::Well, text)
        } else {
            let text = "no resource waits for AWS credentials, and none is Ready: whether the credentials work shows with the first set";
            Finding::new(IDENTITY, Level::Warning, text.to_owned())
        });
    }
    let text = format!(
        "{} {} because the operator, or the role of a grant, has no AWS credentials that work",
        count(number, "resource"),
        if number == 1 { "waits" } else { "wait" }
    );
    let cure = Cure::commands(
        "the messages have AWS's words, and doctor has the cure of each resource",
        [
            "kubectl get cupg -o wide".to_owned(),
            "kubectl cognito-password doctor -A".to_owned(),
        ],
    )
    .more("runbooks.md#the-identity-is-missing");
    Some(Finding::new(IDENTITY, Level::Failed, text).cured_by(cure))
}

fn is_any_ready(resources: Option<&Seen<Resources>>) -> bool {
    let resources = resources.and_then(Seen::known);
    resources.is_some_and(|it| it.ready > 0)
}

/// The texts of `/metrics`.
fn answers_of(pages: &Pages) -> impl Iterator<Item = &str> {
    let answers = pages.asked().iter().map(|it| it.metrics.as_ref());
    answers.filter_map(|it| it.ok().map(|(_, text)| &**text))
}

/// Whether the page counts a resource whose password the operator has set.
fn has_set(metrics: &str) -> bool {
    let counts = |line: &str| {
        let labelled = line.strip_prefix("cognito_password_operator_resources{reason=\"")?;
        let (reason, count) = labelled.split_once("\"} ")?;
        let is_settled = Reason::parse(reason)?.class() == Class::Settled;
        Some(is_settled && count.trim().parse::<usize>().ok()? > 0)
    };
    metrics.lines().any(|line| counts(line) == Some(true))
}

/// How many resources wait for credentials.
fn waiting(metrics: &Answer) -> Result<usize, String> {
    let text = match metrics {
        Ok((200, text)) => text,
        Ok((status, _)) => return Err(format!("the answer is {status}")),
        Err(why) => return Err(why.clone()),
    };
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix(WITHOUT_CREDENTIALS));
    let count = count.and_then(|count| count.trim().parse().ok());
    count.ok_or_else(|| "the count of resources is missing".to_owned())
}

/// Whether anybody scrapes the metrics.
pub(super) fn metrics(deployed: &Deployed) -> Finding {
    let subject = "metrics";
    match &deployed.scrape {
        Seen::Known(Some(scrape)) => {
            let text = format!("scraped by {}", scrape.0);
            Finding::new(subject, Level::Well, text)
        }
        Seen::Known(None) => {
            let text = "no ServiceMonitor, PodMonitor or scrape annotation fits, so nobody may hear of failures";
            Finding::new(subject, Level::Warning, text.to_owned()).cured_by(
                Cure::words("let Prometheus scrape port http of the pods")
                    .more("monitoring.md#scrape"),
            )
        }
        unseen => {
            let why = unseen.why_not().unwrap_or_default();
            let text = format!("whether the metrics are scraped is unknown: {why}");
            Finding::new(subject, Level::Unknown, text)
        }
    }
}
