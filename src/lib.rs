//! cognito-password-operator: the password of an Amazon Cognito user IS what a Kubernetes Secret
//! says.
//!
//! # The floor plan
//! Imports point inward only; `tests/architecture.rs` holds that line.
//!
//! | room | what it holds | imports |
//! |---|---|---|
//! | [`api`] | the contract: resource, status, conditions, the table of reasons | nobody |
//! | [`core`] | what decides: pure, without I/O or clock | `api` |
//! | [`ops`] | log, health, metrics, memory hardening | nobody |
//! | [`cognito`] | the door to AWS: the port, and the SDK behind it | `core` |
//! | [`cluster`] | the door to Kubernetes: reads, writes, watches | `api`, `core` |
//! | [`controller`] | gather, decide, act, report; what the watches showed | all of these, but not the SDK |
//! | [`run`] | the composition root: start-up and shutdown order | all of these |
//! | [`cli`] | the command line | `run`, `ops`, `cluster`, `core`, `api` |

pub mod api;
pub mod cli;
pub mod cluster;
pub mod cognito;
pub mod controller;
pub mod core;
pub mod ops;
pub mod run;
