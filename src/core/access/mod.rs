//! Access to users: grants and admission, authorities, the operator's own rights on Secrets, and the IAM
//! policies that an administrator needs.
//!
//! Imports [`crate::core::names`], [`crate::core::credential`] and [`crate::core::condition`].

pub mod authority;
pub mod found_grant;
pub mod glob;
pub mod grant;
pub mod grant_index;
pub mod grant_status;
pub mod iam;
pub mod rights;
pub mod why_not;
