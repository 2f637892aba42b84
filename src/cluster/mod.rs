//! The door to Kubernetes: it reads, writes and watches, and decides nothing.

mod call;
pub mod events;
pub mod keys;
pub mod secrets;
pub mod status;
pub mod watch;

pub use call::{CALL_TIMEOUT, CallError, client};
