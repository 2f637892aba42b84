//! Reads the pages of the operator's pods through the API server's proxy.

use super::installation::has_right;
use crate::{
    cluster::client::call::call,
    core::checkup::{
        judge::facts::{Answer, Page},
        right::Right,
        seen::Seen,
    },
};
use http_body_util::{BodyExt, Limited};
use kube::{Client, client::Body};
use serde_json::Value;

/// The longest answer that is read, in bytes. `/metrics` has some 30 KB.
const ANSWER_MAX: usize = 1024 * 1024;

/// The most pods that are asked. A Deployment has two pods.
const PODS_MAX: usize = 5;

/// How the API server begins its answer if it can't reach a pod.
const UNREACHED: &str = "error trying to reach service";

/// `/readyz` and `/metrics` of each pod.
pub async fn pages(
    client: &Client,
    namespace: &str,
    pods: &[String],
    port: u16,
) -> Seen<Vec<Page>> {
    let needed = Right {
        verb: "get",
        group: "",
        resource: "pods",
        subresource: "proxy",
        namespace: Some(namespace.to_owned()),
        name: None,
    };
    if has_right(client, &needed).await == Ok(false) {
        return Seen::Denied(needed);
    }
    let mut pages = Vec::new();
    for pod in pods.iter().take(PODS_MAX) {
        let at = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy");
        let (readyz, metrics) = (format!("{at}/readyz"), format!("{at}/metrics"));
        let (readyz, metrics) = futures::join!(page(client, &readyz), page(client, &metrics));
        pages.push(Page {
            of: pod.clone(),
            readyz,
            metrics,
        });
    }
    Seen::Known(pages)
}

async fn page(client: &Client, path: &str) -> Answer {
    let request = http::Request::get(path).body(Body::empty());
    let request = request.map_err(|error| error.to_string())?;
    let read = async {
        let response = client.send(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_MAX)
            .collect()
            .await;
        Ok((status, body.map(http_body_util::Collected::to_bytes)))
    };
    let (status, body) = call(read).await.map_err(|error| error.to_string())?;
    let body = body.map_err(|error| error.to_string())?;
    of_pod(status, &String::from_utf8_lossy(&body))
}

/// The answer of the pod, or why the API server answered instead.
fn of_pod(status: u16, text: &str) -> Answer {
    if status == 200 {
        return Ok((status, text.to_owned()));
    }
    if text.starts_with(UNREACHED) {
        return Err(text.to_owned());
    }
    let by_api_server = serde_json::from_str::<Value>(text).ok();
    match by_api_server.filter(|it| it["kind"] == "Status") {
        Some(status) => Err(status["message"].as_str().unwrap_or("no reason").to_owned()),
        None => Ok((status, text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(200, "ok", Ok((200, "ok".to_owned())))]
    #[case(503, "lease: lost\n", Ok((503, "lease: lost\n".to_owned())))]
    #[case(503, "error trying to reach service: EOF", Err("error trying to reach service: EOF".to_owned()))]
    #[case(
        403,
        r#"{"kind":"Status","message":"pods \"a\" is forbidden"}"#,
        Err("pods \"a\" is forbidden".to_owned())
    )]
    fn an_answer_of_the_api_server_is_not_the_pods(
        #[case] status: u16,
        #[case] text: &str,
        #[case] wanted: Answer,
    ) {
        assert_eq!(of_pod(status, text), wanted);
    }
}
