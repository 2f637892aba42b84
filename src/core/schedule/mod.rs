//! Who goes when: the rate limit in front of Cognito, the fair queue, and the election of the leader.
//!
//! Imports no other room.

pub mod fair_queue;
pub mod lease;
pub mod rate_limit;
