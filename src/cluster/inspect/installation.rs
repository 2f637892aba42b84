//! Reads what every authenticated user may ask for: the version of the API server, the kinds that the API server
//! serves, and the caller's rights.

use crate::{
    api::{GROUP, VERSION},
    cluster::{
        client::call::{CallError, call},
        rights::{answer_of, review},
    },
    core::{access::rights::Answer, checkup::right::Right},
};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReviewStatus};
use kube::{Client, client::Body};
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The major and minor version of the API server.
///
/// # Errors
/// Why the version is unknown.
pub async fn kubernetes_version(client: &Client) -> Result<(String, String), String> {
    let version = call(client.apiserver_version()).await;
    let version = version.map_err(|error| error.to_string())?;
    Ok((version.major, version.minor))
}

/// Asks whether the API server answers a known caller at all, be it with a refusal.
///
/// # Errors
/// Why there is no answer.
pub async fn reach(client: &Client) -> Result<(), String> {
    match call(client.apiserver_version()).await {
        Ok(_) | Err(CallError::Refused(_) | CallError::NotFound | CallError::Conflict) => Ok(()),
        Err(
            error @ (CallError::Failed(_) | CallError::TimedOut(_) | CallError::Unauthorized(_)),
        ) => Err(error.to_string().replace(char::is_control, " ")),
    }
}

/// The plural names of the resources that the API server serves in this version of our group, with subresources
/// after a slash. Empty if the API server doesn't know the group.
///
/// # Errors
/// Why the list is unknown.
pub async fn served_kinds(client: &Client) -> Result<Vec<String>, String> {
    let groups = call(client.list_api_groups()).await;
    let groups = groups.map_err(|error| error.to_string())?;
    let ours = groups.groups.iter().find(|group| group.name == GROUP);
    let is_served = ours.is_some_and(|group| group.versions.iter().any(|it| it.version == VERSION));
    if !is_served {
        return Ok(Vec::new());
    }
    let group = format!("{GROUP}/{VERSION}");
    let list = call(client.list_api_group_resources(&group)).await;
    let list = list.map_err(|error| error.to_string())?;
    Ok(list.resources.into_iter().map(|it| it.name).collect())
}

/// Whether the API server streams the list of this path, such as `/api/v1/namespaces`, into a watch. Asks for a
/// watch of an object that does not exist. None if the answer says neither.
pub async fn streams_lists(client: &Client, path: &str) -> Option<bool> {
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1&fieldSelector=metadata.name%3Dnone";
    let request = http::Request::get(format!("{path}?{query}")).body(Body::empty());
    let answer = call(client.send(request.ok()?)).await;
    match answer.ok()?.status().as_u16() {
        200 => Some(true),
        400 | 422 => Some(false),
        _ => None,
    }
}

/// Whether the caller has this right.
///
/// # Errors
/// Why the answer is unknown.
pub async fn has_right(client: &Client, right: &Right) -> Result<bool, String> {
    let question = Box::pin(review(client, attributes_of(right)));
    decided(asked(question).await?)
}

/// When a question about rights last got no answer in time. For a while, each further one would wait in vain too, as
/// where the API server asks a webhook that hangs.
static HUNG: Mutex<Option<Instant>> = Mutex::new(None);

/// How long no question about rights is asked after one that got no answer in time.
const PAUSE: Duration = Duration::from_secs(30);

/// The answer to a question about rights, which isn't asked shortly after one that got no answer in time.
pub(super) async fn asked<T>(
    question: impl Future<Output = Result<T, CallError>>,
) -> Result<T, String> {
    let hung = *HUNG.lock().unwrap_or_else(PoisonError::into_inner);
    if hung.is_some_and(|at| at.elapsed() < PAUSE) {
        return Err("the API server doesn't answer questions about rights in time".to_owned());
    }
    let answer = question.await;
    if matches!(answer, Err(CallError::TimedOut(_))) {
        *HUNG.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
    answer.map_err(|error| error.to_string())
}

pub(super) fn attributes_of(right: &Right) -> ResourceAttributes {
    let some = |text: &str| Some(text).filter(|it| !it.is_empty()).map(str::to_owned);
    ResourceAttributes {
        group: some(right.group),
        resource: some(right.resource),
        subresource: some(right.subresource),
        verb: some(right.verb),
        namespace: right.namespace.clone(),
        name: right.name.clone(),
        ..ResourceAttributes::default()
    }
}

pub(super) fn decided(status: Option<SubjectAccessReviewStatus>) -> Result<bool, String> {
    match answer_of(status) {
        Answer::Yes => Ok(true),
        Answer::No => Ok(false),
        Answer::Unknown => Err("the API server could not decide".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::inspect::fake::{self, Answers};
    use rstest::rstest;

    #[rstest]
    #[case(&[("/api/v1/namespaces?watch=true&sendInitialEvents=true", 200, "")], Some(true))]
    // The feature gate is off.
    #[case(&[("sendInitialEvents", 422, "{}")], Some(false))]
    #[case(&[("sendInitialEvents", 400, "{}")], Some(false))]
    #[case(&[("sendInitialEvents", 403, "{}")], None)]
    #[case(&[], None)]
    #[tokio::test]
    async fn the_answer_to_a_watch_says_whether_lists_are_streamed(
        #[case] answers: Answers,
        #[case] wanted: Option<bool>,
    ) {
        let client = fake::client(answers).await;
        assert_eq!(streams_lists(&client, "/api/v1/namespaces").await, wanted);
    }
}
