//! The reply to one call to Cognito, as plain facts. [`super::outcome`] decides what follows from a reply.

use crate::core::credential::failure::CredentialsFailure;

/// The reply to one `AdminSetUserPassword`, or the failure in place of a reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// HTTP 200 with a reply that parsed.
    Applied {
        /// AWS's request id, for the log and the Event.
        request_id: Option<String>,
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
