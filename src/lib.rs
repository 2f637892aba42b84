//! cognito-password-operator: keeps the password of an Amazon Cognito user equal to the value in a Kubernetes
//! Secret.
//!
//! # The map of the crate
//! Imports point one way only; `tests/architecture.rs` checks every module.
//!
//! | module | contents | imports |
//! |---|---|---|
//! | [`api`] | the CRDs, status, conditions, the table of reasons | none |
//! | [`core`] | every decision: pure code, without I/O or clock | `api` |
//! | [`ops`] | log, health, metrics, memory hardening | none |
//! | [`cognito`] | the port to AWS, and the SDK behind the port | `core` |
//! | [`cluster`] | the port to Kubernetes: reads, writes, watches | `api`, `core` |
//! | [`controller`] | gather, decide, act, report; what the watches showed | all of the above but the SDK |
//! | [`run`] | the composition root: the order of start and shutdown | all of the above |
//! | [`check`] | the composition root of `check` | `cluster`, `core` |
//! | [`cli`] | the command line | `run`, `check`, `ops`, `cluster`, `core`, `api` |

pub mod api;
pub mod check;
pub mod cli;
pub mod cluster;
pub mod cognito;
pub mod controller;
pub mod core;
pub mod ops;
pub mod run;
