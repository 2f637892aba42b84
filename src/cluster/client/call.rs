//! How calls to the API server are made: each with a timeout, none retried behind our back, and
//! with errors that hold nothing of what was read.

use std::{future::Future, time::Duration};

/// For one call that isn't a watch.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a call to the API server failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// The object isn't there.
    #[error("not found")]
    NotFound,
    /// It has another resourceVersion than the write was made for, or exists already.
    #[error("conflict")]
    Conflict,
    /// RBAC, admission or validation refused it. The API server's own words.
    #[error("the API server refused it: {0}")]
    Refused(String),
    /// The API server failed, or can't be reached. Whether a write was made can't be told.
    #[error("the API server didn't do it: {0}")]
    Failed(String),
    /// Not within this time. Whether a write was made can't be told.
    #[error("the API server didn't answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
}

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                404 => Self::NotFound,
                409 => Self::Conflict,
                429 => Self::Failed(status.message.clone()),
                code if code < 500 => Self::Refused(status.message.clone()),
                _ => Self::Failed(status.message.clone()),
            },
            // Serde quotes what it couldn't read.
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
                Self::Failed("its reply can't be read".to_owned())
            }
            other => Self::Failed(chain(&other)),
        }
    }
}

/// An error with its sources, e.g. `client error (Connect): tcp connect error: Connection refused`.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let words = error.to_string();
        if !said.contains(&words) {
            said = format!("{said}: {words}");
        }
        source = error.source();
    }
    said
}

/// Makes one call with its timeout.
pub(crate) async fn call<T>(
    future: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    call_within(CALL_TIMEOUT, future).await
}

/// Makes one call with a timeout of its own.
pub(crate) async fn call_within<T>(
    timeout: Duration,
    future: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(timeout, future).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(CallError::TimedOut(timeout)),
    }
}
