//! The door to Kubernetes: it reads, writes and watches, and decides nothing.

mod call;
pub mod events;
pub mod holder;
pub mod keys;
mod leadership;
pub mod lean;
pub mod lease;
pub mod secrets;
pub mod selector;
pub mod status;
pub mod watch;

pub use call::{CALL_TIMEOUT, CallError, client};
pub use leadership::{Held, Leadership};
