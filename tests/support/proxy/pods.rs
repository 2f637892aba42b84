//! Plays the kubelets: the API server passes a request for a pod's page on to the pod, and the tests' pods are
//! processes on loopback. The API server itself decides first whether the caller has the right.

use std::collections::BTreeMap;

use hyper::{StatusCode, Uri};

use super::super::http;

/// The ports of the processes that play pods, by the pods' names.
#[derive(Clone, Debug, Default)]
pub(super) struct Pods(pub(super) BTreeMap<String, u16>);

impl Pods {
    /// The port and the path of a page of a played pod.
    pub(super) fn page(&self, uri: &Uri) -> Option<(u16, String)> {
        let (_, rest) = uri.path().split_once("/pods/")?;
        let (pod, path) = rest.split_once("/proxy/")?;
        let (name, _) = pod.split_once(':')?;
        Some((*self.0.get(name)?, format!("/{path}")))
    }
}

/// The answer of the process, or the API server's words about a pod that doesn't answer.
pub(super) async fn answer((port, path): (u16, String)) -> (StatusCode, String) {
    match http::get(port, &path).await {
        Ok((status, body)) => {
            let status = StatusCode::from_u16(status).expect("an HTTP status");
            (status, body)
        }
        Err(why) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("error trying to reach service: {why}"),
        ),
    }
}
