//! The pure core: what decides. It does no I/O and reads no clock; time, randomness and what was
//! read are arguments. It imports the contract ([`crate::api`]) and nobody else.

pub mod arn;
pub mod authority;
pub mod backoff;
pub mod budget;
pub mod clock;
pub mod conclude;
pub mod conditions;
pub mod decide;
mod duplicate;
pub mod fair_queue;
pub mod fingerprint;
pub mod glob;
pub mod grant;
pub mod grant_index;
pub mod grant_status;
pub mod iam;
pub mod lease;
pub mod legible;
pub mod observed;
pub mod outcome;
pub mod password;
pub mod plan;
pub mod region;
pub mod reply;
pub mod request;
pub mod rights;
mod status;
pub mod target;
pub mod temporary;
pub mod verdict;
pub mod verified;
pub mod wait;
