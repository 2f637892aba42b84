//! What one call to Cognito came to, as plain facts. What follows from them is decided in
//! [`super::outcome`].

use crate::core::credential::failure::CredentialsFailure;

/// The reply to one `AdminSetUserPassword`, or what there was instead of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// HTTP 200 with a reply that parsed.
    Applied {
        /// AWS's request id, for the log and the event.
        request_id: Option<String>,
    },
    /// An error reply.
    ServiceError(ServiceError),
    /// The request provably never left, or whoever got it says that nothing was done with it.
    NotSent {
        /// Why not.
        cause: NotSent,
        /// The SDK's own words, without secrets, at most 512 characters.
        detail: String,
    },
    /// The request left or may have left, and no usable reply came back: a timeout, a dropped
    /// connection, an unparsable reply.
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
    /// The error code, e.g. `InvalidPasswordException`, without namespace; absent when the reply
    /// named none.
    pub code: Option<String>,
    /// AWS's message, at most 1,024 characters.
    pub message: Option<String>,
    /// AWS's request id.
    pub request_id: Option<String>,
}

/// Why a request had no effect for certain.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NotSent {
    /// No credentials, or none that could be refreshed.
    Credentials,
    /// DNS, TCP connect or TLS.
    Connect,
    /// It could not be built: endpoint, serialisation, signing.
    Request,
    /// The connection was closed, and what closed it says that the request was not processed.
    Unprocessed,
}

impl std::error::Error for CredentialsFailure {}
