//! What people ask of resources by the commands `wait`, `set`, `suspend` and `resume`: the judgement of one
//! observed resource, the plan of many sets, and the tools that may take a change back.
//!
//! Imports [`crate::api`], [`crate::core::checkup`], [`crate::core::protocol`] and [`crate::core::schedule`].

pub mod awaited;
pub mod budget;
pub mod observed;
pub mod owner;
pub mod plan;
pub mod suspension;
