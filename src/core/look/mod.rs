//! Looks at the users of a pool: calls that change nothing. This folder holds what a look asks for, what a look
//! shows, and the judgement on what looks found.
//!
//! Imports [`crate::api`] only.

pub mod found;
pub mod judge;
pub mod sweep;
pub mod user;
