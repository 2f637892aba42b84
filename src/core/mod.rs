//! The pure core: what decides. The core does no I/O and reads no clock: time, randomness and what was
//! read are arguments. The core imports the contract ([`crate::api`]) and nobody else.
//!
//! The rooms, each of which imports only rooms above it:
//! - [`names`]: the names of AWS's things
//! - [`credential`]: passwords and their fingerprints
//! - [`condition`]: what a status says
//! - [`access`]: grants, authorities and IAM policies
//! - [`schedule`]: the rate limit, the fair queue and the election
//! - [`protocol`]: observation, decision, attempt, outcome

pub mod access;
pub mod condition;
pub mod credential;
pub mod names;
pub mod protocol;
pub mod schedule;
pub mod text;

pub mod clock;
