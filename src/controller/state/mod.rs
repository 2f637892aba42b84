//! What the watches showed, in compact records, and what this process remembers. Synchronous, without I/O.
//!
//! Imports [`crate::api`], [`crate::core`] and the types of [`crate::cluster::watch`].

pub(crate) mod compact_record;
pub(crate) mod health;
pub(crate) mod small_set;

pub(crate) mod claims;
pub(crate) mod grants;
pub(crate) mod index;
pub(crate) mod key;
pub(crate) mod listing;
pub(crate) mod look_board;
pub(crate) mod memory;
