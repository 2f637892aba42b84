//! Passwords, the fingerprints of passwords in the record, and failures of the operator's credentials.
//!
//! Imports [`crate::core::names`] only.

pub mod failure;
pub mod fingerprint;
pub mod password;
