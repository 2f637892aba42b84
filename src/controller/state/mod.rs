//! What the watches showed and what this process remembers, compactly: synchronous, without I/O.
//!
//! Imports [`crate::api`], [`crate::core`] and the types of [`crate::cluster::watch`].

pub(crate) mod claims;
pub(crate) mod few;
pub(crate) mod grants;
pub(crate) mod index;
pub(crate) mod key;
pub(crate) mod listing;
pub(crate) mod memory;
pub(crate) mod packed;
