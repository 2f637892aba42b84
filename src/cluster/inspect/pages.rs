//! Reads the pages of the operator's pods through the API server's proxy.

use super::{access::proxy_right, installation::has_right};
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

/// `/readyz` and `/metrics` of each of these pods, if the caller could see the pods.
pub async fn pages(
    client: &Client,
    namespace: &str,
    pods: &Seen<Vec<String>>,
    port: u16,
) -> Seen<Vec<Page>> {
    let needed = proxy_right(namespace);
    if has_right(client, &needed).await == Ok(false) {
        return Seen::Denied(needed);
    }
    let pods = match pods {
        Seen::Known(pods) => pods,
        unseen => return unseen.as_ref().map(|_| Vec::new()),
    };
    let mut pages = Vec::new();
    for pod in pods.iter().take(PODS_MAX) {
        let at = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy");
        let (readyz, metrics) = (format!("{at}/readyz"), format!("{at}/metrics"));
        let (readyz, metrics) = futures::join!(
            page(client, &readyz, &needed),
            page(client, &metrics, &needed)
        );
        pages.push(Page {
            of: pod.clone(),
            readyz,
            metrics,
        });
    }
    Seen::Known(pages)
}

async fn page(client: &Client, path: &str, needed: &Right) -> Answer {
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
    of_pod(status, &String::from_utf8_lossy(&body), needed)
}

/// The answer of the pod, or why the API server answered instead.
fn of_pod(status: u16, text: &str, needed: &Right) -> Answer {
    if status == 200 {
        return Ok((status, text.to_owned()));
    }
    if text.starts_with(UNREACHED) {
        return Err(text.to_owned());
    }
    let by_api_server = serde_json::from_str::<Value>(text).ok();
    match by_api_server.filter(|it| it["kind"] == "Status") {
        Some(_) if status == 403 => Err(format!("you may not {needed}")),
        Some(status) => Err(status["message"].as_str().unwrap_or("no reason").to_owned()),
        None => Ok((status, text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::inspect::fake;
    use rstest::rstest;

    #[tokio::test]
    async fn each_pod_is_asked_for_both_pages_at_the_port_of_the_settings() {
        let client = fake::client(&[
            fake::MAY,
            (
                "GET /api/v1/namespaces/home/pods/a:9000/proxy/readyz ",
                200,
                "ok",
            ),
            (
                "GET /api/v1/namespaces/home/pods/a:9000/proxy/metrics ",
                200,
                "# EOF",
            ),
            (
                "GET /api/v1/namespaces/home/pods/b:9000/proxy/readyz ",
                503,
                "lease: lost",
            ),
            (
                "/pods/b:9000/proxy/metrics ",
                503,
                "error trying to reach service: EOF",
            ),
        ])
        .await;
        let pods = Seen::Known(["a", "b"].map(str::to_owned).into());
        let page = |of: &str, readyz: (u16, &str), metrics: Result<(u16, &str), &str>| Page {
            of: of.to_owned(),
            readyz: Ok((readyz.0, readyz.1.to_owned())),
            metrics: metrics
                .map(|(status, text)| (status, text.to_owned()))
                .map_err(str::to_owned),
        };
        let wanted = vec![
            page("a", (200, "ok"), Ok((200, "# EOF"))),
            page(
                "b",
                (503, "lease: lost"),
                Err("error trying to reach service: EOF"),
            ),
        ];
        assert_eq!(
            pages(&client, "home", &pods, 9000).await,
            Seen::Known(wanted)
        );
    }

    #[tokio::test]
    async fn without_the_right_no_pod_is_asked() {
        let client = fake::client(&[(
            "selfsubjectaccessreviews",
            201,
            r#"{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{},"status":{"allowed":false}}"#,
        )])
        .await;
        let pods = Seen::Known(vec!["a".to_owned()]);
        let seen = pages(&client, "home", &pods, 9000).await;
        let why = seen.why_not().expect("no right");
        assert_eq!(why, "you may not get pods --subresource=proxy -n home");
    }

    #[rstest]
    #[case(200, "ok", Ok((200, "ok".to_owned())))]
    #[case(503, "lease: lost\n", Ok((503, "lease: lost\n".to_owned())))]
    #[case(503, "error trying to reach service: EOF", Err("error trying to reach service: EOF".to_owned()))]
    #[case(
        403,
        r#"{"kind":"Status","message":"pods \"a\" is forbidden"}"#,
        Err("you may not get pods --subresource=proxy -n home".to_owned())
    )]
    #[case(403, "forbidden", Ok((403, "forbidden".to_owned())))]
    #[case(
        500,
        r#"{"kind":"Status","message":"etcd is away"}"#,
        Err("etcd is away".to_owned())
    )]
    fn an_answer_of_the_api_server_is_not_the_pods(
        #[case] status: u16,
        #[case] text: &str,
        #[case] wanted: Answer,
    ) {
        assert_eq!(of_pod(status, text, &proxy_right("home")), wanted);
    }
}
