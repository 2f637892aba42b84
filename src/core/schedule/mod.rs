//! The rate limiter in front of Cognito, the fair queue, and the elector.
//!
//! Imports [`crate::core::clock`] only.

pub mod fair_queue;
pub mod lease;
pub mod rate_limit;
