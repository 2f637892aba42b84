//! Passwords, their fingerprints in the record, and the operator's own missing credentials.
//!
//! Imports [`crate::core::names`] only.

pub mod failure;
pub mod fingerprint;
pub mod password;
