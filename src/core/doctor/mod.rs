//! Why a resource isn't Ready, and what makes it Ready: the judgement of `doctor`.
//!
//! - [`facts`] is what was read, and what the caller may not see.
//! - [`chain`] follows one resource link by link.
//! - [`cures`] makes the table of reasons concrete: commands with the resource's own names.
//! - [`report`] joins chain and cure for one resource, and [`summary`] counts many.
//!
//! Imports [`crate::core::checkup`] and, for what decides in the operator too, [`crate::core::access`],
//! [`crate::core::credential`], [`crate::core::names`] and [`crate::core::protocol`].

pub mod chain;
pub mod cures;
pub mod facts;
pub mod link;
pub mod names;
pub mod report;
pub mod subject;
pub mod summary;
mod words;

#[cfg(test)]
mod tests;
