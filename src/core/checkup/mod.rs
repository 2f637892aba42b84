//! The judgement of `check`: what an installation needs, and what the facts say about each need.
//!
//! Imports [`crate::api`].

pub mod finding;
pub mod judge;
pub mod right;
