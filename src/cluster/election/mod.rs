//! The Lease by which one of several operators leads.
//!
//! Imports `client`.

pub mod holder;
pub(crate) mod leadership;
pub mod lease;
