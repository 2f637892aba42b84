//! What runs when: the queue of keys, the permits of the rate limit, the places of reconciles, one call a user,
//! and the wait for credentials.
//!
//! Imports `state`.

pub(crate) mod credential_gate;
pub(crate) mod permits;
pub(crate) mod slots;
pub(crate) mod user_locks;
pub(crate) mod version_queue;

pub(crate) mod pace;
pub(crate) mod queue;
