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
//! | `ops` | log, health, metrics, memory hardening | none |
//! | `cognito` | the port to AWS, and the SDK behind the port | `core` |
//! | [`cluster`] | the port to Kubernetes: reads, writes, watches | `api`, `core` |
//! | `controller` | gather, decide, act, report; what the watches showed | all of the above but the SDK |
//! | `run` | the composition root: the order of start and shutdown | all of the above |
//! | [`command`] | the commands for people and pods, such as `check` and `doctor` | `cluster`, `core`, `api` |
//! | [`cli`] | the command lines of the two programs | `run`, `command`, `ops`, `cluster`, `core`, `api` |
//!
//! Two programs are made of the crate: the operator, and the plugin of kubectl. The feature `operator` turns on the
//! modules without a link above, and the parts of `cluster` that write and watch. The plugin does without.

pub mod api;
pub mod cli;
pub mod cluster;
#[cfg(feature = "operator")]
pub mod cognito;
pub mod command;
#[cfg(feature = "operator")]
pub mod controller;
pub mod core;
#[cfg(feature = "operator")]
pub mod ops;
#[cfg(feature = "operator")]
pub mod run;
