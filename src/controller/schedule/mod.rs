//! What runs when: the queue of keys, the permits of the rate limit, the places of reconciles, one call a user,
//! and the wait for credentials.
//!
//! Imports `state`.

pub(crate) mod credentials;
pub(crate) mod in_flight;
pub(crate) mod pace;
pub(crate) mod places;
pub(crate) mod queue;
pub(crate) mod turns;
pub(crate) mod verified;
