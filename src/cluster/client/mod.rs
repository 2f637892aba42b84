//! The client to the API server: connections, time limits, and the errors of calls. Imports no other module
//! of the crate.

pub(crate) mod call;
pub(crate) mod connect;
pub(crate) mod request_count;
#[cfg(feature = "operator")]
pub(crate) mod response_timeout;
