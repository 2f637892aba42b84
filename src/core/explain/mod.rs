//! The reasons in words, for a terminal without a cluster: the answer of `explain`.
//!
//! Imports [`crate::api`], [`crate::core::access`], [`crate::core::checkup`] and [`crate::core::condition`].

mod text;
mod topic;

pub use text::{one, table};
pub use topic::{Next, Topic, near, topics, topics_of};
