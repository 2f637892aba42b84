//! Calls to the API server. Each call has a timeout, no layer below retries a call, and errors quote nothing
//! of the objects that were read.

use crate::core::text::legible;
use kube::client::AuthError;
use std::{future::Future, time::Duration};

/// The timeout of one call that isn't a watch.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a call to the API server failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// The object doesn't exist.
    #[error("not found")]
    NotFound,
    /// The object has another resourceVersion than the write names, or already exists.
    #[error("conflict")]
    Conflict,
    /// RBAC, admission or validation refused the call. Contains the API server's message.
    #[error("the API server refused the request: {0}")]
    Refused(String),
    /// The API server knows no caller by these credentials. Contains the API server's message.
    #[error(
        "the API server refused the request: {0}: the credentials are expired or wrong, so log in again"
    )]
    Unauthorized(String),
    /// The API server failed or can't be reached. Whether a write was made is unknown.
    #[error("the API server couldn't carry out the request: {0}")]
    Failed(String),
    /// The API server didn't answer within this time. Whether a write was made is unknown.
    #[error("the API server didn't answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
}

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                401 => Self::Unauthorized(status.message.clone()),
                404 => Self::NotFound,
                409 => Self::Conflict,
                429 => Self::Failed(status.message.clone()),
                code if code < 500 => Self::Refused(status.message.clone()),
                _ => Self::Failed(status.message.clone()),
            },
            // Drops serde's error, because serde quotes the text, and the text may hold a password.
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
                Self::Failed("the API server's reply can't be read".to_owned())
            }
            other => Self::Failed(chain(&other)),
        }
    }
}

/// The messages of an error and its sources, e.g.
/// `client error (Connect): tcp connect error: Connection refused`.
///
/// Of a kubeconfig's credentials, only what is no secret: kube's own words have the output and the variables of the
/// program that makes the credentials.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let links = std::iter::successors(Some(error), |error| error.source());
    let auth = links.into_iter().find_map(|error| {
        let of_kube = error.downcast_ref().and_then(|error| match error {
            kube::Error::Auth(error) => Some(error),
            _ => None,
        });
        of_kube.or_else(|| error.downcast_ref::<AuthError>())
    });
    if let Some(error) = auth {
        return of_credentials(error);
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = error.source();
    }
    text
}

/// Why the credentials of a kubeconfig can't be used, without the credentials.
fn of_credentials(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { out, .. } => {
            let said = String::from_utf8_lossy(&out.stderr);
            let said = said.lines().map(str::trim).find(|line| !line.is_empty());
            let said = said.map(|line| format!(": {}", legible(line, 200)));
            format!(
                "the kubeconfig's program for credentials failed, {}{}",
                out.status,
                said.unwrap_or_default()
            )
        }
        AuthError::AuthExecStart(why) => {
            format!("the kubeconfig's program for credentials can't be started: {why}")
        }
        AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed => {
            "the kubeconfig's program for credentials printed no ExecCredential".to_owned()
        }
        AuthError::ReadTokenFile(why, file) => {
            format!("the token file {} can't be read: {why}", file.display())
        }
        _ => "the credentials of the kubeconfig can't be used".to_owned(),
    }
}

/// Makes one call with [`CALL_TIMEOUT`].
pub(crate) async fn call<T>(
    future: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    call_within(CALL_TIMEOUT, future).await
}

/// Makes one call with this timeout.
pub(crate) async fn call_within<T>(
    timeout: Duration,
    future: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(timeout, future).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(CallError::TimedOut(timeout)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that fails, as the client runs one for the credentials of a kubeconfig.
    fn failed(stderr: &str) -> AuthError {
        AuthError::AuthExecRun {
            cmd: "OIDC_SECRET=\"EnvSecret\" \"login\"".to_owned(),
            out: Box::new(std::process::Output {
                status: std::process::ExitStatus::default(),
                stdout: b"SECRET-TOKEN".to_vec(),
                stderr: stderr.as_bytes().to_vec(),
            }),
        }
    }

    #[test]
    fn the_credentials_of_a_kubeconfig_are_in_no_error() {
        for error in [
            kube::Error::Auth(failed("\nlog in first\nmore")),
            kube::Error::Service(Box::new(failed("log in first"))),
        ] {
            let said = CallError::from(error).to_string();
            assert!(
                !said.contains("SECRET") && !said.contains("EnvSecret"),
                "{said}"
            );
            let words = "the kubeconfig's program for credentials failed, ";
            assert!(
                said.contains(words) && said.ends_with(": log in first"),
                "{said}"
            );
        }
    }
}
