//! Makes sure that passwords and session credentials cross the network only under TLS.

use super::error_text;
use aws_sdk_cognitoidentityprovider::config::{
    ConfigBag, Intercept, RuntimeComponents,
    interceptors::BeforeTransmitInterceptorContextRef as BeforeTransmit,
};
use aws_smithy_runtime_api::box_error::BoxError;
use http::{
    Uri,
    uri::{Authority, Scheme},
};
use hyper_util::client::proxy::matcher::Matcher;
use std::{
    error::Error,
    fmt,
    net::IpAddr,
    sync::{Arc, OnceLock},
};

/// The service behind an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// Cognito, which receives passwords.
    Cognito,
    /// STS, which returns the credentials of roles.
    Sts,
}

impl Service {
    const fn secrets(self) -> &'static str {
        match self {
            Self::Cognito => "passwords",
            Self::Sts => "a role's credentials",
        }
    }

    const fn variable(self) -> &'static str {
        match self {
            Self::Cognito => "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER",
            Self::Sts => "AWS_ENDPOINT_URL_STS",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cognito => "Cognito",
            Self::Sts => "STS",
        })
    }
}

/// Why an endpoint is not used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EndpointError {
    /// Neither HTTPS nor on this machine, such as plain HTTP to another machine.
    #[error(
        "the {0} endpoint {1} is neither HTTPS nor on this machine, {secrets} would cross the network in the clear: set {variable} or AWS_ENDPOINT_URL to an https:// URL, or to none for AWS itself", secrets = .0.secrets(), variable = .0.variable()
    )]
    Insecure(Service, String),
    /// Plain HTTP to this machine, but the environment names a proxy for the endpoint.
    #[error(
        "the {0} endpoint {1} is plain HTTP and the environment sends it through a proxy, {secrets} would cross the network in the clear: add the host of the endpoint to NO_PROXY", secrets = .0.secrets()
    )]
    Proxied(Service, String),
    /// Not a URL, or the SDK's endpoint rules refuse the configuration.
    #[error("the {0} endpoint can't be used: {1}")]
    Unusable(Service, String),
}

impl EndpointError {
    /// The [`EndpointError`] in the chain of the SDK's error; without one, [`EndpointError::Unusable`] with
    /// the causes.
    pub(super) fn from_chain(service: Service, error: &(dyn Error + 'static)) -> Self {
        error_text::find::<Self>(error)
            .cloned()
            .unwrap_or_else(|| Self::Unusable(service, error_text::causes(error)))
    }
}

/// Allows HTTPS to any host, and any scheme to this machine: `127.0.0.0/8`, `::1` and `localhost`. Pure;
/// ignores proxies.
///
/// # Errors
/// [`EndpointError::Insecure`] with scheme, host and port of the URL, because the rest of the URL may be
/// secret. [`EndpointError::Unusable`] if the text is no URL.
pub fn endpoint_is_allowed(service: Service, url: &str) -> Result<(), EndpointError> {
    let uri = parse(service, url)?;
    if uri.scheme() == Some(&Scheme::HTTPS) || is_loopback(&uri) {
        Ok(())
    } else {
        Err(EndpointError::Insecure(service, origin(&uri)))
    }
}

/// Like [`endpoint_is_allowed`], but also refuses a plain-text request that would go through a proxy.
///
/// Measured: hyper-util's matcher, which the HTTP client uses, has no exception for loopback, unlike Go's.
/// With `HTTP_PROXY` alone, a request to `http://127.0.0.1` goes to the proxy.
pub(super) fn may_be_sent(
    service: Service,
    url: &str,
    proxies: impl FnOnce() -> Matcher,
) -> Result<(), EndpointError> {
    endpoint_is_allowed(service, url)?;
    let uri = parse(service, url)?;
    if uri.scheme() != Some(&Scheme::HTTPS) && proxies().intercept(&uri).is_some() {
        return Err(EndpointError::Proxied(service, origin(&uri)));
    }
    Ok(())
}

fn parse(service: Service, url: &str) -> Result<Uri, EndpointError> {
    match url.parse::<Uri>() {
        Ok(uri) if uri.scheme().is_some() && uri.host().is_some() => Ok(uri),
        _ => Err(EndpointError::Unusable(
            service,
            "the value is not a URL".to_owned(),
        )),
    }
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Scheme, host and port, without user, password, path and query.
fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default();
    let host = uri.host().unwrap_or_default();
    match uri.authority().and_then(Authority::port_u16) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}

/// Checks, before every call, where the request really goes, after all of the SDK's endpoint rules. A refused
/// call is never sent.
#[derive(Debug)]
pub(super) struct EndpointGuard(pub(super) Service);

impl Intercept for EndpointGuard {
    fn name(&self) -> &'static str {
        "EndpointGuard"
    }

    fn read_before_signing(
        &self,
        context: &BeforeTransmit<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        Ok(may_be_sent(
            self.0,
            context.request().uri(),
            Matcher::from_env,
        )?)
    }
}

/// Ends a call after every step but the sending. `read_before_transmit` is the last hook before the connector
/// is called, and an error of the hook ends the attempt (aws-smithy-runtime 1.16.2, client/orchestrator.rs,
/// `try_attempt`).
#[derive(Clone, Default, Debug)]
pub(super) struct DryRun(Arc<OnceLock<String>>);

impl DryRun {
    /// The host to which the request would go, if every step before the sending succeeded.
    pub(super) fn host(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

impl Intercept for DryRun {
    fn name(&self) -> &'static str {
        "DryRun"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmit<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let uri = context.request().uri().parse::<Uri>()?;
        self.0
            .get_or_init(|| uri.host().unwrap_or_default().to_owned());
        Err("this request is not meant to be sent".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("https://cognito-idp.eu-west-1.amazonaws.com/")]
    #[case("HTTPS://cognito.example")]
    #[case("http://127.0.0.1:5101/")]
    #[case("http://127.8.9.10")]
    #[case("http://[::1]:5101")]
    #[case("http://localhost:5101")]
    #[case("http://LOCALHOST")]
    fn https_and_loopback_are_allowed(#[case] url: &str) {
        assert_eq!(endpoint_is_allowed(Service::Cognito, url), Ok(()));
    }

    #[rstest]
    #[case(
        "http://cognito-idp.eu-west-1.amazonaws.com",
        "http://cognito-idp.eu-west-1.amazonaws.com"
    )]
    #[case("http://moto.moto.svc:5000/x?y", "http://moto.moto.svc:5000")]
    #[case("http://10.0.0.1:5101", "http://10.0.0.1:5101")]
    #[case("http://0.0.0.0:5101", "http://0.0.0.0:5101")]
    #[case("http://[::]:5101", "http://[::]:5101")]
    #[case("http://127.0.0.1.evil.example", "http://127.0.0.1.evil.example")]
    #[case("http://localhost.evil.example", "http://localhost.evil.example")]
    #[case("http://127.0.0.1@evil.example/", "http://evil.example")]
    #[case("http://user:secret@evil.example:80/", "http://evil.example:80")]
    #[case("ftp://cognito.example", "ftp://cognito.example")]
    fn any_other_url_is_refused_with_its_origin(#[case] url: &str, #[case] origin: &str) {
        assert_eq!(
            endpoint_is_allowed(Service::Sts, url),
            Err(EndpointError::Insecure(Service::Sts, origin.to_owned()))
        );
    }

    #[rstest]
    #[case("")]
    #[case("127.0.0.1:5101")]
    #[case("/path")]
    #[case("not a url")]
    #[case("https://")]
    fn a_text_that_is_no_url_is_unusable(#[case] url: &str) {
        let refused = endpoint_is_allowed(Service::Cognito, url);
        assert!(
            matches!(refused, Err(EndpointError::Unusable(..))),
            "{refused:?}"
        );
    }

    #[test]
    fn plain_text_does_not_go_through_a_proxy() {
        let proxy = || Matcher::builder().http("http://proxy.example:3128");
        let (here, sts) = ("http://127.0.0.1:5101/", Service::Sts);
        let refused = may_be_sent(sts, here, || proxy().build());
        let origin = "http://127.0.0.1:5101".to_owned();
        assert_eq!(refused, Err(EndpointError::Proxied(sts, origin)));
        let excepted = may_be_sent(sts, here, || proxy().no("127.0.0.1").build());
        assert_eq!(excepted, Ok(()));
        let all = || Matcher::builder().all("http://proxy.example:3128").build();
        assert_eq!(may_be_sent(sts, "https://sts.example/", all), Ok(()));
    }
}
