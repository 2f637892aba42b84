//! Counts the requests to the API server. The labels of the count come from the method and the path of a
//! request, and from the status of the response. Each label has one of a few constants, whatever the path says.

use futures::future::BoxFuture;
use http::{Method, Uri};
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tower_service::Service;

/// The resources that the operator asks for. Any other resource counts as [`OTHER`].
const RESOURCES: [&str; 10] = [
    "cognitouserpasswords",
    "cognitouserpasswords/status",
    "cognitouserpoolgrants",
    "cognitouserpoolgrants/status",
    "events",
    "leases",
    "namespaces",
    "secrets",
    "selfsubjectaccessreviews",
    "selfsubjectreviews",
];

/// The label for a verb or a resource that is not on the list.
const OTHER: &str = "other";

/// The code class of a request without a response: the connection failed, or the operator gave up waiting.
const NO_RESPONSE: &str = "none";

/// A request that has ended, by the labels of the metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ApiRequest {
    /// The verb, as in a rule of a Role: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`; else
    /// `other`.
    pub verb: &'static str,
    /// The plural name of the resource, with the subresource after a slash; else `other`.
    pub resource: &'static str,
    /// `2xx` for a status from 200 to 299, and so on; `none` without a response. For a watch, this is the
    /// status at the beginning of the watch.
    pub code_class: &'static str,
}

/// Takes each request that has ended. Must be quick.
pub type RequestObserver = Arc<dyn Fn(ApiRequest) + Send + Sync>;

/// A service that reports each request to an observer.
#[derive(Clone)]
pub(super) struct CountedRequests<S> {
    inner: S,
    observer: RequestObserver,
}

impl<S> CountedRequests<S> {
    pub(super) const fn new(inner: S, observer: RequestObserver) -> Self {
        Self { inner, observer }
    }
}

/// A request under way. Reports the request when it is dropped, because a caller gives a request up by
/// dropping the future.
struct RequestInFlight {
    request: ApiRequest,
    observer: RequestObserver,
}

impl Drop for RequestInFlight {
    fn drop(&mut self) {
        (self.observer)(self.request);
    }
}

impl<S, B, R> Service<http::Request<B>> for CountedRequests<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send,
    R: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let mut in_flight = RequestInFlight {
            request: describe(request.method(), request.uri()),
            observer: self.observer.clone(),
        };
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = response.await;
            if let Ok(response) = &response {
                in_flight.request.code_class = code_class(response.status().as_u16());
            }
            drop(in_flight);
            response
        })
    }
}

/// A request without a response so far.
fn describe(method: &Method, uri: &Uri) -> ApiRequest {
    let (resource, is_named) = resource(uri.path());
    let is_watch = || {
        let query = uri.query().unwrap_or_default();
        query.split('&').any(|part| part == "watch=true")
    };
    let verb = match *method {
        Method::GET if is_watch() => "watch",
        Method::GET if is_named => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => OTHER,
    };
    ApiRequest {
        verb,
        resource,
        code_class: NO_RESPONSE,
    }
}

/// The resource in a path, and whether the path names one object. A path may have a prefix: an API server
/// behind a gateway has one.
fn resource(path: &str) -> (&'static str, bool) {
    let segments: Vec<_> = path.split('/').filter(|it| !it.is_empty()).collect();
    let Some(api) = segments.iter().position(|it| matches!(*it, "api" | "apis")) else {
        return (OTHER, false);
    };
    // `api/VERSION/...`, `apis/GROUP/VERSION/...`
    let root = if segments[api] == "api" { 2 } else { 3 };
    let rest = segments.get(api + root..).unwrap_or_default();
    // `namespaces/NAMESPACE/RESOURCE...`; a Namespace itself is `namespaces/NAME`.
    let rest = match rest {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        rest => rest,
    };
    let known = |name: &str| {
        let found = RESOURCES.iter().find(|known| **known == name);
        found.copied().unwrap_or(OTHER)
    };
    match rest {
        [] => (OTHER, false),
        [plural] => (known(plural), false),
        [plural, _] => (known(plural), true),
        [plural, _, subresource, ..] => (known(&format!("{plural}/{subresource}")), true),
    }
}

const fn code_class(status: u16) -> &'static str {
    match status {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        convert::Infallible,
        future::{self, Ready},
        sync::Mutex,
    };

    fn described(method: &str, uri: &str) -> (&'static str, &'static str) {
        let method = method.parse().expect("a method");
        let request = describe(&method, &uri.parse().expect("a path"));
        assert_eq!(request.code_class, NO_RESPONSE);
        (request.verb, request.resource)
    }

    #[test]
    fn verb_and_resource_come_from_method_and_path() {
        let ours = "/apis/cognito-password-operator.io/v1alpha1";
        let cases = [
            (
                "GET",
                format!("{ours}/cognitouserpasswords?watch=true&timeoutSeconds=200"),
                ("watch", "cognitouserpasswords"),
            ),
            (
                "GET",
                format!("{ours}/cognitouserpasswords?limit=500"),
                ("list", "cognitouserpasswords"),
            ),
            (
                "GET",
                format!("{ours}/namespaces/team-a/cognitouserpasswords/ci-bot"),
                ("get", "cognitouserpasswords"),
            ),
            (
                "PATCH",
                format!(
                    "{ours}/namespaces/team-a/cognitouserpasswords/ci-bot/status?fieldManager=x"
                ),
                ("patch", "cognitouserpasswords/status"),
            ),
            (
                "PUT",
                format!("{ours}/cognitouserpoolgrants/platform/status"),
                ("update", "cognitouserpoolgrants/status"),
            ),
            (
                "GET",
                "/api/v1/namespaces?watch=true".to_owned(),
                ("watch", "namespaces"),
            ),
            (
                "GET",
                "/api/v1/namespaces/team-a".to_owned(),
                ("get", "namespaces"),
            ),
            (
                "GET",
                "/api/v1/namespaces/team-a/secrets/ci-bot".to_owned(),
                ("get", "secrets"),
            ),
            (
                "GET",
                "/api/v1/namespaces/namespaces/secrets".to_owned(),
                ("list", "secrets"),
            ),
            (
                "GET",
                "/k8s/clusters/c-1/api/v1/namespaces/api/secrets/apis".to_owned(),
                ("get", "secrets"),
            ),
            (
                "POST",
                "/apis/events.k8s.io/v1/namespaces/team-a/events".to_owned(),
                ("create", "events"),
            ),
            (
                "PUT",
                "/apis/coordination.k8s.io/v1/namespaces/o/leases/cognito".to_owned(),
                ("update", "leases"),
            ),
            (
                "POST",
                "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned(),
                ("create", "selfsubjectaccessreviews"),
            ),
            ("GET", "/version".to_owned(), ("list", OTHER)),
            ("GET", "/".to_owned(), ("list", OTHER)),
            ("GET", "/api".to_owned(), ("list", OTHER)),
            ("GET", "/apis/g/v1/n-1".to_owned(), ("list", OTHER)),
            (
                "DELETE",
                "/api/v1/namespaces/n/pods/p/log".to_owned(),
                ("delete", OTHER),
            ),
            ("OPTIONS", "/api/v1/secrets".to_owned(), (OTHER, "secrets")),
        ];
        for (method, uri, expected) in cases {
            assert_eq!(described(method, &uri), expected, "{method} {uri}");
        }
    }

    /// Answers with this status; with 0, never.
    #[derive(Clone)]
    struct Server(u16);

    impl Service<http::Request<()>> for Server {
        type Response = http::Response<()>;
        type Error = Infallible;
        type Future = futures::future::Either<
            Ready<Result<http::Response<()>, Infallible>>,
            future::Pending<Result<http::Response<()>, Infallible>>,
        >;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: http::Request<()>) -> Self::Future {
            match self.0 {
                0 => futures::future::Either::Right(future::pending()),
                status => {
                    let mut response = http::Response::new(());
                    *response.status_mut() = status.try_into().expect("a status");
                    futures::future::Either::Left(future::ready(Ok(response)))
                }
            }
        }
    }

    #[tokio::test]
    async fn each_request_counts_once_with_the_class_of_its_status() {
        let counted = Arc::new(Mutex::new(Vec::new()));
        let observer: RequestObserver = {
            let counted = counted.clone();
            Arc::new(move |request| counted.lock().expect("no panic").push(request))
        };
        let request = || {
            let mut request = http::Request::new(());
            *request.uri_mut() = "/api/v1/namespaces/n/secrets/s".parse().expect("a path");
            request
        };
        let expected = |code_class| ApiRequest {
            verb: "get",
            resource: "secrets",
            code_class,
        };
        for (status, code_class) in [(200, "2xx"), (404, "4xx"), (503, "5xx"), (101, "1xx")] {
            let mut service = CountedRequests::new(Server(status), observer.clone());
            let response = service.call(request()).await.expect("a response");
            assert_eq!(response.status(), status);
            let taken = std::mem::take(&mut *counted.lock().expect("no panic"));
            assert_eq!(taken, [expected(code_class)]);
        }
        // The caller gives up.
        let given_up = CountedRequests::new(Server(0), observer).call(request());
        assert!(counted.lock().expect("no panic").is_empty());
        drop(given_up);
        assert_eq!(*counted.lock().expect("no panic"), [expected(NO_RESPONSE)]);
    }
}
