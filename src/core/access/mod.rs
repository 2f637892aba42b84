//! Who may manage which user, and by which authority: grants, the rights of the operator itself, and the IAM
//! policies that an administrator needs.
//!
//! Imports [`crate::core::names`], [`crate::core::credential`] and [`crate::core::condition`].

pub mod authority;
pub mod glob;
pub mod grant;
pub mod grant_index;
pub mod grant_status;
pub mod iam;
pub mod rights;
