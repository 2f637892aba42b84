//! The port to Kubernetes. This module reads, writes and watches, and decides nothing.
//!
//! `client` holds the client with its time limits, `election` the Lease, and `watch` the watches. Every other
//! file reads or writes one kind of object.
//!
//! Imports [`crate::api`] and [`crate::core`].

mod client;
#[cfg(feature = "operator")]
pub mod election;
#[cfg(feature = "operator")]
pub mod events;
pub mod inspect;
#[cfg(feature = "operator")]
pub mod keys;
pub mod request;
pub mod rights;
#[cfg(feature = "operator")]
pub mod secrets;
pub mod selector;
#[cfg(feature = "operator")]
pub mod status;
#[cfg(feature = "operator")]
pub mod watch;

pub(crate) use client::call::chain;
pub use client::call::{CALL_TIMEOUT, CallError};
pub use client::connect::{ConfigError, caller_config, connect, infer_config};
pub use client::request_count::{ApiRequest, RequestObserver};
#[cfg(feature = "operator")]
pub use election::leadership::{Leadership, LeadershipHandle};
