//! What a checkup needs and finds: the rights of an installation, the judgement of `check`, and findings with their
//! cures, laid out for a terminal.
//!
//! Imports [`crate::api`], [`crate::core::access`], [`crate::core::names`], [`crate::core::text`] and [`crate::core::words`].

pub mod finding;
pub mod installed;
pub mod judge;
pub mod layout;
pub mod lease;
pub mod metrics;
pub mod pre;
pub mod right;
pub mod schema;
pub mod scrape;
pub mod seen;
pub mod skew;
pub mod versions;
