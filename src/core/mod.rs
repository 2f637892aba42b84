//! The pure core: every decision. The core does no I/O and reads no clock: time, randomness and what was
//! read are arguments. The core imports only the contract, [`crate::api`].
//!
//! The modules, each of which imports only modules above it in this list:
//! - [`names`]: the names of AWS objects
//! - [`credential`]: passwords and fingerprints
//! - [`condition`]: verdicts, conditions and backoff
//! - [`access`]: grants, authorities and IAM policies
//! - [`schedule`]: the rate limiter, the fair queue and the election
//! - [`look`]: users as Cognito shows them
//! - [`protocol`]: observation, decision, attempt and outcome
//! - [`checkup`]: what an installation needs, and the judgement of `check`
//! - [`ask`]: what people ask of resources: to wait, to set, to suspend
//! - [`grants`]: questions about grants, answered by the code of [`access`]
//! - [`explain`]: the reasons in words, for a terminal without a cluster
//! - [`report`]: what a report of an installation shows, and what it leaves out
//! - [`doctor`]: why a resource isn't Ready, and what makes it Ready

pub mod access;
pub mod ask;
pub mod checkup;
pub mod condition;
pub mod credential;
pub mod doctor;
pub mod explain;
pub mod grants;
pub mod look;
pub mod names;
pub mod protocol;
pub mod report;
pub mod schedule;
pub mod text;
pub mod words;

pub mod clock;
