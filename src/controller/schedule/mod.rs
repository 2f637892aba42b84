//! When a reconcile runs and when a call leaves: the queue of keys, slots, permits, user locks, and the
//! credential gate.
//!
//! Imports `state`.

pub(crate) mod credential_gate;
pub(crate) mod permits;
pub(crate) mod slots;
pub(crate) mod user_locks;
pub(crate) mod version_queue;

pub(crate) mod pace;
pub(crate) mod queue;
