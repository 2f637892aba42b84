//! The reply to one call to Cognito, as plain facts. [`super::outcome`] decides what follows from a reply.

use crate::core::credential::failure::CredentialsFailure;
use jiff::Timestamp;

/// The reply to one call, or the failure in place of a reply. `T` is the operation's output: nothing for
/// `AdminSetUserPassword` and `AdminUserGlobalSignOut`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply<T = ()> {
    /// HTTP 200 with a body of the operation.
    Success {
        /// What the operation returned.
        output: T,
        /// AWS's request id, for the log and the Event.
        request_id: Option<String>,
        /// The reply's `Date`, by AWS's clock; None if the reply had no readable `Date`.
        answered_at: Option<Timestamp>,
    },
    /// An error reply.
    ServiceError(ServiceError),
    /// The request was provably not sent, or the receiver says that the request was not processed.
    NotSent {
        /// The cause.
        cause: NotSent,
        /// The SDK's own words, without secrets, at most 512 characters.
        detail: String,
    },
    /// The request was or may have been sent, and no usable reply came back: a timeout, a dropped connection,
    /// an unparsable reply.
    NoReply {
        /// The SDK's own words, without secrets, at most 512 characters.
        detail: String,
    },
}

/// An error reply in AWS's own words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceError {
    /// The HTTP status.
    pub status: u16,
    /// The error code, e.g. `InvalidPasswordException`, without namespace; None if the reply named no code.
    pub code: Option<String>,
    /// AWS's message, at most 1,024 characters.
    pub message: Option<String>,
    /// AWS's request id.
    pub request_id: Option<String>,
}

impl ServiceError {
    /// Whether AWS refused the request: a status 4xx with a code. Any other error reply proves nothing about
    /// the effect of the request.
    #[must_use]
    pub fn is_client_error(&self) -> bool {
        (400..500).contains(&self.status) && self.code.is_some()
    }

    /// The code and the message of AWS.
    #[must_use]
    pub fn words(&self) -> String {
        match (&self.code, &self.message) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.clone(),
            (None, Some(message)) => {
                format!("HTTP {} without an error code: {message}", self.status)
            }
            (None, None) => format!("HTTP {} without an error code", self.status),
        }
    }
}

/// Why a request provably had no effect.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NotSent {
    /// The operator had no credentials, or could not refresh them.
    Credentials,
    /// DNS, TCP connect or TLS failed.
    Connect,
    /// The request could not be built: endpoint, serialisation, signing.
    Request,
    /// The peer closed the connection and said that the request was not processed.
    Unprocessed,
}

impl std::error::Error for CredentialsFailure {}
