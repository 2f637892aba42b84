//! The content of a status for people: the verdict of a reconcile, the conditions, and the time of the next
//! retry.
//!
//! Imports [`crate::api`], [`crate::core::clock`] and [`crate::core::text`] only.

pub mod backoff;
pub mod conditions;
pub mod ready;
pub(crate) mod status;
pub mod verdict;
pub mod verified;
