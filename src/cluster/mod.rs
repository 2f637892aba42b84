//! The door to Kubernetes: it reads, writes and watches, and decides nothing.

mod call;
mod connect;
pub mod events;
pub mod holder;
mod initial;
pub mod keys;
mod leadership;
pub mod lean;
pub mod lease;
mod patience;
pub mod rights;
pub mod secrets;
pub mod selector;
pub mod status;
pub mod watch;

pub use call::{CALL_TIMEOUT, CallError};
pub use connect::client;
pub use leadership::{Held, Leadership};
