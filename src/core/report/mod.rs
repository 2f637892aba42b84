//! What a report of an installation shows, and what the report leaves out.
//!
//! - `credential` knows which names stand for credentials.
//! - `redact` removes from an object, or from text, what a report must not show.
//! - `bundle` holds the files of a report, bounded in size, with their index.
//!
//! Imports [`crate::core::text`] and [`crate::core::checkup`].

pub mod bundle;
mod credential;
pub mod redact;
