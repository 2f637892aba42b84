//! The port to Kubernetes. This module reads, writes and watches, and decides nothing.
//!
//! `client` holds the client with its time limits, `election` the Lease, and `watch` the watches. Every other
//! file reads or writes one kind of object.
//!
//! Imports [`crate::api`] and [`crate::core`].

mod client;
pub mod election;
pub mod events;
pub mod inspect;
pub mod keys;
pub mod rights;
pub mod secrets;
pub mod status;
pub mod watch;

pub(crate) use client::call::chain;
pub use client::call::{CALL_TIMEOUT, CallError};
pub use client::connect::{connect, infer_config};
pub use client::request_count::{ApiRequest, RequestObserver};
pub use election::leadership::{Leadership, LeadershipHandle};
