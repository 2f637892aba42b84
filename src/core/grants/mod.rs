//! Questions about grants: may a namespace manage a user, which namespaces may, and what would a change of grants
//! change. The answers come from the code that admits resources in the operator, [`crate::core::access::grant`].
//!
//! - `book` holds all grants and answers for one namespace and one user; `test` words that answer.
//! - `rules` finds the rules of an installed operator.
//! - `who` answers for one user and all namespaces.
//! - `file` reads grants from a file, and `schema` checks them against the CRD.
//! - `diff` compares the answers before and after a change.
//!
//! Imports [`crate::api`], [`crate::core::access`], [`crate::core::checkup`] and [`crate::core::names`].

pub mod book;
pub mod diff;
pub mod file;
#[cfg(test)]
mod fixture;
pub mod rules;
mod schema;
pub mod test;
pub mod who;
