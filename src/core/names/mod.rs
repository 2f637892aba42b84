//! The names of what AWS has, parsed once: Regions, accounts, ARNs, user pools and their users.
//!
//! Imports [`crate::core::text`] only.

pub mod arn;
pub mod region;
pub mod target;
