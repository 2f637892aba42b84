//! The names of AWS objects, parsed once: Regions, accounts, ARNs, user pools and users.
//!
//! Imports [`crate::core::text`] only.

pub mod arn;
pub mod region;
pub mod target;
