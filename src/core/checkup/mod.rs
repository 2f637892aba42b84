//! What a checkup needs and finds: the rights of an installation, the judgement of `check`, and findings with their
//! cures, laid out for a terminal.
//!
//! Imports [`crate::api`].

pub mod finding;
pub mod installed;
pub mod judge;
pub mod layout;
pub mod right;
pub mod seen;
