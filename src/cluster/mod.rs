//! The door to Kubernetes: it reads, writes and watches, and decides nothing.
//!
//! The rooms: `client` is the client with its time limits, `election` the Lease, and `watch` the watches.
//! The files beside them read or write one kind of object each.

mod client;
pub mod election;
pub mod events;
pub mod keys;
pub mod rights;
pub mod secrets;
pub mod status;
pub mod watch;

pub use client::call::{CALL_TIMEOUT, CallError};
pub use client::connect::connect;
pub use election::leadership::{Leadership, LeadershipHandle};
